"""UDP port pairs for the core's media: an even one for RTP, the odd one above for RTCP (RFC 3550 §11)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.error import CannotListenError

from rtcgw.media.backend import MediaError
from rtcgw.model.reason import Reason

TRIES = 16
"""Pairs tried before giving up, where other programs sit on ports of the range."""

T = TypeVar("T")


class PortPairs:
    """The pairs of `low`..`high`. The one free for longest is taken next, so that a call does not
    hear the last packets of another that has just ended there."""

    __slots__ = ("_free", "total")

    def __init__(self, low: int, high: int) -> None:
        self._free = deque(range(low + (low & 1), high, 2))
        self.total = len(self._free)
        """Pairs in the range."""

    @property
    def free(self) -> int:
        """Pairs not in use."""
        return len(self._free)

    def take(self, bind: Callable[[int], T]) -> tuple[int, T]:
        """Take a pair: its RTP port, and what `bind(port)` made of it.

        `bind` raises `CannotListenError` where another program has the port; then the next pair is tried.
        Raises `MediaError` (OVERLOADED) when none is left or none can be bound.
        """
        for _ in range(min(TRIES, len(self._free))):
            port = self._free.popleft()
            try:
                return port, bind(port)
            except CannotListenError:
                self._free.append(port)
        if self._free:
            raise MediaError(Reason.OVERLOADED, f"no RTP port of {TRIES} tried could be bound")
        raise MediaError(Reason.OVERLOADED, f"all {self.total} RTP port pairs are in use")

    def give(self, port: int) -> None:
        """The pair may be used again. Call it once, when its sockets are closed."""
        self._free.append(port)
