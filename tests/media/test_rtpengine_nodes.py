"""Several engines: where calls are put and moved to, what is swept out of them, what they are asked and tell."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, IMediaSession, MediaError, MediaNews, MediaStats, News, Party
from rtcgw.media.engine import node as ngnode
from rtcgw.media.engine import session as engined
from rtcgw.media.engine.rtpengine import RtpengineBackend, RtpengineSettings
from rtcgw.media.sdp import parse
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from tests.media.engine import Call, FakeEngine
from tests.media.memory import Network, phone_sdp
from tests.media.test_rtpengine_changes import page

MARK = "rtcgw-gw-"


class Several(SynchronousTestCase):
    """Two engines and a backend."""

    def setUp(self) -> None:
        self.network = Network()
        self.engines = [
            FakeEngine(self.network, ("127.0.0.1", 2223 + 2 * place), 20000 + 1000 * place) for place in range(2)
        ]
        nodes = tuple(engine.address for engine in self.engines)
        self.backend = RtpengineBackend(RtpengineSettings(nodes), self.network.clock, self.network)
        self.news: list[MediaNews] = []

    def start(self) -> None:
        started: Deferred[None] = self.backend.start()
        self.network.run()
        self.successResultOf(started)

    def now(self, result: str | Deferred[str] | None) -> str:
        self.network.run()
        assert result is not None
        return str(self.successResultOf(result)) if isinstance(result, Deferred) else result

    def call(self, name: str = "s", peer: PeerProfile = PLAIN_PEER, final: bool = True) -> IMediaSession:
        """A call of a browser, answered."""
        session = self.backend.open(SessionId(name), Access.WEB, Access.CORE, self.news.append, peer)
        self.now(session.offer(Party.CALLER, page("audio")))
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), final))
        return session

    def account(self, session: IMediaSession) -> MediaStats:
        closed = session.close()
        assert isinstance(closed, Deferred)
        self.network.run()
        result: MediaStats = self.successResultOf(closed)
        return result

    def told(self, state: News) -> list[MediaNews]:
        return [news for news in self.news if news.state is state]

    def count(self, name: str, **packets: int) -> None:
        """So many packets have come of each party."""
        for engine in self.engines:
            if MARK + name in engine.calls:
                engine.calls[MARK + name].packets.update(packets)


class TestPlacing(Several):
    def test_by_load(self) -> None:
        """A new call goes to the engine with fewest; of equals, to each in turn."""
        self.start()
        sessions = [self.call(name) for name in "abcd"]
        self.assertEqual([node.placed for node in self.backend.nodes], [2, 2])
        for session in sessions[::2]:
            self.account(session)
        self.assertEqual([node.placed for node in self.backend.nodes], [0, 2])
        self.call("e")
        self.call("f")
        self.assertEqual([node.placed for node in self.backend.nodes], [2, 2])

    def test_full(self) -> None:
        """An engine that is full is passed over for a while; where all are, the call is refused as overloaded."""
        self.start()
        self.engines[0].full = True
        self.call("a")
        self.assertEqual([node.placed for node in self.backend.nodes], [0, 1])
        self.assertFalse(self.backend.nodes[0].healthy)
        self.engines[1].full = True
        session = self.backend.open(SessionId("b"), Access.WEB, Access.CORE, self.news.append)
        result = session.offer(Party.CALLER, page("audio"))
        self.network.run()
        assert isinstance(result, Deferred)
        self.assertIs(self.failureResultOf(result, MediaError).value.reason, Reason.OVERLOADED)
        error = self.assertRaises(
            MediaError, self.backend.open, SessionId("c"), Access.WEB, Access.CORE, self.news.append
        )
        self.assertIs(error.reason, Reason.MEDIA_FAILED)
        self.network.spend(ngnode.FULL + 1)
        self.assertTrue(self.backend.nodes[0].healthy)

    def test_dead_and_not_yet_known(self) -> None:
        """A call given to an engine that has just died is carried by another one, after one request's time."""
        self.start()
        self.engines[0].silent = True
        session = self.backend.open(SessionId("a"), Access.WEB, Access.CORE, self.news.append)
        result = session.offer(Party.CALLER, page("audio"))
        self.network.spend(4)
        assert isinstance(result, Deferred)
        self.assertIn("m=audio 21000", self.successResultOf(result))
        self.assertEqual(
            [(node.placed, list(node.sessions)) for node in self.backend.nodes], [(0, []), (1, [MARK + "a"])]
        )
        self.network.spend(10)
        self.assertEqual(self.news, [])


class TestMoving(Several):
    def test_moved(self) -> None:
        """The engine dies: both sides are told to be offered anew, and what the browser answers makes no new port."""
        self.start()
        session = self.call()
        self.engines[0].silent = True
        self.network.spend(15)
        self.assertEqual({news.party for news in self.told(News.MOVED)}, set(Party))
        self.assertEqual([node.placed for node in self.backend.nodes], [0, 1])
        toward = self.now(session.make_offer(Party.CALLEE))
        self.assertIn("m=audio 21000 RTP/AVP 0 126", toward)
        offer = self.now(session.make_offer(Party.CALLER))
        media = parse(offer).media[0]
        self.assertEqual((media.get("setup"), media.get("ice-ufrag")), ("actpass", "eng21000x0"))
        self.now(session.answer(Party.CALLER, page("audio", ufrag="u2"), True))
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126", version=2), True))
        call = self.engines[1].calls[MARK + "s"]
        self.assertEqual((call.ufrags, call.heard["caller"]), (0, "u2"))
        self.assertEqual(self.told(News.LOST), [])

    def test_not_before_the_answer(self) -> None:
        """A call that was not answered yet ends with its engine."""
        self.start()
        self.call(final=False)
        self.engines[0].silent = True
        self.network.spend(15)
        self.assertEqual([news.state for news in self.news], [News.LOST])

    def test_other_refuses(self) -> None:
        """The other engine does not take it: lost."""
        self.start()
        self.call()
        self.engines[0].silent = True
        self.engines[1].refuse = "Ran out of ports"
        self.network.spend(15)
        self.assertEqual([news.state for news in self.news], [News.LOST])

    def test_forgotten(self) -> None:
        """An engine that was started again is given its calls once more."""
        self.start()
        self.call()
        self.engines[0].restart()
        self.network.spend(2)
        self.assertEqual(len(self.told(News.MOVED)), 2)

    def test_again_and_again(self) -> None:
        """Engines that keep forgetting a call are given it so often, and then it is lost."""
        self.start()
        self.call()
        for _ in range(20):
            for engine in self.engines:
                engine.restart()
            self.network.spend(1)
        self.assertEqual(len(self.told(News.MOVED)), 2 * engined.MAX_MOVES)
        self.assertEqual(len(self.told(News.LOST)), 1)

    def test_closed_meanwhile(self) -> None:
        """A call that is closed while it moves is deleted where it moves to, and nothing is told."""
        self.start()
        session = self.call()
        self.engines[0].silent = True
        self.network.cut = lambda data, source, target: b"offer" in data
        self.network.spend(11)
        session.close()
        self.network.cut = lambda *_: False
        self.network.spend(10)
        self.assertEqual((self.told(News.MOVED), self.engines[1].calls), ([], {}))
        self.assertEqual([(node.placed, node.sessions) for node in self.backend.nodes], [(0, {})] * 2)


class TestSweeping(Several):
    def test_left_behind(self) -> None:
        """At the start, and at intervals, calls with our mark that nobody knows are deleted; others are not touched."""
        for name in (MARK + "old", "rtcgw-gw2-old", "somebody"):
            self.engines[0].calls[name] = Call()
        self.start()
        self.assertEqual(sorted(self.engines[0].calls), ["rtcgw-gw2-old", "somebody"])
        self.call("a")
        self.engines[0].calls[MARK + "lost"] = Call()
        self.network.spend(ngnode.SWEEP + 1)
        self.assertEqual(sorted(self.engines[0].calls), [MARK + "a", "rtcgw-gw2-old", "somebody"])
        self.assertEqual(self.backend.nodes[0].swept, 2)

    def test_moved_away(self) -> None:
        """An engine that was only cut off comes back with a call that has moved: it is deleted there."""
        self.start()
        self.call("a")
        self.engines[0].silent = True
        self.network.spend(15)
        self.engines[0].silent = False
        self.network.spend(10)
        self.assertEqual([list(engine.calls) for engine in self.engines], [[], [MARK + "a"]])


class TestFigures(Several):
    def test_account(self) -> None:
        """The last figures come with the delete: packets by direction, what the other side heard of them."""
        self.start()
        session = self.call()
        self.count("s", caller=100, callee=50)
        stats = self.account(session)
        self.assertEqual((stats.caller.packets, stats.callee.packets, stats.transcoding), (100, 50, True))
        caller = stats.caller
        self.assertEqual((caller.lost, caller.jitter, caller.mos, caller.codec), (2, 10.0, 4.3, "PCMU"))
        self.assertEqual((stats.callee.rtt, stats.callee.mos), (20.0, None))
        self.assertIsInstance(session.close(), MediaStats)

    def test_dead_engine_gives_none(self) -> None:
        """No answer to the delete: the account is what was known."""
        self.start()
        session = self.call()
        self.count("s", caller=7)
        self.network.spend(2)
        self.engines[0].silent = True
        closed = session.close()
        self.network.spend(5)
        assert isinstance(closed, Deferred)
        self.assertEqual(self.successResultOf(closed).caller.packets, 7)

    def test_first_sound(self) -> None:
        """Early sound is asked for every half second, and told once."""
        self.start()
        self.call(final=False)
        self.count("s", callee=1)
        self.network.spend(0.6)
        self.assertEqual(self.news, [MediaNews(Party.CALLEE, News.SOUND)])
        self.count("s", callee=2)
        self.network.spend(2)
        self.assertEqual(len(self.news), 1)

    def test_bounded_questions(self) -> None:
        """However many calls there are, so many questions are asked and no more, of each call in its turn."""
        self.patch(ngnode, "AT_ONCE", 2)
        self.patch(ngnode, "WATCHED", 3)
        self.start()
        for name in "abcdefghijkl":
            self.call(name, final=False)
        before = [self.queries(engine) for engine in self.engines]
        self.network.spend(ngnode.LOOK * 3)
        for engine, so_far in zip(self.engines, before, strict=True):
            asked = self.queries(engine)[len(so_far) :]
            self.assertLessEqual(len(asked), 3 * (2 + 3))
            self.assertEqual(len(set(asked)), 6)

    def queries(self, engine: FakeEngine) -> list[str]:
        return [str(request["call-id"]) for request in engine.requests if request["command"] == "query"]

    def test_silence(self) -> None:
        """A party that should send and does not is told of, then heard again; with a limit, the call is lost."""
        self.start()
        session = self.call(peer=PeerProfile(media_timeout=20))
        self.count("s", caller=1, callee=1)
        self.network.spend(1)
        for packets in range(2, 14):
            self.count("s", caller=packets)
            self.network.spend(1)
        self.assertEqual([(news.party, news.state) for news in self.news[2:]], [(Party.CALLEE, News.SILENT)])
        self.count("s", callee=2)
        self.network.spend(1)
        self.assertEqual(self.news[-1].state, News.HEARD)
        held = session.reoffer(Party.CALLEE, phone_sdp("0 126", "inactive"))
        self.network.spend(25)
        assert isinstance(held, Deferred)
        self.assertEqual(self.news[-2:], [MediaNews(Party.CALLEE, News.HEARD), MediaNews(Party.CALLEE, News.HELD)])
        session.reoffer(Party.CALLEE, phone_sdp("0 126"))
        self.network.spend(25)
        self.assertEqual({news.party for news in self.told(News.LOST)}, set(Party))
