"""One table: why a call ended -> SIP status, dialect word, metric label, log level.

Every ending of a call, and every refusal of one, has one `Reason`. Legs never invent a
status or a word of their own: they look here. `from_status` reads a SIP final response
back into a reason (RFC 3261 §21; RFC 3398 §8.2.6.1 for the Q.850 causes sent), `from_cause` a Q.850
cause (RFC 3398 §7.2.4.1), and `refined` says which of the two holds where both came.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Facts(NamedTuple):
    """What a reason means on each side."""

    status: int
    """SIP status sent when a pending INVITE is refused for this reason."""
    phrase: str
    """Its reason phrase."""
    word: str
    """The dialect's word; also the metric label."""
    text: str
    """A sentence a page may show."""
    cause: int
    """Q.850 cause for the Reason header (RFC 3326)."""
    level: str
    """Log level: `info` for what users do, `warn` for what networks do, `error` for our own faults."""


class Reason(Enum):
    """Why a call ended."""

    HANGUP = Facts(480, "Temporarily Unavailable", "hangup", "The call has ended.", 16, "info")
    CANCELLED = Facts(487, "Request Terminated", "cancelled", "The caller gave up.", 16, "info")
    BUSY = Facts(486, "Busy Here", "busy", "The number is busy.", 17, "info")
    DECLINED = Facts(603, "Decline", "declined", "The call was declined.", 21, "info")
    UNWANTED = Facts(607, "Unwanted", "unwanted", "The call was marked as unwanted.", 21, "info")
    NO_ANSWER = Facts(480, "Temporarily Unavailable", "no-answer", "Nobody answered.", 19, "info")
    ANSWERED_ELSEWHERE = Facts(
        200, "Call completed elsewhere", "answered-elsewhere", "Answered on another device.", 26, "info"
    )
    OFFLINE = Facts(480, "Temporarily Unavailable", "unavailable", "The person is not reachable now.", 20, "info")
    NOT_FOUND = Facts(404, "Not Found", "not-found", "There is no such number or user.", 1, "info")
    INCOMPLETE = Facts(484, "Address Incomplete", "address-incomplete", "The number is incomplete.", 28, "info")
    FORBIDDEN = Facts(403, "Forbidden", "forbidden", "This call is not allowed.", 21, "warn")
    ANONYMITY = Facts(
        433,
        "Anonymity Disallowed",
        "anonymity-refused",
        "The other side refuses anonymous calls.",
        21,
        "info",
    )
    EMERGENCY = Facts(
        380,
        "Alternative Service",
        "emergency-not-supported",
        "Emergency numbers cannot be called from here. Use a phone.",
        21,
        "warn",
    )
    MEDIA = Facts(
        488,
        "Not Acceptable Here",
        "media-incompatible",
        "The two sides have no way to talk in common.",
        65,
        "warn",
    )
    PRECONDITION = Facts(
        580,
        "Precondition Failure",
        "precondition-failed",
        "The network cannot promise what the other side requires of it.",
        47,
        "warn",
    )
    MEDIA_FAILED = Facts(488, "Not Acceptable Here", "media-failed", "The sound could not be set up.", 127, "warn")
    MEDIA_LOST = Facts(488, "Not Acceptable Here", "media-lost", "The sound was lost.", 27, "warn")
    TIMEOUT = Facts(408, "Request Timeout", "timeout", "The other side did not respond.", 102, "warn")
    GONE = Facts(
        481,
        "Call/Transaction Does Not Exist",
        "gone",
        "The other side no longer knows the call.",
        111,
        "warn",
    )
    CLIENT_LOST = Facts(480, "Temporarily Unavailable", "client-lost", "The page went away.", 27, "info")
    NOT_REGISTERED = Facts(
        480,
        "Temporarily Unavailable",
        "not-registered",
        "The gateway is not registered at the network.",
        38,
        "warn",
    )
    AUTH_FAILED = Facts(403, "Forbidden", "auth-failed", "The network refused the gateway's identity.", 21, "error")
    SERVER = Facts(500, "Server Internal Error", "server", "The network had an error.", 41, "warn")
    OVERLOADED = Facts(
        503, "Service Unavailable", "overloaded", "The service is overloaded. Try again later.", 42, "warn"
    )
    UNREACHABLE = Facts(503, "Service Unavailable", "unreachable", "The network could not be reached.", 38, "warn")
    PROTOCOL = Facts(
        400,
        "Bad Request",
        "protocol",
        "The other side and the gateway did not understand each other.",
        111,
        "warn",
    )
    LOOP = Facts(482, "Loop Detected", "loop", "The call went in a circle.", 25, "warn")
    ALTERNATIVE = Facts(
        480,
        "Temporarily Unavailable",
        "service-alternative",
        "The network offers another service in place of this call.",
        79,
        "info",
    )
    REDIRECTED = Facts(480, "Temporarily Unavailable", "redirected", "The other side has moved.", 23, "info")
    TRANSFERRED = Facts(487, "Request Terminated", "transferred", "The call has been transferred.", 16, "info")
    REPLACED = Facts(487, "Request Terminated", "replaced", "Another call has taken the place of this one.", 16, "info")
    MERGED = Facts(487, "Request Terminated", "merged", "The call is part of a conference now.", 16, "info")
    CONFLICT = Facts(491, "Request Pending", "conflict", "Both sides changed the call at once.", 111, "info")
    EXTENSION = Facts(420, "Bad Extension", "bad-extension", "The other side requires something unknown.", 79, "warn")
    SHUTDOWN = Facts(503, "Service Unavailable", "shutdown", "The gateway is shutting down.", 41, "info")
    INTERNAL = Facts(500, "Server Internal Error", "internal", "The gateway had an error.", 41, "error")

    @property
    def status(self) -> int:
        """The SIP status, see `Facts`."""
        return self.value.status

    @property
    def phrase(self) -> str:
        """The SIP reason phrase, see `Facts`."""
        return self.value.phrase

    @property
    def word(self) -> str:
        """The dialect's word and metric label, see `Facts`."""
        return self.value.word

    @property
    def text(self) -> str:
        """A sentence a page may show, see `Facts`."""
        return self.value.text

    @property
    def cause(self) -> int:
        """The Q.850 cause, see `Facts`."""
        return self.value.cause

    @property
    def level(self) -> str:
        """The log level, see `Facts`."""
        return self.value.level


_EXACT = {
    380: Reason.ALTERNATIVE,  # what a body of 3GPP's adds to it is read in sip/alternative.py
    401: Reason.AUTH_FAILED,
    407: Reason.AUTH_FAILED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    408: Reason.TIMEOUT,
    410: Reason.NOT_FOUND,
    428: Reason.FORBIDDEN,
    430: Reason.GONE,
    433: Reason.ANONYMITY,
    436: Reason.FORBIDDEN,
    437: Reason.FORBIDDEN,
    438: Reason.FORBIDDEN,
    439: Reason.GONE,
    440: Reason.LOOP,
    480: Reason.OFFLINE,
    481: Reason.GONE,
    482: Reason.LOOP,
    483: Reason.LOOP,
    484: Reason.INCOMPLETE,
    485: Reason.NOT_FOUND,
    486: Reason.BUSY,
    487: Reason.CANCELLED,
    488: Reason.MEDIA,
    491: Reason.CONFLICT,
    503: Reason.OVERLOADED,
    504: Reason.TIMEOUT,
    580: Reason.PRECONDITION,
    600: Reason.BUSY,
    603: Reason.DECLINED,
    604: Reason.NOT_FOUND,
    606: Reason.MEDIA,
    607: Reason.UNWANTED,
    608: Reason.FORBIDDEN,
}
_BY_CAUSE = {
    1: Reason.NOT_FOUND,
    2: Reason.NOT_FOUND,
    3: Reason.NOT_FOUND,
    16: Reason.HANGUP,
    17: Reason.BUSY,
    18: Reason.TIMEOUT,
    19: Reason.NO_ANSWER,
    20: Reason.OFFLINE,
    21: Reason.DECLINED,
    22: Reason.NOT_FOUND,
    23: Reason.REDIRECTED,
    25: Reason.LOOP,
    26: Reason.ANSWERED_ELSEWHERE,
    27: Reason.UNREACHABLE,
    28: Reason.INCOMPLETE,
    29: Reason.SERVER,
    34: Reason.OVERLOADED,
    38: Reason.UNREACHABLE,
    41: Reason.SERVER,
    42: Reason.OVERLOADED,
    44: Reason.OVERLOADED,
    47: Reason.OVERLOADED,
    55: Reason.FORBIDDEN,
    57: Reason.FORBIDDEN,
    58: Reason.OVERLOADED,
    65: Reason.MEDIA,
    70: Reason.MEDIA,
    79: Reason.SERVER,
    87: Reason.FORBIDDEN,
    88: Reason.MEDIA,
    102: Reason.TIMEOUT,
    111: Reason.PROTOCOL,
}
"""What Q.850 causes say to a person. 31 (normal, unspecified) and 127 (interworking, unspecified) say nothing."""
_VAGUE = frozenset(
    {
        Reason.OFFLINE,
        Reason.SERVER,
        Reason.OVERLOADED,
        Reason.UNREACHABLE,
        Reason.TIMEOUT,
        Reason.PROTOCOL,
        Reason.FORBIDDEN,
        Reason.REDIRECTED,
        Reason.ALTERNATIVE,
    }
)
"""Reasons of statuses that stand for many things, so that a cause beside them says more."""
_EMPTY = frozenset({Reason.HANGUP, Reason.SERVER, Reason.PROTOCOL})
"""Reasons of causes that say less than any status of a refusal."""
_BY_WORD = {reason.word: reason for reason in Reason}


def from_status(status: int) -> Reason:
    """The reason that a final SIP response of 300-699 stands for."""
    exact = _EXACT.get(status)
    if exact is not None:
        return exact
    if status < 400:
        return Reason.REDIRECTED
    if status < 500:
        return Reason.PROTOCOL
    return Reason.SERVER if status < 600 else Reason.DECLINED


def from_cause(cause: int) -> Reason | None:
    """The reason that a Q.850 cause stands for (RFC 3398 §7.2.4.1); None for one that says nothing."""
    return _BY_CAUSE.get(cause)


def refined(status: int, cause: int | None) -> Reason:
    """The reason of a final response of 300-699 that came with a Q.850 cause (RFC 6432), or with none.

    A status that is clear holds. One that stands for many things gives way to the cause: networks answer 480 or 503
    for a telephone that nobody answers (19), that is busy (17), or that does not exist (1).
    """
    plain = from_status(status)
    told = None if cause is None else from_cause(cause)
    return plain if told is None or told in _EMPTY or plain not in _VAGUE else told


def from_word(word: str) -> Reason | None:
    """The reason with this dialect word, or None: clients may send words we do not know."""
    return _BY_WORD.get(word)
