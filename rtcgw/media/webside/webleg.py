"""A browser's end of the media path: ICE-lite, DTLS-SRTP, and the consent that keeps it alive.

Datagrams and a clock go in; packets in the clear, datagrams and news come out. No sockets: the
shared port (`webport.py`) finds the leg of each datagram.

One rule is above all others: no SRTP key is used before the certificate behind it is the one that
the browser's description promised (RFC 5763 §5). A handshake may end before that description is
here, since checks and ClientHello overtake an SDP answer; then the keys are kept back.

Several pages of a user that ring have one and the same offer, so each of them checks. The first has
the pair and the handshake; of the others it is kept where they are and how their handshake begins,
for a leg that is made when one of them answers (`webend.py`).

Lost handshake flights are sent again by our own timer (RFC 6347 §4.2.4), shorter than OpenSSL's
second: by then ICE has shown what the round trip is.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable
from enum import Enum

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media.packets.srtp import SrtpError, Transform, inbound, outbound
from rtcgw.media.webside import stun
from rtcgw.media.webside.dtls import Association, DtlsError, Fingerprint, Identity

FLIGHT = 0.4
"""Seconds until an unanswered handshake flight is sent again, doubled each time."""
FLIGHT_CAP = 6.4
HANDSHAKE = 15.0
"""Seconds that a handshake may take; less than a session waits for its browser, so that the cause is told."""
STALL = 2.0
"""Seconds from the first proven check until the keys should be ready: it is a matter of two round trips. Told again
after twice as long, which is what a repair may take."""
CONSENT = 30.0
"""Seconds without a proven check until the browser is gone (RFC 7675 §5.1)."""
REPEATS = 8
"""Times that the last flight is repeated to a peer that repeats its own, so that nobody makes us a mirror."""

OTHERS = 8
"""Further pages that may wait beside the first one; more connect only after they have answered."""

Address = tuple[str, int]
Send = Callable[[bytes, Address], object]


class LegState(Enum):
    """How far the leg has come."""

    NEW = "waiting for a check"
    PAIRED = "pair chosen"
    SHAKING = "handshake"
    HELD = "keys kept back"
    READY = "ready"
    DEAD = "dead"
    CLOSED = "closed"


class LegEvent(Enum):
    """What moves the leg."""

    PAIR = "first proven check"
    LEAD = "our turn to start the handshake"
    RECORD = "DTLS datagram"
    REPEAT = "flight unanswered"
    UNPROVEN = "handshake done, no fingerprint promised yet"
    PROVEN = "certificate is the promised one"
    FAILED = "handshake failed"
    STALLED = "connected, but no keys"
    SLOW = "handshake too slow"
    SILENT = "no check for too long"
    GOODBYE = "close_notify"
    CLOSE = "closed by us"


def random_text(length: int) -> str:
    """What ufrags and passwords are made of (RFC 8839 §5.4): the characters of base64, six random bits each."""
    return b64encode(secrets.token_bytes((length * 3 + 3) // 4)).decode()[:length]


def where(address: Address | None) -> str:
    """`host:port` for people."""
    return "nowhere" if address is None else f"{address[0]}:{address[1]}"


class WebLeg:
    """One association with one browser.

    `on_rtp` and `on_rtcp` get packets in the clear; `on_news(state, detail)` gets `ice`, `dtls`, `stalled` and
    `lost` as in `MediaNews`, and `gone` when the browser has said close_notify. `send(datagram, address)` never raises.
    """

    __slots__ = (
        "_asker",
        "_association",
        "_client",
        "_flight",
        "_identity",
        "_interval",
        "_on_news",
        "_on_rtcp",
        "_on_rtp",
        "_others",
        "_promised",
        "_protect",
        "_protect_rtcp",
        "_repeats",
        "_secret",
        "_send",
        "_theirs",
        "_unprotect",
        "_unprotect_rtcp",
        "address",
        "dropped",
        "machine",
        "password",
        "profile",
        "ufrag",
    )

    def __init__(
        self,
        identity: Identity,
        clock: IReactorTime,
        send: Send,
        on_rtp: Callable[[bytes], object],
        on_rtcp: Callable[[bytes], object],
        on_news: Callable[[str, str], object],
    ) -> None:
        self._identity = identity
        self._send = send
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._on_news = on_news
        self._client = False
        self._promised: frozenset[Fingerprint] = frozenset()
        self._theirs = b""
        """The browser's ufrag, once described."""
        self._asker = b""
        """The ufrag of whoever has the pair."""
        self._others: dict[bytes, tuple[Address, bytes]] | None = None
        """Who else has checked before the description said whom to expect, by ufrag: where from, and the last
        handshake datagram from there."""
        self._association: Association | None = None
        self._flight: list[bytes] = []
        self._interval = FLIGHT
        self._repeats = 0
        self._protect: Transform | None = None
        self._protect_rtcp: Transform | None = None
        self._unprotect: Transform | None = None
        self._unprotect_rtcp: Transform | None = None
        self.address: Address | None = None
        """Where the browser is: the pair chosen."""
        self.dropped = 0
        """Datagrams refused: unproven, replayed, truncated, before the keys."""
        self.profile = ""
        self._fresh()
        self.machine = Machine(LEG_TABLE, self, clock)
        self.machine.start()

    # -- what the descriptions say ------------------------------------------------------------

    def renew(self, credentials: tuple[str, str] | None = None) -> None:
        """Fresh ICE credentials: the browser restarts ICE, or is asked to (RFC 8839 §4.4.3.1.1); or earlier ones."""
        self._fresh(credentials)
        self.machine.arm("stall", 2 * STALL)

    def _fresh(self, credentials: tuple[str, str] | None = None) -> None:
        self.ufrag, self.password = credentials or (random_text(8), random_text(24))
        self._secret = self.password.encode()

    def describe(self, ufrag: str, promised: Iterable[Fingerprint], client: bool) -> None:
        """The browser's description is here: its ufrag, the certificates it promises, and whether we start DTLS."""
        self._theirs = ufrag.encode()
        self._promised = frozenset(promised)
        self._others = None
        if client and self._association is None:
            self._client = True
            self.machine.handle(LegEvent.LEAD)
        if self.machine.state is LegState.HELD:
            self._judge()

    @property
    def state(self) -> LegState:
        """How far the leg has come."""
        return self.machine.state

    def pair(self, address: Address, consent: bool = False) -> None:
        """The browser is at `address`. Without `consent`, which is without ICE, no checks come as signs of life."""
        self.address, self._asker = address, self._theirs
        self.machine.handle(LegEvent.PAIR)
        if not consent:
            self.machine.cancel("consent")

    # -- datagrams in ---------------------------------------------------------------------------

    def check(self, data: bytes, source: Address) -> bool:
        """A Binding request for our ufrag. Answered if proven, otherwise dropped and counted; True if proven."""
        request = stun.read_request(data, self._secret)
        if request is None or not self._named(request.attributes.get("USERNAME", "")):
            self.dropped += 1
            return False
        if self.machine.state in _OVER:
            return False
        self._send(stun.success(request, source, self._secret), source)
        asker = request.attributes["USERNAME"].partition(":")[2].encode()
        if self.address is None:
            self.address, self._asker = source, asker
            self.machine.handle(LegEvent.PAIR)
        elif asker != self._asker and not self._theirs:
            self._wait(asker, source)
        elif source != self.address and stun.nominates(request):
            self.address = source
            self._on_news("ice", where(source))
        self.machine.arm("consent", CONSENT)
        return True

    def _named(self, name: str) -> bool:
        ours, _, theirs = name.partition(":")
        return ours == self.ufrag and (not self._theirs or theirs.encode() == self._theirs)

    def is_with(self, ufrag: str) -> bool:
        """Whether the pair, if there is one, is with this browser."""
        return not self._asker or self._asker == ufrag.encode()

    def waiting(self, ufrag: str) -> tuple[Address, bytes] | None:
        """Where this browser has checked from while another had the pair, and its last handshake datagram or b""."""
        return None if self._others is None else self._others.get(ufrag.encode())

    def _wait(self, asker: bytes, source: Address) -> None:
        self._others = self._others or {}
        if asker in self._others or len(self._others) < OTHERS:
            before = self._others.get(asker)
            self._others[asker] = (source, before[1] if before and before[0] == source else b"")

    def _keep(self, data: bytes, source: Address) -> bool:
        """A DTLS datagram of one that waits is kept, for it may be long until it is sent again."""
        for asker, (address, _) in (self._others or {}).items():
            if address == source:
                assert self._others is not None
                self._others[asker] = (address, data)
                return True
        return False

    def datagram(self, data: bytes, source: Address) -> None:
        """Anything but a check, from an address that has sent a proven check (RFC 7983 §7)."""
        first = data[0]
        if 127 < first < 192:
            unprotect = self._unprotect
            if unprotect is None or len(data) < 12:
                self.dropped += 1
            elif 192 <= data[1] <= 223:
                self._rtcp(data)
            else:
                try:
                    packet = unprotect(data)
                except SrtpError:
                    self.dropped += 1
                else:
                    self._on_rtp(packet)
        elif 19 < first < 64:
            if self._others is None or not self._keep(data, source):
                self.machine.handle(LegEvent.RECORD, data)
        else:
            self.dropped += 1

    def _rtcp(self, data: bytes) -> None:
        if self._unprotect_rtcp is None:
            return
        try:
            packet = self._unprotect_rtcp(data)
        except SrtpError:
            self.dropped += 1
        else:
            self._on_rtcp(packet)

    # -- packets out ------------------------------------------------------------------------------

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send; before the keys are in use, and for what cannot be protected, nothing happens."""
        protect = self._protect
        if protect is None or self.address is None:
            return
        try:
            data = protect(packet)
        except SrtpError:
            self.dropped += 1
        else:
            self._send(data, self.address)

    def send_rtcp(self, packet: bytes) -> None:
        """As `send_rtp`, for RTCP."""
        if self._protect_rtcp is None or self.address is None:
            return
        try:
            data = self._protect_rtcp(packet)
        except SrtpError:
            self.dropped += 1
        else:
            self._send(data, self.address)

    def close(self) -> None:
        """Say goodbye and stop. Nothing is heard of the leg after; may be called more than once."""
        self.machine.handle(LegEvent.CLOSE)

    # -- actions of the table ---------------------------------------------------------------------

    def _paired(self) -> None:
        self._on_news("ice", where(self.address))
        if self._client:
            self.machine.handle(LegEvent.LEAD)

    def _lead(self) -> None:
        self._association = Association(self._identity, client=True)
        self._advance(self._association.start)

    def _accept(self, data: bytes) -> None:
        self._association = Association(self._identity, client=False)
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        association = self._association
        if association is not None:
            self._advance(lambda: association.feed(data))

    def _advance(self, step: Callable[[], list[bytes]]) -> None:
        try:
            out = step()
        except DtlsError as error:
            self._transmit(error.datagrams)
            self.machine.handle(LegEvent.FAILED, f"DTLS: {error}")
            return
        if out:
            self._flight = out
            self._interval = FLIGHT
            self.machine.arm("flight", FLIGHT)
            self._transmit(out)
        if self._association is not None and self._association.finished:
            self._judge()

    def _judge(self) -> None:
        """The handshake is done: is it with whom the description promised?"""
        association = self._association
        if association is None:
            return
        if not self._promised:
            self.machine.handle(LegEvent.UNPROVEN)
        elif not association.proves(self._promised):
            self.machine.handle(LegEvent.FAILED, "the certificate is not the one that was promised")
        elif (keys := association.keys(self._client)) is None:
            self.machine.handle(LegEvent.FAILED, "no SRTP protection profile in common")
        else:
            self._unprotect, self._unprotect_rtcp = inbound(keys)
            self._protect, self._protect_rtcp = outbound(keys)
            self.profile = keys.profile.name.decode()
            self.machine.handle(LegEvent.PROVEN)

    def _late(self, data: bytes) -> None:
        """A DTLS datagram after the handshake: an alert, or a peer that never got our last flight."""
        association = self._association
        if association is None:
            return
        out = association.feed(data)
        if association.closed:
            self.machine.handle(LegEvent.GOODBYE)
        elif not out and data[0] in _HANDSHAKING and self._repeats < REPEATS:
            # OpenSSL takes a peer's flight repeated octet by octet for a replay and stays silent.
            self._repeats += 1
            out = self._flight
        self._transmit(out)

    def _repeat(self) -> None:
        self._transmit(self._flight)
        self._interval = min(2 * self._interval, FLIGHT_CAP)
        self.machine.arm("flight", self._interval)

    def _transmit(self, datagrams: list[bytes]) -> None:
        if self.address is not None:
            for datagram in datagrams:
                self._send(datagram, self.address)

    def _ready(self) -> None:
        self._on_news("dtls", self.profile)

    def _lost(self, detail: str) -> None:
        self._forget_keys()
        self._on_news("lost", detail)

    def _gone(self) -> None:
        self._forget_keys()
        self._on_news("gone", "the browser closed the connection")

    def _slow(self) -> None:
        self._lost("the DTLS handshake did not end in time")

    def _stalled(self) -> None:
        self.machine.arm("stall", 2 * STALL)
        begun = "does not end" if self.machine.state is LegState.SHAKING else "has not begun"
        self._on_news("stalled", f"connected to {where(self.address)}, but the DTLS handshake {begun}")

    def _silent(self) -> None:
        self._lost(f"no sign of the browser for {CONSENT:.0f} s")

    def _farewell(self) -> None:
        if self._association is not None:
            self._transmit(self._association.close())
        self._forget_keys()
        self._on_rtp = self._on_rtcp = self._on_news = _nobody
        self._association = None

    def _forget_keys(self) -> None:
        self._protect = self._protect_rtcp = self._unprotect = self._unprotect_rtcp = None


def _nobody(*_: object) -> None:
    """Whoever listened has closed the leg."""


_HANDSHAKING = frozenset({20, 22})
"""DTLS content types change_cipher_spec and handshake."""
_OVER = frozenset({LegState.DEAD, LegState.CLOSED})
_S, _E = LegState, LegEvent
_AGAIN = {_E.PAIR, _E.LEAD}
_OUTCOME = {_E.UNPROVEN, _E.PROVEN, _E.FAILED, _E.SLOW}
_BYE = Row(_S.CLOSED, (WebLeg._farewell,))
_SILENCE = Row(_S.DEAD, (WebLeg._silent,))

LEG_TABLE: Table[LegState, LegEvent] = Table(
    "web media leg",
    LegState.NEW,
    LegEvent,
    {
        (_S.NEW, _E.PAIR): Row(_S.PAIRED, (WebLeg._paired,)),
        (_S.NEW, _E.CLOSE): _BYE,
        (_S.PAIRED, _E.LEAD): Row(_S.SHAKING, (WebLeg._lead,)),
        (_S.PAIRED, _E.RECORD): Row(_S.SHAKING, (WebLeg._accept,)),
        (_S.PAIRED, _E.STALLED): Row(_S.PAIRED, (WebLeg._stalled,)),
        (_S.PAIRED, _E.SILENT): _SILENCE,
        (_S.PAIRED, _E.CLOSE): _BYE,
        (_S.SHAKING, _E.RECORD): Row(_S.SHAKING, (WebLeg._feed,)),
        (_S.SHAKING, _E.REPEAT): Row(_S.SHAKING, (WebLeg._repeat,)),
        (_S.SHAKING, _E.UNPROVEN): Row(_S.HELD),
        (_S.SHAKING, _E.PROVEN): Row(_S.READY, (WebLeg._ready,)),
        (_S.SHAKING, _E.FAILED): Row(_S.DEAD, (WebLeg._lost,)),
        (_S.SHAKING, _E.STALLED): Row(_S.SHAKING, (WebLeg._stalled,)),
        (_S.SHAKING, _E.SLOW): Row(_S.DEAD, (WebLeg._slow,)),
        (_S.SHAKING, _E.SILENT): _SILENCE,
        (_S.SHAKING, _E.CLOSE): _BYE,
        (_S.HELD, _E.RECORD): Row(_S.HELD, (WebLeg._late,)),
        (_S.HELD, _E.PROVEN): Row(_S.READY, (WebLeg._ready,)),
        (_S.HELD, _E.FAILED): Row(_S.DEAD, (WebLeg._lost,)),
        (_S.HELD, _E.GOODBYE): Row(_S.DEAD, (WebLeg._gone,)),
        (_S.HELD, _E.SILENT): _SILENCE,
        (_S.HELD, _E.CLOSE): _BYE,
        (_S.READY, _E.RECORD): Row(_S.READY, (WebLeg._late,)),
        (_S.READY, _E.GOODBYE): Row(_S.DEAD, (WebLeg._gone,)),
        (_S.READY, _E.SILENT): _SILENCE,
        (_S.READY, _E.CLOSE): _BYE,
        (_S.DEAD, _E.CLOSE): _BYE,
    },
    {
        _S.NEW: {_E.STALLED, _E.LEAD, _E.RECORD, _E.REPEAT, _E.SILENT, _E.GOODBYE} | _OUTCOME,
        _S.PAIRED: {_E.PAIR, _E.REPEAT, _E.GOODBYE} | _OUTCOME,
        _S.SHAKING: {_E.GOODBYE} | _AGAIN,
        _S.HELD: {_E.STALLED, _E.REPEAT, _E.UNPROVEN, _E.SLOW} | _AGAIN,
        _S.READY: {_E.STALLED, _E.REPEAT} | _OUTCOME | _AGAIN,
        _S.DEAD: set(LegEvent) - {_E.CLOSE},
        _S.CLOSED: set(LegEvent),
    },
    [
        Timer("flight", frozenset({_S.SHAKING}), lambda leg: FLIGHT, _E.REPEAT),
        Timer("stall", frozenset({_S.PAIRED, _S.SHAKING}), lambda leg: STALL, _E.STALLED),
        Timer("handshake", frozenset({_S.SHAKING}), lambda leg: HANDSHAKE, _E.SLOW),
        Timer(
            "consent",
            frozenset({_S.PAIRED, _S.SHAKING, _S.HELD, _S.READY}),
            lambda leg: CONSENT,
            _E.SILENT,
        ),
    ],
)
