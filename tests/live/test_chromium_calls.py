"""The whole way: the softphone in Chromium, the gateway, the S-CSCF, a phone; with either media backend.

Proof is the frequency that each side hears of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.live.baresip import Baresip
from tests.live.browsing import BrowserCase
from tests.live.chromium import MICROPHONE, Page
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.waiting import until

PHONE_TONE = 700


class ChromiumCase(BrowserCase):
    """A phone, a browser, and what they hear of each other."""

    sections: Mapping[str, Mapping[str, Any]]
    """Of the gateway's configuration."""

    async def start(self) -> tuple[Gateway, Baresip, Page]:
        """A gateway, a registered phone, and the softphone logged in as wanda."""
        gateway = await self.gateway("gw1", sections=self.sections)
        phone = Baresip(named("erin"), self.folder / "erin", self.core, tone=PHONE_TONE)
        await phone.start()
        self.addCleanup(phone.stop)
        page = await self.browse(gateway)
        return gateway, phone, page

    async def page_calls(self, phone: Baresip, page: Page) -> None:
        await self.dial(page, phone.who.uri)
        await self.state(page, "InCall")
        await phone.event("CALL_ESTABLISHED")

    async def recorded(self, phone: Baresip) -> None:
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)

    async def check_page_calls(self) -> None:
        _, phone, page = await self.start()
        await self.page_calls(phone, page)
        await self.hears(page, PHONE_TONE)
        await page.click("#keypad")
        for key in "15#":
            await page.click(f"#call-pad [data-key='{key}']")
        await until("the keys arrive", lambda: phone.digits == "15#")
        await self.recorded(phone)
        await page.click("#hangup")
        await phone.event("CALL_CLOSED")
        await self.state(page, "Hangup")
        self.assertApproximates(phone.heard(), MICROPHONE, 5)
        self.assertEqual(page.errors, [])

    async def check_phone_calls(self) -> None:
        _, phone, page = await self.start()
        await phone.dial(named("gw1").uri)
        await page.until("!document.querySelector('#incoming-actions').hidden")
        await page.click("#answer")
        await self.state(page, "InCall")
        await phone.event("CALL_ESTABLISHED")
        await self.hears(page, PHONE_TONE)
        await self.recorded(phone)
        await phone.hang_up()
        await self.state(page, "Hangup")
        self.assertApproximates(phone.heard(), MICROPHONE, 5)
        self.assertEqual(page.errors, [])


@need("chromium", "kamailio", "baresip")
class EmbeddedTests(ChromiumCase):
    """The relay inside the gateway."""

    sections: Mapping[str, Mapping[str, Any]] = {}

    async def test_page_calls(self) -> None:
        """The page calls the phone: both hear each other, keys arrive, hanging up ends it on both sides."""
        await self.check_page_calls()

    async def test_phone_calls(self) -> None:
        """The phone calls the page: both hear each other, and the phone's hanging up ends it on the page."""
        await self.check_phone_calls()


@need("chromium", "kamailio", "baresip", "rtpengine")
class RtpengineTests(ChromiumCase):
    """rtpengine beside the gateway."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        self.relay = Rtpengine(self.folder / "rtpengine")
        self.addCleanup(self.relay.stop)
        await self.relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [self.relay.node], "ping": 1, "timeout": 1},
        }

    async def test_page_calls(self) -> None:
        """The page calls the phone: both hear each other, keys arrive, hanging up ends it on both sides."""
        await self.check_page_calls()

    async def test_phone_calls(self) -> None:
        """The phone calls the page: both hear each other, and the phone's hanging up ends it on the page."""
        await self.check_phone_calls()

    async def test_relay_dies(self) -> None:
        """rtpengine is killed in a call: the call ends on both sides; when it is back, calls work again."""
        gateway, phone, page = await self.start()
        await self.page_calls(phone, page)
        await self.hears(page, PHONE_TONE)
        await self.relay.kill()
        await phone.event("CALL_CLOSED", 30)
        await self.state(page, "Hangup", 30)
        await self.relay.start()
        await gateway.running.said("rtpengine .* is up", 15, times=2)
        await page.click("#back")
        await self.page_calls(phone, page)
        await self.hears(page, PHONE_TONE)
        await page.click("#hangup")
        await phone.event("CALL_CLOSED")
