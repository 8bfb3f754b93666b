"""Holds of both sides, in every combination and order: who hears whom, and that each is told what the other wants."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.sdp import Direction, parse
from tests.media.memory import Bench, phone_sdp

BOTH = Direction.SENDRECV


class HoldTests(SynchronousTestCase):
    """A call whose sides change their minds one after the other."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.bench.call("0 101")
        self.page = self.wish = self.phone = BOTH
        """What the page wants, what the phone wants, and what it has said, which depends on the page too."""
        self.version = 1

    def page_wants(self, wish: Direction) -> None:
        """The page offers; the phone, where it is asked at all, answers as much as it wants of it."""
        bench = self.bench
        self.page, bench.browser.direction = wish, wish.value
        found = bench.session.reoffer(bench.web, bench.browser.offer())
        assert not isinstance(found, str)
        text = getattr(found, "answer", None)
        offer = getattr(found, "offer", None)
        if offer is not None:
            self.assertIs(parse(offer).media[0].direction, wish, "the phone is told what the page wants")
            self.phone = self.wish.within(wish.mirrored)
            text = bench.session.answer(bench.core, self.said(), True)
        bench.browser.accept(str(text))

    def phone_wants(self, wish: Direction) -> None:
        """The phone offers, and is answered at once as much as the page takes part in."""
        self.wish = self.phone = wish
        told = parse(self.bench.reanswer(self.bench.core, self.said())).media[0].direction
        self.assertIs(told, self.page.within(wish.mirrored))

    def said(self) -> str:
        """The phone's description."""
        self.version += 1
        return phone_sdp("0 101", direction=self.phone.value, version=self.version)

    def check(self, story: object) -> None:
        """Whoever sends is heard exactly where the other one receives."""
        bench = self.bench
        before = bench.phone.received, bench.voice.received
        for _ in range(3):
            if self.page.sends:
                bench.voice.play()
            if self.phone.sends:
                bench.phone.play()
            bench.network.run()
        up = 3 if self.page.sends and self.phone.receives else 0
        down = 3 if self.phone.sends and self.page.receives else 0
        self.assertEqual((bench.phone.received - before[0], bench.voice.received - before[1]), (up, down), story)

    def test_every_combination(self) -> None:
        """Whoever holds first and whoever resumes first: nobody is heard who is not to be, and in the end both are."""
        either = (True, False)
        for story in product(Direction, Direction, either, either):
            page, phone, is_page_first, is_page_back_first = story
            for is_page in (is_page_first, not is_page_first):
                self.page_wants(page) if is_page else self.phone_wants(phone)
                self.check(story)
            for is_page in (is_page_back_first, not is_page_back_first):
                self.page_wants(BOTH) if is_page else self.phone_wants(BOTH)
                self.check(story)
            self.assertEqual((self.page, self.phone), (BOTH, BOTH), story)
            self.check(story)
