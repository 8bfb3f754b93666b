"""Timelines, reports and G.711: what a receiver sees stays in one piece."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW, alaw_to_linear, ulaw_to_linear
from rtcgw.media.rtcp import Control
from rtcgw.media.rtp import Route, Timeline, strip
from tests.media.memory import PHONE, Bench
from tests.peers.rtp import sender_report


def packet(seq: int, ts: int = 0, ssrc: int = 1, pt: int = 0, payload: bytes = b"x", first: int = 0x80) -> bytes:
    return struct.pack("!BBHII", first, pt, seq & 0xFFFF, ts & 0xFFFFFFFF, ssrc) + payload


def timeline(*pts: int) -> Timeline:
    made = Timeline()
    made.agree({pt: Route(pt) for pt in pts or (0,)})
    return made


def carried(data: bytes, stream: Timeline, back: Timeline) -> bytes | None:
    return Control(stream, back).carry(data, 0.0, {})


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


class TestReports(SynchronousTestCase):
    def test_translated(self) -> None:
        """After a change of source, reports speak of the stream that each side knows."""
        stream, back = timeline(), timeline()
        for made in (stream, back):
            made.carry(packet(100, 1000, ssrc=1))
            made.carry(packet(7, 50, ssrc=2))
        out = carried(sender_report(2, 50, about=1, newest=0x10000 + 101), stream, back)
        assert out is not None
        ssrc, _, _, ts = struct.unpack_from("!IIII", out, 4)
        about, newest = struct.unpack_from("!I4xI", out, 28)
        self.assertEqual((ssrc, ts, about, newest), (1, 1160, 2, 0x10000 + 7))
        self.assertEqual(struct.unpack_from("!I", out, 56)[0], 1, "the SDES names the same source")

    def test_unchanged_sources(self) -> None:
        """Without a change nothing is altered."""
        stream, back = timeline(), timeline()
        stream.carry(packet(1, ssrc=1))
        back.carry(packet(1, ssrc=2))
        report = sender_report(1, 5, about=2, newest=1)
        self.assertEqual(carried(report, stream, back), report)

    def test_feedback_stays_behind(self) -> None:
        """Feedback, extended reports and goodbyes are left out; a packet of nothing else is none."""
        feedback = struct.pack("!BBHII", 0x81, 205, 2, 1, 2)
        goodbye = struct.pack("!BBHI", 0x81, 203, 1, 1)
        report = sender_report(1, 5)
        self.assertEqual(carried(report + feedback + goodbye, timeline(), timeline()), report)
        self.assertIsNone(carried(feedback, timeline(), timeline()))

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=80), st.integers(0, 60))
    def test_rubbish(self, data: bytes, place: int) -> None:
        """No datagram raises anything, however it is cut or altered."""
        report = sender_report(1, 5, about=2)
        for candidate in (data, report[:place], report[:place] + data, b"\x9f\xc8\x00\x06" + data):
            out = carried(candidate, timeline(), timeline())
            self.assertTrue(out is None or out[1] in (200, 201))

    def test_both_ways_through_a_call(self) -> None:
        """The phone's report reaches the browser and the other way round; a stranger's does not."""
        bench = Bench()
        bench.call()
        bench.talk(2)
        heard: list[bytes] = []
        bench.browser.on_rtcp = heard.append
        assert bench.phone_port is not None
        target = (bench.phone_port[0], bench.phone_port[1] + 1)
        report = sender_report(bench.phone.ssrc, 1)
        bench.network.send(report, (PHONE[0], PHONE[1] + 1), target)
        bench.network.send(report, ("203.0.113.9", 4001), target)
        bench.browser.send_rtcp(sender_report(bench.voice.ssrc, 1))
        bench.network.run()
        self.assertEqual((heard, len(bench.reports)), ([report], 1))


class TestG711(SynchronousTestCase):
    def test_tables(self) -> None:
        """Each law's octet becomes the other's nearest: to within one step of the coarser one."""
        for code in range(256):
            sample = ulaw_to_linear(code)
            self.assertLessEqual(abs(alaw_to_linear(ULAW_TO_ALAW[code]) - sample), 16 + abs(sample) // 16)
            sample = alaw_to_linear(code)
            self.assertLessEqual(abs(ulaw_to_linear(ALAW_TO_ULAW[code]) - sample), 16 + abs(sample) // 16)

    def test_known_values(self) -> None:
        """The ends and the middle of both scales (ITU-T G.711)."""
        self.assertEqual([ulaw_to_linear(code) for code in (0x00, 0x80, 0xFF)], [-32124, 32124, 0])
        self.assertEqual([alaw_to_linear(code) for code in (0x2A, 0xAA, 0xD5)], [-32256, 32256, 8])
