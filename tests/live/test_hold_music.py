"""Holds and keys between a page and a real phone; by the relay and by rtpengine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.tones import write_tone
from tests.live.waiting import until
from tests.live.webclient import TONE, Call

PHONE_TONE, MUSIC = 700, 1250


class MusicCase(GatewayCase):
    """A page that talks to a phone, through a gateway that has a tone for whoever is held."""

    async def talk(self, more: Mapping[str, Mapping[str, Any]]) -> tuple[Gateway, Call, Baresip]:
        music = write_tone(self.folder.absolute() / "hold.wav", MUSIC, rate=8000)
        media = {"hold_music": str(music), **more.get("media", {})}
        sections = {**more, "media": media, "call": {"hold_after": 1}}
        gateway = await self.gateway("gw1", sections=sections)
        phone = Baresip(named("erin"), self.folder / "erin", self.core, tone=PHONE_TONE, codecs="PCMU,PCMA")
        await phone.start()
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await call.hears(PHONE_TONE)
        await phone.hears(TONE)
        # The phone begins another recording with each change, and names it by the second.
        await until("a second of it", lambda: phone.recording().stat().st_size > 24000)
        return gateway, call, phone

    async def plays_to(self, phone: Baresip) -> None:
        """The phone is sent sound at the full rate while it sends none. Baresip 1.0 records nothing while it only
        receives, so which sound it is was measured elsewhere (`test_rtpengine_holds.py`, `tests/media`)."""

        def look() -> bool:
            found = re.findall(r"audio=(\d+)/(\d+) ", phone.running.log()[-400:])
            return bool(found) and int(found[-1][0]) == 0 and int(found[-1][1]) > 60000

        await until("the held phone is played to", look)

    async def hold(self, call: Call, on: bool) -> None:
        sent = call.client.send("HOLD", session=call.session, on=on)
        await call.client.expect_among("OK", for_="HOLD", id=sent)

    async def holds_both_ways(self, more: Mapping[str, Mapping[str, Any]]) -> None:
        """The page holds and takes back, then the phone does."""
        _, call, phone = await self.talk(more)
        await self.hold(call, True)
        await self.plays_to(phone)
        await self.hold(call, False)
        await phone.hears(TONE)
        await call.hears(PHONE_TONE)
        await phone.hold()
        await call.client.expect_among("HOLD", on=True)
        await phone.resume()
        await call.client.expect_among("HOLD", on=False)
        await phone.hears(TONE)
        await call.hears(PHONE_TONE)
        await call.hang_up()

    async def keys(self, more: Mapping[str, Mapping[str, Any]]) -> None:
        """Keys that the page names are heard by the phone as keys; the voice goes on."""
        _, call, phone = await self.talk(more)
        sent = call.client.send("DTMF", session=call.session, tones="159#")
        await call.client.expect_among("OK", for_="DTMF", id=sent)
        await until("the phone has the keys", lambda: phone.digits == "159#")
        await phone.hears(TONE)
        await call.hang_up()


@need("kamailio", "baresip")
class EmbeddedMusicTests(MusicCase):
    async def test_held(self) -> None:
        """By the gateway's own relay."""
        await self.holds_both_ways({})

    async def test_page_is_away(self) -> None:
        """A phone whose page is gone hears music until the call ends."""
        gateway, call, phone = await self.talk({})
        await call.client.vanish()
        gateway.clients.remove(call.client)
        await self.plays_to(phone)
        await phone.hang_up()

    async def test_keys(self) -> None:
        """By the gateway's own relay; and a key of the phone's is shown to the page."""
        await self.keys({})


@need("kamailio", "baresip", "rtpengine")
class EngineMusicTests(MusicCase):
    async def engine(self) -> Mapping[str, Mapping[str, Any]]:
        engine = Rtpengine(self.folder)
        await engine.start()
        self.addCleanup(engine.stop)
        return {"media": {"backend": "rtpengine"}, "media.rtpengine": {"nodes": [engine.node]}}

    async def test_held(self) -> None:
        """By rtpengine, which plays the file."""
        await self.holds_both_ways(await self.engine())

    async def test_keys(self) -> None:
        """By rtpengine, in a call that it was not readied for before."""
        await self.keys(await self.engine())
