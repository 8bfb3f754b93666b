"""The ICE handler: which servers a page is given, with which passwords, and what is known of their health."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config import Ice, IceServer
from rtcgw.rtcweb import ice
from rtcgw.rtcweb.client import ICE_BURST, ICE_EVERY
from rtcgw.rtcweb.ice import DOUBT, IceHandler, Served
from rtcgw.rtcweb.stunprobe import WAITS
from rtcgw.rtcweb.turn import credentials
from tests.peers.browser import BrowserSide, sandbox_config
from tests.peers.network import MemoryNetwork
from tests.rtcweb.doubles import World, checked
from tests.rtcweb.test_stunprobe import SERVER, Reactor, Server

SILENCE = sum(WAITS)
OPEN = IceServer(urls=("stun:stun.test",))
STATIC = IceServer(urls=("turn:static.test",), username="u", credential="very secret word")
SHARED = IceServer(urls=("turn:192.0.2.7", "turns:turn.test"), secrets=("north", "south"), ttl=600)
INDOORS = IceServer(urls=("turn:10.0.0.1",), secrets=("inner",), ttl=60, networks=("10.0.0.0/8", "fd00::/8"))


def urls(served: Served) -> list[str]:
    return [url for server in served.servers for url in server.urls]


class ServeTests(SynchronousTestCase):
    """The choice."""

    def handler(self, *groups: IceServer) -> IceHandler:
        return IceHandler(groups, 0, Clock(), lambda: 1_699_999_400.7)

    def test_vector(self) -> None:
        """The password that coturn computes for the same name."""
        self.assertEqual(
            credentials("alice", 1_700_000_000, "north"), ("1700000000:alice", "Cd/49soE35ICqcJF/bCTn8Z4OyE=")
        )

    def test_secret(self) -> None:
        """The first secret signs, for as long as the group says."""
        served = self.handler(SHARED).serve("alice", "192.0.2.1")
        (server,) = served.servers
        self.assertEqual((server.username, server.credential), credentials("alice", 1_700_000_000, "north"))
        self.assertEqual((server.urls, served.ttl), (SHARED.urls, 600))
        self.assertNotIn(server.credential, repr(served))

    def test_static(self) -> None:
        """Fixed passwords do not expire; servers without any have none."""
        served = self.handler(OPEN, STATIC).serve("alice", "192.0.2.1")
        self.assertEqual([server.username for server in served.servers], ["", "u"])
        self.assertEqual(served.ttl, None)

    def test_networks(self) -> None:
        """Servers of a network are for those who are in it; the shortest life counts."""
        handler = self.handler(OPEN, SHARED, INDOORS)
        outside = handler.serve("alice", "192.0.2.1")
        self.assertEqual((urls(outside), outside.ttl), ([*OPEN.urls, *SHARED.urls], 600))
        for address in ("10.1.2.3", "fd00::1", "::ffff:10.1.2.3"):
            inside = handler.serve("alice", address)
            self.assertEqual((urls(inside)[-1], inside.ttl), ("turn:10.0.0.1", 60), address)
        self.assertEqual(urls(handler.serve("alice", "not an address")), urls(outside))

    def test_nothing(self) -> None:
        """No servers, and servers for others only."""
        self.assertEqual(self.handler().serve("alice", "192.0.2.1"), Served())
        self.assertEqual(self.handler(INDOORS).serve("alice", "192.0.2.1"), Served())

    def test_bound(self) -> None:
        """What is remembered of choices is bounded, however many networks there are."""
        self.patch(ice, "CHOICES", 8)
        networks = [IceServer(urls=("stun:s",), networks=(f"10.{n}.0.0/16",)) for n in range(12)]
        handler = self.handler(*networks, INDOORS)
        for n in range(13):
            self.assertEqual(len(handler.serve("alice", f"10.{n}.0.1").servers), 2 if n < 12 else 1)
            self.assertLessEqual(len(handler._choices), 8)


class HealthTests(SynchronousTestCase):
    """What does not answer is not given."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.reactor = Reactor(self.network)
        self.server = Server(self.network)

    def handler(self, *groups: IceServer, probe: float = 30.0) -> IceHandler:
        handler = IceHandler(groups, probe, self.reactor, self.clock.seconds)
        handler.start()
        self.network.advance(0.1)
        self.addCleanup(handler.stop)
        return handler

    def states(self, handler: IceHandler) -> list[object]:
        return [row["state"] for row in handler.rows()]

    def test_goes_down_and_comes_back(self) -> None:
        """One lost question is a doubt, two leave the server out, one answer brings it back."""
        dead = "turn:203.0.113.9"
        handler = self.handler(SHARED, IceServer(urls=(dead,)))
        self.assertEqual(urls(handler.serve("a", "")), [*SHARED.urls, dead])
        self.network.advance(SILENCE)
        self.assertEqual(self.states(handler), ["up", "doubted", "doubted"])
        self.assertIn(dead, urls(handler.serve("a", "")))
        self.network.advance(DOUBT + SILENCE)
        self.assertEqual(self.states(handler), ["up", "down", "down"])
        self.assertEqual(urls(handler.serve("a", "")), ["turn:192.0.2.7"])
        self.reactor.listening.add((SERVER[0], 5349))
        self.network.advance(30 + SILENCE)
        self.assertEqual(self.states(handler), ["up", "up", "down"])
        self.assertEqual(urls(handler.serve("a", "")), list(SHARED.urls))

    def test_never_none(self) -> None:
        """When all of a kind seem dead all are given: it may be our own way to them that is broken."""
        self.server.deaf = 1000
        handler = self.handler(IceServer(urls=("stun:192.0.2.7", "turn:192.0.2.7")), INDOORS)
        self.network.advance(DOUBT + 2 * SILENCE)
        self.assertEqual(self.states(handler), ["down", "down", "down"])
        self.assertEqual(urls(handler.serve("a", "10.0.0.2")), ["stun:192.0.2.7", "turn:192.0.2.7", "turn:10.0.0.1"])
        self.server.deaf = 0
        self.network.advance(30)
        self.assertEqual(urls(handler.serve("a", "10.0.0.2")), ["stun:192.0.2.7", "turn:192.0.2.7"])

    def test_asked_once(self) -> None:
        """Two URIs of one place are one question; an interval of nothing asks nothing."""
        self.handler(IceServer(urls=("stun:192.0.2.7", "turn:192.0.2.7")))
        self.assertEqual(self.server.heard, 1)
        self.network.advance(30)
        self.assertEqual(self.server.heard, 2)
        quiet = self.handler(SHARED, probe=0)
        self.assertEqual(self.states(quiet), ["not asked", "not asked"])
        self.assertEqual(self.server.heard, 2)

    def test_rows(self) -> None:
        """The engineer sees each server, how it is and how far; and no secret."""
        handler = self.handler(SHARED, IceServer(urls=("turns:192.0.2.7?transport=udp",), networks=("10.0.0.0/8",)))
        first, _, last = handler.rows()
        self.assertEqual((first["server"], first["state"], first["ms"]), ("turn:192.0.2.7", "up", 2.0))
        self.assertEqual((last["state"], last["networks"]), ("not asked", "10.0.0.0/8"))
        self.assertNotIn("north", str(handler.rows()))

    def test_stop(self) -> None:
        """The gateway stops, in the middle of a question or between two."""
        for seconds in (0.0, 10.0):
            self.server.deaf = 1000 if seconds == 0 else 0
            handler = self.handler(SHARED)
            self.network.advance(seconds)
            handler.stop()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_our_fault(self) -> None:
        """A mistake of ours while asking is logged, counts as silence, and ends nothing."""

        def broken(*args: Any, **options: Any) -> None:
            raise RuntimeError

        self.patch(self.reactor, "listenUDP", broken)
        handler = self.handler(IceServer(urls=("stun:192.0.2.7",)))
        self.assertEqual(self.states(handler), ["doubted"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class PageTests(SynchronousTestCase):
    """What a page hears of it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        config = evolve(sandbox_config(), ice=Ice(servers=(OPEN, SHARED), probe=0))
        self.side = BrowserSide(World(), self.clock, config)

    def test_login(self) -> None:
        """Servers, passwords and their life come with the log-in."""
        page = self.side.connect()
        welcome = page.login("alice")
        name, word = credentials("alice", 1_000_600, "north")
        self.assertEqual(welcome["iceTtl"], 600)
        self.assertEqual(
            welcome["iceServers"],
            [{"urls": ["stun:stun.test"]}, {"urls": list(SHARED.urls), "username": name, "credential": word}],
        )
        checked(page)

    def test_renewal(self) -> None:
        """A long call gets fresh passwords in time."""
        page = self.side.browser("alice")
        for _ in range(50):
            self.clock.advance(10)
            page.pong()
        reply = page.expect("OK", for_="ICE_SERVERS", id=page.send("ICE_SERVERS"), ttl=600)
        self.assertEqual(reply["iceServers"][1]["username"], "1001100:alice")
        checked(page)

    def test_greed(self) -> None:
        """A page that collects passwords is told to wait; after a while it gets another one."""
        page = self.side.browser("alice")
        for _ in range(ICE_BURST):
            page.expect("OK", id=page.send("ICE_SERVERS"))
        page.expect("ERROR", id=page.send("ICE_SERVERS"), code="limit")
        page.expect("ERROR", id=page.send("ICE_SERVERS"), code="limit")
        self.clock.advance(ICE_EVERY)
        page.expect("OK", id=page.send("ICE_SERVERS"))
        page.expect("ERROR", id=page.send("ICE_SERVERS"), code="limit")

    def test_without_ice(self) -> None:
        """A page without ICE is given none, and nobody before the log-in."""
        page = self.side.connect()
        page.expect("ERROR", id=page.send("ICE_SERVERS"), code="not-logged-in")
        self.assertEqual(page.login("alice", ice=False)["iceServers"], [])
        page.expect("OK", id=page.send("ICE_SERVERS"), iceServers=[])
