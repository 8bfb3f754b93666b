"""The ICE handler (440): STUN and TURN servers for pages behind NAT.

A page is given servers at log-in and whenever it asks again, chosen from the groups of the configuration

    by network     a group may be meant for clients of certain networks only
    by health      what does not answer is left out, unless nothing of its kind would be left

with credentials that expire, where the group has a secret (`turn.py`). Choosing costs a look into a table, and no name
is resolved for it: health is asked for beside (`stunprobe.py`), server by server, at intervals.

What it is not: the ICE agents themselves are the browser's and the media backend's; a page without ICE is served by
the backend's own leg. The pair that they nominate is kept with the call's leg (`useragent.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from rtcgw.config import trusts
from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.rtcweb.dialects.native import IceServer
from rtcgw.rtcweb.stunprobe import Place, Silent, ask, place_of
from rtcgw.rtcweb.turn import credentials

log = Logger()

DOUBT: Final = 5.0
"""Seconds after which a server that did not answer is asked again, at the latest."""
CHOICES: Final = 256
"""Choices remembered; there are as many as combinations of networks that clients are in."""


class IceGroup(Protocol):
    """Servers of one operator, as the configuration has them."""

    @property
    def urls(self) -> tuple[str, ...]:
        """`stun:` and `turn:` URIs."""

    @property
    def username(self) -> str:
        """TURN user name, where there is no secret."""

    @property
    def credential(self) -> str:
        """TURN password, where there is no secret."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets shared with the server; the first one signs."""

    @property
    def ttl(self) -> float:
        """Seconds that credentials made from a secret hold."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Clients of which networks are given it; empty: all."""


@frozen
class Served:
    """What a page is given."""

    servers: tuple[IceServer, ...] = ()
    ttl: int | None = None
    """Seconds until the first credentials expire; None: none do."""


# -- the health of one server --------------------------------------------------------------


class Health(Symbol):
    """What is known of a server."""

    UNTRIED = "untried"
    UP = "up"
    DOUBTED = "doubted"
    """Silent once: datagrams do get lost."""
    DOWN = "down"


class ProbeEvent(Symbol):
    """What moves it."""

    DUE = "probe timer"
    ANSWERED = "answered"
    SILENT = "silent"


class Probe:
    """Asks one server again and again. `on_change()` is called when it goes down or comes back."""

    __slots__ = ("_interval", "_on_change", "_question", "_reactor", "machine", "place", "took")

    def __init__(self, place: Place, interval: float, reactor: Any, on_change: Callable[[], None]) -> None:
        self.place = place
        self.took: float | None = None
        """Seconds that the last answer took."""
        self.machine = Machine(PROBE_TABLE, self, reactor)
        self._interval = interval
        self._reactor = reactor
        self._on_change = on_change
        self._question: Deferred[float] | None = None

    @property
    def down(self) -> bool:
        """Whether it should be left out."""
        return self.machine.state is Health.DOWN

    def stop(self) -> None:
        """Ask no more."""
        self.machine.cancel("probe")
        question, self._question = self._question, None
        if question is not None:
            question.cancel()

    def _ask(self) -> None:
        question = self._question = Deferred.fromCoroutine(ask(self.place, self._reactor))
        question.addCallbacks(self._answered, self._silent)

    def _answered(self, took: float) -> None:
        self._question, self.took = None, took
        self.machine.handle(ProbeEvent.ANSWERED)

    def _silent(self, failure: Failure) -> None:
        self._question = None
        if failure.check(CancelledError) is not None:
            return
        if failure.check(Silent) is None:
            log.failure("ICE server {place}: internal error", failure, place=str(self.place))
        self.machine.handle(ProbeEvent.SILENT)

    def _later(self) -> None:
        self.machine.arm("probe", self._interval)

    def _soon(self) -> None:
        self.machine.arm("probe", min(self._interval, DOUBT))

    def _went_down(self) -> None:
        self.took = None
        log.warn("ICE server {place} does not answer: pages are not sent there", place=str(self.place))
        self._on_change()

    def _came_back(self) -> None:
        log.info("ICE server {place} answers again", place=str(self.place))
        self._on_change()


_H, _E = Health, ProbeEvent
PROBE_TABLE: Final[Table[Health, ProbeEvent]] = Table(
    "ICE server",
    _H.UNTRIED,
    ProbeEvent,
    {
        **{(state, _E.DUE): Row(state, (Probe._ask,)) for state in Health},
        (_H.UNTRIED, _E.ANSWERED): Row(_H.UP, (Probe._later,)),
        (_H.UNTRIED, _E.SILENT): Row(_H.DOUBTED, (Probe._soon,)),
        (_H.UP, _E.ANSWERED): Row(_H.UP, (Probe._later,)),
        (_H.UP, _E.SILENT): Row(_H.DOUBTED, (Probe._soon,)),
        (_H.DOUBTED, _E.ANSWERED): Row(_H.UP, (Probe._later,)),
        (_H.DOUBTED, _E.SILENT): Row(_H.DOWN, (Probe._went_down, Probe._later)),
        (_H.DOWN, _E.ANSWERED): Row(_H.UP, (Probe._came_back, Probe._later)),
        (_H.DOWN, _E.SILENT): Row(_H.DOWN, (Probe._later,)),
    },
    {},
    [Timer("probe", frozenset(Health), lambda probe: 0.0, _E.DUE)],
)


# -- the choice ----------------------------------------------------------------------------


@define(eq=False)
class _Group:
    """One group of the configuration, prepared."""

    settings: IceGroup
    urls: tuple[tuple[str, Probe | None], ...]
    """Each with the one who asks after it; None: nobody can."""
    inside: Callable[[str], bool] | None = field(init=False)
    """Whether an address is in the group's networks; None: all are."""

    def __attrs_post_init__(self) -> None:
        self.inside = trusts(self.settings.networks) if self.settings.networks else None


_Choice = tuple[tuple[IceGroup, tuple[str, ...]], ...]


class IceHandler:
    """Gives servers to pages: `serve`. Between `start` and `stop` it asks after their health.

    `probe` is the time between two questions in seconds, 0 for none; `now` the wall clock, seconds since the epoch.
    """

    __slots__ = ("_choices", "_groups", "_limited", "_now", "probes")

    def __init__(self, groups: Sequence[IceGroup], probe: float, reactor: Any, now: Callable[[], float]) -> None:
        self.probes: dict[Place, Probe] = {}
        self._now = now
        self._groups = tuple(_Group(group, self._watched(group, probe, reactor)) for group in groups)
        self._limited = any(group.inside is not None for group in self._groups)
        self._choices: dict[tuple[int, ...], _Choice] = {}

    def _watched(self, group: IceGroup, interval: float, reactor: Any) -> tuple[tuple[str, Probe | None], ...]:
        """One probe for each place, however many URIs mean it."""
        watched: list[tuple[str, Probe | None]] = []
        for url in group.urls:
            place = place_of(url) if interval > 0 else None
            if place is not None and place not in self.probes:
                self.probes[place] = Probe(place, interval, reactor, self._changed)
            watched.append((url, None if place is None else self.probes[place]))
        return tuple(watched)

    def start(self) -> None:
        """Begin to ask."""
        for probe in self.probes.values():
            probe.machine.start()

    def stop(self) -> None:
        """Ask no more; `serve` goes on."""
        for probe in self.probes.values():
            probe.stop()

    def serve(self, user: str, address: str) -> Served:
        """The servers for this user on this network address, with credentials where they need any."""
        if not self._groups:
            return _NOTHING
        servers = []
        ttl: int | None = None
        for group, urls in self._choice(address):
            name, word = group.username, group.credential
            if group.secrets:
                life = int(group.ttl)
                ttl = life if ttl is None else min(ttl, life)
                name, word = credentials(user, int(self._now()) + life, group.secrets[0])
            servers.append(IceServer(urls=urls, username=name, credential=word))
        return Served(tuple(servers), ttl)

    def _choice(self, address: str) -> _Choice:
        groups = self._groups
        key: tuple[int, ...] = ()
        if self._limited:
            key = tuple(n for n, group in enumerate(groups) if group.inside is None or group.inside(address))
            groups = tuple(groups[n] for n in key)
        found = self._choices.get(key)
        if found is None:
            if len(self._choices) >= CHOICES:
                self._choices.clear()
            found = self._choices[key] = _healthy(groups)
        return found

    def _changed(self) -> None:
        self._choices.clear()

    def rows(self) -> list[Mapping[str, object]]:
        """One row per URI for the inspector."""
        return [
            {
                "server": url,
                "state": "not asked" if probe is None else probe.machine.state.value,
                "ms": "" if probe is None or probe.took is None else round(probe.took * 1000, 1),
                "networks": ", ".join(group.settings.networks) or "all",
                "next": "" if probe is None else _next(probe),
            }
            for group in self._groups
            for url, probe in group.urls
        ]


def _next(probe: Probe) -> str:
    return ", ".join(f"{left:.0f} s" for left in probe.machine.timers().values())


def _healthy(groups: Iterable[_Group]) -> _Choice:
    """What of these groups is to be given. Relays and STUN servers are looked at apart: losing all of a kind that
    only we cannot reach would be worse than trying a dead one.
    """
    pairs = [pair for group in groups for pair in group.urls]
    alive = {_relays(url) for url, probe in pairs if probe is None or not probe.down}
    chosen = []
    for group in groups:
        urls = tuple(url for url, probe in group.urls if probe is None or not probe.down or _relays(url) not in alive)
        if urls:
            chosen.append((group.settings, urls))
    return tuple(chosen)


def _relays(url: str) -> bool:
    return url.startswith("turn")


_NOTHING: Final = Served()
