"""Calls through a real rtpengine without a browser, without SIP: the backend itself, between two ends made of Python.

    case.call(...)     the browser's end calls, the phone's end answers, both are connected
    await case.hear()  each hears the other's tone

The browser's end has a transport for each media line, as one has towards an engine that makes no bundles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase

from rtcgw.media.backend import Access, IMediaSession, MediaNews, MediaStats, Party, Reoffer, Result
from rtcgw.media.engine.rtpengine import RtpengineBackend, RtpengineSettings
from rtcgw.media.sdp import Media, parse
from rtcgw.media.webside.dtls import Identity
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from tests.live.answers import Part, described, numbered
from tests.live.rtpengine import Rtpengine
from tests.live.sound import Codec, Sound
from tests.live.tones import Samples
from tests.live.waiting import HOST, reactor, until, within
from tests.peers.webrtc import WebRtcPeer

CONTROL, MEDIA, PHONE = 2323, 33000, 27000
"""Ports of this case's own: of the first engine's control and media, and of its phones."""
WEB_TONE, PHONE_TONE = 440, 700


class Opus:
    """The codec of `sound.Sound` in a browser, by FFmpeg's libopus."""

    pt = 111
    name = "OPUS"
    rate = 48000
    fmtp: str | None = None

    def __init__(self) -> None:
        self._decoder: Any = cast(Any, av.CodecContext.create("libopus", "r"))
        self._decoder.sample_rate = self.rate
        self._decoder.layout = "stereo"

    def frames(self, hertz: float) -> Iterator[bytes]:
        """See `sound.Codec`."""
        encoder: Any = cast(Any, av.CodecContext.create("libopus", "w"))
        encoder.sample_rate, encoder.layout, encoder.format = self.rate, "mono", "s16"
        encoder.options = {"application": "voip", "frame_duration": "20"}
        place = 0
        while True:
            times = (np.arange(960) + place) / self.rate
            place = (place + 960) % self.rate
            frame = av.AudioFrame.from_ndarray(
                (np.sin(2 * np.pi * hertz * times) * 13000).astype("<i2")[None], format="s16", layout="mono"
            )
            frame.sample_rate = self.rate
            yield from (bytes(packet) for packet in encoder.encode(frame))

    def decode(self, payload: bytes) -> Samples:
        """See `sound.Codec`."""
        parts = [decoded.to_ndarray() for decoded in self._decoder.decode(av.Packet(payload))]
        return np.concatenate([_mono(part) for part in parts]) if parts else np.zeros(0)


def _mono(part: Any) -> Samples:
    """The left channel, of planes or of samples in turn."""
    samples = part[0] if part.shape[0] == 2 else part[0][::2]
    found: Samples = samples.astype(np.float64)
    return found


class Voice(Sound):
    """`Sound` within a browser's transport."""

    def __init__(self, codec: Codec, tone: float) -> None:
        super().__init__(codec, 0, tone)
        self.carry: Callable[[bytes], object] = lambda packet: None

    def send(self, packet: bytes) -> None:
        """See `RtpPort`."""
        self.carry(packet)

    def take(self, packet: bytes) -> None:
        """A packet in the clear has come."""
        self.datagramReceived(packet, None)


class Transport(DatagramProtocol):
    """One PeerConnection on a real port; `kind`: of the media line whose transport it is."""

    def __init__(self, kind: str, ufrag: str, identity: Identity | None = None) -> None:
        self.kind = kind
        self._open = reactor.listenUDP(0, self, interface=HOST)
        self.peer = WebRtcPeer(reactor, self._send, identity=identity)
        self.peer.ufrag = ufrag

    def _send(self, data: bytes, target: tuple[str, int]) -> None:
        self._open.write(data, target)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.peer.datagram(datagram, addr)

    def connectionRefused(self) -> None:
        """The engine is gone, or not there yet."""

    def take(self, sdp: str, answering: bool = False) -> None:
        """Connect by the line of this kind in the description, an answer or (`answering`) an offer."""
        session = parse(sdp)
        line = next(media for media in session.media if media.kind == self.kind)
        line.kind, session.media = "audio", [line]
        if line.port and answering:
            self.peer.answer(str(session))
        elif line.port:
            self.peer.accept(str(session))

    async def close(self) -> None:
        """Vanish."""
        self.peer.vanish()
        await self._open.stopListening()


class BrowserEnd:
    """A browser with sound and, where asked, pictures (H.264, which nobody decodes here)."""

    def __init__(self, codec: Codec, pictures: bool = False, before: BrowserEnd | None = None) -> None:
        self.voice = Voice(codec, WEB_TONE)
        # After `before`, the same connection with another peer: ICE anew, its own certificate as it was.
        identity = None if before is None else before.sound.peer.identity
        self.sound: Transport = Transport("audio", "sound1" if before is None else "sound2", identity)
        self.pictures = Transport("video", "picture1") if pictures else None
        self.sound.peer.formats = [codec.pt, 110 if codec.name == "OPUS" else 126]
        self.sound.peer.on_rtp = self.voice.take
        self.voice.carry = self.sound.peer.send_rtp
        self.seen: list[bytes] = []
        self.asked: list[bytes] = []
        """RTCP about its pictures."""
        if self.pictures is not None:
            self.pictures.peer.on_rtp = self.seen.append
            self.pictures.peer.on_rtcp = self.asked.append

    @property
    def transports(self) -> list[Transport]:
        """All of them."""
        return [self.sound, *([] if self.pictures is None else [self.pictures])]

    @property
    def connected(self) -> bool:
        """Keys are in use on every one."""
        return all(transport.peer.connected for transport in self.transports)

    def offer(self) -> str:
        """Its offer, or its new one."""
        return self.sound.peer.offer() + self._line("actpass", "1")

    def answer(self, sdp: str) -> str:
        """Its answer; from now on it connects. Codecs are taken in the offer's order."""
        own = self._chosen(self.sound.peer.answer(sdp), parse(sdp).media[0])
        line = next((media for media in parse(sdp).media if media.kind == "video"), None)
        if line is None:
            return own
        if self.pictures is not None:
            self.pictures.take(sdp, answering=True)
        first = own.split("m=video", maxsplit=1)[0]
        return first + (self._line("active", line.get("mid") or "1") or "m=video 0 UDP/TLS/RTP/SAVPF 0\r\n")

    def _chosen(self, own: str, offered: Media) -> str:
        """The answer with its one codec, under the offer's number, and the keys."""
        found = [codec for codec in offered.codecs if codec.name in (self.voice.codec.name, "TELEPHONE-EVENT")]
        self.voice.pt = next(codec.pt for codec in found if codec.name == self.voice.codec.name)
        kept = [line for line in own.split("\r\n") if not line.startswith(("a=rtpmap", "a=fmtp"))]
        place = next(place for place, line in enumerate(kept) if line.startswith("m=audio"))
        kept[place] = "m=audio 9 UDP/TLS/RTP/SAVPF " + " ".join(str(codec.pt) for codec in found)
        kept[place + 1 : place + 1] = [f"a=rtpmap:{codec.rtpmap}" for codec in found]
        return "\r\n".join(kept)

    def accept(self, sdp: str) -> None:
        """The answer to its offer."""
        for transport in self.transports:
            transport.take(sdp)

    def restart(self) -> None:
        """ICE anew, with the next offer."""
        for transport in self.transports:
            transport.peer.restart()

    async def close(self) -> None:
        """Vanish."""
        await self.voice.close()
        for transport in self.transports:
            await transport.close()

    def _line(self, setup: str, mid: str) -> str:
        if self.pictures is None:
            return ""
        peer = self.pictures.peer
        return (
            "m=video 9 UDP/TLS/RTP/SAVPF 96 102\r\nc=IN IP4 0.0.0.0\r\n"
            f"a=ice-ufrag:{peer.ufrag}\r\na=ice-pwd:{peer.password}\r\na=fingerprint:sha-256 {peer.fingerprint}\r\n"
            f"a=setup:{setup}\r\na=mid:{mid}\r\na=rtcp-mux\r\na=sendrecv\r\na=rtpmap:96 VP8/90000\r\n"
            "a=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 goog-remb\r\na=rtpmap:102 H264/90000\r\n"
            "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
        )


class EngineCase(TestCase):
    """A backend, its engines, a browser's end and a phone's."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override] # trial awaits it
        self.folder = Path(self.mktemp())
        self.engines: list[Rtpengine] = []
        self.news: list[MediaNews] = []
        self.version = 1

    async def start(self, *options: str, count: int = 1, settings: dict[str, Any] | None = None) -> RtpengineBackend:
        """Engines, and a backend that has them. `options`: more of the engines' command line."""
        for number in range(len(self.engines), count):
            first = MEDIA + 1000 * number
            engine = Rtpengine(self.folder / f"engine-{number}", CONTROL + 2 * number, first, first + 999)
            engine.options = options
            self.addCleanup(engine.stop)
            await engine.start()
            self.engines.append(engine)
        nodes = tuple((HOST, engine.control) for engine in self.engines)
        backend = RtpengineBackend(
            RtpengineSettings(nodes, timeout=1.0, ping=0.5, **(settings or {})), reactor, reactor
        )
        await within("the backend starts", backend.start())
        self.addCleanup(backend.stop)
        return backend

    def open(
        self, backend: RtpengineBackend, peer: PeerProfile = PLAIN_PEER, caller: Access = Access.WEB, name: str = "s1"
    ) -> IMediaSession:
        """A session."""
        callee = Access.CORE if caller is Access.WEB else Access.WEB
        return backend.open(SessionId(name), caller, callee, self.news.append, peer)

    def browser(self, codec: Codec, pictures: bool = False, before: BrowserEnd | None = None) -> BrowserEnd:
        """A browser's end; `before`: the one that it takes the place of, because its peer has moved."""
        made = BrowserEnd(codec, pictures, before)
        self.addCleanup(made.close)
        return made

    def phone(self, codec: Codec, port: int = PHONE) -> Sound:
        """A phone's end."""
        made = Sound(codec, port, PHONE_TONE)
        made.listen()
        self.addCleanup(made.close)
        return made

    async def told(self, result: Result | None) -> str:
        """What the backend says, once the engine has answered."""
        assert result is not None
        return await within("the engine answers", result if isinstance(result, Deferred) else succeed(result))

    async def reoffered(self, result: Reoffer | Deferred[Reoffer]) -> Reoffer:
        """The same of a new offer."""
        return await within("the engine answers", result if isinstance(result, Deferred) else succeed(result))

    async def account(self, session: IMediaSession) -> MediaStats:
        """Close it; its final figures."""
        result = session.close()
        return await within("the engine deletes", result if isinstance(result, Deferred) else succeed(result))

    async def call(self, session: IMediaSession, browser: BrowserEnd, phone: Sound, *more: Part) -> str:
        """The browser calls, the phone answers; the offer that the phone got."""
        offer = await self.told(session.offer(Party.CALLER, browser.offer()))
        answer = await self.told(session.answer(Party.CALLEE, self.answer(offer, phone, *more), True))
        browser.accept(answer)
        await until("the browser connects", lambda: browser.connected)
        browser.voice.connect((HOST, 9))
        return offer

    def answer(self, offer: str, phone: Sound, *more: Part, version: int = 1) -> str:
        """The phone's answer; its sound goes where the offer says."""
        session = parse(offer)
        phone.pt = numbered(session.media[0], phone) or phone.pt
        phone.connect(where(offer, "audio"))
        return described(session, [phone, *more], version)

    async def change(self, session: IMediaSession, phone: Sound, offer: str, direction: str) -> str:
        """The phone offers itself anew (hold, resume); what it is answered."""
        self.version += 1
        text = described(parse(offer), [phone], self.version).replace("a=sendrecv", f"a={direction}")
        again = await self.reoffered(session.reoffer(Party.CALLEE, text))
        assert again.answer is not None
        return again.answer

    async def restart(self, session: IMediaSession, browser: BrowserEnd) -> str:
        """The browser begins ICE anew; what it is answered. The phone is not asked."""
        browser.restart()
        again = await self.reoffered(session.reoffer(Party.CALLER, browser.offer()))
        assert again.answer is not None
        browser.accept(again.answer)
        await until("ICE is done anew", lambda: all(one.peer.answered for one in browser.transports))
        return again.answer

    async def hear(self, browser: BrowserEnd, phone: Sound) -> None:
        """Each hears the other's tone."""
        for end in (browser.voice, phone):
            end.forget()
        await until("the phone hears the browser", lambda: abs(phone.heard() - WEB_TONE) < 10)
        await until("the browser hears the phone", lambda: abs(browser.voice.heard() - PHONE_TONE) < 10)

    def states(self) -> Sequence[str]:
        """The news so far."""
        return [news.state.name for news in self.news]


def where(sdp: str, kind: str) -> tuple[str, int]:
    """Where a description wants media of this kind."""
    session = parse(sdp)
    line = next(media for media in session.media if media.kind == kind)
    return session.host_of(line) or HOST, line.port
