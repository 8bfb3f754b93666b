"""A scriptable browser in memory: it speaks the native dialect over a real `BrowserConnection`, without a network.

    side = BrowserSide(translator, clock)              users, desk and factory, as the gateway wires them
    alice = side.browser("alice")                      connected and logged in
    call = alice.call("echo")                          OFFER, WAITING -> the session
    alice.expect("RINGING", session=call)
    alice.hang_up(call)

Frames are made and read here, by other code than the gateway's. `expect` takes the next message and fails with what
came instead; nothing ever waits.
"""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from attrs import evolve
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from rtcgw.config import Config, Web
from rtcgw.model.identity import Profile, User
from rtcgw.rtcweb.client import Desk, make_desk
from rtcgw.rtcweb.identifying import Users
from rtcgw.rtcweb.websocket import BrowserFactory
from rtcgw.translator.factory import ITranslator

MASK = b"\x12\xa4\x5c\x03"
SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
ANSWER_SDP = SDP.replace("o=- 1 1", "o=- 2 1")

PROFILE = Profile("main", "gw1@ims.test", ("sip:gw1@ims.test", "sip:alice@ims.test", "tel:+15550011"), "ims.test")
USERS = (
    User("alice", "sip:alice@ims.test", "main", "Alice"),
    User("bob", "tel:+15550011", "main", "Bob"),
    User("carol"),
)


def sandbox_config(**web: Any) -> Config:
    """A configuration with three sandbox users, whose passwords are their names."""
    return Config(
        web=evolve(Web(), **web), profiles=(PROFILE,), users=USERS, passwords={user.name: user.name for user in USERS}
    )


class BrowserSide:
    """The RTCWeb module (310) as the gateway wires it, and browsers connected to it."""

    def __init__(self, translator: ITranslator, clock: IReactorTime, config: Config | None = None) -> None:
        self.config = config or sandbox_config()
        self.users = Users(self.config.users, self.config.profiles, self.config.call.max_calls_per_user, clock)
        self.desk: Desk = make_desk(self.config, self.users, translator, clock, clock.seconds)
        self.factory = BrowserFactory(self.config.web, self.desk)
        self.factory.start()

    def connect(self, **options: Any) -> Browser:
        """A browser that is connected and not logged in."""
        browser = Browser(self.factory, **options)
        browser.handshake()
        return browser

    def browser(self, user: str, **login: Any) -> Browser:
        """A browser that is logged in, by name and password."""
        browser = self.connect()
        browser.login(user, **login)
        return browser


class _Peer:
    """Where a connection in memory comes from."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.port = 50000
        self.type = "TCP"


def frame(payload: bytes, first: int = 0x81, mask: bytes | None = MASK) -> bytes:
    """A WebSocket frame as a client sends it (RFC 6455 §5.2)."""
    length, bit = len(payload), 0 if mask is None else 0x80
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 65536:
        head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Browser:
    """One page. `received` holds what was not yet expected; `close_code` is set when the gateway closes."""

    def __init__(
        self,
        factory: BrowserFactory,
        host: str = "127.0.0.1",
        origin: str | None = "http://gw.test:8080",
        protocol: str = "rtcgw.1",
        headers: str = "",
    ) -> None:
        self.connection = factory.buildProtocol(None)
        self.transport = StringTransport(peerAddress=_Peer(host))
        self.received: deque[dict[str, Any]] = deque()
        self.transcript: list[dict[str, Any]] = []
        """Every message of the gateway, in order."""
        self.status = 0
        """HTTP status of the handshake."""
        self.close_code: int | None = None
        self.polite = True
        """Answers the gateway's half of the closing handshake, as browsers do."""
        self.gone = False
        self.pings = 0
        """WebSocket pings seen."""
        self._buffer = b""
        self._ids = 0
        self._hello = (
            "GET /ws HTTP/1.1\r\nHost: gw.test:8080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            + (f"Origin: {origin}\r\n" if origin is not None else "")
            + (f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else "")
            + headers
            + "\r\n"
        ).encode()

    # -- the wire --------------------------------------------------------------------------

    def handshake(self) -> None:
        """Connect, and read the answer to the upgrade request."""
        self.connection.makeConnection(self.transport)
        self.feed(self._hello)

    def feed(self, data: bytes) -> None:
        """Bytes for the gateway, exactly as given, in one segment."""
        if not self.gone:
            self.connection.dataReceived(data)
        self.pump()

    def pump(self) -> None:
        """Read what the gateway has written, and let a closed transport end."""
        self._buffer += self.transport.value()
        self.transport.clear()
        if self.status == 0 and b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self.status = int(head.split()[1])
        while self.status == 101 and self._frame():
            pass
        if self.close_code is not None and self.polite and not self.transport.disconnecting and not self.gone:
            self.polite = False
            self.connection.dataReceived(frame(self.close_code.to_bytes(2, "big"), 0x88))
        if self.transport.disconnecting and not self.gone:
            self._lose(ConnectionDone())

    def _frame(self) -> bool:
        data = self._buffer
        if len(data) < 2:
            return False
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + length:
            return False
        payload, self._buffer = data[start : start + length], data[start + length :]
        kind = data[0] & 0x0F
        if kind == 1:
            message = json.loads(payload)
            self.received.append(message)
            self.transcript.append(message)
        elif kind == 8:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
        elif kind == 9:
            self.pings += 1
        return True

    def _lose(self, reason: Exception) -> None:
        self.gone = True
        self.connection.connectionLost(Failure(reason))

    def drop(self) -> None:
        """The connection breaks without a word: a killed browser, a pulled cable that was noticed."""
        self.pump()
        if not self.gone:
            self._lose(ConnectionLost())

    def close(self) -> None:
        """The page closes its WebSocket properly."""
        self.polite = False
        self.feed(frame(b"\x03\xe8", 0x88))

    def pong(self) -> None:
        """Answer a ping."""
        self.feed(frame(b"", 0x8A))

    # -- messages --------------------------------------------------------------------------

    def send(self, kind: str, **fields: Any) -> int:
        """Send a message with a fresh `id`, which is returned. `id=None` sends none."""
        self._ids += 1
        message = {"type": kind, "id": self._ids} | fields
        if message["id"] is None:
            del message["id"]
        self.feed(frame(json.dumps(message).encode()))
        return self._ids

    def expect(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next message; it must be of this type and have these fields (`from_` and `for_` for `from`, `for`)."""
        self.pump()
        wanted = {"type": kind} | {name.rstrip("_"): value for name, value in fields.items()}
        if not self.received:
            raise AssertionError(f"nothing came, wanted {wanted}")
        message = self.received.popleft()
        if {name: message.get(name) for name in wanted} != wanted:
            raise AssertionError(f"{message} came, wanted {wanted}")
        return message

    def nothing(self) -> None:
        """Nothing has come."""
        self.pump()
        if self.received:
            raise AssertionError(f"{self.received[0]} came, wanted nothing")

    # -- what a page does ------------------------------------------------------------------

    def login(self, user: str = "", password: str | None = None, **fields: Any) -> dict[str, Any]:
        """Log in, by default with the name as the password and every capability."""
        if not {"token", "resume"} & fields.keys():
            fields |= {"user": user, "password": user if password is None else password}
        fields.setdefault("capabilities", ["progress", "trickle"])
        sent = self.send("LOGIN", **fields)
        return self.expect("OK", for_="LOGIN", id=sent)

    def call(self, to: str, sdp: str | None = SDP) -> str:
        """Place a call; the session."""
        sent = self.send("OFFER", to=to) if sdp is None else self.send("OFFER", to=to, sdp=sdp)
        session = self.expect("WAITING", id=sent, to=to)["session"]
        assert isinstance(session, str)
        return session

    def rung(self, **fields: Any) -> str:
        """A call has come in: tell the caller that it rings; the session."""
        session = self.expect("OFFER", sdpType="offer", **fields)["session"]
        assert isinstance(session, str)
        sent = self.send("RINGING", session=session)
        self.expect("OK", for_="RINGING", id=sent, session=session)
        return session

    def answer(self, session: str, sdp: str | None = None) -> int:
        """ANSWER, with or without a description; the request's id, whose OK may be long in coming."""
        return self.send("ANSWER", session=session) if sdp is None else self.send("ANSWER", session=session, sdp=sdp)

    def pranswer(self, session: str, sdp: str | None = None) -> int:
        """PRANSWER, with or without a description; the request's id."""
        return (
            self.send("PRANSWER", session=session) if sdp is None else self.send("PRANSWER", session=session, sdp=sdp)
        )

    def hang_up(self, session: str, **fields: Any) -> None:
        """HANGUP and its OK."""
        sent = self.send("HANGUP", session=session, **fields)
        self.expect("OK", for_="HANGUP", id=sent, session=session)
