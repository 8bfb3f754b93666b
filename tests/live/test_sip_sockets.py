"""The transport over real loopback sockets: one port number for UDP and TCP, and the change between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from rtcgw.sip.flow import Flow, Hop
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.transport import SipTransport
from tests.sip.doubles import Recorder, make_request


class SocketsTest(TestCase):
    timeout = 20

    async def side(self) -> tuple[SipTransport, TransactionLayer, Recorder]:
        transport = SipTransport(reactor, "tcp:0:interface=127.0.0.1")
        user = Recorder()
        clock: Any = reactor
        layer = TransactionLayer(clock, transport, user)
        await transport.start()

        async def stop() -> None:
            layer.close()
            await transport.stop()

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))
        return transport, layer, user

    async def exchange(self, size: int, flow: Callable[[Flow], None]) -> int:
        """One OPTIONS with a body of `size` bytes from one side to another; `flow` sees how it arrived."""
        _, asking, asker = await self.side()
        answering, _, answerer = await self.side()

        def answer(tx: ServerTransaction, request: Request) -> None:
            flow(tx.flow)
            self.assertEqual(len(request.body), size)
            self.assertEqual(request.via.transport, tx.flow.transport)
            tx.respond(make_response(request, 200))

        answerer.on_request = answer
        answered: Deferred[Response] = Deferred()
        asker.on_response = lambda tx, response: answered.callback(response)
        request = make_request()
        request.body = b"x" * size
        asking.request(request, Hop(answering.host, answering.port), asker)
        return (await answered).status

    async def test_udp(self) -> None:
        """A small request goes by UDP, through the socket's own sendto."""
        flows: list[Flow] = []
        self.assertEqual(await self.exchange(10, flows.append), 200)
        self.assertEqual([flow.transport for flow in flows], ["UDP"])

    async def test_tcp(self) -> None:
        """A large one goes by TCP to the same port number, and is answered there."""
        flows: list[Flow] = []
        self.assertEqual(await self.exchange(5000, flows.append), 200)
        self.assertEqual([flow.transport for flow in flows], ["TCP"])

    async def test_a_whole_datagram(self) -> None:
        """A datagram far beyond Twisted's default of 8 kB arrives whole."""
        sending, _, _ = await self.side()
        receiving, _, user = await self.side()
        arrived: Deferred[Request] = Deferred()
        user.on_request = lambda tx, request: arrived.callback(request)
        request = make_request()
        request.prepend("via", f"{sending.via('UDP')};branch=z9hG4bK1;rport")
        request.body = b"x" * 60000
        sending.send_datagram(request.to_bytes(), (receiving.host, receiving.port), None)
        self.assertEqual(len((await arrived).body), 60000)
