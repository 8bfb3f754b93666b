"""The project's one state-machine idiom: an explicit table, a run-to-completion queue, timers owned by states.

A `Table` lists every transition of one machine on one screen:

    (state, event) -> (next state, actions)

An action is an unbound method of the owner, so that go-to-definition finds it;
it is called as `action(owner, *args)` after the state has changed. Every pair of
state and event is either a row or listed as ignored; `Table` refuses a pair that
is neither, so a machine cannot meet an undecided pair. Nothing beside the table
decides anything: an owner keeps data, never a flag that stands for a state.

Timers belong to states: a `Timer` names the set of states in which it runs. It is
armed on entering that set from outside and cancelled on leaving it (RFC 3261
timer F, for one, runs across Trying and Proceeding). A timer that doubles is armed
again by an action through `Machine.arm`.

This module is not a framework of its own: no guards, no nested states, no
callbacks by name. Automat was measured at 2.5 times the cost per transition, on a
path that runs a dozen transitions per call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IReactorTime

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)

Action = Callable[..., object]


class Symbol(Enum):
    """The base of states and events: an `Enum` that hashes by identity.

    Members are single, so nothing is lost; `Enum.__hash__` is a Python function, and called some eighty times
    in a call it came to 3 % of the gateway's time.
    """

    __hash__ = object.__hash__


class Row(NamedTuple):
    """What one (state, event) pair does: the next state and the actions, in order."""

    next: Any
    actions: tuple[Action, ...] = ()


@frozen
class Timer(Generic[S, E]):
    """A timer that runs while its machine is in one of `states`."""

    name: str
    """The letter or name used by the specification, shown by the inspector."""
    states: frozenset[S]
    delay: Callable[[Any], float | None]
    """Seconds to wait, asked from the owner when the timer is armed; None arms nothing."""
    event: E
    """Raised on the machine, with no arguments, when the timer fires."""


class _Step(NamedTuple):
    """A `Row` with what follows from it: the timers to stop and to arm."""

    next: Any
    actions: tuple[Action, ...]
    stop: tuple[str, ...]
    start: tuple[Timer[Any, Any], ...]


Watch = Callable[[str, Enum, Enum, Enum], None]
"""Called as watch(label, old state, event, new state) after each transition."""


class Undecided(Exception):
    """A table leaves pairs of state and event undecided: a mistake of ours, found at import."""


class Table(Generic[S, E]):
    """Every transition of one kind of machine.

    `rows` maps (state, event) to a `Row`; `ignored` maps a state to the events that it
    drops on purpose. Raises `Undecided` when a pair is in neither or in both.
    """

    def __init__(
        self,
        name: str,
        initial: S,
        events: type[E],
        rows: Mapping[tuple[S, E], Row],
        ignored: Mapping[S, Iterable[E]],
        timers: Iterable[Timer[S, E]] = (),
    ) -> None:
        self.name = name
        self.initial = initial
        self.states: type[S] = type(initial)
        self.events = events
        self.timers = {timer.name: timer for timer in timers}
        self.ignored = {state: frozenset(ignored.get(state, ())) for state in self.states}
        self.rows: dict[S, dict[E, Row]] = {state: {} for state in self.states}
        for (state, event), row in rows.items():
            self.rows[state][event] = row
        self._check()
        self.steps = {
            state: {event: self._compiled(state, row) for event, row in row_of.items()}
            for state, row_of in self.rows.items()
        }
        """The rows as machines run them."""

    def _check(self) -> None:
        wrong = [
            f"{state.name}/{event.name}"
            for state in self.states
            for event in self.events
            if (event in self.rows[state]) == (event in self.ignored[state])
        ]
        if wrong:
            raise Undecided(f"{self.name}: decided twice or not at all: {', '.join(wrong)}")

    def _compiled(self, old: S, row: Row) -> _Step:
        timers = self.timers.values()
        stop = tuple(timer.name for timer in timers if old in timer.states and row.next not in timer.states)
        start = tuple(timer for timer in timers if row.next in timer.states and old not in timer.states)
        return _Step(row.next, row.actions, stop, start)

    def to_dot(self) -> str:
        """The machine as a Graphviz digraph, for the pictures in docs/."""
        lines = [f'digraph "{self.name}" {{', "  rankdir=TB; node [shape=box, style=rounded];"]
        lines.append(f'  "" [shape=point]; "" -> "{self.initial.name}";')
        edges: dict[tuple[str, str], list[str]] = {}
        for state, row_of in self.rows.items():
            for event, row in row_of.items():
                edges.setdefault((state.name, row.next.name), []).append(event.name)
        for (old, new), names in edges.items():
            text = "\\n".join(names)
            lines.append(f'  "{old}" -> "{new}" [label="{text}"];')
        return "\n".join([*lines, "}", ""])


class Machine(Generic[S, E]):
    """One running machine: `Machine(table, owner, clock)`, then `machine.handle(event, *args)`.

    `watch`, where given, sees each transition. The machine arms the timers of the initial
    state only on `start()`, so that an owner can finish building itself first.
    """

    __slots__ = ("_busy", "_clock", "_owner", "_pending", "_running", "label", "state", "table", "watch")

    def __init__(
        self,
        table: Table[S, E],
        owner: object,
        clock: IReactorTime,
        watch: Watch | None = None,
        label: str = "",
    ) -> None:
        self.table = table
        self.state: S = table.initial
        self.watch = watch
        self.label = label
        self._owner = owner
        self._clock = clock
        self._running: dict[str, IDelayedCall] = {}
        self._busy = False
        self._pending: deque[tuple[E, tuple[Any, ...]]] | None = None

    def start(self) -> None:
        """Arm the initial state's timers."""
        for timer in self.table.timers.values():
            if self.state in timer.states:
                self._arm_timer(timer)

    def handle(self, event: E, *args: Any) -> None:
        """Run `event` to completion; one raised by an action waits until the present one is done.

        An exception from an action passes through to the caller; events that were waiting are
        then still handled by the next call.
        """
        if self._busy:
            if self._pending is None:
                self._pending = deque()
            self._pending.append((event, args))
            return
        self._busy = True
        try:
            self._step(event, args)
            while self._pending:
                self._step(*self._pending.popleft())
        finally:
            self._busy = False

    def _step(self, event: E, args: tuple[Any, ...]) -> None:
        old = self.state
        step = self.table.steps[old].get(event)
        if step is None:
            return  # listed as ignored: Table has checked that there is no third case
        new, actions, stop, start = step
        if new is not old:
            self.state = new
            for name in stop:
                self.cancel(name)
            for timer in start:
                self._arm_timer(timer)
        if self.watch is not None:
            self.watch(self.label or self.table.name, old, event, new)
        owner = self._owner
        for action in actions:
            action(owner, *args)

    def _arm_timer(self, timer: Timer[S, E]) -> None:
        delay = timer.delay(self._owner)
        if delay is not None:
            self._running[timer.name] = self._clock.callLater(delay, self._fire, timer.name, timer.event)

    def arm(self, name: str, delay: float) -> None:
        """Arm the table's timer `name` anew with another delay, in seconds (timers that double)."""
        self.cancel(name)
        timer = self.table.timers[name]
        if self.state in timer.states:
            self._running[name] = self._clock.callLater(delay, self._fire, name, timer.event)

    def cancel(self, name: str) -> None:
        """Stop the timer `name` if it runs."""
        call = self._running.pop(name, None)
        if call is not None:
            call.cancel()

    def _fire(self, name: str, event: E) -> None:
        del self._running[name]
        self.handle(event)

    def timers(self) -> dict[str, float]:
        """The running timers and the seconds each has left, for the inspector."""
        now = self._clock.seconds()
        return {name: call.getTime() - now for name, call in self._running.items()}
