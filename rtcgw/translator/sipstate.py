"""The words of the SIP half-call's machines: their states, their inputs, their timing.

The leg's table is in `siptable.py`, its actions are in `sipuac.py` and `sipuas.py`; the table of
the changes that we ask for is in `sipchange.py`.
"""

from __future__ import annotations

from attrs import frozen

from rtcgw.machine import Symbol
from rtcgw.model import defaults
from rtcgw.model.emergency import NONE, Emergency


@frozen
class Ladder:
    """How a SIP leg times what Fig. 8 leaves open."""

    patent: bool = False
    """Hold PRACK until PRANSWER and ACK until ANSWER, each for at most `hold_max`."""
    hold_max: float = defaults.HOLD_MAX
    """Seconds."""
    t1: float = 0.5
    """Seconds; RFC 3261 §17.1.1.1."""
    session_expires: int = 0
    """Seconds a session holds without a refresh, as we ask for it (RFC 4028); 0: we ask for none."""
    min_se: int = defaults.MIN_SE
    """Seconds; the least that we take."""

    @property
    def answer_wait(self) -> float:
        """Seconds that an answer owed in PRACK or ACK may take: 64*T1 less a margin."""
        return 60 * self.t1


@frozen
class Policy:
    """What a call may do that is answered with another address, or whose peer sends the other party to one."""

    redirects: int = 5
    """Addresses that may be tried in all (RFC 3261 §8.1.3.4); 0: a 3xx ends the call."""
    emergency: Emergency = NONE
    """Numbers that no redirection leads to."""
    refers: bool = True
    """Whether the peer may transfer by REFER."""


class State(Symbol):
    """Where the INVITE dialog stands."""

    IDLE = "idle"
    CALLING = "calling"
    """INVITE sent, no final response."""
    REFUSED_ONCE = "refused once"
    """The INVITE was refused for what it offered; another offer may come (RFC 3261 §8.1.3.5)."""
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
    ASK = "ask for a change"
    CHANGE_TAKEN = "change taken"
    CHANGE_REFUSED = "change refused"
    INFORM = "key or picture"
    TRANSFER = "send the peer elsewhere"
    TOLD = "how a transfer goes"
    END = "end"
    UNPLACED = "not placed"
    STRAY = "sound from elsewhere"
    PROVISIONAL = "1xx"
    CHALLENGED = "401/407"
    SUCCESS = "2xx"
    AGAIN = "2xx again"
    MOVED = "3xx, or the next address is due"
    UNFIT = "415/420/488/580/606"
    SHORT = "422"
    REFUSED = "3xx-6xx"
    SILENCE = "silence"
    ACK_SENT = "ACK sent"
    CANCEL = "CANCEL"
    WITHDRAWN = "CANCEL of a re-INVITE"
    ACK = "ACK"
    BYE = "BYE"
    PRACK = "PRACK"
    CHANGE = "re-INVITE or UPDATE"
    INFO = "INFO"
    REFER = "REFER"
    NOTIFY = "NOTIFY"
    LOST = "dialog lost"
    UNPRACKED = "no PRACK"
    UNACKED = "no ACK"
    HELD_ENOUGH = "held enough"
    BYE_DONE = "BYE answered"


class Asked(Symbol):
    """Where our change stands."""

    IDLE = "idle"
    ASKED = "asked"
    """The request is out."""
    REFRESHING = "refreshing"
    """The request is out, and is about nothing but the session timer."""
    BACKING_OFF = "backing off"
    OWING = "answer owed"
    """The peer's offer has come in a 2xx."""
    OVER = "over"


class Step(Symbol):
    """What a change can meet."""

    ASK = "ask"
    BUSY = "ask, not possible now"
    REFRESH = "refresh"
    CONFIRM = "answer for the ACK"
    THEIRS = "the peer's change"
    ELSEWHERE = "another dialog"
    WITHDRAW = "nobody wants it any more"
    END = "end of the call"
    PROVISIONAL = "1xx"
    TAKEN = "2xx"
    OFFERED = "2xx with an offer"
    AGAIN = "2xx again"
    CHALLENGED = "401/407"
    GLARE = "491"
    UNFIT = "405/501/504 to UPDATE"
    SHORT = "422"
    REFUSED = "refused"
    LOST = "408/481/silence"
    DUE = "waited"
    TIRED = "no answer to re-INVITE"
    UNANSWERED = "no answer for the ACK"
