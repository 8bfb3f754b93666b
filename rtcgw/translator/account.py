"""How good a call was, as fields of its record: what the media's final account says of each direction.

`caller_` is what came from the caller, `callee_` what came from the callee. What nobody knows is left out rather
than written as nothing: a record's reader need not tell "no loss" from "not counted".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rtcgw.media.backend import MediaStats, Stream

_DIGITS: Final[Mapping[str, int | None]] = {
    "codec": None,
    "packets": None,
    "lost": None,
    "jitter": 1,
    "rtt": 1,
    "mos": 2,
}
"""The fields of a direction, and the digits after the point that mean anything."""


def fields(stats: MediaStats) -> dict[str, object]:
    """Fields for a log record: `caller_codec`, `caller_packets`, `caller_lost`, `caller_jitter`, `caller_rtt` (both in
    milliseconds), `caller_mos`, the same of the callee and, where there was video, of `caller_video` and
    `callee_video`; `media`, the backend's name; `transcoding`, where sound was converted."""
    found: dict[str, object] = {"media": stats.backend}
    if stats.transcoding:
        found["transcoding"] = True
    for name, stream in (
        ("caller", stats.caller),
        ("callee", stats.callee),
        ("caller_video", stats.caller_video),
        ("callee_video", stats.callee_video),
    ):
        if stream is not None and (stream.packets or stream.codec):
            _add(found, name, stream)
    return found


def _add(found: dict[str, object], name: str, stream: Stream) -> None:
    for field, digits in _DIGITS.items():
        value = getattr(stream, field)
        if value is not None:
            found[f"{name}_{field}"] = value if digits is None else round(value, digits)
