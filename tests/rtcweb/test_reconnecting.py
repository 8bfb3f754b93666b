"""Connections are renewed on purpose: pages are asked, have their time, and calls go on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.events import Away
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.reconnecting import RATE, WITHIN, Reconnects
from tests.peers.browser import SDP, BrowserSide
from tests.rtcweb.doubles import World, checked


class ReconnectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.world = Clock(), World()
        self.side = BrowserSide(self.world, self.clock)

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)

    def test_asked_and_closed(self) -> None:
        """A page is asked, and closed when it has not gone by itself; it resumes, and its call goes on."""
        alice, bob = self.side.browser("alice"), self.side.browser("bob")
        session = alice.call("echo")
        self.assertEqual(self.side.factory.reconnect("alice"), 1)
        self.pass_time(1)
        alice.expect("RECONNECT", within=WITHIN)
        bob.nothing()
        self.pass_time(int(WITHIN) - 1)
        alice.pump()
        self.assertIsNone(alice.close_code)
        self.pass_time(1)
        alice.pump()
        self.assertEqual(alice.close_code, 4412)
        self.assertEqual(self.world.taken(), [Away(True)])
        again = self.side.connect()
        welcome = again.login(resume=alice.transcript[0]["resume"])
        self.assertEqual(welcome["calls"][0]["session"], session)
        again.expect("WAITING", id=again.send("OFFER", session=session, sdp=SDP))
        checked(alice)

    def test_goes_by_itself(self) -> None:
        """A page that comes back before its time is not closed, nor is the new connection."""
        alice = self.side.browser("alice")
        self.side.factory.reconnect()
        self.pass_time(1)
        again = self.side.connect()
        again.login(resume=alice.transcript[0]["resume"])
        alice.close()
        self.pass_time(int(WITHIN) + 2)
        again.pump()
        self.assertIsNone(again.close_code)


class Connection:
    """As much of a connection as is asked to go: who is behind it, and what it was told when."""

    def __init__(self, user: str) -> None:
        self.client: Any = SimpleNamespace(session=SimpleNamespace(user=SimpleNamespace(name=user)))
        self.sent: list[native.Reconnect] = []
        self.closed: list[int] = []

    def send(self, message: native.Reconnect) -> None:
        self.sent.append(message)

    def close(self, code: int, reason: str) -> None:
        self.closed.append(code)


class SpreadTests(SynchronousTestCase):
    """Many pages, not in one second."""

    def setUp(self) -> None:
        self.connections: list[Any] = [Connection(f"user{n}") for n in range(2 * RATE + 5)]
        self.reconnects = Reconnects()
        self.reconnects.ask(self.connections, None, 3.0)

    def counts(self) -> tuple[int, int]:
        """How many have been asked, and how many closed."""
        return sum(len(each.sent) for each in self.connections), sum(len(each.closed) for each in self.connections)

    def test_spread(self) -> None:
        """Each sweep asks some more; each page has its own time from then."""
        seen = []
        for now in range(7):
            self.reconnects.sweep(float(now))
            seen.append(self.counts())
        everybody = len(self.connections)
        self.assertEqual([asked for asked, _ in seen[:4]], [RATE, 2 * RATE, everybody, everybody])
        self.assertEqual([closed for _, closed in seen], [0, 0, 0, RATE, 2 * RATE, everybody, everybody])

    def test_asked_twice(self) -> None:
        """Asking again hurries nobody, whether they wait to be asked or to be closed; later it counts anew."""
        self.reconnects.sweep(0)
        self.assertEqual(self.reconnects.ask(self.connections, None, 0.0), 0)
        for now in range(10):
            self.reconnects.sweep(float(now))
        self.assertEqual(self.reconnects.ask(self.connections, "user7", 1.0), 1)

    def test_gone_meanwhile(self) -> None:
        """Who has gone is neither asked nor closed."""
        self.reconnects.sweep(0)
        for connection in self.connections:
            connection.client = None
        for now in range(10):
            self.reconnects.sweep(float(now))
        self.assertEqual(self.counts(), (RATE, 0))

    def test_strangers(self) -> None:
        """Who has not logged in has nothing to come back to."""
        stranger: Any = Connection("")
        stranger.client = SimpleNamespace(session=None)
        self.assertEqual(self.reconnects.ask([stranger], None, 1.0), 0)
