"""What an endpoint refuses before it looks at who is called: RFC 3261 §8.2.1-§8.2.3, RFC 4028 §9.

Each check returns the refusal to send, or None. Their order is that of the RFC, so that a
peer that makes several mistakes hears of the same one first from us as from anybody else.
"""

from __future__ import annotations

from rtcgw.model import defaults
from rtcgw.sip.headers import HeaderError, ParamValue
from rtcgw.sip.message import Request, Response, make_response

METHODS = frozenset({"INVITE", "ACK", "CANCEL", "BYE", "PRACK", "UPDATE", "INFO", "OPTIONS", "NOTIFY"})
ALLOW = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, OPTIONS, NOTIFY"
ACCEPT = "application/sdp"
EXTENSIONS = frozenset({"100rel"})
"""Option tags that any peer may require."""
PRECONDITIONS = EXTENSIONS | {"precondition"}
"""The same for a peer whose profile has preconditions (RFC 3312)."""
SUPPORTED = "100rel"
SUPPORTED_PRECONDITIONS = "100rel, precondition"
_DESCRIBING = frozenset({"INVITE", "UPDATE", "PRACK"})
"""Methods whose body must be a session description."""
_SCHEMES = frozenset({"sip", "sips", "tel"})


def refusal(request: Request, extensions: frozenset[str] = EXTENSIONS) -> Response | None:
    """The refusal of the first check that fails, or None. `extensions`: what the sender may require."""
    return (
        _method(request) or _scheme(request) or _require(request, extensions) or _content(request) or _interval(request)
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


def _interval(request: Request) -> Response | None:
    """A session interval below the least one; a peer without `timer` could not obey a 422."""
    value = request.get("session-expires") if request.method in ("INVITE", "UPDATE") else None
    if value is None or not request.has("supported", "timer"):
        return None
    seconds = value.partition(";")[0].strip()
    if not (seconds.isascii() and seconds.isdigit()) or int(seconds[:10]) >= defaults.MIN_SE:
        return None
    response = make_response(request, 422, "Session Interval Too Small")
    response.set("min-se", str(defaults.MIN_SE))
    return response
