"""What a caller hears before the answer, and how soon the first word after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.live.answerer import Answered
from tests.live.browsing import HENRY, PHONE_TONE, BrowserCase, Monitor, within_ms
from tests.live.chromium import MICROPHONE, Page
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711
from tests.live.waiting import until
from tests.live.webclient import TONE, Call

EARLY_TONE = 500
LIMIT = 300
"""Milliseconds from the 200 to the first sound."""
SOUNDS = ("P-Early-Media", "sendrecv")


class FirstWordCase(BrowserCase):
    """The whole page in Chromium."""

    sections: Mapping[str, Mapping[str, Any]] = {}

    async def start(self) -> tuple[Page, Answered, Monitor]:
        """A call that nobody has answered yet, and what the page hears of it."""
        gateway = await self.gateway("gw1", sections=self.sections)
        page = await self.browse(gateway)
        phone = await self.answerer(G711(0))
        monitor = Monitor(page)
        await monitor.start()
        await self.dial(page, phone.who.uri)
        return page, await phone.called(), monitor

    async def check_early_sound(self) -> None:
        page, call, monitor = await self.start()
        call.sound.say(EARLY_TONE)
        call.early(SOUNDS)
        await self.hears(page, EARLY_TONE)
        self.assertEqual(await page.text("#state"), "Calling")
        call.sound.say(PHONE_TONE)
        call.answer()
        heard = await monitor.since(PHONE_TONE)
        within_ms("200 OK to first audio, after early sound", call.answered_at, heard, LIMIT)
        await self.state(page, "InCall")
        await call.hears(MICROPHONE)
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])

    async def check_first_word(self) -> None:
        page, call, monitor = await self.start()
        call.ring()
        await page.until("/ring/i.test(document.querySelector('#detail').textContent)")
        # Whoever answers has let it ring for some seconds; half of one must do for the media to be ready.
        await page.evaluate("new Promise((done) => setTimeout(done, 500))")
        call.answer()
        heard = await monitor.since(PHONE_TONE)
        within_ms("200 OK to first audio, after ringing", call.answered_at, heard, LIMIT)
        await until("the phone hears", lambda: call.sound.arrivals, 3)
        within_ms("200 OK to the phone's first packet", call.answered_at, call.sound.arrivals[0], LIMIT)
        await self.hear_each_other(page, call)
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])


@need("chromium", "kamailio")
class EmbeddedTests(FirstWordCase):
    async def test_early_sound(self) -> None:
        """An announcement before the answer is heard, and the first word after it within 300 ms."""
        await self.check_early_sound()

    async def test_first_word(self) -> None:
        """After mere ringing each side's first word is heard within 300 ms of the answer."""
        await self.check_first_word()


@need("chromium", "kamailio", "rtpengine")
class RtpengineTests(FirstWordCase):
    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        relay = Rtpengine(self.folder / "rtpengine")
        self.addCleanup(relay.stop)
        await relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [relay.node], "ping": 1, "timeout": 1},
        }

    async def test_early_sound(self) -> None:
        """An announcement before the answer is heard, and the first word after it within 300 ms."""
        await self.check_early_sound()

    async def test_first_word(self) -> None:
        """After mere ringing each side's first word is heard within 300 ms of the answer."""
        await self.check_first_word()


@need("kamailio")
class RingbackTests(BrowserCase):
    """Who makes the tone that a caller hears; by a page without a browser, message by message."""

    async def call(self, **peer: Any) -> tuple[Call, Answered]:
        """A call that nobody has answered yet."""
        sections = {"peer.henry": {"match": [HENRY.uri], **peer}} if peer else {}
        gateway = await self.gateway("gw1", sections=sections)
        phone = await self.answerer(G711(0))
        wanda = await gateway.client("wanda", capabilities=("progress", "trickle", "ringback"))
        call = await wanda.call(phone.who.uri)
        return call, await phone.called()

    async def rings(self, call: Call, *sounds: str) -> None:
        """The next words about the tone, whatever other news come in between."""
        for sound in sounds:
            message = await call.client.expect_among("RINGBACK", session=call.session)
            self.assertEqual(message["sound"], sound)

    async def end(self, call: Call) -> None:
        sent = call.client.send("HANGUP", session=call.session)
        await call.client.expect_among("OK", for_="HANGUP", id=sent)

    async def test_local(self) -> None:
        """A phone that merely rings: the page makes the tone."""
        call, there = await self.call()
        there.ring()
        await self.rings(call, "local")
        await self.end(call)

    async def test_network(self) -> None:
        """The network says that it sends sound, and does: the page is silent and that is heard."""
        call, there = await self.call()
        there.sound.say(EARLY_TONE)
        there.early(SOUNDS)
        await self.rings(call, "network")
        await call.hears(EARLY_TONE)
        await self.end(call)

    async def test_description_without_sound(self) -> None:
        """A 183 with a description and silence after it, then 180: the page makes the tone after all."""
        call, there = await self.call()
        there.describe_only()
        there.ring()
        await self.rings(call, "local")
        await self.end(call)

    async def test_always_local(self) -> None:
        """A network whose announcements nobody wants to hear: its section says so, the page makes the tone."""
        call, there = await self.call(early_media="local")
        there.sound.say(EARLY_TONE)
        there.early(SOUNDS)
        there.ring()
        await self.rings(call, "local")
        await self.end(call)

    async def test_always_network(self) -> None:
        """A network that is always heard once it has described itself, though it announces nothing."""
        call, there = await self.call(early_media="network")
        there.early()
        await self.rings(call, "network")
        await self.end(call)

    async def test_first_packets(self) -> None:
        """Packet by packet: from the 200 to the first sound at the page and at the phone, the media being ready."""
        call, there = await self.call()
        there.ring()
        await until("the page's media are ready", lambda: call.media.peer.connected, 3)
        there.answer()
        answer = await call.client.expect_among("OK", for_="OFFER", session=call.session)
        if "sdp" in answer:
            call.media.accept(answer["sdp"])
        call.client.send("ANSWER", session=call.session)
        await call.hears(PHONE_TONE)
        first = call.media.first_heard
        assert first is not None
        within_ms("200 OK to the page's first packet", there.answered_at, first, LIMIT)
        await there.hears(TONE)
        within_ms("200 OK to the phone's first packet", there.answered_at, there.sound.arrivals[0], LIMIT)
        await self.end(call)
