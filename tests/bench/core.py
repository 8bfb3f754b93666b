"""The benchmark's IMS core: a registrar that asks for nothing, and a phone that answers every call.

One UDP socket and a split of lines: whatever it costs, it costs on the other core of the machine. The number of a
call is the user part of the called URI, and stays so in the Contact, so that every request names its call.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.bench.descriptions import BROWSER_ANSWER
from tests.bench.loop import HOST, Loop, now

RING = 0.02
"""Seconds from 180 to 200. Not at once: the gateway would find both in one wake-up, as never in life."""
_COPIED = (b"via", b"from", b"to", b"call-id", b"cseq")
_BUFFER = 8 * 1024 * 1024

Address = tuple[str, int]


def number_of(line: bytes) -> int:
    """The call that a request is about; -1 where it is about none."""
    user = line.partition(b"sip:c")[2].partition(b"@")[0]
    return int(user) if user.isdigit() else -1


class Core:
    """`on_invite(number, when)`, `on_ringing(number, when)` (180 was sent) and `on_bye(number)` tell of calls.

    `answer(number, offer)` makes the description of the 200; by default it is a browser's.
    """

    def __init__(self, loop: Loop, port: int) -> None:
        self.port = port
        self.registered = 0
        """REGISTERs answered."""
        self.acked = 0
        self.strange = 0
        """Datagrams that nobody expected here."""
        self.on_invite: Callable[[int, float], None] = lambda number, when: None
        self.on_ringing: Callable[[int, float], None] = lambda number, when: None
        self.on_bye: Callable[[int], None] = lambda number: None
        self.answer: Callable[[int, str], str] = lambda number, offer: BROWSER_ANSWER
        self._loop = loop
        self._route = f"<sip:{HOST}:{port};transport=udp;lr>"
        self._answers: dict[int, bytes] = {}
        """The last answer of each call that is being set up, for a repeated INVITE."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setblocking(False)
        self._socket.bind((HOST, port))
        loop.add(self._socket, self._readable)

    def close(self) -> None:
        """Free the port."""
        self._loop.remove(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        try:
            while True:
                data, source = self._socket.recvfrom(65535)
                self._take(data, source, now())
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            return  # the gateway was stopped between two runs

    def _take(self, data: bytes, source: Address, when: float) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        method, _, uri = lines[0].partition(b" ")
        if method == b"INVITE":
            self._invited(number_of(uri), lines, body, source, when)
        elif method == b"ACK":
            self.acked += 1
            self._answers.pop(number_of(uri), None)
        elif method == b"BYE":
            self._send(source, b"200 OK", self._copied(lines))
            self.on_bye(number_of(uri))
        elif method == b"REGISTER":
            self.registered += 1
            contact = next((line for line in lines if line.lower().startswith(b"contact:")), b"Contact: *")
            granted = f"Service-Route: {self._route}\r\nP-Associated-URI: <sip:gw@bench.test>".encode()
            self._send(source, b"200 OK", [*self._copied(lines), contact + b";expires=3600", granted])
        elif method == b"SUBSCRIBE":
            self._send(source, b"489 Bad Event", self._copied(lines))
        elif not method.startswith(b"SIP/"):
            self.strange += 1

    def _invited(self, number: int, lines: list[bytes], body: bytes, source: Address, when: float) -> None:
        repeated = self._answers.get(number)
        if repeated is not None:
            self._socket.sendto(repeated, source)
            return
        self.on_invite(number, when)
        kept = self._copied(lines, b";tag=phone")
        kept.append(f"Contact: <sip:c{number}@{HOST}:{self.port}>\r\nRecord-Route: {self._route}".encode())
        kept.append(b"Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, OPTIONS\r\nServer: bench phone")
        data = self._print(b"180 Ringing", kept)
        self._answers[number] = data
        self._socket.sendto(data, source)
        self.on_ringing(number, now())
        self._loop.after(RING, lambda: self._answered(number, kept, body, source))

    def _answered(self, number: int, kept: list[bytes], body: bytes, source: Address) -> None:
        described = [*kept, b"Content-Type: application/sdp"]
        data = self._print(b"200 OK", described, self.answer(number, body.decode()).encode())
        self._answers[number] = data
        self._socket.sendto(data, source)

    def _send(self, source: Address, status: bytes, lines: list[bytes]) -> None:
        self._socket.sendto(self._print(status, lines), source)

    @staticmethod
    def _copied(lines: list[bytes], tag: bytes = b"") -> list[bytes]:
        kept = [line for line in lines[1:] if line.partition(b":")[0].lower() in _COPIED]
        return [line + tag if tag and line[:3].lower() == b"to:" else line for line in kept]

    @staticmethod
    def _print(status: bytes, lines: list[bytes], body: bytes = b"") -> bytes:
        return b"\r\n".join([b"SIP/2.0 " + status, *lines, b"Content-Length: %d" % len(body), b"", body])
