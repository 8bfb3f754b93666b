"""Who makes what a caller hears before the answer: the caller's own end, the network, or nobody yet.

RFC 3960 §3.2 with RFC 5009: a phone that rings (180) is heard as the local tone; what the network sends is heard
once it is certain that it sends something: it said so (P-Early-Media) in an early dialog with a description, or its
first packet has come. A network that says it sends nothing is believed, whatever comes.

                    nothing said     described        sound comes    network says it is silent
    not ringing     SILENT  -        EXPECTING  -     PLAYING  n     MUTED  -
    ringing         RINGING local    WAITING  local   HEARD    n     HUSHED local

The caller's leg is told on a change only, and told "none" when the call is answered. A peer profile may decide
instead: `early_media = "local"` never lets the network be heard, `"network"` trusts any early description.

What it is not: it touches no media; which packets the caller is sent is the media's matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Machine, Row, Symbol, Table
from rtcgw.model.events import Progress, Sound, Stage
from rtcgw.model.peer import EarlyMedia


class RingState(Symbol):
    """What the caller hears, and why; see the module's table."""

    SILENT = "nothing"
    EXPECTING = "described, nothing heard"
    PLAYING = "network"
    MUTED = "network silent"
    RINGING = "ringing"
    WAITING = "ringing, described"
    HEARD = "network, ringing"
    HUSHED = "ringing, network silent"
    OVER = "answered"


class RingEvent(Symbol):
    """What moves it."""

    RINGS = "180"
    DESCRIBED = "early description"
    SOUNDS = "network says it sends sound"
    HUSH = "network says it sends none"
    PACKET = "sound comes"
    LULL = "no sound comes any more"
    RETRIED = "another callee, or the set-up is tried again"
    ANSWERED = "answered"


class RingTone:
    """One call's. `tell(sound)` tells the caller's leg."""

    __slots__ = ("_habit", "_tell", "machine")

    def __init__(self, clock: IReactorTime, tell: Callable[[Sound], None], habit: EarlyMedia = EarlyMedia.AUTO) -> None:
        self.machine = Machine(RING_TABLE, self, clock)
        self._tell = tell
        self._habit = habit

    def progressed(self, event: Progress) -> None:
        """The callee's side has said something. What it says of its sound is taken before its ringing."""
        handle = self.machine.handle
        if event.another:
            handle(RingEvent.RETRIED)
        if self._habit is not EarlyMedia.LOCAL:
            trusted = self._habit is EarlyMedia.NETWORK
            if event.description is not None:
                handle(RingEvent.DESCRIBED)
            if trusted and event.description is not None:
                handle(RingEvent.SOUNDS)
            elif not trusted and event.sounds is not None:
                handle(RingEvent.SOUNDS if event.sounds else RingEvent.HUSH)
        if event.stage is Stage.RINGING:
            handle(RingEvent.RINGS)

    def heard(self) -> None:
        """The callee's first packet has come, or its sound has come back."""
        if self._habit is not EarlyMedia.LOCAL:
            self.machine.handle(RingEvent.PACKET)

    def lulled(self) -> None:
        """The callee's sound has stopped."""
        if self._habit is EarlyMedia.AUTO:
            self.machine.handle(RingEvent.LULL)

    def retried(self) -> None:
        """The callee has refused the offer and is asked again: what its network said until now is void."""
        self.machine.handle(RingEvent.RETRIED)

    def answered(self) -> None:
        """The call is answered."""
        self.machine.handle(RingEvent.ANSWERED)

    def _local(self) -> None:
        self._tell(Sound.LOCAL)

    def _network(self) -> None:
        self._tell(Sound.NETWORK)

    def _none(self) -> None:
        self._tell(Sound.NONE)


_S, _E = RingState, RingEvent
_LOCAL, _NETWORK, _NONE = (RingTone._local,), (RingTone._network,), (RingTone._none,)

# fmt: off
RING_TABLE: Final[Table[RingState, RingEvent]] = Table(
    "ring-back",
    RingState.SILENT,
    RingEvent,
    {
        (_S.SILENT, _E.RINGS): Row(_S.RINGING, _LOCAL),
        (_S.SILENT, _E.DESCRIBED): Row(_S.EXPECTING),
        (_S.SILENT, _E.HUSH): Row(_S.MUTED),
        (_S.SILENT, _E.PACKET): Row(_S.PLAYING, _NETWORK),
        (_S.SILENT, _E.ANSWERED): Row(_S.OVER),

        (_S.EXPECTING, _E.RINGS): Row(_S.WAITING, _LOCAL),
        (_S.EXPECTING, _E.SOUNDS): Row(_S.PLAYING, _NETWORK),
        (_S.EXPECTING, _E.HUSH): Row(_S.MUTED),
        (_S.EXPECTING, _E.PACKET): Row(_S.PLAYING, _NETWORK),
        (_S.EXPECTING, _E.RETRIED): Row(_S.SILENT),
        (_S.EXPECTING, _E.ANSWERED): Row(_S.OVER),

        (_S.PLAYING, _E.RINGS): Row(_S.HEARD),
        (_S.PLAYING, _E.HUSH): Row(_S.MUTED, _NONE),
        (_S.PLAYING, _E.LULL): Row(_S.EXPECTING, _NONE),
        (_S.PLAYING, _E.RETRIED): Row(_S.SILENT, _NONE),
        (_S.PLAYING, _E.ANSWERED): Row(_S.OVER, _NONE),

        (_S.MUTED, _E.RINGS): Row(_S.HUSHED, _LOCAL),
        (_S.MUTED, _E.SOUNDS): Row(_S.PLAYING, _NETWORK),
        (_S.MUTED, _E.RETRIED): Row(_S.SILENT),
        (_S.MUTED, _E.ANSWERED): Row(_S.OVER),

        (_S.RINGING, _E.DESCRIBED): Row(_S.WAITING),
        (_S.RINGING, _E.HUSH): Row(_S.HUSHED),
        (_S.RINGING, _E.PACKET): Row(_S.HEARD, _NETWORK),
        (_S.RINGING, _E.ANSWERED): Row(_S.OVER, _NONE),

        (_S.WAITING, _E.SOUNDS): Row(_S.HEARD, _NETWORK),
        (_S.WAITING, _E.HUSH): Row(_S.HUSHED),
        (_S.WAITING, _E.PACKET): Row(_S.HEARD, _NETWORK),
        (_S.WAITING, _E.RETRIED): Row(_S.RINGING),
        (_S.WAITING, _E.ANSWERED): Row(_S.OVER, _NONE),

        (_S.HEARD, _E.HUSH): Row(_S.HUSHED, _LOCAL),
        (_S.HEARD, _E.LULL): Row(_S.WAITING, _LOCAL),
        (_S.HEARD, _E.RETRIED): Row(_S.RINGING, _LOCAL),
        (_S.HEARD, _E.ANSWERED): Row(_S.OVER, _NONE),

        (_S.HUSHED, _E.SOUNDS): Row(_S.HEARD, _NETWORK),
        (_S.HUSHED, _E.RETRIED): Row(_S.RINGING),
        (_S.HUSHED, _E.ANSWERED): Row(_S.OVER, _NONE),
    },
    {
        _S.SILENT: {_E.SOUNDS, _E.LULL, _E.RETRIED},  # sound that nothing has described cannot be heard
        _S.EXPECTING: {_E.DESCRIBED, _E.LULL},
        _S.PLAYING: {_E.DESCRIBED, _E.SOUNDS, _E.PACKET},
        _S.MUTED: {_E.DESCRIBED, _E.HUSH, _E.PACKET, _E.LULL},  # the last word holds
        _S.RINGING: {_E.RINGS, _E.SOUNDS, _E.LULL, _E.RETRIED},
        _S.WAITING: {_E.RINGS, _E.DESCRIBED, _E.LULL},
        _S.HEARD: {_E.RINGS, _E.DESCRIBED, _E.SOUNDS, _E.PACKET},
        _S.HUSHED: {_E.RINGS, _E.DESCRIBED, _E.HUSH, _E.PACKET, _E.LULL},
        _S.OVER: set(_E),
    },
)
# fmt: on
