"""RTP on its way through: one timeline towards each receiver, whatever its source does.

A phone may change SSRC, sequence and timestamp at any time (transfer, music on hold); a browser
takes that for a new stream and SRTP for an attack. `Timeline` keeps what the receiver sees in one
piece, translates payload numbers, turns mu-law into A-law where the two sides chose differently
(a table look-up), and counts what never came. Other codecs are converted by a `Recoder`, which is
handed packets in order and makes new ones. RTCP is translated with the same numbers, in `rtcp.py`. What the gateway
says itself (music, keys) goes out on the same timeline, in place of the source.

This is the path that runs a hundred times a second for each call: no allocation unless a packet
must change, and nothing is said twice.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Mapping

from rtcgw.media.packets.quality import Meter
from rtcgw.media.packets.recast import EVENTS, Recast, Start, scaled
from rtcgw.media.packets.route import Route
from rtcgw.media.sdp import Codec

_HEADER = struct.Struct("!HII")
_FRONT = struct.Struct("!BBHII")
_FRAMES = {"audio": 50, "video": 30}
"""Packets or pictures per second, assumed where a stream is joined to another."""
_EVENT = 256
"""Set beside the second octet to be written of a telephone event, so that none is passed on unseen."""
KEYS = "0123456789*#ABCD"
"""By event code (RFC 4733 §3.2)."""
_KEY_GAP, _KEY_BURST = 0.05, 0.5
"""Seconds between the beginnings of two keys on average, and how far they may be ahead of that after a stall of the
network; what comes faster was not pressed."""
_RATES = {"audio": 8000, "video": 90000}
"""Clock in Hz where the codec does not say."""


class Timeline:
    """One direction of one stream. `kind` is that of its media line: `audio`, `video`."""

    __slots__ = (
        "_convert",
        "_dseq",
        "_dts",
        "_key",
        "_known",
        "_own",
        "_plain",
        "_recast",
        "_second",
        "_table",
        "begun",
        "codec",
        "dropped",
        "kind",
        "made",
        "meter",
        "octets",
        "on_key",
        "out",
        "packets",
        "src",
    )

    def __init__(self, kind: str = "audio") -> None:
        self.kind = kind
        self._table: list[int] = [-1] * 256
        """Second octet (marker and payload type) received -> sent; -1: not agreed, dropped."""
        self._convert: dict[int, Callable[[bytes], bytes]] = {}
        """Second octet received -> payload conversion."""
        self._recast: Recast | None = None
        """Makes packets anew where sound is converted."""
        self._known: dict[int, Route] = {}
        self._plain = True
        """Packets of the present source need no change but perhaps of payload type."""
        self._second = -1
        """Second octet of the packet before."""
        self.src: int | None = None
        """SSRC of the source, None before its first packet."""
        self.begun = False
        """The receiver has been sent something: `out` is fixed."""
        self.out = 0
        """SSRC that the receiver sees, always the same."""
        self._dseq = self._dts = 0
        """What is added to the source's sequence numbers and timestamps."""
        self.meter = Meter(_RATES[kind])
        self.codec: Codec | None = None
        """What came last, telephone events aside."""
        self._own: tuple[int, int] | None = None
        """Sequence number and timestamp of what the gateway said last by itself; None while the source speaks."""
        self._key: tuple[int, float, bool] | None = None
        """Timestamp of the source's last key, when the next one may come, and whether it is over."""
        self.on_key: Callable[[str], object] | None = None
        """Told of each key that the source presses; set before anything is agreed."""
        self.made: list[bytes] = []
        """Packets made anew by the last call of `carry`, which then said None."""
        self.packets = 0
        self.octets = 0
        self.dropped = 0

    def take(self) -> list[bytes]:
        """The packets `made`, once."""
        made, self.made = self.made, []
        return made

    def agree(self, routes: Mapping[int, Route]) -> None:
        """What has been agreed: payload type received -> `Route`. Everything else is dropped."""
        self._table, self._convert, self._second = [-1] * 256, {}, -1
        self._known = dict(routes)
        for theirs, route in routes.items():
            conversion = _conversion(route)
            is_key = self.on_key is not None and route.source is not None and route.source.name == EVENTS
            for marker in (0, 128):
                self._table[theirs | marker] = route.pt | marker | (_EVENT if is_key else 0)
                if conversion is not None:
                    self._convert[theirs | marker] = conversion
        recasts = any(route.recoder is not None for route in routes.values())
        if recasts and self._recast is not None:
            self._recast.agree(routes)
        elif recasts:
            self._begin_anew(routes)
        elif self._recast is not None:
            self._pass_again(self._recast.end)

    def _begin_anew(self, routes: Mapping[int, Route]) -> None:
        """From now on packets are made; the receiver's numbers go on."""
        meter = self.meter
        start = None
        if self.begun:
            seq, ts = (meter.seq + self._dseq) & 0xFFFF, (meter.ts + self._dts) & 0xFFFFFFFF
            start = Start(seq, ts, meter.last or 0.0)
        self._recast, self._plain = Recast(routes, start), False

    def _pass_again(self, end: Start) -> None:
        """From now on packets pass as they are: the source's numbers are joined to those written last."""
        self._recast = None
        if self.begun:
            self._dseq, self._dts = (end.seq - self.meter.seq) & 0xFFFF, (end.ts - self.meter.ts) & 0xFFFFFFFF
            self.src = None  # joined with its next packet, as another source would be

    def carry(self, packet: bytes, now: float = 0.0) -> bytes | None:
        """The packet as the receiver shall see it; None (and counted) if it is broken or was not agreed on.

        The very same object comes back where nothing needs to change. Where sound is converted the result is None
        and `made` has the packets, if any. `now` is the time of arrival in seconds.
        """
        if len(packet) < 12:
            self.dropped += 1
            return None
        if packet[0] != 0x80:
            bare = strip(packet)
            if bare is None:
                self.dropped += 1
                return None
            packet = bare
        second = packet[1]
        written = self._table[second]
        if written < 0:
            self._refuse(packet, now)
            return None
        if second != self._second:
            self._turn(second)
        seq, ts, ssrc = _HEADER.unpack_from(packet, 2)
        if ssrc != self.src:
            self._join(seq, ts, ssrc, now)
        if not self.meter.take(seq, ts, now) and not self._leapt(seq, ts, ssrc, now):
            self.dropped += 1
            return None
        self.packets += 1
        self.octets += len(packet) - 12
        if self._plain and written == second:
            return packet
        if written >= _EVENT:
            written -= _EVENT
            self._hear_key(ts, packet, now)
        seq, ts, payload = (seq + self._dseq) & 0xFFFF, (ts + self._dts) & 0xFFFFFFFF, packet[12:]
        if self._recast is not None:
            self.made += self._recast.put(seq, (second, ts, payload), now, self.out)
            return None
        conversion = self._convert.get(second)
        if conversion is not None:
            payload = conversion(payload)
        return _FRONT.pack(0x80, written, seq, ts, self.out) + payload

    def _refuse(self, packet: bytes, now: float) -> None:
        """A payload type that was not agreed on: the packet is dropped, but it is not lost."""
        self.dropped += 1
        seq, _, ssrc = _HEADER.unpack_from(packet, 2)
        if ssrc != self.src or not self.meter.take(seq, self.meter.ts, now):
            return
        if self._recast is not None:
            self.made += self._recast.put((seq + self._dseq) & 0xFFFF, None, now, self.out)

    def _join(self, seq: int, ts: int, ssrc: int, now: float) -> None:
        """A source begins: the first as it is, any later one where the one before ended, as much later as it comes."""
        meter = self.meter
        if not self.begun:
            self.begun, self.out = True, ssrc
        else:
            passed = 0.0 if meter.last is None else (now - meter.last) * meter.rate
            step = max(meter.rate // _FRAMES[self.kind], round(passed))
            self._dseq = (meter.seq + self._dseq + 1 - seq) & 0xFFFF
            self._dts = (meter.ts + self._dts + step - ts) & 0xFFFFFFFF
        self.src = ssrc
        meter.begin(seq, ts)
        self._plain = self._recast is None and not (self._dseq or self._dts or ssrc != self.out)

    def _leapt(self, seq: int, ts: int, ssrc: int, now: float) -> bool:
        """A packet far from the others: another source with the same SSRC, once a second one follows it."""
        if not self.meter.leaps(seq):
            return False
        self._join(seq, ts, ssrc, now)
        return self.meter.take(seq, ts, now)

    def _turn(self, second: int) -> None:
        """The payload type has changed: so may have the clock."""
        self._second = second
        source = self._known[second & 127].source
        if source is not None and source.name != EVENTS:
            self.codec = source
            self.meter.clock(source.rate)

    def _hear_key(self, ts: int, packet: bytes, now: float) -> None:
        """A packet of a telephone event. All packets of one key have its timestamp (RFC 4733 §2.3.5); a very long one
        goes on under another, without a marker and before it was said to be over (§2.5.1.3)."""
        if len(packet) < 16 or packet[12] >= len(KEYS):
            return
        over = packet[13] > 127
        if self._key is None:
            self._key = ts, now + _KEY_GAP, over
        else:
            last, due, ended = self._key
            newer = (ts - last) & 0xFFFFFFFF
            if newer == 0 or newer >= 0x80000000:
                self._key = last, due, ended or over
                return
            due = max(due, now) + _KEY_GAP
            is_key = due - now <= _KEY_BURST and (ended or packet[1] > 127)
            self._key = ts, due if is_key else due - _KEY_GAP, over
            if not is_key:
                return
        if self.on_key is not None:
            self.on_key(KEYS[packet[12]])

    # -- what the gateway says itself -------------------------------------------------------------

    def interrupt(self, rate: int, now: float) -> None:
        """The gateway speaks from now on, on a clock of `rate` Hz; what it says follows what the receiver has heard."""
        meter = self.meter
        if not self.begun:
            self.begun, self.out = True, secrets.randbits(32)
            self._own = secrets.randbits(15), secrets.randbits(32)
            return
        if self._recast is not None:
            seq, ts, last = self._recast.end
        else:
            seq, ts = (meter.seq + self._dseq) & 0xFFFF, (meter.ts + self._dts) & 0xFFFFFFFF
            last = meter.last or now
        passed = round((now - last) * rate) if last else 0
        self._own = seq, (ts + max(0, passed - rate // _FRAMES[self.kind])) & 0xFFFFFFFF

    def insert(self, second: int, step: int, payload: bytes) -> bytes:
        """A packet of the gateway's own, `step` units of the receiver's clock after the one before; `second` is its
        payload type with the marker."""
        seq, ts = self._own or (0, 0)
        self._own = seq, ts = (seq + 1) & 0xFFFF, (ts + step) & 0xFFFFFFFF
        return _FRONT.pack(0x80, second, seq, ts, self.out) + payload

    def resume(self, silence: int, now: float) -> None:
        """The source is heard again; its next packet is joined to what the gateway has said, as another source's.
        `silence`: units of the receiver's clock since the last timestamp."""
        if self._own is None:
            return
        (seq, ts), self._own = self._own, None
        ts = (ts + silence) & 0xFFFFFFFF
        if self._recast is not None:
            self._recast.go_on(Start(seq, ts, now))
        else:
            self._dseq, self._dts = (seq - self.meter.seq) & 0xFFFF, (ts - self.meter.ts) & 0xFFFFFFFF
        self.meter.last, self.src, self._plain = now, None, False

    # -- the same numbers, for RTCP ---------------------------------------------------------------

    def seen(self, ssrc: int) -> int:
        """The SSRC of our source as the receiver knows it."""
        return self.out if ssrc == self.src else ssrc

    def meant(self, ssrc: int) -> int:
        """The SSRC of the source that a receiver speaks of."""
        return ssrc if self.src is None or ssrc != self.out else self.src

    def stamp(self, ts: int) -> int:
        """A timestamp of the source on the receiver's timeline."""
        ts = (ts + self._dts) & 0xFFFFFFFF
        return ts if self._recast is None else self._recast.stamp(ts)

    def unsequence(self, extended: int) -> int:
        """An extended sequence number of the receiver's timeline, as the source counts."""
        if self._recast is not None:
            extended = self._recast.unsequence(extended)
        return (extended & 0xFFFF0000) | ((extended - self._dseq) & 0xFFFF)

    @property
    def refused(self) -> int:
        """Packets dropped for any reason."""
        return self.dropped + (0 if self._recast is None else self._recast.late + self._recast.corrupt)

    @property
    def sent(self) -> tuple[int, int] | None:
        """Packets and octets that the receiver was sent; None where they are those that the source has counted."""
        if self._recast is not None:
            return self._recast.packets, self._recast.octets
        return None if self._plain else (self.packets, self.octets)

    @property
    def target(self) -> Codec | None:
        """What the sound is converted into; None while it passes as it is."""
        return None if self._recast is None else self._recast.target


def _conversion(route: Route) -> Callable[[bytes], bytes] | None:
    """What changes in a payload that passes."""
    if route.table is not None:
        table = route.table
        return lambda payload: payload.translate(table)
    if route.clock is not None:
        source, receiver = route.clock
        return lambda payload: scaled(payload, source, receiver) if len(payload) >= 4 else payload
    return None


def strip(packet: bytes) -> bytes | None:
    """The packet without padding, contributing sources and header extension (none is agreed on); None if broken."""
    first, length = packet[0], len(packet)
    if first >> 6 != 2:
        return None
    start = 12 + 4 * (first & 15)
    if first & 0x10:
        if length < start + 4:
            return None
        start += 4 + 4 * ((packet[start + 2] << 8) | packet[start + 3])
    end = length - packet[-1] if first & 0x20 else length
    if start > end or (first & 0x20 and end == length):
        return None
    return b"\x80" + packet[1:12] + packet[start:end]
