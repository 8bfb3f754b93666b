"""An RTP endpoint without sockets: plays a tone, presses keys, and measures the tone that it hears.

What a phone or a browser *hears* is the proof of a media path, not the number of its packets: the
tone of the other end must come out of the decoder, at its frequency.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache

from rtcgw.media.packets.g711 import alaw_to_linear, ulaw_to_linear

RATE = 8000
FRAME = 160
"""Samples of a 20 ms packet."""
DIGITS = "0123456789*#ABCD"
_DECODE = {0: [ulaw_to_linear(code) for code in range(256)], 8: [alaw_to_linear(code) for code in range(256)]}
_FRONT = struct.Struct("!BBHII")


def encode(samples: Sequence[int], pt: int) -> bytes:
    """16-bit samples as G.711, payload type 0 (mu-law) or 8 (A-law)."""
    codes = sorted((value, code) for code, value in enumerate(_DECODE[pt]))
    out = bytearray()
    for sample in samples:
        low, high = 0, len(codes) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if codes[middle][0] <= sample else (low, middle)
        near = min(codes[low], codes[high], key=lambda pair: abs(pair[0] - sample))
        out.append(near[1])
    return bytes(out)


@cache
def tone(frequency: float, pt: int = 0, seconds: float = 1.0, level: float = 0.4) -> bytes:
    """A tone as G.711 octets; whole seconds of a whole frequency can be repeated without a click."""
    step = 2 * math.pi * frequency / RATE
    return encode([int(32767 * level * math.sin(step * place)) for place in range(int(RATE * seconds))], pt)


def power(samples: Sequence[float], frequency: float) -> float:
    """How much of `frequency` there is, by Goertzel's algorithm: the amplitude of that sine."""
    turn = 2 * math.cos(2 * math.pi * frequency / RATE)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    energy = before * before + last * last - turn * before * last
    return 2 * math.sqrt(max(energy, 0.0)) / len(samples)


def loudest(samples: Sequence[float], low: int = 200, high: int = 2000, step: int = 10) -> int:
    """The frequency that is heard best, in Hz, to `step`; 0 for silence or less than an eighth of a second."""
    if len(samples) < RATE // 8:
        return 0
    found = max(range(low, high, step), key=lambda frequency: power(samples, frequency))
    return found if power(samples, found) > 200 else 0


class RtpEnd:
    """One end of a plain or decrypted RTP stream. `send(packet)` is wherever packets go."""

    def __init__(
        self, send: Callable[[bytes], object], pt: int = 0, frequency: float = 1000, events: int = 101
    ) -> None:
        self.send = send
        self.pt = pt
        self.events = events
        self.ssrc = 0x1000 + int(frequency)
        self.seq = 100
        self.ts = 4000
        self.heard: deque[int] = deque(maxlen=RATE)
        """The last second, decoded."""
        self.digits: list[str] = []
        self.received = 0
        self.lost = 0
        self.types: dict[int, int] = {}
        self.sources: dict[int, int] = {}
        self._tone = tone(frequency, pt)
        self._place = 0
        self._newest: int | None = None
        self._event: int | None = None

    def play(self, packets: int = 1) -> None:
        """Send the next `packets` * 20 ms of the tone."""
        for _ in range(packets):
            payload = self._tone[self._place : self._place + FRAME]
            self._place = (self._place + FRAME) % len(self._tone)
            self._packet(self.pt, self.ts, payload)
            self.ts = (self.ts + FRAME) & 0xFFFFFFFF

    def press(self, digit: str) -> None:
        """Send a key as telephone events (RFC 4733 §2.5): three updates, then the end three times."""
        code, start = DIGITS.index(digit), self.ts
        for place, (end, duration) in enumerate([(0, 160), (0, 320), (0, 480), (1, 640), (1, 640), (1, 640)]):
            payload = struct.pack("!BBH", code, (end << 7) | 10, duration)
            self._packet(self.events | (0x80 if place == 0 else 0), start, payload)
        self.ts = (self.ts + 640) & 0xFFFFFFFF

    def jump(self) -> None:
        """Become another source: new SSRC, sequence and timestamp, as after a transfer."""
        self.ssrc ^= 0x5A5A5A
        self.seq, self.ts = 7, 99

    def feed(self, packet: bytes) -> None:
        """Take a packet in the clear."""
        if len(packet) < 12 or packet[0] >> 6 != 2:
            return
        _, second, seq, ts, ssrc = _FRONT.unpack_from(packet)
        pt, payload = second & 127, packet[12:]
        self.received += 1
        self.types[pt] = self.types.get(pt, 0) + 1
        self.sources[ssrc] = self.sources.get(ssrc, 0) + 1
        if self._newest is not None:
            self.lost += (seq - self._newest - 1) & 0xFFFF
        self._newest = seq
        if pt in _DECODE:
            self.heard.extend(_DECODE[pt][code] for code in payload)
        elif pt == self.events and len(payload) >= 4 and payload[1] & 0x80 and ts != self._event:
            self._event = ts
            self.digits.append(DIGITS[payload[0] & 15])

    @property
    def frequency(self) -> int:
        """What is heard, in Hz."""
        return loudest(list(self.heard)[-RATE // 8 :])

    def _packet(self, second: int, ts: int, payload: bytes) -> None:
        self.seq = (self.seq + 1) & 0xFFFF
        self.send(_FRONT.pack(0x80, second, self.seq, ts, self.ssrc) + payload)


def sender_report(ssrc: int, ts: int, about: int | None = None, newest: int = 0, cname: bytes = b"peer") -> bytes:
    """An SR with at most one report block and an SDES, as phones send every few seconds."""
    block = b"" if about is None else struct.pack("!IIIIII", about, 0, newest, 0, 0, 0)
    head = struct.pack("!BBH", 0x80 | bool(block), 200, 6 + len(block) // 4)
    report = head + struct.pack("!IIIIII", ssrc, 0xE0000000, 0, ts, 10, 1600) + block
    item = b"\x01" + bytes([len(cname)]) + cname
    item += b"\0" * (4 - len(item) % 4)
    return report + struct.pack("!BBHI", 0x81, 202, 1 + len(item) // 4, ssrc) + item
