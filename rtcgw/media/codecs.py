"""Which codecs the two sides end up with, and how payload numbers and payloads are carried across.

The rule behind everything: what a browser sends must be something that its phone can play. A browser
keeps sending its own first choice whatever a page prefers (Chromium does), so the choice is made in
what it is shown. mu-law and A-law stand in for each other, by a look-up table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rtcgw.media.peers import refuse
from rtcgw.media.rtp import ALAW_TO_ULAW, ULAW_TO_ALAW, Route
from rtcgw.media.sdp import Codec

ALLOWED = {"PCMU": 0, "PCMA": 8, "G722": 9}
"""What is carried, under its static payload type (RFC 3551 §6)."""
DTMF = "TELEPHONE-EVENT"
CORE_DTMF = 101
"""The number that nearly every phone uses for telephone events."""
WEB_DTMF = 126
"""Chromium's number for telephone events at 8 kHz."""
_EVENTS = "0-15"
_TWIN = {"PCMU": ("PCMA", ULAW_TO_ALAW), "PCMA": ("PCMU", ALAW_TO_ULAW)}


def carried(codecs: Iterable[Codec], allowed: Sequence[str]) -> list[Codec]:
    """Of a peer's codecs those that are carried, one number each, in the peer's order, telephone events last."""
    audio: dict[str, Codec] = {}
    for codec in codecs:
        if codec.rate == 8000 and codec.channels == 1 and (codec.name in allowed or codec.name == DTMF):
            audio.setdefault(codec.name, codec)
    events = audio.pop(DTMF, None)
    return [*audio.values(), *([events] if events is not None else [])]


def for_core(codecs: Sequence[Codec], order: Sequence[str], events: int = CORE_DTMF) -> list[Codec]:
    """An offer for the core of what the browser has, in `order`, under the numbers that phones expect."""
    names = {codec.name for codec in codecs}
    found = [Codec(ALLOWED[name], name, 8000) for name in order if name in names]
    if DTMF in names:
        found.append(Codec(events, DTMF, 8000, 1, _EVENTS))
    return found


def for_web(codecs: Sequence[Codec], order: Sequence[str]) -> list[Codec]:
    """An offer for the browser of what the phone has, in the phone's order; of everything where no phone is known."""
    if not codecs:
        return [*(Codec(ALLOWED[name], name, 8000) for name in order), Codec(WEB_DTMF, DTMF, 8000)]
    found = [Codec(ALLOWED[codec.name], codec.name, 8000) for codec in codecs if codec.name in ALLOWED]
    events = next((codec for codec in codecs if codec.name == DTMF), None)
    if events is not None:
        found.append(Codec(events.pt if events.pt >= 96 else WEB_DTMF, DTMF, 8000))
    return found


def counterpart(codec: Codec, among: Iterable[Codec]) -> tuple[Codec, bytes | None] | None:
    """The codec of the other side that carries this one, and the table that converts the payload, if any."""
    twin, table = _TWIN.get(codec.name, ("", None))
    second: Codec | None = None
    for other in among:
        if other.name == codec.name:
            return other, None
        if other.name == twin:
            second = other
    return None if second is None else (second, table)


def answer_web(browser: Sequence[Codec], phone: Sequence[Codec], before: Sequence[Codec]) -> list[Codec]:
    """Of the browser's codecs those to answer with, so that its first one can be played by the phone.

    `before` is what it was told already; that is kept as long as it works. Raises `MediaError`.
    """
    if before:
        kept = [codec for codec in browser if any(codec.name == one.name for one in before)]
        kept.sort(key=lambda codec: [one.name for one in before].index(codec.name))
        if len(kept) == len(before) and _works(kept, phone) and _has_events(kept) == _has_events(phone):
            return kept
    names = {codec.name: codec for codec in browser}
    found = [names[codec.name] for codec in phone if codec.name in names]
    if not audio(found):
        twins = [codec for codec in audio(browser) if counterpart(codec, phone) is not None]
        found = twins[:1] + found
    if not audio(found):
        raise refuse("no codec in common")
    return found


def answer_core(phone: Sequence[Codec], browser: Sequence[Codec]) -> list[Codec]:
    """Of the phone's codecs those to answer with; the browser's first choice decides which is first.

    Raises `MediaError`.
    """
    found: dict[int, Codec] = {}
    for codec in browser:
        match = counterpart(codec, phone)
        if match is not None:
            found.setdefault(match[0].pt, match[0])
    chosen = list(found.values())
    if not _works(browser, phone):
        raise refuse("no codec in common")
    return sorted(chosen, key=lambda codec: codec.name == DTMF)


def playable(browser: Sequence[Codec]) -> list[Codec]:
    """Of the browser's codecs those that its first one can become, for an offer to a phone not yet known."""
    return [codec for codec in browser if codec.name == DTMF or counterpart(browser[0], [codec]) is not None]


def routes(senders: Iterable[Codec], receivers: Sequence[Codec]) -> dict[int, Route]:
    """Payload type of the sender -> payload type and conversion for the receiver."""
    found: dict[int, Route] = {}
    for codec in senders:
        match = counterpart(codec, receivers)
        if match is not None:
            found[codec.pt] = (match[0].pt, match[1])
    return found


def audio(codecs: Iterable[Codec]) -> list[Codec]:
    """The codecs without telephone events."""
    return [codec for codec in codecs if codec.name != DTMF]


def _works(browser: Sequence[Codec], phone: Sequence[Codec]) -> bool:
    first = audio(browser)[:1]
    return bool(first) and counterpart(first[0], audio(phone)) is not None


def _has_events(codecs: Iterable[Codec]) -> bool:
    return any(codec.name == DTMF for codec in codecs)
