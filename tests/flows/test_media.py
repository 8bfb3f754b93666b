"""Whole calls with the real embedded media: what goes to each side is of its own kind, and sound would flow."""

from __future__ import annotations

from twisted.internet.task import Clock

from rtcgw.media.embedded import EmbeddedBackend, EmbeddedSettings
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Rig, configured
from tests.media.memory import BROWSER, Network, phone_sdp
from tests.peers.webrtc import WebRtcPeer

WEB_ONLY = ("ice-", "fingerprint", "candidate", "msid", "ssrc", "extmap", "BUNDLE", "rtcp-mux", "SAVPF")


class EmbeddedFlowTests(FlowCase):
    """Media in a network of its own, on the same clock."""

    def build(self) -> Rig:
        clock = Clock()
        self.network = Network(clock)
        self.media = EmbeddedBackend(EmbeddedSettings(), clock, self.network)
        self.media.start()
        self.peer = WebRtcPeer(clock, lambda data, target: self.network.send(data, BROWSER, target))
        self.network.ports[BROWSER] = self.peer.datagram
        return Rig(configured(), self.media, clock=clock)

    def setUp(self) -> None:
        super().setUp()
        self.alice = self.rig.page("alice")

    def connect(self) -> None:
        """Time for ICE and DTLS."""
        for _ in range(40):
            self.network.run()
            self.rig.advance(0.05)

    def tearDown(self) -> None:
        self.peer.close()
        super().tearDown()
        self.assertEqual(list(self.network.ports), [("127.0.0.1", 10000), BROWSER])

    def check_core_description(self, body: bytes) -> None:
        """Nothing of WebRTC leaks to the core (RFC 3264 with RTP/AVP)."""
        text = body.decode()
        self.assertIn("RTP/AVP", text)
        self.assertEqual([word for word in WEB_ONLY if word in text], [])

    def state(self) -> str:
        return next(iter(self.rig.translator.calls.values())).view().media.state

    def test_outgoing(self) -> None:
        """A page calls a phone: early media, answer, keys agreed; hanging up frees the ports."""
        self.rig.phone(lambda call: call.progress(phone_sdp()))
        session = self.alice.call(ECHO, self.peer.offer())
        self.rig.advance()
        self.check_core_description(self.rig.call.invite.body)
        self.peer.accept(self.alice.last("PROGRESS")["sdp"])
        self.alice.pranswer(session)
        self.rig.call.answer(phone_sdp())
        self.rig.advance()
        self.alice.answer(session)
        self.connect()
        self.assertIn("browser ready", self.state())
        self.assertEqual(self.peer.failure, "")
        self.alice.send("HANGUP", session=session)
        self.rig.advance()
        self.assertTrue(self.rig.call.ended)

    def test_incoming(self) -> None:
        """A phone calls a page."""
        phone = self.rig.ring(phone_sdp())
        session = self.alice.invited
        self.alice.answer(session, self.peer.answer(self.alice.last("OFFER")["sdp"]))
        self.rig.advance()
        assert phone.final is not None
        self.check_core_description(phone.final.body)
        self.connect()
        self.assertIn("browser ready", self.state())
        phone.request("INVITE", phone_sdp(direction="sendonly", version=2))
        self.rig.advance()
        self.assertIn(b"a=recvonly", phone.responses[-1].body)
        phone.bye()
        self.rig.advance()

    def test_offerless(self) -> None:
        """A phone that offers nothing gets the gateway's offer in the 200 and answers it in the ACK."""
        phone = self.rig.ring(None)
        phone.auto_ack = False
        self.alice.answer(self.alice.invited, self.peer.answer(self.alice.last("OFFER")["sdp"]))
        self.rig.advance()
        assert phone.final is not None
        self.check_core_description(phone.final.body)
        phone.ack(phone_sdp())
        self.rig.advance()
        self.assertEqual(self.rig.ladder[-1], "alice <- OK ANSWER")
        phone.bye()

    def test_nothing_in_common(self) -> None:
        """A phone without a codec of ours: 488, with a reason, and the page does not ring."""
        phone = self.rig.ring(phone_sdp("18"))
        assert phone.final is not None
        self.assertEqual(phone.final.status, 488)
        self.alice.nothing()
