"""What a new user tries next, alone with the sandbox: a reload, a second call, a transfer, a conference, a hold."""

from __future__ import annotations

import json
from pathlib import Path

from rtcgw.sandbox.preset import RECORDS
from tests.live.chromium import MICROPHONE, Page
from tests.live.requirements import need
from tests.live.sandboxing import SandboxCase
from tests.live.waiting import reactor, until

OTHER_MICROPHONE = 880
TONE = 440
"""Hz of the phones `tone` and `hold`."""
RINGS = "!document.querySelector('#incoming-actions').hidden"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


@need("chromium")
class SandboxCallsTests(SandboxCase):
    """A call's life in the softphone."""

    async def shows(self, page: Page, words: str, timeout: float = 10) -> None:
        await page.until(f"document.body.innerText.includes({json.dumps(words)})", timeout)

    async def hears_both(self, page: Page, *hertz: float) -> None:
        """The page hears all of these tones at once."""
        end = reactor.seconds() + 10
        while min(levels := await page.levels(*hertz)) < -60:
            self.assertLess(reactor.seconds(), end, f"{hertz} Hz are as loud as {levels} dB")

    async def test_reload_and_another_tab(self) -> None:
        """The page is loaded again in a call, another tab takes the call over: you go on hearing yourself."""
        browser = await self.browser("alice")
        page = await self.tab(browser, "alice")
        await self.dial(page, "echo")
        await self.state(page, "InCall")
        await page.reload()
        await self.state(page, "InCall")
        await self.hears(page, MICROPHONE)
        other = await self.tab(browser, "alice")
        await other.click("#others button")
        await self.state(other, "InCall")
        await self.hears(other, MICROPHONE)
        await self.state(page, "Hangup")
        await other.click("#keypad")
        for place in (4, 2):
            await other.click(f"#call-pad button:nth-child({place})")
        await self.shows(other, "The other side pressed 42")
        self.assertEqual(page.errors + other.errors, [])

    async def test_either_tab_answers(self) -> None:
        """Two tabs ring; whichever answers has the sound. The other one is free again."""
        browser = await self.browser("alice")
        pages = [await self.tab(browser, "alice") for _ in range(2)]
        for page, other in (pages, pages[::-1]):
            await self.dial(page, "caller")
            await self.state(page, "Hangup", 15)
            await other.until(RINGS, 20)
            await other.click("#answer")
            await self.hears(other, TONE)
            await self.state(page, "Hangup")
            await other.click("#hangup")
            for each in (page, other):
                await each.until("document.querySelector('#state').textContent === 'Idle'")

    async def test_two_calls(self) -> None:
        """A second call holds the first, you switch between them, and in the end they have each other."""
        page = await self.page("alice")
        await self.dial(page, "echo")
        await self.state(page, "InCall")
        await page.click("#add")
        await self.dial(page, "early")
        await self.hears(page, 660)
        await page.click("#lines button")
        await self.hears(page, MICROPHONE)
        await page.click("#transfer")
        await page.click("#transfer-partners button")
        await self.state(page, "Hangup")
        await self.shows(page, "The call has been transferred.")
        file = self.folder / RECORDS
        await until("two records", lambda: len(_lines(file)) > 1, 5)
        self.assertEqual([json.loads(line)["reason"] for line in _lines(file)], ["transferred", "transferred"])
        self.assertEqual(page.errors, [])

    async def test_transfer_to_a_contact(self) -> None:
        """**Transfer**, a click on a contact, a click on the button: the other user's page rings."""
        alice, bob = await self.page("alice"), await self.page("bob", OTHER_MICROPHONE)
        await self.dial(alice, "echo")
        await self.state(alice, "InCall")
        await alice.click("#transfer")
        await self.dial(alice, "bob")
        await alice.click("#transfer-now")
        await bob.until(RINGS)
        await bob.click("#answer")
        await self.hears(bob, OTHER_MICROPHONE)
        await self.state(alice, "Hangup")

    async def test_conference(self) -> None:
        """Two pages and a phone hear each other; who has made the conference leaves, and it goes on."""
        alice, bob = await self.page("alice"), await self.page("bob", OTHER_MICROPHONE)
        await self.dial(alice, "early")
        await self.hears(alice, 660)
        await alice.click("#add")
        await self.dial(alice, "bob")
        await bob.until(RINGS)
        await bob.click("#answer")
        await self.hears(alice, OTHER_MICROPHONE)
        await alice.click("#merge")
        await self.shows(bob, "In this call")
        await self.hears_both(alice, 660, OTHER_MICROPHONE)
        await self.hears_both(bob, 660, MICROPHONE)
        await alice.click("#hangup")
        await self.hears(bob, 660)
        self.assertEqual(await bob.text("#peer-address"), "")
        self.assertEqual(alice.errors + bob.errors, [])

    async def test_held_and_transferred(self) -> None:
        """`hold` holds you, and you hear music, then its tone again; `transfer` sends you to `echo`."""
        page = await self.page("alice")
        await self.dial(page, "hold")
        await self.hears(page, TONE)
        await self.shows(page, "You are on hold")
        heard = {round(await page.hearing(seconds=0.3)) for _ in range(8)}
        self.assertGreater(len(heard - {0}), 2, "that is no music")
        await self.hears(page, TONE)
        await page.click("#hangup")
        await page.click("#back")
        await self.dial(page, "transfer")
        await self.shows(page, "Now with echo", 15)
        await self.hears(page, MICROPHONE)
        self.assertEqual(page.errors, [])
