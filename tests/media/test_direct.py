"""Direct media: descriptions pass untouched, or the call is refused rather than mute."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, IMediaSession, MediaError, Party, Reoffer
from rtcgw.media.direct import DirectBackend
from rtcgw.media.gathering import MOST, PATIENCE
from rtcgw.media.sdp import parse
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from tests.media.memory import Bench, phone_sdp


class TestDirect(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.backend = DirectBackend(self.clock)
        self.backend.start()
        self.text = Bench().browser.offer()

    def open(self, caller: Access, callee: Access) -> IMediaSession:
        return self.backend.open(SessionId("s"), caller, callee, lambda news: None)

    def test_two_browsers(self) -> None:
        """Offers, answers and candidates go through as they are; changes are the other browser's matter."""
        session = self.open(Access.WEB, Access.WEB)
        self.assertEqual(session.offer(Party.CALLER, self.text), self.text)
        self.assertEqual(session.answer(Party.CALLEE, self.text, True), self.text)
        self.assertFalse(session.candidate(Party.CALLER, "candidate:1 ...", "0", None))
        self.assertEqual(session.reoffer(Party.CALLER, self.text), Reoffer(offer=self.text))
        self.assertEqual(session.stats().backend, "direct")

    def test_phone_that_speaks_webrtc(self) -> None:
        """Its answer passes, whether its credentials stand at the line or at the top."""
        session = self.open(Access.WEB, Access.CORE)
        self.assertEqual(session.offer(Party.CALLER, self.text), self.text)
        self.assertEqual(session.answer(Party.CALLEE, self.text, True), self.text)
        self.assertTrue(session.candidate(Party.CALLER, None, None, None), "a phone takes no trickle")
        top = phone_sdp().replace("t=0 0\r\n", "t=0 0\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=fingerprint:sha-256 Z\r\n")
        self.assertEqual(session.answer(Party.CALLEE, top, True), top)

    def test_phone_that_does_not(self) -> None:
        """A plain phone, no description at all, and an offer nobody can make: 488."""
        session = self.open(Access.WEB, Access.CORE)
        ice = "a=ice-ufrag:x\r\na=ice-pwd:y\r\n"
        for text, lacking in (
            (phone_sdp(), "lacks ICE (m=audio RTP/AVP)"),
            (phone_sdp(extra=ice), "lacks DTLS-SRTP"),
            (phone_sdp(address=("192.0.2.1", 0)), "lacks a media line"),
            ("rubbish", "unreadable"),
        ):
            error = self.assertRaises(MediaError, session.answer, Party.CALLEE, text, True)
            self.assertIs(error.reason, Reason.MEDIA)
            self.assertIn(lacking, error.detail)
        self.assertRaises(MediaError, session.make_offer, Party.CALLEE)


CANDIDATES = (
    ("0", "candidate:1 1 udp 2122194687 192.0.2.7 47551 typ host generation 0"),
    ("0", "candidate:2 1 udp 2122265343 2001:db8::7 53859 typ host"),
    (None, "candidate:3 1 tcp 1518214911 192.0.2.7 9 typ host tcptype active"),
)


def rest(sdp: str) -> list[str]:
    """The lines that tell no address."""
    kinds = ("m=", "c=", "a=rtcp:", "a=candidate:", "a=end-of-candidates")
    return [line for line in sdp.splitlines() if not line.startswith(kinds)]


class TestGathering(SynchronousTestCase):
    """A browser trickles, a phone does not."""

    def setUp(self) -> None:
        self.clock = Clock()
        session = DirectBackend(self.clock).open(SessionId("s"), Access.WEB, Access.CORE, lambda news: None)
        self.session = session
        lines = Bench().browser.offer().splitlines()
        self.bare = "\r\n".join([*(line for line in lines if not line.startswith("a=candidate:")), ""])

    def trickle(self) -> None:
        for mid, candidate in CANDIDATES:
            self.assertTrue(self.session.candidate(Party.CALLER, candidate, mid, None))

    def test_whole(self) -> None:
        """The phone gets one description with all candidates and the best plain one as default; no more changes."""
        result = self.session.offer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.assertNoResult(result)
        self.trickle()
        self.session.candidate(Party.CALLER, None, None, None)
        whole = self.successResultOf(result)
        audio = parse(whole).media[0]
        self.assertEqual(audio.get("candidate"), CANDIDATES[0][1].removeprefix("candidate:"))
        self.assertEqual(len(audio.attributes["candidate"]), 3)
        self.assertEqual((audio.port, audio.host), (47551, "192.0.2.7"))
        self.assertIsNotNone(audio.get("end-of-candidates"))
        self.assertEqual(rest(whole), rest(self.bare))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_patience(self) -> None:
        """A browser that does not come to an end is not waited for; what comes too late is dropped."""
        result = self.session.offer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.trickle()
        self.clock.advance(PATIENCE)
        self.assertIn("192.0.2.7 47551", self.successResultOf(result))
        self.trickle()
        self.session.candidate(Party.CALLER, None, None, None)

    def test_repeated(self) -> None:
        """The same description again, as final answers are after early ones, goes out at once; a new one waits."""
        result = self.session.offer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.trickle()
        self.session.candidate(Party.CALLER, None, None, None)
        self.assertEqual(self.session.offer(Party.CALLER, self.bare), self.successResultOf(result))
        ufrag = parse(self.bare).media[0].get("ice-ufrag")
        self.assertIsInstance(self.session.offer(Party.CALLER, self.bare.replace(str(ufrag), "another")), Deferred)

    def test_bound(self) -> None:
        """Of a thousand candidates, and of those with a line break hidden in them, the description has a few."""
        result = self.session.offer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.session.candidate(Party.CALLER, "candidate:0 1 udp 1 192.0.2.7 1 typ host\r\na=inactive", "0", None)
        for number in range(1000):
            self.session.candidate(Party.CALLER, f"candidate:{number} 1 udp 1 192.0.2.7 {number} typ host", "0", None)
        self.session.candidate(Party.CALLER, None, None, None)
        whole = self.successResultOf(result)
        self.assertEqual(whole.count("a=candidate:"), MOST)
        self.assertNotIn("inactive", whole)

    def test_network_change(self) -> None:
        """A new start in the call goes to the phone whole as well."""
        result = self.session.reoffer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.trickle()
        self.session.candidate(Party.CALLER, None, None, None)
        self.assertIn("192.0.2.7 47551", self.successResultOf(result).offer or "")

    def test_given_up(self) -> None:
        """A call that ends while its description waits leaves no timer behind."""
        result = self.session.offer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.session.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        result.cancel()
        self.failureResultOf(result)

    def test_no_candidates(self) -> None:
        """A browser without a network is passed on as it is, and the phone says what it thinks of that."""
        result = self.session.offer(Party.CALLER, self.bare)
        assert isinstance(result, Deferred)
        self.session.candidate(Party.CALLER, None, None, None)
        self.assertEqual(self.successResultOf(result), self.bare)
