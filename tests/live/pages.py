"""A test case with the softphone in a real browser, served and answered by a scripted server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import TestCase

from tests.live.chromium import Browser, Page
from tests.peers.scripted_server import ScriptedServer

reactor = cast(Any, _reactor)
"""The real reactor: the browser is a process, its sockets are sockets."""


class PageCase(TestCase):
    """Starts a server and a browser; ends both, and wants the pages to have been without errors."""

    timeout = 60
    microphone_allowed = True

    async def setUp(self) -> None:
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

    async def state(self, page: Page, state: str, detail: str = "") -> None:
        """Wait until the page shows this state of Fig. 7, and this sentence beside it."""
        shown = "document.querySelector('#state').textContent === " + repr(state)
        if detail:
            shown += " && document.querySelector('#detail').textContent === " + repr(detail)
        await page.until(shown)
