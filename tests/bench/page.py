"""A page as the load generator has it: a WebSocket client that costs microseconds."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from tests.bench.loop import HOST, Loop

_MASK = b"\x37\xfa\x21\x3d"


class News(msgspec.Struct, gc=False):
    """What the generator reads of a message of the gateway."""

    type: str
    id: int | None = None
    session: str | None = None
    for_: str | None = msgspec.field(default=None, name="for")
    sdp: str | None = None
    code: str | None = None
    reason: str | None = None


_decoder = msgspec.json.Decoder(News)


def masked(payload: bytes) -> bytes:
    """One final text frame, as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    else:
        head = b"\x81\xfe" + size.to_bytes(2, "big")
    key = (_MASK * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return head + _MASK + mixed.to_bytes(size, "little")


class Page:
    """One connection. `on_news(page, news)` is given every message; `open` and `user` say how far it got."""

    def __init__(self, loop: Loop, port: int, on_news: Callable[[Page, News], None]) -> None:
        self.on_news = on_news
        self.open = False
        self.user = False
        """Logged in."""
        self.lost = False
        self._loop = loop
        self._buffer = b""
        self._greeting = b""
        self._port = port
        self._socket = socket.socket()
        self._socket.setblocking(False)  # where many come at once, some wait to be let in: not the others
        self._socket.connect_ex((HOST, port))
        loop.add(self._socket, self._connected, select.EPOLLOUT)

    def login(self, token: str) -> None:
        """Log in; may be called before the handshake is done, and goes out after it."""
        self._greeting = masked(json.dumps({"type": "LOGIN", "id": 1, "token": token}).encode())
        if self.open:
            self._socket.sendall(self._greeting)

    def send(self, **message: Any) -> None:
        """Send one message; a page that was thrown out says nothing, and its calls count as failed."""
        if not self.lost:
            try:
                self._socket.sendall(masked(msgspec.json.encode(message)))
            except ConnectionError:
                self.close()

    def close(self) -> None:
        """Leave without a word."""
        if not self.lost:
            self.lost = True
            self._loop.remove(self._socket)
            self._socket.close()

    def _connected(self) -> None:
        self._loop.remove(self._socket)
        failed = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        self._socket.settimeout(10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        place = f"{HOST}:{self._port}"
        self._socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {place}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://{place}\r\nSec-WebSocket-Protocol: rtcgw.1\r\n\r\n".encode()
        )
        self._loop.add(self._socket, self._readable)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            return
        self._buffer = self._buffer + data if self._buffer else data
        if not self.open:
            self._opening()
        while not self.lost and self._frame():
            pass

    def _opening(self) -> None:
        head, ended, rest = self._buffer.partition(b"\r\n\r\n")
        if not ended:
            return
        if not head.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"no WebSocket: {head.decode(errors='replace')}")
        self.open, self._buffer = True, rest
        if self._greeting:
            self._socket.sendall(self._greeting)

    def _frame(self) -> bool:
        data = self._buffer
        if not self.open or len(data) < 2:
            return False
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + size:
            return False
        self._buffer = data[start + size :]
        if data[0] == 0x89:
            self._socket.sendall(b"\x8a\x80" + _MASK)  # the gateway's ping is empty
        elif data[0] == 0x81:
            news = _decoder.decode(data[start : start + size])
            if news.for_ == "LOGIN":
                self.user = True
            else:
                self.on_news(self, news)
        return True
