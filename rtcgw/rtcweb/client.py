"""One page's conversation with the gateway: log-in, calls, and an answer to every request.

A `Client` is what stands behind one connection. It takes decoded messages, knows who is logged in, finds the call's
leg that a message is about (`clientcalls.py`), and answers what needs no leg. It reads no bytes (`dialects/`), owns no
socket (`websocket.py`) and decides nothing within a call (`useragent.py`).

What one connection shares with all others, the users, the door, the translator, the settings, is its `Desk`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface, implementer

from rtcgw import __version__
from rtcgw.config import Config
from rtcgw.media.backend import Access
from rtcgw.model.identity import SessionId
from rtcgw.rtcweb import clientcalls as calls
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.native import Id
from rtcgw.rtcweb.dialects.wire import WireError
from rtcgw.rtcweb.ice import IceHandler, Served
from rtcgw.rtcweb.identifying import Admitted, Authenticator, Refused, Users
from rtcgw.rtcweb.legstates import Role
from rtcgw.rtcweb.legtable import browser_leg
from rtcgw.rtcweb.missed import MissedCalls
from rtcgw.rtcweb.reconnecting import CLOSE_RECONNECT
from rtcgw.rtcweb.resuming import Place, Places
from rtcgw.rtcweb.tokens import verifier
from rtcgw.rtcweb.useragent import BrowserLeg, IPage
from rtcgw.rtcweb.usersession import IClient, UserSession
from rtcgw.store.missed import MemoryMissed
from rtcgw.translator.factory import ITranslator

log = Logger()

ATTEMPTS: Final = 3
"""Failed log-ins of one connection before it is closed."""
RENEWAL: Final = 30.0
"""Seconds that a connection outlives its token, to log in again."""
ICE_BURST: Final = 5
"""Requests for ICE servers that a page may make at once."""
ICE_EVERY: Final = 10.0
"""Seconds per such request in the long run."""
SERVER: Final = f"rtcgw/{__version__}"

_KNOWN: Final = frozenset(native.CAPABILITIES)
_SETS: Final[dict[frozenset[str], frozenset[str]]] = {}
"""Each set of capabilities once, however many pages have it; there are 32 at most."""
AUTH_CLOSE: Final = 4401
"""WebSocket close code: no or no longer a valid log-in."""


class ILink(Interface):
    """The connection under a client."""

    number: int = Attribute("Counts the connections of this gateway, for logs.")
    address: str = Attribute("The network address of the other end.")

    def send(message: native.GatewayMessage) -> None:
        """Send one message; dropped silently when the connection is closing."""

    def close(code: int, reason: str) -> None:
        """Close the connection."""


@frozen(eq=False)
class Desk:
    """What all clients share."""

    users: Users
    places: Places
    authenticator: Authenticator
    translator: ITranslator
    clock: IReactorTime
    now: Callable[[], float]
    """Wall-clock time, seconds since the epoch."""
    ice: IceHandler
    missed: MissedCalls
    contacts: tuple[native.Contact, ...] = ()
    ping: float = 20.0
    grace: float = 30.0
    confirm_wait: float = 3.0
    """Seconds that a caller's page may take for its final ANSWER; longer than the ladder's `hold_max`."""
    patent: bool = False
    """The ladder that pages are told of."""
    headers: Mapping[str, str] = field(factory=dict)
    """Headers that pages may set, as configured, by lower-case name."""


def make_desk(
    config: Config,
    users: Users,
    translator: ITranslator,
    reactor: Any,
    now: Callable[[], float],
    missed: MissedCalls | None = None,
) -> Desk:
    """The desk that the configuration asks for. Raises `BadKey` for a key that cannot serve.

    `reactor` provides time and, where there are ICE servers to look after, what `stunprobe.ask` needs. Without
    `missed` nobody enters missed calls.
    """
    places = Places(reactor, now, config.call.resume_time, config.web.max_connections)
    return Desk(
        users=users,
        places=places,
        authenticator=Authenticator(users, places, verifier(config.login, now), config.passwords, now),
        translator=translator,
        clock=reactor,
        now=now,
        ice=IceHandler(config.ice.servers, config.ice.probe, reactor, now),
        missed=missed or MissedCalls(users, MemoryMissed()),
        contacts=tuple(
            native.Contact(name=entry.name, address=entry.address, note=entry.note or None)
            for entry in config.web.contacts
        ),
        ping=config.web.ping,
        grace=config.call.grace,
        confirm_wait=config.call.hold_max + 1.0,
        patent=config.call.ladder == "patent",
        headers={name.lower(): name for name in config.call.headers},
    )


@implementer(IClient, IPage)
class Client:
    """The conversation of one connection. `receive` takes every message, `lost` is called once."""

    __slots__ = (
        "_attempts",
        "_desk",
        "_expires",
        "_ice_full",
        "_link",
        "_open",
        "_place",
        "_warned",
        "access",
        "capabilities",
        "legs",
        "name",
        "session",
    )

    def __init__(self, desk: Desk, link: ILink) -> None:
        self._desk = desk
        self._link = link
        self._attempts = 0
        self._expires: float | None = None
        self._warned = False
        """The page was told that its token has expired."""
        self._open: Id | None = None
        """The id of the request in hand, until something has answered it."""
        self._place: Place | None = None
        """What this connection's resume token stands for, until another connection has it."""
        self.session: UserSession | None = None
        """Who is logged in; None before."""
        self._ice_full = 0.0
        """When the page's last requests for ICE servers will be forgotten, by the clock."""
        self.access = Access.WEB
        self.capabilities: frozenset[str] = frozenset()
        self.name = f"#{link.number}"
        self.legs: dict[str, BrowserLeg] = {}
        """The calls' legs whose page is on this connection."""

    def receive(self, message: native.ClientMessage) -> None:
        """Carry out one message; whatever happens, a request gets its answer."""
        self._open = message.id
        try:
            if self.session is None and type(message) not in (native.Login, native.Ping, native.Logout):
                self.refuse(message, "not-logged-in")
            else:
                _HANDLERS[type(message)](self, message)
        except Exception:
            log.failure("client {client}: internal error on {type}", client=self.name, type=type(message).__name__)
            if self._open is not None:
                self.refuse(message, "internal")

    def broken(self, error: WireError) -> None:
        """The page sent what is no message."""
        self.send(native.Error(id=error.request_id, code=error.code, text=error.text))

    def lost(self) -> None:
        """The connection is gone: calls that ring here end, others wait for their page."""
        for leg in list(self.legs.values()):
            leg.lost()
        session, self.session = self.session, None
        if self._place is not None:
            self._desk.places.lose(self._place, self)
        if session is not None:
            self._desk.users.leave(session, self)
            log.info("client {client} gone", client=self.name)

    def check(self, now: float) -> None:
        """Called now and then: a token that has expired must be renewed."""
        if self._expires is None or now < self._expires:
            return
        if not self._warned:
            self._warned = True
            self.send(native.Error(code="token-expired", text=native.CODES["token-expired"]))
        elif now >= self._expires + RENEWAL:
            self._link.close(AUTH_CLOSE, "token expired")

    # -- for the legs and the session ------------------------------------------------------

    def send(self, message: native.GatewayMessage) -> None:
        """See `IPage`."""
        if self._open is not None and getattr(message, "id", None) == self._open:
            self._open = None
        self._link.send(message)

    def adopt(self, leg: BrowserLeg) -> None:
        """See `IPage`."""
        self.legs[leg.session] = leg

    def drop(self, leg: BrowserLeg) -> None:
        """See `IPage`."""
        if self.legs.get(leg.session) is leg:
            del self.legs[leg.session]

    def ring(self, session: SessionId) -> BrowserLeg | None:
        """See `IClient`."""
        if self.session is None or session in self.legs:
            return None
        return self.new_leg(session, Role.CALLEE, self.session)

    def new_leg(self, session: SessionId, role: Role, home: UserSession) -> BrowserLeg:
        """A leg of a new call, on this page."""
        desk = self._desk
        leg = browser_leg(session, role, self, home, desk.clock, desk.grace, desk.confirm_wait)
        self.legs[session] = leg
        home.legs.add(leg)
        return leg

    # -- requests without a call -----------------------------------------------------------

    def refuse(self, message: native.ClientMessage, code: str) -> None:
        """ERROR: the request changes nothing."""
        self.send(
            native.Error(id=message.id, session=getattr(message, "session", None), code=code, text=native.CODES[code])
        )

    def _login(self, message: native.Login) -> None:
        if message.version.partition(".")[0] != native.VERSION.partition(".")[0]:
            self.refuse(message, "unsupported-version")
            return
        try:
            admitted = self._desk.authenticator.admit(message, self._link.address)
            newcomer = self.session is None
            if self.session is None:
                self._make_room(admitted)
                self.session = self._desk.users.join(admitted.user, self)
            elif self.session.user.name != admitted.user.name:
                raise Refused("already-logged-in")
            else:
                self._desk.users.renew(self.session, admitted.user)
        except Refused as refused:
            self._login_refused(message, refused)
            return
        self._attempts = 0
        self._expires, self._warned = admitted.expires, False
        found = _KNOWN.intersection(message.capabilities)
        self.capabilities = _SETS.setdefault(found, found)
        self.access = Access.WEB if message.ice else Access.PLAIN
        self.name = f"{admitted.user.name}#{self._link.number}"
        if newcomer:
            log.info("client {client} logged in ({software})", client=self.name, software=message.client or "unnamed")
        self._welcome(message, self.session, self._take_place(message, admitted))
        if newcomer:
            self.session.ring(self)

    def _make_room(self, admitted: Admitted) -> None:
        """A page that is back is not refused for its own old connection, which is half open: that one goes."""
        holder = None if admitted.place is None else admitted.place.holder
        if isinstance(holder, Client) and self._desk.users.full(admitted.user.name):
            holder.close()

    def close(self) -> None:
        """Another connection is there in this one's place."""
        self._link.close(CLOSE_RECONNECT, "resumed on another connection")

    def _take_place(self, message: native.Login, admitted: Admitted) -> str:
        """The resume token for this log-in, which is good for the next one."""
        places, mine = self._desk.places, self._place
        if mine is not None and mine.holder is not self:
            mine = None
        if admitted.place is not None:
            if mine is not None and mine is not admitted.place:
                places.leave(mine, self)
            self._place = admitted.place
            return places.take(admitted.place, message.resume or "", self)
        if mine is not None:
            return places.renew(mine, admitted.user, admitted.expires)
        self._place, token = places.enter(admitted.user, admitted.expires, self)
        return token

    def _login_refused(self, message: native.Login, refused: Refused) -> None:
        self.refuse(message, refused.code)
        self._attempts += 1
        if self._attempts >= ATTEMPTS or refused.code == "too-many-attempts":
            self._link.close(AUTH_CLOSE, refused.code)

    def _welcome(self, message: native.Login, session: UserSession, resume: str) -> None:
        desk, user = self._desk, session.user
        served = self._served(session)
        self.send(
            native.LoggedIn(
                id=message.id,
                for_="LOGIN",
                user=user.name,
                identities=() if user.impu is None else (user.impu,),
                version=native.VERSION,
                server=SERVER,
                ice_servers=served.servers,
                ice_ttl=served.ttl,
                ping=desk.ping,
                grace=desk.grace,
                ladder="patent" if desk.patent else "auto",
                capabilities=native.CAPABILITIES,
                contacts=tuple(contact for contact in desk.contacts if contact.address != user.name),
                expires=None if self._expires is None else max(0, int(self._expires - desk.now())),
                calls=session.views(self),
                missed=desk.missed.of(user.name),
                resume=resume,
                resume_ttl=desk.places.life,
            )
        )

    def _served(self, session: UserSession) -> Served:
        """A page without ICE has no use for servers."""
        if self.access is Access.PLAIN:
            return Served()
        return self._desk.ice.serve(session.user.name, self._link.address)

    def _ice_servers(self, message: native.IceServers) -> None:
        """Fresh credentials. Each is good for hours of a relay, so a page gets a few, then one now and then."""
        now = self._desk.clock.seconds()
        full = max(self._ice_full, now) + ICE_EVERY
        if full - now > ICE_BURST * ICE_EVERY:
            self.refuse(message, "limit")
            return
        self._ice_full = full
        served = self._served(self.here)
        self.send(native.Servers(id=message.id, for_="ICE_SERVERS", ice_servers=served.servers, ttl=served.ttl))

    def _ping(self, message: native.Ping) -> None:
        self.send(native.Ok(for_="PING", id=message.id))

    def _logout(self, message: native.Logout) -> None:
        """Leaving on purpose is no loss: calls end at once. Who leaves the last page also leaves the calls that wait
        for another one; where there are others, a call that is away is one of theirs."""
        for leg in list(self.legs.values()):
            leg.leave()
        if self._place is not None:
            self._desk.places.leave(self._place, self)
        if self.session is not None and self.session.clients == [self]:
            self.session.log_out()
        self.send(native.Ok(for_="LOGOUT", id=message.id))
        self._link.close(1000, "logged out")

    def _seen(self, message: native.Seen) -> None:
        self.send(native.Ok(for_="SEEN", id=message.id))
        self._desk.missed.seen(self.here.user.name)

    # -- for the requests about calls ------------------------------------------------------

    @property
    def here(self) -> UserSession:
        """The session of whoever is logged in; `receive` lets nobody else pass."""
        assert self.session is not None
        return self.session

    @property
    def desk(self) -> Desk:
        """What all clients share."""
        return self._desk


_HANDLERS: Final[dict[type[Any], Callable[[Client, Any], None]]] = {
    native.Login: Client._login,
    native.Ping: Client._ping,
    native.Logout: Client._logout,
    native.Offer: calls.offer,
    native.Ringing: calls.in_call,
    native.Pranswer: calls.in_call,
    native.Answer: calls.in_call,
    native.Decline: calls.in_call,
    native.Dtmf: calls.in_call,
    native.Hold: calls.in_call,
    native.Transfer: calls.transfer,
    native.Merge: calls.merge,
    native.Seen: Client._seen,
    native.Hangup: calls.hang_up,
    native.Candidate: calls.candidate,
    native.Ice: calls.ice,
    native.IceServers: Client._ice_servers,
}
