"""The load generator's event loop: epoll, a clock, and nothing between them.

Not a reactor: what the generator costs must not be what is measured, and a time stamp must be taken next to the
system call. One process owns both ends of every call, so that all its stamps come from one clock.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from twisted.internet.task import Clock

HOST = "127.0.0.1"
"""All traffic stays on loopback."""
LONGEST = 0.05
"""Seconds that the loop sleeps at most, so that a condition is looked at."""

now = time.perf_counter


class Loop:
    """Sockets by what to call when they are readable, and timers on a `Clock` that follows real time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.late = 0.0
        """The longest turn so far, in seconds: how late the generator itself may have been."""
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._turned = now()

    def add(self, source: socket.socket, reader: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call `reader` while `source` is readable, or whatever else `events` says."""
        self._readers[source.fileno()] = reader
        self._poll.register(source.fileno(), events)

    def remove(self, source: socket.socket) -> None:
        """Look at it no more; to be called before it is closed."""
        self._readers.pop(source.fileno(), None)
        self._poll.unregister(source.fileno())

    def after(self, delay: float, call: Callable[[], object]) -> None:
        """Call something in `delay` seconds."""
        self.clock.callLater(delay, call)

    def until(self, look: Callable[[], bool], timeout: float) -> bool:
        """Turn until `look()` holds or the time is over; the last `look()`."""
        end = now() + timeout
        while not look():
            if now() >= end:
                return False
            self.turn(end - now())
        return True

    def rest(self, seconds: float) -> None:
        """Turn for a while."""
        self.until(lambda: False, seconds)

    def pause(self) -> None:
        """A moment, for whoever waits for what is no socket."""
        self.rest(0.02)

    def turn(self, longest: float = LONGEST) -> None:
        """Wait for what comes next, and do it."""
        calls = self.clock.getDelayedCalls()
        wait = min([longest, LONGEST, *(call.getTime() - self.clock.seconds() for call in calls)])
        ready = self._poll.poll(max(0.0, wait - (now() - self._turned)))
        began = now()
        for descriptor, _ in ready:
            reader = self._readers.get(descriptor)
            if reader is not None:
                reader()
        stamp = now()
        passed, self._turned = stamp - self._turned, stamp
        self.clock.advance(passed)
        self.late = max(self.late, now() - began)
