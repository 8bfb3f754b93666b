"""Emergency numbers, in every spelling: what this gateway must not place.

A browser cannot assert where it is, so the one thing that an emergency call needs is missing; and a call that looks
placed and reaches nobody who can help is worse than a refusal that says so at once (RFC 6881, TS 24.229 §5.1.6).
The list is the operator's (`[call] emergency`); this module compares.

What it is not: it knows no country's numbers but those that it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from attrs import frozen

DEFAULTS: Final = ("112", "911", "urn:service:sos")
"""The numbers that mobile phones know everywhere (TS 22.101 §10.1.1), and the service URN of RFC 5031."""

_VISUAL: Final = re.compile(r"[-.() \t]")
_SCHEMES: Final = ("sip", "sips", "tel")


@frozen
class Emergency:
    """The numbers and service URNs of a configuration, each reduced to one spelling."""

    numbers: frozenset[str] = frozenset()
    services: tuple[str, ...] = ()

    @staticmethod
    def of(entries: Iterable[str]) -> Emergency:
        """The list as an operator writes it: numbers such as `112`, and URNs such as `urn:service:sos`."""
        reduced = [_reduced(entry) for entry in entries]
        urns = tuple(entry for entry in reduced if entry.startswith("urn:"))
        return Emergency(frozenset(entry for entry in reduced if entry and not entry.startswith("urn:")), urns)

    def covers(self, address: str) -> bool:
        """Whether this is an emergency number, whoever wrote it and however.

        `112`, `1-1-2`, `tel:112;phone-context=+49`, `sip:112@any.domain;user=phone`, `112@any.domain` and
        `%31%31%32` are one; a service URN covers its sub-services (`urn:service:sos.police`, RFC 5031 §4.2).
        """
        reduced = _reduced(address)
        if reduced.startswith("urn:"):
            return any(reduced == urn or reduced.startswith(f"{urn}.") for urn in self.services)
        return reduced in self.numbers


NONE: Final = Emergency()
"""No number is special."""


def _reduced(address: str) -> str:
    """An address as a bare number, or as a URN in lower case without parameters.

    Only the user part counts: an extension 112 of somebody's PBX is refused as well, for of two ways to be wrong this
    is the one that costs nobody's life.
    """
    text = unquote(address.strip().strip("<>").strip())
    scheme, colon, rest = text.partition(":")
    scheme = scheme.strip().lower()
    if colon and scheme == "urn":
        return f"urn:{rest.partition(';')[0].strip().lower()}"
    if colon and scheme in _SCHEMES:
        text = rest
    user = text.partition("@")[0].partition(";")[0].partition("?")[0].partition(":")[0]
    return _VISUAL.sub("", user).lower()
