"""The gateway at the core: it registers by itself, keeps its registrations, and finds back what it has lost."""

from __future__ import annotations

from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need


@need("kamailio")
class RegistrationTests(GatewayCase):
    async def test_digest_at_the_scscf(self) -> None:
        """Attach mode B: both subscriptions register by digest, and are gone when the gateway has stopped."""
        before = {name: self.core.count(named(name).impi, "USER_DEREGISTRATION") for name in ("gw1", "gw2")}
        gateway = await self.gateway("gw1", "gw2", attach="B")
        await gateway.stop()
        for name, count in before.items():
            await self.core.assigned(named(name).impi, "USER_DEREGISTRATION", count + 1)

    async def test_digest_as_a_phone(self) -> None:
        """Attach mode A: the same, as a phone would."""
        await self.gateway("gw1", attach="A")

    async def test_aka(self) -> None:
        """A subscription with K and OPc registers by AKAv1-MD5."""
        vectors = self.core.log("hss").count("MAR impi=gw3.aka@ims.test")
        await self.gateway("gw3")
        self.assertEqual(self.core.log("hss").count("MAR impi=gw3.aka@ims.test"), vectors + 1)

    async def test_private_identity_comes_first(self) -> None:
        """The first REGISTER names the IMPI, so that the HSS need not guess it from the IMPU."""
        await self.gateway("gw3")
        first = next(line for line in self.core.log("hss").splitlines() if "UAR" in line and "gw3" in line)
        self.assertIn("impi=gw3.aka@ims.test", first)

    async def test_wrong_secret(self) -> None:
        """A wrong password is refused once and for all, and told once; the other subscription is not concerned."""
        gateway = await self.gateway("gw1", "gw2", secrets={"gw2": "wrong"}, registered=False)
        await gateway.running.said("profile gw1: registered for")
        await gateway.running.said("profile gw2: registration refused")
        self.assertEqual(gateway.log().count("profile gw2: registration refused"), 1)

    async def test_watches_its_registration(self) -> None:
        """It subscribes to `reg`; de-registered by the network, it does not go on as if nothing had happened."""
        gateway = await self.gateway("gw1")
        await self.core.rtr(named("gw1").uri)
        await gateway.running.said("profile gw1: (the network ended the registration|registration refused)", 15)


@need("kamailio")
class CoreTroubleTests(GatewayCase):
    async def test_scscf_restarts(self) -> None:
        """After a restart the S-CSCF knows nobody: a call fails, the gateway looks, and is soon back."""
        gateway = await self.gateway("gw1", sections={"sip": {"t1": 0.1, "t2": 0.4}})
        wanda = await gateway.client("wanda")
        before = self.core.count("gw1@ims.test", "(RE_)?REGISTRATION")
        await self.core.restart_scscf()
        call = await wanda.call("sip:nobody@ims.test")
        self.assertIn((await call.ended())["reason"], ("forbidden", "not-registered", "server"))
        await self.core.assigned("gw1@ims.test", "(RE_)?REGISTRATION", before + 1, timeout=30)
        await gateway.running.said("profile gw1: registered again for")
        call = await wanda.call("sip:nobody@ims.test")
        await call.ended("not-found")

    async def test_scscf_is_silent(self) -> None:
        """A call into silence ends as timed out, and calls work again when the S-CSCF answers again."""
        gateway = await self.gateway("gw1", sections={"sip": {"t1": 0.05, "t2": 0.2}})
        wanda = await gateway.client("wanda")
        self.core.silence_scscf()
        self.addCleanup(self.core.wake_scscf)
        call = await wanda.call("sip:nobody@ims.test")
        await call.ended("timeout", timeout=15)
        self.core.wake_scscf()
        await gateway.running.said("profile gw1: registered again for", timeout=40)
        call = await wanda.call("sip:nobody@ims.test")
        await call.ended("not-found", timeout=15)

    async def test_core_comes_later(self) -> None:
        """A gateway that is started before its core serves its page, and registers when the core is there."""
        await self.core.stop_scscf()
        gateway = await self.gateway("gw1", registered=False)
        await gateway.running.said("profile gw1: not registered")
        await self.core.start_scscf()
        await gateway.running.said("profile gw1: registered for", 60)
