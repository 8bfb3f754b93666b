"""rtpengine's control: every request answered or given up, every dead engine noticed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError, MediaNews, Party
from rtcgw.media.engine import ng
from rtcgw.media.engine.ng import Encoded, NgClient, NgError, NgTimeout, Reply, Value, decode, encode
from rtcgw.media.engine.node import NodeState
from rtcgw.media.engine.rtpengine import RtpengineBackend, RtpengineSettings
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from tests.media.engine import FakeEngine
from tests.media.memory import Network

TREES = st.recursive(
    st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


class TestBencode(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(TREES)
    def test_there_and_back(self, value: Value) -> None:
        """What is written reads back the same."""
        self.assertEqual(decode(encode(value)), value)

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=40))
    def test_rubbish(self, data: bytes) -> None:
        """Nothing but `ValueError` comes of rubbish."""
        try:
            decode(data)
        except ValueError:
            return
        self.assertTrue(data)

    def test_encoded_before(self) -> None:
        """What is encoded once for many requests goes out as it would have otherwise."""
        flags: dict[str, Value] = {"a": ["x", 1], "b": {"c": "d"}}
        once = {name: Encoded(encode(value).decode()) for name, value in flags.items()}
        self.assertEqual(encode(once), encode(flags))

    def test_bounds(self) -> None:
        """Too deep, cut short, or followed by something: no value."""
        for wrong in (b"l" * 40 + b"e" * 40, b"5:abc", b"i1ei2e", b"d1:ae", b"-1:a", b"", b"i1", b"l"):
            self.assertRaises(ValueError, decode, wrong)


class TestRequests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.engine = FakeEngine(self.network)
        self.client = NgClient(self.network.clock, 3.0)
        port = self.network.listenUDP(0, self.client, "127.0.0.1")
        self.client.opened(port.write)

    def ping(self) -> Deferred[Reply]:
        return self.client.request(self.engine.address, {"command": "ping"})

    def test_repeated_with_the_same_cookie(self) -> None:
        """Lost answers cost time, not calls: repetitions at 0.5, 1 and 2 s are known for what they are."""
        self.engine.lose = 3
        answer = self.ping()
        for moment, sent in ((0.4, 1), (0.2, 2), (0.5, 3), (0.8, 3)):
            self.network.run()
            self.network.clock.advance(moment)
            self.network.run()
            self.assertEqual(len(self.engine.cookies), sent)
        self.assertNoResult(answer)
        self.network.spend(0.2)
        self.assertEqual(self.successResultOf(answer), {"result": "pong"})
        self.assertEqual(
            (len(self.engine.cookies), len(set(self.engine.cookies)), len(self.engine.requests)), (4, 1, 1)
        )
        self.assertEqual((self.client.pending, self.network.clock.getDelayedCalls()), (0, []))

    def test_given_up(self) -> None:
        """Without an answer a request fails after its time, and leaves nothing behind."""
        self.engine.silent = True
        answer = self.ping()
        self.network.spend(3.1)
        self.failureResultOf(answer, NgTimeout)
        self.assertEqual((self.client.pending, self.network.clock.getDelayedCalls()), (0, []))

    def test_answers_of_others(self) -> None:
        """Only the engine asked can answer, and only with a dictionary; everything else is counted."""
        self.engine.silent = True
        answer = self.ping()
        cookie = self.network.sent[0][0].split()[0]
        for data, source in (
            (cookie + b" d6:result4:ponge", ("203.0.113.1", 2223)),
            (b"other d6:result4:ponge", self.engine.address),
            (cookie + b" 4:pong", self.engine.address),
            (cookie + b" d6:res", self.engine.address),
        ):
            self.client.datagramReceived(data, source)
        self.assertNoResult(answer)
        self.assertEqual((self.client.counters["stray"], self.client.counters["broken"]), (2, 2))
        self.client.close()
        self.failureResultOf(answer, NgError)

    def test_too_many(self) -> None:
        """Waiting requests are bounded."""
        self.patch(ng, "MAX_PENDING", 2)
        waiting = [self.ping(), self.ping()]
        self.failureResultOf(self.ping(), NgError)
        self.network.run()
        for answer in waiting:
            self.successResultOf(answer)


class TestHealth(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network()
        self.engines = [FakeEngine(self.network, ("127.0.0.1", port)) for port in (2223, 2225)]
        nodes = tuple(engine.address for engine in self.engines)
        self.backend = RtpengineBackend(RtpengineSettings(nodes), self.network.clock, self.network)
        self.news: list[MediaNews] = []

    def start(self) -> None:
        started: Deferred[None] = self.backend.start()
        self.network.spend(4)
        self.successResultOf(started)

    def call(self, name: str) -> str:
        """Start a call; returns the engine it is on."""
        session = self.backend.open(SessionId(name), Access.CORE, Access.WEB, self.news.append)
        session.make_offer(Party.CALLEE)
        self.network.run()
        return str(self.backend.sessions[SessionId(name)].node)

    def test_calls_are_spread(self) -> None:
        """New calls go to the engines in turn."""
        self.start()
        self.assertEqual([self.call(name) for name in "abcd"], ["127.0.0.1:2223", "127.0.0.1:2225"] * 2)

    def test_dead_engine(self) -> None:
        """A killed engine's calls are lost once that is confirmed, the others go on, new ones avoid it."""
        self.start()
        for name in "ab":
            self.call(name)
        self.engines[0].silent = True
        self.network.spend(5)
        self.assertEqual((self.backend.nodes[0].machine.state, self.news), (NodeState.DOUBTED, []))
        self.network.spend(7)
        self.assertEqual([news.state.name.lower() for news in self.news], ["lost"])
        self.assertIn("2223 is down", self.news[0].detail)
        self.assertEqual({self.call(name) for name in "cde"}, {"127.0.0.1:2225"})

    def test_engine_that_only_stumbled(self) -> None:
        """One missed check is no death."""
        self.start()
        self.call("a")
        self.engines[0].silent = True
        self.network.spend(6)
        self.engines[0].silent = False
        self.network.spend(20)
        self.assertEqual((self.backend.nodes[0].machine.state, self.news), (NodeState.UP, []))

    def test_engine_that_forgot(self) -> None:
        """An engine killed and started again between two checks still loses its calls, all of them, not silently."""
        self.start()
        for name in "abcdef":
            self.call(name)
        self.engines[0].restart()
        self.network.spend(6)
        self.assertEqual([news.state.name.lower() for news in self.news], ["lost"] * 3)
        self.assertEqual(len(self.backend.nodes[0].sessions), 0)

    def test_engine_comes_back(self) -> None:
        """A dead engine that answers again gets calls again."""
        self.engines[0].silent = True
        self.start()
        self.assertEqual(self.call("a"), "127.0.0.1:2225")
        self.engines[0].silent = False
        self.network.spend(6)
        self.assertEqual({self.call(name) for name in "bc"}, {"127.0.0.1:2223", "127.0.0.1:2225"})

    def test_no_engine_at_all(self) -> None:
        """Starting and checking say so; a call is refused with a reason."""
        for engine in self.engines:
            engine.silent = True
        started: Deferred[None] = self.backend.start()
        self.network.spend(4)
        self.assertIs(self.failureResultOf(started, MediaError).value.reason, Reason.UNREACHABLE)
        error = self.assertRaises(
            MediaError, self.backend.open, SessionId("a"), Access.WEB, Access.CORE, self.news.append
        )
        self.assertIs(error.reason, Reason.MEDIA_FAILED)

    def test_check(self) -> None:
        """`--check` names who answers, before or after the start, and leaves no socket."""
        self.engines[1].silent = True
        checked: Deferred[str] = self.backend.check()
        self.network.spend(4)
        self.assertIn("1 of 2 answer: 127.0.0.1:2223", self.successResultOf(checked))
        self.assertEqual(len(self.network.ports), 2, "the engines' own")

    def test_bound(self) -> None:
        """Sessions are bounded; two browsers are not joined."""
        self.backend.settings = RtpengineSettings(self.backend.settings.nodes, max_sessions=1)
        self.start()
        self.call("a")
        for caller, reason in ((Access.WEB, Reason.OVERLOADED), (Access.CORE, Reason.MEDIA)):
            error = self.assertRaises(
                MediaError, self.backend.open, SessionId("b"), caller, Access.CORE, self.news.append
            )
            self.assertIs(error.reason, reason)
