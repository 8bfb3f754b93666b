"""The SIP half-call's machine on one screen, and the two ways to make a leg.

The outgoing and the incoming table share the rows from TALKING on; before that a leg is
either a caller's or a callee's, so each table ignores the other role's states whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Row, Table, Timer
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.sip.dialog import Dialog, DialogId, new_tag
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator import sipforks as forks
from rtcgw.translator import sipinfo, siptimer
from rtcgw.translator import sipredirect as redirect
from rtcgw.translator import siprefer as refer
from rtcgw.translator import sipuac as uac
from rtcgw.translator import sipuas as uas
from rtcgw.translator.sipanswers import Answers
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipport import ISipPort
from rtcgw.translator.sipstate import Input, Ladder, Policy, State

_I, _S = Input, State
_Rows = dict[tuple[State, Input], Row]

# fmt: off
_BOTH: _Rows = {
    (_S.TALKING, _I.END): Row(_S.LEAVING, (SipLeg.hang_up,)),
    (_S.TALKING, _I.BYE): Row(_S.ENDED, (SipLeg.hung_up,)),
    (_S.TALKING, _I.CHANGE): Row(_S.TALKING, (SipLeg.changing,)),
    (_S.TALKING, _I.ASK): Row(_S.TALKING, (SipLeg.ask,)),
    (_S.TALKING, _I.CONFIRM): Row(_S.TALKING, (SipLeg.change_confirmed,)),
    (_S.TALKING, _I.LOST): Row(_S.LEAVING, (SipLeg.hang_up, SipLeg.report_end)),
    (_S.TALKING, _I.INFORM): Row(_S.TALKING, (sipinfo.inform,)),
    (_S.TALKING, _I.INFO): Row(_S.TALKING, (sipinfo.informed,)),
    (_S.TALKING, _I.REFER): Row(_S.TALKING, (refer.referred,)),
    (_S.TALKING, _I.NOTIFY): Row(_S.TALKING, (refer.notified,)),
    (_S.TALKING, _I.TRANSFER): Row(_S.TALKING, (refer.send_elsewhere,)),
    (_S.TALKING, _I.TOLD): Row(_S.TALKING, (refer.told,)),
    (_S.TALKING, _I.CHANGE_TAKEN): Row(_S.TALKING, (SipLeg.changed,)),
    (_S.TALKING, _I.CHANGE_REFUSED): Row(_S.TALKING, (SipLeg.unchanged,)),
    (_S.TALKING, _I.WITHDRAWN): Row(_S.TALKING, (SipLeg.withdrawn,)),
    (_S.TALKING, _I.ACK): Row(_S.TALKING, (SipLeg.change_acked,)),
    (_S.TALKING, _I.UNACKED): Row(_S.LEAVING, (uas.unacked,)),

    (_S.LEAVING, _I.BYE_DONE): Row(_S.ENDED, (SipLeg.forget,)),
    (_S.LEAVING, _I.BYE): Row(_S.LEAVING, (SipLeg.answer_bye,)),
    (_S.LEAVING, _I.CHANGE): Row(_S.LEAVING, (SipLeg.no_such,)),
    (_S.LEAVING, _I.PRACK): Row(_S.LEAVING, (SipLeg.no_such,)),
    (_S.LEAVING, _I.INFO): Row(_S.LEAVING, (SipLeg.no_such,)),
    (_S.LEAVING, _I.REFER): Row(_S.LEAVING, (SipLeg.no_such,)),
    (_S.LEAVING, _I.NOTIFY): Row(_S.LEAVING, (SipLeg.no_such,)),

    (_S.ENDED, _I.BYE): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.CHANGE): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.PRACK): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.INFO): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.REFER): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.NOTIFY): Row(_S.ENDED, (SipLeg.no_such,)),
}

_OUTGOING: _Rows = {
    (_S.IDLE, _I.SETUP): Row(_S.CALLING, (uac.place,)),
    (_S.IDLE, _I.END): Row(_S.ENDED),

    (_S.CALLING, _I.UNPLACED): Row(_S.ENDED, (SipLeg.report_end,)),
    (_S.CALLING, _I.PROVISIONAL): Row(_S.CALLING, (forks.progressed,)),
    (_S.CALLING, _I.STRAY): Row(_S.CALLING, (forks.overheard,)),
    (_S.CALLING, _I.PROGRESS_ACK): Row(_S.CALLING, (uac.browser_acknowledged,)),
    (_S.CALLING, _I.HELD_ENOUGH): Row(_S.CALLING, (uac.prack_held_enough,)),
    (_S.CALLING, _I.CHALLENGED): Row(_S.CALLING, (uac.meet_challenge,)),
    (_S.CALLING, _I.MOVED): Row(_S.CALLING, (redirect.follow,)),
    (_S.CALLING, _I.UNFIT): Row(_S.REFUSED_ONCE, (uac.unfit,)),
    (_S.CALLING, _I.SHORT): Row(_S.CALLING, (uac.lengthen,)),
    (_S.CALLING, _I.REFUSED): Row(_S.ENDED, (uac.refused,)),
    (_S.CALLING, _I.SILENCE): Row(_S.ENDED, (uac.unheard,)),
    (_S.CALLING, _I.SUCCESS): Row(_S.ANSWERED, (uac.answered,)),
    (_S.CALLING, _I.END): Row(_S.CANCELLING, (uac.cancel,)),
    (_S.CALLING, _I.BYE): Row(_S.CALLING, (SipLeg.no_such,)),
    (_S.CALLING, _I.PRACK): Row(_S.CALLING, (SipLeg.no_such,)),
    (_S.CALLING, _I.CHANGE): Row(_S.CALLING, (forks.changing,)),
    (_S.CALLING, _I.INFO): Row(_S.CALLING, (sipinfo.informed,)),
    (_S.CALLING, _I.REFER): Row(_S.CALLING, (SipLeg.too_early,)),
    (_S.CALLING, _I.NOTIFY): Row(_S.CALLING, (SipLeg.no_such,)),
    (_S.CALLING, _I.ASK): Row(_S.CALLING, (uac.ask_early,)),
    (_S.CALLING, _I.LOST): Row(_S.CANCELLING, (uac.cancel, SipLeg.report_end)),
    (_S.CALLING, _I.CHANGE_TAKEN): Row(_S.CALLING, (SipLeg.changed,)),
    (_S.CALLING, _I.CHANGE_REFUSED): Row(_S.CALLING, (SipLeg.unchanged,)),

    (_S.REFUSED_ONCE, _I.SETUP): Row(_S.CALLING, (uac.place_again,)),
    (_S.REFUSED_ONCE, _I.END): Row(_S.ENDED, (uac.cleared,)),
    (_S.REFUSED_ONCE, _I.PROGRESS_ACK): Row(_S.REFUSED_ONCE, (uac.browser_acknowledged,)),
    (_S.REFUSED_ONCE, _I.SUCCESS): Row(_S.REFUSED_ONCE, (uac.refuse_fork,)),
    (_S.REFUSED_ONCE, _I.ASK): Row(_S.REFUSED_ONCE, (SipLeg.ask_not_now,)),
    (_S.REFUSED_ONCE, _I.BYE): Row(_S.REFUSED_ONCE, (SipLeg.no_such,)),
    (_S.REFUSED_ONCE, _I.PRACK): Row(_S.REFUSED_ONCE, (SipLeg.no_such,)),
    (_S.REFUSED_ONCE, _I.CHANGE): Row(_S.REFUSED_ONCE, (SipLeg.no_such,)),
    (_S.REFUSED_ONCE, _I.INFO): Row(_S.REFUSED_ONCE, (SipLeg.no_such,)),
    (_S.REFUSED_ONCE, _I.REFER): Row(_S.REFUSED_ONCE, (SipLeg.no_such,)),
    (_S.REFUSED_ONCE, _I.NOTIFY): Row(_S.REFUSED_ONCE, (SipLeg.no_such,)),

    (_S.CANCELLING, _I.CHALLENGED): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.MOVED): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.UNFIT): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.SHORT): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.REFUSED): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.SILENCE): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.SUCCESS): Row(_S.LEAVING, (uac.late_success,)),
    (_S.CANCELLING, _I.BYE): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.PRACK): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.CHANGE): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.INFO): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.REFER): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.NOTIFY): Row(_S.CANCELLING, (SipLeg.no_such,)),

    (_S.ANSWERED, _I.ACK_SENT): Row(_S.TALKING),
    (_S.ANSWERED, _I.CONFIRM): Row(_S.ANSWERED, (uac.confirmed,)),
    (_S.ANSWERED, _I.HELD_ENOUGH): Row(_S.ANSWERED, (uac.ack_held_enough,)),
    (_S.ANSWERED, _I.PROGRESS_ACK): Row(_S.ANSWERED, (uac.browser_acknowledged,)),
    (_S.ANSWERED, _I.AGAIN): Row(_S.ANSWERED, (uac.ack_again,)),
    (_S.ANSWERED, _I.END): Row(_S.LEAVING, (uac.ack_and_hang_up,)),
    (_S.ANSWERED, _I.BYE): Row(_S.ENDED, (uac.ack_and_hung_up,)),
    (_S.ANSWERED, _I.PRACK): Row(_S.ANSWERED, (SipLeg.no_such,)),
    (_S.ANSWERED, _I.CHANGE): Row(_S.ANSWERED, (SipLeg.too_early,)),
    (_S.ANSWERED, _I.CHANGE_TAKEN): Row(_S.ANSWERED, (SipLeg.changed,)),
    (_S.ANSWERED, _I.CHANGE_REFUSED): Row(_S.ANSWERED, (SipLeg.unchanged,)),
    (_S.ANSWERED, _I.ASK): Row(_S.ANSWERED, (SipLeg.ask_not_now,)),
    (_S.ANSWERED, _I.LOST): Row(_S.LEAVING, (uac.ack_and_hang_up, SipLeg.report_end)),
    (_S.ANSWERED, _I.INFO): Row(_S.ANSWERED, (sipinfo.informed,)),
    (_S.ANSWERED, _I.REFER): Row(_S.ANSWERED, (SipLeg.too_early,)),
    (_S.ANSWERED, _I.NOTIFY): Row(_S.ANSWERED, (SipLeg.no_such,)),
    (_S.ANSWERED, _I.TRANSFER): Row(_S.ANSWERED, (refer.cannot_send,)),

    (_S.TALKING, _I.PROGRESS_ACK): Row(_S.TALKING, (uac.browser_acknowledged,)),
    (_S.TALKING, _I.AGAIN): Row(_S.TALKING, (uac.ack_again,)),
    (_S.TALKING, _I.PRACK): Row(_S.TALKING, (SipLeg.no_such,)),
    (_S.LEAVING, _I.AGAIN): Row(_S.LEAVING, (uac.ack_again,)),
    (_S.ENDED, _I.AGAIN): Row(_S.ENDED, (uac.ack_again,)),
    (_S.ENDED, _I.SUCCESS): Row(_S.ENDED, (uac.refuse_fork,)),
}

_INCOMING: _Rows = {
    (_S.OFFERED, _I.PROGRESS): Row(_S.OFFERED, (uas.progress,)),
    (_S.OFFERED, _I.PRACK): Row(_S.OFFERED, (uas.prack,)),
    (_S.OFFERED, _I.ACCEPT): Row(_S.ACCEPTED, (uas.accept,)),
    (_S.OFFERED, _I.ACCEPT_LATER): Row(_S.ANSWERING, (uas.accept_later,)),
    (_S.OFFERED, _I.END): Row(_S.ENDED, (uas.refuse,)),
    (_S.OFFERED, _I.CANCEL): Row(_S.ENDED, (uas.cancelled,)),
    (_S.OFFERED, _I.BYE): Row(_S.ENDED, (uas.left_early,)),
    (_S.OFFERED, _I.UNPRACKED): Row(_S.ENDED, (uas.unpracked,)),
    (_S.OFFERED, _I.CHANGE): Row(_S.OFFERED, (uas.changing_early,)),
    (_S.OFFERED, _I.ASK): Row(_S.OFFERED, (uas.ask_early,)),
    (_S.OFFERED, _I.LOST): Row(_S.ENDED, (uas.refuse, SipLeg.report_end)),
    (_S.OFFERED, _I.INFO): Row(_S.OFFERED, (sipinfo.informed,)),
    (_S.OFFERED, _I.REFER): Row(_S.OFFERED, (SipLeg.too_early,)),
    (_S.OFFERED, _I.NOTIFY): Row(_S.OFFERED, (SipLeg.no_such,)),
    (_S.OFFERED, _I.CHANGE_TAKEN): Row(_S.OFFERED, (SipLeg.changed,)),
    (_S.OFFERED, _I.CHANGE_REFUSED): Row(_S.OFFERED, (SipLeg.unchanged,)),

    (_S.ANSWERING, _I.PRACK): Row(_S.ANSWERING, (uas.prack_then_accept,)),
    (_S.ANSWERING, _I.ACCEPT): Row(_S.ACCEPTED, (uas.accept,)),
    (_S.ANSWERING, _I.END): Row(_S.ENDED, (uas.refuse,)),
    (_S.ANSWERING, _I.CANCEL): Row(_S.ENDED, (uas.cancelled,)),
    (_S.ANSWERING, _I.BYE): Row(_S.ENDED, (uas.left_early,)),
    (_S.ANSWERING, _I.UNPRACKED): Row(_S.ENDED, (uas.unpracked,)),
    (_S.ANSWERING, _I.CHANGE): Row(_S.ANSWERING, (uas.changing_early,)),
    (_S.ANSWERING, _I.ASK): Row(_S.ANSWERING, (SipLeg.ask_not_now,)),
    (_S.ANSWERING, _I.LOST): Row(_S.ENDED, (uas.refuse, SipLeg.report_end)),
    (_S.ANSWERING, _I.INFO): Row(_S.ANSWERING, (sipinfo.informed,)),
    (_S.ANSWERING, _I.REFER): Row(_S.ANSWERING, (SipLeg.too_early,)),
    (_S.ANSWERING, _I.NOTIFY): Row(_S.ANSWERING, (SipLeg.no_such,)),
    (_S.ANSWERING, _I.CHANGE_TAKEN): Row(_S.ANSWERING, (SipLeg.changed,)),
    (_S.ANSWERING, _I.CHANGE_REFUSED): Row(_S.ANSWERING, (SipLeg.unchanged,)),

    (_S.ACCEPTED, _I.ACK): Row(_S.TALKING, (uas.acked,)),
    (_S.ACCEPTED, _I.UNACKED): Row(_S.LEAVING, (uas.unacked,)),
    (_S.ACCEPTED, _I.BYE): Row(_S.ENDED, (SipLeg.hung_up,)),
    (_S.ACCEPTED, _I.END): Row(_S.ABANDONED, (uas.remember_end,)),
    (_S.ACCEPTED, _I.PRACK): Row(_S.ACCEPTED, (uas.prack,)),
    (_S.ACCEPTED, _I.CHANGE): Row(_S.ACCEPTED, (uas.changing_unacked,)),
    (_S.ACCEPTED, _I.ASK): Row(_S.ACCEPTED, (SipLeg.ask_not_now,)),
    (_S.ACCEPTED, _I.LOST): Row(_S.ABANDONED, (uas.remember_end, SipLeg.report_end)),
    (_S.ACCEPTED, _I.INFO): Row(_S.ACCEPTED, (sipinfo.informed,)),
    (_S.ACCEPTED, _I.REFER): Row(_S.ACCEPTED, (SipLeg.too_early,)),
    (_S.ACCEPTED, _I.NOTIFY): Row(_S.ACCEPTED, (SipLeg.no_such,)),
    (_S.ACCEPTED, _I.TRANSFER): Row(_S.ACCEPTED, (refer.cannot_send,)),
    (_S.ACCEPTED, _I.CHANGE_TAKEN): Row(_S.ACCEPTED, (SipLeg.changed,)),
    (_S.ACCEPTED, _I.CHANGE_REFUSED): Row(_S.ACCEPTED, (SipLeg.unchanged,)),

    (_S.ABANDONED, _I.ACK): Row(_S.LEAVING, (uas.hang_up_now,)),
    (_S.ABANDONED, _I.UNACKED): Row(_S.LEAVING, (uas.hang_up_now,)),
    (_S.ABANDONED, _I.BYE): Row(_S.ENDED, (SipLeg.answer_bye, SipLeg.forget)),
    (_S.ABANDONED, _I.PRACK): Row(_S.ABANDONED, (uas.prack,)),
    (_S.ABANDONED, _I.CHANGE): Row(_S.ABANDONED, (SipLeg.no_such,)),
    (_S.ABANDONED, _I.INFO): Row(_S.ABANDONED, (SipLeg.no_such,)),
    (_S.ABANDONED, _I.REFER): Row(_S.ABANDONED, (SipLeg.no_such,)),
    (_S.ABANDONED, _I.NOTIFY): Row(_S.ABANDONED, (SipLeg.no_such,)),

    (_S.TALKING, _I.PRACK): Row(_S.TALKING, (uas.prack,)),
}

_CALLERS = {
    _I.SETUP, _I.UNPLACED, _I.PROGRESS_ACK, _I.CONFIRM, _I.STRAY, _I.PROVISIONAL, _I.CHALLENGED, _I.SUCCESS, _I.AGAIN,
    _I.MOVED, _I.UNFIT, _I.SHORT, _I.REFUSED, _I.SILENCE, _I.ACK_SENT, _I.HELD_ENOUGH,
}
"""Inputs that only a caller's leg can meet."""
_CALLEES = {_I.PROGRESS, _I.ACCEPT, _I.ACCEPT_LATER, _I.CANCEL, _I.UNPRACKED}
"""Inputs that only a callee's leg can meet."""
_CHANGES = {_I.CHANGE_TAKEN, _I.CHANGE_REFUSED}
"""Answers to a change that the end of the call has overtaken."""
_OVER = _CHANGES | {_I.END, _I.ACK, _I.UNACKED, _I.ASK, _I.LOST, _I.INFORM, _I.TRANSFER, _I.TOLD}
"""What may still be under way when a call is over."""

_OUTGOING_IGNORED = {
    _S.IDLE: set(Input) - {_I.SETUP, _I.END},  # nothing has been sent
    # A key pressed before the answer has no dialog that is the call's.
    _S.CALLING: _CALLEES | {
        _I.SETUP, _I.CONFIRM, _I.AGAIN, _I.ACK_SENT, _I.ACK, _I.UNACKED, _I.BYE_DONE, _I.INFORM, _I.TRANSFER, _I.TOLD,
    },
    # The INVITE's transaction is over, and so are its early dialogs.
    _S.REFUSED_ONCE: _CALLEES | _CHANGES | (_CALLERS - {_I.SETUP, _I.SUCCESS, _I.PROGRESS_ACK}) | {
        _I.ACK, _I.UNACKED, _I.BYE_DONE, _I.LOST, _I.INFORM, _I.TRANSFER, _I.TOLD,
    },
    _S.CANCELLING: _CALLEES | _OVER | {
        _I.SETUP, _I.UNPLACED, _I.PROGRESS_ACK, _I.CONFIRM, _I.PROVISIONAL, _I.AGAIN, _I.ACK_SENT, _I.HELD_ENOUGH,
        _I.BYE_DONE, _I.STRAY,
    },
    # The INVITE's transaction has had its 2xx: it says nothing more but that 2xx again.
    _S.ANSWERED: _CALLEES | {
        _I.SETUP, _I.UNPLACED, _I.PROVISIONAL, _I.CHALLENGED, _I.SUCCESS, _I.MOVED, _I.UNFIT, _I.SHORT, _I.REFUSED,
        _I.STRAY, _I.SILENCE, _I.ACK, _I.UNACKED, _I.BYE_DONE, _I.INFORM, _I.TOLD,
    },
    _S.TALKING: _CALLEES | {
        _I.SETUP, _I.UNPLACED, _I.PROVISIONAL, _I.CHALLENGED, _I.SUCCESS, _I.MOVED, _I.UNFIT, _I.SHORT, _I.REFUSED,
        _I.STRAY, _I.SILENCE, _I.ACK_SENT, _I.HELD_ENOUGH, _I.BYE_DONE,
    },
    _S.LEAVING: _CALLEES | (_CALLERS - {_I.AGAIN}) | _OVER,
    _S.ENDED: _CALLEES | (_CALLERS - {_I.AGAIN, _I.SUCCESS}) | _OVER | {_I.BYE_DONE},
    # The callee's states
    _S.OFFERED: set(Input), _S.ANSWERING: set(Input), _S.ACCEPTED: set(Input), _S.ABANDONED: set(Input),
}
_INCOMING_IGNORED = {
    _S.OFFERED: _CALLERS | {_I.ACK, _I.UNACKED, _I.BYE_DONE, _I.INFORM, _I.TRANSFER, _I.TOLD},
    _S.ANSWERING: _CALLERS | {
        _I.PROGRESS, _I.ACCEPT_LATER, _I.ACK, _I.UNACKED, _I.BYE_DONE, _I.INFORM, _I.TRANSFER, _I.TOLD,
    },
    # The INVITE has its final response: a CANCEL or a second answer comes too late.
    _S.ACCEPTED: _CALLERS | _CALLEES | {_I.BYE_DONE, _I.INFORM, _I.TOLD},
    _S.ABANDONED: _CALLERS | _CALLEES | _CHANGES | {
        _I.END, _I.BYE_DONE, _I.ASK, _I.LOST, _I.INFORM, _I.TRANSFER, _I.TOLD,
    },
    _S.TALKING: (_CALLERS - {_I.CONFIRM}) | _CALLEES | {_I.BYE_DONE},
    _S.LEAVING: _CALLERS | _CALLEES | _OVER,
    _S.ENDED: _CALLERS | _CALLEES | _OVER | {_I.BYE_DONE},
    # The caller's states
    _S.IDLE: set(Input), _S.CALLING: set(Input), _S.REFUSED_ONCE: set(Input), _S.CANCELLING: set(Input),
    _S.ANSWERED: set(Input),
}
# fmt: on
for _ignored in (_OUTGOING_IGNORED, _INCOMING_IGNORED):
    for _state in set(State) - {_S.TALKING}:
        _ignored[_state] = _ignored[_state] | {_I.WITHDRAWN}  # re-INVITEs are taken in a call that stands

_HOLD = Timer[State, Input]("hold", frozenset({State.CALLING, State.ANSWERED}), lambda leg: None, Input.HELD_ENOUGH)

OUTGOING: Table[State, Input] = Table(
    "SIP leg, outgoing", State.IDLE, Input, {**_BOTH, **_OUTGOING}, _OUTGOING_IGNORED, [_HOLD]
)
INCOMING: Table[State, Input] = Table(
    "SIP leg, incoming", State.OFFERED, Input, {**_BOTH, **_INCOMING}, _INCOMING_IGNORED
)


_POLICY: Final = Policy()


def _nobody(dialog: DialogId) -> None:
    """Nobody asked to hear of the dialog."""


def outgoing(
    session: SessionId,
    port: ISipPort,
    clock: IReactorTime,
    ladder: Ladder,
    on_dialog: Callable[[DialogId], None] = _nobody,
    peer: PeerProfile = PLAIN_PEER,
    policy: Policy = _POLICY,
) -> SipLeg:
    """A leg that will place a call when Setup is delivered to it."""
    return SipLeg(session, port, clock, ladder, OUTGOING, on_dialog, peer, policy=policy)


def incoming(
    session: SessionId,
    port: ISipPort,
    clock: IReactorTime,
    ladder: Ladder,
    tx: ServerTransaction,
    on_dialog: Callable[[DialogId], None] = _nobody,
    peer: PeerProfile = PLAIN_PEER,
    policy: Policy = _POLICY,
) -> SipLeg:
    """The leg of an INVITE that has arrived. Raises HeaderError when it lacks what a dialog needs."""
    leg = SipLeg(session, port, clock, ladder, INCOMING, on_dialog, peer, owner=False, policy=policy)
    dialog = Dialog.as_uas(tx.request, new_tag())
    dialog.headers = port.in_dialog(tx.request)
    leg.invite = tx.request
    leg.answers = Answers(
        port,
        clock,
        tx,
        dialog,
        ladder.t1,
        lambda: leg.machine.handle(Input.UNPRACKED),
        lambda: leg.machine.handle(Input.UNACKED),
        lambda request, response: siptimer.grant(leg, request, response),
        peer,
    )
    leg.history.append("<- INVITE")
    leg.enter(dialog)
    tx.user = leg
    return leg
