"""What `sipchange.Asking` asks of its leg, and how long it waits before it asks the peer again."""

from __future__ import annotations

import secrets
from typing import Final, Protocol

from rtcgw.model.events import Event
from rtcgw.sip.message import Request, Response
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator.siptimer import ITimed

RETRY_LIMIT: Final = 10
"""Seconds of Retry-After with a 500 that are waited for; RFC 3261 §14.2 allows no more."""


class IAsker(ITimed, Protocol):
    """The leg."""

    @property
    def focus(self) -> str:
        """The name of the conference that the peer is in; empty for none."""

    def report(self, event: Event) -> None:
        """News for whoever holds the leg."""

    def sent(self, what: str) -> None:
        """Something has been sent, for the inspector."""

    def take_change(self, tx: ServerTransaction, request: Request) -> None:
        """The peer's change may be answered now."""

    def renewed(self, tag: str, theirs: str | None, ours: str | None) -> None:
        """A change is agreed in the dialog with this remote tag: these descriptions hold now."""


def glare_pause(owner: bool) -> float:
    """Seconds to wait after 491, by who made the Call-ID (RFC 3261 §14.1), in steps of 10 ms."""
    return (210 + secrets.randbelow(191)) / 100 if owner else secrets.randbelow(201) / 100


def pause_after(response: Response, owner: bool) -> float | None:
    """Seconds after which to ask again, for a refusal that only says `not now`; None for any other."""
    if response.status == 491:
        return glare_pause(owner)
    wait = (response.get("retry-after") or "").partition(";")[0].partition("(")[0].strip()
    if response.status == 500 and wait.isascii() and wait.isdigit() and int(wait[:4]) <= RETRY_LIMIT:
        return float(wait) or 0.1
    return None
