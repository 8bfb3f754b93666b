"""A call: exactly two legs, and one rule - what one side reports, the other is told.

On its way from leg to leg each session description passes through the media backend, in
order; while the backend thinks, later events wait. `End` waits for nobody: it cancels what
is pending. The call knows neutral events only; it never sees a SIP message or a dialect.

    leg.report(event) -> [media] -> other leg.deliver(event)

What it is not: it does not place calls (`factory.py`), ring several devices (`fork.py`)
or keep protocol state (the legs do).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import evolve, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.backend import Access, IMediaSession, MediaError, MediaNews, MediaStats, News, Party, Reoffer
from rtcgw.model import defaults
from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Description,
    End,
    Event,
    Kind,
    Progress,
    ProgressAck,
    Setup,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent, LegView

log = Logger()

PENDING_LIMIT = 32
"""Events that may wait for the media backend; a party that sends more ends the call."""


class CallState(Symbol):
    """Where the call stands, in Fig. 7's words."""

    CALLING = "Calling"
    INCALL = "InCall"
    HANGUP = "Hangup"


class CallEvent(Symbol):
    """What moves a call."""

    ANSWERED = "answered"
    ENDED = "ended"
    RUNG_OUT = "rung out"


@frozen
class CallView:
    """What the inspector shows of a call. Holds no secret."""

    session: str
    caller: str
    callee: str
    state: str
    age: float
    """Seconds since the set-up arrived."""
    path: str
    """The steps of Fig. 6 that placed it."""
    legs: tuple[LegView, LegView]
    media: MediaStats


@implementer(ILegParent)
class Call:
    """Two legs joined. `start()` hands the set-up to the callee's leg.

    `on_end(call)` is called once, after both legs have been told and the media is closed.
    """

    __slots__ = (
        "_answers",
        "_busy",
        "_clock",
        "_on_end",
        "_pending",
        "_waiting",
        "callee",
        "caller",
        "machine",
        "media",
        "path",
        "reason",
        "ring_time",
        "session",
        "setup",
        "started",
    )

    def __init__(
        self,
        setup: Setup,
        caller: ILeg,
        callee: ILeg,
        open_media: Callable[[Callable[[MediaNews], None]], IMediaSession],
        clock: IReactorTime,
        on_end: Callable[[Call], None],
        ring_time: float = defaults.RING_TIME,
    ) -> None:
        self.session: SessionId = caller.session
        self.setup = setup
        self.caller = caller
        self.callee = callee
        self.machine = Machine(CALL_TABLE, self, clock)
        self.reason: Reason | None = None
        self.path = ""
        self.started = clock.seconds()
        self.ring_time = ring_time
        self.media = open_media(self._media_news)
        self._clock = clock
        self._on_end = on_end
        self._waiting: Deferred[str] | None = None
        self._pending: deque[tuple[ILeg, Event]] = deque()
        self._answers: dict[Party, tuple[str, str]] = {}
        """Per answering party: its last answer, and what the other party was given for it."""
        caller.parent = callee.parent = self

    def start(self) -> None:
        """Pass the set-up on to the callee."""
        self.machine.start()
        self._step(self.caller, self.setup)

    def report(self, leg: ILeg, event: Event) -> None:
        """See `ILegParent`."""
        if self.machine.state is CallState.HANGUP:
            return
        if isinstance(event, End):
            self._end(event, leg)
        elif self._waiting is None:
            self._step(leg, event)
        elif len(self._pending) < PENDING_LIMIT:
            self._pending.append((leg, event))
        else:
            self.end(Reason.PROTOCOL)

    def end(self, reason: Reason, text: str | None = None) -> None:
        """End the call from here: drain, an operator, lost media."""
        if self.machine.state is not CallState.HANGUP:
            self._end(End(reason, text), None)

    def view(self) -> CallView:
        """A picture for the inspector."""
        return CallView(
            session=self.session,
            caller=self.setup.caller.uri,
            callee=self.setup.callee.uri,
            state=self.machine.state.value,
            age=self._clock.seconds() - self.started,
            path=self.path,
            legs=(self.caller.view(), self.callee.view()),
            media=self.media.stats(),
        )

    # -- one event -------------------------------------------------------------------------

    def _step(self, leg: ILeg, event: Event) -> None:
        """Take one event through the media to the other leg."""
        party = Party.CALLER if leg is self.caller else Party.CALLEE
        try:
            if isinstance(event, Update):
                self._change(leg, party, event)
            elif isinstance(event, Candidates):
                if not self.media.candidate(party, event.candidate, event.mid, event.ufrag):
                    self._other(leg).deliver(event)
            else:
                if isinstance(event, Accept):
                    self.machine.handle(CallEvent.ANSWERED)
                self._pass(leg, party, event)
        except MediaError as error:
            self._media_failed(leg, event, error)

    def _pass(self, leg: ILeg, party: Party, event: Event) -> None:
        """What one side reports, the other is told."""
        other = self._other(leg)
        if isinstance(event, Setup) and event.description is None:
            result = self.media.make_offer(party.other) if self._bare_invite else None
            kind = Kind.OFFER
        elif isinstance(event, Setup | Progress | ProgressAck | Accept | Confirm):
            description = event.description
            if description is None:
                if isinstance(event, Accept) and party in self._answers:
                    event = Accept(Description(Kind.ANSWER, self._answers[party][1]))
                elif self._mute(party, event):
                    raise MediaError(Reason.MEDIA, "an offer was never answered")
                other.deliver(event)
                return
            kind = self._kind_for(other, description.kind)
            result = self._through_media(party, description)
            if isinstance(event, Confirm) and other.access is Access.WEB:
                # The phone's answer in an ACK is between it and the backend: the browser answered long ago.
                self._when(result, lambda _: other.deliver(Confirm()), leg, event)
                return
        else:
            other.deliver(event)
            return
        if result is None:
            other.deliver(event)
            return
        moved = event
        self._when(result, lambda sdp: other.deliver(evolve(moved, description=Description(kind, sdp))), leg, event)

    def _mute(self, party: Party, event: Event) -> bool:
        """Whether the call would stand without an answer to its first offer: a 2xx or an ACK that owes one lacks it."""
        if isinstance(event, Accept):
            return self.setup.description is not None
        return isinstance(event, Confirm) and self._bare_invite and party not in self._answers

    def _through_media(self, party: Party, description: Description) -> str | Deferred[str]:
        """The description as the other party must see it."""
        if description.kind is Kind.OFFER:
            return self.media.offer(party, description.sdp)
        final = description.kind is Kind.ANSWER
        result = self.media.answer(party, description.sdp, final)
        if isinstance(result, str):
            self._answers[party] = (description.sdp, result)
        else:
            result.addCallback(self._remember, party, description.sdp)
        return result

    def _remember(self, result: str, party: Party, sdp: str) -> str:
        self._answers[party] = (sdp, result)
        return result

    def _kind_for(self, other: ILeg, kind: Kind) -> Kind:
        """After a phone's offerless set-up the browser's answer becomes the gateway's offer to the phone."""
        return Kind.OFFER if self._bare_invite and other is self.caller else kind

    @property
    def _bare_invite(self) -> bool:
        """A phone called a browser without an offer: the browser must still be offered something to answer."""
        return self.setup.description is None and self.caller.access is Access.CORE and self.callee.access is Access.WEB

    def _change(self, leg: ILeg, party: Party, event: Update) -> None:
        """A new offer inside the session: answered by the media backend alone wherever it can.

        An ICE restart or a phone's session refresh is one side's private matter, so the other side
        is not asked. A session whose descriptions pass end to end cannot do that; it refuses.
        """
        description = event.description
        result = self.media.make_offer(party) if description is None else self._reoffered(party, description.sdp)
        if result is None:
            leg.deliver(UpdateReject(Reason.MEDIA))
            return
        kind = Kind.OFFER if description is None else Kind.ANSWER
        self._when(result, lambda sdp: leg.deliver(UpdateAccept(Description(kind, sdp))), leg, event)

    def _reoffered(self, party: Party, sdp: str) -> str | Deferred[str] | None:
        found = self.media.reoffer(party, sdp)
        if isinstance(found, Reoffer):
            return found.answer
        return found.addCallback(lambda plan: plan.answer or "")

    def _when(self, result: str | Deferred[str], then: Callable[[str], None], leg: ILeg, event: Event) -> None:
        """Go on at once with a text, or when the Deferred fires; what comes meanwhile waits."""
        if isinstance(result, str):
            then(result)
            return
        self._waiting = result
        result.addCallbacks(then, self._media_refused, errbackArgs=(leg, event))
        result.addErrback(self._broken)
        result.addBoth(self._go_on)
        result.addErrback(self._broken)  # what waited may fail as well

    def _media_refused(self, failure: Failure, leg: ILeg, event: Event) -> None:
        if isinstance(failure.value, MediaError):
            self._media_failed(leg, event, failure.value)
        elif not isinstance(failure.value, CancelledError):
            failure.raiseException()

    def _broken(self, failure: Failure) -> None:
        log.failure("call {session}: internal error", failure=failure, session=self.session)
        self.end(Reason.INTERNAL)

    def _go_on(self, _: object) -> None:
        self._waiting = None
        while self._pending and self._waiting is None and self.machine.state is not CallState.HANGUP:
            self._step(*self._pending.popleft())

    def _media_failed(self, leg: ILeg, event: Event, error: MediaError) -> None:
        log.warn("call {session}: media: {detail}", session=self.session, detail=error.detail)
        if isinstance(event, Update):
            leg.deliver(UpdateReject(error.reason))
        else:
            self.end(error.reason)

    def _media_news(self, news: MediaNews) -> None:
        log.debug(
            "call {session}: media {party} {state}",
            session=self.session,
            party=news.party.value,
            state=news.state.value,
        )
        if news.state is News.LOST:
            self.end(Reason.MEDIA_LOST, news.detail)

    # -- the end ---------------------------------------------------------------------------

    def _end(self, end: End, by: ILeg | None) -> None:
        """Tell whoever does not know yet, free the media, and be forgotten: once, for one reason."""
        self.machine.handle(CallEvent.ENDED)
        self.reason = end.reason
        self._pending.clear()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        self.media.close()
        for leg in (self.caller, self.callee):
            if leg is not by:
                self._tell(leg, end)
        log.emit(
            LogLevel.levelWithName(end.reason.level),
            "call {session} ended: {reason} after {age:.1f} s, {caller} -> {callee}, by {by}",
            session=self.session,
            reason=end.reason.word,
            age=self._clock.seconds() - self.started,
            caller=self.setup.caller.uri,
            callee=self.setup.callee.uri,
            by="gateway" if by is None else "caller" if by is self.caller else "callee",
            status=end.status,
        )
        self._on_end(self)

    def _tell(self, leg: ILeg, end: End) -> None:
        """A leg that fails at its end must neither leave the other one ringing nor keep the call in the books."""
        try:
            leg.deliver(end)
        except Exception:
            log.failure("call {session}: internal error at the end of a leg", session=self.session)

    def _rung_out(self) -> None:
        self.end(Reason.NO_ANSWER)

    def _other(self, leg: ILeg) -> ILeg:
        return self.callee if leg is self.caller else self.caller


CALL_TABLE: Table[CallState, CallEvent] = Table(
    "call",
    CallState.CALLING,
    CallEvent,
    {
        (CallState.CALLING, CallEvent.ANSWERED): Row(CallState.INCALL),
        (CallState.CALLING, CallEvent.ENDED): Row(CallState.HANGUP),
        (CallState.CALLING, CallEvent.RUNG_OUT): Row(CallState.CALLING, (Call._rung_out,)),
        (CallState.INCALL, CallEvent.ENDED): Row(CallState.HANGUP),
    },
    {CallState.INCALL: {CallEvent.ANSWERED, CallEvent.RUNG_OUT}, CallState.HANGUP: set(CallEvent)},
    [Timer("ring", frozenset({CallState.CALLING}), lambda call: call.ring_time, CallEvent.RUNG_OUT)],
)
