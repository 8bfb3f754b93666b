"""Our own descriptions: one builder for browsers, one for the core.

Each writes everything from nothing, so that towards the core only what stands here can ever
appear: no ICE, DTLS, BUNDLE, mid, msid, ssrc, extmap, rtcp-mux; rtcp-fb for pictures of an AVPF phone only.
Rewriting the other side's text by a list of things to delete was refused: browsers invent new ones every year.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from rtcgw.media.sdp import Codec, Direction, Media, net
from rtcgw.model.defaults import PTIME, SDP_SESSION_NAME

WEB_PROFILE = "UDP/TLS/RTP/SAVPF"
CORE_PROFILE = "RTP/AVP"


@define
class Origin:
    """The `o=` line of one side: fixed number, and a version that grows only when the rest changes (RFC 3264 §8)."""

    address: str
    number: int = field(factory=lambda: secrets.randbits(31))
    version: int = 0
    text: str = ""
    """The last description written, '' before the first."""
    _body: str = field(default="", init=False)

    def stamp(self, body: str) -> str:
        """The whole description with this body (from `s=` on); the very same text if the body is the same."""
        if body != self._body:
            self._body = body
            self.version += 1
            self.text = f"v=0\r\no=- {self.number} {self.version} {net(self.address)}\r\n{body}"
        return self.text

    def restore(self, text: str) -> None:
        """An earlier description holds again, the ones since were refused; their versions are not used again."""
        self.text = text
        self._body = text.split("\r\n", 2)[2] if text else ""


@frozen
class Slot:
    """A media line's place, which it keeps for the session's life (RFC 3264 §8)."""

    kind: str
    proto: str
    formats: str
    mid: str | None = None

    @classmethod
    def of(cls, media: Media) -> Slot:
        """The place of a line the peer wrote."""
        return cls(media.kind, media.proto, " ".join(media.formats) or "0", media.get("mid"))


@frozen
class CoreLine:
    """What the core is told of one media line."""

    host: str
    port: int
    rtcp: int
    codecs: Sequence[Codec]
    direction: Direction = Direction.SENDRECV
    proto: str = CORE_PROFILE
    ptime: int = PTIME
    bandwidth: int | None = None
    """`b=AS`, kbit/s; None: what sound needs, and nothing is said for pictures."""
    feedback: Sequence[str] = ()
    """Values of `a=rtcp-fb` without the payload type; for an AVPF profile only."""
    attributes: Sequence[str] = field(default=(), repr=False)
    """Further lines as they are: keys, preconditions."""


def core_lines(host: str, carried: Mapping[int, CoreLine], slots: Sequence[Slot]) -> str:
    """A description for a phone or the core, from `s=` on. Small: an INVITE with it should fit 1300 bytes.

    `slots` are all media lines in their places, `carried` are those in use; the others are refused.
    """
    lines = [f"s={SDP_SESSION_NAME}", f"c={net(host)}", "t=0 0"]
    for place, slot in enumerate(slots):
        line = carried.get(place)
        if line is None or line.port == 0:
            lines.append(f"m={slot.kind} 0 {slot.proto} {slot.formats}")
        else:
            _core_line(lines, slot.kind, line)
    lines.append("")
    return "\r\n".join(lines)


def _core_line(lines: list[str], kind: str, line: CoreLine) -> None:
    lines.append(f"m={kind} {line.port} {line.proto} {' '.join(str(codec.pt) for codec in line.codecs)}")
    is_sound = kind == "audio"
    if line.bandwidth is not None or is_sound:
        lines.append(f"b=AS:{line.bandwidth or bandwidth(line.host)}")
    _codec_lines(lines, line.codecs)
    if line.feedback:
        _feedback_lines(lines, line.codecs, line.feedback)
    if is_sound:
        lines.append(f"a=ptime:{line.ptime}")
    lines.extend(line.attributes)
    lines.append(f"a={line.direction.value}")
    if line.rtcp != line.port + 1:
        lines.append(f"a=rtcp:{line.rtcp}")


def bandwidth(host: str) -> int:
    """`b=AS` in kbit/s: 64 kbit/s in 20 ms packets with RTP, UDP and IP headers (TS 26.114 §6.2.5)."""
    return 88 if ":" in host else 80


@frozen
class WebTransport:
    """The one transport of a browser, as it is told."""

    hosts: Sequence[str]
    """One host candidate each; the first one is also the default (`c=`)."""
    port: int
    fingerprint: str
    setup: str
    """`actpass`, `passive` or `active` (RFC 8842 §5)."""
    ufrag: str
    """'' for a client without ICE: it sends to `c=` and the port."""
    password: str = field(repr=False)
    bundled: bool = True


@frozen
class WebLine:
    """What a browser is told of one media line."""

    codecs: Sequence[Codec]
    direction: Direction
    mid: str | None = "0"
    ptime: int = PTIME
    bandwidth: int | None = None
    feedback: Sequence[str] = ()
    new: bool = False
    """Offered for the first time beside another: it has no port of its own until it is bundled (RFC 9143 §7.2.1)."""


def web_lines(transport: WebTransport, carried: Mapping[int, WebLine], slots: Sequence[Slot]) -> str:
    """A description for a browser, from `s=` on: ICE-lite, one host candidate per address, DTLS-SRTP, rtcp-mux.

    `slots` and `carried` as for `core_lines`.
    """
    lines = [f"s={SDP_SESSION_NAME}", "t=0 0"]
    if transport.ufrag:
        lines.append("a=ice-lite")
    mids = [line.mid for _, line in sorted(carried.items()) if line.mid is not None]
    if transport.bundled and mids:
        lines.append(f"a=group:BUNDLE {' '.join(mids)}")
    tagged = True
    for place, slot in enumerate(slots):
        if (line := carried.get(place)) is not None:
            _web_line(lines, slot.kind, line, transport, tagged)
            tagged = False
            continue
        lines.append(f"m={slot.kind} 0 {slot.proto} {slot.formats}")
        lines.append(f"c={net(transport.hosts[0])}")
        if slot.mid is not None:
            lines.append(f"a=mid:{slot.mid}")
        lines.append("a=inactive")
    lines.append("")
    return "\r\n".join(lines)


def _web_line(lines: list[str], kind: str, line: WebLine, transport: WebTransport, tagged: bool) -> None:
    """One line in use. Candidates stand in the `tagged` one only, which gives the bundle its address."""
    bundle_only = line.new and not tagged
    port = 0 if bundle_only else transport.port
    lines.append(f"m={kind} {port} {WEB_PROFILE} {' '.join(str(codec.pt) for codec in line.codecs)}")
    lines.append(f"c={net(transport.hosts[0])}")
    if line.bandwidth is not None:
        lines.append(f"b=AS:{line.bandwidth}")
    if tagged and transport.ufrag:
        _candidates(lines, transport)
    if transport.ufrag:
        lines.append(f"a=ice-ufrag:{transport.ufrag}")
        lines.append(f"a=ice-pwd:{transport.password}")
    lines.append(f"a=fingerprint:sha-256 {transport.fingerprint}")
    lines.append(f"a=setup:{transport.setup}")
    if line.mid is not None:
        lines.append(f"a=mid:{line.mid}")
    if bundle_only:
        lines.append("a=bundle-only")
    lines.append(f"a={line.direction.value}")
    lines.append("a=rtcp-mux")
    _codec_lines(lines, line.codecs)
    if line.feedback:
        _feedback_lines(lines, line.codecs, line.feedback)
    if kind == "audio":
        lines.append(f"a=ptime:{line.ptime}")


def _candidates(lines: list[str], transport: WebTransport) -> None:
    for place, host in enumerate(transport.hosts):
        # RFC 8445 §5.1.2: type preference 126 for host, local preference by order, component 1.
        priority = (126 << 24) | ((65535 - place) << 8) | 255
        lines.append(f"a=candidate:{place + 1} 1 udp {priority} {host} {transport.port} typ host")
    lines.append("a=end-of-candidates")


def _codec_lines(lines: list[str], codecs: Sequence[Codec]) -> None:
    for codec in codecs:
        lines.append(f"a=rtpmap:{codec.rtpmap}")
        if codec.fmtp is not None:
            lines.append(f"a=fmtp:{codec.pt} {codec.fmtp}")


def _feedback_lines(lines: list[str], codecs: Sequence[Codec], feedback: Sequence[str]) -> None:
    lines.extend(f"a=rtcp-fb:{codec.pt} {kind}" for codec in codecs for kind in feedback)
