"""What is heard where nothing came."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.concealment import FADE, Concealer
from tests.media.tones import Samples, loudest, sine


def strength(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(float) ** 2))) if len(samples) else 0.0


def filled(rate: int, hertz: float, milliseconds: int) -> Samples:
    """What stands in for a hole in a tone."""
    concealer = Concealer(rate)
    concealer.hear(bytearray(sine(rate, 0.2, hertz).tobytes()))
    return np.frombuffer(bytes(concealer.fill(rate * milliseconds // 1000)), np.int16)


class TestConcealer(SynchronousTestCase):
    def test_a_tone_goes_on(self) -> None:
        """A short hole in a tone is filled with the same tone, at both rates; it begins without a click."""
        for rate in (8000, 16000):
            for hertz in (100, 200, 440, 1000):
                made = filled(rate, hertz, 40)
                self.assertLess(abs(loudest(np.pad(made, (0, rate)), rate) - hertz), hertz * 0.06)
                whole = sine(rate, 0.3, hertz).astype(int)[rate // 5 : rate // 5 + rate // 200]
                self.assertLess(np.abs(made[: len(whole)].astype(int) - whole).max(), 3500)

    def test_fades(self) -> None:
        """It grows weaker from 10 ms on and is silent after a tenth of a second, however long the hole."""
        made = filled(8000, 200, 400)
        steps = [strength(made[place : place + 80]) for place in range(0, len(made), 80)]
        self.assertGreater(steps[0], 5000)
        self.assertTrue(all(later <= before + 1 for before, later in pairwise(steps)))
        self.assertTrue(not made[8 * FADE :].any())

    def test_pieces_join(self) -> None:
        """A hole filled in two steps is the same as one filled at once."""
        halves = Concealer(8000)
        halves.hear(bytearray(sine(8000, 0.2).tobytes()))
        made = halves.fill(100) + halves.fill(220)
        self.assertEqual(bytes(made), filled(8000, 440, 40).tobytes())
        self.assertEqual(halves.filled, 320)

    def test_return(self) -> None:
        """What comes after a hole is blended in: it begins like what was made up and ends as it came."""
        concealer = Concealer(8000)
        concealer.hear(bytearray(sine(8000, 0.2).tobytes()))
        concealer.fill(80)
        heard = np.frombuffer(bytes(concealer.hear(bytearray(np.full(160, 9000, np.int16).tobytes()))), np.int16)
        self.assertNotEqual(heard[0], 9000)
        self.assertTrue((heard[40:] == 9000).all())
        again = np.frombuffer(bytes(concealer.hear(bytearray(np.full(160, 9000, np.int16).tobytes()))), np.int16)
        self.assertTrue((again == 9000).all(), "only the first packet is touched")

    def test_nothing_to_go_by(self) -> None:
        """Before anything was heard, and after silence, a hole is silence; short or odd packets are no trouble."""
        self.assertEqual(bytes(Concealer(8000).fill(160)), bytes(320))
        quiet = Concealer(16000)
        quiet.hear(bytearray(6400))
        self.assertEqual(bytes(quiet.fill(320)), bytes(640))
        short = Concealer(8000)
        short.hear(bytearray(2))
        short.fill(0)
        short.fill(1)
        self.assertEqual(len(short.hear(bytearray(b"\x01\x00"))), 2)
        self.assertEqual(short.fill(0), b"")
