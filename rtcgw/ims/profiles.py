"""The profiles that the gateway registers (the patent's P5): started one after the other, chosen for calls, stopped.

A profile is registered once at start, whatever browsers do (P7). Starting all at the same
moment would make a burst of REGISTERs that a core throttles, so they are paced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import random

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from rtcgw.ims.line import Line
from rtcgw.ims.registration import Backoff, Registration, RegState
from rtcgw.ims.useragent import IDialogIndex, ImsUserAgent
from rtcgw.model import defaults
from rtcgw.model.identity import Profile, User, canonical_key
from rtcgw.model.reason import Reason
from rtcgw.sip.flow import Hop
from rtcgw.sip.message import Request
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.translator.factory import Unreachable

PACE = 0.05
"""Seconds between the first REGISTERs of two profiles."""


def make_agent(
    profile: Profile,
    layer: TransactionLayer,
    peer: Hop,
    address: str,
    index: IDialogIndex,
    clock: IReactorTime,
    *,
    gateway: str = "rtcgw",
    random: Callable[[], float] = random,
    backoff: Backoff | None = None,
    expires: int = defaults.EXPIRES_REGISTER,
    secure: bool = False,
) -> ImsUserAgent:
    """The user agent of a profile with its registration.

    See `Line` for `peer`, `address`, `gateway` and `secure`; `expires` is the lease asked for, in seconds.
    """
    line = Line(profile, layer, peer, address, gateway, secure)
    return ImsUserAgent(line, Registration(line, clock, random, backoff or Backoff(), expires), index)


@define(eq=False)
class Profiles:
    """Every profile's user agent, by name, by Contact token and by public identity."""

    _clock: IReactorTime
    _pace: float = PACE
    on_change: Callable[[ImsUserAgent], None] | None = None
    """Told of each registration that begins to be usable, ceases to be, is refused, or ends."""
    _by_name: dict[str, ImsUserAgent] = field(factory=dict, init=False)
    _by_token: dict[str, ImsUserAgent] = field(factory=dict, init=False)
    _starting: list[IDelayedCall] = field(factory=list, init=False)
    _stopped: Deferred[None] | None = field(default=None, init=False)

    def add(self, agent: ImsUserAgent) -> None:
        """Take a profile in; before `start`."""
        self._by_name[agent.profile] = agent
        self._by_token[agent.line.token] = agent
        agent.registration.on_change = lambda registration: self._changed(agent)

    def __iter__(self) -> Iterator[ImsUserAgent]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    # -- start and stop --------------------------------------------------------------------

    def start(self) -> None:
        """Register every profile, paced."""
        for number, agent in enumerate(self._by_name.values()):
            self._starting.append(self._clock.callLater(number * self._pace, agent.registration.start))

    def stop(self) -> Deferred[None]:
        """De-register every profile; fires when all are gone, which each one bounds in time."""
        for call in self._starting:
            if call.active():
                call.cancel()
        done: Deferred[None] = Deferred()
        self._stopped = done
        for agent in self._by_name.values():
            agent.registration.stop()
        self._check_stopped()
        return done

    def _changed(self, agent: ImsUserAgent) -> None:
        if self.on_change is not None:
            self.on_change(agent)
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopped is None:
            return
        if all(agent.registration.state is RegState.GONE for agent in self._by_name.values()):
            done, self._stopped = self._stopped, None
            done.callback(None)

    # -- finding ---------------------------------------------------------------------------

    def get(self, name: str) -> ImsUserAgent | None:
        """The profile of this name."""
        return self._by_name.get(name)

    def by_token(self, token: str) -> ImsUserAgent | None:
        """The profile whose Contact has this user part."""
        return self._by_token.get(token)

    def by_identity(self, key: str) -> ImsUserAgent | None:
        """The profile that has a public identity with this canonical key."""
        for agent in self._by_name.values():
            if agent.answers_for(key):
                return agent
        return None

    def any(self) -> ImsUserAgent | None:
        """The first registered profile, else the first."""
        agents = list(self._by_name.values())
        usable = [agent for agent in agents if agent.registration.usable]
        return next(iter(usable or agents), None)

    def choose(self, user: User | None, domain: str | None = None) -> ImsUserAgent:
        """The profile for a call of `user`: its own, else the one that has its IMPU, else the least loaded.

        `domain` restricts the last to the profiles of one home domain. Raises `Unreachable`: NOT_REGISTERED, or
        OVERLOADED when the registered ones carry all the calls that they may.
        """
        agents = self._suitable(user, domain)
        usable = [agent for agent in agents if agent.registration.usable]
        if not usable:
            raise Unreachable(Reason.NOT_REGISTERED)
        free = [agent for agent in usable if not agent.full]
        if not free:
            raise Unreachable(Reason.OVERLOADED)
        return min(free, key=lambda agent: len(agent.load))

    def _suitable(self, user: User | None, domain: str | None) -> list[ImsUserAgent]:
        if user is not None and user.profile is not None:
            named = self._by_name.get(user.profile)
            return [] if named is None else [named]
        if user is not None and user.impu is not None:
            owner = self.by_identity(canonical_key(user.impu))
            if owner is not None:
                return [owner]
        agents = list(self._by_name.values())
        return [agent for agent in agents if domain is None or agent.line.profile.domain == domain]

    # -- reg event -------------------------------------------------------------------------

    def got_notify(self, tx: ServerTransaction, request: Request) -> bool:
        """Give a NOTIFY to the subscription it belongs to; False when there is none."""
        return any(agent.registration.watch.got_notify(tx, request) for agent in self._by_name.values())

    # -- inspector -------------------------------------------------------------------------

    def rows(self) -> list[dict[str, str | int]]:
        """One row per profile for whoever looks inside: what is registered, for how long, and what went wrong last."""
        return [
            {
                "profile": agent.profile,
                "state": agent.registration.state.value,
                "seconds": int(agent.registration.lease()),
                "identities": " ".join(agent.registration.identities),
                "route": " ".join(agent.registration.routes),
                "reg event": agent.registration.watch.state,
                "calls": len(agent.load),
                "failures": agent.registration.failures,
                "last error": agent.registration.last_error,
            }
            for agent in self
        ]
