"""One direction in which packets are made anew, because its sound is converted on the way.

What comes in is put in order, within a bounded window and without a timer: a packet that is missing is waited for
until a few later ones are here, then it is lost. What goes out has sequence numbers of its own; timestamps stay those
of the source, on the receiver's clock, so that telephone events and sound keep their places. Numbers of packets and
reports are translated both ways, as a `Timeline` does where packets pass as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rtcgw.media.packets.route import Route
    from rtcgw.media.packets.transcode import Recoder
    from rtcgw.media.sdp import Codec

WINDOW = 3
"""Packets that are held back while one before them is missing."""
PATIENCE = 0.06
"""Seconds that a missing packet is waited for, once a later one has come."""
_TOLD = 256
"""Packets written whose origin is remembered, for reports: five seconds of them."""
_FRONT = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
EVENTS = "TELEPHONE-EVENT"


class Start(NamedTuple):
    """Where the receiver's timeline stood before."""

    seq: int
    ts: int
    last: float
    """When, in seconds."""


class _Entry(NamedTuple):
    second: int
    ts: int
    payload: bytes


class Recast:
    """`put` takes the source's packets, with sequence numbers and timestamps already in one piece."""

    __slots__ = (
        "_anchor",
        "_at",
        "_clocks",
        "_ext",
        "_held",
        "_last",
        "_next",
        "_routes",
        "_seq",
        "_since",
        "_source",
        "_speaker",
        "_told",
        "late",
        "octets",
        "packets",
    )

    def __init__(self, routes: Mapping[int, Route], start: Start | None) -> None:
        self._routes = dict(routes)
        self._next: int | None = None
        """Sequence number of the packet that is next."""
        self._held: dict[int, _Entry | None] = {}
        """Packets waiting for one before them; None: one that carries nothing."""
        self._since = 0.0
        """When the wait began."""
        self._source = 0
        """Sequence number of the packet played last, counted on without end."""
        self._seq: int | None = None if start is None else start.seq + 1
        """Next sequence number to write, counted on without end."""
        self._at = 0 if start is None else start.ts
        """Newest time written, on the receiver's clock, counted on without end."""
        self._last: float | None = None if start is None else start.last
        self._clocks: tuple[int, int] | None = None
        """Clock rates of source and receiver."""
        self._anchor = (0, 0)
        """The same moment in both clocks."""
        self._ext: int | None = None
        """Newest timestamp of the source, counted on without end."""
        self._speaker: Recoder | None = None
        self._told: list[tuple[int, int]] = [(-1, 0)] * _TOLD
        """Sequence number written -> that of the source."""
        self.late = 0
        """Packets that came twice, or when they were given up."""
        self.packets = self.octets = 0
        """Written, the octets without headers."""

    def agree(self, routes: Mapping[int, Route]) -> None:
        """Another agreement. A recoder that does the same as one there goes on instead of it."""
        known = {_same(route.recoder): route.recoder for route in self._routes.values() if route.recoder is not None}
        for pt, route in routes.items():
            if route.recoder is not None:
                kept = known.get(_same(route.recoder), route.recoder)
                routes = {**routes, pt: route._replace(recoder=kept)}
        self._routes = dict(routes)

    @property
    def corrupt(self) -> int:
        """Payloads that were no sound."""
        return sum(route.recoder.corrupt for route in self._routes.values() if route.recoder is not None)

    @property
    def target(self) -> Codec | None:
        """What the sound becomes; None while it passes."""
        return None if self._speaker is None else self._speaker.target

    @property
    def end(self) -> Start:
        """Where the receiver's timeline stands."""
        return Start(((self._seq or 0) - 1) & 0xFFFF, self._at & 0xFFFFFFFF, self._last or 0.0)

    def go_on(self, start: Start) -> None:
        """The receiver has been sent something else meanwhile, up to here: the source begins anew after it."""
        before = self._seq or 0
        self._seq = before + ((start.seq + 1 - before) & 0xFFFF)
        self._at += _signed(start.ts - self._at)
        self._last, self._clocks, self._next = start.last, None, None
        self._held.clear()
        if self._speaker is not None:
            self._speaker.rest()
            self._speaker = None

    # -- packets -----------------------------------------------------------------------------------

    def put(self, seq: int, entry: tuple[int, int, bytes] | None, now: float, out: int) -> list[bytes]:
        """The packets that can be written now that this one is here, under the SSRC `out`.

        `entry` is second octet, timestamp and payload; None where the packet carries nothing for the receiver.
        """
        if self._next is None:
            self._next = self._source = seq
            if self._seq is None:
                self._seq = seq
        if (seq - self._next) & 0xFFFF >= 0x8000 or seq in self._held:
            self.late += 1
            return []
        made: list[bytes] = []
        if not self._held:
            if seq == self._next:
                self._next = (seq + 1) & 0xFFFF
                self._play(seq, entry, False, now, out, made)
                return made
            self._since = now
        self._held[seq] = None if entry is None else _Entry(*entry)
        self._release(now, out, made)
        return made

    def _release(self, now: float, out: int, made: list[bytes]) -> None:
        held, missing = self._held, False
        place = self._next or 0
        while held:
            if place in held:
                self._play(place, held.pop(place), missing, now, out, made)
                missing, place, self._since = False, (place + 1) & 0xFFFF, now
            elif len(held) > WINDOW or now - self._since >= PATIENCE:
                missing, start = True, place
                place = min(held, key=lambda seq: (seq - start) & 0xFFFF)
            else:
                break
        self._next = place

    def _play(
        self, seq: int, entry: tuple[int, int, bytes] | None, missing: bool, now: float, out: int, made: list[bytes]
    ) -> None:
        self._source += (seq - self._source) & 0xFFFF
        if entry is None:
            if self._speaker is not None:
                self._speaker.interrupt()
            return
        second, ts, payload = entry
        route = self._routes.get(second & 127)
        if route is None:
            return
        marker = second & 128
        if route.clock is not None or (route.source is not None and route.source.name == EVENTS):
            self._key(route, marker, ts, payload, out, made)
            return
        at = self._time(route, ts, now)
        if route.recoder is not self._speaker:
            if self._speaker is not None:
                self._speaker.rest()
            self._speaker = route.recoder
        if route.recoder is None:
            converted = payload if route.table is None else payload.translate(route.table)
            self._write(route.pt | marker, at, converted, out, made)
        else:
            for frame in route.recoder.take(at, payload, missing):
                self._write(route.pt | (128 if frame.first else 0), frame.at, frame.payload, out, made)
        self._last = now

    def _key(self, route: Route, marker: int, ts: int, payload: bytes, out: int, made: list[bytes]) -> None:
        """A telephone event: its time and its duration on the receiver's clock (RFC 4733 §2.3)."""
        if len(payload) < _EVENT.size or (self._clocks is None and route.clock is None):
            return
        if self._speaker is not None:
            self._speaker.interrupt()
        if self._clocks is None and route.clock is not None:
            self._begin(ts, route.clock, 0.0)
        source, receiver = route.clock or (1, 1)
        self._write(route.pt | marker, self._map(self._extend(ts)), scaled(payload, source, receiver), out, made)

    def _write(self, second: int, at: int, payload: bytes, out: int, made: list[bytes]) -> None:
        seq = self._seq or 0
        self._seq = seq + 1
        self._told[seq % _TOLD] = (seq, self._source)
        self._at = max(self._at, at)
        self.packets += 1
        self.octets += len(payload)
        made.append(_FRONT.pack(0x80, second, seq & 0xFFFF, at & 0xFFFFFFFF, out) + payload)

    # -- time --------------------------------------------------------------------------------------

    def _time(self, route: Route, ts: int, now: float) -> int:
        """A timestamp of the source on the receiver's clock. Where a clock changes, time goes on as it has passed."""
        if route.recoder is not None:
            clocks = (route.recoder.source.rate, route.recoder.target.rate)
        else:
            rate = 8000 if route.source is None else route.source.rate
            clocks = (rate, rate)
        if clocks != self._clocks:
            self._begin(ts, clocks, now)
        return self._map(self._extend(ts))

    def _begin(self, ts: int, clocks: tuple[int, int], now: float) -> None:
        fresh = self._clocks is None and self._last is None
        self._clocks, self._ext = clocks, ts
        if fresh:
            self._anchor = (ts, ts * clocks[1] // clocks[0])
            return
        passed = 0.0 if self._last is None else now - self._last
        self._anchor = (ts, self._at + max(clocks[1] // 50, round(passed * clocks[1])))

    def _extend(self, ts: int) -> int:
        known = self._ext if self._ext is not None else ts
        found = known + _signed(ts - known)
        self._ext = max(known, found)
        return found

    def _map(self, ext: int) -> int:
        source, receiver = self._clocks or (1, 1)
        begun, at = self._anchor
        return at + (ext - begun) * receiver // source

    # -- the same numbers, for RTCP ---------------------------------------------------------------

    def stamp(self, ts: int) -> int:
        """A timestamp of the source on the receiver's timeline."""
        known = self._ext if self._ext is not None else ts
        return self._map(known + _signed(ts - known)) & 0xFFFFFFFF

    def unsequence(self, extended: int) -> int:
        """An extended sequence number of the receiver's timeline, as the source counts: that of the packet that
        completed it, or of the newest one where that is long ago."""
        seq, source = self._told[extended % _TOLD]
        return (source if seq >= 0 and (seq ^ extended) & 0xFFFF == 0 else self._source) & 0xFFFFFFFF


def scaled(event: bytes, source: int, receiver: int) -> bytes:
    """A telephone event's payload with its duration on another clock; as long as can be said where it is longer."""
    code, flags, duration = _EVENT.unpack_from(event)
    return _EVENT.pack(code, flags, min(duration * receiver // source, 0xFFFF)) + event[_EVENT.size :]


def _same(recoder: Recoder) -> tuple[object, ...]:
    return (recoder.source.key, recoder.target.key, recoder.ptime)


def _signed(difference: int) -> int:
    """The nearest way from one 32-bit number to another."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
