"""The words of a leg that moves from one call into another: its states, what moves it, and who wants it to.

The machine's table and what it does are in `moved.py`.
"""

from __future__ import annotations

from typing import Protocol

from rtcgw.machine import Symbol
from rtcgw.model.events import End, Stage
from rtcgw.translator.leg import ILeg


class IMover(Protocol):
    """Who wanted the leg to be moved."""

    def progressed(self, stage: Stage) -> None:
        """The new call rings, or goes on otherwise."""

    def moved(self, leg: ILeg) -> None:
        """The leg is in the new call. The old one is still there for what is left to say in it, and ends on return."""

    def stayed(self, end: End) -> None:
        """The new call has come to nothing; the old one, if it is not over, is as it was."""


class MoveState(Symbol):
    """Where the leg is."""

    STAYING = "in its old call"
    ASKED = "asked to take the new media"
    PUT_OFF = "busy or away, asked again in a while"
    LENT = "has offered"
    """It has offered, to be answered by the new call."""
    WITHDRAWN = "asked for a call that is over"
    RETURNING = "taking the old media again"
    STAYED = "in its old call for good"
    MOVED = "in the new call"
    GONE = "ended"


class MoveEvent(Symbol):
    """What moves it."""

    ORDERED = "the new call needs it"
    TRICKLED = "candidate of the new call"
    UNUSABLE = "the new call has no offer for it"
    TAKEN = "takes the new media"
    OFFERED = "offers"
    BUSY = "not now"
    REFUSED = "refuses"
    DUE = "waited"
    CONFIRMED = "its offer is answered"
    ENDED = "the new call ends"
    OLD_OVER = "the old call ends"
    LEG_OVER = "the leg ends"
    RETURNED = "has the old media again"
    TIMEOUT = "time is over"
