"""The backend that carries the sound in this process: ICE-lite and DTLS-SRTP to the browser, RTP/AVP to the phone.

G.711, G.722, Opus, telephone events and pictures pass end to end; Opus becomes G.711 or G.722 where the extra
is installed and the peer's profile says so. All browsers share one UDP port, each media line of a call has two
ports towards the core. It runs on any reactor.

This module owns the sockets and the life of the sessions; what a session answers to descriptions
is in `session.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from rtcgw.media import sockets
from rtcgw.media.backend import Access, IMediaBackend, IMediaSession, MediaError, OnNews, Party
from rtcgw.media.embedded.lines import Ends
from rtcgw.media.embedded.negotiation import Terms
from rtcgw.media.embedded.session import EmbeddedSession
from rtcgw.media.packets import transcode
from rtcgw.media.packets.music import Music
from rtcgw.media.packets.relay import Latch, Relay, RtcpEnd
from rtcgw.media.packets.transcode import Places
from rtcgw.media.packets.voice import Metronome
from rtcgw.media.ports import PortPairs
from rtcgw.media.sockets import Opened
from rtcgw.media.webside.dtls import Identity
from rtcgw.media.webside.plainend import OwnPort, PlainEnd
from rtcgw.media.webside.plainleg import PlainLeg
from rtcgw.media.webside.webend import Door, WebEnd
from rtcgw.media.webside.webleg import WebLeg
from rtcgw.media.webside.webport import WebPort
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.model.wave import Wave


@frozen
class EmbeddedSettings:
    """What the backend needs to know."""

    address: str = "127.0.0.1"
    """Local address of the shared port."""
    port: int = 10000
    """The shared port; 0 takes any."""
    announce: tuple[str, ...] = ()
    """Addresses told to browsers, one candidate each; empty: `address`."""
    core_address: str = "127.0.0.1"
    """Local address of the phones' ports, also told to phones."""
    core_announce: str = ""
    """Address told to phones instead."""
    rtp_low: int = 20000
    rtp_high: int = 29999
    latch: Latch = Latch.HOST
    setup_time: float = 20.0
    """Seconds from the agreement until the browser must have connected."""
    max_sessions: int = 10000
    transcodes: int = 50
    """Calls whose sound is converted at once; without PyAV none is."""
    music: Wave | None = None
    """For whoever is held; None: silence."""


@implementer(IMediaBackend)
class EmbeddedBackend:
    """See the module. `clock` and `udp` are the reactor, twice: it is asked for two things."""

    name = "embedded"

    def __init__(self, settings: EmbeddedSettings, clock: IReactorTime, udp: IReactorUDP) -> None:
        self.settings = settings
        self.web = WebPort(clock)
        self._refused: Counter[str] = Counter()
        """By sessions that have ended."""
        self.pairs = PortPairs(settings.rtp_low, settings.rtp_high)
        self.places = Places(settings.transcodes if transcode.available() else 0)
        self.metronome = Metronome(clock)
        self._music = None if settings.music is None else Music(settings.music)
        self.sessions: dict[SessionId, EmbeddedSession] = {}
        self._clock = clock
        self._udp = udp
        self._opener = sockets.opener(udp)
        self._identity = Identity()
        self._port: IListeningPort | None = None
        self._closing: set[Deferred[Any]] = set()

    def start(self) -> None:
        """Open the shared port. Raises `MediaError` when it cannot be had."""
        if any(host in ("0.0.0.0", "::", "") for host in self._hosts):  # noqa: S104 - refused here
            raise MediaError(Reason.INTERNAL, "an address that browsers can reach must be announced")
        self._port = self._open(self.settings.port, self.web, self.settings.address)
        self.web.opened(sockets.writer(self._port))

    def stop(self) -> Deferred[None]:
        """Close every session, then the ports; it is not started again."""
        for session in list(self.sessions.values()):
            session.close()
        port, self._port = self._port, None
        closing = list(self._closing)
        if port is not None:
            closing.append(sockets.stop(port))
        done: Deferred[Any] = DeferredList(closing, consumeErrors=True)
        return done.addCallback(lambda _: self._opener.stop())

    def check(self) -> Deferred[str]:
        """Whether the ports can be had; opens and closes them where the backend is not running."""
        try:
            tried = self._try() if self._port is None else succeed(None)
        except MediaError as error:
            return fail(error)
        return tried.addCallback(lambda _: self._found())

    def _found(self) -> str:
        settings = self.settings
        return (
            f"embedded: UDP {settings.address} port {settings.port} for browsers, "
            f"{self.pairs.free} of {self.pairs.total} port pairs on {settings.core_address} free"
        )

    def _try(self) -> Deferred[Any]:
        probe = self._open(self.settings.port, WebPort(self._clock), self.settings.address)
        closed = sockets.stop(probe)
        self._pair(DatagramProtocol(), DatagramProtocol(), self.settings.core_address).close()
        return DeferredList([closed, *self._closing], consumeErrors=True)

    @property
    def port(self) -> int:
        """The shared port's number, once started."""
        return self.settings.port if self._port is None else sockets.number(self._port)

    @property
    def counters(self) -> Mapping[str, int]:
        """Datagrams dropped. `stranger`, `flood`: at the browsers' port, see `WebPort`; `phone stranger`: on a phone's
        ports, not the phone's; `... unproven`: forged, replayed, cut short, or before there were keys; `browser
        unassigned`: of no media line; `... rtp`, `... rtcp`: malformed, too late, too many, or of a codec not agreed
        on; `unsent`: refused by a socket."""
        found = self._refused + Counter(self.web.counters)
        for session in self.sessions.values():
            found.update(session.talks.refused())
        return found

    def rows(self) -> list[Mapping[str, object]]:
        """See `IMediaBackend`: one, ourselves."""
        return [
            {
                "carrier": "embedded",
                "calls": len(self.sessions),
                "port pairs free": f"{self.pairs.free} of {self.pairs.total}",
                "converting": f"{self.places.used} of {self.places.limit}",
                "speaking": self.metronome.speaking,
            }
        ]

    def open(
        self, session: SessionId, caller: Access, callee: Access, on_news: OnNews, peer: PeerProfile = PLAIN_PEER
    ) -> IMediaSession:
        """See `IMediaBackend`. Raises `MediaError`: MEDIA for a pair it does not join, OVERLOADED at a bound."""
        if caller.on_web == callee.on_web:
            raise MediaError(Reason.MEDIA, "the embedded relay joins a browser and the core only")
        if self._port is None:
            raise MediaError(Reason.UNREACHABLE, "the embedded relay is not running")
        if len(self.sessions) >= self.settings.max_sessions:
            raise MediaError(Reason.OVERLOADED, f"{self.settings.max_sessions} media sessions are open")
        made = EmbeddedSession(
            web=Party.CALLER if caller.on_web else Party.CALLEE,
            end=self._plain_end if Access.PLAIN in (caller, callee) else self._web_end,
            terms=self._terms(),
            profile=peer,
            clock=self._clock,
            on_news=on_news,
            on_close=lambda: self._forget(session),
        )
        self.sessions[session] = made
        return made

    def _terms(self) -> Terms:
        settings = self.settings
        return Terms(
            web_host=self._hosts[0],
            core_host=settings.core_announce or settings.core_address,
            latch=settings.latch,
            setup_time=settings.setup_time,
            places=self.places,
            take=self._take,
            metronome=self.metronome,
            music=self._music,
        )

    def _take(self, relay: Relay) -> Ends:
        """A pair of ports for one media line, towards the core."""
        return self._pair(relay, RtcpEnd(relay), self.settings.core_address)

    def _web_end(self, on_leg: Callable[[WebLeg], object], on_news: Callable[[str, str], object]) -> WebEnd:
        return WebEnd(self._door, self._clock, self.web, on_leg, on_news)

    def _plain_end(self, on_leg: Callable[[PlainLeg], object], on_news: Callable[[str, str], object]) -> PlainEnd:
        return PlainEnd(self._door, self._clock, self._own, on_leg, on_news)

    @property
    def _hosts(self) -> tuple[str, ...]:
        return self.settings.announce or (self.settings.address,)

    @property
    def _door(self) -> Door:
        return Door(self._identity, self._hosts, self.port)

    def _own(self, protocol: DatagramProtocol) -> OwnPort:
        """A port for one client without ICE. It sends RTCP there as well; the other of the pair stays silent."""
        ends = self._pair(protocol, DatagramProtocol(), self.settings.address)
        return OwnPort(ends.port, ends.write, ends.close)

    def _pair(self, rtp: DatagramProtocol, rtcp: DatagramProtocol, address: str) -> Ends:
        """Two neighbouring ports. Raises `MediaError` (OVERLOADED) with neither left open."""
        port, pair = self.pairs.take(lambda port: self._both(port, rtp, rtcp, address))
        return Ends(port, pair[0].write, pair[1].write, lambda: self._release(port, pair))

    def _both(self, port: int, rtp: DatagramProtocol, rtcp: DatagramProtocol, address: str) -> tuple[Opened, Opened]:
        """Raises `CannotListenError` with neither left open."""
        first = self._opener.open(port, rtp, address)
        try:
            return first, self._opener.open(port + 1, rtcp, address)
        except CannotListenError:
            first.close()
            raise

    def _open(self, port: int, protocol: WebPort, host: str) -> IListeningPort:
        try:
            return sockets.listen(self._udp, port, protocol, host)
        except CannotListenError as error:
            raise MediaError(Reason.INTERNAL, f"UDP {host} port {port}: {error.socketError}") from None

    def _forget(self, session: SessionId) -> None:
        ended = self.sessions.pop(session, None)
        if ended is not None:
            self._refused.update(ended.talks.refused())

    def _release(self, port: int, pair: tuple[Opened, Opened]) -> Deferred[Any]:
        """Close both sockets; the pair is free again once the operating system has them back."""
        closed: Deferred[Any] = DeferredList([one.close() for one in pair], consumeErrors=True)
        self._closing.add(closed)

        def over(_: object) -> None:
            self._closing.discard(closed)
            self.pairs.give(port)

        return closed.addCallback(over)
