"""The Chrome DevTools Protocol over the browser's pipes: commands with replies, and events.

It knows nothing of pages; `chromium.py` does. One pair of pipes serves the browser and all its pages, told apart by
`sessionId` ("flat" sessions). Pipes, not the debugging port: they lead into a network namespace as well, and nobody
else can come by them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

Listener = Callable[[str, dict[str, Any]], None]
"""Called with an event's method and parameters."""

REPLY_TIMEOUT = 30.0
"""Seconds that a command may take; an awaited promise of a page included."""


class DevToolsError(Exception):
    """The browser refused a command, did not reply, or went away."""


class DevTools:
    """A conversation with a browser. `write`: octets to it, while it lives."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._write: Callable[[bytes], object] | None = None
        self._buffer = bytearray()
        self._waiting: dict[int, Deferred[dict[str, Any]]] = {}
        self._listeners: dict[str, Listener] = {}
        self._last_id = 0

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """A command and its result."""
        if self._write is None:
            raise DevToolsError(f"{method}: the browser is gone")
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        reply: Deferred[dict[str, Any]] = Deferred()
        self._waiting[self._last_id] = reply
        self._write(json.dumps(message).encode() + b"\0")
        reply.addTimeout(REPLY_TIMEOUT, self._reactor, lambda *_: Failure(DevToolsError(f"{method}: no reply")))
        return await reply

    def listen(self, session: str, listener: Listener) -> None:
        """Give the events of one session to `listener`."""
        self._listeners[session] = listener

    # -- called by the browser's process -------------------------------------------------------

    def opened(self, write: Callable[[bytes], object]) -> None:
        """The pipes are there."""
        self._write = write

    def data(self, data: bytes) -> None:
        """Octets from the browser: messages that end in a zero."""
        start = len(self._buffer)
        self._buffer += data
        while (end := self._buffer.find(0, start)) >= 0:
            self._received(json.loads(self._buffer[:end]))
            del self._buffer[: end + 1]
            start = 0

    def closed(self) -> None:
        """The browser has gone, or the pipes to it."""
        self._write = None
        waiting, self._waiting = self._waiting, {}
        for reply in waiting.values():
            if not reply.called:
                reply.errback(DevToolsError("the browser is gone"))

    def _received(self, message: dict[str, Any]) -> None:
        if "id" in message:
            reply = self._waiting.pop(message["id"], None)
            if reply is None or reply.called:
                return
            if "error" in message:
                reply.errback(DevToolsError(str(message["error"].get("message"))))
            else:
                reply.callback(message["result"])
            return
        listener = self._listeners.get(message.get("sessionId", ""))
        if listener is not None:
            listener(message["method"], message["params"])
