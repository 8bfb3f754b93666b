"""Datagrams between addresses, in memory: what stands in for the loopback interface in flow tests.

    network = MemoryNetwork(clock)                  packets arrive `delay` seconds after they were sent
    reactor = MemoryReactor(network, clock)         a reactor whose UDP ports stand in that network
    network.fate = lambda packet: 0                 how many copies arrive: 0 loses, 2 doubles
    network.advance(2.0)                            time passes in small steps, so that answers get answers

TCP connections of `MemoryReactor` are refused at once, so a request too large for UDP falls
back to UDP (RFC 3261 §18.1.1), which is what these tests want to see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IListeningPort, IReactorUDP
from twisted.internet.protocol import ClientFactory, DatagramProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor as TwistedMemoryReactor
from twisted.python.failure import Failure
from zope.interface import implementer

Address = tuple[str, int]
Receiver = Callable[[bytes, Address], None]
STEP = 0.01
"""Seconds that time moves at once in `advance`."""


@frozen
class Packet:
    """One datagram on its way."""

    data: bytes
    source: Address
    destination: Address

    @property
    def start(self) -> str:
        """The start line of the SIP message in it."""
        return self.data.split(b"\r\n", 1)[0].decode("utf-8", "replace")


@define(eq=False)
class MemoryNetwork:
    """Every address and every packet of one test."""

    clock: Clock
    delay: float = 0.001
    fate: Callable[[Packet], int] = lambda packet: 1
    packets: list[Packet] = field(factory=list)
    """Everything that was sent, lost or not."""
    _receivers: dict[Address, Receiver] = field(factory=dict)

    def attach(self, address: Address, receiver: Receiver) -> None:
        """Packets to `address` are given to `receiver(data, source)`."""
        self._receivers[address] = receiver

    def detach(self, address: Address) -> None:
        """Nobody listens there any more; packets get lost."""
        self._receivers.pop(address, None)

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        packet = Packet(bytes(data), source, destination)
        self.packets.append(packet)
        for _ in range(self.fate(packet)):
            self.clock.callLater(self.delay, self._arrive, packet)

    def _arrive(self, packet: Packet) -> None:
        receiver = self._receivers.get(packet.destination)
        if receiver is not None:
            receiver(packet.data, packet.source)

    def advance(self, seconds: float = 0.05) -> None:
        """Let time pass; the default is long enough for a dozen messages, and for no retransmission."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end - 1e-9:
            calls = [call.getTime() for call in self.clock.getDelayedCalls()]
            nearest = min([end, *calls])
            self.clock.advance(max(nearest - self.clock.seconds(), 1e-6))


@implementer(IListeningPort)
@define(eq=False)
class _UdpPort:
    """The port and the transport of a datagram protocol."""

    _network: MemoryNetwork
    _address: Address
    _protocol: DatagramProtocol

    def startListening(self) -> None:
        self._network.attach(self._address, self._protocol.datagramReceived)
        self._protocol.makeConnection(self)  # type: ignore[arg-type] # the part of IUDPTransport that SIP uses

    def stopListening(self) -> Deferred[None]:
        self._network.detach(self._address)
        self._protocol.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", *self._address)

    def write(self, data: bytes, address: Address) -> None:
        self._network.send(data, self._address, address)

    def connectionRefused(self) -> None:
        """Part of what protocols may ask; never happens here."""


@define(eq=False)
class _TcpPort:
    """A TCP listener that nobody can reach."""

    _address: Address

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", *self._address)

    def stopListening(self) -> Deferred[None]:
        return succeed(None)


@implementer(IReactorUDP)
class MemoryReactor(TwistedMemoryReactor):
    """A reactor in a `MemoryNetwork`: UDP works, TCP listeners hear nothing, TCP connections are refused."""

    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__()
        self.network = network
        clock = network.clock
        self.seconds = clock.seconds
        self.callLater = clock.callLater
        self.getDelayedCalls = clock.getDelayedCalls
        self._free = 40_000

    def _numbered(self, port: int) -> int:
        if port == 0:
            self._free += 2
        return port or self._free

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        listening = _UdpPort(self.network, (interface or "127.0.0.1", self._numbered(port)), protocol)
        listening.startListening()
        return listening

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        return _TcpPort((interface or "127.0.0.1", self._numbered(port)))

    def connectTCP(
        self, host: str, port: int, factory: ClientFactory, timeout: float = 30, bindAddress: Any = None
    ) -> Any:
        connector = super().connectTCP(host, port, factory, timeout, bindAddress)
        self.callLater(0, factory.clientConnectionFailed, connector, Failure(Refused()))
        return connector
