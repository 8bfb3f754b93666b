"""The browser leg's machine, on one screen, and the way to make a leg.

The states of Fig. 7 in finer grain; `docs/` draws the picture from this table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Action, Row, Table, Timer
from rtcgw.model.identity import SessionId
from rtcgw.rtcweb import legchange as change
from rtcgw.rtcweb import legleaving as leaving
from rtcgw.rtcweb import legsetup as setup
from rtcgw.rtcweb import legtaking as taking
from rtcgw.rtcweb.legstates import AWAY, TALKING, LegEvent, LegState, Role
from rtcgw.rtcweb.useragent import BrowserLeg, IHome, IPage

S, E, L = LegState, LegEvent, BrowserLeg
_Rows = dict[tuple[LegState, LegEvent], Row]

CHANGE_WAIT: Final = 15.0
"""Seconds that a page has to decide a change; the re-INVITE behind it lasts 32."""

PAGE: Final = (
    E.PAGE_RINGS,
    E.PAGE_PRANSWERS,
    E.PAGE_ANSWERS,
    E.PAGE_ANSWERS_BARE,
    E.PAGE_DECLINES,
    E.PAGE_OFFERS,
    E.PAGE_PRESSES,
    E.PAGE_HOLDS,
    E.PAGE_TRANSFERS,
    E.PAGE_HANGS_UP,
)
"""Requests of the page: each is answered in every state, with an error where it makes no sense."""


def _in(states: Iterable[LegState], *rows: tuple[LegEvent, LegState | None, Action]) -> _Rows:
    """The same rows in several states; None stays."""
    return {(state, event): Row(next_ or state, (action,)) for state in states for event, next_, action in rows}


# fmt: off
_LEGAL: _Rows = {
    (S.IDLE, E.PLACE): Row(S.CALLING, (setup.place,)),
    (S.IDLE, E.SETUP): Row(S.OFFERED, (setup.offer,)),
    (S.IDLE, E.SETUP_BARE): Row(S.HANGUP, (setup.cannot_ring,)),
    (S.IDLE, E.PAGE_LOST): Row(S.HANGUP, (leaving.give_up,)),
    (S.IDLE, E.END): Row(S.HANGUP, (leaving.vanish,)),
    # the caller waits
    (S.CALLING, E.PROGRESS): Row(S.CALLING, (setup.progressed,)),
    (S.CALLING, E.PAGE_PRANSWERS): Row(S.CALLING, (setup.page_acknowledges,)),
    (S.CALLING, E.PROGRESS_ACKED): Row(S.CALLING, (setup.acked,)),
    (S.CALLING, E.ACCEPT): Row(S.ANSWERED, (setup.accepted,)),
    (S.CALLING, E.PAGE_HANGS_UP): Row(S.HANGUP, (leaving.cancel,)),
    (S.CALLING, E.PAGE_LOST): Row(S.CALLING_AWAY, (leaving.go_away,)),
    # answered: the caller's page owes the final reply
    (S.ANSWERED, E.PAGE_ANSWERS): Row(S.INCALL, (setup.page_confirms,)),
    (S.ANSWERED, E.PAGE_ANSWERS_BARE): Row(S.ANSWERED, (L.bare,)),
    (S.ANSWERED, E.PAGE_PRANSWERS): Row(S.ANSWERED, (setup.acknowledges_late,)),
    (S.ANSWERED, E.UNCONFIRMED): Row(S.INCALL, (setup.confirm_alone,)),
    (S.ANSWERED, E.PAGE_LOST): Row(S.INCALL_AWAY, (leaving.go_away, setup.confirm_alone)),
    # the callee's page has the offer
    (S.OFFERED, E.PAGE_RINGS): Row(S.ALERTING, (setup.page_rings,)),
    (S.ALERTING, E.PAGE_RINGS): Row(S.ALERTING, (setup.rings_again,)),
    # the callee has answered: the caller must confirm
    (S.ACCEPTING, E.CONFIRM): Row(S.INCALL, (setup.confirmed,)),
    (S.ACCEPTING, E.PROGRESS_ACK): Row(S.ACCEPTING, (setup.ack_progress,)),
    (S.ACCEPTING, E.PAGE_LOST): Row(S.INCALL_AWAY, (leaving.go_away,)),
    # a change of the page's is being decided
    (S.INCALL, E.PAGE_OFFERS): Row(S.CHANGING, (change.page_changes,)),
    (S.INCALL, E.PAGE_HOLDS): Row(S.CHANGING, (change.page_holds,)),
    (S.CHANGING, E.UPDATE_ACCEPT): Row(S.INCALL, (change.changed,)),
    (S.CHANGING, E.UPDATE_REJECT): Row(S.INCALL, (change.change_refused,)),
    (S.CHANGING, E.PAGE_LOST): Row(S.CHANGING_AWAY, (leaving.go_away,)),
    # the page decides a change
    (S.INCALL, E.UPDATE): Row(S.ASKED, (change.ask,)),
    (S.ASKED, E.PAGE_ANSWERS): Row(S.INCALL, (change.page_takes,)),
    (S.ASKED, E.PAGE_ANSWERS_BARE): Row(S.ASKED, (change.answers_nothing,)),
    (S.ASKED, E.PAGE_DECLINES): Row(S.INCALL, (change.page_declines,)),
    (S.ASKED, E.PAGE_OFFERS): Row(S.ASKED, (change.crossed,)),
    (S.ASKED, E.UPDATE_REJECT): Row(S.INCALL, (change.called_off,)),
    (S.ASKED, E.UNDECIDED): Row(S.INCALL, (change.not_decided,)),
    (S.ASKED, E.PAGE_LOST): Row(S.INCALL_AWAY, (leaving.go_away, change.nobody_there)),
    (S.INCALL, E.PAGE_LOST): Row(S.INCALL_AWAY, (leaving.go_away,)),
    # the page is away, and comes back
    (S.CALLING_AWAY, E.ACCEPT): Row(S.INCALL_AWAY, (setup.accepted_away,)),
    (S.CALLING_AWAY, E.PROGRESS): Row(S.CALLING_AWAY, (taking.progressed_away,)),
    (S.CALLING_AWAY, E.PAGE_RETURNS): Row(S.RECALLING, (taking.returns_early,)),
    (S.INCALL_AWAY, E.PAGE_RETURNS): Row(S.CHANGING, (taking.returns,)),
    (S.CHANGING_AWAY, E.PAGE_RETURNS): Row(S.RETURNING, (taking.returns_meanwhile,)),
    (S.CHANGING_AWAY, E.UPDATE_ACCEPT): Row(S.INCALL_AWAY, (change.decided_unseen,)),
    (S.CHANGING_AWAY, E.UPDATE_REJECT): Row(S.INCALL_AWAY),
    (S.RETURNING, E.UPDATE_ACCEPT): Row(S.CHANGING, (taking.offer_waiting,)),
    (S.RETURNING, E.UPDATE_REJECT): Row(S.CHANGING, (taking.offer_waiting,)),
    (S.RETURNING, E.PAGE_LOST): Row(S.CHANGING_AWAY, (leaving.go_away,)),
    # another page takes over
    (S.CALLING, E.TAKEN_OVER): Row(S.RECALLING, (taking.moves_early,)),
    (S.RECALLING, E.TAKEN_OVER): Row(S.RECALLING, (taking.moves_early,)),
    (S.ANSWERED, E.TAKEN_OVER): Row(S.CHANGING, (taking.moves_unconfirmed,)),
    (S.ACCEPTING, E.TAKEN_OVER): Row(S.CHANGING, (taking.moves,)),
    (S.INCALL, E.TAKEN_OVER): Row(S.CHANGING, (taking.moves,)),
    (S.CHANGING, E.TAKEN_OVER): Row(S.RETURNING, (taking.moves_meanwhile,)),
    (S.RETURNING, E.TAKEN_OVER): Row(S.RETURNING, (taking.moves_meanwhile,)),
    (S.ASKED, E.TAKEN_OVER): Row(S.CHANGING, (taking.moves_while_asked,)),
    # a page that is not the one that placed the call waits for the answer
    (S.RECALLING, E.PROGRESS): Row(S.RECALLING, (taking.progressed,)),
    (S.RECALLING, E.PAGE_PRANSWERS): Row(S.RECALLING, (taking.acknowledges,)),
    (S.RECALLING, E.RINGBACK): Row(S.RECALLING, (taking.ring_back,)),
    (S.RECALLING, E.ACCEPT): Row(S.CHANGING, (taking.accepted,)),
    (S.RECALLING, E.NEWS): Row(S.RECALLING, (change.tell,)),
    (S.RECALLING, E.PAGE_LOST): Row(S.CALLING_AWAY, (leaving.go_away,)),
    (S.RECALLING, E.PAGE_HANGS_UP): Row(S.HANGUP, (leaving.cancel,)),
    (S.RECALLING, E.END): Row(S.HANGUP, (leaving.ended,)),
    (S.IDLE, E.LOGGED_OUT): Row(S.HANGUP, (leaving.log_out,)),
}
_LEGAL |= _in(
    (S.OFFERED, S.ALERTING),
    (E.PAGE_PRANSWERS, None, setup.page_pranswers),
    (E.PAGE_ANSWERS, S.ACCEPTING, setup.page_answers),
    (E.PAGE_ANSWERS_BARE, None, L.bare),
    (E.PROGRESS_ACK, None, setup.ack_progress),
    (E.PAGE_HANGS_UP, S.HANGUP, leaving.refuse),
    (E.PAGE_LOST, S.HANGUP, leaving.give_up),
    (E.LOGGED_OUT, S.HANGUP, leaving.log_out),
    (E.ENDED_ELSEWHERE, S.HANGUP, leaving.refuse_elsewhere),
)
_LEGAL |= _in(
    (S.CALLING, S.RECALLING, S.CALLING_AWAY),
    (E.LOGGED_OUT, S.HANGUP, leaving.cancel),
    (E.ENDED_ELSEWHERE, S.HANGUP, leaving.cancel_elsewhere),
)
_LEGAL |= _in(
    TALKING | {S.ANSWERED, S.ACCEPTING, S.INCALL_AWAY, S.CHANGING_AWAY},
    (E.LOGGED_OUT, S.HANGUP, leaving.hang_up),
    (E.ENDED_ELSEWHERE, S.HANGUP, leaving.hang_up_elsewhere),
)
_LEGAL |= _in(
    (S.INCALL, S.CHANGING, S.RETURNING),
    (E.PAGE_ANSWERS, None, setup.confirms_late),
    (E.PAGE_ANSWERS_BARE, None, setup.confirms_late),
    (E.PAGE_DECLINES, None, change.declines_late),
)
_LEGAL |= _in(
    TALKING,
    (E.PAGE_PRANSWERS, None, setup.acknowledges_late),
    (E.PAGE_TRANSFERS, None, change.page_transfers),
)
_LEGAL |= _in(
    TALKING | {S.ANSWERED, S.ACCEPTING},
    (E.INFO, None, change.keys_pressed),
    (E.PAGE_HANGS_UP, S.HANGUP, leaving.hang_up),
)
_LEGAL |= _in(TALKING | {S.ANSWERED}, (E.PAGE_PRESSES, None, change.page_presses))
_LEGAL |= _in(TALKING | {S.CALLING, S.ANSWERED}, (E.RINGBACK, None, setup.ring_back))
_LEGAL |= _in(
    TALKING | {S.CALLING, S.ANSWERED, S.OFFERED, S.ALERTING, S.ACCEPTING},
    (E.CANDIDATES, None, change.trickle),
    (E.NEWS, None, change.tell),
    (E.END, S.HANGUP, leaving.ended),
)
_LEGAL |= _in(
    AWAY,
    (E.NEWS, None, change.note),
    (E.RINGBACK, None, taking.ring_back_away),
    (E.GRACE_OVER, S.HANGUP, leaving.give_up),
    (E.END, S.HANGUP, leaving.vanish),
)
# Whoever asks for a change hears something, whatever the state.
_LIVE = frozenset(S) - {S.IDLE, S.HANGUP}
_LEGAL |= _in(AWAY, (E.UPDATE, None, change.nobody_there))
_LEGAL |= _in(_LIVE - AWAY - {S.INCALL}, (E.UPDATE, None, change.not_now))
_LEGAL |= _in(_LIVE, (E.UPDATE_BARE, None, change.unaskable))
# fmt: on

_ILLEGAL: Final = {
    (state, event): Row(state, (L.illegal,))
    for state in frozenset(S) - AWAY - {S.HANGUP}
    for event in PAGE
    if (state, event) not in _LEGAL
}
"""What a page may send in any state, and is told not to."""

_NEVER: Final = {E.PLACE, E.SETUP, E.SETUP_BARE, E.NOT_FOR_PAGES}
"""Only a leg that is idle is given a call; of whole pictures browsers speak by RTCP."""
_SETTLED: Final = _NEVER | {E.PROGRESS, E.PROGRESS_ACKED, E.ACCEPT}
"""The call has been answered; what came before comes too late."""
_NOT_AWAY: Final = {E.GRACE_OVER, E.PAGE_RETURNS}
_MEANINGLESS: Final = {
    S.IDLE: set(E) - {E.PLACE, E.SETUP, E.SETUP_BARE, E.PAGE_LOST, E.LOGGED_OUT, E.END}
    - set(PAGE),
    S.CALLING: _NEVER | _NOT_AWAY
    | {E.PROGRESS_ACK, E.CONFIRM, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.INFO, E.UNCONFIRMED, E.UNDECIDED},
    S.ANSWERED: _SETTLED | _NOT_AWAY | {E.PROGRESS_ACK, E.CONFIRM, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.UNDECIDED},
    S.OFFERED: _SETTLED | _NOT_AWAY
    | {E.TAKEN_OVER, E.CONFIRM, E.RINGBACK, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.INFO, E.UNCONFIRMED, E.UNDECIDED},
    S.ACCEPTING: _SETTLED | _NOT_AWAY
    | {E.RINGBACK, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.UNCONFIRMED, E.UNDECIDED},
    S.INCALL: _SETTLED | _NOT_AWAY
    | {E.PROGRESS_ACK, E.CONFIRM, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.UNCONFIRMED, E.UNDECIDED},
    S.CHANGING: _SETTLED | _NOT_AWAY | {E.PROGRESS_ACK, E.CONFIRM, E.UNCONFIRMED, E.UNDECIDED},
    S.ASKED: _SETTLED | _NOT_AWAY | {E.PROGRESS_ACK, E.CONFIRM, E.UPDATE_ACCEPT, E.UNCONFIRMED},
    S.RETURNING: _SETTLED | _NOT_AWAY | {E.PROGRESS_ACK, E.CONFIRM, E.UNCONFIRMED, E.UNDECIDED},
    S.RECALLING: _NEVER | _NOT_AWAY
    | {E.PROGRESS_ACK, E.PROGRESS_ACKED, E.CONFIRM, E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.CANDIDATES, E.INFO}
    | {E.UNCONFIRMED, E.UNDECIDED},
    S.CALLING_AWAY: {E.UPDATE_ACCEPT, E.UPDATE_REJECT, E.PROGRESS_ACKED} | _NEVER,
    S.INCALL_AWAY: {E.UPDATE_ACCEPT, E.UPDATE_REJECT} | _SETTLED,
    S.CHANGING_AWAY: _SETTLED,
    S.HANGUP: set(E),
}  # fmt: skip
"""Dropped on purpose: repetitions, what only the other role gets, what a page that is away cannot say."""
for _state in AWAY:
    _MEANINGLESS[_state] |= {E.PROGRESS_ACK, E.CONFIRM, E.CANDIDATES, E.INFO, E.PAGE_LOST, E.TAKEN_OVER}
    _MEANINGLESS[_state] |= {E.UNCONFIRMED, E.UNDECIDED, *PAGE}

LEG_TABLE: Final[Table[LegState, LegEvent]] = Table(
    "browser leg",
    S.IDLE,
    E,
    _LEGAL | _ILLEGAL,
    _MEANINGLESS | {S.ALERTING: _MEANINGLESS[S.OFFERED]},
    (
        Timer("grace", AWAY, lambda leg: leg.grace, E.GRACE_OVER),
        Timer("confirm", frozenset({S.ANSWERED}), lambda leg: leg.confirm_wait, E.UNCONFIRMED),
        Timer("change", frozenset({S.ASKED}), lambda leg: CHANGE_WAIT, E.UNDECIDED),
    ),
)


def browser_leg(
    session: SessionId, role: Role, page: IPage, home: IHome, clock: IReactorTime, grace: float, confirm_wait: float
) -> BrowserLeg:
    """A leg in its first state; `place` makes it a caller's, a delivered `Setup` a callee's."""
    return BrowserLeg(LEG_TABLE, session, role, page, home, clock, grace, confirm_wait)
