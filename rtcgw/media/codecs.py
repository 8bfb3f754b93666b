"""What the choice of codecs is made of: names, numbers, and which codec stands in for which.

What is chosen for a call, under a peer's profile, is in `embedded/audio.py` and `embedded/video.py`, and in
`engine/codecs.py` for an engine that converts by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from rtcgw.media.packets.g711 import ALAW_TO_ULAW, ULAW_TO_ALAW
from rtcgw.media.packets.route import Route
from rtcgw.media.sdp import Codec

ALLOWED = {"PCMU": 0, "PCMA": 8, "G722": 9}
"""What is carried, under its static payload type (RFC 3551 §6)."""
DTMF = "TELEPHONE-EVENT"
CORE_DTMF = 101
"""The number that nearly every phone uses for telephone events."""
WEB_DTMF = 126
"""Chromium's number for telephone events at 8 kHz."""
EVENTS = "0-15"
G711 = ("PCMU", "PCMA")
_TWIN = {"PCMU": ("PCMA", ULAW_TO_ALAW), "PCMA": ("PCMU", ALAW_TO_ULAW)}

MAX_HEARD = 8
"""Lists of codecs that are kept as they came before they are sorted in."""

Ident = tuple[object, ...]


def counterpart(codec: Codec, among: Iterable[Codec]) -> tuple[Codec, bytes | None] | None:
    """The codec of the other side that carries this one, and the table that converts the payload, if any."""
    twin, table = _TWIN.get(codec.name, ("", None))
    second: Codec | None = None
    for other in among:
        if other.name == codec.name and ident(other) == ident(codec):
            return other, None
        if other.name == twin:
            second = other
    return None if second is None else (second, table)


def routes(senders: Iterable[Codec], receivers: Sequence[Codec]) -> dict[int, Route]:
    """Payload type of the sender -> payload type and conversion for the receiver."""
    found: dict[int, Route] = {}
    for codec in senders:
        match = counterpart(codec, receivers)
        if match is not None:
            found[codec.pt] = Route(match[0].pt, match[1], source=codec)
    return found


def audio(codecs: Iterable[Codec]) -> list[Codec]:
    """The codecs without telephone events."""
    return [codec for codec in codecs if codec.name != DTMF]


def events(codecs: Iterable[Codec]) -> list[Codec]:
    """The telephone events among them, one for each clock rate that is spoken of."""
    return [codec for codec in codecs if codec.name == DTMF]


@lru_cache(maxsize=256)
def parameters(fmtp: str | None) -> dict[str, str]:
    """Format parameters by name in lower case; what is no `name=value` has the value ''. Not to be changed."""
    pairs = (part.strip().partition("=") for part in (fmtp or "").split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name}


def ident(codec: Codec) -> Ident:
    """What makes two payload types the same: the codec, and those parameters that change what its packets are.

    For H.264 the profile and the packetization mode (RFC 6184 §8.2.2), for AMR the alignment (RFC 4867 §8.1).
    """
    name = codec.name
    if name not in _DIVIDED:
        return name, codec.rate, codec.channels
    given = parameters(codec.fmtp)
    if name == "H264":
        return name, profile(given.get("profile-level-id", "")), given.get("packetization-mode", "0")
    return name, codec.rate, codec.channels, given.get("octet-align", "0")


_DIVIDED = frozenset({"H264", "AMR", "AMR-WB"})
"""Names that stand for several codecs."""


_PROFILES = (
    # RFC 6184 table 5: profile_idc, mask of the constraint flags, their value, name
    (0x42, 0x4F, 0x40, "constrained baseline"),
    (0x4D, 0x8F, 0x80, "constrained baseline"),
    (0x58, 0xCF, 0xC0, "constrained baseline"),
    (0x42, 0x4F, 0x00, "baseline"),
    (0x58, 0xCF, 0x80, "baseline"),
    (0x4D, 0xAF, 0x00, "main"),
    (0x64, 0xFF, 0x00, "high"),
    (0x64, 0xFF, 0x0C, "constrained high"),
)


def profile(level: str) -> str:
    """The name of an H.264 profile from `profile-level-id`; baseline where nothing is said (RFC 6184 §8.1)."""
    try:
        octets = bytes.fromhex(level or "42000a")
    except ValueError:
        return level
    if len(octets) != 3:
        return level
    for idc, mask, value, name in _PROFILES:
        if octets[0] == idc and octets[1] & mask == value:
            return name
    return octets[:2].hex()


class Numbers:
    """Payload numbers that have been spoken of on one side; none ever changes its meaning (RFC 3264 §8.3.2).

    There are 128 of them, and each is remembered with one codec.
    """

    __slots__ = ("_by_codec", "_heard", "_taken")

    def __init__(self) -> None:
        self._by_codec: dict[Ident, int] = {}
        self._taken: dict[int, Ident] = {}
        self._heard: list[Sequence[Codec]] = []
        """What was learnt and not yet looked at: most sides are never offered anything."""

    def learn(self, codecs: Sequence[Codec]) -> None:
        """These have been given numbers by the peer."""
        if codecs not in self._heard:
            self._heard.append(codecs)
            if len(self._heard) >= MAX_HEARD:
                self._sort_in()

    def give(self, codecs: Iterable[Codec]) -> list[Codec]:
        """The codecs under the numbers that they have had, else their own, else the next free ones."""
        self._sort_in()
        return [codec.at(self._number(codec)) for codec in codecs]

    def _sort_in(self) -> None:
        for heard in self._heard:
            for codec in heard:
                named = ident(codec)
                # A peer may give a number of ours another meaning where it refused our offer; ours keeps the first.
                if self._taken.setdefault(codec.pt, named) == named:
                    self._by_codec.setdefault(named, codec.pt)
        self._heard.clear()

    def _number(self, codec: Codec) -> int:
        named = ident(codec)
        known = self._by_codec.get(named)
        if known is not None:
            return known
        free = (pt for pt in (codec.pt, *range(96, 128), *range(35, 64)) if pt not in self._taken)
        found = next(free, codec.pt)
        self._by_codec[named] = found
        self._taken[found] = named
        return found
