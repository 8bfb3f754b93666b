"""The transport's front and its UDP side: who is heard, what is stamped, answered, counted, and how it starts."""

from __future__ import annotations

import errno
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.internet.testing import FakeDatagramTransport, MemoryReactorClock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from rtcgw.sip.datagram import SipDatagram, reply_address
from rtcgw.sip.flow import Flow, Hop, ISender
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.outgoing import change_via
from rtcgw.sip.parser import parse_message
from rtcgw.sip.transport import Limits, SipTransport
from rtcgw.sip.uri import Uri
from tests.peers.network import MemoryNetwork, MemoryReactor
from tests.sip.doubles import log_lines, make_request, with_via

PEER = ("192.0.2.7", 5080)


@implementer(ISender)
class Sender:
    """Notes what it is told of its request."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def sent_by_udp(self) -> None:
        self.heard.append("moved")

    def send_failed(self) -> None:
        self.heard.append("failed")


class Port(FakeDatagramTransport):
    """A port whose socket raises `error` when it is set."""

    error: int | None = None
    socket: object = None

    def write(self, packet: bytes, addr: Any = None) -> None:
        if self.error is not None:
            raise OSError(self.error, "no")
        super().write(packet, addr)


class Rig:
    """A transport on a fake port; `got` is what came through."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.front = SipTransport(self.clock, **options)
        self.front._name_ourselves("127.0.0.1", 5060)
        self.got: list[tuple[Request | Response, Flow]] = []
        self.front.on_message = lambda message, flow: self.got.append((message, flow))
        self.port = Port()
        self.udp: SipDatagram = self.front._datagrams
        self.udp.makeConnection(self.port)

    def receive(self, request: Request, host: str = PEER[0], port: int = PEER[1]) -> None:
        self.udp.datagramReceived(request.to_bytes(), (host, port))

    def send(self, request: Request, hop: Hop) -> Sender:
        sender = Sender()
        self.front.send_request(request, hop, sender)
        self.clock.advance(0)
        return sender


class ReceivingTest(TestCase):
    def test_source_is_stamped(self) -> None:
        """A request from behind a NAT is answered where it came from (RFC 3581)."""
        rig = Rig()
        rig.receive(with_via(make_request()))
        ((request, flow),) = rig.got
        self.assertEqual((request.via.received, request.via.rport), PEER)
        self.assertEqual((flow.transport, flow.host, flow.port, flow.reply), ("UDP", *PEER, PEER))
        self.assertFalse(flow.reliable)
        assert isinstance(request, Request)
        rig.front.send_response(make_response(request, 200), flow)
        self.assertEqual(rig.port.written[0][1], PEER)
        self.assertIn(b";rport=5080", rig.port.written[0][0])

    def test_without_rport(self) -> None:
        """Without rport the answer goes to the Via's port at the source address; nothing is stamped needlessly."""
        rig = Rig()
        for host, received in ((PEER[0], None), ("192.0.2.8", PEER[0])):
            request = make_request()
            request.prepend("via", f"SIP/2.0/UDP {host}:5099;branch=z9hG4bK1")
            rig.receive(request)
            message, flow = rig.got[-1]
            self.assertEqual(flow.reply, (PEER[0], 5099))
            self.assertEqual(message.via.received, received)

    def test_reply_addresses(self) -> None:
        """The order of RFC 3261 §18.2.2: maddr, then the source with rport, the Via's port, or 5060."""
        self.assertEqual(reply_address("192.0.2.9", None, True, *PEER), ("192.0.2.9", 5060))
        self.assertEqual(reply_address("a.name", 5099, False, *PEER), (PEER[0], 5099))
        self.assertEqual(reply_address(None, None, False, *PEER), (PEER[0], 5060))
        self.assertEqual(reply_address(None, 5099, True, *PEER), PEER)

    def test_strangers(self) -> None:
        """Whoever is not trusted gets no answer, not even to garbage; he is asked about once."""
        asked: list[str] = []

        def trusted(host: str) -> bool:
            asked.append(host)
            return False

        rig = Rig(trusted=trusted)
        for _ in range(3):
            rig.receive(with_via(make_request()))
        self.assertEqual((rig.got, rig.port.written), ([], []))
        self.assertEqual(rig.front.counters, {"untrusted": 3})
        self.assertEqual(asked, [PEER[0]])

    def test_malformed_is_answered(self) -> None:
        """A request cut short gets 400, at the address it came from; one that cannot be read at all is counted."""
        rig = Rig()
        whole = with_via(make_request()).to_bytes()
        rig.udp.datagramReceived(whole.replace(b"Content-Length: 0", b"Content-Length: 9"), PEER)
        data, address = rig.port.written[0]
        answer = parse_message(data)
        assert isinstance(answer, Response)
        self.assertEqual((answer.status, address, answer.via.rport), (400, PEER, PEER[1]))
        rig.udp.datagramReceived(b"\xff\xfe", PEER)
        rig.udp.datagramReceived(whole[:40], PEER)
        self.assertEqual(len(rig.port.written), 1)
        self.assertEqual(sum(n for label, n in rig.front.counters.items() if label.startswith("malformed")), 3)

    def test_one_peers_bytes_stay_its_own(self) -> None:
        """After a broken datagram the next one, of another peer, is read as ever."""
        rig = Rig()
        whole = with_via(make_request()).to_bytes()
        rig.udp.datagramReceived(whole.replace(b"Content-Length: 0", b"Content-Length: 400"), PEER)
        rig.udp.datagramReceived(whole, ("192.0.2.8", 5060))
        self.assertEqual(len(rig.got), 1)

    def test_pinholes(self) -> None:
        """What routers and phones send to keep a NAT open is no message."""
        rig = Rig()
        for data in (b"", b"\r\n\r\n", b"\0\0\0\0"):
            rig.udp.datagramReceived(data, PEER)
        self.assertEqual(rig.front.counters, {"keepalives": 3})

    def test_complaints_are_rare(self) -> None:
        """A flood of garbage writes one line per peer in ten seconds, and remembers a bounded number of peers."""
        rig = Rig()
        lines = log_lines(self)
        for _ in range(3):
            for _ in range(5):
                rig.udp.datagramReceived(b"x", PEER)
            rig.clock.advance(10)
        self.assertEqual(len([line for line in lines if f"malformed SIP from {PEER[0]}" in line]), 3)
        for number in range(3000):
            rig.udp.datagramReceived(b"x", (f"10.0.{number // 256}.{number % 256}", 5060))
        self.assertLessEqual(len(rig.front._complaints), 1024)
        self.assertLessEqual(len(rig.front._verdicts), 1024)

    def test_flows_are_bounded(self) -> None:
        """A peer that changes its port with each datagram fills no memory."""
        rig = Rig()
        for port in range(3000):
            rig.receive(with_via(make_request()), port=port + 1)
        self.assertLessEqual(len(rig.udp._flows), 1024)

    def test_counters_are_bounded(self) -> None:
        """However many kinds of fault there are, the counters stay few."""
        rig = Rig()
        for number in range(100):
            rig.front.count(f"kind {number}")
        self.assertEqual(len(rig.front.counters), 65)
        self.assertEqual(rig.front.counters["other"], 36)

    def test_fault_above(self) -> None:
        """A fault above the transport does not close the socket."""
        rig = Rig()

        def broken(message: object, flow: Flow) -> None:
            raise ZeroDivisionError

        rig.front.on_message = broken
        rig.receive(with_via(make_request()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(rig.front.counters["faults"], 1)


class SendingTest(TestCase):
    def test_small_by_udp(self) -> None:
        """A small request is one datagram, repeated as the same bytes; as a message it counts once."""
        rig = Rig()
        outgoing = rig.front.send_request(with_via(make_request()), Hop(*PEER), None)
        outgoing.again()
        self.assertEqual([address for _, address in rig.port.written], [PEER, PEER])
        self.assertEqual(rig.port.written[0], rig.port.written[1])
        self.assertEqual(outgoing.hop, Hop(*PEER, "UDP"))
        self.assertEqual(rig.front.counters["sent"], 1)
        outgoing.data = b""
        outgoing.again()
        self.assertEqual(len(rig.port.written), 2)

    def test_errors(self) -> None:
        """A full socket loses a datagram like any network; what the system refuses is told, but not at once."""
        rig = Rig()
        for error, heard in ((errno.EAGAIN, []), (errno.ENETUNREACH, ["failed"]), (errno.EMSGSIZE, ["failed"])):
            rig.port.error = error
            sender = Sender()
            rig.front.send_request(with_via(make_request()), Hop(*PEER), sender)
            self.assertEqual(sender.heard, [])
            rig.clock.advance(0)
            self.assertEqual(sender.heard, heard)
        self.assertEqual(rig.front.counters["lost_datagrams"], 1)

    def test_response_that_cannot_go(self) -> None:
        """The transaction hears when its response could not be sent."""
        rig = Rig()
        rig.port.error = errno.ENETUNREACH
        heard: list[str] = []
        response = make_response(with_via(make_request()), 200)
        rig.front.send_response(response, Flow("UDP", *PEER), lambda: heard.append("failed"))
        rig.front.send_response(response, Flow("UDP", *PEER))
        rig.clock.advance(0)
        self.assertEqual(heard, ["failed"])

    def test_own_socket(self) -> None:
        """Where the port has a socket, datagrams go to it directly; a small receive buffer is lived with."""

        class Socket:
            sent: ClassVar[list[object]] = []

            def sendto(self, data: bytes, address: object) -> None:
                self.sent.append(address)

            def setsockopt(self, *option: int) -> None:
                raise OSError(errno.EPERM, "no")

        rig = Rig()
        rig.port.socket = Socket()
        rig.udp.startProtocol()
        self.assertEqual(rig.send(with_via(make_request()), Hop(*PEER)).heard, [])
        self.assertEqual((Socket.sent, rig.port.written), ([PEER], []))
        self.assertEqual(rig.front.counters["small_buffer"], 1)

    def test_closed(self) -> None:
        """After the port is closed nothing is sent."""
        rig = Rig()
        rig.udp.stopProtocol()
        self.assertEqual(rig.send(with_via(make_request()), Hop(*PEER)).heard, ["failed"])

    def test_change_via(self) -> None:
        """The change of transport touches the top Via alone, whatever else looks like one."""
        request = with_via(make_request())
        request.uri = Uri.parse("sip:SIP/2.0/UDP@127.0.0.1")
        request.add("via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK2")
        changed = parse_message(change_via(request.to_bytes(), "UDP", "TCP"))
        self.assertEqual([via.transport for via in changed.vias], ["TCP", "UDP"])
        assert isinstance(changed, Request)
        self.assertEqual(changed.uri, request.uri)

    def test_unknown_name(self) -> None:
        """A name without an address is a failure of the request, not of the gateway."""

        class NoNames:
            def lookupService(self, name: str) -> Deferred[Any]:
                return self.lookupAddress(name)

            def lookupAddress(self, name: str) -> Deferred[Any]:
                answer: Deferred[Any] = Deferred()
                answer.errback(OSError("no name server"))
                return answer

            def lookupIPV6Address(self, name: str) -> Deferred[Any]:
                return self.lookupAddress(name)

        rig = Rig()
        rig.front._locator._resolver = NoNames()  # type: ignore[assignment] # the part of IResolver that is used
        self.assertEqual(rig.send(with_via(make_request()), Hop("nowhere.test")).heard, ["failed"])
        self.assertEqual(rig.front.counters["unlocated"], 1)


class RefusingTest(TestCase):
    def test_refusal_is_remembered(self) -> None:
        """A peer without TCP is not asked for it with every call, but asked again after a minute."""
        network = MemoryNetwork(Clock())
        reactor = MemoryReactor(network)
        front = SipTransport(reactor, "tcp:5060:interface=127.0.0.1")
        self.successResultOf(Deferred.fromCoroutine(front.start()))
        for wait in (1, 1, 70):
            request = with_via(make_request())
            request.body = b"x" * 2000
            front.send_request(request, Hop(*PEER), sender := Sender())
            network.advance(wait)
            self.assertEqual(sender.heard, ["moved"])
            self.assertIn(b"SIP/2.0/UDP", network.packets[-1].data)
        front.send_request(request, Hop(*PEER), None)
        network.advance(1)
        self.assertEqual((len(reactor.tcpClients), len(network.packets)), (2, 4))

    def test_too_large_for_any_datagram(self) -> None:
        """What no datagram can hold fails when TCP is refused."""
        network = MemoryNetwork(Clock())
        front = SipTransport(MemoryReactor(network), "tcp:5060:interface=127.0.0.1")
        request = with_via(make_request())
        request.body = b"x" * 66000
        front.send_request(request, Hop(*PEER), sender := Sender())
        network.advance(1)
        self.assertEqual(sender.heard, ["failed"])


class StartingTest(TestCase):
    def start(self, reactor: Any, listen: str, **options: Any) -> SipTransport:
        front = SipTransport(reactor, listen, **options)
        self.successResultOf(Deferred.fromCoroutine(front.start()))
        return front

    def reactor(self) -> MemoryReactor:
        return MemoryReactor(MemoryNetwork(Clock()))

    def test_names(self) -> None:
        """Via and Contact name the address listened on, or the one advertised."""
        for listen, advertise, sent_by in (
            ("tcp:5060:interface=127.0.0.1", "", "127.0.0.1:5060"),
            ("tcp:5060:interface=127.0.0.1", "gw.example.com", "gw.example.com:5060"),
            ("tcp:5060:interface=0.0.0.0", "203.0.113.5:6060", "203.0.113.5:6060"),
            ("tcp:5060:interface=127.0.0.1", "[2001:db8::1]:6060", "[2001:db8::1]:6060"),
            ("tcp:5060:interface=127.0.0.1", "[2001:db8::1]", "[2001:db8::1]:5060"),
        ):
            front = self.start(self.reactor(), listen, advertise=advertise)
            self.assertEqual(front.sent_by("TCP"), sent_by)
            self.assertEqual(front.via("TCP"), f"SIP/2.0/TCP {sent_by}")
            self.assertNotIn("[", front.host)
            self.assertEqual(front.port, int(sent_by.rpartition(":")[2]))

    def test_wildcard_needs_a_name(self) -> None:
        """Listening everywhere without an address to tell is refused at the start, not at the first call."""
        front = SipTransport(self.reactor(), "tcp:5060:interface=0.0.0.0")
        self.failureResultOf(Deferred.fromCoroutine(front.start()), ValueError)

    def test_taken_port(self) -> None:
        """A UDP port that is taken stops the start; with port 0 another pair is tried."""

        class Taken(MemoryReactor):
            left = 2

            def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
                if self.left:
                    self.left -= 1
                    raise CannotListenError(interface, port, OSError(errno.EADDRINUSE, "taken"))
                return super().listenUDP(port, protocol, interface, maxPacketSize)

        front = SipTransport(Taken(MemoryNetwork(Clock())), "tcp:5060:interface=127.0.0.1")
        self.failureResultOf(Deferred.fromCoroutine(front.start()), CannotListenError)
        front = self.start(Taken(MemoryNetwork(Clock())), "tcp:0:interface=127.0.0.1")
        self.assertEqual(len(front._ports), 2)
        self.successResultOf(Deferred.fromCoroutine(front.stop()))
        self.assertEqual(front._ports, [])

    def test_tcp_comes_from_the_address_listened_on(self) -> None:
        """A core that trusts addresses sees our connections come from the one it knows; they are given up in time."""
        reactor = MemoryReactorClock()
        front = SipTransport(reactor, limits=Limits(connect=3))
        front._name_ourselves("127.0.0.1", 5060)
        front.send_request(with_via(make_request()), Hop(*PEER, "TCP"), None)
        host, port, _, timeout, bind = reactor.tcpClients[0]
        self.assertEqual((host, port, timeout, bind), (*PEER, 3, ("127.0.0.1", 0)))
