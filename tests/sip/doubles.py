"""Recorded neighbours of the transaction machines, messages to feed them, and two gateways in a memory network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from rtcgw.machine import Table
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.flow import Flow, Hop
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.transport import SipTransport
from rtcgw.sip.txuser import Failure, IClientUser, IServerUser, ITransactionUser, Timers
from rtcgw.sip.uri import Uri
from tests.peers.network import MemoryNetwork, MemoryReactor

A, B = ("127.0.0.1", 5060), ("127.0.0.1", 5070)
TO_B = Hop(*B)


def make_request(method: str = "OPTIONS", number: int = 1, call_id: str = "c1", tag: str | None = None) -> Request:
    """A request from A to B, without a Via."""
    request = Request(method, Uri.parse("sip:b@127.0.0.1:5070"))
    request.add("max-forwards", "70")
    request.add("from", "<sip:a@home>;tag=at")
    request.add("to", "<sip:b@home>" + (f";tag={tag}" if tag else ""))
    request.add("call-id", call_id)
    request.add("cseq", f"{number} {method}")
    request.add("contact", "<sip:a@127.0.0.1:5060>")
    return request


def with_via(request: Request, branch: str = "z9hG4bK1") -> Request:
    request.prepend("via", f"SIP/2.0/UDP 127.0.0.1:5060;branch={branch};rport")
    return request


@implementer(IClientUser, IServerUser, ITransactionUser)
class Recorder:
    """A transaction user that writes down what it is told, and does what `on_request` says."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.responses: list[Response] = []
        self.requests: list[ServerTransaction] = []
        self.on_request: Callable[[ServerTransaction, Request], None] = lambda tx, request: None
        self.on_response: Callable[[ClientTransaction, Response], None] = lambda tx, response: None

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        self.heard.append(request.method)
        self.requests.append(tx)
        tx.user = self
        self.on_request(tx, request)

    def got_ack(self, request: Request, flow: Flow) -> None:
        self.heard.append("ACK")

    def got_cancel(self, tx: ServerTransaction, cancel: Request) -> None:
        self.heard.append("CANCEL")

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        self.heard.append(response.status)
        self.responses.append(response)
        self.on_response(tx, response)

    def got_failure(self, tx: object, failure: Failure) -> None:
        self.heard.append(failure)


def log_lines(case: TestCase) -> list[str]:
    """The lines that are logged from now on until the test ends."""
    lines: list[str] = []

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observer)
    case.addCleanup(globalLogPublisher.removeObserver, observer)
    return lines


class FakeOutgoing:
    """One printed request that only counts how often it goes."""

    def __init__(self, calls: list[str], method: str, reliable: bool) -> None:
        self.calls = calls
        self.method = method
        self.reliable = reliable
        self.transport = "TCP" if reliable else "UDP"
        self.hop = Hop(*B, self.transport)
        self.data = b"printed"

    def go(self) -> None:
        self.calls.append(f"send {self.method}")

    def again(self) -> None:
        self.calls.append(f"repeat {self.method}")


class FakeLayer:
    """The layer and the transport of one machine; `calls` says what they were asked."""

    def __init__(self, reliable: bool = False) -> None:
        self.calls: list[str] = []
        self.requests: list[Request] = []
        self.clock = Clock()
        self.timers = Timers()
        self.watch = None
        self.transport = self
        self.reliable = reliable

    def prepare(self, request: Request, hop: Hop, sender: object) -> FakeOutgoing:
        self.requests.append(request)
        return FakeOutgoing(self.calls, request.method, self.reliable)

    def send_request(self, request: Request, hop: Hop, sender: object) -> FakeOutgoing:
        outgoing = self.prepare(request, hop, sender)
        outgoing.go()
        return outgoing

    def send_response(self, response: Response, flow: Flow, failed: object) -> None:
        self.calls.append(f"send {response.status}")

    def start(self, request: Request, hop: Hop, user: object, branch: str) -> None:
        self.requests.append(request)
        self.calls.append(f"start {request.method}")

    def forget_client(self, tx: object) -> None:
        self.calls.append("forget")

    forget_server = forget_client

    def pass_ack(self, ack: Request, flow: Flow) -> None:
        self.calls.append("pass ACK")

    def count(self, label: str) -> None:
        """Counters are looked at elsewhere."""


Expected = Mapping[tuple[Any, Any], tuple[Any, list[str]]]
"""(state, event) -> (next state, what the neighbours hear)."""


def check_rows(
    case: TestCase, table: Table[Any, Any], expected: Expected, play: Callable[[Enum, Enum], tuple[Enum, list[str]]]
) -> None:
    """Walk the whole product: rows do what `expected` says, everything else does nothing at all."""
    rows = {(state, event) for state in table.states for event in table.rows[state]}
    case.assertEqual(rows, set(expected))
    for state in table.states:
        for event in table.events:
            wanted = expected.get((state, event), (state, []))
            case.assertEqual(play(state, event), wanted, f"{state} {event}")


class Side:
    """A gateway's SIP side in a memory network: transport, layer, recorded user."""

    def __init__(self, network: MemoryNetwork, port: int, limit: int = 1000) -> None:
        self.reactor = MemoryReactor(network)
        self.transport = SipTransport(self.reactor, f"tcp:{port}:interface=127.0.0.1")
        self.user = Recorder()
        self.layer = TransactionLayer(network.clock, self.transport, self.user, limit=limit)
        Deferred.fromCoroutine(self.transport.start())


class Ladder:
    """Two sides; `wire` is what went between them, as `A INVITE`, `B 180`."""

    def __init__(self, limit: int = 1000) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.a = Side(self.network, A[1], limit)
        self.b = Side(self.network, B[1], limit)

    @property
    def wire(self) -> list[str]:
        lines = []
        for packet in self.network.packets:
            first, second, *_ = packet.start.split(" ")
            who = "A" if packet.source == A else "B"
            lines.append(f"{who} {second if first == 'SIP/2.0' else first}")
        return lines

    def answer(self, *statuses: int) -> None:
        """B answers each request with these, its To tag being `bt`."""

        def respond(tx: ServerTransaction, request: Request) -> None:
            for status in statuses:
                tx.respond(self.response(request, status))

        self.b.user.on_request = respond

    @staticmethod
    def response(request: Request, status: int) -> Response:
        response = make_response(request, status, None, "bt")
        response.add("contact", "<sip:b@127.0.0.1:5070>")
        return response

    def ask(self, request: Request) -> ClientTransaction:
        return self.a.layer.request(request, TO_B, self.a.user)

    def pass_time(self, seconds: float = 0.05) -> None:
        self.network.advance(seconds)
