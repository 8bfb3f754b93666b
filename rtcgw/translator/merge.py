"""Calls of one page become one conference.

    first call   its far party is moved into the conference, then the page itself
    the others   then their far parties, all at once; with each that has come the page's own leg of that call ends
    a conference among them    nothing of it is moved: the others come into it

A far party comes by itself first, because what may fail is a phone that takes no change: until it has come, all is as
it was. One of the others that does not come stays in its call with the page, and the others go on without it.

What it is not: it does not know how a leg changes calls (`moved.py`), nor what becomes of a conference
(`conference.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Machine, Row, Symbol, Table
from rtcgw.media.backend import MediaError
from rtcgw.model.events import End, Setup, Stage
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason
from rtcgw.translator.call import Call
from rtcgw.translator.conference import Conference, Conferences
from rtcgw.translator.focus import FocusLeg
from rtcgw.translator.fork import Fork
from rtcgw.translator.leg import ILeg
from rtcgw.translator.moved import MovedLeg, movable
from rtcgw.translator.transfer import IPlacer

log = Logger()

Done = Callable[["ILeg | Reason"], None]
"""Called once: the leg by which the page takes part in the conference, or why there is none."""


class IMerger(Protocol):
    """Whoever makes conferences of calls."""

    def merge(self, legs: Sequence[ILeg], done: Done) -> None:
        """The calls of these legs, all of one page, become one conference."""


class Seat(NamedTuple):
    """The page's place in one of its calls."""

    call: Call
    own: ILeg
    far: ILeg
    """The other party's leg."""
    own_name: Identity
    """Who the page is, to the others."""
    far_name: Identity
    """Who the other party is."""


def seat_of(leg: ILeg) -> Seat | None:
    """The place of a leg in its call; None where it is not answered, or is being moved elsewhere already."""
    parent: object = leg.parent
    while isinstance(parent, Fork):
        leg, parent = parent, parent.parent
    if not isinstance(parent, Call):
        return None
    far = parent.joint.leg(parent.joint.party(leg).other)
    if not (movable(parent, leg) and movable(parent, far)):
        return None
    return Seat(parent, leg, far, parent.other_identity(far), parent.other_identity(leg))


class MergeState(Symbol):
    """How far a merge is."""

    ASKED = "asked for"
    FIRST = "the first far party is coming"
    PAGE = "the page is coming"
    OTHERS = "the other far parties are coming"
    OVER = "done or failed"


class MergeEvent(Symbol):
    """What moves it."""

    FOUND = "a new conference"
    JOINED = "a conference that is there"
    CAME = "has come"
    STAYED = "has stayed"
    LAST = "the last one is here"


class Merge:
    """One merge into `conference`. `seats` are the page's places in the calls; where the conference is new the first
    of them becomes the page's place in it. `home` is the leg by which it takes part, `done` is told how it went."""

    __slots__ = ("_came", "_conference", "_done", "_home", "_name", "_own", "_pending", "_placer", "_seats", "machine")

    def __init__(
        self,
        conference: Conference,
        home: ILeg,
        seats: Sequence[Seat],
        placer: IPlacer,
        clock: IReactorTime,
        done: Done,
    ) -> None:
        self.machine = Machine(MERGE_TABLE, self, clock)
        self._conference = conference
        self._home = home
        self._seats = list(seats)
        self._placer = placer
        self._done = done
        self._own: MovedLeg | None = None
        """The page's leg, which waits for its call's far party to come first."""
        self._name = conference.identity
        """Who the page is, to the others."""
        self._pending = 0
        """Far parties on their way."""
        self._came = 0

    def start(self, founds: bool) -> None:
        """`founds`: the conference is new."""
        self._conference.assemble()
        self.machine.handle(MergeEvent.FOUND if founds else MergeEvent.JOINED)

    def _told(self, end: End | None) -> None:
        if end is None:
            self.machine.handle(MergeEvent.CAME)
        else:
            self.machine.handle(MergeEvent.STAYED, end)

    # -- actions -----------------------------------------------------------------------------

    def _begin(self) -> None:
        seat = self._seats.pop(0)
        self._name = seat.own_name
        self._own = self._placer.move(seat.call, seat.own, Way(self._told), Reason.MERGED)
        if self._own is None or not self._fetch(seat, Way(self._told)):
            self.machine.handle(MergeEvent.STAYED, End(Reason.CONFLICT))

    def _fetch(self, seat: Seat, way: Way) -> bool:
        moved = self._placer.move(seat.call, seat.far, way, Reason.MERGED)
        if moved is not None:
            self._place(moved, seat.far_name)
        return moved is not None

    def _place(self, moved: MovedLeg, party: Identity) -> None:
        """A call of the moved leg with the conference, to which it is known as `party`."""
        conference = self._conference
        try:
            focus = conference.seat(party, inside=moved.access.on_web)
        except MediaError as error:
            log.warn("conference {name}: {detail}", name=conference.name, detail=error.detail, ration="conferences")
            moved.deliver(End(error.reason))
            return
        private = party != moved.identity
        moved.focus = conference.name
        self._placer.place(moved, Setup(moved.identity, conference.identity, private=private, moved=True), callee=focus)

    def _bring(self) -> None:
        """The far party is here: now the page."""
        assert self._own is not None
        self._place(self._own, self._name)

    def _give_back(self, end: End) -> None:
        """The far party has stayed where it was, and so does the page."""
        if self._own is not None:
            self._own.deliver(end)
        self._failed(end)

    def _gather(self) -> None:
        self._pending = len(self._seats)
        seats, self._seats = self._seats, []
        for seat in seats:
            if not self._fetch(seat, Way(self._told)):
                self.machine.handle(MergeEvent.STAYED, End(Reason.CONFLICT))
        if not seats:
            self.machine.handle(MergeEvent.LAST)

    def _one_came(self) -> None:
        self._came += 1
        self._one_less()

    def _one_stayed(self, end: End) -> None:
        log.info(
            "conference {name}: a party has not come: {why}",
            name=self._conference.name,
            why=end.reason.word,
            ration="conferences",
        )
        self._one_less()

    def _one_less(self) -> None:
        self._pending -= 1
        if not self._pending:
            self.machine.handle(MergeEvent.LAST)

    def _finish(self) -> None:
        """Nobody of the others came: the page has one call more than it wanted, and is told why."""
        self._conference.assembled()
        self._done(self._home if self._came else Reason.MEDIA)

    def _failed(self, end: End) -> None:
        self._conference.assembled()
        self._done(end.reason)


class Way:
    """One leg's way into a conference, as `moved.py` reports it: `told(None)` when it has come, `told(end)` if not."""

    __slots__ = ("_told",)

    def __init__(self, told: Callable[[End | None], None]) -> None:
        self._told = told

    def progressed(self, stage: Stage) -> None:
        """See `IMover`: a conference does not ring."""

    def moved(self, leg: ILeg) -> None:
        """See `IMover`."""
        self._told(None)

    def stayed(self, end: End) -> None:
        """See `IMover`."""
        self._told(end)


_S, _E, _M = MergeState, MergeEvent, Merge

MERGE_TABLE: Table[MergeState, MergeEvent] = Table(
    "merge",
    _S.ASKED,
    MergeEvent,
    {
        (_S.ASKED, _E.FOUND): Row(_S.FIRST, (_M._begin,)),
        (_S.ASKED, _E.JOINED): Row(_S.OTHERS, (_M._gather,)),
        (_S.FIRST, _E.CAME): Row(_S.PAGE, (_M._bring,)),
        (_S.FIRST, _E.STAYED): Row(_S.OVER, (_M._give_back,)),
        (_S.PAGE, _E.CAME): Row(_S.OTHERS, (_M._gather,)),
        (_S.PAGE, _E.STAYED): Row(_S.OVER, (_M._failed,)),
        (_S.OTHERS, _E.CAME): Row(_S.OTHERS, (_M._one_came,)),
        (_S.OTHERS, _E.STAYED): Row(_S.OTHERS, (_M._one_stayed,)),
        (_S.OTHERS, _E.LAST): Row(_S.OVER, (_M._finish,)),
    },
    {
        _S.ASKED: {_E.CAME, _E.STAYED, _E.LAST},
        _S.FIRST: {_E.FOUND, _E.JOINED, _E.LAST},
        _S.PAGE: {_E.FOUND, _E.JOINED, _E.LAST},
        _S.OTHERS: {_E.FOUND, _E.JOINED},
        _S.OVER: set(_E),
    },
)
"""Each leg says once whether it has moved or stayed, so that no state lasts."""


class Merger:
    """Makes conferences of calls. `placer` is the translator."""

    __slots__ = ("_clock", "_placer", "conferences")

    def __init__(self, conferences: Conferences, placer: IPlacer, clock: IReactorTime) -> None:
        self.conferences = conferences
        self._placer = placer
        self._clock = clock

    def merge(self, legs: Sequence[ILeg], done: Done) -> None:
        """The calls of these legs, all of one page, become one conference.

        `done` hears CONFLICT where one of them is not answered, is being moved, or two are conferences already, and
        OVERLOADED where there would be too many parties.
        """
        found = [(leg, seat) for leg in legs if (seat := seat_of(leg)) is not None]
        rooms = [(leg, seat) for leg, seat in found if isinstance(seat.far, FocusLeg)]
        if len({seat.call for _, seat in found}) < len(legs) or len(rooms) > 1:
            done(Reason.CONFLICT)
            return
        there = self.conferences.of(rooms[0][1].far) if rooms else None
        home = rooms[0][0] if rooms else legs[0]
        others = [seat for leg, seat in found if there is None or leg is not home]
        parties = 1 + len(others) if there is None else len(there.legs) + len(others)
        try:
            if parties > self.conferences.size:
                raise MediaError(Reason.OVERLOADED, f"{parties} parties")
            conference = there or self.conferences.open()
        except MediaError as error:
            done(error.reason)
            return
        Merge(conference, home, others, self._placer, self._clock, done).start(founds=there is None)
