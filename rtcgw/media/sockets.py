"""Opening UDP sockets through whatever reactor there is, and writing to them without detours.

Twisted's `write` looks the address up in caches and checks it for each datagram; on the media path
the socket itself is called (3 us less per packet).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import udp
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorUDP
from twisted.internet.protocol import DatagramProtocol

Address = tuple[str, int]
Write = Callable[[bytes, Address], object]

MAX_PACKET = 2048
"""Octets read of a datagram; what is longer was never media."""
SHARED_BUFFER = 4 << 20
"""Receive buffer asked for the shared port: a burst of all calls at once must fit."""


def listen(
    reactor: IReactorUDP, port: int, protocol: DatagramProtocol, host: str, shared: bool = False
) -> IListeningPort:
    """Open a UDP port. Raises `CannotListenError`."""
    opened: IListeningPort = reactor.listenUDP(port, protocol, host, MAX_PACKET)
    if isinstance(opened, udp.Port):
        if shared:
            opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SHARED_BUFFER)
        else:
            # A phone's socket holds one packet when it wakes: reading until it would block costs a call more.
            opened.maxThroughput = 1
    return opened


def writer(port: IListeningPort) -> Write:
    """How to send from a port; the function may raise `OSError`."""
    if isinstance(port, udp.Port):
        return port.socket.sendto
    write: Write = port.write  # type: ignore[attr-defined]  # IUDPTransport, which IListeningPort does not name
    return write


def stop(port: IListeningPort) -> Deferred[Any]:
    """Close a port; fires when the operating system has it back."""
    return maybeDeferred(port.stopListening)


def number(port: IListeningPort) -> int:
    """The port's number, which the operating system may have chosen."""
    return int(getattr(port.getHost(), "port"))  # noqa: B009 - IAddress does not name it
