"""The end of a client without ICE (`ice: false`): a leg with a port of its own, where that of a browser shares one.

It answers to the same questions as `webend.WebEnd`, so that a session need not know which of the two it has. Another
association is another leg on the same port.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol

from rtcgw.media.describe import WebTransport
from rtcgw.media.packets.bundle import Bundle
from rtcgw.media.peers import WebPeer
from rtcgw.media.sockets import Address, Write
from rtcgw.media.webside.plainleg import PlainLeg
from rtcgw.media.webside.webend import Door
from rtcgw.media.webside.webleg import where


@frozen
class OwnPort:
    """The socket of one client."""

    port: int
    write: Write
    close: Callable[[], object]


class _Front(DatagramProtocol):
    """What the socket delivers to: whichever leg is the present one."""

    noisy = False

    def __init__(self) -> None:
        self.leg: PlainLeg | None = None

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """See `DatagramProtocol`."""
        if self.leg is not None:
            self.leg.datagramReceived(datagram, addr)


class PlainEnd:
    """See the module. `take(protocol)` opens the port, or raises `MediaError` (OVERLOADED)."""

    __slots__ = ("_clock", "_door", "_front", "_is_client", "_on_leg", "_on_news", "_own", "_peer", "bundle", "leg")

    ice = False

    def __init__(
        self,
        door: Door,
        clock: IReactorTime,
        take: Callable[[DatagramProtocol], OwnPort],
        on_leg: Callable[[PlainLeg], object],
        on_news: Callable[[str, str], object],
    ) -> None:
        self._door = door
        self._clock = clock
        self._on_leg = on_leg
        self._on_news = on_news
        self._peer: WebPeer | None = None
        self._is_client = False
        """We start DTLS."""
        self.bundle = Bundle()
        self._front = _Front()
        self._own = take(self._front)
        self.leg = self._new_leg()

    def take(self, client: WebPeer, anew: bool = False) -> bool:
        """The client's description is accepted; see `WebEnd.take`."""
        before, self._peer = self._peer, client
        another = before is None or before.association != client.association
        if another:
            self._is_client = client.setup == "passive"
            if anew:
                self.leg.close()
                self.leg = self._new_leg()
        self.leg.describe(client.promised, self._is_client, client.address)
        return another and anew

    def renew(self) -> None:
        """Nothing: there are no credentials to renew, and the keys of a leg that we gave up could not be had back."""

    def save(self) -> None:
        """Nothing of it is changed by an offer."""

    def restore(self, saved: None) -> None:
        """See `save`."""

    @property
    def setup(self) -> str:
        """Our DTLS role in an answer (RFC 8842 §5)."""
        return "active" if self._is_client else "passive"

    def transport(self, setup: str, bundled: bool) -> WebTransport:
        """What the client is told of it: no credentials and no candidates."""
        door = self._door
        return WebTransport(door.hosts, self._own.port, door.identity.fingerprint, setup, "", "", bundled)

    @property
    def view(self) -> str:
        """How it stands, for people."""
        return f"{self.leg.state.value} at {where(self.leg.address)}, without ICE"

    def close(self) -> None:
        """Say goodbye and give the port back; nothing is heard of the client after."""
        self.leg.close()
        self._front.leg = None
        self._own.close()

    def _new_leg(self) -> PlainLeg:
        leg = PlainLeg(self._door.identity, self._clock, self.bundle.rtp, self.bundle.rtcp, self._on_news)
        leg.opened(self._own.write)
        self._front.leg = leg
        self._on_leg(leg)
        return leg
