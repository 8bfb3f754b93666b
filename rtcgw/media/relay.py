"""The packet path of one call: the browser's leg on one side, a phone's two sockets on the other.

The phone is whoever its description named (RFC 4961): packets of anybody else are dropped and
counted. A phone behind NAT may send from another port than it named; `Latch` says how far that goes.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from twisted.internet.protocol import DatagramProtocol

from rtcgw.media.rtp import Timeline, carry_rtcp
from rtcgw.media.sockets import Address, Write
from rtcgw.media.webleg import WebLeg


class Latch(Enum):
    """Whom to follow when a phone's packets come from another address than it named."""

    OFF = "off"
    """Nobody: only the address named."""
    HOST = "host"
    """Any port of the host named, the first one seen."""
    ANY = "any"
    """Whoever sends first. Only for networks where nobody else can reach the ports."""


class Relay(DatagramProtocol):
    """Carries both directions; is itself the protocol of the phone's RTP socket."""

    __slots__ = (
        "_latch",
        "_named",
        "_on_latched",
        "_rtcp",
        "_source",
        "_target",
        "_wanted",
        "_write",
        "_write_rtcp",
        "down",
        "leg",
        "unsent",
        "up",
    )

    def __init__(self, latch: Latch, on_latched: Callable[[Address], object]) -> None:
        self._latch = latch
        self._on_latched = on_latched
        self._write: Write | None = None
        self._write_rtcp: Write | None = None
        self._named: Address | None = None
        """Where the phone's description says it is."""
        self._source: Address | None = None
        """Where its packets come from, once one has come."""
        self._target: Address | None = None
        """Where its packets go; None while it must not be sent any."""
        self._rtcp: Address | None = None
        self._wanted = False
        """The browser receives."""
        self.leg: WebLeg | None = None
        self.up = Timeline()
        """Browser to phone."""
        self.down = Timeline()
        """Phone to browser."""
        self.unsent = 0

    def opened(self, write: Write, write_rtcp: Write) -> None:
        """The phone's sockets are open."""
        self._write, self._write_rtcp = write, write_rtcp

    def connect(self, address: Address | None, rtcp: Address | None, hears: bool, wanted: bool) -> None:
        """The phone is at `address` (None: as before), takes packets if `hears`; the browser takes them if `wanted`."""
        if address is not None and address != self._named:
            self._named, self._source = address, None
        if rtcp is not None:
            self._rtcp = rtcp
        where = self._named if self._source is None or self._latch is Latch.OFF else self._source
        self._target = where if hears and address is not None else None
        self._wanted = wanted

    def close(self) -> None:
        """Nothing passes any more."""
        self.leg = self._write = self._write_rtcp = self._target = self._rtcp = None
        self._wanted = False

    # -- packets -----------------------------------------------------------------------------------

    def from_web(self, packet: bytes) -> None:
        """An RTP packet of the browser, in the clear."""
        target, write = self._target, self._write
        if target is None or write is None:
            return
        out = self.up.carry(packet)
        if out is not None:
            try:
                write(out, target)
            except OSError:
                self.unsent += 1

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """A datagram on the phone's RTP port."""
        if addr != self._source and not self._follow(datagram, addr):
            self.down.dropped += 1
            return
        if self._wanted and self.leg is not None:
            out = self.down.carry(datagram)
            if out is not None:
                self.leg.send_rtp(out)

    def _follow(self, datagram: bytes, addr: Address) -> bool:
        """A packet from elsewhere than so far: is it the phone's?"""
        named = self._named
        if named is None or len(datagram) < 12 or not 127 < datagram[0] < 192:
            return False
        if addr != named:
            if self._source is not None or self._latch is Latch.OFF:
                return False
            if self._latch is Latch.HOST and addr[0] != named[0]:
                return False
        first = self._source is None
        self._source = addr
        if self._target is not None and self._latch is not Latch.OFF:
            self._target = addr
        if first:
            self._on_latched(addr)
        return True

    # -- reports -----------------------------------------------------------------------------------

    def rtcp_from_web(self, packet: bytes) -> None:
        """A compound RTCP packet of the browser, in the clear."""
        if self._rtcp is None or self._write_rtcp is None:
            return
        out = carry_rtcp(packet, self.up, self.down)
        if out is not None:
            try:
                self._write_rtcp(out, self._rtcp)
            except OSError:
                self.unsent += 1

    def rtcp_from_core(self, packet: bytes, addr: Address) -> None:
        """A datagram on the phone's RTCP port."""
        hosts = {where[0] for where in (self._source, self._rtcp) if where is not None}
        if addr[0] not in hosts:
            self.down.dropped += 1
            return
        if self._latch is not Latch.OFF:
            self._rtcp = addr
        if self.leg is not None:
            out = carry_rtcp(packet, self.down, self.up)
            if out is not None:
                self.leg.send_rtcp(out)


class RtcpEnd(DatagramProtocol):
    """The protocol of the phone's RTCP socket."""

    __slots__ = ("_relay",)

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """See `Relay.rtcp_from_core`."""
        self._relay.rtcp_from_core(datagram, addr)
