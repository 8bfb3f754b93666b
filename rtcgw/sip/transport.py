"""The SIP transport layer (RFC 3261 §18): UDP and TCP on one port, or TLS, and the choice between them.

    SipTransport   the front: send_request, send_response, and `on_message` for what arrives
    SipDatagram    `datagram.py`, the UDP socket
    SipStream      `stream.py`, one TCP or TLS connection
    Outgoing       `outgoing.py`, one request on its way
    Locator        `locate.py`, names to addresses

It knows bytes, addresses and the top Via, and nothing of transactions. Who is not trusted is
not heard: what arrives from there is counted and dropped without an answer, so that the
port looks closed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtcgw.model.defaults import UDP_LIMIT
from rtcgw.sip.datagram import SipDatagram, reply_address
from rtcgw.sip.flow import PORT, TCP, TLS, TLS_PORT, UDP, Address, Flow, Hop, IConnection, ISender, host_port
from rtcgw.sip.locate import Locator, Unlocated
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.outgoing import Outgoing, ResponseSender, change_via
from rtcgw.sip.parser import MAX_MESSAGE, ParseError
from rtcgw.sip.stream import SipStream, SipStreams

__all__ = ["Flow", "Hop", "IConnection", "ISender", "Limits", "SipDatagram", "SipStream", "SipTransport"]

log = Logger()

_PEERS = 1024
"""Peers remembered in each table that is kept by peer; a full table is begun anew."""
_LABELS = 64
"""Counters kept; a further kind of fault is counted as `other`."""
_TRIES = 16
"""With port 0: how often a TCP port is asked for until its UDP twin is free."""


@frozen
class Limits:
    """What bounds the transport; seconds and counts."""

    connections: int = 1000
    """TCP and TLS connections at once, whoever opened them."""
    idle: float = 180.0
    """A connection without traffic is closed after this time: well above 64*T1, so that responses find it."""
    connect: float = 4.0
    """How long a connection may take to be made, before UDP is tried instead."""
    refusal: float = 60.0
    """How long a peer that refused TCP is not asked for it again."""
    complaint: float = 10.0
    """At most one log line about malformed messages per peer in this time."""
    ping: float | None = None
    """Longest interval between keep-alive pings on connections that we opened; None sends none (RFC 5626 §4.4.1)."""


class SipTransport:
    """All of the gateway's SIP sockets.

    `reactor` opens sockets and tells the time. `listen` is a server endpoint string: `tcp:...` serves TCP and UDP
    on the same interface and port (port 0: any port that both have free), `ssl:...` serves TLS alone. `trusted`
    says whether an address may talk to us at all; its verdicts are remembered. `advertise`, `host` or
    `host:port`, goes into Via and Contact instead of the address listened on; it is needed when that is a
    wildcard. `connect` makes client endpoints, for tests.
    """

    def __init__(
        self,
        reactor: Any,
        listen: str = "tcp:5060:interface=127.0.0.1",
        *,
        trusted: Callable[[str], bool] = lambda host: True,
        advertise: str = "",
        limits: Limits | None = None,
        locator: Locator | None = None,
        connect: Callable[[str, Address, str], IStreamClientEndpoint] | None = None,
    ) -> None:
        self.clock = reactor
        self.on_message: Callable[[Request | Response, Flow], None] = lambda message, flow: None
        """Told of every message from a trusted peer; the transaction layer enters itself here."""
        self.counters: dict[str, int] = {}
        """What happened how often, by a bounded set of words."""
        self._listen = listen
        self._trusted = trusted
        self._advertise = advertise
        self._limits = limits or Limits()
        self._locator = Locator(reactor) if locator is None else locator
        self._connect = self._endpoint if connect is None else connect
        self._datagrams = SipDatagram(self)
        self._ports: list[IListeningPort] = []
        self._interface = ""
        self._host = ""
        self._port = 0
        self._secure = listen.partition(":")[0] in ("ssl", "tls")
        self._outbound: dict[tuple[str, Address], SipStream] = {}
        self._open: set[SipStream] = set()
        self._verdicts: dict[str, bool] = {}
        self._refusing: dict[Address, float] = {}
        self._complaints: dict[str, float] = {}

    # -- start and stop ------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen. Raises `CannotListenError` when a port is taken, `ValueError` when there is no address to tell."""
        for attempt in range(_TRIES):
            port: IListeningPort = await serverFromString(self.clock, self._listen).listen(
                SipStreams(self, TLS if self._secure else TCP)
            )
            address: Any = port.getHost()
            self._ports.append(port)
            try:
                self._name_ourselves(address.host, address.port)
                if not self._secure:
                    self._ports.append(
                        self.clock.listenUDP(address.port, self._datagrams, address.host, MAX_MESSAGE + 1)
                    )
                return
            except (CannotListenError, ValueError) as error:
                await self.stop()
                taken = isinstance(error, CannotListenError) and self._listen.split(":")[1].removeprefix("port=") == "0"
                if not taken or attempt == _TRIES - 1:
                    raise

    def _name_ourselves(self, host: str, port: int) -> None:
        self._interface, self._host, self._port = host, host, port
        if self._advertise:
            self._host, self._port = _split(self._advertise, port)
        elif host in ("0.0.0.0", "::", ""):  # noqa: S104 - recognised in order to refuse it
            raise ValueError(f"SIP listens on every address ({self._listen}): say which one to advertise")

    async def stop(self) -> None:
        """Close every port and connection."""
        for stream in list(self._open) + list(self._outbound.values()):
            stream.close()
        ports, self._ports = self._ports, []
        for port in ports:
            closing: Deferred[None] | None = port.stopListening()
            if closing is not None:
                await closing

    @property
    def host(self) -> str:
        """The host for Contact headers, IPv6 without brackets."""
        return self._host

    @property
    def port(self) -> int:
        """The port for Contact headers; the one that is really open, when 0 was asked for."""
        return self._port

    @property
    def secure(self) -> bool:
        """Whether TLS alone is listened for."""
        return self._secure

    def sent_by(self, transport: str = UDP) -> str:
        """`host:port` for Via and Contact: one for all transports, which share the port."""
        return host_port(self._host, self._port)

    def via(self, transport: str) -> str:
        """The beginning of a Via of ours: `SIP/2.0/UDP 192.0.2.1:5060`."""
        return f"SIP/2.0/{transport} {self.sent_by(transport)}"

    # -- sending -------------------------------------------------------------------------------

    def send_request(self, request: Request, hop: Hop, sender: ISender | None) -> Outgoing:
        """Send a request, see `prepare`."""
        outgoing = self.prepare(request, hop, sender)
        outgoing.go()
        return outgoing

    def prepare(self, request: Request, hop: Hop, sender: ISender | None) -> Outgoing:
        """A request ready to `go`; its top Via names `hop.transport`, or UDP where the hop leaves the choice (§18.1.1).

        `sender` hears of failures, later. The same bytes go again by `Outgoing.again`.
        """
        self.count("sent")
        data = request.to_bytes()
        transport = hop.transport or UDP
        if hop.transport is None and len(data) > UDP_LIMIT:
            data = change_via(data, UDP, TCP)
            transport = TCP
        return Outgoing(self, hop, transport, data, sender)

    def locate(self, outgoing: Outgoing, hop: Hop) -> None:
        """Find where `outgoing` goes, and let it go there: at once, unless its hop is a name that must be asked for."""
        address = self._locator.known(hop, outgoing.transport)
        if address is not None:
            outgoing.send_to(address)
            return

        def unlocated(reason: Failure) -> None:
            reason.trap(Unlocated)
            self.count("unlocated")
            log.info("no SIP server: {error}", error=reason.getErrorMessage())
            outgoing.fail()

        finding = self._locator.find(hop, outgoing.transport)
        finding.addCallbacks(outgoing.send_to, unlocated)
        finding.addErrback(lambda reason: log.failure("SIP request not sent", reason))

    def send_response(self, response: Response, flow: Flow, failed: Callable[[], None] | None = None) -> None:
        """Send a response the way its request came (§18.2.2); `failed` is called later when that cannot be done."""
        self.count("sent")
        data = response.to_bytes()
        reply = flow.reply or (flow.host, flow.port)
        if flow.transport == UDP:
            self.send_datagram(data, reply, failed)
        elif flow.connection is None or not flow.connection.send(data):
            # The connection is gone: a new one, to where the request came from and the port its Via names.
            lost = Outgoing(self, Hop(*reply, flow.transport), flow.transport, data, ResponseSender(failed))
            lost.send_to(reply)

    def send_datagram(self, data: bytes, address: Address, failed: Callable[[], None] | None) -> None:
        """One datagram, as it stands."""
        if not self._datagrams.send(data, address) and failed is not None:
            self.later(failed)

    def send_stream(self, outgoing: Outgoing, address: Address) -> None:
        """Send by the connection to `address`, made first if need be."""
        key = (outgoing.transport, address)
        stream = self._outbound.get(key)
        if stream is None:
            if not self._room():
                outgoing.fail()
                return
            stream = self._outbound[key] = SipStream(self, outgoing.transport, address)
            self._dial(stream, outgoing.secure_name)
        stream.send_request(outgoing)

    def _dial(self, stream: SipStream, name: str) -> None:
        endpoint = self._connect(stream.transport_name, stream.remote, name)
        remote = stream.remote

        def refused(reason: Failure) -> None:
            if stream.transport_name == TCP:
                if len(self._refusing) >= _PEERS:
                    self._refusing.clear()
                self._refusing[remote] = self.clock.seconds() + self._limits.refusal
            self._locator.failed(remote)
            log.info(
                "no SIP connection to {host}:{port}: {error}",
                host=remote[0],
                port=remote[1],
                error=reason.getErrorMessage(),
            )
            stream.refused(reason)

        factory = _Once(stream)
        made: Deferred[Any] = endpoint.connect(factory)
        made.addErrback(refused)

    def _endpoint(self, transport: str, address: Address, name: str) -> IStreamClientEndpoint:
        host, port = address
        # From the interface listened on: a core that trusts addresses must see the one it knows.
        bind = None if self._interface in ("", "0.0.0.0", "::") else (self._interface, 0)  # noqa: S104
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self.clock, host, port, self._limits.connect, bind)
        if transport == TLS:
            return wrapClientTLS(ssl.optionsForClientTLS(name), endpoint)
        return endpoint

    def refuses_tcp(self, address: Address) -> bool:
        """Whether the peer has refused TCP a short while ago."""
        until = self._refusing.get(address)
        if until is None:
            return False
        if until > self.clock.seconds():
            return True
        del self._refusing[address]
        return False

    # -- receiving -----------------------------------------------------------------------------

    def admits(self, host: str) -> bool:
        """Whether `host` is heard at all; a stranger is counted."""
        verdict = self._verdicts.get(host)
        if verdict is None:
            if len(self._verdicts) >= _PEERS:
                self._verdicts.clear()
            verdict = self._verdicts[host] = self._trusted(host)
        if not verdict:
            self.count("untrusted")
        return verdict

    def deliver(self, message: Request | Response, flow: Flow) -> None:
        """A message has arrived. A fault above is ours and ends here: no peer may close a socket with it."""
        self.count("received")
        try:
            self.on_message(message, flow)
        except Exception:
            self.count("faults")
            log.failure("handling a SIP message from {host}", host=flow.host)

    def stamp(self, message: Message, host: str, port: int) -> Address:
        """Note the source of a UDP request in its top Via, and say where its responses go."""
        via = message.via
        params = via.params
        if "rport" in params or "received" in params or via.host != host:
            via = message.via = via.stamped(host, port)
        return reply_address(via.maddr, via.port, "rport" in params, host, port)

    def stamp_stream(self, message: Message, host: str, port: int) -> Address:
        """The same for TCP and TLS: responses need the address only when the connection is gone."""
        self.stamp(message, host, port)
        return (host, message.via.port or (TLS_PORT if self._secure else PORT))

    def malformed(self, error: ParseError, flow: Flow) -> None:
        """A message that cannot be used: answered if it can be, counted, and told once in a while."""
        self.count(f"malformed_{error.reason}")
        self._complain(flow.host, str(error))
        if error.response is not None:
            self.send_response(error.response, flow)

    def _complain(self, host: str, text: str) -> None:
        now = self.clock.seconds()
        if self._complaints.get(host, now) > now:
            return
        if len(self._complaints) >= _PEERS:
            self._complaints.clear()
        self._complaints[host] = now + self._limits.complaint
        log.warn("malformed SIP from {host}: {text}", host=host, text=text[:200])

    # -- connections ---------------------------------------------------------------------------

    def opened(self, stream: SipStream) -> bool:
        """A connection stands; False: it may not."""
        if not stream.outbound:
            if not self.admits(stream.remote[0]):
                return False
            if not self._room():
                return False
        self._open.add(stream)
        return True

    def _room(self) -> bool:
        waiting = sum(stream not in self._open for stream in self._outbound.values())
        if len(self._open) + waiting < self._limits.connections:
            return True
        self.count("too_many_connections")
        return False

    def closed(self, stream: SipStream) -> None:
        """A connection is gone, or never was."""
        self._open.discard(stream)
        self.retire(stream)

    def retire(self, stream: SipStream) -> None:
        """No new request is given to a connection."""
        key = (stream.transport_name, stream.remote)
        if self._outbound.get(key) is stream:
            del self._outbound[key]

    @property
    def connections(self) -> int:
        """TCP and TLS connections that stand."""
        return len(self._open)

    @property
    def idle(self) -> float:
        """Seconds without traffic after which a connection is closed."""
        return self._limits.idle

    def ping_delay(self) -> float | None:
        """Seconds until the next ping: 80 to 100 % of the interval, so that pings do not bunch (RFC 5626 §4.4)."""
        ping = self._limits.ping
        return None if ping is None else ping * random.uniform(0.8, 1.0)  # noqa: S311 - spread, not secrecy

    # -- for the parts -------------------------------------------------------------------------

    def count(self, label: str) -> None:
        """One more `label`."""
        counters = self.counters
        if label not in counters and len(counters) >= _LABELS:
            label = "other"
        counters[label] = counters.get(label, 0) + 1

    def later(self, call: Callable[[], None]) -> None:
        """Call in the reactor's next turn: whoever sends must have its transaction before it hears of a failure."""
        self.clock.callLater(0, call)


def _split(text: str, port: int) -> Address:
    """`host` or `host:port` of the configuration, an IPv6 host in brackets; `port` where none is named."""
    host, colon, number = text.rpartition(":")
    if colon and number.isdigit() and (":" not in host or host.startswith("[")):
        return (host.strip("[]"), int(number))
    return (text.strip("[]"), port)


class _Once(Factory):
    """Hands out the one protocol that waits for a connection to be made."""

    noisy = False

    def __init__(self, stream: SipStream) -> None:
        self._stream = stream

    def buildProtocol(self, addr: IAddress | None) -> SipStream:
        """See `Factory`."""
        return self._stream
