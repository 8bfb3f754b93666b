"""A party that is moved here out of another call and has offered nothing: the other one is offered what is made up."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Party
from rtcgw.media.sdp import parse
from tests.media.memory import Bench, phone_sdp
from tests.media.test_rtpengine import Calling


class TestEmbedded(SynchronousTestCase):
    def test_page(self) -> None:
        """A phone is called for a page: it has the choice of all codecs, the page gets its choice as an offer."""
        bench = Bench()
        offer = str(bench.session.make_offer(bench.core))
        self.assertEqual(parse(offer).media[0].formats[:2], ["0", "8"])
        bench.listen_to(offer)
        early = bench.session.answer(bench.core, phone_sdp("0 101"), False)
        shown = str(bench.session.answer(bench.core, phone_sdp("0 101"), True))
        self.assertEqual(early, shown, "what it will be offered does not change with the answer")
        self.assertEqual(bench.session.answer(bench.web, bench.browser.answer(shown), True), offer)
        bench.network.spend(1)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        bench.reanswer(bench.core, phone_sdp("0 101", version=2))


class TestEngine(Calling):
    def test_page(self) -> None:
        """The same with rtpengine."""
        session = self.open()
        offer = self.now(session.make_offer(Party.CALLEE))
        self.assertIn("m=audio 20000 RTP/AVP 0 8", offer)
        shown = self.now(session.answer(Party.CALLEE, phone_sdp("8 101"), True))
        self.assertIn("a=setup:actpass", shown)
        self.now(session.answer(Party.CALLER, self.browser.answer(shown), True))
        self.assertEqual(self.engine.commands, ["offer", "answer", "offer", "answer"])
        self.assertIn("ice-ufrag", str(self.engine.last["sdp"]), "the engine knows the page")
