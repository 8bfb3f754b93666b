"""Ad-hoc conferences: who is in each, what they are told, and when one is over.

A conference is made of calls of one page (`merge.py`). Each of its parties, the page among them, has a call of its
own with it, whose other leg is a `FocusLeg`; their sound is added up by the mixer. It outlives whoever made it: it
goes on as long as two are in it, and with one left it ends for that one with `hangup`, as a call does.

What it is not: it moves nobody (`merge.py`), it mixes nothing (`media/mixer`), and it speaks no SIP (`confinfo.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.media.backend import MediaError
from rtcgw.model.events import Roster
from rtcgw.model.identity import Identity, new_session_id
from rtcgw.model.reason import Reason
from rtcgw.translator.focus import FocusLeg, ILine

log = Logger()

LIMIT: Final = 200
"""Conferences at once: what one core can mix."""


class IRoom(Protocol):
    """A room of the mixer (`media/mixer/room.py`)."""

    def open_line(self, inside: bool = False) -> ILine:
        """A line for one more party; `inside`: the gateway's own media carry it. Raises `MediaError` (OVERLOADED)."""

    def close_line(self, line: object) -> None:
        """The party has left."""

    def close(self) -> None:
        """Everybody has left."""


class IMixer(Protocol):
    """The mixer."""

    @property
    def size(self) -> int:
        """Parties that a room may have."""

    def open(self) -> IRoom:
        """A room without anybody in it."""


class Conference:
    """One conference. `name` is the user part of its URI. `on_over(self)` is called once.

    `watchers` are called after every change with the new list, and with None when the conference is over.
    """

    __slots__ = (
        "_assembling",
        "_clock",
        "_on_over",
        "_room",
        "domain",
        "identity",
        "legs",
        "name",
        "roster",
        "watchers",
    )

    def __init__(self, room: IRoom, domain: str, clock: IReactorTime, on_over: Callable[[Conference], None]) -> None:
        self.name = f"conference-{secrets.token_hex(8)}"
        self.domain = domain
        self.identity = Identity(f"sip:{self.name}@{domain}", "Conference")
        self.legs: list[FocusLeg] = []
        """In the order in which they came."""
        self.roster = Roster(0, ())
        """The list told last."""
        self.watchers: list[Callable[[Roster | None], None]] = []
        self._room: IRoom | None = room
        self._clock = clock
        self._on_over = on_over
        self._assembling = 0
        """Merges under way, during which it may have less than two parties."""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._room is None

    def seat(self, party: Identity, inside: bool) -> FocusLeg:
        """The leg for one more party; `inside`: the gateway's media carry its sound.

        Raises `MediaError` (OVERLOADED) where there is no place for it.
        """
        if self._room is None:
            raise MediaError(Reason.GONE, "the conference is over")
        leg = FocusLeg(new_session_id(), party, self._room.open_line(inside), self, self._clock)
        self.legs.append(leg)
        self.changed()
        return leg

    def assemble(self) -> None:
        """Parties are being brought in, until as many `assembled`."""
        self._assembling += 1

    def assembled(self) -> None:
        """They are in, or have stayed where they were."""
        self._assembling -= 1
        self._look()

    # -- for the legs ----------------------------------------------------------------------

    def changed(self) -> None:
        """See `IHost`."""
        present = tuple(leg.participant for leg in self.legs)
        if present != self.roster.participants:
            self.roster = Roster(self.roster.version + 1, present)
            for watcher in list(self.watchers):
                watcher(self.roster)
        for leg in list(self.legs):
            leg.tell(self.roster)

    def left(self, leg: FocusLeg) -> None:
        """See `IHost`."""
        if leg not in self.legs:
            return
        self.legs.remove(leg)
        if self._room is not None:
            self._room.close_line(leg.line)
        self.changed()
        self._look()

    def _look(self) -> None:
        """A conference of one is none."""
        if self._assembling or len(self.legs) > 1 or self._room is None:
            return
        room, self._room = self._room, None
        for leg in list(self.legs):
            leg.dismiss()
        room.close()
        log.info("conference {name} is over", name=self.name, ration="conferences")
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            watcher(None)
        self._on_over(self)


class Conferences:
    """All conferences of the gateway. `domain` is the host part of their URIs."""

    __slots__ = ("_clock", "_mixer", "domain", "rooms")

    def __init__(self, mixer: IMixer, clock: IReactorTime, domain: str = "conference.invalid") -> None:
        self._mixer = mixer
        self._clock = clock
        self.domain = domain
        self.rooms: dict[str, Conference] = {}

    @property
    def size(self) -> int:
        """Parties that one may have."""
        return self._mixer.size

    def open(self) -> Conference:
        """A conference without anybody in it. Raises `MediaError` (OVERLOADED)."""
        if len(self.rooms) >= LIMIT:
            raise MediaError(Reason.OVERLOADED, f"{LIMIT} conferences")
        made = Conference(self._mixer.open(), self.domain, self._clock, self._over)
        self.rooms[made.name] = made
        log.info("conference {name} begins", name=made.name, ration="conferences")
        return made

    def of(self, leg: object) -> Conference | None:
        """The conference that a leg belongs to."""
        return next((room for room in self.rooms.values() if leg in room.legs), None)

    def _over(self, conference: Conference) -> None:
        self.rooms.pop(conference.name, None)
