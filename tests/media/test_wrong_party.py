"""Nobody hears whom they should not, and a description cannot smuggle anything: forks, early answers, odd numbers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError
from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.media.packets.relay import FORMER, Latch
from rtcgw.model.peer import PeerProfile, Srtp
from tests.media.descriptions import codecs, line, page, phone, phone_line, used, web_line
from tests.media.lines import PHONE as LINE_PHONE
from tests.media.lines import PHONE_RTCP, Rig
from tests.media.memory import PHONE, Bench, phone_sdp
from tests.peers.rtp import sender_report

SECOND = (PHONE[0], 5000)
"""Another phone behind the same border controller."""


class ForkTests(SynchronousTestCase):
    """Two phones behind one host ring; the second one answers."""

    def forked(self, latch: Latch = Latch.HOST) -> Bench:
        bench = Bench(settings=EmbeddedSettings(latch=latch))
        bench.listen_to(str(bench.session.offer(bench.web, bench.browser.offer())))
        bench.browser.accept(str(bench.session.answer(bench.core, phone_sdp(), False)))
        bench.network.spend(1)
        bench.talk(5)
        bench.session.answer(bench.core, phone_sdp(address=SECOND), True)
        return bench

    def test_the_first_goes_on_sending(self) -> None:
        """The phone that lost is neither heard nor sent to, though its packets come first and from the same host."""
        for latch in Latch:
            bench = self.forked(latch)
            heard: list[bytes] = []
            bench.network.ports[SECOND] = lambda data, _, heard=heard: heard.append(data)  # type: ignore[misc]
            before = bench.phone.received, bench.voice.received
            bench.talk(5)
            self.assertEqual((bench.phone.received, bench.voice.received), before, latch)
            self.assertEqual(len(heard), 5)

    def test_named_again(self) -> None:
        """A phone that the call comes back to is heard again."""
        bench = self.forked()
        bench.reanswer(bench.core, phone_sdp(version=2))
        before = bench.phone.received, bench.voice.received
        bench.talk(5)
        self.assertEqual((bench.phone.received, bench.voice.received), (before[0] + 5, before[1] + 5))

    def test_reports(self) -> None:
        """Reports go to where the phone's first one came from; another port of its host cannot draw them away."""
        rig = Rig()
        rig.talk(2)
        behind, other = (PHONE_RTCP[0], 4101), (PHONE_RTCP[0], 4999)
        report = sender_report(5, 160)
        for source in (behind, other):
            rig.rtcp.datagramReceived(report, source)
            rig.relay.rtcp_from_web(report)
        self.assertEqual([target for _, target in rig.reports], [behind, behind])
        self.assertEqual((len(rig.leg.reports), rig.relay.strangers), (1, 1))
        rig.rtcp.datagramReceived(report, PHONE_RTCP)
        rig.relay.rtcp_from_web(report)
        self.assertEqual(rig.reports[-1][1], PHONE_RTCP, "the address that its description names always counts")
        moved = (PHONE_RTCP[0], 6001)
        rig.relay.connect((LINE_PHONE[0], 6000), moved, hears=True, wanted=True)
        rig.rtcp.datagramReceived(report, PHONE_RTCP)
        rig.relay.rtcp_from_web(report)
        self.assertEqual(rig.reports[-1][1], moved)

    def test_bounded(self) -> None:
        """However often a phone moves, no more than a few former addresses are kept."""
        rig = Rig()
        for port in range(5000, 5000 + 4 * FORMER, 2):
            rig.relay.connect((LINE_PHONE[0], port), (LINE_PHONE[0], port + 1), hears=True, wanted=True)
        self.assertEqual(len(rig.relay._former), FORMER)


class EarTests(SynchronousTestCase):
    """A page that is called answers early, so that everything is connected: its microphone is nobody's business yet."""

    def test_unheard_until_answered(self) -> None:
        """The caller hears the called page from its final answer on, and from then on at once."""
        bench = Bench(Access.CORE)
        offer = str(bench.session.offer(bench.core, phone_sdp("0 101")))
        answer = bench.browser.answer(offer)
        bench.listen_to(str(bench.session.answer(bench.web, answer, False)))
        bench.network.spend(1)
        self.assertTrue(bench.browser.connected)
        bench.talk(5)
        self.assertEqual((bench.phone.received, bench.voice.received), (0, 5))
        bench.session.answer(bench.web, answer, True)
        bench.talk(5)
        self.assertEqual(bench.phone.received, 5)

    def test_another_final_answer(self) -> None:
        """The same where the final answer says something new."""
        bench = Bench(Access.CORE)
        offer = str(bench.session.offer(bench.core, phone_sdp("0 101")))
        bench.listen_to(str(bench.session.answer(bench.web, bench.browser.answer(offer), False)))
        bench.network.spend(1)
        bench.session.answer(bench.web, bench.browser.answer(offer), True)
        bench.talk(5)
        self.assertEqual(bench.phone.received, 5)

    def test_refused_final_answer(self) -> None:
        """A final answer that cannot be taken opens nothing."""
        bench = Bench(Access.CORE)
        offer = str(bench.session.offer(bench.core, phone_sdp("0 101")))
        bench.listen_to(str(bench.session.answer(bench.web, bench.browser.answer(offer), False)))
        bench.network.spend(1)
        self.assertRaises(MediaError, bench.session.answer, bench.web, "rubbish", True)
        bench.talk(5)
        self.assertEqual(bench.phone.received, 0)


class DescriptionTests(SynchronousTestCase):
    """Descriptions that mean harm, or are merely wrong."""

    def test_impossible_rtcp_port(self) -> None:
        """A port number that begins harmlessly and goes on is none: reports go to the port beside the sound's."""
        for port in ("0000019999999999", "00001" + "9" * 3000, "70000", "0"):
            bench = Bench()
            bench.session.offer(bench.web, bench.browser.offer())
            answer = phone_sdp(extra=f"a=rtcp:{port}\r\n")
            bench.browser.accept(str(bench.session.answer(bench.core, answer, True)))
            bench.network.spend(1)
            bench.browser.send_rtcp(sender_report(1, 160))
            bench.network.run()
            self.assertEqual(bench.network.sent[-1][2], (PHONE[0], PHONE[1] + 1))

    def test_no_line_within_a_line(self) -> None:
        """Half a line end, or a zero octet, would be a line of its own to some phones: refused, on either side."""
        bench = Bench()
        for evil in ("a=fmtp:0 x=1\r a=crypto:1\r\n", "a=fmtp:0 x\0y\r\n"):
            self.assertRaises(MediaError, bench.session.offer, bench.web, bench.browser.offer() + evil)
            self.assertRaises(MediaError, bench.session.offer, bench.core, phone_sdp() + evil)

    def test_one_number_for_two_kinds(self) -> None:
        """Within a bundle packets go by their numbers: sound keeps one that a picture claims too."""
        bench = Bench()
        bench.session.offer(bench.web, page(web_line(), web_line("video", "1", (96, 0))))
        answer = bench.session.answer(bench.core, phone(phone_line(), phone_line("video", (96,), port=5000)), True)
        self.assertEqual(codecs(str(answer), "video"), [(96, "VP8")])
        packet = b"\x80\x00\x00\x01\x00\x00\x00\x01\x00\x00\xbe\xef" + bytes(160)
        bench.session.talks.end.bundle.rtp(packet)
        self.assertEqual(bench.network.sent[-1][2], PHONE)

    def test_a_picture_that_cannot_be_reached(self) -> None:
        """A phone's answer whose picture is at an address of the other family, or lacks keys, keeps its sound."""
        strange = phone_line("video", (96,), port=5000, extra=("c=IN IP6 2001:db8::1",))
        for video in (strange, phone_line("video", (96,), port=5000, proto="RTP/SAVP")):
            bench = Bench()
            bench.session.offer(bench.web, page(web_line(), web_line("video", "1")))
            answer = bench.session.answer(bench.core, phone(phone_line(), video), True)
            self.assertEqual(used(str(answer)), [("audio", True), ("video", False)])

    def test_sound_without_keys(self) -> None:
        """Where keys must be, sound without them is no answer, whatever the picture has."""
        bench = Bench(peer=PeerProfile(srtp=Srtp.SDES))
        offer = str(bench.session.offer(bench.web, page(web_line(), web_line("video", "1"))))
        key = f"a=crypto:{line(offer, 'video').attributes['crypto'][0]}"
        pictured = phone_line("video", (96,), port=5000, proto="RTP/SAVP", extra=(key,))
        self.assertRaises(MediaError, bench.session.answer, bench.core, phone(phone_line(), pictured), True)
