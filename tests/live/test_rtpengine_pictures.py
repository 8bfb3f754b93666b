"""Pictures through a real rtpengine: passed on both ways, asked for, added and removed, with slots that stay."""

from __future__ import annotations

import struct

from rtcgw.media.backend import IMediaSession, Party
from rtcgw.media.sdp import parse
from rtcgw.model.peer import PeerProfile
from tests.live.enginecase import PHONE, BrowserEnd, EngineCase, where
from tests.live.requirements import need
from tests.live.sound import G711, RtpPort, Sound
from tests.live.waiting import HOST, until

PT = 102
PLI = struct.pack("!BBHII", 0x81, 206, 2, 0x77, 0x88)
"""Picture loss indication (RFC 4585 §6.3.1)."""


class Camera(RtpPort):
    """A phone's pictures: packets with a payload of their own, which nobody decodes."""

    name = "H264"
    rate = 90000
    fmtp = "profile-level-id=42e01f;packetization-mode=1"
    pt = PT

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.seen: list[bytes] = []

    def packet(self, pt: int, marker: bool, sequence: int, stamp: int, payload: bytes) -> None:
        self.seen.append(payload)


class Control(RtpPort):
    """RTCP of the pictures."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.came: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self.came.append(datagram)


def picture(number: int, ssrc: int) -> bytes:
    """A packet of H.264."""
    return struct.pack("!BBHII", 0x80, PT, number, number * 3000, ssrc) + b"\x41picture" + bytes(100)


@need("rtpengine")
class PictureTests(EngineCase):
    def camera(self) -> tuple[Camera, Control]:
        """A phone's camera and its control."""
        made, control = Camera(PHONE + 10), Control(PHONE + 11)
        for port in (made, control):
            port.listen()
            self.addCleanup(port.close)
        return made, control

    def line(self, camera: Camera, port: int | None = None) -> str:
        """The phone's media line of pictures."""
        return (
            f"m=video {camera.port if port is None else port} RTP/AVPF {PT}\r\na=rtpmap:{PT} H264/90000\r\n"
            f"a=fmtp:{PT} {camera.fmtp}\r\na=sendrecv\r\n"
        )

    async def pictured(self, session: IMediaSession, browser: BrowserEnd, phone: Sound, camera: Camera) -> str:
        """A call with pictures; the offer that the phone got."""
        offer = await self.told(session.offer(Party.CALLER, browser.offer()))
        sound = self.answer(offer, phone).split("m=video")[0]
        browser.accept(await self.told(session.answer(Party.CALLEE, sound + self.line(camera), True)))
        await until("both transports connect", lambda: browser.connected)
        browser.voice.connect((HOST, 9))
        camera.remote = where(offer, "video")
        return offer

    async def flow(self, browser: BrowserEnd, camera: Camera, number: int = 0) -> None:
        """Pictures arrive on both sides."""
        assert browser.pictures is not None
        seen, shown = len(browser.seen), len(camera.seen)
        for place in range(20):
            browser.pictures.peer.send_rtp(picture(100 * number + place, 0x88))
            camera.send(picture(100 * number + place, 0x77))
        await until("the phone is sent pictures", lambda: len(camera.seen) > shown)
        await until("the browser is sent pictures", lambda: len(browser.seen) > seen)

    async def test_both_ways(self) -> None:
        """Pictures pass, and each side may ask for a whole one; an ICE restart leaves the phone's ports alone."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0), pictures=True), self.phone(G711(0))
        camera, control = self.camera()
        offer = await self.pictured(session, browser, phone, camera)
        self.assertEqual([codec.name for codec in parse(offer).media[1].codecs], ["H264", "VP8"])
        self.assertNotIn("goog-remb", offer)
        await self.flow(browser, camera)
        assert browser.pictures is not None
        control.remote = (camera.remote[0], camera.remote[1] + 1) if camera.remote else None
        control.send(PLI)
        browser.pictures.peer.send_rtcp(PLI)
        await until("the browser is asked", lambda: any(PLI[:4] == packet[:4] for packet in browser.asked))
        await until("the phone is asked", lambda: any(PLI[:4] == packet[:4] for packet in control.came))
        await self.restart(session, browser)
        await self.flow(browser, camera, 1)
        await self.hear(browser, phone)
        await until("pictures are counted", lambda: session.stats().callee_video is not None)
        account = await self.account(session)
        assert account.caller_video is not None
        self.assertGreater(account.caller_video.packets, 20)

    async def test_refused_by_the_phone(self) -> None:
        """A phone without pictures: port 0 in the browser's place for them, and sound."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0), pictures=True), self.phone(G711(0))
        offer = await self.told(session.offer(Party.CALLER, browser.offer()))
        answer = await self.told(session.answer(Party.CALLEE, self.answer(offer, phone), True))
        self.assertEqual(
            [(line.kind, line.port > 0) for line in parse(answer).media], [("audio", True), ("video", False)]
        )
        browser.accept(answer)
        await until("sound connects", lambda: browser.sound.peer.connected)
        browser.voice.connect((HOST, 9))
        await self.hear(browser, phone)

    async def test_not_in_the_profile(self) -> None:
        """A profile without pictures: the phone is not offered any."""
        session = self.open(await self.start(), PeerProfile(video=()))
        browser = self.browser(G711(0), pictures=True)
        offer = await self.told(session.offer(Party.CALLER, browser.offer()))
        self.assertEqual([line.kind for line in parse(offer).media], ["audio"])

    async def test_added(self) -> None:
        """The browser adds pictures: the phone is asked and accepts; sound goes on at the same port."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        first = await self.call(session, browser, phone)
        await self.hear(browser, phone)
        more = self.browser(G711(0), pictures=True)
        browser.pictures, more.pictures = more.pictures, None
        browser.seen, browser.asked = more.seen, more.asked
        asked = await self.reoffered(session.reoffer(Party.CALLER, browser.offer()))
        assert asked.offer is not None
        self.assertEqual(where(asked.offer, "audio"), where(first, "audio"))
        camera, _ = self.camera()
        sound = self.answer(asked.offer, phone, version=2).split("m=video")[0]
        answer = await self.told(session.answer(Party.CALLEE, sound + self.line(camera), True))
        browser.accept(answer)
        await until("both transports connect", lambda: browser.connected)
        camera.remote = where(asked.offer, "video")
        await self.flow(browser, camera)
        await self.hear(browser, phone)

    async def test_added_and_refused(self) -> None:
        """The phone refuses them, and the browser had begun ICE anew: sound goes on as it was."""
        session = self.open(await self.start())
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        await self.call(session, browser, phone)
        await self.hear(browser, phone)
        wanted = self.browser(G711(0), pictures=True)
        wanted.sound.peer.ufrag = "another"
        asked = await self.reoffered(session.reoffer(Party.CALLER, wanted.offer()))
        self.assertIsNotNone(asked.offer)
        await self.hear(browser, phone)
        session.revert()
        await self.hear(browser, phone)
        await self.restart(session, browser)
        await self.hear(browser, phone)
