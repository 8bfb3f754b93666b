"""What joins a call's two legs: the media session between them, asked by one at a time.

The media may answer at once or by a Deferred. While it thinks, whatever comes for it waits in order; the end of a
call waits for nobody. Every question to the media that may take time goes through `ask`, so that no caller sees
the difference, nor catches a `MediaError` itself.

What it is not: it decides nothing about calls. `opening.py` carries the first descriptions, `change.py` later ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from rtcgw.media.backend import IMediaSession, MediaError, Party
from rtcgw.translator.leg import ILeg

T = TypeVar("T")

PENDING_LIMIT = 32
"""What may wait for the media; a party that says more meanwhile ends the call."""


class Joint:
    """`caller`, `callee` and `media` of one call. `fault(failure)` is told of mistakes of ours."""

    __slots__ = ("_fault", "_pending", "_waiting", "callee", "caller", "media")

    def __init__(self, caller: ILeg, callee: ILeg, media: IMediaSession, fault: Callable[[Failure], None]) -> None:
        self.caller = caller
        self.callee = callee
        self.media = media
        self._fault = fault
        self._waiting: Deferred[Any] | None = None
        self._pending: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def leg(self, party: Party) -> ILeg:
        """The leg of a party."""
        return self.caller if party is Party.CALLER else self.callee

    def party(self, leg: ILeg) -> Party:
        """Whose leg it is."""
        return Party.CALLER if leg is self.caller else Party.CALLEE

    def put(self, leg: ILeg, instead: ILeg) -> None:
        """`leg` takes the place of another one."""
        if instead is self.caller:
            self.caller = leg
        else:
            self.callee = leg

    @property
    def waits(self) -> bool:
        """Whether the media has been asked something that it has not answered yet."""
        return self._waiting is not None

    def take(self, work: Callable[..., None], *args: Any) -> bool:
        """Do `work(*args)` when the media is free: now, or in its turn. False: too much waits already."""
        if self._waiting is None:
            work(*args)
        elif len(self._pending) < PENDING_LIMIT:
            self._pending.append((work, args))
        else:
            return False
        return True

    def ask(
        self,
        question: Callable[[], T | Deferred[T]],
        then: Callable[[T], None],
        refused: Callable[[MediaError], None],
    ) -> None:
        """Put a question to the media; exactly one of `then` and `refused` follows, unless the call ends first."""
        try:
            result = question()
        except MediaError as error:
            refused(error)
            return
        # A text first: `Deferred` has an abstract base, which makes asking for it dear.
        if isinstance(result, str) or not isinstance(result, Deferred):
            then(result)
            return
        self._waiting = result
        result.addCallbacks(then, _refusal, errbackArgs=(refused,))
        result.addErrback(self._fault)
        result.addBoth(self._answered, result)
        result.addErrback(self._fault)  # what waited may fail as well

    def _answered(self, _: object, result: Deferred[Any]) -> None:
        """The turn is over, unless what followed from it has asked again."""
        if self._waiting is not result:
            return
        self._waiting = None
        while self._pending and self._waiting is None:
            work, args = self._pending.popleft()
            work(*args)

    def stop(self) -> None:
        """The call is over: nothing is waited for."""
        self._pending.clear()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()


def _refusal(failure: Failure, refused: Callable[[MediaError], None]) -> None:
    if isinstance(failure.value, MediaError):
        refused(failure.value)
    elif not isinstance(failure.value, CancelledError):
        failure.raiseException()
