"""Finding a SIP server: the part of RFC 3263 that a gateway with a configured next hop needs.

    address            as it stands, port 5060 or 5061 unless named     (known at once)
    name and port      A and AAAA
    name alone         SRV for the transport, else A and AAAA with the default port

The answers are kept for their TTL, within bounds. NAPTR is left out: the transport is configured,
or follows from the request's size. Fail-over is by memory: an address that could not be
reached goes behind the others, so that the user's next attempt, a new transaction with a new
branch as RFC 3263 §4.3 asks, takes another.
"""

from __future__ import annotations

import random
import socket
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IResolver
from twisted.names import client, dns, hosts, resolve

from rtcgw.sip.flow import PORT, TCP, TLS, TLS_PORT, UDP, Address, Hop, literal

TTL_LEAST = 5.0
TTL_MOST = 300.0
"""Seconds that an answer is kept, whatever its TTL says."""
NAMES = 256
"""Names remembered; a full table is begun anew."""
ADDRESSES = 16
"""Addresses kept per name."""
_SERVICES = {UDP: "_sip._udp", TCP: "_sip._tcp", TLS: "_sips._tcp"}

_Key = tuple[str, int, str]


class Unlocated(Exception):
    """A name has no address, or nobody could tell."""


class Locator:
    """Names to addresses. `resolver` defaults to the hosts file and the system's name servers, on `reactor`."""

    def __init__(self, reactor: Any, resolver: IResolver | None = None) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._literals: dict[_Key, Address] = {}
        self._found: dict[_Key, tuple[float, list[Address]]] = {}

    def known(self, hop: Hop, transport: str) -> Address | None:
        """The address of a hop, when no question is needed to know it."""
        key = (hop.host, hop.port, transport)
        address = self._literals.get(key)
        if address is not None:
            return address
        if literal(hop.host) is not None:
            if len(self._literals) >= NAMES:
                self._literals.clear()
            address = self._literals[key] = (hop.host.strip("[]"), hop.port or _default_port(transport))
            return address
        until, addresses = self._found.get(key, (0.0, []))
        return addresses[0] if addresses and until > self._reactor.seconds() else None

    def find(self, hop: Hop, transport: str) -> Deferred[Address]:
        """Ask for the address of a hop that is a name. Fails with `Unlocated`."""
        return Deferred.fromCoroutine(self._find(hop, transport))

    def failed(self, address: Address) -> None:
        """`address` could not be reached: the others of its name go first from now on."""
        for _, addresses in self._found.values():
            if address in addresses:
                addresses.remove(address)
                addresses.append(address)

    # -- asking --------------------------------------------------------------------------------

    async def _find(self, hop: Hop, transport: str) -> Address:
        ttl = TTL_MOST
        targets = [(hop.host, hop.port or _default_port(transport))]
        if not hop.port:
            services = await self._ask("lookupService", f"{_SERVICES[transport]}.{hop.host}", dns.SRV)
            if services:
                targets = _in_order([record.payload for record in services])
                ttl = min(record.ttl for record in services)
        addresses: list[Address] = []
        for host, port in targets:
            if len(addresses) >= ADDRESSES:
                break
            records = await self._ask("lookupAddress", host, dns.A)
            records += await self._ask("lookupIPV6Address", host, dns.AAAA)
            addresses += [
                (record.payload.dottedQuad() if record.type == dns.A else _v6(record), port) for record in records
            ]
            ttl = min([ttl, *(record.ttl for record in records)])
        if not addresses:
            raise Unlocated(f"{hop.host} has no address")
        if len(self._found) >= NAMES:
            self._found.clear()
        until = self._reactor.seconds() + max(TTL_LEAST, min(ttl, TTL_MOST))
        self._found[hop.host, hop.port, transport] = (until, addresses[:ADDRESSES])
        return addresses[0]

    async def _ask(self, question: str, name: str, kind: int) -> list[Any]:
        """The records of one kind; none where the name servers say no, or say nothing."""
        if self._resolver is None:
            # Made on the first name: a gateway whose peers are addresses needs no name server, nor a socket for one.
            system = client.Resolver(resolv="/etc/resolv.conf", reactor=self._reactor)
            self._resolver = cast(IResolver, resolve.ResolverChain([hosts.Resolver(), system]))
        try:
            answers, _, _ = await getattr(self._resolver, question)(name)
        except (dns.DomainError, dns.AuthoritativeDomainError, dns.DNSQueryTimeoutError, OSError):
            return []
        return [record for record in answers if record.type == kind]


def _default_port(transport: str) -> int:
    return TLS_PORT if transport == TLS else PORT


def _v6(record: Any) -> str:
    return socket.inet_ntop(socket.AF_INET6, record.payload.address)


def _in_order(services: list[Any]) -> list[Address]:
    """Targets by priority, within one priority drawn by weight (RFC 2782)."""
    ordered: list[Address] = []
    for priority in sorted({service.priority for service in services}):
        left = [service for service in services if service.priority == priority]
        while left:
            # A weight of 0 must keep a very small chance.
            (chosen,) = random.choices(left, [service.weight + 0.01 for service in left])  # noqa: S311 - load, not secrecy
            left.remove(chosen)
            ordered.append((chosen.target.name.decode("ascii"), chosen.port))
    return ordered
