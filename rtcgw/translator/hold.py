"""Who holds whom in one call, for what reason, and what is still to be done about it.

    a page says HOLD                 a change like any other, by which the other side is told (`change.py`)
    a page is away for long          the call's own hold: whoever waits hears music, not a dead line
    a phone holds by its description the media says so, and the other side's page is told

A party holds for as long as it wants it itself or is away; each reason ends by itself. So the hold of a page's own
outlives the page: the one that comes back after a reload finds it as it was left.

What it is not: it asks nobody (`change.py`), and plays nothing (the media's interludes).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.backend import Party
from rtcgw.model.events import Hold
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.joint import Joint

log = Logger()


class AbsenceState(Symbol):
    """What a party that is away means for the other one."""

    PRESENT = "present"
    AWAY = "away, not yet for long"
    HOLDING = "away, the other is held"
    SPARED = "away, the other refused to be held"


class AbsenceEvent(Symbol):
    """What moves it."""

    LEFT = "goes away"
    LONG = "away for long"
    REFUSED = "the other refuses the hold"
    BACK = "comes back"


class Absence:
    """Of one party. `due()` is called when there may be something to do; `delay` None: nobody is ever held."""

    __slots__ = ("_clock", "_due", "delay", "machine")

    def __init__(self, clock: IReactorTime, delay: float | None, due: Callable[[], None]) -> None:
        self.delay = delay
        self._due = due
        self._clock = clock
        self.machine = Machine(ABSENCE_TABLE, self, clock)

    @property
    def holds(self) -> bool:
        """Whether the party holds the other because it is away."""
        return self.machine.state is AbsenceState.HOLDING

    def _tell(self) -> None:
        self._due()

    def _tell_next(self) -> None:
        """In a turn of its own: a refusal that comes at once is an event of this machine, which would wait for the
        present one while the hold is asked for again and again. That the call may have ended by then does no harm."""
        self._clock.callLater(0, self._due)


class Holds:
    """Of one call. `delay`: seconds until a party that is away holds the other, 0 never; `due()`: offer what is due."""

    __slots__ = ("_absences", "_clock", "_delay", "_due", "_in_force", "_joint", "_session", "_wished")

    def __init__(
        self, session: SessionId, joint: Joint, clock: IReactorTime, delay: float, due: Callable[[], None]
    ) -> None:
        self._session = session
        self._joint = joint
        self._clock = clock
        self._delay = delay
        self._due = due
        self._wished: frozenset[Party] = frozenset()
        """Who wants to hold, as far as the other side has agreed."""
        self._in_force: frozenset[Party] = frozenset()
        """Who holds by the gateway's doing."""
        self._absences: dict[Party, Absence] = {}

    # -- what happens ----------------------------------------------------------------------

    def away(self, party: Party, on: bool) -> None:
        """The party cannot be reached, or is there again."""
        absence = self._absences.get(party)
        if absence is None:
            absence = self._absences[party] = Absence(self._clock, self._delay or None, self._due)
        absence.machine.handle(AbsenceEvent.LEFT if on else AbsenceEvent.BACK)

    def close(self) -> None:
        """The call is over."""
        for absence in self._absences.values():
            absence.machine.handle(AbsenceEvent.BACK)
        self._wished = self._in_force = frozenset()

    # -- for the changes -------------------------------------------------------------------

    def by(self, party: Party) -> bool:
        """Whether the party holds the other one, by the gateway's doing."""
        return party in self._in_force

    def wanted(self, party: Party, on: bool) -> bool:
        """Whether the party will hold the other once it has said so (`on`), or is away."""
        absence = self._absences.get(party)
        return on or (absence is not None and absence.holds)

    @property
    def due(self) -> tuple[Party, bool] | None:
        """Whose hold the call itself must begin or end; None: all is as it should be."""
        for party in Party:
            wanted = self.wanted(party, party in self._wished)
            if wanted is not (party in self._in_force):
                return party, wanted
        return None

    def agreed(self, party: Party, on: bool, wish: bool | None) -> bool:
        """The party holds the other from now on, or no longer; `wish`: what it had asked for, if it was not the call
        itself. True: that is news."""
        if wish is not None:
            self._wished = self._wished | {party} if wish else self._wished - {party}
        if on is (party in self._in_force):
            return False
        self._in_force = self._in_force | {party} if on else self._in_force - {party}
        self.tell(party, on)
        return True

    def refused(self, party: Party, on: bool, reason: Reason) -> None:
        """The other party does not take what the call itself wanted. It is not asked again: one that is not held
        hears a dead line for a while; one that stays held does so by a hold like the page's own."""
        log.warn(
            "call {session}: {party} {does}, which the other refuses: {reason}",
            session=self._session,
            party=party.value,
            does="is away and holds" if on else "is back",
            reason=reason.word,
        )
        if on:
            self._absences[party].machine.handle(AbsenceEvent.REFUSED)
        else:
            self._wished |= {party}

    def tell(self, party: Party, on: bool) -> None:
        """The other side hears that it is held; a phone is told in the media's description and hears nothing more."""
        leg = self._joint.leg(party.other)
        if leg.access.on_web:
            leg.deliver(Hold(on))


_S, _E = AbsenceState, AbsenceEvent

ABSENCE_TABLE: Table[AbsenceState, AbsenceEvent] = Table(
    "absence",
    _S.PRESENT,
    AbsenceEvent,
    {
        (_S.PRESENT, _E.LEFT): Row(_S.AWAY),
        (_S.AWAY, _E.LONG): Row(_S.HOLDING, (Absence._tell_next,)),
        (_S.AWAY, _E.BACK): Row(_S.PRESENT),
        (_S.HOLDING, _E.BACK): Row(_S.PRESENT, (Absence._tell,)),
        (_S.HOLDING, _E.REFUSED): Row(_S.SPARED),
        (_S.SPARED, _E.BACK): Row(_S.PRESENT),
    },
    {
        _S.PRESENT: {_E.LONG, _E.REFUSED, _E.BACK},
        _S.AWAY: {_E.LEFT, _E.REFUSED},
        _S.HOLDING: {_E.LEFT, _E.LONG},
        _S.SPARED: {_E.LEFT, _E.LONG, _E.REFUSED},
    },
    [Timer("hold", frozenset({_S.AWAY}), lambda absence: absence.delay, _E.LONG)],
)
