"""Holds through a real rtpengine: who hears whom, and its music, proven by tones."""

from __future__ import annotations

from rtcgw.media.backend import IMediaSession, Party
from rtcgw.media.sdp import parse
from tests.live.answers import described
from tests.live.enginecase import WEB_TONE, BrowserEnd, EngineCase
from tests.live.requirements import need
from tests.live.sound import G711, Sound
from tests.live.tones import write_tone
from tests.live.waiting import until

MUSIC = 1250
OFFERED = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
"""What the phone was offered, as far as its own next offer hangs on it."""


@need("rtpengine")
class HoldTests(EngineCase):
    async def talk(self) -> tuple[IMediaSession, BrowserEnd, Sound]:
        """Both hear each other, through an engine that has music."""
        self.folder.mkdir(parents=True, exist_ok=True)
        music = write_tone(self.folder.absolute() / "hold.wav", MUSIC, rate=8000)
        session = self.open(await self.start(settings={"music": str(music)}))
        browser, phone = self.browser(G711(0)), self.phone(G711(0))
        await self.call(session, browser, phone)
        await self.hear(browser, phone)
        return session, browser, phone

    async def hold(self, session: IMediaSession, phone: Sound, on: bool) -> None:
        """The page holds or takes back; the phone agrees."""
        offer = await self.told(session.hold(Party.CALLER, on))
        self.version += 1
        answer = described(parse(offer), [phone], self.version)
        if on:
            self.assertIn("a=sendonly", offer)
            answer = answer.replace("a=sendrecv", "a=recvonly")
        await self.told(session.answer(Party.CALLEE, answer, True))
        phone.forget()

    async def test_page_holds(self) -> None:
        """The phone hears the file, twice as long as it is, and nothing of the page; then the page again."""
        session, browser, phone = await self.talk()
        await self.hold(session, phone, True)
        browser.voice.forget()
        await until("the phone hears the music", lambda: abs(phone.heard() - MUSIC) < 10)
        await until("three seconds of it", lambda: len(phone.arrivals) > 150)
        self.assertLess(abs(phone.heard() - MUSIC), 10)
        self.assertLess(phone.purity(WEB_TONE), 0.01)
        self.assertEqual(browser.voice.level(), 0)
        await self.hold(session, phone, False)
        await self.hear(browser, phone)

    async def test_page_is_held(self) -> None:
        """By the gateway's doing: the page hears the file and nothing of the phone, then the phone again."""
        session, browser, phone = await self.talk()
        self.assertEqual(await self.told(session.hold(Party.CALLEE, True)), "")
        browser.voice.forget()
        await until("the page hears the music", lambda: abs(browser.voice.heard() - MUSIC) < 10)
        self.assertEqual(await self.told(session.hold(Party.CALLEE, False)), "")
        await self.hear(browser, phone)

    async def test_phone_holds(self) -> None:
        """The page hears nothing of a phone that holds in silence; its hold is told once, and its end."""
        session, browser, phone = await self.talk()
        await self.change(session, phone, OFFERED, "inactive")
        browser.voice.forget()
        await until("the hold is told", lambda: "HELD" in self.states())
        await self.change(session, phone, OFFERED, "sendrecv")
        await self.hear(browser, phone)
        self.assertEqual([state for state in self.states() if state in ("HELD", "RESUMED")], ["HELD", "RESUMED"])
