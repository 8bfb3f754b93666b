"""Sending again until somebody confirms: 2xx to INVITE, and reliable 1xx.

Both belong to the transaction user, not to the transaction: a 2xx is repeated from T1,
doubling to T2, on any transport until the ACK comes (RFC 3261 §13.3.1.4); a reliable 1xx
from T1, doubling without a cap, until its PRACK (RFC 3262 §3). After 64*T1 whoever sent
it must give up.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Machine, Row, Symbol, Table, Timer


class RepeatState(Symbol):
    """Whether the message is still unconfirmed."""

    REPEATING = "repeating"
    DONE = "done"


class RepeatEvent(Symbol):
    """What happens to it."""

    DUE = "due"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


class Repeat:
    """Sends at once, then again at growing intervals until `confirm()`.

    `send()` sends the message; `give_up()` is called when 64*T1 have passed. `t1` and `cap` are
    seconds; a cap of None lets the interval double without end.
    """

    __slots__ = ("_cap", "_give_up", "_interval", "_send", "_t1", "machine")

    def __init__(
        self,
        clock: IReactorTime,
        send: Callable[[], None],
        give_up: Callable[[], None],
        t1: float = 0.5,
        cap: float | None = 4.0,
    ) -> None:
        self._send = send
        self._give_up = give_up
        self._t1 = t1
        self._cap = cap
        self._interval = t1
        self.machine = Machine(REPEAT_TABLE, self, clock)
        self.machine.start()
        send()

    def confirm(self) -> None:
        """It has arrived, or nobody cares any more: stop."""
        self.machine.handle(RepeatEvent.CONFIRMED)

    @property
    def outstanding(self) -> bool:
        """Whether it still repeats."""
        return self.machine.state is RepeatState.REPEATING

    def _again(self) -> None:
        self._interval *= 2
        if self._cap is not None:
            self._interval = min(self._interval, self._cap)
        self.machine.arm("repeat", self._interval)
        self._send()

    def _expired(self) -> None:
        self._give_up()

    def _first(self) -> float:
        return self._t1

    def _limit(self) -> float:
        return 64 * self._t1


_REPEATING = frozenset({RepeatState.REPEATING})
REPEAT_TABLE: Table[RepeatState, RepeatEvent] = Table(
    "repeat",
    RepeatState.REPEATING,
    RepeatEvent,
    {
        (RepeatState.REPEATING, RepeatEvent.DUE): Row(RepeatState.REPEATING, (Repeat._again,)),
        (RepeatState.REPEATING, RepeatEvent.CONFIRMED): Row(RepeatState.DONE),
        (RepeatState.REPEATING, RepeatEvent.EXPIRED): Row(RepeatState.DONE, (Repeat._expired,)),
    },
    {RepeatState.DONE: set(RepeatEvent)},
    [
        Timer("repeat", _REPEATING, Repeat._first, RepeatEvent.DUE),
        Timer("limit", _REPEATING, Repeat._limit, RepeatEvent.EXPIRED),
    ],
)
