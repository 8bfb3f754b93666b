"""The arithmetic of a conference, and its beat."""

from __future__ import annotations

from array import array

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.mixer.mixing import MOST, Sound, mix, silence
from rtcgw.media.mixer.pulse import BEAT, BURST, Pulse
from rtcgw.media.packets.g711 import ALAW_TO_ULAW, decoder
from tests.media.mixer.rig import frame

ONE, TWO, THREE = (Sound("PCMU", frame(hertz)) for hertz in (400, 700, 1100))


def samples(octets: bytes, law: str = "PCMU") -> array[int]:
    return array("h", bytes(decoder(law)(octets)))


class MixTests(SynchronousTestCase):
    def near(self, made: bytes, *sounds: Sound, law: str = "PCMU") -> None:
        """`made` is the sum of the sounds, as exactly as eight bits can say it."""
        wanted = [sum(parts) for parts in zip(*(samples(sound.octets, sound.law) for sound in sounds), strict=True)]
        for found, exact in zip(samples(made, law), wanted, strict=True):
            clipped = max(-32768, min(32767, exact))
            self.assertLessEqual(abs(found - clipped), max(16, abs(clipped) // 16))

    def test_nobody(self) -> None:
        """Silence in each law."""
        self.assertEqual(mix([None, None], ["PCMU", "PCMA"]), [b"\xff" * 160, b"\xd5" * 160])

    def test_one(self) -> None:
        """Who speaks alone is passed on as it is, or in the other law, and hears nothing."""
        law = Sound("PCMA", frame(400, "PCMA"))
        self.assertEqual(mix([ONE, None, None], ["PCMU", "PCMU", "PCMU"]), [silence("PCMU"), ONE.octets, ONE.octets])
        self.assertEqual(mix([law, None], ["PCMA", "PCMU"])[1], law.octets.translate(ALAW_TO_ULAW))

    def test_two(self) -> None:
        """Two who speak hear each other; who listens hears both."""
        made = mix([ONE, TWO, None, None], ["PCMU", "PCMU", "PCMU", "PCMA"])
        self.assertEqual(made[:2], [TWO.octets, ONE.octets])
        self.near(made[2], ONE, TWO)
        self.near(made[3], ONE, TWO, law="PCMA")

    def test_three(self) -> None:
        """Each of three hears the sum of the others, exactly without itself."""
        made = mix([ONE, TWO, THREE, None], ["PCMU", "PCMA", "PCMU", "PCMU"])
        self.near(made[0], TWO, THREE)
        self.near(made[1], ONE, THREE, law="PCMA")
        self.near(made[2], ONE, TWO)
        self.near(made[3], ONE, TWO, THREE)

    def test_clipped(self) -> None:
        """Eight at full strength are as loud as one can be, both ways, and never wrap round."""
        for octet, law in ((0x80, "PCMU"), (0x00, "PCMU"), (0xAA, "PCMA"), (0x2A, "PCMA")):
            loud = Sound(law, bytes([octet]) * 160)
            for made in mix([loud] * MOST, [law] * MOST):
                self.assertEqual(made, loud.octets)

    def test_too_many(self) -> None:
        """The tables are made for eight."""
        self.assertRaises(ValueError, mix, [ONE] * (MOST + 1), ["PCMU"] * (MOST + 1))


class PulseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.beats: list[tuple[float, int]] = []
        self.pulse = Pulse(self.clock, lambda missed: self.beats.append((round(self.clock.seconds(), 3), missed)))
        self.pulse.start()

    def test_no_drift(self) -> None:
        """A thousand beats take twenty seconds although each was a little late."""
        while len(self.beats) < 1000:
            due = self.clock.getDelayedCalls()[0].getTime()
            self.clock.advance(due - self.clock.seconds() + 0.003)
        self.assertEqual(round(self.clock.seconds(), 3), 1000 * BEAT + 0.003)

    def test_made_good(self) -> None:
        """Held up for three beats: all three come at once."""
        self.clock.advance(3 * BEAT)
        self.assertEqual(self.beats, [(0.06, 0)] * 3)
        self.clock.advance(BEAT)
        self.assertEqual(len(self.beats), 4)

    def test_left_out(self) -> None:
        """Held up for a second: the last five beats are made good for, the others are told as missed."""
        self.clock.advance(1)
        self.assertEqual(self.beats, [(1.0, 50 - BURST)] + [(1.0, 0)] * (BURST - 1))
        self.assertEqual(self.pulse.missed, 50 - BURST)

    def test_stopped(self) -> None:
        """Stopped between beats or by one of them, it is still at once; it can be started again."""
        self.pulse.stop()
        self.pulse.stop()
        self.clock.advance(1)
        self.assertEqual(self.beats, [])
        stopping = Pulse(self.clock, lambda missed: stopping.stop())
        stopping.start()
        stopping.start()
        self.clock.advance(5 * BEAT)
        self.assertEqual(self.clock.getDelayedCalls(), [])
