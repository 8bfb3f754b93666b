"""Timelines: what a receiver sees stays in one piece, and what never came is counted."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.g711 import ULAW_TO_ALAW
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtp import Timeline, strip
from rtcgw.media.sdp import Codec


def packet(seq: int, ts: int = 0, ssrc: int = 1, pt: int = 0, payload: bytes = b"x", first: int = 0x80) -> bytes:
    return struct.pack("!BBHII", first, pt, seq & 0xFFFF, ts & 0xFFFFFFFF, ssrc) + payload


def timeline(*pts: int) -> Timeline:
    made = Timeline()
    made.agree({pt: Route(pt) for pt in pts or (0,)})
    return made


class TestTimeline(SynchronousTestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 2**32 - 1)), max_size=6))
    def test_sources_are_joined(self, sources: list[tuple[int, int]]) -> None:
        """Whatever SSRC, sequence and timestamp the sources have, the receiver counts on by one."""
        made, seen = timeline(), []
        for place, (seq, ts) in enumerate(sources):
            for step in range(3):
                out = made.carry(packet(seq + step, ts + 160 * step, 100 + place % 2))
                assert out is not None
                seen.append(struct.unpack_from("!HII", out, 2))
        for before, after in pairwise(seen):
            self.assertEqual((after[0] - before[0]) & 0xFFFF, 1)
            self.assertEqual((after[1] - before[1]) & 0xFFFFFFFF, 160)
            self.assertEqual(after[2], before[2])

    def test_untouched(self) -> None:
        """Where nothing must change the very same object passes, also late and repeated packets."""
        made = timeline()
        for seq in (65534, 65535, 0, 65533, 1):
            data = packet(seq)
            self.assertIs(made.carry(data), data)

    def test_late_packets_do_not_turn_time_back(self) -> None:
        """A late packet just before a new source does not make numbers repeat."""
        made = timeline()
        for seq in (10, 11, 12, 9):
            made.carry(packet(seq, seq * 160))
        out = made.carry(packet(5, 5, ssrc=2))
        assert out is not None
        self.assertEqual(struct.unpack_from("!HII", out, 2), (13, 13 * 160, 1))

    def test_not_agreed(self) -> None:
        """Other payload types, other versions and fragments are dropped and counted."""
        made = timeline(0)
        wrong = [packet(1, pt=8), packet(1, first=0x40), packet(1)[:11], b"", packet(1, pt=200), packet(1, first=0x9F)]
        self.assertEqual([made.carry(data) for data in wrong], [None] * 6)
        self.assertEqual((made.dropped, made.packets), (6, 0))

    def test_extras_are_taken_off(self) -> None:
        """Extensions, contributing sources and padding stay behind; broken ones are dropped."""
        extended = packet(1, payload=struct.pack("!HHI", 0xBEDE, 1, 7) + b"sound", first=0x90)
        self.assertEqual((strip(extended) or b"")[12:], b"sound")
        self.assertEqual((strip(packet(1, payload=b"csrcsound", first=0x81)) or b"")[12:], b"sound")
        self.assertEqual((strip(packet(1, payload=b"sound\0\0\3", first=0xA0)) or b"")[12:], b"sound")
        for broken in (b"\xbe\xde\x00\xff", b"ab", b""):
            self.assertIsNone(strip(packet(1, payload=broken, first=0x90)))
        for padding in (b"\xff", b"\x00"):
            self.assertIsNone(strip(packet(1, payload=b"a" + padding, first=0xA0)))

    def test_marker_survives_a_new_number(self) -> None:
        """The marker bit passes with a translated payload type."""
        made = Timeline()
        made.agree({126: Route(101)})
        out = made.carry(packet(1, pt=126 | 128))
        assert out is not None
        self.assertEqual(out[1], 101 | 128)

    def test_what_is_not_agreed_is_not_lost(self) -> None:
        """Comfort noise that nobody agreed on is dropped; the path is not blamed for it."""
        made = timeline(0)
        for seq in range(10):
            made.carry(packet(seq, seq * 160, pt=13 if seq in (3, 4) else 0), seq * 0.02)
        self.assertEqual((made.dropped, made.packets, made.meter.lost), (2, 8, 0))

    def test_a_source_that_begins_anew(self) -> None:
        """A phone that restarts under its old SSRC is followed from its second packet on; a forged one is not."""
        made = timeline()
        for seq in (100, 101):
            made.carry(packet(seq, seq * 160), 1.0)
        self.assertIsNone(made.carry(packet(40000, 7), 1.0))
        self.assertIsNotNone(made.carry(packet(102, 102 * 160), 1.0))
        self.assertIsNotNone(made.carry(packet(500, 9), 1.0), "398 were lost")
        self.assertIsNone(made.carry(packet(40000, 7), 1.0))
        out = made.carry(packet(40001, 167), 1.0)
        assert out is not None
        self.assertEqual(struct.unpack_from("!HI", out, 2), (501, 9 + 160))
        self.assertEqual(made.dropped, 2)

    def test_time_between_sources(self) -> None:
        """Three seconds between two sources are three seconds on the receiver's timeline."""
        made = timeline()
        made.carry(packet(1, 1000), 10.0)
        out = made.carry(packet(77, 5, ssrc=2), 13.0)
        assert out is not None
        self.assertEqual(struct.unpack_from("!HII", out, 2), (2, 1000 + 3 * 8000, 1))

    def test_laws(self) -> None:
        """mu-law becomes A-law where the two sides chose differently."""
        made = Timeline()
        made.agree({0: Route(8, ULAW_TO_ALAW)})
        out = made.carry(packet(1, 2, payload=b"\xff\x80"))
        self.assertEqual(out, packet(1, 2, pt=8, payload=bytes([ULAW_TO_ALAW[0xFF], ULAW_TO_ALAW[0x80]])))

    def test_keys_on_another_clock(self) -> None:
        """A key's duration is told on the receiver's clock; a fragment of one passes untouched."""
        made = Timeline()
        made.agree({110: Route(101, clock=(48000, 8000))})
        out = made.carry(packet(1, 9, pt=110, payload=struct.pack("!BBH", 5, 10, 960)))
        self.assertEqual(out, packet(1, 9, pt=101, payload=struct.pack("!BBH", 5, 10, 160)))
        self.assertEqual((made.carry(packet(2, 9, pt=110, payload=b"ab")) or b"")[12:], b"ab")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.binary(max_size=40), max_size=8), st.binary(min_size=12, max_size=12))
    def test_rubbish(self, tails: list[bytes], head: bytes) -> None:
        """Nothing that comes raises anything, and each packet is either carried or counted as dropped."""
        made = timeline(*range(0, 128, 7))
        for place, tail in enumerate(tails):
            for data in (tail, head + tail, bytes([0x80 | tail[0] & 0x3F if tail else 0x80]) + head[1:] + tail):
                out = made.carry(data, place * 0.02)
                self.assertTrue(out is None or (len(out) >= 12 and out[0] == 0x80))
        self.assertEqual(made.packets + made.dropped, 3 * len(tails))


VP8 = Codec(96, "VP8", 90000)


class TestVideo(SynchronousTestCase):
    """A picture is several packets with one timestamp on a clock of 90 kHz."""

    def pictures(self, made: Timeline, first: int, ssrc: int, now: float, count: int = 10) -> list[tuple[int, ...]]:
        seen = []
        for place in range(count):
            for part in range(3):
                data = packet(first + 3 * place + part, 3000 * place, ssrc, pt=96 | (128 if part == 2 else 0))
                out = made.carry(data, now + place / 30)
                assert out is not None
                seen.append(struct.unpack_from("!BHI", out, 1))
        return seen

    def test_passes(self) -> None:
        """Payload type, marker and shared timestamps survive; loss and jitter are counted on the right clock."""
        made = Timeline("video")
        made.agree({96: Route(120, source=VP8)})
        seen = self.pictures(made, 5, 1, 1.0)
        self.assertEqual([second for second, _, _ in seen[:3]], [120, 120, 120 | 128])
        self.assertEqual({ts for _, _, ts in seen[:3]}, {0})
        self.assertEqual((made.meter.lost, made.packets, made.codec), (0, 30, VP8))
        self.assertLess(made.meter.jitter, 1)

    def test_another_camera(self) -> None:
        """After a change of source numbers go on by one, and time by at least one picture."""
        made = Timeline("video")
        made.agree({96: Route(96, source=VP8)})
        before = self.pictures(made, 5, 1, 1.0)[-1]
        after = self.pictures(made, 9999, 2, 1.0 + 9 / 30)[0]
        self.assertEqual(((after[1] - before[1]) & 0xFFFF, after[2] - before[2]), (1, 3000))
