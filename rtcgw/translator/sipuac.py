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
    Unacceptable,
    Update,
)
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.headers import CSeq
from rtcgw.sip.message import Request, Response
from rtcgw.sip.transaction import Failure, ServerTransaction
from rtcgw.sip.uri import UriError
from rtcgw.translator.sipdialog import FORK_LIMIT, Ask, Early, EarlyDialogs, ack_of, put_sdp, reason_header, sdp_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sippeer import drop_options, require_preconditions, sounds_of, unsupported
from rtcgw.translator.sipstate import Input

log = Logger()

_RELIABLE = frozenset({"100rel"})


def place(leg: SipLeg, setup: Setup) -> None:
    """Send the INVITE."""
    invite = _invite(leg, setup)
    if invite is not None:
        _send(leg, invite)


def place_again(leg: SipLeg, setup: Setup) -> None:
    """The second try after a refusal of the first offer: the same call with the next number (RFC 3261 §8.1.3.5)."""
    first = leg.invite
    assert first is not None
    leg.suit(leg.peer.fallback or leg.peer)
    invite = _invite(leg, setup)
    if invite is None:
        return
    for name in ("from", "to", "call-id"):
        invite.set(name, *first.headers[name])
    invite.set("cseq", str(CSeq(first.cseq.number + 1, "INVITE")))
    _send(leg, invite)


def _invite(leg: SipLeg, setup: Setup) -> Request | None:
    """The INVITE that asks for what the set-up asks; None when that names nobody, and the leg has been told."""
    try:
        invite = leg.port.invite(setup.callee.uri, setup.caller, leg.peer)
    except UriError:
        leg.machine.handle(Input.UNPLACED, End(Reason.NOT_FOUND))
        return None
    for name, value in setup.headers:
        invite.add(name.lower(), value)
    sdp = None if setup.description is None else setup.description.sdp
    put_sdp(invite, sdp)
    if setup.moved and sdp is None:
        drop_options(invite, _RELIABLE)  # the caller can answer no offer before the 2xx
    if setup.replaces is not None:
        invite.add("replaces", str(setup.replaces))
        invite.add("require", "replaces")
    if setup.referred_by is not None:
        invite.add("referred-by", f"<{setup.referred_by}>")
    require_preconditions(invite, sdp, leg.peer)
    if leg.barred:
        drop_options(invite, leg.barred)
    return invite


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
    _forget_early(leg)
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
    sounds = sounds_of(response)
    if leg.early.described not in (None, tag):
        sdp = sounds = None  # another fork's: the caller keeps the description it has until somebody answers
    if sdp is not None:
        leg.early.described = tag
    if response.status == 180:
        leg.report(Progress(Stage.RINGING, _described(leg, sdp, Kind.PRANSWER), sounds=sounds))
    elif sdp is not None or sounds is not None:
        leg.report(Progress(Stage.SESSION, _described(leg, sdp, Kind.PRANSWER), sounds=sounds))


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


def ask_early(leg: SipLeg, event: Update) -> None:
    """A change of ours before the answer: by UPDATE, in the dialog whose description the caller has (RFC 3311 §5.1)."""
    leg.asking.ask(leg.early.settled_dialog(), event, early=True)


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
    if not _won(leg, response):
        _crowded(leg)
        return
    sdp = sdp_of(response)
    agreed = leg.early.agreed(response.to.tag or "")
    if agreed is not None:  # by UPDATE, before the answer: what the 2xx repeats is older (RFC 6337 §3.1.1)
        sdp = None if _offerless(leg) else agreed
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


def _won(leg: SipLeg, response: Response) -> bool:
    """The dialog of the first 2xx is the call's, the other early dialogs are history. False: it has no place."""
    assert leg.invite is not None
    if leg.early.holding:
        _release(leg, None)
    dialog = leg.early.take(response.to.tag or "") or leg.early.dialog(leg.invite, response)
    dialog.confirm(response)
    _drop_early(leg, dialog.id)
    return leg.enter(dialog)


def _crowded(leg: SipLeg) -> None:
    """The dialog index is full: a call whose BYE would find nobody is not kept."""
    log.warn("call {session}: no room for its dialog", session=leg.session)
    leg.machine.handle(Input.END, End(Reason.OVERLOADED))
    leg.report(End(Reason.OVERLOADED))


def _send_ack(leg: SipLeg, sdp: str | None) -> None:
    assert leg.dialog is not None
    assert leg.invite is not None
    leg.ack = ack_of(leg.dialog, leg.invite)
    put_sdp(leg.ack, sdp)
    leg.history.append("-> ACK")
    leg.port.ack(leg.ack)
    leg.machine.handle(Input.ACK_SENT)


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
    """A 2xx that is not wanted: ACK, then BYE; repeated, because the ACK was lost, it gets the same ACK alone."""
    assert leg.invite is not None
    tag = response.to.tag or ""
    known = leg.early.unwanted.get(tag)
    if known is not None:
        leg.port.ack(known)
        return
    dialog = leg.early.dialog(leg.invite, response)
    leg.history.append("-> ACK, BYE (other fork)")
    ack = ack_of(dialog, leg.invite)
    if len(leg.early.unwanted) < FORK_LIMIT:
        leg.early.unwanted[tag] = ack
    leg.port.ack(ack)
    Ask(leg.port, dialog, dialog.request("BYE"), lambda response: None)


def late_success(leg: SipLeg, response: Response) -> None:
    """A 2xx that crossed our CANCEL: ACK, then BYE."""
    _won(leg, response)
    ack_and_hang_up(leg, End(Reason.CANCELLED))


def cancel(leg: SipLeg, event: End) -> None:
    """Given up before the final response."""
    assert leg.tx is not None
    leg.settle()
    leg.history.append("-> CANCEL")
    leg.port.cancel(leg.tx, (reason_header(event.reason),))


def unfit(leg: SipLeg, response: Response) -> None:
    """The callee refuses what the INVITE offers: the parent may have another offer."""
    _forget_early(leg)
    leg.change.abandon()
    leg.barred |= unsupported(response) if response.status == 420 else frozenset()
    text = response.phrase[: defaults.TEXT_LIMIT] or None
    leg.report(Unacceptable(from_status(response.status), text, response.status))


def refused(leg: SipLeg, response: Response) -> None:
    """A final refusal, or a 2xx that makes no dialog because its Contact or Record-Route cannot be read."""
    cleared(leg)
    if response.status < 300:
        leg.report(End(Reason.PROTOCOL))
        return
    if response.status in (403, 503):
        leg.port.trouble(response)
    text = response.phrase[: defaults.TEXT_LIMIT] or None
    leg.report(End(from_status(response.status), text, response.status))


def unheard(leg: SipLeg, failure: Failure) -> None:
    """No final response, or no way to send."""
    cleared(leg)
    leg.port.trouble(None)
    leg.report(End(Reason.TIMEOUT if failure is Failure.TIMEOUT else Reason.UNREACHABLE))


def cleared(leg: SipLeg, *_: object) -> None:
    """The INVITE has had its final response, or never will: nothing of the call is left."""
    leg.settle()
    _drop_early(leg, None)


def _forget_early(leg: SipLeg) -> None:
    """The INVITE is sent anew: the early dialogs of the last one are void."""
    _drop_early(leg, None)
    leg.asking.only(None)
    leg.early = EarlyDialogs(leg.port)


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
