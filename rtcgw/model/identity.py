"""Who is who: URIs reduced to one key, IMS profiles, web users, session ids.

This module compares and names identities. It does not verify them (that is
`rtcweb/identifying.py`, the patent's 420) nor register them (`ims/registration.py`, 510).
"""

from __future__ import annotations

import re
import secrets
from enum import Enum
from functools import lru_cache
from typing import NewType
from urllib.parse import unquote

from attrs import field, frozen

SessionId = NewType("SessionId", str)
"""The patent's sessionID: made by the gateway, unguessable, never the SIP Call-ID."""

_VISUAL = re.compile(r"[-.() ]")
_GLOBAL = re.compile(r"\+[0-9]+\Z")


def new_session_id() -> SessionId:
    """A fresh session id: 128 random bits as 22 URL-safe characters."""
    return SessionId(secrets.token_urlsafe(16))


@lru_cache(maxsize=4096)
def canonical_key(uri: str) -> str:
    """One key per identity, so that the spellings of one number or address meet in a table.

    `sip:+1-555@d;user=phone`, `sip:+1555@d` and `tel:+1555` give `tel:+1555`; other SIP URIs give
    `sip:user@host` with the host in lower case, without parameters, port or password; a text without a
    scheme is taken as a bare user or number. Never raises: what is no URI is its own key.
    RFC 3261 §19.1.4, §19.1.6; RFC 3966 §4.

    Cached: one call asks five times, for the same two parties.
    """
    text = uri.strip().strip("<>")
    scheme, colon, rest = text.partition(":")
    if not colon or "@" in scheme:
        scheme, rest = "", text
    scheme = scheme.lower()
    if scheme == "tel":
        number = _VISUAL.sub("", rest.partition(";")[0])
        return f"tel:{number}"
    user, at, host = rest.partition("@")
    user = unquote(user.partition(":")[0].partition(";")[0])
    plain = _VISUAL.sub("", user)
    if _GLOBAL.match(plain) and (at or not scheme):
        return f"tel:{plain}"
    if not at:
        return user if not scheme else f"sip:{_host(rest)}"
    return f"sip:{user}@{_host(host)}"


def _host(text: str) -> str:
    """The host of `host[:port][;params][?headers]`, in lower case."""
    text = text.partition(";")[0].partition("?")[0]
    if text.startswith("["):
        return text.partition("]")[0].lower() + "]"
    return text.partition(":")[0].lower()


@frozen
class Identity:
    """A party of a call as the two networks name it."""

    uri: str
    """A `sip:`, `sips:` or `tel:` URI, or a web user's bare name."""
    display: str | None = None
    """The display name, decoded, or None."""

    @property
    def key(self) -> str:
        """The canonical key of `uri`."""
        return canonical_key(self.uri)


ANONYMOUS = Identity("sip:anonymous@anonymous.invalid", "Anonymous")
"""Who does not want to be known. RFC 3323 §4.1.1.3."""


@frozen
class DialogRef:
    """A SIP dialog as Replaces names it (RFC 3891 §6.1): the tags are those of the one who is to match it."""

    call_id: str
    to_tag: str
    """The local tag of who is asked to replace it."""
    from_tag: str
    """The remote tag there."""
    early_only: bool = False
    """Only while it rings."""

    def __str__(self) -> str:
        """As the header Replaces has it."""
        flag = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{flag}"


class Attach(Enum):
    """How a profile reaches the core (TS 24.229; protocols of the two attach modes)."""

    A = "A"
    """As a UE: behind a P-CSCF, or at a plain SIP registrar."""
    B = "B"
    """At the I-/S-CSCF itself, doing the P-CSCF duties that nobody else does."""


class Scheme(Enum):
    """How a profile proves itself to the registrar."""

    DIGEST = "digest"
    AKA = "aka"


@frozen
class Profile:
    """A subscription of the IMS operator that the gateway registers (the patent's P5)."""

    name: str
    """The name in the configuration, used in logs."""
    impi: str
    """The private identity, the digest username, e.g. `gw1@ims.test`."""
    impus: tuple[str, ...]
    """Public identities, the default one first, e.g. `sip:gw1@ims.test`, `tel:+15550011`."""
    domain: str
    """The home network domain: Request-URI of REGISTER, and the realm expected."""
    attach: Attach = Attach.A
    scheme: Scheme = Scheme.DIGEST
    secret: str = field(default="", repr=False)
    """The digest password."""
    k: bytes = field(default=b"", repr=False)
    """AKA subscriber key, 16 bytes."""
    opc: bytes = field(default=b"", repr=False)
    """AKA operator variant, 16 bytes."""
    max_calls: int = 1000
    """Calls this profile may carry at once."""


@frozen
class User:
    """A person on the web side, as the configuration or a verified token names them."""

    name: str
    """The login name; the token's `sub`."""
    impu: str | None = None
    """The public identity that this user has in the IMS, if any: one of a profile's."""
    profile: str | None = None
    """Name of the profile that carries this user's calls; None means the least loaded one."""
    display: str | None = None
