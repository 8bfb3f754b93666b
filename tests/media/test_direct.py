"""Direct media: descriptions pass untouched, or the call is refused rather than mute."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, IMediaSession, MediaError, MediaNews, News, Party, Reoffer
from rtcgw.media.direct import DirectBackend
from rtcgw.media.gathering import MOST, PATIENCE
from rtcgw.media.sdp import Direction, parse
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

    def test_another_peer_connection(self) -> None:
        """A page that is loaded again has other keys: the other page must begin anew as well (RFC 8842). An offer that
        was refused has changed nothing, and what is not between browsers has no such thing."""
        session = self.open(Access.WEB, Access.WEB)
        session.offer(Party.CALLER, self.text)
        session.answer(Party.CALLEE, self.text, True)
        first = parse(self.text)
        key = first.value_of(first.media[0], "fingerprint")
        assert key is not None
        other = self.text.replace(key, f"{key[:-2]}0F")
        self.assertEqual(session.reoffer(Party.CALLER, other), Reoffer(offer=other, fresh=True))
        session.revert()
        self.assertEqual(session.reoffer(Party.CALLER, self.text), Reoffer(offer=self.text))
        session.answer(Party.CALLEE, self.text, True)
        self.assertEqual(session.reoffer(Party.CALLER, other), Reoffer(offer=other, fresh=True))
        session.answer(Party.CALLEE, self.text, True)
        self.assertEqual(session.reoffer(Party.CALLER, other), Reoffer(offer=other))
        phone = self.open(Access.WEB, Access.CORE)
        phone.offer(Party.CALLER, self.text)
        phone.answer(Party.CALLEE, self.text, True)
        change = phone.reoffer(Party.CALLER, other)
        assert isinstance(change, Reoffer)
        self.assertFalse(change.fresh)

    def test_refused_picture(self) -> None:
        """What a refused change would have shown is not shown."""
        session = self.open(Access.WEB, Access.WEB)
        picture = self.text + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
        session.offer(Party.CALLER, picture)
        session.answer(Party.CALLEE, picture, True)
        session.reoffer(Party.CALLER, self.text)
        self.assertFalse(session.shows(Party.CALLER))
        session.revert()
        self.assertTrue(session.shows(Party.CALLER))

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


class TestTwoPhones(SynchronousTestCase):
    """Two phones that a transfer has joined: neither needs ICE, each is told everything in one story."""

    def setUp(self) -> None:
        self.news: list[MediaNews] = []
        backend = DirectBackend(Clock())
        self.session = backend.open(SessionId("s"), Access.CORE, Access.CORE, self.news.append)

    def versions(self, *texts: object) -> list[tuple[str, str]]:
        """Of each description its number and its version."""
        found = [parse(str(text)) for text in texts]
        return [(session.number, session.version) for session in found]

    def test_passed(self) -> None:
        """What one offers and the other answers passes line by line, with its addresses."""
        offer, answer = phone_sdp(), phone_sdp(address=("192.0.2.9", 5000))
        for told, said in ((self.session.offer(Party.CALLEE, offer), offer), (self.said(answer), answer)):
            self.assertEqual(str(told).split("s=", 1)[1], said.split("s=", 1)[1])
        self.assertRaises(MediaError, self.session.make_offer, Party.CALLER)

    def said(self, sdp: str) -> object:
        return self.session.answer(Party.CALLER, sdp, True)

    def test_one_story(self) -> None:
        """Versions grow with each change, whatever the other phone counts; the same again has the same."""
        first = self.session.offer(Party.CALLER, phone_sdp(version=7))
        again = self.session.offer(Party.CALLER, phone_sdp(version=9))
        other = self.session.offer(Party.CALLER, phone_sdp(address=("192.0.2.9", 5000)).replace("o=phone 7", "o=odd x"))
        (number, one), (same, two), (still, three) = self.versions(first, again, other)
        self.assertEqual((same, still), (number, number))
        self.assertEqual((int(two) - int(one), int(three) - int(one)), (0, 1))

    def test_hold(self) -> None:
        """A phone's hold is its own re-INVITE, which passes; it is told once, and so is its end."""
        self.session.offer(Party.CALLER, phone_sdp())
        self.session.answer(Party.CALLEE, phone_sdp(), True)
        for direction, answer in (("sendonly", "recvonly"), ("sendonly", "recvonly"), ("sendrecv", "sendrecv")):
            found = self.session.reoffer(Party.CALLER, phone_sdp(direction=direction))
            assert isinstance(found, Reoffer)
            self.assertIn(f"a={direction}", str(found.offer))
            self.session.answer(Party.CALLEE, phone_sdp(direction=answer), True)
        self.assertEqual([news.state for news in self.news], [News.HELD, News.RESUMED])
        self.session.reoffer(Party.CALLER, phone_sdp(direction="inactive"))
        self.session.revert()
        self.assertEqual(len(self.news), 2, "a hold that the other phone refuses is none")


class TestHold(SynchronousTestCase):
    """A page holds a phone with which it talks directly."""

    def setUp(self) -> None:
        self.news: list[MediaNews] = []
        self.session = DirectBackend(Clock()).open(SessionId("s"), Access.WEB, Access.CORE, self.news.append)
        self.page = Bench().browser.offer()
        transport = "a=ice-ufrag:x\r\na=ice-pwd:y\r\na=fingerprint:sha-256 Z\r\n"
        self.phone = {each: phone_sdp(direction=each, extra=transport) for each in ("sendrecv", "sendonly", "recvonly")}

    def connect(self) -> None:
        self.session.offer(Party.CALLER, self.page)
        self.session.answer(Party.CALLEE, self.phone["sendrecv"], True)

    def hold(self, on: bool) -> str:
        found = self.session.hold(Party.CALLER, on)
        assert isinstance(found, str)
        return found

    def test_phone_is_told(self) -> None:
        """It hears `sendonly` in a version of its own, then what the page had said; its answers stay here."""
        self.connect()
        held = self.hold(True)
        self.assertIs(parse(held).media[0].direction, Direction.SENDONLY)
        self.assertEqual(int(parse(held).version), int(parse(self.page).version) + 1)
        self.assertEqual(self.session.answer(Party.CALLEE, self.phone["recvonly"], True), "")
        self.assertEqual(self.hold(True), "", "it is held already")
        back = self.hold(False)
        self.assertEqual(back.split("s=", 1)[1], self.page.split("s=", 1)[1])
        self.session.answer(Party.CALLEE, self.phone["sendrecv"], True)
        self.assertEqual(self.news, [])

    def test_both(self) -> None:
        """The phone holds as well: `inactive`; each takes back its own hold only."""
        self.connect()
        self.session.reoffer(Party.CALLEE, self.phone["sendonly"])
        self.session.answer(Party.CALLER, self.page.replace("a=sendrecv", "a=recvonly"), True)
        self.assertIn("a=inactive", self.hold(True))
        self.session.answer(Party.CALLEE, self.phone["sendonly"].replace("sendonly", "inactive"), True)
        self.session.reoffer(Party.CALLEE, self.phone["recvonly"])
        answer = self.session.answer(Party.CALLER, self.page, True)
        self.assertIn("a=sendonly", str(answer), "the page still holds")
        self.assertEqual([news.state for news in self.news], [News.HELD, News.RESUMED])

    def test_refused(self) -> None:
        """A phone that refuses it was never held."""
        self.connect()
        self.hold(True)
        self.assertRaises(MediaError, self.session.hold, Party.CALLER, False)
        self.session.revert()
        self.session.revert()
        self.assertEqual(self.hold(False), "")

    def test_too_early(self) -> None:
        """Before anybody was told anything there is nothing to hold; between pages nothing need be said."""
        error = self.assertRaises(MediaError, self.session.hold, Party.CALLER, True)
        self.assertIs(error.reason, Reason.CONFLICT)
        pages = DirectBackend(Clock()).open(SessionId("s"), Access.WEB, Access.WEB, self.news.append)
        self.assertEqual(pages.hold(Party.CALLER, True), "")
        self.assertFalse(pages.press(Party.CALLEE, "1", 100))
