"""Sound and picture on one transport: each packet reaches its own line."""

from __future__ import annotations

import struct
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets.bundle import Bundle
from rtcgw.media.packets.relay import Latch, Relay
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtcp import empty_report, parts
from rtcgw.media.sdp import Codec
from tests.media.lines import Leg
from tests.media.test_rtcp import feedback, receiver_report
from tests.peers.rtp import sender_report

SOUND, PICTURE = 0x51, 0x91
"""SSRCs of the browser; the phone's are one more."""


def packet(pt: int, ssrc: int, seq: int = 1) -> bytes:
    return struct.pack("!BBHII", 0x80, pt, seq, 0, ssrc) + b"x"


class Call:
    """A bundle of two lines, both of which have been heard both ways; what each phone socket was sent."""

    def __init__(self) -> None:
        self.sent: dict[str, list[bytes]] = {"audio": [], "video": []}
        self.reports: dict[str, list[bytes]] = {"audio": [], "video": []}
        self.wanted = 0
        self.leg = Leg()
        self.audio = self._line("audio", Codec(0, "PCMU", 8000), 4000)
        self.video = self._line("video", Codec(96, "VP8", 90000), 4002)
        self.bundle = Bundle()
        self.bundle.route({0: self.audio, 96: self.video, 97: self.video})
        self.bundle.rtp(packet(0, SOUND))
        self.bundle.rtp(packet(96, PICTURE))
        self.audio.datagramReceived(packet(0, SOUND + 1), ("198.51.100.7", 4000))
        self.video.datagramReceived(packet(96, PICTURE + 1), ("198.51.100.7", 4002))

    def _line(self, kind: str, codec: Codec, port: int) -> Relay:
        relay = Relay(kind, Latch.HOST, lambda _: None, self._want, lambda: 1.0)
        relay.leg = self.leg.as_leg
        relay.opened(self._into(self.sent[kind]), self._into(self.reports[kind]))
        routes = {codec.pt: Route(codec.pt, source=codec)}
        relay.agree(routes, routes, feedback=True)
        relay.connect(("198.51.100.7", port), ("198.51.100.7", port + 1), hears=True, wanted=True)
        return relay

    def _into(self, found: list[bytes]) -> Callable[[bytes, tuple[str, int]], object]:
        return lambda data, _: found.append(data)

    def _want(self) -> None:
        self.wanted += 1

    def kinds(self, line: str) -> list[list[tuple[int, int]]]:
        """Of each compound packet that a phone's line was sent: kind and form of its parts."""
        return [[(part.kind, part.form) for part in parts(data) or []] for data in self.reports[line]]


class TestBundle(SynchronousTestCase):
    def test_packets_by_type(self) -> None:
        """Sound goes to the line of sound, pictures to the other; a payload type of nobody is dropped."""
        call = Call()
        call.bundle.rtp(packet(0, SOUND, 2))
        call.bundle.rtp(packet(96, PICTURE, 2))
        call.bundle.rtp(packet(33, 5))
        self.assertEqual([[data[1] for data in sent] for sent in call.sent.values()], [[0, 0], [96, 96]])
        self.assertEqual(call.bundle.dropped, 1)

    def test_reports_of_senders(self) -> None:
        """Each sender's report and name go with its own line."""
        call = Call()
        call.bundle.rtcp(sender_report(SOUND, 1) + sender_report(PICTURE, 2))
        self.assertEqual((call.kinds("audio"), call.kinds("video")), ([[(200, 0), (202, 1)]], [[(200, 0), (202, 1)]]))
        self.assertEqual(struct.unpack_from("!I", call.reports["video"][0], 4)[0], PICTURE)

    def test_blocks_about_both(self) -> None:
        """A report of sound that also speaks of the picture is split: each phone hears of what it sends."""
        call = Call()
        first, second = receiver_report(0, SOUND + 1, lost=3)[8:], receiver_report(0, PICTURE + 1, lost=5)[8:]
        report = sender_report(SOUND, 1)[:28]
        call.bundle.rtcp(bytes([0x82]) + report[1:2] + struct.pack("!H", 6 + 12) + report[4:28] + first + second)
        self.assertEqual((call.kinds("audio"), call.kinds("video")), ([[(200, 1)]], [[(201, 1)]]))
        self.assertEqual(struct.unpack_from("!I", call.reports["video"][0], 8)[0], PICTURE + 1)
        self.assertEqual([stream.lost for stream in (call.audio.counts()[1], call.video.counts()[1])], [3, 5])

    def test_a_browser_that_only_listens(self) -> None:
        """A report under an SSRC that sends nothing is found by what it is about; feedback too."""
        call = Call()
        call.bundle.rtcp(receiver_report(1, PICTURE + 1) + feedback(206, 1, 1, PICTURE + 1))
        call.bundle.rtcp(empty_report(1) + feedback(206, 4, 1, 0, struct.pack("!IB3x", PICTURE + 1, 1)))
        self.assertEqual(call.kinds("video"), [[(201, 1), (206, 1)], [(201, 0), (206, 4)]])
        self.assertEqual(call.kinds("audio"), [])

    def test_of_nobody(self) -> None:
        """Reports about unknown streams, and what is no RTCP, are dropped and counted."""
        call = Call()
        for data in (receiver_report(1, 12345), empty_report(1), b"\x80\xc9\xff\xff" + bytes(4), b""):
            call.bundle.rtcp(data)
        self.assertEqual((call.bundle.dropped, call.kinds("audio"), call.kinds("video")), (4, [], []))

    def test_one_line(self) -> None:
        """With one line alone everything is its own."""
        call = Call()
        call.bundle.route({0: call.audio})
        call.bundle.rtcp(sender_report(SOUND, 1))
        self.assertEqual(call.kinds("audio"), [[(200, 0), (202, 1)]])

    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=90), st.integers(0, 80), st.integers(0, 31), st.sampled_from([200, 201, 202, 205, 206]))
    def test_rubbish(self, data: bytes, place: int, form: int, kind: int) -> None:
        """No datagram raises anything."""
        call = Call()
        whole = sender_report(SOUND, 1, about=PICTURE + 1) + feedback(206, 1, 1, PICTURE + 1)
        lying = struct.pack("!BBH", 0x80 | form, kind, len(data) // 4)
        for candidate in (data, whole[:place] + data, lying + data):
            call.bundle.rtcp(candidate)
            if len(candidate) >= 12:
                call.bundle.rtp(candidate)
        self.assertLessEqual(len(call.reports["audio"]), 3)
