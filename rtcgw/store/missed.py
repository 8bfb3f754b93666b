"""The calls that a user has missed, until somebody has seen them.

`MemoryMissed` is the default and keeps them in this process: they are gone with it. The interface holds nothing that a
store outside the process could not answer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from attrs import define, field, frozen
from zope.interface import Interface, implementer

from rtcgw.model.identity import Identity, SessionId

CALLS_LIMIT: Final = 20
"""Missed calls kept of one user; the oldest goes first."""
USERS_LIMIT: Final = 4096
"""Users of whom any are kept; the one that has longest missed nothing goes first."""


@frozen
class MissedCall:
    """One call that nobody took."""

    session: SessionId
    caller: Identity
    """As the user may see it."""
    at: float
    """When it came, seconds since the epoch."""
    reason: str
    """Why it was not taken: a word of the reason table."""


class IMissedCalls(Interface):
    """The missed calls as every room sees them. Users are named as the log-in names them."""

    def add(user: str, call: MissedCall) -> None:
        """The user has missed this call."""

    def of(user: str) -> tuple[MissedCall, ...]:
        """What the user has missed, the oldest first."""

    def clear(user: str) -> bool:
        """The user has seen them. False: there were none."""


@implementer(IMissedCalls)
@define(eq=False)
class MemoryMissed:
    """Missed calls in this process's memory, `calls` of each of `users` users."""

    _calls: int = CALLS_LIMIT
    _users: int = USERS_LIMIT
    _table: OrderedDict[str, deque[MissedCall]] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        return len(self._table)

    def add(self, user: str, call: MissedCall) -> None:
        """See `IMissedCalls`."""
        missed = self._table.pop(user, None)
        if missed is None:
            missed = deque(maxlen=self._calls)
            if len(self._table) >= self._users:
                self._table.popitem(last=False)
        missed.append(call)
        self._table[user] = missed

    def of(self, user: str) -> tuple[MissedCall, ...]:
        """See `IMissedCalls`."""
        return tuple(self._table.get(user, ()))

    def clear(self, user: str) -> bool:
        """See `IMissedCalls`."""
        return self._table.pop(user, None) is not None
