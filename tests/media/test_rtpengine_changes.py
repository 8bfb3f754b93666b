"""What changes in a call through rtpengine: slots that stay, who is asked and who is not, refusals without a trace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from rtcgw.media.backend import Access, IMediaSession, MediaError, Party, Reoffer
from rtcgw.media.engine import turns
from rtcgw.media.sdp import Session, parse
from rtcgw.model.peer import PLAIN_PEER, PeerProfile, Srtp, Transcode
from rtcgw.model.reason import Reason
from tests.media.memory import phone_sdp
from tests.media.test_rtpengine import Calling
from tests.media.test_sdp import WEBRTC, names

PRINT = ":".join(["CD"] * 32)
CAMERA = "m=video 4010 RTP/AVPF 102\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 profile-level-id=42e01f\r\n"
KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "B" * 40 + "\r\n"


def line(kind: str, mid: str, ufrag: str = "u1", port: int = 9) -> str:
    """A browser's media line."""
    if kind == "application":
        return f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n"
    maps = {
        "audio": "111 0 8 126\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000",
        "video": "96 102\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n"
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtcp-fb:96 goog-remb",
    }
    return (
        f"m={kind} {port} UDP/TLS/RTP/SAVPF {maps[kind]}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=ice-ufrag:{ufrag}\r\n"
        f"a=ice-pwd:{'p' * 24}\r\na=fingerprint:sha-256 {PRINT}\r\na=setup:actpass\r\na=rtcp-mux\r\na=sendrecv\r\n"
    )


def page(*kinds: str, ufrag: str = "u1", refused: frozenset[int] = frozenset()) -> str:
    """A browser's description with these lines in their places."""
    lines = [line(kind, str(place), ufrag, 0 if place in refused else 9) for place, kind in enumerate(kinds)]
    return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" + "".join(lines)


def shape(sdp: str) -> list[tuple[str, bool]]:
    """Kind of each line, and whether it is in use."""
    return [(media.kind, media.port > 0) for media in parse(sdp).media]


class Changing(Calling):
    def reoffer(self, session: IMediaSession, origin: Party, sdp: str) -> Reoffer:
        """A new offer, and what becomes of it."""
        found = session.reoffer(origin, sdp)
        assert isinstance(found, Deferred)
        self.network.run()
        result: Reoffer = self.successResultOf(found)
        return result

    def call(self, *kinds: str, answer: str = "", peer: PeerProfile = PLAIN_PEER) -> IMediaSession:
        """An answered call of a browser with these lines."""
        session = self.open(peer=peer)
        self.now(session.offer(Party.CALLER, page(*kinds)))
        self.now(session.answer(Party.CALLEE, answer or phone_sdp("0 126"), True))
        return session

    @property
    def shown(self) -> Session:
        """What the engine was shown last."""
        return parse(str(self.engine.last["sdp"]))


class TestPictures(Changing):
    def test_places(self) -> None:
        """Wherever its lines are, each side finds them there again; data is refused in its place."""
        session = self.open()
        offer = self.now(session.offer(Party.CALLER, page("application", "video", "audio")))
        self.assertEqual(shape(offer), [("audio", True), ("video", True)])
        self.assertFalse({name for name in names(offer) if name.startswith(WEBRTC)} - {"rtcp-fb"}, offer)
        self.assertEqual(str(self.engine.last["transport-protocol"]), "RTP/AVPF", "or it would keep PLI back")
        answer = self.now(session.answer(Party.CALLEE, phone_sdp("0") + CAMERA, True))
        self.assertEqual(shape(answer), [("application", False), ("video", True), ("audio", True)])
        self.assertEqual([media.get("mid") for media in parse(answer).media], ["0", "1", "2"])
        self.assertEqual(parse(answer).media[1].attributes["rtcp-fb"], ["102 nack pli", "102 ccm fir"])
        self.assertIn("packetization-mode=1", str(parse(answer).media[1].attributes["fmtp"]))

    def test_refused(self) -> None:
        """A phone without pictures, and a profile without them: port 0 in the browser's place."""
        for peer, told in ((PLAIN_PEER, 2), (PeerProfile(video=()), 1)):
            session = self.open(peer=peer)
            offer = self.now(session.offer(Party.CALLER, page("audio", "video")))
            self.assertEqual(len(shape(offer)), told)
            more = "m=video 0 RTP/AVPF 102\r\n" if told == 2 else ""
            answer = self.now(session.answer(Party.CALLEE, phone_sdp("0") + more, True))
            self.assertEqual(shape(answer), [("audio", True), ("video", False)])
            session.close()

    def test_added_and_removed(self) -> None:
        """Pictures are added and removed by either side, the other one being asked; lines keep their places."""
        session = self.call("audio")
        asked = self.reoffer(session, Party.CALLER, page("audio", "video"))
        assert asked.offer is not None
        self.assertEqual((shape(asked.offer), asked.answer), ([("audio", True), ("video", True)], None))
        answer = self.now(session.answer(Party.CALLEE, phone_sdp("0 126") + CAMERA, True))
        self.assertEqual(shape(answer), [("audio", True), ("video", True)])
        gone = self.reoffer(session, Party.CALLEE, phone_sdp("0 126") + CAMERA.replace("4010", "0"))
        assert gone.offer is not None
        self.assertEqual(shape(gone.offer), [("audio", True), ("video", False)])
        answer = self.now(session.answer(Party.CALLER, page("audio", "video", refused=frozenset({1})), True))
        self.assertEqual(shape(answer), [("audio", True), ("video", False)])
        back = self.reoffer(session, Party.CALLEE, phone_sdp("0 126") + CAMERA)
        assert back.offer is not None
        self.assertEqual(shape(back.offer), [("audio", True), ("video", True)])
        self.assertNotEqual(parse(back.offer).media[1].get("mid"), "1", "a refused line comes back as a new one")

    def test_phone_adds(self) -> None:
        """A phone adds pictures: the browser is offered a line more, with a name of its own."""
        session = self.call("audio", "application")
        asked = self.reoffer(session, Party.CALLEE, phone_sdp("0 126") + CAMERA)
        assert asked.offer is not None
        self.assertEqual(shape(asked.offer), [("audio", True), ("application", False), ("video", True)])
        self.assertEqual(len({media.get("mid") for media in parse(asked.offer).media}), 3)

    def test_refused_change(self) -> None:
        """The phone refuses the pictures: the engine is brought back, and never saw the browser's new credentials."""
        session = self.call("audio")
        asked = self.reoffer(session, Party.CALLER, page("audio", "video", ufrag="u2"))
        self.assertIsNotNone(asked.offer)
        self.assertEqual([media.get("ice-ufrag") for media in self.shown.media], ["u1", "u2"])
        session.revert()
        self.network.run()
        self.assertEqual(
            [(media.kind, media.port > 0) for media in self.shown.media], [("audio", True), ("video", False)]
        )
        self.assertEqual(next(iter(self.engine.calls.values())).ufrags, 0)
        session.revert()
        held = self.reoffer(session, Party.CALLEE, phone_sdp("0 126", "sendonly"))
        self.assertIn("a=recvonly", str(held.answer))

    def test_wait_in_turn(self) -> None:
        """What comes while the engine is being brought back waits for it; so much, and no more."""
        session = self.call("audio")
        self.reoffer(session, Party.CALLER, page("audio", "video"))
        session.revert()
        held = session.reoffer(Party.CALLEE, phone_sdp("0 126", "sendonly"))
        self.network.run()
        assert isinstance(held, Deferred)
        self.assertIn("a=recvonly", str(self.successResultOf(held).answer))
        results = [session.reoffer(Party.CALLEE, phone_sdp("0 126")) for _ in range(turns.MAX_WAITING + 1)]
        error = self.assertRaises(MediaError, session.reoffer, Party.CALLEE, phone_sdp("0 126"))
        self.assertIs(error.reason, Reason.CONFLICT)
        session.close()
        self.network.run()
        for result in results[1:]:
            assert isinstance(result, Deferred)
            self.failureResultOf(result, MediaError)

    KINDS = st.lists(st.sampled_from(["audio", "video", "application"]), min_size=1, max_size=5)

    @settings(max_examples=30, deadline=None)
    @given(KINDS, st.booleans())
    def test_slots_never_move(self, kinds: list[str], has_camera: bool) -> None:
        """Every answer has its offer's lines, in their places and of their kinds, whatever the phone can do."""
        session = self.open()
        try:
            if "audio" not in kinds:
                self.assertRaises(MediaError, session.offer, Party.CALLER, page(*kinds))
                return
            offer = self.now(session.offer(Party.CALLER, page(*kinds)))
            answer = phone_sdp("0") + (CAMERA if has_camera else CAMERA.replace("4010", "0")) * ("m=video" in offer)
            for final in (False, True):
                told = self.now(session.answer(Party.CALLEE, answer.replace("4000", f"400{final:d}"), final))
                self.assertEqual([media.kind for media in parse(told).media], kinds)
        finally:
            session.close()
            self.network.run()


class TestEarly(Changing):
    def test_browser_waits(self) -> None:
        """The browser's answer before the phone's; the phone's own is then shown, and what the browser knows stays."""
        session = self.open()
        self.now(session.offer(Party.CALLER, page("audio")))
        early = self.now(session.early_answer(Party.CALLER))
        self.assertEqual(self.engine.commands, ["offer", "answer"])
        answer = self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), True))
        for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
            self.assertEqual(parse(answer).media[0].get(name), parse(early).media[0].get(name))
        self.assertIsNone(session.early_answer(Party.CALLER))
        self.assertIsNone(session.early_answer(Party.CALLEE))

    def test_camera_waits(self) -> None:
        """A browser with a camera gets no early answer: its first whole picture would go nowhere, and the engine cannot
        ask for another."""
        session = self.open()
        self.now(session.offer(Party.CALLER, page("audio", "video")))
        self.assertIsNone(session.early_answer(Party.CALLER))
        self.assertEqual(self.engine.commands, ["offer"])

    def test_phone_waits(self) -> None:
        """The phone's answer before the browser's: no ICE or DTLS is made up, its preconditions are answered."""
        session = self.open(Access.CORE, PeerProfile(preconditions=True))
        asked = "a=curr:qos local none\r\na=curr:qos remote none\r\na=des:qos mandatory local sendrecv\r\n"
        self.now(session.offer(Party.CALLER, phone_sdp("0", extra=asked)))
        self.assertFalse(session.reserved)
        early = self.now(session.early_answer(Party.CALLER))
        self.assertIn("a=curr:qos local sendrecv", early)
        self.assertNotIn("ice-ufrag", str(self.engine.last["sdp"]))
        self.assertNotIn("fingerprint", str(self.engine.last["sdp"]))
        self.assertNotIn("127.0.0.1:9", early)

    def test_called_page_is_not_heard(self) -> None:
        """A called page that answers early connects, and the engine keeps what it says to itself until it answers."""
        for final in (page("audio"), page("audio", ufrag="u2")):
            session = self.open(Access.CORE)
            self.now(session.offer(Party.CALLER, phone_sdp("0 101")))
            name = next(reversed(self.engine.calls))
            self.now(session.answer(Party.CALLEE, page("audio"), False))
            self.assertEqual(self.engine.calls[name].blocked, {"callee"})
            self.now(session.answer(Party.CALLEE, final, True))
            self.assertEqual(self.engine.calls[name].blocked, set())

    def test_second_way(self) -> None:
        """The phone refuses encryption: the fallback's offer is plain, under the same ports, and there is no third."""
        peer = PeerProfile(srtp=Srtp.SDES, fallback=PeerProfile("plain", codecs=("PCMU",)))
        session = self.open(peer=peer)
        first = self.now(session.offer(Party.CALLER, page("audio")))
        self.assertIn("m=audio 20000 RTP/SAVP 0", first)
        self.assertIn("a=crypto:1 AES_CM_128_HMAC_SHA1_80", first)
        second = self.now(session.fallback())
        self.assertIn("m=audio 20000 RTP/AVP 0 126", second)
        self.assertNotIn("crypto", second)
        self.assertEqual(self.engine.last["SDES"], ["off"])
        self.assertRaises(MediaError, session.fallback)
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), True))

    def test_opportunity(self) -> None:
        """Keys beside RTP/AVP; a phone that answers without is shown to the engine as plain, in a second exchange."""
        session = self.open(peer=PeerProfile(srtp=Srtp.OPPORTUNISTIC))
        offer = self.now(session.offer(Party.CALLER, page("audio")))
        self.assertIn("m=audio 20000 RTP/AVP 0", offer)
        self.assertIn("a=crypto:1", offer)
        self.assertEqual(self.engine.last["transport-protocol"], "RTP/SAVP")
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), True))
        self.assertEqual(self.engine.commands, ["offer", "answer", "offer", "answer"])
        offered = [request for request in self.engine.requests if request["command"] == "offer"]
        self.assertEqual(offered[-1]["transport-protocol"], "RTP/AVP")

    def test_keys_required(self) -> None:
        """A phone without keys where they are required, or with keys where none are wanted: refused."""
        for srtp, proto, extra in (
            (Srtp.SDES, "RTP/AVP", ""),
            (Srtp.NONE, "RTP/SAVP", KEY),
            (Srtp.SDES, "RTP/SAVP", ""),
        ):
            session = self.open(Access.CORE, PeerProfile(srtp=srtp))
            self.assertRaises(MediaError, session.offer, Party.CALLER, phone_sdp("0", proto=proto, extra=extra))
            session.close()
        session = self.open(Access.CORE, PeerProfile(srtp=Srtp.SDES))
        offer = self.now(session.offer(Party.CALLER, phone_sdp("0", proto="RTP/SAVP", extra=KEY)))
        self.assertNotIn("crypto", offer)
        self.assertIn("crypto", str(self.engine.last["sdp"]))


class TestPlaces(Changing):
    PREFER = PeerProfile(codecs=("PCMU",), transcode=Transcode.PREFER)

    def test_held_and_given_back(self) -> None:
        """A place is taken with the offer, kept while sound is converted, and given back with the call."""
        self.backend.places.limit = 1
        session = self.call("audio", peer=self.PREFER)
        self.assertEqual(self.backend.places.used, 1)
        plain = self.open(peer=self.PREFER)
        self.now(plain.offer(Party.CALLER, page("audio")))
        self.assertNotIn("codec", self.engine.last)
        plain.close()
        session.close()
        self.network.run()
        self.assertEqual(self.backend.places.used, 0)

    def test_given_back_with_the_answer(self) -> None:
        """The phone takes what needs no conversion."""
        session = self.open(peer=PeerProfile(codecs=("PCMU", "AMR-WB")))
        self.now(session.offer(Party.CALLER, page("audio")))
        self.assertEqual(self.backend.places.used, 1)
        self.now(session.answer(Party.CALLEE, phone_sdp("0 126"), True))
        self.assertEqual(self.backend.places.used, 0)
