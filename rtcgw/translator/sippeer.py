"""What a peer profile and a peer's words change in the headers of the SIP half-call: option tags, early media.

    preconditions    Require where a description says that they are mandatory (RFC 3312 §11)
    refused options  a 420 names them; they are not said again (RFC 3261 §8.1.3.5)
    early media      P-Early-Media, both ways (RFC 5009)

What is decided per profile alone (form of addresses, Supported) is written by the port.
"""

from __future__ import annotations

import re
from typing import Final

from rtcgw.model.peer import PeerProfile
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Message, Request

PRECONDITION: Final = "precondition"
"""The option tag of RFC 3312."""
OPTIONS_LIMIT: Final = 16
"""Option tags taken from one Unsupported; an honest one names fewer, for we say fewer."""
_MANDATORY = re.compile(r"^a=des:[^ \r\n]+ mandatory ", re.M | re.I)
_SOUNDS = {"sendrecv": True, "sendonly": True, "recvonly": False, "inactive": False}
"""Directions of P-Early-Media, as the callee's network sees itself (RFC 5009 §8)."""


def require_preconditions(message: Message, sdp: str | None, peer: PeerProfile) -> None:
    """An offer with mandatory preconditions may only be taken by whoever understands them (RFC 3312 §11)."""
    if peer.preconditions and sdp is not None and _MANDATORY.search(sdp):
        message.add("require", PRECONDITION)


def unsupported(refusal: Message) -> frozenset[str]:
    """The option tags that a 420 names, in lower case; a broken list names none."""
    try:
        tags = refusal.values("unsupported")
    except HeaderError:
        return frozenset()
    return frozenset(tag.strip().lower() for tag in tags[:OPTIONS_LIMIT])


def drop_options(request: Request, refused: frozenset[str]) -> None:
    """Take option tags out of Supported and Require."""
    for name in ("supported", "require"):
        if name in request.headers:
            kept = [tag for tag in request.values(name) if tag.lower() not in refused]
            if kept:
                request.set(name, ", ".join(kept))
            else:
                request.remove(name)


def sounds_of(response: Message) -> bool | None:
    """Whether the callee's network says that it sends sound before the answer; None when it does not say.

    With several media the first one's direction counts; `gated` and what is unknown are passed over.
    """
    for line in response.headers.get("p-early-media", ()):
        for word in line.split(","):
            found = _SOUNDS.get(word.partition(";")[0].strip().lower())
            if found is not None:
                return found
    return None


def announce_sound(response: Message, invite: Request, sounds: bool) -> None:
    """Say on a 183 with a description whether sound comes before the answer, where the caller's side reads it."""
    if any("supported" in line.lower() for line in invite.headers.get("p-early-media", ())):
        response.set("p-early-media", "sendrecv" if sounds else "inactive")
