"""Media by IPv6, on one port for browsers of both families too, and a browser that does not tell its addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcgw.media.sdp import parse
from tests.live.answerer import Answerer
from tests.live.browsing import BrowserCase
from tests.live.cases import GatewayCase
from tests.live.ims.subscribers import named
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711, Sound
from tests.live.waiting import HOST
from tests.live.webclient import TONE

LOOPBACK = "::1"
PHONE_TONE = 900
NO_MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: 440 });
  const stream = context.createMediaStreamDestination();
  tone.connect(stream);
  tone.start();
  return stream.stream;
};
"""
"""A browser tells its addresses to pages that may use the microphone: this one speaks by a tone of its own making."""


class Sound6(Sound):
    """A phone's sound at an IPv6 address."""

    host = LOOPBACK


class Ipv6Case(GatewayCase):
    sections: Mapping[str, Mapping[str, Any]] = {"media": {"address": LOOPBACK, "core_address": LOOPBACK}}

    async def phone(self) -> Answerer:
        """A phone whose media are at ::1."""
        phone = Answerer(named("henry"), self.core, lambda port: Sound6(G711(0), port, PHONE_TONE))
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def check_call(self, *hosts: str, ice: bool = True) -> None:
        """A page at each of these addresses calls the phone in turn, and both hear each other."""
        gateway, phone = await self.gateway("gw1", sections=self.sections), await self.phone()
        for host in hosts:
            page = await gateway.client("wanda", ice=ice)
            page.host = host
            call = await page.call(phone.who.uri)
            there = await phone.called()
            self.assertIn(f"c=IN IP6 {LOOPBACK}", there.invite.body.decode())
            there.answer()
            await call.answered()
            await call.hears(PHONE_TONE)
            there.sound.forget()
            await there.hears(TONE)
            if ice:
                assert call.media.peer.mapped is not None
                self.assertEqual(call.media.peer.mapped[0], host, "the page is told its own address")
            await call.hang_up()
            self.assertEqual(await there.ended(), "BYE")
            gateway.clients.remove(page)
            await page.close()


@need("kamailio")
class EmbeddedTests(Ipv6Case):
    async def test_both_sides(self) -> None:
        """Page and phone at ::1 hear each other."""
        await self.check_call(LOOPBACK)

    async def test_without_ice(self) -> None:
        """So do a client without ICE and a phone."""
        await self.check_call(LOOPBACK, ice=False)


@need("kamailio")
class BothFamiliesTests(Ipv6Case):
    sections: Mapping[str, Mapping[str, Any]] = {
        "media": {"address": "::", "advertise": [HOST, LOOPBACK], "core_address": LOOPBACK}
    }

    async def test_one_port(self) -> None:
        """One port for all browsers, announced by an address of each family: both kinds of page connect."""
        await self.check_call(HOST, LOOPBACK)


@need("kamailio", "rtpengine")
class RtpengineTests(Ipv6Case):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        engine = Rtpengine(self.folder / "engine", address=LOOPBACK)
        self.addCleanup(engine.stop)
        await engine.start()
        self.sections = {"media": {"backend": "rtpengine"}, "media.rtpengine": {"nodes": [engine.node]}}

    async def test_both_sides(self) -> None:
        """Page and phone at ::1 hear each other through rtpengine."""
        await self.check_call(LOOPBACK)


@need("chromium", "kamailio")
class ChromiumTests(BrowserCase):
    async def test_hidden_addresses(self) -> None:
        """A browser that tells nobody its addresses, only names ending in .local, connects all the same."""
        gateway = await self.gateway("gw1")
        page = await self.browse(gateway, allow=False, script=NO_MICROPHONE)
        phone = await self.answerer(G711(0))
        call = await self.talk(page, phone)
        await self.hear_each_other(page, call)
        own = await page.evaluate("globalThis.peers.at(-1).localDescription.sdp")
        hosts = [value.split()[4] for value in parse(own).media[0].attributes.get("candidate", ())]
        self.assertEqual([host for host in hosts if not host.endswith(".local")], [])
        self.assertEqual((await self.statistics(page))["local"], "prflx", "it has learned of its address from us")
        await self.hang_up(page, call)
