"""Is that STUN or TURN server there? One question and its answer, without a state between two of them.

    udp        a STUN Binding request (RFC 8489 §14), repeated until any answer to it comes: a refusal is a sign of life
    tcp, tls   a TCP connection, closed again; what speaks on it is not looked at

TURN over DTLS is not asked: it would need a handshake for each question. Names are resolved for each question, so
that a server that has moved is found; nothing here runs while a page waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IHostResolution, IListeningPort, IResolutionReceiver
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.media.webside import stun

WAITS: Final = (0.5, 1.0, 2.0)
"""Seconds after which the request is repeated, and at last given up (RFC 8489 §6.2.1, cut short)."""
CONNECT_WAIT: Final = 3.5
"""Seconds that a TCP connection may take."""

_URI: Final = re.compile(
    r"(?P<scheme>stuns?|turns?):(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?\[\]]+)"
    r"(:(?P<port>[0-9]{1,5}))?(\?transport=(?P<transport>\w+))?"
)


class Silent(Exception):
    """The server did not answer."""


@frozen
class Place:
    """Where a server listens."""

    transport: str
    """`udp` or `tcp`; TLS is TCP here."""
    host: str
    """An address without brackets, or a name."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}:{host}:{self.port}"


def place_of(url: str) -> Place | None:
    """Where the server of a `stun:` or `turn:` URI (RFC 7064, RFC 7065) is asked; None where it cannot be."""
    found = _URI.fullmatch(url)
    if found is None:
        return None
    secure = found["scheme"] in ("stuns", "turns")
    transport = found["transport"] or ("tcp" if secure else "udp")
    port = int(found["port"] or (5349 if secure else 3478))
    if transport not in ("udp", "tcp") or (secure and transport == "udp") or not 0 < port < 65536:
        return None
    return Place(transport, found["host"].strip("[]"), port)


async def ask(place: Place, reactor: Any) -> float:
    """Seconds until the server answered. Raises `Silent`; may be cancelled.

    `reactor` provides time, UDP, TCP and, where a name is to be resolved, `nameResolver`.
    """
    begun: float = reactor.seconds()
    host = await _address(place.host, reactor)
    if place.transport == "udp":
        await _bind(host, place.port, reactor)
    else:
        await _connect(host, place.port, reactor)
    return float(reactor.seconds() - begun)


async def _bind(host: str, port: int, reactor: Any) -> None:
    """Ask by UDP."""
    question = _Binding(host, port, reactor)
    try:
        opened: IListeningPort = reactor.listenUDP(0, question, interface="::" if ":" in host else "")
    except CannotListenError as error:
        raise Silent(str(error)) from None
    try:
        await question.answer
    finally:
        question.close()
        opened.stopListening()


class _Binding(DatagramProtocol):
    """The request on its way. `answer` fires when it is answered, fails with `Silent` when it is not."""

    def __init__(self, host: str, port: int, reactor: Any) -> None:
        self.answer: Deferred[None] = Deferred()
        self._server = (host, port)
        self._data, self._transaction = stun.binding()
        self._waits = iter(WAITS)
        self._reactor = reactor
        self._timer: Any = None

    def startProtocol(self) -> None:
        """The socket is open."""
        self._send()

    def _send(self) -> None:
        wait = next(self._waits, None)
        if wait is None:
            self._timer = None
            self.answer.errback(Silent("no answer"))
            return
        self._timer = self._reactor.callLater(wait, self._send)
        with suppress(OSError):  # no route now; the next try may have one
            self.transport.write(self._data, self._server)  # type: ignore[union-attr]  # the port sets it before

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Something came."""
        if not self.answer.called and stun.answers(datagram, self._transaction):
            self.answer.callback(None)

    def close(self) -> None:
        """No more is sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _connect(host: str, port: int, reactor: Any) -> None:
    """Ask by TCP."""
    connected: Deferred[None] = Deferred(lambda _: connector.disconnect())
    connector = reactor.connectTCP(host, port, _Knock(connected), CONNECT_WAIT)
    await connected


class _Knock(ClientFactory):
    """Connects, and leaves again."""

    noisy = False

    def __init__(self, connected: Deferred[None]) -> None:
        self._connected = connected

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return _Leaver(self._connected.callback)

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        if not self._connected.called:
            self._connected.errback(Silent(str(reason.value)))


class _Leaver(Protocol):
    def __init__(self, done: Callable[[None], object]) -> None:
        self._done = done

    def connectionMade(self) -> None:
        self.transport.abortConnection()  # type: ignore[union-attr]
        self._done(None)


async def _address(host: str, reactor: Any) -> str:
    """An address of the host. Raises `Silent`."""
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        return host
    found: Deferred[str] = Deferred()
    reactor.nameResolver.resolveHostName(_First(found), host)
    return await found


@implementer(IResolutionReceiver)
class _First:
    """Takes the first address that a name has."""

    def __init__(self, found: Deferred[str]) -> None:
        self._found = found

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See `IResolutionReceiver`."""

    def addressResolved(self, address: IAddress) -> None:
        """See `IResolutionReceiver`."""
        if not self._found.called:
            self._found.callback(str(getattr(address, "host", "")))

    def resolutionComplete(self) -> None:
        """See `IResolutionReceiver`."""
        if not self._found.called:
            self._found.errback(Silent("name not known"))
