"""One thread of descriptions in a dialog, though the media behind them change: what RFC 3264 §8 asks of a moved leg.

A phone knows its session by the `o=` line of what it is told, which may change in its version alone, and by the
places of its media lines, of which none may go. A leg that moves into another call is told what other media, or
another phone, have written; here that gets the old `o=` line with the next version, and an offer gets back, refused,
the lines that it lacks. Their answers are taken off again on the way up.

What it is not: it judges no description. One that cannot be read passes as it is, for the media have made it.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from attrs import evolve

from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    Event,
    Kind,
    Progress,
    ProgressAck,
    Setup,
    Update,
    UpdateAccept,
)

_ORIGIN: Final = re.compile(r"^o=(\S+) (\d{1,20}) (\d{1,20}) ([^\r\n]*)\r?$", re.M)
_LINES: Final = re.compile(r"^m=", re.M)
_FIRST: Final = re.compile(r"^m=(\S+) \S+ (\S+) ([^\r\n]*)", re.M)
_DESCRIBED: Final = (Setup, Progress, ProgressAck, Accept, Confirm, Update, UpdateAccept)


class IThreaded(Protocol):
    """A phone's leg."""

    told: str
    """The last description for the phone, until the leg moves."""
    thread: Thread | None
    """What it was told since then, and before."""


def continued(leg: IThreaded, event: Event, description: Description | None) -> Event:
    """An event on its way to the phone, with its description as the phone must see it."""
    if leg.thread is None:
        if not (isinstance(event, Update) and event.fresh):
            leg.told = leg.told if description is None else description.sdp
            return event
        leg.thread = Thread(leg.told)
    return leg.thread.down(event)


class Thread:
    """What one phone has been told. `told` is the last description of the media that it leaves; empty: none."""

    __slots__ = ("_last", "_lines", "_offered", "_origin", "_version")

    def __init__(self, told: str) -> None:
        match = _ORIGIN.search(told)
        self._origin = None if match is None else (match[1], match[2], match[4])
        """User name, session number, and where: what may not change. None until something has been told."""
        self._version = 0 if match is None else int(match[3])
        self._last = _without_origin(told)
        self._lines = _FIRST.findall(told)
        """Kind, protocol and formats of each media line told so far."""
        self._offered = 0
        """Media lines of the last offer before those that it lacked were put back."""

    def down(self, event: Event) -> Event:
        """An event on its way to the phone."""
        if not isinstance(event, _DESCRIBED) or event.description is None:
            return event
        kind, sdp = event.description.kind, event.description.sdp
        if kind is Kind.OFFER:
            self._offered = len(_LINES.findall(sdp))
            sdp = self._padded(sdp)
        return evolve(event, description=Description(kind, self._stamped(sdp)))

    def up(self, event: Event) -> Event:
        """An event of the phone's: its answer is to what was offered before lines were put back."""
        if not isinstance(event, UpdateAccept) or event.description is None or event.description.kind is Kind.OFFER:
            return event
        starts = [match.start() for match in _LINES.finditer(event.description.sdp)]
        if len(starts) <= self._offered or not self._offered:
            return event
        return UpdateAccept(Description(Kind.ANSWER, event.description.sdp[: starts[self._offered]]))

    def _padded(self, sdp: str) -> str:
        lacking = self._lines[self._offered :]
        text = sdp if sdp.endswith("\n") or not lacking else f"{sdp}\r\n"
        return text + "".join(f"m={kind} 0 {proto} {formats}\r\n" for kind, proto, formats in lacking)

    def _stamped(self, sdp: str) -> str:
        match = _ORIGIN.search(sdp)
        if match is None:
            return sdp
        self._lines = _FIRST.findall(sdp)
        rest = _without_origin(sdp)
        if self._origin is None:
            self._origin, self._version = (match[1], match[2], match[4]), int(match[3])
        elif rest != self._last:
            self._version += 1
        self._last = rest
        user, number, where = self._origin
        return f"{sdp[: match.start()]}o={user} {number} {self._version} {where}\r\n{sdp[match.end() :].lstrip()}"


def _without_origin(sdp: str) -> str:
    return _ORIGIN.sub("", sdp, count=1)
