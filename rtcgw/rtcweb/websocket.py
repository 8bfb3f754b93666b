"""The WebSocket (450): one connection per page, guarded, with a receive path that costs microseconds.

    handshake   subprotocol `rtcgw.1`, Origin on the list, room left           else HTTP 400, 403, 503
    frames      text, up to `max_frame`                                        else close 1003, 1007, 1009
    rate        a token bucket                                                 else ERROR flood, close 4413
    reading     the transport's buffer stays below `high_water`                else aborted
    time        log-in in time, a sign of life, a token that is still valid    else close 4408, cut off, close 4401

Autobahn is the protocol: handshake, fragments, control frames, closing, violations. Two things are taken from it.
`processData` handles the common frame, complete, final, uncompressed and masked, in one step and hands every other
one up. And no connection has timers of its own: one sweep a second looks after all of them, because ten thousand
pages would otherwise mean twenty thousand delayed calls. Nobody else imports Autobahn, but
for the web server, which uses its resource to hand over a request.

What it is not: it knows no users and no calls. It turns frames into messages for a `Client` and back.
"""

# ruff: noqa: N815 -- Autobahn's options are named in camelCase.
from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket import USES_NVX
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.config import Web, is_loopback
from rtcgw.rtcweb.client import Client, Desk, ILink
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.wire import WireError
from rtcgw.rtcweb.reconnecting import WITHIN, Reconnects

log = Logger()

# Autobahn's annotations cover half of it and contradict its own use; here it counts as untyped.
_Protocol: Any = WebSocketServerProtocol
_Factory: Any = WebSocketServerFactory
_Deny: Any = ConnectionDeny
_Stats: Any = TrafficStats

SWEEP: Final = 1.0
"""Seconds between two looks at all connections."""
CLOSING: Final = 2.0
"""Seconds that a page has for its half of the closing handshake."""
HANDSHAKE_LIMIT: Final = 16384
"""Bytes of a handshake's HTTP header."""

CLOSE_TIMEOUT: Final = 4408
CLOSE_TOO_MUCH: Final = 4413

_OPEN: Final = WebSocketServerProtocol.STATE_OPEN
_CONNECTING: Final = WebSocketServerProtocol.STATE_CONNECTING
_CLOSING: Final = WebSocketServerProtocol.STATE_CLOSING
_CLOSED: Final = WebSocketServerProtocol.STATE_CLOSED

_TEXT: Final = 0x81
"""First byte of a final, uncompressed text frame."""


def nvx_in_use() -> bool:
    """Whether Autobahn unmasks and checks text in native code; without it a large frame costs twenty times as much."""
    return bool(USES_NVX)


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...], loopback: bool) -> bool:
    """Whether a page of this origin may connect (RFC 6455 §10.2).

    `host` is the Host header. An empty list allows the gateway's own pages: scheme aside, the origin must name the
    same host and port. A client that sends no Origin is no browser; it may connect from loopback, or where the list
    says `*`.
    """
    if "*" in allowed:
        return True
    if not origin:
        return loopback
    if not allowed:
        return _same_place(origin, host)
    return origin.lower() in {entry.lower().rstrip("/") for entry in allowed}


def _same_place(origin: str, host: str) -> bool:
    """Whether an origin names the host and port of a Host header, the default port of its scheme understood."""
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        default = {"http": 80, "https": 443}[page.scheme]
        same = (page.hostname, page.port or default) == (server.hostname, server.port or default)
    except (ValueError, KeyError):
        return False
    return same and bool(page.hostname) and page.username is None


class _Quiet:
    """Autobahn's log, silent: it builds the text of debug lines whether anybody reads them or not.

    What it would warn of is the doing of clients, which the connection reports itself in one line; faults of ours are
    caught before they reach it.
    """

    def debug(self, *args: object, **kwargs: object) -> None:
        pass

    trace = info = warn = error = debug


@implementer(ILink, IPushProducer)
class BrowserConnection(_Protocol):  # type: ignore[misc]
    """One page's WebSocket."""

    # Autobahn copies its options into every connection; as attributes of the class there is one copy for all.
    CONFIG_ATTRS = ()
    log = _Quiet()
    logOctets = logFrames = trackTimings = False
    utf8validateIncoming = applyMask = requireMaskedClientFrames = tcpNoDelay = failByDrop = True
    maskServerFrames = serveFlashSocketPolicy = webStatus = echoCloseCodeReason = False
    autoFragmentSize = autoPingInterval = autoPingTimeout = openHandshakeTimeout = closeHandshakeTimeout = 0
    trustXForwardedFor = 0
    autoPingRestartOnAnyTraffic = True
    versions = (13,)
    allowedOriginsPatterns = (re.compile(""),)
    """Autobahn lets every origin pass; `onConnect` decides, which knows the Host header."""
    perMessageCompressionAccept = staticmethod(lambda offers: None)
    """No compression: it would cost each page two 32 KiB windows to save little on a few messages."""

    data: bytes
    http_headers: dict[str, str]

    def __init__(self, factory: BrowserFactory, number: int) -> None:
        super().__init__()
        self.factory: BrowserFactory = factory
        self.number = number
        self.address = ""
        self.client: Client | None = None
        self.heard = self._born = self._asked = factory.desk.clock.seconds()
        """When it was last heard of, made, last asked for a sign of life."""
        self._left: float | None = None
        """When it was first seen closing."""
        self._tokens = float(factory.web.burst)
        self._filled = self.heard
        self._backlog = -1
        """Bytes sent since the transport asked to pause; -1 while it keeps up."""

    def set_valid_events(self, valid_events: object = None) -> None:
        """Autobahn's table of listeners, which nobody here has: leave it empty."""

    @property
    def maxFramePayloadSize(self) -> int:
        """Autobahn's name for the largest frame, in bytes."""
        return self.factory.web.max_frame

    @property
    def maxMessagePayloadSize(self) -> int:
        """Autobahn's name for the largest message, in bytes."""
        return self.factory.web.max_frame

    @property
    def maxConnections(self) -> int:
        """Autobahn's name for the most connections at once."""
        return self.factory.web.max_connections

    # -- the life of a connection ----------------------------------------------------------

    def connectionMade(self) -> None:
        """A TCP or TLS connection, or the web server's after an upgrade request."""
        self.address = str(getattr(self.transport.getPeer(), "host", ""))
        super().connectionMade()
        try:
            self.transport.registerProducer(self, True)
        except RuntimeError:  # the web server's own channel still is
            self.transport.unregisterProducer()
            self.transport.registerProducer(self, True)
        self.factory.connections.add(self)

    def onConnect(self, request: ConnectionRequest) -> str:
        """The handshake: may this page talk to us, and in which dialect? Raises `ConnectionDeny`."""
        try:
            return self._admit(request)
        except ConnectionDeny:
            raise
        except Exception:  # Autobahn would put it into the answer
            log.failure("connection #{number} from {address}: internal error in the handshake", **self._who())
            raise _Deny(500, "Internal error") from None

    def _admit(self, request: ConnectionRequest) -> str:
        origins, headers = self.factory.web.origins, request.headers
        if not origin_allowed(headers.get("origin"), headers.get("host", ""), origins, is_loopback(self.address)):
            self._deny("origin", 403, "Origin not allowed")
        if native.SUBPROTOCOL not in request.protocols:
            self._deny("subprotocol", 400, f"Subprotocol {native.SUBPROTOCOL} required")
        if self.factory.stopping:
            self._deny("stopping", 503, "Going away")
        return native.SUBPROTOCOL

    def _deny(self, label: str, code: int, reason: str) -> None:
        self.factory.count(label)
        log.info("connection #{number} from {address} refused: {reason}", **self._who(), reason=reason, ration="pages")
        raise _Deny(code, reason)

    def onOpen(self) -> None:
        """The handshake is done: from here on a `Client` stands behind the connection.

        What only the handshake needed is let go, and what Autobahn keeps per connection without need is shared:
        together more than half of an idle connection's memory.
        """
        try:
            self.client = Client(self.factory.desk, self)
        except Exception:  # Autobahn would leave the connection open, with nobody behind it
            log.failure("connection #{number} from {address}: internal error on opening", **self._who())
            self._fail_connection(1011, "internal error")
        self.http_request_data = self.http_response_data = b""
        self.http_headers = {}
        self._transport_details = None
        self.trafficStats = self.factory.traffic
        self.send_queue = ()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The transport is gone, however it came to that."""
        self.factory.closed(self)
        self._let_go()

    def _let_go(self) -> None:
        """Whoever stands behind the connection hears of its end, once and at once."""
        client, self.client = self.client, None
        if client is not None:
            client.lost()

    def _who(self) -> dict[str, Any]:
        name = f"#{self.number}" if self.client is None else self.client.name
        return {"number": self.number, "address": self.address, "client": name}

    # -- receiving -------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """Bytes: straight to Autobahn's parser, past the debug lines of its own `dataReceived`."""
        if self.state == _CLOSED:
            return  # Autobahn would collect it until the transport is gone
        self.heard = self.factory.desk.clock.seconds()
        self.data = self.data + data if self.data else data
        if self.state == _CONNECTING and len(self.data) > HANDSHAKE_LIMIT:
            self.factory.count("handshake")
            self.failHandshake("Header too large", 431)
            return
        self.consumeData()

    def processData(self) -> bool:
        """One frame. The common one is done here, every other one by Autobahn; True: there is more to do.

        Common: no frame or fragmented message in progress, and the buffer starts with a complete, final,
        uncompressed, masked text frame of minimal length encoding, within the size limit and valid UTF-8.
        The two ways differ in nothing but time: 3 us here, 20 us there (`tests/rtcweb/test_frames.py`).
        """
        data = self.data
        if self.current_frame is not None or self.inside_message or len(data) < 6 or data[0] != _TEXT:
            return bool(super().processData())
        length, start = data[1] - 0x80, 6
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 8
            if length < 126:
                return bool(super().processData())
        end = start + length
        if length < 0 or (length == 127 and start == 6) or end > len(data) or length > self.factory.web.max_frame:
            return bool(super().processData())
        key = (data[start - 4 : start] * ((length >> 2) + 1))[:length]
        plain = int.from_bytes(data[start:end], "little") ^ int.from_bytes(key, "little")
        payload = plain.to_bytes(length, "little")
        try:
            payload.decode()
        except UnicodeDecodeError:
            return bool(super().processData())
        self.data = data[end:]
        if self.state == _OPEN and self._spend():
            self.onMessage(payload, False)
        return end < len(data)

    def onMessageFrameBegin(self, length: int) -> None:
        """A frame on Autobahn's own way: it costs what a message costs, or empty fragments would be free."""
        if self._spend():
            super().onMessageFrameBegin(length)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message."""
        client = self.client
        if client is None:
            return
        if isBinary:
            self._fail_connection(1003, "text only")
            return
        try:
            message = native.decode(payload)
        except WireError as error:
            self.factory.count(error.code)
            client.broken(error)
            return
        client.receive(message)

    def onPing(self, payload: bytes) -> None:
        """Answered, but not for free: whoever pings without reading the pongs would fill our buffer."""
        if self._spend() and self._room(len(payload)):
            self.sendPong(payload)

    def onPong(self, payload: bytes) -> None:
        """A sign of life; `dataReceived` has taken note."""

    def _spend(self) -> bool:
        """Take one token; an empty bucket ends the connection."""
        if self.state != _OPEN:
            return False
        web, now = self.factory.web, self.heard
        self._tokens = min(float(web.burst), self._tokens + (now - self._filled) * web.rate)
        self._filled = now
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        self.send(native.Error(code="flood", text=native.CODES["flood"]))
        self._fail_connection(CLOSE_TOO_MUCH, "too many messages")
        return False

    # -- sending ---------------------------------------------------------------------------

    def send(self, message: native.GatewayMessage) -> None:
        """See `ILink`."""
        data = native.encode(message)
        length = len(data)
        if self.state != _OPEN or not self._room(length):
            return
        if self._perMessageCompress is not None:
            self.sendMessage(data)
        elif length < 126:
            self.transport.write(bytes((_TEXT, length)) + data)
        elif length < 65536:
            self.transport.write(b"\x81\x7e" + length.to_bytes(2, "big") + data)
        else:
            self.transport.write(b"\x81\x7f" + length.to_bytes(8, "big") + data)

    def _room(self, length: int) -> bool:
        """Whether the page reads fast enough for this many more bytes; one that does not is cut off."""
        if self._backlog < 0:
            return True
        self._backlog += length
        if self._backlog <= self.factory.web.high_water:
            return True
        self._cut("reads too slowly")
        return False

    def pauseProducing(self) -> None:
        """The transport's buffer is filling: from here on what is sent is counted. Said again with every write."""
        self._backlog = max(self._backlog, 0)

    def resumeProducing(self) -> None:
        """The transport has caught up."""
        self._backlog = -1

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""

    def unregisterProducer(self) -> None:
        """Autobahn does this on closing; a transport may be closed twice, and one in memory complains."""
        with suppress(RuntimeError):
            self.transport.unregisterProducer()

    # -- closing ---------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """See `ILink`."""
        if self.state == _OPEN:
            self.factory.count(f"close {code}")
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode()[:120])
            self._let_go()

    def _fail_connection(self, code: int = 1001, reason: str = "") -> None:
        """A violation: the page hears the code, and nothing more of what it sends is read.

        Autobahn either drops without a word or goes on parsing until the page answers; neither will do.
        """
        self.failedByMe = True
        if self.state == _OPEN:
            log.info(
                "{client} from {address}: closed with {code}: {reason}",
                **self._who(),
                code=code,
                reason=reason,
                ration="pages",
            )
            self.close(code, reason)
        self.dropConnection(abort=False)

    def _cut(self, reason: str) -> None:
        """Abort: the page would not hear a farewell."""
        log.info("{client} from {address} cut off: {reason}", **self._who(), reason=reason, ration="pages")
        self.factory.count(reason)
        self.dropConnection(abort=True)
        self._let_go()

    def look(self, now: float, wall: float) -> None:
        """The sweep: time-outs of every kind. `now` is the clock's time, `wall` is seconds since the epoch."""
        web, client, silent = self.factory.web, self.client, now - self.heard
        if self.state == _OPEN and client is not None:
            if client.session is None and now - self._born > web.login_timeout:
                self.close(CLOSE_TIMEOUT, "no log-in")
            elif silent > web.ping + web.pong_timeout:
                self._cut("silent")
            elif silent > web.ping and self._asked <= self.heard:
                self._asked = now
                self.sendPing()
            else:
                client.check(wall)
        elif self.state == _CONNECTING and now - self._born > web.login_timeout:
            self._cut("no handshake")
        elif self.state in (_CLOSING, _CLOSED):
            self._left = now if self._left is None else self._left
            if now - self._left >= CLOSING:
                self.transport.abortConnection()


class BrowserFactory(_Factory):  # type: ignore[misc]
    """Makes the connections and looks after them: `start()`, and at the end `stop()`."""

    protocol: Callable[[BrowserFactory, int], BrowserConnection] = BrowserConnection

    def __init__(self, web: Web, desk: Desk) -> None:
        super().__init__(reactor=desk.clock, server="")
        self.web = web
        self.desk = desk
        self.connections: set[BrowserConnection] = set()
        self.stopping = False
        self.counters: dict[str, int] = {}
        """What was refused or closed, by label; the labels are this module's and the dialect's error codes."""
        self.traffic = _Stats()
        self.reconnects = Reconnects()
        self._numbers = itertools.count(1)
        self._timer: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None

    def start(self) -> None:
        """Begin to look after connections, and after the servers that pages are given."""
        self.desk.ice.start()
        self._timer = self.desk.clock.callLater(SWEEP, self._sweep)

    def stop(self) -> Deferred[None]:
        """Say farewell to every page (1001); fires when all connections are gone, a few seconds at most."""
        self.stopping = True
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        for connection in list(self.connections):
            connection.close(1001, "the gateway stops")
        self._check_stopped()
        return stopped

    def buildProtocol(self, addr: object) -> BrowserConnection:
        """See `IProtocolFactory`."""
        return self.protocol(self, next(self._numbers))

    def count(self, label: str) -> None:
        """Count something refused."""
        self.counters[label] = self.counters.get(label, 0) + 1

    def closed(self, connection: BrowserConnection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self._check_stopped()

    def _sweep(self) -> None:
        self._timer = self.desk.clock.callLater(SWEEP, self._sweep)
        now, wall = self.desk.clock.seconds(), self.desk.now()
        for connection in list(self.connections):
            try:
                connection.look(now, wall)
            except Exception:
                log.failure("connection #{number}: internal error in the sweep", number=connection.number)
                connection.transport.abortConnection()
        self.reconnects.sweep(now)

    def reconnect(self, user: str | None = None, within: float = WITHIN) -> int:
        """Ask the pages of a user, or all, to make new connections; how many are going to be asked."""
        return self.reconnects.ask(self.connections, user, within)

    def _check_stopped(self) -> None:
        if self._stopped is None or self.connections:
            return
        stopped, self._stopped = self._stopped, None
        self.desk.ice.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        stopped.callback(None)
