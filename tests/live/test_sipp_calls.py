"""Calls between a page and SIPp through the S-CSCF: each ladder with an independent SIP implementation."""

from __future__ import annotations

from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.sipp import SippRun
from tests.live.webclient import Call, WebClient

BOB = named("bob").uri


@need("kamailio", "sipp")
class CallingTests(GatewayCase):
    """A page calls, SIPp is called."""

    async def call(self, scenario: str) -> tuple[Call, SippRun]:
        gateway = await self.gateway("gw1")
        bob = await self.sipp("bob")
        phone = await bob.called(scenario)
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda")
        return await wanda.call(BOB), phone

    async def test_reliable_progress(self) -> None:
        """100, 183 with an answer, PRACK, 180, 200, ACK; hanging up on the page sends BYE."""
        call, phone = await self.call("uas_reliable")
        await call.ringing()
        await call.ringing()
        await call.answered()
        await call.hang_up()
        outcome = await phone.passed()
        self.assertIn("PRACK", outcome.flow)
        self.assertIn("called by sip:gw1@ims.test", outcome.log)

    async def test_unreliable_progress(self) -> None:
        """183 and 180 without 100rel, then 200."""
        call, phone = await self.call("uas_early")
        await call.ringing()
        await call.ringing()
        await call.answered()
        await call.hang_up()
        outcome = await phone.passed()
        self.assertNotIn("PRACK", outcome.flow)

    async def test_busy(self) -> None:
        """486 is told as busy."""
        call, phone = await self.call("uas_busy")
        end = await call.ended("busy")
        self.assertEqual(end["status"], 486)
        await phone.passed()

    async def test_giving_up(self) -> None:
        """Hanging up while it rings cancels the call, and the phone stops ringing."""
        call, phone = await self.call("uas_cancel")
        await call.ringing()
        await call.hang_up()
        self.assertIn("CANCEL", (await phone.passed()).flow)

    async def test_called_hangs_up(self) -> None:
        """BYE of the phone ends the call on the page."""
        call, phone = await self.call("uas_bye")
        await call.ringing()
        await call.answered()
        await call.ended("hangup")
        await phone.passed()

    async def test_repeated_200(self) -> None:
        """Each 200 that the phone repeats is acknowledged again, and the page notices nothing."""
        call, phone = await self.call("uas_ack_lost")
        await call.ringing()
        await call.answered()
        await phone.saw("^ACK sip:", 2)
        await call.hang_up()
        await phone.passed()

    async def test_nobody(self) -> None:
        """A number that nobody has is told as such; a person who is away, as that."""
        gateway = await self.gateway("gw1")
        wanda = await gateway.client("wanda")
        await (await wanda.call("sip:nobody@ims.test")).ended("not-found")
        await (await wanda.call("tel:+19990000")).ended("not-found")
        await (await wanda.call("sip:dave@ims.test")).ended("unavailable")

    async def test_number(self) -> None:
        """A telephone number finds the phone."""
        gateway = await self.gateway("gw1")
        bob = await self.sipp("bob")
        phone = await bob.called("uas_busy")
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda")
        await (await wanda.call(named("bob").number)).ended("busy")
        await phone.passed()


@need("kamailio", "sipp")
class CalledTests(GatewayCase):
    """SIPp calls, a page is called."""

    async def call(self, scenario: str, direct: bool = False) -> tuple[WebClient, SippRun]:
        gateway = await self.gateway("gw1")
        alice = await self.sipp("alice")
        wanda = await gateway.client("wanda")
        callee = f"sip:wanda@127.0.0.1:{gateway.sip_port}" if direct else named("gw1").uri
        phone = alice.calling(scenario, callee, to=gateway.sip_port if direct else None)
        self.addCleanup(phone.stop)
        return wanda, phone

    async def test_call(self) -> None:
        """180, 200 with an answer, ACK; BYE of the caller ends the call on the page."""
        wanda, phone = await self.call("uac_call")
        call = await wanda.called(to="sip:gw1@ims.test")
        await call.ring()
        await call.accept()
        await call.ended("hangup")
        self.assertIn("180", (await phone.passed()).flow)

    async def test_reliable_ringing(self) -> None:
        """A caller that insists on 100rel gets a reliable 180, and sends PRACK."""
        wanda, phone = await self.call("uac_reliable")
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await call.ended("hangup")
        self.assertIn("PRACK", (await phone.passed()).flow)

    async def test_page_hangs_up(self) -> None:
        """Hanging up on the page sends BYE."""
        wanda, phone = await self.call("uac_stays")
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await call.hang_up()
        await phone.passed()

    async def refuse(self, reason: str) -> tuple[str, ...]:
        wanda, phone = await self.call("uac_refused")
        call = await wanda.called()
        await call.ring()
        await call.hang_up(reason=reason)
        return (await phone.passed()).flow

    async def test_declining(self) -> None:
        """Declining is told as 603."""
        self.assertIn("603", await self.refuse("declined"))

    async def test_being_busy(self) -> None:
        """Being busy is told as 486."""
        self.assertIn("486", await self.refuse("busy"))

    async def test_caller_gives_up(self) -> None:
        """CANCEL ends the ringing on the page; the caller gets 200 and 487."""
        wanda, phone = await self.call("uac_cancel")
        call = await wanda.called()
        await call.ring()
        await call.ended("cancelled")
        await phone.passed()

    async def test_lost_ack(self) -> None:
        """Without an ACK the 200 is repeated; after the ACK, no more."""
        wanda, phone = await self.call("uac_ack_lost")
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await call.ended("hangup")
        await phone.passed()

    async def test_repeated_invite(self) -> None:
        """An INVITE that comes three times is one call."""
        wanda, phone = await self.call("uac_invite_repeated", direct=True)
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await call.ended("hangup")
        await phone.passed()
        self.assertEqual(len(wanda.received), 0)

    async def test_offerless(self) -> None:
        """An INVITE without an offer gets one with the 200; the answer comes with the ACK."""
        wanda, phone = await self.call("uac_offerless")
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await call.ended("hangup")
        await phone.passed()

    async def test_offline(self) -> None:
        """Nobody is logged in: 480."""
        await self.gateway("gw1")
        alice = await self.sipp("alice")
        outcome = await alice.calling("uac_refused", named("gw1").uri).passed()
        self.assertIn("480", outcome.flow)

    async def test_every_page_rings(self) -> None:
        """All pages of a user ring; the first to answer has the call, the others are told where it went."""
        gateway = await self.gateway("gw1")
        alice = await self.sipp("alice")
        first, second = await gateway.client("wanda"), await gateway.client("wanda")
        phone = alice.calling("uac_stays", named("gw1").uri)
        self.addCleanup(phone.stop)
        here, there = await first.called(), await second.called()
        await here.ring()
        await there.ring()
        await there.accept()
        await here.ended("answered-elsewhere")
        await there.hang_up()
        await phone.passed()
