"""Opus and G.722 by FFmpeg: the only module that knows PyAV, imported only where something is converted.

Sound is 16-bit mono in the machine's order, as `bytes`. What the library needs care with is kept here: planes are
longer than their samples, an empty packet would end a decoder for good, a resampler swallows its own delay.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet

_BITRATE = {8000: 24000, 16000: 28000}
"""Bits per second of Opus by sampling rate: full band of each (RFC 6716 §2.1.1 asks for 12 and 20 at least), and
more, because what is encoded has been through another codec already."""
_COMPLEXITY = 3
"""Of 10. Each step above costs a processor more (5: three quarters more, 10: twice) and at these rates is not heard."""


_BANDS = tuple(
    rate
    for rate, configurations in ((8, 4), (12, 4), (16, 4), (24, 2), (48, 2), (8, 4), (16, 4), (24, 4), (48, 4))
    for rate in [1000 * rate] * configurations
)
"""Sampling rate that the sound of an Opus packet needs, by its configuration number (RFC 6716 §3.1 table 2)."""


class SoundError(Exception):
    """A payload that is no sound."""


_Name = Literal["libopus", "g722"]
_DECODERS: dict[str, tuple[_Name, int]] = {"OPUS": ("libopus", 48000), "G722": ("g722", 16000)}
"""FFmpeg's name, and the rate it decodes to whatever is asked."""


def _context(name: _Name, mode: Literal["r", "w"], rate: int) -> AudioCodecContext:
    made = CodecContext.create(name, mode)
    made.sample_rate = rate
    made.layout = "mono"
    return made


class Decoder:
    """`OPUS` or `G722` to sound of `rate` samples per second. Stereo becomes mono."""

    __slots__ = ("_context", "_late", "_native", "_rate", "_resampler", "_step")

    def __init__(self, name: str, rate: int) -> None:
        codec, self._native = _DECODERS[name]
        self._rate = rate
        self._context = _context(codec, "r", self._native)
        self._resampler = None if rate == self._native else AudioResampler(format="s16", layout="mono", rate=rate)
        self._step = self._native // rate if name == "OPUS" else 0
        """Of how many samples one is kept where the packet has no more band than `rate` holds: a browser that is told
        `maxplaybackrate` sends such packets, and the resampler would cost as much as the decoder."""
        self._late = self._resampler is not None
        """The resampler's delay is still to be made up for."""

    def decode(self, payload: bytes) -> bytearray:
        """The sound in a payload. Raises `SoundError`."""
        if not payload:
            raise SoundError("an empty payload")
        try:
            frames = self._context.decode(Packet(payload))
        except (FFmpegError, ValueError) as error:
            raise SoundError(str(error)) from None
        count = sum(frame.samples for frame in frames)
        step = self._step
        if step and _BANDS[payload[0] >> 3] <= self._rate:
            return bytearray().join(
                memoryview(one.planes[0]).cast("h")[: one.samples : step].tobytes() for one in frames
            )
        found = bytearray()
        for frame in frames:
            for piece in self._resampled(frame):
                found += memoryview(piece.planes[0])[: 2 * piece.samples]
        if not count:
            raise SoundError("no sound in a payload")
        if self._late:
            self._late = False
            found[:0] = bytes(max(0, 2 * count * self._rate // self._native - len(found)))
        return found

    def _resampled(self, frame: AudioFrame) -> list[AudioFrame]:
        if self._resampler is None:
            return [frame]
        frame.pts = None
        return self._resampler.resample(frame)


class Encoder:
    """Sound of `rate` samples per second to `OPUS` or `G722`, in frames of `samples`."""

    __slots__ = ("_base", "_context", "_rate", "_samples", "_sent")

    def __init__(self, name: str, rate: int, samples: int) -> None:
        self._rate, self._samples, self._sent = rate, samples, 0
        self._base = Fraction(1, rate)
        made = self._context = _context(_DECODERS[name][0], "w", rate)
        made.format = "s16"
        made.time_base = self._base
        if name == "OPUS":
            made.bit_rate = _BITRATE[rate]
            made.options = {
                "application": "voip",
                "compression_level": str(_COMPLEXITY),
                "frame_duration": str(1000 * samples // rate),
            }
        else:
            made.options = {"frame_size": str(samples)}

    def encode(self, sound: bytes) -> bytes:
        """One frame's payload; empty where the encoder holds it back."""
        frame = AudioFrame(format="s16", layout="mono", samples=self._samples)
        frame.planes[0].update(sound)
        frame.sample_rate = self._rate
        frame.time_base = self._base
        frame.pts = self._sent
        self._sent += self._samples
        return b"".join(bytes(packet) for packet in self._context.encode(frame))


class Resampler:
    """Sound of one rate to another, as long as it was."""

    __slots__ = ("_late", "_resampler", "_source", "_target")

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        self._resampler = AudioResampler(format="s16", layout="mono", rate=target)
        self._late = True

    def resample(self, sound: bytes) -> bytearray:
        """The same sound at the other rate."""
        count = len(sound) // 2
        frame = AudioFrame(format="s16", layout="mono", samples=count)
        frame.planes[0].update(sound)
        frame.sample_rate = self._source
        frame.pts = None
        found = bytearray()
        for piece in self._resampler.resample(frame):
            found += memoryview(piece.planes[0])[: 2 * piece.samples]
        if self._late:
            self._late = False
            found[:0] = bytes(max(0, 2 * (count * self._target // self._source) - len(found)))
        return found
