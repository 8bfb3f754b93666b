"""Whole calls with rtpengine's backend and engines in memory: everything waits for an engine, and an engine may die."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtcgw.media.engine.rtpengine import RtpengineBackend, RtpengineSettings
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Rig, configured
from tests.media.engine import FakeEngine
from tests.media.memory import Network, phone_sdp
from tests.peers.webrtc import WebRtcPeer

NODES = (("127.0.0.1", 2223), ("127.0.0.1", 2224))


class EngineFlowTests(FlowCase):
    """Alice's page calls ECHO through one of two engines."""

    def build(self) -> Rig:
        clock = Clock()
        self.network = Network(clock)
        self.engines = [FakeEngine(self.network, node, 20000 + 1000 * number) for number, node in enumerate(NODES)]
        media = RtpengineBackend(RtpengineSettings(nodes=NODES), clock, self.network)
        started: Deferred[None] = media.start()
        self.network.run()
        self.successResultOf(started)
        self.peer = WebRtcPeer(clock, lambda *_: None)
        return Rig(configured(), media, clock=clock)

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")
        self.session = self.alice.call(ECHO, self.peer.offer())
        self.spend()

    def spend(self, seconds: float = 0.1) -> None:
        """Let time pass, for the engines as well."""
        for _ in range(round(seconds / 0.05)):
            self.network.run()
            self.rig.advance()
        self.network.run()

    def tearDown(self) -> None:
        self.peer.close()
        self.rig.call.bye()
        self.spend()
        self.assertEqual([engine.calls for engine in self.engines if not engine.silent], [{}] * self.alive)
        super().tearDown()

    @property
    def alive(self) -> int:
        return sum(not engine.silent for engine in self.engines)

    def answer(self) -> None:
        self.rig.call.canned["UPDATE"] = [(200, phone_sdp(version=2))]
        self.rig.call.answer(phone_sdp())
        self.spend()
        self.alice.answer(self.session)
        self.spend()
        self.rig.ladder.clear()

    def kill(self) -> None:
        """The engine that has the call dies; it takes the gateway a while to be sure."""
        for engine in self.engines:
            engine.silent = bool(engine.calls)
        for _ in range(60):
            if not self.rig.ladder:
                self.spend(0.5)

    def test_ladder(self) -> None:
        """The page's media connect while it rings here, too; each message waits for the engine, in order."""
        self.rig.call.ring()
        self.rig.call.answer(phone_sdp())
        self.spend()
        self.reads(
            """
            alice -> OFFER sdp
            alice <- WAITING
            core <- INVITE sdp
            core -> 100 INVITE
            alice <- PROGRESS sdp
            core -> 180 INVITE
            core -> 200 INVITE sdp
            alice <- RINGING
            core <- ACK
            alice <- OK OFFER sdp
            """
        )

    def test_node_dies(self) -> None:
        """Both sides are offered the way through the other engine, one after the other; the call goes on."""
        self.answer()
        self.kill()
        offer = self.alice.last("OFFER")["sdp"]
        self.assertIn("m=audio 2", offer)
        self.alice.answer(self.session, self.peer.answer(offer))
        self.spend()
        self.assertEqual(self.alive, 1)
        self.reads(
            """
            alice <- OFFER sdp
            alice -> ANSWER sdp
            alice <- OK ANSWER
            core <- UPDATE sdp
            core -> 200 UPDATE sdp
            """
        )
        self.assertFalse(self.rig.call.ended)

    def test_page_does_not_follow(self) -> None:
        """A page that does not take the other way has no sound: the call ends, and both sides hear why."""
        self.answer()
        self.kill()
        self.spend(16)
        self.reads(
            """
            alice <- OFFER sdp
            alice <- ERROR withdrawn
            alice <- HANGUP media-lost
            core <- BYE
            core -> 200 BYE
            """
        )

    def test_hung_up_while_an_engine_is_silent(self) -> None:
        """An end waits for no engine, and neither does the other side."""
        self.answer()
        for engine in self.engines:
            engine.silent = True
        self.alice.send("HANGUP", session=self.session)
        self.rig.advance()
        self.reads(
            """
            alice -> HANGUP
            alice <- OK HANGUP
            core <- BYE
            core -> 200 BYE
            """
        )
