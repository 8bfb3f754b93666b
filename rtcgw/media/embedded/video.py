"""Which codecs of pictures the two sides of a call end up with: H.264 and VP8, never converted.

Retransmission and redundancy (rtx, red, ulpfec) are the browser's own way of repairing one hop and are not
offered on. H.264 is several codecs: packets of one packetization mode mean nothing to a receiver of the other
(RFC 6184 §8.2.2), so payload types are matched by mode first, then by profile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rtcgw.media.codecs import ident, parameters, profile
from rtcgw.media.embedded.audio import Make
from rtcgw.media.packets.route import Route
from rtcgw.media.sdp import Codec

RATE = 90000
NUMBERS = {"VP8": 96, "H264": 97}
"""Under which numbers they are offered where nobody has given them any."""
_MODES = ("1", "0")
"""Packetization modes that are offered on, the preferred one first; mode 2 is nobody's."""
_SIMPLE = ("constrained baseline", "baseline")


class VideoChoice:
    """The choice for one call; `names` are the profile's codecs, the preferred one first."""

    __slots__ = ("_names",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def usable(self, core: Iterable[Codec]) -> list[Codec]:
        """Of a phone's codecs those that its profile lets it use."""
        return [codec for codec in core if codec.name in self._names and codec.rate == RATE]

    def offer_core(self, web: Sequence[Codec], settled: bool = False) -> list[Codec]:
        """What the phone is offered of a browser that has `web`: of each name the plainest, of H.264 in both modes."""
        found: list[Codec] = []
        for name in self._names:
            mine = [codec for codec in web if codec.name == name and codec.rate == RATE]
            found += _plainest(mine) if name == "H264" else mine[:1]
        return [codec.at(NUMBERS.get(codec.name, codec.pt)) for codec in found]

    def offer_web(self, core: Sequence[Codec]) -> list[Codec]:
        """What the browser is offered of a phone that has `core`; where nobody is known, nothing."""
        found = {ident(codec): codec for codec in reversed(self.usable(core))}
        return [codec.at(NUMBERS.get(codec.name, codec.pt)) for codec in reversed(found.values())]

    def answer_web(self, web: Sequence[Codec], core: Sequence[Codec] | None, before: Sequence[Codec]) -> list[Codec]:
        """Of the browser's codecs those to answer with; [] if none. `core` None: nobody has answered yet."""
        if core is None:
            return [codec for codec in web for one in self.offer_core(web) if ident(one) == ident(codec)]
        heard = self.usable(core)
        offered = {(codec.pt, ident(codec)) for codec in web}
        if before and all((codec.pt, ident(codec)) in offered for codec in before) and match(before[0], heard):
            return list(before)
        return _matched(heard, web)

    def answer_core(self, core: Sequence[Codec], agreed: Sequence[Codec] | None) -> list[Codec]:
        """Of the phone's codecs those to answer with; [] if none. `agreed` None: the browser has not answered yet."""
        usable = self.usable(core)
        return usable[:1] if agreed is None else _matched(agreed, usable)

    def converts(self, agreed: Sequence[Codec], core: Sequence[Codec]) -> bool:
        """Pictures are never converted."""
        return False

    def routes(
        self, agreed: Sequence[Codec], core: Sequence[Codec], told: Sequence[Codec], make: Make | None
    ) -> tuple[dict[int, Route], dict[int, Route]]:
        """Payload types of the browser, and of the phone, to what becomes of them."""
        theirs = self.usable(core)
        up = {codec.pt: Route(other.pt, source=codec) for codec in agreed if (other := match(codec, theirs))}
        own = {codec.pt for codec in theirs}
        senders = [*theirs, *(codec for codec in told if codec.pt not in own)]
        return up, {codec.pt: Route(other.pt, source=codec) for codec in senders if (other := match(codec, agreed))}


def match(codec: Codec, among: Sequence[Codec]) -> Codec | None:
    """The same codec at the other end.

    Of H.264 the same mode and profile, else the same mode in another simple profile: phones name baseline what
    they encode as constrained baseline. Modes are never mixed.
    """
    for other in among:
        if ident(other) == ident(codec):
            return other
    if codec.name != "H264":
        return None
    return next((other for other in among if other.name == "H264" and _alike(codec, other)), None)


def _alike(one: Codec, other: Codec) -> bool:
    return _mode(one) == _mode(other) and _profile(one) in _SIMPLE and _profile(other) in _SIMPLE


def _matched(wanted: Sequence[Codec], having: Sequence[Codec]) -> list[Codec]:
    """Those of `having` that answer for `wanted`, in the order of `wanted`.

    The parameters are those of the end that will receive, where the profile is the very same: its level says how much
    it can take. Otherwise the asker's own stand, or it would not know its codec again.
    """
    found: dict[int, Codec] = {}
    for codec in wanted:
        other = match(codec, having)
        if other is not None:
            fmtp = codec.fmtp if ident(codec) == ident(other) else other.fmtp
            found.setdefault(other.pt, Codec(other.pt, other.name, other.rate, other.channels, fmtp))
    return list(found.values())


def _plainest(codecs: Sequence[Codec]) -> list[Codec]:
    """Of each packetization mode the H.264 that most phones understand."""
    found = []
    for mode in _MODES:
        mine = [codec for codec in codecs if _mode(codec) == mode]
        mine.sort(key=lambda codec: _SIMPLE.index(_profile(codec)) if _profile(codec) in _SIMPLE else len(_SIMPLE))
        found += mine[:1]
    return found


def _mode(codec: Codec) -> str:
    return parameters(codec.fmtp).get("packetization-mode", "0")


def _profile(codec: Codec) -> str:
    return profile(parameters(codec.fmtp).get("profile-level-id", ""))
