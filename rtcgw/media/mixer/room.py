"""A room of the mixer: up to eight lines on one beat; and the mixer, which opens rooms and owns their ports.

On each beat every line is asked what its party says, and each party is sent the sum of the others. A room beats while
it has a line. The mixer is no media backend: it stands where a phone would, and the backends carry its calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime, IReactorUDP

from rtcgw.media.backend import MediaError
from rtcgw.media.mixer.line import Line, Reports
from rtcgw.media.mixer.mixing import MOST, mix
from rtcgw.media.mixer.pulse import BEAT, Pulse
from rtcgw.media.mixer.reports import INTERVAL
from rtcgw.media.packets.relay import Latch
from rtcgw.media.ports import PortPairs
from rtcgw.media.sockets import Opened, Opener, opener
from rtcgw.model.reason import Reason

_REPORT = round(INTERVAL / BEAT)
"""Beats between two reports."""


@frozen
class MixerSettings:
    """What the mixer needs to know."""

    address: str = "127.0.0.1"
    """Local address of its ports, also told to its parties."""
    announce: str = ""
    """Address told to phones instead."""
    inside: str = ""
    """Address told to those whom the gateway's own media carry, where it is another one than phones are told."""
    latch: Latch = Latch.HOST
    size: int = MOST
    """Parties of a room."""


class MixRoom:
    """One conference. `open_line` brings a party in, `close_line` takes it out; made by `Mixer.open`."""

    def __init__(self, mixer: Mixer, clock: IReactorTime) -> None:
        self._mixer = mixer
        self._clock = clock
        self._pulse = Pulse(clock, self._beat)
        self._beats = 0
        self.lines: list[Line] = []

    @property
    def missed(self) -> int:
        """Beats left out because the process was late."""
        return self._pulse.missed

    def open_line(self, inside: bool = False) -> Line:
        """A line for one more party; `inside`: the gateway's own media carry it.

        Raises `MediaError` (OVERLOADED) where the room is full or no port is free.
        """
        if len(self.lines) >= self._mixer.size:
            raise MediaError(Reason.OVERLOADED, f"the conference has {len(self.lines)} parties already")
        line = self._mixer.bind(inside)
        self.lines.append(line)
        self._pulse.start()
        return line

    def close_line(self, line: object) -> None:
        """The party has left; calling it again does nothing."""
        found = next((each for each in self.lines if each is line), None)
        if found is None:
            return
        self.lines.remove(found)
        found.farewell()
        self._mixer.free(found)
        if not self.lines:
            self._pulse.stop()

    def close(self) -> None:
        """Everybody has left."""
        for line in list(self.lines):
            self.close_line(line)
        self._mixer.rooms.discard(self)

    def _beat(self, missed: int) -> None:
        lines = self.lines
        heard = [line.speaks() for line in lines]
        for line, octets in zip(lines, mix(heard, [line.law for line in lines]), strict=True):
            line.play(octets, missed)
        self._beats += 1
        if self._beats % _REPORT == 0:
            now = self._clock.seconds()
            for line in lines:
                line.report(now)


class Mixer:
    """All rooms. `pairs` are the ports, shared with whoever else has media in the core; `udp` opens them."""

    def __init__(self, settings: MixerSettings, pairs: PortPairs, clock: IReactorTime, udp: IReactorUDP) -> None:
        self.settings = settings
        self.rooms: set[MixRoom] = set()
        self._pairs = pairs
        self._clock = clock
        self._udp = udp
        self._opener: Opener | None = None
        """Made for the first room: most gateways never have one."""
        self._sockets: dict[Line, tuple[Opened, Opened]] = {}
        self._closing: set[Deferred[Any]] = set()
        self._dropped: Counter[str] = Counter()
        """By lines that are closed."""

    @property
    def size(self) -> int:
        """Parties that a room may have."""
        return self.settings.size

    def open(self) -> MixRoom:
        """A room without anybody in it."""
        room = MixRoom(self, self._clock)
        self.rooms.add(room)
        return room

    def stop(self) -> Deferred[None]:
        """Close every room; fires when the ports are free."""
        for room in list(self.rooms):
            room.close()
        closed: Deferred[Any] = DeferredList(list(self._closing), consumeErrors=True)
        return closed.addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        made, self._opener = self._opener, None
        if made is not None:
            made.stop()

    @property
    def counters(self) -> Mapping[str, int]:
        """What lines have dropped: `stranger`, `flood`, `rtp`, `rtcp`, `unsent`."""
        return sum((line.counters for line in self._sockets), self._dropped)

    def rows(self) -> list[Mapping[str, object]]:
        """One row per room, for the inspector."""
        return [
            {
                "carrier": "mixer",
                "parties": len(room.lines),
                "speaking": sum(line.speaking for line in room.lines),
                "beats missed": room.missed,
            }
            for room in self.rooms
        ]

    # -- for the rooms ---------------------------------------------------------------------

    def bind(self, inside: bool) -> Line:
        """A line with its ports. Raises `MediaError` (OVERLOADED)."""
        settings = self.settings
        if self._opener is None:
            self._opener = opener(self._udp)
        sockets = self._opener
        host = settings.announce or settings.address
        friends = frozenset[str]()
        if inside and settings.inside:
            host, friends = settings.inside, frozenset({settings.address, settings.inside})

        def pair(port: int) -> tuple[Line, Opened, Opened]:
            line = Line(host, port, settings.latch, self._clock.seconds, friends)
            rtp = sockets.open(port, line, settings.address)
            try:
                return line, rtp, sockets.open(port + 1, Reports(line), settings.address)
            except Exception:
                self._close(rtp)
                raise

        _, (line, rtp, rtcp) = self._pairs.take(pair)
        line.opened(rtp.write, rtcp.write)
        self._sockets[line] = rtp, rtcp
        return line

    def free(self, line: Line) -> None:
        """The line is closed: its ports go back when the operating system has them."""
        rtp, rtcp = self._sockets.pop(line)
        self._dropped += line.counters
        self._close(rtp)
        self._close(rtcp).addCallback(lambda _: self._pairs.give(line.port))

    def _close(self, socket: Opened) -> Deferred[Any]:
        closing = socket.close()
        self._closing.add(closing)
        return closing.addBoth(self._closed, closing)

    def _closed(self, _: object, closing: Deferred[Any]) -> None:
        self._closing.discard(closing)
