"""The native dialect `rtcgw.1`: JSON text frames, one message each, in the patent's words.

    page                       gateway                        page                       gateway
      LOGIN        ------------>                                <------------  OFFER        (a call comes in)
      <------------  OK for LOGIN                               RINGING      ------------>
      OFFER        ------------>                                <------------  OK for RINGING
      <------------  WAITING                                    ANSWER       ------------>
      <------------  RINGING, PROGRESS                          <------------  OK for ANSWER (the caller knows)
      PRANSWER     ------------>
      <------------  OK for PRANSWER                            either side, at any time:
      <------------  OK for OFFER   (answered)                  HANGUP, CANDIDATE
      ANSWER       ------------>
      <------------  OK for ANSWER

Every request of a client carries an `id` and is answered exactly once: by OK, by WAITING, or by ERROR.

The classes are the vocabulary between the user agent (430) and every dialect: another dialect is a module that
turns its own wire format into these and back. Each field says what it is, its bounds and, under `description`, what
it is for; the JSON Schema and the tables of docs/protocol.md are printed from that (`reference.py`).

What it is not: it keeps no state and decides nothing about calls. `useragent.py` does.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

from rtcgw.model.events import Kind
from rtcgw.rtcweb.dialects.wire import Wire

SUBPROTOCOL: Final = "rtcgw.1"
"""The WebSocket subprotocol."""
VERSION: Final = "1.0"
"""The dialect's version; the major number is the subprotocol's."""
CAPABILITIES: Final = ("progress", "trickle", "resume")
"""What this gateway can do beyond the minimum."""

SDP_LIMIT: Final = 32768
"""Characters of a session description."""

# The end of a pattern: `$` would let a trailing newline pass, and JSON Schema knows no `\Z`.
_END = r"(?![\s\S])"

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=1 - 2**53, le=2**53 - 1)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Word: TypeAlias = Annotated[str, Meta(max_length=64)]
Session: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Sdp: TypeAlias = Annotated[str, Meta(min_length=1, max_length=SDP_LIMIT)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Address: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256, pattern=r'^[^\x00-\x1f\x7f<>"]+' + _END)]
Line: TypeAlias = Annotated[str, Meta(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*" + _END)]
PairValue: TypeAlias = Annotated[str, Meta(max_length=256)] | int | float | bool | None

RequestId: TypeAlias = Annotated[Id, Meta(description="The client's own number or name for this request.")]
OptionalId: TypeAlias = Annotated[Id | None, Meta(description="Where given, the message is answered with OK.")]
ForId: TypeAlias = Annotated[Id | None, Meta(description="The `id` of the request that this answers.")]
OfSession: TypeAlias = Annotated[Session, Meta(description="The call, as the gateway named it.")]
Mid: TypeAlias = Annotated[
    Annotated[str, Meta(max_length=64)] | None, Meta(description="The media section it belongs to, by `a=mid`.")
]
MLine: TypeAlias = Annotated[
    Annotated[int, Meta(ge=0, le=255)] | None, Meta(description="The media section it belongs to, by number.")
]
Ufrag: TypeAlias = Annotated[
    Annotated[str, Meta(max_length=256)] | None, Meta(description="The ICE user fragment it belongs to.")
]
CandidateLine: TypeAlias = Annotated[
    Line | None, Meta(description="The candidate, without `a=`; null ends the candidates (RFC 8838).")
]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", rename="camel"):
    """What a client may send. Unknown fields are refused, so that a misspelt one is noticed."""


class News(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", rename="camel", gc=False):
    """What the gateway sends. Fields that say nothing are left out; clients ignore fields they do not know."""


# -- client to gateway -------------------------------------------------------------------------------


class Login(Request, frozen=True, tag="LOGIN"):
    """Who is there. The first message; again, with a fresh token, before the old one expires."""

    id: RequestId
    token: Annotated[
        Annotated[str, Meta(min_length=1, max_length=8192)] | None,
        Meta(description="A signed token (JWT). Either this or `user` and `password`."),
    ] = None
    user: Annotated[Name | None, Meta(description="The user's name; taken in the sandbox only.")] = None
    password: Annotated[
        Annotated[str, Meta(max_length=256)] | None, Meta(description="The password; taken in the sandbox only.")
    ] = None
    version: Annotated[Word, Meta(description="The version of the dialect that the client speaks.")] = VERSION
    capabilities: Annotated[
        Annotated[tuple[Word, ...], Meta(max_length=32)],
        Meta(description="What the client can do beyond the minimum: `progress`, `trickle`."),
    ] = ()
    client: Annotated[Word | None, Meta(description="Name and version of the client, for the log.")] = None

    def __post_init__(self) -> None:
        by_name = self.user is not None and self.password is not None
        if (self.token is None) != by_name or (self.user is None) != (self.password is None):
            raise ValueError("Give either `token`, or `user` and `password`")

    def __repr__(self) -> str:
        return f"Login(id={self.id!r}, user={self.user!r})"


class Offer(Request, frozen=True, tag="OFFER"):
    """A call (`to`), or a new offer in a call that exists (`session`): an ICE restart, a page that came back."""

    id: RequestId
    to: Annotated[Address | None, Meta(description="Whom to call: a user, a number, a `sip:` or `tel:` URI.")] = None
    session: Annotated[Session | None, Meta(description="The call to change; then without `to`.")] = None
    sdp: Annotated[
        Sdp | None,
        Meta(description="The offer. A call without it asks the other side to offer; a change must have it."),
    ] = None

    def __post_init__(self) -> None:
        if (self.to is None) == (self.session is None):
            raise ValueError("Give either `to` or `session`")
        if self.session is not None and self.sdp is None:
            raise ValueError("A new offer in a session needs `sdp`")


class Ringing(Request, frozen=True, tag="RINGING"):
    """The called page rings."""

    id: RequestId
    session: OfSession


class Pranswer(Request, frozen=True, tag="PRANSWER"):
    """Caller: the progress was noted. Called: an early answer, before the user has answered."""

    id: RequestId
    session: OfSession
    sdp: Annotated[
        Sdp | None,
        Meta(description="Called: the early answer. Caller: only where the gateway's description was an offer."),
    ] = None


class Answer(Request, frozen=True, tag="ANSWER"):
    """Caller: the final reply, the answer was noted. Called: the user answers the call."""

    id: RequestId
    session: OfSession
    sdp: Annotated[
        Sdp | None,
        Meta(description="Called: the answer, unless PRANSWER gave it. Caller: only where the gateway's was an offer."),
    ] = None


class Candidate(Request, frozen=True, tag="CANDIDATE"):
    """A trickled ICE candidate."""

    session: OfSession
    candidate: CandidateLine
    id: OptionalId = None
    mid: Mid = None
    m_line_index: MLine = None
    ufrag: Ufrag = None


class Hangup(Request, frozen=True, tag="HANGUP"):
    """End a call, give it up, or refuse it."""

    id: RequestId
    session: OfSession
    reason: Annotated[
        Word | None,
        Meta(description="Why: `hangup`, `busy`, `declined`, `unwanted`, `unavailable`, `media-failed`, `media-lost`."),
    ] = None


class Ping(Request, frozen=True, tag="PING"):
    """Is the gateway there?"""

    id: RequestId


class Logout(Request, frozen=True, tag="LOGOUT"):
    """Calls end, and after the OK the connection closes with 1000."""

    id: RequestId


class Ice(Request, frozen=True, tag="ICE"):
    """The pair that the page's ICE agent nominated."""

    id: RequestId
    session: OfSession
    pair: Annotated[
        Annotated[dict[Annotated[str, Meta(min_length=1, max_length=64)], PairValue], Meta(max_length=32)],
        Meta(description="Free fields, as from `RTCIceCandidatePairStats`."),
    ]


ClientMessage: TypeAlias = Login | Offer | Ringing | Pranswer | Answer | Candidate | Hangup | Ping | Logout | Ice


# -- gateway to client -------------------------------------------------------------------------------


class IceServer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A STUN or TURN server, as `RTCConfiguration.iceServers` wants it."""

    urls: Annotated[tuple[str, ...], Meta(description="`stun:` and `turn:` URIs.")]
    username: Annotated[str, Meta(description="TURN user name.")] = ""
    credential: Annotated[str, Meta(description="TURN password.")] = ""

    def __repr__(self) -> str:
        return f"IceServer(urls={self.urls!r})"


class Contact(Struct, frozen=True, kw_only=True):
    """An address worth offering to the user."""

    name: Annotated[str, Meta(description="What to show.")]
    address: Annotated[str, Meta(description="What to dial.")]


class Party(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who calls, as the network asserts it."""

    uri: Annotated[str, Meta(description="A `sip:` or `tel:` URI, or a user's name.")]
    name: Annotated[str | None, Meta(description="The display name.")] = None


class LoggedIn(News, frozen=True, tag="OK"):
    """The answer to LOGIN."""

    id: Annotated[Id, Meta(description="The `id` of the LOGIN.")]
    user: Annotated[str, Meta(description="The user's name.")]
    server: Annotated[str, Meta(description="Name and version of the gateway.")]
    ping: Annotated[float, Meta(description="Seconds of silence after which the gateway asks for a sign of life.")]
    grace: Annotated[float, Meta(description="Seconds that a call waits for its page to come back.")]
    ladder: Annotated[Literal["auto", "patent"], Meta(description="When PRACK and ACK go out, see below.")]
    capabilities: Annotated[tuple[str, ...], Meta(description="What the gateway can do beyond the minimum.")]
    for_: Annotated[Literal["LOGIN"], Meta(description="Always `LOGIN`.")] = field(name="for")
    version: Annotated[str, Meta(description="The version of the dialect in use.")]
    ice_servers: Annotated[tuple[IceServer, ...], Meta(description="For the page's ICE agent.")]
    identities: Annotated[tuple[str, ...], Meta(description="The user's public identities in the IMS.")]
    contacts: Annotated[tuple[Contact, ...], Meta(description="Suggested addresses.")] = ()
    expires: Annotated[
        int | None, Meta(description="Seconds until the token expires and LOGIN must be sent again.")
    ] = None
    calls: Annotated[
        tuple[str, ...],
        Meta(description="Sessions of this user that wait for their page: OFFER with `session` takes one up."),
    ] = ()


class Ok(News, frozen=True, tag="OK"):
    """A request was carried out; for OFFER: the call was answered, or the change was taken."""

    for_: Annotated[
        Literal["OFFER", "RINGING", "PRANSWER", "ANSWER", "CANDIDATE", "HANGUP", "PING", "LOGOUT", "ICE"],
        Meta(description="The type of the request."),
    ] = field(name="for")
    id: ForId = None
    session: Annotated[Session | None, Meta(description="The call, where it is about one.")] = None
    sdp: Annotated[Text | None, Meta(description="With OFFER: the description to apply.")] = None
    sdp_type: Annotated[Kind | None, Meta(description="What the description is.")] = None


class Waiting(News, frozen=True, tag="WAITING"):
    """A call is being placed."""

    id: Annotated[Id, Meta(description="The `id` of the OFFER.")]
    session: Annotated[Session, Meta(description="The call's name from now on.")]
    to: Annotated[str, Meta(description="Whom it goes to, as the client wrote it.")]


class Alerting(News, frozen=True, tag="RINGING"):
    """The other side rings."""

    session: OfSession
    sdp: Annotated[Text | None, Meta(description="An early description, to hear what the network plays.")] = None
    sdp_type: Annotated[Kind | None, Meta(description="What the description is.")] = None


class Early(News, frozen=True, tag="PROGRESS"):
    """An early description. Only for clients with the capability `progress`; others get it with RINGING."""

    session: OfSession
    sdp: Annotated[Text, Meta(description="The early description.")]
    sdp_type: Annotated[Kind, Meta(description="What the description is.")]


class Incoming(News, frozen=True, tag="OFFER"):
    """A call comes in."""

    session: OfSession
    from_: Annotated[Party, Meta(description="Who calls.")] = field(name="from")
    to: Annotated[str, Meta(description="Whom the caller asked for.")]
    sdp: Annotated[Text, Meta(description="The offer.")]
    sdp_type: Annotated[Literal["offer"], Meta(description="Always `offer`.")]


class Trickle(News, frozen=True, tag="CANDIDATE"):
    """A trickled ICE candidate of the other side."""

    session: OfSession
    candidate: CandidateLine
    mid: Mid = None
    m_line_index: MLine = None
    ufrag: Ufrag = None


class Ended(News, frozen=True, tag="HANGUP"):
    """The call is over."""

    session: OfSession
    reason: Annotated[str, Meta(description="One word for why, see below.")]
    text: Annotated[str, Meta(description="A sentence fit to show.")]
    status: Annotated[int | None, Meta(description="The SIP status received, where there was one.")] = None


class Error(News, frozen=True, tag="ERROR"):
    """A request was refused and changed nothing; without `id`, something that no request asked for."""

    code: Annotated[str, Meta(description="One word for why, see below.")]
    text: Annotated[str, Meta(description="A sentence for the developer of the page.")]
    id: ForId = None
    session: Annotated[Session | None, Meta(description="The call, where it is about one.")] = None


GatewayMessage: TypeAlias = LoggedIn | Ok | Waiting | Alerting | Early | Incoming | Trickle | Ended | Error

CODES: Final = {
    "malformed": "The message is no JSON object, or a field is missing, unknown, too long or of the wrong type.",
    "unknown-message": "There is no message of this type.",
    "not-logged-in": "LOGIN comes first.",
    "auth-failed": "Token, name or password are not accepted. After the third the connection closes with 4401.",
    "too-many-attempts": "Too many failed log-ins from this address; the connection closes with 4401.",
    "token-expired": "The token has expired: send LOGIN with a fresh one, or the connection closes with 4401.",
    "already-logged-in": "This connection belongs to another user.",
    "unsupported-version": "The gateway does not speak this version.",
    "no-session": "There is no such call, or it is over.",
    "illegal-state": "The message makes no sense now; nothing has changed.",
    "sdp-required": "This message needs a session description now.",
    "limit": "A bound is reached: calls or connections of this user, or candidates waiting.",
    "flood": "Too many messages; the connection closes with 4413.",
    "ended": "The call ended, or its page left, before the request was carried out.",
    "moved": "Another connection of this user has taken up the call.",
    "internal": "The gateway made a mistake; its log says more.",
}
"""Codes of ERROR that are not reasons. A refused change carries the word of a reason (`model/reason.py`)."""

CLOSE_CODES: Final = {
    1000: "After LOGOUT.",
    1001: "The gateway stops.",
    1002: "The client broke the WebSocket protocol.",
    1003: "A binary message.",
    1007: "Text that is not UTF-8.",
    1009: "A message larger than allowed.",
    1011: "The gateway made a mistake.",
    4401: "Log-in failed, or a token expired and was not renewed.",
    4408: "No log-in in time, or silence in spite of a ping.",
    4413: "Messages came too fast, or were read too slowly.",
}
"""With which codes the gateway closes a connection."""

_wire: Wire[ClientMessage] = Wire(ClientMessage)
_encoder = msgspec.json.Encoder()

decode = _wire.decode
"""The message in a frame; raises `WireError`."""
encode = _encoder.encode
"""The frame for a gateway message."""
