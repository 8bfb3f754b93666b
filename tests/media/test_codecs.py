"""Codecs of sound by the peer's profile: who is offered what, what is converted, and when it is too much."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError
from rtcgw.media.codecs import MAX_HEARD, Numbers, profile
from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.media.packets import transcode
from rtcgw.media.sdp import Codec
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import Dtmf, PeerProfile, Transcode, WhenFull
from rtcgw.model.reason import Reason
from tests.media.descriptions import codecs, line, page, phone, phone_line, web_line
from tests.media.memory import PHONE, Bench

OPUS_ONLY = page(web_line(formats=(111, 110, 126)))
G711_ONLY = phone(phone_line(formats=(0, 101)))
NEVER = PeerProfile(transcode=Transcode.NEVER)
PREFER = PeerProfile(transcode=Transcode.PREFER)
needs_av = None if transcode.available() else "PyAV is not installed"


def names(text: str) -> list[str]:
    return [name for _, name in codecs(text)]


class TestOffers(SynchronousTestCase):
    """What each side is offered."""

    def test_order_of_the_profile(self) -> None:
        """The phone is offered what its profile names, in that order; the browser's order is nobody's."""
        bench = Bench(peer=PeerProfile(codecs=("OPUS", "PCMA")))
        offer = str(bench.session.offer(bench.web, page()))
        self.assertEqual(codecs(offer)[:2], [(111, "OPUS"), (8, "PCMA")])
        self.assertIn("a=fmtp:111 minptime=10;useinbandfec=1", offer)

    def test_opus_end_to_end(self) -> None:
        """A phone with Opus gets the browser's, with each other's parameters and telephone events at its clock."""
        bench = Bench()
        bench.session.offer(bench.web, page())
        theirs = phone(phone_line(formats=(111, 110), fmtp={111: "stereo=1"}))
        answer = str(bench.session.answer(bench.core, theirs, True))
        self.assertEqual(codecs(answer), [(111, "OPUS"), (110, "TELEPHONE-EVENT")])
        self.assertIn("a=fmtp:111 stereo=1", answer)
        self.assertFalse(bench.session.stats().transcoding)

    def test_a_phone_with_opus_calls(self) -> None:
        """It comes to the browser as it is; its number for telephone events is kept."""
        bench = Bench(Access.CORE)
        offer = str(bench.session.offer(bench.core, phone(phone_line(formats=(111, 0, 101)))))
        self.assertEqual(codecs(offer)[:2], [(111, "OPUS"), (0, "PCMU")])
        events = [(codec.pt, codec.rate) for codec in line(offer).codecs if codec.name == "TELEPHONE-EVENT"]
        self.assertEqual(events, [(110, 48000), (101, 8000)])

    def test_codecs_of_phones_only(self) -> None:
        """AMR and EVS never reach a browser; where there is nothing else the call is refused."""
        amr = (
            "m=audio 4000 RTP/AVP 96 98 99{g711}\r\na=rtpmap:96 EVS/16000/1\r\na=fmtp:96 br=5.9-24.4;bw=nb-swb\r\n"
            "a=rtpmap:98 AMR-WB/16000\r\na=fmtp:98 octet-align=1\r\na=rtpmap:99 AMR/8000\r\n"
        )
        bench = Bench(Access.CORE)
        self.assertEqual(names(str(bench.session.offer(bench.core, phone(amr.format(g711=" 8"))))), ["PCMA"])
        bench = Bench(Access.CORE)
        error = self.assertRaises(MediaError, bench.session.offer, bench.core, phone(amr.format(g711="")))
        self.assertIs(error.reason, Reason.MEDIA)

    def test_parameters_of_the_profile(self) -> None:
        """What the profile says of a codec is what the phone is offered."""
        bench = Bench(peer=PeerProfile(fmtp=(("OPUS", "maxaveragebitrate=20000"),)))
        offer = str(bench.session.offer(bench.web, page()))
        self.assertIn("a=fmtp:111 maxaveragebitrate=20000\r\n", offer)

    def test_keys_by_other_ways(self) -> None:
        """Where keys do not go by RTP, no telephone events are spoken of on either side."""
        for kind in (Dtmf.INFO, Dtmf.NONE):
            bench = Bench(peer=PeerProfile(dtmf=kind))
            offer = str(bench.session.offer(bench.web, page()))
            answer = str(bench.session.answer(bench.core, phone(), True))
            for text in (offer, answer):
                self.assertNotIn("TELEPHONE-EVENT", names(text))

    def test_packet_length(self) -> None:
        """The phone is offered the profile's, the browser told what the phone sends."""
        bench = Bench(peer=PeerProfile(ptime=30))
        self.assertIn("a=ptime:30", str(bench.session.offer(bench.web, page())))
        answer = str(bench.session.answer(bench.core, phone(phone_line(extra=("a=ptime:40",))), True))
        self.assertIn("a=ptime:40", answer)


class TestConversion(SynchronousTestCase):
    """Opus into G.711 and back."""

    skip = needs_av

    def test_only_where_needed(self) -> None:
        """A browser with G.711 is given that; one with nothing but Opus is converted."""
        bench = Bench()
        bench.session.offer(bench.web, page())
        answer = str(bench.session.answer(bench.core, G711_ONLY, True))
        self.assertEqual((names(answer), bench.session.stats().transcoding), (["PCMU", "TELEPHONE-EVENT"], False))
        bench = Bench()
        self.assertEqual(names(str(bench.session.offer(bench.web, OPUS_ONLY)))[:3], ["OPUS", "PCMU", "PCMA"])
        answer = str(bench.session.answer(bench.core, G711_ONLY, True))
        self.assertEqual(codecs(answer), [(111, "OPUS"), (110, "TELEPHONE-EVENT")])
        self.assertIn("maxplaybackrate=8000", answer)
        self.assertEqual((bench.session.stats().transcoding, bench.backend.places.used), (True, 1))
        bench.session.close()
        self.assertEqual(bench.backend.places.used, 0)

    def test_preferred(self) -> None:
        """A profile may let the browser keep Opus, whoever calls."""
        bench = Bench(peer=PREFER)
        bench.session.offer(bench.web, page())
        self.assertEqual(names(str(bench.session.answer(bench.core, G711_ONLY, True))), ["OPUS", "TELEPHONE-EVENT"])
        bench = Bench(Access.CORE, peer=PREFER)
        offer = str(bench.session.offer(bench.core, G711_ONLY))
        self.assertEqual(names(offer)[:2], ["OPUS", "PCMU"])
        answer = page(web_line(formats=(111, 0, 110, 126), setup="active"))
        self.assertEqual(codecs(str(bench.session.answer(bench.web, answer, True))), codecs(G711_ONLY))
        self.assertTrue(bench.session.stats().transcoding)

    def test_never(self) -> None:
        """Where the profile forbids it the call is refused rather than converted."""
        bench = Bench(peer=NEVER)
        self.assertEqual(names(str(bench.session.offer(bench.web, OPUS_ONLY)))[0], "OPUS")
        error = self.assertRaises(MediaError, bench.session.answer, bench.core, G711_ONLY, True)
        self.assertIs(error.reason, Reason.MEDIA)

    def test_too_many(self) -> None:
        """Beyond the bound a call is refused, or goes in G.711 as if nothing could be converted."""
        one = EmbeddedSettings(transcodes=1)
        bench = Bench(settings=one)
        bench.session.offer(bench.web, OPUS_ONLY)
        bench.session.answer(bench.core, G711_ONLY, True)
        for when, answered in ((WhenFull.REFUSE, None), (WhenFull.PLAIN, ["PCMU", "TELEPHONE-EVENT"])):
            peer = PeerProfile(transcode=Transcode.PREFER, when_full=when)
            other = bench.backend.open(SessionId(when.value), Access.WEB, Access.CORE, bench.news.append, peer)
            other.offer(bench.web, page())
            if answered is None:
                error = self.assertRaises(MediaError, other.answer, bench.core, G711_ONLY, True)
                self.assertIs(error.reason, Reason.MEDIA)
            else:
                self.assertEqual(names(str(other.answer(bench.core, G711_ONLY, True))), answered)
        self.assertEqual(bench.backend.places.used, 1)

    def test_sound_and_keys_pass(self) -> None:
        """Opus comes out as mu-law on the phone's side, and keys at the clock of either side."""
        bench = Bench()
        bench.new_browser(("192.0.2.1", 50000), formats=(111, 110, 126))
        bench.listen_to(str(bench.session.offer(bench.web, bench.browser.offer())))
        bench.browser.accept(str(bench.session.answer(bench.core, G711_ONLY, True)))
        bench.network.spend(1)
        heard: list[bytes] = []
        bench.browser.on_rtp = heard.append
        bench.phone.play(20)
        bench.phone.press("5")
        bench.network.run()
        self.assertEqual({data[1] & 127 for data in heard}, {111, 110})
        arrived: list[bytes] = []
        bench.network.ports[PHONE] = lambda data, _: arrived.append(data)
        for packet in [data for data in heard if data[1] & 127 == 111]:
            bench.browser.send_rtp(packet)
        bench.network.run()
        self.assertEqual({(data[1] & 127, len(data)) for data in arrived}, {(0, 172)})


class TestStability(SynchronousTestCase):
    """What has been said keeps its meaning."""

    def test_numbers_never_drift(self) -> None:
        """Whoever offers, a codec keeps the number that it was given first, and no number changes its meaning."""
        bench = Bench()
        first = dict(codecs(str(bench.session.offer(bench.web, page()))))
        bench.session.answer(bench.core, phone(phone_line(formats=(0, 8, 101))), True)
        for offer in (
            bench.session.make_offer(bench.core),
            self._then(bench, page(web_line(direction="sendonly"), version=2)),
        ):
            for pt, name in codecs(str(offer)):
                self.assertEqual(first.get(pt), name)
            bench.session.revert()

    def _then(self, bench: Bench, text: str) -> str:
        bench.session.revert()
        return bench.passed(bench.web, text)

    def test_numbers_that_are_taken(self) -> None:
        """A codec whose usual number means something else there gets the next free one, for good."""
        numbers = Numbers()
        numbers.learn([Codec(111, "OPUS", 48000, 2), Codec(96, "VP8", 90000)])
        given = numbers.give([Codec(96, "TELEPHONE-EVENT", 8000), Codec(100, "OPUS", 48000, 2)])
        self.assertEqual([codec.pt for codec in given], [97, 111])
        self.assertEqual([codec.pt for codec in numbers.give([Codec(96, "TELEPHONE-EVENT", 8000)])], [97])

    def test_numbers_of_a_refused_picture(self) -> None:
        """A picture that was refused and is offered again has no number that meant another codec in the first offer."""
        bench = Bench()
        bench.session.offer(bench.web, page())
        bench.session.answer(bench.core, phone(phone_line(formats=(0, 101))), True)
        first = dict(
            codecs(bench.passed(bench.web, page(web_line(), web_line("video", "v", (96, 102)), version=2)), "video")
        )
        bench.session.revert()
        again = codecs(
            bench.passed(bench.web, page(web_line(), web_line("video", "v", (104, 106)), version=3)), "video"
        )
        for pt, name in again:
            self.assertEqual(first.get(pt, name), name)

    def test_number_that_the_peer_uses_otherwise(self) -> None:
        """A peer that gives a number of ours to another codec does not make ours change its meaning."""
        numbers = Numbers()
        numbers.give([Codec(96, "H264", 90000)])
        numbers.learn([Codec(96, "VP8", 90000)])
        self.assertEqual(
            [codec.pt for codec in numbers.give([Codec(96, "VP8", 90000), Codec(96, "H264", 90000)])], [97, 96]
        )

    def test_endless_codecs(self) -> None:
        """However many codecs a peer makes up in one offer after the other, a bounded number is remembered."""
        numbers = Numbers()
        for place in range(512):
            numbers.learn([Codec(96 + place % 32, f"X{place}", 8000)])
            self.assertLess(len(numbers._heard), MAX_HEARD)
        self.assertEqual(numbers.give([Codec(96, "X0", 8000)])[0].pt, 96)
        self.assertEqual((len(numbers._by_codec), len(numbers._taken)), (32, 32))

    def test_names_at_another_clock(self) -> None:
        """A codec at a clock that is not its own is another one, whatever it is called."""
        bench = Bench(Access.CORE)
        text = phone(phone_line(formats=(101, 8))).replace("telephone-event/8000", "PCMU/16000")
        self.assertEqual(codecs(str(bench.session.offer(bench.core, text))), [(8, "PCMA")])

    def test_profiles_of_h264(self) -> None:
        """Names of RFC 6184 table 5; what is not in it is itself, what is broken too."""
        for level, name in (
            ("42e01f", "constrained baseline"),
            ("4d801f", "constrained baseline"),
            ("42001f", "baseline"),
            ("", "baseline"),
            ("4d001f", "main"),
            ("640c1f", "constrained high"),
            ("64001f", "high"),
            ("f4001f", "f400"),
            ("xyz", "xyz"),
            ("42e0", "42e0"),
        ):
            self.assertEqual(profile(level), name, level)
