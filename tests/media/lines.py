"""One line's relay by itself: a browser's leg that only listens, sockets in memory, and a clock to turn."""

from __future__ import annotations

import struct
from typing import cast

from attrs import define, field
from twisted.internet.task import Clock

from rtcgw.media.packets.relay import Latch, Relay, RtcpEnd
from rtcgw.media.packets.route import Route
from rtcgw.media.sdp import Codec
from rtcgw.media.webside.webleg import WebLeg

Address = tuple[str, int]
PHONE, PHONE_RTCP = ("198.51.100.7", 4000), ("198.51.100.7", 4001)
PCMU, VP8 = Codec(0, "PCMU", 8000), Codec(96, "VP8", 90000)


@define
class Leg:
    """What a relay asks of a browser's leg."""

    packets: list[bytes] = field(factory=list)
    reports: list[bytes] = field(factory=list)

    def send_rtp(self, packet: bytes) -> None:
        self.packets.append(packet)

    def send_rtcp(self, packet: bytes) -> None:
        self.reports.append(packet)

    @property
    def as_leg(self) -> WebLeg:
        """For whoever asks for a real one."""
        return cast(WebLeg, self)


class Rig:
    """A relay whose both ends are lists."""

    def __init__(self, kind: str = "audio", latch: Latch = Latch.HOST) -> None:
        self.clock = Clock()
        self.leg = Leg()
        self.sent: list[tuple[bytes, Address]] = []
        self.reports: list[tuple[bytes, Address]] = []
        self.sounds: list[Address] = []
        self.wanted = 0
        self.codec = PCMU if kind == "audio" else VP8
        self.relay = Relay(kind, latch, self.sounds.append, self._want, self.clock.seconds)
        self.relay.leg = self.leg.as_leg
        self.relay.opened(
            lambda data, address: self.sent.append((data, address)),
            lambda data, address: self.reports.append((data, address)),
        )
        self.agree()
        self.relay.connect(PHONE, PHONE_RTCP, hears=True, wanted=True)
        self.rtcp = RtcpEnd(self.relay)
        self._seq = 0

    def agree(self, feedback: bool = False) -> None:
        """One codec both ways."""
        routes = {self.codec.pt: Route(self.codec.pt, source=self.codec)}
        self.relay.agree(routes, routes, feedback)

    def _want(self) -> None:
        self.wanted += 1

    def packet(self, ssrc: int = 5, payload: bytes = b"sound") -> bytes:
        """The next packet of a source; time goes on by 20 ms."""
        self._seq += 1
        self.clock.advance(0.02)
        return struct.pack("!BBHII", 0x80, self.codec.pt, self._seq, 160 * self._seq, ssrc) + payload

    def talk(self, count: int = 1) -> None:
        """Packets both ways."""
        for _ in range(count):
            data = self.packet()
            self.relay.from_web(data)
            self.relay.datagramReceived(data, PHONE)
