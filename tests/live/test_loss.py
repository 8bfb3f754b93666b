"""A page behind a bad line: five packets of a hundred are lost, the others up to 30 ms late and out of order."""

from __future__ import annotations

from tests.live.browsing import OPUS_ONLY, PHONE_TONE, BrowserCase
from tests.live.chromium import MICROPHONE
from tests.live.gateway import Gateway
from tests.live.impairment import BadLine
from tests.live.netns import Namespace
from tests.live.requirements import need
from tests.live.sound import G711
from tests.live.waiting import until

SECONDS = 4
"""Of sound that is judged."""


@need("chromium", "kamailio", "network")
class LossTests(BrowserCase):
    async def test_transcoded_call(self) -> None:
        """Opus to the page, G.711 to the phone: each hears the other's tone, clear enough to be understood."""
        network = Namespace("bad", 2)
        network.create()
        self.addCleanup(network.delete)
        gateway, line = await self.behind_a_bad_line(network)
        page = await self.browse(gateway, within=network.words, flags=network.flags(gateway.url), script=OPUS_ONLY)
        phone = await self.answerer(G711(0))
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        call.sound.forget()
        await until("some seconds of sound", lambda: len(call.sound.latest(4)) >= SECONDS * 7500, SECONDS + 3)
        # A hole of 20 ms in every 400 leaves a clean tone at four fifths; a decoder that has lost its way, noise.
        self.assertApproximates(call.sound.heard(4), MICROPHONE, 5)
        self.assertGreater(call.sound.purity(MICROPHONE, 4), 0.7)
        heard = [await page.hearing() for _ in range(4)]
        self.assertEqual([hertz for hertz in heard if abs(hertz - PHONE_TONE) > 10], [], heard)
        statistics = await self.statistics(page)
        share = statistics["lost"] / (statistics["lost"] + statistics["received"])
        self.assertTrue(0.01 < share < 0.1, f"the line lost {share:.1%} of what was sent to the page")
        await self.hang_up(page, call)
        await line.stop()
        carried, lost = line.counts()
        self.assertApproximates(lost / (carried + lost), 0.05, 0.02)

    async def behind_a_bad_line(self, network: Namespace) -> tuple[Gateway, BadLine]:
        """A line to the page's network, and a gateway at our end of it."""
        line = BadLine(network, self.folder)
        await line.start()
        self.addCleanup(line.stop)
        return await self.gateway("gw1", host=network.ours), line
