"""More calls than there are ports for media: the next one is refused, and told why; a port given back serves again."""

from __future__ import annotations

from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.webclient import Call, WebClient

ERIN = named("erin")


@need("kamailio", "baresip")
class PortRangeTests(GatewayCase):
    async def test_used_up(self) -> None:
        """Two calls have the ports there are; the third, from either side, gets 503; after one has ended it works."""
        gateway = await self.gateway("gw1", sections={"media": {"rtp_ports": "22100-22103"}})
        phone = Baresip(ERIN, self.folder / "erin", self.core, codecs="PCMU")
        await phone.start()
        self.addCleanup(phone.stop)
        wanda = await gateway.client("wanda")
        calls = [await self.call(wanda) for _ in range(2)]
        third = await wanda.call(ERIN.uri)
        told = await third.ended("overloaded")
        self.assertEqual(told.get("status", 503), 503)
        self.assertRegex(gateway.log(), "all 2 RTP port pairs are in use")
        await phone.dial(named("gw1").uri)
        closed = await phone.event("CALL_CLOSED")
        # The S-CSCF makes a 500 of it for the phone (RFC 3261 §16.7 step 6), and leaves the words.
        self.assertRegex(str(closed.get("param")), "^50[03] Service Unavailable")
        await calls[0].hang_up()
        await phone.event("CALL_CLOSED")
        await self.call(wanda)

    async def call(self, wanda: WebClient) -> Call:
        """One call with sound."""
        call = await wanda.call(ERIN.uri)
        await call.answered()
        await call.hears(700)
        return call
