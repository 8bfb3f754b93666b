"""The sound of an answering phone: its session descriptions, its two UDP sockets, an echo or a tone.

An echo sends every packet back as it came, telephone events included, so it speaks each codec
without knowing it. A tone is made here, and only in G.711. RTCP is read and not used. Packets are
taken from, and sent to, loopback addresses only.
"""

from __future__ import annotations

import math
import secrets
import struct
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from rtcgw.config import is_loopback
from rtcgw.media.codecs import ALLOWED, CORE_DTMF, DTMF, audio, carried, routes
from rtcgw.media.describe import CORE_PROFILE, CoreLine, Origin, Slot, core_body
from rtcgw.media.peers import CorePeer, read_core, refuse
from rtcgw.media.g711 import ULAW_TO_ALAW, ulaw_to_linear
from rtcgw.media.rtp import Timeline
from rtcgw.media.sdp import Codec, Direction
from rtcgw.media.sockets import MAX_PACKET, number, stop, writer

PITCH = 440
"""Hz: the concert pitch."""
LEVEL = 4000
"""Amplitude of the tone, 18 dB below the loudest sample: it is listened to through headphones."""
FRAME = 160
"""Samples of a 20 ms packet."""
RATE = 8000
BURST = 5
"""Packets sent at once at most, when the process was late; the rest is left out."""
_FRONT = struct.Struct("!BBHII")


class Sound(Enum):
    """What a phone lets hear."""

    ECHO = "echo"
    TONE = "tone"


_CODECS = {Sound.ECHO: ("PCMU", "PCMA", "G722"), Sound.TONE: ("PCMU", "PCMA")}


@lru_cache(maxsize=2)
def tone(codec: str) -> tuple[bytes, ...]:
    """The payloads of a tone without a seam, to be sent over and over; `codec` is PCMU or PCMA."""
    values = [(ulaw_to_linear(code), code) for code in range(256)]
    length = math.lcm(FRAME, RATE // math.gcd(RATE, PITCH))
    samples = (LEVEL * math.sin(2 * math.pi * PITCH * place / RATE) for place in range(length))
    octets = bytes(min(values, key=lambda pair: abs(pair[0] - sample))[1] for sample in samples)
    if codec == "PCMA":
        octets = octets.translate(ULAW_TO_ALAW)
    return tuple(octets[start : start + FRAME] for start in range(0, length, FRAME))


class _Receiver(DatagramProtocol):
    """A socket whose packets go to `take`."""

    noisy = False

    def __init__(self, take: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._take = take

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """See `DatagramProtocol`."""
        self._take(datagram, addr)


class RtpPhone:
    """The media of one call. Opens its sockets at once; raises `CannotListenError`."""

    def __init__(self, reactor: Any, host: str, sound: Sound) -> None:
        self._sound = sound
        self._host = host
        self._origin = Origin(host)
        self._ports: list[IListeningPort] = []
        self._peer: CorePeer | None = None
        self._codecs: Sequence[Codec] = _own(sound)
        self._plays: Codec | None = None
        """What the peer hears a tone in, under its number."""
        self._stream = Timeline()
        self._ssrc = secrets.randbits(32)
        self._seq = secrets.randbits(15)
        self._ts = secrets.randbits(31)
        self._place = 0
        self._playing = LoopingCall.withCount(self._play)
        self._playing.clock = reactor
        self.heard = 0
        """Packets of agreed payload types that came."""
        self._rtp = self._open(reactor, self._heard)
        try:
            self._rtcp = self._open(reactor, lambda data, source: None)
        except CannotListenError:
            self.close()
            raise
        self._write = writer(self._rtp)

    def _open(self, reactor: Any, take: Callable[[bytes, tuple[str, int]], None]) -> IListeningPort:
        port: IListeningPort = reactor.listenUDP(0, _Receiver(take), self._host, MAX_PACKET)
        self._ports.append(port)
        return port

    # -- descriptions ----------------------------------------------------------------------

    def offer(self) -> str:
        """Our description, of what we would like or, later in a call, of what is agreed."""
        slots = (Slot("audio", CORE_PROFILE, ""),) if self._peer is None else self._peer.slots
        return self._describe(slots, 0 if self._peer is None else self._peer.index, Direction.SENDRECV)

    def answer(self, offer: str) -> str:
        """The answer to an offer; it holds from now on. Raises `MediaError`, and then nothing has changed."""
        peer = read_core(offer, None if self._peer is None else self._peer.index)
        codecs = carried(peer.codecs, _CODECS[self._sound])
        self._agree(peer, codecs)
        self._codecs = codecs
        return self._describe(peer.slots, peer.index, peer.direction.mirrored)

    def take(self, answer: str) -> None:
        """The answer to our offer. Raises `MediaError`."""
        self._agree(read_core(answer, 0 if self._peer is None else self._peer.index), self._codecs)

    def _agree(self, peer: CorePeer, ours: Sequence[Codec]) -> None:
        theirs = carried(peer.codecs, _CODECS[self._sound])
        if not audio(theirs):
            raise refuse("no codec in common")
        if peer.address is not None and not is_loopback(peer.address[0]):
            raise refuse("the sandbox's phones send to this machine only")
        self._peer = peer
        self._plays = audio(theirs)[0]
        self._stream.agree(routes(ours, theirs))

    def _describe(self, slots: Sequence[Slot], index: int, direction: Direction) -> str:
        line = CoreLine(self._host, number(self._rtp), number(self._rtcp), self._codecs, direction)
        return self._origin.stamp(core_body(line, slots, index))

    # -- packets ---------------------------------------------------------------------------

    def start(self) -> None:
        """Let hear what there is to hear, as soon as the peer is known. An echo needs no start."""
        if self._sound is Sound.TONE and self._peer is not None and not self._playing.running:
            # Its Deferred never fails: `_play` raises nothing.
            self._playing.start(FRAME / RATE)

    def close(self) -> Deferred[Any]:
        """Silence; fires when the ports are free again."""
        if self._playing.running:
            self._playing.stop()
        ports, self._ports = self._ports, []
        return gatherResults([stop(port) for port in ports])

    def _heard(self, data: bytes, source: tuple[str, int]) -> None:
        """A packet: sent back under an SSRC of our own; its sender would take its own for a loop (RFC 3550 §8.2)."""
        packet = self._stream.carry(data)
        if packet is None:
            return
        self.heard += 1
        if self._sound is Sound.ECHO:
            self._send(packet[:8] + self._ssrc.to_bytes(4, "big") + packet[12:])

    def _play(self, count: int) -> None:
        codec = self._plays
        if codec is None:
            return
        frames = tone(codec.name)
        late = max(count - BURST, 0)
        self._ts += FRAME * late
        for _ in range(count - late):
            first = 0x80 if self._place == 0 else 0
            head = _FRONT.pack(0x80, codec.pt | first, self._seq & 0xFFFF, self._ts & 0xFFFFFFFF, self._ssrc)
            self._send(head + frames[self._place % len(frames)])
            self._place += 1
            self._seq += 1
            self._ts += FRAME

    def _send(self, packet: bytes) -> None:
        peer = self._peer
        if peer is None or peer.address is None or not peer.direction.receives or not self._ports:
            return
        try:
            self._write(packet, peer.address)
        except OSError:
            return  # a full socket, or the peer's port is closed: a lost packet


def _own(sound: Sound) -> list[Codec]:
    """What we offer."""
    return [*(Codec(ALLOWED[name], name, RATE) for name in _CODECS[sound]), Codec(CORE_DTMF, DTMF, RATE, 1, "0-15")]
