"""The packet path of one media line: the browser's leg on one side, a phone's two sockets on the other.

The phone is whoever its description named (RFC 4961): packets of anybody else are dropped and
counted. A phone behind NAT may send from another port than it named; `Latch` says how far that goes.
With keys for the core (`secure`) a source proves itself instead: what does not authenticate moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Protocol

from twisted.internet.protocol import DatagramProtocol

from rtcgw.media.backend import Stream
from rtcgw.media.packets import srtp
from rtcgw.media.packets.quality import mos
from rtcgw.media.packets.route import Route
from rtcgw.media.packets.rtcp import Control, picture_wanted
from rtcgw.media.packets.rtp import Timeline
from rtcgw.media.packets.sdes import CoreKeys
from rtcgw.media.packets.srtp import SrtpError, Transform, Transforms
from rtcgw.media.sockets import Address, Write

KEYFRAME_GAP = 0.5
"""Seconds between two requests for a whole picture that signalling carries (RFC 5168 has no limit of its own)."""
FORMER = 16
"""Addresses remembered of phones that the line was with before."""
STRAYS = 8
"""Senders from elsewhere that are told of, for each place where the phone is said to be."""


class Latch(Enum):
    """Whom to follow when a phone's packets come from another address than it named."""

    OFF = "off"
    """Nobody: only the address named."""
    HOST = "host"
    """Any port of the host named, the first one seen."""
    ANY = "any"
    """Whoever sends first. Only for networks where nobody else can reach the ports."""


class Heard(Enum):
    """To whom the gateway speaks itself."""

    WEB = "browser"
    CORE = "phone"


class Protector(Protocol):
    """The browser's leg, as far as packets go: it protects and sends, and drops what cannot be."""

    def send_rtp(self, packet: bytes) -> None:
        """An RTP packet in the clear."""

    def send_rtcp(self, packet: bytes) -> None:
        """A compound RTCP packet in the clear."""


class Relay(DatagramProtocol):
    """Carries both directions; is itself the protocol of the phone's RTP socket.

    `kind` is that of the media line, `audio` or `video`. `on_sound(address)` is told of the phone's first packet,
    `on_keyframe()` when the browser wants a whole picture of a phone that takes no feedback (at most one in
    `KEYFRAME_GAP`). `seconds` is the reactor's clock. `on_stray(address)` may be set: it is told who sends while
    nothing has come from where the phone is said to be; each once, and only the first few.
    """

    __slots__ = (
        "_asked",
        "_blind",
        "_close",
        "_former",
        "_from_core",
        "_from_web",
        "_hears",
        "_keys",
        "_latch",
        "_named",
        "_on_keyframe",
        "_on_sound",
        "_open",
        "_rtcp",
        "_rtcp_source",
        "_seconds",
        "_source",
        "_strays",
        "_taken",
        "_target",
        "_wanted",
        "_wants",
        "_write",
        "_write_rtcp",
        "down",
        "kind",
        "leg",
        "on_stray",
        "strangers",
        "unproven",
        "unsent",
        "up",
    )

    # long: the state of a line, each name with its meaning; there is no step in it
    def __init__(
        self,
        kind: str,
        latch: Latch,
        on_sound: Callable[[Address], object],
        on_keyframe: Callable[[], object],
        seconds: Callable[[], float],
    ) -> None:
        self.kind, self._latch, self._seconds = kind, latch, seconds
        self._on_sound, self._on_keyframe = on_sound, on_keyframe
        self._write: Write | None = None
        self._write_rtcp: Write | None = None
        self._named: Address | None = None
        """Where the phone's description says it is."""
        self._source: Address | None = None
        """Where its packets come from, once one has come."""
        self._target: Address | None = None
        """Where its packets go; None while it must not be sent any."""
        self._rtcp: Address | None = None
        """Where the phone's description says that it takes reports."""
        self._rtcp_source: Address | None = None
        """Where its reports come from, once one has come."""
        self._former: list[Address] = []
        """Where the line was before: at the fork that lost, at the phone before a transfer. All may be ports of one
        host, a border controller's, and may go on sending; they are followed no more."""
        self.on_stray: Callable[[Address], object] | None = None
        self._strays: tuple[Address, ...] = ()
        """Who has been told of as sending from elsewhere."""
        self._wanted = False
        """The browser is to be sent what the phone sends."""
        self._hears = self._wants = False
        """The phone takes what the browser sends, the browser what the phone sends, when the gateway is silent."""
        self._taken: frozenset[Heard] = frozenset()
        """To whom the gateway speaks itself."""
        self._keys: CoreKeys | None = None
        self._open: Transforms | None = None
        self._close: Transforms | None = None
        self._asked = float("-inf")
        """When a whole picture was last asked for by signalling."""
        self._blind = kind == "video"
        """The phone has not seen what came before, the whole picture that a camera begins with above all."""
        self.leg: Protector | None = None
        self.up = Timeline(kind)
        """Browser to phone."""
        self.down = Timeline(kind)
        """Phone to browser."""
        self._from_web = Control(self.up, self.down)
        self._from_core = Control(self.down, self.up)
        self._from_core.feedback = kind == "video"
        self.strangers = 0
        """Packets on the phone's ports that were not the phone's."""
        self.unproven = 0
        """Packets on the phone's ports that did not authenticate: forged, replayed, truncated."""
        self.unsent = 0
        """Packets that could not be protected or that the socket refused."""

    def opened(self, write: Write, write_rtcp: Write) -> None:
        """The phone's sockets are open."""
        self._write, self._write_rtcp = write, write_rtcp

    def connect(self, address: Address | None, rtcp: Address | None, hears: bool, wanted: bool) -> None:
        """The phone is at `address` (None: as before), takes packets if `hears`; the browser takes them if `wanted`."""
        if address is not None and address != self._named:
            self._leave(address, self._named, self._source)
            self._named, self._source, self._strays = address, None, ()
        if rtcp is not None and rtcp != self._rtcp:
            self._leave(rtcp, self._rtcp, self._rtcp_source)
            self._rtcp, self._rtcp_source = rtcp, None
        self._hears, self._wants = hears and address is not None, wanted
        self._route()

    def _route(self) -> None:
        """Who hears whom now."""
        self._target = self._where if self._hears and Heard.CORE not in self._taken else None
        self._wanted = self._wants and Heard.WEB not in self._taken

    @property
    def _where(self) -> Address | None:
        """Where the phone takes packets."""
        return self._named if self._source is None or self._latch is Latch.OFF else self._source

    def _leave(self, present: Address, *former: Address | None) -> None:
        known = [*self._former, *(address for address in former if address is not None)]
        self._former = [address for address in known if address != present][-FORMER:]

    def agree(self, up: Mapping[int, Route], down: Mapping[int, Route], feedback: bool = False) -> None:
        """Payload types of the browser (`up`) and of the phone (`down`); whether the phone takes RTCP feedback."""
        self.up.agree(up)
        self.down.agree(down)
        self._from_web.feedback = feedback and self.kind == "video"

    def secure(self, keys: CoreKeys | None) -> None:
        """Protect what goes to the phone and open what it sends; None: in the clear.

        A key that stays the same goes on where it was, since both ends count its packets (RFC 3711 §3.3.1).
        """
        before, self._keys = self._keys, keys
        if keys is None:
            self._open = self._close = None
            return
        if before is None or before.remote.key != keys.remote.key or before.remote.suite != keys.remote.suite:
            self._open = srtp.opening(keys.remote.profile, keys.remote.key)
        if before is None or before.local.key != keys.local.key or before.local.suite != keys.local.suite:
            self._close = srtp.closing(keys.local.profile, keys.local.key)

    # -- what the gateway says itself --------------------------------------------------------------

    def take_over(self, heard: Heard, on: bool) -> None:
        """The gateway speaks to one side from now on, and nobody else does; or no longer."""
        self._taken = self._taken | {heard} if on else self._taken - {heard}
        self._route()

    def say_core(self, packet: bytes) -> None:
        """A packet of the gateway's own for the phone, in the clear."""
        where = self._where
        if where is not None:
            self._to_core(packet, where)

    def say_web(self, packet: bytes) -> None:
        """The same for the browser."""
        if self.leg is not None:
            self.leg.send_rtp(packet)

    def close(self) -> None:
        """Nothing passes any more."""
        self.leg = self._write = self._write_rtcp = self._target = self._rtcp = self._rtcp_source = None
        self._wanted = self._hears = self._wants = False
        self.secure(None)

    # -- packets -----------------------------------------------------------------------------------

    def from_web(self, packet: bytes) -> None:
        """An RTP packet of the browser, in the clear."""
        target = self._target
        if target is None:
            self.up.meter.last = self._seconds()  # the phone is on hold, the browser alive
            self._blind = self.kind == "video"
            return
        out = self.up.carry(packet, self._seconds())
        if self._blind:
            self._blind = False
            self.ask_web()
        if out is None:
            if self.up.made:
                for out in self.up.take():
                    self._to_core(out, target)
        elif self._close is None and self._write is not None:
            try:
                self._write(out, target)
            except OSError:
                self.unsent += 1
        else:
            self._to_core(out, target)

    def _to_core(self, packet: bytes, target: Address) -> None:
        """Send a packet, protected where keys were agreed. Plain ones of the usual kind do without this call."""
        if self._write is None:
            return
        try:
            self._write(packet if self._close is None else self._close.rtp(packet), target)
        except (OSError, *SrtpError):
            self.unsent += 1

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """A datagram on the phone's RTP port."""
        if self._open is not None:
            proven = self._proven(self._open.rtp, datagram, addr)
            if proven is None:
                return
            datagram = proven
        if addr != self._source and not self._follow(datagram, addr):
            self._stray(datagram, addr)
            return
        leg = self.leg
        if not self._wanted or leg is None:
            if len(datagram) > 11 and 127 < datagram[0] < 192:
                self.down.meter.last = self._seconds()  # on hold, but alive
            return
        out = self.down.carry(datagram, self._seconds())
        if out is not None:
            leg.send_rtp(out)
        elif self.down.made:
            for out in self.down.take():
                leg.send_rtp(out)

    def _proven(self, transform: Transform, datagram: bytes, addr: Address) -> bytes | None:
        """What an encrypted datagram says, if it may be the phone's at all; None, and counted, if not."""
        if addr != self._source and not self._admits(addr):
            self._stray(datagram, addr)
            return None
        try:
            return transform(datagram)
        except SrtpError:
            self.unproven += 1
            return None

    def _stray(self, datagram: bytes, addr: Address) -> None:
        """A packet that is not the phone's. Where the phone has not been heard yet, it may be another one's, to which
        the call has forked; one that the line has left is not."""
        self.strangers += 1
        if self.on_stray is None or self._source is not None or self._named is None or len(self._strays) >= STRAYS:
            return
        if len(datagram) < 12 or not 127 < datagram[0] < 192 or addr in self._strays or addr in self._former:
            return
        self._strays = (*self._strays, addr)
        self.on_stray(addr)

    def _admits(self, addr: Address) -> bool:
        """Whether the phone could be at `addr`."""
        named = self._named
        if named is None:
            return False
        if addr == named:
            return True
        if addr in self._former:
            return False
        return self._latch is Latch.ANY or (self._latch is Latch.HOST and addr[0] == named[0])

    def _follow(self, datagram: bytes, addr: Address) -> bool:
        """A packet from elsewhere than so far: is it the phone's? One that has proven itself may move at any time."""
        if len(datagram) < 12 or not 127 < datagram[0] < 192 or not self._admits(addr):
            return False
        first = self._source is None
        if not first and addr != self._named and self._keys is None:
            return False
        self._source = addr
        if self._target is not None and self._latch is not Latch.OFF:
            self._target = addr
        if first:
            self._on_sound(addr)
        return True

    # -- reports -----------------------------------------------------------------------------------

    def rtcp_from_web(self, packet: bytes) -> None:
        """A compound RTCP packet of the browser, in the clear."""
        control = self._from_web
        before, now = control.keyframes, self._seconds()
        out = control.carry(packet, now, self._from_core.sent)
        if control.keyframes != before and self.kind == "video" and now - self._asked >= KEYFRAME_GAP:
            self._asked = now
            self._on_keyframe()
        if out is not None:
            self._report_to_core(out)

    def _report_to_core(self, packet: bytes) -> None:
        target = self._rtcp_source or self._rtcp
        if target is None or self._write_rtcp is None:
            return
        try:
            self._write_rtcp(packet if self._close is None else self._close.rtcp(packet), target)
        except (OSError, *SrtpError):
            self.unsent += 1

    def rtcp_from_core(self, packet: bytes, addr: Address) -> None:
        """A datagram on the phone's RTCP port."""
        if addr != self._rtcp_source and not self._may_report(addr):
            self.strangers += 1
            return
        if self._open is not None:
            try:
                packet = self._open.rtcp(packet)
            except SrtpError:
                self.unproven += 1
                return
        if self._latch is not Latch.OFF:
            self._rtcp_source = addr
        out = self._from_core.carry(packet, self._seconds(), self._from_web.sent)
        if out is not None and self.leg is not None:
            self.leg.send_rtcp(out)

    def _may_report(self, addr: Address) -> bool:
        """Whether reports from another address than so far may be the phone's: as with sound, the first one counts."""
        hosts = {where[0] for where in (self._source, self._rtcp) if where is not None}
        if addr[0] not in hosts or (addr != self._rtcp and addr in self._former):
            return False
        return self._rtcp_source is None or addr == self._rtcp or self._keys is not None

    def ask_web(self) -> None:
        """Ask the browser for a whole picture, if it has sent any."""
        if self.up.src is not None and self.leg is not None:
            self.leg.send_rtcp(picture_wanted(self.down.out or 1, self.up.src))

    def ask_core(self) -> None:
        """Ask the phone for a whole picture, if it has sent any and takes feedback."""
        if self.down.src is not None and self._from_web.feedback:
            self._report_to_core(picture_wanted(self.up.out or 1, self.down.src))

    # -- counts ------------------------------------------------------------------------------------

    @property
    def last_web(self) -> float | None:
        """When a packet of the browser was last carried, by the reactor's clock."""
        return self.up.meter.last

    @property
    def last_core(self) -> float | None:
        """When a packet of the phone was last taken, by the reactor's clock."""
        return self.down.meter.last

    def refused(self) -> dict[str, int]:
        """Packets that came to nothing, by why."""
        return {
            "phone stranger": self.strangers,
            "phone unproven": self.unproven,
            "phone rtp": self.down.refused,
            "phone rtcp": self._from_core.dropped,
            "browser rtp": self.up.refused,
            "browser rtcp": self._from_web.dropped,
            "unsent": self.unsent,
        }

    def counts(self) -> tuple[Stream, Stream]:
        """What the browser has sent and what the phone has sent."""
        web, core = self._from_web, self._from_core
        refused = self.strangers + self.unproven
        return _account(self.up, web, core, web.dropped), _account(self.down, core, web, core.dropped + refused)


def _account(stream: Timeline, sender: Control, receiver: Control, dropped: int) -> Stream:
    """One direction: what we have counted, and what its receiver has reported of the whole way.

    Where packets pass, a hole on the way to us is one for the receiver too; where they are made anew it is not.
    """
    meter, heard = stream.meter, receiver.heard
    known = stream.packets > 0
    further = heard.lost or 0
    lost = max(meter.lost, further) if stream.target is None else meter.lost + further
    name = None if stream.codec is None else stream.codec.name
    score = None
    if known and stream.kind == "audio" and name is not None:
        trips = (sender.heard.rtt or 0.0) + (receiver.heard.rtt or 0.0)
        names = [name] if stream.target is None else [name, stream.target.name]
        # Of two codecs in a row the worse one decides; their impairments are not added up, one of them being G.711.
        score = min(mos(one, lost / max(1, meter.expected), trips / 2, meter.jitter) for one in names)
    return Stream(
        packets=stream.packets,
        octets=stream.octets,
        dropped=stream.refused + dropped,
        lost=lost if known else None,
        jitter=meter.jitter if known else None,
        rtt=sender.heard.rtt,
        codec=name,
        mos=score,
    )


class RtcpEnd(DatagramProtocol):
    """The protocol of the phone's RTCP socket."""

    __slots__ = ("_relay",)

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """See `Relay.rtcp_from_core`."""
        self._relay.rtcp_from_core(datagram, addr)
