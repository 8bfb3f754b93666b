"""Calls with sound between a page without a browser and real phones behind the S-CSCF; the embedded relay."""

from __future__ import annotations

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.linphone import Linphone
from tests.live.requirements import need
from tests.live.waiting import until
from tests.live.webclient import TONE

PHONE_TONE = 700


@need("kamailio", "baresip")
class BaresipCallTests(GatewayCase):
    async def phone(self, answer: str = "auto", codecs: str = "PCMU,PCMA") -> Baresip:
        phone = Baresip(named("erin"), self.folder / "erin", self.core, tone=PHONE_TONE, answer=answer, codecs=codecs)
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def recorded(self, phone: Baresip) -> None:
        """Wait until the phone has recorded more than a second."""
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)

    async def test_page_calls(self) -> None:
        """Both hear each other; the page hangs up."""
        gateway = await self.gateway("gw1")
        phone = await self.phone()
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await call.hears(PHONE_TONE)
        await self.recorded(phone)
        await call.hang_up()
        await phone.event("CALL_CLOSED")
        self.assertApproximates(phone.heard(), TONE, 5)

    async def test_page_calls_by_a_law(self) -> None:
        """A phone that has only A-law is heard and hears."""
        gateway = await self.gateway("gw1")
        phone = await self.phone(codecs="PCMA")
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await call.hears(PHONE_TONE)
        await self.recorded(phone)
        await call.hang_up()
        await phone.event("CALL_CLOSED")
        self.assertApproximates(phone.heard(), TONE, 5)

    async def test_phone_calls(self) -> None:
        """Both hear each other; the phone hangs up."""
        gateway = await self.gateway("gw1")
        phone = await self.phone()
        wanda = await gateway.client("wanda")
        await phone.dial(named("gw1").uri)
        call = await wanda.called()
        await call.ring()
        await phone.event("CALL_RINGING")
        await call.accept()
        await phone.event("CALL_ESTABLISHED")
        await call.hears(PHONE_TONE)
        await self.recorded(phone)
        await phone.hang_up()
        await call.ended("hangup")
        self.assertApproximates(phone.heard(), TONE, 5)

    async def test_keys(self) -> None:
        """Keys pressed on either side arrive on the other (RFC 4733)."""
        gateway = await self.gateway("gw1")
        phone = await self.phone()
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await call.hears(PHONE_TONE)
        for key in "159#":
            call.media.end.press(key)
        await until("the phone has the keys", lambda: phone.digits == "159#")
        await phone.press("7")
        await until("the page has the key", lambda: call.media.end.digits == ["7"])
        await call.hang_up()

    async def test_lost_page(self) -> None:
        """A killed browser ends its call after the grace time, on the phone too."""
        gateway = await self.gateway("gw1", sections={"call": {"grace": 1}})
        phone = await self.phone()
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await phone.event("CALL_ESTABLISHED")
        await wanda.vanish()
        gateway.clients.remove(wanda)
        await phone.event("CALL_CLOSED", 10)

    async def test_pages_call_each_other(self) -> None:
        """A call between two pages needs no core; Chromium's own test has its sound."""
        gateway = await self.gateway("gw1", "gw2")
        wanda, wim = await gateway.client("wanda"), await gateway.client("wim")
        here = await wanda.call("wim")
        there = await wim.called()
        await there.ring()
        await here.ringing()
        await there.accept()
        await here.answered()
        await here.hang_up()
        await there.ended("hangup")


@need("kamailio", "linphonec")
class LinphoneCallTests(GatewayCase):
    async def test_linphone_answers(self) -> None:
        """linphone answers a page's call; both hear each other, and its key arrives."""
        gateway = await self.gateway("gw1")
        phone = Linphone(named("grace"), self.folder / "grace", self.core, tone=900)
        await phone.start()
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await phone.in_call()
        await call.hears(900)
        phone.press("7")
        await until("the page has the key", lambda: call.media.end.digits == ["7"])
        await phone.recorded(1.5)
        phone.hang_up()
        await call.ended("hangup")
        self.assertApproximates(phone.heard(), TONE, 5)
