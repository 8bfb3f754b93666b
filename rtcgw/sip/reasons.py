"""Why a peer ends, refuses or gives up a call, in its own words: status, Reason, Warning, Retry-After as one `End`.

    Reason (RFC 3326)       `SIP;cause=200;text="Call completed elsewhere"`, `Q.850;cause=16`; in responses RFC 6432
    Warning (RFC 3261)      `399 host "text"`
    Retry-After             when a second try may do better

The table behind is `model/reason.py`'s; here is read what it is asked with. Texts are cleaned and bounded before
anybody shows or logs them. Nothing here raises.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rtcgw.model.defaults import TEXT_LIMIT
from rtcgw.model.events import End
from rtcgw.model.reason import Reason, from_cause, refined
from rtcgw.sip.grammar import split_quoted
from rtcgw.sip.headers import HeaderError, ParamValue
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.names import PHRASES
from rtcgw.sip.parties import plain

_READ_LIMIT: Final = 8
"""Reason or Warning values that are looked at."""
_ELSEWHERE: Final = 200
"""The SIP cause of a call that another branch has taken (RFC 3326 §2)."""
_GIVEN_UP: Final = {603: Reason.DECLINED, 607: Reason.UNWANTED}
"""What another branch has said, where that is why this one is cancelled."""


class Told(NamedTuple):
    """The Reason values of a message."""

    sip: int | None = None
    """The SIP status."""
    cause: int | None = None
    """The Q.850 cause."""
    text: str | None = None
    """What the first of them that says something in words says."""


_NOTHING: Final = Told()


def told(message: Message) -> Told:
    """The Reason values; of each protocol the first counts (RFC 3326 §2 allows one)."""
    if "reason" not in message.headers:
        return _NOTHING
    try:
        values = message.values("reason")[:_READ_LIMIT]
    except HeaderError:
        return _NOTHING
    found: dict[str, int] = {}
    text: str | None = None
    for value in values:
        try:
            reason = ParamValue.parse(value)
        except HeaderError:
            continue
        cause = reason.params.get("cause") or ""
        if cause.isascii() and cause.isdigit() and len(cause) < 4:
            found.setdefault(reason.value.upper(), int(cause))
        text = text or plain(reason.params.get("text"), TEXT_LIMIT)
    return Told(found.get("SIP"), found.get("Q.850"), text)


def of_refusal(response: Response) -> End:
    """A final response of 300-699 as an end: the status and what stands beside it. The status's usual phrase says
    nothing that the reason does not say better."""
    why = told(response)
    usual = response.phrase.strip().lower() == PHRASES.get(response.status, "").lower()
    text = _warning(response) or why.text or (None if usual else plain(response.phrase, TEXT_LIMIT))
    wait = _wait(response)
    if wait is not None:
        again = f" (again in {wait} s)"
        text = f"{text or response.status}"[: TEXT_LIMIT - len(again)] + again
    return End(refined(response.status, why.cause), text, response.status)


def of_bye(request: Request) -> End:
    """A BYE as an end: hung up, unless it says that something else has happened."""
    why = told(request)
    if why.sip == _ELSEWHERE:
        return End(Reason.ANSWERED_ELSEWHERE, why.text)
    reason = None if why.cause is None else from_cause(why.cause)
    return End(reason or Reason.HANGUP, why.text)


def of_cancel(request: Request) -> End:
    """A CANCEL as an end: given up, answered elsewhere, or decided for all devices by another one."""
    why = told(request)
    if why.sip == _ELSEWHERE or (why.cause is not None and from_cause(why.cause) is Reason.ANSWERED_ELSEWHERE):
        return End(Reason.ANSWERED_ELSEWHERE)
    return End(_GIVEN_UP.get(why.sip or 0, Reason.CANCELLED), why.text)


def _warning(response: Response) -> str | None:
    """The text of the first Warning that has one: code, agent, quoted text (RFC 3261 §20.43)."""
    if "warning" not in response.headers:
        return None
    try:
        values = response.values("warning")[:_READ_LIMIT]
    except HeaderError:
        return None
    for value in values:
        _, quote, rest = value.partition('"')
        try:
            quoted, _ = split_quoted(quote + rest)
        except HeaderError:
            continue
        text = plain(quoted, TEXT_LIMIT)
        if text is not None:
            return text
    return None


def _wait(response: Response) -> int | None:
    """Seconds of Retry-After, at most a day."""
    seconds = (response.get("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    return min(int(seconds), 86400) if seconds.isascii() and seconds.isdigit() and len(seconds) < 8 else None
