"""A page without a browser: the native dialect over a real WebSocket, and sound over real sockets.

    wanda = await gateway.client("wanda")
    call = await wanda.call("sip:bob@ims.test")          OFFER, WAITING
    await wanda.expect("RINGING", session=call.session)
    await call.answered()                                OK with the answer, ANSWER, OK
    await call.hears(700)

Each call has a media endpoint of its own (ICE, DTLS-SRTP), which plays a tone as soon as it is connected.
The whole page in a whole browser has its tests too (`test_chromium_calls.py`); they take longer.
"""

from __future__ import annotations

import base64
import json
import os
from collections import deque
from contextlib import suppress
from typing import Any, cast

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from rtcgw.media.codecs import DTMF
from tests.live.waiting import HOST, reactor, until, within
from tests.peers.browser import frame
from tests.peers.plain import PlainPeer
from tests.peers.rtp import RtpEnd
from tests.peers.webrtc import WebRtcPeer

TONE = 440
"""Hz of what a page says."""


class Media(DatagramProtocol):
    """The media endpoint of one call on a UDP port of its own, of an address of `host`.

    `ice` False: without ICE. `pictures`: a line of VP8 beside the sound, for whoever feeds it.
    """

    def __init__(self, tone: float = TONE, host: str = HOST, ice: bool = True, pictures: bool = False) -> None:
        self._host = host
        self._port = reactor.listenUDP(0, self, interface=host)
        here = (host, self._port.getHost().port)
        kinds = ("video",) if pictures else ()
        self.peer = (
            WebRtcPeer(reactor, self._send, extras=kinds) if ice else PlainPeer(reactor, self._send, here, extras=kinds)
        )
        self.peer.is_v6 = ":" in host
        self.tone = tone
        self.first_heard: float | None = None
        """The reactor's seconds when the first packet of sound came."""
        self.end = RtpEnd(self.peer.send_rtp, frequency=tone)
        self.peer.on_rtp = self._heard
        self._clock = LoopingCall(self._play)
        self._clock.clock = reactor
        self._clock.start(0.02, now=False)

    def offer(self) -> str:
        """A description to call with."""
        return self.peer.offer()

    def accept(self, sdp: str) -> None:
        """Take the answer to it."""
        self.peer.accept(sdp)
        self._tune()

    def answer(self, sdp: str) -> str:
        """Take an offer; the answer to it."""
        answer = self.peer.answer(sdp)
        self._tune()
        return answer

    async def move(self) -> None:
        """Another port from now on, as when a NAT forgets the one before."""
        before, self.transport = self._port, None
        self._port = reactor.listenUDP(0, self, interface=self._host)
        if isinstance(self.peer, PlainPeer):
            self.peer.address = (self._host, self._port.getHost().port)
        await before.stopListening()

    async def close(self) -> None:
        """Say goodbye and free the port."""
        if self._clock.running:
            self._clock.stop()
        self.peer.close()
        await self._port.stopListening()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.peer.datagram(datagram, addr)

    def _send(self, datagram: bytes, address: tuple[str, int]) -> None:
        with suppress(OSError):
            self._port.socket.sendto(datagram, address)  # `transport` is cleared by the port that closes last

    def _tune(self) -> None:
        """Speak G.711 by the law, and press keys by the payload type, that the other side prefers."""
        assert self.peer.remote is not None
        codecs = next(media for media in self.peer.remote.media if media.kind == "audio").codecs
        law = next((codec.pt for codec in codecs if codec.pt in (0, 8)), 0)
        keys = (codec.pt for codec in codecs if codec.name == DTMF and codec.rate == 8000)
        before = self.end
        if law != before.pt or before.received == 0:
            self.end = RtpEnd(self.peer.send_rtp, law, self.tone, next(keys, 101))
            self.end.seq, self.end.ts = before.seq, before.ts  # one stream: SRTP sends no number twice

    def _heard(self, packet: bytes) -> None:
        if self.first_heard is None:
            self.first_heard = reactor.seconds()
        self.end.feed(packet)

    def _play(self) -> None:
        if self.peer.connected:
            self.end.play()


PROGRESS = frozenset({"RINGING", "PROGRESS"})
"""What a called phone may say again at any time before it answers."""


@define(eq=False)
class Call:
    """One call of a page."""

    client: WebClient
    session: str
    media: Media
    offer: str = ""
    """For an incoming call: the gateway's offer."""

    async def answered(self, timeout: float = 10) -> None:
        """The called answers: the answer is applied, the final reply sent and acknowledged."""
        answer = await self.client.expect_any({"OK"}, timeout, PROGRESS, for_="OFFER", session=self.session)
        if "sdp" in answer:
            self.media.accept(answer["sdp"])
        sent = self.client.send("ANSWER", session=self.session)
        await self.client.expect("OK", for_="ANSWER", id=sent)

    async def ringing(self) -> None:
        """It rings, without or with an early description, which is applied and acknowledged."""
        news = await self.client.expect_any({"RINGING", "PROGRESS"}, session=self.session)
        if "sdp" in news:
            self.media.accept(news["sdp"])
            sent = self.client.send("PRANSWER", session=self.session)
            await self.client.expect_among("OK", for_="PRANSWER", id=sent)

    async def ring(self) -> None:
        """Incoming: tell the caller that it rings."""
        sent = self.client.send("RINGING", session=self.session)
        await self.client.expect("OK", for_="RINGING", id=sent)

    async def accept(self) -> None:
        """Incoming: answer it."""
        sent = self.client.send("ANSWER", session=self.session, sdp=self.media.answer(self.offer))
        await self.client.expect("OK", for_="ANSWER", id=sent)

    async def refreshed(self, timeout: float = 10) -> None:
        """The gateway offers other media than so far: they get an endpoint of their own, the old one goes."""
        change = await self.client.expect_among("OFFER", timeout, session=self.session, fresh=True)
        old, self.media = self.media, Media(self.media.tone, self.client.host, self.client.ice, self.client.pictures)
        sent = self.client.send("ANSWER", session=self.session, sdp=self.media.answer(change["sdp"]))
        await self.client.expect_among("OK", for_="ANSWER", id=sent)
        await old.close()

    async def hang_up(self, **fields: Any) -> None:
        """End it, cancel it, or refuse it with `reason`."""
        sent = self.client.send("HANGUP", session=self.session, **fields)
        await self.client.expect("OK", for_="HANGUP", id=sent)

    async def ended(self, reason: str | None = None, timeout: float = 10) -> dict[str, Any]:
        """The other side ends it."""
        wanted = {} if reason is None else {"reason": reason}
        return await self.client.expect("HANGUP", timeout, session=self.session, **wanted)

    async def hears(self, hertz: float, timeout: float = 10) -> None:
        """Wait until the loudest tone heard is this one."""

        def look() -> bool:
            return abs(self.media.end.frequency - hertz) <= 10

        heard = self.media.end
        await until(f"the page hears {hertz:g} Hz (failure: {self.media.peer.failure!r})", look, timeout)
        assert heard.received > 0


class WebClient(Protocol):
    """One WebSocket connection of a page. Messages wait in order until they are expected."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: deque[dict[str, Any]] = deque()
        self.calls: list[Call] = []
        self.host = HOST
        """The address of its media."""
        self.ice = True
        """Its media have ICE."""
        self.pictures = False
        """Its calls have pictures."""
        self.closed_with: int | None = None
        self.lost = False
        self._buffer = b""
        self._ids = 0
        self._warm: dict[str | None, str] = {}
        """The gateway's own early answers by session, empty once applied."""
        self._opened: Deferred[None] = Deferred()

    # -- the wire --------------------------------------------------------------------------

    async def connect(self, endpoint: IStreamClientEndpoint | None = None) -> None:
        """Open the WebSocket as the gateway's own page would; by TCP, or by the `endpoint` of a page under TLS."""
        scheme = "http" if endpoint is None else "https"
        await connectProtocol(endpoint or TCP4ClientEndpoint(reactor, HOST, self.port), self)
        key = base64.b64encode(os.urandom(16)).decode()
        self._write(
            f"GET /ws HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: {scheme}://{HOST}:{self.port}\r\n"
            "Sec-WebSocket-Protocol: rtcgw.1\r\n\r\n".encode()
        )
        await within("the WebSocket opens", self._opened, 5)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        if not self._opened.called:
            head, ended, rest = self._buffer.partition(b"\r\n\r\n")
            if not ended:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._opened.errback(Failure(AssertionError(head.decode())))
                return
            self._buffer = rest
            self._opened.callback(None)
        while self._frame():
            pass

    def _frame(self) -> bool:
        data = self._buffer
        if len(data) < 2:
            return False
        length, start = data[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return False
        payload, self._buffer = data[start : start + length], data[start + length :]
        kind = data[0] & 0x0F
        if kind == 1:
            self._message(json.loads(payload))
        elif kind == 8:
            self.closed_with = int.from_bytes(payload[:2], "big") if payload else 1005
            self._write(frame(payload[:2], 0x88))
        elif kind == 9:
            self._write(frame(payload, 0x8A))
        return True

    def _message(self, message: dict[str, Any]) -> None:
        session = message.get("session")
        if message["type"] == "PROGRESS" and session not in self._warm:
            self._warm[session] = message["sdp"]
            self._warm_up()
        else:
            self.received.append(message)

    def _warm_up(self) -> None:
        """Connect the media of calls that ring. What comes first is the gateway's own early answer; nobody replies."""
        for call in self.calls:
            sdp = self._warm.get(call.session)
            if sdp:
                self._warm[call.session] = ""
                call.media.accept(sdp)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        if not self._opened.called:
            self._opened.errback(reason)

    async def close(self) -> None:
        """Close the WebSocket and the media of its calls, as leaving the page does."""
        for call in self.calls:
            await call.media.close()
        if not self.lost:
            self._write(frame(b"\x03\xe8", 0x88))
            cast(Any, self.transport).loseConnection()
            await until("the WebSocket is closed", lambda: self.lost, 5)

    async def vanish(self) -> None:
        """The browser is killed: its sockets are closed without a word."""
        for call in self.calls:
            call.media.peer.vanish()
            await call.media.close()
        cast(Any, self.transport).abortConnection()
        await until("the connection is lost", lambda: self.lost, 5)

    def _write(self, data: bytes) -> None:
        cast(Any, self.transport).write(data)

    # -- messages --------------------------------------------------------------------------

    def send(self, kind: str, **fields: Any) -> int:
        """Send a message with a fresh `id`, which is returned."""
        self._ids += 1
        self._write(frame(json.dumps({"type": kind, "id": self._ids} | fields).encode()))
        return self._ids

    async def expect(self, kind: str, timeout: float = 10, **fields: Any) -> dict[str, Any]:
        """The next message; it must be of this type and have these fields (`for_` for `for`)."""
        return await self.expect_any({kind}, timeout, **fields)

    async def expect_any(
        self, kinds: set[str], timeout: float = 10, passing: frozenset[str] = frozenset(), **fields: Any
    ) -> dict[str, Any]:
        """The next message, of one of these types and with these fields; before it any of `passing` may come."""
        wanted = {name.rstrip("_"): value for name, value in fields.items()}
        what = f"{' or '.join(sorted(kinds))} {wanted}"
        await until(f"a message comes, wanted {what}", lambda: bool(self.received) or self.lost, timeout)
        if not self.received:
            raise AssertionError(f"the connection was lost ({self.closed_with}), wanted {what}")
        message = self.received.popleft()
        if message["type"] in passing:
            return await self.expect_any(kinds, timeout, passing, **fields)
        if message["type"] not in kinds or {name: message.get(name) for name in wanted} != wanted:
            raise AssertionError(f"{message} came, wanted {what}")
        return message

    async def expect_among(self, kind: str, timeout: float = 10, **fields: Any) -> dict[str, Any]:
        """A message of this type with these fields, whatever comes before it; that stays to be expected."""
        wanted = {name.rstrip("_"): value for name, value in fields.items()} | {"type": kind}

        def found() -> dict[str, Any] | None:
            return next((m for m in self.received if {name: m.get(name) for name in wanted} == wanted), None)

        message = await until(f"{wanted} comes", found, timeout)
        self.received.remove(message)
        return message

    # -- what a page does ------------------------------------------------------------------

    async def login(
        self, token: str, capabilities: tuple[str, ...] = ("progress", "trickle"), ice: bool = True
    ) -> dict[str, Any]:
        """Log in by a token. `ice` False: as a client whose media have no ICE."""
        self.ice = ice
        sent = self.send("LOGIN", token=token, capabilities=list(capabilities), ice=ice)
        return await self.expect("OK", for_="LOGIN", id=sent)

    async def call(self, to: str, tone: float = TONE) -> Call:
        """Call somebody; comes back when the call has its name."""
        media = Media(tone, self.host, self.ice, self.pictures)
        sent = self.send("OFFER", to=to, sdp=media.offer())
        call = Call(self, "", media)
        self.calls.append(call)
        call.session = (await self.expect("WAITING", id=sent, to=to))["session"]
        self._warm_up()
        return call

    async def called(self, timeout: float = 10, tone: float = TONE, **fields: Any) -> Call:
        """Wait to be called."""
        offer = await self.expect("OFFER", timeout, sdpType="offer", **fields)
        call = Call(self, offer["session"], Media(tone, self.host, self.ice, self.pictures), offer["sdp"])
        self.calls.append(call)
        return call
