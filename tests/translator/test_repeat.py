"""Sending again until somebody confirms."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.translator.repeat import Repeat


class RepeatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[float] = []
        self.given_up: list[float] = []

    def repeat(self, cap: float | None, t1: float = 0.5) -> Repeat:
        now = self.clock.seconds
        return Repeat(self.clock, lambda: self.sent.append(now()), lambda: self.given_up.append(now()), t1=t1, cap=cap)

    def check(self, sent: list[float]) -> None:
        self.assertEqual(self.sent, sent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_capped(self) -> None:
        """A 2xx: from T1, doubling to T2, given up after 64*T1 (RFC 3261 §13.3.1.4)."""
        repeat = self.repeat(4.0)
        self.clock.pump([0.5] * 64)
        self.check([0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5])
        self.assertEqual((self.given_up, repeat.outstanding), ([32], False))

    def test_uncapped(self) -> None:
        """A reliable 1xx: doubling without end (RFC 3262 §3)."""
        self.repeat(None)
        self.clock.pump([0.5] * 64)
        self.check([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
        self.assertEqual(self.given_up, [32])

    def test_confirmed(self) -> None:
        """Confirmed, it falls silent; again confirmed, nothing happens."""
        repeat = self.repeat(4.0)
        self.clock.pump([0.5, 0.1])
        self.assertTrue(repeat.outstanding)
        repeat.confirm()
        repeat.confirm()
        self.clock.advance(60)
        self.check([0, 0.5])
        self.assertEqual((self.given_up, repeat.outstanding), ([], False))

    def test_t1(self) -> None:
        """Everything follows T1."""
        self.repeat(None, t1=0.25)
        self.clock.pump([0.25] * 64)
        self.assertEqual((len(self.sent), self.given_up), (7, [16]))
