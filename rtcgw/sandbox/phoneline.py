"""One media line of an answering phone: its pair of UDP sockets, what was agreed for it, and its echo.

An echo sends every packet back as it came, pictures and telephone events included, so it speaks each codec
without knowing it. The picture that it shows is the peer's own: whoever asks it for a whole one is asked in turn.
Other RTCP is read and not used. Packets are taken from, and sent to, loopback addresses only.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol

from rtcgw.config import is_loopback
from rtcgw.media.codecs import DTMF, audio, events, ident, routes
from rtcgw.media.describe import CORE_PROFILE, CoreLine
from rtcgw.media.packets.rtcp import APP_FEEDBACK, parts, picture_wanted
from rtcgw.media.packets.rtp import Timeline
from rtcgw.media.peers import AUDIO, SECURED, VIDEO, CoreStream, refuse
from rtcgw.media.sdp import Codec, Direction
from rtcgw.media.sockets import MAX_PACKET, Address, number, stop, writer

Speech = Mapping[str, Set[tuple[str, int, int]]]
"""What a phone speaks, by the kind of line: names, rates and channels of codecs."""
G711: Speech = {AUDIO: {("PCMU", 8000, 1), ("PCMA", 8000, 1)}}
"""What tones are played in."""
ECHOED: Speech = {
    AUDIO: G711[AUDIO] | {("G722", 8000, 1), ("OPUS", 48000, 2)},
    VIDEO: {("H264", 90000, 1), ("VP8", 90000, 1)},
}
"""What an echo speaks: everything that the gateway carries."""
_WHOLE_PICTURE = (1, 4)
"""Forms of feedback: PLI (RFC 4585 §6.3.1) and FIR (RFC 5104 §4.3.1)."""


def spoken(stream: CoreStream, known: Speech) -> list[Codec]:
    """Of a peer's codecs those that a phone speaks, in the peer's order, telephone events last; [] if none.

    Raises `MediaError` where the peer wants to be sent packets on another machine.
    """
    for address in (stream.address, stream.rtcp):
        if address is not None and not is_loopback(address[0]):
            raise refuse("the sandbox's phones send to this machine only")
    if stream.proto in SECURED:
        return []
    found: dict[object, Codec] = {}
    for codec in stream.codecs:
        if codec.key in known.get(stream.kind, ()) or (codec.name == DTMF and stream.kind == AUDIO):
            found.setdefault(ident(codec), codec)
    voices = audio(found.values())
    return [*voices, *events(found.values())] if voices else []


class _Receiver(DatagramProtocol):
    """A socket whose packets go to `take`."""

    noisy = False

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """See `DatagramProtocol`."""
        self._take(datagram)


class PhoneLine:
    """A line of this `kind`. Opens its sockets at once; raises `CannotListenError`. `echoes`: says what it hears."""

    def __init__(self, reactor: Any, host: str, kind: str, echoes: bool) -> None:
        self.kind = kind
        self.ssrc = secrets.randbits(32)
        self.codecs: Sequence[Codec] = ()
        """What we speak."""
        self.plays: Codec | None = None
        """What the peer hears a tone in, under its number; None before it is known."""
        self.stream: CoreStream | None = None
        """The peer's, as agreed last."""
        self._host = host
        self._echoes = echoes
        self._seconds: Callable[[], float] = reactor.seconds
        self._timeline = Timeline(kind)
        self._ports: list[IListeningPort] = []
        self._rtp = self._open(reactor, self._heard)
        try:
            self._rtcp = self._open(reactor, self._reported)
        except CannotListenError:
            self.close()
            raise
        self._write, self._report = writer(self._rtp), writer(self._rtcp)

    def _open(self, reactor: Any, take: Callable[[bytes], None]) -> IListeningPort:
        port: IListeningPort = reactor.listenUDP(0, _Receiver(take), self._host, MAX_PACKET)
        self._ports.append(port)
        return port

    def close(self) -> Deferred[Any]:
        """Nothing more is sent; fires when the ports are free again."""
        ports, self._ports = self._ports, []
        return gatherResults([stop(port) for port in ports])

    # -- descriptions ----------------------------------------------------------------------

    def agree(self, stream: CoreStream, ours: Sequence[Codec], theirs: Sequence[Codec]) -> None:
        """What holds from now on; `theirs` are those of the peer's codecs that we speak."""
        self.stream, self.codecs, self.plays = stream, ours, theirs[0]
        self._timeline.agree(routes(ours, theirs))

    def offered(self, direction: Direction = Direction.SENDRECV) -> CoreLine:
        """The line in an offer of ours."""
        return self._told(direction)

    def answered(self) -> CoreLine:
        """The line in our answer. Who is sent nothing has nothing to echo, and a picture frame would stay empty."""
        assert self.stream is not None  # agreed just before
        theirs = self.stream.direction
        silent = self._echoes and not theirs.sends
        return self._told(Direction.INACTIVE if silent else theirs.mirrored)

    def _told(self, direction: Direction) -> CoreLine:
        proto, feedback = CORE_PROFILE, tuple[str, ...]()
        if self.stream is not None:
            proto = self.stream.proto
            feedback = self.stream.feedback if self.kind == VIDEO else ()
        ports = number(self._rtp), number(self._rtcp)
        return CoreLine(self._host, *ports, self.codecs, direction, proto, feedback=feedback)

    # -- packets ---------------------------------------------------------------------------

    def send(self, packet: bytes) -> None:
        """Send a packet, if the peer wants any."""
        stream = self.stream
        if stream is not None and stream.direction.receives:
            self._post(self._write, packet, stream.address)

    def _post(self, write: Callable[[bytes, Address], object], packet: bytes, address: Address | None) -> None:
        if address is None or not self._ports:
            return
        try:
            write(packet, address)
        except OSError:
            return  # a full socket, or the peer's port is closed: a lost packet

    def _heard(self, data: bytes) -> None:
        """A packet: sent back under an SSRC of our own; its sender would take its own for a loop (RFC 3550 §8.2)."""
        packet = self._timeline.carry(data, self._seconds())
        if packet is not None and self._echoes:
            self.send(packet[:8] + self.ssrc.to_bytes(4, "big") + packet[12:])

    def _reported(self, data: bytes) -> None:
        """RTCP of the peer, of which only the wish for a whole picture is heard; one wish makes one, whoever sends."""
        wishes = (part.kind == APP_FEEDBACK and part.form in _WHOLE_PICTURE for part in parts(data) or ())
        source = self._timeline.src
        if any(wishes) and self._echoes and source is not None and self.stream is not None:
            self._post(self._report, picture_wanted(self.ssrc, source), self.stream.rtcp)
