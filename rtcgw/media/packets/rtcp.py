"""RTCP on its way through: reports and feedback, translated with the numbers of the two timelines.

RTCP is carried, not made anew: SSRCs, timestamps and sequence numbers in it become those that its receiver knows.
On the way we read what it says of the path: loss, jitter and round trips. Kept are SR, RR, SDES and, where the
receiver has agreed to it, feedback: PLI and FIR (whole pictures wanted) and generic NACK. BYE is left out because the
timeline that the receiver sees does not end with one of its sources; bandwidth estimates (REMB, transport-wide
feedback) and extended reports are about the path to us and mean nothing beyond.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from attrs import define

from rtcgw.media.packets.rtp import Timeline

SR, RR, SDES, TRANSPORT_FEEDBACK, APP_FEEDBACK = 200, 201, 202, 205, 206
BLOCK = 24
"""Octets of a report block."""
MAX_PARTS = 16
"""Sub-packets of a compound packet; one with more is dropped."""
PER_SECOND = 50
"""Compound packets taken from one party of one line per second."""
_NACK, _PLI, _FIR = (TRANSPORT_FEEDBACK, 1), (APP_FEEDBACK, 1), (APP_FEEDBACK, 4)
_REPORTS = 8
"""Sender reports remembered, to measure round trips by."""
_CNAME = b"\x01\x05rtcgw\0"


class Part(NamedTuple):
    """One packet within a compound one."""

    kind: int
    ssrc: int
    """Its first SSRC, mostly the sender's."""
    data: bytes

    @property
    def form(self) -> int:
        """The five bits that count blocks or name the kind of feedback."""
        return self.data[0] & 31


def parts(data: bytes) -> list[Part] | None:
    """A compound packet in pieces; None where a length lies, a version is wrong, or there are too many."""
    found: list[Part] = []
    place, length = 0, len(data)
    while place + 8 <= length:
        end = place + 4 + 4 * ((data[place + 2] << 8) | data[place + 3])
        if data[place] >> 6 != 2 or end > length or end < place + 8 or len(found) == MAX_PARTS:
            return None
        found.append(Part(data[place + 1], int.from_bytes(data[place + 4 : place + 8], "big"), data[place:end]))
        place = end
    return found


@define
class Heard:
    """What a party says of how it receives. Numbers as in its newest report block (RFC 3550 §6.4.1)."""

    lost: int | None = None
    """Packets that never came."""
    jitter: int | None = None
    """Timestamp units."""
    rtt: float | None = None
    """Milliseconds between us and the party."""


class Control:
    """RTCP of one party. `stream` is what the party sends, `back` what it is sent.

    Round trips need no clock of the party's: we know when a sender report passed us, the party says how long it
    kept it (DLSR), and the middle of the report's NTP time, which passes unchanged, says which one it was.
    """

    __slots__ = ("_second", "_taken", "back", "dropped", "feedback", "heard", "keyframes", "sent", "stream")

    def __init__(self, stream: Timeline, back: Timeline) -> None:
        self.stream = stream
        self.back = back
        self.feedback = False
        """The receiver takes feedback."""
        self.heard = Heard()
        self.sent: dict[int, float] = {}
        """Sender reports that passed this way: middle of the NTP time -> when, in seconds."""
        self.keyframes = 0
        """Whole pictures asked for where the receiver takes no feedback; the relay looks for it to grow."""
        self.dropped = 0
        self._second = -1
        self._taken = 0

    def carry(self, data: bytes, now: float, met: Mapping[int, float]) -> bytes | None:
        """A compound packet as its receiver shall see it; None if nothing is left.

        `met` are the sender reports that the party was sent (`sent` of the other direction).
        """
        if not self._may(now):
            return None
        found = parts(data)
        if found is None:
            self.dropped += 1
            return None
        made: list[bytes] = []
        for part in found:
            if part.kind in (SR, RR):
                report = self._report(part, now, met)
                if report is None:
                    self.dropped += 1
                    return None
                made.append(report)
            elif part.kind == SDES and made and part.form == 1:
                made.append(part.data[:4] + self.stream.seen(part.ssrc).to_bytes(4, "big") + part.data[8:])
            elif part.kind in (TRANSPORT_FEEDBACK, APP_FEEDBACK) and (answer := self._fed_back(part)) is not None:
                made.append(answer)
        if not made:
            return None
        if made[0][1] not in (SR, RR):  # reduced size was not agreed with the receiver (RFC 5506 §4.1)
            made.insert(0, empty_report(int.from_bytes(made[0][4:8], "big")))
        return b"".join(made)

    def _may(self, now: float) -> bool:
        second = int(now)
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        if self._taken > PER_SECOND:
            self.dropped += 1
            return False
        return True

    def _report(self, part: Part, now: float, met: Mapping[int, float]) -> bytes | None:
        """A sender or receiver report with every SSRC, timestamp and sequence number translated."""
        stream, back = self.stream, self.back
        packet = bytearray(part.data)
        place = 28 if part.kind == SR else 8
        if len(packet) < place + BLOCK * part.form:
            return None
        struct.pack_into("!I", packet, 4, stream.seen(part.ssrc))
        if part.kind == SR and part.ssrc == stream.src:
            middle, ts = struct.unpack_from("!IxxI", packet, 10)
            if len(self.sent) >= _REPORTS:
                del self.sent[next(iter(self.sent))]
            self.sent[middle] = now
            struct.pack_into("!I", packet, 16, stream.stamp(ts))
            if stream.sent is not None:
                struct.pack_into("!II", packet, 20, *(number & 0xFFFFFFFF for number in stream.sent))
        for _ in range(part.form):
            about, share, newest, jitter, lsr, dlsr = struct.unpack_from("!IIIIII", packet, place)
            if back.begun and about == back.out:
                self._hear(share, jitter, lsr, dlsr, now, met)
                struct.pack_into("!I", packet, place, back.meant(about))
                struct.pack_into("!I", packet, place + 8, back.unsequence(newest))
            place += BLOCK
        return bytes(packet)

    def _hear(self, share: int, jitter: int, lsr: int, dlsr: int, now: float, met: Mapping[int, float]) -> None:
        heard = self.heard
        lost = share & 0xFFFFFF
        heard.lost, heard.jitter = max(0, lost - (1 << 24) if lost >> 23 else lost), jitter
        when = met.get(lsr) if lsr else None
        if when is not None:
            trip = now - when - dlsr / 65536
            if 0 <= trip < 60:
                heard.rtt = 1000 * trip

    def _fed_back(self, part: Part) -> bytes | None:
        """Feedback about what the party is sent, in its sender's numbers; None where it ends here."""
        back, what = self.back, (part.kind, part.form)
        if len(part.data) < 12 or back.src is None:
            return None
        if what not in (_NACK, _PLI, _FIR):
            return None
        if not self.feedback:
            self.keyframes += what != _NACK
            return None
        packet = bytearray(part.data)
        about = int.from_bytes(packet[8:12], "big")
        struct.pack_into("!II", packet, 4, self.stream.seen(part.ssrc), back.meant(about) if about else 0)
        for place in range(12, len(packet) - 3, 8 if what == _FIR else 4):
            if what == _FIR:
                struct.pack_into("!I", packet, place, back.meant(int.from_bytes(packet[place : place + 4], "big")))
            elif what == _NACK:
                wanted = int.from_bytes(packet[place : place + 2], "big")
                struct.pack_into("!H", packet, place, back.unsequence(wanted) & 0xFFFF)
        return bytes(packet)


def empty_report(ssrc: int) -> bytes:
    """A receiver report about nothing, with which a compound packet may begin (RFC 3550 §6.1)."""
    return struct.pack("!BBHI", 0x80, RR, 1, ssrc)


def picture_wanted(ours: int, theirs: int) -> bytes:
    """A compound packet with a PLI: `ours` asks the sender of `theirs` for a whole picture (RFC 4585 §6.3.1)."""
    names = struct.pack("!BBHI", 0x81, SDES, 3, ours) + _CNAME
    return empty_report(ours) + names + struct.pack("!BBHII", 0x81, APP_FEEDBACK, 2, ours, theirs)
