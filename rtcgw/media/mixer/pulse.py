"""The beat of a room: every 20 ms by the clock, without drift.

Each beat is due at a time counted from the first one, so that a late one makes the next wait shorter. Who was held
up makes good for a few beats at once; what is older is left out, for sound that comes late is of use to nobody.
`LoopingCall` was refused: it leaves out beats that it has missed where the parties' ears would rather have them late.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

BEAT = 0.02
"""Seconds: the packet time that nearly everybody uses."""
BURST = 5
"""Beats made good for at once at most: 100 ms, about what receivers' buffers stand."""


class Pulse:
    """Calls `beat(missed)` for each beat from `start` to `stop`; `missed` beats before it were left out."""

    __slots__ = ("_beat", "_clock", "_count", "_next", "_start", "missed")

    def __init__(self, clock: IReactorTime, beat: Callable[[int], None]) -> None:
        self._clock = clock
        self._beat = beat
        self._next: IDelayedCall | None = None
        self._start = 0.0
        self._count = 0
        """Beats that are due by now have numbers below it, but for those left out."""
        self.missed = 0
        """Beats left out so far."""

    def start(self) -> None:
        """Begin, if it does not beat already."""
        if self._next is None:
            self._start, self._count = self._clock.seconds(), 0
            self._wait()

    def stop(self) -> None:
        """No more beats."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def _beating(self) -> bool:
        return self._next is not None

    def _wait(self) -> None:
        due = self._start + (self._count + 1) * BEAT
        self._next = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._due)

    def _due(self) -> None:
        self._next = None
        late = int((self._clock.seconds() - self._start) / BEAT + 1e-6) - self._count
        missed = max(0, late - BURST)
        self.missed += missed
        self._count += max(late, 1)
        self._wait()
        for number in range(max(late, 1) - missed):
            if self._beating:  # else stopped by what a beat set off
                self._beat(missed if number == 0 else 0)
