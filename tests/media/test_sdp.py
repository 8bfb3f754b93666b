"""Descriptions: read whatever comes, write only what is meant, and keep every media line in its place."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media import sdp
from rtcgw.media.backend import Access, MediaError
from rtcgw.media.sdp import Codec, Direction, SdpError, parse
from tests.media.memory import Bench, phone_sdp
from tests.peers.webrtc import FORMATS, WebRtcPeer

FEW = settings(max_examples=40, deadline=None)
WEBRTC = ("ice", "candidate", "fingerprint", "setup", "msid", "ssrc", "extmap", "group", "mid", "rtcp-mux", "rtcp-fb")
KINDS = st.sampled_from(["video", "application"])
PHONE_FORMATS = st.lists(st.sampled_from(["0", "8", "9", "18", "101", "97"]), min_size=1, max_size=6, unique=True)
DIRECTIONS = st.sampled_from([direction.value for direction in Direction])


def names(text: str) -> set[str]:
    """All attribute names in a description."""
    session = parse(text)
    return set(session.attributes).union(*(media.attributes for media in session.media))


class TestReading(SynchronousTestCase):
    """The parser and its bounds."""

    @FEW
    @given(st.text(max_size=300))
    def test_rubbish(self, text: str) -> None:
        """No text raises anything but `SdpError`."""
        for candidate in (text, "v=0\r\n" + text, phone_sdp() + text):
            try:
                session = parse(candidate)
            except SdpError:
                continue
            self.assertEqual(parse(str(session)), session, "what was read prints and reads back the same")
            for media in session.media:
                self.assertTrue(all(0 <= codec.pt < 128 for codec in media.codecs))

    def test_a_browser_reads_back(self) -> None:
        """Nothing of a long description is lost between reading and printing."""
        session = parse(WebRtcPeer.offer(Bench().browser))
        self.assertEqual(parse(str(session)), session)
        self.assertEqual([codec.pt for codec in session.media[0].codecs], list(FORMATS))

    def test_bounds(self) -> None:
        """What is too long is refused, each in its own words."""
        for text, words in (
            ("v=0\r\n" + "a=x\r\n" * 20000, "characters"),
            ("v=0\n" + "a=x\n" * sdp.MAX_LINES, "lines"),
            ("v=0\r\na=" + "x" * sdp.MAX_LINE, "a line"),
            ("v=0\r\n" + "m=audio 9 RTP/AVP 0\r\n" * (sdp.MAX_MEDIA + 1), "media lines"),
            ("m=audio 9 RTP/AVP 0", "begin"),
            ("v=0\r\nm=audio", "short"),
            ("v=0\r\nm=audio 99999 RTP/AVP 0", "port"),
            ("v=0\r\nc=IN", "c="),
        ):
            self.assertIn(words, str(self.assertRaises(SdpError, parse, text)))

    def test_odd_phones(self) -> None:
        """What is slightly wrong is read as it was meant."""
        text = (
            "v=0\no=- x y\ns= \nc=IN IP4 10.0.0.9/127\nt=0 0\na=inactive\nz=?\n\nrubbish\n"
            "m=AUDIO 4000/1 rtp/avp 0 96 97 300 x 0\na=rtpmap:97 telephone-event/8000\na=rtpmap:96\nb=AS:64\n"
        )
        session = parse(text)
        media = session.media[0]
        self.assertEqual((media.kind, media.port, media.proto, media.bandwidth), ("audio", 4000, "RTP/AVP", 64))
        self.assertEqual(media.codecs, [Codec(0, "PCMU", 8000), Codec(97, "TELEPHONE-EVENT", 8000)])
        self.assertEqual((session.host_of(media), session.direction_of(media)), ("10.0.0.9", Direction.INACTIVE))


class TestWriting(SynchronousTestCase):
    """What each side is told."""

    @FEW
    @given(st.lists(KINDS, max_size=3), PHONE_FORMATS, DIRECTIONS, DIRECTIONS, st.booleans())
    def test_browser_calls(self, extras: list[str], formats: list[str], mine: str, theirs: str, avpf: bool) -> None:
        """Towards the core nothing of WebRTC; towards the browser an answer that fits its offer, or a refusal."""
        bench = Bench()
        browser = bench.new_browser(("192.0.2.1", 50000), extras=extras)
        browser.direction = mine
        text = browser.offer()
        toward_core = str(bench.session.offer(bench.web, text))
        self.assertFalse({name for name in names(toward_core) if name.startswith(WEBRTC)}, toward_core)
        kinds = [media.kind for media in parse(toward_core).media]
        self.assertEqual(kinds, ["audio", "video"] if "video" in extras else ["audio"])
        self.assertLess(len(toward_core), 550, "an INVITE must fit 1300 bytes")
        try:
            answer = str(bench.session.answer(bench.core, phone_sdp(" ".join(formats), theirs), True))
        except MediaError:
            self.assertFalse({"0", "8", "9"} & set(formats))
            return
        self.fits(parse(text), parse(answer))
        self.assertEqual(bench.session.answer(bench.core, phone_sdp(" ".join(formats), theirs), True), answer)

    @FEW
    @given(PHONE_FORMATS, DIRECTIONS, st.booleans(), st.sampled_from(["RTP/AVP", "RTP/AVPF"]))
    def test_phone_calls(self, formats: list[str], direction: str, video: bool, proto: str) -> None:
        """The browser is offered the phone's codecs only, and the phone's answer fits its offer."""
        bench = Bench(Access.CORE)
        extra = "m=video 5000 RTP/AVP 31\r\n" if video else ""
        text = phone_sdp(" ".join(formats), direction, proto=proto) + extra
        try:
            offer = str(bench.session.offer(bench.core, text))
        except MediaError:
            self.assertFalse({"0", "8", "9"} & set(formats))
            return
        offered = {codec.key for codec in parse(offer).media[0].codecs}
        converted = {("OPUS", 48000, 2), ("TELEPHONE-EVENT", 48000, 1)}  # what a phone without G.711 may become
        self.assertLessEqual(offered, {codec.key for codec in parse(text).media[0].codecs} | converted)
        answer = str(bench.session.answer(bench.web, bench.browser.answer(offer), True))
        self.fits(parse(text), parse(answer))
        self.assertFalse({name for name in names(answer) if name.startswith(WEBRTC)}, answer)

    def fits(self, offer: sdp.Session, answer: sdp.Session) -> None:
        """RFC 3264 §6: same lines in the same places, codecs from the offer, a direction that it allows."""
        self.assertEqual([media.kind for media in answer.media], [media.kind for media in offer.media])
        self.assertEqual([media.get("mid") for media in answer.media], [media.get("mid") for media in offer.media])
        for theirs, ours in zip(offer.media, answer.media, strict=True):
            self.assertEqual(ours.proto, theirs.proto)
            if theirs.kind != "audio":
                self.assertEqual(ours.port, 0)
                continue
            offered = {(codec.pt, codec.key) for codec in theirs.codecs}
            self.assertLessEqual({(codec.pt, codec.key) for codec in ours.codecs}, offered)
            allowed = offer.direction_of(theirs).mirrored
            self.assertEqual(answer.direction_of(ours), answer.direction_of(ours).within(allowed))

    def test_versions(self) -> None:
        """The version grows by one with each change, and only then (RFC 3264 §8)."""
        bench = Bench()
        bench.call()
        seen = []
        for direction in ("sendrecv", "sendrecv", "sendonly", "sendonly", "sendrecv"):
            seen.append(int(parse(str(bench.reanswer(bench.core, phone_sdp(direction=direction)))).version))
        self.assertEqual([after - before for before, after in pairwise(seen)], [0, 1, 0, 1])

    def test_lines_never_move(self) -> None:
        """A phone that adds video later gets both lines back in their places, video refused, also when we offer."""
        bench = Bench()
        bench.call()
        video = "m=video 5000 RTP/AVP 31\r\n"
        for text in (bench.reanswer(bench.core, phone_sdp() + video), bench.session.make_offer(bench.core)):
            media = parse(str(text)).media
            self.assertEqual([(one.kind, one.port > 0) for one in media], [("audio", True), ("video", False)])

    def test_rtcp_elsewhere(self) -> None:
        """A phone's `a=rtcp` says where reports go (RFC 3605); ours is the next port and says nothing."""
        bench = Bench()
        core = str(bench.session.offer(bench.web, bench.browser.offer()))
        self.assertNotIn("a=rtcp", core)
        bench.browser.accept(str(bench.session.answer(bench.core, phone_sdp(extra="a=rtcp:4555\r\n"), True)))
        phone = bench.session.talks.core.peer
        self.assertEqual(phone and phone.streams[0].rtcp, ("198.51.100.7", 4555))

    def test_numbers_that_are_none(self) -> None:
        """Digits that only Unicode calls digits are no numbers: passed over, never a fault of the gateway."""
        for line in (
            "a=ptime:\u00b2\u00b2",
            "a=rtcp:\u00b9",
            "a=rtpmap:0 PCMU/\u00b2",
            "b=AS:\u00b2",
            "a=fmtp:\u00b2 x",
        ):
            bench = Bench(Access.CORE)
            self.assertIn("a=ptime:20", str(bench.session.offer(bench.core, phone_sdp(extra=f"{line}\r\n"))), line)

    def test_browsers_that_cannot_be_answered(self) -> None:
        """No multiplexing, no credentials, no fingerprint or a worthless one: refused before anything is sent."""
        good = Bench().browser.offer()
        fingerprint = next(line for line in good.split("\r\n") if line.startswith("a=fingerprint"))
        for wrong in (
            good.replace("a=rtcp-mux\r\n", ""),
            good.replace("a=ice-ufrag:ufr1\r\n", ""),
            good.replace(fingerprint, "a=fingerprint:sha-1 00:11"),
            good.replace("a=setup:actpass", "a=setup:holdconn"),
            good.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
            good.replace(" 111 63 9 0 8 13 ", " 63 13 "),
        ):
            self.assertNotEqual(wrong, good)
            bench = Bench()
            self.assertRaises(MediaError, bench.session.offer, bench.web, wrong)

    def test_phones_that_nothing_can_be_sent_to(self) -> None:
        """A name, a group of hosts or nothing where an address belongs is refused."""
        for host in ("phone.example.com", "239.1.2.3", "255.255.255.255"):
            bench = Bench(Access.CORE)
            self.assertRaises(MediaError, bench.session.offer, bench.core, phone_sdp(address=(host, 4000)))
