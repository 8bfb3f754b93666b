"""Where a call may go that was answered with another address: the targets of 3xx responses, in the order to try them.

RFC 3261 §8.1.3.4. The contacts of a 300, 301 or 302 are tried by their q-value, each once, at most so many in all as
the policy allows. 305 names a proxy, which nobody but the network's configuration may choose, and 380 names no
address to follow. A contact is passed over that

    is no sip:, sips: or tel: URI, or leads from sips: to where TLS is not promised
    has been tried before, in this call: a loop
    is an emergency number

and the headers in a contact's URI are dropped: a callee does not write our INVITE (§19.1.5). A target that fails is
followed by the next one; contacts that a target answers with are tried before its siblings.

What is sent to a target is `sipredirect.py`'s.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from attrs import define, frozen

from rtcgw.model.reason import Reason
from rtcgw.sip.headers import HeaderError, NameAddr
from rtcgw.sip.message import Response
from rtcgw.sip.uri import Uri
from rtcgw.translator.sipstate import Policy

FOLLOWED: Final = frozenset({300, 301, 302})
CONTACTS_LIMIT: Final = 16
"""Contacts read from one response."""
_SCHEMES: Final = ("sip", "sips", "tel")
_MARKS: Final = ("rc", "mp", "np")
"""Parameters by which a Contact says how it relates to whom it was given for (RFC 7044 §8)."""
_INDEX: Final = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,15}\Z")


@frozen
class Target:
    """One address to try."""

    uri: Uri
    index: tuple[int, ...]
    """Its place in the tree of History-Info (RFC 7044 §10.3)."""
    mark: str = ""
    """`rc=1` and the like."""


@define
class _Entry:
    """A line of History-Info: who was tried, and how it refused."""

    target: Target
    cause: int | None = None

    def __str__(self) -> str:
        target = self.target
        why = "" if self.cause is None else f"?Reason={quote(f'SIP;cause={self.cause}', safe='')}"
        mark = f";{target.mark}" if target.mark else ""
        return f"<{target.uri.replace(headers=()).text}{why}>;index={'.'.join(map(str, target.index))}{mark}"


class Redirects:
    """The targets of one call. `first` is whom it was placed to."""

    __slots__ = ("_entries", "_left", "_policy", "_secure", "_targets", "current", "verdict")

    def __init__(self, first: Uri, policy: Policy) -> None:
        self._policy = policy
        self._secure = first.secure
        self._left = policy.redirects
        self._targets: list[Target] = []
        """Still to be tried, the next one first."""
        self.current = Target(first, (1,))
        self._entries = [_Entry(self.current)]
        """Everybody tried so far: what a loop is found by, and History-Info."""
        self.verdict: Reason | None = None
        """Why a contact was passed over, where that is worth telling."""

    @property
    def waiting(self) -> bool:
        """Whether there is another target to try."""
        return bool(self._targets) and self._left > 0

    def refused(self, status: int) -> None:
        """The current target has given this final response."""
        self._entries[-1].cause = status

    def learn(self, response: Response) -> None:
        """Take the contacts of a 3xx of the current target."""
        found = sorted(_contacts(response), key=_quality, reverse=True)
        usable = [name for name in found if self._fits(name.uri)]
        index = self.current.index
        self._targets[:0] = [
            Target(_bare(name.uri), (*index, number), _mark(name)) for number, name in enumerate(usable, 1)
        ]

    def next(self) -> Target | None:
        """The target to try now; None where there is none, or enough have been tried."""
        while self.waiting:
            target = self._targets.pop(0)
            if self._tried(target.uri):  # by way of another target, since it was learnt
                continue
            self._left -= 1
            self.current = target
            self._entries.append(_Entry(target))
            return target
        return None

    def history(self) -> list[str]:
        """History-Info of the next INVITE: everybody who was tried, and the target it goes to."""
        return [str(entry) for entry in self._entries]

    def _fits(self, uri: Uri) -> bool:
        if uri.scheme not in _SCHEMES or (self._secure and not uri.secure):
            return False
        if self._policy.emergency.covers(uri.text):
            self.verdict = Reason.EMERGENCY
            return False
        if self._tried(_bare(uri)):
            self.verdict = self.verdict or Reason.LOOP
            return False
        return True

    def _tried(self, uri: Uri) -> bool:
        """Whether the address has been tried; a number is one, however it is written."""
        number = uri.key if uri.key.startswith("tel:") else None
        return any(
            uri.equivalent(entry.target.uri) or (number is not None and number == entry.target.uri.key)
            for entry in self._entries
        )


def _contacts(response: Response) -> list[NameAddr]:
    """The contacts that can be read."""
    try:
        values = response.values("contact")[:CONTACTS_LIMIT]
    except HeaderError:
        return []
    found = []
    for value in values:
        try:
            found.append(NameAddr.parse(value))
        except HeaderError:  # "*" is none either
            continue
    return found


def _quality(name: NameAddr) -> float:
    """The q-value; 1 where there is none or it is no number."""
    try:
        return min(max(float(name.params.get("q") or "1"), 0.0), 1.0)
    except ValueError:
        return 1.0


def _bare(uri: Uri) -> Uri:
    """A contact as a Request-URI: no headers, and no `method`, which only an address on a page may have (§19.1.1)."""
    if not uri.headers and "method" not in uri.params:
        return uri
    return uri.replace(headers=(), params={name: value for name, value in uri.params.items() if name != "method"})


def _mark(name: NameAddr) -> str:
    """How a Contact relates to whom it was given for; empty where it does not say."""
    for mark in _MARKS:
        value = name.params.get(mark) or ""
        if _INDEX.match(value):
            return f"{mark}={value}"
    return ""
