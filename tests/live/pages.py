"""A test case with the softphone in a real browser, served and answered by a scripted server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.live.chromium import POLL, Browser, Page
from tests.peers.scripted_server import Message, ScriptedServer

reactor = cast(Any, _reactor)
"""The real reactor: the browser is a process, its sockets are sockets."""


class PageCase(TestCase):
    """Starts a server and a browser; ends both, and wants the pages to have been without errors."""

    timeout = 60
    microphone_allowed = True

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        self.server = ScriptedServer(reactor)
        self.pages: list[Page] = []
        self.expected_errors: tuple[str, ...] = ()
        """Parts of console errors that the test itself provokes."""
        await self.server.start()
        self.addCleanup(self.server.stop)
        self.browser = Browser(reactor, Path(self.mktemp()), allow=self.microphone_allowed)
        self.addCleanup(self.browser.stop)
        await self.browser.start()

    def tearDown(self) -> None:
        self.assertEqual(self.server.complaints, [], "the page sent what the gateway would refuse")
        errors = [error for page in self.pages for error in page.errors]
        self.assertEqual([e for e in errors if not any(part in e for part in self.expected_errors)], [])

    async def open(self, fragment: str = "") -> Page:
        """The softphone, not logged in."""
        page = await self.browser.open(self.server.url + fragment)
        self.pages.append(page)
        await page.until("!document.querySelector('#login').hidden")
        return page

    async def logged_in(self, user: str = "alice") -> Page:
        """The softphone, logged in by its form."""
        page = await self.open()
        await page.type("#user", user)
        await page.type("#password", user)
        await page.click("#login-button")
        await page.until("!document.querySelector('#phone').hidden")
        return page

    async def dial(self, page: Page, address: str) -> None:
        """Type an address and call it."""
        await page.type("#address", address)
        await page.click("#call")

    async def sent(self, kind: str, count: int = 1) -> list[Message]:
        """Wait until pages have sent so many messages of a type."""
        deadline = reactor.seconds() + 10
        while len(self.server.sent(kind)) < count:
            self.assertLess(reactor.seconds(), deadline, f"no {kind}: {self.server.log}")
            await deferLater(reactor, POLL)
        return self.server.sent(kind)

    async def hears(self, page: Page, hertz: float) -> None:
        """The page hears this tone; 0 stands for silence."""
        heard = await page.hearing(seconds=1.0)
        self.assertTrue(abs(heard - hertz) < 6, f"heard {heard} Hz, not {hertz} Hz")

    async def state(self, page: Page, state: str, detail: str = "") -> None:
        """Wait until the page shows this state of Fig. 7, and this sentence beside it."""
        shown = "document.querySelector('#state').textContent === " + repr(state)
        if detail:
            shown += " && document.querySelector('#detail').textContent === " + repr(detail)
        await page.until(shown)
