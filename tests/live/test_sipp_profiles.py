"""Calls between a page and SIPp whose ladder depends on the peer's profile: a second try, preconditions."""

from __future__ import annotations

from typing import Any

from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need

BOB = named("bob").uri


@need("kamailio", "sipp")
class ProfileTests(GatewayCase):
    async def test_second_try(self) -> None:
        """A phone that refuses the first offer gets the fallback's in the same call; its key reaches the page."""
        sections: dict[str, dict[str, Any]] = {
            "peer.bob": {"match": [BOB], "codecs": ["G722"], "fallback": "plain"},
            "peer.plain": {"codecs": ["PCMU"]},
        }
        gateway = await self.gateway("gw1", sections=sections)
        bob = await self.sipp("bob")
        phone = await bob.called("uas_second_try")
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda", capabilities=("progress", "trickle", "dtmf"))
        call = await wanda.call(BOB)
        await call.answered()
        await wanda.expect("DTMF", session=call.session, tones="5")
        await call.hang_up()
        outcome = await phone.passed()
        self.assertRegex(outcome.log, "first m=audio [0-9]+ RTP/AVP 9 ")
        self.assertRegex(outcome.log, "second m=audio [0-9]+ RTP/AVP 0 ")

    async def test_preconditions(self) -> None:
        """The page rings when the caller's network is ready, and not before."""
        gateway = await self.gateway("gw1", sections={"peer.default": {"preconditions": True}})
        alice = await self.sipp("alice")
        wanda = await gateway.client("wanda")
        phone = alice.calling("uac_preconditions", named("gw1").uri)
        self.addCleanup(phone.stop)
        call = await wanda.called()
        await call.ring()
        await call.accept()
        await call.ended("hangup")
        outcome = await phone.passed()
        self.assertIn("a=curr:qos remote sendrecv", outcome.log)

    async def test_no_preconditions(self) -> None:
        """Where the profile has none, a call that requires them is refused: 420."""
        gateway = await self.gateway("gw1")
        alice = await self.sipp("alice")
        await gateway.client("wanda")
        phone = alice.calling("uac_preconditions", named("gw1").uri)
        self.addCleanup(phone.stop)
        outcome = await phone.end()
        self.assertIn("420", outcome.flow)
