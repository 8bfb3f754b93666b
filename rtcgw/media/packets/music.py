"""Music on hold as packets: one sound, in frames of 20 ms, in whatever codec a held party hears.

Frames are encoded when somebody first hears them and kept for all who come later, so that a thousand held calls cost
the encoder as much as one. Everybody begins at the beginning; at the end it begins again.

What it is not: it sends nothing and knows no time (`voice.py`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final

from rtcgw.media.packets import transcode
from rtcgw.media.sdp import Codec
from rtcgw.model.wave import Wave

BEATS: Final = 50
"""Frames per second."""
_TAPS: Final = ((0, 256), (1, 150), (3, -25), (5, 3))
"""A half-band low pass of 11 taps, symmetrical: distance from the middle, and weight of 512. What is above 4 kHz
would come back as noise in half as many samples."""

Frame = Callable[[int], bytes]


class Tune:
    """The sound in one codec. `step` is what a frame takes of the receiver's clock."""

    __slots__ = ("_count", "_encode", "_frames", "codec", "step")

    def __init__(self, codec: Codec, count: int, encode: Frame) -> None:
        self.codec = codec
        self.step = codec.rate // BEATS
        self._count = count
        self._encode = encode
        self._frames: list[bytes] = []

    def frame(self, place: int) -> bytes:
        """The payload in this place, counted on through any number of rounds. Encoders remember what came before,
        so frames are made in their order."""
        frames = self._frames
        wanted = place % self._count
        while len(frames) <= wanted:
            frames.append(self._encode(len(frames)))
        return frames[wanted]


class Music:
    """One sound for all held parties."""

    __slots__ = ("_count", "_tunes", "_wave")

    def __init__(self, wave: Wave) -> None:
        self._wave = wave
        self._count = len(wave.samples) * BEATS // wave.rate
        self._tunes: dict[tuple[str, int, int], Tune | None] = {}
        """By codec, whatever numbers receivers give it."""

    def tune(self, codecs: Sequence[Codec]) -> tuple[Tune, int] | None:
        """The sound in the first of these codecs in which it can be had, and the codec's number; None: in none."""
        for codec in codecs:
            if codec.key not in self._tunes:
                self._tunes[codec.key] = self._made(codec)
            found = self._tunes[codec.key]
            if found is not None:
                return found, codec.pt
        return None

    def _made(self, codec: Codec) -> Tune | None:
        """None for a codec that is not written here, or not without the extra."""
        law = codec.name in transcode.G711
        if not law and not (codec.name in ("OPUS", "G722") and transcode.available()):
            return None
        samples, rate = self._wave.samples, self._wave.rate
        size = rate // BEATS
        if law and rate != 8000:
            half = transcode.encoding(codec.name, 8000, size // 2)
            return Tune(codec, self._count, lambda place: half(_halved(samples, place * size, size).tobytes()))
        encode = transcode.encoding(codec.name, rate, size)
        return Tune(codec, self._count, lambda place: encode(samples[place * size : (place + 1) * size].tobytes()))


def _halved(samples: Sequence[int], start: int, size: int) -> array[int]:
    """Every second sample from `start` on, of `size`, without what half as many cannot hold."""
    last = len(samples) - 1
    found = array("h")
    for place in range(start, start + size, 2):
        total = 0
        for distance, weight in _TAPS:
            total += weight * samples[max(place - distance, 0)]
            if distance:
                total += weight * samples[min(place + distance, last)]
        found.append(max(-32768, min(32767, total >> 9)))
    return found
