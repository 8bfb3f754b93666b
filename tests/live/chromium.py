"""Debian's Chromium under a test: started, driven and measured without any other tool.

    browser = Browser(reactor, Path(self.mktemp()))
    await browser.start()
    page = await browser.open("http://127.0.0.1:8080/")
    await page.type("#user", "alice")
    await page.click("#login-button")
    await page.until("document.querySelector('#state').textContent === 'Idle'")
    assert abs(await page.hearing() - 440) < 10
    await browser.stop()

Input goes in as the input events of a user, so that what needs a user's gesture, or is
covered by something else, behaves as it would for one. The microphone is a WAV file of a
tone; what the page hears is measured as a frequency. `hearing` is the proof that sound and
not merely packets arrive.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.live.devtools import DevTools, DevToolsError
from tests.live.tones import write_tone

MICROPHONE = 440
"""Hz of the tone in the fake microphone."""
POLL = 0.05

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # refuses to run as root with it; only pages of ours are opened
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--password-store=basic",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)

_PRELUDE = """
(() => {
  // A pure tone is just what noise suppression takes for noise; the measurement needs it untouched.
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const original = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (wanted) => original(
    wanted.audio ? { ...wanted, audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } }
                 : wanted);
})();
"""

_HEARING = """
(async (selector, seconds, wanted) => {
  const stream = document.querySelector(selector)?.srcObject;
  if (!stream || stream.getAudioTracks().length === 0) return [0, -1000, wanted.map(() => -1000)];
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(stream).connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  let top = 1;
  for (let i = 1; i < bins.length; i++) if (bins[i] > bins[top]) top = i;
  // Silence is -Infinity, and a stream that has not begun NaN; JSON can say neither.
  const width = context.sampleRate / analyser.fftSize;
  const near = (hertz) => bins.slice(Math.floor((hertz - 10) / width), Math.ceil((hertz + 10) / width) + 1);
  const levels = wanted.map((hertz) => Math.max(...near(hertz), -1000) || -1000);
  const answer = [top * width, Math.max(bins[top] || -1000, -1000), levels];
  await context.close();
  return answer;
})
"""

SILENCE = -70.0
"""dB below which nothing is heard."""


class _Process(ProcessProtocol):
    """The browser's process: the pipes of its debugging protocol, and its last words."""

    READS, WRITES = 3, 4
    """File descriptors at the browser's end (--remote-debugging-pipe)."""

    def __init__(self, devtools: DevTools) -> None:
        self.devtools = devtools
        self.ended: Deferred[None] = Deferred()
        self.said = b""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self.devtools.opened(lambda data: transport.writeToChild(self.READS, data))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == self.WRITES:
            self.devtools.data(data)
        else:
            # Chromium complains a lot; only the end of it is kept, to be shown when it does not start.
            self.said = (self.said + data)[-20000:]

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == self.WRITES:
            self.devtools.closed()

    def processEnded(self, reason: Failure) -> None:
        self.devtools.closed()
        self.ended.callback(None)


class Browser:
    """One Chromium process with a profile of its own in `folder`."""

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        microphone: float = MICROPHONE,
        allow: bool = True,
        *,
        within: Sequence[str] = (),
        flags: Sequence[str] = (),
        script: str = "",
    ) -> None:
        """`microphone`: Hz of its tone. `allow`: whether pages get microphone and camera; else they are refused.

        `within`: words before the command line, e.g. those of a network namespace. `flags`: more of Chromium's.
        `script`: what is run in every page before its own scripts.
        """
        self._reactor = reactor
        self._folder = folder.absolute()
        self._microphone = microphone
        self._allow = allow
        self._within = tuple(within)
        self._flags = tuple(flags)
        self._script = script
        self._transport: Any = None
        self._devtools = DevTools(reactor)
        self._process = _Process(self._devtools)

    async def start(self) -> None:
        """Start the process and wait until it replies."""
        executable = shutil.which("chromium")
        if executable is None:
            raise DevToolsError("Chromium is not installed")
        self._folder.mkdir(parents=True, exist_ok=True)
        wav = write_tone(self._folder / "microphone.wav", self._microphone)
        consent = "--use-fake-ui-for-media-stream" if self._allow else "--deny-permission-prompts"
        flags = (
            *_FLAGS,
            *self._flags,
            consent,
            f"--use-file-for-fake-audio-capture={wav}",
            f"--user-data-dir={self._folder / 'profile'}",
        )
        command = (*self._within, executable, *flags, "about:blank")
        pipes = {0: "w", 1: "r", 2: "r", _Process.READS: "w", _Process.WRITES: "r"}
        self._transport = self._reactor.spawnProcess(
            self._process, shutil.which(command[0]), command, env=self._environment(), childFDs=pipes
        )
        try:
            await self._devtools.send("Browser.getVersion")
        except DevToolsError as error:
            said = self._process.said.decode(errors="replace")
            raise DevToolsError(f"Chromium did not start: {error}\n{said}") from error

    async def open(self, url: str, width: int = 1280, height: int = 860) -> Page:
        """A new page at `url`, loaded."""
        origin = "/".join(url.split("/")[:3])
        if self._allow:
            # Granted, pages also see the machine's real addresses instead of mDNS names.
            granted = ["audioCapture", "videoCapture"]
            await self._devtools.send("Browser.grantPermissions", origin=origin, permissions=granted)
        target = await self._devtools.send("Target.createTarget", url="about:blank", newWindow=True)
        attached = await self._devtools.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self._reactor, self._devtools, attached["sessionId"])
        await page.prepare(width, height, self._script)
        await page.go(url)
        return page

    async def stop(self) -> None:
        """Close it politely, or else kill it; wait until it has gone."""
        if self._transport is None:
            return
        try:
            await self._devtools.send("Browser.close")
        except DevToolsError:
            self.kill()
        killing = self._reactor.callLater(5, self.kill)
        await self._process.ended
        if killing.active():
            killing.cancel()
        # A browser that was killed may leave helpers that write for a moment longer.
        shutil.rmtree(self._folder, ignore_errors=True)

    async def crash(self) -> None:
        """Kill it and wait until it has gone; its profile stays for the next `start`."""
        self.kill()
        await self._process.ended
        self._transport = None
        self._devtools = DevTools(self._reactor)
        self._process = _Process(self._devtools)

    def kill(self) -> None:
        """Kill the process as a crash would; `stop` is still to be called."""
        try:
            os.kill(self._transport.pid, signal.SIGKILL)
        except (ProcessExitedAlready, ProcessLookupError, TypeError):
            return  # gone already

    def _environment(self) -> dict[str, str]:
        """The environment with a home of its own: nothing of the user's is read or written."""
        return {**os.environ, "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder / "config")}


class Page:
    """One tab."""

    def __init__(self, reactor: Any, devtools: DevTools, session: str) -> None:
        self._reactor = reactor
        self._devtools = devtools
        self._session = session
        self._loaded: Deferred[None] | None = None
        self.errors: list[str] = []
        """Uncaught exceptions, console errors and refused loads, in order."""
        devtools.listen(session, self._event)

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the DevTools protocol for this page."""
        return await self._devtools.send(method, self._session, **params)

    async def prepare(self, width: int, height: int, script: str = "") -> None:
        """Switch on what is listened to; once, before the first `go`."""
        for domain in ("Page", "Runtime", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Page.addScriptToEvaluateOnNewDocument", source=_PRELUDE + script)
        await self.resize(width, height)

    async def go(self, url: str) -> None:
        """Load `url` and wait until it is loaded."""
        self._loaded = Deferred()
        answer = await self.send("Page.navigate", url=url)
        if answer.get("errorText"):
            raise DevToolsError(f"{url}: {answer['errorText']}")
        await self._loaded

    async def reload(self) -> None:
        """Load it again, as by the browser's button, and wait until it is loaded."""
        self._loaded = Deferred()
        await self.send("Page.reload")
        await self._loaded

    async def resize(self, width: int, height: int, dark: bool = False, touch: bool = False) -> None:
        """Size in CSS pixels, colour scheme, and whether it is a phone with a finger for a mouse."""
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        if touch:
            features.append({"name": "pointer", "value": "coarse"})
        await self.send("Emulation.setEmulatedMedia", features=features)

    async def evaluate(self, expression: str, *arguments: Any) -> Any:
        """The value of a JavaScript expression; promises are awaited.

        With `arguments`, the expression is a function and is called with them.
        """
        if arguments:
            expression = f"({expression})({', '.join(json.dumps(argument) for argument in arguments)})"
        answer = await self.send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise DevToolsError(_exception(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, condition: str, timeout: float = 10.0) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = self._reactor.seconds() + timeout
        while not await self.evaluate(f"Boolean({condition})"):
            if self._reactor.seconds() > deadline:
                seen = await self.evaluate("document.body.innerText")
                raise DevToolsError(f"never became true: {condition}\nthe page shows: {seen}\nerrors: {self.errors}")
            await deferLater(self._reactor, POLL)

    async def click(self, selector: str) -> None:
        """Click the middle of an element, which must be there to be seen and not covered."""
        found = await self.evaluate(
            """(selector) => {
                 const element = document.querySelector(selector);
                 if (!element) return 'no such element';
                 element.scrollIntoView({ block: 'center', behavior: 'instant' });
                 const { left, top, width, height } = element.getBoundingClientRect();
                 const [x, y] = [left + width / 2, top + height / 2];
                 if (!width || !height) return 'not visible';
                 const hit = document.elementFromPoint(x, y);
                 return element === hit || element.contains(hit) || hit?.contains(element)
                   ? { x, y } : `covered by ${hit?.outerHTML.slice(0, 80)}`;
               }""",
            selector,
        )
        if isinstance(found, str):
            raise DevToolsError(f"cannot click {selector}: {found}")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **found)

    async def type(self, selector: str, text: str) -> None:
        """Click a field, clear it, and type into it."""
        await self.click(selector)
        await self.evaluate("(selector) => { document.querySelector(selector).select(); }", selector)
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press and release a key: a character, or `Enter`, `Tab`, `Escape`."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Tab": 9, "Escape": 27}
        common = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
        await self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    async def text(self, selector: str) -> str:
        """What an element shows; '' while it is hidden."""
        shown = "(selector) => [document.querySelector(selector)].map((e) => e.checkVisibility() ? e.innerText : '')[0]"
        return str(await self.evaluate(shown, selector))

    async def screenshot(self, path: Path) -> None:
        """A PNG of what is to be seen."""
        answer = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))

    async def hearing(self, selector: str = "#remote-audio", seconds: float = 0.6) -> float:
        """Hz of the loudest tone in the stream of an audio element; 0 for silence."""
        frequency, level, _ = await self.evaluate(_HEARING, selector, seconds, [])
        return float(frequency) if level > SILENCE else 0.0

    async def levels(self, *hertz: float, selector: str = "#remote-audio", seconds: float = 0.6) -> list[float]:
        """How loud each of these tones is in the stream of an audio element, in dB; `SILENCE` and less is nothing."""
        _, _, levels = await self.evaluate(_HEARING, selector, seconds, list(hertz))
        return [float(level) for level in levels]

    def _event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired" and self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            loaded.callback(None)
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_exception(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(" ".join(str(each.get("value", each.get("description"))) for each in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())


def _exception(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or thrown.get("value") or details.get("text"))
