"""The tones of the answering phones: made here, in G.711, steady or in a cadence, 20 ms at a time."""

from __future__ import annotations

import math
import secrets
import struct
from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from attrs import frozen
from twisted.internet.task import LoopingCall

from rtcgw.media.packets.g711 import encoder
from rtcgw.sandbox.phoneline import PhoneLine

RATE = 8000
FRAME = 160
"""Samples of a 20 ms packet."""
PER_SECOND = RATE // FRAME
LEVEL = 4000
"""Amplitude of a tone, 18 dB below the loudest sample: it is listened to through headphones."""
BURST = 5
"""Packets sent at once at most, when the process was late; the rest is left out."""
_FRONT = struct.Struct("!BBHII")


@frozen
class Tone:
    """What is played."""

    hertz: int
    cadence: tuple[float, ...] = ()
    """Seconds of sound and of silence in turn, over and over; empty: it never pauses."""

    def sounds(self, place: int) -> bool:
        """Whether there is sound in the frame at `place`, counted from the beginning."""
        lengths = [round(seconds * PER_SECOND) for seconds in self.cadence]
        if not lengths:
            return True
        place %= sum(lengths)
        for turn, length in enumerate(lengths):
            if place < length:
                return turn % 2 == 0
            place -= length
        return False


@lru_cache(maxsize=16)
def frames(hertz: int, law: str) -> tuple[bytes, ...]:
    """The payloads of a steady tone without a seam, to be sent over and over; `law` is PCMU or PCMA. 0 Hz: silence."""
    length = math.lcm(FRAME, RATE // math.gcd(RATE, hertz))
    step = 2 * math.pi * hertz / RATE
    samples = array("h", (round(LEVEL * math.sin(step * place)) for place in range(length)))
    octets = encoder(law)(samples.tobytes())
    return tuple(octets[start : start + FRAME] for start in range(0, length, FRAME))


class Player:
    """Plays tones on whatever line of sound there is, as one stream: the next tone begins where the last has ended."""

    def __init__(self, reactor: Any, line: Callable[[], PhoneLine | None]) -> None:
        self._line = line
        self._tone: Tone | None = None
        self._place = 0
        self._seq = secrets.randbits(15)
        self._ts = secrets.randbits(31)
        self._playing = LoopingCall.withCount(self._play)
        self._playing.clock = reactor

    def play(self, tone: Tone) -> None:
        """Play this from now on, if it is not playing already."""
        if tone != self._tone:
            self._tone, self._place = tone, 0
        if not self._playing.running:
            # Its Deferred never fails: `_play` raises nothing.
            self._playing.start(1 / PER_SECOND)

    def stop(self) -> None:
        """Silence."""
        if self._playing.running:
            self._playing.stop()

    def _play(self, count: int) -> None:
        line, tone = self._line(), self._tone
        if line is None or line.plays is None or tone is None:
            return
        late = max(count - BURST, 0)
        self._ts += FRAME * late
        for _ in range(count - late):
            sound = frames(tone.hertz if tone.sounds(self._place) else 0, line.plays.name)
            second = line.plays.pt | (0x80 if self._place == 0 else 0)
            head = _FRONT.pack(0x80, second, self._seq & 0xFFFF, self._ts & 0xFFFFFFFF, line.ssrc)
            line.send(head + sound[self._place % len(sound)])
            self._place += 1
            self._seq += 1
            self._ts += FRAME
