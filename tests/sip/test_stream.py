"""SIP over TCP: one connection cut into pieces, kept alive, bounded, refused, closed."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from rtcgw.sip.flow import Flow, Hop
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.outgoing import Outgoing
from rtcgw.sip.stream import HIGH_WATER, STREAM, WAITING, SipStream, StreamEvent, StreamState
from rtcgw.sip.transport import Limits, SipTransport
from tests.sip.doubles import log_lines, make_request, with_via
from tests.sip.test_transport import Sender

S, E = StreamState, StreamEvent
PEER = ("192.0.2.7", 40000)
DONE = Failure(error.ConnectionDone())

NEXT: dict[tuple[StreamState, StreamEvent], StreamState] = {
    (S.CONNECTING, E.MADE): S.OPEN,
    (S.CONNECTING, E.REFUSED): S.CLOSED,
    (S.CONNECTING, E.LOST): S.CLOSED,
    (S.CONNECTING, E.CLOSE): S.CLOSED,
    (S.OPEN, E.LOST): S.CLOSED,
    (S.OPEN, E.CLOSE): S.CLOSED,
    (S.OPEN, E.BROKEN): S.PARTING,
    (S.OPEN, E.TIMER_PING): S.PINGED,
    (S.OPEN, E.TIMER_IDLE): S.OPEN,
    (S.PINGED, E.PONG): S.OPEN,
    (S.PINGED, E.LOST): S.CLOSED,
    (S.PINGED, E.CLOSE): S.CLOSED,
    (S.PINGED, E.BROKEN): S.PARTING,
    (S.PINGED, E.TIMER_PONG): S.CLOSED,
    (S.PINGED, E.TIMER_IDLE): S.PINGED,
    (S.PARTING, E.LOST): S.CLOSED,
    (S.PARTING, E.CLOSE): S.CLOSED,
    (S.PARTING, E.TIMER_PART): S.CLOSED,
}


class Endpoint:
    """A client endpoint whose connections the test makes."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, int]]] = []
        self.waiting: list[tuple[Any, Deferred[Any]]] = []

    def __call__(self, transport: str, address: tuple[str, int], name: str) -> IStreamClientEndpoint:
        self.asked.append((transport, address))
        return self  # type: ignore[return-value] # the one method that is used

    def connect(self, factory: Any) -> Deferred[Any]:
        self.waiting.append((factory, Deferred()))
        return self.waiting[-1][1]

    def made(self) -> tuple[SipStream, StringTransport]:
        factory, deferred = self.waiting.pop(0)
        stream = factory.buildProtocol(None)
        wire = StringTransport()
        stream.makeConnection(wire)
        deferred.callback(stream)
        return stream, wire

    def refused(self) -> None:
        self.waiting.pop(0)[1].errback(error.ConnectionRefusedError())


class Rig:
    """A transport whose connections are made by hand; `got` is what came through."""

    def __init__(self, trusted: Callable[[str], bool] = lambda host: True, **limits: Any) -> None:
        self.clock = Clock()
        self.endpoint = Endpoint()
        self.front = SipTransport(self.clock, trusted=trusted, limits=Limits(**limits), connect=self.endpoint)
        self.front._name_ourselves("127.0.0.1", 5060)
        self.got: list[tuple[Request | Response, Flow]] = []
        self.front.on_message = lambda message, flow: self.got.append((message, flow))

    def accept(self, port: int = PEER[1]) -> tuple[SipStream, StringTransport]:
        stream = SipStream(self.front, "TCP")
        wire = StringTransport(peerAddress=IPv4Address("TCP", PEER[0], port))
        stream.makeConnection(wire)
        return stream, wire

    def send(self, sender: Sender | None = None, transport: str | None = "TCP") -> Outgoing:
        request = make_request()
        request.prepend("via", f"SIP/2.0/{transport or 'UDP'} 127.0.0.1:5060;branch=z9hG4bK1;rport")
        if transport is None:
            request.body = b"x" * 2000
        return self.front.send_request(request, Hop(*PEER, transport), sender)


class MachineTest(TestCase):
    def test_rows(self) -> None:
        """A connection's states follow each other as drawn, and nothing else moves them."""
        self.assertEqual({(s, e) for s in STREAM.states for e in STREAM.rows[s]}, set(NEXT))
        for state in S:
            for event in E:
                self.assertIs(self.play(state, event), NEXT.get((state, event), state), f"{state} {event}")

    def play(self, state: StreamState, event: StreamEvent) -> Enum:
        stream, _ = Rig().accept()
        stream.machine.state = state
        stream.machine.handle(event)
        return stream.machine.state


class ReceivingTest(TestCase):
    def test_any_pieces(self) -> None:
        """Messages arrive whole however the network cuts them, and are answered on the same connection."""
        rig = Rig()
        stream, wire = rig.accept()
        data = with_via(make_request()).to_bytes() * 2
        for octet in data:
            stream.dataReceived(bytes([octet]))
        self.assertEqual(len(rig.got), 2)
        request, flow = rig.got[0]
        self.assertEqual((flow.transport, flow.host, flow.port, flow.reliable), ("TCP", *PEER, True))
        self.assertEqual(request.via.received, PEER[0])
        assert isinstance(request, Request)
        rig.front.send_response(make_response(request, 200), flow)
        self.assertTrue(wire.value().startswith(b"SIP/2.0 200"))

    def test_answer_after_the_connection(self) -> None:
        """When the caller's connection is gone, the answer opens a new one to its Via's port (RFC 3261 §18.2.2)."""
        rig = Rig()
        stream, _ = rig.accept()
        stream.dataReceived(with_via(make_request()).to_bytes())
        request, flow = rig.got[0]
        stream.connectionLost(DONE)
        heard: list[str] = []
        assert isinstance(request, Request)
        rig.front.send_response(make_response(request, 200), flow, lambda: heard.append("failed"))
        self.assertEqual(rig.endpoint.asked, [("TCP", (PEER[0], 5060))])
        _, wire = rig.endpoint.made()
        self.assertTrue(wire.value().startswith(b"SIP/2.0 200"))
        rig.endpoint.asked.clear()
        rig.front.closed(rig.front._outbound["TCP", (PEER[0], 5060)])
        rig.front.send_response(make_response(request, 200), flow, lambda: heard.append("failed"))
        rig.endpoint.refused()
        rig.clock.advance(0)
        self.assertEqual(heard, ["failed"])

    def test_ping(self) -> None:
        """A ping is answered with a pong (RFC 5626 §3.5.1)."""
        stream, wire = Rig().accept()
        stream.dataReceived(b"\r\n\r\n")
        self.assertEqual(wire.value(), b"\r\n")

    def test_malformed(self) -> None:
        """A wrong message is answered with 400; the connection, whose framing stands, stays."""
        rig = Rig()
        stream, wire = rig.accept()
        good = with_via(make_request()).to_bytes()
        stream.dataReceived(good.replace(b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE") + good)
        self.assertTrue(wire.value().startswith(b"SIP/2.0 400"))
        self.assertEqual(len(rig.got), 1)
        self.assertTrue(stream.usable)

    def test_broken_framing(self) -> None:
        """Once the end of a message is unknown, the peer is told and the connection closed; what came before counts."""
        rig = Rig()
        stream, wire = rig.accept()
        good = with_via(make_request()).to_bytes()
        stream.dataReceived(good + good.replace(b"Content-Length: 0", b"Content-Length: -1") + good)
        self.assertEqual(len(rig.got), 1)
        self.assertTrue(wire.value().startswith(b"SIP/2.0 400"))
        self.assertTrue(wire.disconnecting)
        stream.dataReceived(good)
        self.assertEqual(len(rig.got), 1)
        rig.clock.advance(5)
        self.assertTrue(wire.disconnected)

    def test_endless_headers(self) -> None:
        """A peer that never ends its headers is cut off at the bound."""
        rig = Rig()
        stream, wire = rig.accept()
        stream.dataReceived(b"OPTIONS sip:b SIP/2.0\r\n")
        for _ in range(80):
            stream.dataReceived(b"X: " + b"x" * 1000 + b"\r\n")
        self.assertTrue(wire.disconnecting)

    def test_tls_failure_is_told(self) -> None:
        """A connection that fails for another reason than being closed leaves a line in the log."""
        rig = Rig()
        lines = log_lines(self)
        for reason in (OSError("certificate"), error.ConnectionLost()):
            stream, _ = rig.accept()
            stream.connectionLost(Failure(reason))
        self.assertEqual(lines, ["SIP connection with 192.0.2.7:40000 failed: certificate"])
        self.assertEqual(rig.front.connections, 0)


class BoundsTest(TestCase):
    def test_strangers(self) -> None:
        """A connection from whoever is not trusted is closed unread."""
        rig = Rig(trusted=lambda host: False)
        stream, wire = rig.accept()
        stream.dataReceived(with_via(make_request()).to_bytes())
        self.assertTrue(wire.disconnected)
        self.assertEqual((rig.got, rig.front.counters), ([], {"untrusted": 1}))

    def test_too_many(self) -> None:
        """Connections beyond the bound are closed, those to be made are not made."""
        rig = Rig(connections=2)
        wires = [rig.accept(port)[1] for port in (1, 2, 3)]
        self.assertEqual([wire.disconnected for wire in wires], [False, False, True])
        sender = Sender()
        rig.send(sender)
        rig.clock.advance(0)
        self.assertEqual((sender.heard, rig.endpoint.asked), (["failed"], []))
        self.assertEqual(rig.front.counters["too_many_connections"], 2)

    def test_queue(self) -> None:
        """While a connection is being made a bounded number of requests wait for it."""
        rig = Rig()
        senders = [Sender() for _ in range(WAITING + 2)]
        for sender in senders:
            rig.send(sender)
        rig.clock.advance(0)
        self.assertEqual([sender.heard for sender in senders[-3:]], [[], ["failed"], ["failed"]])
        self.assertEqual(len(rig.endpoint.asked), 1)
        _, wire = rig.endpoint.made()
        self.assertEqual(wire.value().count(b"OPTIONS sip:"), WAITING)

    def test_peer_that_does_not_read(self) -> None:
        """A peer that does not read is cut off once a megabyte waits for it."""
        rig = Rig()
        stream, wire = rig.accept()
        stream.pauseProducing()
        self.assertTrue(stream.send(b"x" * HIGH_WATER))
        stream.resumeProducing()
        self.assertTrue(stream.send(b"x" * HIGH_WATER))
        stream.pauseProducing()
        self.assertTrue(stream.send(b"x" * HIGH_WATER))
        self.assertFalse(stream.send(b"x"))
        self.assertTrue(wire.disconnected)
        self.assertEqual(rig.front.counters["slow_peers"], 1)

    def test_idle(self) -> None:
        """A connection is closed after its time without traffic; traffic prolongs it."""
        rig = Rig(idle=100)
        stream, wire = rig.accept()
        rig.clock.advance(60)
        stream.dataReceived(b"\r\n\r\n")
        rig.clock.advance(60)
        self.assertFalse(wire.disconnected)
        rig.clock.advance(40)
        self.assertTrue(wire.disconnected)
        self.assertEqual((rig.front.connections, rig.clock.getDelayedCalls()), (0, []))


class OutgoingTest(TestCase):
    def test_one_connection_for_all(self) -> None:
        """Requests to one peer share a connection; repetition is left to TCP."""
        rig = Rig()
        outgoing = rig.send()
        stream, wire = rig.endpoint.made()
        rig.send()
        outgoing.again()
        self.assertEqual(wire.value().count(b"OPTIONS sip:"), 2)
        self.assertIn(b"Via: SIP/2.0/TCP 127.0.0.1:5060", wire.value())
        self.assertTrue(outgoing.reliable)
        stream.connectionLost(DONE)
        rig.send()
        self.assertEqual(len(rig.endpoint.asked), 2)

    def test_large_goes_by_tcp(self) -> None:
        """A request beyond 1300 bytes takes TCP, and its Via says so (RFC 3261 §18.1.1)."""
        rig = Rig()
        outgoing = rig.send(transport=None)
        _, wire = rig.endpoint.made()
        self.assertIn(b"Via: SIP/2.0/TCP", wire.value())
        self.assertEqual(outgoing.hop, Hop(*PEER, "TCP"))

    def test_refused(self) -> None:
        """Refused TCP is a failure where TCP was asked for."""
        rig = Rig()
        sender = Sender()
        rig.send(sender)
        rig.endpoint.refused()
        rig.clock.advance(0)
        self.assertEqual(sender.heard, ["failed"])
        self.assertEqual(rig.front._outbound, {})

    def test_pings(self) -> None:
        """Where it is configured, our connections are pinged; one without a pong is closed (RFC 5626 §4.4.1)."""
        rig = Rig(ping=100)
        rig.send()
        stream, wire = rig.endpoint.made()
        wire.clear()
        rig.clock.advance(79)
        self.assertEqual(wire.value(), b"")
        rig.clock.advance(21)
        self.assertEqual(wire.value(), b"\r\n\r\n")
        stream.dataReceived(b"\r\nSIP")
        rig.clock.advance(11)
        self.assertFalse(wire.disconnected)
        rig.clock.advance(89)
        rig.clock.advance(10)
        self.assertTrue(wire.disconnected)
        self.assertEqual(rig.front.counters["no_pong"], 1)

    def test_stop(self) -> None:
        """Stopping closes what stands and fails what waits."""
        rig = Rig()
        _, wire = rig.accept()
        sender = Sender()
        rig.send(sender)
        self.successResultOf(Deferred.fromCoroutine(rig.front.stop()))
        rig.clock.advance(0)
        self.assertTrue(wire.disconnected)
        self.assertEqual(sender.heard, ["failed"])
        self.assertEqual(rig.clock.getDelayedCalls(), [])
