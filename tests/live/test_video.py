"""Calls with pictures: H.264 between Chromium's camera and a phone's, each known again by its colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.live.answerer import Answered
from tests.live.browsing import HENRY, BrowserCase
from tests.live.chromium import Page
from tests.live.picture import Colour
from tests.live.requirements import need
from tests.live.rtpengine import Rtpengine
from tests.live.sound import G711
from tests.live.waiting import reactor, until

RED: Colour = (200, 40, 40)
_COLOUR = """(selector) => {
  const video = document.querySelector(selector);
  if (!video?.videoWidth) return null;
  const canvas = new OffscreenCanvas(32, 24), context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 32, 24);
  const { data } = context.getImageData(0, 0, 32, 24), sum = [0, 0, 0];
  for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum[i % 4] += data[i];
  return sum.map((value) => Math.round(value / (32 * 24)));
}"""


class VideoCase(BrowserCase):
    """A page with a camera and a phone with a camera that sees red."""

    sections: Mapping[str, Mapping[str, Any]] = {}

    async def page(self) -> Page:
        return await self.browse(await self.gateway("gw1", sections=self.sections))

    async def call(self, page: Page, video: bool = True, lazy: bool = False, rings: float = 0) -> Answered:
        """The page calls, with its camera or without; the phone answers with its own, after so many seconds."""
        phone = await self.answerer(G711(0), picture=RED, lazy=lazy)
        await page.type("#address", HENRY.uri)
        await page.click("#video-call" if video else "#call")
        call = await phone.called()
        if rings:
            call.ring()
            start = reactor.seconds()
            await until("it has rung", lambda: reactor.seconds() - start > rings)
        call.answer()
        await self.state(page, "InCall")
        return call

    async def colour(self, page: Page, selector: str) -> Colour | None:
        """The mean colour that a video element shows; None while it shows nothing."""
        found = await page.evaluate(_COLOUR, selector)
        return None if found is None else (found[0], found[1], found[2])

    async def page_sees_red(self, page: Page) -> None:
        await page.until("document.querySelector('#remote-video')?.videoWidth > 0")
        shown = await self.colour(page, "#remote-video")
        self.assertTrue(shown is not None and alike(shown, RED), f"the page sees {shown}")

    async def phone_sees_the_page(self, page: Page, call: Answered) -> None:
        """The colour of the page's own camera, which moves only a little."""
        before = call.picture.pictures
        await until("the phone sees pictures", lambda: call.picture.pictures > before + 10, 10)
        own = await self.colour(page, "#own-video")
        assert own is not None
        assert call.picture.seen is not None
        self.assertTrue(alike(call.picture.seen, own), f"the phone sees {call.picture.seen}, the camera {own}")

    async def check_both_ways(self) -> None:
        page = await self.page()
        # It rings for longer than the page takes to connect: its first whole picture must wait for the phone.
        call = await self.call(page, rings=1.5)
        await self.page_sees_red(page)
        await self.phone_sees_the_page(page, call)
        await self.hear_each_other(page, call)
        statistics = await self.statistics(page)
        self.assertEqual((statistics["seen"], statistics["shown"]), ("video/H264", "video/H264"))
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])


def alike(one: Colour, other: Colour) -> bool:
    """The same colour but for what coding does to it."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) < 30


@need("chromium", "kamailio")
class EmbeddedTests(VideoCase):
    async def test_both_ways(self) -> None:
        """Each sees and hears the other."""
        await self.check_both_ways()

    async def test_added_and_removed(self) -> None:
        """The camera is switched on in a call and off again; the sound is there all the time."""
        page = await self.page()
        call = await self.call(page, video=False)
        await self.hear_each_other(page, call)
        self.assertEqual([media.kind for media in call.offers[-1].media], ["audio"])
        await page.click("#video")
        await self.page_sees_red(page)
        await self.phone_sees_the_page(page, call)
        await page.click("#video")
        await until("the phone is told", lambda: not video_sent(call), 10)
        self.assertEqual([media.kind for media in call.offers[-1].media], ["audio", "video"])
        await self.hear_each_other(page, call)
        await self.hang_up(page, call)

    async def test_whole_picture_on_demand(self) -> None:
        """A phone that sends no whole picture until asked is asked, and the page sees it at once."""
        page = await self.page()
        call = await self.call(page, lazy=True)
        await self.page_sees_red(page)
        self.assertGreater(call.picture.asked, 0)
        await self.hang_up(page, call)

    async def test_phone_without_camera(self) -> None:
        """Its answer refuses the picture; the call goes on with sound alone."""
        page = await self.page()
        phone = await self.answerer(G711(0))
        await page.type("#address", HENRY.uri)
        await page.click("#video-call")
        call = await phone.called()
        self.assertEqual([media.kind for media in call.offers[-1].media], ["audio", "video"])
        call.answer()
        await self.state(page, "InCall")
        await self.hear_each_other(page, call)
        self.assertIsNone(await self.colour(page, "#remote-video"))
        await self.hang_up(page, call)
        self.assertEqual(page.errors, [])


def video_sent(call: Answered) -> bool:
    """Whether the page sends its picture, by its latest description."""
    offer = call.offers[-1]
    return any(m.kind == "video" and m.port != 0 and offer.direction_of(m).sends for m in offer.media)


@need("chromium", "kamailio", "rtpengine")
class RtpengineTests(VideoCase):
    async def test_both_ways(self) -> None:
        """Each sees and hears the other, through rtpengine."""
        relay = Rtpengine(self.folder / "rtpengine")
        self.addCleanup(relay.stop)
        await relay.start()
        self.sections = {
            "media": {"backend": "rtpengine"},
            "media.rtpengine": {"nodes": [relay.node], "ping": 1, "timeout": 1},
        }
        await self.check_both_ways()
