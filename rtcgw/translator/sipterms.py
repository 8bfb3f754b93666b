"""What the headers of a session timer say: RFC 4028 §4-§9. Words only; the clock is `siptimer.py`'s.

    Session-Expires    how long the session holds without a refresh, and who refreshes it
    Min-SE             the least that somebody on the way takes
    Supported: timer   whether the sender could refresh at all

`refresher` is seen from the request: `uac` sent it, `uas` answers it. In the next request the roles may be the
other way round.
"""

from __future__ import annotations

from typing import Final

from attrs import frozen

from rtcgw.model.defaults import MIN_SE
from rtcgw.sip.headers import HeaderError, ParamValue
from rtcgw.sip.message import Message, Request, Response

TIMER: Final = "timer"
"""The option tag of RFC 4028."""
LONGEST: Final = 7 * 86_400
"""Seconds; longer intervals are cut to this one, and a Min-SE above it is not met."""


@frozen
class Terms:
    """How long a session holds."""

    interval: int
    """Seconds, `MIN_SE` at the least: RFC 4028 §4 allows no less, and a peer may not make us hurry."""
    refresher: str
    """`uac`, `uas`, or empty where the sender leaves it open."""


def knows(message: Message) -> bool:
    """Whether the sender has session timers."""
    return message.has("supported", TIMER) or message.has("require", TIMER)


def _seconds(text: str) -> int | None:
    text = text.strip()
    return min(int(text[:10]), LONGEST) if text.isascii() and text.isdigit() else None


def terms_of(message: Message) -> Terms | None:
    """What Session-Expires says; None without one, or with one that cannot be read."""
    value = message.get("session-expires")
    if value is None:
        return None
    try:
        found = ParamValue.parse(value)
    except HeaderError:
        return None
    seconds = _seconds(found.value)
    if seconds is None:
        return None
    refresher = (found.params.get("refresher") or "").lower()
    return Terms(max(seconds, MIN_SE), refresher if refresher in ("uac", "uas") else "")


def least_of(message: Message) -> int | None:
    """What Min-SE says, in seconds; None without one, or with one that cannot be read or is beyond measure."""
    found = _seconds((message.get("min-se") or "").partition(";")[0])
    return None if found is None or found >= LONGEST else found


def propose(request: Request, interval: int, least: int, refresher: str = "") -> None:
    """Ask for a session of `interval` seconds in a request of ours. `refresher`: who has refreshed it so far (§7.4).

    Min-SE is left out where it is the default, which everybody must take for granted.
    """
    request.set("session-expires", f"{interval};refresher={refresher}" if refresher else str(interval))
    if least > MIN_SE:
        request.set("min-se", str(least))


def grant(request: Request, response: Response, wanted: int) -> Terms | None:
    """Decide in our 2xx for how long the session holds (§9, Table 2), and say so; None: for as long as it likes.

    `wanted`: seconds, 0 where we ask for none. The peer's interval is kept, or shortened to ours, but not below its
    Min-SE. Its choice of refresher stands; where it makes none it goes on refreshing, for it is the one that asked.
    A peer without timers cannot refresh: then we do.
    """
    asked = terms_of(request)
    if asked is None and not wanted:
        return None
    able = knows(request)
    floor = max(least_of(request) or MIN_SE, MIN_SE)
    if asked is None:
        terms = Terms(max(wanted, floor), "uac" if able else "uas")
    else:
        interval = max(min(asked.interval, wanted), floor) if wanted else asked.interval
        terms = Terms(min(interval, asked.interval), (asked.refresher or "uac") if able else "uas")
    response.set("session-expires", f"{terms.interval};refresher={terms.refresher}")
    if able:
        response.add("require", TIMER)
    return terms


def granted(response: Response) -> Terms | None:
    """What the peer's 2xx has decided (§7.2); a 2xx that names no refresher, which it must, leaves that to us."""
    terms = terms_of(response)
    return terms if terms is None or terms.refresher else Terms(terms.interval, "uac")
