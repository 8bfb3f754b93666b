"""Resume tokens: how a page that has lost its connection logs in again without its token or password.

Each log-in gives the page a token, and with it a place that it holds as long as its connection lives. LOGIN with the
token, while the connection lives or `life` seconds after it was lost, gives the place to the connection that asks,
with a new token. A place belongs to one user and keeps the end of the claim by which that user logged in first: to
resume makes no log-in last longer.

    two tabs with one token     the second gets the place, the first keeps its log-in and hears `moved` for each call
                                that the second takes up
    the answer is lost          the page has only the token it has used: so that one still serves, for `life` seconds
                                or until the next one is used, whichever comes first
    two rounds later, or late   no log-in

Tokens are kept as SHA-256 digests; 192 bits of chance need no slow hash. Nothing here is written to a log. The table
is bounded by the connections there are, and for the places of lost ones by `LOST_BY_USER` and by `limit` in all; of
each the oldest go first.

What it is not: it moves no call. The page says which calls it takes up (OFFER with `session`), so that a page which
fails to come back costs nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from rtcgw.model.identity import User
from rtcgw.rtcweb.tokens import BadToken

BYTES: Final = 24
"""Of chance in a token."""
LOST_BY_USER: Final = 16
"""Places of one user whose connections are lost, at the most."""


@define(eq=False)
class Place:
    """What a resume token stands for."""

    user: User
    expires: float | None
    """When the claim must be renewed by a log-in of another kind, seconds since the epoch; None: never."""
    holder: object | None
    """The connection that has it; None when that was lost."""
    current: bytes = field(default=b"", repr=False)
    previous: bytes = field(default=b"", repr=False)
    """The token by which it was taken last."""
    lasts: float = 0.0
    """Until when that one still serves, by the clock."""
    deadline: float = 0.0
    """Until when a lost connection may be resumed, by the clock."""


class Places:
    """The table. `now` is seconds since the epoch, `life` in seconds; 0 gives out no tokens."""

    def __init__(self, clock: IReactorTime, now: Callable[[], float], life: float, limit: int) -> None:
        self.life = life
        self._clock = clock
        self._now = now
        self._limit = limit
        self._table: dict[bytes, Place] = {}
        self._lost: dict[Place, None] = {}
        """Places whose connection is gone, the one longest lost first."""
        self._lost_by: dict[str, dict[Place, None]] = {}
        """The same by user, so that one whose pages come and go drives out nobody else's."""

    def __len__(self) -> int:
        return len(self._table)

    def find(self, token: str) -> Place:
        """The place that a token stands for; nothing is changed yet. Raises `BadToken`."""
        digest = _digest(token)
        place, now = self._table.get(digest), self._clock.seconds()
        if place is None:
            raise BadToken("unknown resume token")
        if place.holder is None and now >= place.deadline:
            self._drop(place)
            raise BadToken("resume token too late")
        if digest == place.previous and now >= place.lasts:
            raise BadToken("resume token used")
        if place.expires is not None and self._now() >= place.expires:
            raise BadToken("the log-in behind the resume token has expired")
        return place

    def enter(self, user: User, expires: float | None, holder: object) -> tuple[Place, str]:
        """A log-in of another kind: a new place, and its token; empty where none are given out."""
        place = Place(user, expires, holder)
        return place, self._fresh(place)

    def renew(self, place: Place, user: User, expires: float | None) -> str:
        """The same connection has logged in again: the next token."""
        place.user, place.expires = user, expires
        return self.take(place, "", place.holder)

    def take(self, place: Place, token: str, holder: object) -> str:
        """The place is this connection's now; the next token. `token` is the one that was shown."""
        if not token or _digest(token) == place.current:
            self._table.pop(place.previous, None)
            place.previous, place.lasts = place.current, self._clock.seconds() + self.life
        else:
            self._table.pop(place.current, None)
        self._found(place)
        place.holder = holder
        return self._fresh(place)

    def lose(self, place: Place, holder: object) -> None:
        """The connection is gone; the place waits, unless it is another one's by now."""
        if place.holder is not holder:
            return
        place.holder = None
        place.deadline = self._clock.seconds() + self.life
        mine = self._lost_by.setdefault(place.user.name, {})
        self._lost[place] = mine[place] = None
        if len(mine) > LOST_BY_USER:
            self._drop(next(iter(mine)))
        self._tidy()

    def leave(self, place: Place, holder: object) -> None:
        """The user has logged out: the token is worth nothing any more."""
        if place.holder is holder:
            self._drop(place)

    def _fresh(self, place: Place) -> str:
        if not self.life:
            return ""
        token = secrets.token_urlsafe(BYTES)
        place.current = _digest(token)
        self._table[place.current] = place
        return token

    def _drop(self, place: Place) -> None:
        place.holder = None
        self._found(place)
        for digest in (place.current, place.previous):
            self._table.pop(digest, None)

    def _found(self, place: Place) -> None:
        """The place waits for nobody any more."""
        if self._lost.pop(place, self) is self:
            return
        mine = self._lost_by[place.user.name]
        del mine[place]
        if not mine:
            del self._lost_by[place.user.name]

    def _tidy(self) -> None:
        now = self._clock.seconds()
        while self._lost:
            oldest = next(iter(self._lost))
            if oldest.deadline > now and len(self._lost) <= self._limit:
                return
            self._drop(oldest)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
