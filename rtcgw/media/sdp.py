"""Session descriptions (RFC 8866): a bounded parser, a small model, a printer.

Made for two kinds of text: the long ones of browsers (RFC 8829) and the short, sometimes
odd ones of phones. What a phone gets slightly wrong is read as it was meant: payload types
without a mapping are left out, unknown lines and profiles are kept aside, a direction or an
address may stand at session level.

Not here: what is offered or answered (`embedded/`, `engine/`, `codecs.py`) and how our own descriptions are written
(`describe.py`). Nothing here knows of ICE, DTLS or codecs beyond their names.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

from attrs import define, evolve, field, frozen

MAX_SIZE = 32768
"""Characters in a description; Chromium's with audio, video and data is about 7 000."""
MAX_LINES = 1000
MAX_LINE = 4096
MAX_MEDIA = 32
"""Media lines; beyond it a description is refused, not truncated."""


class SdpError(ValueError):
    """A text that is no session description, or more of one than is read. The message is for the log."""


class Direction(Enum):
    """Which way a stream flows, from its owner's view (RFC 3264 §5.1). The value is the attribute's name."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    __hash__ = object.__hash__  # that of `Enum` is a Python function

    @property
    def sends(self) -> bool:
        """The owner sends."""
        return self in _SENDING

    @property
    def receives(self) -> bool:
        """The owner receives."""
        return self in _RECEIVING

    @property
    def mirrored(self) -> Direction:
        """The same stream from the other end's view: what an answer says to an offer."""
        return _MIRROR.get(self, self)

    def within(self, other: Direction) -> Direction:
        """As much of this direction as `other` allows."""
        return _BOTH[self.sends and other.sends, self.receives and other.receives]

    @property
    def deaf(self) -> Direction:
        """The same without receiving: what `c=0.0.0.0` means (RFC 3264 §8.4)."""
        return _DEAF.get(self, self)


_SENDING = frozenset({Direction.SENDRECV, Direction.SENDONLY})
_RECEIVING = frozenset({Direction.SENDRECV, Direction.RECVONLY})
_BOTH = {(one in _SENDING, one in _RECEIVING): one for one in Direction}
_MIRROR = {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}
_DEAF = {Direction.SENDRECV: Direction.SENDONLY, Direction.RECVONLY: Direction.INACTIVE}
_DIRECTIONS = {direction.value: direction for direction in Direction}


@frozen
class Codec:
    """One payload type of a media line. Names are compared in upper case (RFC 4855 §2)."""

    pt: int
    name: str
    rate: int
    channels: int = 1
    fmtp: str | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes two payload types the same codec."""
        return self.name, self.rate, self.channels

    @property
    def rtpmap(self) -> str:
        """The value of its `a=rtpmap`."""
        tail = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.pt} {_WRITTEN.get(self.name, self.name)}/{self.rate}{tail}"

    def at(self, pt: int) -> Codec:
        """The same codec under another number."""
        return self if pt == self.pt else evolve(self, pt=pt)


_WRITTEN = {"TELEPHONE-EVENT": "telephone-event", "OPUS": "opus"}
_STATIC = {
    0: Codec(0, "PCMU", 8000),
    3: Codec(3, "GSM", 8000),
    4: Codec(4, "G723", 8000),
    8: Codec(8, "PCMA", 8000),
    9: Codec(9, "G722", 8000),
    13: Codec(13, "CN", 8000),
    18: Codec(18, "G729", 8000),
}
"""RFC 3551 table 4, as far as anybody sends them without a mapping."""


@define
class Media:
    """One media line and what belongs to it."""

    kind: str
    port: int
    proto: str
    formats: list[str]
    host: str | None = None
    """Of its own `c=`; None where the session's holds."""
    bandwidth: int | None = None
    """`b=AS`, kbit/s."""
    direction: Direction | None = None
    """None where the session's holds, or nothing is said."""
    attributes: dict[str, list[str]] = field(factory=dict)
    """Name to values, in order of first appearance; a flag has the one value ''."""

    def get(self, name: str) -> str | None:
        """The first value of an attribute, '' for a flag, None when it is missing."""
        values = self.attributes.get(name)
        return values[0] if values else None

    @property
    def codecs(self) -> list[Codec]:
        """The payload types in order of preference; a dynamic one without `a=rtpmap` is left out."""
        mine = self.attributes
        return list(_codecs(tuple(self.formats), tuple(mine.get("rtpmap", ())), tuple(mine.get("fmtp", ()))))


@define
class Session:
    """A whole description. `str()` prints it with CRLF line ends."""

    user: str
    number: str
    version: str
    """Of the `o=` line; kept as text because phones write what they like there."""
    address: str
    """Of the `o=` line."""
    host: str | None = None
    """Of the session's `c=`."""
    direction: Direction | None = None
    attributes: dict[str, list[str]] = field(factory=dict)
    media: list[Media] = field(factory=list)

    def get(self, name: str) -> str | None:
        """The first session-level value of an attribute, '' for a flag, None when it is missing."""
        values = self.attributes.get(name)
        return values[0] if values else None

    def host_of(self, media: Media) -> str | None:
        """Where `media` is to be sent, its own address before the session's."""
        return media.host if media.host is not None else self.host

    def direction_of(self, media: Media) -> Direction:
        """The direction in force for `media`.

        What `c=0.0.0.0` means is the reader's to say: of a phone an old hold, of a browser nothing.
        """
        return media.direction or self.direction or Direction.SENDRECV

    def value_of(self, media: Media, name: str) -> str | None:
        """An attribute that may stand at either level, the media's own first."""
        value = media.get(name)
        return self.get(name) if value is None else value

    def __str__(self) -> str:
        lines = ["v=0", f"o={self.user} {self.number} {self.version} {net(self.address)}", "s=-"]
        if self.host is not None:
            lines.append(f"c={net(self.host)}")
        lines.append("t=0 0")
        _print_attributes(lines, self.attributes, self.direction)
        for media in self.media:
            lines.append(f"m={media.kind} {media.port} {media.proto} {' '.join(media.formats)}")
            if media.host is not None:
                lines.append(f"c={net(media.host)}")
            if media.bandwidth is not None:
                lines.append(f"b=AS:{media.bandwidth}")
            _print_attributes(lines, media.attributes, media.direction)
        lines.append("")
        return "\r\n".join(lines)


def net(host: str) -> str:
    """`IN IP4 host` or `IN IP6 host`."""
    return f"IN IP6 {host}" if ":" in host else f"IN IP4 {host}"


def parse(text: str) -> Session:
    """Read a description. Raises `SdpError`; never anything else, whatever the text."""
    lines = _lines(text)
    session = Session("-", "0", "0", "0.0.0.0")  # noqa: S104 - replaced by the o= line
    part: Session | Media = session
    attributes = part.attributes
    for line in lines:
        kind = line[:2]
        if kind == "a=":
            name, _, value = line[2:].partition(":")
            if name in attributes:
                attributes[name].append(value)
            elif name in _DIRECTIONS:
                part.direction = _DIRECTIONS[name]
            else:
                attributes[name] = [value]
        elif kind == "m=":
            part = _media(line[2:])
            attributes = part.attributes
            session.media.append(part)
        elif kind in _READ:
            _other(session, part, line[0], line[2:])
    if len(session.media) > MAX_MEDIA:
        raise SdpError(f"more than {MAX_MEDIA} media lines")
    return session


def _lines(text: str) -> list[str]:
    if len(text) > MAX_SIZE:
        raise SdpError(f"longer than {MAX_SIZE} characters")
    plain = text.replace("\r\n", "\n")
    lines = plain.split("\n")
    if len(lines) > MAX_LINES:
        raise SdpError(f"more than {MAX_LINES} lines")
    if not lines[0].startswith("v="):
        raise SdpError("does not begin with v=")
    if "\0" in text:
        raise SdpError("a zero octet")
    if "\r" in plain or " \n" in plain or plain.endswith(" "):  # hardly ever: looked for in the whole, not in each line
        lines = [line.rstrip("\r ") for line in lines]
        if any("\r" in line for line in lines):
            raise SdpError("half a line end")  # passed on within a value it would be a line of its own to some
    if len(plain) > MAX_LINE and max(map(len, lines)) > MAX_LINE:
        raise SdpError(f"a line longer than {MAX_LINE} characters")
    return lines


_READ = frozenset({"c=", "b=", "o="})
"""Other lines that are read; what is no line that SDP knows is passed over like the rest."""


def _other(session: Session, part: Session | Media, kind: str, value: str) -> None:
    if kind == "c":
        part.host = _connection(value)
    elif kind == "b":
        _bandwidth(part, value)
    elif kind == "o":
        _origin(session, value)


def _media(value: str) -> Media:
    fields = value.split()
    if len(fields) < 3:
        raise SdpError("an m= line too short")
    port = fields[1].partition("/")[0]
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise SdpError("an m= line without a port")
    return Media(fields[0].lower(), int(port), fields[2].upper(), fields[3:])


def _connection(value: str) -> str:
    fields = value.split()
    if len(fields) < 3:
        raise SdpError("a c= line too short")
    return fields[2].partition("/")[0]


def _bandwidth(part: Session | Media, value: str) -> None:
    kind, _, number = value.partition(":")
    if isinstance(part, Media) and kind == "AS" and number.isascii() and number.isdigit() and len(number) < 10:
        part.bandwidth = int(number)


def _origin(session: Session, value: str) -> None:
    fields = value.split()
    if len(fields) >= 6:
        session.user, session.number, session.version, session.address = fields[0], fields[1], fields[2], fields[5]


def _numbered(values: list[str] | tuple[str, ...]) -> dict[str, str]:
    """`0 PCMU/8000` and the like by their first word."""
    pairs = (value.split(None, 1) for value in values)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


@lru_cache(maxsize=256)
def _codecs(formats: tuple[str, ...], rtpmaps: tuple[str, ...], fmtps: tuple[str, ...]) -> tuple[Codec, ...]:
    """See `Media.codecs`. Cached: every page of one browser writes the same lines, and each call asks several times."""
    maps = _numbered(rtpmaps)
    parameters = _numbered(fmtps)
    found: dict[int, Codec] = {}
    for text in formats:
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            continue
        pt = int(text)
        if pt > 127 or pt in found:
            continue
        mapping = maps.get(text)
        codec = _STATIC.get(pt) if mapping is None else _codec(pt, mapping)
        if codec is not None:
            fmtp = parameters.get(text)
            found[pt] = codec if fmtp is None else evolve(codec, fmtp=fmtp)
    return tuple(found.values())


def _codec(pt: int, mapping: str) -> Codec | None:
    name, _, rest = mapping.strip().partition("/")
    rate, _, channels = rest.partition("/")
    if not (name and rate.isascii() and rate.isdigit() and len(rate) < 8):
        return None
    many = int(channels) if channels.isascii() and channels.isdigit() and len(channels) < 3 else 1
    return Codec(pt, name.upper(), int(rate), many or 1)


def _print_attributes(lines: list[str], attributes: dict[str, list[str]], direction: Direction | None) -> None:
    for name, values in attributes.items():
        lines.extend(f"a={name}:{value}" if value else f"a={name}" for value in values)
    if direction is not None:
        lines.append(f"a={direction.value}")
