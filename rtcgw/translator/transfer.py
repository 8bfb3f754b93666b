"""Transfers: a party of a call wants the other one to talk to somebody else in its stead.

    a page or a phone asks: Transfer -> its leg -> call -> here

    REFER         the far phone is asked to call the target by itself (RFC 3515), where it says that it takes that and
                  the peer profile lets it; who asks is a page
    the gateway   the far party's leg is moved (`moved.py`) into a new call to the target: where REFER is barred or
                  refused, where the far party is a page, and where a phone has asked, for its REFER ends here

Blind, the target is called. Attended, it is in another call with whoever asks: then the two far parties' legs are
moved into one call, or the phone is sent there with Replaces (RFC 3891, RFC 5589 §7).

Whoever asks hears TRYING, RINGING, and then DONE or FAILED. After DONE its calls end with `transferred`; after
FAILED its first call is as it was. One transfer per call at a time; another one meanwhile fails with `conflict`.
The transfer does not put anybody on hold: who wants that asks for it, and finds the call held after a failure.

What it is not: it sends no REFER and reads none (`siprefer.py`), and it does not know how a leg changes calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.backend import Party
from rtcgw.model.events import End, Setup, Stage, Transfer, Transferring, TransferStage
from rtcgw.model.identity import ANONYMOUS, DialogRef, Identity, SessionId
from rtcgw.model.peer import TransferWay
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.flow import Form
from rtcgw.translator.leg import ILeg
from rtcgw.translator.moved import MovedLeg, call_of
from rtcgw.translator.movestate import IMover

log = Logger()

OUTCOME_TIME: Final = 200.0
"""Seconds that a phone which was sent to the target may take until it says how that went: a call rings for 180."""
_BARRED: Final = frozenset({None, 403, 405, 408, 420, 481, 489, 501, 503, 603})
"""Refusals of a REFER itself after which the gateway does it; None: it could not even be sent, or nothing came."""


class IPlacer(Protocol):
    """The translator."""

    def place(self, origin: ILeg, setup: Setup, form: Form = Form.NATIVE, callee: ILeg | None = None) -> None:
        """Place a call."""

    def move(self, call: Call, leg: ILeg, mover: IMover, reason: Reason = Reason.TRANSFERRED) -> MovedLeg | None:
        """A leg of a call as one of a call that is about to be placed; None where it cannot be moved now."""

    def find(self, session: SessionId, user: str) -> tuple[Call, ILeg] | None:
        """The call in which a page of this user has this session id, and its leg there."""

    def dialog(self, ref: DialogRef) -> ILeg | None:
        """The leg of a phone that has this dialog with us."""

    def forbidden(self, target: str) -> bool:
        """Whether it is an emergency number: nobody is connected with one, nor asked to call one."""

    def on_web(self, destination: str) -> bool:
        """Whether it means somebody of the web, whom a phone need not find by itself."""


class IReferable(Protocol):
    """A leg whose peer may be sent elsewhere, and whose dialog may be replaced: a phone's."""

    def replaces(self, announced: bool = False) -> DialogRef | None:
        """The leg's dialog as its peer knows it; None before there is one. `announced`: None also where the peer does
        not say that it supports Replaces."""


class TransferState(Symbol):
    """Where a transfer stands."""

    ASKED = "asked for"
    REFERRING = "the far phone is asked to call"
    REFERRED = "the far phone calls"
    MOVING = "the far leg is moved"
    OVER = "done or failed"


class TransferEvent(Symbol):
    """What moves a transfer."""

    REFER = "by the far phone"
    MOVE = "by the gateway"
    AGREED = "the phone agrees"
    BARRED = "the phone will not"
    RANG = "the target rings"
    SUCCEEDED = "the phone has got through"
    FAILED = "failed"
    MOVED = "the far leg has moved"
    CALL_OVER = "the call is over"
    LATE = "time is over"


class Transferal:
    """One transfer: `asker` of `call` wants its other party to talk to somebody else. `on_over()` is called once."""

    __slots__ = ("_asker", "_event", "_on_over", "_placer", "call", "machine")

    def __init__(
        self,
        call: Call,
        asker: Party,
        event: Transfer,
        placer: IPlacer,
        clock: IReactorTime,
        on_over: Callable[[], None],
    ) -> None:
        self.call = call
        self.machine = Machine(TRANSFER_TABLE, self, clock)
        self._asker = asker
        self._event = event
        self._placer = placer
        self._on_over = on_over

    # -- what happens ----------------------------------------------------------------------------

    def start(self) -> None:
        """Choose the way."""
        asker, far = self.call.joint.leg(self._asker), self.call.joint.leg(self._asker.other)
        if not self.call.answered:
            self.machine.handle(TransferEvent.FAILED, End(Reason.CONFLICT))
        elif self._placer.forbidden(self._event.target):
            self.machine.handle(TransferEvent.FAILED, End(Reason.EMERGENCY))
        elif asker.access.on_web and _is_phone(far) and self._way is not TransferWay.GATEWAY and not self._at_home:
            self.machine.handle(TransferEvent.REFER)
        else:
            self.machine.handle(TransferEvent.MOVE)

    @property
    def _at_home(self) -> bool:
        """Whether the target is somebody of the web, whom a phone need not find by itself."""
        return bool(self._event.target) and self._placer.on_web(self._event.target)

    def told(self, event: Transferring) -> None:
        """How it goes at the far phone, by its own word."""
        if event.stage is TransferStage.TRYING:
            self.machine.handle(TransferEvent.AGREED)
        elif event.stage is TransferStage.RINGING:
            self.machine.handle(TransferEvent.RANG)
        elif event.stage is TransferStage.DONE:
            self.machine.handle(TransferEvent.SUCCEEDED)
        else:
            barred = event.status in _BARRED and self._way is TransferWay.AUTO
            end = End(event.reason or Reason.PROTOCOL, status=event.status)
            self.machine.handle(TransferEvent.BARRED if barred else TransferEvent.FAILED, end)

    def call_over(self) -> None:
        """The call has ended."""
        self.machine.handle(TransferEvent.CALL_OVER)

    def progressed(self, stage: Stage) -> None:
        """See `IMover`."""
        if stage is Stage.RINGING:
            self.machine.handle(TransferEvent.RANG)

    def moved(self, leg: ILeg) -> None:
        """See `IMover`."""
        self.machine.handle(TransferEvent.MOVED)

    def stayed(self, end: End) -> None:
        """See `IMover`."""
        self.machine.handle(TransferEvent.FAILED, end)

    # -- actions ---------------------------------------------------------------------------------

    def _refer(self) -> None:
        """The far phone is asked. To replace a call both phones must know how, else there would be one call more."""
        event, call = self._event, self.call
        asker, far = call.joint.leg(self._asker), call.joint.leg(self._asker.other)
        if event.other is not None:
            found = self._consulted()
            ref = None if found is None else _reference(found[0].joint.leg(found[1]))
            if found is None or ref is None or _reference(far) is None:
                auto = self._way is TransferWay.AUTO
                self.machine.handle(TransferEvent.BARRED if auto else TransferEvent.FAILED, End(Reason.CONFLICT))
                return
            event = Transfer(found[0].identity(found[0].joint.leg(found[1])).uri, replaces=ref)
        by = event.referred_by or call.identity(asker).uri
        far.deliver(Transfer(event.target, None, event.replaces, by))

    def _move(self, *_: object) -> None:
        found = self._consulted()
        if self._event.other is None and found is None:
            self._move_blind()
        elif found is None or not self._move_together(*found):
            self.machine.handle(TransferEvent.FAILED, End(Reason.CONFLICT))

    def _move_blind(self) -> None:
        event, call = self._event, self.call
        moved = self._placer.move(call, call.joint.leg(self._asker.other), self)
        if moved is None:
            self.machine.handle(TransferEvent.FAILED, End(Reason.CONFLICT))
            return
        asker = call.other_identity(call.joint.leg(self._asker.other))
        self._tell(TransferStage.TRYING)
        setup = Setup(
            moved.identity,
            Identity(event.target),
            replaces=event.replaces,
            private=moved.private,
            referred_by=event.referred_by or asker.uri,
            moved=True,
        )
        self._placer.place(moved, setup)

    def _move_together(self, other: Call, party: Party) -> bool:
        """The far party of this call and that of the asker's other one are joined."""
        far, target = self.call.joint.leg(self._asker.other), other.joint.leg(party)
        there = self._placer.move(other, target, _Companion())
        if there is None:
            return False
        here = self._placer.move(self.call, far, self)
        if here is None:
            there.deliver(End(Reason.CONFLICT))
            return False
        self._tell(TransferStage.TRYING)
        # Who is on hold is offered something: asked for an offer, phones say that they are on hold.
        caller, callee = (there, here) if other.changes.is_held_by(party.other) else (here, there)
        shown = ANONYMOUS if callee.private else callee.identity
        self._placer.place(caller, Setup(caller.identity, shown, private=caller.private, moved=True), callee=callee)
        return True

    def _consulted(self) -> tuple[Call, Party] | None:
        """The asker's other call, and its party that is to be talked to; None where there is none that is answered."""
        event = self._event
        if event.other is not None:
            asker = self.call.joint.leg(self._asker)
            found = self._placer.find(event.other, asker.view().user)
        else:
            leg = None if event.replaces is None else self._placer.dialog(event.replaces)
            found = None if leg is None else call_of(leg)
        if found is None or found[0] is self.call or not found[0].answered:
            return None
        call, leg = found
        return call, call.joint.party(leg).other

    def _agreed(self) -> None:
        self._tell(TransferStage.TRYING)

    def _rang(self) -> None:
        self._tell(TransferStage.RINGING)

    def _failed(self, end: End) -> None:
        self._tell(TransferStage.FAILED, end)
        self._on_over()

    def _late(self) -> None:
        self._failed(End(Reason.TIMEOUT))

    def _done(self, *_: object) -> None:
        log.info("call {session}: transferred", session=self.call.session)
        self._tell(TransferStage.DONE)
        self._on_over()

    def _leave(self) -> None:
        """The phone talks to the target: this call has served."""
        self.call.end(Reason.TRANSFERRED)

    def _dropped(self) -> None:
        self._on_over()

    # -- what they share -------------------------------------------------------------------------

    @property
    def _way(self) -> TransferWay:
        return self.call.terms.transfer

    def _tell(self, stage: TransferStage, end: End | None = None) -> None:
        """Who asked, as long as it is there."""
        reason, status = (None, None) if end is None else (end.reason, end.status)
        if not self.call.over:
            self.call.joint.leg(self._asker).deliver(Transferring(stage, reason, status))


class _Companion:
    """Who moves the target's leg in an attended transfer: the other leg says all that there is to say."""

    def progressed(self, stage: Stage) -> None:
        """See `IMover`."""

    def moved(self, leg: ILeg) -> None:
        """See `IMover`."""

    def stayed(self, end: End) -> None:
        """See `IMover`."""


def _is_phone(leg: ILeg) -> bool:
    """Whether the leg speaks SIP to somebody who may be sent elsewhere."""
    return hasattr(leg, "replaces")


def _reference(leg: ILeg) -> DialogRef | None:
    """The dialog of a phone's leg as the phone knows it; None for a page's, and for a phone that knows no Replaces."""
    known = getattr(leg, "replaces", None)
    ref = None if known is None else known(announced=True)
    return ref if isinstance(ref, DialogRef) else None


class ISender(Protocol):
    """Whoever sends the phone of a call elsewhere."""

    def told(self, event: Transferring) -> None:
        """How it goes at the phone, by its own word."""

    def call_over(self) -> None:
        """The call has ended."""


class Transfers:
    """The transfers of all calls, one per call."""

    __slots__ = ("_clock", "_jobs", "_placer")

    def __init__(self, placer: IPlacer, clock: IReactorTime) -> None:
        self._placer = placer
        self._clock = clock
        self._jobs: dict[Call, ISender] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def asked(self, call: Call, asker: Party, event: Transfer) -> None:
        """A party of a call wants a transfer."""
        if call in self._jobs:
            call.joint.leg(asker).deliver(Transferring(TransferStage.FAILED, Reason.CONFLICT))
            return

        def over() -> None:
            self._jobs.pop(call, None)

        job = self._jobs[call] = Transferal(call, asker, event, self._placer, self._clock, over)
        job.start()

    def lend(self, call: Call, sender: ISender) -> bool:
        """`sender` sends the phone of a call elsewhere by itself; False: a transfer is under way."""
        return self._jobs.setdefault(call, sender) is sender

    def give_back(self, call: Call, sender: ISender) -> None:
        """`sender` is done."""
        if self._jobs.get(call) is sender:
            del self._jobs[call]

    def told(self, call: Call, event: Transferring) -> None:
        """A phone that was sent elsewhere says how that goes."""
        job = self._jobs.get(call)
        if job is not None:
            job.told(event)

    def over(self, call: Call) -> None:
        """A call ends; its parties have not been told yet."""
        job = self._jobs.get(call)
        if job is not None:
            job.call_over()


_S, _E, _T = TransferState, TransferEvent, Transferal

TRANSFER_TABLE: Table[TransferState, TransferEvent] = Table(
    "transfer",
    _S.ASKED,
    TransferEvent,
    {
        (_S.ASKED, _E.REFER): Row(_S.REFERRING, (_T._refer,)),
        (_S.ASKED, _E.MOVE): Row(_S.MOVING, (_T._move,)),
        (_S.ASKED, _E.FAILED): Row(_S.OVER, (_T._failed,)),
        (_S.REFERRING, _E.AGREED): Row(_S.REFERRED, (_T._agreed,)),
        (_S.REFERRING, _E.BARRED): Row(_S.MOVING, (_T._move,)),
        (_S.REFERRING, _E.FAILED): Row(_S.OVER, (_T._failed,)),
        (_S.REFERRING, _E.CALL_OVER): Row(_S.OVER, (_T._dropped,)),
        (_S.REFERRED, _E.RANG): Row(_S.REFERRED, (_T._rang,)),
        (_S.REFERRED, _E.SUCCEEDED): Row(_S.OVER, (_T._done, _T._leave)),
        (_S.REFERRED, _E.BARRED): Row(_S.OVER, (_T._failed,)),
        (_S.REFERRED, _E.FAILED): Row(_S.OVER, (_T._failed,)),
        (_S.REFERRED, _E.LATE): Row(_S.OVER, (_T._late,)),
        (_S.REFERRED, _E.CALL_OVER): Row(_S.OVER, (_T._done,)),
        (_S.MOVING, _E.RANG): Row(_S.MOVING, (_T._rang,)),
        (_S.MOVING, _E.MOVED): Row(_S.OVER, (_T._done,)),
        (_S.MOVING, _E.FAILED): Row(_S.OVER, (_T._failed,)),
    },
    {
        _S.ASKED: set(_E) - {_E.REFER, _E.MOVE, _E.FAILED},
        _S.REFERRING: set(_E) - {_E.AGREED, _E.BARRED, _E.FAILED, _E.CALL_OVER},
        # Its word on the way there is repeated.
        _S.REFERRED: {_E.REFER, _E.MOVE, _E.AGREED, _E.MOVED},
        # Who asked may hang up: the far leg is on its way.
        _S.MOVING: set(_E) - {_E.RANG, _E.MOVED, _E.FAILED},
        _S.OVER: set(_E),
    },
    [Timer("outcome", frozenset({_S.REFERRED}), lambda transferal: OUTCOME_TIME, _E.LATE)],
)
"""What the far leg's move or the SIP leg's REFER comes to is always told, so that no state lasts."""
