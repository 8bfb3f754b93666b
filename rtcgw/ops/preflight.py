"""`twistd rtcgw --check`: try each listener and each peer, without serving anybody.

A listener is opened and closed again; the core is asked OPTIONS over UDP and offered a TCP connection; STUN and
TURN servers are asked for a sign of life; the media backend looks at itself. What is found is told in the operator's
words, one `Finding` each. Whether a registration would succeed is not tried: it would replace the one of a gateway
that is running.
"""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

from attrs import frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError, ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IListeningPort, IReactorTime, IReactorUDP
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from rtcgw.config import Config, Ice, Records, Sip, listen_address, peer_address
from rtcgw.media.backend import IMediaBackend, MediaError
from rtcgw.rtcweb.stunprobe import Silent, ask, place_of
from rtcgw.sip.message import Request, Response
from rtcgw.sip.parser import ParseError, parse_message
from rtcgw.sip.uri import Uri

PATIENCE = 3.0
"""Seconds given to each peer."""


@frozen
class Finding:
    """One thing that was looked at."""

    good: bool
    what: str
    """The place in the configuration, e.g. `[sip] peer`."""
    text: str

    def __str__(self) -> str:
        return f"{'ok' if self.good else 'FAILED':<8} {self.what}: {self.text}"


async def preflight(config: Config, reactor: Any, media: IMediaBackend) -> list[Finding]:
    """Everything that can be tried. `reactor` gives TCP, UDP, time and names. Never fails."""
    found = [await _listener("[web] listen", config.web.listen, reactor)]
    found.append(await _listener("[sip] listen", config.sip.listen, reactor))
    if config.manhole.enabled:
        found.append(await _listener("[manhole] listen", config.manhole.listen, reactor))
    found.append(await _media(media))
    if config.records.file:
        found.append(_records(config.records))
    found += await _ice(config.ice, reactor)
    if config.sandbox.enabled:
        core = f"tcp:{config.sandbox.core_port}:interface=127.0.0.1"
        found.append(await _listener("[sandbox] core_port", core, reactor))
    else:
        found += await _peer(config.sip, reactor)
    return [*found, _peers(config), _profiles(config), _users(config)]


async def _listener(what: str, endpoint: str, reactor: Any) -> Finding:
    try:
        port: IListeningPort = await serverFromString(reactor, endpoint).listen(Factory.forProtocol(Protocol))
    except (CannotListenError, OSError, ValueError) as error:
        return Finding(False, what, f"{endpoint} cannot be opened: {_words(error)} (is the gateway running?)")
    await _closed(port)
    return Finding(True, what, f"{endpoint} can be opened")


async def _closed(port: IListeningPort) -> None:
    stopped = port.stopListening()
    if stopped is not None:
        await stopped


async def _media(media: IMediaBackend) -> Finding:
    what = f"[media] backend {media.name}"
    try:
        return Finding(True, what, await media.check())
    except MediaError as error:
        return Finding(False, what, error.detail)


async def _ice(ice: Ice, reactor: Any) -> list[Finding]:
    """Every server that pages are given, all asked at once."""
    urls = list(dict.fromkeys(url for server in ice.servers for url in server.urls))
    asked = [Deferred.fromCoroutine(_server(url, reactor)) for url in urls]
    return [await finding for finding in asked]


async def _server(url: str, reactor: Any) -> Finding:
    place = place_of(url)
    if place is None:
        return Finding(True, "[ice] servers", f"{url} cannot be asked over UDP or TCP, and was not")
    try:
        seconds = await ask(place, reactor)
    except Silent as silence:
        return Finding(False, "[ice] servers", f"{url} does not answer: {str(silence) or 'silence'}")
    return Finding(True, "[ice] servers", f"{url} answers within {1000 * seconds:.0f} ms")


async def _peer(sip: Sip, reactor: Any) -> list[Finding]:
    """The core over TCP and over UDP, each as far as the configuration uses it."""
    found = []
    if sip.transport != "udp":
        found.append(await _peer_by_tcp(sip, reactor))
    if sip.transport != "tcp" and not sip.peer.startswith("tls"):
        found.append(await _peer_by_udp(sip, reactor))
    return found


async def _peer_by_tcp(sip: Sip, reactor: Any) -> Finding:
    connecting = clientFromString(reactor, sip.peer).connect(Factory.forProtocol(Protocol))
    connecting.addTimeout(PATIENCE, cast(IReactorTime, reactor))
    try:
        connected = await connecting
    except (ConnectError, ConnectingCancelledError, defer.TimeoutError, OSError) as error:
        return Finding(False, "[sip] peer", f"{sip.peer} takes no connection: {_words(error)}")
    connected.transport.loseConnection()
    return Finding(True, "[sip] peer", f"{sip.peer} takes connections")


class Question(DatagramProtocol):
    """One OPTIONS over UDP, sent again each second, and the answer to it."""

    def __init__(self, host: str, port: int, clock: IReactorTime) -> None:
        self.peer = (host, port)
        self.clock = clock
        self.answer: Deferred[str] = Deferred()

    def startProtocol(self) -> None:
        """Ask."""
        again = LoopingCall(self._ask)
        again.clock = self.clock
        again.start(1.0).addErrback(self.answer.errback)
        self.answer.addBoth(self._stop, again)

    def _stop(self, result: str | Failure, again: LoopingCall) -> str | Failure:
        if again.running:
            again.stop()
        return result

    def _ask(self) -> None:
        transport = cast(Any, self.transport)
        address = transport.getHost()
        transport.write(options_request(self.peer, (address.host, address.port)), self.peer)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Take the first SIP response from the peer; everything else is not for us."""
        if addr[:2] != self.peer or self.answer.called:
            return
        try:
            message = parse_message(datagram)
        except ParseError:
            return
        if isinstance(message, Response):
            self.answer.callback(f"{message.status} {message.phrase}")


def options_request(peer: tuple[str, int], local: tuple[str, int]) -> bytes:
    """An OPTIONS for `peer` from the socket `local` (RFC 3261 §11.1)."""
    request = Request("OPTIONS", Uri.parse(f"sip:{_host(peer[0])}:{peer[1]}"))
    here, nonce = f"{_host(local[0])}:{local[1]}", token_hex(8)
    request.add("Via", f"SIP/2.0/UDP {here};rport;branch=z9hG4bK{nonce}")
    request.add("Max-Forwards", "70")
    request.add("From", f"<sip:check@{here}>;tag={nonce}")
    request.add("To", f"<{request.uri}>")
    request.add("Call-ID", f"{nonce}@{_host(local[0])}")
    request.add("CSeq", "1 OPTIONS")
    request.add("Contact", f"<sip:check@{here}>")
    return request.to_bytes()


async def _peer_by_udp(sip: Sip, reactor: Any) -> Finding:
    host, number = peer_address(sip.peer)
    try:
        peer = await reactor.resolve(host), number
    except DNSLookupError as error:
        return Finding(False, "[sip] peer", f"{host} is not known: {_words(error)}")
    question = Question(*peer, reactor)
    try:
        port = await _udp_port(sip, question, reactor)
    except CannotListenError as error:
        return Finding(False, "[sip] listen", f"its UDP port cannot be opened: {_words(error)}")
    try:
        answer = await question.answer.addTimeout(PATIENCE, reactor)
    except defer.TimeoutError:
        return Finding(False, "[sip] peer", f"{peer[0]}:{peer[1]} gives no answer over UDP")
    except OSError as error:
        return Finding(False, "[sip] peer", f"{peer[0]}:{peer[1]} cannot be sent to: {_words(error)}")
    finally:
        await _closed(port)
    return Finding(True, "[sip] peer", f"{peer[0]}:{peer[1]} answers over UDP: {answer}")


async def _udp_port(sip: Sip, question: Question, reactor: IReactorUDP) -> IListeningPort:
    host, number = listen_address(sip.listen)
    return reactor.listenUDP(number, question, interface=host, maxPacketSize=65535)


def _records(records: Records) -> Finding:
    """That the file can be written was found out when the configuration was read; what is free says for how long."""
    what, place = "[records] file", os.statvfs(Path(records.file).parent)
    free, wanted = place.f_bavail * place.f_frsize, records.max_size * (records.keep + 1)
    if free < records.max_size:
        return Finding(False, what, f"{free} bytes are free for {records.file}, fewer than max_size")
    room = "room for all of its files" if free >= wanted else f"{free} bytes are free, all of its files take {wanted}"
    return Finding(True, what, f"{records.file} can be written; {room}")


def _peers(config: Config) -> Finding:
    names = ", ".join(config.peer_tables) or "none: every peer is a plain phone"
    return Finding(True, "[peer]", names)


def _profiles(config: Config) -> Finding:
    names = ", ".join(profile.name for profile in config.profiles)
    return Finding(True, "[[profile]]", f"{len(config.profiles)} to register{': ' + names if names else ''}")


def _users(config: Config) -> Finding:
    return Finding(True, "[[user]]", f"{len(config.users)} with a place of their own")


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _words(error: Exception) -> str:
    """What is the matter, without Twisted's wrapping."""
    inner = getattr(error, "socketError", None) or error
    return getattr(inner, "strerror", None) or str(inner).rstrip(".") or type(error).__name__
