"""Who a message says is speaking, whom it was meant for before, and who has asked for it.

    asserted()      P-Asserted-Identity (RFC 3325), behind the caller's or callee's own wish not to be shown
    renamed()       the same, where it is another one than was known before
    assertion()     the same, but for that wish: for the operator
    hidden()        Privacy (RFC 3323), and a From that says the same
    diverted()      History-Info (RFC 7044), else Diversion (RFC 5806)
    referrer()      Referred-By (RFC 3892)

Only peers of the trusted list are heard at all, so what the network asserts is believed (RFC 3325 §5). Nothing here
raises: a header that cannot be read says nothing. Names are cut to what a page can show, and hold no controls.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from rtcgw.model.defaults import NAME_LIMIT
from rtcgw.model.identity import ANONYMOUS, Identity
from rtcgw.sip.headers import HeaderError, NameAddr
from rtcgw.sip.message import Message

HISTORY_LIMIT: Final = 8
"""Parties of a call's history that are told; a longer one is a loop, or nobody reads it."""
_READ_LIMIT: Final = 32
"""Values of a list header that are looked at."""
_HIDING: Final = frozenset({"id", "user", "header"})
"""Privacy values with which a party must not be shown (RFC 3323 §4.2, RFC 3325 §9.3)."""
_HIDING_HISTORY: Final = frozenset({"history", "header", "session"})
"""Those with which the way of a call must not be shown (RFC 7044 §10.1.1)."""
_NOBODY: Final = "anonymous.invalid"
"""The host of whoever hides (RFC 3323 §4.1.1.3)."""


def plain(text: str | None, limit: int = NAME_LIMIT) -> str | None:
    """A text of the network as people may see it: one line, no control or format characters, bounded; None if empty.

    Format characters (Unicode Cf) turn the direction of what follows, or are not seen at all: a name with them passes
    for another one.
    """
    if text is None:
        return None
    kept = (" " if ch.isspace() else ch for ch in text if ch.isspace() or unicodedata.category(ch)[0] != "C")
    return " ".join("".join(kept).split())[:limit] or None


def shown(name: NameAddr, display: str | None = None) -> Identity:
    """An address as an identity that may be shown; `display` where it has no name of its own."""
    return Identity(str(name.uri), plain(name.display) or plain(display))


def hidden(message: Message) -> bool:
    """Whether who sends this message does not want to be shown."""
    if "privacy" in message.headers and _privacy(message) & _HIDING:
        return True
    try:
        return message.from_.uri.host.lower() == _NOBODY
    except HeaderError:
        return False


def asserted(message: Message, display: str | None = None) -> Identity | None:
    """Whom the network asserts: anonymous for who hides, None where it asserts nobody."""
    if "p-asserted-identity" in message.headers and _privacy(message) & _HIDING:
        return ANONYMOUS
    return assertion(message, display)


def assertion(message: Message, display: str | None = None) -> Identity | None:
    """Whom the network asserts, whether they may be shown (`hidden`) or not; None where it asserts nobody.

    Of a `sip:` and a `tel:` identity, which a network may give together and in any order (RFC 3325 §9.1), the address
    is taken: it can be dialled back as the network knows it, and its domain tells what kind of peer it is, which
    a number does not.
    """
    if "p-asserted-identity" not in message.headers:
        return None
    names = list(_names(message, "p-asserted-identity"))
    if not names:
        return None
    address = next((name for name in names if name.uri.is_sip), names[0])
    return shown(address, next((name.display for name in names if name.display), display))


def known(invite: Message) -> str:
    """The key of a caller as it is shown: what `renamed` compares with."""
    if hidden(invite):
        return ANONYMOUS.key
    caller = asserted(invite)
    return shown(invite.from_).key if caller is None else caller.key


def renamed(message: Message, key: str) -> Identity | None:
    """Whom the network asserts, if that is somebody else than who is known by `key`; whoever hides stays hidden."""
    party = asserted(message)
    if party is None or key in (party.key, ANONYMOUS.key):
        return None
    if party is not ANONYMOUS and any(name.uri.key == key for name in _names(message, "p-asserted-identity")):
        return None  # by the other one of a number and an address
    return party


def diverted(message: Message) -> tuple[Identity, ...]:
    """Whom a call was meant for before, in order, whoever it is for now among them; see `Setup.history`.

    An entry that must not be shown is anonymous: that the call was sent on is no secret, by whom is. Neighbours that
    are one party stand once. Diversion counts where there is no History-Info; its newest entry is its first.
    """
    if "history-info" in message.headers:
        every = bool(_privacy(message) & _HIDING_HISTORY)
        found = [ANONYMOUS if every or _hides(name) else _bare(name) for name in _names(message, "history-info")]
    elif "diversion" in message.headers:
        found = [_diverting(name) for name in _names(message, "diversion")][::-1]
    else:
        return ()
    kept: list[Identity] = []
    for party in found:
        if not kept or kept[-1].key != party.key:
            kept.append(party)
    return tuple(kept[:HISTORY_LIMIT])


def referrer(message: Message) -> str | None:
    """The URI of who has asked for this call by a transfer."""
    if "referred-by" not in message.headers:
        return None
    return next((str(name.uri) for name in _names(message, "referred-by")), None)


def _names(message: Message, header: str) -> Iterator[NameAddr]:
    """The addresses of a list header that can be read; a broken list has none."""
    try:
        values = message.values(header)
    except HeaderError:
        return
    for value in values[:_READ_LIMIT]:
        try:
            yield NameAddr.parse(value)
        except HeaderError:
            continue


def _privacy(message: Message) -> set[str]:
    lines = message.headers.get("privacy", ())
    return {word.strip().lower() for line in lines for word in line.replace(",", ";").split(";")}


def _hides(entry: NameAddr) -> bool:
    """Whether a History-Info entry bears `?Privacy=history` (RFC 7044 §10.1.1)."""
    if entry.uri.host.lower() == _NOBODY:
        return True
    return any(name.lower() == "privacy" and "history" in unquote(value).lower() for name, value in entry.uri.headers)


def _bare(entry: NameAddr) -> Identity:
    """A History-Info entry without the headers in its URI, which say why it was left."""
    return Identity(str(entry.uri.replace(headers=())), plain(entry.display))


def _diverting(entry: NameAddr) -> Identity:
    """A Diversion entry, as far as its `privacy` lets it be shown (RFC 5806 §5.2)."""
    privacy = (entry.params.get("privacy") or "off").lower()
    if privacy in ("full", "uri") or entry.uri.host.lower() == _NOBODY:
        return ANONYMOUS
    return Identity(str(entry.uri), None if privacy == "name" else plain(entry.display))
