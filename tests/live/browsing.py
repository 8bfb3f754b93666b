"""The test case with the softphone in Chromium, a gateway and a phone: what a user does, and what both sides hear.

Proof is the frequency that each side hears of the other. `Monitor` finds out when the page began to hear what.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from twisted.internet.task import deferLater

from tests.live.answerer import Answered, Answerer
from tests.live.cases import GatewayCase
from tests.live.chromium import MICROPHONE, POLL, Browser, Page
from tests.live.gateway import Gateway
from tests.live.ims.subscribers import named
from tests.live.picture import Colour, Picture
from tests.live.sound import Codec, Sound
from tests.live.waiting import reactor

HENRY = named("henry")
PHONE_TONE = 900

OPUS_ONLY = """
(() => {
  const connection = RTCPeerConnection.prototype;
  for (const name of ['createOffer', 'createAnswer', 'setLocalDescription']) {
    const original = connection[name];
    connection[name] = function (...words) {
      const kept = RTCRtpReceiver.getCapabilities('audio').codecs
        .filter((codec) => /opus|telephone-event/i.test(codec.mimeType));
      for (const line of this.getTransceivers()) {
        if (line.receiver.track.kind === 'audio' && !line.currentDirection) line.setCodecPreferences(kept);
      }
      return original.apply(this, words);
    };
  }
})();
"""
"""A browser that has no other codec for sound than Opus."""

RELAY_ONLY = "globalThis.rtcOptions = { iceTransportPolicy: 'relay' };"
"""A browser from whose network nothing but the TURN server can be reached."""

_KEEP = """
(() => {
  const Original = RTCPeerConnection;
  globalThis.peers = [];
  globalThis.RTCPeerConnection = class extends Original {
    constructor(configuration) {
      super({ ...configuration, ...globalThis.rtcOptions });
      globalThis.peers.push(this);
    }
  };
})();
"""
"""Has the page's connections to hand, to be asked for statistics."""

_STATS = """
(async () => {
  const stats = await globalThis.peers.at(-1).getStats();
  const all = [...stats.values()];
  const codec = (entry) => stats.get(entry?.codecId)?.mimeType ?? null;
  const stream = (type, kind) => all.find((entry) => entry.type === type && entry.kind === kind);
  const transport = all.find((entry) => entry.type === 'transport');
  const pair = stats.get(transport?.selectedCandidatePairId);
  const [heard, said] = [stream('inbound-rtp', 'audio'), stream('outbound-rtp', 'audio')];
  const [seen, shown] = [stream('inbound-rtp', 'video'), stream('outbound-rtp', 'video')];
  return {
    heard: codec(heard), said: codec(said), seen: codec(seen), shown: codec(shown),
    lost: heard?.packetsLost ?? 0, received: heard?.packetsReceived ?? 0,
    frames: seen?.framesDecoded ?? 0, sent: shown?.framesEncoded ?? 0,
    local: stats.get(pair?.localCandidateId)?.candidateType ?? null,
    state: globalThis.peers.at(-1).connectionState,
  };
})()
"""

WATCH = """
(() => {
  const seen = globalThis.heardWhen = [];
  const context = new AudioContext({ sampleRate: 48000 });
  const analyser = new AnalyserNode(context, { fftSize: 1024, smoothingTimeConstant: 0 });
  const samples = new Float32Array(analyser.fftSize);
  let source = null;
  setInterval(() => {
    const stream = document.querySelector('#remote-audio')?.srcObject;
    if (!source && stream?.getAudioTracks().length) {
      source = context.createMediaStreamSource(stream);
      source.connect(analyser);
    }
    if (!source || seen.length > 8000) return;
    analyser.getFloatTimeDomainData(samples);
    let crossings = 0, energy = 0;
    for (let i = 1; i < samples.length; i++) {
      if (samples[i - 1] < 0 && samples[i] >= 0) crossings++;
      energy += samples[i] * samples[i];
    }
    const hertz = crossings * context.sampleRate / samples.length;
    seen.push([(performance.timeOrigin + performance.now()) / 1000, hertz, Math.sqrt(energy / samples.length)]);
  }, 5);
})();
"""
"""Notes every 5 ms, in `heardWhen`, what the page hears. A browser's `script` does so in each page from its start."""


class BrowserCase(GatewayCase):
    """A gateway, the softphone in Chromium, and a phone made of Python."""

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        await super().setUp()
        self._browsers: dict[str, Browser] = {}

    async def browse(self, gateway: Gateway, user: str = "wanda", **browser: Any) -> Page:
        """The softphone in a browser of its own, logged in by a token. `browser`: see `Browser`."""
        browser["script"] = _KEEP + browser.get("script", "")
        started = Browser(reactor, self.folder / f"chromium-{user}", **browser)
        self.addCleanup(started.stop)
        self._browsers[user] = started
        await started.start()
        page = await started.open(f"{gateway.url}#token={gateway.token(user)}")
        await page.until("!document.querySelector('#login').hidden")
        await page.click("#login-button")
        await page.until("!document.querySelector('#phone').hidden", 20)
        return page

    def browser_of(self, user: str) -> Browser:
        """The browser that this user was last given."""
        return self._browsers[user]

    async def answerer(
        self, codec: Codec, *, tone: float = PHONE_TONE, picture: Colour | None = None, lazy: bool = False
    ) -> Answerer:
        """The phone, registered. `picture`: the colour that its camera sees; None: it has no camera. `lazy`: see it."""
        make: list[Any] = [lambda port: Sound(codec, port, tone)]
        if picture is not None:
            make.append(lambda port: Picture(port, picture, lazy=lazy))
        phone = Answerer(HENRY, self.core, *make)
        await phone.start()
        self.addCleanup(phone.stop)
        return phone

    async def state(self, page: Page, state: str, timeout: float = 15) -> None:
        """Wait until the page shows this state of the call."""
        await page.until(f"document.querySelector('#state').textContent === '{state}'", timeout)

    async def dial(self, page: Page, uri: str) -> None:
        """Type an address and call it."""
        await page.type("#address", uri)
        await page.click("#call")

    async def talk(self, page: Page, phone: Answerer) -> Answered:
        """The page calls the phone, which answers at once."""
        await self.dial(page, phone.who.uri)
        call = await phone.called()
        call.answer()
        self.assertEqual(call.over, "", f"the phone found nothing to speak in\n{call.invite.body.decode()}")
        await self.state(page, "InCall")
        return call

    async def hears(self, page: Page, hertz: float, timeout: float = 10) -> None:
        """Wait until the page hears this tone."""
        end = reactor.seconds() + timeout
        while abs((heard := await page.hearing()) - hertz) > 10:
            self.assertLess(reactor.seconds(), end, f"the page hears {heard} Hz, not {hertz} Hz")

    async def hear_each_other(self, page: Page, call: Answered, tone: float = PHONE_TONE) -> None:
        """The page hears the phone, and the phone the page's microphone."""
        await self.hears(page, tone)
        await call.hears(MICROPHONE)

    async def statistics(self, page: Page) -> dict[str, Any]:
        """The page's own: codecs (mime types) of what it hears, says, sees and shows; packets, pictures, its way out.

        `heard`, `said`, `seen`, `shown`; `received`, `lost`; `frames`, `sent`; `local`: host, prflx, relay; `state`.
        """
        found: dict[str, Any] = await page.evaluate(_STATS)
        return found

    async def hang_up(self, page: Page, call: Answered) -> None:
        """The page ends the call, and the phone hears of it."""
        await page.click("#hangup")
        self.assertEqual(await call.ended(), "BYE")
        await self.state(page, "Hangup")


class Monitor:
    """Since when a page hears what: every 5 ms it notes the tone of the latest 20 ms."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def start(self) -> None:
        """Begin, before the call."""
        await self.page.evaluate(f"void {WATCH}")

    async def since(self, hertz: float, timeout: float = 5) -> float:
        """When this tone was first heard, in the reactor's seconds (both are the machine's clock)."""
        found: list[float] = []

        async def look() -> bool:
            seen: Sequence[Sequence[float]] = await self.page.evaluate("heardWhen")
            found.extend(when for when, tone, level in seen if abs(tone - hertz) < 60 and level > 0.02)
            return bool(found)

        end = reactor.seconds() + timeout
        while not await look():
            assert reactor.seconds() < end, f"the page never heard {hertz:g} Hz"
            await deferLater(reactor, POLL)
        return found[0]

    async def silence(self, hertz: float, start: float) -> float:
        """The longest time, in seconds, without this tone since `start` (the reactor's seconds) until now."""
        seen: Sequence[Sequence[float]] = await self.page.evaluate("heardWhen")
        heard = [when for when, tone, level in seen if when >= start and abs(tone - hertz) < 60 and level > 0.02]
        return longest_gap([start, *heard, reactor.seconds()])


def longest_gap(times: Sequence[float]) -> float:
    """The longest time between two neighbours, in seconds."""
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def within_ms(what: str, earlier: float | None, later: float, limit: float) -> float:
    """The milliseconds between two of the reactor's seconds, which must be below `limit`; they are printed."""
    assert earlier is not None
    took = (later - earlier) * 1000
    print(f"{what}: {took:.0f} ms")  # noqa: T201 - a figure that the suite is asked for
    assert took <= limit, f"{what}: {took:.0f} ms, more than {limit:g}"
    return took
