"""Whom a request from the core is for, and who it is from.

The called user is sought in the order that survives forwarding best: P-Called-Party-ID
(the address before the S-CSCF put our Contact in its place, RFC 7315 §4.2), To (the
patent's way), the Request-URI's user part, the last History-Info entry. The first that
the table of users knows wins.

Only peers of the trusted list are heard at all, so P-Asserted-Identity may be believed
(RFC 3325 §5); a request without one names its caller in From, as a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rtcgw.model.identity import Identity, canonical_key
from rtcgw.sip.headers import HeaderError, NameAddr
from rtcgw.sip.message import Request
from rtcgw.sip.parties import assertion, diverted, shown
from rtcgw.sip.uri import Uri


def _uri(value: str | None) -> Uri | None:
    """The URI of a name-addr value, or None: what cannot be read names nobody."""
    if value is None:
        return None
    try:
        return NameAddr.parse(value).uri
    except HeaderError:
        return None


def _values(request: Request, header: str) -> list[str]:
    """The values of a list header; a broken list has none."""
    try:
        return request.values(header)
    except HeaderError:
        return []


def candidates(request: Request) -> Iterator[str]:
    """Canonical keys of whom the request may be for, the best first."""
    called = _uri(request.get("p-called-party-id"))
    if called is not None:
        yield called.key
    yield request.to.uri.key
    if request.uri.user:
        yield canonical_key(request.uri.user)
    history = _values(request, "history-info")
    if history:
        last = _uri(history[-1])
        if last is not None:
            yield last.key


def called_user(request: Request, find: Callable[[str], str | None]) -> str | None:
    """The user whom `find` knows by one of the request's keys, or None."""
    for key in candidates(request):
        user = find(key)
        if user is not None:
            return user
    return None


def caller_of(request: Request) -> Identity:
    """Who calls, as the network asserts it; `hidden` says whether the called may be shown it."""
    return assertion(request, request.from_.display) or shown(request.from_)


def forwarders(request: Request, is_called: Callable[[str], bool]) -> tuple[Identity, ...]:
    """Whom the call was meant for before, the first one first; see `Setup.history`.

    `is_called(key)` says whether a canonical key means the user who is called now: entries of the history that name
    that user, or the address that the request goes to, are no forwarding.
    """
    history = diverted(request)
    if not history:
        return ()
    target = request.uri.key
    return tuple(party for party in history if party.key != target and not is_called(party.key))
