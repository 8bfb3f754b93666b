"""Transfers between a page without a browser and real phones behind the S-CSCF, with the sound of who talks then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.webclient import TONE, Call, WebClient

ERIN_TONE, FRANK_TONE = 700, 900
BY_GATEWAY = {"peer.default": {"transfer": "gateway"}}


@need("kamailio", "baresip")
class TransferTests(GatewayCase):
    """wanda's page talks to erin's phone; frank's is the target."""

    async def phones(self) -> tuple[Baresip, Baresip]:
        found = []
        for user, tone in (("erin", ERIN_TONE), ("frank", FRANK_TONE)):
            phone = Baresip(named(user), self.folder / user, self.core, tone=tone)
            await phone.start()
            self.addCleanup(phone.stop)
            found.append(phone)
        return found[0], found[1]

    async def talking(self, client: WebClient, phone: Baresip, tone: float) -> Call:
        call = await client.call(phone.who.uri)
        await call.answered()
        await call.hears(tone)
        return call

    async def transferred(
        self,
        client: WebClient,
        call: Call,
        target: dict[str, str],
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """The page asks, is told that it is under way and done, and is out of its calls."""
        sent = client.send("TRANSFER", session=call.session, **target)
        await client.expect("OK", for_="TRANSFER", id=sent)
        await client.expect_among("TRANSFER", session=call.session, stage="trying")
        if meanwhile is not None:
            await meanwhile()
        await client.expect_among("TRANSFER", 20, session=call.session, stage="done")
        await client.expect_among("HANGUP", session=call.session, reason="transferred")

    async def hear_each_other(self, one: Baresip, two: Baresip) -> None:
        """Each phone hears the other's tone; when one hangs up, so does the other."""
        await one.hears(two.tone)
        await two.hears(one.tone)
        await one.hang_up()
        await two.event("CALL_CLOSED")

    async def test_attended(self) -> None:
        """The page has talked to both; the gateway joins them, and both phones hear each other."""
        gateway = await self.gateway("gw1", sections=BY_GATEWAY)
        erin, frank = await self.phones()
        wanda = await gateway.client("wanda")
        first = await self.talking(wanda, erin, ERIN_TONE)
        second = await self.talking(wanda, frank, FRANK_TONE)
        await self.transferred(wanda, first, {"with": second.session})
        await wanda.expect_among("HANGUP", session=second.session, reason="transferred")
        await self.hear_each_other(erin, frank)

    async def test_blind_by_the_gateway(self) -> None:
        """The gateway calls the target in the phone's stead."""
        gateway = await self.gateway("gw1", sections=BY_GATEWAY)
        erin, frank = await self.phones()
        wanda = await gateway.client("wanda")
        call = await self.talking(wanda, erin, ERIN_TONE)
        await self.transferred(wanda, call, {"to": frank.who.uri})
        await self.hear_each_other(erin, frank)

    async def test_blind_by_refer(self) -> None:
        """The phone takes REFER, calls the target by itself, and says that it got through."""
        gateway = await self.gateway("gw1")
        erin, frank = await self.phones()
        wanda = await gateway.client("wanda")
        call = await self.talking(wanda, erin, ERIN_TONE)
        await self.transferred(wanda, call, {"to": frank.who.uri})
        await frank.hears(ERIN_TONE)

    async def test_phone_transfers_the_page(self) -> None:
        """erin's phone sends the page to frank's: it hears frank after that, and frank hears it."""
        gateway = await self.gateway("gw1")
        erin, frank = await self.phones()
        wanda = await gateway.client("wanda")
        call = await self.talking(wanda, erin, ERIN_TONE)
        await erin.transfer(frank.who.uri)
        await call.refreshed()
        party = await wanda.expect_among("PARTY", session=call.session)
        self.assertEqual(party["remote"]["uri"], frank.who.uri)
        await erin.event("CALL_CLOSED")
        await call.hears(FRANK_TONE)
        await frank.hears(TONE)
        await call.hang_up()
        await frank.event("CALL_CLOSED")

    async def test_page_to_phone(self) -> None:
        """wanda, who talks to wim's page, hands him on to erin's phone: his page takes the phone's media, both hear
        each other."""
        gateway = await self.gateway("gw1", "gw2")
        erin, _ = await self.phones()
        wanda, wim, here, there = await self.pages(gateway)
        await self.transferred(wanda, here, {"to": erin.who.uri}, there.refreshed)
        await there.hears(ERIN_TONE)
        await erin.hears(there.media.tone)
        party = await wim.expect("PARTY", session=there.session)
        self.assertEqual(party["remote"]["uri"], erin.who.uri)
        await there.hang_up()
        await erin.event("CALL_CLOSED")

    async def test_page_to_page(self) -> None:
        """wanda hands wim on to otto: two pages talk through the gateway and hear each other."""
        gateway = await self.gateway("gw1", "gw2")
        otto = await gateway.client("otto")
        wanda, _, here, there = await self.pages(gateway)

        async def taken() -> None:
            call = await otto.called(tone=500)
            await call.ring()
            sent = otto.send("ANSWER", session=call.session, sdp=call.media.answer(call.offer))
            await there.refreshed()
            await otto.expect("OK", for_="ANSWER", id=sent)

        await self.transferred(wanda, here, {"to": "otto"}, taken)
        await there.hears(500)
        await otto.calls[0].hears(there.media.tone)
        await otto.calls[0].hang_up()
        await there.client.expect_among("HANGUP", session=there.session)

    async def pages(self, gateway: Gateway) -> tuple[WebClient, WebClient, Call, Call]:
        """wanda's page has called wim's."""
        wanda, wim = await gateway.client("wanda"), await gateway.client("wim")
        here = await wanda.call("wim")
        there = await wim.called(tone=600)
        await there.ring()
        await here.ringing()
        await there.accept()
        await here.answered()
        return wanda, wim, here, there
