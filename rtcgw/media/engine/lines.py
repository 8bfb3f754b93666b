"""Media lines on their way through rtpengine: one party's side, what the engine is shown of it, what it is told.

The engine sees at most one line of sound and one of pictures, in this order for all the session's life, whatever
the parties' own lines are and wherever they stand. It never writes to the core: what it says is read, and the core's
description written from nothing, so that no word of WebRTC can slip through. A browser gets the engine's own
ICE and DTLS attributes, in the browser's own lines.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from attrs import define, evolve, field, frozen

from rtcgw.media import preconditions
from rtcgw.media.backend import Access, MediaError
from rtcgw.media.describe import CORE_PROFILE, WEB_PROFILE, CoreLine, Origin, Slot, core_lines
from rtcgw.media.engine.codecs import AUDIO, DTMF, VIDEO, carried, pictures
from rtcgw.media.packets.sdes import Crypto
from rtcgw.media.peers import FEEDBACK, refuse
from rtcgw.media.preconditions import Preconditions
from rtcgw.media.sdp import MAX_MEDIA, Codec, Direction, Media, SdpError, Session, net, parse
from rtcgw.model.defaults import SDP_SESSION_NAME
from rtcgw.model.peer import PeerProfile, Srtp

NOWHERE = "0.0.0.0"  # noqa: S104 - written into a description, not bound
_NOWHERE = frozenset({NOWHERE, "::"})
"""Where a phone says that it is which holds in the old way (RFC 2543)."""
SECURED = {"RTP/SAVP": "RTP/AVP", "RTP/SAVPF": "RTP/AVPF"}
"""Profiles whose keys stand in the description, and the same without."""
SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")
"""What the core is offered (RFC 4568 §6.2): what every phone with SDES has."""
_PLAIN = frozenset(SECURED.values())
_WEB = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", *SECURED})
_SETUPS = frozenset({"actpass", "active", "passive"})
_OF_WEB = ("ice-ufrag", "ice-pwd", "ice-options", "fingerprint", "setup", "tls-id")
"""Attributes that may stand at either level."""
_SHOWN = ("rtcp-mux", "candidate", "end-of-candidates", "ptime", "maxptime")
_OF_CORE = ("rtcp", "ptime", "maxptime")
_UNWANTED = frozenset(
    {
        *("extmap", "extmap-allow-mixed", "msid", "msid-semantic", "ssrc", "ssrc-group", "rtcp-xr", "rtcp-rsize"),
        *("crypto", "group", "mid", "rtcp-fb", "fmtp", "rtpmap", "rtcp"),
    }
)
"""Of the engine's lines for a browser: what is not passed on, or is written anew."""
_PICTURES = 1024
"""`b=AS` of a line of pictures, kbit/s."""


@frozen
class Heard:
    """A party's description, read and judged; nothing is kept of it yet."""

    slots: tuple[Slot, ...]
    places: Mapping[str, int]
    lines: Mapping[str, Media]
    """The lines that can be carried, as the engine gets them, without codecs; by kind."""
    codecs: Mapping[str, tuple[Codec, ...]]
    waits: Preconditions | None
    """What the phone's line of sound says of preconditions, where its profile has them."""


@define
class Side:
    """One party's side of the session."""

    access: Access
    origin: Origin
    slots: tuple[Slot, ...] = ()
    """All media lines in their places, which they keep (RFC 3264 §8)."""
    places: dict[str, int] = field(factory=dict)
    lines: dict[str, Media] = field(factory=dict)
    codecs: dict[str, tuple[Codec, ...]] = field(factory=dict)
    told: dict[str, Media] = field(factory=dict)
    """The engine's last lines for this party."""
    waits: Preconditions | None = None
    real: bool = False
    """Its lines are its own, not made up for it."""
    fixed: bool = False
    """The places are fixed by an offer of ours."""
    held: bool = False
    """It holds the other side, not by its description but by what it asked of the gateway."""

    @property
    def on_web(self) -> bool:
        """A browser's side."""
        return self.access is not Access.CORE

    @property
    def takes(self) -> bool:
        """Whether it takes sound, as far as its description says; a phone that does not holds the other side."""
        line = self.lines.get(AUDIO)
        if line is None:
            return True
        nowhere = not self.on_web and line.host in _NOWHERE
        return (line.direction or Direction.SENDRECV).receives and not nowhere

    def has(self, kind: str) -> bool:
        """Whether it has a line of this kind in use."""
        return kind in self.lines

    def told_names(self) -> list[str]:
        """The audio codecs that it was told last; a browser goes on sending one of them."""
        line = self.told.get(AUDIO)
        return [] if line is None else [codec.name for codec in line.codecs if codec.name != DTMF]

    def take(self, heard: Heard) -> None:
        """Its new description is in force."""
        self.slots = heard.slots
        self.places.update(heard.places)
        self.lines, self.codecs = dict(heard.lines), dict(heard.codecs)
        self.waits = heard.waits
        self.real = True

    def forget(self) -> None:
        """It is to be offered something else; what it was, and has said so far, is void."""
        self.slots, self.places, self.lines, self.codecs = (), {}, {}, {}
        self.real, self.waits = False, None

    def copied(self) -> Side:
        """The side as it is, to come back to."""
        return Side(
            self.access,
            self.origin,
            self.slots,
            dict(self.places),
            dict(self.lines),
            dict(self.codecs),
            dict(self.told),
            self.waits,
            self.real,
            self.fixed,
            self.held,
        )

    def place(self, kind: str, proto: str) -> None:
        """Give the kind a place of ours, for an offer of ours; a line that was refused comes back as a new one."""
        place = self.places.get(kind)
        if place is not None and (kind in self.lines or not self.on_web):
            return
        slot = Slot(kind, proto, "0", self._fresh_mid() if self.on_web else None)
        slots = list(self.slots)
        if place is None:
            if len(slots) >= MAX_MEDIA:
                raise refuse("no place for another media line")
            self.places[kind] = len(slots)
            slots.append(slot)
        else:
            slots[place] = slot
        self.slots = tuple(slots)

    def _fresh_mid(self) -> str:
        taken = {slot.mid for slot in self.slots}
        return next(text for text in map(str, range(len(taken) + 1)) if text not in taken)


def side(access: Access) -> Side:
    """A side of which nothing is known."""
    return Side(access, Origin(NOWHERE))


def hear(sdp: str, of: Side, peer: PeerProfile) -> Heard:
    """Read a description of this side's party. Raises `MediaError` (MEDIA) for what cannot be carried."""
    try:
        session = parse(sdp)
    except SdpError as error:
        raise refuse(f"unreadable description: {error}") from None
    lines: dict[str, Media] = {}
    codecs: dict[str, tuple[Codec, ...]] = {}
    places: dict[str, int] = {}
    for kind in (AUDIO, VIDEO):
        found = _find(session, kind, of, peer)
        if found is None:
            continue
        media = session.media[found]
        try:
            line = _of_web(session, media, of.access is Access.WEB) if of.on_web else _of_core(session, media)
            codecs[kind] = _codecs(kind, media, of, peer)
        except MediaError:
            if kind == AUDIO:
                raise
            continue  # pictures that cannot be carried are refused, and the sound goes on
        lines[kind] = line
        places[kind] = found
    if AUDIO not in lines:
        raise refuse("the audio line was refused" if of.fixed else "no audio line that can be carried")
    waits = None
    if peer.preconditions and not of.on_web:
        waits = preconditions.read(session.media[places[AUDIO]].attributes)
    return Heard(tuple(map(Slot.of, session.media)), places, lines, codecs, waits)


def _codecs(kind: str, media: Media, of: Side, peer: PeerProfile) -> tuple[Codec, ...]:
    if kind == AUDIO:
        return carried(media.codecs, peer, of.on_web)
    found = pictures(media.codecs, peer.video)
    if not found:
        raise refuse("no codec of pictures in common")
    return found


def _find(session: Session, kind: str, of: Side, peer: PeerProfile) -> int | None:
    """The line of this kind: where it was, else the first that can be carried; None where there is none."""
    fits = _fits_web if of.on_web else _fits_core
    known = of.places.get(kind)
    if known is not None and known < len(session.media):
        media = session.media[known]
        if media.kind == kind and fits(session, media, peer):
            return known
        if of.fixed:
            return None
    if of.fixed and known is None:
        return None
    for place, media in enumerate(session.media):
        if media.kind == kind and fits(session, media, peer):
            return place
    return None


def _fits_web(session: Session, media: Media, _: PeerProfile) -> bool:
    # A line that is bundle-only has no transport of its own, and the engine makes no bundles.
    alive = media.port != 0 or (media.get("bundle-only") is not None and media.get("ice-ufrag") is not None)
    return alive and media.proto in _WEB


def _fits_core(session: Session, media: Media, peer: PeerProfile) -> bool:
    if media.port == 0:
        return False
    keys = _keys(media)
    if media.proto in SECURED:
        return peer.srtp is not Srtp.NONE and bool(keys)
    return media.proto in _PLAIN and (peer.srtp is not Srtp.SDES or bool(keys))


def _of_web(session: Session, media: Media, has_ice: bool) -> Media:
    """A browser's line for the engine. Candidates with hidden names are left out: its checks tell where it is."""
    if media.get("rtcp-mux") is None:
        raise refuse("the browser does not multiplex RTP and RTCP")
    attributes = {name: media.attributes[name] for name in _SHOWN if name in media.attributes}
    if "candidate" in attributes:
        attributes["candidate"] = [value for value in attributes["candidate"] if ".local " not in value]
    for name in _OF_WEB:
        values = media.attributes.get(name) or session.attributes.get(name)
        if values:
            attributes[name] = values
    needed = {"ice-ufrag", "ice-pwd", "fingerprint"} if has_ice else {"fingerprint"}
    if not needed <= attributes.keys():
        raise refuse("the browser's description lacks ICE credentials or a fingerprint")
    setup = attributes.setdefault("setup", ["active"])[0]
    if setup not in _SETUPS:
        raise refuse(f"a=setup:{setup[:16]} cannot be answered")
    direction = session.direction_of(media)
    host = NOWHERE if has_ice else session.host_of(media)
    return Media(media.kind, media.port or 9, WEB_PROFILE, [], host, None, direction, attributes)


def _of_core(session: Session, media: Media) -> Media:
    """A phone's line for the engine. RFC 8643's keys beside RTP/AVP are shown as RTP/SAVP, which means the same:
    the engine would take them for nothing in an answer that it writes for the phone."""
    host = session.host_of(media) or ""
    problem = _problem(host)
    if problem:
        raise refuse(problem)
    attributes = {name: media.attributes[name] for name in _OF_CORE if name in media.attributes}
    keys = _keys(media)
    if keys:
        attributes["crypto"] = keys
    proto = "RTP/SAVPF" if keys else "RTP/AVPF" if media.kind == VIDEO else "RTP/AVP"
    return Media(media.kind, media.port, proto, [], host, None, session.direction_of(media), attributes)


@lru_cache(maxsize=1024)
def _problem(host: str) -> str:
    """Why media cannot be sent there; '' where they can. Names are not resolved."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "the phone's media address is no IP address"
    is_many = address.is_multicast or host == "255.255.255.255"
    return "the phone's media address is no single host's" if is_many else ""


def _keys(media: Media) -> list[str]:
    values = media.attributes.get("crypto", ())
    parsed = ((value, Crypto.parse(value)) for value in values)
    return [value for value, crypto in parsed if crypto is not None and crypto.suite in SUITES]


def with_codecs(line: Media, codecs: Iterable[Codec], direction: Direction | None = None) -> Media:
    """The line with these codecs, and turned where a direction is given, for the engine."""
    listed = list(codecs)
    attributes = {**line.attributes, "rtpmap": [codec.rtpmap for codec in listed]}
    fmtp = [f"{codec.pt} {codec.fmtp}" for codec in listed if codec.fmtp is not None]
    if fmtp:
        attributes["fmtp"] = fmtp
    formats = [str(codec.pt) for codec in listed]
    turned = direction or line.direction
    return Media(line.kind, line.port, line.proto, formats, line.host, None, turned, attributes)


def refused(kind: str, on_web: bool) -> Media:
    """A line that is not used, for the engine."""
    return Media(kind, 0, WEB_PROFILE if on_web else CORE_PROFILE, ["0"], NOWHERE, None, Direction.INACTIVE)


def engine_text(lines: Sequence[Media]) -> str:
    """What the engine is shown."""
    return str(Session("-", "1", "1", NOWHERE, None, None, {}, list(lines)))


def engine_lines(sdp: str, kinds: Sequence[str]) -> dict[str, Media]:
    """The lines in use of what the engine has written. Raises `ValueError` for what is not one line for each kind."""
    session = parse(sdp)
    if [media.kind for media in session.media] != list(kinds):
        raise ValueError("not the media lines that it was shown")
    found: dict[str, Media] = {}
    for media in session.media:
        media.host = session.host_of(media)
        if media.port != 0 and media.host:
            media.direction = session.direction_of(media)
            found[media.kind] = media
    if AUDIO not in found:
        raise ValueError("no line of sound")
    return found


def web_text(of: Side, lines: Mapping[str, Media], offering: bool) -> str:
    """The description for a browser. The engine has a transport for each line, so nothing is bundled."""
    of.told = dict(lines)
    audio = lines[AUDIO]
    of.origin.address = audio.host or NOWHERE
    out = [f"s={SDP_SESSION_NAME}", "t=0 0"]
    mid = of.slots[of.places[AUDIO]].mid
    if mid is not None:
        out.append(f"a=group:BUNDLE {mid}")
    kinds = {of.places[kind]: kind for kind in lines if kind in of.places}
    for place, slot in enumerate(of.slots):
        kind = kinds.get(place)
        if kind is None:
            _refused_web(out, slot, audio.host or NOWHERE)
        else:
            _web_line(out, of, kind, slot, lines[kind], offering)
    out.append("")
    return of.origin.stamp("\r\n".join(out))


def _refused_web(out: list[str], slot: Slot, host: str) -> None:
    out.append(f"m={slot.kind} 0 {slot.proto} {slot.formats}")
    out.append(f"c={net(host)}")
    if slot.mid is not None:
        out.append(f"a=mid:{slot.mid}")
    out.append("a=inactive")


def _web_line(out: list[str], of: Side, kind: str, slot: Slot, line: Media, offering: bool) -> None:
    codecs = line.codecs
    if kind == VIDEO and not offering:
        # The browser knows its payload types by its own parameters; a phone's answer often leaves them out.
        mine = {codec.pt: codec for codec in of.codecs.get(kind, ())}
        codecs = [mine.get(codec.pt, codec) for codec in codecs]
    out.append(f"m={kind} {line.port} {WEB_PROFILE} {' '.join(str(codec.pt) for codec in codecs)}")
    out.append(f"c={net(line.host or NOWHERE)}")
    for name, values in line.attributes.items():
        if name not in _UNWANTED:
            out.extend(f"a={name}:{value}" if value else f"a={name}" for value in values)
    if slot.mid is not None:
        out.append(f"a=mid:{slot.mid}")
    out.append(f"a={(line.direction or Direction.SENDRECV).value}")
    _codec_lines(out, codecs)
    if kind == VIDEO:
        out.extend(f"a=rtcp-fb:{codec.pt} {what}" for codec in codecs for what in FEEDBACK)


def core_text(of: Side, lines: Mapping[str, Media], order: Sequence[str], peer: PeerProfile, offering: bool) -> str:
    """The description for the core. `order`: names of audio codecs, the preferred one first, for an offer."""
    of.told = dict(lines)
    host = lines[AUDIO].host or NOWHERE
    of.origin.address = host
    used: dict[int, CoreLine] = {}
    for kind, line in lines.items():
        if kind in of.places:
            codecs = _for_core(line.codecs, order, peer, offering)
            used[of.places[kind]] = _core_line(of, kind, line, codecs, peer)
    return of.origin.stamp(core_lines(host, used, of.slots))


def _for_core(codecs: Sequence[Codec], order: Sequence[str], peer: PeerProfile, offering: bool) -> list[Codec]:
    listed = [evolve(codec, fmtp="0-15") if codec.name == DTMF else codec for codec in codecs]
    if not offering:
        return listed
    fmtp = dict(peer.fmtp)
    ranks = {name: rank for rank, name in enumerate(order)}
    listed = [evolve(codec, fmtp=fmtp[codec.name]) if codec.name in fmtp else codec for codec in listed]
    return sorted(listed, key=lambda codec: (codec.name == DTMF, ranks.get(codec.name, 99)))


def _core_line(of: Side, kind: str, line: Media, codecs: Sequence[Codec], peer: PeerProfile) -> CoreLine:
    slot = of.slots[of.places[kind]]
    keys = [f"a=crypto:{value}" for value in line.attributes.get("crypto", ())]
    waits = of.waits if of.real else preconditions.OURS if peer.preconditions else None
    rtcp = (line.get("rtcp") or "").partition(" ")[0]
    is_sound = kind == AUDIO
    return CoreLine(
        host=line.host or NOWHERE,
        port=line.port,
        rtcp=int(rtcp) if rtcp.isascii() and rtcp.isdigit() else line.port + 1,
        codecs=codecs,
        direction=line.direction or Direction.SENDRECV,
        proto=slot.proto,
        ptime=peer.ptime,
        bandwidth=None if is_sound else _PICTURES,
        feedback=FEEDBACK if not is_sound and slot.proto.endswith("F") else (),
        attributes=keys if waits is None else [*keys, *waits.lines()],
    )


def _codec_lines(out: list[str], codecs: Iterable[Codec]) -> None:
    for codec in codecs:
        out.append(f"a=rtpmap:{codec.rtpmap}")
        if codec.fmtp is not None:
            out.append(f"a=fmtp:{codec.pt} {codec.fmtp}")
