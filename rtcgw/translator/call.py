"""A call: exactly two legs, and one rule - what one side reports, the other is told.

On its way from leg to leg each session description passes through the media backend, in
order; while the backend thinks, later events wait. `End` waits for nobody: it cancels what
is pending. The call knows neutral events only; it never sees a SIP message or a dialect.

    leg.report(event) -> [media] -> other leg.deliver(event)

This module says how far a call is. What each event sets off is in `callevents.py`, the first descriptions on their
way are in `opening.py`, later ones in `change.py`, ring-back in `ringback.py`, news of the media in `medianews.py`,
the end and the record in `ending.py`.

What it is not: it does not place calls (`factory.py`), ring several devices (`fork.py`)
or keep protocol state (the legs do).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media.backend import IMediaSession, MediaError, MediaNews, Party
from rtcgw.model.events import (
    Candidates,
    End,
    Event,
    Ringback,
    Setup,
    Sound,
    Unacceptable,
)
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.callevents import ROUTES, trickled
from rtcgw.translator.callstate import CallEvent, CallState, CallView, Terms
from rtcgw.translator.change import Changes
from rtcgw.translator.ending import Ending
from rtcgw.translator.joint import Joint
from rtcgw.translator.leg import ILeg, ILegParent
from rtcgw.translator.medianews import NewsDesk
from rtcgw.translator.opening import Opening
from rtcgw.translator.record import Books, Milestones
from rtcgw.translator.ringback import RingTone
from rtcgw.translator.roster import Attendance

if TYPE_CHECKING:
    from rtcgw.translator.crowd import Crowds
    from rtcgw.translator.transfer import Transfers

log = Logger()

RESERVE_TIME: Final = 20.0
"""Seconds that a caller's network may take to meet the preconditions it has asked for."""
_PLAIN = Terms()


@implementer(ILegParent)
class Call:
    """Two legs joined. `start()` hands the set-up to the callee's leg.

    `on_end(call)` is called once, after both legs have been told and the media is closed. `story` is for whoever
    has something to note for the record.
    """

    __slots__ = (
        "_on_end",
        "_ready",
        "changes",
        "clock",
        "crowds",
        "ending",
        "joint",
        "machine",
        "news",
        "opening",
        "path",
        "reason",
        "ringback",
        "roster",
        "session",
        "setup",
        "story",
        "terms",
        "transfers",
    )

    def __init__(
        self,
        setup: Setup,
        caller: ILeg,
        callee: ILeg,
        open_media: Callable[[Callable[[MediaNews], None]], IMediaSession],
        clock: IReactorTime,
        on_end: Callable[[Call], None],
        terms: Terms = _PLAIN,
        books: Books | None = None,
    ) -> None:
        self.session: SessionId = caller.session
        self.setup = setup
        self.terms = terms
        self.machine = Machine(CALL_TABLE, self, clock)
        self.reason: Reason | None = None
        self.path = ""
        """The steps of Fig. 6 that placed it."""
        self.story = Milestones(clock.seconds())
        self.clock = clock
        self._on_end = on_end
        self._ready = setup
        """The set-up as the callee is to hear it."""
        self.joint = Joint(caller, callee, open_media(self._media_news), self._broken)
        self.opening = Opening(setup, self.joint, self.media_failed)
        told = self._is_answered, self._change_settled, self.end, self._held
        self.changes: Changes = Changes(self.session, self.joint, clock, *told, terms.hold_after)
        self.ringback = RingTone(clock, self._tell_sound, terms.early_media) if caller.access.on_web else None
        """None for a caller whose own network or phone makes its tones."""
        self.news = NewsDesk(self.session, self.joint, self.changes, self.ringback, self.end, self._is_answered)
        self.ending = Ending(self.session, setup, self.joint, self.story, books or Books(clock))
        self.roster: Attendance | None = None
        """Who takes part, as pages are told; None before the answer, and between two phones."""
        self.crowds: Crowds | None = None
        """Who asks conferences of other people's who is in them."""
        self.transfers: Transfers | None = None
        """Who carries out what `Transfer` asks for; nobody, where the call was not placed by the translator."""
        caller.parent = callee.parent = self

    @property
    def caller(self) -> ILeg:
        """The caller's leg."""
        return self.joint.caller

    @property
    def callee(self) -> ILeg:
        """The callee's leg."""
        return self.joint.callee

    @property
    def answered(self) -> bool:
        """Whether the parties talk."""
        return self.machine.state is CallState.INCALL

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.machine.state is CallState.HANGUP

    @property
    def media(self) -> IMediaSession:
        """What lies between them."""
        return self.joint.media

    def start(self) -> None:
        """Pass the set-up on to the callee."""
        self.machine.start()
        self.opening.offer(self._offered)

    def report(self, leg: ILeg, event: Event) -> None:
        """See `ILegParent`."""
        if self.machine.state is CallState.HANGUP:
            return
        if isinstance(event, End):
            self._end(event, leg, leg)
        elif isinstance(event, Candidates) and self.joint.waits:
            # Not in its turn: what the media thinks about may be waiting for just these (direct media does).
            trickled(self, self.joint.party(leg), event)
        elif not self.joint.take(self._step, self.joint.party(leg), event):
            self.end(Reason.PROTOCOL)

    def end(self, reason: Reason, text: str | None = None) -> None:
        """End the call from here: drain, an operator, lost media."""
        if self.machine.state is not CallState.HANGUP:
            self._end(End(reason, text), None, None)

    def release(self, leg: ILeg, reason: Reason) -> None:
        """`leg` has gone into another call: this one ends for whoever else is in it, without a word to `leg`."""
        if not self.over:
            self._end(End(reason), None, leg)

    def put(self, leg: ILeg, instead: ILeg) -> None:
        """`leg` takes the place of another one; whose parent it is, is the caller's to say."""
        self.joint.put(leg, instead)

    def seated(self, old: Call) -> None:
        """A leg has come from another call. Its page goes on counting the lists of participants from where it was."""
        if not (self.caller.access.on_web or self.callee.access.on_web):
            return
        version = 0 if old.roster is None else old.roster.version
        if self.roster is None:
            self.roster = Attendance(self.setup, self.joint, version, self.news.absent)
        else:
            self.roster.goes_on(version)

    def attended(self) -> None:
        """Whoever has come and is a page learns who is here, if it has not yet."""
        if self.roster is not None and self.answered:
            self.joint.take(self.roster.changed)
            if self.crowds is not None:
                self.crowds.look(self)

    def identity(self, leg: ILeg) -> Identity:
        """Who is at the far end of a leg, as the set-up named them."""
        return self.setup.caller if leg is self.caller else self.setup.callee

    def other_identity(self, leg: ILeg) -> Identity:
        """Whom the party of a leg talks to, as far as it may be shown."""
        return self.setup.callee if leg is self.caller else self.setup.shown

    def view(self) -> CallView:
        """A picture for the inspector."""
        return CallView(
            session=self.session,
            caller=self.setup.caller.uri,
            callee=self.setup.callee.uri,
            state=self.machine.state.value,
            age=self.clock.seconds() - self.story.started,
            path=self.path,
            legs=(self.caller.view(), self.callee.view()),
            media=self.media.stats(),
            holders=self.story.holders,
        )

    # -- the set-up ------------------------------------------------------------------------

    def _offered(self, setup: Setup) -> None:
        """The media is ready for the callee to hear of the call; the caller's network need not be."""
        self._ready = setup
        if self.media.reserved:
            self._invite()
        else:
            self.machine.handle(CallEvent.HELD_BACK)

    def _reserve(self) -> None:
        self.opening.reserve(self.media_failed)

    def _invite(self) -> None:
        caller, callee = self.caller, self.callee
        callee.deliver(self._ready)
        warm = self.terms.warm_start and self.setup.description is not None
        if warm and caller.access.on_web and not callee.access.on_web and self.machine.state is CallState.CALLING:
            self.opening.warm()

    def _try_again(self, event: Unacceptable) -> None:
        """The callee's side refused the offer as it is: once more by its second way, if there is one.

        Pages have none: what a page refuses, its user or its browser has decided.
        """
        if self.callee.access.on_web:
            self._refused(event)
        else:
            self.opening.again(self._invite_again, lambda error: self._refused(event))

    def _invite_again(self, setup: Setup) -> None:
        log.info("call {session}: offer refused, tried again in the second way", session=self.session)
        self._ready = setup
        if self.ringback is not None:
            self.ringback.retried()
        self.callee.deliver(setup)

    def _refused(self, event: Unacceptable) -> None:
        if self.machine.state is not CallState.HANGUP:
            self._end(End(event.reason, event.text, event.status), self.callee, None)

    def _unreserved(self) -> None:
        self.end(Reason.PRECONDITION)

    def _rung_out(self) -> None:
        self.end(Reason.NO_ANSWER)

    # -- one event -------------------------------------------------------------------------

    def _step(self, party: Party, event: Event) -> None:
        """What this side reports, the other is told, in its own way."""
        route = ROUTES.get(type(event))
        if route is not None:
            route(self, party, event)

    # -- for the parts ---------------------------------------------------------------------

    def _is_answered(self) -> bool:
        return self.machine.state is CallState.INCALL

    def _change_settled(self) -> None:
        if self.machine.state is CallState.RESERVING and self.media.reserved:
            self.machine.handle(CallEvent.RESERVED)
        if self.roster is not None:
            self.roster.changed()

    def _tell_sound(self, sound: Sound) -> None:
        if self.machine.state is not CallState.HANGUP:
            self.caller.deliver(Ringback(sound))

    def _held(self, party: Party, on: bool) -> None:
        self.story.hold(party, on, self.clock.seconds())
        if self.roster is not None:
            self.roster.holds(party, on)

    def media_failed(self, error: MediaError) -> None:
        """The media cannot do what the call cannot do without."""
        log.warn("call {session}: media: {detail}", session=self.session, detail=error.detail)
        self.end(error.reason)

    def _broken(self, failure: Failure) -> None:
        log.failure("call {session}: internal error", failure=failure, session=self.session)
        self.end(Reason.INTERNAL)

    def _media_news(self, news: MediaNews) -> None:
        if self.machine.state is not CallState.HANGUP:
            self.news.take(news)

    # -- the end ---------------------------------------------------------------------------

    def _end(self, end: End, by: ILeg | None, told: ILeg | None) -> None:
        """Once, for one reason. `by` has ended it, `told` knows already."""
        if self.transfers is not None:
            self.transfers.over(self)
        self.machine.handle(CallEvent.ENDED)
        self.reason = end.reason
        self.ending.finish(end, by, told, self.path, self._close)
        self._on_end(self)

    def _close(self) -> None:
        """The parts of the call do nothing more; nobody has been told yet."""
        if self.crowds is not None:
            self.crowds.over(self)
        self.changes.close()


_S, _E = CallState, CallEvent
_RINGS: Final = frozenset({_S.CALLING, _S.RINGING})

CALL_TABLE: Table[CallState, CallEvent] = Table(
    "call",
    CallState.CALLING,
    CallEvent,
    {
        (_S.CALLING, _E.HELD_BACK): Row(_S.RESERVING, (Call._reserve,)),
        (_S.CALLING, _E.RANG): Row(_S.RINGING),
        (_S.CALLING, _E.REFUSED): Row(_S.CALLING, (Call._try_again,)),
        (_S.CALLING, _E.ANSWERED): Row(_S.INCALL),
        (_S.CALLING, _E.ENDED): Row(_S.HANGUP),
        (_S.CALLING, _E.RUNG_OUT): Row(_S.CALLING, (Call._rung_out,)),
        (_S.RESERVING, _E.RESERVED): Row(_S.CALLING, (Call._invite,)),
        (_S.RESERVING, _E.UNRESERVED): Row(_S.RESERVING, (Call._unreserved,)),
        (_S.RESERVING, _E.ENDED): Row(_S.HANGUP),
        (_S.RINGING, _E.REFUSED): Row(_S.RINGING, (Call._try_again,)),
        (_S.RINGING, _E.ANSWERED): Row(_S.INCALL),
        (_S.RINGING, _E.ENDED): Row(_S.HANGUP),
        (_S.RINGING, _E.RUNG_OUT): Row(_S.RINGING, (Call._rung_out,)),
        (_S.INCALL, _E.ENDED): Row(_S.HANGUP),
    },
    {
        _S.CALLING: {_E.RESERVED, _E.UNRESERVED},
        _S.RESERVING: {_E.HELD_BACK, _E.RANG, _E.REFUSED, _E.ANSWERED, _E.RUNG_OUT},
        _S.RINGING: {_E.HELD_BACK, _E.RESERVED, _E.UNRESERVED, _E.RANG},
        _S.INCALL: set(_E) - {_E.ENDED},
        _S.HANGUP: set(_E),
    },
    [
        Timer("ring", _RINGS, lambda call: call.terms.ring_time, _E.RUNG_OUT),
        Timer("reserve", frozenset({_S.RESERVING}), lambda call: RESERVE_TIME, _E.UNRESERVED),
    ],
)
