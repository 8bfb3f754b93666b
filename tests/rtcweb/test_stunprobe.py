"""Whether a STUN or TURN server is there: what is asked, and what counts as an answer."""

from __future__ import annotations

from typing import Any

from aioice import stun
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IResolutionReceiver
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.rtcweb.stunprobe import CONNECT_WAIT, WAITS, Place, Silent, ask, place_of
from tests.peers.network import MemoryNetwork, MemoryReactor

SERVER = ("192.0.2.7", 3478)


@define
class Names:
    """A resolver that knows a few names."""

    known: dict[str, str] = field(factory=dict)

    def resolveHostName(self, receiver: Any, host: str) -> None:
        receiver = IResolutionReceiver(receiver)
        if host in self.known:
            for _ in range(2):  # as names with several addresses have it
                receiver.addressResolved(IPv4Address("TCP", self.known[host], 0))
        receiver.resolutionComplete()


class Reactor(MemoryReactor):
    """A reactor in a network in memory, with names, and with TCP servers at `listening`."""

    def __init__(self, network: MemoryNetwork) -> None:
        super().__init__(network)
        self.nameResolver = Names({"turn.test": SERVER[0]})  # type: ignore[assignment]
        self.listening: set[tuple[str, int]] = set()
        self.left = 0
        """TCP connections that the gateway has closed again."""
        self.crowded = False

    def connectTCP(
        self, host: str, port: int, factory: ClientFactory, timeout: float = 30, bindAddress: Any = None
    ) -> Any:
        if (host, port) not in self.listening:
            return super().connectTCP(host, port, factory, timeout, bindAddress)
        assert timeout == CONNECT_WAIT
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        transport = StringTransport()
        protocol.makeConnection(transport)
        self.left += transport.disconnected
        return None

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        if self.crowded:
            raise CannotListenError(interface, port, OSError(24, "Too many open files"))
        return super().listenUDP(port, protocol, interface, maxPacketSize)


class Server:
    """A STUN server at `SERVER`. `deaf` is how many requests it does not hear."""

    def __init__(self, network: MemoryNetwork, deaf: int = 0, kind: stun.Class = stun.Class.RESPONSE) -> None:
        self.network, self.deaf, self.kind = network, deaf, kind
        self.heard = 0
        network.attach(SERVER, self.receive)

    def receive(self, data: bytes, source: tuple[str, int]) -> None:
        self.heard += 1
        if self.heard <= self.deaf:
            return
        request = stun.parse_message(data)
        stranger = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE)
        for answer in (b"", data, b"\x01\x01", bytes(stranger)):
            self.network.send(answer, SERVER, source)
        right = bytes(stun.Message(request.message_method, self.kind, request.transaction_id))
        for answer in (right, right):
            self.network.send(answer, SERVER, source)


class PlaceTests(SynchronousTestCase):
    """Where a URI's server is (RFC 7064 §3.1, RFC 7065 §3.1)."""

    def test_uris(self) -> None:
        """Default ports and transports; what cannot be asked is not."""
        for url, told in (
            ("stun:stun.test", "udp:stun.test:3478"),
            ("stuns:stun.test", "tcp:stun.test:5349"),
            ("turn:192.0.2.7:80", "udp:192.0.2.7:80"),
            ("turn:turn.test?transport=tcp", "tcp:turn.test:3478"),
            ("turns:turn.test:443?transport=tcp", "tcp:turn.test:443"),
            ("turn:[2001:db8::7]:3479?transport=udp", "udp:[2001:db8::7]:3479"),
            ("turns:turn.test?transport=udp", "None"),
            ("turn:turn.test?transport=sctp", "None"),
            ("turn:turn.test:99999", "None"),
            ("turn:", "None"),
            ("http://turn.test", "None"),
        ):
            self.assertEqual(str(place_of(url)), told, url)

    @given(st.text(max_size=40))
    @settings(max_examples=100, deadline=None)
    def test_any_text(self, text: str) -> None:
        """Whatever an operator writes is a place or none, never a fault."""
        for scheme in ("", "stun:", "turn:[", "turns:host:"):
            place_of(scheme + text)


class AskTests(SynchronousTestCase):
    """One question."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.reactor = Reactor(self.network)

    def ask(self, transport: str = "udp", host: str = SERVER[0]) -> Deferred[float]:
        return Deferred.fromCoroutine(ask(Place(transport, host, SERVER[1]), self.reactor))

    def closed(self) -> None:
        """No timer and no socket is left."""
        self.assertEqual((self.clock.getDelayedCalls(), list(self.network._receivers)), ([], [SERVER]))

    def test_answer(self) -> None:
        """The answer to our own question counts, and tells the time it took; strangers' and echoes do not."""
        server = Server(self.network)
        asked = self.ask()
        self.network.advance()
        self.assertAlmostEqual(self.successResultOf(asked), 0.002)
        self.assertEqual(server.heard, 1)
        self.closed()

    def test_refusal(self) -> None:
        """A server that wants credentials even for this is there."""
        Server(self.network, kind=stun.Class.ERROR)
        asked = self.ask(host="turn.test")
        self.network.advance()
        self.successResultOf(asked)

    def test_loss(self) -> None:
        """A lost datagram is asked again."""
        Server(self.network, deaf=len(WAITS) - 1)
        asked = self.ask()
        self.network.advance(2)
        self.successResultOf(asked)
        self.closed()

    def test_silence(self) -> None:
        """Silence has an end."""
        server = Server(self.network, deaf=100)
        asked = self.ask()
        self.network.advance(sum(WAITS) + 0.1)
        self.failureResultOf(asked, Silent)
        self.assertEqual(server.heard, len(WAITS))
        self.closed()

    def test_unknown_name(self) -> None:
        """A name that nobody knows is silence too."""
        self.failureResultOf(self.ask(host="nowhere.test"), Silent)

    def test_no_socket(self) -> None:
        """Where no socket is to be had nothing is known, and nothing breaks."""
        self.reactor.crowded = True
        self.failureResultOf(self.ask(), Silent)

    def test_tcp(self) -> None:
        """A server of TCP or TLS is there when it can be connected to; the connection is not kept."""
        self.reactor.listening.add(SERVER)
        self.successResultOf(self.ask("tcp", "turn.test"))
        self.assertEqual(self.reactor.left, 1)
        self.reactor.listening.clear()
        asked = self.ask("tcp")
        self.network.advance()
        self.failureResultOf(asked, Silent)

    def test_cancelled(self) -> None:
        """The gateway stops while it asks."""
        Server(self.network, deaf=100)
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.network.advance()
        self.closed()
