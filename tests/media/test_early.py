"""Before the call is answered: a browser that connects while the phone rings, and a second try after a refusal."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access, MediaError
from rtcgw.model.peer import PeerProfile, Srtp
from rtcgw.model.reason import Reason
from tests.media.descriptions import codecs, line, page, phone, phone_line, used, web_line
from tests.media.memory import Bench, phone_sdp


class TestEarlyAnswer(SynchronousTestCase):
    """The gateway's own answer."""

    def test_connected_while_it_rings(self) -> None:
        """ICE and DTLS are done before the phone has said a word; its answer changes nothing, and sound flows."""
        bench = Bench()
        bench.listen_to(str(bench.session.offer(bench.web, bench.browser.offer())))
        early = str(bench.session.early_answer(bench.web))
        bench.browser.accept(early)
        bench.network.spend(1)
        self.assertTrue(bench.browser.connected, bench.browser.failure)
        self.assertEqual(bench.states, ["ice", "dtls"])
        self.assertEqual(bench.session.answer(bench.core, phone_sdp(), True), early)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))

    def test_what_may_still_be_chosen(self) -> None:
        """G.711 first, which every phone has, then the rest of the profile; telephone events at both clocks."""
        bench = Bench(peer=PeerProfile(codecs=("OPUS", "G722", "PCMA", "PCMU")))
        bench.session.offer(bench.web, page())
        self.assertEqual(
            codecs(str(bench.session.early_answer(bench.web))),
            [
                (8, "PCMA"),
                (0, "PCMU"),
                (111, "OPUS"),
                (9, "G722"),
                (110, "TELEPHONE-EVENT"),
                (126, "TELEPHONE-EVENT"),
            ],
        )

    def test_another_choice(self) -> None:
        """Where the phone has only what came second the text changes, but not the credentials."""
        bench = Bench()
        bench.session.offer(bench.web, page())
        early = str(bench.session.early_answer(bench.web))
        self.assertEqual(bench.session.early_answer(bench.web), early)
        late = str(bench.session.answer(bench.core, phone(phone_line(formats=(9, 101))), True))
        self.assertEqual(codecs(late), [(9, "G722"), (126, "TELEPHONE-EVENT")])
        for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
            self.assertEqual(line(late).get(name), line(early).get(name), name)

    def test_pictures(self) -> None:
        """A picture is answered early as well, and taken back where the phone refuses it."""
        bench = Bench()
        bench.session.offer(bench.web, page(web_line(), web_line("video", "1")))
        early = str(bench.session.early_answer(bench.web))
        self.assertEqual(used(early), [("audio", True), ("video", True)])
        late = str(bench.session.answer(bench.core, phone(phone_line(), phone_line("video", port=0)), True))
        self.assertEqual(used(late), [("audio", True), ("video", False)])

    def test_who_cannot_be_answered_early(self) -> None:
        """Whoever has not offered, or has been answered, gets nothing."""
        bench = Bench()
        self.assertIsNone(bench.session.early_answer(bench.web))
        self.assertIsNone(bench.session.early_answer(bench.core))
        bench.call()
        self.assertIsNone(bench.session.early_answer(bench.web))

    def test_forks(self) -> None:
        """The answers of two phones in turn: each is played as it says, the same text repeated is taken once."""
        bench = Bench()
        bench.session.offer(bench.web, page())
        first, second = phone(phone_line(formats=(0, 101))), phone(phone_line(formats=(9,)), host="198.51.100.9")
        told = [str(bench.session.answer(bench.core, text, False)) for text in (first, first, second)]
        self.assertEqual(told[0], told[1])
        self.assertEqual(codecs(told[2]), [(9, "G722")])
        self.assertEqual(codecs(str(bench.session.answer(bench.core, first, True)))[0], (0, "PCMU"))


class TestSecondTry(SynchronousTestCase):
    """The first offer was refused."""

    def test_other_codecs_and_no_keys(self) -> None:
        """The fallback's codecs and encryption, on the same port; the browser is told nothing of it."""
        plain = PeerProfile(name="plain", codecs=("PCMA",), video=())
        bench = Bench(peer=PeerProfile(codecs=("G722", "PCMA"), srtp=Srtp.SDES, fallback=plain))
        first = str(bench.session.offer(bench.web, page(web_line(), web_line("video", "1"))))
        early = bench.session.early_answer(bench.web)
        second = str(bench.session.fallback())
        self.assertEqual((line(first).proto, line(second).proto), ("RTP/SAVP", "RTP/AVP"))
        self.assertEqual(codecs(second), [(8, "PCMA"), (101, "TELEPHONE-EVENT")])
        self.assertEqual(used(second), [("audio", True), ("video", False)])
        self.assertEqual((line(second).port, bench.told_web), (line(first).port, early))
        answer = str(bench.session.answer(bench.core, phone(phone_line(formats=(8, 101))), True))
        self.assertEqual(codecs(answer)[0], (8, "PCMA"))

    def test_only_once(self) -> None:
        """Without a fallback, after it, and once a phone has answered there is no second way."""
        once = Bench(peer=PeerProfile(fallback=PeerProfile()))
        once.session.offer(once.web, page())
        once.session.fallback()
        none, answered = Bench(), Bench(peer=PeerProfile(fallback=PeerProfile()))
        none.session.offer(none.web, page())
        answered.call()
        called = Bench(Access.CORE, peer=PeerProfile(fallback=PeerProfile()))
        called.session.offer(called.core, phone())
        for bench in (once, none, answered, called):
            error = self.assertRaises(MediaError, bench.session.fallback)
            self.assertIs(error.reason, Reason.MEDIA)


class TestOfferless(SynchronousTestCase):
    """Who is made an offer because the other has made none."""

    def test_neither_has_offered(self) -> None:
        """A page that calls without an offer: the phone is offered everything, and what it answers goes to the page."""
        bench = Bench()
        offer = str(bench.session.make_offer(bench.core))
        self.assertEqual([name for _, name in codecs(offer)][:3], ["PCMU", "PCMA", "G722"])
        shown = str(bench.session.answer(bench.core, phone(phone_line(formats=(8, 101))), True))
        self.assertEqual(codecs(shown), [(8, "PCMA"), (101, "TELEPHONE-EVENT")])
        bench.session.answer(bench.web, page(web_line(formats=(8,), setup="active")), True)
        self.assertEqual(bench.session.stats().codec, "PCMA")
