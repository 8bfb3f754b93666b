"""A leg of a running call that is moved into a new one, to which it looks like any caller's or callee's leg.

             old call                                   new call
    other leg -- [media] -- Stay              MovedLeg -- [media] -- another leg
                              \\                /
                               the leg itself

    as caller   the new call is placed without an offer; its Accept(OFFER) becomes Update(fresh) for the leg,
                whose UpdateAccept(ANSWER) becomes Confirm(ANSWER)
    as callee   Setup(OFFER) becomes Update(fresh), whose UpdateAccept(ANSWER) becomes Accept(ANSWER);
                Setup without an offer becomes an offerless re-INVITE: UpdateAccept(OFFER), then Confirm(ANSWER)

Until the leg has taken the new media it belongs to its old call, to which `Stay` looks like the leg, and whatever
fails leaves that call as it was (RFC 6141). From then on the leg is in the new call, `MovedLeg` and `Stay` have
stepped out, and the old call is over for whoever is left in it. A leg that is moved survives the end of its old call:
who hands somebody on may hang up at once.

The leg keeps its session id, for that is the name by which a page knows its call; a call that was made of moved legs
has an id of its own.

What it is not: it decides neither whether nor where a leg is moved (`transfer.py`), and places no call (`factory.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media.backend import Access, MediaError, Party, Reoffer
from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Connected,
    Description,
    End,
    Event,
    Kind,
    Progress,
    Setup,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import Identity, SessionId, new_session_id
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.fork import Fork
from rtcgw.translator.leg import ILeg, ILegParent, LegView
from rtcgw.translator.movestate import IMover, MoveEvent, MoveState

log = Logger()

PAUSE: Final = 1.0
"""Seconds after which a leg is asked again that was busy with another change, or whose page was away."""
TRIES: Final = 12
"""Times that it is asked in all; a caller's phone waits 30 s for the ACK that depends on it."""
RETURN_TIME: Final = 5.0
"""Seconds that the old call has to offer its media again to a leg that had taken those of a call that failed."""
HELD_LIMIT: Final = 64
"""Candidates of the new call that may wait until the leg has its offer."""
_LATER: Final = frozenset({Reason.CONFLICT, Reason.CLIENT_LOST})
"""Refusals that only say `not now`."""


@implementer(ILeg, ILegParent)
class MovedLeg:
    """`leg` of `call`, on its way into the call that it is given to as a leg. `call` must be answered; see `movable`.

    `reason` is what whoever is left in the old call hears. `on_moved(self)` is called between the leg's last word in
    the old call and its first one in the new call.
    """

    __slots__ = (
        *("_held", "_leg", "_mover", "_on_moved", "_order", "_orphaned", "_reason", "_sdp", "_stay", "_tries"),
        *("access", "call", "focus", "machine", "parent", "session"),
    )

    def __init__(
        self,
        call: Call,
        leg: ILeg,
        clock: IReactorTime,
        mover: IMover,
        reason: Reason = Reason.TRANSFERRED,
        on_moved: Callable[[MovedLeg], None] = lambda moved: None,
    ) -> None:
        self.session: SessionId = new_session_id()
        self.access: Access = leg.access
        self.parent: ILegParent | None = None
        self.call = call
        """The old call."""
        self.machine = Machine(MOVE_TABLE, self, clock)
        self.focus = ""  # the name of the conference that it is on its way to
        self._leg = leg
        self._mover = mover
        self._reason = reason
        self._on_moved = on_moved
        self._order: Setup | Accept | None = None
        """What the new call wants of it."""
        self._sdp = ""
        """What the leg has said to that."""
        self._tries = 0
        self._held: list[Candidates] = []
        self._orphaned = End(Reason.HANGUP)
        """Why the old call has ended, where it has."""
        self._stay = Stay(self)
        call.put(self._stay, leg)
        leg.parent = self

    @property
    def leg(self) -> ILeg:
        """The leg itself."""
        return self._leg

    @property
    def identity(self) -> Identity:
        """Who is at its far end."""
        return self.call.identity(self._stay)

    @property
    def private(self) -> bool:
        """Whether they have asked not to be shown to the other side; that holds wherever they are moved."""
        return self.call.setup.private and self.call.caller is self._stay

    @property
    def new_call(self) -> Call:
        """The call that it was given to."""
        return cast(Call, self.parent)

    # -- the new call's side ---------------------------------------------------------------------

    def deliver(self, event: Event) -> None:
        """See `ILeg`. What the new call says besides is not for a leg that is not in it yet."""
        if isinstance(event, Setup | Accept):
            description = event.description
            usable = isinstance(event, Setup) or (description is not None and description.kind is Kind.OFFER)
            self.machine.handle(MoveEvent.ORDERED if usable else MoveEvent.UNUSABLE, event)
        elif isinstance(event, Confirm):
            if event.description is not None:
                self.machine.handle(MoveEvent.CONFIRMED, event.description)
        elif isinstance(event, Progress):
            self._mover.progressed(event.stage)
        elif isinstance(event, Candidates):
            self.machine.handle(MoveEvent.TRICKLED, event)
        elif isinstance(event, Update):
            self._say(UpdateReject(Reason.CONFLICT))
        elif isinstance(event, End):
            self.machine.handle(MoveEvent.ENDED, event)

    def view(self) -> LegView:
        """See `ILeg`."""
        return evolve(self._leg.view(), kind="moved", state=self.machine.state.value)

    # -- the leg's side --------------------------------------------------------------------------

    def report(self, leg: ILeg, event: Event) -> None:
        """See `ILegParent`: what answers to the new call's wishes is for it, all else for the old call."""
        if isinstance(event, End):
            self.machine.handle(MoveEvent.LEG_OVER, event)
        elif isinstance(event, UpdateAccept | UpdateReject) and self.machine.state in _ANSWERABLE:
            self._decided(event)
        else:
            self.call.report(self._stay, event)

    def _decided(self, event: UpdateAccept | UpdateReject) -> None:
        if self.machine.state is MoveState.RETURNING:
            self.machine.handle(MoveEvent.RETURNED, event)
        elif isinstance(event, UpdateReject):
            later = event.reason in _LATER and self._tries < TRIES
            self.machine.handle(MoveEvent.BUSY if later else MoveEvent.REFUSED, event.reason)
        elif event.description is None:
            self.machine.handle(MoveEvent.REFUSED, Reason.PROTOCOL)
        else:
            offered = event.description.kind is Kind.OFFER
            self.machine.handle(MoveEvent.OFFERED if offered else MoveEvent.TAKEN, event.description)

    # -- the old call's side ---------------------------------------------------------------------

    def old_says(self, event: Event) -> None:
        """What the old call delivers to the leg."""
        if isinstance(event, End):
            self.machine.handle(MoveEvent.OLD_OVER, event)
        elif not isinstance(event, Update):
            self._leg.deliver(event)
        elif self.machine.state in _OCCUPIED:
            self.call.report(self._stay, UpdateReject(Reason.CONFLICT))
        elif self.machine.state is MoveState.RETURNING:
            self._leg.deliver(evolve(event, fresh=True))
        else:
            self._leg.deliver(event)

    # -- actions ---------------------------------------------------------------------------------

    def _ask(self, order: Setup | Accept | None = None) -> None:
        self._order = order or self._order
        assert self._order is not None
        self._tries += 1
        self._leg.deliver(Update(self._order.description, fresh=True, focus=self.focus))
        if self.machine.state is MoveState.ASKED:
            held, self._held = self._held, []
            for candidates in held:
                self._leg.deliver(candidates)

    def _keep(self, event: Candidates) -> None:
        if len(self._held) < HELD_LIMIT:
            self._held.append(event)

    def _trickle(self, event: Candidates) -> None:
        self._leg.deliver(event)

    def _take(self, description: Description) -> None:
        """The leg has taken the new media: it is in the new call."""
        caller = isinstance(self._order, Accept)
        self._change_over(Confirm(description) if caller else Accept(description))

    def _lend(self, description: Description) -> None:
        self._sdp = description.sdp
        self._say(Accept(description))

    def _confirm(self, description: Description) -> None:
        self._leg.deliver(Confirm(description))
        self._change_over(None)

    def _change_over(self, event: Event | None) -> None:
        """Step out: the leg is the new call's, which hears its first word; the old call is over for the others."""
        new, leg = self.new_call, self._leg
        self._on_moved(self)
        new.story.continues(self.call.story, self.call.session, new.joint.party(self), new.session)
        new.put(leg, self)
        leg.parent = new
        new.seated(self.call)
        if event is not None:
            new.report(leg, event)
        if not new.over:
            leg.deliver(Connected(new.other_identity(leg)))
            new.attended()
        log.info("call {session} goes on as {new}", session=self.call.session, new=new.session)
        self._mover.moved(leg)
        self.call.release(self._stay, self._reason)

    def _unusable(self, event: Event) -> None:
        self._refused(Reason.PROTOCOL)

    def _refused(self, reason: Reason) -> None:
        """The leg does not take part in the new call, which ends; it stays where it is."""
        end = End(reason)
        self._back()
        self._say(end)
        self._mover.stayed(end)

    def _ended(self, end: End) -> None:
        """The new call has come to nothing before the leg was in it."""
        self._back()
        self._mover.stayed(end)

    def _withdraw(self, end: End) -> None:
        """The leg has an offer that no longer stands; what it answers is of no use, but must be waited for."""
        self._mover.stayed(end)

    def _back(self, *_: object) -> None:
        """Step out: the leg is the old call's again, or nobody's."""
        self._held.clear()
        leg = self._leg
        leg.parent = self.call
        if self.call.over:
            leg.deliver(self._orphaned)
        else:
            self.call.put(leg, self._stay)

    def _withdraw_lent(self, end: End) -> None:
        self._mover.stayed(end)
        self._answer_from_old(Description(Kind.OFFER, self._sdp))

    def _answer_from_old(self, offer: Description) -> None:
        """A phone has offered, and nobody is there to answer: the old call's media do, as to any refresh."""
        joint, party = self.call.joint, self._party
        if self.call.over:
            self.machine.handle(MoveEvent.TIMEOUT)
        else:
            joint.take(joint.ask, lambda: joint.media.reoffer(party, offer.sdp), self._answered, self._unanswered)

    def _answered(self, plan: Reoffer) -> None:
        if plan.answer is None:
            self.call.media.revert()
            self._lose()
            return
        self._leg.deliver(Confirm(Description(Kind.ANSWER, plan.answer)))
        self.machine.handle(MoveEvent.RETURNED, None)

    def _unanswered(self, error: MediaError) -> None:
        log.warn("call {session}: media: {detail}", session=self.call.session, detail=error.detail)
        self._lose()

    def _lose(self) -> None:
        """There is no way back for the leg's media: it ends, and the old call with it."""
        end = End(Reason.MEDIA)
        self._leg.deliver(end)
        self.machine.handle(MoveEvent.LEG_OVER, end)

    def _renew(self, description: Description) -> None:
        """The leg has taken media that are no more: the old call offers its own to it anew."""
        if self.call.over:
            self.machine.handle(MoveEvent.TIMEOUT)
        else:
            self.call.changes.moved(self._party)

    def _returned(self, event: UpdateAccept | UpdateReject | None) -> None:
        self._back()
        if event is not None and not self.call.over:
            self.call.report(self._leg, event)

    def _orphan(self, end: End) -> None:
        """The old call is over. The leg has the new one to hope for."""
        self._orphaned = end

    def _orphan_returning(self, end: End) -> None:
        self._orphan(end)
        self._back()

    def _gone(self, end: End) -> None:
        """The leg has ended, and with it whatever it was in."""
        self._say(end)
        self._mover.stayed(end)
        self.call.report(self._stay, end)

    def _gone_alone(self, end: End) -> None:
        self.call.report(self._stay, end)

    # -- what they share -------------------------------------------------------------------------

    @property
    def _party(self) -> Party:
        return self.call.joint.party(self._stay)

    def _say(self, event: Event) -> None:
        """News for the new call."""
        if self.parent is not None:
            self.parent.report(self, event)


@implementer(ILeg)
class Stay:
    """What a leg that is being moved looks like to its old call."""

    __slots__ = ("_moved", "access", "parent", "session")

    def __init__(self, moved: MovedLeg) -> None:
        self._moved = moved
        self.session: SessionId = moved.leg.session
        self.access: Access = moved.access
        self.parent: ILegParent | None = moved.call

    def deliver(self, event: Event) -> None:
        """See `ILeg`."""
        self._moved.old_says(event)

    @property
    def leg(self) -> ILeg:
        """The leg itself."""
        return self._moved.leg

    def view(self) -> LegView:
        """See `ILeg`."""
        return self.leg.view()


def call_of(leg: ILeg) -> tuple[Call, ILeg] | None:
    """The call that a leg is in, and the leg as the call sees it; None where it is in none, or on its way elsewhere."""
    parent: object = leg.parent
    while isinstance(parent, Fork):
        leg, parent = parent, parent.parent
    return (parent, leg) if isinstance(parent, Call) else None


def itself(leg: ILeg) -> ILeg:
    """A leg that is on its way, whichever of its two faces a call has; any other leg as it is."""
    seen: object = leg
    return seen.leg if isinstance(seen, MovedLeg | Stay) else leg


def movable(call: Call, leg: ILeg) -> bool:
    """Whether `leg` of `call` can be moved now: it talks, and is not on its way elsewhere."""
    return call.answered and not isinstance(leg, Stay | MovedLeg)


_S, _E, _M = MoveState, MoveEvent, MovedLeg
_ANSWERABLE: Final = frozenset({_S.ASKED, _S.WITHDRAWN, _S.RETURNING})
"""States in which what the leg decides is not about a change of its old call's."""
_OCCUPIED: Final = frozenset({_S.ASKED, _S.WITHDRAWN, _S.LENT})
"""States in which the leg can take no change of its old call's."""
_LIVE: Final = (_S.STAYING, _S.ASKED, _S.PUT_OFF, _S.LENT, _S.WITHDRAWN, _S.RETURNING)

MOVE_TABLE: Table[MoveState, MoveEvent] = Table(
    "moved leg",
    _S.STAYING,
    MoveEvent,
    {
        (_S.STAYING, _E.ORDERED): Row(_S.ASKED, (_M._ask,)),
        (_S.STAYING, _E.UNUSABLE): Row(_S.STAYED, (_M._unusable,)),
        (_S.STAYING, _E.TRICKLED): Row(_S.STAYING, (_M._keep,)),
        (_S.STAYING, _E.ENDED): Row(_S.STAYED, (_M._ended,)),
        (_S.PUT_OFF, _E.DUE): Row(_S.ASKED, (_M._ask,)),
        (_S.PUT_OFF, _E.TRICKLED): Row(_S.PUT_OFF, (_M._keep,)),
        (_S.PUT_OFF, _E.ENDED): Row(_S.STAYED, (_M._ended,)),
        (_S.ASKED, _E.TRICKLED): Row(_S.ASKED, (_M._trickle,)),
        (_S.ASKED, _E.TAKEN): Row(_S.MOVED, (_M._take,)),
        (_S.ASKED, _E.OFFERED): Row(_S.LENT, (_M._lend,)),
        (_S.ASKED, _E.BUSY): Row(_S.PUT_OFF),
        (_S.ASKED, _E.REFUSED): Row(_S.STAYED, (_M._refused,)),
        (_S.ASKED, _E.ENDED): Row(_S.WITHDRAWN, (_M._withdraw,)),
        (_S.LENT, _E.TRICKLED): Row(_S.LENT, (_M._trickle,)),
        (_S.LENT, _E.CONFIRMED): Row(_S.MOVED, (_M._confirm,)),
        (_S.LENT, _E.ENDED): Row(_S.RETURNING, (_M._withdraw_lent,)),
        (_S.WITHDRAWN, _E.TAKEN): Row(_S.RETURNING, (_M._renew,)),
        (_S.WITHDRAWN, _E.OFFERED): Row(_S.RETURNING, (_M._answer_from_old,)),
        (_S.WITHDRAWN, _E.BUSY): Row(_S.STAYED, (_M._back,)),
        (_S.WITHDRAWN, _E.REFUSED): Row(_S.STAYED, (_M._back,)),
        (_S.RETURNING, _E.RETURNED): Row(_S.STAYED, (_M._returned,)),
        (_S.RETURNING, _E.TIMEOUT): Row(_S.STAYED, (_M._back,)),
        (_S.RETURNING, _E.OLD_OVER): Row(_S.GONE, (_M._orphan_returning,)),
        **{
            (state, _E.OLD_OVER): Row(state, (_M._orphan,))
            for state in (_S.STAYING, _S.ASKED, _S.PUT_OFF, _S.LENT, _S.WITHDRAWN)
        },
        **{(state, _E.LEG_OVER): Row(_S.GONE, (_M._gone,)) for state in (_S.STAYING, _S.ASKED, _S.PUT_OFF, _S.LENT)},
        **{(state, _E.LEG_OVER): Row(_S.GONE, (_M._gone_alone,)) for state in (_S.WITHDRAWN, _S.RETURNING)},
    },
    {
        _S.STAYING: {_E.TAKEN, _E.OFFERED, _E.BUSY, _E.REFUSED, _E.DUE, _E.CONFIRMED, _E.RETURNED, _E.TIMEOUT},
        _S.PUT_OFF: set(_E) - {_E.DUE, _E.TRICKLED, _E.ENDED, _E.OLD_OVER, _E.LEG_OVER},
        _S.ASKED: {_E.ORDERED, _E.UNUSABLE, _E.DUE, _E.CONFIRMED, _E.RETURNED, _E.TIMEOUT},
        _S.LENT: set(_E) - {_E.TRICKLED, _E.CONFIRMED, _E.ENDED, _E.OLD_OVER, _E.LEG_OVER},
        _S.WITHDRAWN: set(_E) - {_E.TAKEN, _E.OFFERED, _E.BUSY, _E.REFUSED, _E.OLD_OVER, _E.LEG_OVER},
        _S.RETURNING: set(_E) - {_E.RETURNED, _E.TIMEOUT, _E.OLD_OVER, _E.LEG_OVER},
        _S.STAYED: set(_E),
        _S.MOVED: set(_E),
        _S.GONE: set(_E),
    },
    [
        Timer("pause", frozenset({_S.PUT_OFF}), lambda moved: PAUSE, _E.DUE),
        Timer("return", frozenset({_S.RETURNING}), lambda moved: RETURN_TIME, _E.TIMEOUT),
    ],
)
"""Every wish for a change is answered by its leg, a page's in 15 s and a phone's in 32, so that no state lasts."""
