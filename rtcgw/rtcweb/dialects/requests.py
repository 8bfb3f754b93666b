"""What a page may say in the native dialect: one class per message. `native.py` tells the whole."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from rtcgw.rtcweb.dialects.fields import (
    VERSION,
    Address,
    CandidateLine,
    Headers,
    Mid,
    MLine,
    Name,
    OfSession,
    OptionalId,
    PairValue,
    Request,
    RequestId,
    Sdp,
    Session,
    Tones,
    Ufrag,
    Word,
)


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
        Meta(
            description="What the client can do beyond the minimum: `progress`, `trickle`, `ringback`, `dtmf`, "
            "`participants`, `calls`."
        ),
    ] = ()
    resume: Annotated[
        Annotated[str, Meta(min_length=1, max_length=256)] | None,
        Meta(description="The resume token of the last log-in, in place of `token`: the same user's session goes on."),
    ] = None
    client: Annotated[Word | None, Meta(description="Name and version of the client, for the log.")] = None
    ice: Annotated[bool, Meta(description="Whether the client's media use ICE; without, still DTLS-SRTP.")] = True

    def __post_init__(self) -> None:
        by_name = self.user is not None and self.password is not None
        ways = (self.token is not None) + by_name + (self.resume is not None)
        if ways != 1 or (self.user is None) != (self.password is None):
            raise ValueError("Give one of `token`, `resume`, or `user` and `password`")

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
    anonymous: Annotated[bool, Meta(description="With `to`: the called is not to see who calls.")] = False
    headers: Annotated[
        Headers | None,
        Meta(description="With `to`: headers for the INVITE, of those that the gateway's configuration allows."),
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
    """Caller: the final reply, the answer was noted. Called: the user answers the call. Both: a change is taken."""

    id: RequestId
    session: OfSession
    sdp: Annotated[
        Sdp | None,
        Meta(
            description="Called: the answer, unless PRANSWER gave it. Caller: only where the gateway's was an offer. "
            "To a change: always."
        ),
    ] = None


class Decline(Request, frozen=True, tag="DECLINE"):
    """The page does not take the change that the gateway's OFFER asks for; the call stays as it was."""

    id: RequestId
    session: OfSession
    reason: Annotated[
        Word | None, Meta(description="Why: `declined`, `media-incompatible`, `media-failed`, `conflict`.")
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


class Dtmf(Request, frozen=True, tag="DTMF"):
    """Keys pressed, for a page that does not send them with its sound (RFC 4733)."""

    session: OfSession
    tones: Tones
    id: OptionalId = None


class Hold(Request, frozen=True, tag="HOLD"):
    """Put the other side on hold, or take it back. The page's own description stays as it is."""

    id: RequestId
    session: OfSession
    on: Annotated[bool, Meta(description="True: on hold. False: back.")] = True


class Transfer(Request, frozen=True, tag="TRANSFER"):
    """Connect the other side to somebody else; TRANSFER news tell how it goes, and HANGUP ends this call when done."""

    id: RequestId
    session: OfSession
    to: Annotated[Address | None, Meta(description="Whom: as in OFFER. A blind transfer.")] = None
    with_: Annotated[
        Session | None, Meta(description="Or another call of this page's: its other side. An attended transfer.")
    ] = field(name="with", default=None)

    def __post_init__(self) -> None:
        if (self.to is None) == (self.with_ is None):
            raise ValueError("Give either `to` or `with`")


class Merge(Request, frozen=True, tag="MERGE"):
    """Make one conference of calls of this user's; the OK names the call by which the page takes part in it."""

    id: RequestId
    sessions: Annotated[
        Annotated[tuple[Session, ...], Meta(min_length=2, max_length=8)],
        Meta(description="The calls, a conference among them where there is one already."),
    ]


class Seen(Request, frozen=True, tag="SEEN"):
    """The user has seen the missed calls: they are forgotten, on all pages of the user."""

    id: RequestId


class Ping(Request, frozen=True, tag="PING"):
    """Is the gateway there?"""

    id: RequestId


class Logout(Request, frozen=True, tag="LOGOUT"):
    """Calls end, and after the OK the connection closes with 1000."""

    id: RequestId


class IceServers(Request, frozen=True, tag="ICE_SERVERS"):
    """Servers with fresh credentials, before those of the log-in expire."""

    id: RequestId


class Ice(Request, frozen=True, tag="ICE"):
    """The pair that the page's ICE agent nominated."""

    id: RequestId
    session: OfSession
    pair: Annotated[
        Annotated[dict[Annotated[str, Meta(min_length=1, max_length=64)], PairValue], Meta(max_length=32)],
        Meta(description="Free fields, as from `RTCIceCandidatePairStats`."),
    ]
