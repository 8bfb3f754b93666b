"""What an attacker throws at the gateway's web port: no HTTP, no frames, no messages, too many, none read.

The other half of `storm.py`, written by the same rules.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress

from tests.live.storm import connected, pause
from tests.live.waiting import HOST, reactor
from tests.live.webclient import WebClient
from tests.peers.browser import frame


async def http_garbage(port: int) -> None:
    """What is no HTTP, or no handshake of ours; every answer is left unread."""
    head = f"GET /ws HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    ours = "Sec-WebSocket-Protocol: rtcgw.1\r\n"
    for text in (
        "\x00\xff\x80garbage\r\n\r\n",
        "GET\r\n\r\n",
        "POST /ws HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /" + "a" * 20000 + " HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n" + "X: y\r\n" * 2000 + "\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        head + "\r\n",
        head + key + "\r\n",
        head + key + ours + "Origin: http://evil.example\r\n\r\n",
        head + key + ours + "Origin: http://[::1\r\n\r\n",
        head + key.replace("dGhl", "\xff") + ours + "\r\n",
        head + key.replace("13", "99") + ours + "\r\n",
        head + key + ours + "Cookie: " + "c" * 30000 + "\r\n\r\n",
    ) * 3:
        with closing(await connected(port)) as attacker:
            with suppress(OSError):
                attacker.send(text.encode("latin-1"))
            await pause(0.005)


DEEP = 30000


def bad_messages() -> Iterator[bytes]:
    """Text frames that are refused, each for a reason of its own."""
    yield from (b"[]", b"{", b"nul", b"1", b'"x"', b"{}", b'{"type": 5}', b'{"type": "NO-SUCH"}', b'{"type": "OFFER"}')
    yield b'{"type": "OFFER", "id": 1, "to": 5, "sdp": "v=0"}'
    yield b'{"type": "OFFER", "id": 2, "to": "sip:x@y\\r\\nEvil: 1", "sdp": "v=0\\r\\n"}'
    yield b'{"type": "OFFER", "id": 3, "to": "sip:dave@ims.test", "sdp": "' + b"m=" * 5000 + b'"}'
    yield b'{"type": "ANSWER", "id": 4, "session": "no-such", "sdp": "x"}'
    yield b'{"type": "CANDIDATE", "id": 5, "session": "no-such", "candidate": "x", "mid": "0", "mLineIndex": 0}'
    yield b'{"type": "HANGUP", "id": {"a": []}, "session": ["x"]}'
    yield b'{"type": "LOGIN", "id": 6, "token": 7}'
    yield b'{"type": "LOGIN", "id": 7, "resume": "' + b"x" * 257 + b'"}'
    yield b'{"type": "HOLD", "id": 8, "session": "no-such", "on": true}'
    yield b'{"type": "HOLD", "id": 9, "session": "no-such", "on": "perhaps"}'
    yield b'{"type": "TRANSFER", "id": 10, "session": "no-such", "to": "sip:x@y\\u0000"}'
    yield b'{"type": "TRANSFER", "id": 11, "session": "no-such", "with": "no-such"}'
    yield b'{"type": "TRANSFER", "id": 12, "session": "no-such", "to": "x", "with": "y"}'
    yield b'{"type": "MERGE", "id": 13, "sessions": ["a", "b"]}'
    yield b'{"type": "MERGE", "id": 14, "sessions": [' + b'"a",' * 5000 + b'"a"]}'
    yield b'{"type": "OFFER", "id": 15, "to": "x", "sdp": "x", "headers": {"Route": "<sip:evil>"}}'
    yield b'{"type": "OFFER", "id": 16, "to": "x", "sdp": "x", "headers": {"X-A\\r\\nVia": "y"}}'
    yield b'{"type": "SEEN", "id": 17, "missed": []}'
    yield b'{"type": "PING", "id": ' + b"9" * 5000 + b"}"
    yield b'{"type": "PING", "id": NaN}'
    yield b"[" * DEEP + b"]" * DEEP
    yield b'{"a":' * 5000 + b"1" + b"}" * 5000
    yield b'{"type": "PING", "id": "\\ud800"}'


def bad_frames() -> dict[int, bytes]:
    """The close code that each of these is answered with (RFC 6455 §7.4.1)."""
    return {
        1007: frame(b"\xff\xfe{}"),
        1003: frame(b"binary", 0x82),
        1009: b"\x81\xff" + (1 << 20).to_bytes(8, "big") + b"\0\0\0\0",
        1002: b"\x81\x02{}",  # unmasked
    }


async def flood_messages(client: WebClient, messages: int) -> None:
    """Far more than a page has to say."""
    ping = frame(json.dumps({"type": "PING", "id": 1}).encode())
    for _ in range(messages // 100):
        if client.lost:
            return
        client._write(ping * 100)
        await pause(0.001)


@asynccontextmanager
async def half_open(port: int, connections: int) -> AsyncIterator[list[socket.socket]]:
    """Connections whose handshake never ends, or never begins, for as long as the context lasts."""
    sockets = []
    try:
        for place in range(connections):
            made = await connected(port)
            if place % 2:
                made.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgr")
            sockets.append(made)
            if place % 10 == 9:
                await pause()
        yield sockets
    finally:
        for made in sockets:
            made.close()


async def unread(port: int, token: str, messages: int) -> bool:
    """A page that logs in and asks on and on without ever reading; whether the gateway cut it off."""
    client = await connected(port, receive=4096)
    with closing(client):
        client.send(
            f"GET /ws HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: rtcgw.1\r\n\r\n".encode()
        )
        await pause(0.1)
        client.send(frame(json.dumps({"type": "LOGIN", "id": 1, "token": token, "capabilities": []}).encode()))
        waiting = frame(json.dumps({"type": "PING", "id": "p" * 60}).encode()) * messages
        end = reactor.seconds() + 10
        while waiting and reactor.seconds() < end:
            try:
                waiting = waiting[client.send(waiting[:20000]) :]
            except BlockingIOError:
                pass
            except OSError:
                return True
            await pause(0.002)
    return False
