"""What the numbers of the scripted server do, and the descriptions that they speak in; see `scripted_server.py`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol


class Scripted(Protocol):
    """What a script needs of a leg."""

    answered: bool

    def send(self, kind: str, **fields: Any) -> None:
        """A message about the call."""


def answer_sdp(offer: str, video: bool = False, formats: str = "0") -> str:
    """An answer that a browser accepts: G.711, and VP8 where `video`, at a port where nobody listens."""
    return _description(offer, "passive", {"audio": formats, "video": _vp8(offer) if video else ""})


def offer_sdp(offer: str, video: bool = False) -> str:
    """An offer within the call that the page's `offer` began: the same again, or with a picture added."""
    if video and "m=video" not in offer:
        offer += "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:added\r\na=rtpmap:96 VP8/90000\r\n"
    return _description(offer, "actpass", {"audio": "0", "video": _vp8(offer) if video else ""})


def _vp8(offer: str) -> str:
    found = re.search(r"a=rtpmap:(\d+) VP8/90000", offer)
    return "" if found is None else found[1]


def _description(offer: str, setup: str, formats: dict[str, str]) -> str:
    """A description with a section for each of the offer's; without a format, its port is 0."""
    sections = [
        (found[1], found[2], formats[found[1]])
        for found in re.finditer(r"^m=(audio|video) .*?^a=mid:(\S+)", offer, re.MULTILINE | re.DOTALL)
    ]
    bundle = " ".join(mid for _, mid, used in sections if used)
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite", f"a=group:BUNDLE {bundle}"]
    for kind, mid, used in sections:
        lines += _section(kind, mid, used, setup)
    return "\r\n".join((*lines, ""))


_MAPS = {"0": "PCMU/8000", "8": "PCMA/8000", "126": "telephone-event/8000"}


def _section(kind: str, mid: str, formats: str, setup: str) -> list[str]:
    return [
        f"m={kind} {9 if formats else 0} UDP/TLS/RTP/SAVPF {formats or 0}",
        "c=IN IP4 127.0.0.1",
        *(f"a=rtpmap:{each} {_MAPS.get(each, 'VP8/90000')}" for each in formats.split()),
        f"a=mid:{mid}",
        "a=rtcp-mux",
        "a=sendrecv" if formats else "a=inactive",
        f"a=setup:{setup}",
        f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
        "a=ice-ufrag:script",
        "a=ice-pwd:scriptedscriptedscripted",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
    ]


def _warm(leg: Scripted, offer: str) -> None:
    """The gateway's own early answer, so that the page connects while it rings."""
    leg.send("PROGRESS", sdp=answer_sdp(offer), sdpType="pranswer")


def _ring(leg: Scripted, offer: str) -> None:
    _warm(leg, offer)
    leg.send("RINGING")
    leg.send("RINGBACK", sound="local")


def _early(leg: Scripted, offer: str) -> None:
    """The network's announcement, heard before the answer."""
    _ring(leg, offer)
    leg.send("PROGRESS", sdp=answer_sdp(offer, formats="8"), sdpType="pranswer")
    leg.send("RINGBACK", sound="network")


def _talk(leg: Scripted, offer: str, video: bool = False, formats: str = "0") -> None:
    leg.answered = True
    leg.send("RINGING")
    leg.send("OK", **{"for": "OFFER"}, sdp=answer_sdp(offer, video, formats), sdpType="answer")


SCRIPTS: dict[str, Callable[[Scripted, str], None]] = {
    "queue": lambda leg, _: leg.send("PROGRESS", stage="queued"),
    "away": lambda leg, _: leg.send("PROGRESS", stage="forwarded"),
    "busy": lambda leg, _: leg.send("HANGUP", reason="busy", text="The number is busy.", status=486),
    "meeting": lambda leg, _: leg.send("HANGUP", reason="busy", text="Until ten", status=486, said="Until ten"),
    "ring": _ring,
    "bare": lambda leg, _: leg.send("RINGING"),
    "early": _early,
    "sound": lambda leg, offer: leg.send("RINGING", sdp=answer_sdp(offer), sdpType="pranswer"),
    "talk": _talk,
    "keys": lambda leg, offer: _talk(leg, offer, formats="0 126"),
    "film": lambda leg, offer: _talk(leg, offer, video=True),
    "echo": _talk,
}
"""The number called -> what it does."""
