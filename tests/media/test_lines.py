"""Several media lines: each keeps its place on both sides, pictures come and go, what cannot be carried is refused."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError, News
from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.media.sdp import MAX_MEDIA
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from tests.media.descriptions import codecs, line, page, phone, phone_line, used, web_line
from tests.media.memory import BROWSER, PHONE, Bench

VIDEO = web_line("video", "1")
BOTH = page(web_line(), VIDEO)
PICTURE = phone_line("video", (96,), port=5000)
H264 = "profile-level-id=42e01f;packetization-mode=1"


def called(offer: str = BOTH, answer: str | None = None, peer: PeerProfile | None = None) -> Bench:
    """A browser has called a phone, and been answered."""
    bench = Bench(peer=peer)
    bench.session.offer(bench.web, offer)
    bench.session.answer(bench.core, answer or phone(phone_line(), PICTURE), True)
    return bench


class TestPlaces(SynchronousTestCase):
    """Where lines stand."""

    def test_both(self) -> None:
        """Sound and picture are offered on ports of their own, and share the browser's one transport."""
        bench = Bench()
        offer = str(bench.session.offer(bench.web, BOTH))
        self.assertEqual(used(offer), [("audio", True), ("video", True)])
        self.assertNotEqual(line(offer).port, line(offer, "video").port)
        answer = str(bench.session.answer(bench.core, phone(phone_line(), PICTURE), True))
        self.assertEqual(used(answer), [("audio", True), ("video", True)])
        self.assertEqual({media.port for media in (line(answer), line(answer, "video"))}, {10000})
        self.assertIn("a=group:BUNDLE 0 1\r\n", answer)
        self.assertEqual(answer.count("a=candidate:"), 1)
        self.assertEqual(answer.count("a=rtcp-mux"), 2)

    def test_other_orders(self) -> None:
        """Each side has its own order of lines, and gets it back; data channels are refused and not passed on."""
        bench = Bench()
        text = page(web_line("application", "d"), web_line("video", "v"), web_line("audio", "a"))
        offer = str(bench.session.offer(bench.web, text))
        self.assertEqual(used(offer), [("audio", True), ("video", True)])
        answer = str(bench.session.answer(bench.core, phone(phone_line(), PICTURE), True))
        self.assertEqual(used(answer), [("application", False), ("video", True), ("audio", True)])
        self.assertIn("a=group:BUNDLE v a\r\n", answer)
        again = bench.session.reoffer(bench.core, phone(phone_line(), PICTURE, version=2)).answer
        self.assertEqual(used(str(again)), [("audio", True), ("video", True)])

    def test_unbundled_picture(self) -> None:
        """A browser that wants two transports is given one: its picture is refused, not the call."""
        bench = Bench()
        offer = str(bench.session.offer(bench.web, page(web_line(), VIDEO, bundle=["0"])))
        self.assertEqual(used(offer), [("audio", True)])
        answer = str(bench.session.answer(bench.core, phone(), True))
        self.assertEqual(used(answer), [("audio", True), ("video", False)])

    def test_further_lines_of_a_kind(self) -> None:
        """A second camera is refused, the first one is carried."""
        bench = called(page(web_line(), VIDEO, web_line("video", "2")))
        self.assertEqual(used(bench.told_web), [("audio", True), ("video", True), ("video", False)])

    def test_picture_alone(self) -> None:
        """A call without sound is a call."""
        bench = Bench(Access.CORE)
        text = phone(phone_line(port=0), PICTURE)
        offer = str(bench.session.offer(bench.core, text))
        self.assertEqual(used(offer), [("video", True)])
        answer = page(web_line("video", "1", (96,), setup="active").replace("a=mid:1", "a=mid:0"))
        self.assertEqual(used(str(bench.session.answer(bench.web, answer, True))), [("audio", False), ("video", True)])

    def test_answers_of_too_few_or_too_many_lines(self) -> None:
        """Lines that a phone leaves out are refused ones; those that it invents are nobody's."""
        bench = called(answer=phone())
        self.assertEqual(used(bench.told_web), [("audio", True), ("video", False)])
        bench = called(page(), phone(phone_line(), PICTURE, PICTURE))
        self.assertEqual(used(bench.told_web), [("audio", True)])

    def test_a_line_is_missing_in_a_new_offer(self) -> None:
        """Lines may not disappear (RFC 3264 §8): refused, and the call stays as it was."""
        bench = called()
        before = bench.told_core
        error = self.assertRaises(MediaError, bench.session.reoffer, bench.core, phone(version=2))
        self.assertIs(error.reason, Reason.MEDIA)
        again = bench.session.reoffer(bench.core, phone(phone_line(), PICTURE, version=2))
        self.assertEqual(used(str(again.answer)), used(before))

    def test_no_place_left(self) -> None:
        """A phone whose description is full of lines cannot be offered another: the change is refused."""
        full = phone(phone_line(), *["m=message 0 TCP/MSRP *\r\n"] * (MAX_MEDIA - 1))
        bench = Bench(Access.CORE)
        bench.session.offer(bench.core, full)
        bench.session.answer(bench.web, page(web_line(formats=(0, 126), setup="active")), True)
        error = self.assertRaises(MediaError, bench.session.reoffer, bench.web, page(web_line(), VIDEO, version=2))
        self.assertIn("no place", error.detail)
        self.assertEqual(len(bench.session.talks.lines), 1)

    def test_another_page_counts_anew(self) -> None:
        """A reloaded page has its own lines in its own order; the phone's stay where they were."""
        bench = called(page(web_line("video", "v"), web_line("audio", "a")))
        before = bench.told_core
        fresh = page(web_line(ufrag="ufr2"), web_line("video", "1", ufrag="ufr2"), number="77")
        found = bench.session.reoffer(bench.web, fresh)
        self.assertEqual(used(str(found.answer)), [("audio", True), ("video", True)])
        self.assertEqual(bench.told_core, before, "the phone is not concerned")


class TestPictures(SynchronousTestCase):
    """Pictures come, go, and are refused."""

    def test_packets_find_their_line(self) -> None:
        """Picture packets go to the phone's picture port, sound to the other, and back by payload type."""
        bench = Bench()
        bench.new_browser(BROWSER, extras=("video",))
        offer = str(bench.session.offer(bench.web, bench.browser.offer()))
        bench.listen_to(offer)
        answer = phone(phone_line(formats=(0, 8, 101)), phone_line("video", (96,), port=5000))
        bench.browser.accept(str(bench.session.answer(bench.core, answer, True)))
        bench.network.spend(1)
        seen: list[bytes] = []
        bench.network.ports[PHONE[0], 5000] = lambda data, _: seen.append(data)
        packet = b"\x80\xe0\x00\x01\x00\x00\x00\x01\x00\x00\xbe\xef" + bytes(100)
        bench.browser.send_rtp(packet)
        bench.talk(10)
        self.assertEqual(seen, [packet])
        heard: list[bytes] = []
        bench.browser.on_rtp = heard.append
        bench.network.send(packet, (PHONE[0], 5000), ("127.0.0.1", line(offer, "video").port))
        bench.network.run()
        self.assertEqual([data[1] for data in heard], [0xE0])
        stats = bench.session.stats()
        assert stats.caller_video is not None
        assert stats.callee_video is not None
        self.assertEqual((stats.caller_video.packets, stats.callee_video.packets), (1, 1))
        self.assertEqual(bench.phone.received, 10)

    def test_added_by_the_browser(self) -> None:
        """A camera switched on in a call: the phone is asked, its answer reaches the page, sound is untouched."""
        bench = called(page(), phone())
        sound = line(bench.told_core)
        offer = bench.passed(bench.web, page(web_line(), VIDEO, version=2))
        self.assertEqual(used(offer), [("audio", True), ("video", True)])
        self.assertEqual((line(offer).port, line(offer).direction), (sound.port, sound.direction))
        answer = str(bench.session.answer(bench.core, phone(phone_line(), PICTURE, version=2), True))
        self.assertEqual(codecs(answer, "video"), [(96, "VP8")])
        self.assertIn("a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 ccm fir\r\n", answer)

    def test_added_by_the_phone(self) -> None:
        """A phone's camera: the page is asked with an offer, and the phone gets its answer."""
        bench = called(page(), phone())
        before = line(bench.told_web)
        offer = bench.passed(bench.core, phone(phone_line(), PICTURE, version=2))
        self.assertEqual(used(offer), [("audio", True), ("video", True)])
        self.assertEqual(codecs(offer), [(codec.pt, codec.name) for codec in before.codecs])
        self.assertIn("a=setup:actpass", offer)
        self.assertIn("a=bundle-only", offer)
        answer = page(web_line(setup="active", formats=(0, 126)), web_line("video", "1", (96,), setup="active"))
        text = str(bench.session.answer(bench.web, answer, True))
        self.assertEqual(used(text), [("audio", True), ("video", True)])
        self.assertEqual(codecs(text, "video"), [(96, "VP8")])

    def test_removed_on_either_side(self) -> None:
        """A picture that ends on one side ends on the other; its place stays, and may be used again."""
        bench = called()
        gone = page(web_line(), web_line("video", "1", port=0, direction="inactive"), version=2)
        offer = bench.passed(bench.web, gone)
        self.assertEqual(used(offer), [("audio", True), ("video", False)])
        answer = bench.session.answer(bench.core, phone(phone_line(), phone_line("video", port=0), version=2), True)
        self.assertEqual(used(str(answer)), [("audio", True), ("video", False)])
        again = bench.passed(bench.core, phone(phone_line(), PICTURE, version=3))
        self.assertEqual(used(again), [("audio", True), ("video", True)])
        bench.session.answer(bench.web, page(web_line(formats=(0, 126)), web_line("video", "1", (96,))), True)
        last = bench.passed(bench.core, phone(phone_line(), phone_line("video", port=0), version=4))
        self.assertEqual(used(last), [("audio", True), ("video", False)])

    def test_refused_by_the_profile(self) -> None:
        """A peer without pictures is never offered one, and its own are refused."""
        peer = PeerProfile(video=())
        bench = Bench(peer=peer)
        self.assertEqual(used(str(bench.session.offer(bench.web, BOTH))), [("audio", True)])
        self.assertEqual(
            used(str(bench.session.answer(bench.core, phone(), True))), [("audio", True), ("video", False)]
        )
        found = bench.session.reoffer(bench.core, phone(phone_line(), PICTURE, version=2))
        self.assertEqual(used(str(found.answer)), [("audio", True), ("video", False)])
        self.assertEqual(bench.backend.pairs.free, bench.backend.pairs.total - 1)

    def test_refused_by_the_page(self) -> None:
        """A page without a camera answers with port 0; the phone's next refresh does not ask it again."""
        bench = called(page(), phone())
        bench.passed(bench.core, phone(phone_line(), PICTURE, version=2))
        answer = page(web_line(formats=(0, 126)), web_line("video", "1", (96,), port=0))
        self.assertEqual(used(str(bench.session.answer(bench.web, answer, True))), [("audio", True), ("video", False)])
        again = bench.session.reoffer(bench.core, phone(phone_line(), PICTURE, version=2))
        self.assertEqual(used(str(again.answer)), [("audio", True), ("video", False)])

    def test_no_port_left_for_a_picture(self) -> None:
        """Where the range is used up the change is refused as overload, and the sound goes on."""
        bench = Bench(settings=EmbeddedSettings(rtp_low=20000, rtp_high=20001))
        bench.session.offer(bench.web, page())
        before = bench.session.answer(bench.core, phone(), True)
        error = self.assertRaises(MediaError, bench.session.reoffer, bench.web, page(web_line(), VIDEO, version=2))
        self.assertIs(error.reason, Reason.OVERLOADED)
        self.assertEqual((bench.told_web, len(bench.session.talks.lines)), (before, 1))

    def test_whole_pictures(self) -> None:
        """A browser's wish for a whole picture is told where the phone takes no feedback."""
        bench = called()
        bench.session.talks.lines[1].relay._on_keyframe()
        self.assertEqual(bench.news[-1].state, News.KEYFRAME)
        for target in (bench.web, bench.core):
            bench.session.keyframe(target)  # nobody has sent a picture yet: nothing to ask for
        self.assertEqual(bench.network.sent, [])


class TestRefusedChanges(SynchronousTestCase):
    """What the other side refuses has not happened."""

    def test_picture_refused_by_the_phone(self) -> None:
        """488 to the new offer: both descriptions are as before, and so are the ports."""
        bench = called(page(), phone())
        bench.reanswer(bench.core, phone())
        before = (bench.told_web, bench.told_core, bench.backend.pairs.free)
        bench.passed(bench.web, page(web_line(), VIDEO, version=2))
        bench.session.revert()
        bench.clock.advance(0)
        self.assertEqual((bench.told_web, bench.told_core, bench.backend.pairs.free), before)
        refresh = bench.session.reoffer(bench.core, phone(version=2))
        self.assertEqual(refresh.answer, before[1], "the very text that holds")
        held = bench.session.reoffer(bench.core, phone(phone_line(direction="sendonly"), version=3))
        self.assertIn(" 4 IN", str(held.answer).split("\r\n")[1], "a version that was used is not used again")

    def test_one_change_at_a_time(self) -> None:
        """While an offer is out, another is refused as a conflict."""
        bench = called(page(), phone())
        bench.passed(bench.web, page(web_line(), VIDEO, version=2))
        for party, text in ((bench.web, page(version=3)), (bench.core, phone(version=2))):
            error = self.assertRaises(MediaError, bench.session.reoffer, party, text)
            self.assertIs(error.reason, Reason.CONFLICT)
        self.assertRaises(MediaError, bench.session.make_offer, bench.core)

    def test_too_early(self) -> None:
        """A new offer before the first one was answered is a conflict."""
        bench = Bench()
        bench.session.offer(bench.web, page())
        error = self.assertRaises(MediaError, bench.session.reoffer, bench.web, page(version=2))
        self.assertIs(error.reason, Reason.CONFLICT)

    def test_the_same_answer_to_a_change(self) -> None:
        """A phone that answers every offer with the same text has answered this one, too."""
        bench = called(page(), phone())
        held = page(web_line(direction="sendonly"), version=2)
        bench.passed(bench.web, held)
        self.assertIn("a=recvonly", str(bench.session.answer(bench.core, phone(), True)))

    def test_what_the_phone_need_not_know(self) -> None:
        """A restart of ICE changes nothing for the phone, whatever hold it has on the call."""
        bench = called(page(), phone())
        bench.reanswer(bench.core, phone(phone_line(direction="sendonly"), version=2))
        before = bench.told_core
        answer = bench.reanswer(bench.web, page(web_line(ufrag="ufr2"), version=2))
        self.assertEqual(bench.told_core, before)
        self.assertIn("a=sendrecv", answer)
        self.assertIn("a=sendrecv", bench.reanswer(bench.core, phone(version=3)))

    def test_another_codec(self) -> None:
        """After a transfer the phone has G.722 only: the page, which has it, is asked; nothing is converted."""
        bench = called(page(), phone())
        offer = bench.passed(bench.core, phone(phone_line(formats=(9,)), version=2))
        self.assertEqual(codecs(offer)[0], (9, "G722"))
        answer = str(bench.session.answer(bench.web, page(web_line(formats=(9,), setup="active")), True))
        self.assertEqual(codecs(answer), [(9, "G722")])
        self.assertFalse(bench.session.stats().transcoding)
