"""The words of the SIP half-call's machine: its states, its inputs, its timing.

The table itself is in `siptable.py`, the actions are in `sipuac.py` and `sipuas.py`.
"""

from __future__ import annotations

from attrs import frozen

from rtcgw.machine import Symbol
from rtcgw.model import defaults


@frozen
class Ladder:
    """How a SIP leg times what Fig. 8 leaves open."""

    patent: bool = False
    """Hold PRACK until PRANSWER and ACK until ANSWER, each for at most `hold_max`."""
    hold_max: float = defaults.HOLD_MAX
    """Seconds."""
    t1: float = 0.5
    """Seconds; RFC 3261 §17.1.1.1."""

    @property
    def answer_wait(self) -> float:
        """Seconds that an answer owed in PRACK or ACK may take: 64*T1 less a margin."""
        return 60 * self.t1


class State(Symbol):
    """Where the INVITE dialog stands."""

    IDLE = "idle"
    CALLING = "calling"
    """INVITE sent, no final response."""
    CANCELLING = "cancelling"
    """Given up; the final response is still to come."""
    ANSWERED = "answered"
    """2xx received, the ACK is owed."""
    OFFERED = "offered"
    """INVITE received, not answered."""
    ANSWERING = "answering"
    """The callee has answered; the 2xx waits for a PRACK."""
    ACCEPTED = "accepted"
    """2xx sent, waiting for the ACK."""
    ABANDONED = "abandoned"
    """2xx sent and hung up before the ACK: BYE must wait for it (RFC 3261 §15)."""
    TALKING = "talking"
    LEAVING = "leaving"
    """BYE sent."""
    ENDED = "ended"


class Input(Symbol):
    """What a SIP leg can meet: orders from its parent, news from the network, its own timers."""

    SETUP = "setup"
    PROGRESS = "progress"
    PROGRESS_ACK = "progress ack"
    ACCEPT = "accept"
    ACCEPT_LATER = "accept, PRACK awaited"
    CONFIRM = "confirm"
    CHANGE_TAKEN = "change taken"
    CHANGE_REFUSED = "change refused"
    END = "end"
    UNPLACED = "not placed"
    PROVISIONAL = "1xx"
    CHALLENGED = "401/407"
    SUCCESS = "2xx"
    AGAIN = "2xx again"
    REFUSED = "3xx-6xx"
    SILENCE = "silence"
    ACK_SENT = "ACK sent"
    CANCEL = "CANCEL"
    ACK = "ACK"
    BYE = "BYE"
    PRACK = "PRACK"
    CHANGE = "re-INVITE or UPDATE"
    UNPRACKED = "no PRACK"
    UNACKED = "no ACK"
    HELD_ENOUGH = "held enough"
    BYE_DONE = "BYE answered"
