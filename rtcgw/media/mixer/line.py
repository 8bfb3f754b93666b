"""One party's line into a room: its pair of UDP ports, what was agreed with it, its sound in and out.

Towards the party the line is a phone of the core: RTP/AVP, G.711 of either law, telephone events that are taken and
not passed on (seven others need not hear anybody's keys). A party that does not listen is on hold and not heard
either: what it plays meanwhile is music for one, not for a conference (RFC 3264 §8.4).

Packets are believed from the host that the party's description names, the first port of it that sends (RFC 4961), as
`packets/relay.py` does; those of anybody else are dropped and counted.
"""

from __future__ import annotations

import secrets
import struct
from collections import Counter
from collections.abc import Callable, Sequence

from twisted.internet.protocol import DatagramProtocol

from rtcgw.media.codecs import ALLOWED, CORE_DTMF, DTMF, EVENTS, G711, events, routes
from rtcgw.media.describe import CORE_PROFILE, CoreLine, Origin, Slot, core_lines
from rtcgw.media.mixer.inbox import RATE, Inbox
from rtcgw.media.mixer.mixing import FRAME, Sound, is_loud
from rtcgw.media.mixer.reports import Reporter
from rtcgw.media.packets.relay import Latch
from rtcgw.media.packets.rtcp import parts
from rtcgw.media.packets.rtp import Timeline
from rtcgw.media.peers import AUDIO, SECURED, CorePeer, CoreStream, core_peer, refuse
from rtcgw.media.sdp import Codec, Direction
from rtcgw.media.sockets import Address, Write

HANGOVER = 15
"""Beats that a party counts as speaking after its last loud one: the ends of words are soft."""
FLOOD = 16
"""Packets taken of a party between two beats: 160 ms of the smallest that are usual."""
_FRONT = struct.Struct("!BBHII")
_NOWHERE: Write = lambda packet, address: None  # noqa: E731 - a value like the others


class Line(DatagramProtocol):
    """See the module; it is itself the protocol of its RTP socket. `host` and the ports are told to the party.

    `friends` are hosts from which its packets may come besides the one that it names: the gateway's own media, which
    may be told to phones under an address that is not theirs here.
    `opened(write, write_rtcp)` gives it its sockets. Descriptions raise `MediaError`, and then nothing has changed.
    """

    noisy = False

    def __init__(
        self,
        host: str,
        port: int,
        latch: Latch,
        seconds: Callable[[], float],
        friends: frozenset[str] = frozenset(),
    ) -> None:
        self.host = host
        self.port = port
        self.ssrc = secrets.randbits(32)
        self.codecs: Sequence[Codec] = ()
        """What we speak, as told last."""
        self.law = G711[0]
        """What the party is sent, and what lies in its inbox."""
        self.counters: Counter[str] = Counter()
        """What was dropped: `stranger`, `flood`, `rtp`, `rtcp`, `unsent`."""
        self._number = 0
        """Of the payload type that it is sent."""
        self._latch = latch
        self._friends = friends
        self._seconds = seconds
        self._origin = Origin(host)
        self._slots: Sequence[Slot] = ()
        self._stream: CoreStream | None = None
        """The party's, as agreed last."""
        self._source: Address | None = None
        """Where its packets come from, once one has come."""
        self._write = self._write_rtcp = _NOWHERE
        self._timeline = Timeline(AUDIO)
        self._inbox = Inbox(self.law)
        self._reporter = Reporter(self.ssrc, self._timeline)
        self._seq, self._ts = secrets.randbits(15), secrets.randbits(31)
        self._first = True
        """The next packet begins a spurt (RFC 3551 §4.1)."""
        self._packets = self._octets = 0
        self._speaking = 0
        """Beats for which the party still counts as speaking."""
        self._taken = 0
        """Packets since the last beat."""

    def opened(self, write: Write, write_rtcp: Write) -> None:
        """The sockets are there."""
        self._write, self._write_rtcp = write, write_rtcp

    # -- descriptions ----------------------------------------------------------------------

    def offer(self) -> str:
        """Our description: of what we would like, later in a call of what is agreed."""
        if not self._slots:
            self.codecs = [Codec(ALLOWED[name], name, RATE) for name in G711]
            self.codecs.append(Codec(CORE_DTMF, DTMF, RATE, 1, EVENTS))
            self._slots = (Slot(AUDIO, CORE_PROFILE, ""),)
        return self._describe(Direction.SENDRECV)

    def answer(self, offer: str) -> str:
        """The answer to the party's offer; it holds from now on."""
        peer = core_peer(offer)
        if len(peer.slots) < len(self._slots):
            raise refuse("a media line has vanished")
        stream, chosen = self._choose(peer)
        self.codecs, self._slots = chosen, peer.slots
        self._agree(stream, chosen)
        return self._describe(Direction.INACTIVE if self.held else stream.direction.mirrored)

    def take(self, answer: str) -> None:
        """The party's answer to our offer."""
        peer = core_peer(answer)
        if len(peer.slots) != len(self._slots):
            raise refuse("the answer does not fit the offer")
        stream, chosen = self._choose(peer)
        self._agree(stream, chosen)

    @property
    def agreed(self) -> bool:
        """Whether a party's description is in force."""
        return self._stream is not None

    @property
    def held(self) -> bool:
        """Whether the party does not listen: it has put the room on hold."""
        return self._stream is not None and not self._stream.direction.receives

    def _choose(self, peer: CorePeer) -> tuple[CoreStream, list[Codec]]:
        """The party's line of sound, and what of its codecs we speak, in its order."""
        before = None if self._stream is None else self._stream.index
        for stream in peer.streams:
            if stream.kind != AUDIO or stream.proto in SECURED or before not in (None, stream.index):
                continue
            spoken = [
                codec for codec in stream.codecs if codec.name in G711 and (codec.rate, codec.channels) == (RATE, 1)
            ]
            if spoken:
                return stream, [*spoken, *(codec for codec in events(stream.codecs) if codec.rate == RATE)]
        raise refuse("a conference is plain G.711, which the party does not speak")

    def _agree(self, stream: CoreStream, theirs: Sequence[Codec]) -> None:
        named = None if self._stream is None else self._stream.address
        if stream.address != named and stream.address is not None:
            self._source = None
        self._stream = stream
        if theirs[0].name != self.law:
            self.law = theirs[0].name
            self._inbox = Inbox(self.law)
        self._number = theirs[0].pt
        mine = [codec for codec in self.codecs if codec.name != DTMF]
        one = [Codec(ALLOWED[self.law], self.law, RATE)]
        self._timeline.agree({**routes(mine, one), **routes(events(self.codecs), events(self.codecs))})
        if self.held:
            self._inbox.reset()

    def _describe(self, direction: Direction) -> str:
        line = CoreLine(self.host, self.port, self.port + 1, self.codecs, direction)
        place = 0 if self._stream is None else self._stream.index
        return self._origin.stamp(core_lines(self.host, {place: line}, self._slots))

    # -- packets of the party ----------------------------------------------------------------

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """See `DatagramProtocol`."""
        stream = self._stream
        if stream is None or not self._admits(addr, stream):
            self.counters["stranger"] += 1
            return
        self._taken += 1
        if self._taken > FLOOD:
            self.counters["flood"] += 1
            return
        dropped = self._timeline.dropped
        packet = self._timeline.carry(datagram, self._seconds())
        if packet is None:
            self.counters["rtp"] += self._timeline.dropped - dropped
        elif stream.direction is Direction.SENDRECV and packet[1] & 127 == ALLOWED[self.law]:
            self._inbox.put(int.from_bytes(packet[4:8], "big"), packet[12:])

    def _admits(self, addr: Address, stream: CoreStream) -> bool:
        """Whether packets from there are the party's; the first one fixes where the others come from."""
        if self._source is not None:
            return addr == self._source
        if self._may_be(addr, stream.address):
            self._source = addr
        return self._source is not None

    def _may_be(self, addr: Address, named: Address | None) -> bool:
        if self._latch is Latch.ANY or addr == named:
            return True
        return self._latch is Latch.HOST and named is not None and addr[0] in (named[0], *self._friends)

    def reported(self, datagram: bytes, addr: Address) -> None:
        """RTCP of the party: nobody here plays by it; what is none is counted."""
        stream = self._stream
        if stream is None or stream.rtcp is None or addr[0] not in (stream.rtcp[0], *self._friends):
            self.counters["stranger"] += 1
        elif parts(datagram) is None:
            self.counters["rtcp"] += 1

    # -- beats -------------------------------------------------------------------------------

    def speaks(self) -> Sound | None:
        """What the party says now; None while it is silent, or soft enough to pass for it."""
        self._taken = 0
        sound = self._inbox.take()
        if sound is None or self.held:
            self._speaking = 0
            return None
        if is_loud(sound):
            self._speaking = HANGOVER
        elif self._speaking:
            self._speaking -= 1
        return sound if self._speaking else None

    def play(self, octets: bytes, missed: int) -> None:
        """Let the party hear a frame in its law; `missed` frames before it were never made."""
        stream = self._stream
        self._ts = (self._ts + FRAME * (1 + missed)) & 0xFFFFFFFF
        if stream is None or not stream.direction.receives or stream.address is None:
            self._first = True
            return
        self._seq = (self._seq + 1) & 0xFFFF
        second = self._number | (0x80 if self._first or missed else 0)
        self._first = False
        self._packets += 1
        self._octets += len(octets)
        self._post(
            self._write, _FRONT.pack(0x80, second, self._seq, self._ts, self.ssrc) + octets, self._target(stream)
        )

    def report(self, now: float) -> None:
        """Tell the party how it goes."""
        if self._packets and self._stream is not None:
            report = self._reporter.report(now, self._ts, self._packets, self._octets)
            self._post(self._write_rtcp, report, self._stream.rtcp)

    def farewell(self) -> None:
        """The party leaves, or the room is closed."""
        if self._packets and self._stream is not None:
            self._post(self._write_rtcp, self._reporter.farewell(), self._stream.rtcp)
        self._write = self._write_rtcp = _NOWHERE

    def _target(self, stream: CoreStream) -> Address | None:
        return self._source or stream.address

    def _post(self, write: Write, packet: bytes, address: Address | None) -> None:
        if address is None:
            return
        try:
            write(packet, address)
        except OSError:
            self.counters["unsent"] += 1

    # -- for the inspector -------------------------------------------------------------------

    @property
    def speaking(self) -> bool:
        """Whether the party is heard by the others just now."""
        return self._speaking > 0

    @property
    def figures(self) -> dict[str, int]:
        """Packets both ways and what became of them."""
        inbox = self._inbox
        return {
            "received": self._timeline.packets,
            "sent": self._packets,
            "late": inbox.late,
            "filled": inbox.filled,
            "left out": inbox.skipped,
            **self.counters,
        }


class Reports(DatagramProtocol):
    """The protocol of a line's RTCP socket."""

    noisy = False

    def __init__(self, line: Line) -> None:
        self._line = line

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """See `DatagramProtocol`."""
        self._line.reported(datagram, addr)
