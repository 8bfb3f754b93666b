"""What a new user does first: `twistd rtcgw --sandbox`, a browser, one click on a phone of the sandbox.

Proof is the frequency that each page hears: its own microphone's tone for `echo`, the other's for a call. Of the
picture it is that pictures keep being decoded, and that they look like the page's own.
"""

from __future__ import annotations

from rtcgw.sandbox.phone import MANNERS
from tests.live.browsing import Monitor
from tests.live.chromium import MICROPHONE, Page
from tests.live.requirements import need
from tests.live.sandboxing import SandboxCase
from tests.live.waiting import reactor

OTHER_MICROPHONE = 880
PICTURE = """(selector) => {
  const video = document.querySelector(selector);
  const canvas = new OffscreenCanvas(32, 24), context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, 32, 24);
  const { data } = context.getImageData(0, 0, 32, 24), sum = [0, 0, 0];
  for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum[i % 4] += data[i] / (32 * 24);
  return [video.getVideoPlaybackQuality().totalVideoFrames, ...sum];
}"""
"""How many pictures a video element has shown, and the mean red, green and blue of the present one."""

ASKING = """
(() => {
  const work = `onrtctransform = ({ transformer }) => {
    transformer.readable.pipeTo(transformer.writable);
    onmessage = () => transformer.sendKeyFrameRequest().then(() => postMessage('asked'), (e) => postMessage(String(e)));
  }`;
  const Original = RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Original {
    constructor(configuration) {
      super(configuration);
      globalThis.peer = this;
      this.addEventListener('track', ({ receiver, track }) => {
        if (track.kind !== 'video' || receiver.transform) return;
        globalThis.worker = new Worker(URL.createObjectURL(new Blob([work], { type: 'text/javascript' })));
        receiver.transform = new RTCRtpScriptTransform(globalThis.worker);
      });
    }
  };
  globalThis.ask = () => new Promise((resolve) => {
    globalThis.worker.onmessage = ({ data }) => resolve(data);
    globalThis.worker.postMessage('');
  });
})();
"""
"""A browser that asks for a whole picture when `ask()` says so, as if it had lost one."""
WHOLE = """(async () => [...(await peer.getStats()).values()]
  .find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video').keyFramesEncoded)()"""
"""Whole pictures that the browser has sent."""


@need("chromium")
class SandboxTests(SandboxCase):
    """The gateway with its stand-in core, and the softphone in Chromium."""

    async def test_echo(self) -> None:
        """One click calls `echo`, and you hear yourself; a second call works as well."""
        page = await self.page("alice")
        for _ in range(2):
            await self.dial(page, "echo")
            await self.state(page, "InCall")
            await self.hears(page, MICROPHONE)
            await page.click("#hangup")
            await self.state(page, "Hangup")
            await page.click("#back")
        self.assertEqual(page.errors, [])

    async def sees_itself(self, page: Page) -> None:
        """Pictures come, one after the other, and they are the page's own."""
        await page.until("document.querySelector('#remote-video').videoWidth > 0", 15)
        before = (await page.evaluate(PICTURE, "#remote-video"))[0]
        now = f"document.querySelector('#remote-video').getVideoPlaybackQuality().totalVideoFrames > {before + 20}"
        await page.until(now)
        (_, *shown), (_, *own) = [await page.evaluate(PICTURE, name) for name in ("#remote-video", "#own-video")]
        for one, other in zip(shown, own, strict=True):
            self.assertLess(abs(one - other), 30, f"the page sees {shown}, its camera {own}")

    async def test_echo_with_video(self) -> None:
        """One click calls `echo` with video, and you see yourself, moving, and hear yourself."""
        page = await self.page("alice")
        await page.type("#address", "echo")
        await page.click("#video-call")
        await self.state(page, "InCall")
        await self.sees_itself(page)
        await self.hears(page, MICROPHONE)
        await page.click("#hangup")
        await self.state(page, "Hangup")
        self.assertEqual(page.errors, [])

    async def test_whole_picture(self) -> None:
        """Your browser has lost a picture and asks for a whole one: asked through the phone and back, it sends one."""
        page = await self.page("alice", script=ASKING)
        await page.type("#address", "echo")
        await page.click("#video-call")
        await self.state(page, "InCall")
        await self.sees_itself(page)
        before = await page.evaluate(WHOLE)
        self.assertEqual(await page.evaluate("ask()"), "asked")
        end = reactor.seconds() + 5
        while await page.evaluate(WHOLE) == before:
            self.assertLess(reactor.seconds(), end, "no whole picture was sent")
        await self.sees_itself(page)

    async def test_video_in_a_call(self) -> None:
        """The camera goes on in a call, off, and on again: you see yourself while it is on, and hear all the while."""
        page = await self.page("alice")
        await self.dial(page, "echo")
        await self.state(page, "InCall")
        await self.hears(page, MICROPHONE)
        self.assertFalse(await page.evaluate("document.querySelector('#stage').checkVisibility()"))
        for _ in range(2):
            await page.click("#video")
            await self.sees_itself(page)
            await self.hears(page, MICROPHONE)
            await page.click("#video")
            await page.until("!document.querySelector('#stage').checkVisibility()")
            await self.hears(page, MICROPHONE)
        self.assertEqual(await page.text("#notice-text"), "")
        await page.click("#hangup")
        await self.state(page, "Hangup")
        self.assertEqual(page.errors, [])

    async def test_early(self) -> None:
        """`early` is heard ringing while the call is still being placed, then answers with another tone."""
        before, sound = MANNERS["early"].before, MANNERS["early"].sound
        assert before is not None
        assert sound is not None
        page = await self.page("alice")
        monitor = Monitor(page)
        await monitor.start()
        await self.dial(page, "early")
        await monitor.since(before.hertz)
        self.assertEqual(await page.text("#state"), "Calling")
        await self.state(page, "InCall")
        await self.hears(page, sound.hertz)
        await page.click("#hangup")
        await self.state(page, "Hangup")
        self.assertEqual(page.errors, [])

    async def test_busy_and_ring(self) -> None:
        """`busy` is busy at once; `ring` rings until you give up."""
        page = await self.page("alice")
        await self.dial(page, "busy")
        await self.state(page, "Hangup")
        self.assertIn("busy", (await page.text("#detail")).lower())
        await page.click("#back")
        await self.dial(page, "ring")
        await page.until("/ring/i.test(document.querySelector('#detail').textContent)", 10)
        await page.click("#hangup")
        await self.state(page, "Hangup")

    async def test_caller_calls_back(self) -> None:
        """`caller` calls you back ten seconds later, and has something to say."""
        page = await self.page("alice")
        await self.dial(page, "caller")
        await self.state(page, "Hangup", 30)
        await page.click("#back")
        await page.until("!document.querySelector('#incoming-actions').hidden", 20)
        await page.click("#answer")
        await self.state(page, "InCall")
        await page.until("true", 1)
        self.assertGreater(await page.hearing(), 100)
        await page.click("#hangup")
        await self.state(page, "Hangup")

    async def test_two_pages(self) -> None:
        """A second page is called, answers, calls back; the two hear each other."""
        alice, bob = await self.page("alice"), await self.page("bob", OTHER_MICROPHONE)
        await self.dial(alice, "bob")
        await bob.until("!document.querySelector('#incoming-actions').hidden")
        await bob.click("#answer")
        await self.state(alice, "InCall")
        await self.state(bob, "InCall")
        await self.hears(alice, OTHER_MICROPHONE)
        await self.hears(bob, MICROPHONE)
        await bob.click("#hangup")
        await self.state(alice, "Hangup")
        self.assertEqual(alice.errors + bob.errors, [])
