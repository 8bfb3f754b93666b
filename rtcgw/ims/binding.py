"""What a 2xx to REGISTER grants: how long, by which route, under which identities.

Read once per registration and kept as a value. A part of it that is malformed counts as
absent: a registrar's mistake in one header must not cost the registration.
"""

from __future__ import annotations

from attrs import frozen
from twisted.logger import Logger

from rtcgw.ims.line import Line
from rtcgw.sip.headers import HeaderError, NameAddr
from rtcgw.sip.message import Response

log = Logger()

MAX_VALUES = 64
"""Service-Route, P-Associated-URI and Contact values read; an operator needs a few."""
MAX_LEASE = 2_592_000
"""Seconds, 30 days: a longer grant is refreshed as if it were this."""


@frozen
class Binding:
    """A registration as granted."""

    granted: float
    """Seconds from the 2xx on."""
    routes: tuple[str, ...] = ()
    """The Service-Route, in order (RFC 3608 §6.1); none when this 2xx has none."""
    identities: tuple[str, ...] = ()
    """The public identities that may be used, the default one first."""


def names(response: Response, header: str) -> list[NameAddr]:
    """The name-addr values of a header; malformed ones are logged and left out."""
    found = []
    for value in response.values(header)[:MAX_VALUES]:
        try:
            found.append(NameAddr.parse(value))
        except HeaderError as error:
            log.warn("registration: {header} dropped: {error}", header=header, error=error)
    return found


def _seconds(text: str | None) -> int | None:
    """A delta-seconds, or None when it is none."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:10]), MAX_LEASE)


def read(response: Response, line: Line, asked: int) -> Binding | None:
    """The binding of the line's Contact; None when the 2xx does not hold it.

    The time is the Contact's `expires`, else the Expires header, else what we asked for (RFC 3261 §10.2.4).
    """
    contacts = names(response, "contact")
    ours = [contact for contact in contacts if contact.uri.user == line.token]
    if contacts and not ours:
        return None
    told = _seconds(ours[0].params.get("expires")) if ours else None
    if told is None:
        told = _seconds(response.get("expires"))
    granted = min(asked, MAX_LEASE) if told is None else told
    if granted <= 0:
        return None
    routes = tuple(str(route) for route in names(response, "service-route"))
    return Binding(float(granted), routes, _identities(response, line))


def _identities(response: Response, line: Line) -> tuple[str, ...]:
    """P-Associated-URI; an IMPU that is missing there is barred (TS 24.229 §5.1.1.2.1, RFC 7315 §4.1).

    A plain registrar speaks of none: then the configured ones are taken as granted.
    """
    named = tuple(str(name.uri) for name in names(response, "p-associated-uri"))
    return named or line.profile.impus


def refresh_after(granted: float) -> float:
    """Seconds until the refresh: 600 s before the end, or at half of a short one. TS 24.229 §5.1.1.4.1."""
    return granted - 600 if granted > 1200 else max(granted / 2, 0.5)
