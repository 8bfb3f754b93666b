"""The browser's end of a session: its leg, a new one when the page is another, and what it is told of the transport.

A client without ICE has a `plainend.PlainEnd` instead.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from rtcgw.media.describe import WebTransport
from rtcgw.media.packets.bundle import Bundle
from rtcgw.media.peers import WebPeer
from rtcgw.media.webside.dtls import Identity
from rtcgw.media.webside.webleg import WebLeg, where
from rtcgw.media.webside.webport import WebPort


@frozen
class Door:
    """Where browsers find the gateway."""

    identity: Identity
    hosts: tuple[str, ...]
    port: int


class WebEnd:
    """See the module. `on_leg(leg)` is told of each leg made, `on_news` as of `WebLeg`."""

    __slots__ = ("_clock", "_door", "_is_client", "_on_leg", "_on_news", "_peer", "_port", "bundle", "leg")

    ice = True

    def __init__(
        self,
        door: Door,
        clock: IReactorTime,
        port: WebPort,
        on_leg: Callable[[WebLeg], object],
        on_news: Callable[[str, str], object],
    ) -> None:
        self._door = door
        self._clock = clock
        self._port = port
        self._on_leg = on_leg
        self._on_news = on_news
        self._peer: WebPeer | None = None
        self._is_client = False
        """We start DTLS."""
        self.bundle = Bundle()
        self.leg = self._new_leg()

    def take(self, browser: WebPeer, anew: bool = False) -> bool:
        """The browser's description is accepted: tell the leg whom to expect. True: it has become another leg.

        `anew`: it is another offer, which may begin another association (a reloaded page: a new leg)
        or restart ICE in the present one (RFC 8839 §4.4.3.1.1). Otherwise it answers an offer of ours, and another
        association means that another page answers it than the one that did so early: a new leg with the credentials
        of the old one, since they were offered to both. The same where the page that answers is not the one that has
        checked first, of several that ring.
        """
        before, self._peer, first = self._peer, browser, self.leg
        another = before is None or before.association != browser.association
        waiting = None
        if another:
            self._is_client = browser.setup == "passive"
            if anew or before is not None or not self.leg.is_with(browser.ufrag):
                waiting = first.waiting(browser.ufrag)
                self.close()
                self.leg = self._new_leg()
                if not anew:
                    self._port.renew(self.leg, (first.ufrag, first.password))
        elif anew and before is not None and before.ufrag != browser.ufrag:
            self.renew()
        self.leg.describe(browser.ufrag, browser.promised, self._is_client)
        if waiting is not None:
            self._port.meet(self.leg, *waiting)
        return another and self.leg is not first

    @property
    def setup(self) -> str:
        """Our DTLS role in an answer (RFC 8842 §5)."""
        return "active" if self._is_client else "passive"

    @property
    def view(self) -> str:
        """How it stands, for people."""
        return f"{self.leg.state.value} at {where(self.leg.address)}"

    def renew(self) -> None:
        """Fresh ICE credentials, to be offered."""
        self._port.renew(self.leg)

    def save(self) -> tuple[WebLeg, str, str]:
        """The present ICE credentials, for `restore`. Secret."""
        return self.leg, self.leg.ufrag, self.leg.password

    def restore(self, saved: tuple[WebLeg, str, str]) -> None:
        """What was offered since `save` was refused: the credentials from before hold."""
        leg, ufrag, password = saved
        if leg is self.leg and ufrag != leg.ufrag:
            self._port.renew(leg, (ufrag, password))

    def transport(self, setup: str, bundled: bool) -> WebTransport:
        """What the browser is told of it."""
        door, leg = self._door, self.leg
        return WebTransport(door.hosts, door.port, door.identity.fingerprint, setup, leg.ufrag, leg.password, bundled)

    def close(self) -> None:
        """Say goodbye; nothing is heard of the browser after."""
        self._port.remove(self.leg)
        self.leg.close()

    def _new_leg(self) -> WebLeg:
        door = self._door
        leg = WebLeg(door.identity, self._clock, self._port.send, self.bundle.rtp, self.bundle.rtcp, self._on_news)
        self._port.add(leg)
        self._on_leg(leg)
        return leg
