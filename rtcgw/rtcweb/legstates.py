"""The words of the browser leg's machine: states, events, reasons, and which of Fig. 7's states each one is part of.

The machine itself is `legtable.py`; what it does is told in `useragent.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from rtcgw.machine import Symbol
from rtcgw.model.events import (
    Accept,
    Away,
    Candidates,
    Confirm,
    Connected,
    End,
    Event,
    Hold,
    Info,
    Keyframe,
    Progress,
    ProgressAck,
    ProgressAcked,
    Ringback,
    Roster,
    Setup,
    Stray,
    Transfer,
    Transferring,
    Unacceptable,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.reason import Reason, from_word
from rtcgw.rtcweb.dialects import native


class Role(Enum):
    """Which side of the call the page is."""

    CALLER = "caller"
    CALLEE = "callee"


class LegState(Symbol):
    """Where the leg stands; finer than Fig. 7, whose names are in `figure`."""

    IDLE = "idle"
    CALLING = "calling"
    OFFERED = "offered"
    ALERTING = "alerting"
    ACCEPTING = "accepting"
    ANSWERED = "answered"
    INCALL = "in call"
    CHANGING = "changing"
    """The page's OFFER is being decided."""
    ASKED = "asked"
    """The page has an OFFER of the gateway's to decide."""
    CALLING_AWAY = "calling, page away"
    INCALL_AWAY = "in call, page away"
    CHANGING_AWAY = "changing, page away"
    """What the page that is lost had offered is still being decided."""
    RETURNING = "returning"
    """As before, but there is a page again: its new OFFER waits until the old one is decided."""
    RECALLING = "recalling"
    """The caller's page is another than the one that placed the call: its OFFER waits for the answer."""
    HANGUP = "hangup"

    @property
    def figure(self) -> str:
        """The state of Fig. 7 that this is part of."""
        return _FIGURE[self]

    @property
    def away(self) -> bool:
        """Whether the page is lost and may come back."""
        return self in AWAY


AWAY: Final = frozenset({LegState.CALLING_AWAY, LegState.INCALL_AWAY, LegState.CHANGING_AWAY})
TALKING: Final = frozenset({LegState.INCALL, LegState.CHANGING, LegState.ASKED, LegState.RETURNING})
"""Answered and confirmed, with a page."""
MOVABLE: Final = AWAY | TALKING | {LegState.ACCEPTING, LegState.ANSWERED, LegState.CALLING, LegState.RECALLING}
"""Where another page of the user may take the call up. One that rings is not taken up: every page rings by itself."""
_FIGURE: Final[Mapping[LegState, str]] = {
    LegState.IDLE: "Idle",
    LegState.CALLING: "Calling",
    LegState.OFFERED: "Calling",
    LegState.ALERTING: "Calling",
    LegState.ACCEPTING: "Calling",
    LegState.ANSWERED: "InCall",
    LegState.INCALL: "InCall",
    LegState.CHANGING: "InCall",
    LegState.ASKED: "InCall",
    LegState.CALLING_AWAY: "Reloading",
    LegState.INCALL_AWAY: "Reloading",
    LegState.CHANGING_AWAY: "Reloading",
    LegState.RETURNING: "Reloading",
    LegState.RECALLING: "Calling",
    LegState.HANGUP: "Hangup",
}


class LegEvent(Symbol):
    """What moves the leg: the page's requests, the call's orders, and time."""

    PLACE = "page places a call"
    PAGE_RINGS = "page: RINGING"
    PAGE_PRANSWERS = "page: PRANSWER"
    PAGE_ANSWERS = "page: ANSWER"
    PAGE_ANSWERS_BARE = "page: ANSWER without the description it needs"
    PAGE_DECLINES = "page: DECLINE"
    PAGE_OFFERS = "page: OFFER in session"
    PAGE_RETURNS = "page came back: OFFER in session"
    TAKEN_OVER = "another page: OFFER in session"
    PAGE_PRESSES = "page: DTMF"
    PAGE_HOLDS = "page: HOLD"
    PAGE_TRANSFERS = "page: TRANSFER"
    PAGE_HANGS_UP = "page: HANGUP"
    ENDED_ELSEWHERE = "another page: HANGUP"
    LOGGED_OUT = "page: LOGOUT"
    PAGE_LOST = "page lost"
    SETUP = "Setup"
    SETUP_BARE = "Setup without an offer"
    PROGRESS = "Progress"
    PROGRESS_ACK = "ProgressAck"
    PROGRESS_ACKED = "ProgressAcked"
    ACCEPT = "Accept"
    CONFIRM = "Confirm"
    RINGBACK = "Ringback"
    UPDATE = "Update"
    UPDATE_BARE = "Update without an offer"
    UPDATE_ACCEPT = "UpdateAccept"
    UPDATE_REJECT = "UpdateReject"
    CANDIDATES = "Candidates"
    INFO = "Info"
    NEWS = "Hold, Transferring, Roster, Connected"
    """What the page is told and need not decide."""
    NOT_FOR_PAGES = "Keyframe, Stray, Unacceptable, Away, Transfer"
    END = "End"
    GRACE_OVER = "grace timer"
    UNCONFIRMED = "confirm timer"
    UNDECIDED = "change timer"


ORDERS: Final[Mapping[type[Event], LegEvent]] = {
    Setup: LegEvent.SETUP,
    Progress: LegEvent.PROGRESS,
    ProgressAck: LegEvent.PROGRESS_ACK,
    ProgressAcked: LegEvent.PROGRESS_ACKED,
    Accept: LegEvent.ACCEPT,
    Confirm: LegEvent.CONFIRM,
    Ringback: LegEvent.RINGBACK,
    Update: LegEvent.UPDATE,
    UpdateAccept: LegEvent.UPDATE_ACCEPT,
    UpdateReject: LegEvent.UPDATE_REJECT,
    Candidates: LegEvent.CANDIDATES,
    Info: LegEvent.INFO,
    Hold: LegEvent.NEWS,
    Transferring: LegEvent.NEWS,
    Roster: LegEvent.NEWS,
    Connected: LegEvent.NEWS,
    Away: LegEvent.NOT_FOR_PAGES,
    Transfer: LegEvent.NOT_FOR_PAGES,
    Keyframe: LegEvent.NOT_FOR_PAGES,
    Stray: LegEvent.NOT_FOR_PAGES,
    Unacceptable: LegEvent.NOT_FOR_PAGES,
    End: LegEvent.END,
}
"""Which event an order of the parent is.

Keyframes are asked for by RTCP where a browser is concerned; `Unacceptable` and `Away` only ever go up; a page is not
sent elsewhere, the gateway calls in its stead.
"""

BARE: Final[Mapping[LegEvent, LegEvent]] = {LegEvent.SETUP: LegEvent.SETUP_BARE, LegEvent.UPDATE: LegEvent.UPDATE_BARE}
"""Which event it is without a description."""

REQUESTS: Final[Mapping[type[native.Request], LegEvent]] = {
    native.Ringing: LegEvent.PAGE_RINGS,
    native.Pranswer: LegEvent.PAGE_PRANSWERS,
    native.Answer: LegEvent.PAGE_ANSWERS,
    native.Decline: LegEvent.PAGE_DECLINES,
    native.Offer: LegEvent.PAGE_OFFERS,
    native.Dtmf: LegEvent.PAGE_PRESSES,
    native.Hold: LegEvent.PAGE_HOLDS,
    native.Transfer: LegEvent.PAGE_TRANSFERS,
    native.Hangup: LegEvent.PAGE_HANGS_UP,
}
"""Which event a request of the page is."""

REFUSALS: Final = frozenset(
    {Reason.BUSY, Reason.DECLINED, Reason.UNWANTED, Reason.OFFLINE, Reason.NO_ANSWER, Reason.MEDIA, Reason.MEDIA_FAILED}
)
"""Why a called page may refuse a call; any other word means declined."""
DECLINES: Final = frozenset({Reason.DECLINED, Reason.MEDIA, Reason.MEDIA_FAILED, Reason.CONFLICT})
"""Why a page may decline a change; any other word means declined."""
FAULTS: Final = frozenset({Reason.MEDIA_FAILED, Reason.MEDIA_LOST, Reason.CLIENT_LOST})
"""Why a page may end a running call, beside plainly hanging up."""


def reason_given(message: native.Hangup | native.Decline | None, allowed: frozenset[Reason], default: Reason) -> Reason:
    """The reason that a page gives, where it is one that a page may give."""
    reason = None if message is None else from_word(message.reason or "")
    return reason if reason is not None and reason in allowed else default
