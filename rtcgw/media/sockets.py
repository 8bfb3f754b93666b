"""UDP sockets for media, through whatever reactor there is, and without its detours on the packet path.

Twisted wraps every event of every socket in a log context, and its `write` looks the address up in
caches. The shared port of the browsers is read in bursts, so that hardly counts there; a phone's socket
wakes for each single packet. So the phones' sockets hang on an epoll of their own, which the reactor sees
as one descriptor: one event for all that is ready (6 us less per packet of a phone). Where there is no
epoll, or the reactor takes no descriptors, each socket is an ordinary port of the reactor.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import udp
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorFDSet, IReactorUDP, IReadDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

log = Logger()

Address = tuple[str, int]
Write = Callable[[bytes, Address], object]

MAX_PACKET = 2048
"""Octets read of a datagram; what is longer was never media."""
SHARED_BUFFER = 4 << 20
"""Receive buffer asked for the shared port: a burst of all calls at once must fit."""
BATCH = 256
"""Sockets read before the reactor gets its turn."""


class Opened(Protocol):
    """An open UDP socket."""

    @property
    def write(self) -> Write:
        """Sends a datagram; may raise `OSError`."""

    def close(self) -> Deferred[Any]:
        """Close it; fires when the operating system has the port back."""


class Opener(Protocol):
    """Whoever opens sockets for phones."""

    def open(self, port: int, protocol: DatagramProtocol, host: str) -> Opened:
        """Open a port and deliver its datagrams to `protocol`. Raises `CannotListenError`."""

    def stop(self) -> None:
        """No more sockets will be opened; all are closed."""


def opener(reactor: IReactorUDP) -> Opener:
    """The best way to read phones' sockets that this reactor and system have."""
    if hasattr(select, "epoll") and IReactorFDSet.providedBy(reactor):
        return Gathered(reactor)
    return Ported(reactor)


def listen(
    reactor: IReactorUDP, port: int, protocol: DatagramProtocol, host: str, size: int = MAX_PACKET
) -> IListeningPort:
    """Open a port of the reactor's own, for the shared port and for control. Raises `CannotListenError`.

    `size`: octets read of a datagram.
    """
    opened: IListeningPort = reactor.listenUDP(port, protocol, host, size)
    if isinstance(opened, udp.Port):
        opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SHARED_BUFFER)
    return opened


def writer(port: IListeningPort) -> Write:
    """How to send from a port of the reactor's; the function may raise `OSError`."""
    if isinstance(port, udp.Port):
        return port.socket.sendto
    write: Write = port.write  # type: ignore[attr-defined]  # IUDPTransport, which IListeningPort does not name
    return write


def stop(port: IListeningPort) -> Deferred[Any]:
    """Close a port of the reactor's; fires when the operating system has it back."""
    return maybeDeferred(port.stopListening)


def number(port: IListeningPort) -> int:
    """The port's number, which the operating system may have chosen."""
    return int(getattr(port.getHost(), "port"))  # noqa: B009 - IAddress does not name it


class Ported:
    """Each socket an ordinary port of the reactor."""

    def __init__(self, reactor: IReactorUDP) -> None:
        self._reactor = reactor

    def open(self, port: int, protocol: DatagramProtocol, host: str) -> Opened:
        """See `Opener`."""
        return _Port(self._reactor.listenUDP(port, protocol, host, MAX_PACKET))

    def stop(self) -> None:
        """Nothing is shared between the ports."""


class _Port:
    def __init__(self, port: IListeningPort) -> None:
        self._port = port
        self.write = writer(port)

    def close(self) -> Deferred[Any]:
        return stop(self._port)


@implementer(IReadDescriptor)
class Gathered:
    """All sockets behind one epoll, which is the one descriptor that the reactor watches."""

    def __init__(self, reactor: IReactorFDSet) -> None:
        self._reactor = reactor
        self._epoll = select.epoll()
        self._sockets: dict[int, _Socket] = {}

    def open(self, port: int, protocol: DatagramProtocol, host: str) -> Opened:
        """See `Opener`."""
        made = _Socket(self, port, protocol, host)
        if not self._sockets:
            self._reactor.addReader(self)
        self._sockets[made.fd] = made
        self._epoll.register(made.fd, select.EPOLLIN)
        return made

    def forget(self, made: _Socket) -> None:
        """A socket is about to close."""
        if self._sockets.pop(made.fd, None) is not None:
            self._epoll.unregister(made.fd)
            if not self._sockets:
                self._reactor.removeReader(self)

    def stop(self) -> None:
        """See `Opener`."""
        for made in list(self._sockets.values()):
            made.close()
        self._epoll.close()

    def fileno(self) -> int:
        """The epoll's own descriptor."""
        return self._epoll.fileno()

    def logPrefix(self) -> str:
        """The name under which the reactor logs."""
        return "media"

    def doRead(self) -> None:
        """Read one datagram of each socket that has one."""
        sockets = self._sockets
        for fd, _ in self._epoll.poll(0, BATCH):
            made = sockets.get(fd)
            if made is None:
                continue  # closed by a packet read just before
            try:
                datagram, address = made.read(MAX_PACKET)
            except OSError:
                continue  # an ICMP error of an earlier datagram: the phone's port is closed, or not yet open
            try:
                made.receive(datagram, address if len(address) == 2 else address[:2])
            except Exception:
                log.failure("a packet could not be carried")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor stops; the backend closes the sockets."""


class _Socket:
    __slots__ = ("_gathered", "_socket", "fd", "read", "receive", "write")

    def __init__(self, gathered: Gathered, port: int, protocol: DatagramProtocol, host: str) -> None:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            made.bind((host, port))
        except OSError as error:
            made.close()
            raise CannotListenError(host, port, error) from None
        self._gathered = gathered
        self._socket = made
        self.fd = made.fileno()
        self.read = made.recvfrom
        self.receive = protocol.datagramReceived
        self.write: Write = made.sendto

    def close(self) -> Deferred[Any]:
        self._gathered.forget(self)
        self._socket.close()
        return succeed(None)
