"""The answers that the phone made of Python gives (`answerer.py`): a line for each line of the offer, RFC 3264 §6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from rtcgw.media import sdp
from tests.live.picture import Picture
from tests.live.sound import Sound

Part: TypeAlias = Sound | Picture
"""One end of the phone's media."""


def described(offer: sdp.Session, parts: Sequence[Part], version: int) -> str:
    """The answer to `offer`: each of its lines taken by the first of `parts` that fits, or refused with port 0."""
    here = sdp.net(parts[0].host)
    lines = ["v=0", f"o=- 9 {version} {here}", "s=-", f"c={here}", "t=0 0"]
    for media in offer.media:
        part = fitting(media, parts)
        if part is None:
            lines.append(f"m={media.kind} 0 {media.proto} {' '.join(media.formats) or '0'}")
            continue
        pt, rate = numbered(media, part), part.rate
        keys = [codec.pt for codec in media.codecs if codec.name == "TELEPHONE-EVENT" and codec.rate == rate][:1]
        lines.append(f"m={media.kind} {part.port} {media.proto} {' '.join(map(str, [pt, *keys]))}")
        lines.append(f"a=rtpmap:{pt} {part.name}/{rate}")
        lines += [] if part.fmtp is None else [f"a=fmtp:{pt} {part.fmtp}"]
        lines += [f"a=rtpmap:{key} telephone-event/{rate}" for key in keys]
        lines.append(f"a={offer.direction_of(media).mirrored.value}")
    return "\r\n".join([*lines, ""])


def numbered(media: sdp.Media, part: Part) -> int | None:
    """The payload type under which a line offers the codec of `part`; None when it does not."""
    return next((codec.pt for codec in media.codecs if codec.name == part.name), None)


def fitting(media: sdp.Media, parts: Sequence[Part]) -> Part | None:
    """Which of `parts` takes a line."""
    kind = {"audio": Sound, "video": Picture}.get(media.kind)
    if kind is None or media.port == 0:
        return None
    return next((part for part in parts if isinstance(part, kind) and numbered(media, part) is not None), None)
