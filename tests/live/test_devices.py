"""One user with three tabs open: all ring, one has the call, it goes from tab to tab while the other side talks on."""

from __future__ import annotations

from tests.live.baresip import Baresip
from tests.live.browsing import BrowserCase
from tests.live.chromium import MICROPHONE, Page
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.waiting import until

CALLER_TONE = 620
"""Hz of what the caller says."""


def shows(selector: str, text: str) -> str:
    """That an element has this text in it."""
    return f"document.querySelector('{selector}').innerText.includes({text!r})"


@need("chromium", "kamailio", "baresip")
class TabsTests(BrowserCase):
    timeout = 120

    async def tabs(self, gateway: Gateway, count: int = 3) -> list[Page]:
        """So many tabs of one browser, all logged in as wanda."""
        pages = [await self.browse(gateway)]
        for _ in range(count - 1):
            page = await self.browser_of("wanda").open(f"{gateway.url}#token={gateway.token('wanda')}")
            await page.until("!document.querySelector('#login').hidden")
            await page.click("#login-button")
            await page.until("!document.querySelector('#phone').hidden", 20)
            pages.append(page)
        return pages

    async def ring(self) -> tuple[Baresip, list[Page]]:
        """Erin's phone, and wanda's tabs, all of which ring."""
        tabs = await self.tabs(await self.gateway("gw1"))
        caller = Baresip(named("erin"), self.folder / "erin", self.core, tone=CALLER_TONE)
        await caller.start()
        self.addCleanup(caller.stop)
        await caller.dial(named("gw1").uri)
        for tab in tabs:
            await tab.until("!document.querySelector('#incoming-actions').hidden", 15)
        return caller, tabs

    async def test_from_tab_to_tab(self) -> None:
        """All ring, one answers, the others are told; each takes the call over in turn, and is heard and hears."""
        caller, tabs = await self.ring()
        first, *others = tabs
        await first.click("#answer")
        await self.state(first, "InCall")
        for tab in others:
            await tab.until(shows("#detail", "The call was answered on another device."))
            await tab.until(shows("#others", "erin"))
        await self.hears(first, CALLER_TONE)
        for before, tab in zip(tabs, others, strict=False):
            await tab.click("#others button")
            await self.state(tab, "InCall")
            await before.until(shows("#detail", "The call goes on in another tab or on another device."))
            await self.hears(tab, CALLER_TONE)
            self.assertEqual(await before.hearing(), 0)
        size = caller.recording().stat().st_size
        await until("the last tab is recorded", lambda: caller.recording().stat().st_size > size + 24000)
        await caller.hang_up()
        await self.state(others[-1], "Hangup")
        self.assertApproximates(caller.heard(), MICROPHONE, 5)
        for tab in tabs:
            await tab.until("document.querySelector('#others-card').hidden")
            self.assertEqual(tab.errors, [])

    async def test_called_by_a_page(self) -> None:
        """A page calls three tabs, whose media go directly to it: whichever answers hears it and is heard."""
        gateway = await self.gateway("gw1")
        tabs = await self.tabs(gateway)
        caller = await self.browse(gateway, user="henry")
        for tab in tabs:
            await self.dial(caller, "wanda")
            await tab.until("!document.querySelector('#incoming-actions').hidden", 15)
            await tab.click("#answer")
            await self.state(caller, "InCall")
            await self.hears(tab, MICROPHONE)
            await self.hears(caller, MICROPHONE)
            await tab.click("#hangup")
            await self.state(caller, "Hangup")
            await caller.click("#back")

    async def test_missed_once(self) -> None:
        """A caller who gives up leaves one missed call on all tabs; looked at on one of them, it is gone on all."""
        caller, tabs = await self.ring()
        await caller.hang_up()
        for tab in tabs:
            await tab.until("document.querySelector('#missed-count').textContent === '1'")
            await tab.until("document.querySelector('#missed-card').checkVisibility()")
        first, *others = tabs
        await first.click("#back")
        await first.click("#missed-more summary")
        self.assertIn("erin", await first.text("#missed"))
        for tab in others:
            await tab.until("document.querySelector('#missed-card').hidden")

    async def test_reloaded_tab_takes_nothing(self) -> None:
        """A tab without a call that is loaded again stays logged in, and leaves the call where it is."""
        _, (first, second, _) = await self.ring()
        await first.click("#answer")
        await self.state(first, "InCall")
        await second.until(shows("#others", "erin"))
        await second.reload()
        await second.until("!document.querySelector('#phone').hidden")
        await second.until(shows("#others", "erin"))
        await self.state(first, "InCall")
        await self.hears(first, CALLER_TONE)
