"""What the SIP side says of itself, and what it refuses before it looks at who is called.

    METHODS, OPTIONS    what is announced in Allow and Supported, and which module keeps the promise
    refusal()           RFC 3261 §8.2.1-§8.2.3, RFC 4028 §9

Nothing is announced from anywhere else, and nothing that is built is announced without a line here: a test holds
both tables against the modules that they name. Each check returns the refusal to send, or None. Their order is that
of the RFC, so that a peer that makes several mistakes hears of the same one first from us as from anybody else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rtcgw.model import defaults
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.sip.headers import HeaderError, ParamValue
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.translator import sipinfo, siprefer

METHODS: Final[dict[str, str]] = {
    "INVITE": "translator.siptable",
    "ACK": "translator.siptable",
    "CANCEL": "sip.transaction",
    "BYE": "translator.siptable",
    "PRACK": "translator.siptable",
    "UPDATE": "translator.siptable",
    "INFO": "translator.sipinfo",
    "OPTIONS": "ims.routing",
    "NOTIFY": "ims.routing",
    "REFER": "translator.siprefer",
    "SUBSCRIBE": "translator.confinfo",
}
"""Each method that is taken, and the module of `rtcgw` that answers it. Their order is that of Allow."""
OPTIONS: Final[dict[str, str]] = {
    "100rel": "translator.sipanswers",
    "precondition": "translator.sippeer",
    "timer": "translator.sipterms",
    "norefersub": "translator.siprefer",
    "replaces": "junction",
    "199": "translator.sipforks",
}
"""Each option tag that is said to be supported and may be required of us, and the module that does as it asks."""
_BY_PROFILE: Final = frozenset({"precondition"})
"""Those that only some peers are told of, and may require: see `_has`."""
ALLOW: Final = ", ".join(METHODS)
ACCEPT: Final = "application/sdp"
ACCEPT_ANYWHERE: Final = f"{ACCEPT}, {sipinfo.ACCEPT}, {siprefer.SIPFRAG}"
"""What any request may bear: the answer to OPTIONS (RFC 3261 §11.2)."""
_DESCRIBING = frozenset({"INVITE", "UPDATE", "PRACK"})
"""Methods whose body must be a session description."""
_SCHEMES = frozenset({"sip", "sips", "tel"})


def supported(peer: PeerProfile) -> str:
    """The option tags that `peer` is told of, as the value of Supported; empty when it is told of none."""
    return _supported(peer.preconditions, peer.without)


@lru_cache(64)
def _supported(preconditions: bool, without: tuple[str, ...]) -> str:
    return ", ".join(tag for tag in OPTIONS if _has(tag, preconditions) and tag not in without)


def extensions(peer: PeerProfile) -> frozenset[str]:
    """The option tags that `peer` may require of us: also those that it is not told of for its weakness' sake."""
    return _extensions(peer.preconditions)


@lru_cache(2)
def _extensions(preconditions: bool) -> frozenset[str]:
    return frozenset(tag for tag in OPTIONS if _has(tag, preconditions))


def _has(tag: str, preconditions: bool) -> bool:
    return preconditions or tag not in _BY_PROFILE


EXTENSIONS: Final = extensions(PLAIN_PEER)
"""Option tags that any peer may require."""


def refusal(
    request: Request, extensions: frozenset[str] = EXTENSIONS, min_se: int = defaults.MIN_SE
) -> Response | None:
    """The refusal of the first check that fails, or None.

    `extensions`: what the sender may require. `min_se`: the shortest session that we take, in seconds.
    """
    return (
        _method(request)
        or _scheme(request)
        or _require(request, extensions)
        or _content(request)
        or _interval(request, min_se)
    )


def _method(request: Request) -> Response | None:
    if request.method in METHODS:
        return None
    response = make_response(request, 405, "Method Not Allowed")
    response.set("allow", ALLOW)
    return response


def _scheme(request: Request) -> Response | None:
    if request.uri.scheme in _SCHEMES:
        return None
    return make_response(request, 416, "Unsupported URI Scheme")


def _require(request: Request, extensions: frozenset[str]) -> Response | None:
    if "require" not in request.headers:
        return None
    unknown = [tag for tag in request.values("require") if tag.lower() not in extensions]
    if not unknown:
        return None
    response = make_response(request, 420, "Bad Extension")
    response.set("unsupported", ", ".join(unknown))
    return response


def _content(request: Request) -> Response | None:
    if not request.body or request.method not in _DESCRIBING:
        return None
    encoding = (request.get("content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        response = make_response(request, 415, "Unsupported Media Type")
        response.set("accept-encoding", "identity")
        return response
    kind = (request.get("content-type") or "").partition(";")[0].strip().lower()
    if kind == ACCEPT or _optional(request):
        return None
    response = make_response(request, 415, "Unsupported Media Type")
    response.set("accept", ACCEPT)
    return response


def _optional(request: Request) -> bool:
    """Whether the sender lets us ignore a body that we do not understand (§20.11)."""
    try:
        disposition = ParamValue.parse(request.get("content-disposition") or "session")
    except HeaderError:
        return False
    return (disposition.params.get("handling") or "").lower() == "optional"


def _interval(request: Request, min_se: int) -> Response | None:
    """A session interval below the least one; a peer without `timer` could not obey a 422."""
    value = request.get("session-expires") if request.method in ("INVITE", "UPDATE") else None
    if value is None or not request.has("supported", "timer"):
        return None
    seconds = value.partition(";")[0].strip()
    if not (seconds.isascii() and seconds.isdigit()) or int(seconds[:10]) >= min_se:
        return None
    response = make_response(request, 422, "Session Interval Too Small")
    response.set("min-se", str(min_se))
    return response
