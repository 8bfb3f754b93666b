"""Changes within a call: one at a time, decided by the media where it can and by the other party where it must.

    a party offers  -> the media answers                                 an ICE restart, a hold, a refresh
                    -> the media asks the other party, whose answer comes back through it     video added
    a party asks for an offer, and answers it when it confirms           re-INVITE without a description
    a party holds   -> the media offers that to the other one, where it must be told at all
    the call itself offers                  a relay died, or a browser's handshake does not begin
    the call itself holds                   for a party that is away (`hold.py`)

A second change meanwhile is refused with CONFLICT (491); one of the call's own waits, and lets a party's wait: nobody
must be refused for what nobody asked for. A refused change leaves all as it was (RFC 6141). What a leg does about
glare with its own peer is its own matter.

What it is not: it carries no first offer (`opening.py`) and ends no call by itself, it only says why it must end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.backend import MediaError, News, Party, Reoffer
from rtcgw.model import defaults
from rtcgw.model.events import Description, Kind, Update, UpdateAccept, UpdateReject
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.hold import Holds
from rtcgw.translator.joint import Joint

log = Logger()

ANSWER_TIME: Final = 70.0
"""Seconds that a party may take to decide. Its leg knows better and is quicker: a page has 15 s, a phone three times
the longest pause after a clash (RFC 3261 §14.1), then 25 s for the person, then 64*T1 to answer a CANCEL."""
LOAN_TIME: Final = 32.0
"""Seconds that a party may take to answer in its ACK the offer that it has asked for: 64*T1 (RFC 3261 §13.3.1.4)."""
CLASH_TIME: Final = 4.0
"""Seconds until a change of the call's own that met one of the party is tried again: the longest that RFC 3261 §14.1
lets the party wait for its own second try, which goes first."""
CLASH_LIMIT: Final = 4
"""Clashes in a row, after which the party counts as having refused."""


class ChangeState(Symbol):
    """Where a change stands."""

    SETTLED = "settled"
    """None is open."""
    JUDGED = "the media judges it"
    ASKED = "a party is asked"
    LENT = "a party that wanted an offer has it"
    TAKEN = "the media takes the answer"
    PUT_OFF = "put off"
    """One of the call's own met one of the party's."""
    CLOSED = "the call is over"


class ChangeEvent(Symbol):
    """What moves a change."""

    PROPOSED = "a party offers"
    WANTED = "a party wants an offer"
    HOLDS = "a party holds, or takes back"
    DUE = "the call itself must offer"
    ANSWERED = "the media has answered"
    PASSED_ON = "the other party must be asked"
    OFFERED = "the media has made an offer"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "taken back by whoever offered"
    CLASHED = "refused for one of the party's own"
    CONFIRMED = "confirmed with the answer"
    FAILED = "the media refuses"
    DONE = "the media has taken the answer"
    TIMEOUT = "time is over"
    CLOSE = "the call ends"


class _Job(NamedTuple):
    """A change under way."""

    asked: Party
    """Who has the offer, or will have it."""
    origin: Party | None
    """Who hears of the outcome; None for the call's own changes, and once an offer was lent."""
    cause: News | None = None
    """Why the call itself offers."""
    hold: bool | None = None
    """Whether the other one of who is asked holds it, or takes it back; None: it is about something else."""
    wish: bool | None = None
    """The same as the other one has asked for; None: it has not, the call itself does it."""

    @property
    def is_own_hold(self) -> bool:
        """A hold of the call's own, for a party that is away."""
        return self.hold is not None and self.wish is None

    @property
    def end(self) -> Reason:
        """Why the call ends where nobody can be told that the change has failed."""
        return Reason.MEDIA if self.cause is None else _ENDS[self.cause]


_ENDS = {News.MOVED: Reason.MEDIA_LOST, News.STALLED: Reason.MEDIA_FAILED}


class Changes:
    """The changes of one call.

    `answered()` says whether the call is answered, before which nobody is asked. `on_settled()` is called after each
    change that a party proposed, `on_hold(party, on)` when a party holds the other one or no longer does,
    `fail(reason, text)` when the call cannot go on. `hold_after`: see `Holds`.
    """

    __slots__ = (
        "_answered",
        "_clashes",
        "_clock",
        "_due",
        "_fail",
        "_hold_after",
        "_holds",
        "_job",
        "_joint",
        "_on_hold",
        "_on_settled",
        "_postponed",
        "_repaired",
        "_session",
        "machine",
    )

    def __init__(
        self,
        session: SessionId,
        joint: Joint,
        clock: IReactorTime,
        answered: Callable[[], bool],
        on_settled: Callable[[], None],
        fail: Callable[[Reason, str | None], None],
        on_hold: Callable[[Party, bool], None],
        hold_after: float = defaults.HOLD_AFTER,
    ) -> None:
        self.machine = Machine(CHANGE_TABLE, self, clock)
        self._clock = clock
        self._hold_after = hold_after
        self._holds: Holds | None = None  # made with the first hold or absence: most calls have none
        self._on_hold = on_hold
        self._session = session
        self._joint = joint
        self._answered = answered
        self._on_settled = on_settled
        self._fail = fail
        self._job = _Job(Party.CALLER, None)
        self._due: dict[Party, News] = {}
        """What the call itself must still offer, and why; at most one offer for each party."""
        self._repaired: set[Party] = set()
        """Browsers that were given a new start and have not finished a handshake since."""
        self._postponed: tuple[Party, Description | None] | None = None
        """What a party has proposed while the call itself was holding for it."""
        self._clashes = 0

    # -- what the legs say -----------------------------------------------------------------

    def proposed(self, party: Party, description: Description | None) -> None:
        """A party offers a change, or wants an offer."""
        if self._job.is_own_hold and self._postponed is None and self.machine.state in _OPEN:
            self._postponed = party, description
        elif description is None:
            self.machine.handle(ChangeEvent.WANTED, party)
        else:
            self.machine.handle(ChangeEvent.PROPOSED, party, description.sdp)

    def held(self, party: Party, on: bool) -> None:
        """A party holds the other one, or takes it back."""
        self.machine.handle(ChangeEvent.HOLDS, party, on)

    def away(self, party: Party, on: bool) -> None:
        """A party cannot be reached, or is there again."""
        self.holds.away(party, on)

    def accepted(self, party: Party, description: Description | None) -> None:
        """A party that was asked takes the change; without a description it has said nothing of use."""
        if party is not self._job.asked:
            return
        if description is None:
            self.machine.handle(ChangeEvent.REFUSED, Reason.PROTOCOL)
        else:
            self.machine.handle(ChangeEvent.ACCEPTED, description.sdp)

    def refused(self, party: Party, reason: Reason) -> None:
        """A party that was asked refuses, or the one that offered takes its offer back."""
        if party is not self._job.asked:
            if party is self._job.origin and reason is Reason.CANCELLED and self._may_withdraw(party):
                self.machine.handle(ChangeEvent.WITHDRAWN, reason)
            return
        own = self._job.cause is not None or self._job.is_own_hold
        clash = reason is Reason.CONFLICT and own and self._clashes < CLASH_LIMIT
        self.machine.handle(ChangeEvent.CLASHED if clash else ChangeEvent.REFUSED, reason)

    def _may_withdraw(self, party: Party) -> bool:
        """A hold that was asked for goes on. So does what a page asked of a page: the answer of one that is asked anew
        at once could be to either question, and does not say to which."""
        pages = self._joint.leg(party).access.on_web and self._joint.leg(party.other).access.on_web
        return self._job.hold is None and not pages

    def confirmed(self, party: Party, description: Description | None) -> bool:
        """A party confirms. True: it answers the offer that it wanted, and nobody else need hear of it."""
        if self.machine.state is not ChangeState.LENT or party is not self._job.asked or description is None:
            return False
        self.machine.handle(ChangeEvent.CONFIRMED, description.sdp)
        return True

    # -- what the media says ---------------------------------------------------------------

    def is_held_by(self, party: Party) -> bool:
        """Whether the party holds the other one, by the gateway's doing."""
        return self._holds is not None and self._holds.by(party)

    def moved(self, party: Party) -> None:
        """What the party was told of our media is no longer true."""
        self._due[party] = News.MOVED
        self.resume()

    def stalled(self, party: Party, detail: str) -> None:
        """A browser does not begin its handshake: it gets a new start, once."""
        if party in self._repaired:
            self._fail(Reason.MEDIA_FAILED, detail)
            return
        self._due.setdefault(party, News.STALLED)
        self.resume()

    def keys_ready(self, party: Party) -> None:
        """The handshake is done after all."""
        self._repaired.discard(party)
        if self._due.get(party) is News.STALLED:
            del self._due[party]

    def said(self, party: Party, on: bool) -> None:
        """A party's description holds the other one, or no longer does."""
        self.holds.tell(party, on)
        self._on_hold(party, on)

    @property
    def holds(self) -> Holds:
        """Who holds whom."""
        if self._holds is None:
            self._holds = Holds(self._session, self._joint, self._clock, self._hold_after, self.resume)
        return self._holds

    def resume(self) -> None:
        """Offer what is due, when the call is answered and nothing is open."""
        if self._due or (self._holds is not None and self._holds.due):
            self._joint.take(self._begin)

    def _begin(self) -> None:
        if (self._due or self.holds.due) and self._answered():
            self.machine.handle(ChangeEvent.DUE)

    def close(self) -> None:
        """The call is over."""
        self._due.clear()
        self._postponed = None
        if self._holds is not None:
            self._holds.close()
        self.machine.handle(ChangeEvent.CLOSE)

    # -- actions: an offer -----------------------------------------------------------------

    def _judge(self, party: Party, sdp: str) -> None:
        self._job = _Job(party.other, party)
        self._joint.ask(lambda: self._joint.media.reoffer(party, sdp), self._judged, self._media_refused)

    def _judged(self, plan: Reoffer) -> None:
        if plan.answer is not None:
            self.machine.handle(ChangeEvent.ANSWERED, plan.answer)
        elif plan.offer is not None and self._answered():
            self.machine.handle(ChangeEvent.PASSED_ON, plan.offer, plan.fresh)
        else:
            self._joint.media.revert()
            self._media_refused(MediaError(Reason.MEDIA, "the other party cannot be asked before it has answered"))

    def _draft(self, party: Party) -> None:
        self._job = _Job(party, party)
        self._make()

    def _hold(self, party: Party, on: bool) -> None:
        holds = self.holds.wanted(party, on)
        self._job = _Job(party.other, party, None, holds, on)
        self._say_hold(party, holds)

    def _say_hold(self, party: Party, on: bool) -> None:
        self._joint.ask(lambda: self._joint.media.hold(party, on), self._holding, self._media_refused)

    def _holding(self, sdp: str) -> None:
        """Empty where nobody need be told."""
        self.machine.handle(ChangeEvent.PASSED_ON if sdp else ChangeEvent.ANSWERED, sdp)

    def _renew(self) -> None:
        due = None if self._due else self.holds.due
        if due is not None:
            party, on = due
            self._job = _Job(party.other, None, None, on)
            self._say_hold(party, on)
            return
        party, cause = next(iter(self._due.items()))
        del self._due[party]
        if cause is News.STALLED:
            self._repaired.add(party)
        self._job = _Job(party, None, cause)
        self._make()

    def _make(self) -> None:
        party = self._job.asked
        self._joint.ask(lambda: self._joint.media.make_offer(party), self._made, self._media_refused)

    def _made(self, sdp: str) -> None:
        lent = self._job.origin is not None
        self.machine.handle(ChangeEvent.OFFERED if lent else ChangeEvent.PASSED_ON, sdp)

    def _ask(self, sdp: str, fresh: bool = False) -> None:
        self._joint.leg(self._job.asked).deliver(Update(Description(Kind.OFFER, sdp), fresh))

    def _lend(self, sdp: str) -> None:
        party = self._job.asked
        self._job = _Job(party, None)
        self._joint.leg(party).deliver(UpdateAccept(Description(Kind.OFFER, sdp)))

    def _conflict(self, party: Party, *_: object) -> None:
        self._joint.leg(party).deliver(UpdateReject(Reason.CONFLICT))

    # -- actions: its outcome --------------------------------------------------------------

    def _take(self, sdp: str) -> None:
        party = self._job.asked
        self._joint.ask(
            lambda: self._joint.media.answer(party, sdp, True),
            lambda text: self.machine.handle(ChangeEvent.DONE, text),
            self._media_refused,
        )

    def _tell(self, sdp: str) -> None:
        """The party that proposed it hears the answer; a change of the call's own concerns one party only."""
        self._clashes = 0
        origin, hold = self._job.origin, self._job.hold
        if origin is not None:
            answer = None if hold is not None else Description(Kind.ANSWER, sdp)
            self._joint.leg(origin).deliver(UpdateAccept(answer))
        if hold is not None:
            party = self._job.asked.other
            if self.holds.agreed(party, hold, self._job.wish):
                self._on_hold(party, hold)

    def _media_refused(self, error: MediaError) -> None:
        log.warn("call {session}: media: {detail}", session=self._session, detail=error.detail, ration="changes")
        self.machine.handle(ChangeEvent.FAILED, error.reason)

    def _revert(self, *_: object) -> None:
        self._joint.media.revert()

    def _refuse(self, reason: Reason) -> None:
        """It comes to nothing. What the call itself must change cannot stay as it was, unless the party is away:
        a page that comes back offers anew."""
        origin, job = self._job.origin, self._job
        if origin is not None:
            self._joint.leg(origin).deliver(UpdateReject(reason))
        elif job.hold is not None:
            self._clashes = 0
            self.holds.refused(job.asked.other, job.hold, reason)
        elif reason is not Reason.CLIENT_LOST:
            log.warn(
                "call {session}: {party} does not take what it must: {reason}",
                session=self._session,
                party=job.asked.value,
                reason=reason.word,
            )
            self._fail(job.end, None)

    def _call_off(self, reason: Reason) -> None:
        """Who is asked need not decide any more."""
        self._joint.leg(self._job.asked).deliver(UpdateReject(reason))

    def _silence(self) -> None:
        self._refuse(Reason.TIMEOUT)

    def _put_off(self, reason: Reason) -> None:
        self._clashes += 1
        cause = self._job.cause
        if cause is not None:
            self._due.setdefault(self._job.asked, cause)
            self._repaired.discard(self._job.asked)

    def _settle(self, *_: object) -> None:
        self._on_settled()
        if self._postponed is not None:
            (party, description), self._postponed = self._postponed, None
            self._joint.take(self.proposed, party, description)
        self.resume()


_S, _E, _C = ChangeState, ChangeEvent, Changes
_OPEN: Final = frozenset({_S.JUDGED, _S.ASKED, _S.LENT, _S.TAKEN})
"""Something is under way."""
_QUIET: Final = frozenset(_E) - {_E.PROPOSED, _E.WANTED, _E.HOLDS, _E.CLOSE}
"""What is not decided in every state alike."""

CHANGE_TABLE: Table[ChangeState, ChangeEvent] = Table(
    "change",
    ChangeState.SETTLED,
    ChangeEvent,
    {
        (_S.SETTLED, _E.PROPOSED): Row(_S.JUDGED, (_C._judge,)),
        (_S.SETTLED, _E.WANTED): Row(_S.JUDGED, (_C._draft,)),
        (_S.SETTLED, _E.HOLDS): Row(_S.JUDGED, (_C._hold,)),
        (_S.SETTLED, _E.DUE): Row(_S.JUDGED, (_C._renew,)),
        (_S.JUDGED, _E.ANSWERED): Row(_S.SETTLED, (_C._tell, _C._settle)),
        (_S.JUDGED, _E.PASSED_ON): Row(_S.ASKED, (_C._ask,)),
        (_S.JUDGED, _E.OFFERED): Row(_S.LENT, (_C._lend,)),
        (_S.JUDGED, _E.FAILED): Row(_S.SETTLED, (_C._refuse, _C._settle)),
        (_S.ASKED, _E.ACCEPTED): Row(_S.TAKEN, (_C._take,)),
        (_S.ASKED, _E.REFUSED): Row(_S.SETTLED, (_C._revert, _C._refuse, _C._settle)),
        (_S.ASKED, _E.WITHDRAWN): Row(_S.SETTLED, (_C._revert, _C._call_off, _C._refuse, _C._settle)),
        (_S.ASKED, _E.CLASHED): Row(_S.PUT_OFF, (_C._revert, _C._put_off)),
        (_S.ASKED, _E.TIMEOUT): Row(_S.SETTLED, (_C._revert, _C._silence, _C._settle)),
        (_S.LENT, _E.CONFIRMED): Row(_S.TAKEN, (_C._take,)),
        (_S.LENT, _E.TIMEOUT): Row(_S.SETTLED, (_C._revert, _C._settle)),
        (_S.TAKEN, _E.DONE): Row(_S.SETTLED, (_C._tell, _C._settle)),
        (_S.TAKEN, _E.FAILED): Row(_S.SETTLED, (_C._revert, _C._refuse, _C._settle)),
        (_S.PUT_OFF, _E.PROPOSED): Row(_S.JUDGED, (_C._judge,)),
        (_S.PUT_OFF, _E.WANTED): Row(_S.JUDGED, (_C._draft,)),
        (_S.PUT_OFF, _E.HOLDS): Row(_S.JUDGED, (_C._hold,)),
        (_S.PUT_OFF, _E.TIMEOUT): Row(_S.SETTLED, (_C._settle,)),
        **{
            (state, event): Row(state, (_C._conflict,))
            for state in _OPEN
            for event in (_E.PROPOSED, _E.WANTED, _E.HOLDS)
        },
        **{(state, _E.CLOSE): Row(_S.CLOSED) for state in ChangeState if state is not _S.CLOSED},
    },
    {
        _S.SETTLED: _QUIET - {_E.DUE},
        _S.JUDGED: _QUIET - {_E.ANSWERED, _E.PASSED_ON, _E.OFFERED, _E.FAILED},
        _S.ASKED: _QUIET - {_E.ACCEPTED, _E.REFUSED, _E.WITHDRAWN, _E.CLASHED, _E.TIMEOUT},
        _S.LENT: _QUIET - {_E.CONFIRMED, _E.TIMEOUT},
        _S.TAKEN: _QUIET - {_E.DONE, _E.FAILED},
        _S.PUT_OFF: _QUIET - {_E.TIMEOUT},
        _S.CLOSED: set(_E),
    },
    [
        Timer("answer", frozenset({_S.ASKED}), lambda changes: ANSWER_TIME, _E.TIMEOUT),
        Timer("loan", frozenset({_S.LENT}), lambda changes: LOAN_TIME, _E.TIMEOUT),
        Timer("clash", frozenset({_S.PUT_OFF}), lambda changes: CLASH_TIME, _E.TIMEOUT),
    ],
)
"""What comes too late, or for a change that is not open, is dropped."""
