"""The work of one session with its engine: one piece after the other, and the last one at its end.

What comes while the engine is being told of something else waits. A session that is closed meanwhile says goodbye
once the engine has answered, so that `delete` comes after everything else.

What it is not: it does not know what is asked (`session.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from rtcgw.machine import Machine, Row, Symbol, Table
from rtcgw.media.backend import MediaError
from rtcgw.model.reason import Reason

T = TypeVar("T")

MAX_WAITING = 4
"""Pieces of work that wait for the engine's answer to an earlier one; beyond it, `MediaError` (CONFLICT)."""


class EngineState(Symbol):
    """What the engine knows of the session."""

    UNUSED = "never asked"
    BUSY = "a request is out"
    IDLE = "known to the engine"
    CLOSING = "closed while a request is out"
    CLOSED = "closed"


class EngineEvent(Symbol):
    """What moves the session."""

    ASK = "work begins"
    DONE = "it is done, or was given up"
    CLOSE = "closed"


class Worker(Protocol):
    """Whose work it is."""

    def begun(self) -> None:
        """The engine is about to be asked."""

    def forget(self) -> None:
        """The session is closed: nothing is to be heard of it. May be called twice."""

    def over(self, is_known: bool) -> None:
        """Nothing is out any more; `is_known`: the engine has heard of the session and must be told of its end."""


class Turns:
    """See the module."""

    def __init__(self, worker: Worker, clock: IReactorTime) -> None:
        self._worker = worker
        self._waiting: deque[tuple[Callable[[], None], Deferred[Any]]] = deque()
        self._machine = Machine(ENGINE_TABLE, self, clock)

    @property
    def state(self) -> EngineState:
        """What the engine knows of the session."""
        return self._machine.state

    @property
    def is_closed(self) -> bool:
        """Whether no work is taken any more."""
        return self.state in (EngineState.CLOSING, EngineState.CLOSED)

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Deferred[T]:
        """Start `work`, or let it wait. The caller may cancel what it gets; the work goes on, so that `delete` comes
        after it."""
        if self.is_closed or len(self._waiting) >= MAX_WAITING:
            raise MediaError(Reason.CONFLICT, "the media session is busy or closed")
        result: Deferred[T] = Deferred(lambda _: None)

        def begin() -> None:
            self._worker.begun()
            self._machine.handle(EngineEvent.ASK)
            asked: Deferred[T] = Deferred.fromCoroutine(work())
            asked.addBoth(done)

        def done(outcome: T | Failure) -> None:
            self._machine.handle(EngineEvent.DONE)
            if not result.called:
                result.callback(outcome)

        if self.state is EngineState.BUSY:
            self._waiting.append((begin, result))
        else:
            begin()
        return result

    def close(self) -> None:
        """The session is closed."""
        self._machine.handle(EngineEvent.CLOSE)

    # -- actions of the table ----------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._waiting:
            self._waiting.popleft()[0]()

    def _forget(self) -> None:
        self._worker.forget()
        while self._waiting:
            self._waiting.popleft()[1].errback(MediaError(Reason.CONFLICT, "the media session is closed"))

    def _over(self) -> None:
        self._worker.over(False)

    def _over_known(self) -> None:
        self._worker.over(True)


_S, _E = EngineState, EngineEvent
_FORGET, _OVER_KNOWN = Turns._forget, Turns._over_known

ENGINE_TABLE: Table[EngineState, EngineEvent] = Table(
    "rtpengine media",
    EngineState.UNUSED,
    EngineEvent,
    {
        (_S.UNUSED, _E.ASK): Row(_S.BUSY),
        (_S.UNUSED, _E.CLOSE): Row(_S.CLOSED, (_FORGET, Turns._over)),
        (_S.BUSY, _E.DONE): Row(_S.IDLE, (Turns._next,)),
        (_S.BUSY, _E.CLOSE): Row(_S.CLOSING, (_FORGET,)),
        (_S.IDLE, _E.ASK): Row(_S.BUSY),
        (_S.IDLE, _E.CLOSE): Row(_S.CLOSED, (_FORGET, _OVER_KNOWN)),
        # Once more: what was out may have entered the session with another engine.
        (_S.CLOSING, _E.DONE): Row(_S.CLOSED, (_FORGET, _OVER_KNOWN)),
    },
    {
        _S.UNUSED: {_E.DONE},
        _S.BUSY: {_E.ASK},
        _S.IDLE: {_E.DONE},
        _S.CLOSING: {_E.ASK, _E.CLOSE},
        _S.CLOSED: set(EngineEvent),
    },
)
