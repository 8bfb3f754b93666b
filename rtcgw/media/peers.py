"""What a peer's description says: `CorePeer` of a phone, `WebPeer` of a browser, one stream for each media line in use.

Both are frozen, so that a session can look at a new description before it takes it: a refused
change leaves everything as it was (RFC 6141 §3). A line that cannot be carried is left out, and the reason kept;
`MediaError` (MEDIA) is raised where no line can be.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache

from attrs import field, frozen

from rtcgw.media.backend import MediaError
from rtcgw.media.describe import Slot
from rtcgw.media.sdp import Codec, Direction, Media, SdpError, Session, parse
from rtcgw.media.webside.dtls import Fingerprint
from rtcgw.model.defaults import PTIME
from rtcgw.model.reason import Reason

Address = tuple[str, int]

AUDIO, VIDEO = "audio", "video"
KINDS = (AUDIO, VIDEO)
"""What is carried; a line of any other kind is refused."""
FEEDBACK = ("nack pli", "ccm fir")
"""The feedback that is translated (RFC 4585 §6.3.1, RFC 5104 §3.5.1): both ask for a whole picture."""
SECURED = frozenset({"RTP/SAVP", "RTP/SAVPF"})
"""Profiles of the core whose keys stand in the description (RFC 4568)."""
_CORE_PROFILES = frozenset({"RTP/AVP", "RTP/AVPF"}) | SECURED
_WEB_PROFILES = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"})
"""RFC 8829 §5.1.2 tells a WebRTC endpoint to take all of them."""
_PTIMES = range(10, 61)
_HIDDEN = frozenset({"0.0.0.0", "::"})  # noqa: S104 - the old hold, not an address to bind
_SETUPS = frozenset({"actpass", "active", "passive"})


def refuse(detail: str) -> MediaError:
    """The media cannot be set up: 488 and its likes."""
    return MediaError(Reason.MEDIA, detail)


@frozen
class CoreStream:
    """One media line of a phone, in use."""

    index: int
    kind: str
    proto: str
    address: Address | None
    """Where it wants RTP; None when it wants none (hold by `c=0.0.0.0`)."""
    rtcp: Address | None
    codecs: tuple[Codec, ...]
    direction: Direction
    ptime: int
    bandwidth: int | None
    """`b=AS`, kbit/s."""
    feedback: tuple[str, ...]
    """Of `FEEDBACK` what it listed; without an AVPF profile none."""
    attributes: Mapping[str, Sequence[str]] = field(repr=False)
    """All of the line, keys included."""


@frozen
class CorePeer:
    """A phone."""

    slots: tuple[Slot, ...]
    streams: tuple[CoreStream, ...]
    """In the order of their lines."""
    source: str
    """Who wrote it: the `o=` line without its version."""

    def at(self, index: int | None, kind: str | None = None) -> CoreStream | None:
        """The stream in this place, if it is of this kind."""
        found = next((stream for stream in self.streams if stream.index == index), None)
        return found if found is None or kind in (None, found.kind) else None


@frozen
class WebStream:
    """One media line of a browser, in use."""

    index: int
    kind: str
    mid: str | None
    codecs: tuple[Codec, ...]
    direction: Direction
    bandwidth: int | None


@frozen
class WebPeer:
    """A browser. All its streams share one transport."""

    slots: tuple[Slot, ...]
    streams: tuple[WebStream, ...]
    source: str
    bundled: bool
    """It speaks of its streams as a bundle (RFC 9143)."""
    ufrag: str
    """'' of a client without ICE."""
    promised: frozenset[Fingerprint] = field(repr=False)
    setup: str
    address: Address | None
    """Of a client without ICE: where it says it is."""
    association: tuple[frozenset[Fingerprint], str | None]
    """Changes exactly when the browser begins a new DTLS association (RFC 8842 §4): another page, for one."""

    def at(self, index: int | None, kind: str | None = None) -> WebStream | None:
        """The stream in this place, if it is of this kind."""
        found = next((stream for stream in self.streams if stream.index == index), None)
        return found if found is None or kind in (None, found.kind) else None


def core_peer(sdp: str) -> CorePeer:
    """A phone's description, with every line that can be carried."""
    session = _parse(sdp)
    streams: list[CoreStream] = []
    why: list[str] = []
    for place, media in enumerate(session.media):
        try:
            if _used(media) and (media.proto in _CORE_PROFILES):
                streams.append(_core_stream(session, media, place))
        except MediaError as error:
            why.append(error.detail)
    if not streams:
        raise refuse(why[0] if why else "no media line that can be carried")
    return CorePeer(tuple(map(Slot.of, session.media)), tuple(streams), _source(session))


def web_peer(sdp: str, ice: bool = True) -> WebPeer:
    """A browser's description, with every line that can be carried. `ice` False: of a client without ICE.

    The first such line has the transport. Another that is not bundled with it is left out: a second
    transport for the same browser would be a second handshake, and every browser since 2013 can bundle.
    """
    session = _parse(sdp)
    bundle = _bundle(session)
    streams: list[WebStream] = []
    numbers: dict[int, str] = {}
    tag: Media | None = None
    muxed = True
    for place, media in enumerate(session.media):
        alive = media.kind in KINDS and (media.port != 0 or media.get("bundle-only") is not None)
        if not alive or media.proto not in _WEB_PROFILES:
            continue
        mid = media.get("mid")
        if tag is not None and not (mid in bundle and tag.get("mid") in bundle):
            continue
        if media.get("rtcp-mux") is None:
            muxed = False
            continue
        tag = tag or media
        # Packets of the one transport go by their payload types, so none may stand for two kinds (RFC 9143 §9.1).
        codecs = tuple(codec for codec in media.codecs if numbers.setdefault(codec.pt, media.kind) == media.kind)
        streams.append(WebStream(place, media.kind, mid, codecs, session.direction_of(media), media.bandwidth))
    if tag is None:
        raise refuse("no media line that can be carried" if muxed else "the browser does not multiplex RTP and RTCP")
    return _web_peer(session, tag, streams, tag.get("mid") in bundle, ice)


def _web_peer(session: Session, tag: Media, streams: list[WebStream], bundled: bool, ice: bool) -> WebPeer:
    """The peer with these streams and the transport of the line `tag`."""
    ufrag = _transport(session, tag, "ice-ufrag") if ice else [""]
    promised = _fingerprints(session, tag)
    setup = (_transport(session, tag, "setup") or ["active"])[0]
    if not ufrag or not promised:
        raise refuse("the browser's description lacks ICE credentials or a fingerprint")
    if setup not in _SETUPS:
        raise refuse(f"a=setup:{setup[:16]} cannot be answered")
    tls_id = _transport(session, tag, "tls-id")
    return WebPeer(
        slots=tuple(map(Slot.of, session.media)),
        streams=tuple(streams),
        source=_source(session),
        bundled=bundled,
        ufrag=ufrag[0],
        promised=promised,
        setup=setup,
        address=None if ice else _named(session, tag),
        association=(promised, tls_id[0] if tls_id else None),
    )


def _named(session: Session, media: Media) -> Address | None:
    """Where a client without ICE says it is; behind NAT that may be nowhere."""
    try:
        return _literal(session.host_of(media)), media.port
    except MediaError:
        return None


def _core_stream(session: Session, media: Media, place: int) -> CoreStream:
    host = session.host_of(media)
    address = None if host in _HIDDEN else (_literal(host), media.port)
    direction = session.direction_of(media)
    ptime = media.get("ptime") or ""
    return CoreStream(
        index=place,
        kind=media.kind,
        proto=media.proto,
        address=address,
        rtcp=None if address is None else _rtcp(media, address),
        codecs=tuple(media.codecs),
        direction=direction.deaf if address is None else direction,
        ptime=int(ptime) if _digits(ptime) and len(ptime) < 4 and int(ptime) in _PTIMES else PTIME,
        bandwidth=media.bandwidth,
        feedback=_feedback(media),
        attributes=media.attributes,
    )


def _parse(sdp: str) -> Session:
    try:
        return parse(sdp)
    except SdpError as error:
        raise refuse(f"unreadable description: {error}") from None


def _used(media: Media) -> bool:
    return media.kind in KINDS and media.port != 0


def _source(session: Session) -> str:
    return f"{session.user} {session.number} {session.address}"


def _feedback(media: Media) -> tuple[str, ...]:
    """What of `FEEDBACK` the line lists, for whichever of its payload types."""
    if not media.proto.endswith("F"):
        return ()
    listed = {value.partition(" ")[2].strip() for value in media.attributes.get("rtcp-fb", ())}
    return tuple(kind for kind in FEEDBACK if kind in listed)


def _bundle(session: Session) -> frozenset[str]:
    """The mids of the first bundle (RFC 9143 §5); more than one are for transports of several, which we have not."""
    for value in session.attributes.get("group", ()):
        mids = value.split()
        if mids[:1] == ["BUNDLE"]:
            return frozenset(mids[1:])
    return frozenset()


@lru_cache(maxsize=1024)
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
    if not words or not _digits(words[0]) or len(words[0]) > 5 or not 0 < int(words[0]) <= 65535:
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
