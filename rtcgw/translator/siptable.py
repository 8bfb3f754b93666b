"""The SIP half-call's machine on one screen, and the two ways to make a leg.

The outgoing and the incoming table share the rows from TALKING on; before that a leg is
either a caller's or a callee's, so each table ignores the other role's states whole.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Row, Table, Timer
from rtcgw.model.identity import SessionId
from rtcgw.sip.dialog import Dialog, DialogId, new_tag
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator import sipuac as uac
from rtcgw.translator import sipuas as uas
from rtcgw.translator.sipdialog import Answers
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipport import ISipPort
from rtcgw.translator.sipstate import Input, Ladder, State

_I, _S = Input, State
_Rows = dict[tuple[State, Input], Row]

# fmt: off
_BOTH: _Rows = {
    (_S.TALKING, _I.END): Row(_S.LEAVING, (SipLeg.hang_up,)),
    (_S.TALKING, _I.BYE): Row(_S.ENDED, (SipLeg.hung_up,)),
    (_S.TALKING, _I.CHANGE): Row(_S.TALKING, (SipLeg.changing,)),
    (_S.TALKING, _I.CHANGE_TAKEN): Row(_S.TALKING, (SipLeg.changed,)),
    (_S.TALKING, _I.CHANGE_REFUSED): Row(_S.TALKING, (SipLeg.unchanged,)),
    (_S.TALKING, _I.ACK): Row(_S.TALKING, (SipLeg.change_acked,)),
    (_S.TALKING, _I.UNACKED): Row(_S.LEAVING, (uas.unacked,)),

    (_S.LEAVING, _I.BYE_DONE): Row(_S.ENDED, (SipLeg.forget,)),
    (_S.LEAVING, _I.BYE): Row(_S.LEAVING, (SipLeg.answer_bye,)),
    (_S.LEAVING, _I.CHANGE): Row(_S.LEAVING, (SipLeg.no_such,)),
    (_S.LEAVING, _I.PRACK): Row(_S.LEAVING, (SipLeg.no_such,)),

    (_S.ENDED, _I.BYE): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.CHANGE): Row(_S.ENDED, (SipLeg.no_such,)),
    (_S.ENDED, _I.PRACK): Row(_S.ENDED, (SipLeg.no_such,)),
}

_OUTGOING: _Rows = {
    (_S.IDLE, _I.SETUP): Row(_S.CALLING, (uac.place,)),

    (_S.CALLING, _I.UNPLACED): Row(_S.ENDED, (SipLeg.report_end,)),
    (_S.CALLING, _I.PROVISIONAL): Row(_S.CALLING, (uac.progressed,)),
    (_S.CALLING, _I.PROGRESS_ACK): Row(_S.CALLING, (uac.browser_acknowledged,)),
    (_S.CALLING, _I.HELD_ENOUGH): Row(_S.CALLING, (uac.prack_held_enough,)),
    (_S.CALLING, _I.CHALLENGED): Row(_S.CALLING, (uac.meet_challenge,)),
    (_S.CALLING, _I.REFUSED): Row(_S.ENDED, (uac.refused,)),
    (_S.CALLING, _I.SILENCE): Row(_S.ENDED, (uac.unheard,)),
    (_S.CALLING, _I.SUCCESS): Row(_S.ANSWERED, (uac.answered,)),
    (_S.CALLING, _I.END): Row(_S.CANCELLING, (uac.cancel,)),
    (_S.CALLING, _I.BYE): Row(_S.CALLING, (SipLeg.no_such,)),
    (_S.CALLING, _I.PRACK): Row(_S.CALLING, (SipLeg.no_such,)),
    (_S.CALLING, _I.CHANGE): Row(_S.CALLING, (SipLeg.changing,)),
    (_S.CALLING, _I.CHANGE_TAKEN): Row(_S.CALLING, (SipLeg.changed,)),
    (_S.CALLING, _I.CHANGE_REFUSED): Row(_S.CALLING, (SipLeg.unchanged,)),

    (_S.CANCELLING, _I.CHALLENGED): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.REFUSED): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.SILENCE): Row(_S.ENDED, (uac.cleared,)),
    (_S.CANCELLING, _I.SUCCESS): Row(_S.LEAVING, (uac.late_success,)),
    (_S.CANCELLING, _I.BYE): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.PRACK): Row(_S.CANCELLING, (SipLeg.no_such,)),
    (_S.CANCELLING, _I.CHANGE): Row(_S.CANCELLING, (SipLeg.no_such,)),

    (_S.ANSWERED, _I.ACK_SENT): Row(_S.TALKING),
    (_S.ANSWERED, _I.CONFIRM): Row(_S.ANSWERED, (uac.confirmed,)),
    (_S.ANSWERED, _I.HELD_ENOUGH): Row(_S.ANSWERED, (uac.ack_held_enough,)),
    (_S.ANSWERED, _I.PROGRESS_ACK): Row(_S.ANSWERED, (uac.browser_acknowledged,)),
    (_S.ANSWERED, _I.AGAIN): Row(_S.ANSWERED, (uac.ack_again,)),
    (_S.ANSWERED, _I.END): Row(_S.LEAVING, (uac.ack_and_hang_up,)),
    (_S.ANSWERED, _I.BYE): Row(_S.ENDED, (uac.ack_and_hung_up,)),
    (_S.ANSWERED, _I.PRACK): Row(_S.ANSWERED, (SipLeg.no_such,)),
    (_S.ANSWERED, _I.CHANGE): Row(_S.ANSWERED, (SipLeg.too_early,)),

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
    (_S.OFFERED, _I.CHANGE): Row(_S.OFFERED, (SipLeg.changing,)),
    (_S.OFFERED, _I.CHANGE_TAKEN): Row(_S.OFFERED, (SipLeg.changed,)),
    (_S.OFFERED, _I.CHANGE_REFUSED): Row(_S.OFFERED, (SipLeg.unchanged,)),

    (_S.ANSWERING, _I.PRACK): Row(_S.ANSWERING, (uas.prack_then_accept,)),
    (_S.ANSWERING, _I.ACCEPT): Row(_S.ACCEPTED, (uas.accept,)),
    (_S.ANSWERING, _I.END): Row(_S.ENDED, (uas.refuse,)),
    (_S.ANSWERING, _I.CANCEL): Row(_S.ENDED, (uas.cancelled,)),
    (_S.ANSWERING, _I.BYE): Row(_S.ENDED, (uas.left_early,)),
    (_S.ANSWERING, _I.UNPRACKED): Row(_S.ENDED, (uas.unpracked,)),
    (_S.ANSWERING, _I.CHANGE): Row(_S.ANSWERING, (SipLeg.too_early,)),

    (_S.ACCEPTED, _I.ACK): Row(_S.TALKING, (uas.acked,)),
    (_S.ACCEPTED, _I.UNACKED): Row(_S.LEAVING, (uas.unacked,)),
    (_S.ACCEPTED, _I.BYE): Row(_S.ENDED, (SipLeg.hung_up,)),
    (_S.ACCEPTED, _I.END): Row(_S.ABANDONED, (uas.remember_end,)),
    (_S.ACCEPTED, _I.PRACK): Row(_S.ACCEPTED, (uas.prack,)),
    (_S.ACCEPTED, _I.CHANGE): Row(_S.ACCEPTED, (SipLeg.too_early,)),

    (_S.ABANDONED, _I.ACK): Row(_S.LEAVING, (uas.hang_up_now,)),
    (_S.ABANDONED, _I.UNACKED): Row(_S.LEAVING, (uas.hang_up_now,)),
    (_S.ABANDONED, _I.BYE): Row(_S.ENDED, (SipLeg.answer_bye, SipLeg.forget)),
    (_S.ABANDONED, _I.PRACK): Row(_S.ABANDONED, (uas.prack,)),
    (_S.ABANDONED, _I.CHANGE): Row(_S.ABANDONED, (SipLeg.no_such,)),

    (_S.TALKING, _I.PRACK): Row(_S.TALKING, (uas.prack,)),
}
# fmt: on


def _table(name: str, initial: State, rows: _Rows) -> Table[State, Input]:
    """What a role's rows do not name is ignored: it belongs to the other role, or comes too late to matter."""
    ignored = {state: {event for event in Input if (state, event) not in rows} for state in State}
    hold = Timer("hold", frozenset({State.CALLING, State.ANSWERED}), lambda leg: None, Input.HELD_ENOUGH)
    return Table(name, initial, Input, rows, ignored, [hold])


OUTGOING = _table("SIP leg, outgoing", State.IDLE, {**_BOTH, **_OUTGOING})
INCOMING = _table("SIP leg, incoming", State.OFFERED, {**_BOTH, **_INCOMING})


def _nobody(dialog: DialogId) -> None:
    """Nobody asked to hear of the dialog."""


def outgoing(
    session: SessionId,
    port: ISipPort,
    clock: IReactorTime,
    ladder: Ladder,
    on_dialog: Callable[[DialogId], None] = _nobody,
) -> SipLeg:
    """A leg that will place a call when Setup is delivered to it."""
    return SipLeg(session, port, clock, ladder, OUTGOING, on_dialog)


def incoming(
    session: SessionId,
    port: ISipPort,
    clock: IReactorTime,
    ladder: Ladder,
    tx: ServerTransaction,
    on_dialog: Callable[[DialogId], None] = _nobody,
) -> SipLeg:
    """The leg of an INVITE that has arrived. Raises HeaderError when it lacks what a dialog needs."""
    leg = SipLeg(session, port, clock, ladder, INCOMING, on_dialog)
    dialog = Dialog.as_uas(tx.request, new_tag())
    leg.invite = tx.request
    leg.answers = Answers(
        port,
        clock,
        tx,
        dialog,
        ladder.t1,
        lambda: leg.machine.handle(Input.UNPRACKED),
        lambda: leg.machine.handle(Input.UNACKED),
    )
    leg.history.append("<- INVITE")
    leg.enter(dialog)
    tx.user = leg
    return leg
