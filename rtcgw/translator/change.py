"""Changes within a call: one at a time, decided by the media where it can and by the other party where it must.

    a party offers  -> the media answers                                 an ICE restart, a hold, a refresh
                    -> the media asks the other party, whose answer comes back through it     video added
    a party asks for an offer, and answers it when it confirms           re-INVITE without a description
    the call itself offers                  a relay died, or a browser's handshake does not begin

A second change meanwhile is refused with CONFLICT (491); one of the call's own waits. A refused change leaves all
as it was (RFC 6141). What a leg does about glare with its own peer is its own matter.

What it is not: it carries no first offer (`opening.py`) and ends no call by itself, it only says why it must end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.backend import MediaError, News, Party, Reoffer
from rtcgw.model.events import Description, Kind, Update, UpdateAccept, UpdateReject
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.joint import Joint

log = Logger()

ANSWER_TIME: Final = 32.0
"""Seconds that a party may take to decide: 64*T1, as long as a SIP request lives (RFC 3261 §17.1.2.2)."""
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
    DUE = "the call itself must offer"
    ANSWERED = "the media has answered"
    PASSED_ON = "the other party must be asked"
    OFFERED = "the media has made an offer"
    ACCEPTED = "accepted"
    REFUSED = "refused"
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

    @property
    def end(self) -> Reason:
        """Why the call ends where nobody can be told that the change has failed."""
        return Reason.MEDIA if self.cause is None else _ENDS[self.cause]


_ENDS = {News.MOVED: Reason.MEDIA_LOST, News.STALLED: Reason.MEDIA_FAILED}


class Changes:
    """The changes of one call.

    `answered()` says whether the call is answered, before which nobody is asked. `on_settled()` is called after each
    change that a party proposed, `fail(reason, text)` when the call cannot go on.
    """

    __slots__ = (
        "_answered",
        "_clashes",
        "_due",
        "_fail",
        "_job",
        "_joint",
        "_on_settled",
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
    ) -> None:
        self.machine = Machine(CHANGE_TABLE, self, clock)
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
        self._clashes = 0

    # -- what the legs say -----------------------------------------------------------------

    def proposed(self, party: Party, description: Description | None) -> None:
        """A party offers a change, or wants an offer."""
        if description is None:
            self.machine.handle(ChangeEvent.WANTED, party)
        else:
            self.machine.handle(ChangeEvent.PROPOSED, party, description.sdp)

    def accepted(self, party: Party, description: Description | None) -> None:
        """A party that was asked takes the change; without a description it has said nothing of use."""
        if party is not self._job.asked:
            return
        if description is None:
            self.machine.handle(ChangeEvent.REFUSED, Reason.PROTOCOL)
        else:
            self.machine.handle(ChangeEvent.ACCEPTED, description.sdp)

    def refused(self, party: Party, reason: Reason) -> None:
        """A party that was asked refuses."""
        if party is not self._job.asked:
            return
        clash = reason is Reason.CONFLICT and self._job.cause is not None and self._clashes < CLASH_LIMIT
        self.machine.handle(ChangeEvent.CLASHED if clash else ChangeEvent.REFUSED, reason)

    def confirmed(self, party: Party, description: Description | None) -> bool:
        """A party confirms. True: it answers the offer that it wanted, and nobody else need hear of it."""
        if self.machine.state is not ChangeState.LENT or party is not self._job.asked or description is None:
            return False
        self.machine.handle(ChangeEvent.CONFIRMED, description.sdp)
        return True

    # -- what the media says ---------------------------------------------------------------

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

    def resume(self) -> None:
        """Offer what is due, when the call is answered and nothing is open."""
        if self._due:
            self._joint.take(self._begin)

    def _begin(self) -> None:
        if self._due and self._answered():
            self.machine.handle(ChangeEvent.DUE)

    def close(self) -> None:
        """The call is over."""
        self._due.clear()
        self.machine.handle(ChangeEvent.CLOSE)

    # -- actions: an offer -----------------------------------------------------------------

    def _judge(self, party: Party, sdp: str) -> None:
        self._job = _Job(party.other, party)
        self._joint.ask(lambda: self._joint.media.reoffer(party, sdp), self._judged, self._media_refused)

    def _judged(self, plan: Reoffer) -> None:
        if plan.answer is not None:
            self.machine.handle(ChangeEvent.ANSWERED, plan.answer)
        elif plan.offer is not None and self._answered():
            self.machine.handle(ChangeEvent.PASSED_ON, plan.offer)
        else:
            self._joint.media.revert()
            self._media_refused(MediaError(Reason.MEDIA, "the other party cannot be asked before it has answered"))

    def _draft(self, party: Party) -> None:
        self._job = _Job(party, party)
        self._make()

    def _renew(self) -> None:
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

    def _ask(self, sdp: str) -> None:
        self._joint.leg(self._job.asked).deliver(Update(Description(Kind.OFFER, sdp)))

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
        origin = self._job.origin
        if origin is not None:
            self._joint.leg(origin).deliver(UpdateAccept(Description(Kind.ANSWER, sdp)))

    def _media_refused(self, error: MediaError) -> None:
        log.warn("call {session}: media: {detail}", session=self._session, detail=error.detail)
        self.machine.handle(ChangeEvent.FAILED, error.reason)

    def _revert(self, *_: object) -> None:
        self._joint.media.revert()

    def _refuse(self, reason: Reason) -> None:
        """It comes to nothing. What the call itself must change cannot stay as it was, unless the party is away:
        a page that comes back offers anew."""
        origin, job = self._job.origin, self._job
        if origin is not None:
            self._joint.leg(origin).deliver(UpdateReject(reason))
        elif reason is not Reason.CLIENT_LOST:
            log.warn(
                "call {session}: {party} does not take what it must: {reason}",
                session=self._session,
                party=job.asked.value,
                reason=reason.word,
            )
            self._fail(job.end, None)

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
        self.resume()


_S, _E, _C = ChangeState, ChangeEvent, Changes

CHANGE_TABLE: Table[ChangeState, ChangeEvent] = Table(
    "change",
    ChangeState.SETTLED,
    ChangeEvent,
    {
        (_S.SETTLED, _E.PROPOSED): Row(_S.JUDGED, (_C._judge,)),
        (_S.SETTLED, _E.WANTED): Row(_S.JUDGED, (_C._draft,)),
        (_S.SETTLED, _E.DUE): Row(_S.JUDGED, (_C._renew,)),
        (_S.JUDGED, _E.ANSWERED): Row(_S.SETTLED, (_C._tell, _C._settle)),
        (_S.JUDGED, _E.PASSED_ON): Row(_S.ASKED, (_C._ask,)),
        (_S.JUDGED, _E.OFFERED): Row(_S.LENT, (_C._lend,)),
        (_S.JUDGED, _E.FAILED): Row(_S.SETTLED, (_C._refuse, _C._settle)),
        (_S.ASKED, _E.ACCEPTED): Row(_S.TAKEN, (_C._take,)),
        (_S.ASKED, _E.REFUSED): Row(_S.SETTLED, (_C._revert, _C._refuse, _C._settle)),
        (_S.ASKED, _E.CLASHED): Row(_S.PUT_OFF, (_C._revert, _C._put_off)),
        (_S.ASKED, _E.TIMEOUT): Row(_S.SETTLED, (_C._revert, _C._silence, _C._settle)),
        (_S.LENT, _E.CONFIRMED): Row(_S.TAKEN, (_C._take,)),
        (_S.LENT, _E.TIMEOUT): Row(_S.SETTLED, (_C._revert, _C._settle)),
        (_S.TAKEN, _E.DONE): Row(_S.SETTLED, (_C._tell, _C._settle)),
        (_S.TAKEN, _E.FAILED): Row(_S.SETTLED, (_C._revert, _C._refuse, _C._settle)),
        (_S.PUT_OFF, _E.PROPOSED): Row(_S.JUDGED, (_C._judge,)),
        (_S.PUT_OFF, _E.WANTED): Row(_S.JUDGED, (_C._draft,)),
        (_S.PUT_OFF, _E.TIMEOUT): Row(_S.SETTLED, (_C._settle,)),
        **{
            (state, event): Row(state, (_C._conflict,))
            for state in (_S.JUDGED, _S.ASKED, _S.LENT, _S.TAKEN)
            for event in (_E.PROPOSED, _E.WANTED)
        },
        **{(state, _E.CLOSE): Row(_S.CLOSED) for state in ChangeState if state is not _S.CLOSED},
    },
    {
        _S.SETTLED: set(_E) - {_E.PROPOSED, _E.WANTED, _E.DUE, _E.CLOSE},
        _S.JUDGED: set(_E) - {_E.PROPOSED, _E.WANTED, _E.ANSWERED, _E.PASSED_ON, _E.OFFERED, _E.FAILED, _E.CLOSE},
        _S.ASKED: set(_E) - {_E.PROPOSED, _E.WANTED, _E.ACCEPTED, _E.REFUSED, _E.CLASHED, _E.TIMEOUT, _E.CLOSE},
        _S.LENT: set(_E) - {_E.PROPOSED, _E.WANTED, _E.CONFIRMED, _E.TIMEOUT, _E.CLOSE},
        _S.TAKEN: set(_E) - {_E.PROPOSED, _E.WANTED, _E.DONE, _E.FAILED, _E.CLOSE},
        _S.PUT_OFF: set(_E) - {_E.PROPOSED, _E.WANTED, _E.TIMEOUT, _E.CLOSE},
        _S.CLOSED: set(_E),
    },
    [
        Timer("answer", frozenset({_S.ASKED, _S.LENT}), lambda changes: ANSWER_TIME, _E.TIMEOUT),
        Timer("clash", frozenset({_S.PUT_OFF}), lambda changes: CLASH_TIME, _E.TIMEOUT),
    ],
)
"""What comes too late, or for a change that is not open, is dropped."""
