"""rtpengine's control protocol NG: a cookie, a space, a bencoded dictionary, in one UDP datagram each way.

A request is repeated with the same cookie, by which the engine knows it for a repetition and gives its
first answer again. Which commands are sent, and what they mean, is `rtpengine.py`'s matter.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import count
from typing import TypeAlias, Union

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from rtcgw.media.sockets import Address, Write

log = Logger()

Value: TypeAlias = Union[str, int, "Sequence[Value]", "Mapping[str, Value]"]
Reply: TypeAlias = dict[str, "Value"]

REPEATS = (0.5, 1.0, 2.0)
"""Seconds after the first sending at which a request is repeated."""
MAX_PENDING = 10000
"""Requests waiting for an answer; beyond it new ones fail at once."""
MAX_DEPTH = 16
"""Lists and dictionaries within each other that are read."""


class NgError(Exception):
    """The engine did not answer in time, or refused. The message is for the log."""


class NgTimeout(NgError):
    """The engine did not answer in time."""


class Encoded(str):
    """A value that was encoded once for many requests; it is the text of its bencode, all ASCII."""

    __slots__ = ()


def encode(value: Value) -> bytes:
    """A value as bencode; dictionary keys in the order given, text as UTF-8."""
    if isinstance(value, str):
        if type(value) is Encoded:
            return value.encode()
        data = value.encode()
        return b"%d:%b" % (len(data), data)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, Mapping):
        parts = [b"d"]
        for key, item in value.items():
            parts.append(_key(key))
            parts.append(encode(item))
        parts.append(b"e")
        return b"".join(parts)
    return b"l" + b"".join(map(encode, value)) + b"e"


@lru_cache(maxsize=256)
def _key(key: str) -> bytes:
    """A dictionary's key; they are always the same."""
    return encode(key)


def decode(data: bytes) -> Value:
    """A bencoded value. Raises `ValueError` for anything that is not exactly one, or is too deep."""
    value, end = _decode(data, 0, 0)
    if end != len(data):
        raise ValueError("octets after the value")
    return value


def _decode(data: bytes, place: int, depth: int) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise ValueError("too deep")
    kind = data[place : place + 1]
    if kind == b"i":
        end = data.index(b"e", place)
        return int(data[place + 1 : end]), end + 1
    if kind in (b"l", b"d"):
        items: list[Value] = []
        place += 1
        while data[place : place + 1] != b"e":
            item, place = _decode(data, place, depth + 1)
            items.append(item)
        if kind == b"l":
            return items, place + 1
        if len(items) % 2:
            raise ValueError("a key without a value")
        return {str(key): item for key, item in zip(items[::2], items[1::2], strict=True)}, place + 1
    colon = data.index(b":", place)
    length = data[place:colon]
    start = colon + 1
    if not length.isdigit() or start + int(length) > len(data):
        raise ValueError("a text cut short")
    end = start + int(length)
    return data[start:end].decode("utf-8", "replace"), end


@define(eq=False)
class _Request:
    cookie: bytes
    data: bytes
    node: Address
    answer: Deferred[Reply]
    begun: float
    timer: IDelayedCall | None = None
    repeats: int = 0


class NgClient(DatagramProtocol):
    """Sends requests to any number of engines from one socket."""

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._write: Write | None = None
        self._pending: dict[bytes, _Request] = {}
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)
        self._moments = (*(moment for moment in REPEATS if moment < timeout), timeout)
        """Seconds after the first sending; at the last one a request is given up."""
        self.counters = {"repeated": 0, "timeout": 0, "stray": 0, "broken": 0}
        """Requests repeated and timed out; datagrams nobody waits for, and such as are no answer."""

    def opened(self, write: Write) -> None:
        """The socket is open."""
        self._write = write

    @property
    def pending(self) -> int:
        """Requests waiting for an answer."""
        return len(self._pending)

    def request(self, node: Address, message: Mapping[str, Value]) -> Deferred[Reply]:
        """Ask an engine. Fires with its answer, whatever its `result` says; fails with `NgError`."""
        answer: Deferred[Reply] = Deferred()
        if self._write is None or len(self._pending) >= MAX_PENDING:
            answer.errback(NgError("not connected" if self._write is None else "too many requests are waiting"))
            return answer
        cookie = f"{self._prefix}{next(self._numbers)}".encode()
        request = _Request(cookie, cookie + b" " + encode(message), node, answer, self._clock.seconds())
        self._pending[cookie] = request
        self._send(request)
        return answer

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """An engine's answer; what is none is dropped and counted."""
        cookie, _, body = datagram.partition(b" ")
        request = self._pending.get(cookie)
        if request is None or request.node != addr:
            self.counters["stray"] += 1
            return
        try:
            reply = decode(body)
        except (ValueError, RecursionError):
            reply = ""
        if not isinstance(reply, dict):
            self.counters["broken"] += 1
            return
        self._forget(cookie)
        request.answer.callback(reply)

    def close(self) -> None:
        """Every waiting request fails."""
        for cookie in list(self._pending):
            self._forget(cookie).answer.errback(NgError("closing"))
        self._write = None

    def _due(self, request: _Request) -> None:
        request.timer = None
        request.repeats += 1
        if request.repeats == len(self._moments):
            self._give_up(request)
            return
        self.counters["repeated"] += 1
        self._send(request)

    def _send(self, request: _Request) -> None:
        # One timer at a time: an answer comes within a millisecond as a rule, and each timer costs as much as it.
        delay = request.begun + self._moments[request.repeats] - self._clock.seconds()
        request.timer = self._clock.callLater(max(delay, 0.0), self._due, request)
        if self._write is not None:
            try:
                self._write(request.data, request.node)
            except OSError as error:
                log.debug("rtpengine {node}: {error}", node=request.node, error=error)  # the time-out tells the rest

    def _give_up(self, request: _Request) -> None:
        self.counters["timeout"] += 1
        self._forget(request.cookie)
        request.answer.errback(NgTimeout(f"no answer from {request.node[0]}:{request.node[1]}"))

    def _forget(self, cookie: bytes) -> _Request:
        request = self._pending.pop(cookie)
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None
        return request
