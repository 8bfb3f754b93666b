"""A bare Twisted program that exchanges the gateway's messages: what the libraries alone cost.

Autobahn as it comes, JSON by the standard library, a split for a SIP parser, timers A and B, E and F as
`callLater` and `cancel`. No log-in, no transactions, no dialogs, no descriptions read, no limits, no errors: it is
no gateway, but the ratio of the gateway to it says what the gateway adds, on whatever machine.

    python -m tests.bench.reference WEB_PORT SIP_PORT CORE_PORT
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from typing import Any, cast

from attrs import define
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol

from tests.bench.loop import HOST

reactor = cast(Any, _reactor)
_Protocol: Any = WebSocketServerProtocol
T1 = 0.5


@define(eq=False)
class _Call:
    session: str
    page: PageConnection
    headers: str
    """From, Call-ID and Max-Forwards, as every request has them."""
    to: str
    uri: str
    hangup: int = 0
    timers: Sequence[IDelayedCall] = ()
    routes: str = ""


class PageConnection(_Protocol):  # type: ignore[misc]
    """A page."""

    def onConnect(self, request: Any) -> str:
        """Every page is welcome."""
        return "rtcgw.1"

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Carry out one message."""
        message = json.loads(payload)
        kind, request = message["type"], message["id"]
        core: CoreSide = self.factory.core
        if kind == "LOGIN":
            self.say(type="OK", id=request, **{"for": "LOGIN"})
        elif kind == "OFFER":
            session = secrets.token_hex(8)
            self.say(type="WAITING", id=request, session=session, to=message["to"])
            core.invite(session, self, message["to"], message["sdp"])
        else:
            if kind == "HANGUP":
                core.bye(message["session"])
            self.say(type="OK", id=request, session=message["session"], **{"for": kind})

    def say(self, **message: Any) -> None:
        """Send one message."""
        self.sendMessage(json.dumps(message).encode())


class CoreSide(DatagramProtocol):
    """The SIP socket."""

    def __init__(self, port: int, core: int) -> None:
        self.port = port
        self.core = (HOST, core)
        self.calls: dict[str, _Call] = {}

    def invite(self, session: str, page: PageConnection, to: str, sdp: str) -> None:
        """Call `to`."""
        headers = f"From: <sip:gw@bench.test>;tag={secrets.token_hex(4)}\r\nCall-ID: {session}\r\nMax-Forwards: 70"
        call = self.calls[session] = _Call(session, page, headers, f"<{to}>", to)
        extra = f"Contact: <sip:gw@{HOST}:{self.port}>\r\nContent-Type: application/sdp\r\n"
        self._request(call, "INVITE", extra, sdp)

    def bye(self, session: str) -> None:
        """Hang up."""
        self._request(self.calls[session], "BYE")

    def _request(self, call: _Call, method: str, extra: str = "", body: str = "") -> None:
        number = 2 if method == "BYE" else 1
        data = (
            f"{method} {call.uri} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST}:{self.port};branch=z9hG4bK{secrets.token_hex(8)}"
            f";rport\r\n{call.routes}{call.headers}\r\nTo: {call.to}\r\nCSeq: {number} {method}\r\n{extra}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        cast(Any, self.transport).write(data, self.core)
        if method != "ACK":
            again, over = (reactor.callLater(seconds, self._silence) for seconds in (T1, 64 * T1))
            call.timers = (again, over)

    def _silence(self) -> None:
        """A timer that never fires: loopback loses nothing."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """A response."""
        head, _, body = datagram.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        status = int(first[8:11])
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        call = self.calls[headers["call-id"][0]]
        for timer in call.timers:
            if timer.active():
                timer.cancel()
        if headers["cseq"][0].endswith("BYE"):
            del self.calls[call.session]
        elif status == 180:
            call.page.say(type="RINGING", session=call.session)
        else:
            call.to = headers["to"][0]
            call.uri = headers["contact"][0].strip("<>")
            call.routes = "".join(f"Route: {route}\r\n" for route in headers.get("record-route", ()))
            self._request(call, "ACK")
            call.page.say(type="OK", session=call.session, sdp=body, sdpType="answer", **{"for": "OFFER"})


def main(web: int, sip: int, core: int) -> None:
    """Serve until killed."""
    factory: Any = WebSocketServerFactory(f"ws://{HOST}:{web}", protocols=["rtcgw.1"])
    factory.protocol = PageConnection
    factory.core = CoreSide(sip, core)
    reactor.listenUDP(sip, factory.core, interface=HOST)
    reactor.listenTCP(web, factory, interface=HOST)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
