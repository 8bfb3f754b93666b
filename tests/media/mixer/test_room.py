"""A conference as its parties hear it: each the sum of the others, and never itself."""

from __future__ import annotations

import itertools
import random
import struct

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import MediaError
from rtcgw.media.mixer.line import FLOOD
from rtcgw.media.mixer.room import MixerSettings
from rtcgw.media.packets.relay import Latch
from rtcgw.media.packets.rtcp import parts
from rtcgw.media.sdp import Direction, parse
from rtcgw.model.reason import Reason
from tests.media.memory import phone_sdp
from tests.media.mixer.rig import HERE, Hall


def direction(sdp: str) -> Direction:
    found = parse(sdp)
    return found.direction_of(found.media[0])


class HearingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall = Hall()

    def test_three(self) -> None:
        """Each of three hears the other two, whatever law and packet time each has."""
        self.hall.enter(400)
        self.hall.enter(700, pt=8)
        self.hall.enter(1100, ptime=30)
        self.assertEqual(self.hall.hearing(), [[700, 1100], [400, 1100], [400, 700]])

    def test_every_packet_time(self) -> None:
        """Packets of 10 to 60 ms are heard without a hole."""
        for ptime in (10, 20, 30, 40, 50, 60):
            hall = Hall()
            hall.enter(400, ptime=ptime)
            listener = hall.enter(700, ptime=ptime)
            hall.hearing(1.2, hall.talkers[:1])
            quiet = min(max(packet[12:].translate(_SIZE)) for packet in listener.packets)
            self.assertGreater(quiet, 90, f"{ptime} ms")
            self.assertEqual({len(packet) for packet in listener.packets}, {172})

    def test_full_room(self) -> None:
        """Eight speak at once: seven are heard by each; a ninth finds no place."""
        tones = [400, 500, 700, 900, 1100, 1300, 1500, 1700]
        for number, hertz in enumerate(tones):
            self.hall.enter(hertz, pt=8 * (number % 2)).level = 3000
        for found, own in zip(self.hall.hearing(), tones, strict=True):
            self.assertEqual(found, [hertz for hertz in tones if hertz != own])
        with self.assertRaises(MediaError) as caught:
            self.hall.room.open_line()
        self.assertIs(caught.exception.reason, Reason.OVERLOADED)

    def test_silence_is_sent(self) -> None:
        """Nobody speaks: everybody is sent silence all the same, so that no way through a firewall closes."""
        one, two = self.hall.enter(400), self.hall.enter(700)
        two.level = 20  # a room that hums
        self.hall.talk(1, [two])
        self.assertEqual(len(one.packets), 50)
        self.assertEqual({packet[12:] for packet in one.packets}, {b"\xff" * 160})

    def test_one_stream(self) -> None:
        """Numbers, times and the name of the stream go on in one piece; the first packet is marked."""
        one = self.hall.enter(400)
        self.hall.enter(700)
        self.hall.talk(0.5)
        heads = [struct.unpack("!BBHII", packet[:12]) for packet in one.packets]
        self.assertEqual([head[1] for head in heads], [0x80] + [0] * 24)
        self.assertEqual({(b[2] - a[2], b[3] - a[3], b[4] - a[4]) for a, b in itertools.pairwise(heads)}, {(1, 160, 0)})

    def test_who_leaves_is_not_heard(self) -> None:
        """A party that has left neither hears nor is heard, and is told so; its ports serve the next one."""
        one, two, three = (self.hall.enter(hertz) for hertz in (400, 700, 1100))
        self.hall.talk(0.3)
        free = self.hall.pairs.free
        self.hall.room.close_line(self.hall.lines[0])
        self.hall.room.close_line(self.hall.lines[0])
        self.hall.network.run()
        self.assertEqual([part.kind for part in parts(one.reports[-1]) or ()], [201, 202, 203])
        self.assertEqual(self.hall.hearing(), [[], [1100], [700]])
        self.assertEqual((one.packets, self.hall.pairs.free), ([], free + 1))
        self.assertTrue(two.packets and three.packets)

    def test_an_empty_room_rests(self) -> None:
        """Without a party nothing beats, and nothing is left open."""
        self.hall.enter(400)
        self.hall.room.close()
        self.hall.clock.advance(1)
        self.assertEqual((self.hall.clock.getDelayedCalls(), self.hall.mixer.rooms), ([], set()))
        self.hall.mixer.stop()
        self.assertEqual(self.hall.mixer.rows(), [])


class HoldTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall = Hall()
        self.one, self.two, self.three = (self.hall.enter(hertz) for hertz in (400, 700, 1100))
        self.line = self.hall.lines[0]

    def test_held(self) -> None:
        """Who holds the room hears nothing, and its music on hold is heard by nobody."""
        self.assertIs(direction(self.line.answer(self.one.sdp(direction="sendonly"))), Direction.INACTIVE)
        self.assertTrue(self.line.held)
        self.assertEqual(self.hall.hearing(), [[], [1100], [700]])
        self.assertEqual(self.one.packets, [])
        self.assertIs(direction(self.line.answer(self.one.sdp())), Direction.SENDRECV)
        self.assertEqual(self.hall.hearing(), [[700, 1100], [400, 1100], [400, 700]])

    def test_old_hold(self) -> None:
        """`c=0.0.0.0` is the same."""
        self.line.answer(phone_sdp("0", address=("0.0.0.0", 4000)))  # noqa: S104 - no address
        self.assertTrue(self.line.held)

    def test_listener(self) -> None:
        """Who only listens hears the others and is not heard, though it sends."""
        self.assertIs(direction(self.line.answer(self.one.sdp(direction="recvonly"))), Direction.SENDONLY)
        self.assertEqual(self.hall.hearing(), [[700, 1100], [1100], [700]])


class DescriptionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall = Hall()
        self.line = self.hall.room.open_line()

    def test_answer(self) -> None:
        """Sound in G.711 and keys are taken in the party's order; pictures and a second sound are refused."""
        offer = phone_sdp("9 8 0 101") + "m=video 4010 RTP/AVP 102\r\nm=audio 4020 RTP/AVP 0\r\n"
        answer = parse(self.line.answer(offer))
        self.assertEqual(
            [(media.kind, media.port > 0) for media in answer.media],
            [("audio", True), ("video", False), ("audio", False)],
        )
        self.assertEqual(answer.media[0].formats, ["8", "0", "101"])
        self.assertEqual(answer.media[0].port % 2, 0)

    def test_offer(self) -> None:
        """To a party that has offered nothing both laws are offered, and its answer is taken."""
        offer = parse(self.line.offer())
        self.assertEqual(offer.media[0].formats, ["0", "8", "101"])
        self.assertFalse(self.line.agreed)
        self.line.take(phone_sdp("8"))
        self.assertEqual((self.line.law, self.line.agreed), ("PCMA", True))
        again = parse(self.line.offer())
        self.assertEqual((again.number, int(again.version)), (offer.number, int(offer.version)), "nothing has changed")

    def test_refused(self) -> None:
        """No G.711, keys in the description, no line of sound, a line that vanishes: 488, and all is as before."""
        for text in (
            phone_sdp("9 101"),
            phone_sdp("0", proto="RTP/SAVP"),
            phone_sdp("0").replace("m=audio", "m=video"),
            "no description",
        ):
            with self.assertRaises(MediaError) as caught:
                self.line.answer(text)
            self.assertIs(caught.exception.reason, Reason.MEDIA)
        self.assertFalse(self.line.agreed)
        self.line.answer(phone_sdp("0") + "m=video 4010 RTP/AVP 102\r\n")
        self.assertRaises(MediaError, self.line.answer, phone_sdp("8"))
        self.assertRaises(MediaError, self.line.take, phone_sdp("8"))
        self.assertEqual(self.line.law, "PCMU")

    def test_another_law(self) -> None:
        """A party that comes back with the other law is sent that one, and is heard in it."""
        hall = Hall()
        one, two = hall.enter(400), hall.enter(700)
        hall.talk(0.2)
        one.pt = 8
        hall.lines[0].answer(one.sdp())
        self.assertEqual(hall.hearing(), [[700], [400]])
        self.assertEqual({packet[1] & 127 for packet in one.packets}, {8})
        self.assertEqual({packet[1] & 127 for packet in two.packets}, {0})

    def test_addresses(self) -> None:
        """Phones are told one address, those whom the gateway's own media carry another."""
        hall = Hall(MixerSettings(announce="203.0.113.1", inside=HERE))
        self.assertIn("c=IN IP4 203.0.113.1", hall.room.open_line().offer())
        self.assertIn(f"c=IN IP4 {HERE}", hall.room.open_line(inside=True).offer())


class HostileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.hall = Hall()
        self.one, self.two = self.hall.enter(400), self.hall.enter(700)
        self.line = self.hall.lines[0]

    def test_strangers(self) -> None:
        """Packets of anybody else are dropped and counted, before and after the party has spoken."""
        to = (HERE, self.line.port)
        for _ in range(2):
            self.hall.network.send(self.two.packet(), ("203.0.113.9", 4000), to)
            self.hall.network.run()
            self.hall.talk(0.1)
        self.hall.network.send(self.two.packet(), (self.one.address[0], 5555), to)
        self.hall.network.run()
        self.assertEqual(self.line.counters["stranger"], 3)
        self.assertEqual(self.hall.hearing(), [[700], [400]])

    def test_another_port(self) -> None:
        """A party behind NAT is followed to the first port that it sends from, if the settings say so."""
        for latch, found in ((Latch.HOST, 1), (Latch.OFF, 0)):
            hall = Hall(MixerSettings(latch=latch))
            one = hall.enter(400)
            hall.network.ports[one.address[0], 6000] = hall.network.ports.pop(one.address)
            hall.network.send(one.packet(), (one.address[0], 6000), one.to)
            hall.talk(0.1, [])
            self.assertEqual(bool(one.packets), bool(found), latch)

    def test_noise(self) -> None:
        """Whatever comes as RTP or RTCP is survived, counted, and does not stop the others."""
        chance = random.Random(4)
        for _ in range(400):
            noise = chance.randbytes(chance.randrange(0, 400))
            if chance.random() < 0.5:
                noise = b"\x80" + noise[1:]
            self.hall.network.send(noise, self.one.address, self.one.to)
            self.hall.network.send(noise, (self.one.address[0], 4001), (HERE, self.line.port + 1))
            self.hall.talk(0.02, [self.two])
        self.assertGreater(self.line.counters["rtp"], 100)
        self.assertGreater(self.line.counters["rtcp"], 100)
        self.assertEqual(self.hall.hearing()[0], [700])
        self.assertGreater(self.hall.mixer.counters["rtp"], 100)

    def test_flood(self) -> None:
        """A thousand packets between two beats: sixteen are taken, the others counted."""
        for _ in range(1000):
            self.one.say()
        self.hall.network.run()
        self.assertEqual(self.line.counters["flood"], 1000 - FLOOD)

    def test_keys_are_kept(self) -> None:
        """Telephone events are nobody else's to hear, and no fault."""
        self.hall.talk(0.2)
        for _ in range(10):
            head = self.one.packet()[:12]
            self.one.say(head[:1] + bytes([101]) + head[2:] + b"\x05\x0a\x00\xa0")
            self.hall.talk(0.02, [])
        self.assertEqual(self.line.counters["rtp"], 0)

    def test_no_port(self) -> None:
        """All ports are in use: the party is refused, the room goes on."""
        hall = Hall(ports=(30000, 30003))
        hall.enter(400)
        hall.enter(700)
        self.assertRaises(MediaError, hall.room.open_line)
        self.assertEqual(hall.hearing(), [[700], [400]])


class ReportTests(SynchronousTestCase):
    def test_reports(self) -> None:
        """Every five seconds a party learns what it was sent and how its own sound came."""
        hall = Hall()
        one = hall.enter(400)
        hall.enter(700)
        lost = iter([False, True] * 1000)
        hall.network.cut = lambda data, source, target: target == one.to and next(lost)
        hall.talk(10.1)
        self.assertEqual(len(one.reports), 2)
        found = parts(one.reports[1])
        assert found is not None
        self.assertEqual([part.kind for part in found], [200, 202])
        packets, octets = struct.unpack_from("!II", found[0].data, 20)
        self.assertEqual((packets, octets), (500, 500 * 160))
        ssrc, share, newest = struct.unpack_from("!III", found[0].data, 28)
        self.assertEqual(ssrc, one.ssrc)
        self.assertIn(share >> 24, range(125, 132))
        self.assertIn(share & 0xFFFFFF, range(247, 254))
        self.assertIn(newest, range(one.seq - 8, one.seq))


_SIZE = bytes(127 - (octet & 127) for octet in range(256))
"""For mu-law: octet -> 0 for silence, 127 for the loudest."""
