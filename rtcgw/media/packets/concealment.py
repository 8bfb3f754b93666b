"""What is played in place of sound that was lost: the last pitch period again, fading (after ITU-T G.711 appendix I).

Short holes are hardly heard that way; after a tenth of a second any repetition sounds worse than silence. Pure
arithmetic on 16-bit samples in the machine's order, without a library: it runs only where something was lost.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import mul, sub

STEADY = 10
"""Milliseconds of a hole that are filled at full strength."""
FADE = 100
"""Milliseconds after which a hole is silent."""
_LOWEST, _HIGHEST = 66, 400
"""Hz: the range of voices' pitch."""
_WINDOW = 10
"""Milliseconds compared in search of the pitch."""
_BLEND = 5
"""Milliseconds in which what was made up passes into what is heard again."""


class Concealer:
    """One stream at `rate` samples per second. Everything heard goes through `hear`."""

    __slots__ = ("_filled", "_heard", "_keep", "_period", "_rate", "filled")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._keep = 2 * rate * 40 // 1000
        """Octets remembered: the longest period, the window, and a little more."""
        self._heard = bytearray()
        self._period: Sequence[int] = ()
        """What is repeated in the present hole."""
        self._filled = 0
        """Samples made up in the present hole."""
        self.filled = 0
        """Samples made up altogether, silence included."""

    def hear(self, samples: bytearray) -> bytearray:
        """Sound that has come; after a hole its beginning is blended with what was made up."""
        if self._filled:
            self._blend(samples)
            self._filled, self._period = 0, ()
        self._heard = (self._heard + samples)[-self._keep :]
        return samples

    def fill(self, count: int) -> bytearray:
        """`count` samples in place of lost ones; nothing but silence where nothing has been heard."""
        if not self._filled:
            self._period = self._last_period()
        made = array("h", self._made(self._filled, count))
        self._filled += count
        self.filled += count
        return bytearray(made.tobytes())

    def _made(self, start: int, count: int) -> list[int]:
        """The period repeated, from `start` samples into the hole on, at the strength of each moment."""
        steady, fade = self._rate * STEADY // 1000, self._rate * FADE // 1000
        sounding = min(count, max(0, fade - start)) if self._period else 0
        length = len(self._period)
        source = [self._period[(start + place) % length] for place in range(sounding)] if length else []
        strength = [min(fade - steady, fade - start - place) for place in range(sounding)]
        return [value * part // (fade - steady) for value, part in zip(source, strength, strict=True)] + [0] * (
            count - sounding
        )

    def _blend(self, samples: bytearray) -> None:
        count = min(len(samples) // 2, self._rate * _BLEND // 1000)
        made, heard = self._made(self._filled, count), array("h", bytes(samples[: 2 * count]))
        pairs = enumerate(zip(made, heard, strict=True))
        mixed = array("h", [(old * (count - place) + new * place) // count for place, (old, new) in pairs])
        samples[: 2 * count] = mixed.tobytes()

    def _last_period(self) -> Sequence[int]:
        """The newest samples that, repeated, go on most smoothly; fewer than a window heard is nothing to go by."""
        heard = array("h", bytes(self._heard))
        low, high = self._rate // _HIGHEST, self._rate // _LOWEST
        window = self._rate * _WINDOW // 1000
        if len(heard) < window + high:
            return ()
        coarse = max(1, self._rate // 4000)
        near = min(range(low, high + 1, coarse), key=lambda lag: _unlike(heard, lag, window, coarse))
        fine = range(max(low, near - coarse + 1), min(high, near + coarse - 1) + 1)
        lag = min(fine, key=lambda lag: _unlike(heard, lag, window, 1))
        return heard[-lag:]


def _unlike(heard: Sequence[int], lag: int, window: int, step: int) -> int:
    """How much the newest `window` samples differ from those `lag` before, every `step`-th counted."""
    size = len(heard)
    newest, before = heard[size - window :: step], heard[size - window - lag : size - lag : step]
    differences = list(map(sub, newest, before))
    return sum(map(mul, differences, differences))
