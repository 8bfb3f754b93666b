"""Waiting for other programs, through the reactor: a condition, a port, an answer to a datagram.

The live suite never sleeps for a guessed time. What has no event of its own (a line in a log file, a bound
port) is looked at every few milliseconds while the reactor runs on, so that the test's own sockets work
meanwhile; everything has an upper bound after which the test fails and says what it waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

reactor = cast(Any, _reactor)
"""The real reactor: this suite talks to real programs."""

HOST = "127.0.0.1"
"""All traffic of the suite stays on loopback."""

LOOK = 0.02
"""Seconds between two looks at a condition."""

T = TypeVar("T")


class NotInTimeError(AssertionError):
    """What was waited for did not come. An assertion: trial shows it as a failure, not as an error."""


async def until(what: str, look: Callable[[], T | None], timeout: float = 10.0) -> T:
    """The first true result of `look`. `what` completes the sentence "not within 10 s: ..."."""
    end = reactor.seconds() + timeout
    while not (found := look()):
        if reactor.seconds() >= end:
            raise NotInTimeError(f"not within {timeout:g} s: {what}")
        await deferLater(reactor, LOOK)
    return found


async def within(what: str, result: Deferred[T], timeout: float = 10.0) -> T:
    """The result of a Deferred, which is cancelled when it takes too long."""
    late: list[bool] = []

    def give_up() -> None:
        late.append(True)
        result.cancel()

    timer = reactor.callLater(timeout, give_up)
    try:
        return await result
    except Exception as error:
        if late:
            raise NotInTimeError(f"not within {timeout:g} s: {what}") from error
        raise
    finally:
        with suppress(AlreadyCalled, AlreadyCancelled):
            timer.cancel()


def bound(port: int, transport: str = "udp") -> bool:
    """Whether some process listens on this port of loopback or of every address (Linux: /proc/net)."""
    listening = {"udp": "07", "tcp": "0A"}[transport]
    return any(row[3] == listening and row[1].endswith(f":{port:04X}") for row in _sockets(transport))


def connections_to(port: int) -> int:
    """How many established TCP connections lead to this port."""
    return sum(1 for row in _sockets("tcp") if row[3] == "01" and row[2].endswith(f":{port:04X}"))


def _sockets(transport: str) -> list[list[str]]:
    rows = Path(f"/proc/net/{transport}").read_text(encoding="ascii").splitlines()[1:]
    return [row.split() for row in rows]


class _Asker(DatagramProtocol):
    def __init__(self, accept: Callable[[bytes], bool]) -> None:
        self.accept = accept
        self.answer: Deferred[bytes] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if not self.answer.called and self.accept(datagram):
            self.answer.callback(datagram)

    def connectionRefused(self) -> None:
        """Nobody listens yet; the asker's time-out tells."""


async def ask(
    port: int, question: Callable[[int], bytes], accept: Callable[[bytes], bool], timeout: float = 0.5
) -> bytes | None:
    """Send one datagram to a loopback port and return the first acceptable answer, or None.

    `question` is given the local port, which SIP wants to know.
    """
    asker = _Asker(accept)
    listening = reactor.listenUDP(0, asker, interface=HOST)
    try:
        cast(Any, asker.transport).write(question(listening.getHost().port), (HOST, port))
        return await within("a datagram", asker.answer, timeout)
    except NotInTimeError:
        return None
    finally:
        await listening.stopListening()


async def until_answered(
    what: str,
    port: int,
    question: Callable[[int], bytes],
    accept: Callable[[bytes], bool],
    timeout: float = 15.0,
) -> bytes:
    """Ask again and again until an acceptable answer comes."""
    end = reactor.seconds() + timeout
    while (answer := await ask(port, question, accept)) is None:
        if reactor.seconds() >= end:
            raise NotInTimeError(f"not within {timeout:g} s: {what}")
    return answer
