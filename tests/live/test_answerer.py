"""The phone made of Python by itself: its codecs, its pictures, and calls from an independent phone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.live.amrwb import AmrWb, pack, unpack
from tests.live.answerer import Answerer
from tests.live.baresip import Baresip
from tests.live.ims.core import shared_core
from tests.live.ims.subscribers import named
from tests.live.picture import Assembler, Picture, film, payloads
from tests.live.requirements import need
from tests.live.sound import G711, Codec, Sound
from tests.live.tones import dominant
from tests.live.waiting import HOST, until

HENRY = named("henry")


@need("amr")
class AmrWbTests(SynchronousTestCase):
    def test_every_mode(self) -> None:
        """A tone is the same tone after coding and decoding, in all nine modes and both payload formats."""
        for aligned in (False, True):
            for mode in range(9):
                codec = AmrWb(aligned=aligned, mode=mode)
                frames = codec.frames(800)
                samples = np.concatenate([codec.decode(next(frames)) for _ in range(25)])
                self.assertApproximates(dominant(samples[3200:], codec.rate), 800, 2)

    def test_payloads(self) -> None:
        """What is packed is unpacked; several frames in a payload too; a torn one is told, not decoded."""
        frame = bytes((2 << 3 | 4,)) + bytes(range(31)) + b"\xf8"  # 253 bits and three of filling
        for aligned in (False, True):
            payload = pack(frame, aligned)
            self.assertEqual(unpack(payload, aligned), [frame])
            self.assertEqual(len(payload), 34 if aligned else 33)
            with self.assertRaises(ValueError):
                unpack(payload[:-3], aligned)
        two = bytes((0xF0, 0x80 | frame[0], frame[0])) + 2 * frame[1:]
        self.assertEqual(unpack(two, True), [frame, frame])


class PictureTests(TestCase):
    def test_fragments(self) -> None:
        """A NAL unit longer than a packet is put together again."""
        unit = b"\x65" + bytes(5000)
        parts = list(payloads(unit))
        self.assertGreater(len(parts), 4)
        assembler = Assembler()
        pictures = [assembler.feed(part, place == len(parts) - 1) for place, part in enumerate(parts)]
        self.assertEqual(pictures[-1], b"\0\0\0\1" + unit)
        self.assertEqual(pictures[:-1], [None] * (len(parts) - 1))

    def test_film(self) -> None:
        """Each round begins with the parameter sets and a whole picture, and has no other."""
        first, *rest = [[unit[0] & 31 for unit in units] for units in film((200, 40, 40))]
        self.assertEqual([kind for kind in first if kind != 6], [7, 8, *[5] * (len(first) - first.index(5))])
        self.assertEqual({kind for kinds in rest for kind in kinds}, {1})

    async def test_sees(self) -> None:
        """Each of two ends sees the colour that the other's camera sees."""
        red, blue = Picture(HENRY.rtp_port, (200, 40, 40)), Picture(HENRY.rtp_port + 2, (40, 40, 200))
        for one in (red, blue):
            one.listen()
            self.addCleanup(one.close)
        red.connect((HOST, blue.port))
        blue.connect((HOST, red.port))
        await until("both see", lambda: min(red.pictures, blue.pictures) > 10, 5)
        assert red.seen is not None
        assert blue.seen is not None
        self.assertTrue(red.seen[2] > 150 > red.seen[0], red.seen)
        self.assertTrue(blue.seen[0] > 150 > blue.seen[2], blue.seen)
        self.assertEqual(red.size, (320, 240))


class CalledCase(TestCase):
    """baresip calls it through the S-CSCF."""

    timeout = 40

    async def start(self, codec: Codec, codecs: str) -> tuple[Baresip, Answerer]:
        core = await shared_core()
        phone = Answerer(HENRY, core, lambda port: Sound(codec, port, tone=900))
        await phone.start()
        self.addCleanup(phone.stop)
        caller = Baresip(named("erin"), Path(self.mktemp()) / "erin", core, tone=700, codecs=codecs)
        caller.folder.parent.mkdir(parents=True)
        await caller.start()
        self.addCleanup(caller.stop)
        await caller.dial(HENRY.uri)
        return caller, phone

    async def check_sound(self, caller: Baresip, phone: Answerer) -> None:
        call = await phone.called()
        call.ring()
        await caller.event("CALL_RINGING")
        call.answer()
        await caller.event("CALL_ESTABLISHED")
        await call.hears(700)
        await until("a second is recorded", lambda: caller.recording().stat().st_size > 40000)
        await caller.hang_up()
        self.assertEqual(await call.ended(), "BYE")
        self.assertApproximates(caller.heard(), 900, 5)


@need("kamailio", "baresip")
class CalledTests(CalledCase):
    async def test_g711(self) -> None:
        """By A-law each hears the other."""
        await self.check_sound(*await self.start(G711(8), "PCMA"))

    async def test_early(self) -> None:
        """Sound before the answer, another tone after it; the times are known."""
        caller, phone = await self.start(G711(0), "PCMU")
        call = await phone.called()
        call.sound.say(500)
        call.early()
        await caller.event("CALL_PROGRESS")
        await call.hears(700)
        call.sound.say(900)
        call.answer()
        await caller.event("CALL_ESTABLISHED")
        assert call.answered_at is not None
        assert call.sound.first_sent is not None
        self.assertLess(abs(call.answered_at - call.sound.first_sent), 0.1)
        call.hang_up()
        await caller.event("CALL_CLOSED")
        self.assertEqual(phone.methods["INVITE"], 1)

    async def test_gives_up(self) -> None:
        """A caller who gives up ends it; the next call comes through."""
        caller, phone = await self.start(G711(0), "PCMU")
        call = await phone.called()
        call.ring()
        await caller.event("CALL_RINGING")
        await caller.hang_up()
        self.assertEqual(await call.ended(), "CANCEL")
        await caller.dial(HENRY.uri)
        await self.check_sound(caller, phone)

    async def test_nothing_in_common(self) -> None:
        """Who does not offer its codec is refused."""
        caller, phone = await self.start(G711(0), "PCMA")
        call = await phone.called()
        call.answer()
        await caller.event("CALL_CLOSED")
        self.assertEqual(call.over, "488")


@need("kamailio", "baresip", "amr")
class AmrWbCalledTests(CalledCase):
    async def test_amr_wb(self) -> None:
        """By AMR-WB, octet-aligned, which is all that baresip has, each hears the other."""
        await self.check_sound(*await self.start(AmrWb(aligned=True), "AMR-WB/16000"))
