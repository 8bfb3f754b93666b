"""Header names, compact forms, reason phrases: the tables that messages are read and printed with.

They start from Twisted's own (`sip.shortHeaders`, `sip.specialCases`, `sip.statusCodes`) and add
what has been registered since RFC 3261: the compact forms `a b d j k n o r u x y`, names that are
not simply capitalised, status codes up to RFC 8197.
"""

from __future__ import annotations

from typing import Final

from twisted.protocols import sip

from rtcgw.sip.headers import TOKEN, HeaderError

_COMPACT: Final[dict[str, str]] = {short: name for name, short in sip.shortHeaders.items()} | {
    "a": "accept-contact",
    "b": "referred-by",
    "d": "request-disposition",
    "j": "reject-contact",
    "k": "supported",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "u": "allow-events",
    "x": "session-expires",
    "y": "identity",
}

_SPELLED: Final[dict[str, str]] = sip.specialCases | {
    "mime-version": "MIME-Version",
    "min-se": "Min-SE",
    "rack": "RAck",
    "rseq": "RSeq",
    "sip-etag": "SIP-ETag",
    "sip-if-match": "SIP-If-Match",
    "session-id": "Session-ID",
    "p-called-party-id": "P-Called-Party-ID",
    "p-visited-network-id": "P-Visited-Network-ID",
    "p-associated-uri": "P-Associated-URI",
    "p-asserted-service": "P-Asserted-Service",
}

LISTS: Final[frozenset[str]] = frozenset(
    [
        "accept",
        "accept-contact",
        "accept-encoding",
        "accept-language",
        "alert-info",
        "allow",
        "allow-events",
        "call-info",
        "contact",
        "content-encoding",
        "content-language",
        "diversion",
        "error-info",
        "geolocation",
        "history-info",
        "in-reply-to",
        "p-access-network-info",
        "p-asserted-identity",
        "p-associated-uri",
        "p-early-media",
        "p-preferred-identity",
        "p-visited-network-id",
        "path",
        "permission-missing",
        "proxy-require",
        "reason",
        "record-route",
        "recv-info",
        "reject-contact",
        "request-disposition",
        "require",
        "resource-priority",
        "route",
        "security-client",
        "security-server",
        "security-verify",
        "service-route",
        "supported",
        "trigger-consent",
        "unsupported",
        "via",
        "warning",
    ]
)
"""Headers whose lines may be comma lists. Challenges and credentials are not: their commas part parameters."""

SINGLE: Final = ("call-id", "content-length", "cseq", "from", "max-forwards", "to")
"""Headers whose repetition makes a message ambiguous, so that it is refused (RFC 3261 §7.3.1)."""

PHRASES: Final[dict[int, str]] = {int(code): str(phrase) for code, phrase in sip.statusCodes.items()} | {
    199: "Early Dialog Terminated",
    202: "Accepted",
    204: "No Notification",
    412: "Conditional Request Failed",
    417: "Unknown Resource-Priority",
    422: "Session Interval Too Small",
    428: "Use Identity Header",
    429: "Provide Referrer Identity",
    430: "Flow Failed",
    433: "Anonymity Disallowed",
    436: "Bad Identity Info",
    437: "Unsupported Credential",
    438: "Invalid Identity Header",
    439: "First Hop Lacks Outbound Support",
    440: "Max-Breadth Exceeded",
    469: "Bad Info Package",
    470: "Consent Needed",
    489: "Bad Event",
    494: "Security Agreement Required",
    505: "Version Not Supported",
    580: "Precondition Failure",
    604: "Does Not Exist Anywhere",
    607: "Unwanted",
    608: "Rejected",
}
"""Reason phrases by status code."""

_LIMIT = 1024
"""Spellings remembered; those of the network beyond it are worked out each time."""

_long: dict[str, str] = {}
_prefixes: dict[str, str] = {}

KNOWN: Final = _long
"""Every spelling met so far and its long lower-case name: the parser's fast path, read only."""


def long_name(name: str) -> str:
    """The lower-case long form of a header name in any spelling: `i`, `Call-ID` give `call-id`.

    Raises `HeaderError` when it is no token.
    """
    found = _long.get(name)
    if found is not None:
        return found
    bare = name.rstrip(" \t")
    if not TOKEN.match(bare):
        raise HeaderError("not a header name")
    lower = bare.lower()
    lower = _COMPACT.get(lower, lower)
    if len(_long) < _LIMIT:
        _long[name] = lower
    return lower


def prefix(name: str) -> str:
    """`Call-ID: ` for `call-id`: what stands before a value on the wire. Raises `HeaderError` when it is no token."""
    found = _prefixes.get(name)
    if found is not None:
        return found
    if not TOKEN.match(name):
        raise HeaderError("not a header name")
    text = (_SPELLED.get(name) or sip.dashCapitalize(name)) + ": "
    if len(_prefixes) < _LIMIT:
        _prefixes[name] = text
    return text


for _short, _name in _COMPACT.items():
    for _spelling in (_short, _short.upper(), _name, prefix(_name)[:-2]):
        long_name(_spelling)
for _name in (*LISTS, *SINGLE, *_SPELLED):
    long_name(_name)
    long_name(prefix(_name)[:-2])
