"""The phones by themselves: they call each other through the S-CSCF, and each hears the other's tone."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.live.baresip import Baresip
from tests.live.ims.core import shared_core
from tests.live.ims.subscribers import named
from tests.live.linphone import Linphone
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.usim import Usim
from tests.live.waiting import until


@need("kamailio")
class UsimTests(TestCase):
    """The core against an AKA client that is not the gateway."""

    timeout = 40

    async def test_registers(self) -> None:
        """AKAv1-MD5."""
        core = await shared_core()
        self.assertEqual(await Usim(named("carol"), core.ports.icscf).register(), 200)

    async def test_resynchronises(self) -> None:
        """A USIM that is ahead of the HSS sends AUTS, and the HSS follows."""
        core = await shared_core()
        usim = Usim(named("carol"), core.ports.icscf, highest=0x0000FFFF0000)
        self.assertEqual(await usim.register(), 200)
        self.assertEqual(usim.resynchronised, 1)
        self.assertGreater(usim.highest, 0x0000FFFF0000)


@need("kamailio", "baresip")
class BaresipTests(TestCase):
    timeout = 60

    async def test_call_with_sound(self) -> None:
        """Both hear each other, keys arrive, and hanging up on one side ends it on the other."""
        core = await shared_core()
        folder = Path(self.mktemp())
        erin = Baresip(named("erin"), folder / "erin", core, tone=700)
        frank = Baresip(named("frank"), folder / "frank", core, tone=1000)
        for phone in (erin, frank):
            await phone.start()
            self.addCleanup(phone.stop)
        await erin.dial(frank.who.uri)
        await frank.event("CALL_ESTABLISHED")
        await erin.event("CALL_ESTABLISHED")
        await erin.press("15#")
        await until("the keys arrive", lambda: frank.digits == "15#", 5)
        await until("a second of sound", lambda: erin.recording().stat().st_size > 60000)
        await erin.hang_up()
        await frank.event("CALL_CLOSED")
        self.assertApproximates(erin.heard(), 1000, 5)
        self.assertApproximates(frank.heard(), 700, 5)


@need("kamailio", "baresip", "linphonec")
class LinphoneTests(TestCase):
    timeout = 60

    async def test_answers_with_sound(self) -> None:
        """Called through the S-CSCF it answers, and both sides hear each other."""
        core = await shared_core()
        folder = Path(self.mktemp())
        erin = Baresip(named("erin"), folder / "erin", core, tone=700)
        grace = Linphone(named("grace"), folder / "grace", core, tone=900)
        for phone in (erin, grace):
            await phone.start()
            self.addCleanup(phone.stop)
        await erin.dial(grace.who.uri)
        await grace.in_call()
        await erin.event("CALL_ESTABLISHED")
        grace.press("7")
        await until("the key arrives", lambda: erin.digits == "7", 5)
        await grace.recorded(1.5)
        grace.hang_up()
        await erin.event("CALL_CLOSED")
        self.assertApproximates(erin.heard(), 900, 5)
        self.assertApproximates(grace.heard(), 700, 5)


@need("rtpengine")
class RtpengineTests(TestCase):
    timeout = 30

    async def test_start_and_kill(self) -> None:
        """It answers a ping, is silent once killed, and can be started again on the same ports."""
        relay = Rtpengine(Path(self.mktemp()))
        self.addCleanup(relay.stop)
        await relay.start()
        self.assertTrue(await relay.ping())
        await relay.kill()
        self.assertFalse(await relay.ping())
        await relay.start()
        self.assertTrue(await relay.ping())
