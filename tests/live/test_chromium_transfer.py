"""The whole page in a whole browser hands one baresip on to another, through the S-CSCF, and is handed on itself."""

from __future__ import annotations

from tests.live.requirements import need
from tests.live.test_several_calls import ERIN_TONE, FRANK_TONE, CallsCase


@need("chromium", "kamailio", "baresip")
class ChromiumTransferTests(CallsCase):
    async def test_attended(self) -> None:
        """The page talks to erin, then to frank while erin is on hold, and connects the two: frank hears erin, what he
        says reaches her, and they hang up together. No call of the page's is left.

        What erin hears is not measured: baresip 1.0 records nothing more once it was on hold. `test_several_calls.py`
        has that with a phone made of Python, `test_transfer.py` has two baresips without a hold.
        """
        page = await self.browse(await self.gateway("gw1"))
        erin, frank = await self.phone("erin", ERIN_TONE), await self.phone("frank", FRANK_TONE)
        await self.dial(page, erin.who.uri)
        await self.state(page, "InCall")
        await self.hears(page, ERIN_TONE)
        await self.second(page, frank, FRANK_TONE)
        await page.click("#transfer")
        await page.click("#transfer-partners button")
        await page.until("document.querySelector('#lines-card').hidden")
        await self.state(page, "Hangup")
        await frank.hears(ERIN_TONE)
        await erin.running.said("SSRC changed", times=1)
        await frank.hang_up()
        await erin.event("CALL_CLOSED")
        self.assertEqual(page.errors, [])

    async def test_handed_on(self) -> None:
        """erin's phone sends the page to frank's: the page goes on in the same call, shows frank and hears him."""
        page = await self.browse(await self.gateway("gw1"))
        erin, frank = await self.phone("erin", ERIN_TONE), await self.phone("frank", FRANK_TONE)
        await self.dial(page, erin.who.uri)
        await self.state(page, "InCall")
        await self.hears(page, ERIN_TONE)
        await erin.transfer(frank.who.uri)
        await self.hears(page, FRANK_TONE)
        await page.until("document.querySelector('#peer-name').parentElement.innerText.includes('frank')")
        await erin.event("CALL_CLOSED")
        await page.click("#hangup")
        await frank.event("CALL_CLOSED")
        self.assertEqual(page.errors, [])
