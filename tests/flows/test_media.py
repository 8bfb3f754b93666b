"""Whole calls with the real embedded media: what goes to each side is of its own kind, and sound would flow."""

from __future__ import annotations

from twisted.internet.task import Clock

from rtcgw.media.embedded.backend import EmbeddedBackend, EmbeddedSettings
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from tests.flows.case import FlowCase
from tests.flows.rig import ECHO, Rig, configured
from tests.media.memory import BROWSER, Network, phone_sdp
from tests.peers.webrtc import WebRtcPeer

WEB_ONLY = ("ice-", "fingerprint", "candidate", "msid", "ssrc", "extmap", "BUNDLE", "rtcp-mux", "SAVPF")


PICTURE = "m=video 5004 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"


def secrets(sdp: str) -> list[str]:
    """What a browser's connection hangs on."""
    return [line for line in sdp.splitlines() if line.startswith(("a=ice-ufrag", "a=ice-pwd", "a=fingerprint"))]


class EmbeddedCase(FlowCase):
    """Media in a network of its own, on the same clock."""

    profile = PLAIN_PEER

    def build(self) -> Rig:
        clock = Clock()
        self.network = Network(clock)
        self.media = EmbeddedBackend(EmbeddedSettings(), clock, self.network)
        self.media.start()
        self.peer = WebRtcPeer(clock, lambda data, target: self.network.send(data, BROWSER, target))
        self.network.ports[BROWSER] = self.peer.datagram
        return Rig(configured(), self.media, clock=clock, peer=self.profile)

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


class EmbeddedFlowTests(EmbeddedCase):
    """A plain phone."""

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

    def test_warm_start(self) -> None:
        """The page's keys are agreed while the phone rings, and its description stays when the phone answers."""
        session = self.alice.call(ECHO, self.peer.offer())
        self.rig.advance()
        early = self.alice.last("PROGRESS")["sdp"]
        self.peer.accept(early)
        self.rig.call.ring()
        self.connect()
        self.assertIn("browser ready", self.state())
        self.rig.call.answer(phone_sdp())
        self.rig.advance()
        answer = self.alice.last("OK")["sdp"]
        self.assertEqual(secrets(answer), secrets(early))
        self.alice.answer(session)
        self.alice.send("HANGUP", session=session)
        self.rig.advance()

    def test_called_page_connects_while_it_rings(self) -> None:
        """The same for a page that is called; the phone hears 180 only, and the answer in the 200."""
        phone = self.rig.ring(phone_sdp())
        session = self.alice.invited
        self.alice.pranswer(session, self.peer.answer(self.alice.last("OFFER")["sdp"]))
        self.connect()
        self.assertIn("browser ready", self.state())
        self.assertEqual([(one.status, one.body) for one in phone.responses if one.status == 180], [(180, b"")])
        self.alice.answer(session)
        self.rig.advance()
        assert phone.final is not None
        self.check_core_description(phone.final.body)
        phone.bye()

    def established(self) -> str:
        """A call of the page's; its session."""
        self.rig.phone(lambda call: call.answer(phone_sdp()))
        session = self.alice.call(ECHO, self.peer.offer())
        self.rig.advance()
        self.peer.accept(self.alice.last("OK")["sdp"])
        self.alice.answer(session)
        self.connect()
        return session

    def test_page_adds_video(self) -> None:
        """The phone is asked in its own kind of description, its answer goes to the page, sound goes on."""
        session = self.established()
        phone = self.rig.call
        phone.canned["UPDATE"] = [(200, phone_sdp(version=2) + PICTURE)]
        self.peer.extras = ("video",)
        self.alice.send("OFFER", session=session, sdp=self.peer.offer())
        self.rig.advance()
        asked = phone.last("UPDATE").body
        self.check_core_description(asked)
        self.assertRegex(asked.decode(), r"m=video [1-9]\d* RTP/AVP")
        answer = self.alice.last("OK")["sdp"]
        self.assertRegex(answer, "m=video [1-9]")
        self.peer.accept(answer)
        self.connect()
        self.assertIn("browser ready", self.state())
        phone.bye()

    def test_phone_without_video(self) -> None:
        """A phone that refuses it: the page hears why, and nothing has changed."""
        session = self.established()
        self.rig.call.canned["UPDATE"] = [(488, None)]
        self.peer.extras = ("video",)
        self.alice.send("OFFER", session=session, sdp=self.peer.offer())
        self.rig.advance()
        self.assertEqual(self.alice.last("ERROR")["code"], "media-incompatible")
        self.peer.extras = ()
        self.alice.send("OFFER", session=session, sdp=self.peer.offer())
        self.rig.advance()
        self.assertNotIn("m=video", self.alice.last("OK")["sdp"])
        self.assertIn("browser ready", self.state())
        self.rig.call.bye()

    def test_ice_restart(self) -> None:
        """A page whose network has changed: the phone hears nothing of it."""
        session = self.established()
        self.rig.ladder.clear()
        self.peer.restart()
        self.alice.send("OFFER", session=session, sdp=self.peer.offer())
        self.rig.advance()
        self.peer.accept(self.alice.last("OK")["sdp"])
        self.connect()
        self.assertIn("browser ready", self.state())
        self.reads(
            """
            alice -> OFFER sdp
            alice <- OK OFFER sdp
            """
        )
        self.rig.call.bye()

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


def reserving(now: str, version: int) -> str:
    """A phone whose network has reserved `now` of what both sides must have."""
    return phone_sdp(
        extra=f"a=curr:qos local {now}\r\na=curr:qos remote none\r\n"
        "a=des:qos mandatory local sendrecv\r\na=des:qos mandatory remote sendrecv\r\n",
        version=version,
    )


class PreconditionFlowTests(EmbeddedCase):
    """A phone of an IMS network that reserves resources."""

    profile = PeerProfile("ims", preconditions=True)

    def test_incoming(self) -> None:
        """The page rings when they are there, and is shown nothing of them; the 200 adds nothing to what was agreed."""
        phone = self.rig.ring(reserving("none", 1), supported="100rel, precondition")
        self.alice.nothing()
        early = phone.responses[-1] if phone.responses[-1].status == 183 else phone.responses[-2]
        self.assertIn(b"a=curr:qos local sendrecv", early.body)
        phone.request("UPDATE", reserving("sendrecv", 2))
        self.rig.advance()
        offer = self.alice.last("OFFER")["sdp"]
        self.assertNotIn("qos", offer)
        session = self.alice.invited
        self.alice.send("RINGING", session=session)
        self.alice.answer(session, self.peer.answer(offer))
        self.rig.advance()
        assert phone.final is not None
        self.assertEqual((phone.final.status, phone.final.body), (200, b""))
        self.connect()
        self.assertIn("browser ready", self.state())
        phone.bye()
