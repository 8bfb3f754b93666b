"""A browser and a phone that have no codec in common hear each other all the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.live.amrwb import AmrWb
from tests.live.baresip import Baresip
from tests.live.browsing import OPUS_ONLY, PHONE_TONE, BrowserCase
from tests.live.chromium import MICROPHONE, Page
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711, Codec
from tests.live.waiting import until


class TranscodingCase(BrowserCase):
    """The browser has nothing but Opus."""

    sections: Mapping[str, Mapping[str, Any]] = {}

    async def opus_page(self) -> Page:
        """The softphone in such a browser."""
        gateway = await self.gateway("gw1", sections=self.sections)
        return await self.browse(gateway, script=OPUS_ONLY)

    async def check_page_calls(self, codec: Codec) -> None:
        page = await self.opus_page()
        phone = await self.answerer(codec)
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        statistics = await self.statistics(page)
        self.assertEqual((statistics["heard"], statistics["said"]), ("audio/opus", "audio/opus"))
        self.assertEqual(call.sound.broken, 0)
        self.assertGreater(call.sound.purity(MICROPHONE), 0.9)
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])

    async def check_phone_calls(self) -> None:
        page = await self.opus_page()
        phone = Baresip(named("erin"), self.folder / "erin", self.core, tone=PHONE_TONE, codecs="PCMU")
        await phone.start()
        self.addCleanup(phone.stop)
        await phone.dial(named("gw1").uri)
        await page.until("!document.querySelector('#incoming-actions').hidden")
        await page.click("#answer")
        await phone.event("CALL_ESTABLISHED")
        await self.hears(page, PHONE_TONE)
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)
        await phone.hang_up()
        await self.state(page, "Hangup")
        self.assertApproximates(phone.heard(), MICROPHONE, 5)


@need("chromium", "kamailio", "baresip")
class EmbeddedTests(TranscodingCase):
    """Converted inside the gateway."""

    async def test_page_calls(self) -> None:
        """A browser with Opus calls a phone with mu-law: each hears the other's tone, whole."""
        await self.check_page_calls(G711(0))

    async def test_page_calls_by_a_law(self) -> None:
        """The same with a phone that has A-law only."""
        await self.check_page_calls(G711(8))

    async def test_phone_calls(self) -> None:
        """A phone with mu-law calls a browser, which is offered Opus as its section says: each hears the other."""
        self.sections = {"peer.default": {"transcode": "prefer"}}
        await self.check_phone_calls()


@need("chromium", "kamailio", "amr")
class RtpengineTests(TranscodingCase):
    """Converted by rtpengine, which has the codecs of mobile networks too."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        relay = Rtpengine(self.folder / "rtpengine")
        self.addCleanup(relay.stop)
        await relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [relay.node], "ping": 1, "timeout": 1},
        }

    async def test_g711(self) -> None:
        """A browser with Opus calls a phone with mu-law: each hears the other's tone, whole."""
        await self.check_page_calls(G711(0))

    async def test_amr_wb(self) -> None:
        """A browser with Opus calls a mobile phone that has AMR-WB only, in its usual, bandwidth-efficient form."""
        self.sections = {**self.sections, "peer.mobile": {"match": ["sip:henry@*"], "codecs": ["AMR-WB"]}}
        await self.check_page_calls(AmrWb())

    async def test_amr_wb_octet_aligned(self) -> None:
        """The same with a phone that takes AMR-WB octet-aligned only, which its peer section says."""
        mobile = {"match": ["sip:henry@*"], "codecs": ["AMR-WB"], "fmtp": ["AMR-WB octet-align=1"]}
        self.sections = {**self.sections, "peer.mobile": mobile}
        await self.check_page_calls(AmrWb(aligned=True))
