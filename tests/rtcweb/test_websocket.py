"""The WebSocket's guards: who may connect, how long, how fast, how much."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Candidates
from rtcgw.rtcweb import websocket
from rtcgw.rtcweb.websocket import (
    CLOSING,
    HANDSHAKE_LIMIT,
    BrowserConnection,
    origin_allowed,
)
from rtcgw.web.server import make_site
from tests.peers.browser import SDP, Browser, BrowserSide, frame, sandbox_config
from tests.rtcweb.doubles import GATEWAY, World, checked


class SocketCase(SynchronousTestCase):
    """A gateway with small bounds."""

    web: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.clock = Clock()
        self.world = World()
        self.side = BrowserSide(self.world, self.clock, sandbox_config(**self.web))

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(1)


class OriginTests(SocketCase):
    """Whose pages may connect (RFC 6455 §10.2)."""

    def test_rules(self) -> None:
        """The gateway's own pages by default, the listed ones where there is a list."""
        own, listed = (), ("https://phone.test", "http://other.test:8000/")
        for origin, host, allowed, loopback, fine in (
            ("http://gw.test:8080", "gw.test:8080", own, False, True),
            ("https://GW.test", "gw.test", own, False, True),
            ("https://gw.test", "gw.test:443", own, False, True),
            ("http://gw.test", "gw.test:443", own, False, False),
            ("http://gw.test:8080", "gw.test", own, False, False),
            ("http://evil.test:8080", "gw.test:8080", own, True, False),
            ("http://user@gw.test:8080", "gw.test:8080", own, False, False),
            ("http://[::1]:8080", "[::1]:8080", own, False, True),
            ("http://gw.test:99999", "gw.test:99999", own, False, False),
            ("null", "gw.test", own, True, False),
            ("file://", "", own, True, False),
            ("http://", "", own, True, False),
            (None, "gw.test", own, True, True),
            (None, "gw.test", own, False, False),
            ("https://phone.test", "gw.test", listed, False, True),
            ("http://other.test:8000", "gw.test", listed, False, True),
            ("https://gw.test", "gw.test", listed, False, False),
            ("https://phone.test.evil.test", "gw.test", listed, False, False),
            (None, "gw.test", ("*",), False, True),
            ("https://any.test", "gw.test", ("*",), False, True),
        ):
            self.assertEqual(origin_allowed(origin, host, allowed, loopback), fine, (origin, host, allowed))

    def test_handshake(self) -> None:
        """A foreign page is refused with 403, before any of its messages is read."""
        page = self.side.connect(origin="http://evil.test")
        self.assertEqual((page.status, page.gone), (403, True))
        self.assertEqual(self.side.connect(origin=None).status, 101)
        self.assertEqual(self.side.connect(origin=None, host="192.0.2.1").status, 403)
        self.assertEqual(self.side.connect(origin="null").status, 403)
        self.assertEqual(self.side.factory.counters["origin"], 3)


class HandshakeTests(SocketCase):
    """What a client must say to be let in."""

    web: ClassVar[dict[str, Any]] = {"max_connections": 3}

    def test_subprotocol(self) -> None:
        """A client that does not offer the dialect is refused; among several offered it is chosen."""
        self.assertEqual(self.side.connect(protocol="").status, 400)
        self.assertEqual(self.side.connect(protocol="sip").status, 400)
        self.assertEqual(self.side.connect(protocol="sip, rtcgw.1").status, 101)

    def test_not_a_websocket(self) -> None:
        """Plain HTTP, nonsense and endless headers are turned away."""
        for text, status in (
            (b"GET /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n", 426),
            (b"POST /ws HTTP/1.1\r\nHost: gw.test\r\n\r\n", 405),
            (b"\x16\x03\x01\r\n\r\n", 400),
            (b"GET /ws HTTP/1.1\r\nX: " + b"x" * HANDSHAKE_LIMIT, 431),
        ):
            page = Browser(self.side.factory)
            page.connection.makeConnection(page.transport)
            page.feed(text)
            self.assertEqual((page.status, page.gone), (status, True))
        self.assertEqual(self.side.factory.connections, set())

    def test_slow_handshake(self) -> None:
        """Who connects and says nothing is dropped."""
        page = Browser(self.side.factory)
        page.connection.makeConnection(page.transport)
        page.feed(b"GET /ws HTTP/1.1\r\n")
        self.seconds(12)
        page.pump()
        self.assertTrue(page.gone)

    def test_full(self) -> None:
        """One connection too many is refused with 503, and room is made by one that leaves."""
        pages = [self.side.connect() for _ in range(3)]
        self.assertEqual(self.side.connect().status, 503)
        pages[0].drop()
        self.assertEqual(self.side.connect().status, 101)

    def test_proxy_header(self) -> None:
        """X-Forwarded-For is a claim of the client's, and not believed."""
        page = self.side.connect(host="192.0.2.7", headers="X-Forwarded-For: 127.0.0.1\r\n")
        self.assertEqual(page.connection.address, "192.0.2.7")

    def test_shared_options(self) -> None:
        """Autobahn's options are not copied into each connection."""
        page = self.side.browser("alice")
        copied = {"versions", "webStatus", "allowedOrigins", "maxFramePayloadSize", "perMessageCompressionAccept"}
        self.assertEqual(copied & set(vars(page.connection)), set())


class TimeTests(SocketCase):
    """Log-in in time, and signs of life."""

    def test_no_login(self) -> None:
        """A connection that does not log in is closed, though it be lively."""
        page = self.side.connect()
        for _ in range(11):
            page.expect("OK", for_="PING", id=page.send("PING"))
            self.clock.advance(1)
        page.pump()
        self.assertEqual((page.close_code, page.gone), (4408, True))

    def test_ping(self) -> None:
        """A silent page is asked once; one that answers stays, whatever the time."""
        page = self.side.browser("alice")
        self.seconds(20)
        page.pump()
        self.assertEqual(page.pings, 0)
        self.seconds(5)
        page.pump()
        self.assertEqual(page.pings, 1)
        page.pong()
        self.seconds(22)
        page.pump()
        self.assertEqual((page.pings, page.gone), (2, False))

    def test_silence(self) -> None:
        """One that does not answer is gone, and its ringing call with it."""
        page = self.side.browser("alice")
        self.seconds(31)
        page.pump()
        self.assertTrue(page.gone)
        self.assertEqual(self.side.users.sessions, {})

    def test_rude_close(self) -> None:
        """A page that does not answer the closing handshake does not stay for ever."""
        page = self.side.browser("alice")
        page.polite = False
        page.send("LOGOUT")
        self.assertEqual((page.close_code, page.gone), (1000, False))
        self.seconds(int(CLOSING) + 2)
        page.pump()
        self.assertTrue(page.gone)
        self.assertEqual(self.side.factory.connections, set())

    def test_one_timer(self) -> None:
        """A thousand pages have no more timers than one."""
        before = len(self.clock.getDelayedCalls())
        for _ in range(9):
            self.side.browser("alice")
        self.assertEqual(len(self.clock.getDelayedCalls()), before)

    def test_sweep_goes_on(self) -> None:
        """A mistake with one connection is logged, ends that connection, and the others are looked after."""
        bad, good = self.side.browser("alice"), self.side.browser("bob")
        bad.connection.look = None  # type: ignore[assignment,method-assign]
        self.seconds(25)
        self.assertTrue(self.flushLoggedErrors(TypeError))
        bad.pump()
        good.pump()
        self.assertEqual((bad.gone, good.pings), (True, 1))


class AbuseTests(SocketCase):
    """Floods, junk, and pages that do not read."""

    web: ClassVar[dict[str, Any]] = {"rate": 10.0, "burst": 20, "high_water": 65536, "max_frame": 4096}

    def test_flood(self) -> None:
        """A flood is told, closed, and read no further; a page within its rate never notices the bound."""
        page, calm = self.side.browser("alice"), self.side.browser("bob")
        for _ in range(50):
            calm.expect("OK", id=calm.send("PING"))
            self.clock.advance(0.1)
        for _ in range(100):
            page.send("PING")
        self.assertEqual((page.close_code, page.gone), (4413, True))
        kinds = [message["type"] for message in page.transcript]
        self.assertEqual((kinds.count("OK"), kinds[-1]), (21, "ERROR"))
        self.assertEqual(page.transcript[-1]["code"], "flood")
        self.assertFalse(calm.gone)

    def test_flood_of_frames(self) -> None:
        """Pings and empty fragments count as well."""
        for data in (frame(b"p" * 100, 0x89), frame(b"", 0x00)):
            page = self.side.browser("alice")
            page.feed(frame(b"", 0x01))
            for _ in range(100):
                page.feed(data)
            self.assertEqual((page.close_code, page.gone), (4413, True))

    def test_junk(self) -> None:
        """Each kind of nonsense gets a clear error with the request's id, where it has one."""
        page = self.side.browser("alice")
        for text, code, request in (
            (b"", "malformed", None),
            (b"{", "malformed", None),
            (b"[]", "malformed", None),
            (b"null", "malformed", None),
            (b"\x00", "malformed", None),
            (b'{"id": 7}', "malformed", 7),
            (b'{"type": "PING"}', "malformed", None),
            (b'{"type": "ping", "id": "a"}', "unknown-message", "a"),
            (b'{"type": "WAITING", "id": 1}', "unknown-message", 1),
            (b'{"type": "PING", "id": true}', "malformed", None),
            (b'{"type": "PING", "id": 1, "extra": 1}', "malformed", 1),
            (b'{"type": "OFFER", "id": 1, "to": 5}', "malformed", 1),
            (b'{"type": "OFFER", "id": 1, "to": "a\\r\\nb"}', "malformed", 1),
            (b'{"type": "OFFER", "id": 1, "session": "s"}', "malformed", 1),
            (b'{"type": "PING", "id": "' + b"x" * 65 + b'"}', "malformed", None),
            (b"[" * 3000, "malformed", None),
            (b'{"type": "PING", "id": ' + b"9" * 3000 + b"}", "malformed", None),
        ):
            page.feed(frame(text))
            found = page.expect("ERROR", code=code, id=request)
            GATEWAY.validate(found)
            self.clock.advance(0.2)
        page.feed(frame(b'{"type": "PING", "id": 3, "sdp": 5}'))
        self.assertIn("sdp", page.expect("ERROR")["text"])
        self.assertEqual(self.side.factory.counters["malformed"], 16)

    def test_binary(self) -> None:
        """Binary messages are not for us."""
        page = self.side.browser("alice")
        page.feed(frame(b"\0\1", 0x82))
        self.assertEqual(page.close_code, 1003)

    def test_oversized(self) -> None:
        """A message larger than allowed ends the connection before it is read."""
        page = self.side.browser("alice")
        page.connection.dataReceived(frame(b" " * 5000))
        held = len(page.connection.data)
        page.connection.dataReceived(b"x" * 100000)
        self.assertEqual(len(page.connection.data), held)
        page.pump()
        self.assertEqual((page.close_code, page.gone), (1009, True))

    def test_slow_reader(self) -> None:
        """Who does not read what they asked for is cut off, not buffered for."""
        page = self.side.browser("alice")
        page.call("bob")
        for _ in range(60):
            page.connection.pauseProducing()  # a transport says so again with every write
            self.world.deliver(Candidates("c" * 1000))
        page.pump()
        self.assertFalse(page.gone)
        for _ in range(10):
            self.world.deliver(Candidates("c" * 1000))
        page.pump()
        self.assertTrue(page.gone)
        self.assertEqual(self.world.legs[0].view().state, "Reloading")

    def test_reader_catches_up(self) -> None:
        """Who reads again in time starts afresh."""
        page = self.side.browser("alice")
        for _ in range(30):
            page.connection.pauseProducing()
            for _ in range(500):
                page.connection.onPing(b"")
                page.connection._tokens = 5.0
            page.connection.resumeProducing()
        page.expect("OK", id=page.send("PING"))


class LifeTests(SocketCase):
    """Requests without a call, faults of our own, and the end."""

    def test_before_login(self) -> None:
        """Nothing but LOGIN, PING and LOGOUT before the login."""
        page = self.side.connect()
        page.expect("ERROR", id=page.send("OFFER", to="echo", sdp=SDP), code="not-logged-in")
        page.send("CANDIDATE", id=None, session="s", candidate=None)
        page.expect("ERROR", id=None, session="s", code="not-logged-in")
        page.expect("OK", for_="PING", id=page.send("PING"))
        page.expect("OK", for_="LOGOUT", id=page.send("LOGOUT"))
        checked(page)

    def test_logout(self) -> None:
        """Logging out ends the calls at once, and the connection with 1000."""
        page = self.side.browser("alice")
        page.call("bob")
        page.send("LOGOUT", id="bye")
        page.expect("OK", for_="LOGOUT", id="bye")
        self.assertEqual((page.close_code, page.gone), (1000, True))
        self.assertEqual([type(event).__name__ for event in self.world.taken()], ["End"])
        self.assertEqual(self.side.users.sessions, {})

    def test_our_fault(self) -> None:
        """A mistake of ours is an answer to the page, a traceback in our log, and nobody else's problem."""
        page = self.side.browser("alice")

        def broken(*args: object) -> None:
            raise ZeroDivisionError

        self.world.place = broken  # type: ignore[assignment,method-assign]
        session = page.call("bob")
        page.expect("HANGUP", session=session, reason="internal")
        self.side.users.max_calls = None  # type: ignore[assignment]
        page.expect("ERROR", id=page.send("OFFER", to="bob", sdp=SDP), code="internal")
        page.nothing()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError, TypeError)), 2)

    def test_fault_in_the_handshake(self) -> None:
        """A mistake of ours before the connection is open ends it, says nothing of itself, and is logged once."""

        def broken(*args: object) -> None:
            raise ZeroDivisionError("inner secrets")

        for place, name, status, code in (
            (websocket, "Client", 101, 1011),
            (websocket, "origin_allowed", 500, None),
        ):
            patch = self.patch(place, name, broken)
            page = self.side.connect()
            self.assertEqual((page.status, page.close_code, page.gone), (status, code, True))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
            patch.restore()

    def test_fault_after_the_answer(self) -> None:
        """A request that was answered before the mistake is not answered twice."""
        page = self.side.browser("alice")
        session = page.call("bob")

        def broken(*args: object) -> None:
            raise ZeroDivisionError

        self.world.report = broken  # type: ignore[assignment,method-assign]
        page.hang_up(session)
        page.nothing()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stop(self) -> None:
        """At shutdown every page hears 1001, and stop waits for them, though not for ever."""
        page, rude = self.side.browser("alice"), self.side.browser("bob")
        rude.polite = False
        stopped: list[object] = []
        self.side.factory.stop().addCallback(stopped.append)
        page.pump()
        rude.pump()
        self.assertEqual((page.close_code, page.gone, rude.close_code, stopped), (1001, True, 1001, []))
        self.assertEqual(self.side.connect().status, 503)
        self.seconds(int(CLOSING) + 2)
        rude.pump()
        self.assertEqual(stopped, [None])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_resource(self) -> None:
        """The web server hands an upgrade request over, and the connection is as any other."""
        site = make_site(self.side.factory, reactor=self.clock)
        page = Browser(self.side.factory)
        channel = site.buildProtocol(None)
        page.transport.protocol = channel  # type: ignore[attr-defined]
        channel.makeConnection(page.transport)
        channel.dataReceived(page._hello)
        page.connection = page.transport.protocol  # type: ignore[attr-defined]
        self.assertIsInstance(page.connection, BrowserConnection)
        page.pump()
        self.assertEqual(page.status, 101)
        page.login("alice")
        page.feed(frame(json.dumps({"type": "PING", "id": 9}).encode()))
        page.expect("OK", for_="PING", id=9)


class UpstreamTests(SynchronousTestCase):
    """What Autobahn does that we do otherwise; when one of these fails, our own way may go."""

    def autobahn(self) -> Browser:
        """A page on a plain Autobahn connection."""
        factory: Any = WebSocketServerFactory(reactor=Clock(), protocols=["rtcgw.1"])
        factory.openHandshakeTimeout = 0
        hooks = {"onConnect": lambda self, request: "rtcgw.1", "unregisterProducer": lambda self: None}
        factory.protocol = type("Plain", (WebSocketServerProtocol,), hooks)
        page = Browser(factory)
        page.handshake()
        self.assertEqual(page.status, 101)
        return page

    def test_options(self) -> None:
        """It copies its options into every connection."""
        self.assertIn("perMessageCompressionAccept", vars(self.autobahn().connection))

    def test_silent_drop(self) -> None:
        """It drops a connection that breaks the protocol without a close code."""
        page = self.autobahn()
        page.feed(frame(b"naked", mask=None))
        self.assertEqual((page.close_code, page.gone), (None, True))

    def test_endless_header(self) -> None:
        """It collects a handshake's header without a bound."""
        page = self.autobahn()
        fresh = Browser(page.connection.factory)
        fresh.connection.makeConnection(fresh.transport)
        fresh.feed(b"GET / HTTP/1.1\r\nX: " + b"x" * 100000)
        self.assertEqual((fresh.status, fresh.gone), (0, False))
