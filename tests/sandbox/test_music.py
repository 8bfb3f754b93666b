"""The tune of the sandbox."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.model.wave import LONGEST, RATES
from rtcgw.sandbox.music import LEVEL, tune


class TuneTests(SynchronousTestCase):
    def test_fit_to_be_played(self) -> None:
        """It is as a file for `hold_music` has to be, and neither too loud nor silent anywhere."""
        wave = tune()
        self.assertIn(wave.rate, RATES)
        self.assertLess(len(wave.samples), LONGEST * wave.rate)
        seconds = [wave.samples[start : start + wave.rate] for start in range(0, len(wave.samples), wave.rate)]
        for second in seconds[:-1]:
            self.assertTrue(LEVEL / 4 < max(map(abs, second)) <= LEVEL * 1.3)

    def test_no_clicks(self) -> None:
        """From one sample to the next there is no jump, nor where it begins again."""
        samples = tune().samples
        steps = [abs(one - other) for one, other in zip(samples, [*samples[1:], samples[0]], strict=True)]
        self.assertLess(max(steps), LEVEL)
