"""AMR-WB as a phone speaks it: VisualOn's encoder by ctypes, FFmpeg's decoder by PyAV, the RTP payloads of RFC 4867.

Both payload formats, one frame in a packet, no interleaving, no CRC; no mode is requested and none that is requested
is followed. An independent peer for rtpengine's own transcoding, which links neither of the two as we do.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes.util import find_library
from typing import Any, cast

import av
import numpy as np

from tests.live.tones import Samples

FRAME = 320
"""Samples of 20 ms."""
BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
"""Speech bits of a frame by its type, 0 to 8, and comfort noise (TS 26.201 table 2)."""
NO_REQUEST = 15
"""Codec mode request: none."""
SILENT = frozenset({14, 15})
"""Frame types without bits: lost speech, nothing to send."""


def pack(frame: bytes, aligned: bool) -> bytes:
    """A payload of one frame. `frame` is as in files: an octet 0FFFFQ00, then the bits, zeros at the end."""
    kind, good = frame[0] >> 3 & 15, frame[0] >> 2 & 1
    if aligned:  # RFC 4867 §4.4
        return bytes((NO_REQUEST << 4, kind << 3 | good << 2)) + frame[1:]
    bits = BITS[kind]
    speech = int.from_bytes(frame[1:], "big") >> (8 * len(frame[1:]) - bits)
    whole = ((NO_REQUEST << 6 | kind << 1 | good) << bits) | speech  # 4 + 1 + 4 + 1 bits, then the speech (§4.3)
    length = 10 + bits
    spare = -length % 8
    return (whole << spare).to_bytes((length + spare) // 8, "big")


def unpack(payload: bytes, aligned: bool) -> list[bytes]:
    """The frames of a payload, as in files. Raises ValueError when it is none."""
    return _unpack_aligned(payload) if aligned else _unpack_efficient(payload)


def _unpack_aligned(payload: bytes) -> list[bytes]:
    heads: list[int] = []
    place = 1
    while True:
        if place >= len(payload):
            raise ValueError("ends in the table of contents")
        heads.append(payload[place])
        place += 1
        if not heads[-1] & 0x80:
            break
    frames = []
    for head in heads:
        length = (_bits(head >> 3 & 15) + 7) // 8
        if place + length > len(payload):
            raise ValueError("shorter than its frames")
        frames.append(bytes((head & 0x7C,)) + payload[place : place + length])
        place += length
    return frames


def _unpack_efficient(payload: bytes) -> list[bytes]:
    whole, left = int.from_bytes(payload, "big"), 8 * len(payload)

    def take(bits: int) -> int:
        nonlocal left
        left -= bits
        if left < 0:
            raise ValueError("shorter than its frames")
        return whole >> left & ((1 << bits) - 1)

    take(4)
    heads: list[int] = []
    while not heads or heads[-1] & 32:
        heads.append(take(6))
    frames = []
    for head in heads:
        bits = _bits(head >> 1 & 15)
        spare = -bits % 8
        speech = (take(bits) << spare).to_bytes((bits + spare) // 8, "big")
        frames.append(bytes((head << 2 & 0x7C,)) + speech)
    return frames


def _bits(kind: int) -> int:
    if kind in SILENT:
        return 0
    if kind >= len(BITS):
        raise ValueError(f"frame type {kind}")
    return BITS[kind]


class AmrWb:
    """The codec of `sound.Sound`. `mode`: 0 to 8, 6.6 to 23.85 kbit/s."""

    name = "AMR-WB"
    rate = 16000

    def __init__(self, pt: int = 97, aligned: bool = False, mode: int = 2) -> None:
        self.pt = pt
        self.aligned = aligned
        self.fmtp: str | None = "octet-align=1" if aligned else None
        self.mode = mode
        self._decoder: Any = cast(Any, av.CodecContext.create("amrwb", "r"))
        self._decoder.sample_rate = self.rate
        self._decoder.layout = "mono"

    def frames(self, hertz: float) -> Iterator[bytes]:
        """See `sound.Codec`. A second of the tone, encoded once and then repeated."""
        encoder = _Encoder()
        times = np.arange(self.rate) / self.rate
        samples = (np.sin(2 * np.pi * hertz * times) * 13000).astype("<i2")
        payloads = [
            pack(encoder.encode(self.mode, samples[place : place + FRAME].tobytes()), self.aligned)
            for place in range(0, self.rate, FRAME)
        ]
        encoder.close()
        while True:
            yield from payloads

    def decode(self, payload: bytes) -> Samples:
        """See `sound.Codec`."""
        parts = [
            decoded.to_ndarray()[0].astype(np.float64)
            for frame in unpack(payload, self.aligned)
            for decoded in self._decoder.decode(av.Packet(frame))
        ]
        return np.concatenate(parts) if parts else np.zeros(0)


class _Encoder:
    """libvo-amrwbenc's interface (enc_if.h)."""

    def __init__(self) -> None:
        library = ctypes.CDLL(find_library("vo-amrwbenc") or "libvo-amrwbenc.so.0")
        library.E_IF_init.restype = ctypes.c_void_p
        library.E_IF_encode.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
        library.E_IF_exit.argtypes = [ctypes.c_void_p]
        self._library = library
        self._state = library.E_IF_init()
        self._out = ctypes.create_string_buffer(64)

    def encode(self, mode: int, samples: bytes) -> bytes:
        """A frame, as in files, of 320 samples of 16 bits."""
        length = self._library.E_IF_encode(self._state, mode, samples, self._out, 0)
        return self._out.raw[:length]

    def close(self) -> None:
        self._library.E_IF_exit(self._state)
