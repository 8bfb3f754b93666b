"""The words of a call: its states and events, the terms it runs on, and the picture that the inspector shows.

The machine's table and what it sets off are in `call.py`.
"""

from __future__ import annotations

from attrs import frozen

from rtcgw.machine import Symbol
from rtcgw.media.backend import MediaStats
from rtcgw.model import defaults
from rtcgw.model.peer import EarlyMedia, TransferWay
from rtcgw.translator.leg import LegView


class CallState(Symbol):
    """Where the call stands, in Fig. 7's words."""

    CALLING = "Calling"
    RESERVING = "Calling, preconditions not met"
    """The callee has not heard of it."""
    RINGING = "Calling, ringing"
    INCALL = "InCall"
    HANGUP = "Hangup"


class CallEvent(Symbol):
    """What moves a call."""

    HELD_BACK = "preconditions not met"
    RESERVED = "preconditions met"
    UNRESERVED = "preconditions not met in time"
    RANG = "rings"
    REFUSED = "offer refused"
    ANSWERED = "answered"
    ENDED = "ended"
    RUNG_OUT = "rung out"


@frozen
class Terms:
    """How one call runs."""

    ring_time: float = defaults.RING_TIME
    """Seconds it may ring."""
    warm_start: bool = True
    """A calling browser's media connect while the phone rings."""
    early_media: EarlyMedia = EarlyMedia.AUTO
    """What the caller hears before the answer."""
    transfer: TransferWay = TransferWay.AUTO
    """Who calls the target when a page transfers the phone."""
    hold_after: float = defaults.HOLD_AFTER
    """Seconds without its page until its other side is put on hold; 0: it is not."""


@frozen
class CallView:
    """What the inspector shows of a call. Holds no secret."""

    session: str
    caller: str
    callee: str
    state: str
    age: float
    """Seconds since the set-up arrived."""
    path: str
    """The steps of Fig. 6 that placed it."""
    legs: tuple[LegView, LegView]
    media: MediaStats
    holders: tuple[str, ...] = ()
    """Who of `caller`, `callee` has put the other one on hold."""
