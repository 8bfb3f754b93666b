"""The core and the SIPp scenarios by themselves: what fails here is not the gateway's fault."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.live.ims.core import ImsCore, shared_core
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.sipp import Sipp


@need("kamailio", "sipp")
class CoreTests(TestCase):
    """Registration, and calls between two SIPps through the S-CSCF."""

    core: ImsCore
    alice: Sipp
    bob: Sipp

    timeout = 40

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        self.core = await shared_core()
        folder = Path(self.mktemp())
        self.alice = Sipp(named("alice"), folder, self.core)
        self.bob = Sipp(named("bob"), folder, self.core)

    async def call(self, calling: str, called: str, direct: bool = False) -> None:
        """`called` by bob must match `calling` by alice, both registered, or with `direct` past the core."""
        port = self.bob.who.sip_port
        if not direct:
            await self.alice.register()
            await self.bob.register()
        there = await self.bob.called(called)
        callee = f"sip:bob@127.0.0.1:{port}" if direct else self.bob.who.uri
        here = self.alice.calling(calling, callee, to=port if direct else None)
        try:
            await here.passed()
            await there.passed()
        finally:
            await here.stop()
            await there.stop()

    async def test_registers_by_digest(self) -> None:
        """A private identity other than the public one, then a refresh; the Service-Route leads to the S-CSCF."""
        first = await self.alice.register()
        self.assertIn(f"sip:orig@127.0.0.1:{self.core.ports.scscf};lr", first.log)
        self.assertIn("sip:alice@ims.test", first.log)
        await self.alice.register()
        await self.core.assigned("alice.priv@ims.test", "RE_REGISTRATION")

    async def test_wrong_password(self) -> None:
        """403."""
        outcome = await self.bob.register(password="guessed")
        self.assertEqual(outcome.flow, ("REGISTER", "401", "REGISTER", "403"))

    async def test_registers_over_tcp(self) -> None:
        """The core takes REGISTER over TCP as well."""
        await self.bob.register(tcp=True)

    async def test_unregistered(self) -> None:
        """Who has registered and de-registered cannot be called: 480; an unknown user gives 404."""
        await self.alice.register()
        await self.bob.register()
        await self.bob.register(expires=0)
        away = await self.alice.calling("uac_refused", self.bob.who.uri).passed()
        self.assertIn("480", away.flow)
        nobody = await self.alice.calling("uac_refused", "sip:nobody@ims.test").passed()
        self.assertIn("404", nobody.flow)

    async def test_reliable_provisional(self) -> None:
        """183, PRACK, 180, 200, ACK, BYE."""
        await self.call("uac_reliable", "uas_reliable")

    async def test_early_media(self) -> None:
        """Unreliable 183 and 180."""
        await self.call("uac_call", "uas_early")

    async def test_busy(self) -> None:
        """486."""
        await self.call("uac_refused", "uas_busy")

    async def test_cancel(self) -> None:
        """CANCEL, 487."""
        await self.call("uac_cancel", "uas_cancel")

    async def test_called_hangs_up(self) -> None:
        """BYE of the called."""
        await self.call("uac_stays", "uas_bye")

    async def test_offerless(self) -> None:
        """The offer comes with the 200."""
        await self.call("uac_offerless", "uas_offerless")

    async def test_ack_lost(self) -> None:
        """The 200 is repeated until the caller's first ACK that arrives."""
        await self.call("uac_ack_lost", "uas_early")

    async def test_200_repeated(self) -> None:
        """A repeated 200 is acknowledged again."""
        await self.call("uac_call", "uas_ack_lost")

    async def test_invite_repeated(self) -> None:
        """An INVITE that comes three times is one call."""
        await self.call("uac_invite_repeated", "uas_plain", direct=True)
