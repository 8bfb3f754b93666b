"""Everything hostile to media, around two calls that are measured throughout: one with sound and pictures and ICE, one
of a client without ICE. Nothing of it is heard or seen, nothing of theirs is lost, nothing grows, all of it is counted.
"""

from __future__ import annotations

import struct
from contextlib import closing
from itertools import pairwise
from typing import Any

from attrs import define, field
from twisted.internet.task import LoopingCall

from rtcgw.media.sdp import parse
from tests.live import mediastorm, storm
from tests.live.answerer import Answered, Answerer
from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.picture import Picture
from tests.live.prompt import Prompt
from tests.live.requirements import need
from tests.live.sound import G711, Sound
from tests.live.test_hostile import MEGABYTE, resident
from tests.live.waiting import HOST, reactor, until
from tests.live.webclient import TONE, Call, WebClient

MANHOLE = 18024
SHARED = 22000
PORTS = range(22100, 22300)
TONES = {"henry": 900, "frank": 700}
LINES = 200
"""Log lines that a storm may cost, of some ten thousand offences."""
LOST = 0.02
"""The share of packets that may be missing: the sockets' buffers are the kernel's, and the machine is shared."""
GAP = 0.6
"""Seconds between two packets of a tone at most."""
SECTIONS: dict[str, dict[str, Any]] = {
    "sip": {"t1": 0.05, "t4": 0.5},
    "call": {"ring_time": 5},
    "log": {"level": "info"},
    "manhole": {"enabled": True, "listen": f"tcp:{MANHOLE}:interface=127.0.0.1", "password": "the-engineer"},
}


class Film(Picture):
    """A phone's camera whose pictures are numbered, and need no codec."""

    def __init__(self, port: int) -> None:
        super().__init__(port, (0, 0, 0), 96)
        self.name, self.fmtp = "VP8", None
        self.shown = 0
        self.numbers: list[int] = []
        self.alien = 0

    def packet(self, pt: int, marker: bool, sequence: int, stamp: int, payload: bytes) -> None:
        if payload[:4] == b"page":
            self.numbers.append(int.from_bytes(payload[4:8], "big"))
        else:
            self.alien += 1

    def _film(self) -> None:
        self.shown += 1
        self.send(picture(b"henry", self.shown, 0x7777))


def picture(mark: bytes, number: int, ssrc: int) -> bytes:
    """One packet of a film."""
    return (
        struct.pack("!BBHII", 0x80, 0x80 | 96, number & 0xFFFF, 6000 * number, ssrc)
        + mark[:4]
        + struct.pack("!I", number)
        + bytes(200)
    )


@define
class Camera:
    """The film of a page, and what it sees of its phone's."""

    call: Call
    shown: int = 0
    numbers: list[int] = field(factory=list)
    alien: int = 0
    _clock: LoopingCall | None = None

    def start(self) -> None:
        """From now on."""
        heard = self.call.media.peer.on_rtp

        def take(packet: bytes) -> None:
            if packet[1] & 127 != 96:
                heard(packet)
            elif packet[12:16] == b"henr":
                self.numbers.append(int.from_bytes(packet[16:20], "big"))
            else:
                self.alien += 1

        self.call.media.peer.on_rtp = take
        self._clock = LoopingCall(self._show)
        self._clock.clock = reactor
        self._clock.start(1 / 15)

    def stop(self) -> None:
        """No more."""
        if self._clock is not None and self._clock.running:
            self._clock.stop()

    def _show(self) -> None:
        self.shown += 1
        self.call.media.peer.send_rtp(picture(b"page", self.shown, 0x8888))


@define
class Measured:
    """A call, and what has become of what each side said since `begin`."""

    call: Call
    there: Answered
    hertz: float
    _heard: list[float] = field(factory=list)
    _before: tuple[int, int, int, int] = (0, 0, 0, 0)

    def watch(self) -> None:
        """Note when the page hears something."""
        peer = self.call.media.peer
        original = peer.on_rtp

        def take(packet: bytes) -> None:
            if packet[1] & 127 == 0:
                self._heard.append(reactor.seconds())
            original(packet)

        peer.on_rtp = take

    def begin(self) -> None:
        """Count from here."""
        self._heard.clear()
        self.there.sound.forget()
        self.there.sound.sources.clear()
        self.call.media.end.sources.clear()
        self._before = self._figures()

    def _figures(self) -> tuple[int, int, int, int]:
        end, sound = self.call.media.end, self.there.sound
        return end.seq, end.received, sound.sent, sum(sound.types.values())

    async def check(self) -> None:
        """Each side has heard the other, whole, and nothing but the other."""
        await storm.pause(0.2)
        said, heard, answered, arrived = (
            now - before for now, before in zip(self._figures(), self._before, strict=True)
        )
        said &= 0xFFFF
        for what, sent, came in (("the phone", said, arrived), ("the page", answered, heard)):
            assert sent * (1 - LOST) - 5 <= came <= sent + 5, f"{what} hears {came} packets of {sent}"
        for what, times in (("the page", self._heard), ("the phone", self.there.sound.arrivals)):
            gaps = [later - earlier for earlier, later in pairwise(times)]
            assert max(gaps) < GAP, f"{what} heard nothing for {max(gaps):.2f} s"
        assert len(self.there.sound.sources) == 1, "the phone heard another source"
        assert len(self.call.media.end.sources) == 1, "the page heard another source"
        await self.there.hears(TONE)
        assert self.there.sound.purity(TONE) > 0.8
        await self.call.hears(self.hertz)


@need("kamailio")
class HostileMediaTests(GatewayCase):
    timeout = 150

    async def test_storm(self) -> None:
        """Both calls are heard and seen throughout; memory and log stay bounded; what was refused was counted."""
        gateway = await self.gateway("gw1", "gw2", sections=SECTIONS)
        calls = [await self.pictured(gateway), await self.plain(gateway)]
        camera = Camera(calls[0].call)
        camera.start()
        self.addCleanup(camera.stop)
        sizes = [resident(gateway)]
        for _ in range(2):
            lines = len(gateway.log().splitlines())
            for call in calls:
                call.begin()
            await self.storm(gateway, calls[0], calls[1])
            for call in calls:
                await call.check()
            self.seen(camera, calls[0].there.picture)
            self.assertLess(len(gateway.log().splitlines()) - lines, LINES)
            await storm.pause(5.5)  # the calls that rang on are over, and their transactions
            sizes.append(resident(gateway))
        self.assertLess(sizes[1] - sizes[0], 60 * MEGABYTE, sizes)
        self.assertLess(sizes[2] - sizes[1], 10 * MEGABYTE, sizes)
        await self.counted()
        self.assertLess(calls[0].there.phone.methods["INFO"], 60, "wishes for whole pictures are told now and then")
        for call in calls:
            page = call.call.client
            sent = page.send("HANGUP", session=call.call.session)
            await page.expect_among("OK", for_="HANGUP", id=sent)
            self.assertEqual(await call.there.ended(), "BYE")

    async def phone(self, user: str, *more: Any) -> Answerer:
        phone = Answerer(named(user), self.core, lambda port: Sound(G711(0), port, TONES[user]), *more)
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def talk(self, page: WebClient, phone: Answerer) -> Measured:
        """The page calls, the phone answers, both hear each other."""
        call = await page.call(phone.who.uri)
        there = await phone.called()
        there.answer()
        await call.answered()
        found = Measured(call, there, TONES[phone.who.user])
        found.watch()
        await call.hears(found.hertz)
        await there.hears(TONE)
        return found

    async def pictured(self, gateway: Gateway) -> Measured:
        """A call with sound and pictures."""
        page, phone = await gateway.client("wanda"), await self.phone("henry", Film)
        page.pictures = True
        return await self.talk(page, phone)

    async def plain(self, gateway: Gateway) -> Measured:
        """A call of a client without ICE."""
        return await self.talk(await gateway.client("wim", ice=False), await self.phone("frank"))

    def seen(self, camera: Camera, phone: Picture) -> None:
        """Nearly every picture of each side has come, in order, and none of anybody else."""
        assert isinstance(phone, Film)
        for numbers, shown in ((phone.numbers, camera.shown), (camera.numbers, phone.shown)):
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertGreater(len(numbers), (1 - LOST) * (shown - numbers[0]) - 5)
        self.assertEqual((camera.alien, phone.alien), (0, 0))

    # -- the storm -----------------------------------------------------------------------------

    async def storm(self, gateway: Gateway, call: Measured, plain: Measured) -> None:
        tapes = [mediastorm.Tape(one.call) for one in (call, plain)]
        await self.descriptions(gateway)
        await storm.media_by_strangers(call.call, SHARED, PORTS)
        await storm.media_by_the_page(call.call)
        await self.neighbours(call)
        await self.reports(call)
        assert plain.call.media.peer.target is not None
        for port in (SHARED, plain.call.media.peer.target[1]):
            await mediastorm.handshakes(port)
        with closing(storm.udp(storm.STRANGER)) as stranger, closing(storm.udp()) as neighbour:
            for tape in tapes:
                self.assertGreater(len(tape.packets), 20)
                for attacker in (None, stranger, neighbour):
                    await tape.play(attacker)

    async def descriptions(self, gateway: Gateway) -> None:
        """Descriptions of pages and of phones that cannot be read; a page that is not who it says."""
        page = await gateway.client("wanda")
        refused = await mediastorm.offers_of_a_page(page, "sip:henry@ims.test")
        self.assertEqual(refused, len(list(mediastorm.bad_descriptions())))
        statuses = await mediastorm.offers_of_a_phone(gateway.sip_port, "sip:gw1@ims.test")
        self.assertTrue({488} <= statuses, statuses)
        self.assertFalse(statuses & {500}, statuses)
        gateway.clients.remove(page)
        await page.close()

    async def neighbours(self, call: Measured) -> None:
        """Somebody on the phone's own host, and on the page's: sound from other ports, forged checks without end."""
        offer = parse(call.there.invite.body.decode())
        noise = struct.pack("!BBHII", 0x80, 0, 7, 7, 7) + bytes(range(160))
        with closing(storm.udp()) as attacker:
            for media in offer.media:
                await storm.pelt(attacker, [noise] * 400, media.port)
                await storm.pelt(attacker, [b"\x80\xc8" + noise[2:28]] * 400, media.port + 1)
            peer = call.call.media.peer
            assert peer.remote is not None
            ufrag = peer.remote.media[0].get("ice-ufrag")
            forged = list(storm.forged_stun([f"{ufrag}:{peer.ufrag}"]))[-1]
            for _ in range(4):
                await storm.pelt(attacker, [forged] * 300, SHARED)
                await storm.pause(0.2)

    async def reports(self, call: Measured) -> None:
        """RTCP of the page and of the phone's own ports."""
        page = call.call.media.peer
        for packet in mediastorm.bombs(0x8888, [0x7777, 1]):
            page.send_rtcp(packet)
            await storm.pause(0.001)
        for _ in range(20):
            for packet in list(mediastorm.bombs(0x8888, [0x7777, 1]))[:10]:
                page.send_rtcp(packet)
            await storm.pause(0.005)
        film = call.there.picture
        assert isinstance(film, Film)
        offer = parse(call.there.invite.body.decode())
        port = next(media.port for media in offer.media if media.kind == "video")
        assert film.transport is not None
        for packet in [*mediastorm.bombs(0x7777, [0x8888, 1])] * 5:
            film._rtcp.socket.sendto(packet, (HOST, port + 1))
            await storm.pause(0.001)

    async def counted(self) -> None:
        """Everything refused has its counter."""
        prompt = await Prompt.open(MANHOLE)
        self.assertTrue(await prompt.login("admin", "the-engineer"))
        counters = await prompt.counters()
        await prompt.close()
        for what in ("stranger", "flood", "phone stranger", "browser unproven", "browser unassigned", "phone rtcp"):
            self.assertGreater(counters.get(("media", what), 0), 100, (what, counters))

    async def test_wrong_certificate(self) -> None:
        """A page whose certificate is not the promised one hears nobody and is heard by nobody; its call ends."""
        gateway = await self.gateway("gw1")
        phone = await self.phone("henry")
        page = await gateway.client("wanda")
        call = await mediastorm.wrong_fingerprint(page, phone.who.uri)
        there = await phone.called()
        there.answer()
        self.assertIn(await there.ended(30), ("BYE", "CANCEL"))
        self.assertEqual((call.media.end.received, len(there.sound.arrivals)), (0, 0))
        await until("it is said", lambda: "certificate" in gateway.log(), 5)
