"""The challenges of a 401 or 407, read once for the registration and the calls alike."""

from __future__ import annotations

from rtcgw.sip.headers import Challenge, HeaderError
from rtcgw.sip.message import Response

MAX_CHALLENGES = 16
"""Challenges read of one response."""


def challenges_of(response: Response) -> list[Challenge]:
    """The challenges in the order of preference that the sender gave them; unreadable ones are left out.

    RFC 3261 §22.2, §22.3: 401 has WWW-Authenticate, 407 has Proxy-Authenticate.
    """
    proxy = response.status == 407
    values = response.headers.get("proxy-authenticate" if proxy else "www-authenticate", [])
    challenges = []
    for value in values[:MAX_CHALLENGES]:
        try:
            challenges.append(Challenge.parse(value, proxy))
        except HeaderError:
            continue
    return challenges


def is_stale(challenge: Challenge) -> bool:
    """Whether only the nonce was too old, and the credentials right. RFC 7616 §3.3."""
    return (challenge.params.get("stale") or "").lower() == "true"
