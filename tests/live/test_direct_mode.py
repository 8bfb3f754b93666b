"""Direct mode: the gateway carries no media, browser and phone have their own way to each other."""

from __future__ import annotations

from tests.live.baresip import Baresip
from tests.live.browsing import HENRY, PHONE_TONE, BrowserCase
from tests.live.chromium import MICROPHONE, Page
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.sound import G711
from tests.live.waiting import bound, until

ERIN = named("erin")


@need("chromium", "kamailio", "baresip")
class DirectTests(BrowserCase):
    async def page(self) -> Page:
        gateway = await self.gateway("gw1", sections={"media": {"backend": "direct"}})
        self.assertFalse(bound(22000), "the gateway has a port for media")
        return await self.browse(gateway)

    async def phone(self) -> Baresip:
        """A phone that speaks as browsers do."""
        phone = Baresip(ERIN, self.folder / "erin", self.core, tone=PHONE_TONE, mediaenc="dtls_srtp", medianat="ice")
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def check_sound(self, page: Page, phone: Baresip) -> None:
        await self.hears(page, PHONE_TONE)
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)

    async def test_page_calls(self) -> None:
        """The page calls a phone with ICE and DTLS: both hear each other."""
        page, phone = await self.page(), await self.phone()
        await self.dial(page, ERIN.uri)
        await self.state(page, "InCall")
        await self.check_sound(page, phone)
        await page.click("#hangup")
        await phone.event("CALL_CLOSED")
        self.assertApproximates(phone.heard(), MICROPHONE, 5)

    async def test_phone_calls(self) -> None:
        """That phone calls the page: both hear each other."""
        page, phone = await self.page(), await self.phone()
        await phone.dial(named("gw1").uri)
        await page.until("!document.querySelector('#incoming-actions').hidden")
        await page.click("#answer")
        await self.state(page, "InCall")
        await self.check_sound(page, phone)
        await phone.hang_up()
        await self.state(page, "Hangup")
        self.assertApproximates(phone.heard(), MICROPHONE, 5)

    async def test_plain_phone(self) -> None:
        """A phone without ICE and DTLS answers as if it were called by one: the page is told that they do not fit."""
        page = await self.page()
        phone = await self.answerer(G711(0))
        await self.dial(page, HENRY.uri)
        call = await phone.called()
        call.answer()
        await self.state(page, "Hangup")
        self.assertIn("no sound format in common", await page.text("#detail"))
        self.assertNotEqual(await call.ended(), "")
