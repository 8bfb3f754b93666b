"""Calls through rtpengine: what it is asked, what each side is told, and that it is always told the end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, IMediaSession, MediaError, MediaNews, Party
from rtcgw.media.engine.rtpengine import RtpengineBackend, RtpengineSettings
from rtcgw.media.sdp import parse
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from tests.media.engine import FakeEngine
from tests.media.memory import Network, phone_sdp
from tests.media.test_sdp import WEBRTC, names
from tests.peers.webrtc import WebRtcPeer


class Calling(SynchronousTestCase):
    """A gateway, an engine and a browser's descriptions."""

    def setUp(self) -> None:
        self.network = Network()
        self.engine = FakeEngine(self.network)
        self.backend = RtpengineBackend(RtpengineSettings(), self.network.clock, self.network)
        started: Deferred[None] = self.backend.start()
        self.network.run()
        self.successResultOf(started)
        self.browser = WebRtcPeer(self.network.clock, lambda *_: None, extras=["video"])
        self.news: list[MediaNews] = []

    def open(self, caller: Access = Access.WEB, peer: PeerProfile = PLAIN_PEER) -> IMediaSession:
        callee = Access.CORE if caller is Access.WEB else Access.WEB
        return self.backend.open(SessionId("s"), caller, callee, self.news.append, peer)

    def reanswer(self, session: IMediaSession, sdp: str) -> str:
        """The answer to a new offer of the phone's."""
        found = session.reoffer(Party.CALLEE, sdp)
        assert isinstance(found, Deferred)
        self.network.run()
        return str(self.successResultOf(found).answer)

    def now(self, result: str | Deferred[str] | None) -> str:
        """The result, once the engine has answered."""
        self.network.run()
        if isinstance(result, Deferred):
            return str(self.successResultOf(result))
        assert result is not None
        return result


class TestCalls(Calling):
    """What is asked, and what is told."""

    def test_browser_calls(self) -> None:
        """The engine sees one audio line of codecs that need no transcoding; the core sees nothing of WebRTC."""
        session = self.open()
        offer = self.now(session.offer(Party.CALLER, self.browser.offer()))
        asked = self.engine.requests[-1]
        self.assertEqual((asked["ICE"], asked["transport-protocol"]), ("remove", "RTP/AVP"))
        given = parse(str(asked["sdp"]))
        self.assertEqual([media.formats for media in given.media], [["0", "8", "9", "111", "110", "126"]])
        self.assertFalse({name for name in names(offer) if name.startswith(WEBRTC)}, offer)
        self.assertIn("m=audio 20000 RTP/AVP 0 8 9 111 110 126\r\nb=AS:80", offer)
        answer = self.now(session.answer(Party.CALLEE, phone_sdp("0 126 99"), False))
        media = parse(answer).media
        self.assertEqual([(one.kind, one.port) for one in media], [("audio", 20020), ("video", 0)])
        self.assertEqual([one.get("mid") for one in media], ["0", "x1"])
        self.assertFalse({"msid", "ssrc", "extmap-allow-mixed"} & names(answer))
        self.assertNotIn("99", str(self.engine.requests[-1]["sdp"]).split("m=audio")[1].split("\r\n")[0])
        before = len(self.engine.requests)
        self.assertEqual(session.answer(Party.CALLEE, phone_sdp("0 126 99"), True), answer)
        self.assertEqual(len(self.engine.requests), before, "the same answer as final needs no engine")

    def test_phone_calls(self) -> None:
        """The browser is offered ICE and DTLS, and the phone's answer keeps its profile and place."""
        session = self.open(Access.CORE)
        offer = self.now(session.offer(Party.CALLER, phone_sdp("8 101", proto="RTP/AVPF")))
        asked = self.engine.requests[-1]
        self.assertEqual((asked["ICE"], asked["from-tag"], "to-tag" in asked), ("force", "caller", False))
        answer = self.now(session.answer(Party.CALLEE, self.browser.answer(offer), True))
        asked = self.engine.requests[-1]
        self.assertEqual((asked["command"], asked["from-tag"], asked["to-tag"]), ("answer", "caller", "callee"))
        self.assertIn("m=audio 20000 RTP/AVPF 8 101", answer)

    def test_changes_show_both_sides(self) -> None:
        """A hold is a whole exchange for the engine; the browser is not asked."""
        session = self.open()
        self.now(session.offer(Party.CALLER, self.browser.offer()))
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), True))
        held = self.reanswer(session, phone_sdp("0 126", "sendonly"))
        self.assertIn("a=recvonly", held)
        offer, answer = self.engine.requests[-2:]
        self.assertEqual((offer["from-tag"], answer["from-tag"]), ("callee", "callee"))
        self.assertIn("a=recvonly", str(answer["sdp"]))
        self.assertIn(self.browser.fingerprint, str(answer["sdp"]))
        self.assertIn("port-latching", offer["flags"])

    def test_refused_change(self) -> None:
        """A change without a codec that could be used is refused without asking; the next one is fine."""
        session = self.open()
        self.now(session.offer(Party.CALLER, self.browser.offer()))
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), True))
        before = len(self.engine.requests)
        self.assertRaises(MediaError, session.reoffer, Party.CALLEE, phone_sdp("18"))
        self.assertEqual(len(self.engine.requests), before)
        self.engine.refuse = "full"
        refused = session.reoffer(Party.CALLEE, phone_sdp("0 126", "sendonly"))
        self.network.run()
        assert isinstance(refused, Deferred)
        self.assertIn("full", self.failureResultOf(refused, MediaError).value.detail)
        self.engine.refuse = ""
        self.assertIn("a=sendrecv", self.reanswer(session, phone_sdp("0 126")))

    def test_offerless_call(self) -> None:
        """The browser is offered all codecs of the profile and will send the first; the phone is offered that one, and
        the others as far as they can be made of it. What it answers in its ACK reaches the engine, and nobody else."""
        session = self.open(Access.CORE)
        offer = self.now(session.make_offer(Party.CALLEE))
        self.assertEqual(parse(offer).media[0].formats, ["0", "8", "9", "111", "101", "102"])
        toward_core = self.now(session.answer(Party.CALLEE, self.browser.answer(offer), True))
        self.assertIn("m=audio 20000 RTP/AVP 0 8 9 96 101", toward_core)
        self.assertEqual(self.engine.last["codec"], {"transcode": ["PCMA/8000/1", "G722/8000/1", "opus/48000/2"]})
        self.assertEqual(self.now(session.answer(Party.CALLER, phone_sdp("0 101"), True)), offer)
        self.assertEqual(self.engine.commands, ["offer", "answer", "offer", "answer"])
        self.assertIn("198.51.100.7", str(self.engine.last["sdp"]))

    def test_engine_refuses(self) -> None:
        """What the engine says ends the call with 488, and its words are in the log."""
        self.engine.refuse = "Ran out of ports"
        result = self.open().offer(Party.CALLER, self.browser.offer())
        self.network.run()
        assert isinstance(result, Deferred)
        error = self.failureResultOf(result, MediaError).value
        self.assertEqual((error.reason, "Ran out of ports" in error.detail), (Reason.MEDIA_FAILED, True))

    def test_engine_dies_meanwhile(self) -> None:
        """A request that is never answered fails with a reason."""
        session = self.open()
        self.engine.silent = True
        result = session.offer(Party.CALLER, self.browser.offer())
        self.network.spend(3.1)
        assert isinstance(result, Deferred)
        self.assertIs(self.failureResultOf(result, MediaError).value.reason, Reason.MEDIA_FAILED)


class TestEnds(Calling):
    """`delete` on every way out, exactly once."""

    def deleted(self) -> None:
        self.network.run()
        self.assertEqual(self.engine.commands.count("delete"), 1)
        self.assertEqual((self.engine.calls, self.backend.sessions, self.backend.nodes[0].sessions), ({}, {}, {}))

    def test_after_a_call(self) -> None:
        """An ordinary end, closed twice."""
        session = self.open()
        self.now(session.offer(Party.CALLER, self.browser.offer()))
        session.close()
        session.close()
        self.deleted()

    def test_while_a_request_is_out(self) -> None:
        """The call is cancelled while the engine thinks: the delete follows its answer."""
        session = self.open()
        result = session.offer(Party.CALLER, self.browser.offer())
        assert isinstance(result, Deferred)
        result.addErrback(lambda _: None)
        result.cancel()
        session.close()
        self.deleted()
        self.assertEqual(self.engine.commands, ["offer", "delete"])

    def test_after_a_refusal(self) -> None:
        """A description that cannot be answered leaves nothing in the engine."""
        session = self.open()
        self.now(session.offer(Party.CALLER, self.browser.offer()))
        self.assertRaises(MediaError, session.answer, Party.CALLEE, phone_sdp("18"), True)
        session.close()
        self.deleted()

    def test_when_the_gateway_stops(self) -> None:
        """Stopping deletes all calls before the socket closes; lost answers are waited for."""
        self.now(self.open().offer(Party.CALLER, self.browser.offer()))
        self.engine.lose = 1
        stopped: Deferred[None] = self.backend.stop()
        self.network.spend(1)
        self.successResultOf(stopped)
        self.deleted()
        self.assertEqual([call for call in self.network.clock.getDelayedCalls() if call.active()], [])

    def test_never_used(self) -> None:
        """A session that the engine never heard of is not deleted."""
        self.open().close()
        self.network.run()
        self.assertEqual((self.engine.commands, self.backend.sessions), ([], {}))

    def test_nothing_after_the_end(self) -> None:
        """A closed session asks nothing and tells nothing."""
        session = self.open()
        self.now(session.offer(Party.CALLER, self.browser.offer()))
        session.close()
        self.assertRaises(MediaError, session.offer, Party.CALLER, self.browser.offer())
        self.engine.silent = True
        self.network.spend(20)
        self.assertEqual(self.news, [])
