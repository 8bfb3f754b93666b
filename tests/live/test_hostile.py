"""A storm of everything hostile around a call with sound: the call goes on, others can call, nothing grows.

The storm comes twice. What it leaves behind the first time may be caches and pools; the second time it must leave
nothing more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.live import storm, webstorm
from tests.live.baresip import Baresip
from tests.live.cases import GatewayCase
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.prompt import Prompt
from tests.live.requirements import need
from tests.live.tones import dominant, purity, read_growing
from tests.live.waiting import until
from tests.live.webclient import TONE, Call, WebClient
from tests.peers.browser import frame

PHONE_TONE = 700
MANHOLE = 18023
FLOOD = 3000
"""Calls of one storm that nobody acknowledges."""
LINES = 150
"""Log lines that a storm may cost, of some ten thousand offences."""
MEGABYTE = 1 << 20
SECTIONS: dict[str, dict[str, Any]] = {
    # Short timers: the transactions of the flood are over (64 * T1) before the memory is measured.
    "sip": {"t1": 0.05, "t4": 0.5},
    "web": {"rate": 5000, "burst": 100_000, "high_water": 262144, "login_timeout": 2},
    "call": {"ring_time": 5},
    "log": {"level": "info"},
    "manhole": {"enabled": True, "listen": f"tcp:{MANHOLE}:interface=127.0.0.1", "password": "the-engineer"},
}


def resident(gateway: Gateway) -> int:
    """Bytes of memory that the gateway's process has in use."""
    status = Path(f"/proc/{gateway.running.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@need("kamailio", "baresip")
class StormTests(GatewayCase):
    timeout = 80

    async def phone(self, user: str, tone: float) -> Baresip:
        phone = Baresip(named(user), self.folder / user, self.core, tone=tone)
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def test_storm(self) -> None:
        """Both sides of the call hear each other throughout, and whoever comes meanwhile is served."""
        gateway = await self.gateway("gw1", "gw2", sections=SECTIONS)
        phone, other = await self.phone("erin", PHONE_TONE), await self.phone("frank", 1000)
        wanda = await gateway.client("wanda")
        call = await wanda.call(phone.who.uri)
        await call.answered()
        await call.hears(PHONE_TONE)
        sizes = [resident(gateway)]
        for _ in range(2):
            lines = len(gateway.log().splitlines())
            await self.storm(gateway, call)
            await self.sound_goes_on(call, phone)
            await self.another_call(gateway, other)
            await self.calmed(gateway)
            self.assertLess(len(gateway.log().splitlines()) - lines, LINES)
            sizes.append(resident(gateway))
        self.assertLess(sizes[1] - sizes[0], 60 * MEGABYTE, sizes)
        self.assertLess(sizes[2] - sizes[1], 10 * MEGABYTE, sizes)
        await self.counted()
        sent = wanda.send("HANGUP", session=call.session)
        await wanda.expect_among("OK", for_="HANGUP", id=sent)
        await phone.event("CALL_CLOSED")
        self.assertApproximates(phone.heard(), TONE, 5)

    async def storm(self, gateway: Gateway, call: Call) -> None:
        self.assertIn(400, await storm.sip_by_udp(gateway.sip_port))
        self.assertEqual(await storm.sip_by_strangers(gateway.sip_port), set())
        await storm.sip_by_tcp(gateway.sip_port)
        await storm.media_by_strangers(call, 22000, range(22100, 22300))
        await storm.media_by_the_page(call)
        self.assertLessEqual({404, 480}, await storm.flood(gateway.sip_port, FLOOD))
        self.assertLessEqual({400, 403, 404, 481}, await storm.calls_of_others(gateway.sip_port))
        await webstorm.http_garbage(gateway.web_port)
        await self.bad_pages(gateway)
        async with webstorm.half_open(gateway.web_port, 300):
            late = await gateway.client("wim")
            gateway.clients.remove(late)
            await late.close()

    async def bad_pages(self, gateway: Gateway) -> None:
        """Frames that end their connection with the right code; messages that are answered each."""
        for code, data in webstorm.bad_frames().items():
            self.assertEqual(await self.closed_with(gateway, data), code)
        page = await gateway.client("wilma-is-not-configured")
        for data in webstorm.bad_messages():
            page._write(frame(data))
            await page.expect_any({"ERROR", "HANGUP"}, passing=frozenset({"WAITING"}))
        await webstorm.flood_messages(page, 300_000)
        await until("the flood ends", lambda: page.lost, 10)
        self.assertEqual(page.closed_with, 4413)
        self.assertTrue(await webstorm.unread(gateway.web_port, gateway.token("nobody"), 100_000))

    async def closed_with(self, gateway: Gateway, data: bytes) -> int | None:
        page = WebClient(gateway.web_port)
        await page.connect()
        page._write(data)
        await until(f"{data[:12]!r} ends the connection", lambda: page.lost, 5)
        return page.closed_with

    async def sound_goes_on(self, call: Call, phone: Baresip) -> None:
        """What each side hears from now on is the other's tone, whole."""
        heard, received = call.media.end, call.media.end.received
        start = phone.recording().stat().st_size
        await until("the page hears on", lambda: heard.received > received + 25, 3)
        self.assertApproximates(heard.frequency, PHONE_TONE, 10)
        await until("the phone hears on", lambda: phone.recording().stat().st_size > start + 20000, 5)
        latest, rate = read_growing(phone.recording())
        self.assertApproximates(dominant(latest, rate), TONE, 5)
        self.assertGreater(purity(latest, rate, TONE), 0.8)

    async def another_call(self, gateway: Gateway, phone: Baresip) -> None:
        """A second page logs in and calls a second phone, and they hear each other."""
        wim = await gateway.client("wim")
        call = await wim.call(phone.who.uri)
        await call.answered()
        await call.hears(1000)
        await call.hang_up()
        await phone.event("CALL_CLOSED")
        gateway.clients.remove(wim)
        await wim.close()

    async def calmed(self, gateway: Gateway) -> None:
        """The calls that rang on for want of an answer are over, and so are the transactions."""
        prompt = await Prompt.open(MANHOLE)
        self.assertTrue(await prompt.login("admin", "the-engineer"))
        end = 0
        while len((await prompt.ask("calls()")).splitlines()) != 2:
            end += 1
            self.assertLess(end, 100, "the calls of the flood have not ended")
            await storm.pause(0.1)
        await storm.pause(3.3)  # 64 * T1 for their transactions
        # Growth is what stays; the cycles that wait for the collector are bounded by its thresholds (rtcgw/tap.py).
        await prompt.ask("import gc")
        await prompt.ask("gc.collect()")
        await prompt.close()

    async def counted(self) -> None:
        """Everything refused has its counter."""
        prompt = await Prompt.open(MANHOLE)
        self.assertTrue(await prompt.login("admin", "the-engineer"))
        counters = await prompt.counters()
        await prompt.close()
        for room, what in (
            ("sip", "untrusted"),
            ("sip", "malformed_via"),
            ("routing", "refused 403"),
            ("routing", "refused 404"),
            ("routing", "refused 481"),
            ("media", "stranger"),
            ("media", "flood"),
            ("browsers", "malformed"),
            ("browsers", "unknown-message"),
            ("browsers", "close 1007"),
            ("browsers", "close 4413"),
            ("browsers", "reads too slowly"),
        ):
            self.assertGreater(counters.get((room, what), 0), 0, (room, what, counters))
