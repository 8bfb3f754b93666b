"""A network in memory: UDP ports, addresses, and a wire that a test may cut. Time is a `task.Clock`."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from zope.interface import implementer

from rtcgw.media.backend import Access, IMediaSession, MediaNews, Party, Reoffer
from rtcgw.media.embedded.backend import EmbeddedBackend, EmbeddedSettings
from rtcgw.media.embedded.session import EmbeddedSession
from rtcgw.media.packets.relay import Relay
from rtcgw.media.webside.webleg import WebLeg
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from tests.peers.rtp import RtpEnd
from tests.peers.webrtc import WebRtcPeer

Address = tuple[str, int]
GATEWAY = "127.0.0.1"
BROWSER = ("192.0.2.1", 50000)
PHONE = ("198.51.100.7", 4000)


@implementer(IReactorUDP)
@define(eq=False)
class Network:
    """Delivers datagrams in order when `run` is called; `cut(data, source, target)` True loses one."""

    clock: Clock = field(factory=Clock)
    ports: dict[Address, Callable[[bytes, Address], object]] = field(factory=dict)
    taken: set[int] = field(factory=set)
    """Port numbers that another program sits on."""
    cut: Callable[[bytes, Address, Address], bool] = field(default=lambda *_: False)
    sent: list[tuple[bytes, Address, Address]] = field(factory=list)
    _wire: deque[tuple[bytes, Address, Address]] = field(factory=deque)

    def listenUDP(self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """As a reactor does."""
        port = port or 49152
        if port in self.taken or (interface, port) in self.ports:
            raise CannotListenError(interface, port, OSError(errno.EADDRINUSE, "Address already in use"))
        opened = MemoryPort(self, (interface, port))
        self.ports[interface, port] = protocol.datagramReceived
        return opened

    def send(self, data: bytes, source: Address, target: Address) -> None:
        """Put a datagram on the wire."""
        self.sent.append((data, source, target))
        self._wire.append((data, source, target))

    def run(self) -> None:
        """Deliver what is on the wire, and what that causes."""
        while self._wire:
            data, source, target = self._wire.popleft()
            receiver = self.ports.get(target)
            if receiver is not None and not self.cut(data, source, target):
                receiver(data, source)

    def spend(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, delivering meanwhile."""
        for _ in range(round(seconds / step)):
            self.run()
            self.clock.advance(step)
        self.run()


@implementer(IListeningPort)
@define(eq=False)
class MemoryPort:
    """An open port."""

    _network: Network
    _address: Address

    def write(self, data: bytes, address: Address) -> None:
        self._network.send(data, self._address, address)

    def startListening(self) -> None:
        """It is already."""

    def stopListening(self) -> Deferred[None]:
        """Closed on the next turn of the reactor, as real ports are."""
        done: Deferred[None] = Deferred()
        self._network.clock.callLater(0, self._closed, done)
        return done

    def _closed(self, done: Deferred[None]) -> None:
        self._network.ports.pop(self._address, None)
        done.callback(None)

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", *self._address)


def phone_sdp(
    formats: str = "0 8 101",
    direction: str = "sendrecv",
    address: Address = PHONE,
    extra: str = "",
    proto: str = "RTP/AVP",
    version: int = 1,
) -> str:
    """A phone's description."""
    maps = "".join(f"a=rtpmap:{pt} telephone-event/8000\r\n" for pt in formats.split() if int(pt) >= 96)
    return (
        f"v=0\r\no=phone 7 {version} IN IP4 {address[0]}\r\ns=-\r\nc=IN IP4 {address[0]}\r\nt=0 0\r\n"
        f"m=audio {address[1]} {proto} {formats}\r\na=rtpmap:0 PCMU/8000\r\n{maps}{extra}a={direction}\r\n"
    )


class Bench:
    """A gateway's embedded backend, one browser, one phone, and the wire between them."""

    def __init__(
        self,
        caller: Access = Access.WEB,
        settings: EmbeddedSettings | None = None,
        peer: PeerProfile | None = None,
        web: Access = Access.WEB,
    ) -> None:
        self.network = Network()
        self.clock = self.network.clock
        self.backend = EmbeddedBackend(settings or EmbeddedSettings(), self.clock, self.network)
        self.backend.start()
        self.news: list[MediaNews] = []
        calls = caller is Access.WEB
        self.web = Party.CALLER if calls else Party.CALLEE
        self.core = self.web.other
        kinds = (web, Access.CORE) if calls else (Access.CORE, web)
        opened: IMediaSession = self.backend.open(SessionId("s1"), *kinds, self.news.append, peer or PLAIN_PEER)
        assert isinstance(opened, EmbeddedSession)
        self.session: EmbeddedSession = opened
        self.browser = self.new_browser(BROWSER)
        self.phone_port: Address | None = None
        self.phone = RtpEnd(self._from_phone, frequency=1000)
        self.voice = RtpEnd(self._from_browser, frequency=440, events=126)
        self.reports: list[bytes] = []
        self.network.ports[PHONE] = lambda data, _: self.phone.feed(data)
        self.network.ports[PHONE[0], PHONE[1] + 1] = lambda data, _: self.reports.append(data)

    @property
    def leg(self) -> WebLeg:
        """The gateway's end of the browser's media."""
        leg = self.session.talks.end.leg
        assert isinstance(leg, WebLeg)
        return leg

    @property
    def relay(self) -> Relay:
        """The packet path of the sound."""
        return self.session.talks.lines[0].relay

    def new_browser(self, address: Address, **kwargs: Any) -> WebRtcPeer:
        """A page at `address`; the voice and the ear move to it."""
        peer = WebRtcPeer(self.clock, lambda data, target: self.network.send(data, address, target), **kwargs)
        peer.on_rtp = self._to_browser
        self.network.ports[address] = peer.datagram
        self.browser = peer
        return peer

    def _from_browser(self, packet: bytes) -> None:
        self.browser.send_rtp(packet)

    def _to_browser(self, packet: bytes) -> None:
        self.voice.feed(packet)

    def _from_phone(self, packet: bytes) -> None:
        if self.phone_port is not None:
            self.network.send(packet, PHONE, self.phone_port)

    def listen_to(self, sdp: str) -> None:
        """The phone learns where to send from the gateway's description."""
        line = next(line for line in sdp.split("\r\n") if line.startswith("m=audio"))
        self.phone_port = (GATEWAY, int(line.split()[1]))

    def call(self, formats: str = "0 8 101") -> None:
        """The browser calls the phone, is answered, and connects."""
        self.listen_to(str(self.session.offer(self.web, self.browser.offer())))
        self.browser.accept(str(self.session.answer(self.core, phone_sdp(formats), True)))
        self.network.spend(1)

    def talk(self, packets: int = 30) -> None:
        """Both speak for `packets` * 20 ms."""
        for _ in range(packets):
            self.voice.play()
            self.phone.play()
            self.network.run()

    @property
    def states(self) -> list[str]:
        """The news so far, as words."""
        return [news.state.name.lower() for news in self.news]

    @property
    def told_web(self) -> str:
        """What the browser was told last."""
        return self.session.talks.web.origin.text

    @property
    def told_core(self) -> str:
        """What the phone was told last."""
        return self.session.talks.core.origin.text

    def passed(self, origin: Party, sdp: str) -> str:
        """The offer for the other side that comes of a new offer."""
        found = self.session.reoffer(origin, sdp)
        assert isinstance(found, Reoffer)
        assert found.offer is not None
        return found.offer

    def reanswer(self, origin: Party, sdp: str) -> str:
        """The answer to a new offer that the other side need not know of."""
        found = self.session.reoffer(origin, sdp)
        assert isinstance(found, Reoffer)
        assert found.answer is not None
        return found.answer
