"""A sound file as music on hold needs it: WAV, PCM of 16 bits, mono, 8000 or 16000 samples per second.

Read whole, since it is played in a loop, so it is bounded. Conversion of anything else is a matter of a minute with
any sound editor, once; a gateway that guessed would play noise to callers.
"""

from __future__ import annotations

import wave
from array import array
from pathlib import Path
from sys import byteorder
from typing import Final

from attrs import field, frozen

RATES: Final = (8000, 16000)
LONGEST: Final = 600
"""Seconds that are read; a longer file is refused."""
ALLOWED: Final = f"a WAV file: PCM, 16 bits, mono, 8000 or 16000 Hz, of 0.02 to {LONGEST} seconds"
_FRAMES_PER_SECOND: Final = 50


class WaveError(ValueError):
    """No such sound; the message says what was found."""


@frozen
class Wave:
    """A sound."""

    rate: int
    """Samples per second."""
    samples: array[int] = field(repr=False)


def read_wave(path: Path) -> Wave:
    """The sound in a file. Raises `WaveError`."""
    try:
        with wave.open(str(path), "rb") as file:
            kind = (file.getnchannels(), 8 * file.getsampwidth(), file.getframerate())
            count = file.getnframes()
            if kind[:2] != (1, 16) or kind[2] not in RATES:
                raise WaveError(f"{path} has {kind[0]} channels of {kind[1]} bits at {kind[2]} Hz")
            if not kind[2] // _FRAMES_PER_SECOND <= count <= LONGEST * kind[2]:
                raise WaveError(f"{path} is {count / kind[2]:.2f} seconds long")
            samples = array("h", file.readframes(count)[: 2 * count])
    except OSError as error:
        raise WaveError(f"{path} cannot be read: {error.strerror}") from None
    except (wave.Error, EOFError) as error:
        raise WaveError(f"{path} is no such file: {error or 'it ends too early'}") from None
    except ValueError as error:
        if isinstance(error, WaveError):
            raise
        raise WaveError(f"{path} is cut short") from None
    if byteorder == "big":
        samples.byteswap()
    return Wave(kind[2], samples)
