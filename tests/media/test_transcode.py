"""Sound from one codec into another: the same tone comes out, on time, whatever the path did to it."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets import transcode
from rtcgw.media.packets.pyav import Decoder, Encoder
from rtcgw.media.packets.recast import WINDOW
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtcp import Control
from rtcgw.media.packets.transcode import Places, Recoder
from rtcgw.media.sdp import Codec
from tests.media.tones import (
    G722,
    HZ,
    KEYS_WEB,
    OPUS,
    PCMA,
    PCMU,
    Heard,
    Line,
    clarity,
    loudest,
    packets,
    rate_of,
    rough,
    sine,
    wide,
)
from tests.peers.rtp import sender_report

PAIRS = [(OPUS, PCMU), (PCMU, OPUS), (OPUS, G722), (G722, OPUS), (OPUS, PCMA), (PCMA, OPUS), (G722, PCMU), (PCMA, G722)]
LENGTHS = (10, 20, 30, 40, 50, 60)


def steps(heard: Sequence[Heard]) -> tuple[set[int], set[int]]:
    """The distances of sequence numbers and of timestamps that occur."""
    return (
        {(after.seq - before.seq) & 0xFFFF for before, after in pairwise(heard)},
        {(after.ts - before.ts) & 0xFFFFFFFF for before, after in pairwise(heard)},
    )


def event(seq: int, ts: int, duration: int, end: bool = False, marker: bool = False) -> bytes:
    head = struct.pack("!BBHII", 0x80, 110 | (128 if marker else 0), seq, ts, 7)
    return head + struct.pack("!BBH", 5, (128 if end else 0) | 10, duration)


class TestTones(SynchronousTestCase):
    def test_every_pair_and_length(self) -> None:
        """Each pair of codecs, each packet length on either side: the tone, on an unbroken timeline."""
        for (source, target), (theirs, ours) in product(PAIRS, zip(LENGTHS, (60, 20, 10, 30, 40, 50), strict=True)):
            if source is OPUS and theirs in (30, 50):
                continue  # there are no such frames
            line = Line(source, target, ours)
            line.feed(packets(source, theirs, 0.72), theirs / 1000)
            told = f"{source.name} {theirs} ms to {target.name} {ours} ms"
            rate = rate_of(target)
            sound = line.sound[rate // 5 :]
            self.assertLess(abs(loudest(sound, rate) - HZ), 4, told)
            self.assertGreater(clarity(sound, rate), 15, told)
            length = {30: 20, 50: 40}.get(ours, ours) if target is OPUS else ours
            self.assertEqual(steps(line.out), ({1}, {length * target.rate // 1000}), told)
            self.assertGreaterEqual(len(line.out) * length, 720 - theirs - length, told)
            self.assertEqual([one.marker for one in line.out[:2]], [True, False], told)

    def test_bad_paths(self) -> None:
        """With one packet in twenty lost and others up to 30 ms late the tone is still the strongest thing heard."""
        for source, target in PAIRS:
            line, rate = Line(source, target), rate_of(target)
            sent = packets(source, 20, 3.0)
            line.feed(rough(sent, 0.05, 1.5))
            sound = line.sound[rate // 5 :]
            told = f"{source.name} to {target.name}"
            self.assertLess(abs(loudest(sound, rate) - HZ), 2, told)
            self.assertGreater(clarity(sound, rate), 10, told)
            self.assertEqual(steps(line.out), ({1}, {target.rate // 50}), told)
            self.assertGreater(len(line.out), len(sent) - 5, "holes are filled")

    def test_stereo(self) -> None:
        """Opus in stereo is heard as well as in mono."""
        line = Line(OPUS, PCMU)
        sent = packets(OPUS, 20, 1.0, channels=2)
        self.assertTrue(all(packet[12] & 4 for packet in sent), "the stereo bit (RFC 6716 §3.1)")
        line.feed(sent)
        self.assertLess(abs(loudest(line.sound[1600:], 8000) - HZ), 4)
        self.assertEqual(line.timeline.refused, 0)

    def test_bands(self) -> None:
        """Whether a packet's band fits the phone's or must be cut to it, the tone is the same; a high one is not heard
        as a low one."""
        for hertz, band in ((HZ, 8000), (HZ, 48000), (6000, 48000)):
            decoder = Decoder("OPUS", 8000)
            encode = Encoder("OPUS", 8000, 160).encode if band == 8000 else wide()
            sound, size = sine(band, 1.0, hertz), band // 50
            frames = [encode(sound[place : place + size].tobytes()) for place in range(0, len(sound), size)]
            heard = np.frombuffer(b"".join(bytes(decoder.decode(frame)) for frame in frames), np.int16)[1600:]
            self.assertEqual(len(heard), 8000 - 1600)
            if hertz == HZ:
                self.assertLess(abs(loudest(heard, 8000) - HZ), 4)
                self.assertGreater(clarity(heard, 8000), 20)
            else:
                self.assertLess(np.abs(heard.astype(int)).max(), 1000)


class TestOrder(SynchronousTestCase):
    def test_no_delay(self) -> None:
        """Packets in order are converted at once: the first one in is the first one out."""
        line = Line(OPUS, PCMU)
        for place, packet in enumerate(packets(OPUS, 20, 0.2)):
            line.feed([packet])
            self.assertEqual(len(line.out), place + 1)

    def test_reordered(self) -> None:
        """Packets within the window are put in order; nothing is made up."""
        line, sent = Line(PCMU, OPUS), packets(PCMU, 20, 1.0)
        for place in range(4, 40, 5):
            sent[place : place + 3] = [sent[place + 2], sent[place + 1], sent[place]]
        line.feed(sent)
        self.assertEqual((steps(line.out), len(line.out)), (({1}, {960}), len(sent)))
        self.assertEqual((line.recoder.concealed, line.timeline.refused), (0, 0))

    def test_duplicates_and_late_ones(self) -> None:
        """A packet that comes twice, or after its place was given up, is dropped and counted."""
        line, sent = Line(PCMU, OPUS), packets(PCMU, 20, 0.4)
        late = sent.pop(5)
        line.feed([*sent[:3], sent[2], sent[0], *sent[3:12], late, *sent[12:]])
        self.assertEqual(line.timeline.refused, 3)
        self.assertEqual(line.recoder.concealed, 20)
        self.assertEqual(steps(line.out), ({1}, {960}))

    def test_the_window_is_bounded(self) -> None:
        """A hole is waited for until a few packets, or a few milliseconds, have passed; no more is ever held."""
        line, sent = Line(PCMU, OPUS), packets(PCMU, 20, 1.0)
        line.feed(sent[:2])
        line.feed(sent[3 : 3 + WINDOW], 0.001)
        self.assertEqual(len(line.out), 2)
        line.feed(sent[3 + WINDOW : 4 + WINDOW], 0.001)
        self.assertEqual(len(line.out), 4 + WINDOW)
        line.feed([sent[20]], 0.001)
        self.assertEqual(len(line.out), 4 + WINDOW)
        line.feed([sent[21]], 0.1)
        self.assertEqual(line.out[-1].ts - line.out[0].ts, 21 * 960)

    def test_a_long_hole(self) -> None:
        """Of a second that is lost a tenth is filled; then time is left out, and the tone goes on at its place."""
        line, sent = Line(PCMU, OPUS), packets(PCMU, 20, 3.0)
        line.feed([*sent[:50], *sent[100:]])
        self.assertEqual(line.recoder.concealed, 100)
        self.assertEqual(steps(line.out), ({1}, {960, 960 * 46}))
        self.assertEqual(line.out[-1].ts - line.out[0].ts, 960 * 149)
        self.assertEqual(sum(one.marker for one in line.out), 2)


class TestPauses(SynchronousTestCase):
    def test_silence_suppressed(self) -> None:
        """A pause of the sender stays a pause: nothing is made up, time jumps, and a marker begins the next words."""
        for ours in (20, 60):
            line = Line(OPUS, PCMU, ours)
            first, second = packets(OPUS, 20, 0.5), packets(OPUS, 20, 0.5, seq=125, ts=5000 + 3 * 48000)
            line.feed([*first, *second])
            self.assertEqual(line.recoder.concealed, 0)
            begun = [one for one in line.out if one.marker]
            self.assertEqual([one.ts - line.out[0].ts for one in begun], [0, 3 * 8000])
            self.assertEqual(steps(line.out)[0], {1})

    def test_keys_beside_sound(self) -> None:
        """Keys keep their place in the order, and their time and length on the phone's clock (RFC 4733)."""
        line = Line(OPUS, PCMU)
        sound = packets(OPUS, 20, 1.0)
        start = 5000 + 10 * 960
        keys = [event(110 + place, start, 960 * (place + 1), place > 2, not place) for place in range(5)]
        line.feed([*sound[:10], *keys, *(packets(OPUS, 20, 0.4, seq=115, ts=start + 5 * 960))])
        pressed = [one for one in line.out if one.pt == 101]
        begin = line.out[0].ts
        self.assertEqual([one.marker for one in pressed], [True, False, False, False, False])
        self.assertEqual({one.ts - begin for one in pressed}, {1600})
        self.assertEqual([struct.unpack("!BBH", one.payload)[2] for one in pressed], [160, 320, 480, 640, 800])
        self.assertEqual(steps(line.out)[0], {1})
        after = line.out[line.out.index(pressed[-1]) + 1]
        self.assertEqual((after.pt, after.marker, after.ts - begin), (0, True, 15 * 160))
        self.assertEqual(line.recoder.concealed, 0)

    def test_keys_first(self) -> None:
        """A key before the first word is told on the phone's clock too; a broken one is dropped."""
        line = Line(OPUS, PCMU)
        line.feed([event(99, 4800, 480), event(100, 4800, 960)[:14], *packets(OPUS, 20, 0.1, seq=101, ts=9600)])
        self.assertEqual([one.pt for one in line.out], [101, 0, 0, 0, 0, 0])
        self.assertEqual((line.out[0].ts, line.out[1].ts), (800, 1600))

    def test_comfort_noise(self) -> None:
        """A packet of a type that was not agreed on is dropped without a hole: the pause after it stays one."""
        line = Line(PCMU, OPUS)
        noise = struct.pack("!BBHII", 0x80, 13, 125, 5000 + 25 * 160, 7) + b"\x40"
        line.feed([*packets(PCMU, 20, 0.5), noise, *packets(PCMU, 20, 0.5, seq=126, ts=5000 + 8000)])
        self.assertEqual((line.recoder.concealed, steps(line.out)[0], line.timeline.dropped), (0, {1}, 1))
        self.assertEqual(line.out[-1].ts - line.out[0].ts, 48000 + 24 * 960)


class TestChanges(SynchronousTestCase):
    def test_another_source(self) -> None:
        """After a transfer the receiver hears one stream: the same SSRC, numbers that go on by one."""
        line = Line(PCMU, OPUS)
        line.feed(packets(PCMU, 20, 0.5))
        line.feed(packets(PCMU, 20, 0.5, seq=60000, ts=77, ssrc=99))
        self.assertEqual(({one.ssrc for one in line.out}, steps(line.out)), ({7}, ({1}, {960})))
        self.assertLess(abs(loudest(line.sound[3200:], 16000) - HZ), 4)

    def test_plain_then_converted_then_plain(self) -> None:
        """A re-offer that begins or ends conversion leaves the receiver's numbers in one piece."""
        line = Line(PCMU, OPUS)
        timeline, plain = line.timeline, {0: Route(0, source=PCMU)}
        converted = dict(line.routes)
        timeline.agree(plain)
        sent, seen = packets(PCMU, 20, 0.6), []
        for place, packet in enumerate(sent):
            if place in (10, 20):
                timeline.agree(converted if place == 10 else plain)
            out = timeline.carry(packet, place * 0.02)
            seen += [Heard.parse(one) for one in ([out] if out is not None else timeline.take())]
        self.assertEqual([one.pt for one in seen], [0] * 10 + [111] * 10 + [0] * 10)
        self.assertEqual((steps(seen)[0], {one.ssrc for one in seen}), ({1}, {7}))
        self.assertTrue(all(0 < (after.ts - before.ts) < 4000 for before, after in pairwise(seen)))

    def test_the_same_agreement_again(self) -> None:
        """A session refresh does not begin the codecs anew: nothing is heard of it."""
        line = Line(OPUS, PCMU)
        sent = packets(OPUS, 20, 1.0)
        line.feed(sent[:25])
        line.timeline.agree({111: Route(0, recoder=Recoder(OPUS, PCMU, 20), source=OPUS)})
        line.feed(sent[25:])
        self.assertEqual(steps(line.out), ({1}, {160}))
        self.assertEqual(sum(one.marker for one in line.out), 1)

    def test_a_codec_beside(self) -> None:
        """A browser that changes to a codec which passes as it is, and back, is heard throughout on one clock."""
        line = Line(OPUS, PCMU)
        line.timeline.agree({**line.routes, 0: Route(0, source=PCMU)})
        line.feed(packets(OPUS, 20, 0.4))
        line.feed(packets(PCMU, 20, 0.4, seq=120, ts=900000))
        line.feed(packets(OPUS, 20, 0.4, seq=140, ts=5000 + 40 * 960))
        self.assertEqual((len(line.out), steps(line.out)), (60, ({1}, {160})))
        self.assertLess(abs(loudest(line.sound[1600:], 8000) - HZ), 4)

    def test_reports(self) -> None:
        """An SR's timestamp and an RR's sequence number are those of the other side's stream."""
        line = Line(PCMU, OPUS, 40)
        sent = packets(PCMU, 20, 1.0)
        line.feed(sent)
        timeline = line.timeline
        newest, last = line.out[-1], len(sent) - 1
        self.assertEqual(timeline.stamp(5000 + 160 * last), (newest.ts + 960) & 0xFFFFFFFF)
        self.assertEqual(timeline.unsequence(newest.seq), 100 + last)
        self.assertEqual(timeline.unsequence(line.out[-11].seq), 100 + last - 20)
        self.assertEqual(timeline.unsequence(newest.seq + 5), 100 + last, "one that never was")
        out = Control(timeline, line.timeline).carry(sender_report(7, 5000 + 160 * last), 1.0, {})
        assert out is not None
        ts, count, octets = struct.unpack_from("!III", out, 16)
        self.assertEqual((ts, count), ((newest.ts + 960) & 0xFFFFFFFF, len(line.out)))
        self.assertEqual(octets, sum(len(one.payload) for one in line.out))

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, 65535), st.integers(0, 2**32 - 1))
    def test_wrapping(self, seq: int, ts: int) -> None:
        """Wherever the source's counters begin, the receiver's go on evenly across their ends."""
        line = Line(PCMU, G722)
        line.feed(packets(PCMU, 20, 0.3, seq=seq, ts=ts))
        self.assertEqual((steps(line.out), len(line.out)), (({1}, {160}), 15))


class TestCorruption(SynchronousTestCase):
    def test_payloads_that_are_no_sound(self) -> None:
        """Corrupt, empty and overlong payloads are counted and filled in for; the tone goes on."""
        for source, target in PAIRS:
            line, sent = Line(source, target), packets(source, 20, 2.0)
            dice = random.Random(3)
            for place in (20, 40, 60):
                sent[place] = sent[place][:12]
            if source is OPUS:
                sent[70] = sent[70][:12] + b"\xff\xff" + dice.randbytes(30)
            else:
                sent[70] = sent[70][:12] + bytes(1300)
            line.feed(sent)
            rate = rate_of(target)
            told = f"{source.name} to {target.name}"
            self.assertEqual(line.timeline.refused, 4, told)
            self.assertLess(abs(loudest(line.sound[rate // 5 :], rate) - HZ), 4, told)
            self.assertEqual(steps(line.out), ({1}, {target.rate // 50}), told)

    @settings(max_examples=15, deadline=None)
    @given(st.randoms(use_true_random=False))
    def test_anything(self, dice: random.Random) -> None:
        """Whatever comes, in whatever order: nothing is raised, what goes out is bounded and counts on by one."""
        source, target = dice.choice(PAIRS)
        line = Line(source, target, dice.choice(LENGTHS))
        good = packets(source, 20, 0.2)
        seq, now = 100, 0.0
        for _ in range(60):
            seq, now = seq + dice.choice((-2, 0, 1, 1, 1, 2, 3, 9, 2000, 40000)), now + dice.choice((0, 0.02, 1))
            ts = dice.choice((seq * 160, dice.getrandbits(32), 0))
            head = struct.pack("!HII", seq & 0xFFFF, ts & 0xFFFFFFFF, dice.choice((7, 7, 7, 8)))
            second = dice.choice((source.pt, source.pt, source.pt | 128, 110, 13))
            payload = dice.choice((dice.randbytes(dice.randrange(200)), dice.choice(good)[12:]))
            assert line.timeline.carry(bytes([0x80, second]) + head + payload, now) is None
            made = line.timeline.take()
            self.assertLess(len(made), 200)
            line.out += [Heard.parse(one) for one in made]
        self.assertLessEqual(steps(line.out)[0], {1})
        self.assertTrue(all(len(one.payload) < 1400 for one in line.out))

    def test_an_odd_clock(self) -> None:
        """A source whose timestamps stand still or run backwards is heard all the same."""
        for wrong in (0, -160, 7):
            line = Line(PCMU, OPUS)
            sent = [
                packet[:4] + struct.pack("!I", (90000 + wrong * place) & 0xFFFFFFFF) + packet[8:]
                for place, packet in enumerate(packets(PCMU, 20, 1.0))
            ]
            line.feed(sent)
            self.assertEqual((len(line.out), steps(line.out)), (50, ({1}, {960})))
            self.assertLess(abs(loudest(line.sound[3200:], 16000) - HZ), 4)


class TestTerms(SynchronousTestCase):
    def test_what_can_be_converted(self) -> None:
        """Opus, G.722 and G.711 into each other; the two laws need no conversion, others have none."""
        for source, target in PAIRS:
            self.assertTrue(transcode.can(source, target))
        for source, target in ((PCMU, PCMA), (OPUS, OPUS), (OPUS, Codec(97, "AMR", 8000)), (KEYS_WEB, PCMU)):
            self.assertFalse(transcode.can(source, target))

    def test_without_the_library(self) -> None:
        """Without PyAV nothing can be converted, and asking is no error."""
        self.patch(transcode, "find_spec", lambda name: None)
        self.assertFalse(transcode.available())
        self.assertFalse(transcode.can(OPUS, PCMU))

    def test_places(self) -> None:
        """Only so many conversions at once; a place given back can be taken again."""
        places = Places(2)
        self.assertEqual([places.take() for _ in range(3)], [True, True, False])
        places.give()
        self.assertEqual((places.take(), places.take(), places.used), (True, False, 2))
        for _ in range(5):
            places.give()
        self.assertEqual(places.used, 0)

    def test_silence_is_silent(self) -> None:
        """Nothing is heard where nothing is said."""
        line = Line(PCMU, G722)
        line.feed([packet[:12] + b"\xff" * 160 for packet in packets(PCMU, 20, 0.5)])
        self.assertLess(np.abs(line.sound.astype(int)).max(), 40)
