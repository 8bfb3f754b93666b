"""Reports and feedback: translated, measured by, bounded."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtcp import MAX_PARTS, PER_SECOND, Control, empty_report, parts, picture_wanted
from rtcgw.media.packets.rtp import Timeline
from tests.peers.rtp import sender_report


def packet(seq: int, ts: int = 0, ssrc: int = 1) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, seq, ts, ssrc) + b"x"


def timeline(kind: str = "audio") -> Timeline:
    made = Timeline(kind)
    made.agree({0: Route(0)})
    return made


def carried(data: bytes, stream: Timeline, back: Timeline) -> bytes | None:
    return Control(stream, back).carry(data, 0.0, {})


def receiver_report(ssrc: int, about: int, lost: int = 0, newest: int = 0, lsr: int = 0, dlsr: int = 0) -> bytes:
    return struct.pack("!BBHIIIIIII", 0x81, 201, 7, ssrc, about, lost & 0xFFFFFF, newest, 80, lsr, dlsr)


def feedback(kind: int, form: int, ssrc: int, about: int, fci: bytes = b"") -> bytes:
    return struct.pack("!BBHII", 0x80 | form, kind, 2 + len(fci) // 4, ssrc, about) + fci


def changed() -> tuple[Timeline, Timeline]:
    """Two timelines whose sources have changed from 1 to 2: the receivers still see 1."""
    stream, back = timeline("video"), timeline("video")
    for made in (stream, back):
        made.carry(packet(100, 1000, ssrc=1))
        made.carry(packet(7, 50, ssrc=2))
    return stream, back


class TestReports(SynchronousTestCase):
    def test_translated(self) -> None:
        """After a change of source, reports speak of the stream that each side knows."""
        stream, back = timeline(), timeline()
        for made in (stream, back):
            made.carry(packet(100, 1000, ssrc=1))
            made.carry(packet(7, 50, ssrc=2))
        out = carried(sender_report(2, 50, about=1, newest=0x10000 + 101), stream, back)
        assert out is not None
        ssrc, _, _, ts, packets, octets = struct.unpack_from("!IIIIII", out, 4)
        about, newest = struct.unpack_from("!I4xI", out, 28)
        self.assertEqual((ssrc, ts, about, newest), (1, 1160, 2, 0x10000 + 7))
        self.assertEqual((packets, octets), (2, 2), "what the receiver was sent, not what this source has sent")
        self.assertEqual(struct.unpack_from("!I", out, 56)[0], 1, "the SDES names the same source")

    def test_unchanged_sources(self) -> None:
        """Without a change nothing is altered."""
        stream, back = timeline(), timeline()
        stream.carry(packet(1, ssrc=1))
        back.carry(packet(1, ssrc=2))
        report = sender_report(1, 5, about=2, newest=1)
        self.assertEqual(carried(report, stream, back), report)

    def test_what_stays_behind(self) -> None:
        """Bandwidth estimates, extended reports and goodbyes are left out; a packet of nothing else is none."""
        remb = feedback(206, 15, 1, 0, b"REMB" + bytes(8))
        transport = feedback(205, 15, 1, 2, bytes(8))
        extended = struct.pack("!BBHII", 0x80, 207, 2, 1, 0)
        goodbye = struct.pack("!BBHI", 0x81, 203, 1, 1)
        report, (stream, back) = sender_report(1, 5), changed()
        control = Control(stream, back)
        control.feedback = True
        for rest in (remb, transport, extended, goodbye):
            out = control.carry(report + rest, 0.0, {})
            self.assertEqual(out, report)
            self.assertIsNone(control.carry(rest, 0.0, {}))
        self.assertEqual(control.keyframes, 0)

    def test_round_trip(self) -> None:
        """An SR passes at 10.0 s; its receiver kept it for half a second; at 10.7 s that makes 200 ms."""
        stream, back = timeline(), timeline()
        stream.carry(packet(1, ssrc=1))
        sender, receiver = Control(stream, back), Control(back, stream)
        report = bytearray(sender_report(1, 5))
        struct.pack_into("!II", report, 8, 0xE1234567, 0x89ABCDEF)
        sender.carry(bytes(report), 10.0, receiver.sent)
        receiver.carry(receiver_report(9, about=1, lsr=0x456789AB, dlsr=0x8000, lost=7), 10.7, sender.sent)
        self.assertEqual(round(receiver.heard.rtt or 0), 200)
        self.assertEqual((receiver.heard.lost, receiver.heard.jitter), (7, 80))

    def test_lies_about_round_trips(self) -> None:
        """A report of an SR that never passed, or kept longer than that, measures nothing; negative loss is none."""
        stream, back = timeline(), timeline()
        stream.carry(packet(1, ssrc=1))
        sender, receiver = Control(stream, back), Control(back, stream)
        sender.carry(sender_report(1, 5), 10.0, receiver.sent)
        for lsr, dlsr in ((1234, 0), (0, 0), (next(iter(sender.sent)), 0xFFFFFFFF)):
            receiver.carry(receiver_report(9, about=1, lsr=lsr, dlsr=dlsr, lost=-3), 10.1, sender.sent)
        self.assertEqual((receiver.heard.rtt, receiver.heard.lost), (None, 0))

    def test_few_reports_are_remembered(self) -> None:
        """However many SRs pass, only the newest are kept to measure by."""
        stream = timeline()
        stream.carry(packet(1, ssrc=1))
        control = Control(stream, timeline())
        for place in range(40):
            report = bytearray(sender_report(1, 5))
            struct.pack_into("!I", report, 10, place)
            control.carry(bytes(report), float(place), {})
        self.assertEqual(list(control.sent), list(range(32, 40)))


class TestFeedback(SynchronousTestCase):
    def control(self) -> Control:
        stream, back = changed()
        made = Control(stream, back)
        made.feedback = True
        return made

    def test_whole_picture(self) -> None:
        """A PLI about the stream that the party sees becomes one about its present source."""
        out = self.control().carry(empty_report(2) + feedback(206, 1, 2, about=1), 0.0, {})
        self.assertEqual(out, empty_report(1) + feedback(206, 1, 1, about=2))

    def test_full_intra_request(self) -> None:
        """A FIR names its sources in a list (RFC 5104 §4.3.1); each is translated."""
        fci = struct.pack("!IB3xIB3x", 1, 9, 77, 3)
        out = self.control().carry(empty_report(2) + feedback(206, 4, 2, 0, fci), 0.0, {})
        self.assertEqual(out, empty_report(1) + feedback(206, 4, 1, 0, struct.pack("!IB3xIB3x", 2, 9, 77, 3)))

    def test_missing_packets(self) -> None:
        """A NACK asks for the numbers that the source has given (RFC 4585 §6.2.1)."""
        fci = struct.pack("!HHHH", 101, 3, 100, 0)
        out = self.control().carry(empty_report(2) + feedback(205, 1, 2, 1, fci), 0.0, {})
        assert out is not None
        self.assertEqual(struct.unpack_from("!IIHHHH", out, 12), (1, 2, 7, 3, 6, 0))

    def test_alone(self) -> None:
        """Feedback without a report before it gets one: reduced size was not agreed on with everybody."""
        out = self.control().carry(feedback(206, 1, 2, about=1), 0.0, {})
        self.assertEqual(out, empty_report(1) + feedback(206, 1, 1, about=2))

    def test_not_agreed(self) -> None:
        """A receiver that takes no feedback gets none; that a picture is wanted is kept for signalling."""
        control = self.control()
        control.feedback = False
        report = empty_report(2)
        fir = feedback(206, 4, 2, 0, struct.pack("!IB3x", 1, 9))
        nack = feedback(205, 1, 2, 1, struct.pack("!HH", 101, 0))
        self.assertEqual(control.carry(report + feedback(206, 1, 2, 1) + fir + nack, 0.0, {}), empty_report(1))
        self.assertEqual(control.keyframes, 2)

    def test_about_nothing(self) -> None:
        """Feedback before the first packet of what it is about is left out."""
        control = Control(timeline("video"), timeline("video"))
        control.feedback = True
        self.assertIsNone(control.carry(feedback(206, 1, 2, about=1), 0.0, {}))

    def test_our_own_request(self) -> None:
        """What we ask with is a whole compound packet: report, name, PLI."""
        found = parts(picture_wanted(11, 22))
        assert found is not None
        self.assertEqual(
            [(part.kind, part.form, part.ssrc) for part in found], [(201, 0, 11), (202, 1, 11), (206, 1, 11)]
        )
        self.assertEqual(struct.unpack_from("!I", found[2].data, 8)[0], 22)


class TestBounds(SynchronousTestCase):
    @settings(max_examples=80, deadline=None)
    @given(st.binary(max_size=80), st.integers(0, 60), st.sampled_from([200, 201, 202, 205, 206]), st.integers(0, 31))
    def test_rubbish(self, data: bytes, place: int, kind: int, form: int) -> None:
        """No datagram raises anything, however it is cut or altered; what comes out begins with a report."""
        report = sender_report(1, 5, about=2)
        lying = struct.pack("!BBH", 0x80 | form, kind, len(data) // 4)
        control = TestFeedback().control()
        for candidate in (data, report[:place], report[:place] + data, lying + data, empty_report(1) + lying + data):
            out = control.carry(candidate, 0.0, {})
            if out is not None:
                self.assertIn(out[1], (200, 201))
                self.assertIsNotNone(parts(out))

    def test_lying_lengths(self) -> None:
        """A length beyond the datagram, none at all, or another version: the whole packet is dropped and counted."""
        control = Control(timeline(), timeline())
        for data in (
            struct.pack("!BBHI", 0x80, 201, 500, 1),
            struct.pack("!BBHI", 0x80, 201, 0, 1),
            struct.pack("!BBHI", 0x40, 201, 1, 1),
            struct.pack("!BBHI", 0x9F, 201, 1, 1),
            struct.pack("!BBHI", 0x9F, 200, 1, 1),
        ):
            self.assertIsNone(control.carry(data, 0.0, {}))
        self.assertEqual(control.dropped, 5)

    def test_bombs(self) -> None:
        """A compound packet of very many pieces is dropped; as many as are allowed pass."""
        control = Control(timeline(), timeline())
        self.assertIsNotNone(control.carry(empty_report(1) * MAX_PARTS, 0.0, {}))
        self.assertIsNone(control.carry(empty_report(1) * (MAX_PARTS + 1), 0.0, {}))
        self.assertEqual(control.dropped, 1)

    def test_floods(self) -> None:
        """More packets in a second than anybody needs are dropped; the next second begins anew."""
        control = Control(timeline(), timeline())
        passed = [control.carry(empty_report(1), 5.0 + place / 1000, {}) for place in range(PER_SECOND + 30)]
        self.assertEqual(sum(out is not None for out in passed), PER_SECOND)
        self.assertEqual(control.dropped, 30)
        self.assertIsNotNone(control.carry(empty_report(1), 6.0, {}))
