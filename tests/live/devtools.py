"""The Chrome DevTools Protocol over Autobahn's WebSocket client: commands with replies, and events.

It knows nothing of pages; `chromium.py` does. One socket serves the browser and all its pages,
told apart by `sessionId` ("flat" sessions).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.python.failure import Failure

Listener = Callable[[str, dict[str, Any]], None]
"""Called with an event's method and parameters."""

REPLY_TIMEOUT = 30.0
"""Seconds that a command may take; an awaited promise of a page included."""


class DevToolsError(Exception):
    """The browser refused a command, did not reply, or went away."""


class _Protocol(WebSocketClientProtocol):
    def onOpen(self) -> None:
        self.factory.owner.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.owner.received(json.loads(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.owner.closed()


class DevTools:
    """A connection to a browser's debugging port."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._protocol: _Protocol | None = None
        self._opening: Deferred[None] = Deferred()
        self._closing: Deferred[None] = Deferred()
        self._waiting: dict[int, Deferred[dict[str, Any]]] = {}
        self._listeners: dict[str, Listener] = {}
        self._last_id = 0

    async def connect(self, url: str) -> None:
        """Open the `ws://host:port/devtools/browser/...` that the browser printed."""
        factory: Any = WebSocketClientFactory(url, reactor=self._reactor)
        factory.protocol = _Protocol
        factory.noisy = False
        factory.owner = self
        # Screenshots come as one message.
        factory.setProtocolOptions(maxMessagePayloadSize=0, maxFramePayloadSize=0, openHandshakeTimeout=10)
        await HostnameEndpoint(self._reactor, factory.host, factory.port).connect(factory)
        await self._opening

    async def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """A command and its result."""
        if self._protocol is None:
            raise DevToolsError(f"{method}: the browser is gone")
        self._last_id += 1
        message: dict[str, Any] = {"id": self._last_id, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        reply: Deferred[dict[str, Any]] = Deferred()
        self._waiting[self._last_id] = reply
        self._protocol.sendMessage(json.dumps(message).encode())
        reply.addTimeout(REPLY_TIMEOUT, self._reactor, lambda *_: Failure(DevToolsError(f"{method}: no reply")))
        return await reply

    def listen(self, session: str, listener: Listener) -> None:
        """Give the events of one session to `listener`."""
        self._listeners[session] = listener

    async def close(self) -> None:
        """Close the socket and wait until it is closed."""
        if self._protocol is not None:
            self._protocol.dropConnection(abort=True)
            await self._closing

    # -- called by the protocol ---------------------------------------------------------------

    def opened(self, protocol: _Protocol) -> None:
        self._protocol = protocol
        self._opening.callback(None)

    def received(self, message: dict[str, Any]) -> None:
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

    def closed(self) -> None:
        self._protocol = None
        gone = DevToolsError("the browser is gone")
        if not self._opening.called:
            self._opening.errback(gone)
        for reply in self._waiting.values():
            if not reply.called:
                reply.errback(gone)
        self._waiting.clear()
        self._closing.callback(None)
