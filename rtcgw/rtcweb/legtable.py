"""The browser leg's machine, on one screen, and the way to make a leg.

The states of Fig. 7 in finer grain; `docs/` draws the picture from this table.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Action, Row, Table, Timer
from rtcgw.model.identity import SessionId
from rtcgw.rtcweb.legstates import AWAY, LegEvent, LegState, Role
from rtcgw.rtcweb.useragent import BrowserLeg, IHome, IPage

S, E, L = LegState, LegEvent, BrowserLeg

PAGE: Final = (E.PAGE_RINGS, E.PAGE_PRANSWERS, E.PAGE_ANSWERS, E.PAGE_ANSWERS_BARE, E.PAGE_OFFERS, E.PAGE_HANGS_UP)
"""Requests of the page: each is answered in every state, with an error where it makes no sense."""

_LEGAL: dict[tuple[LegState, LegEvent], Row] = {
    (S.IDLE, E.PLACE): Row(S.CALLING, (L._place,)),
    (S.IDLE, E.SETUP): Row(S.OFFERED, (L._offer,)),
    (S.IDLE, E.SETUP_BARE): Row(S.HANGUP, (L._cannot_ring,)),
    (S.IDLE, E.PAGE_LOST): Row(S.HANGUP, (L._give_up,)),
    (S.IDLE, E.END): Row(S.HANGUP, (L._vanish,)),
    # the caller waits
    (S.CALLING, E.PROGRESS): Row(S.CALLING, (L._progress,)),
    (S.CALLING, E.PAGE_PRANSWERS): Row(S.CALLING, (L._page_acknowledges,)),
    (S.CALLING, E.PROGRESS_ACKED): Row(S.CALLING, (L._acked,)),
    (S.CALLING, E.ACCEPT): Row(S.ANSWERED, (L._accepted,)),
    (S.CALLING, E.CANDIDATES): Row(S.CALLING, (L._trickle,)),
    (S.CALLING, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._cancel,)),
    (S.CALLING, E.PAGE_LOST): Row(S.CALLING_AWAY, (L._go_away,)),
    (S.CALLING, E.END): Row(S.HANGUP, (L._ended,)),
    # answered: the caller's page owes the final reply
    (S.ANSWERED, E.PAGE_ANSWERS): Row(S.INCALL, (L._page_confirms,)),
    (S.ANSWERED, E.PAGE_ANSWERS_BARE): Row(S.ANSWERED, (L._bare,)),
    (S.ANSWERED, E.PAGE_PRANSWERS): Row(S.ANSWERED, (L._acknowledges_late,)),
    (S.ANSWERED, E.UNCONFIRMED): Row(S.INCALL, (L._confirm_alone,)),
    (S.ANSWERED, E.UPDATE): Row(S.ANSWERED, (L._refuse_update,)),
    (S.ANSWERED, E.CANDIDATES): Row(S.ANSWERED, (L._trickle,)),
    (S.ANSWERED, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._hang_up,)),
    (S.ANSWERED, E.PAGE_LOST): Row(S.INCALL_AWAY, (L._go_away, L._confirm_alone)),
    (S.ANSWERED, E.END): Row(S.HANGUP, (L._ended,)),
    # the callee's page has the offer
    (S.OFFERED, E.PAGE_RINGS): Row(S.ALERTING, (L._page_rings,)),
    (S.ALERTING, E.PAGE_RINGS): Row(S.ALERTING, (L._rings_again,)),
    # the callee has answered: the caller must confirm
    (S.ACCEPTING, E.CONFIRM): Row(S.INCALL, (L._confirmed,)),
    (S.ACCEPTING, E.PROGRESS_ACK): Row(S.ACCEPTING, (L._ack_progress,)),
    (S.ACCEPTING, E.UPDATE): Row(S.ACCEPTING, (L._refuse_update,)),
    (S.ACCEPTING, E.CANDIDATES): Row(S.ACCEPTING, (L._trickle,)),
    (S.ACCEPTING, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._hang_up,)),
    (S.ACCEPTING, E.PAGE_LOST): Row(S.INCALL_AWAY, (L._go_away,)),
    (S.ACCEPTING, E.END): Row(S.HANGUP, (L._ended,)),
    # a change of the page's is being decided
    (S.INCALL, E.PAGE_OFFERS): Row(S.CHANGING, (L._page_changes,)),
    (S.CHANGING, E.UPDATE_ACCEPT): Row(S.INCALL, (L._changed,)),
    (S.CHANGING, E.UPDATE_REJECT): Row(S.INCALL, (L._change_refused,)),
    # the page is away
    (S.CALLING_AWAY, E.ACCEPT): Row(S.INCALL_AWAY, (L._accepted_away,)),
    (S.CALLING_AWAY, E.PAGE_RETURNS): Row(S.CALLING_AWAY, (L._returns_too_early,)),
    (S.CALLING_AWAY, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._cancel,)),
    (S.INCALL_AWAY, E.PAGE_RETURNS): Row(S.CHANGING, (L._page_returns,)),
    (S.INCALL_AWAY, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._hang_up,)),
    (S.INCALL_AWAY, E.UPDATE): Row(S.INCALL_AWAY, (L._refuse_update,)),
}
for _state in (S.OFFERED, S.ALERTING):
    _LEGAL |= {
        (_state, E.PAGE_PRANSWERS): Row(_state, (L._page_pranswers,)),
        (_state, E.PAGE_ANSWERS): Row(S.ACCEPTING, (L._page_answers,)),
        (_state, E.PAGE_ANSWERS_BARE): Row(_state, (L._bare,)),
        (_state, E.PROGRESS_ACK): Row(_state, (L._ack_progress,)),
        (_state, E.CANDIDATES): Row(_state, (L._trickle,)),
        (_state, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._refuse,)),
        (_state, E.PAGE_LOST): Row(S.HANGUP, (L._give_up,)),
        (_state, E.END): Row(S.HANGUP, (L._ended,)),
    }
for _state in (S.INCALL, S.CHANGING):
    _LEGAL |= {
        (_state, E.PAGE_PRANSWERS): Row(_state, (L._acknowledges_late,)),
        (_state, E.PAGE_ANSWERS): Row(_state, (L._confirms_again,)),
        (_state, E.PAGE_ANSWERS_BARE): Row(_state, (L._confirms_again,)),
        (_state, E.UPDATE): Row(_state, (L._refuse_update,)),
        (_state, E.CANDIDATES): Row(_state, (L._trickle,)),
        (_state, E.PAGE_HANGS_UP): Row(S.HANGUP, (L._hang_up,)),
        (_state, E.PAGE_LOST): Row(S.INCALL_AWAY, (L._go_away,)),
        (_state, E.END): Row(S.HANGUP, (L._ended,)),
    }
for _state in AWAY:
    _LEGAL |= {
        (_state, E.GRACE_OVER): Row(S.HANGUP, (L._give_up,)),
        (_state, E.END): Row(S.HANGUP, (L._vanish,)),
    }


def _illegal(state: LegState) -> dict[tuple[LegState, LegEvent], Row]:
    """What a page may send in any state, and is told not to."""
    action: Action = L._illegal
    return {(state, event): Row(state, (action,)) for event in PAGE if (state, event) not in _LEGAL}


_ROWS = dict(_LEGAL)
for _state in S:
    if _state not in AWAY and _state is not S.HANGUP:
        _ROWS |= _illegal(_state)

_MEANINGLESS: Final = {
    S.IDLE: set(E) - {E.PLACE, E.SETUP, E.SETUP_BARE, E.PAGE_LOST, E.END} - set(PAGE),
    S.CALLING: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS_ACK, E.CONFIRM, E.UPDATE, E.UPDATE_ACCEPT, E.UPDATE_REJECT}
    | {E.INFO, E.GRACE_OVER, E.UNCONFIRMED, E.PAGE_RETURNS},
    S.ANSWERED: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACK, E.PROGRESS_ACKED, E.ACCEPT, E.CONFIRM}
    | {E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.INFO, E.GRACE_OVER, E.PAGE_RETURNS},
    S.OFFERED: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACKED, E.ACCEPT, E.CONFIRM, E.UPDATE}
    | {E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.INFO, E.GRACE_OVER, E.UNCONFIRMED, E.PAGE_RETURNS},
    S.ACCEPTING: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACKED, E.ACCEPT, E.UPDATE_ACCEPT}
    | {E.UPDATE_REJECT, E.INFO, E.GRACE_OVER, E.UNCONFIRMED, E.PAGE_RETURNS},
    S.INCALL: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACK, E.PROGRESS_ACKED, E.ACCEPT, E.CONFIRM}
    | {E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.INFO, E.GRACE_OVER, E.UNCONFIRMED, E.PAGE_RETURNS},
    S.CHANGING: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACK, E.PROGRESS_ACKED, E.ACCEPT, E.CONFIRM}
    | {E.INFO, E.GRACE_OVER, E.UNCONFIRMED, E.PAGE_RETURNS},
    S.CALLING_AWAY: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACK, E.PROGRESS_ACKED, E.CONFIRM}
    | {E.UPDATE, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.CANDIDATES, E.INFO, E.UNCONFIRMED, E.PAGE_LOST}
    | (set(PAGE) - {E.PAGE_HANGS_UP}),
    S.INCALL_AWAY: {E.PLACE, E.SETUP, E.SETUP_BARE, E.PROGRESS, E.PROGRESS_ACK, E.PROGRESS_ACKED, E.ACCEPT, E.CONFIRM}
    | {E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.CANDIDATES, E.INFO, E.UNCONFIRMED, E.PAGE_LOST}
    | (set(PAGE) - {E.PAGE_HANGS_UP}),
    S.HANGUP: set(E),
}
"""Dropped on purpose: repetitions, what only the other role gets, what a page that is away cannot say."""

LEG_TABLE: Final[Table[LegState, LegEvent]] = Table(
    "browser leg",
    S.IDLE,
    E,
    _ROWS,
    _MEANINGLESS | {S.ALERTING: _MEANINGLESS[S.OFFERED]},
    (
        Timer("grace", AWAY, lambda leg: leg._grace, E.GRACE_OVER),
        Timer("confirm", frozenset({S.ANSWERED}), lambda leg: leg._confirm_wait, E.UNCONFIRMED),
    ),
)


def browser_leg(
    session: SessionId, role: Role, page: IPage, home: IHome, clock: IReactorTime, grace: float, confirm_wait: float
) -> BrowserLeg:
    """A leg in its first state; `place` makes it a caller's, a delivered `Setup` a callee's."""
    return BrowserLeg(LEG_TABLE, session, role, page, home, clock, grace, confirm_wait)
