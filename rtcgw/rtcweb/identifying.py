"""The identifying handler (420): who a client is, and which user a destination means.

A door and a table:

    Authenticator   verifies a token, a resume token, or in the sandbox a name and password -> `Admitted`
    Users           every user the gateway knows, found by any spelling of their name or public identity

A user may have several connections: a call to them rings on all. One who is there has a `usersession.UserSession`.

Failed log-ins are counted per network address in a bounded table; who fails too often is not even looked at for a
while, right password or not. X-Forwarded-For is not read: behind a proxy all clients count as one address.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from attrs import define, evolve, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.media.backend import Access
from rtcgw.model.identity import Profile, SessionId, User, canonical_key
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.resuming import Place, Places
from rtcgw.rtcweb.tokens import BadToken, TokenVerifier
from rtcgw.rtcweb.useragent import BrowserLeg
from rtcgw.rtcweb.usersession import IClient, UserSession
from rtcgw.translator.factory import Unreachable

log = Logger()

CONNECTIONS_LIMIT: Final = 10
"""Connections of one user."""
ADDRESSES_LIMIT: Final = 4096
"""Addresses whose failed log-ins are remembered; the one longest quiet is forgotten first."""
FAILURES: Final = 20
"""Failed log-ins that an address has at once."""
RESUME_WEIGHT: Final = 0.25
"""What a refused resume token counts: nobody guesses one, and after a restart of the gateway every page of an office
shows one that is not known any more, before it logs in properly."""
FORGIVEN: Final = 3.0
"""Seconds after which one failure is forgiven."""


class Refused(Exception):
    """A log-in is refused. `code` is the dialect's; `text` tells a stranger nothing about what was wrong."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.text = native.CODES[code]
        super().__init__(self.text)


@frozen
class Admitted:
    """A client that has proved who it is."""

    user: User
    expires: float | None = None
    """When the proof must be renewed, seconds since the epoch; None: never."""
    place: Place | None = None
    """The place that is resumed, where the proof was a resume token."""


@define
class _Failures:
    """The failed log-ins of one address, as a bucket that empties with time."""

    level: float
    since: float


class Throttle:
    """Counts failures per address in a table of bounded size."""

    __slots__ = ("_now", "_table")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._table: OrderedDict[str, _Failures] = OrderedDict()

    def blocked(self, address: str) -> bool:
        """Whether this address has failed too often of late."""
        found = self._table.get(address)
        if found is None:
            return False
        self._drain(found)
        if found.level <= 0:
            del self._table[address]
        return found.level > FAILURES - 1

    def failed(self, address: str, weight: float = 1.0) -> None:
        """Count a failure."""
        found = self._table.pop(address, None)
        if found is None:
            found = _Failures(0.0, self._now())
            if len(self._table) >= ADDRESSES_LIMIT:
                self._table.popitem(last=False)
        self._drain(found)
        found.level += weight
        self._table[address] = found

    def __len__(self) -> int:
        return len(self._table)

    def _drain(self, found: _Failures) -> None:
        now = self._now()
        found.level = max(0.0, found.level - (now - found.since) / FORGIVEN)
        found.since = now


class Authenticator:
    """Decides who a client is.

    `passwords` maps names to passwords and is empty outside the sandbox. `now` is seconds since the epoch.
    """

    __slots__ = ("_passwords", "_places", "_throttle", "_users", "_verifier")

    def __init__(
        self,
        users: Users,
        places: Places,
        verifier: TokenVerifier,
        passwords: Mapping[str, str],
        now: Callable[[], float],
    ) -> None:
        self._users = users
        self._places = places
        self._verifier = verifier
        self._passwords = dict(passwords)
        self._throttle = Throttle(now)

    def admit(self, message: native.Login, address: str) -> Admitted:
        """Who sent this LOGIN from this network address. Raises `Refused`."""
        if self._throttle.blocked(address):
            raise Refused("too-many-attempts")
        try:
            if message.resume is not None:
                return self._by_place(message.resume)
            return self._by_token(message.token) if message.token is not None else self._by_password(message)
        except BadToken as error:
            self._throttle.failed(address, 1.0 if message.resume is None else RESUME_WEIGHT)
            log.info("log-in from {address} refused: {problem}", address=address, problem=str(error), ration="log-ins")
            raise Refused("auth-failed") from None

    def _by_token(self, token: str) -> Admitted:
        claims = self._verifier.verify(token)
        user = self._users.configured(claims.user) or User(claims.user)
        self._users.check_name(user)
        if claims.impu is not None:
            user = self._users.with_impu(user, claims.impu)
        return Admitted(evolve(user, display=claims.display or user.display), claims.expires)

    def _by_place(self, token: str) -> Admitted:
        """The user of the place, as the newest log-in has described them; where all are gone, as they would be now."""
        place = self._places.find(token)
        session = self._users.sessions.get(place.user.name)
        user = place.user if session is None else session.user
        if session is None and self._users.configured(user.name) is None:
            self._users.check_name(user)
            if user.impu is not None:
                user = self._users.with_impu(user, user.impu)
        return Admitted(user, place.expires, place)

    def _by_password(self, message: native.Login) -> Admitted:
        name, given = message.user or "", message.password or ""
        wanted = self._passwords.get(name)
        # An unknown name takes as long as a wrong password.
        right = hmac.compare_digest((wanted or "\0no such user").encode(), given.encode())
        user = self._users.configured(name)
        if not right or wanted is None or user is None:
            raise BadToken(f"name or password wrong for {name!r}")
        return Admitted(user)


class Users:
    """Every user: those of the configuration, and those whom a token named and who are logged in now.

    `max_calls` bounds the calls of one user. Users that only a token names are known while they are there, so the
    table is bounded by the configuration and the connections.
    """

    def __init__(self, users: Iterable[User], profiles: Iterable[Profile], max_calls: int, clock: IReactorTime) -> None:
        self._clock = clock
        self._configured = {user.name: user for user in users}
        self._carriers = {canonical_key(impu): profile.name for profile in profiles for impu in profile.impus}
        """Which profile has which public identity."""
        self._names: dict[str, str] = {}
        """The user that each key means."""
        self.sessions: dict[str, UserSession] = {}
        self.max_calls = max_calls
        for user in self._configured.values():
            self._enter(user)

    def configured(self, name: str) -> User | None:
        """The user of this name in the configuration."""
        return self._configured.get(name)

    def check_name(self, user: User) -> None:
        """Raises `BadToken` where the name spells another user's name or public identity, e.g. a number."""
        if self._names.get(canonical_key(user.name), user.name) != user.name:
            raise BadToken(f"name {user.name!r:.80} means another user")

    def with_impu(self, user: User, impu: str) -> User:
        """The user with the public identity that their token claims.

        Raises `BadToken` when no profile has that identity, or when it is another user's.
        """
        key = canonical_key(impu)
        carrier = self._carriers.get(key)
        if carrier is None:
            raise BadToken(f"impu {impu!r:.80} is not a profile's")
        if self._names.get(key, user.name) != user.name:
            raise BadToken(f"impu {impu!r:.80} is another user's")
        return evolve(user, impu=impu, profile=carrier)

    def locate(self, uri: str) -> User | None:
        """The user that a destination means: a name, or any spelling of a public identity."""
        name = self._names.get(canonical_key(uri))
        if name is None:
            return None
        session = self.sessions.get(name)
        return self._configured.get(name) if session is None else session.user

    def online(self, name: str) -> bool:
        """Whether the user has a live connection."""
        session = self.sessions.get(name)
        return session is not None and bool(session.clients)

    def in_call(self, name: str) -> bool:
        """Whether the user has a call, on whatever page."""
        session = self.sessions.get(name)
        return session is not None and bool(session.legs)

    def full(self, name: str) -> bool:
        """Whether the user has as many connections as one may have."""
        session = self.sessions.get(name)
        return session is not None and len(session.clients) >= CONNECTIONS_LIMIT

    def join(self, user: User, client: IClient) -> UserSession:
        """A connection of this user has logged in. Raises `Refused` (limit)."""
        session = self.sessions.get(user.name)
        if session is None:
            session = self.sessions[user.name] = UserSession(user, self._clock, gone=self._forget)
        elif len(session.clients) >= CONNECTIONS_LIMIT:
            raise Refused("limit")
        session.clients.append(client)
        self.renew(session, user)
        return session

    def renew(self, session: UserSession, user: User) -> None:
        """What the newest token says of the user holds for all their connections."""
        if session.user != user:
            self._leave(session.user)
            session.user = user
        self._enter(user)

    def leave(self, session: UserSession, client: IClient) -> None:
        """A connection of this user is gone."""
        if client in session.clients:
            session.clients.remove(client)
        session.check()

    def ring(self, name: str, session: SessionId) -> list[BrowserLeg]:
        """One leg for each live connection of the user; empty when the user is offline.

        The media of a call are made for one kind of page: where some of the user's have ICE, those without stay silent.
        Raises `Unreachable` (BUSY) when the user has as many calls as one may have.
        """
        found = self.sessions.get(name)
        if found is None:
            return []
        calls = found.calls()
        if session not in calls and len(calls) >= self.max_calls:
            raise Unreachable(Reason.BUSY)
        with_ice = [client for client in found.clients if client.access is Access.WEB]
        rung = [client.ring(session) for client in with_ice or found.clients]
        return [leg for leg in rung if leg is not None]

    def _enter(self, user: User) -> None:
        self._names[canonical_key(user.name)] = user.name
        if user.impu is not None:
            self._names[canonical_key(user.impu)] = user.name

    def _leave(self, user: User) -> None:
        for key in (canonical_key(user.name), canonical_key(user.impu or "")):
            if self._names.get(key) == user.name:
                del self._names[key]
        if user.name in self._configured:
            self._enter(self._configured[user.name])

    def _forget(self, session: UserSession) -> None:
        if self.sessions.get(session.user.name) is session:
            del self.sessions[session.user.name]
            self._leave(session.user)
