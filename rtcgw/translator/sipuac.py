"""The caller's side of the SIP half-call: what an outgoing INVITE meets until its ACK.

Each function is an action of `siptable.OUTGOING`, called with the leg after the machine has
moved. RFC 3261 §13.2, §9.1; RFC 3262 §4.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve
from twisted.logger import Logger

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
from rtcgw.model.identity import Identity
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.alternative import EMERGENCY, RESTORATION, alternative
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.headers import CSeq
from rtcgw.sip.message import Request, Response
from rtcgw.sip.reasons import of_refusal
from rtcgw.sip.transaction import Failure, ServerTransaction
from rtcgw.sip.uri import UriError
from rtcgw.translator import siptimer
from rtcgw.translator.sipdialog import FORK_LIMIT, Ask, Early, EarlyDialogs, ack_of, put_sdp, reason_header, sdp_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sippeer import drop_options, require_preconditions, unsupported
from rtcgw.translator.sipstate import Input

log = Logger()

ALTERNATIVE_SERVICE: Final = 380
"""Another service may do (RFC 3261 §21.3.5)."""

_RELIABLE = frozenset({"100rel"})


def place(leg: SipLeg, setup: Setup) -> None:
    """Send the INVITE."""
    leg.setup = setup
    invite = _invite(leg, setup)
    if invite is not None:
        leg.shown = invite.to.uri.key
        send(leg, invite)


def place_again(leg: SipLeg, setup: Setup) -> None:
    """The second try after a refusal of the first offer: the same call with the next number (RFC 3261 §8.1.3.5)."""
    leg.setup = setup
    leg.suit(leg.peer.fallback or leg.peer)
    if leg.redirects is not None:
        setup = evolve(setup, callee=Identity(leg.redirects.current.uri.text))
    invite = invite_once_more(leg, setup)
    if invite is not None:
        send(leg, invite)


def invite_once_more(leg: SipLeg, setup: Setup) -> Request | None:
    """The INVITE of another try within the same call: the next number, all that names the call kept."""
    first = leg.invite
    assert first is not None
    invite = _invite(leg, setup)
    if invite is not None:
        for name in ("from", "to", "call-id"):
            invite.set(name, *first.headers[name])
        invite.set("cseq", str(CSeq(first.cseq.number + 1, "INVITE")))
    return invite


def _invite(leg: SipLeg, setup: Setup) -> Request | None:
    """The INVITE that asks for what the set-up asks; None when that names nobody, and the leg has been told."""
    try:
        invite = leg.port.invite(setup.callee.uri, setup.caller, leg.peer, setup.private)
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
        _refer(leg, invite, setup.referred_by)
    require_preconditions(invite, sdp, leg.peer)
    leg.said = sdp
    siptimer.propose(leg, invite)
    if leg.barred:
        drop_options(invite, leg.barred)
    return invite


def _refer(leg: SipLeg, invite: Request, referrer: str) -> None:
    """Referred-By (RFC 3892). A web user may be known by a bare name, or by what somebody has typed."""
    try:
        uri = leg.port.target(referrer)
    except UriError:
        return
    invite.add("referred-by", f"<{uri.text}>")


def send(leg: SipLeg, invite: Request) -> None:
    """This is the call's INVITE from now on."""
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
    forget_early(leg)
    send(leg, again)


def lengthen(leg: SipLeg, response: Response) -> None:
    """422: the same call asks for a longer session (RFC 4028 §7.3), or it is a refusal.

    Without the credentials of the first try: a proxy that wants some asks for them anew.
    """
    first = leg.invite
    assert first is not None
    if not siptimer.longer(leg, first, response):
        leg.machine.handle(Input.REFUSED, response)
        return
    invite = Request("INVITE", first.uri)
    invite.body = first.body
    for name, values in first.headers.items():
        if name not in ("via", "content-length", "authorization", "proxy-authorization"):
            for value in values:
                invite.add(name, value)
    invite.set("cseq", str(CSeq(first.cseq.number + 1, "INVITE")))
    siptimer.propose(leg, invite)
    forget_early(leg)
    send(leg, invite)


def acknowledge(leg: SipLeg, early: Early, response: Response, sdp: str | None) -> None:
    """PRACK at once, unless the browser must speak first."""
    if offerless(leg) and sdp is not None:
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
    leg.said = sdp or leg.said
    leg.early.release(sdp, lambda: _pracked(leg))


def _pracked(leg: SipLeg) -> None:
    """The 200 to a PRACK, or the local stand-in for one: the caller gets its OK."""
    owed, leg.owed = leg.owed, 0
    for _ in range(owed):
        leg.report(ProgressAcked())


def ask_early(leg: SipLeg, event: Update) -> None:
    """A change of ours before the answer: by UPDATE, in the dialog whose description the caller has (RFC 3311 §5.1)."""
    leg.asking.ask(leg.early.settled_dialog(), event, early=True)


def prack_held_enough(leg: SipLeg) -> None:
    """The guard of a held PRACK. Without the answer that an offer in the 1xx asks for, the call cannot go on."""
    if offerless(leg):
        leg.machine.handle(Input.END, End(Reason.TIMEOUT))
        leg.report(End(Reason.TIMEOUT))
        return
    log.info("call {session}: PRANSWER did not come, PRACK sent", session=leg.session)
    _release(leg, None)


def answered(leg: SipLeg, response: Response) -> None:
    """The first 2xx of a call that goes on: ACK now, or when the caller has spoken."""
    early = leg.early.known(response.to.tag or "")
    heard = leg.early.described == response.to.tag
    if not _won(leg, response):
        _crowded(leg)
        return
    siptimer.taken(leg, response)
    sdp = sdp_of(response)
    if early is not None and early.agreed is not None:
        # By UPDATE, before the answer: what the 2xx repeats is older (RFC 6337 §3.1.1).
        sdp = None if offerless(leg) else early.agreed
    elif early is not None and not heard:
        sdp = sdp or early.sdp  # said in a 1xx, of which the caller was not told because another fork was heard
    if not heard:
        if leg.early.described is not None and sdp is None:
            leg.report(Progress(Stage.TRYING, another=True))  # what was heard so far is not this one's answer
        leg.early.described = None
    if offerless(leg) and sdp is not None and leg.early.described is None:
        leg.machine.arm("hold", leg.ladder.answer_wait)
    elif leg.ladder.patent:
        leg.machine.arm("hold", leg.ladder.hold_max)
    else:
        _send_ack(leg, None)
    leg.report(Accept(described(leg, sdp, Kind.ANSWER)))
    leg.meet(response)


def confirmed(leg: SipLeg, event: Confirm) -> None:
    """ANSWER while the ACK is owed."""
    _send_ack(leg, None if event.description is None else event.description.sdp)


def ack_held_enough(leg: SipLeg) -> None:
    """The guard of a held ACK. Without the answer that the 2xx asked for, the call cannot go on."""
    if offerless(leg) and leg.early.described is None:
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
    leg.agent = response.get("server") or ""
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
    leg.said = sdp or leg.said
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
    # A dialog that has had PRACKs goes on with its numbers: a BYE that repeats one of them would be refused.
    dialog = leg.early.take(tag) or leg.early.dialog(leg.invite, response)
    dialog.confirm(response)
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
    forget_early(leg)
    leg.change.abandon()
    leg.barred |= unsupported(response) if response.status == 420 else frozenset()
    end = of_refusal(response)
    leg.report(Unacceptable(from_status(response.status), end.text, response.status))


def refused(leg: SipLeg, response: Response) -> None:
    """A final refusal, or a 2xx that makes no dialog because its Contact or Record-Route cannot be read."""
    cleared(leg)
    if response.status < 300:
        leg.report(End(Reason.PROTOCOL))
        return
    end = of_refusal(response)
    if response.status == ALTERNATIVE_SERVICE:
        end = _alternative(response, end)
    elif response.status < 400 and leg.redirects is not None and leg.redirects.verdict is not None:
        end = End(leg.redirects.verdict, status=response.status)  # its own sentence says more than "Moved"
    if response.status in (403, 503) or end.reason is Reason.NOT_REGISTERED:
        leg.port.trouble(response)
    leg.report(end)


def _alternative(response: Response, end: End) -> End:
    """380: what its body asks for, where it is an IMS core's (TS 24.229 §5.1.3.1, §7.6)."""
    told = alternative(response)
    if told.type == EMERGENCY:
        return evolve(end, reason=Reason.EMERGENCY, text=None)  # our own sentence says what to do, the core's does not
    if told.type == RESTORATION:
        return evolve(end, reason=Reason.NOT_REGISTERED, text=told.reason)
    return evolve(end, text=told.reason or end.text)


def unheard(leg: SipLeg, failure: Failure) -> None:
    """No final response, or no way to send."""
    cleared(leg)
    leg.port.trouble(None)
    leg.report(End(Reason.TIMEOUT if failure is Failure.TIMEOUT else Reason.UNREACHABLE))


def cleared(leg: SipLeg, *_: object) -> None:
    """The INVITE has had its final response, or never will: nothing of the call is left."""
    leg.settle()
    _drop_early(leg, None)


def forget_early(leg: SipLeg) -> None:
    """The INVITE is sent anew: the early dialogs of the last one are void."""
    _drop_early(leg, None)
    leg.asking.only(None)
    leg.early = EarlyDialogs(leg.port)


def _drop_early(leg: SipLeg, kept: DialogId | None) -> None:
    for dialog in leg.early.all():
        if dialog.id != kept:
            leg.port.drop_dialog(dialog.id)


def offerless(leg: SipLeg) -> bool:
    """Whether the INVITE that is out asks the callee to offer."""
    return leg.invite is not None and not leg.invite.body


def described(leg: SipLeg, sdp: str | None, kind: Kind = Kind.PRANSWER) -> Description | None:
    """The first description after an offerless INVITE is the peer's offer (RFC 6337 §2.2)."""
    if sdp is None:
        return None
    return Description(Kind.OFFER if offerless(leg) else kind, sdp)
