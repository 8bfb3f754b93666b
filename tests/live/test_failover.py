"""Two rtpengines, and the one that carries a call is killed: the call goes on through the other."""

from __future__ import annotations

from typing import Any

from tests.live.browsing import BrowserCase, Monitor
from tests.live.chromium import Page
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711
from tests.live.waiting import reactor, until

BACK = 10.0
"""Seconds from the node's death to sound: it is found out by two checks of a second each."""


@need("chromium", "kamailio", "rtpengine")
class FailoverTests(BrowserCase):
    async def start(self) -> tuple[list[Rtpengine], Page]:
        """Two nodes, a gateway that has both, a page."""
        nodes = [
            Rtpengine(self.folder / f"rtpengine-{number}", 2223 + 2 * number, first, first + 999)
            for number, first in enumerate((30000, 31000))
        ]
        for node in nodes:
            self.addCleanup(node.stop)
            await node.start()
        sections: dict[str, dict[str, Any]] = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [node.node for node in nodes], "ping": 0.5, "timeout": 0.5},
        }
        self.running = await self.gateway("gw1", sections=sections)
        return nodes, await self.browse(self.running)

    async def test_node_dies(self) -> None:
        """Both hear each other again after a few seconds; the phone has been told where to send to now."""
        nodes, page = await self.start()
        phone = await self.answerer(G711(0))
        monitor = Monitor(page)
        await monitor.start()
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        carrying = next(node for node in nodes if node.has(call.offers[-1].media[0].port))
        other = next(node for node in nodes if node is not carrying)
        died = reactor.seconds()
        await carrying.kill()
        call.sound.forget()
        await until("the phone is offered another port", lambda: len(call.offers) > 1, BACK)
        self.assertTrue(other.has(call.offers[-1].media[0].port), call.offers[-1])
        call.sound.forget()
        await self.hear_each_other(page, call)
        self.assertLess(reactor.seconds() - died, BACK + 2)
        await self.state(page, "InCall")
        await self.hang_up(page, call)

    async def test_next_call(self) -> None:
        """A call made after a node has died is carried by the one that lives."""
        nodes, page = await self.start()
        phone = await self.answerer(G711(0))
        await nodes[0].kill()
        await self.running.running.said("rtpengine .*:2223 is down", 5)
        for _ in range(2):
            call = await self.talk(page, phone)
            await self.hear_each_other(page, call)
            self.assertTrue(nodes[1].has(call.offers[-1].media[0].port), call.offers[-1])
            await self.hang_up(page, call)
            await page.click("#back")
