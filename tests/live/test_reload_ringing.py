"""A called page that is loaded again while it rings: it rings again, is answered, and both hear each other.

Called by a phone it had connected its sound before the reload, as the page does while it rings; the new one answers the
same offer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.task import deferLater

from tests.live.baresip import Baresip
from tests.live.browsing import BrowserCase
from tests.live.chromium import MICROPHONE, Page
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.waiting import reactor, until

RINGS = "!document.querySelector('#incoming-actions').hidden"
CONNECTED = 1.5
"""Seconds in which a page that rings has connected its sound."""
PHONE_TONE = 700
CALLER_TONE = 620
"""Hz of what the calling phone, and the calling page, say."""


class RingingCase(BrowserCase):
    timeout = 120
    sections: Mapping[str, Mapping[str, Any]] = {}

    async def reload(self, page: Page) -> None:
        """Load the page again once it has rung for a while; it rings again."""
        await page.until(RINGS, 15)
        await deferLater(reactor, CONNECTED)
        await page.reload()
        await page.until(RINGS, 15)

    async def check_phone(self) -> None:
        gateway = await self.gateway("gw1", sections=self.sections)
        phone = Baresip(named("erin"), self.folder / "erin", self.core, tone=PHONE_TONE)
        await phone.start()
        self.addCleanup(phone.stop)
        page = await self.browse(gateway)
        await phone.dial(named("gw1").uri)
        await self.reload(page)
        await page.click("#answer")
        await self.state(page, "InCall")
        await phone.event("CALL_ESTABLISHED")
        await self.hears(page, PHONE_TONE)
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)
        await phone.hang_up()
        await self.state(page, "Hangup")
        self.assertApproximates(phone.heard(), MICROPHONE, 5)
        self.assertEqual(page.errors, [])


@need("chromium", "kamailio", "baresip")
class EmbeddedTests(RingingCase):
    async def test_phone_calls(self) -> None:
        """The relay inside the gateway: the early connection of the old page gives way to that of the new one."""
        await self.check_phone()

    async def test_page_calls(self) -> None:
        """The caller is a page too: the two talk directly, and nothing of the old page stands in the new one's way."""
        gateway = await self.gateway("gw1", "gw2")
        called = await self.browse(gateway)
        caller = await self.browse(gateway, "wim", microphone=CALLER_TONE)
        await self.dial(caller, named("gw1").uri)
        await self.reload(called)
        await called.click("#answer")
        await self.state(called, "InCall")
        await self.state(caller, "InCall")
        await self.hears(called, CALLER_TONE)
        await self.hears(caller, MICROPHONE)
        await caller.click("#hangup")
        await self.state(called, "Hangup")
        self.assertEqual((called.errors, caller.errors), ([], []))


@need("chromium", "kamailio", "baresip", "rtpengine")
class RtpengineTests(RingingCase):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        self.relay = Rtpengine(self.folder / "rtpengine")
        self.addCleanup(self.relay.stop)
        await self.relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [self.relay.node], "ping": 1, "timeout": 1},
        }

    async def test_phone_calls(self) -> None:
        """rtpengine is given the new page's answer in place of the old one's."""
        await self.check_phone()
