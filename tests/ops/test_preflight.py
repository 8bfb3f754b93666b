"""`--check`: what an operator learns before anybody is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from rtcgw.config import Config, Ice, IceServer, Records, Sandbox, Sip
from rtcgw.media.backend import IMediaBackend, IMediaSession, MediaError
from rtcgw.model.reason import Reason
from rtcgw.ops.preflight import PATIENCE, Finding, options_request, preflight
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.parser import parse_message

PEER = ("127.0.0.1", 5060)


@implementer(IMediaBackend)
@define
class Media:
    """A backend that is well or not."""

    fit: bool = True
    name: str = "embedded"
    counters: dict[str, int] = field(factory=dict)

    def check(self) -> Deferred[str]:
        return succeed("well") if self.fit else fail(MediaError(Reason.MEDIA_FAILED, "no answer from rtpengine"))

    def start(self) -> None:
        """Not asked by a check."""

    def stop(self) -> None:
        """Not asked by a check."""

    def rows(self) -> list[Mapping[str, object]]:
        return []

    def open(self, *args: Any) -> IMediaSession:
        raise NotImplementedError


@define
class Port:
    """A port that was opened, and closed again."""

    reactor: Reactor
    number: int

    def stopListening(self) -> None:
        self.reactor.open_ports.remove(self.number)


@define(slots=False)
class Reactor(MemoryReactorClock):
    """A reactor in memory whose UDP ports reach a scripted core."""

    answering: bool = True
    unroutable: bool = False
    taken: tuple[int, ...] = ()
    open_ports: list[int] = field(factory=list)
    asked: list[Request] = field(factory=list)

    def __attrs_pre_init__(self) -> None:
        MemoryReactorClock.__init__(self)

    def resolve(self, name: str, timeout: object = None) -> Deferred[str]:
        return succeed(name)

    def listenTCP(self, port: int, *args: Any, **kwargs: Any) -> Any:
        return self._opened(port)

    def listenUDP(self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 0) -> Any:
        opened = self._opened(port)
        protocol.makeConnection(Wire(self, protocol, port))  # type: ignore[arg-type]
        return opened

    def _opened(self, port: int) -> Port:
        if port in self.taken:
            raise error.CannotListenError("127.0.0.1", port, OSError(98, "Address already in use"))
        self.open_ports.append(port)
        return Port(self, port)


@define
class Wire:
    """A UDP socket whose datagrams a scripted core answers, among others that try to."""

    reactor: Reactor
    protocol: DatagramProtocol
    port: int

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", "127.0.0.1", self.port)

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        if self.reactor.unroutable:
            raise OSError(101, "Network is unreachable")
        if data[0] == 0:  # a STUN server's question; the one at .9 is silent
            if not address[0].endswith(".9"):
                self.protocol.datagramReceived(b"\x01\x01\x00\x00" + data[4:20], address)
            return
        request = parse_message(data)
        assert isinstance(request, Request)
        self.reactor.asked.append(request)
        if self.reactor.answering:
            answer = make_response(request, 200).to_bytes()
            self.protocol.datagramReceived(b"rubbish", address)
            self.protocol.datagramReceived(answer.replace(b"200 OK", b"299 Forged"), ("192.0.2.66", 5060))
            self.protocol.datagramReceived(answer, address)


class PreflightTests(TestCase):
    def check(self, reactor: Reactor, config: Config | None = None, media: Media | None = None) -> list[str]:
        """The findings as lines; the core's TCP side accepts, or the check's patience ends."""
        running = Deferred.fromCoroutine(preflight(config or Config(), reactor, media or Media()))
        for _, _, factory, _, _ in reactor.tcpClients:
            if reactor.answering:
                protocol = factory.buildProtocol(None)
                assert protocol is not None
                protocol.makeConnection(StringTransport())
            else:
                factory.clientConnectionFailed(None, Failure(error.ConnectionRefusedError(111, "Connection refused")))  # type: ignore[arg-type]
        reactor.pump([0.5] * int(2 * (PATIENCE + 4)))
        return [str(finding) for finding in self.successResultOf(running)]

    def test_all_well(self) -> None:
        """Every listener, the media and the core are told to be well, and everything is closed again."""
        reactor = Reactor()
        lines = self.check(reactor)
        self.assertEqual([line for line in lines if not line.startswith("ok ")], [])
        self.assertIn("ok       [sip] peer: 127.0.0.1:5060 answers over UDP: 200 OK", lines)
        self.assertIn("ok       [sip] peer: tcp:127.0.0.1:5060 takes connections", lines)
        self.assertEqual(reactor.open_ports, [])
        self.assertEqual(reactor.getDelayedCalls(), [])

    def test_sandbox(self) -> None:
        """In the sandbox the core is our own: its port must be free, and nobody is asked."""
        reactor = Reactor(taken=(15060,))
        lines = self.check(reactor, evolve(Config(), sandbox=Sandbox(enabled=True)))
        self.assertIn("[sandbox] core_port: tcp:15060:interface=127.0.0.1 cannot be opened", "\n".join(lines))
        self.assertEqual((reactor.asked, reactor.tcpClients), ([], []))

    def test_port_taken(self) -> None:
        """A port that another program has is told in words, and the rest is looked at all the same."""
        lines = self.check(Reactor(taken=(8080,)))
        self.assertIn("FAILED   [web] listen: tcp:8080:interface=127.0.0.1 cannot be opened: Address already", lines[0])
        self.assertEqual(len([line for line in lines if line.startswith("FAILED")]), 1)

    def test_records(self) -> None:
        """Where call records go, and whether there is room for them."""
        file = f"{self.mktemp()}-calls.jsonl"
        small, huge = Records(file, 65536), Records(file, 2**60)
        self.assertIn(f"ok       [records] file: {file} can be written; room for all of its files",
                      self.check(Reactor(), evolve(Config(), records=small)))  # fmt: skip
        lines = self.check(Reactor(), evolve(Config(), records=huge))
        self.assertIn(f"bytes are free for {file}, fewer than max_size", "\n".join(lines))

    def test_silent_core(self) -> None:
        """A core that is not there is found within seconds, over TCP and UDP, after asking more than once."""
        reactor = Reactor(answering=False)
        lines = self.check(reactor)
        self.assertIn(
            "FAILED   [sip] peer: tcp:127.0.0.1:5060 takes no connection: Connection was refused", "\n".join(lines)
        )
        self.assertIn("FAILED   [sip] peer: 127.0.0.1:5060 gives no answer over UDP", lines)
        self.assertGreater(len(reactor.asked), 1)
        self.assertEqual(reactor.open_ports, [])

    def test_no_route(self) -> None:
        """A core that no packet can be sent to is told as that, and does not end the check."""
        lines = self.check(Reactor(unroutable=True))
        self.assertIn("FAILED   [sip] peer: 127.0.0.1:5060 cannot be sent to: Network is unreachable", lines)

    def test_unfit_media(self) -> None:
        """A media backend that cannot carry a call is told before the first call is silent."""
        lines = self.check(Reactor(), media=Media(fit=False))
        self.assertIn("FAILED   [media] backend embedded: no answer from rtpengine", lines)

    def test_ice_servers(self) -> None:
        """Each STUN and TURN server is asked; one that is silent fails the check, by its name."""
        servers = (
            IceServer(urls=("stun:192.0.2.1", "turn:192.0.2.9:3479")),
            IceServer(urls=("turns:192.0.2.1?transport=udp",), secrets=("a-shared-secret",)),
        )
        lines = self.check(Reactor(), evolve(Config(), ice=Ice(servers=servers)))
        found = [line for line in lines if "[ice]" in line]
        self.assertEqual(
            found,
            [
                "ok       [ice] servers: stun:192.0.2.1 answers within 0 ms",
                "FAILED   [ice] servers: turn:192.0.2.9:3479 does not answer: no answer",
                "ok       [ice] servers: turns:192.0.2.1?transport=udp cannot be asked over UDP or TCP, and was not",
            ],
        )

    def test_only_what_is_used(self) -> None:
        """A core that is spoken to by TCP only is not asked over UDP, nor the other way round."""
        reactor = Reactor()
        self.check(reactor, evolve(Config(), sip=Sip(transport="tcp")))
        self.assertEqual((len(reactor.asked), len(reactor.tcpClients)), (0, 1))
        reactor = Reactor()
        self.check(reactor, evolve(Config(), sip=Sip(transport="udp")))
        self.assertEqual((len(reactor.asked), len(reactor.tcpClients)), (1, 0))

    def test_question_is_proper_sip(self) -> None:
        """A strict core answers the OPTIONS instead of dropping it."""
        request = parse_message(options_request(PEER, ("127.0.0.1", 5070)))
        assert isinstance(request, Request)
        self.assertEqual(
            (request.method, str(request.uri), request.get("max-forwards")), ("OPTIONS", "sip:127.0.0.1:5060", "70")
        )
        self.assertEqual(request.via.host, "127.0.0.1")

    def test_finding(self) -> None:
        """One line says how it is, where, and what."""
        self.assertEqual(str(Finding(False, "[x] y", "broken")), "FAILED   [x] y: broken")
