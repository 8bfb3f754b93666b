"""The arithmetic of a conference: each party hears the sum of the others, never itself.

Pure functions on frames of G.711. Most of the time one party speaks: then its octets pass as they are, or through a
table into the other law, and nothing is computed. Sums are looked up, not clipped: the table of each law is as long as
the loudest sum of a full room, and Python's negative places are the negative sums. A mix of octets by way of a codec
library was refused for its price, and `audioop` because the next interpreter no longer has it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache, lru_cache
from operator import add, itemgetter, sub
from typing import NamedTuple

from rtcgw.media.packets.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW, alaw_to_linear, decoder, encoder, ulaw_to_linear

FRAME = 160
"""Samples of 20 ms."""
MOST = 8
"""Parties whose sounds are added at most; the tables are made for them."""
LOUDNESS = 128
"""Samples below this size are silence: 48 dB below the loudest one. Rooms hum, and eight hums are a noise."""
_HALF = 32768
_OTHER = {("PCMU", "PCMA"): ULAW_TO_ALAW, ("PCMA", "PCMU"): ALAW_TO_ULAW}
_VALUE = {"PCMU": ulaw_to_linear, "PCMA": alaw_to_linear}


class Sound(NamedTuple):
    """20 ms of somebody, in a law of G.711."""

    law: str
    octets: bytes


_QUIET = {"PCMU": b"\xff" * FRAME, "PCMA": b"\xd5" * FRAME}


def silence(law: str) -> bytes:
    """A frame of nothing: the positive zero, which is what phones send."""
    return _QUIET[law]


@cache
def _gate(law: str) -> bytes:
    """For `bytes.translate`: octet -> 1 where it is loud, else 0."""
    return bytes(abs(_VALUE[law](octet)) >= LOUDNESS for octet in range(256))


def is_loud(sound: Sound) -> bool:
    """Whether there is anything in it but the hum of a room."""
    return sound.octets.translate(_gate(sound.law)).find(1) >= 0


@lru_cache(maxsize=4)
def _sums(law: str) -> bytes:
    """Sum of up to `MOST` samples -> octet; a negative sum is looked up from the end. What is too loud is clipped."""
    numbers = array("h", range(_HALF)).tobytes(), array("h", range(-_HALF, 0)).tobytes()
    loud, soft = (encoder(law)(part) for part in numbers)
    spare = (MOST - 1) * _HALF
    return loud + loud[-1:] * spare + soft[:1] * spare + soft


def mix(heard: Sequence[Sound | None], laws: Sequence[str]) -> list[bytes]:
    """What each party hears, in its law. `heard` is what each says, None: nothing; `laws` is what each is sent."""
    speakers = [place for place, sound in enumerate(heard) if sound is not None]
    if len(speakers) > MOST:
        raise ValueError(f"more than {MOST} at once")
    return _alone(heard, laws, speakers) if len(speakers) < 3 else _together(heard, laws, speakers)


def _alone(heard: Sequence[Sound | None], laws: Sequence[str], speakers: list[int]) -> list[bytes]:
    """At most two speak: only who is silent hears a sum."""
    both: dict[str, bytes] = {}
    made: list[bytes] = []
    for place, law in enumerate(laws):
        others = [heard[speaker] for speaker in speakers if speaker != place]
        if len(others) == 2:
            if law not in both:
                both[law] = _looked_up(_total(heard, speakers), law)
            made.append(both[law])
        else:
            made.append(_in(others[0], law) if others else silence(law))
    return made


def _together(heard: Sequence[Sound | None], laws: Sequence[str], speakers: list[int]) -> list[bytes]:
    """The sum of all is made once; who speaks is taken out of it again."""
    total = _total(heard, speakers)
    whole: dict[str, bytes] = {}
    made: list[bytes] = []
    for place, law in enumerate(laws):
        own = heard[place]
        if own is not None:
            made.append(_looked_up(list(map(sub, total, _samples(own))), law))
            continue
        if law not in whole:
            whole[law] = _looked_up(total, law)
        made.append(whole[law])
    return made


def _total(heard: Sequence[Sound | None], speakers: list[int]) -> list[int]:
    sounds = [sound for sound in (heard[place] for place in speakers) if sound is not None]
    total = list(_samples(sounds[0]))
    for sound in sounds[1:]:
        total = list(map(add, total, _samples(sound)))
    return total


def _samples(sound: Sound) -> array[int]:
    return array("h", decoder(sound.law)(sound.octets))


def _looked_up(sums: Sequence[int], law: str) -> bytes:
    return bytes(itemgetter(*sums)(_sums(law)))


def _in(sound: Sound | None, law: str) -> bytes:
    """The sound in this law."""
    if sound is None:
        return silence(law)
    return sound.octets if sound.law == law else sound.octets.translate(_OTHER[sound.law, law])
