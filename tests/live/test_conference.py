"""A conference of a page and two phones, each with a tone of its own: everybody hears the two others, never itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from tests.live import tones
from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.waiting import until
from tests.live.webclient import TONE, Call, Media, WebClient
from tests.peers.rtp import power

ERIN, FRANK = 700, 1100
"""Hz of what each phone says."""
AUDIBLE = 0.02
"""Share of the energy above which a tone counts as heard; one of two equal ones has a half."""


class ConferenceCase(GatewayCase):
    async def phone(self, name: str, tone: int) -> Baresip:
        phone = Baresip(named(name), self.folder / name, self.core, tone=tone, answer="auto", codecs="PCMU,PCMA")
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def talk(self, client: WebClient, phone: Baresip, tone: int) -> Call:
        call = await client.call(phone.who.uri)
        await call.answered()
        await call.hears(tone)
        return call

    async def page_comes(self, call: Call) -> None:
        """The page takes the conference's media as browsers do: with a new peer connection."""
        offer = await call.client.expect("OFFER", session=call.session, sdpType="offer", fresh=True)
        before, call.media = call.media, Media(TONE)
        self.addCleanup(before.close)
        sent = call.client.send("ANSWER", session=call.session, sdp=call.media.answer(offer["sdp"]))
        await call.client.expect_among("OK", for_="ANSWER", id=sent)

    async def hear_each_other(self, call: Call, erin: Baresip, frank: Baresip) -> None:
        await until("the page hears both phones", lambda: page_hears(call, ERIN) and page_hears(call, FRANK))
        self.assertFalse(page_hears(call, TONE))
        for phone, others, own in ((erin, (TONE, FRANK), ERIN), (frank, (TONE, ERIN), FRANK)):
            for hertz in others:
                await until(f"{phone.who.user} hears {hertz} Hz", partial(phone_hears, phone, hertz))
            self.assertFalse(phone_hears(phone, own))

    async def three(self, gateway: Gateway) -> None:
        """Two calls of a page become one; then a phone leaves, and the two others go on hearing each other."""
        erin, frank = await self.phone("erin", ERIN), await self.phone("frank", FRANK)
        wanda = await gateway.client("wanda")
        first = await self.talk(wanda, erin, ERIN)
        second = await self.talk(wanda, frank, FRANK)
        sent = wanda.send("MERGE", sessions=[first.session, second.session])
        await self.page_comes(first)
        ok = await wanda.expect_among("OK", for_="MERGE", id=sent)
        self.assertEqual(ok["session"], first.session)
        await wanda.expect_among("HANGUP", session=second.session, reason="merged")
        await self.hear_each_other(first, erin, frank)
        await frank.hang_up()
        await until("the page hears one phone", lambda: page_hears(first, ERIN) and not page_hears(first, FRANK))
        await until("the phone hears the page", lambda: phone_hears(erin, TONE) and not phone_hears(erin, FRANK))
        await erin.hang_up()
        await wanda.expect_among("HANGUP", session=first.session, reason="hangup")


@need("kamailio", "baresip")
class ConferenceTests(ConferenceCase):
    async def test_three(self) -> None:
        """The page's sound goes through the relay of the same process."""
        await self.three(await self.gateway("gw1"))


@need("kamailio", "baresip", "rtpengine")
class EngineTests(ConferenceCase):
    async def test_three(self) -> None:
        """The page's sound goes through rtpengine, the phones' straight to the mixer."""
        engine = Rtpengine(self.folder / "rtpengine")
        await engine.start()
        self.addCleanup(engine.stop)
        sections: Mapping[str, Mapping[str, Any]] = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [engine.node], "ping": 1, "timeout": 1},
        }
        await self.three(await self.gateway("gw1", sections=sections))


def page_hears(call: Call, hertz: int) -> bool:
    """Whether the tone is in the last eighth of a second that the page heard."""
    samples = [float(sample) for sample in list(call.media.end.heard)[-2000:]]
    return len(samples) == 2000 and power(samples, hertz) > 500


def phone_hears(phone: Baresip, hertz: int) -> bool:
    """Whether the tone is in the last half second that the phone has recorded."""
    samples, rate = tones.read_growing(phone.recording())
    loud = len(samples) > 0 and float(np.max(np.abs(samples))) > 0.005
    return loud and tones.purity(samples, rate, hertz) > AUDIBLE
