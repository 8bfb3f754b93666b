"""A page that is loaded again in the middle of a call, or whose browser is killed: the call is back, and can be heard.

Proof is the frequency that each side hears of the other. Times are from the order to reload until the tone of the
other side comes out of the new page's player, or a packet of the new page's microphone has come to the phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from tests.live.answerer import Answered
from tests.live.browsing import PHONE_TONE, WATCH, BrowserCase, Monitor, within_ms
from tests.live.chromium import MICROPHONE, Page
from tests.live.gateway import Gateway
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711
from tests.live.waiting import reactor, until

TIMES = 10
"""Reloads in one call."""
BACK = 6000.0
"""Milliseconds that the sound may take; the page, its modules and the microphone are loaded anew in them."""
KEPT = 7.0
"""Seconds after which Chromium has written to disk what a page keeps (it collects for five)."""


class ReloadCase(BrowserCase):
    """A phone, a page, and a call between them."""

    timeout = 240
    sections: Mapping[str, Mapping[str, Any]] = {}

    async def start(self) -> tuple[Gateway, Page, Answered]:
        """A call in which each hears the other."""
        gateway = await self.gateway("gw1", sections=self.sections)
        page = await self.browse(gateway, script=WATCH)
        phone = await self.answerer(G711(0))
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        return gateway, page, call

    async def back(self, what: str, page: Page, call: Answered, since: float) -> float:
        """Wait until each hears the other again; the milliseconds that it took the page to hear."""
        heard = await Monitor(page).since(PHONE_TONE, 20)
        took = within_ms(f"{what}: the page hears after", since, heard, BACK)
        await until("the phone hears", lambda: call.sound.arrivals and call.sound.arrivals[-1] > heard - 0.2, 10)
        await self.state(page, "InCall")
        await call.hears(MICROPHONE)
        return took

    async def check_reloads(self) -> None:
        _, page, call = await self.start()
        shown = await page.text("#peer-name")
        times = []
        for number in range(1, TIMES + 1):
            start = reactor.seconds()
            await page.reload()
            times.append(await self.back(f"reload {number}", page, call, start))
        times.sort()
        print(f"{TIMES} reloads: median {times[TIMES // 2]:.0f} ms, longest {times[-1]:.0f} ms")  # noqa: T201 - asked for
        self.assertEqual(await page.text("#peer-name"), shown)
        # The clock of the call has gone on, and no log-in was asked for.
        minutes, seconds = (await page.text("#timer")).split(":")
        self.assertGreaterEqual(int(minutes) * 60 + int(seconds), int(sum(times) / 1000))
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])


@need("chromium", "kamailio")
class EmbeddedTests(ReloadCase):
    async def test_ten_reloads(self) -> None:
        """Ten times running the page is loaded again: each time both hear each other again, in the same call."""
        await self.check_reloads()

    async def test_muted_stays_muted(self) -> None:
        """Whoever was muted before the reload is not heard after it."""
        _, page, call = await self.start()
        await page.click("#mute")
        await page.reload()
        await self.state(page, "InCall")
        await self.hears(page, PHONE_TONE)
        self.assertEqual(await page.evaluate("document.querySelector('#mute').getAttribute('aria-pressed')"), "true")
        call.sound.forget()
        await until("a second of sound", lambda: len(call.sound.latest(4)) > 8000, 5)
        self.assertLess(call.sound.level(0.5), 0.01)
        await page.click("#mute")
        await call.hears(MICROPHONE)

    async def test_phone_hangs_up_meanwhile(self) -> None:
        """The other side hangs up while there is no page: the next one says that the call is over."""
        gateway, page, call = await self.start()
        await page.go("about:blank")
        await deferLater(reactor, 0.5)
        call.hang_up()
        await deferLater(reactor, 0.5)
        await page.go(gateway.url)
        await self.state(page, "Hangup")
        self.assertEqual(await page.text("#detail"), "The call was over before the connection came back.")

    async def test_answered_meanwhile(self) -> None:
        """The other side answers while the page is being loaded: the new page is in the call."""
        gateway = await self.gateway("gw1")
        page = await self.browse(gateway, script=WATCH)
        phone = await self.answerer(G711(0))
        await self.dial(page, phone.who.uri)
        call = await phone.called()
        call.ring()
        await page.until("document.querySelector('#detail').textContent === 'Ringing…'")
        await page.go("about:blank")
        call.answer()
        await deferLater(reactor, 0.5)
        await page.go(gateway.url)
        await self.state(page, "InCall")
        await self.hear_each_other(page, call)

    async def test_answered_after_the_reload(self) -> None:
        """It still rings when the page is there again: the page says so, and is in the call when it is answered."""
        gateway = await self.gateway("gw1")
        page = await self.browse(gateway, script=WATCH)
        phone = await self.answerer(G711(0))
        await self.dial(page, phone.who.uri)
        call = await phone.called()
        call.ring()
        await page.until("document.querySelector('#detail').textContent === 'Ringing…'")
        await page.reload()
        await page.until("document.querySelector('#detail').textContent === 'Ringing…'")
        call.answer()
        await self.state(page, "InCall")
        await self.hear_each_other(page, call)

    async def test_killed_and_opened_again(self) -> None:
        """The browser is killed and started anew: its first page has the call, without a log-in."""
        gateway, page, call = await self.start()
        await deferLater(reactor, KEPT)
        browser = self.browser_of("wanda")
        await browser.crash()
        await until("the phone hears nobody", lambda: reactor.seconds() - call.sound.arrivals[-1] > 0.5, 10)
        await browser.start()
        start = reactor.seconds()
        page = await browser.open(gateway.url)
        await self.back("a new browser", page, call, start)
        await self.hang_up(page, call)


@need("chromium", "kamailio", "rtpengine")
class RtpengineTests(ReloadCase):
    async def test_ten_reloads(self) -> None:
        """The same with rtpengine."""
        relay = Rtpengine(Path(self.folder) / "rtpengine")
        self.addCleanup(relay.stop)
        await relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [relay.node], "ping": 1, "timeout": 1},
        }
        await self.check_reloads()
