"""G.711, both laws: octets to samples, samples to octets, and each law to the other (ITU-T G.711).

All of it is table look-ups made by the interpreter's own fast paths (`bytes.translate`, slices, `map`): a
frame of 20 ms takes a few microseconds, less than handing it to a codec library would.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from operator import itemgetter


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

_LAWS = {"PCMU": _ULAW, "PCMA": _ALAW}


@cache
def _halves(law: str) -> tuple[bytes, bytes]:
    """For `bytes.translate`: octet -> low and high octet of its sample."""
    samples = [value & 0xFFFF for value in _LAWS[law].values()]
    return bytes(sample & 0xFF for sample in samples), bytes(sample >> 8 for sample in samples)


@cache
def _octets(law: str) -> bytes:
    """Sample as an unsigned 16-bit number -> the octet whose value is nearest: 64 KiB, made when first needed."""
    ordered = sorted((value, code) for code, value in _LAWS[law].items())
    found, low = bytearray(), -32768
    for (value, code), (following, _) in zip(ordered, [*ordered[1:], (2 * 32768 - ordered[-1][0], 0)], strict=True):
        high = (value + following) // 2
        found += bytes([code]) * (high + 1 - low)
        low = high + 1
    return bytes(found[32768:65536] + found[:32768])


def decoder(law: str) -> Callable[[bytes], bytearray]:
    """Octets of `PCMU` or `PCMA` -> 16-bit samples in the machine's order."""
    low, high = _halves(law)
    first, second = (0, 1) if sys.byteorder == "little" else (1, 0)

    def decode(payload: bytes) -> bytearray:
        samples = bytearray(2 * len(payload))
        samples[first::2] = payload.translate(low)
        samples[second::2] = payload.translate(high)
        return samples

    return decode


def encoder(law: str) -> Callable[[bytes | bytearray], bytes]:
    """16-bit samples in the machine's order -> octets of `PCMU` or `PCMA`."""
    octets = _octets(law)

    def encode(samples: bytes | bytearray) -> bytes:
        numbers = array("H", samples)
        # One `itemgetter` looks all of them up, twice as fast as `map`; of a single one it would make no tuple.
        return bytes(itemgetter(*numbers)(octets) if len(numbers) > 1 else [octets[number] for number in numbers])

    return encode
