"""RTP and RTCP on their way through: one timeline towards each receiver, whatever its source does.

A phone may change SSRC, sequence and timestamp at any time (transfer, music on hold); a browser
takes that for a new stream and SRTP for an attack. `Timeline` keeps what the receiver sees in one
piece, translates payload numbers, and turns mu-law into A-law where the two sides chose differently
(a table look-up; no other codec is converted). RTCP is carried, not made anew: SSRCs, timestamps
and sequence numbers in it are translated with the same numbers.

This is the path that runs a hundred times a second for each call: no allocation unless a packet
must change, and nothing is said twice.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping

_HEADER = struct.Struct("!HII")
_FRONT = struct.Struct("!BBHII")
_STEP = 160
"""Timestamp distance of two 20 ms packets at 8 kHz, assumed where a stream is joined to another."""

Route = tuple[int, bytes | None]
"""Payload type to write, and the 256-octet table that converts the payload, if any."""


class Timeline:
    """One direction of one stream."""

    __slots__ = (
        "_convert",
        "_dseq",
        "_dts",
        "_plain",
        "_seq",
        "_table",
        "_ts",
        "dropped",
        "octets",
        "out",
        "packets",
        "src",
    )

    def __init__(self) -> None:
        self._table: list[int] = [-1] * 256
        """Second octet (marker and payload type) received -> sent; -1: not agreed, dropped."""
        self._convert: dict[int, bytes] = {}
        """Second octet received -> payload conversion."""
        self._plain = True
        """Packets of the present source need no change but perhaps of payload type."""
        self.src: int | None = None
        """SSRC of the source, None before its first packet."""
        self.out = 0
        """SSRC that the receiver sees, always the same."""
        self._seq = self._ts = 0
        """Newest sequence number and timestamp as the source counts."""
        self._dseq = self._dts = 0
        """What is added to them."""
        self.packets = 0
        self.octets = 0
        self.dropped = 0

    def agree(self, routes: Mapping[int, Route]) -> None:
        """What has been agreed: payload type received -> `Route`. Everything else is dropped."""
        table, convert = [-1] * 256, {}
        for theirs, (ours, conversion) in routes.items():
            for marker in (0, 128):
                table[theirs | marker] = ours | marker
                if conversion is not None:
                    convert[theirs | marker] = conversion
        self._table, self._convert = table, convert

    def carry(self, packet: bytes) -> bytes | None:
        """The packet as the receiver shall see it; None (and counted) if it is broken or was not agreed on.

        The very same object comes back where nothing needs to change.
        """
        if len(packet) < 12 or not 127 < packet[0] < 192:
            self.dropped += 1
            return None
        second = packet[1]
        written = self._table[second]
        if written < 0:
            self.dropped += 1
            return None
        if packet[0] & 0x3F:
            bare = strip(packet)
            if bare is None:
                self.dropped += 1
                return None
            packet = bare
        seq, ts, ssrc = _HEADER.unpack_from(packet, 2)
        if ssrc != self.src:
            self._join(seq, ts, ssrc)
        elif (seq - self._seq) & 0xFFFF < 0x8000:
            self._seq, self._ts = seq, ts
        self.packets += 1
        self.octets += len(packet) - 12
        if self._plain and written == second:
            return packet
        conversion = self._convert.get(second)
        payload = packet[12:] if conversion is None else packet[12:].translate(conversion)
        seq, ts = (seq + self._dseq) & 0xFFFF, (ts + self._dts) & 0xFFFFFFFF
        return _FRONT.pack(packet[0], written, seq, ts, self.out) + payload

    def _join(self, seq: int, ts: int, ssrc: int) -> None:
        """A source begins: the first as it is, any later one where the one before ended."""
        if self.src is None:
            self.out = ssrc
        else:
            self._dseq = (self._seq + self._dseq + 1 - seq) & 0xFFFF
            self._dts = (self._ts + self._dts + _STEP - ts) & 0xFFFFFFFF
        self.src, self._seq, self._ts = ssrc, seq, ts
        self._plain = not (self._dseq or self._dts or ssrc != self.out)

    # -- the same numbers, for RTCP ---------------------------------------------------------------

    def seen(self, ssrc: int) -> int:
        """The SSRC of our source as the receiver knows it."""
        return self.out if ssrc == self.src else ssrc

    def meant(self, ssrc: int) -> int:
        """The SSRC of the source that a receiver speaks of."""
        return ssrc if self.src is None or ssrc != self.out else self.src

    def stamp(self, ts: int) -> int:
        """A timestamp of the source on the receiver's timeline."""
        return (ts + self._dts) & 0xFFFFFFFF

    def unsequence(self, extended: int) -> int:
        """An extended sequence number of the receiver's timeline, as the source counts."""
        return (extended & 0xFFFF0000) | ((extended - self._dseq) & 0xFFFF)


def strip(packet: bytes) -> bytes | None:
    """The packet without padding, contributing sources and header extension (none is agreed on); None if broken."""
    first, length = packet[0], len(packet)
    start = 12 + 4 * (first & 15)
    if first & 0x10:
        if length < start + 4:
            return None
        start += 4 + 4 * ((packet[start + 2] << 8) | packet[start + 3])
    end = length - packet[-1] if first & 0x20 else length
    if start > end or (first & 0x20 and end == length):
        return None
    return b"\x80" + packet[1:12] + packet[start:end]


_SR, _RR, _SDES = 200, 201, 202
_BLOCK = 24


def carry_rtcp(data: bytes, stream: Timeline, back: Timeline) -> bytes | None:
    """A compound packet of the sender of `stream` as its receiver shall see it; None if nothing is left.

    Kept are SR, RR and SDES. Feedback and extended reports (205-207) are not agreed on with an AVP phone;
    BYE is left out because the timeline that the receiver sees does not end with one of its sources.
    `back` is the stream that the sender reports on.
    """
    parts: list[bytes] = []
    place, length = 0, len(data)
    while place + 8 <= length:
        end = place + 4 + 4 * ((data[place + 2] << 8) | data[place + 3])
        if data[place] >> 6 != 2 or end > length:
            return None
        kind = data[place + 1]
        if kind in (_SR, _RR):
            report = _report(data[place:end], kind, stream, back)
            if report is None:
                return None
            parts.append(report)
        elif kind == _SDES and parts and data[place] & 31 == 1:
            chunk = bytearray(data[place:end])
            struct.pack_into("!I", chunk, 4, stream.seen(int.from_bytes(chunk[4:8], "big")))
            parts.append(bytes(chunk))
        place = end
    return b"".join(parts) or None


def _report(data: bytes, kind: int, stream: Timeline, back: Timeline) -> bytes | None:
    """A sender or receiver report with every SSRC, timestamp and sequence number translated."""
    packet = bytearray(data)
    place = 28 if kind == _SR else 8
    if len(packet) < place + _BLOCK * (packet[0] & 31):
        return None
    (ssrc,) = struct.unpack_from("!I", packet, 4)
    struct.pack_into("!I", packet, 4, stream.seen(ssrc))
    if kind == _SR and ssrc == stream.src:
        struct.pack_into("!I", packet, 16, stream.stamp(struct.unpack_from("!I", packet, 16)[0]))
    for _ in range(packet[0] & 31):
        about, newest = struct.unpack_from("!I4xI", packet, place)
        if about == back.out and back.src is not None:
            struct.pack_into("!I", packet, place, back.meant(about))
            struct.pack_into("!I", packet, place + 8, back.unsequence(newest))
        place += _BLOCK
    return bytes(packet)


# -- G.711 -----------------------------------------------------------------------------------------


def ulaw_to_linear(code: int) -> int:
    """A mu-law octet as a 16-bit sample (ITU-T G.711 table 2)."""
    code = ~code & 0xFF
    value = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return 0x84 - value if code & 0x80 else value - 0x84


def alaw_to_linear(code: int) -> int:
    """An A-law octet as a 16-bit sample (ITU-T G.711 table 1)."""
    code ^= 0x55
    exponent, mantissa = (code & 0x70) >> 4, (code & 0x0F) << 4
    value = mantissa + 8 if exponent == 0 else (mantissa + 0x108) << (exponent - 1)
    return value if code & 0x80 else -value


def _nearest(samples: Iterable[int], codes: Mapping[int, int]) -> bytes:
    """For each sample the code whose value is nearest; of two equally near, the lower value's."""
    ordered = sorted((value, code) for code, value in codes.items())
    found = bytearray()
    for sample in samples:
        place = bisect_left(ordered, (sample, 0))
        around = ordered[max(place - 1, 0) : place + 1]
        found.append(min(around, key=lambda pair: abs(pair[0] - sample))[1])
    return bytes(found)


_ULAW = {code: ulaw_to_linear(code) for code in range(256)}
_ALAW = {code: alaw_to_linear(code) for code in range(256)}
ULAW_TO_ALAW = _nearest(_ULAW.values(), _ALAW)
"""For `bytes.translate`: mu-law octet -> A-law octet."""
ALAW_TO_ULAW = _nearest(_ALAW.values(), _ULAW)
"""For `bytes.translate`: A-law octet -> mu-law octet."""
