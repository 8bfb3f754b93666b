"""Counting what is lost, and the E-model: the numbers are those of the recommendations."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.quality import DROPOUT, Meter, delay_impairment, mos, opinion, rating


def run(meter: Meter, seqs: list[int], ptime: float = 0.02) -> None:
    for place, seq in enumerate(seqs):
        meter.take(seq & 0xFFFF, (seq * 160) & 0xFFFFFFFF, place * ptime)


class TestMeter(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 65535), st.sets(st.integers(1, 299), max_size=60), st.randoms(use_true_random=False))
    def test_lost(self, first: int, missing: set[int], dice: random.Random) -> None:
        """What never came is counted, across the wrap of sequence numbers and whatever order the rest came in."""
        meter = Meter()
        meter.begin(first, first * 160)
        kept = [first + place for place in range(301) if place not in missing]
        kept[1:-1] = sorted(kept[1:-1], key=lambda seq: seq + dice.uniform(0, 5))
        run(meter, kept)
        self.assertEqual((meter.expected, meter.received, meter.lost), (301, len(kept), len(missing)))

    def test_duplicates_are_no_gain(self) -> None:
        """A packet that comes twice does not make the loss negative."""
        meter = Meter()
        meter.begin(1, 0)
        run(meter, [1, 2, 2, 3, 3])
        self.assertEqual((meter.lost, meter.received, meter.expected), (0, 5, 3))

    def test_sources_add_up(self) -> None:
        """After a transfer the losses of both sources count, the leap between them does not."""
        meter = Meter()
        meter.begin(10, 0)
        run(meter, [10, 12])
        meter.begin(40000, 0)
        run(meter, [40000, 40001, 40004])
        self.assertEqual((meter.expected, meter.lost), (8, 3))

    def test_leaps_must_be_confirmed(self) -> None:
        """One packet far away may be forged and changes nothing; two in a row are a source that began anew."""
        meter = Meter()
        meter.begin(10, 0)
        run(meter, [10, 11])
        far = 11 + DROPOUT
        self.assertFalse(meter.take(far, 0, 1))
        self.assertFalse(meter.leaps(far))
        self.assertTrue(meter.take(12, 0, 1))
        self.assertFalse(meter.take(far + 1, 0, 1))
        self.assertTrue(meter.leaps(far + 1))
        self.assertEqual((meter.expected, meter.lost), (3, 0))

    def test_jitter(self) -> None:
        """Packets 10 ms early and late in turn have, after a while, 20 ms of jitter (RFC 3550 §A.8)."""
        meter = Meter(8000)
        meter.begin(0, 0)
        for place in range(300):
            meter.take(place, place * 160, place * 0.02 + (0.01 if place % 2 else -0.01))
        self.assertLess(abs(meter.jitter - 20), 0.1)
        self.assertEqual(meter.last, 299 * 0.02 + 0.01)

    def test_even_packets_have_none(self) -> None:
        """Nor have pauses, wrapping timestamps, several packets of one picture, or another clock."""
        meter = Meter(90000)
        meter.begin(0, 0xFFFFFF00)
        now = 0.0
        for place in range(90):
            now += 0.033
            for part in range(3):
                meter.take(3 * place + part, (0xFFFFFF00 + round(now * 90000)) & 0xFFFFFFFF, now + part * 0.001)
        self.assertLess(meter.jitter, 0.1)
        meter.take(270, (0xFFFFFF00 + round(now * 90000)) & 0xFFFFFFFF, now + 100)
        meter.clock(8000)
        meter.take(271, 5, now + 100.1)
        self.assertLess(meter.jitter, 0.1)


class TestRatings(SynchronousTestCase):
    def test_opinions(self) -> None:
        """R to MOS as in ITU-T G.107 annex B and G.109 table 1."""
        known = {93.2: 4.41, 90: 4.34, 80: 4.03, 70: 3.60, 60: 3.10, 50: 2.58, 0: 1.0, -5: 1.0, 100: 4.5, 120: 4.5}
        for value, expected in known.items():
            self.assertLess(abs(opinion(value) - expected), 0.01)

    def test_delay(self) -> None:
        """Nothing up to 100 ms, then as the formula of ITU-T G.107 §7.4 gives it."""
        for delay, expected in {0: 0.0, 100: 0.0, 200: 3.04, 400: 24.1}.items():
            self.assertLess(abs(delay_impairment(delay) - expected), 0.1)

    def test_codecs(self) -> None:
        """A clean call by G.711 has R 93.2; loss costs what the codec's robustness says (ITU-T G.113 appendix I)."""
        self.assertEqual(rating("PCMU", 0, 0), 93.2)
        self.assertAlmostEqual(rating("PCMU", 0.02, 0), 93.2 - 95 * 2 / (2 + 25.1), places=6)
        self.assertAlmostEqual(rating("AMR", 0, 0), 88.2)
        self.assertAlmostEqual(rating("AMR", 0.02, 0), 88.2 - 90 * 2 / 12, places=6)
        self.assertAlmostEqual(rating("G722", 0, 0), (129 - 13) / 1.29, places=6)
        self.assertEqual(rating("EVS", 0.01, 50), rating("AMR", 0.01, 50), "unknown codecs")

    @settings(max_examples=50, deadline=None)
    @given(
        st.sampled_from(["PCMU", "G722", "OPUS", "AMR", "AMR-WB", "?"]),
        st.floats(-1, 2),
        st.floats(0, 5000),
        st.floats(0, 1000),
    )
    def test_bounds(self, codec: str, loss: float, delay: float, jitter: float) -> None:
        """An opinion is between 1 and 4.5, and more of anything bad never makes it better."""
        found = mos(codec, loss, delay, jitter)
        self.assertTrue(1 <= found <= 4.5)
        self.assertLessEqual(mos(codec, loss + 0.1, delay, jitter), found + 1e-9)
        self.assertLessEqual(mos(codec, loss, delay + 50, jitter), found + 0.02)
