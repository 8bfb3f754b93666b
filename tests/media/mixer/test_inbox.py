"""What a party sent, in order and on the beat, whatever the network did to it."""

from __future__ import annotations

import math
from array import array

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.mixer.inbox import LATE, LONGEST, PATIENCE, SHORTEST, Inbox
from rtcgw.media.mixer.mixing import FRAME, is_loud
from rtcgw.media.packets.g711 import decoder
from tests.media.mixer.rig import frame

DELAY = SHORTEST // FRAME


def numbered(number: int, size: int = FRAME) -> bytes:
    """Sound that can be told from other sound; loud, and never the octet of silence."""
    return bytes([number % 100 + 1]) * size


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.inbox = Inbox("PCMU")

    def takes(self, count: int = 1) -> list[int | None]:
        """The numbers of the next frames; None where there is silence."""
        found = [self.inbox.take() for _ in range(count)]
        return [None if sound is None else sound.octets[0] - 1 for sound in found]


class OrderTests(Case):
    def test_delay(self) -> None:
        """Sound is heard two beats after it came, then without a hole."""
        heard = []
        for number in range(10):
            self.inbox.put(1000 + FRAME * number, numbered(number))
            heard += self.takes()
        self.assertEqual(heard, [None] * DELAY + list(range(8)))

    def test_disorder_and_repetition(self) -> None:
        """Packets that overtake each other, or come twice, are heard once, in order."""
        for number in (0, 2, 1, 1, 3):
            self.inbox.put(FRAME * number, numbered(number))
        self.takes(DELAY)
        self.assertEqual(self.takes(4), [0, 1, 2, 3])

    def test_timestamps_wrap(self) -> None:
        """A stream whose 32-bit timestamps run over is heard through."""
        start = 2**32 - 2 * FRAME
        for number in range(4):
            self.inbox.put((start + FRAME * number) & 0xFFFFFFFF, numbered(number))
        self.takes(DELAY)
        self.assertEqual(self.takes(4), [0, 1, 2, 3])

    def test_pieces(self) -> None:
        """A packet that is no whole number of beats is heard together with its neighbours."""
        self.inbox.put(0, numbered(0, 240))
        self.inbox.put(240, numbered(1, 240))
        self.takes(DELAY)
        sounds = [self.inbox.take() for _ in range(3)]
        self.assertEqual(b"".join(sound.octets for sound in sounds if sound), numbered(0, 240) + numbered(1, 240))

    def test_half_a_frame(self) -> None:
        """Where only a part of a beat's sound has come, the rest is silence."""
        self.inbox.put(0, numbered(0, 80))
        self.takes(DELAY)
        sound = self.inbox.take()
        assert sound is not None
        self.assertEqual(sound.octets, numbered(0, 80) + b"\xff" * 80)


class LossTests(Case):
    def stream(self, *lost: int, until: int = 20) -> list[bytes | None]:
        heard = []
        for number in range(until):
            if number not in lost:
                self.inbox.put(FRAME * number, frame(400, start=FRAME * number))
            sound = self.inbox.take()
            heard.append(None if sound is None else sound.octets)
        return heard

    def test_a_hole_is_filled(self) -> None:
        """A lost packet is hardly heard: what came before goes on in its place."""
        heard = self.stream(10)
        self.assertEqual(self.inbox.filled, 1)
        made = heard[10 + DELAY]
        assert made is not None
        self.assertGreater(_likeness(made, frame(400, start=1600)), 0.95)

    def test_a_long_hole_is_silent(self) -> None:
        """After a tenth of a second nothing is made up any more; then the party is heard again."""
        heard = self.stream(*range(5, 15), until=30)
        self.assertEqual(heard[5 + DELAY + 5 : 15 + DELAY], [None] * 5)
        self.assertEqual(self.inbox.filled, 5)
        self.assertNotIn(None, heard[15 + DELAY :])

    def test_a_pause_is_no_loss(self) -> None:
        """A party that stops sending falls silent, and what it says later is heard after the usual delay."""
        self.stream(until=10)
        self.assertEqual(self.takes(20)[-10:], [None] * 10)
        self.inbox.put(FRAME * 400, numbered(7))
        self.assertEqual(self.takes(DELAY + 1), [None] * DELAY + [7])


class TimeTests(Case):
    def test_late_packets_make_the_delay_grow(self) -> None:
        """Packets that come too late three times in a row are waited for from then on; never for longer than 200 ms."""
        self.inbox.put(0, numbered(0))
        for beat in range(200):
            self.takes()
            self.inbox.put(FRAME * (beat - 8), numbered(beat))
        self.assertGreaterEqual(self.inbox.late, LATE)
        late = self.inbox.late
        for beat in range(200, 400):
            self.takes()
            self.inbox.put(FRAME * (beat - 8), numbered(beat))
        self.assertEqual(self.inbox.late, late, "it waits long enough now")
        self.assertLessEqual(self.inbox._delay, LONGEST)

    def test_hopelessly_late(self) -> None:
        """The bound holds for a party whose packets are always late, and its newest ones are heard."""
        self.inbox.put(0, numbered(0))
        for beat in range(600):
            self.takes()
            self.inbox.put(FRAME * (beat - 8 - beat // 10), numbered(beat))
        self.assertEqual(self.inbox._delay, LONGEST)

    def test_a_fast_clock(self) -> None:
        """A party whose clock runs 2 % fast is never further behind than the bound: frames are left out."""
        behind = []
        ts = 0
        for beat in range(3000):
            self.inbox.put(ts, numbered(beat))
            ts += FRAME
            if beat % 50 == 49:
                self.inbox.put(ts, numbered(beat))
                ts += FRAME
            self.takes()
            behind.append(self.inbox._newest - self.inbox._next)
        self.assertLess(max(behind), LONGEST + 5 * FRAME)
        self.assertGreater(self.inbox.skipped, 3000 // 50 - PATIENCE)

    def test_a_leap(self) -> None:
        """A timestamp from nowhere, forwards or backwards, is a new beginning, not an end."""
        for leap in (2**31 - 1, 2**31 + 5, 100_000, 5000):
            inbox = Inbox("PCMU")
            inbox.put(0, numbered(0))
            for number in range(LATE + 3):
                inbox.put(leap + FRAME * number, numbered(number))
            heard = [inbox.take() for _ in range(40)]
            self.assertTrue(any(sound is not None for sound in heard), leap)

    def test_what_is_no_sound(self) -> None:
        """Nothing, and more than any packet holds, are counted and dropped."""
        self.inbox.put(0, b"")
        self.inbox.put(0, bytes(5000))
        self.assertEqual((self.inbox.late, self.inbox.take()), (2, None))


class LoudnessTests(SynchronousTestCase):
    def test_gate(self) -> None:
        """A tone passes, the hum of a room does not."""
        inbox = Inbox("PCMA")
        for number, level in enumerate((8000, 60)):
            inbox.put(FRAME * number, frame(300, "PCMA", level))
        sounds = [sound for sound in (inbox.take() for _ in range(DELAY + 2)) if sound is not None]
        self.assertEqual([is_loud(sound) for sound in sounds], [True, False])


def _likeness(one: bytes, other: bytes) -> float:
    """Correlation of two frames, 1 for the same sound."""
    a, b = (array("h", bytes(decoder("PCMU")(octets))) for octets in (one, other))
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
