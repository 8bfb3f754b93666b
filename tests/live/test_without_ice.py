"""A client whose media have no ICE (`ice: false` at log-in): calls, is called, moves behind its NAT; both relays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcgw.media.sdp import parse
from tests.live.answerer import Answerer
from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711, Sound
from tests.live.storm import pause
from tests.live.waiting import until
from tests.live.webclient import TONE, WebClient

PHONE_TONE = 700
LEARNED = 5.0
"""Seconds after which rtpengine follows no client that merely sends from elsewhere."""


class PlainCase(GatewayCase):
    sections: Mapping[str, Mapping[str, Any]] = {}

    async def client(self) -> WebClient:
        """A client without ICE, logged in."""
        gateway = await self.gateway("gw1", sections=self.sections)
        return await gateway.client("wanda", ice=False)

    async def answerer(self) -> Answerer:
        """A phone that is called."""
        phone = Answerer(named("henry"), self.core, lambda port: Sound(G711(0), port, PHONE_TONE))
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def check_calls(self) -> None:
        """The client calls; it is spoken to without a word of ICE; its NAT then gives it another port."""
        client, phone = await self.client(), await self.answerer()
        call = await client.call(phone.who.uri)
        there = await phone.called()
        there.ring()
        await call.ringing()
        there.answer()
        await call.answered()
        await call.hears(PHONE_TONE)
        await there.hears(TONE)
        assert call.media.peer.remote is not None
        self.assertNotIn("ice-lite", call.media.peer.remote.attributes)
        await call.media.move()
        there.sound.forget()
        await there.hears(TONE)
        heard = call.media.end.received
        await until("the client hears on", lambda: call.media.end.received > heard + 50, 5)
        await call.hears(PHONE_TONE)
        await call.hang_up()
        self.assertEqual(await there.ended(), "BYE")

    async def check_offers_anew(self) -> None:
        """In the middle of a call the client moves and says so in a new offer; the phone is not asked."""
        client, phone = await self.client(), await self.answerer()
        call = await client.call(phone.who.uri)
        there = await phone.called()
        there.answer()
        await call.answered()
        await call.hears(PHONE_TONE)
        await pause(LEARNED)
        await call.media.move()
        sent = client.send("OFFER", session=call.session, sdp=call.media.offer())
        answer = await client.expect("OK", for_="OFFER", id=sent)
        call.media.accept(answer["sdp"])
        there.sound.forget()
        await there.hears(TONE)
        heard = call.media.end.received
        await until("the client hears on", lambda: call.media.end.received > heard + 50, 5)
        self.assertEqual((phone.methods["INVITE"], phone.methods["UPDATE"]), (1, 0))
        await call.hang_up()
        self.assertEqual(await there.ended(), "BYE")

    async def check_is_called(self) -> None:
        """A phone calls the client."""
        client = await self.client()
        phone = Baresip(named("erin"), self.folder / "erin", self.core, tone=PHONE_TONE)
        await phone.start()
        self.addCleanup(phone.stop)
        await phone.dial(named("gw1").uri)
        call = await client.called()
        self.assertNotIn("ice", " ".join(parse(call.offer).media[0].attributes))
        await call.ring()
        await phone.event("CALL_RINGING")
        await call.accept()
        await phone.event("CALL_ESTABLISHED")
        await call.hears(PHONE_TONE)
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)
        await phone.hang_up()
        await call.ended("hangup")
        self.assertApproximates(phone.heard(), TONE, 5)


@need("kamailio", "baresip")
class EmbeddedTests(PlainCase):
    async def test_calls(self) -> None:
        """Both hear each other, before and after the client has moved."""
        await self.check_calls()

    async def test_offers_anew(self) -> None:
        """A client that says where it has moved to is found there, at any time."""
        await self.check_offers_anew()

    async def test_is_called(self) -> None:
        """Both hear each other."""
        await self.check_is_called()


@need("kamailio", "baresip", "rtpengine")
class RtpengineTests(PlainCase):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        engine = Rtpengine(self.folder / "engine")
        self.addCleanup(engine.stop)
        await engine.start()
        self.sections = {"media": {"backend": "rtpengine"}, "media.rtpengine": {"nodes": [engine.node]}}

    async def test_calls(self) -> None:
        """Both hear each other, before and after the client has moved."""
        await self.check_calls()

    async def test_offers_anew(self) -> None:
        """A client that says where it has moved to is found there, at any time."""
        await self.check_offers_anew()

    async def test_is_called(self) -> None:
        """Both hear each other."""
        await self.check_is_called()
