"""A page goes from one network to another in the middle of a call, as a laptop does that leaves its dock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.live.answerer import Answered
from tests.live.browsing import PHONE_TONE, BrowserCase, Monitor, longest_gap
from tests.live.chromium import MICROPHONE, Page
from tests.live.netns import Namespace
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711
from tests.live.waiting import reactor, until

BACK = 3.0
"""Seconds that the sound may be away."""


class NetworkCase(BrowserCase):
    """The page lives in a network of its own."""

    sections: Mapping[str, Mapping[str, Any]] = {}

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        self.network = Namespace("page", 1)
        self.network.create()
        self.addCleanup(self.network.delete)
        self.network.join()

    async def start(self) -> tuple[Page, Answered]:
        """A call between the page and a phone, each hearing the other."""
        gateway = await self.gateway("gw1", sections=self.sections, host=self.network.ours)
        page = await self.browse(gateway, within=self.network.words, flags=self.network.flags(gateway.url))
        phone = await self.answerer(G711(0))
        self.monitor = Monitor(page)
        await self.monitor.start()
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        return page, call

    async def check_move(self) -> None:
        page, call = await self.start()
        methods, port = dict(call.phone.methods), call.sound.remote
        call.sound.forget()
        start = reactor.seconds()
        self.network.move()
        await until("the sound from the page stops", lambda: reactor.seconds() - last(call, start) > 0.1, 2)
        await until("the phone hears again", lambda: reactor.seconds() - last(call, start) < 0.05, BACK)
        await until("a second of it", lambda: len(call.sound.latest(4)) > 8000, 2)
        self.assertLess(longest_gap([start, *call.sound.arrivals]), BACK)
        await call.hears(MICROPHONE)
        await self.hears(page, PHONE_TONE, 2)
        self.assertLess(await self.monitor.silence(PHONE_TONE, start), BACK)
        self.assertEqual(dict(call.phone.methods), methods, "the core was told of it")
        self.assertEqual(call.sound.remote, port)
        # Everything else works on: the page is heard of, and can hang up.
        await page.until("document.querySelector('#state').textContent === 'InCall'", 10)
        await self.hang_up(page, call)


def last(call: Answered, start: float) -> float:
    """When the latest packet came to the phone, or `start`."""
    return call.sound.arrivals[-1] if call.sound.arrivals else start


@need("chromium", "kamailio", "network")
class EmbeddedTests(NetworkCase):
    async def test_move(self) -> None:
        """The sound is back within three seconds both ways, and the phone's side has heard nothing of it."""
        await self.check_move()


@need("chromium", "kamailio", "network", "rtpengine")
class RtpengineTests(NetworkCase):
    async def test_move(self) -> None:
        """The same with rtpengine: the phone sends on to where it sent before."""
        relay = Rtpengine(self.folder / "rtpengine", address=self.network.ours)
        self.addCleanup(relay.stop)
        await relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [relay.node], "ping": 1, "timeout": 1},
        }
        await self.check_move()
