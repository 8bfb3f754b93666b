"""The gateway with its sandbox as a process, and softphones in Chromium."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.live.chromium import MICROPHONE, Browser, Page
from tests.live.gateway import FAULT
from tests.live.ims.core import ROOT
from tests.live.running import Running
from tests.live.waiting import reactor

WEB = 18081


class SandboxCase(TestCase):
    """Whatever a test does, the gateway has logged no fault at its end."""

    timeout = 90

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        twistd = "import sys; from twisted.scripts.twistd import run; sys.argv[0] = 'twistd'; run()"
        argv = [sys.executable, "-c", twistd, "--nodaemon", "--pidfile=", "rtcgw", "--sandbox"]
        argv += ["--listen", f"tcp:{WEB}:interface=127.0.0.1"]
        self.gateway = Running("sandbox", argv, self.folder, env={"PYTHONPATH": str(ROOT)})
        self.addCleanup(self.end)
        await self.gateway.said("log in as alice", 15)
        for profile in ("alice", "bob"):
            await self.gateway.said(f"profile {profile}: registered for", 10)

    async def end(self) -> None:
        await self.gateway.stop(15)
        self.assertNotRegex(self.gateway.log(), FAULT)

    async def page(self, user: str, microphone: int = MICROPHONE, script: str = "") -> Page:
        """A browser with the softphone, logged in."""
        browser = await self.browser(user, microphone, script)
        return await self.tab(browser, user, bool(script))

    async def browser(self, name: str, microphone: int = MICROPHONE, script: str = "") -> Browser:
        """A browser without a page."""
        browser = Browser(reactor, self.folder / name, microphone=microphone, script=script)
        self.addCleanup(browser.stop)
        await browser.start()
        return browser

    async def tab(self, browser: Browser, user: str, lawless: bool = False) -> Page:
        """The softphone in a new tab, logged in. `lawless`: without the page's own policy, which a script may need."""
        page = await browser.open(f"http://127.0.0.1:{WEB}/")
        if lawless:
            await page.send("Page.setBypassCSP", enabled=True)
            await page.go(f"http://127.0.0.1:{WEB}/")
        await page.until("!document.querySelector('#login').hidden")
        await page.type("#user", user)
        await page.type("#password", user)
        await page.click("#login-button")
        await page.until("!document.querySelector('#phone').hidden")
        return page

    async def state(self, page: Page, state: str, timeout: float = 20) -> None:
        await page.until(f"document.querySelector('#state').textContent === '{state}'", timeout)

    async def dial(self, page: Page, name: str) -> None:
        """Click on a suggested contact."""
        await page.click(f"[data-address='{name if '@' in name or name == 'bob' else f'sip:{name}@sandbox.test'}']")

    async def hears(self, page: Page, hertz: float, timeout: float = 15) -> None:
        end = reactor.seconds() + timeout
        while abs((heard := await page.hearing()) - hertz) > 10:
            self.assertLess(reactor.seconds(), end, f"the page hears {heard} Hz, not {hertz} Hz")
