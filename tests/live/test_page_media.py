"""The softphone's sound and picture, as its user meets them: tones, warm calls, video, keys, quality."""

from __future__ import annotations

from tests.live.chromium import MICROPHONE, Page
from tests.live.pages import PageCase
from tests.live.requirements import need
from tests.peers.scripted_server import Leg
from tests.peers.scripts import offer_sdp

COUNT_TONES = """
(() => {
  globalThis.tones = 0;
  const { start, stop } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function () { globalThis.tones++; return start.apply(this, arguments); };
  AudioBufferSourceNode.prototype.stop = function () { globalThis.tones--; return stop.apply(this, arguments); };
})()
"""
"""JavaScript: `tones` is how many of the page's own tones sound."""

COUNT_MICROPHONES = """
(() => {
  globalThis.asked = [];
  const open = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = (wanted) => {
    globalThis.asked.push(Object.keys(wanted).filter((kind) => wanted[kind]).join());
    return open(wanted);
  };
})()
"""
"""JavaScript: `asked` is what the page wanted to be opened, in order."""

NO_CAMERA = """
(() => {
  const open = navigator.mediaDevices.getUserMedia;
  navigator.mediaDevices.getUserMedia = (wanted) => wanted.video
    ? Promise.reject(new DOMException('none', 'NotFoundError')) : open(wanted);
})()
"""

REMOTE = "document.querySelector('#remote-video').videoWidth > 0"
OWN = "document.querySelector('#own-video').videoWidth > 0"


def notice(text: str) -> str:
    """That the page shows this sentence."""
    return f"document.querySelector('#notice-text').textContent === {text!r}"


@need("chromium")
class ToneTests(PageCase):
    async def test_ring_back(self) -> None:
        """The page makes the tone while the gateway says so, early description or not, and stops for the network's."""
        page = await self.logged_in()
        await page.evaluate(COUNT_TONES)
        await self.dial(page, "ring")
        await self.state(page, "Calling", "Ringing…")
        await page.until("tones === 1")
        await page.click("#hangup")
        await page.until("tones === 0")
        await page.click("#back")
        await self.dial(page, "early")
        await self.sent("PRANSWER", 3)
        await page.until("tones === 0 && !document.querySelector('#remote-audio').paused")
        self.assertEqual(await page.text("#state"), "Calling")

    async def test_gateway_without_the_word(self) -> None:
        """With a gateway that does not say who makes the tone, mere ringing is the page's."""
        self.server.capabilities = ["progress", "trickle"]
        page = await self.logged_in()
        await page.evaluate(COUNT_TONES)
        await self.dial(page, "bare")
        await page.until("tones === 1")


@need("chromium")
class PictureTests(PageCase):
    async def talk(self, video: bool = False) -> tuple[Page, Page]:
        """Two pages in a call; sound is connected before anybody has answered."""
        alice, bob = await self.logged_in("alice"), await self.logged_in("bob")
        await bob.evaluate(COUNT_MICROPHONES)
        await alice.type("#address", "bob")
        await alice.click("#video-call" if video else "#call")
        await self.state(bob, "Calling", "Incoming call")
        await self.sent("ICE", 2)
        self.assertEqual(await bob.evaluate("asked"), [])
        return alice, bob

    async def test_warm_call(self) -> None:
        """Answered, the call speaks at once: the way was ready, only the microphone was not."""
        alice, bob = await self.talk()
        await bob.click("#answer")
        await self.state(alice, "InCall", "Connected")
        self.assertEqual(await bob.evaluate("asked"), ["audio"])
        self.assertNotIn("sdp", self.server.sent("ANSWER")[0])
        await self.hears(alice, MICROPHONE)
        await self.hears(bob, MICROPHONE)

    async def test_video_from_the_start(self) -> None:
        """Called with video and answered with it, each sees the other and itself."""
        alice, bob = await self.talk(video=True)
        await bob.click("#answer-video")
        for page in (alice, bob):
            await self.state(page, "InCall")
            await page.until(f"{REMOTE} && {OWN}")
        self.assertEqual(await bob.evaluate("asked"), ["audio,video"])
        self.assertEqual(await alice.text("#video-prompt"), "")
        await self.hears(alice, MICROPHONE)

    async def test_video_added_and_removed(self) -> None:
        """One switches the camera on: the other sees it, is asked, may do the same, and both may stop."""
        alice, bob = await self.talk()
        await bob.click("#answer")
        await self.state(alice, "InCall", "Connected")
        await alice.click("#video")
        await bob.until(REMOTE)
        self.assertIn("The other side shows video.", await bob.text("#video-prompt"))
        self.assertEqual(await bob.text("#own-video"), "")
        await bob.click("#camera-on")
        await alice.until(REMOTE)
        self.assertEqual(await bob.text("#video-prompt"), "")
        await alice.click("#video")
        await bob.until("document.querySelector('#remote-video').hidden")
        self.assertEqual(await alice.evaluate("document.querySelector('#own-video').hidden"), True)
        await bob.click("#video")
        await alice.until("document.querySelector('#stage').hidden")
        await self.hears(alice, MICROPHONE)
        await self.hears(bob, MICROPHONE)
        sections = [offer["sdp"].count("m=video") for offer in self.server.sent("OFFER")]
        self.assertEqual(sections, [0, 1, 1, 1, 1])

    async def test_quality(self) -> None:
        """After a few seconds the page says how good it sounds, and no button moves for it; a tap shows the numbers."""
        alice, bob = await self.talk()
        await bob.click("#answer")
        await self.state(alice, "InCall", "Connected")
        await alice.click("#keypad")
        place = "document.querySelector('#hangup').getBoundingClientRect().top"
        before = await alice.evaluate(place)
        self.assertEqual(await alice.text("#quality-word"), "")
        await alice.until("document.querySelector('#quality-word').textContent === 'Good sound'")
        self.assertEqual(await alice.evaluate(place), before)
        await alice.click("#quality summary")
        self.assertRegex(await alice.text("#quality-numbers"), r"(?s)Lost.*0\.0 % in.*Jitter.*ms.*opus")

    async def test_fits_a_phone(self) -> None:
        """On a phone's screen nothing of a call with video lies beyond the edge."""
        alice, bob = await self.talk(video=True)
        await bob.click("#answer-video")
        await alice.until(f"{REMOTE} && {OWN}")
        await alice.resize(320, 640, dark=True, touch=True)
        await alice.until("document.documentElement.scrollWidth <= 320")
        for button in ("#mute", "#video", "#hangup", "#keypad"):
            edges = "(s) => { const b = document.querySelector(s).getBoundingClientRect(); return [b.left, b.right]; }"
            left, right = await alice.evaluate(edges, button)
            self.assertTrue(0 <= left < right <= 320, button)


@need("chromium")
class RefusalTests(PageCase):
    async def in_call(self, number: str = "talk") -> tuple[Page, Leg]:
        page = await self.logged_in()
        await self.dial(page, number)
        await self.state(page, "InCall")
        return page, next(iter(self.server.legs.values()))

    async def test_video_refused(self) -> None:
        """A phone without a picture says no: the camera goes off, a sentence says why, the call goes on."""
        page, _ = await self.in_call()
        await page.click("#video")
        await page.until(
            "document.querySelector('#notice-text').textContent.startsWith('The other side takes no video.')"
        )
        self.assertEqual(await page.evaluate("document.querySelector('#own-video').srcObject"), None)
        self.assertEqual(await page.text("#state"), "InCall")

    async def test_no_camera(self) -> None:
        """Without a camera the page says so; a video call becomes one with sound."""
        page = await self.logged_in()
        await page.evaluate(NO_CAMERA)
        await page.type("#address", "talk")
        await page.click("#video-call")
        await self.state(page, "InCall")
        await page.until(notice("No camera was found. Connect one and try again."))
        self.assertNotIn("m=video", self.server.sent("OFFER")[0]["sdp"])

    async def test_change_met_another(self) -> None:
        """Our change met one of the other side: it is made again, and the user hears of its own outcome alone."""
        self.server.conflicts = 1
        page, _ = await self.in_call("film")
        await page.click("#video")
        await self.sent("OFFER", 3)
        await page.until(notice("The other side takes no video. The call goes on with sound."))

    async def test_phone_adds_video(self) -> None:
        """A picture that is offered within the call is taken, and the user is asked for the camera, not filmed."""
        page, leg = await self.in_call()
        await page.evaluate(COUNT_MICROPHONES)
        leg.send("OFFER", sdp=offer_sdp(leg.offered, video=True), sdpType="offer")
        answer = (await self.sent("ANSWER", 2))[1]["sdp"]
        self.assertIn("a=recvonly", answer.split("m=video")[1])
        await page.until("document.querySelector('#video-prompt').checkVisibility()")
        self.assertEqual(await page.evaluate("asked"), [])

    async def test_keys_as_messages(self) -> None:
        """Keys that the phone takes in no other way go by the gateway; the phone's are shown."""
        page, leg = await self.in_call()
        await page.click("#keypad")
        await page.click("#call-pad [data-key='5']")
        self.assertEqual((await self.sent("DTMF"))[0]["tones"], "5")
        self.assertEqual(await page.text("#sent"), "5")
        leg.send("DTMF", tones="42")
        await self.state(page, "InCall", "The other side pressed 42")
