"""SRTP keys in session descriptions: `a=crypto` (RFC 4568), read, made and chosen.

Keys travel in the clear inside SIP, so SIP itself must be protected; whether a peer is offered this at all is
its profile's matter. Only what both RFCs leave no doubt about is taken: one key per line, no session parameters
that change what is sent (RFC 4568 §6.3), no master key identifier.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Sequence

from attrs import field, frozen

from rtcgw.media.packets.srtp import AES_CM_32, AES_CM_80, AES_GCM_128, AES_GCM_256, Profile

SUITES = {
    "AEAD_AES_256_GCM": AES_GCM_256,
    "AEAD_AES_128_GCM": AES_GCM_128,
    "AES_CM_128_HMAC_SHA1_80": AES_CM_80,
    "AES_CM_128_HMAC_SHA1_32": AES_CM_32,
}
"""Suite names of `a=crypto` (RFC 4568 §6.2, RFC 7714 §14), the preferred one first."""
MAX_LINE = 512
"""Characters of a line that is read."""
_LINE = re.compile(
    r"(\d{1,9})[ \t]+([A-Za-z0-9_]{1,64})[ \t]+inline:([A-Za-z0-9+/]+={0,2})((?:\|[^| \t;]+){0,2})(.*)", re.S
)
_LIFETIME = re.compile(r"2\^(\d{1,2})|(\d{1,15})")
_MKI = re.compile(r"\d{1,38}:\d{1,3}")
_HARMLESS = re.compile(r"(?:WSH=\d{1,9}|KDR=0)")
"""Session parameters that ask nothing of the other end: its own replay window, and the rate there is anyway."""
_LIVES = 1 << 20
"""Packets that a key must be good for to be taken: at 50 packets a second, six hours."""


@frozen
class Crypto:
    """One `a=crypto` line: the key that its writer will send with."""

    tag: int
    suite: str
    key: bytes = field(repr=False)
    """Master key and salt."""

    @classmethod
    def parse(cls, text: str) -> Crypto | None:
        """Of the attribute's value; None for what is malformed or not supported (RFC 4568 §5.1.2: skipped)."""
        found = _LINE.fullmatch(text.strip()) if len(text) <= MAX_LINE else None
        if found is None:
            return None
        tag, suite, inline, lives, rest = found.groups()
        profile = SUITES.get(suite.upper())
        try:
            key = base64.b64decode(inline + "=" * (-len(inline) % 4), validate=True)
        except (binascii.Error, ValueError):
            return None
        if profile is None or len(key) != profile.key + profile.salt:
            return None
        if not _lasting(lives) or not all(_HARMLESS.fullmatch(word) for word in rest.split()):
            return None
        return cls(int(tag), suite.upper(), key)

    @classmethod
    def make(cls, tag: int, suite: str) -> Crypto:
        """A fresh key for `suite`, one of `SUITES`."""
        profile = SUITES[suite]
        return cls(tag, suite, secrets.token_bytes(profile.key + profile.salt))

    @property
    def line(self) -> str:
        """The attribute's value, without `a=crypto:`. It is the key: not for logs."""
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"

    @property
    def profile(self) -> Profile:
        """How packets are protected."""
        return SUITES[self.suite]


@frozen
class CoreKeys:
    """What the two ends of a media line have agreed on; both of the same suite."""

    local: Crypto
    """Ours, from our description."""
    remote: Crypto


def choose(offered: Iterable[Crypto], ours: Sequence[str] = tuple(SUITES)) -> Crypto | None:
    """The offered line to accept: the offerer's first choice (RFC 4568 §5.1.2) that is among `ours`."""
    return next((crypto for crypto in offered if crypto.suite in ours), None)


def _lasting(lives: str) -> bool:
    """Whether `|lifetime` is long enough for a call, and no `|MKI:length` is there.

    A key identifier in each packet would have to be agreed with libsrtp for both ends; nobody offers only that.
    """
    for part in lives.split("|")[1:]:
        found = _LIFETIME.fullmatch(part)
        if found is None or _MKI.fullmatch(part):
            return False
        packets = 1 << int(found[1]) if found[1] else int(found[2])
        if packets < _LIVES:
            return False
    return True
