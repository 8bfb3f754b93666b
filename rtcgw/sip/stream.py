"""SIP over one TCP or TLS connection, whoever opened it.

    CONNECTING -> OPEN <-> PINGED -> (PARTING) -> CLOSED

Messages written while the connection is being made wait in a bounded queue; when it is
refused, each goes its own way on (`Outgoing.refused`). Keep-alive is RFC 5626 §3.5.1: double
CRLF is a ping, single CRLF the pong; pings of ours are sent only where the configuration
asks for them. A connection without traffic is closed; so is one whose peer does not read.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.sip.flow import Address, Flow, IConnection
from rtcgw.sip.message import Request, Response
from rtcgw.sip.outgoing import Outgoing
from rtcgw.sip.parser import KeepAlive, ParseError, StreamBroken, StreamParser

if TYPE_CHECKING:
    from rtcgw.sip.transport import SipTransport

WAITING = 64
"""Messages that may wait for one connection to be made."""
HIGH_WATER = 1024 * 1024
"""Bytes that may wait for a peer that does not read, beyond the reactor's own 64 KiB."""
PONG_WITHIN = 10.0
"""Seconds (RFC 5626 §4.4.1)."""
PART_WITHIN = 5.0
"""Seconds."""

log = Logger()


class StreamState(Enum):
    """Where a connection stands."""

    CONNECTING = "connecting"
    OPEN = "open"
    PINGED = "pinged"
    PARTING = "parting"
    """The peer has been told what it did wrong, and is given the time to read it."""
    CLOSED = "closed"


class StreamEvent(Enum):
    """What happens to it."""

    MADE = "made"
    REFUSED = "refused"
    LOST = "lost"
    CLOSE = "close"
    BROKEN = "broken"
    PONG = "pong"
    TIMER_PING = "ping is due"
    TIMER_PONG = "no pong"
    TIMER_IDLE = "idle"
    TIMER_PART = "parting takes too long"


@implementer(IConnection, IPushProducer)
class SipStream(Protocol):
    """One connection; `remote` is the peer's address, `transport_name` is `TCP` or `TLS`."""

    def __init__(self, front: SipTransport, transport_name: str, remote: Address | None = None) -> None:
        self.transport_name = transport_name
        self.remote = remote or ("", 0)
        self.outbound = remote is not None
        """Whether we opened it."""
        self._front = front
        self._parser = StreamParser()
        self._waiting: deque[Outgoing] = deque()
        self._paused = False
        """What the reactor says of its buffer (IPushProducer), not a state of ours."""
        self._backlog = 0
        """Bytes written since then."""
        self._used = front.clock.seconds()
        self.machine = Machine(STREAM, self, front.clock)
        self.machine.start()

    @property
    def usable(self) -> bool:
        """Whether messages are still taken from it."""
        return self.machine.state in (StreamState.OPEN, StreamState.PINGED)

    # -- sending -----------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """See `IConnection`."""
        if not self.usable:
            return False
        if self._paused:
            self._backlog += len(data)
            if self._backlog > HIGH_WATER:
                self._front.count("slow_peers")
                self.machine.handle(StreamEvent.CLOSE)
                return False
        self._used = self._front.clock.seconds()
        self._socket.write(data)
        return True

    def send_request(self, outgoing: Outgoing) -> None:
        """Send a request, when the connection stands."""
        if self.machine.state is StreamState.CONNECTING:
            if len(self._waiting) < WAITING:
                self._waiting.append(outgoing)
            else:
                self._front.count("queue_full")
                outgoing.fail()
        elif not self.send(outgoing.data):
            outgoing.fail()

    def pauseProducing(self) -> None:
        """The reactor's buffer is full."""
        self._paused = True
        self._backlog = 0

    def resumeProducing(self) -> None:
        """The reactor's buffer is empty again."""
        self._paused = False

    def stopProducing(self) -> None:
        """The connection is gone; `connectionLost` says so too."""

    # -- receiving ---------------------------------------------------------------------------

    def connectionMade(self) -> None:
        """The connection stands; one from a stranger, or one too many, is closed at once."""
        if not self.outbound:
            peer = self._socket.getPeer()
            self.remote = (getattr(peer, "host", ""), getattr(peer, "port", 0))
        self._socket.registerProducer(self, True)  # type: ignore[attr-defined] # IConsumer, which every TCP transport is
        self.machine.handle(StreamEvent.MADE)
        if not self._front.opened(self):
            self.machine.handle(StreamEvent.CLOSE)

    def dataReceived(self, data: bytes) -> None:
        """Any piece of the stream."""
        self._used = self._front.clock.seconds()
        try:
            self._take(self._parser.feed(data))
        except StreamBroken as broken:
            self._take([*broken.completed, broken.error])
            self.machine.handle(StreamEvent.BROKEN)

    def _take(self, items: list[Request | Response | KeepAlive | ParseError]) -> None:
        for item in items:
            if not self.usable:  # closed by what an earlier message set off
                return
            if item is KeepAlive.PING:
                self.send(b"\r\n")
            elif item is KeepAlive.PONG:
                self.machine.handle(StreamEvent.PONG)
            elif isinstance(item, ParseError):
                reply = None if item.response is None else self._front.stamp_stream(item.response, *self.remote)
                self._front.malformed(item, self._flow(reply))
            elif isinstance(item, Request):
                self._front.deliver(item, self._flow(self._front.stamp_stream(item, *self.remote)))
            else:
                self._front.deliver(item, self._flow(None))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if not reason.check(ConnectionDone, ConnectionLost, ConnectionAborted):  # TLS, mostly: whoever looks must know
            log.warn(
                "SIP connection with {host}:{port} failed: {error}",
                host=self.remote[0],
                port=self.remote[1],
                error=reason.getErrorMessage(),
            )
        self.machine.handle(StreamEvent.LOST)

    def refused(self, reason: Failure) -> None:
        """It could not be made."""
        self.machine.handle(StreamEvent.REFUSED)

    def close(self) -> None:
        """Close it, whatever is under way."""
        self.machine.handle(StreamEvent.CLOSE)

    @property
    def _socket(self) -> ITCPTransport:
        transport = self.transport
        assert transport is not None
        return transport  # type: ignore[return-value] # Protocol.transport is the poorer interface

    def _flow(self, reply: Address | None) -> Flow:
        return Flow(self.transport_name, self.remote[0], self.remote[1], self, reply)

    # -- actions -----------------------------------------------------------------------------

    def _flush(self) -> None:
        while self._waiting:
            self.send_request(self._waiting.popleft())

    def _refuse(self) -> None:
        self._front.closed(self)
        while self._waiting:
            self._waiting.popleft().refused()

    def _ping(self) -> None:
        self.send(b"\r\n\r\n")

    def _silent(self) -> None:
        self._front.count("no_pong")

    def _gone(self) -> None:
        self._front.closed(self)

    def _part(self) -> None:
        self._front.retire(self)
        self._socket.unregisterProducer()  # type: ignore[attr-defined] # see connectionMade
        self._socket.loseConnection()

    def _abort(self) -> None:
        self._front.closed(self)
        if self.transport is not None:
            self._socket.abortConnection()
        while self._waiting:
            self._waiting.popleft().fail()

    def _idle(self) -> None:
        """Close what has not been used for long enough; else look again when that may be so."""
        rest = self._used + self._front.idle - self._front.clock.seconds()
        if rest > 0:
            self.machine.arm("idle", rest)
        else:
            self._front.count("idle_closed")
            self.machine.handle(StreamEvent.CLOSE)

    # -- timers ------------------------------------------------------------------------------

    def _ping_delay(self) -> float | None:
        return self._front.ping_delay() if self.outbound else None

    def _pong_delay(self) -> float:
        return PONG_WITHIN

    def _part_delay(self) -> float:
        return PART_WITHIN

    def _idle_delay(self) -> float:
        return self._front.idle


class SipStreams(Factory):
    """Builds the protocol for each connection that is accepted."""

    noisy = False

    def __init__(self, front: SipTransport, transport_name: str) -> None:
        self._front = front
        self._name = transport_name

    def buildProtocol(self, addr: IAddress | None) -> SipStream:
        """See `Factory`."""
        return SipStream(self._front, self._name)


_S, _E, _P = StreamState, StreamEvent, SipStream

# fmt: off
STREAM: Table[StreamState, StreamEvent] = Table(
    "SIP connection",
    _S.CONNECTING,
    _E,
    {
        (_S.CONNECTING, _E.MADE): Row(_S.OPEN, (_P._flush,)),
        (_S.CONNECTING, _E.REFUSED): Row(_S.CLOSED, (_P._refuse,)),
        (_S.CONNECTING, _E.LOST): Row(_S.CLOSED, (_P._refuse,)),
        (_S.CONNECTING, _E.CLOSE): Row(_S.CLOSED, (_P._abort,)),

        (_S.OPEN, _E.LOST): Row(_S.CLOSED, (_P._gone,)),
        (_S.OPEN, _E.CLOSE): Row(_S.CLOSED, (_P._abort,)),
        (_S.OPEN, _E.BROKEN): Row(_S.PARTING, (_P._part,)),
        (_S.OPEN, _E.TIMER_PING): Row(_S.PINGED, (_P._ping,)),
        (_S.OPEN, _E.TIMER_IDLE): Row(_S.OPEN, (_P._idle,)),

        (_S.PINGED, _E.PONG): Row(_S.OPEN),
        (_S.PINGED, _E.LOST): Row(_S.CLOSED, (_P._gone,)),
        (_S.PINGED, _E.CLOSE): Row(_S.CLOSED, (_P._abort,)),
        (_S.PINGED, _E.BROKEN): Row(_S.PARTING, (_P._part,)),
        (_S.PINGED, _E.TIMER_PONG): Row(_S.CLOSED, (_P._silent, _P._abort)),
        (_S.PINGED, _E.TIMER_IDLE): Row(_S.PINGED, (_P._idle,)),

        (_S.PARTING, _E.LOST): Row(_S.CLOSED, (_P._gone,)),
        (_S.PARTING, _E.CLOSE): Row(_S.CLOSED, (_P._abort,)),
        (_S.PARTING, _E.TIMER_PART): Row(_S.CLOSED, (_P._abort,)),
    },
    {
        _S.CONNECTING: {_E.BROKEN, _E.PONG, _E.TIMER_PING, _E.TIMER_PONG, _E.TIMER_IDLE, _E.TIMER_PART},
        _S.OPEN: {_E.MADE, _E.REFUSED, _E.PONG, _E.TIMER_PONG, _E.TIMER_PART},
        _S.PINGED: {_E.MADE, _E.REFUSED, _E.TIMER_PING, _E.TIMER_PART},
        _S.PARTING: set(_E) - {_E.LOST, _E.CLOSE, _E.TIMER_PART},
        _S.CLOSED: set(_E),
    },
    [
        Timer("ping", frozenset({_S.OPEN}), _P._ping_delay, _E.TIMER_PING),
        Timer("pong", frozenset({_S.PINGED}), _P._pong_delay, _E.TIMER_PONG),
        Timer("part", frozenset({_S.PARTING}), _P._part_delay, _E.TIMER_PART),
        Timer("idle", frozenset({_S.OPEN, _S.PINGED}), _P._idle_delay, _E.TIMER_IDLE),
    ],
)
# fmt: on
