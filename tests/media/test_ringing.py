"""Several pages of a user that ring for one call: each checks and begins a handshake, one answers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import Access
from rtcgw.media.webside.webleg import OTHERS, LegState
from tests.media.memory import Bench, phone_sdp
from tests.peers.webrtc import WebRtcPeer

RINGS = 40.0
"""Seconds until somebody answers."""


class TestRinging(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(Access.CORE)
        self.offer = str(self.bench.session.offer(self.bench.core, phone_sdp("0 101")))

    def pages(self, count: int) -> list[tuple[WebRtcPeer, str]]:
        """Pages that have the offer and connect while it rings, each with what it would answer."""
        pages = [self.bench.new_browser(("192.0.2.50", 41000 + number)) for number in range(count)]
        for number, page in enumerate(pages):
            page.ufrag = f"page{number}"
        return [(page, page.answer(self.offer)) for page in pages]

    def answered(self, page: WebRtcPeer, answer: str) -> None:
        """This page answers, and both sides are heard at once."""
        bench = self.bench
        bench.browser = page
        bench.listen_to(str(bench.session.answer(bench.web, answer, True)))
        bench.network.spend(0.2, 0.02)
        self.assertEqual((bench.leg.state, page.connected), (LegState.READY, True), bench.news)
        bench.talk()
        self.assertEqual((bench.voice.frequency, bench.phone.frequency), (1000, 440))
        self.assertNotIn("lost", bench.states)

    def test_any_of_them(self) -> None:
        """Whichever page answers, however long it rang, it is connected at once: also one that was not the first."""
        for chosen in range(3):
            self.setUp()
            pages = self.pages(3)
            self.bench.network.spend(RINGS, 0.5)
            self.answered(*pages[chosen])

    def test_the_first_one_was_closed(self) -> None:
        """The page that had connected first is closed while it rings; another one answers."""
        (first, _), second = self.pages(2)
        self.bench.network.spend(1, 0.1)
        first.close()
        self.bench.network.spend(RINGS, 0.5)
        self.answered(*second)

    def test_bounded(self) -> None:
        """Of very many pages the last ones are connected after they have answered."""
        pages = self.pages(OTHERS + 3)
        self.bench.network.spend(2, 0.1)
        waiting = [self.bench.leg.waiting(page.ufrag) for page, _ in pages]
        self.assertEqual(len([one for one in waiting if one]), OTHERS)
        bench, (page, answer) = self.bench, pages[-1]
        bench.session.answer(bench.web, answer, True)
        bench.network.spend(8, 0.1)
        self.assertTrue(page.connected)
