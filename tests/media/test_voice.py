"""What the gateway says itself to one side: keys as telephone events, music; and how the other side is heard again."""

from __future__ import annotations

import struct
from array import array
from itertools import pairwise
from typing import NamedTuple

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.music import Music
from rtcgw.media.packets.relay import Heard
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtp import Timeline
from rtcgw.media.packets.voice import LONGEST, MOST, PAUSE, QUEUE, Metronome, Voice
from rtcgw.media.sdp import Codec
from rtcgw.model.wave import Wave
from tests.media.lines import PCMU, PHONE, Rig

KEY = Codec(101, "TELEPHONE-EVENT", 8000)
MUSIC = Music(Wave(8000, array("h", [1000] * 480)))


class Packet(NamedTuple):
    """What a test looks at."""

    marker: bool
    pt: int
    seq: int
    ts: int
    ssrc: int
    payload: bytes


def read(data: bytes) -> Packet:
    _, second, seq, ts, ssrc = struct.unpack_from("!BBHII", data)
    return Packet(second > 127, second & 127, seq, ts, ssrc, data[12:])


class Speaking(SynchronousTestCase):
    """A line whose gateway has a voice towards the phone."""

    def setUp(self) -> None:
        self.rig = Rig()
        self.metronome = Metronome(self.rig.clock)
        self.voice = self.make()

    def make(self) -> Voice:
        relay = self.rig.relay
        return Voice(
            relay.up,
            lambda on: relay.take_over(Heard.CORE, on),
            relay.say_core,
            self.metronome,
            self.rig.clock.seconds,
        )

    def beats(self, count: int) -> list[Packet]:
        """What the phone is sent in so many beats."""
        before = len(self.rig.sent)
        for _ in range(count):
            self.rig.clock.advance(0.02)
        return self.sent(before)

    def sent(self, since: int = 0) -> list[Packet]:
        self.assertTrue(all(address == PHONE for _, address in self.rig.sent))
        return [read(data) for data, _ in self.rig.sent[since:]]

    def check_numbers(self) -> None:
        """One stream: no number is missing, no time runs backwards."""
        packets = self.sent()
        self.assertEqual({packet.ssrc for packet in packets}, {5})
        for one, other in pairwise(packets):
            self.assertEqual((other.seq - one.seq) & 0xFFFF, 1)
            self.assertGreaterEqual(other.ts, one.ts)


class KeyTests(Speaking):
    def press(self, digits: str, duration: int = 100) -> bool:
        return self.voice.press(digits, duration, 101, 8000)

    def test_one_key(self) -> None:
        """The first and the last packet three times, the others grow by 20 ms; all bear the time of the beginning."""
        self.rig.talk(3)
        self.assertTrue(self.press("#"))
        packets = self.beats(5)
        self.assertEqual({(packet.pt, packet.payload[0]) for packet in packets}, {(101, 11)})
        self.assertEqual([packet.marker for packet in packets], [True] + [False] * 8)
        durations = [int.from_bytes(packet.payload[2:], "big") for packet in packets]
        self.assertEqual(durations, [160, 160, 160, 320, 480, 640, 800, 800, 800])
        self.assertEqual([packet.payload[1] > 127 for packet in packets], [False] * 6 + [True] * 3)
        self.assertEqual(len({packet.ts for packet in packets}), 1)
        self.check_numbers()

    def test_voice_waits_and_goes_on(self) -> None:
        """While a key sounds nothing of the speaker's passes; after it the speaker is where time has got to."""
        self.rig.talk(3)
        last = self.sent()[-1].ts
        self.press("1")
        for _ in range(5 + PAUSE):
            self.rig.relay.from_web(self.rig.packet())
        self.assertEqual({packet.pt for packet in self.sent()[3:]}, {101})
        self.rig.clock.advance(0.02)
        self.assertEqual(self.metronome.speaking, 0)
        before = len(self.rig.sent)
        self.rig.talk(2)
        after = self.sent(before)
        self.assertEqual([packet.pt for packet in after], [0, 0])
        self.assertEqual(after[0].ts - last, 160 * (5 + PAUSE + 2))
        self.check_numbers()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [], "nobody speaks, nothing ticks")

    def test_one_at_a_time(self) -> None:
        """Keys follow each other with a pause, each with its own time; letters and small ones are keys as well."""
        self.assertTrue(self.press("9a", 40))
        packets = self.beats(2 * (2 + PAUSE))
        starts = [packet for packet in packets if packet.marker]
        self.assertEqual([packet.payload[0] for packet in starts], [9, 12])
        self.assertEqual(starts[1].ts - starts[0].ts, 160 * (2 + PAUSE))

    def test_bounds(self) -> None:
        """What is no key is refused whole, and so is what there is no room for; a key ends even if held for ever."""
        self.assertFalse(self.press("1x"))
        self.assertFalse(self.press(""))
        self.assertTrue(self.press("1" * QUEUE, 40))
        self.assertFalse(self.press("2"))
        self.voice.stop()
        self.assertTrue(self.press("3", 10**9))
        packets = self.beats(LONGEST // 20)
        self.assertGreater(packets[-1].payload[1], 127)

    def test_before_anybody_has_spoken(self) -> None:
        """A key may be the first thing that the phone hears; the speaker goes on in the same stream."""
        self.press("5")
        self.beats(10)
        ssrc = self.sent()[0].ssrc
        self.rig.talk(2)
        self.assertEqual({packet.ssrc for packet in self.sent()}, {ssrc})
        self.assertEqual([packet.marker for packet in self.sent()].count(True), 1)

    def test_full(self) -> None:
        """So many at once are given a voice, and no more."""
        others = [self.make() for _ in range(MOST)]
        for other in others:
            self.assertTrue(self.metronome.join(other))
        self.assertFalse(self.press("1"))
        self.voice.play(MUSIC.tune([PCMU]))
        self.rig.talk(1)
        self.assertEqual(len(self.rig.sent), 1, "without a voice the speaker is not kept back")
        for other in others:
            self.metronome.leave(other)


class MusicTests(Speaking):
    def test_held_and_taken_back(self) -> None:
        """Music in the stream's own numbers, 20 ms each, round and round; then the speaker again."""
        self.rig.talk(3)
        self.voice.play(MUSIC.tune([PCMU]))
        packets = self.beats(7)
        self.assertEqual([len(packet.payload) for packet in packets], [160] * 7)
        self.assertEqual([packet.marker for packet in packets], [True] + [False] * 6)
        self.assertEqual({b.ts - a.ts for a, b in pairwise(packets)}, {160})
        self.voice.play(None)
        self.rig.talk(3)
        self.check_numbers()
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_key_before_music(self) -> None:
        """A key is heard between two frames, and the music goes on where it was."""
        self.voice.play(MUSIC.tune([PCMU]))
        self.beats(2)
        self.voice.press("1", 40, 101, 8000)
        self.beats(2 + PAUSE)
        self.beats(2)
        packets = self.sent()
        self.assertEqual([packet.pt for packet in packets], [0, 0, *[101] * 6, 0, 0])
        self.assertTrue(packets[8].marker)
        self.assertEqual(packets[8].ts - packets[1].ts, 160 * (2 + PAUSE + 1))

    def test_late_beats(self) -> None:
        """A process that was busy for a moment makes up for it; after a long time it does not burst."""
        self.voice.play(MUSIC.tune([PCMU]))
        self.rig.clock.advance(0.02)
        self.rig.clock.advance(0.08)
        for _ in range(4):
            self.rig.clock.advance(0)
        self.assertEqual(len(self.rig.sent), 5)
        self.rig.clock.advance(60)
        for _ in range(10):
            self.rig.clock.advance(0)
        self.assertEqual(len(self.rig.sent), 6)
        self.voice.stop()

    def test_one_ends_another(self) -> None:
        """A voice that is stopped from within another's beat says nothing more in it."""
        other = self.make()
        stopped = Voice(Timeline(), lambda on: None, lambda packet: other.stop(), self.metronome, lambda: 0.0)
        stopped.play(MUSIC.tune([PCMU]))
        other.play(MUSIC.tune([PCMU]))
        self.assertEqual(self.beats(1), [])
        stopped.stop()
        self.assertEqual(self.metronome.speaking, 0)


class HeardKeyTests(SynchronousTestCase):
    """Keys in what a phone sends."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.keys: list[str] = []
        self.timeline = Timeline()
        self.timeline.on_key = self.keys.append
        self.timeline.agree({0: Route(0, source=PCMU), 101: Route(101, source=KEY)})
        self.seq = 0

    def event(self, ts: int, code: int, duration: int = 160, marker: bool = False, over: bool = False) -> bytes | None:
        self.seq += 1
        self.clock.advance(0.02)
        second = 101 | (128 if marker else 0)
        payload = struct.pack("!BBH", code, 128 if over else 0, duration)
        packet = struct.pack("!BBHII", 0x80, second, self.seq, ts, 7) + payload
        return self.timeline.carry(packet, self.clock.seconds())

    def test_once(self) -> None:
        """A key is told once, however many packets it has, and they pass all the same."""
        for over in (False, False, True, True, True):
            self.assertEqual((self.event(160, 5, over=over) or b"")[12:13], b"\5")
        self.assertEqual(self.keys, ["5"])

    def test_the_same_twice(self) -> None:
        """Two keys are two, be they the same, with or without a marker."""
        for ts in (160, 1600, 3200):
            self.event(ts, 10, marker=ts == 1600)
            self.event(ts, 10, over=True)
        self.assertEqual(self.keys, ["*", "*", "*"])

    def test_very_long(self) -> None:
        """One that lasts longer than can be said in one piece is still one."""
        self.event(160, 1, 0xFFFF, marker=True)
        self.event(160 + 0xFFFF, 1, 160)
        self.event(160 + 0xFFFF, 1, 320, over=True)
        self.assertEqual(self.keys, ["1"])

    def test_nonsense(self) -> None:
        """Flash hooks, fax tones and late packets of a key before are no keys; nor is a flood of them."""
        self.event(16000, 16)
        self.event(16000, 5, over=True)
        self.event(160, 4, over=True)
        self.timeline.carry(struct.pack("!BBHII", 0x80, 101, 9, 0, 7) + b"\1", 0.0)
        self.assertEqual(self.keys, ["5"])
        self.clock.advance(1)
        now = self.clock.seconds()
        for place in range(100):
            packet = struct.pack("!BBHII", 0x80, 229, 10 + place, 32000 + place, 7) + b"\1\x80\0\1"
            self.timeline.carry(packet, now)
        self.assertEqual(self.keys, ["5", *"1111111111"][: len(self.keys)])
        self.assertLess(len(self.keys), 12)
