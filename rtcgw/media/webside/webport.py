"""The one UDP port of all browsers: finds the leg of each datagram (RFC 7983).

A datagram belongs to the leg whose ufrag its connectivity check names, or whose browser has sent a
proven check from the same address. Everybody else is a stranger: dropped and counted, never answered.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol

from rtcgw.media.webside import stun
from rtcgw.media.webside.webleg import Address, WebLeg

CHECKS_PER_SECOND = 200
"""Checks taken from one host per second. A host may be a TURN server with many browsers behind it."""
KNOWN_PER_SECOND = 20
"""Checks taken from one proven address per second, whatever else comes from its host: or whoever shares a browser's
TURN server or NAT could flood it out of its consent (RFC 7675), which comes every few seconds."""
HOSTS = 4096
"""Hosts counted per second; beyond it checks of further hosts wait for the next second."""
ADDRESSES = 16
"""Addresses that one leg may have proven; beyond it the oldest is forgotten."""


class WebPort(DatagramProtocol):
    """The protocol of the shared port. `legs_of` grows by `add` only, addresses by proven checks only."""

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._by_ufrag: dict[bytes, WebLeg] = {}
        self._by_address: dict[Address, WebLeg] = {}
        self._addresses: dict[WebLeg, list[Address]] = {}
        self._second = -1
        self._checks: dict[str | Address, int] = {}
        self._write: Callable[[bytes, Address], object] = _unopened
        self.counters = {"stranger": 0, "flood": 0, "unsent": 0}
        """Datagrams dropped: `stranger` (of nobody's browser), `flood` (too many checks), `unsent` (by the socket)."""

    def opened(self, write: Callable[[bytes, Address], object]) -> None:
        """The socket is open; `write` sends a datagram."""
        self._write = write

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram; what the socket refuses is lost, as datagrams may be."""
        try:
            self._write(data, address)
        except OSError:
            self.counters["unsent"] += 1

    def add(self, leg: WebLeg) -> None:
        """Datagrams for this leg's ufrag go to it."""
        self._by_ufrag[leg.ufrag.encode()] = leg
        self._addresses.setdefault(leg, [])

    def renew(self, leg: WebLeg, credentials: tuple[str, str] | None = None) -> None:
        """Give the leg new ICE credentials; where its browser is now stays known (ICE restart).

        `credentials`: earlier ones hold again, because the browser refused the new ones.
        """
        self._by_ufrag.pop(leg.ufrag.encode(), None)
        leg.renew(credentials)
        self.add(leg)

    def remove(self, leg: WebLeg) -> None:
        """Forget the leg and its addresses."""
        self._by_ufrag.pop(leg.ufrag.encode(), None)
        for address in self._addresses.pop(leg, ()):
            if self._by_address.get(address) is leg:
                del self._by_address[address]

    def meet(self, leg: WebLeg, address: Address, hello: bytes) -> None:
        """The leg's browser is at an address that it has proven to another leg; `hello`: what it has sent, or b""."""
        leg.pair(address, consent=True)
        self._learn(address, leg)
        if hello:
            leg.datagram(hello, address)

    @property
    def known(self) -> tuple[int, int]:
        """How many ufrags and how many addresses are known."""
        return len(self._by_ufrag), len(self._by_address)

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """See the module."""
        leg = self._by_address.get(addr)
        if leg is not None and datagram and datagram[0] > 3:
            leg.datagram(datagram, addr)
            return
        name = stun.username(datagram)
        known, leg = leg, None if name is None else self._by_ufrag.get(name.partition(b":")[0])
        if leg is None:
            self.counters["stranger"] += 1
        elif not self._may_check(addr, leg is known):
            self.counters["flood"] += 1
        elif leg.check(datagram, addr):
            self._learn(addr, leg)

    def _learn(self, address: Address, leg: WebLeg) -> None:
        if self._by_address.get(address) is leg:
            return
        known = self._addresses.get(leg)
        if known is None:
            return  # the check's own news has ended the session
        if len(known) >= ADDRESSES:
            oldest = known.pop(known[0] == leg.address)  # not the one in use
            if self._by_address.get(oldest) is leg:
                del self._by_address[oldest]
        known.append(address)
        self._by_address[address] = leg

    def _may_check(self, address: Address, is_known: bool) -> bool:
        second = int(self._clock.seconds())
        if second != self._second:
            self._second = second
            self._checks.clear()
        host = address[0]
        if is_known and self._counted(address, KNOWN_PER_SECOND):
            return True
        return (host in self._checks or len(self._checks) < HOSTS) and self._counted(host, CHECKS_PER_SECOND)

    def _counted(self, source: str | Address, limit: int) -> bool:
        count = self._checks.get(source, 0)
        if count >= limit:
            return False
        self._checks[source] = count + 1
        return True


def _unopened(data: bytes, address: Address) -> None:
    raise OSError("the port is not open")
