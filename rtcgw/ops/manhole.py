"""A Python prompt inside the running gateway, by telnet, for the engineer on duty.

Off by default. Whoever has the password has the process, and telnet hides nothing on the wire: so it listens
on loopback or not at all, and not without a password. Reach it from elsewhere by `ssh -L`. The names at
the prompt are the inspector's; none of them shows a secret.

SSH was refused: it needs host keys and accounts to be kept, for the same one person on the same machine.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, cast

from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.manhole import Manhole as Prompt
from twisted.conch.telnet import (
    AuthenticatingTelnetProtocol,
    ITelnetProtocol,
    TelnetBootstrapProtocol,
    TelnetTransport,
)
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IReactorCore
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.config import ConfigError, Manhole, is_loopback, listen_address

CONNECTIONS = 4
"""Prompts at once; telnet clients that are never logged in count too."""
TRIES = 3
"""Wrong passwords before a connection is closed."""


class ManholeServer:
    """The listener. `namespace` is what the prompt knows."""

    log = Logger()

    def __init__(self, settings: Manhole, namespace: Mapping[str, object], reactor: IReactorCore) -> None:
        self.settings = settings
        self.reactor = reactor
        self.factory = manhole_factory(settings.user, settings.password, namespace)
        self._port: IListeningPort | None = None

    def start(self) -> Deferred[None]:
        """Listen. Fails with `ConfigError` on an address beyond loopback or without a password."""
        problems = self._problems()
        if problems:
            return fail(ConfigError(problems))
        listening: Deferred[Any] = serverFromString(self.reactor, self.settings.listen).listen(self.factory)
        return listening.addCallback(self._opened)

    def stop(self) -> Deferred[None]:
        """Stop listening and close every prompt."""
        port, self._port = self._port, None
        for protocol in list(self.factory.prompts):
            protocol.loseConnection()
        stopped = None if port is None else port.stopListening()
        return succeed(None) if stopped is None else stopped

    def _problems(self) -> list[str]:
        """The configuration file is checked as well; this guards configurations made in memory."""
        problems = []
        if not is_loopback(listen_address(self.settings.listen)[0]):
            problems.append(f'[manhole] listen: found "{self.settings.listen}"; allowed: a loopback address')
        if not self.settings.password:
            problems.append("[manhole] password: missing; allowed: a secret of at least 8 characters")
        return problems

    def _opened(self, port: IListeningPort) -> None:
        self._port = port
        self.log.info("manhole open at {endpoint}", endpoint=self.settings.listen)


class ManholeFactory(Factory):
    """Telnet connections that must log in first, a few at once."""

    def __init__(self, portal: Portal) -> None:
        self.portal = portal
        self.prompts: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        """A telnet transport whose first protocol asks for name and password; None beyond the limit."""
        if len(self.prompts) >= CONNECTIONS:
            return None
        transport = _Transport(_Login, self.portal)  # type: ignore[no-untyped-call]
        transport.factory = self
        return transport


class _Transport(TelnetTransport):
    """A telnet connection that the factory can count and close."""

    def connectionMade(self) -> None:
        self.factory.prompts.append(self.transport)
        super().connectionMade()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.transport in self.factory.prompts:
            self.factory.prompts.remove(self.transport)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]


class _Login(AuthenticatingTelnetProtocol):
    """Asks for name and password, a few times."""

    log = Logger()
    tries = 0

    def _ebLogin(self, failure: Any) -> None:
        """Twisted's hook for a refused log-in: it would let a client guess for ever."""
        self.tries += 1
        transport = cast(Any, self.transport)
        self.log.warn("manhole: log-in refused from {peer}", peer=str(transport.getPeer()), ration="manhole")
        if self.tries >= TRIES:
            transport.loseConnection()
        else:
            super()._ebLogin(failure)  # type: ignore[no-untyped-call]


@implementer(ICredentialsChecker)
class _OnePassword:
    """One name and password, compared in constant time."""

    credentialInterfaces = (IUsernamePassword,)  # noqa: N815

    def __init__(self, user: str, password: str) -> None:
        self._user = user.encode()
        self._password = password.encode()

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        named = hmac.compare_digest(credentials.username, self._user)
        known = hmac.compare_digest(credentials.password, self._password)
        return succeed(self._user) if named and known and self._password else fail(UnauthorizedLogin())


@implementer(IRealm)
class _Realm:
    """Gives whoever has logged in a prompt of their own."""

    def __init__(self, namespace: Mapping[str, object]) -> None:
        self._namespace = namespace

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: Any) -> Any:
        if ITelnetProtocol not in interfaces:
            raise NotImplementedError(interfaces)
        prompt = TelnetBootstrapProtocol(ServerProtocol, Prompt, dict(self._namespace))
        return ITelnetProtocol, prompt, lambda: None


def manhole_factory(user: str, password: str, namespace: Mapping[str, object]) -> ManholeFactory:
    """The server factory of the manhole."""
    portal = Portal(_Realm(namespace), [_OnePassword(user, password)])
    return ManholeFactory(portal)
