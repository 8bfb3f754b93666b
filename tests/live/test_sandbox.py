"""What a new user does first: `twistd rtcgw --sandbox`, a browser, one click on a phone of the sandbox.

Proof is the frequency that each page hears: its own microphone's tone for `echo`, the other's for a call.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.live.chromium import MICROPHONE, Browser, Page
from tests.live.gateway import FAULT
from tests.live.ims.core import ROOT
from tests.live.requirements import need
from tests.live.running import Running
from tests.live.waiting import reactor

WEB = 18081
OTHER_MICROPHONE = 880


@need("chromium")
class SandboxTests(TestCase):
    """The gateway with its stand-in core, and the softphone in Chromium."""

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

    async def page(self, user: str, microphone: int = MICROPHONE) -> Page:
        """A browser with the softphone, logged in."""
        browser = Browser(reactor, self.folder / user, microphone=microphone)
        self.addCleanup(browser.stop)
        await browser.start()
        page = await browser.open(f"http://127.0.0.1:{WEB}/")
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

    async def test_echo(self) -> None:
        """One click calls `echo`, and you hear yourself; a second call works as well."""
        page = await self.page("alice")
        for _ in range(2):
            await self.dial(page, "echo")
            await self.state(page, "InCall")
            await self.hears(page, MICROPHONE)
            await page.click("#hangup")
            await self.state(page, "Hangup")
            await page.click("#back")
        self.assertEqual(page.errors, [])

    async def test_busy_and_ring(self) -> None:
        """`busy` is busy at once; `ring` rings until you give up."""
        page = await self.page("alice")
        await self.dial(page, "busy")
        await self.state(page, "Hangup")
        self.assertIn("busy", (await page.text("#detail")).lower())
        await page.click("#back")
        await self.dial(page, "ring")
        await page.until("/ring/i.test(document.querySelector('#detail').textContent)", 10)
        await page.click("#hangup")
        await self.state(page, "Hangup")

    async def test_caller_calls_back(self) -> None:
        """`caller` calls you back ten seconds later, and has something to say."""
        page = await self.page("alice")
        await self.dial(page, "caller")
        await self.state(page, "Hangup", 30)
        await page.click("#back")
        await page.until("!document.querySelector('#incoming-actions').hidden", 20)
        await page.click("#answer")
        await self.state(page, "InCall")
        await page.until("true", 1)
        self.assertGreater(await page.hearing(), 100)
        await page.click("#hangup")
        await self.state(page, "Hangup")

    async def test_two_pages(self) -> None:
        """A second page is called, answers, calls back; the two hear each other."""
        alice, bob = await self.page("alice"), await self.page("bob", OTHER_MICROPHONE)
        await self.dial(alice, "bob")
        await bob.until("!document.querySelector('#incoming-actions').hidden")
        await bob.click("#answer")
        await self.state(alice, "InCall")
        await self.state(bob, "InCall")
        await self.hears(alice, OTHER_MICROPHONE)
        await self.hears(bob, MICROPHONE)
        await bob.click("#hangup")
        await self.state(alice, "Hangup")
        self.assertEqual(alice.errors + bob.errors, [])
