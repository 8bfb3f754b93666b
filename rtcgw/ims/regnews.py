"""From what the registrar announces to what it means for one profile's registration.

RFC 3680 §5.1 lists the events of a contact; TS 24.229 §5.1.1.7 says what a UE does on each.
"""

from __future__ import annotations

from enum import Enum

from rtcgw.ims.line import Line
from rtcgw.ims.regevent import RegContact, RegView
from rtcgw.sip.uri import Uri, UriError

PROBATION = 30
"""Seconds to stay away when `probation` names none; RFC 5626's base time."""


class Verdict(Enum):
    """What the network has done to our contact."""

    REJECTED = "rejected"
    """Ended for good: do not come back by yourself."""
    DEACTIVATED = "deactivated"
    """Ended: register again at once."""
    PROBATION = "probation"
    """Ended: register again after a while."""
    SHORTENED = "shortened"
    """Still there, but for less time: register again within it."""


def judge(view: RegView, line: Line) -> tuple[Verdict, float] | None:
    """The verdict on the line's contact, with the seconds that belong to it; None when all is well.

    A contact that stands in several registrations is judged by the worst news that leaves none of them active:
    one identity of several may end without ending the registration.
    """
    ours = [contact for contact in view.contacts() if _is_ours(contact, line)]
    active = [contact for contact in ours if contact.active]
    if active:
        left = [contact.expires for contact in active if contact.event == "shortened" and contact.expires is not None]
        return (Verdict.SHORTENED, float(min(left))) if left else None
    if ours:
        return _ended(ours)
    # Kamailio tells of a de-registration by the HSS without naming contacts or reasons.
    return (Verdict.DEACTIVATED, 0.0) if view.all_terminated() else None


def _ended(contacts: list[RegContact]) -> tuple[Verdict, float]:
    events = {contact.event: contact for contact in contacts}
    if "rejected" in events:
        return Verdict.REJECTED, 0.0
    if "probation" in events:
        return Verdict.PROBATION, float(events["probation"].retry_after or PROBATION)
    # deactivated; and expired or unregistered, which we did not do: somebody else ended what is ours.
    return Verdict.DEACTIVATED, 0.0


def _is_ours(contact: RegContact, line: Line) -> bool:
    if contact.instance:
        return contact.instance.strip("<>").lower() == line.instance
    try:
        return Uri.parse(contact.uri).user == line.token
    except UriError:
        return False
