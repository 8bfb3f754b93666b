"""SIP over UDP: one socket, each datagram parsed whole and on its own.

`twisted.protocols.sip.Base` feeds every datagram of every peer to one line parser, so that a
datagram shorter than its Content-Length makes the next peer's message its body; and its
`sendMessage` goes through the port's address checks. Both are replaced; its two hooks,
`handle_request` and `handle_response`, are kept as the way on.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.protocols import sip

from rtcgw.sip.flow import PORT, UDP, Address, Flow, literal
from rtcgw.sip.message import Request, Response
from rtcgw.sip.parser import ParseError, parse_message

if TYPE_CHECKING:
    from rtcgw.sip.transport import SipTransport

BUFFER = 4 * 1024 * 1024
"""Bytes asked of the kernel for waiting datagrams: a burst of calls must not be lost to its default of 200 kB."""
_FLOWS = 1024
"""Flows remembered; nearly all datagrams come from the one or two peers of the core."""
_LOST = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR, errno.ECONNREFUSED})
"""Errors of sendto that mean a lost datagram, which is repeated like any other."""


class SipDatagram(sip.Base):
    """The UDP side of a `SipTransport`."""

    noisy = False

    def __init__(self, front: SipTransport) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # sip.Base carries no annotations
        self._front = front
        self._sendto: Callable[[bytes, Address], object] | None = None
        self._flows: dict[tuple[str, int, Address], Flow] = {}

    def startProtocol(self) -> None:
        """The socket is there. Its own sendto spares Twisted's address checks, 3 us a message."""
        port: Any = self.transport
        raw = getattr(port, "socket", None)
        if raw is None:  # a port that is no socket: a fake, or another reactor's
            self._sendto = port.write
            return
        self._sendto = raw.sendto
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        except OSError:  # a wish, not a need
            self._front.count("small_buffer")

    def stopProtocol(self) -> None:
        """The socket is closed; nothing more goes out."""
        self._sendto = None

    def send(self, data: bytes, address: Address) -> bool:
        """Send one datagram; False when the system will not have it. A full socket is a lost datagram, not an error."""
        if self._sendto is None:
            return False
        try:
            self._sendto(data, address)
        except OSError as error:
            if error.errno not in _LOST:
                return False
            self._front.count("lost_datagrams")
        return True

    def datagramReceived(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """One datagram: one message, or something that is counted."""
        front = self._front
        host = addr[0]
        if not front.admits(host):
            return
        try:
            message = parse_message(data)
        except ParseError as error:
            if not data.strip(b"\r\n\0"):  # a NAT's pinhole kept open
                front.count("keepalives")
                return
            flow = self._reply_flow(error.response, host, addr[1])
            front.malformed(error, flow)
            return
        if isinstance(message, Request):
            self.handle_request(message, addr)
        else:
            self.handle_response(message, addr)

    def handle_request(self, message: Request, addr: tuple[Any, ...]) -> None:
        """Note where it came from (RFC 3261 §18.2.1, RFC 3581 §4) and pass it on."""
        host, port = addr[0], addr[1]
        self._front.deliver(message, self._flow(self._front.stamp(message, host, port), host, port))

    def handle_response(self, message: Response, addr: tuple[Any, ...]) -> None:
        """Pass it on; a response needs no way back."""
        self._front.deliver(message, self._flow((addr[0], addr[1]), addr[0], addr[1]))

    def _flow(self, reply: Address, host: str, port: int) -> Flow:
        flow = self._flows.get((host, port, reply))
        if flow is None:
            if len(self._flows) >= _FLOWS:
                self._flows.clear()
            flow = self._flows[host, port, reply] = Flow(UDP, host, port, None, reply)
        return flow

    def _reply_flow(self, response: Response | None, host: str, port: int) -> Flow:
        """The way back for the answer to a broken request, whose Via had no chance to be stamped."""
        reply = (host, port) if response is None else self._front.stamp(response, host, port)
        return Flow(UDP, host, port, None, reply)


def reply_address(maddr: str | None, sent_port: int | None, rport: bool, host: str, port: int) -> Address:
    """Where responses to a UDP request go: maddr, else its source address, at rport or the Via's port (§18.2.2).

    A maddr that is a name is passed over: it would need DNS for each response, and nobody uses it.
    """
    if maddr is not None and literal(maddr) is not None:
        return (maddr.strip("[]"), sent_port or PORT)
    return (host, port if rport else sent_port or PORT)
