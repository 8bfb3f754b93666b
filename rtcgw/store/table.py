"""The mapping table of the routing function (530): <sender, receiver, sessionID>, with its indexes.

A row says which two parties a session joins, over which connection and in which dialog,
so that a message that comes back finds its browser (Fig. 8 S820, S832; Fig. 9 S924). It
lives from OFFER or INVITE until release plus 64*T1, so that a late retransmission still
finds it.

`MemoryTable` is the default and keeps rows in this process. The interface holds nothing
that a store outside the process could not answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from zope.interface import Interface, implementer

from rtcgw.model.identity import SessionId


@frozen
class Mapping:
    """One row. Sender and receiver are canonical keys, see `model.identity.canonical_key`."""

    session: SessionId
    sender: str
    receiver: str
    form: str = ""
    """The form the sender speaks: `rtcgw.1`, `sip`."""
    connection: str = ""
    """Id of the browser's connection, where there is one."""
    dialog: tuple[str, str, str] | None = None
    """Call-ID, local tag and remote tag of the SIP dialog, once it exists."""
    profile: str = ""
    """Name of the profile that carries the session towards the core."""
    state: str = "calling"
    """`calling`, `incall` or `released`."""


class TableFull(Exception):
    """The table holds as many live rows as it may."""


class IMappingTable(Interface):
    """The table as every room sees it."""

    def add(row: Mapping) -> None:
        """Enter a new row. Raises `TableFull`."""

    def change(session: SessionId, **fields: object) -> None:
        """Change fields of a row and its index entries; an unknown session is ignored."""

    def release(session: SessionId) -> None:
        """The session has ended: the row goes after the linger time."""

    def get(session: SessionId) -> Mapping | None:
        """The row of a session."""

    def by_dialog(dialog: tuple[str, str, str]) -> Mapping | None:
        """The row whose session has this SIP dialog."""

    def by_connection(connection: str) -> list[Mapping]:
        """The rows of the sessions that run over a browser's connection."""

    def by_pair(sender: str, receiver: str) -> list[Mapping]:
        """The rows between two parties, in this direction."""


@implementer(IMappingTable)
@define(eq=False)
class MemoryTable:
    """The table in this process's memory.

    Holds at most `limit` live rows; released rows linger for `linger` seconds and give way
    earlier, oldest first, when the table is full.
    """

    _clock: IReactorTime
    _limit: int = 50_000
    _linger: float = 32.0
    _rows: dict[SessionId, Mapping] = field(factory=dict, init=False)
    _released: OrderedDict[SessionId, float] = field(factory=OrderedDict, init=False)
    _dialogs: dict[tuple[str, str, str], SessionId] = field(factory=dict, init=False)
    _connections: dict[str, set[SessionId]] = field(factory=dict, init=False)
    _pairs: dict[tuple[str, str], set[SessionId]] = field(factory=dict, init=False)

    def __len__(self) -> int:
        self._expire()
        return len(self._rows)

    def add(self, row: Mapping) -> None:
        """See `IMappingTable`. A row of the same session is replaced."""
        self._expire()
        if row.session in self._rows:
            self._forget(row.session)
        if len(self._rows) >= self._limit:
            if not self._released:
                raise TableFull(f"{self._limit} sessions")
            self._forget(next(iter(self._released)))
        self._rows[row.session] = row
        self._index(row)

    def change(self, session: SessionId, **fields: object) -> None:
        """See `IMappingTable`."""
        row = self._rows.get(session)
        if row is None:
            return
        new = self._rows[session] = evolve(row, **fields)  # type: ignore[arg-type] # names are the caller's
        if not _INDEXED.isdisjoint(fields):
            self._unindex(row)
            self._index(new)

    def release(self, session: SessionId) -> None:
        """See `IMappingTable`."""
        if session in self._rows and session not in self._released:
            self.change(session, state="released")
            self._released[session] = self._clock.seconds() + self._linger
        self._expire()

    def get(self, session: SessionId) -> Mapping | None:
        """See `IMappingTable`."""
        self._expire()
        return self._rows.get(session)

    def by_dialog(self, dialog: tuple[str, str, str]) -> Mapping | None:
        """See `IMappingTable`."""
        self._expire()
        session = self._dialogs.get(dialog)
        return None if session is None else self._rows.get(session)

    def by_connection(self, connection: str) -> list[Mapping]:
        """See `IMappingTable`."""
        return self._found(self._connections.get(connection, ()))

    def by_pair(self, sender: str, receiver: str) -> list[Mapping]:
        """See `IMappingTable`."""
        return self._found(self._pairs.get((sender, receiver), ()))

    def _found(self, sessions: Iterable[SessionId]) -> list[Mapping]:
        found = [self._rows[session] for session in sessions]
        self._expire()
        return [row for row in found if row.session in self._rows]

    def _expire(self) -> None:
        """Drop what has lingered long enough. Rows are released in order of time, so the head is the oldest."""
        now = self._clock.seconds()
        while self._released:
            session, due = next(iter(self._released.items()))
            if due > now:
                return
            self._forget(session)

    def _forget(self, session: SessionId) -> None:
        self._released.pop(session, None)
        self._unindex(self._rows.pop(session))

    def _index(self, row: Mapping) -> None:
        if row.dialog is not None:
            self._dialogs[row.dialog] = row.session
        if row.connection:
            self._connections.setdefault(row.connection, set()).add(row.session)
        self._pairs.setdefault((row.sender, row.receiver), set()).add(row.session)

    def _unindex(self, row: Mapping) -> None:
        if row.dialog is not None:
            self._dialogs.pop(row.dialog, None)
        _take_out(self._connections, row.connection, row.session)
        _take_out(self._pairs, (row.sender, row.receiver), row.session)


_INDEXED = frozenset({"sender", "receiver", "connection", "dialog"})
"""Fields of a row by which it is found."""
_K = TypeVar("_K")


def _take_out(index: dict[_K, set[SessionId]], key: _K, session: SessionId) -> None:
    """Remove a session from an index, and its entry with the last one."""
    members = index.get(key)
    if members is not None:
        members.discard(session)
        if not members:
            del index[key]
