"""Transfers between a page without a browser and real phones behind the S-CSCF, with the sound of who talks then."""

from __future__ import annotations

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
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

    async def transferred(self, client: WebClient, call: Call, **fields: str) -> None:
        """The page asks, is told that it is under way and done, and is out of its calls."""
        sent = client.send("TRANSFER", session=call.session, **fields)
        await client.expect("OK", for_="TRANSFER", id=sent)
        await client.expect_among("TRANSFER", session=call.session, stage="trying")
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
        await self.transferred(wanda, first, **{"with": second.session})
        await wanda.expect_among("HANGUP", session=second.session, reason="transferred")
        await self.hear_each_other(erin, frank)

    async def test_blind_by_the_gateway(self) -> None:
        """The gateway calls the target in the phone's stead."""
        gateway = await self.gateway("gw1", sections=BY_GATEWAY)
        erin, frank = await self.phones()
        wanda = await gateway.client("wanda")
        call = await self.talking(wanda, erin, ERIN_TONE)
        await self.transferred(wanda, call, to=frank.who.uri)
        await self.hear_each_other(erin, frank)

    async def test_blind_by_refer(self) -> None:
        """The phone takes REFER, calls the target by itself, and says that it got through."""
        gateway = await self.gateway("gw1")
        erin, frank = await self.phones()
        wanda = await gateway.client("wanda")
        call = await self.talking(wanda, erin, ERIN_TONE)
        await self.transferred(wanda, call, to=frank.who.uri)
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
