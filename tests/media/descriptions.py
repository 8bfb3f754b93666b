"""Descriptions as phones and browsers write them, for tests that need no wire."""

from __future__ import annotations

from collections.abc import Sequence

from rtcgw.media import sdp

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
OTHER_FINGERPRINT = "sha-256 " + ":".join(["CD"] * 32)
H264 = "level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={level}"
CODECS = {
    0: "PCMU/8000",
    8: "PCMA/8000",
    9: "G722/8000",
    18: "G729/8000",
    96: "VP8/90000",
    97: "rtx/90000",
    101: "telephone-event/8000",
    102: "H264/90000",
    104: "H264/90000",
    106: "H264/90000",
    110: "telephone-event/48000",
    111: "opus/48000/2",
    116: "red/90000",
    117: "ulpfec/90000",
    126: "telephone-event/8000",
}
FMTP = {
    97: "apt=96",
    102: H264.format(mode=1, level="42001f"),
    104: H264.format(mode=0, level="42e01f"),
    106: H264.format(mode=1, level="42e01f"),
    111: "minptime=10;useinbandfec=1",
}
SOUND = (111, 9, 0, 8, 110, 126)
PICTURE = (96, 97, 102, 104, 106, 116, 117)


def maps(formats: Sequence[int], fmtp: dict[int, str] | None = None) -> list[str]:
    """The lines that say what payload types are."""
    found = []
    for pt in formats:
        found.append(f"a=rtpmap:{pt} {CODECS[pt]}")
        parameters = (fmtp or {}).get(pt)
        found += [] if parameters is None else [f"a=fmtp:{pt} {parameters}"]
    return found


def phone_line(
    kind: str = "audio",
    formats: Sequence[int] = (0, 8, 101),
    port: int = 4000,
    proto: str = "RTP/AVP",
    direction: str = "sendrecv",
    extra: Sequence[str] = (),
    fmtp: dict[int, str] | None = None,
) -> str:
    """One media line of a phone, with what belongs to it."""
    lines = [f"m={kind} {port} {proto} {' '.join(map(str, formats))}", *maps(formats, fmtp), *extra, f"a={direction}"]
    return "\r\n".join(lines) + "\r\n"


def phone(*lines: str, version: int = 1, host: str = "198.51.100.7", user: str = "phone") -> str:
    """A phone's description of these lines; of one for sound by default."""
    family = "IP6" if ":" in host else "IP4"
    head = f"v=0\r\no={user} 7 {version} IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
    return head + "".join(lines or (phone_line(),))


def web_line(
    kind: str = "audio",
    mid: str = "0",
    formats: Sequence[int] | None = None,
    direction: str = "sendrecv",
    port: int = 9,
    setup: str = "actpass",
    ufrag: str = "ufr1",
    fingerprint: str = FINGERPRINT,
    fmtp: dict[int, str] | None = None,
    extra: Sequence[str] = (),
) -> str:
    """One media line of a browser."""
    if kind == "application":
        return f"m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n"
    spoken = formats if formats is not None else SOUND if kind == "audio" else PICTURE
    lines = [f"m={kind} {port} UDP/TLS/RTP/SAVPF {' '.join(map(str, spoken))}", "c=IN IP4 0.0.0.0"]
    lines += [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{'p' * 24}", "a=ice-options:trickle"]
    lines += [f"a=fingerprint:{fingerprint}", f"a=setup:{setup}", f"a=mid:{mid}", f"a={direction}", "a=rtcp-mux"]
    lines += ["a=extmap:1 urn:ietf:params:rtp-hdrext:toffset", "a=msid:stream track", "a=rtcp-rsize"]
    lines += maps(spoken, FMTP if fmtp is None else fmtp)
    if kind == "video":
        lines += [f"a=rtcp-fb:{pt} {kind}" for pt in spoken for kind in ("nack pli", "ccm fir", "goog-remb")]
    return "\r\n".join([*lines, *extra]) + "\r\n"


def page(*lines: str, version: int = 1, bundle: Sequence[str] | None = None, number: str = "42") -> str:
    """A browser's description of these lines, all bundled unless `bundle` says which; of one for sound by default."""
    lines = lines or (web_line(),)
    found = sdp.parse("v=0\r\n" + "".join(lines))
    mids = [media.get("mid") or "" for media in found.media] if bundle is None else bundle
    group = f"a=group:BUNDLE {' '.join(mids)}\r\n" if mids else ""
    head = f"v=0\r\no=- {number} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{group}a=msid-semantic: WMS stream\r\n"
    return head + "".join(lines)


def used(text: str) -> list[tuple[str, bool]]:
    """Kind of each media line, and whether it is in use."""
    media = sdp.parse(text).media
    return [(line.kind, line.port != 0 or line.get("bundle-only") is not None) for line in media]


def line(text: str, kind: str = "audio") -> sdp.Media:
    """The first line of a kind."""
    return next(media for media in sdp.parse(text).media if media.kind == kind)


def codecs(text: str, kind: str = "audio") -> list[tuple[int, str]]:
    """Number and name of a line's codecs."""
    return [(codec.pt, codec.name) for codec in line(text, kind).codecs]
