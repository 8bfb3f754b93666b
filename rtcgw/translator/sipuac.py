"""The caller's side of the SIP half-call: what an outgoing INVITE meets until its ACK.

Each function is an action of `siptable.OUTGOING`, called with the leg after the machine has
moved. RFC 3261 §13.2, §9.1; RFC 3262 §4.
"""

from __future__ import annotations

from twisted.logger import Logger

from rtcgw.model import defaults
from rtcgw.model.events import (
    Accept,
    Confirm,
    Description,
    End,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Setup,
    Stage,
)
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.dialog import Dialog, DialogId
from rtcgw.sip.message import Request, Response
from rtcgw.sip.transaction import Failure, ServerTransaction
from rtcgw.sip.uri import UriError
from rtcgw.translator.sipdialog import Ask, Early, EarlyDialogs, put_sdp, reason_header, sdp_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipstate import Input

log = Logger()


def place(leg: SipLeg, setup: Setup) -> None:
    """Send the INVITE."""
    try:
        invite = leg.port.invite(setup.callee.uri, setup.caller)
    except UriError:
        leg.machine.handle(Input.UNPLACED, End(Reason.NOT_FOUND))
        return
    for name, value in setup.headers:
        invite.add(name.lower(), value)
    put_sdp(invite, None if setup.description is None else setup.description.sdp)
    _send(leg, invite)


def _send(leg: SipLeg, invite: Request) -> None:
    leg.invite = invite
    leg.history.append("-> INVITE")
    leg.tx = leg.port.send(invite, leg)


def meet_challenge(leg: SipLeg, response: Response) -> None:
    """401 or 407: again with credentials, or it is a refusal."""
    assert leg.invite is not None
    again = leg.port.authorize(leg.invite, response)
    if again is None:
        leg.machine.handle(Input.REFUSED, response)
        return
    _drop_early(leg, None)
    leg.early = EarlyDialogs(leg.port)
    _send(leg, again)


def progressed(leg: SipLeg, response: Response) -> None:
    """A 1xx: learn its dialog, acknowledge it if it is reliable, tell the caller what is new."""
    assert leg.invite is not None
    early = leg.early.find(leg.invite, response)
    sdp = sdp_of(response)
    if early is not None:
        leg.port.add_dialog(early.dialog.id, leg)
        early.dialog.refresh_target(response)
        order = leg.early.in_order(early, response)
        if order is False:
            return
        if order is True:
            _acknowledge(leg, early, response, sdp)
    tag = response.to.tag
    if leg.early.described not in (None, tag):
        sdp = None  # another fork's: the caller keeps the description it has until somebody answers
    if sdp is not None:
        leg.early.described = tag
    if response.status == 180:
        leg.report(Progress(Stage.RINGING, _described(leg, sdp, Kind.PRANSWER)))
    elif sdp is not None:
        leg.report(Progress(Stage.SESSION, _described(leg, sdp, Kind.PRANSWER)))


def _acknowledge(leg: SipLeg, early: Early, response: Response, sdp: str | None) -> None:
    """PRACK at once, unless the browser must speak first."""
    if _offerless(leg) and sdp is not None:
        leg.early.hold(early, response)
        leg.machine.arm("hold", leg.ladder.answer_wait)
    elif leg.ladder.patent and sdp is not None and leg.early.described in (None, response.to.tag):
        leg.early.hold(early, response)
        leg.machine.arm("hold", leg.ladder.hold_max)
    else:  # a page has a PRANSWER only for a description that it is given
        leg.history.append("-> PRACK")
        leg.early.prack(early, response, None, lambda: _pracked(leg))


def browser_acknowledged(leg: SipLeg, event: ProgressAck) -> None:
    """PRANSWER: release what waits for it; its OK is that of the PRACK, or ours where there was none."""
    leg.owed += 1
    if leg.early.holding:
        leg.machine.cancel("hold")
        _release(leg, None if event.description is None else event.description.sdp)
    elif not leg.early.unanswered:
        _pracked(leg)


def _release(leg: SipLeg, sdp: str | None) -> None:
    leg.history.append("-> PRACK")
    leg.early.release(sdp, lambda: _pracked(leg))


def _pracked(leg: SipLeg) -> None:
    """The 200 to a PRACK, or the local stand-in for one: the caller gets its OK."""
    owed, leg.owed = leg.owed, 0
    for _ in range(owed):
        leg.report(ProgressAcked())


def changing_early(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """UPDATE in an early dialog: no offer may come while ours is unanswered (RFC 3311 §5.2)."""
    if sdp_of(request) is None or leg.early.settled(request.from_.tag or ""):
        leg.changing(tx, request)
    else:
        leg.too_early(tx, request)


def prack_held_enough(leg: SipLeg) -> None:
    """The guard of a held PRACK. Without the answer that an offer in the 1xx asks for, the call cannot go on."""
    if _offerless(leg):
        leg.machine.handle(Input.END, End(Reason.TIMEOUT))
        leg.report(End(Reason.TIMEOUT))
        return
    log.info("call {session}: PRANSWER did not come, PRACK sent", session=leg.session)
    _release(leg, None)


def answered(leg: SipLeg, response: Response) -> None:
    """The first 2xx of a call that goes on: ACK now, or when the caller has spoken."""
    early_answer = leg.early.described is not None
    _won(leg, response)
    sdp = sdp_of(response)
    if _offerless(leg) and sdp is not None and not early_answer:
        leg.machine.arm("hold", leg.ladder.answer_wait)
    elif leg.ladder.patent:
        leg.machine.arm("hold", leg.ladder.hold_max)
    else:
        _send_ack(leg, None)
    leg.report(Accept(_described(leg, sdp, Kind.ANSWER)))


def confirmed(leg: SipLeg, event: Confirm) -> None:
    """ANSWER while the ACK is owed."""
    _send_ack(leg, None if event.description is None else event.description.sdp)


def ack_held_enough(leg: SipLeg) -> None:
    """The guard of a held ACK. Without the answer that the 2xx asked for, the call cannot go on."""
    if _offerless(leg) and leg.early.described is None:
        leg.machine.handle(Input.END, End(Reason.TIMEOUT))
        leg.report(End(Reason.TIMEOUT))
        return
    log.info("call {session}: ANSWER did not come, ACK sent", session=leg.session)
    _send_ack(leg, None)


def _won(leg: SipLeg, response: Response) -> None:
    """The dialog of the first 2xx is the call's, the other early dialogs are history."""
    assert leg.invite is not None
    if leg.early.holding:
        _release(leg, None)
    dialog = leg.early.take(response.to.tag or "") or Dialog.as_uac(leg.invite, response)
    dialog.confirm(response)
    _drop_early(leg, dialog.id)
    leg.enter(dialog)


def _send_ack(leg: SipLeg, sdp: str | None) -> None:
    assert leg.dialog is not None
    assert leg.invite is not None
    leg.ack = _ack(leg.dialog, leg.invite)
    put_sdp(leg.ack, sdp)
    leg.history.append("-> ACK")
    leg.port.ack(leg.ack)
    leg.machine.handle(Input.ACK_SENT)


def _ack(dialog: Dialog, invite: Request) -> Request:
    """The ACK to a 2xx; nobody may challenge it, so it bears the credentials of its INVITE (§13.2.2.4, §22.1)."""
    ack = dialog.ack(invite.cseq.number)
    for name in ("authorization", "proxy-authorization"):
        for value in invite.headers.get(name, ()):
            ack.add(name, value)
    return ack


def ack_and_hang_up(leg: SipLeg, event: End) -> None:
    """Ended while the ACK was owed: it goes first."""
    _send_ack(leg, None)
    leg.hang_up(event)


def ack_and_hung_up(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """The peer hung up while the ACK was owed."""
    _send_ack(leg, None)
    leg.hung_up(tx, request)


def ack_again(leg: SipLeg, response: Response) -> None:
    """A 2xx once more: the same dialog gets its ACK again, another fork gets ACK and BYE (§13.2.2.4)."""
    assert leg.dialog is not None
    if response.to.tag != leg.dialog.id.remote_tag:
        refuse_fork(leg, response)
    elif leg.ack is not None:
        leg.port.ack(leg.ack)


def refuse_fork(leg: SipLeg, response: Response) -> None:
    """A 2xx that is not wanted: ACK, then BYE."""
    assert leg.invite is not None
    dialog = Dialog.as_uac(leg.invite, response)
    leg.history.append("-> ACK, BYE (other fork)")
    leg.port.ack(_ack(dialog, leg.invite))
    Ask(leg.port, dialog, dialog.request("BYE"), lambda response: None)


def late_success(leg: SipLeg, response: Response) -> None:
    """A 2xx that crossed our CANCEL: ACK, then BYE."""
    _won(leg, response)
    ack_and_hang_up(leg, End(Reason.CANCELLED))


def cancel(leg: SipLeg, event: End) -> None:
    """Given up before the final response."""
    assert leg.tx is not None
    leg.history.append("-> CANCEL")
    leg.port.cancel(leg.tx, (reason_header(event.reason),))


def refused(leg: SipLeg, response: Response) -> None:
    """A final refusal, or a 2xx that makes no dialog because its Contact or Record-Route cannot be read."""
    _drop_early(leg, None)
    if response.status < 300:
        leg.report(End(Reason.PROTOCOL))
        return
    if response.status in (403, 503):
        leg.port.trouble(response)
    text = response.phrase[: defaults.TEXT_LIMIT] or None
    leg.report(End(from_status(response.status), text, response.status))


def unheard(leg: SipLeg, failure: Failure) -> None:
    """No final response, or no way to send."""
    _drop_early(leg, None)
    leg.port.trouble(None)
    leg.report(End(Reason.TIMEOUT if failure is Failure.TIMEOUT else Reason.UNREACHABLE))


def cleared(leg: SipLeg, _: object) -> None:
    """The cancelled INVITE has had its final response, or never will."""
    _drop_early(leg, None)


def _drop_early(leg: SipLeg, kept: DialogId | None) -> None:
    for dialog in leg.early.all():
        if dialog.id != kept:
            leg.port.drop_dialog(dialog.id)


def _offerless(leg: SipLeg) -> bool:
    return leg.invite is not None and not leg.invite.body


def _described(leg: SipLeg, sdp: str | None, kind: Kind) -> Description | None:
    """The first description after an offerless INVITE is the peer's offer (RFC 6337 §2.2)."""
    if sdp is None:
        return None
    return Description(Kind.OFFER if _offerless(leg) else kind, sdp)
