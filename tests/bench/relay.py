"""Sound through a relay, the embedded one or rtpengine: pages with ICE, DTLS and SRTP on one side, phones with plain
RTP on the other, in one codec or in two.

The pages' set-up is that of `tests/peers/webrtc.py`; once they are connected, packets are only sent and counted,
and both directions of each call have their own place within the 20 ms, as in life.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count, cycle

from attrs import frozen

from rtcgw.media.webside.dtls import Identity
from tests.bench.descriptions import phone
from tests.bench.gateway import Rig
from tests.bench.loop import HOST, Loop, now
from tests.bench.page import News, Page
from tests.peers.webrtc import WebRtcPeer

FRAME = 0.02
"""Seconds of sound in a packet: 50 packets a second in each direction."""
_SLOTS = 20
"""Places within a frame among which the calls are spread."""
_SILENCE = bytes([0xFF]) * 160
_WAIT = 20.0
_RECEIVE = 2 * 1024 * 1024

Address = tuple[str, int]


@frozen
class Voice:
    """What one kind of end sends: payloads in turn, under a payload type, so many ticks apart."""

    pt: int
    ticks: int
    payloads: Sequence[bytes]

    def packets(self, ssrc: int) -> Iterator[bytes]:
        """One after the other, for ever."""
        for place, payload in zip(count(1), cycle(self.payloads)):
            yield (
                struct.pack("!BBHII", 0x80, self.pt, place & 0xFFFF, (place * self.ticks) & 0xFFFFFFFF, ssrc) + payload
            )


PLAIN = Voice(0, 160, [_SILENCE])
"""G.711."""


@cache
def opus() -> Voice:
    """A second of a tone in Opus, as a browser would send it; payload type 111."""
    # Imported here: only the rows with conversion need an encoder.
    import av  # noqa: PLC0415
    import numpy  # noqa: PLC0415

    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.layout = 48000, "s16", "mono"
    encoder.bit_rate, encoder.options = 32000, {"application": "voip"}
    tone = (8000 * numpy.sin(numpy.arange(48000) * (2 * numpy.pi * 440 / 48000))).astype(numpy.int16)
    payloads: list[bytes] = []
    for start in range(0, 48000, 960):
        frame = av.AudioFrame.from_ndarray(tone[None, start : start + 960], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48000, start
        payloads += map(bytes, encoder.encode(frame))
    return Voice(111, 960, payloads)


@frozen
class Sound:
    """What the relay took."""

    calls: int
    core: float
    """Per cent of a processor per call."""
    setup: float
    """Milliseconds of the gateway's run time for setting up a call, ICE and DTLS and signalling together."""
    memory: float
    """KiB of the gateway for each call."""
    delivered: float
    """Per cent of the packets that arrived."""
    late: float
    """Seconds of the generator's longest turn."""


class _End:
    """One UDP socket that counts the packets it is sent."""

    def __init__(self, loop: Loop) -> None:
        self.received = 0
        self._loop = loop
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
        self.socket.setblocking(False)
        self.socket.bind((HOST, 0))
        self.port = int(self.socket.getsockname()[1])
        loop.add(self.socket, self._readable)

    def close(self) -> None:
        self._loop.remove(self.socket)
        self.socket.close()

    def take(self, data: bytes, source: Address) -> None:
        """What is no sound."""

    def _readable(self) -> None:
        try:
            while True:
                data, source = self.socket.recvfrom(2048)
                if data and 127 < data[0] < 192:
                    self.received += 1
                elif data:
                    self.take(data, source)
        except (BlockingIOError, ConnectionRefusedError):
            return


class _Browser(_End):
    """A page's media."""

    def __init__(self, loop: Loop, identity: Identity, number: int, formats: Sequence[int]) -> None:
        super().__init__(loop)
        self.peer = WebRtcPeer(loop.clock, self.socket.sendto, formats, identity)
        self.peer.ufrag = f"bn{number}"

    def take(self, data: bytes, source: Address) -> None:
        self.peer.datagram(data, source)


class _Talk:
    """One call's two ends."""

    def __init__(self, loop: Loop, identity: Identity, number: int, voice: Voice) -> None:
        self.number = number
        self.browser = _Browser(loop, identity, number, [voice.pt, 126])
        self.phone = _End(loop)
        self.relay: Address = (HOST, 0)
        """Where the phone sends to."""
        self._up, self._down = voice.packets(number), PLAIN.packets(number)

    def play(self) -> None:
        """One packet each way."""
        self.browser.peer.send_rtp(next(self._up))
        self.phone.socket.sendto(next(self._down), self.relay)

    def close(self) -> None:
        self.browser.peer.vanish()
        self.browser.close()
        self.phone.close()


class Talks:
    """`size` calls of a gateway, all talking at once, the pages in `voice` and the phones in G.711.

    `cpu` gives the run time of whoever carries the sound, in seconds.
    """

    def __init__(self, rig: Rig, size: int, voice: Voice = PLAIN, cpu: Callable[[], float] | None = None) -> None:
        self._rig = rig
        self._cpu = cpu or rig.process.cpu
        identity = Identity()
        self._talks = {number: _Talk(rig.loop, identity, number, voice) for number in range(1, size + 1)}
        self._sessions: dict[str, _Talk] = {}
        rig.core.answer = self._answer

    def measure(self, seconds: float) -> Sound:
        """Call, wait until all are connected, talk for a while, and hang up."""
        rig, talks = self._rig, list(self._talks.values())
        memory, cpu = rig.process.memory(), rig.process.cpu()
        try:
            for talk in talks:
                page = rig.calls.pages[talk.number % len(rig.calls.pages)]
                page.on_news = self._news
                page.send(
                    type="OFFER", id=talk.number, to=f"sip:c{talk.number}@bench.test", sdp=talk.browser.peer.offer()
                )
                rig.loop.rest(0.01)
            if not rig.loop.until(lambda: all(talk.browser.peer.connected for talk in talks), _WAIT):
                raise RuntimeError(f"sound does not connect:\n{rig.process.log()[-2000:]}")
            setup = 1000 * (rig.process.cpu() - cpu) / len(talks)
            self._play(0.5)
            return self._measured(seconds, setup, (rig.process.memory() - memory) / len(talks))
        finally:
            for talk in talks:
                talk.close()

    def _measured(self, seconds: float, setup: float, memory: float) -> Sound:
        rig, talks = self._rig, self._talks.values()
        rig.loop.late, heard, cpu, began = 0.0, self._heard(), self._cpu(), now()
        sent = self._play(seconds)
        spent, passed = self._cpu() - cpu, now() - began
        rig.loop.rest(0.2)
        share = 100 * (self._heard() - heard) / max(1, sent)
        return Sound(len(talks), 100 * spent / passed / len(talks), setup, memory, share, rig.loop.late)

    def _play(self, seconds: float) -> int:
        """Send for a while; how many packets."""
        talks = list(self._talks.values())
        slots = [talks[place::_SLOTS] for place in range(_SLOTS)]
        began, sent = now(), 0
        for place in range(int(seconds / FRAME) * _SLOTS):
            due = began + place * FRAME / _SLOTS
            while (left := due - now()) > 0:
                self._rig.loop.turn(left)
            for talk in slots[place % _SLOTS]:
                talk.play()
                sent += 2
            self._rig.loop.turn(0)
        return sent

    def _heard(self) -> int:
        return sum(talk.browser.received + talk.phone.received for talk in self._talks.values())

    def _answer(self, number: int, offer: str) -> str:
        talk = self._talks[number]
        found = re.search(r"^m=audio (\d+)", offer, re.MULTILINE)
        talk.relay = (HOST, int(found[1]) if found else 0)
        return phone(talk.phone.port)

    def _news(self, page: Page, news: News) -> None:
        if news.type == "WAITING" and news.id in self._talks:
            self._sessions[news.session or ""] = self._talks[news.id]
        talk = self._sessions.get(news.session or "")
        if talk is not None and news.for_ == "OFFER" and news.sdp is not None:
            talk.browser.peer.accept(news.sdp)
            page.send(type="ANSWER", id=talk.number, session=news.session)
