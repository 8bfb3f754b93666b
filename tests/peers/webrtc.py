"""A browser's media endpoint without a browser and without sockets: full ICE, DTLS client, SRTP.

It writes descriptions as long as Chromium's, so that what must not leak is there to leak. Give it a
clock and a `send(datagram, address)`, feed it what arrives, and it connects by itself: it sends checks,
starts the handshake on the first answer, repeats lost flights, and keeps consent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aioice import stun
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rtcgw.media.packets.srtp import SrtpError, Transform, inbound, outbound
from rtcgw.media.sdp import Session, parse
from rtcgw.media.webside.dtls import Association, DtlsError, Fingerprint, Identity

Address = tuple[str, int]

FORMATS = {
    111: ("opus/48000/2", "minptime=10;useinbandfec=1"),
    63: ("red/48000/2", "111/111"),
    9: ("G722/8000", None),
    0: ("PCMU/8000", None),
    8: ("PCMA/8000", None),
    13: ("CN/8000", None),
    110: ("telephone-event/48000", None),
    126: ("telephone-event/8000", None),
}
"""What Chromium offers for audio, by payload type."""
CHECK = 0.05
"""Seconds between checks until one is answered."""
KEEP = 2.5
"""Seconds between checks afterwards (RFC 7675)."""
FLIGHT = 0.3


class WebRtcPeer:
    """One PeerConnection with one audio line (and, if asked, video and data beside it)."""

    def __init__(
        self,
        clock: IReactorTime,
        send: Callable[[bytes, Address], object],
        formats: Sequence[int] = tuple(FORMATS),
        identity: Identity | None = None,
        extras: Sequence[str] = (),
    ) -> None:
        self._clock = clock
        self._send = send
        self.formats = list(formats)
        self.identity = identity or Identity()
        self.extras = tuple(extras)
        """Further media kinds in its offers: `video`, `application`."""
        self.ufrag, self.password = "ufr1", "p" * 24
        self.direction = "sendrecv"
        self.active = True
        """DTLS client."""
        self.controlling = True
        """False where a gateway that is not ICE-lite has offered (RFC 8445 §6.1.1)."""
        self.is_v6 = False
        """It is at an IPv6 address, and takes a candidate of that family."""
        self.mapped: Address | None = None
        """Where the other end says that it is."""
        self.fingerprint = self.identity.fingerprint
        self.version = 0
        self.remote: Session | None = None
        self.target: Address | None = None
        self.on_rtp: Callable[[bytes], object] = lambda packet: None
        self.on_rtcp: Callable[[bytes], object] = lambda packet: None
        self.answered = False
        self.connected = False
        self.failure = ""
        self.closed = False
        self._theirs: list[Fingerprint] = []
        self._association: Association | None = None
        self._flight: list[bytes] = []
        self._timers: dict[str, IDelayedCall] = {}
        self._open: tuple[Transform, Transform] | None = None
        self._shut: tuple[Transform, Transform] | None = None

    # -- descriptions ------------------------------------------------------------------------------

    def offer(self) -> str:
        """An offer with everything that a browser puts in one."""
        return self._write(self.formats, "actpass", ["audio", *self.extras], "0")

    def answer(self, sdp: str) -> str:
        """Answer an offer; from now on it connects."""
        self.controlling = "a=ice-lite" in sdp
        session = self._take(sdp)
        audio = next(media for media in session.media if media.kind == "audio")
        known = {name.lower(): pt for pt, (name, _) in FORMATS.items()}
        formats = [codec.pt for codec in audio.codecs if f"{codec.name}/{codec.rate}".lower() in known]
        kinds = [media.kind for media in session.media]
        return self._write(formats, "active" if self.active else "passive", kinds, audio.get("mid"))

    def accept(self, sdp: str) -> None:
        """Take the answer to our offer; from now on it connects."""
        self.controlling = True
        self._take(sdp)

    def restart(self) -> None:
        """New ICE credentials for the next offer."""
        self.ufrag, self.password = self.ufrag + "r", "q" * 24

    def _take(self, sdp: str) -> Session:
        session = self.remote = parse(sdp)
        audio = next(media for media in session.media if media.kind == "audio")
        candidates = [value.split()[4:6] for value in audio.attributes.get("candidate", ())]
        fitting = (one for one in candidates if (":" in one[0]) is self.is_v6)
        host, port = next(fitting, ["", "0"])
        self.target = None if host.endswith(".local") else (host, int(port))  # a hidden address: nobody to ask here
        prints = (Fingerprint.parse(value) for value in audio.attributes.get("fingerprint", ()))
        self._theirs = [one for one in prints if one is not None]
        if audio.get("setup") == "active":
            self.active = False
        self.answered = False
        self._check()
        return session

    def _write(self, formats: Sequence[int], setup: str, kinds: Sequence[str], mid: str | None) -> str:
        self.version += 1
        lines = [f"v=0\r\no=- 42 {self.version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0"]
        mids = [mid if kind == "audio" else f"x{place}" for place, kind in enumerate(kinds)]
        lines.append("a=group:BUNDLE " + " ".join(str(one) for one in mids if one is not None))
        lines += ["a=extmap-allow-mixed", "a=msid-semantic: WMS stream"]
        for kind, place in zip(kinds, mids, strict=True):
            if kind == "audio":
                lines += self._audio(formats, setup, place)
            elif kind == "video":
                lines += [
                    "m=video 9 UDP/TLS/RTP/SAVPF 96",
                    "c=IN IP4 0.0.0.0",
                    f"a=mid:{place}",
                    "a=rtpmap:96 VP8/90000",
                ]
                lines += ["a=rtcp-mux", "a=rtcp-fb:96 nack pli", "a=sendrecv"]
            else:
                lines += ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", f"a=mid:{place}"]
        return "\r\n".join([*lines, ""])

    def _audio(self, formats: Sequence[int], setup: str, mid: str | None) -> list[str]:
        lines = [f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, formats))}", "c=IN IP4 0.0.0.0"]
        lines += ["a=rtcp:9 IN IP4 0.0.0.0", f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.password}"]
        lines += ["a=ice-options:trickle", f"a=fingerprint:sha-256 {self.fingerprint}", f"a=setup:{setup}"]
        lines += [] if mid is None else [f"a=mid:{mid}"]
        lines += ["a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", f"a={self.direction}"]
        lines += ["a=msid:stream track", "a=rtcp-mux", "a=rtcp-rsize"]
        lines += ["a=candidate:1 1 udp 2113937151 4f1b.local 50000 typ host generation 0"]
        for pt in formats:
            name, fmtp = FORMATS.get(pt, ("telephone-event/8000", None))
            lines.append(f"a=rtpmap:{pt} {name}")
            lines += [] if fmtp is None else [f"a=fmtp:{pt} {fmtp}"]
        lines += ["a=rtcp-fb:111 transport-cc", "a=ssrc:1111 cname:abc", "a=ssrc:1111 msid:stream track"]
        return lines

    # -- the wire -------------------------------------------------------------------------------------

    def datagram(self, data: bytes, source: Address) -> None:
        """Take a datagram."""
        first = data[0]
        if first < 4:
            self._stun(data, source)
        elif 19 < first < 64:
            self._dtls(data)
        elif 127 < first < 192 and self._open is not None:
            is_rtcp = 192 <= data[1] <= 223
            try:
                packet = self._open[is_rtcp](data)
            except SrtpError as error:
                self.failure = str(error)
                return
            (self.on_rtcp if is_rtcp else self.on_rtp)(packet)

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send."""
        if self._shut is not None and self.target is not None:
            self._send(self._shut[0](packet), self.target)

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send."""
        if self._shut is not None and self.target is not None:
            self._send(self._shut[1](packet), self.target)

    def vanish(self) -> None:
        """Stop everything without a word, like a killed browser."""
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()
        self.target = None

    def close(self) -> None:
        """Like `RTCPeerConnection.close()`: say close_notify, then vanish."""
        if self._association is not None:
            self._out(self._association.close())
        self.vanish()

    def _later(self, name: str, delay: float, call: Callable[[], None]) -> None:
        running = self._timers.get(name)
        if running is not None and running.active():
            running.cancel()
        self._timers[name] = self._clock.callLater(delay, call)

    def _check(self) -> None:
        if self.target is None or self.remote is None:
            return
        audio = next(media for media in self.remote.media if media.kind == "audio")
        name = f"{audio.get('ice-ufrag')}:{self.ufrag}"
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = name
        request.attributes["PRIORITY"] = 0x6E7F1EFF
        if self.controlling:
            request.attributes["ICE-CONTROLLING"] = 1
            request.attributes["USE-CANDIDATE"] = None
        else:
            request.attributes["ICE-CONTROLLED"] = 1
        request.add_message_integrity((audio.get("ice-pwd") or "").encode())
        self._send(bytes(request), self.target)
        self._later("check", KEEP if self.answered else CHECK, self._check)

    def _stun(self, data: bytes, source: Address) -> None:
        """A full agent's part: answer checks of a controlling gateway, and see our own answered."""
        message = stun.parse_message(data)
        if message.message_class is stun.Class.REQUEST:
            if not message.check_message_integrity(self.password.encode()):
                return
            response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
            response.attributes["XOR-MAPPED-ADDRESS"] = source
            response.add_message_integrity(self.password.encode())
            self._send(bytes(response), source)
        elif message.message_class is stun.Class.RESPONSE and self.remote is not None and not self.answered:
            audio = next(media for media in self.remote.media if media.kind == "audio")
            self.answered = message.check_message_integrity((audio.get("ice-pwd") or "").encode())
            self.mapped = message.attributes["XOR-MAPPED-ADDRESS"]
            if self.answered and self.active and self._association is None:
                self._association = Association(self.identity, client=True)
                self._step(self._association.start)

    def _dtls(self, data: bytes) -> None:
        association = self._association
        if association is None:
            association = self._association = Association(self.identity, client=self.active)
        self._step(lambda: association.feed(data))
        self.closed = association.closed

    def _step(self, step: Callable[[], list[bytes]]) -> None:
        try:
            out = step()
        except DtlsError as error:
            self.failure = str(error)
            return
        if out:
            self._flight = out
            self._out(out)
            self._later("flight", FLIGHT, self._repeat)
        if self._association is not None and self._association.finished and not self.connected:
            self._finish(self._association)

    def _finish(self, association: Association) -> None:
        if not association.proves(self._theirs):
            self.failure = "fingerprint"
            return
        keys = association.keys(self.active)
        if keys is not None:
            self._open, self._shut = inbound(keys), outbound(keys)
            self.connected = True

    def _repeat(self) -> None:
        if not self.connected:
            self._out(self._flight)
            self._later("flight", FLIGHT, self._repeat)

    def _out(self, datagrams: Sequence[bytes]) -> None:
        for datagram in datagrams:
            if self.target is not None:
                self._send(datagram, self.target)
