"""An rtpengine that only talks: it answers the control protocol at once, and carries nothing.

Set against it, the gateway's own cost of controlling an engine is seen without the engine's.
"""

from __future__ import annotations

import socket

from rtcgw.media.engine.ng import Reply, decode, encode
from tests.bench.descriptions import BROWSER_ANSWER, phone
from tests.bench.loop import HOST, Loop

_FOR_CORE = phone(30000)
_FOR_WEB = BROWSER_ANSWER.replace("111 63 9 0 8 13 110 126", "0 8 126").replace("a=setup:active", "a=setup:passive")


class Engine:
    """One node on a port of its own."""

    def __init__(self, loop: Loop, port: int) -> None:
        self.node = f"udp:{HOST}:{port}"
        self._loop = loop
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((HOST, port))
        loop.add(self._socket, self._readable)

    def close(self) -> None:
        """Free the port."""
        self._loop.remove(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        data, source = self._socket.recvfrom(65535)
        cookie, _, body = data.partition(b" ")
        request = decode(body)
        if isinstance(request, dict):
            self._socket.sendto(cookie + b" " + encode(self._answer(request)), source)

    @staticmethod
    def _answer(request: Reply) -> Reply:
        command = request["command"]
        if command == "ping":
            return {"result": "pong"}
        if command in ("offer", "answer"):
            return {"result": "ok", "sdp": _FOR_WEB if "SAVPF" in str(request["transport-protocol"]) else _FOR_CORE}
        return {"result": "ok"}
