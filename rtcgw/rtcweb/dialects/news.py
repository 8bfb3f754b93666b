"""What the gateway says in the native dialect: one class per message, and the parts of messages."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from rtcgw.model.events import Kind, Part, Sound, TransferStage
from rtcgw.rtcweb.dialects.fields import (
    CandidateLine,
    ForId,
    Id,
    Mid,
    MLine,
    News,
    OfSession,
    Session,
    Text,
    Tones,
    Ufrag,
)


class IceServer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A STUN or TURN server, as `RTCConfiguration.iceServers` wants it."""

    urls: Annotated[tuple[str, ...], Meta(description="`stun:` and `turn:` URIs.")]
    username: Annotated[str, Meta(description="TURN user name.")] = ""
    credential: Annotated[str, Meta(description="TURN password.")] = ""

    def __repr__(self) -> str:
        return f"IceServer(urls={self.urls!r})"


IceTtl: TypeAlias = Annotated[
    int | None,
    Meta(description="Seconds that the servers' credentials hold; missing: for good. ICE_SERVERS gets new ones."),
]


class Contact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address worth offering to the user."""

    name: Annotated[str, Meta(description="What to show.")]
    address: Annotated[str, Meta(description="What to dial.")]
    note: Annotated[str | None, Meta(description="What else to say of it.")] = None


class Party(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who calls, as the network asserts it."""

    uri: Annotated[str, Meta(description="A `sip:` or `tel:` URI, or a user's name.")]
    name: Annotated[str | None, Meta(description="The display name.")] = None


class CallInfo(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A call of the user's, as it stands."""

    session: OfSession
    role: Annotated[Literal["caller", "callee"], Meta(description="Which side of it the user is.")]
    state: Annotated[
        Literal["Calling", "InCall", "Reloading"],
        Meta(description="Where it stands, in the words of the patent's Fig. 7."),
    ]
    remote: Annotated[Party, Meta(description="Who is at the other end.")]
    here: Annotated[bool, Meta(description="Whether it is on this connection.")] = False
    away: Annotated[bool, Meta(description="Whether it waits for its page.")] = False
    answered: Annotated[float | None, Meta(description="Seconds since it was answered; missing before that.")] = None
    holding: Annotated[bool, Meta(description="Whether the user has put the other side on hold.")] = False
    held: Annotated[bool, Meta(description="Whether the other side has put the user on hold.")] = False


class MissedCall(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A call that nobody took."""

    session: OfSession
    from_: Annotated[Party, Meta(description="Who called.")] = field(name="from")
    at: Annotated[float, Meta(description="When, in seconds since 1970-01-01 UTC.")]
    reason: Annotated[str, Meta(description="Why it was not taken: a word as in HANGUP.")]


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
    ice_ttl: IceTtl = None
    contacts: Annotated[tuple[Contact, ...], Meta(description="Suggested addresses.")] = ()
    expires: Annotated[
        int | None, Meta(description="Seconds until the token expires and LOGIN must be sent again.")
    ] = None
    calls: Annotated[
        tuple[CallInfo, ...],
        Meta(
            description="All calls of this user. OFFER with `session` takes one up that is away or on another page; "
            "one that comes in and still rings needs no such thing, its own OFFER follows this message."
        ),
    ] = ()
    resume: Annotated[str, Meta(description="Logs this page in again, once, in place of a token; see LOGIN.")] = ""
    resume_ttl: Annotated[float, Meta(description="Seconds that it holds after the connection was lost.")] = 0.0
    missed: Annotated[tuple[MissedCall, ...], Meta(description="Calls that nobody took, the oldest first.")] = ()

    def __repr__(self) -> str:
        return f"LoggedIn(id={self.id!r}, user={self.user!r})"


class Ok(News, frozen=True, tag="OK"):
    """A request was carried out; for OFFER: the call was answered, or the page's change was taken."""

    for_: Annotated[
        Literal[
            "OFFER",
            "RINGING",
            "PRANSWER",
            "ANSWER",
            "CANDIDATE",
            "HANGUP",
            "DECLINE",
            "DTMF",
            "PING",
            "LOGOUT",
            "ICE",
            "HOLD",
            "TRANSFER",
            "MERGE",
            "SEEN",
        ],
        Meta(description="The type of the request."),
    ] = field(name="for")
    id: ForId = None
    session: Annotated[Session | None, Meta(description="The call, where it is about one.")] = None
    sdp: Annotated[Text | None, Meta(description="With OFFER: the description to apply.")] = None
    sdp_type: Annotated[Kind | None, Meta(description="What the description is.")] = None


class Servers(News, frozen=True, tag="OK"):
    """The answer to ICE_SERVERS."""

    id: Annotated[Id, Meta(description="The `id` of the request.")]
    for_: Annotated[Literal["ICE_SERVERS"], Meta(description="Always `ICE_SERVERS`.")] = field(name="for")
    ice_servers: Annotated[tuple[IceServer, ...], Meta(description="For the page's ICE agent.")]
    ttl: IceTtl = None


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
    """The call has come further, or an early description is there. Only for the capability `progress`."""

    session: OfSession
    stage: Annotated[
        Literal["forwarded", "queued"] | None,
        Meta(description="The call is being sent on to somebody else, or waits for its turn."),
    ] = None
    sdp: Annotated[Text | None, Meta(description="An early description, of the other side or the gateway's own.")] = (
        None
    )
    sdp_type: Annotated[Kind | None, Meta(description="What the description is.")] = None


class Incoming(News, frozen=True, tag="OFFER"):
    """A call comes in."""

    session: OfSession
    from_: Annotated[Party, Meta(description="Who calls.")] = field(name="from")
    to: Annotated[str, Meta(description="Whom the caller asked for.")]
    sdp: Annotated[Text, Meta(description="The offer.")]
    sdp_type: Annotated[Literal["offer"], Meta(description="Always `offer`.")]
    history: Annotated[
        tuple[Party, ...], Meta(description="Whom the call was meant for before it was sent on, the first one first.")
    ] = ()
    referred_by: Annotated[str | None, Meta(description="Who asked for this call by a transfer.")] = None
    headers: Annotated[
        dict[str, str] | None, Meta(description="Headers of the INVITE, of those that the configuration allows.")
    ] = None
    warm: Annotated[
        bool,
        Meta(description="Whether media may be set up before the answer: not where others ring too, nor page to page."),
    ] = True


class Change(News, frozen=True, tag="OFFER"):
    """A change of a call that has been answered: the page takes it by ANSWER with `sdp`, or refuses it by DECLINE."""

    session: OfSession
    sdp: Annotated[Text, Meta(description="The offer.")]
    sdp_type: Annotated[Literal["offer"], Meta(description="Always `offer`.")]
    fresh: Annotated[bool, Meta(description="The media are others than so far: answer with a new peer connection.")] = (
        False
    )


class Held(News, frozen=True, tag="HOLD"):
    """The other side has put the page on hold, or taken it back."""

    session: OfSession
    on: Annotated[bool, Meta(description="True: on hold. False: back.")]


class Connected(News, frozen=True, tag="PARTY"):
    """The page talks to somebody else now: the other side was transferred, or the network has named it."""

    session: OfSession
    remote: Annotated[Party, Meta(description="Who it is.")]


class Transferring(News, frozen=True, tag="TRANSFER"):
    """How the page's TRANSFER goes. After `done` the call ends by itself; `failed` leaves it as it was."""

    session: OfSession
    stage: Annotated[TransferStage, Meta(description="How far it is.")]
    reason: Annotated[str | None, Meta(description="With `failed`: one word for why, as in HANGUP.")] = None
    text: Annotated[str | None, Meta(description="With `failed`: a sentence fit to show.")] = None
    status: Annotated[int | None, Meta(description="The SIP status received, where there was one.")] = None


class Member(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Somebody in a call."""

    party: Annotated[Party, Meta(description="Who.")]
    part: Annotated[Part, Meta(description="What he or she is doing.")]
    video: Annotated[bool, Meta(description="Whether a picture is shown.")] = False


class Participants(News, frozen=True, tag="PARTICIPANTS"):
    """Who takes part in the call, whenever that changes. Only for the capability `participants`."""

    session: OfSession
    version: Annotated[int, Meta(description="Grows by one with each of these; what is older may be dropped.")]
    participants: Annotated[tuple[Member, ...], Meta(description="All of them.")]


class Calls(News, frozen=True, tag="CALLS"):
    """The user's calls, on whatever page, whenever one begins, changes or ends. Only for the capability `calls`."""

    calls: Annotated[tuple[CallInfo, ...], Meta(description="All of them.")]


class Missed(News, frozen=True, tag="MISSED"):
    """The missed calls of the user, whenever there is another one or they have been seen. Only for `calls`."""

    missed: Annotated[tuple[MissedCall, ...], Meta(description="All of them, the oldest first.")]


class Reconnect(News, frozen=True, tag="RECONNECT"):
    """The gateway will close this connection: make a new one, with `resume`. Calls go on."""

    within: Annotated[float, Meta(description="Seconds until it is closed.")]


class Ringback(News, frozen=True, tag="RINGBACK"):
    """Who makes what the caller hears until the call is answered. Only for the capability `ringback`."""

    session: OfSession
    sound: Annotated[
        Sound, Meta(description="`local`: the page's own tone. `network`: the sound that comes. `none`: nothing.")
    ]


class Keys(News, frozen=True, tag="DTMF"):
    """The other side pressed keys, and sent them outside its sound. Only for the capability `dtmf`."""

    session: OfSession
    tones: Tones


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
    text: Annotated[str, Meta(description="A sentence fit to show: `said`, or one of the gateway's own.")]
    status: Annotated[int | None, Meta(description="The SIP status received, where there was one.")] = None
    said: Annotated[
        str | None,
        Meta(description="What the other side, its network or another page said about it beyond the word (Reason)."),
    ] = None


class Error(News, frozen=True, tag="ERROR"):
    """A request was refused and changed nothing; without `id`, something that no request asked for."""

    code: Annotated[str, Meta(description="One word for why, see below.")]
    text: Annotated[str, Meta(description="A sentence for the developer of the page.")]
    id: ForId = None
    session: Annotated[Session | None, Meta(description="The call, where it is about one.")] = None
