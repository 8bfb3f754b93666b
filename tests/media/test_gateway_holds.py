"""Holds that the gateway makes: who hears whom, and music, beside holds that the parties describe themselves."""

from __future__ import annotations

import struct
from array import array
from itertools import pairwise, permutations, product
from math import pi, sin

from twisted.trial.unittest import SynchronousTestCase

from rtcgw.media.backend import MediaError, News, Reoffer
from rtcgw.media.embedded.backend import EmbeddedSettings
from rtcgw.media.sdp import Direction, parse
from rtcgw.model.peer import PeerProfile, Srtp
from rtcgw.model.reason import Reason
from rtcgw.model.wave import Wave
from tests.media.memory import Bench, phone_sdp

MUSIC = Wave(8000, array("h", [2000, -2000] * 400))
BOTH = Direction.SENDRECV


class Holding(SynchronousTestCase):
    """A call that is answered, and a phone that answers as its user wants."""

    music: Wave | None = MUSIC

    def setUp(self) -> None:
        self.bench = Bench(settings=EmbeddedSettings(music=self.music))
        self.bench.call("0 101")
        self.wish = BOTH
        """What the phone wants."""
        self.version = 1

    def tearDown(self) -> None:
        self.bench.session.close()
        self.assertEqual(self.bench.backend.metronome.speaking, 0)

    def said(self, direction: Direction) -> str:
        self.version += 1
        return phone_sdp("0 101", direction=direction.value, version=self.version)

    def hold(self, on: bool) -> Direction:
        """The page holds, or takes back; what the phone is told."""
        offer = str(self.bench.session.hold(self.bench.web, on))
        told = parse(offer).media[0].direction or BOTH
        self.bench.session.answer(self.bench.core, self.said(self.wish.within(told.mirrored)), True)
        return told

    def phone_wants(self, wish: Direction) -> Direction:
        """The phone offers; what it is answered."""
        self.wish = wish
        found = self.bench.session.reoffer(self.bench.core, self.said(wish))
        assert isinstance(found, Reoffer)
        return parse(str(found.answer)).media[0].direction or BOTH

    def passes(self) -> tuple[int, int]:
        """Packets that the phone, and the page, hear of the other within a moment."""
        bench = self.bench
        before = bench.phone.received, bench.voice.received
        for _ in range(3):
            bench.voice.play()
            bench.phone.play()
            bench.network.run()
        return bench.phone.received - before[0], bench.voice.received - before[1]

    def music_heard(self) -> tuple[bool, bool]:
        """Whether the phone, and the page, hear something while nobody speaks."""
        bench = self.bench
        before = bench.phone.received, bench.voice.received
        bench.network.spend(0.2)
        return bench.phone.received - before[0] >= 9, bench.voice.received - before[1] >= 9

    @property
    def news(self) -> list[News]:
        return [news.state for news in self.bench.news if news.state in (News.HELD, News.RESUMED)]


class PageHoldsTests(Holding):
    def test_phone_is_held(self) -> None:
        """It is told `sendonly`, hears music, and neither hears the page nor is heard; then all is as before."""
        version = int(parse(self.bench.told_core).version)
        self.assertIs(self.hold(True), Direction.SENDONLY)
        self.assertEqual(int(parse(self.bench.told_core).version), version + 1)
        self.assertEqual(self.passes(), (0, 0))
        self.assertEqual(self.music_heard(), (True, False))
        self.assertIs(self.hold(False), BOTH)
        self.assertEqual(self.passes(), (3, 3))
        self.assertEqual(self.music_heard(), (False, False))
        self.assertEqual(self.news, [], "an answer that follows from our offer holds nobody")

    def test_one_stream(self) -> None:
        """The phone sees one stream, without a gap in its numbers, through hold, music and back."""
        seen: list[tuple[int, int, int]] = []
        phone = self.bench.network.ports[("198.51.100.7", 4000)]

        def note(data: bytes, source: tuple[str, int]) -> None:
            seen.append(struct.unpack_from("!HII", data, 2))
            phone(data, source)

        self.bench.network.ports["198.51.100.7", 4000] = note
        self.bench.talk(3)
        self.hold(True)
        self.bench.network.spend(0.2)
        self.hold(False)
        self.bench.talk(3)
        self.assertEqual(len({ssrc for _, _, ssrc in seen}), 1)
        self.assertEqual({(b[0] - a[0]) & 0xFFFF for a, b in pairwise(seen)}, {1})
        self.assertEqual({(b[1] - a[1]) & 0xFFFFFFFF > 0x7FFFFFFF for a, b in pairwise(seen)}, {False})

    def test_page_reloads_meanwhile(self) -> None:
        """Another page takes the call over while it is held: the phone hears nothing of that, and stays held."""
        self.hold(True)
        page = self.bench.new_browser(("203.0.113.9", 50001))
        found = self.bench.session.reoffer(self.bench.web, page.offer())
        assert isinstance(found, Reoffer)
        page.accept(str(found.answer))
        self.bench.network.spend(1)
        self.assertEqual(self.passes(), (0, 0))
        self.assertEqual(self.music_heard(), (True, False))
        self.hold(False)
        self.assertEqual(self.passes(), (3, 3))

    def test_refresh_meanwhile(self) -> None:
        """The phone's session refresh in a hold is answered with the hold, whatever it offers."""
        self.hold(True)
        self.assertIs(self.phone_wants(Direction.RECVONLY), Direction.SENDONLY)
        self.assertIs(self.phone_wants(BOTH), Direction.SENDONLY)
        self.assertEqual(self.passes(), (0, 0))
        self.assertEqual(self.music_heard(), (True, False))
        self.assertEqual(self.news, [])

    def test_refused(self) -> None:
        """A phone that refuses goes on talking; so it does when it does not take the end of the hold."""
        session, web = self.bench.session, self.bench.web
        session.hold(web, True)
        error = self.assertRaises(MediaError, session.hold, web, False)
        self.assertIs(error.reason, Reason.CONFLICT)
        session.revert()
        self.assertEqual(self.passes(), (3, 3))
        self.assertEqual(self.music_heard(), (False, False))
        self.hold(True)
        session.hold(web, False)
        session.revert()
        self.assertEqual((self.passes(), self.music_heard()), ((0, 0), (True, False)))
        self.assertEqual(session.hold(web, True), "", "it is held")

    def test_too_early(self) -> None:
        """Nobody is held before the call is answered."""
        bench = Bench()
        bench.session.offer(bench.web, bench.browser.offer())
        self.assertRaises(MediaError, bench.session.hold, bench.web, True)
        bench.session.answer(bench.core, phone_sdp("0 101"), False)
        self.assertRaises(MediaError, bench.session.hold, bench.web, True)

    def test_nobody_is_missed(self) -> None:
        """While the gateway holds, silence of either is nobody's fault, however long."""
        bench = Bench(peer=PeerProfile(media_timeout=20))
        bench.call("0 101")
        bench.session.hold(bench.web, True)
        bench.session.answer(bench.core, phone_sdp("0 101", direction="recvonly"), True)
        bench.network.spend(120)
        self.assertEqual({"silent", "lost"} & set(bench.states), set())
        bench.session.close()


class PhoneHoldsTests(Holding):
    def test_told_once(self) -> None:
        """Its hold is told once, by whatever words, and its end as well; a repetition or a port that moves is none."""
        self.assertIs(self.phone_wants(Direction.SENDONLY), Direction.RECVONLY)
        self.phone_wants(Direction.SENDONLY)
        self.phone_wants(Direction.INACTIVE)
        self.assertEqual(self.news, [News.HELD])
        self.phone_wants(BOTH)
        self.phone_wants(BOTH)
        self.assertEqual(self.news, [News.HELD, News.RESUMED])

    def test_the_old_way(self) -> None:
        """`c=0.0.0.0` with its port kept (RFC 2543) is a hold as well."""
        self.bench.reanswer(self.bench.core, phone_sdp("0 101", address=("0.0.0.0", 4000), version=9))  # noqa: S104
        self.assertEqual(self.news, [News.HELD])
        self.bench.session.close()

    def test_own_music(self) -> None:
        """What the phone plays to the page is heard; where it plays nothing the page hears ours."""
        self.phone_wants(Direction.SENDONLY)
        self.assertEqual(self.passes(), (0, 3))
        self.assertEqual(self.music_heard(), (False, False))
        self.phone_wants(Direction.INACTIVE)
        self.assertEqual(self.music_heard(), (False, True))
        self.phone_wants(BOTH)
        self.assertEqual(self.passes(), (3, 3))
        self.assertEqual(self.music_heard(), (False, False))

    def test_announcement(self) -> None:
        """A callee that answers `sendonly` is an announcement and holds nobody."""
        bench = Bench()
        bench.session.offer(bench.web, bench.browser.offer())
        bench.browser.accept(str(bench.session.answer(bench.core, phone_sdp("0", direction="sendonly"), True)))
        self.assertNotIn("held", bench.states)

    def test_by_the_gateway(self) -> None:
        """A phone may be said to hold by signalling alone: the page hears music and the phone nothing."""
        session, core = self.bench.session, self.bench.core
        self.assertEqual(session.hold(core, True), "")
        self.assertEqual((self.passes(), self.music_heard()), ((0, 0), (False, True)))
        self.assertEqual(session.hold(core, False), "")
        self.assertEqual((self.passes(), self.music_heard()), ((3, 3), (False, False)))


class BothTests(Holding):
    def test_every_order(self) -> None:
        """Whoever holds and resumes first: nobody hears who holds, each takes back its own hold only, and in the end
        both are heard."""
        for holds, resumes in product(permutations((True, False)), repeat=2):
            story = (holds, resumes)
            for is_page in holds:
                self.hold(True) if is_page else self.phone_wants(Direction.SENDONLY)
            self.assertIs(parse(self.bench.told_core).media[0].direction, Direction.INACTIVE, story)
            self.assertEqual((self.passes(), self.music_heard()), ((0, 0), (False, False)), story)
            told = [self.hold(False) if is_page else self.phone_wants(BOTH) for is_page in resumes]
            self.assertIs(told[1], BOTH, story)
            self.assertEqual((self.passes(), self.music_heard()), ((3, 3), (False, False)), story)
        self.assertEqual(self.news, [News.HELD, News.RESUMED] * 4)

    def test_inactive(self) -> None:
        """Where the phone holds already, the page's hold leaves nothing of the stream (RFC 3264 8.4)."""
        self.phone_wants(Direction.SENDONLY)
        self.assertIs(self.hold(True), Direction.INACTIVE)
        self.wish = BOTH
        self.assertIs(self.hold(False), BOTH)
        self.assertEqual(self.news, [News.HELD, News.RESUMED], "its answer takes us back")


class SilentTests(Holding):
    """Without music."""

    music = None

    def test_hold(self) -> None:
        """Who is held hears nothing, and goes on being heard afterwards."""
        self.hold(True)
        self.assertEqual((self.passes(), self.music_heard()), ((0, 0), (False, False)))
        self.hold(False)
        self.assertEqual(self.passes(), (3, 3))


class CodecTests(SynchronousTestCase):
    """Music is in whatever codec the held party hears."""

    def held(self, bench: Bench, formats: str, extra: str = "", proto: str = "RTP/AVP") -> list[bytes]:
        """What the phone's port gets within a moment of a hold."""
        session, heard = bench.session, []
        bench.listen_to(str(session.offer(bench.web, bench.browser.offer())))
        bench.browser.accept(str(session.answer(bench.core, phone_sdp(formats, extra=extra, proto=proto), True)))
        bench.network.spend(1)
        session.hold(bench.web, True)
        held = phone_sdp(formats, "recvonly", extra=extra, proto=proto, version=2)
        session.answer(bench.core, held, True)
        bench.network.ports["198.51.100.7", 4000] = lambda data, _: heard.append(data)
        bench.network.spend(0.1)
        session.close()
        return heard

    def test_g711(self) -> None:
        """A-law for a phone that has chosen it, from a file of 16 kHz as well."""
        wave = Wave(16000, array("h", [1000] * 1600))
        heard = self.held(Bench(settings=EmbeddedSettings(music=wave)), "8 101")
        self.assertEqual({(data[1] & 127, len(data)) for data in heard}, {(8, 172)})

    def test_converted(self) -> None:
        """Opus and G.722, with the extra."""
        for formats, extra, step in (("111", "a=rtpmap:111 opus/48000/2\r\n", 960), ("9 101", "", 160)):
            peer = PeerProfile(codecs=("OPUS", "G722"))
            heard = self.held(Bench(settings=EmbeddedSettings(music=MUSIC), peer=peer), formats, extra)
            self.assertGreaterEqual(len(heard), 3)
            times = [int.from_bytes(data[4:8], "big") for data in heard]
            self.assertEqual({(b - a) & 0xFFFFFFFF for a, b in pairwise(times)}, {step})

    def test_tone(self) -> None:
        """A tone in the file is that tone at the phone, and at the page that the phone holds."""
        times = range(8000)
        tone = Wave(8000, array("h", [int(8000 * sin(2 * pi * 1250 * time / 8000)) for time in times]))
        bench = Bench(settings=EmbeddedSettings(music=tone))
        bench.call("0 101")
        bench.session.hold(bench.web, True)
        bench.session.answer(bench.core, phone_sdp("0 101", "recvonly", version=2), True)
        bench.network.spend(3)
        self.assertLess(abs(bench.phone.frequency - 1250), 10)
        bench.session.hold(bench.web, False)
        bench.session.answer(bench.core, phone_sdp("0 101", version=3), True)
        bench.reanswer(bench.core, phone_sdp("0 101", "inactive", version=4))
        bench.network.spend(1)
        self.assertLess(abs(bench.voice.frequency - 1250), 10)
        bench.session.close()

    def test_encrypted(self) -> None:
        """Where the phone has keys, music is encrypted as speech is."""
        bench = Bench(settings=EmbeddedSettings(music=MUSIC), peer=PeerProfile(srtp=Srtp.SDES))
        key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n"
        heard = self.held(bench, "0 101", key, "RTP/SAVP")
        self.assertEqual({len(data) for data in heard}, {172 + 10})
        self.assertGreater(len({data[12:] for data in heard}), 1, "equal frames differ on the wire")
