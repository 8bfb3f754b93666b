"""The reports of a room to one party (RFC 3550 §6): what it was sent, and how its own sound came; and the farewell.

What parties report is read by nobody here: the room plays for the worst of them as well as for the best.
"""

from __future__ import annotations

import struct

from rtcgw.media.packets.rtp import Timeline

INTERVAL = 5.0
"""Seconds between two reports, the least that RFC 3550 §6.2 recommends."""
_EPOCH = 2208988800
"""Seconds from 1900, where NTP begins, to 1970."""
_SR, _SDES, _BYE = 200, 202, 203


class Reporter:
    """Of one party, who is sent `ssrc`. `heard` is the party's stream."""

    __slots__ = ("_before", "_extended", "_heard", "_ssrc")

    def __init__(self, ssrc: int, heard: Timeline) -> None:
        self._ssrc = ssrc
        self._heard = heard
        self._before = (0, 0)
        """Packets expected and received at the report before."""
        self._extended: int | None = None
        """The party's newest sequence number at that time, counted on without end."""

    def report(self, now: float, ts: int, packets: int, octets: int) -> bytes:
        """A sender report and a name. `now` is the clock's time in seconds, `ts` the timestamp that belongs to it."""
        seconds = int(now) + _EPOCH
        block = self._block()
        head = struct.pack(
            "!BBHIIIIII",
            *(0x80 | bool(block), _SR, 6 + len(block) // 4, self._ssrc, seconds & 0xFFFFFFFF),
            *(int(now % 1 * 2**32), ts & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF),
        )
        return head + block + self._name()

    def farewell(self) -> bytes:
        """The party hears no more of us: an empty report, the name, BYE."""
        empty = struct.pack("!BBHI", 0x80, 201, 1, self._ssrc)
        return empty + self._name() + struct.pack("!BBHI", 0x81, _BYE, 1, self._ssrc)

    def _name(self) -> bytes:
        """SDES with a CNAME that says nothing of anybody (RFC 7022)."""
        name = f"{self._ssrc:08x}@mixer".encode()
        chunk = struct.pack("!IBB", self._ssrc, 1, len(name)) + name + b"\0"
        chunk += bytes(-len(chunk) % 4)
        return struct.pack("!BBH", 0x81, _SDES, len(chunk) // 4) + chunk

    def _block(self) -> bytes:
        """How the party's sound came; nothing before it has sent any (RFC 3550 §6.4.1)."""
        stream = self._heard
        if stream.src is None:
            return b""
        meter = stream.meter
        expected, received = meter.expected, meter.received
        due, came = expected - self._before[0], received - self._before[1]
        self._before = expected, received
        share = 0 if due <= 0 or came >= due else min(255, (due - came) * 256 // due)
        lost = min(meter.lost, 0x7FFFFF)
        jitter = int(meter.jitter * meter.rate / 1000)
        known = meter.seq if self._extended is None else self._extended
        self._extended = known + ((meter.seq - known) & 0xFFFF)
        return struct.pack("!IIIIII", stream.src, share << 24 | lost, self._extended & 0xFFFFFFFF, jitter, 0, 0)
