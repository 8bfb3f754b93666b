"""What a phone says and hears, on real RTP ports: a tone of its own in one codec, and what comes, decoded.

    sound = Sound(G711(0), port=21070, tone=900)
    sound.listen()
    sound.connect(("127.0.0.1", 22100))      from now on the tone goes there, a packet every 20 ms
    sound.heard()                            Hz of the last half second that came
    await sound.close()

It plays at once and decodes what comes as it comes: no jitter buffer, nothing concealed. What it hears is therefore
what the other side has sent, not what a good phone would make of it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from tests.live.tones import Samples, dominant, purity
from tests.live.waiting import HOST, reactor

Address = tuple[str, int]

PTIME = 0.02
"""Seconds per packet."""
KEPT = 4.0
"""Seconds of what was heard that are kept."""
_HEAD = struct.Struct("!BBHII")


class Codec(Protocol):
    """One way to put sound into packets. `rate`: samples per second, which is also the clock of its timestamps."""

    pt: int
    name: str
    rate: int
    fmtp: str | None

    def frames(self, hertz: float) -> Iterator[bytes]:
        """Payloads of 20 ms of a tone, without end."""

    def decode(self, payload: bytes) -> Samples:
        """The samples in one payload, -1 to 1. Payloads come in their order."""


class G711:
    """PCMU (payload type 0) or PCMA (8), by arithmetic of its own (ITU-T G.711 tables 1a and 2a)."""

    rate = 8000
    fmtp: str | None = None

    def __init__(self, pt: int) -> None:
        self.pt = pt
        self.name = {0: "PCMU", 8: "PCMA"}[pt]
        self._linear = {0: _mu_law, 8: _a_law}[pt](np.arange(256)) / 32768

    def frames(self, hertz: float) -> Iterator[bytes]:
        """See `Codec`."""
        order = np.argsort(self._linear)
        samples = 0.4 * np.sin(2 * np.pi * hertz * np.arange(self.rate) / self.rate)
        octets = order[np.searchsorted(self._linear[order], samples).clip(0, 255)].astype(np.uint8).tobytes()
        while True:
            yield from (octets[place : place + 160] for place in range(0, self.rate, 160))

    def decode(self, payload: bytes) -> Samples:
        """See `Codec`."""
        return self._linear[np.frombuffer(payload, np.uint8)]


def _mu_law(codes: NDArray[np.int_]) -> Samples:
    codes = ~codes & 0xFF
    size = (((codes & 15) << 3) + 0x84 << (codes >> 4 & 7)) - 0x84
    return np.where(codes & 0x80, -size, size).astype(np.float64)


def _a_law(codes: NDArray[np.int_]) -> Samples:
    codes = codes ^ 0x55
    exponent, mantissa = codes >> 4 & 7, (codes & 15) << 4
    size = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(codes & 0x80, size, -size).astype(np.float64)


class RtpPort(DatagramProtocol):
    """A UDP port that takes RTP packets, counts them by payload type and source, and notes when each came."""

    host = HOST
    """Its address."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.remote: Address | None = None
        self.arrivals: list[float] = []
        """The reactor's seconds."""
        self.types: Counter[int] = Counter()
        self.sources: Counter[int] = Counter()
        self._open: Any = None

    def listen(self) -> None:
        """Open it."""
        self._open = reactor.listenUDP(self.port, self, interface=self.host)

    async def close(self) -> None:
        """Close it."""
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.stopListening()

    def send(self, packet: bytes) -> None:
        """To where the other side wants to have it."""
        if self._open is not None and self.remote is not None and self.transport is not None:
            self.transport.write(packet, self.remote)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if len(datagram) < 12 or datagram[0] >> 6 != 2:
            return
        first, second, sequence, stamp, source = _HEAD.unpack_from(datagram)
        start = 12 + 4 * (first & 15)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
        self.arrivals.append(reactor.seconds())
        self.types[second & 127] += 1
        self.sources[source] += 1
        self.packet(second & 127, bool(second & 128), sequence, stamp, datagram[start:])

    def packet(self, pt: int, marker: bool, sequence: int, stamp: int, payload: bytes) -> None:
        """One packet has come."""
        raise NotImplementedError

    def connectionRefused(self) -> None:
        """Nobody listens there any more; whoever waits for sound will say so."""


class Sound(RtpPort):
    """One end of a stream of sound. `events`: the payload type of telephone-event."""

    def __init__(self, codec: Codec, port: int, tone: float, events: int = 101) -> None:
        super().__init__(port)
        self.codec = codec
        self.events = events
        self.sent = 0
        self.broken = 0
        """Packets that were no such codec's."""
        self.first_sent: float | None = None
        """The reactor's seconds when the present tone's first packet was sent."""
        self._ssrc, self._sequence, self._stamp = 0x5000 + port, 1000, 160000
        self._samples: list[Samples] = []
        self._clock = LoopingCall(self._play)
        self._clock.clock = reactor
        self.say(tone)

    def say(self, tone: float) -> None:
        """Another tone from now on."""
        self._frames = self.codec.frames(tone)
        self.first_sent = None

    def connect(self, remote: Address, playing: bool = True) -> None:
        """Where the other side wants to be sent to; with `playing`, begin (again)."""
        self.remote = remote
        if playing and not self._clock.running:
            self._clock.start(PTIME)
        if not playing and self._clock.running:
            self._clock.stop()

    @property
    def name(self) -> str:
        """Of its codec."""
        return self.codec.name

    @property
    def rate(self) -> int:
        """Of its codec's timestamps."""
        return self.codec.rate

    @property
    def fmtp(self) -> str | None:
        """Its codec's parameters."""
        return self.codec.fmtp

    @property
    def pt(self) -> int:
        """Its codec's payload type: that of the offer, once one has been answered."""
        return self.codec.pt

    @pt.setter
    def pt(self, pt: int) -> None:
        self.codec.pt = pt

    async def close(self) -> None:
        """Be silent, and free the port."""
        if self._clock.running:
            self._clock.stop()
        await super().close()

    def latest(self, seconds: float = 0.5) -> Samples:
        """What was heard last."""
        wanted = int(seconds * self.codec.rate)
        samples = np.concatenate(self._samples) if self._samples else np.zeros(0)
        return samples[-wanted:]

    def heard(self, seconds: float = 0.5) -> float:
        """Hz of the loudest tone in it; 0 for silence."""
        return dominant(self.latest(seconds), self.codec.rate)

    def level(self, seconds: float = 0.5) -> float:
        """How loud it is: the root of its mean square, 0 to 1; a full tone has 0.7."""
        latest = self.latest(seconds)
        return float(np.sqrt(np.mean(latest**2))) if len(latest) else 0.0

    def purity(self, hertz: float, seconds: float = 1.0) -> float:
        """The share of its energy at this tone."""
        return purity(self.latest(seconds), self.codec.rate, hertz)

    def forget(self) -> None:
        """Only what comes from now on is heard."""
        self._samples.clear()
        self.arrivals.clear()

    def packet(self, pt: int, marker: bool, sequence: int, stamp: int, payload: bytes) -> None:
        if pt != self.codec.pt:
            return
        try:
            self._samples.append(self.codec.decode(payload))
        except ValueError:
            self.broken += 1
        excess = len(self._samples) - int(KEPT / PTIME)
        if excess > 0:
            del self._samples[:excess]

    def _play(self) -> None:
        if self.first_sent is None:
            self.first_sent = reactor.seconds()
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._stamp = (self._stamp + int(self.codec.rate * PTIME)) & 0xFFFFFFFF
        self.sent += 1
        head = _HEAD.pack(0x80, self.codec.pt, self._sequence, self._stamp, self._ssrc)
        self.send(head + next(self._frames))
