"""What a peer's description says of the one audio stream: `CorePeer` of a phone, `WebPeer` of a browser.

Both are frozen, so that a session can look at a new description before it takes it: a refused
change leaves everything as it was (RFC 6141 §3). Raises `MediaError` (MEDIA) for what cannot work.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from attrs import field, frozen

from rtcgw.media.backend import MediaError
from rtcgw.media.describe import Slot
from rtcgw.media.dtls import Fingerprint
from rtcgw.media.sdp import Codec, Direction, Media, SdpError, Session, parse
from rtcgw.model.defaults import PTIME
from rtcgw.model.reason import Reason

Address = tuple[str, int]

_CORE_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF"})
_WEB_PROFILES = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"})
"""RFC 8829 §5.1.2 tells a WebRTC endpoint to take all of them."""
_PTIMES = range(10, 61)
_HIDDEN = frozenset({"0.0.0.0", "::"})  # noqa: S104 - the old hold, not an address to bind
_SETUPS = frozenset({"actpass", "active", "passive"})


def refuse(detail: str) -> MediaError:
    """The media cannot be set up: 488 and its likes."""
    return MediaError(Reason.MEDIA, detail)


@frozen
class CorePeer:
    """A phone."""

    slots: tuple[Slot, ...]
    index: int
    proto: str
    address: Address | None
    """Where it wants RTP; None when it wants none (hold by `c=0.0.0.0`)."""
    rtcp: Address | None
    codecs: tuple[Codec, ...]
    direction: Direction
    ptime: int


@frozen
class WebPeer:
    """A browser."""

    slots: tuple[Slot, ...]
    index: int
    mid: str | None
    bundled: bool
    ufrag: str
    promised: frozenset[Fingerprint] = field(repr=False)
    setup: str
    association: tuple[frozenset[Fingerprint], str | None]
    """Changes exactly when the browser begins a new DTLS association (RFC 8842 §4): another page, for one."""
    codecs: tuple[Codec, ...]
    direction: Direction


def read_core(sdp: str, index: int | None) -> CorePeer:
    """A phone's description. `index`: the audio line's place where an offer of ours fixed it, else None."""
    session = _parse(sdp)
    usable = [_takes_core(media) for media in session.media]
    place = _place(usable, index)
    media = session.media[place]
    host = session.host_of(media)
    address = None if host in _HIDDEN else (_literal(host), media.port)
    direction = session.direction_of(media)
    ptime = media.get("ptime") or ""
    return CorePeer(
        slots=tuple(map(Slot.of, session.media)),
        index=place,
        proto=media.proto,
        address=address,
        rtcp=None if address is None else _rtcp(media, address),
        codecs=tuple(media.codecs),
        direction=direction.deaf if address is None else direction,
        ptime=int(ptime) if _digits(ptime) and len(ptime) < 4 and int(ptime) in _PTIMES else PTIME,
    )


def read_web(sdp: str, index: int | None) -> WebPeer:
    """A browser's description. `index` as for `read_core`."""
    session = _parse(sdp)
    place = _place([_takes_web(media) for media in session.media], index)
    media = session.media[place]
    if media.get("rtcp-mux") is None:
        raise refuse("the browser does not multiplex RTP and RTCP")
    ufrag = _transport(session, media, "ice-ufrag")
    promised = _fingerprints(session, media)
    setup = (_transport(session, media, "setup") or ["active"])[0]
    if not ufrag or not promised:
        raise refuse("the browser's description lacks ICE credentials or a fingerprint")
    if setup not in _SETUPS:
        raise refuse(f"a=setup:{setup[:16]} cannot be answered")
    mid = media.get("mid")
    tls_id = _transport(session, media, "tls-id")
    return WebPeer(
        slots=tuple(map(Slot.of, session.media)),
        index=place,
        mid=mid,
        bundled=any(mid in value.split()[1:] for value in session.attributes.get("group", ()) if mid is not None),
        ufrag=ufrag[0],
        promised=promised,
        setup=setup,
        association=(promised, tls_id[0] if tls_id else None),
        codecs=tuple(media.codecs),
        direction=session.direction_of(media),
    )


def _parse(sdp: str) -> Session:
    try:
        return parse(sdp)
    except SdpError as error:
        raise refuse(f"unreadable description: {error}") from None


def _place(usable: Sequence[bool], index: int | None) -> int:
    """The audio line: where it was, else the first that is usable."""
    if index is not None:
        if index < len(usable) and usable[index]:
            return index
        raise refuse("the audio line was refused")
    if True not in usable:
        raise refuse("no audio line that can be carried")
    return usable.index(True)


def _takes_core(media: Media) -> bool:
    return media.kind == "audio" and media.port != 0 and media.proto in _CORE_PROFILES


def _takes_web(media: Media) -> bool:
    alive = media.port != 0 or media.get("bundle-only") is not None
    return media.kind == "audio" and alive and media.proto in _WEB_PROFILES


def _literal(host: str | None) -> str:
    """An address that media may be sent to. Names are not resolved; groups of hosts are nobody's phone."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        raise refuse("the phone's media address is no IP address") from None
    if address.is_multicast or str(address) == "255.255.255.255":
        raise refuse("the phone's media address is no single host's")
    return str(address)


def _digits(text: str) -> bool:
    """Whether `int` can read the text: `str.isdigit` alone lets superscripts pass."""
    return text.isascii() and text.isdigit()


def _rtcp(media: Media, address: Address) -> Address:
    """RFC 3605: another port, perhaps another address; else the next port."""
    words = (media.get("rtcp") or "").split()
    if not words or not _digits(words[0]) or not 0 < int(words[0][:6]) <= 65535:
        return address[0], min(address[1] + 1, 65535)
    return _literal(words[3]) if len(words) == 4 else address[0], int(words[0])


def _transport(session: Session, media: Media, name: str) -> list[str]:
    """A transport attribute: of the line, the session, or the line that it is bundled with (RFC 9143 §7.1.3)."""
    found = media.attributes.get(name) or session.attributes.get(name)
    if found:
        return found
    mid = media.get("mid")
    for value in session.attributes.get("group", ()):
        mids = value.split()
        if mids[:1] == ["BUNDLE"] and mid in mids[1:]:
            for other in session.media:
                if other.get("mid") in mids[1:] and other.get(name) is not None:
                    return other.attributes[name]
    return []


def _fingerprints(session: Session, media: Media) -> frozenset[Fingerprint]:
    values = map(Fingerprint.parse, _transport(session, media, "fingerprint"))
    return frozenset(value for value in values if value is not None)
