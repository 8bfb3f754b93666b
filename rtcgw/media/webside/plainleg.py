"""The media end of a client without ICE (`ice: false`, patent 440): DTLS-SRTP on a port of its own.

Without ICE nothing tells whose a datagram is before it is proven, and a port is open to everybody. So each
address that begins a handshake gets one of its own, a few at a time and a few in each second, and the first one whose
certificate is the promised one is the client; the others are forgotten. The host that the client's description names
comes first: strangers never take its place. From then on the client is wherever its packets come from, as
long as they authenticate: a client behind NAT may move. Its own packets are its sign of life, since there are no
checks that could be.

What a handshake is, and when its keys may be used, is `webleg.py`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.webside.dtls import Fingerprint, Identity
from rtcgw.media.webside.webleg import CONSENT, Address, LegState, WebLeg, where

CANDIDATES = 4
"""Addresses that may try a handshake at once; beyond it the one that began first is forgotten, so that strangers
cannot keep the client out for longer than they keep sending."""
TRIES_PER_SECOND = 20
"""Handshakes begun per second with hosts that no description has named, and as many with the one named. Each costs a
signature, and its answer, several times as long as the question, goes to an address that nothing has proven."""
_HANDSHAKE, _CLIENT_HELLO = 22, 1
"""DTLS content type and handshake type (RFC 6347 §4.2.2)."""

Transmit = Callable[[bytes, Address], object]


class PlainState(Symbol):
    """How far the leg has come."""

    WAITING = "waiting for a proven handshake"
    LATCHED = "latched"
    LOST = "lost"
    CLOSED = "closed"


class PlainEvent(Symbol):
    """What moves the leg."""

    LATCH = "first proven handshake"
    QUIET = "time to look for packets"
    LOST = "its handshake or its connection has ended"
    CLOSE = "closed by us"


class PlainLeg(DatagramProtocol):
    """As `WebLeg`, but with a socket of its own.

    `on_news(state, detail)` gets `ice` (the address latched to), `dtls`, `gone` and `lost`.
    """

    noisy = False

    def __init__(
        self,
        identity: Identity,
        clock: IReactorTime,
        on_rtp: Callable[[bytes], object],
        on_rtcp: Callable[[bytes], object],
        on_news: Callable[[str, str], object],
    ) -> None:
        self._identity = identity
        self._clock = clock
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._on_news = on_news
        self._write: Transmit | None = None
        self._promised: frozenset[Fingerprint] = frozenset()
        self._client = False
        self._target: Address | None = None
        """Where the description says that the client is."""
        self._second = -1
        self._tries = {False: 0, True: 0}
        """Handshakes begun in this second, with others and with the host named."""
        self._trying: dict[Address, WebLeg] = {}
        """Handshakes that have not proven themselves, the oldest first."""
        self._leg: WebLeg | None = None
        """The one that has."""
        self._source: Address | None = None
        """Where the datagram being read comes from."""
        self._seen = self._checked = 0
        """Packets that authenticated, and how many there were when that was last looked at."""
        self._refused = 0
        self.machine = Machine(PLAIN_TABLE, self, clock)

    def opened(self, write: Transmit) -> None:
        """The socket is open; `write` sends a datagram and may raise `OSError`."""
        self._write = write

    def describe(self, promised: Iterable[Fingerprint], client: bool, target: Address | None) -> None:
        """The client's description is here. `client`: we start the handshake, towards `target`."""
        self._promised = frozenset(promised)
        self._client = client
        self._target = target
        if client and target is not None and self._leg is None and target not in self._trying:
            self._try(target)
        for leg in list(self._trying.values()):
            leg.describe("", self._promised, client)

    @property
    def address(self) -> Address | None:
        """Where the client is, once it has proven itself."""
        return None if self._leg is None else self._leg.address

    @property
    def state(self) -> LegState:
        """How far it has come, in the words of a browser's leg."""
        return LegState.NEW if self._leg is None else self._leg.state

    @property
    def dropped(self) -> int:
        """Datagrams refused."""
        return self._refused + (0 if self._leg is None else self._leg.dropped)

    @property
    def profile(self) -> str:
        """The SRTP profile agreed, `""` before."""
        return "" if self._leg is None else self._leg.profile

    # -- packets -------------------------------------------------------------------------------------

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """Anything that comes to the port."""
        if not datagram:
            return
        leg, media = self._leg, 127 < datagram[0] < 192
        if leg is not None and (media or addr == leg.address):
            self._source = addr
            leg.datagram(datagram, addr)
        elif leg is None and not media and 19 < datagram[0] < 64:
            trying = self._trying.get(addr)
            if trying is None and self._begins(datagram, addr) and self._may_try(addr):
                trying = self._try(addr)
            if trying is None:
                self._refused += 1
            else:
                trying.datagram(datagram, addr)
        else:
            self._refused += 1

    def send_rtp(self, packet: bytes) -> None:
        """As `WebLeg.send_rtp`."""
        if self._leg is not None:
            self._leg.send_rtp(packet)

    def send_rtcp(self, packet: bytes) -> None:
        """As `WebLeg.send_rtcp`."""
        if self._leg is not None:
            self._leg.send_rtcp(packet)

    def close(self) -> None:
        """Say goodbye and stop. Nothing is heard of the leg after; may be called more than once."""
        self.machine.handle(PlainEvent.CLOSE)

    def _send(self, data: bytes, address: Address) -> None:
        if self._write is not None:
            try:
                self._write(data, address)
            except OSError:
                self._refused += 1  # lost, as datagrams may be

    def _begins(self, datagram: bytes, address: Address) -> bool:
        """Whether a first datagram from `address` may begin a handshake. Where the first word is ours, it is said to
        nobody whom the description has not named."""
        if self._client:
            return self._is_named(address)
        return datagram[0] == _HANDSHAKE and datagram[13:14] == bytes((_CLIENT_HELLO,))

    def _may_try(self, address: Address) -> bool:
        second, named = int(self._clock.seconds()), self._is_named(address)
        if second != self._second:
            self._second, self._tries = second, {False: 0, True: 0}
        self._tries[named] += 1
        return self._tries[named] <= TRIES_PER_SECOND

    def _is_named(self, address: Address) -> bool:
        return self._target is not None and address[0] == self._target[0]

    def _try(self, address: Address) -> WebLeg:
        """A handshake with whoever is at `address`."""
        if len(self._trying) >= CANDIDATES:
            strangers = (one for one in self._trying if not self._is_named(one))
            self._trying.pop(next(strangers, next(iter(self._trying)))).close()
        made = WebLeg(
            self._identity,
            self._clock,
            self._send,
            self._heard,
            self._reported,
            lambda state, detail: self._news(address, state, detail),
        )
        self._trying[address] = made
        made.describe("", self._promised, self._client)
        made.pair(address)
        return made

    def _heard(self, packet: bytes) -> None:
        self._follow()
        self._on_rtp(packet)

    def _reported(self, packet: bytes) -> None:
        self._follow()
        self._on_rtcp(packet)

    def _follow(self) -> None:
        """A packet has authenticated: the client is where it came from."""
        self._seen += 1
        leg = self._leg
        if leg is not None and self._source is not None and self._source != leg.address:
            leg.address = self._source
            self._on_news("ice", where(self._source))

    # -- news of the handshakes ----------------------------------------------------------------------

    def _news(self, address: Address, state: str, detail: str) -> None:
        if state == "dtls":
            self.machine.handle(PlainEvent.LATCH, address, detail)
        elif self._leg is None:
            if state in ("lost", "gone"):
                self._trying.pop(address, None)  # a stranger's, or a broken try: the client may come yet
        elif state in ("lost", "gone"):
            self.machine.handle(PlainEvent.LOST, state, detail)

    def _latch(self, address: Address, profile: str) -> None:
        leg = self._leg = self._trying.pop(address)
        for other in self._trying.values():
            other.close()
        self._trying.clear()
        self._on_news("ice", where(leg.address))
        self._on_news("dtls", profile)

    def _look(self) -> None:
        """No packet within the time that consent would have: the client is gone (RFC 7675 has none to ask for)."""
        seen, self._checked = self._seen - self._checked, self._seen
        if not seen:
            self.machine.handle(PlainEvent.LOST, "lost", f"no packet of the client for {CONSENT:.0f} s")
        else:
            self.machine.arm("quiet", CONSENT)

    def _tell(self, state: str, detail: str) -> None:
        self._on_news(state, detail)

    def _close(self) -> None:
        self._on_rtp = self._on_rtcp = self._on_news = _nobody
        for leg in (*self._trying.values(), self._leg):
            if leg is not None:
                leg.close()
        self._trying.clear()
        self._refused = self.dropped
        self._leg = self._write = None


def _nobody(*_: object) -> None:
    """Whoever listened has closed the leg."""


_S, _E = PlainState, PlainEvent
_CLOSED = Row(_S.CLOSED, (PlainLeg._close,))
_LOST = Row(_S.LOST, (PlainLeg._tell,))

PLAIN_TABLE: Table[PlainState, PlainEvent] = Table(
    "media leg without ICE",
    PlainState.WAITING,
    PlainEvent,
    {
        (_S.WAITING, _E.LATCH): Row(_S.LATCHED, (PlainLeg._latch,)),
        (_S.WAITING, _E.CLOSE): _CLOSED,
        (_S.LATCHED, _E.QUIET): Row(_S.LATCHED, (PlainLeg._look,)),
        (_S.LATCHED, _E.LOST): _LOST,
        (_S.LATCHED, _E.CLOSE): _CLOSED,
        (_S.LOST, _E.CLOSE): _CLOSED,
    },
    {
        _S.WAITING: {_E.QUIET, _E.LOST},
        _S.LATCHED: {_E.LATCH},
        _S.LOST: {_E.LATCH, _E.QUIET, _E.LOST},
        _S.CLOSED: set(PlainEvent),
    },
    [Timer("quiet", frozenset({_S.LATCHED}), lambda leg: CONSENT, _E.QUIET)],
)
