"""A planned restart of connections: pages are asked to make new ones, and their calls go on.

    RECONNECT {within}  ->  `within` seconds for the page to come back by itself  ->  close 4412

For a proxy that is to be restarted, a certificate that was replaced, a page that hangs. A page that resumes takes its
calls up on the new connection; one that does not has the grace time after the close. Ten thousand pages are not asked
in one second: the sweep over the connections asks `RATE` of them each time, so that their log-ins and offers are
spread as well.

What it is not: it stops no gateway, in whose memory the calls are (`BrowserFactory.stop`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rtcgw.rtcweb.dialects import native

if TYPE_CHECKING:
    from rtcgw.rtcweb.websocket import BrowserConnection

RATE: Final = 50
"""Connections asked in one sweep, which is one second."""
WITHIN: Final = 10.0
"""Seconds that a page has, where nothing else is said."""
CLOSE_RECONNECT: Final = 4412


class Reconnects:
    """Who is to be asked, and who has been. Bounded by the connections there are."""

    def __init__(self) -> None:
        self._queue: deque[tuple[BrowserConnection, float]] = deque()
        self._asked: dict[BrowserConnection, float] = {}
        """Until when each has time."""

    def ask(self, connections: Iterable[BrowserConnection], user: str | None, within: float) -> int:
        """Ask the connections of a user, or all that are logged in; how many that is. One that is asked already
        keeps its time."""
        known = {connection for connection, _ in self._queue} | self._asked.keys()
        chosen = [each for each in connections if each not in known and _of(each, user)]
        self._queue.extend((each, within) for each in chosen)
        return len(chosen)

    def sweep(self, now: float) -> None:
        """Close those whose time is over, ask the next ones."""
        for connection, until in list(self._asked.items()):
            if connection.client is None:
                del self._asked[connection]
            elif now >= until:
                del self._asked[connection]
                connection.close(CLOSE_RECONNECT, "reconnect")
        for _ in range(min(RATE, len(self._queue))):
            connection, within = self._queue.popleft()
            if connection.client is not None:
                self._asked[connection] = now + within
                connection.send(native.Reconnect(within=within))


def _of(connection: BrowserConnection, user: str | None) -> bool:
    session = None if connection.client is None else connection.client.session
    return session is not None and user in (None, session.user.name)
