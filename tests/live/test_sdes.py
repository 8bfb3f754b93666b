"""Encryption towards the core by SDES (RFC 4568, RFC 8643), with a phone that has it."""

from __future__ import annotations

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.waiting import until
from tests.live.webclient import TONE, Call

ERIN = named("erin")
PHONE_TONE = 700


@need("kamailio", "baresip")
class SdesTests(GatewayCase):
    """The media of pages have DTLS-SRTP, those of the phone keys of its own."""

    async def start(self, srtp: str, mediaenc: str) -> tuple[Gateway, Baresip]:
        """A gateway that expects this of the phone, and a phone that has that."""
        gateway = await self.gateway("gw1", sections={"peer.erin": {"match": [ERIN.uri], "srtp": srtp}})
        phone = Baresip(ERIN, self.folder / "erin", self.core, tone=PHONE_TONE, mediaenc=mediaenc)
        await phone.start()
        self.addCleanup(phone.stop)
        return gateway, phone

    async def page_calls(self, gateway: Gateway, phone: Baresip) -> None:
        """The page calls the phone, both hear each other, the page hangs up."""
        wanda = await gateway.client("wanda")
        call = await wanda.call(ERIN.uri)
        await call.answered()
        await self.sound(call, phone)
        await call.hang_up()
        await phone.event("CALL_CLOSED")
        self.assertApproximates(phone.heard(), TONE, 5)

    async def sound(self, call: Call, phone: Baresip) -> None:
        await call.hears(PHONE_TONE)
        await until("the phone records", lambda: phone.recording().stat().st_size > 24000)

    async def secured(self, phone: Baresip) -> None:
        """The phone says itself that its media are encrypted."""
        await phone.running.said(r"(?i)srtp: .*(enabled|cryptosuite)")

    async def test_page_calls(self) -> None:
        """A phone that takes nothing but encrypted media: both hear each other."""
        gateway, phone = await self.start("sdes", "srtp-mand")
        await self.page_calls(gateway, phone)
        await self.secured(phone)

    async def test_phone_calls(self) -> None:
        """The same phone calls the page: both hear each other."""
        gateway, phone = await self.start("sdes", "srtp-mand")
        wanda = await gateway.client("wanda")
        await phone.dial(named("gw1").uri)
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await phone.event("CALL_ESTABLISHED")
        await self.sound(call, phone)
        await phone.hang_up()
        await call.ended("hangup")
        self.assertApproximates(phone.heard(), TONE, 5)
        await self.secured(phone)

    async def test_opportunistic(self) -> None:
        """Offered both, a phone that has encryption uses it."""
        gateway, phone = await self.start("opportunistic", "srtp")
        await self.page_calls(gateway, phone)
        await self.secured(phone)

    async def test_opportunistic_with_a_plain_phone(self) -> None:
        """Offered both, a phone without it is heard in the clear."""
        gateway, phone = await self.start("opportunistic", "")
        await self.page_calls(gateway, phone)

    async def test_plain_phone_is_refused(self) -> None:
        """Where encryption must be, a phone without it is not called in the clear; the page is told why."""
        gateway, _ = await self.start("sdes", "")
        wanda = await gateway.client("wanda")
        call = await wanda.call(ERIN.uri)
        await call.client.expect_any({"HANGUP"}, 10, frozenset({"RINGING", "PROGRESS"}), reason="media-incompatible")
