"""Two pages talk directly, with pictures, and one of them is taken over by another page: the other one follows.

The new page's peer connection has other keys, and fewer lines than the old one had: the far page cannot go on with the
connection that it has, and is told so (OFFER with `fresh`).
"""

from __future__ import annotations

from tests.live.browsing import BrowserCase
from tests.live.chromium import MICROPHONE
from tests.live.requirements import need

OTHER_TONE = 620
"""Hz of what the other page's user says."""


@need("chromium", "kamailio")
class TakenOverTests(BrowserCase):
    timeout = 90

    async def test_with_a_camera(self) -> None:
        """Wanda has her camera on and goes to another tab, where it is off: each hears the other again."""
        gateway = await self.gateway("gw1", "gw2")
        there = await self.browse(gateway, "wim", microphone=OTHER_TONE)
        before = await self.browse(gateway)
        await self.dial(before, "wim")
        await there.until("!document.querySelector('#incoming-actions').hidden", 15)
        await there.click("#answer")
        await self.state(before, "InCall")
        await before.click("#video")
        await there.until("!document.querySelector('#remote-video').hidden", 15)
        after = await self.browser_of("wanda").open(f"{gateway.url}#token={gateway.token('wanda')}")
        await after.until("!document.querySelector('#login').hidden")
        await after.click("#login-button")
        await after.until("document.querySelector('#others').innerText.includes('im')", 15)
        await after.click("#others button")
        await self.state(after, "InCall")
        await before.until("document.querySelector('#detail').innerText.includes('another tab')")
        await self.hears(after, OTHER_TONE)
        await self.hears(there, MICROPHONE)
        await there.until("document.querySelector('#remote-video').hidden", 15)
        await self.state(there, "InCall")
        await after.click("#hangup")
        await self.state(there, "Hangup")
        self.assertEqual((there.errors, after.errors), ([], []))
