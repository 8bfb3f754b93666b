"""Calls of a page that fork, are sent on or redirected, with an independent SIP implementation behind the S-CSCF."""

from __future__ import annotations

import re
from typing import Any

from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.sipp import SippRun
from tests.live.webclient import Call, WebClient

BOB = named("bob")


@need("kamailio", "sipp")
class ForkingTests(GatewayCase):
    """A page calls, SIPp is called, and is several phones."""

    async def call(self, scenario: str, **keys: str) -> tuple[Call, SippRun]:
        gateway = await self.gateway("gw1")
        bob = await self.sipp("bob")
        phone = await bob.called(scenario, keys)
        self.addCleanup(phone.stop)
        self.wanda: WebClient = await gateway.client("wanda")
        return await self.wanda.call(BOB.uri), phone

    async def stage(self, stage: str) -> None:
        """The page is told how far the call is."""
        while (await self.wanda.expect_any({"PROGRESS"}, 10, frozenset({"RINGING"}))).get("stage") != stage:
            pass

    async def test_forks(self) -> None:
        """Three phones, one of which ends early; two answer: one has the call, the other one is hung up."""
        call, phone = await self.call("uas_forks")
        await call.answered()
        await phone.saw("^BYE ", 1)
        await call.hang_up()
        outcome = await phone.passed()
        self.assertEqual(outcome.flow.count("BYE"), 2)

    async def test_sent_on_and_queued(self) -> None:
        """181 and 182 are told to the page; then it rings and is answered as ever."""
        call, phone = await self.call("uas_stages")
        await self.stage("forwarded")
        await self.stage("queued")
        await call.ringing()
        await call.answered()
        await call.hang_up()
        await phone.passed()

    async def test_redirected(self) -> None:
        """302 is followed, within the same call."""
        call, phone = await self.call("uas_moved", target=BOB.number)
        await self.stage("forwarded")
        await call.ringing()
        await call.answered()
        await call.hang_up()
        outcome = await phone.passed()
        self.assertEqual(outcome.flow.count("INVITE"), 2)
        first, second = re.findall(r"(?:first|second) (\d+)", outcome.log)
        self.assertEqual(int(second), int(first) + 1)

    async def test_circle(self) -> None:
        """302 to whom was called ends the call."""
        call, phone = await self.call("uas_moved_back", target=BOB.uri)
        end: dict[str, Any] = await call.ended("loop")
        self.assertEqual(end["status"], 302)
        await phone.passed()

    async def test_alternative_service(self) -> None:
        """380 with the body of an IMS core: the page hears that it is an emergency number."""
        call, phone = await self.call("uas_alternative")
        end: dict[str, Any] = await call.ended("emergency-not-supported")
        self.assertEqual(end["status"], 380)
        await phone.passed()
