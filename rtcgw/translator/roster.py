"""Who takes part in one call, and what each of them is doing: told to the pages in it whenever that changes.

    answered, a party is put on hold, goes away, comes back, is replaced, shows a picture or no longer   -> a new list

Every list is whole and bears a number that grows by one; what happens and changes nothing makes none. A party may be
a crowd: a conference whose leg knows by itself who is in it (`focus.py`, `crowd.py`) says so by reporting a list of
its own, which is passed on instead.

Only pages are told: a phone has no word for it, and one that wants to know subscribes (RFC 4575). So a call between
two phones has no list, and no page's call has one before it is answered.

What it is not: it decides nothing, and it is no record of the call (`record.py`).
"""

from __future__ import annotations

from typing import Final

from rtcgw.media.backend import Party
from rtcgw.model.events import Away, Part, Participant, Roster, Setup
from rtcgw.model.identity import Identity
from rtcgw.translator.joint import Joint

_NOBODY: Final[frozenset[Party]] = frozenset()


class Attendance:
    """Of one call that has been answered. `version` is that of the list told last, `absent` who is away already."""

    __slots__ = ("_away", "_crowd", "_held", "_joint", "_names", "_told", "version")

    def __init__(self, setup: Setup, joint: Joint, version: int = 0, absent: frozenset[Party] = _NOBODY) -> None:
        self.version = version
        self._joint = joint
        self._names = {Party.CALLER: setup.shown, Party.CALLEE: setup.callee}
        self._away = absent
        self._held = _NOBODY
        """Who has been put on hold by the other."""
        self._crowd: dict[Party, tuple[Participant, ...]] = {}
        """Parties that are conferences, and who is in them."""
        self._told: tuple[Participant, ...] = ()

    def changed(self) -> None:
        """Something may have changed: tell the pages, unless it is what they know."""
        present = self._present()
        if present == self._told:
            return
        self._told = present
        self.version += 1
        event = Roster(self.version, present)
        for party in Party:
            leg = self._joint.leg(party)
            if leg.access.on_web:
                leg.deliver(event)

    def goes_on(self, version: int) -> None:
        """A page has come from a call whose last list had this number: the numbers go on with the next `changed`."""
        self.version = max(self.version, version)
        self._told = ()

    def holds(self, party: Party, on: bool) -> None:
        """`party` has put the other one on hold, or taken it back."""
        self._held = self._held | {party.other} if on else self._held - {party.other}
        self.changed()

    def away(self, party: Party, on: bool) -> None:
        """The party cannot be reached for a while, or is there again. A conference hears it: its others must know."""
        if (party in self._away) == on:
            return
        self._away = self._away | {party} if on else self._away - {party}
        if party.other in self._crowd:
            self._joint.leg(party.other).deliver(Away(on))
        else:
            self.changed()

    def named(self, party: Party, identity: Identity) -> None:
        """The party is somebody else now, or the network has named it."""
        self._names[party] = identity
        self.changed()

    def crowded(self, party: Party, event: Roster) -> None:
        """The party is a conference, and these are in it."""
        self._crowd[party] = event.participants
        self.changed()

    def _present(self) -> tuple[Participant, ...]:
        for party in Party:
            if party in self._crowd:
                return self._crowd[party]
        return self._one(Party.CALLER), self._one(Party.CALLEE)

    def _one(self, party: Party) -> Participant:
        part = Part.AWAY if party in self._away else Part.HELD if party in self._held else Part.TALKING
        return Participant(self._names[party], part, self._joint.media.shows(party))
