"""What the gateway says in the native dialect: one class per message, and the parts of messages."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from rtcgw.model.events import Kind, Sound
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
    ice_ttl: IceTtl = None
    contacts: Annotated[tuple[Contact, ...], Meta(description="Suggested addresses.")] = ()
    expires: Annotated[
        int | None, Meta(description="Seconds until the token expires and LOGIN must be sent again.")
    ] = None
    calls: Annotated[
        tuple[str, ...],
        Meta(description="Sessions of this user that wait for their page: OFFER with `session` takes one up."),
    ] = ()


class Ok(News, frozen=True, tag="OK"):
    """A request was carried out; for OFFER: the call was answered, or the page's change was taken."""

    for_: Annotated[
        Literal[
            "OFFER", "RINGING", "PRANSWER", "ANSWER", "CANDIDATE", "HANGUP", "DECLINE", "DTMF", "PING", "LOGOUT", "ICE"
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
    """An early description, of the other side or the gateway's own. Only for the capability `progress`."""

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


class Change(News, frozen=True, tag="OFFER"):
    """A change of a call that has been answered: the page takes it by ANSWER with `sdp`, or refuses it by DECLINE."""

    session: OfSession
    sdp: Annotated[Text, Meta(description="The offer.")]
    sdp_type: Annotated[Literal["offer"], Meta(description="Always `offer`.")]


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
    text: Annotated[str, Meta(description="A sentence fit to show.")]
    status: Annotated[int | None, Meta(description="The SIP status received, where there was one.")] = None


class Error(News, frozen=True, tag="ERROR"):
    """A request was refused and changed nothing; without `id`, something that no request asked for."""

    code: Annotated[str, Meta(description="One word for why, see below.")]
    text: Annotated[str, Meta(description="A sentence for the developer of the page.")]
    id: ForId = None
    session: Annotated[Session | None, Meta(description="The call, where it is about one.")] = None
