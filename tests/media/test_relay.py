"""Whose packets a relay carries, whom it follows, what it asks for, and what it counts."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.packets import srtp
from rtcgw.media.packets.relay import KEYFRAME_GAP, Latch
from rtcgw.media.packets.rtcp import PER_SECOND, empty_report
from rtcgw.media.packets.sdes import SUITES, CoreKeys, Crypto
from tests.media.lines import PHONE, PHONE_RTCP, Rig
from tests.media.test_rtcp import feedback, receiver_report
from tests.peers.rtp import sender_report

NEIGHBOUR = ("198.51.100.7", 4444)
"""Another port of the phone's host."""
STRANGER = ("203.0.113.9", 4000)


class TestFollowing(SynchronousTestCase):
    """Symmetric RTP (RFC 4961), and how far it goes."""

    def test_off(self) -> None:
        """Nobody but the address named is heard, and packets go nowhere else."""
        rig = Rig(latch=Latch.OFF)
        for source in (NEIGHBOUR, STRANGER, PHONE):
            rig.relay.datagramReceived(rig.packet(), source)
        rig.relay.from_web(rig.packet())
        self.assertEqual((len(rig.leg.packets), rig.relay.strangers, rig.sounds), (1, 2, [PHONE]))
        self.assertEqual(rig.sent[0][1], PHONE)

    def test_host(self) -> None:
        """The first port of the phone's host that speaks is the phone; no other one afterwards, no other host ever."""
        rig = Rig(latch=Latch.HOST)
        for source in (STRANGER, NEIGHBOUR, ("198.51.100.7", 5555), STRANGER, NEIGHBOUR):
            rig.relay.datagramReceived(rig.packet(), source)
        rig.relay.from_web(rig.packet())
        self.assertEqual((len(rig.leg.packets), rig.relay.strangers, rig.sounds), (2, 3, [NEIGHBOUR]))
        self.assertEqual(rig.sent[0][1], NEIGHBOUR)
        rig.relay.datagramReceived(rig.packet(), PHONE)
        self.assertEqual(len(rig.leg.packets), 3, "the address named is always the phone's")

    def test_any(self) -> None:
        """Whoever is first, once and for all."""
        rig = Rig(latch=Latch.ANY)
        for source in (STRANGER, ("192.0.2.77", 1), STRANGER):
            rig.relay.datagramReceived(rig.packet(), source)
        self.assertEqual((len(rig.leg.packets), rig.relay.strangers, rig.sounds), (2, 1, [STRANGER]))

    def test_only_rtp_moves_anything(self) -> None:
        """STUN, fragments and other protocols from the phone's host are not followed."""
        rig = Rig()
        for data in (b"\x00\x01" + bytes(30), b"\x80", b"", b"\x40" + bytes(40)):
            rig.relay.datagramReceived(data, NEIGHBOUR)
        self.assertEqual((rig.relay.strangers, rig.sounds, rig.leg.packets), (4, [], []))

    def test_hold(self) -> None:
        """A party that the other one does not want to hear is not heard, but known to be alive."""
        rig = Rig()
        rig.relay.connect(PHONE, PHONE_RTCP, hears=False, wanted=False)
        rig.talk()
        self.assertEqual((rig.sent, rig.leg.packets), ([], []))
        self.assertEqual((rig.relay.last_web, rig.relay.last_core), (0.02, 0.02))
        rig.relay.datagramReceived(b"\x00" * 20, PHONE)
        self.assertEqual(rig.relay.last_core, 0.02)

    def test_closed(self) -> None:
        """After the end nothing passes and nothing is raised."""
        rig = Rig()
        rig.talk()
        rig.relay.close()
        rig.talk()
        rig.relay.rtcp_from_web(empty_report(1))
        rig.rtcp.datagramReceived(empty_report(1), PHONE_RTCP)
        rig.relay.ask_web()
        rig.relay.ask_core()
        self.assertEqual((len(rig.sent), len(rig.leg.packets), rig.reports, rig.leg.reports), (1, 1, [], []))

    def test_a_socket_that_refuses(self) -> None:
        """What the socket does not take is counted, in sound and in reports."""
        rig = Rig()

        def refuse(data: bytes, address: tuple[str, int]) -> None:
            raise OSError("no route")

        rig.relay.opened(refuse, refuse)
        rig.talk()
        rig.relay.rtcp_from_web(empty_report(1))
        self.assertEqual(rig.relay.unsent, 2)

    def test_hostile_packets(self) -> None:
        """Wrong padding, lying extensions and sources, other versions: nothing of them reaches the browser."""
        rig = Rig()
        good = rig.packet()
        for data in (
            good[:11],
            b"\xa0" + good[1:] + b"\xff",
            b"\xa0" + good[1:] + b"\x00",
            b"\x8f" + good[1:],
            b"\x90" + good[1:12] + b"\xbe\xde\xff\xff",
            b"\x90" + good[1:14],
            b"\xc0" + good[1:],
            good[:1] + b"\x7f" + good[2:],
        ):
            rig.relay.datagramReceived(data, PHONE)
        self.assertEqual(rig.leg.packets, [])
        self.assertEqual(rig.relay.counts()[1].dropped, 8)


def keys(suite: str = "AES_CM_128_HMAC_SHA1_80") -> CoreKeys:
    return CoreKeys(Crypto.make(1, suite), Crypto.make(1, suite))


class TestEncrypted(SynchronousTestCase):
    """SRTP towards the core (RFC 4568)."""

    def test_both_ways(self) -> None:
        """Sound and reports are protected in every suite, and neither is to be seen on the wire."""
        for suite in SUITES:
            rig, agreed = Rig(), keys(suite)
            rig.relay.secure(agreed)
            close, close_rtcp = srtp.closing(agreed.remote.profile, agreed.remote.key)
            open_, open_rtcp = srtp.opening(agreed.local.profile, agreed.local.key)
            data = rig.packet()
            rig.relay.from_web(data)
            rig.relay.datagramReceived(close(data), PHONE)
            self.assertEqual((open_(rig.sent[0][0]), rig.leg.packets), (data, [data]))
            self.assertNotIn(b"sound", rig.sent[0][0])
            report = sender_report(5, 1)
            rig.relay.rtcp_from_web(report)
            rig.rtcp.datagramReceived(close_rtcp(report), PHONE_RTCP)
            self.assertEqual((open_rtcp(rig.reports[0][0]), rig.leg.reports), (report, [report]))

    def test_forgeries(self) -> None:
        """Plain, altered, truncated and replayed packets are dropped and counted, and latch nothing."""
        rig, agreed = Rig(), keys()
        rig.relay.secure(agreed)
        close, _ = srtp.closing(agreed.remote.profile, agreed.remote.key)
        first, second = close(rig.packet()), close(rig.packet())
        altered = first[:20] + bytes([first[20] ^ 1]) + first[21:]
        for data in (rig.packet(), altered, first[:-1], first[:8], b""):
            rig.relay.datagramReceived(data, NEIGHBOUR)
        rig.relay.datagramReceived(first, STRANGER)
        self.assertEqual((rig.relay.unproven, rig.relay.strangers, rig.sounds, rig.leg.packets), (5, 1, [], []))
        rig.relay.datagramReceived(first, PHONE)
        rig.relay.datagramReceived(first, PHONE)
        rig.relay.datagramReceived(second, PHONE)
        self.assertEqual((len(rig.leg.packets), rig.relay.unproven, rig.sounds), (2, 6, [PHONE]))
        rig.rtcp.datagramReceived(empty_report(1), PHONE_RTCP)
        self.assertEqual((rig.relay.unproven, rig.leg.reports), (7, []))
        self.assertEqual(rig.relay.counts()[1].dropped, 8)

    def test_a_phone_that_moves(self) -> None:
        """What authenticates is followed, even in mid-call; what does not, from the same place, is not."""
        rig, agreed = Rig(), keys()
        rig.relay.secure(agreed)
        close, _ = srtp.closing(agreed.remote.profile, agreed.remote.key)
        for source in (PHONE, NEIGHBOUR, ("198.51.100.7", 5555)):
            rig.relay.datagramReceived(close(rig.packet()), source)
            rig.relay.from_web(rig.packet())
        rig.relay.datagramReceived(rig.packet(), NEIGHBOUR)
        rig.relay.from_web(rig.packet())
        self.assertEqual([where[1] for _, where in rig.sent], [4000, 4444, 5555, 5555])
        self.assertEqual((rig.sounds, rig.relay.unproven), ([PHONE], 1))

    def test_the_same_keys_again(self) -> None:
        """A re-offer that repeats the keys does not begin them anew: a replay stays one, and numbers go on."""
        rig, agreed = Rig(), keys()
        rig.relay.secure(agreed)
        close, _ = srtp.closing(agreed.remote.profile, agreed.remote.key)
        data = close(rig.packet())
        rig.relay.datagramReceived(data, PHONE)
        rig.relay.secure(CoreKeys(agreed.local, agreed.remote))
        rig.relay.datagramReceived(data, PHONE)
        self.assertEqual((len(rig.leg.packets), rig.relay.unproven), (1, 1))

    def test_another_key(self) -> None:
        """A phone's new key replaces its old one; ours goes on; without keys everything is plain again."""
        rig, agreed = Rig(), keys()
        rig.relay.secure(agreed)
        fresh = Crypto.make(1, agreed.remote.suite)
        rig.relay.secure(CoreKeys(agreed.local, fresh))
        close, _ = srtp.closing(fresh.profile, fresh.key)
        rig.relay.datagramReceived(close(rig.packet()), PHONE)
        self.assertEqual(len(rig.leg.packets), 1)
        rig.relay.secure(None)
        rig.talk()
        self.assertEqual((len(rig.leg.packets), rig.sent[-1][0]), (2, rig.leg.packets[-1]))


class TestPictures(SynchronousTestCase):
    """Whole pictures, asked for and passed on."""

    PLI = staticmethod(lambda about: empty_report(1) + feedback(206, 1, 1, about))

    def test_by_signalling(self) -> None:
        """A phone without feedback is asked by signalling: at once, then not more than twice a second."""
        rig = Rig("video")
        rig.talk()
        for _ in range(20):
            rig.relay.rtcp_from_web(self.PLI(5))
            rig.clock.advance(0.1)
        self.assertEqual(rig.wanted, 2 / KEYFRAME_GAP)
        self.assertTrue(all(data == empty_report(1) for data, _ in rig.reports))

    def test_by_feedback(self) -> None:
        """A phone with feedback is asked by it, and signalling is left alone."""
        rig = Rig("video")
        rig.agree(feedback=True)
        rig.talk()
        rig.relay.rtcp_from_web(self.PLI(5))
        self.assertEqual((rig.wanted, [data for data, _ in rig.reports]), (0, [self.PLI(5)]))

    def test_the_phone_asks(self) -> None:
        """A phone's PLI reaches the browser."""
        rig = Rig("video")
        rig.talk()
        rig.leg.reports.clear()
        rig.rtcp.datagramReceived(self.PLI(5), PHONE_RTCP)
        self.assertEqual(rig.leg.reports, [self.PLI(5)])

    def test_we_ask(self) -> None:
        """On behalf of signalling the gateway asks either end itself, once there is anything to ask for."""
        rig = Rig("video")
        rig.relay.ask_web()
        rig.relay.ask_core()
        rig.talk()
        rig.leg.reports.clear()
        rig.relay.ask_core()
        self.assertEqual((rig.leg.reports, rig.reports), ([], []), "the phone has not agreed to feedback")
        rig.agree(feedback=True)
        rig.relay.ask_web()
        rig.relay.ask_core()
        self.assertEqual((len(rig.leg.reports), len(rig.reports)), (1, 1))
        for data in (rig.leg.reports[0], rig.reports[0][0]):
            self.assertEqual(struct.unpack_from("!II", data, len(data) - 8), (5, 5))

    def test_what_the_phone_has_missed(self) -> None:
        """A camera's first whole picture may be lost before the phone is there, or while it is on hold: the browser is
        asked for another with the first packet that goes through, and for no more."""
        rig = Rig("video")
        for times in (1, 2):
            rig.relay.connect(PHONE, PHONE_RTCP, hears=False, wanted=True)
            rig.relay.from_web(rig.packet())
            self.assertEqual(len(rig.leg.reports), times - 1)
            rig.relay.connect(PHONE, PHONE_RTCP, hears=True, wanted=True)
            for _ in range(3):
                rig.relay.from_web(rig.packet())
            self.assertEqual(len(rig.leg.reports), times)
        self.assertEqual(struct.unpack_from("!BB", rig.leg.reports[-1], len(rig.leg.reports[-1]) - 12), (0x81, 206))

    def test_sound_has_none(self) -> None:
        """Feedback in a line of sound is dropped both ways and asks nobody for anything."""
        rig = Rig()
        rig.agree(feedback=True)
        rig.talk()
        rig.relay.rtcp_from_web(self.PLI(5))
        rig.rtcp.datagramReceived(self.PLI(5), PHONE_RTCP)
        self.assertEqual(rig.wanted, 0)
        self.assertEqual([data for data, _ in rig.reports] + rig.leg.reports, [empty_report(1)] * 2)


class TestReports(SynchronousTestCase):
    def test_strangers(self) -> None:
        """Reports of other hosts are dropped; the phone's are, and their port is where ours go."""
        rig = Rig()
        rig.rtcp.datagramReceived(empty_report(5), STRANGER)
        rig.rtcp.datagramReceived(empty_report(5), NEIGHBOUR)
        rig.relay.rtcp_from_web(empty_report(5))
        self.assertEqual((len(rig.leg.reports), rig.relay.strangers, rig.reports[0][1]), (1, 1, NEIGHBOUR))

    def test_floods(self) -> None:
        """A flood of reports is cut off on either side, and counted."""
        rig = Rig()
        for _ in range(PER_SECOND + 25):
            rig.relay.rtcp_from_web(empty_report(5))
            rig.rtcp.datagramReceived(empty_report(5), PHONE_RTCP)
        self.assertEqual((len(rig.reports), len(rig.leg.reports)), (PER_SECOND, PER_SECOND))
        self.assertEqual([stream.dropped for stream in rig.relay.counts()], [25, 25])


class TestCounts(SynchronousTestCase):
    def test_nothing_yet(self) -> None:
        """Before the first packet nothing is claimed."""
        for stream in Rig().relay.counts():
            self.assertEqual((stream.packets, stream.lost, stream.jitter, stream.mos), (0, None, None, None))

    def test_a_good_call(self) -> None:
        """A call without a fault: codec, no loss, next to no jitter, and an opinion to match."""
        rig = Rig()
        rig.talk(50)
        for stream in rig.relay.counts():
            self.assertEqual((stream.packets, stream.octets, stream.lost, stream.codec), (50, 250, 0, "PCMU"))
            self.assertLess(stream.jitter or 0, 0.1)
            self.assertGreater(stream.mos or 0, 4.3)
        self.assertEqual((rig.relay.last_web, rig.relay.last_core), (rig.clock.seconds(), rig.clock.seconds()))

    def test_a_bad_one(self) -> None:
        """Loss before us is counted by us, loss behind us is told by the receiver; both spoil the opinion."""
        rig = Rig()
        for place in range(100):
            data = rig.packet()
            if place % 10 != 5:
                rig.relay.from_web(data)
            rig.relay.datagramReceived(data, PHONE)
        rig.relay.rtcp_from_web(receiver_report(5, about=5, lost=20))
        web, core = rig.relay.counts()
        self.assertEqual((web.lost, core.lost), (10, 20))
        self.assertTrue(2.5 < (core.mos or 0) < (web.mos or 0) < 3.5, (web.mos, core.mos))

    def test_round_trips(self) -> None:
        """How far away each party is, by its own reports of what the other one sent."""
        rig = Rig()
        rig.talk()
        report = bytearray(sender_report(5, 1))
        struct.pack_into("!II", report, 8, 0xE0001234, 0x56780000)
        rig.rtcp.datagramReceived(bytes(report), PHONE_RTCP)
        rig.clock.advance(0.3)
        rig.relay.rtcp_from_web(receiver_report(5, about=5, lsr=0x12345678, dlsr=0x10000 // 4))
        web, core = rig.relay.counts()
        self.assertEqual((round(web.rtt or 0), core.rtt), (50, None))
