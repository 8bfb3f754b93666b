"""Tones as packets of any codec that is converted, and an ear that measures what has become of them (numpy)."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import count

import numpy as np
from attrs import define, field, frozen
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from numpy.typing import NDArray

from rtcgw.media.packets import g711
from rtcgw.media.packets.pyav import Decoder, Encoder
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtp import Timeline
from rtcgw.media.packets.transcode import Recoder
from rtcgw.media.sdp import Codec

PCMU, PCMA, G722 = Codec(0, "PCMU", 8000), Codec(8, "PCMA", 8000), Codec(9, "G722", 8000)
OPUS = Codec(111, "OPUS", 48000, 2)
KEYS_WEB, KEYS_PHONE = Codec(110, "TELEPHONE-EVENT", 48000), Codec(101, "TELEPHONE-EVENT", 8000)
HZ = 440
_FRONT = struct.Struct("!BBHII")
Samples = NDArray[np.int16]


def rate_of(codec: Codec) -> int:
    """Samples per second at which a codec is fed and listened to here."""
    return {"PCMU": 8000, "PCMA": 8000, "G722": 16000, "OPUS": 16000}[codec.name]


def sine(rate: int, seconds: float, hertz: float = HZ) -> Samples:
    """A tone at a quarter of full strength."""
    time = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def packets(
    codec: Codec, ptime: int, seconds: float, seq: int = 100, ts: int = 5000, ssrc: int = 7, channels: int = 1
) -> list[bytes]:
    """A tone in RTP; the first packet bears the marker. Only Opus has two channels."""
    rate = rate_of(codec)
    size = rate * ptime // 1000
    encode: Callable[[bytes], bytes]
    if codec.name in ("PCMU", "PCMA"):
        encode = g711.encoder(codec.name)
    elif channels == 2:
        encode = _opus(rate, size, 2)
    else:
        encode = Encoder(codec.name, rate, size).encode
    sound, made = sine(rate, seconds), []
    for place in range(len(sound) // size):
        payload = encode(sound[place * size : (place + 1) * size].tobytes())
        when = (ts + place * ptime * codec.rate // 1000) & 0xFFFFFFFF
        made.append(
            _FRONT.pack(0x80, codec.pt | (128 if not place else 0), (seq + place) & 0xFFFF, when, ssrc) + payload
        )
    return made


def wide() -> Callable[[bytes], bytes]:
    """An encoder of Opus with all the band there is, in frames of 20 ms at 48 kHz."""
    return _opus(48000, 960, 1)


def _opus(rate: int, size: int, channels: int) -> Callable[[bytes], bytes]:
    """An encoder of Opus at a high bit rate, with the same sound in all channels."""
    layout = "stereo" if channels == 2 else "mono"
    context = CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = rate, layout, "s16"
    context.time_base, context.bit_rate = Fraction(1, rate), 96000
    frames = count()

    def encode(sound: bytes) -> bytes:
        frame = AudioFrame(format="s16", layout=layout, samples=size)
        frame.planes[0].update(np.repeat(np.frombuffer(sound, np.int16), channels).tobytes())
        frame.sample_rate, frame.pts = rate, next(frames) * size
        return b"".join(bytes(packet) for packet in context.encode(frame))

    return encode


@frozen
class Heard:
    """One packet as it came out."""

    pt: int
    marker: bool
    seq: int
    ts: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, packet: bytes) -> Heard:
        first, second, seq, ts, ssrc = _FRONT.unpack_from(packet)
        assert first == 0x80
        return cls(second & 127, second > 127, seq, ts, ssrc, packet[12:])


@define
class Line:
    """A timeline that converts, and what came out of it."""

    source: Codec
    target: Codec
    ptime: int = 20
    timeline: Timeline = field(factory=Timeline)
    out: list[Heard] = field(factory=list)
    now: float = 0.0
    recoder: Recoder = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.recoder = Recoder(self.source, self.target, self.ptime)
        self.timeline.agree(self.routes)

    @property
    def routes(self) -> dict[int, Route]:
        """What has been agreed: the sound, and keys beside it."""
        return {
            self.source.pt: Route(self.target.pt, recoder=self.recoder, source=self.source),
            110: Route(101, clock=(48000, 8000), source=KEYS_WEB),
        }

    def feed(self, sent: Iterable[bytes], gap: float = 0.02) -> None:
        """Packets, `gap` seconds apart."""
        for packet in sent:
            self.now += gap
            assert self.timeline.carry(packet, self.now) is None
            self.out += [Heard.parse(one) for one in self.timeline.take()]

    @property
    def sound(self) -> Samples:
        """All that is heard, laid out by its timestamps; silence between."""
        return listen(self.target, [one for one in self.out if one.pt == self.target.pt])


def listen(codec: Codec, heard: Sequence[Heard]) -> Samples:
    """The sound in packets, each at its place."""
    rate = rate_of(codec)
    decode: Callable[[bytes], bytearray]
    decode = g711.decoder(codec.name) if codec.name in ("PCMU", "PCMA") else Decoder(codec.name, rate).decode
    pieces = [(one.ts, np.frombuffer(bytes(decode(one.payload)), np.int16)) for one in heard]
    begin = pieces[0][0]
    places = [((ts - begin) & 0xFFFFFFFF) * rate // codec.rate for ts, _ in pieces]
    sound = np.zeros(max(place + len(piece) for place, (_, piece) in zip(places, pieces, strict=True)), np.int16)
    for place, (_, piece) in zip(places, pieces, strict=True):
        sound[place : place + len(piece)] = piece
    return sound


def loudest(sound: Samples, rate: int) -> float:
    """The frequency heard best, in Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate / len(sound))


def clarity(sound: Samples, rate: int, hertz: float = HZ) -> float:
    """How much stronger the tone is than everything else within telephone band, in decibels."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    frequencies = np.fft.rfftfreq(len(sound), 1 / rate)
    tone = np.abs(frequencies - hertz) < 15
    rest = ~tone & (frequencies > 100) & (frequencies < 3800)
    return float(10 * np.log10(spectrum[tone].sum() / max(spectrum[rest].sum(), 1e-9)))


def rough(sent: Sequence[bytes], loss: float, shuffle: float, seed: int = 1) -> list[bytes]:
    """A bad path: a share is lost, and packets come up to `shuffle` places late."""
    dice = random.Random(seed)
    kept = [packet for place, packet in enumerate(sent) if place < 5 or dice.random() >= loss]
    order = sorted(range(len(kept)), key=lambda place: place + dice.uniform(0, shuffle))
    return [kept[place] for place in order]
