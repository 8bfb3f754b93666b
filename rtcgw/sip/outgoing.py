"""One request on its way: which transport took it, how it goes again, what happens when TCP is refused.

Made by `SipTransport.send_request` and kept by the client transaction. What is printed is never
printed again: repetition sends the same bytes, and the change between UDP and TCP is made in
the printed top Via (RFC 3261 §18.1.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from zope.interface import implementer

from rtcgw.sip.flow import TCP, UDP, Address, Hop, ISender

if TYPE_CHECKING:
    from rtcgw.sip.transport import SipTransport

UDP_MAX = 65507
"""Bytes of the largest datagram that IPv4 carries."""


def change_via(data: bytes, old: str, new: str) -> bytes:
    """A printed request whose top Via names the transport `new` instead of `old`; `old` must be there."""
    start = data.index(b"\r\nVia: SIP/2.0/" + old.encode() + b" ") + 15
    return b"".join((data[:start], new.encode(), data[start + len(old) :]))


class Outgoing:
    """A printed request, its hop and the transport it takes."""

    __slots__ = ("_address", "_front", "_hop", "_sender", "data", "transport")

    def __init__(self, front: SipTransport, hop: Hop, transport: str, data: bytes, sender: ISender | None) -> None:
        self.data = data
        """The printed request; emptied by the transaction when it is not sent again."""
        self.transport = transport
        """`UDP`, `TCP` or `TLS`; TCP may turn into UDP as long as nothing has been sent."""
        self._front = front
        self._hop = hop
        self._sender = sender
        self._address: Address | None = None

    @property
    def reliable(self) -> bool:
        """Whether the transport repeats what is lost."""
        return self.transport != UDP

    @property
    def hop(self) -> Hop:
        """Where the request really went: ACK to a refusal and CANCEL must follow it there (§9.1, §17.1.1.3)."""
        host, port = (self._hop.host, self._hop.port) if self._address is None else self._address
        return Hop(host, port, self.transport)

    @property
    def secure_name(self) -> str:
        """The name that a TLS certificate must bear (RFC 5922)."""
        return self._hop.host

    def go(self) -> None:
        """Send it for the first time."""
        self._front.locate(self, self._hop)

    def send_to(self, address: Address) -> None:
        """The hop's address is known: send."""
        self._address = address
        if self.transport == UDP:
            self._front.send_datagram(self.data, address, self.fail)
        elif self._may_move and self._front.refuses_tcp(address):
            self._move()
        else:
            self._front.send_stream(self, address)

    def again(self) -> None:
        """Send once more by UDP. On a stream the first time is enough; before the address is known, nothing goes."""
        if self._address is not None and self.transport == UDP and self.data:
            self._front.send_datagram(self.data, self._address, self.fail)

    def refused(self) -> None:
        """No connection could be made: by UDP then, if TCP was our choice and a datagram can hold it (§18.1.1)."""
        if self._may_move:
            self._move()
        else:
            self.fail()

    @property
    def _may_move(self) -> bool:
        return self.transport == TCP and self._hop.transport is None and len(self.data) <= UDP_MAX

    def _move(self) -> None:
        if self._address is None or not self.data:
            return
        self._front.count("tcp_refused")
        self.data = change_via(self.data, TCP, UDP)
        self.transport = UDP
        if self._sender is not None:
            self._front.later(self._sender.sent_by_udp)
        self._front.send_datagram(self.data, self._address, self.fail)

    def fail(self) -> None:
        """It could not be sent; the sender hears of it, but never from inside its own call."""
        self._front.count("send_failed")
        if self._sender is not None:
            self._front.later(self._sender.send_failed)


@implementer(ISender)
class ResponseSender:
    """The sender of a response that needs a connection of its own."""

    __slots__ = ("_failed",)

    def __init__(self, failed: Callable[[], None] | None) -> None:
        self._failed = failed

    def sent_by_udp(self) -> None:
        """See `ISender`; a response never changes its transport."""

    def send_failed(self) -> None:
        """See `ISender`."""
        if self._failed is not None:
            self._failed()
