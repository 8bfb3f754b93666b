"""What whoever is held hears in the sandbox: a tune of eight bars, made here, so that no file is needed."""

from __future__ import annotations

import math
from array import array
from typing import Final

from rtcgw.model.wave import Wave

RATE: Final = 8000
BEAT: Final = 0.3
"""Seconds of a note."""
LEVEL: Final = 3000
"""Amplitude of a note when it is struck, 20 dB below the loudest sample: it is listened to through headphones."""
FADE: Final = 4.0
"""How fast a struck note fades, per second."""
_A4: Final = 440.0
_CHORDS: Final = ((0, 4, 7), (-3, 0, 4), (-7, -3, 0), (-5, -1, 2))
"""C major, A minor, F major, G major, in semitones from C: their notes one after the other, twice each."""
_ORDER: Final = (0, 1, 2, 1)
_C4: Final = -9
"""Semitones from A4."""


def tune() -> Wave:
    """The tune, without a seam: its last note has faded where the first begins again."""
    notes = [chord[place] for chord in _CHORDS for _ in range(2) for place in _ORDER]
    samples = array("h")
    for note in notes:
        samples.extend(_struck(_A4 * 2 ** ((note + _C4) / 12)))
    return Wave(RATE, samples)


def _struck(hertz: float) -> list[int]:
    """A note as of a music box: it begins softly enough not to click, and fades."""
    count = round(RATE * BEAT)
    edge = RATE // 100
    sounds = []
    for place in range(count):
        level = LEVEL * math.exp(-FADE * place / RATE) * min(1.0, place / edge, (count - place) / edge)
        angle = 2 * math.pi * hertz * place / RATE
        sounds.append(round(level * (math.sin(angle) + 0.3 * math.sin(2 * angle)) / 1.3))
    return sounds
