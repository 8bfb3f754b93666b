"""The callee's side of the SIP half-call: what we send on an INVITE that arrived, until its ACK.

Each function is an action of `siptable.INCOMING`, called with the leg after the machine has
moved. RFC 3261 §13.3, §9.2; RFC 3262 §3.
"""

from __future__ import annotations

import secrets
from typing import Final

from rtcgw.model.events import Accept, Confirm, Description, End, Kind, Progress, ProgressAck, Stage, Update
from rtcgw.model.reason import Reason
from rtcgw.sip.alternative import CONTENT_TYPE, emergency
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.reasons import of_cancel
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator.sipanswers import Answers
from rtcgw.translator.sipdialog import reason_header, sdp_of
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipstate import Input

RETRY_AFTER: Final = 5
"""Seconds, at the least, after which a call that was refused for overload may be tried again."""


def _answers(leg: SipLeg) -> Answers:
    assert leg.answers is not None
    return leg.answers


def progress(leg: SipLeg, event: Progress) -> None:
    """180 or 183; 100 has been sent by the transaction.

    The gateway's own early answer, by which a caller's preconditions are met, is a 183 in which nothing sounds.
    """
    early = event.stage is Stage.TRYING
    if early and event.description is None:
        return
    leg.history.append("-> 180" if event.stage is Stage.RINGING else "-> 183")
    sdp = None if event.description is None else event.description.sdp
    _answers(leg).progress(event.stage, sdp, not early and event.sounds is not False)


def accept_later(leg: SipLeg, event: Accept) -> None:
    """Answered while a described 1xx waits for its PRACK: the 2xx follows that (RFC 3262 §3)."""
    _answers(leg).waiting = event


def accept(leg: SipLeg, event: Accept) -> None:
    """200, until the ACK."""
    leg.history.append("-> 200")
    answers = _answers(leg)
    sdp = None if event.description is None else event.description.sdp
    if answers.early != "":  # empty: a change has replaced it, and has said so
        leg.said = answers.early or sdp
    answers.accept(sdp)


def prack(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """PRACK: 200, or 481 when it matches nothing.

    Where the 1xx carried the answer, a description in its PRACK is a new offer, whose answer goes in this 200
    (RFC 6337 Table 1, pattern 5); where the 1xx carried our offer, it is the answer.
    """
    answers = _answers(leg)
    if not answers.pracked(request):
        leg.no_such(tx, request)
        return
    if answers.early is not None and sdp_of(tx.request) is not None and sdp_of(answers.invite) is not None:
        leg.changing(tx, request)
        return
    tx.respond(make_response(request, 200, "OK"))
    sdp = sdp_of(request)
    leg.report(ProgressAck(None if sdp is None else Description(Kind.ANSWER, sdp)))


def prack_then_accept(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """PRACK while the 2xx waits for it."""
    prack(leg, tx, request)
    answers = _answers(leg)
    if answers.may_accept and answers.waiting is not None:
        leg.machine.handle(Input.ACCEPT, answers.waiting)


def acked(leg: SipLeg, request: Request) -> None:
    """The call stands."""
    _answers(leg).acked()
    sdp = sdp_of(request)
    leg.report(Confirm(None if sdp is None else Description(Kind.ANSWER, sdp)))


def refuse(leg: SipLeg, event: End) -> None:
    """A final refusal, by the one table of reasons."""
    status, phrase = event.reason.status, event.reason.phrase
    if status < 300:  # answered elsewhere is no SIP refusal; a fork tells it to its devices only
        status, phrase = Reason.OFFLINE.status, Reason.OFFLINE.phrase
    leg.history.append(f"-> {status}")
    headers = [reason_header(event.reason)]
    if status == 503:  # without it a 503 counts as 500 (RFC 3261 §21.5.4); spread, lest all come back at once
        headers.append(("Retry-After", str(RETRY_AFTER + secrets.randbelow(RETRY_AFTER))))
    body = b""
    if event.reason is Reason.EMERGENCY:  # a phone of an IMS reads what it should do instead (TS 24.229 §7.6)
        headers.append(("Content-Type", CONTENT_TYPE))
        body = emergency(event.reason.text)
    _answers(leg).refuse(status, phrase, *headers, body=body)
    leg.forget()


def cancelled(leg: SipLeg, cancel: Request) -> None:
    """CANCEL: the transaction layer has answered it; the INVITE gets 487."""
    _answers(leg).refuse(487, Reason.CANCELLED.phrase)
    leg.forget()
    leg.report(of_cancel(cancel))


def changing_early(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """UPDATE before the 2xx: no second offer may come while the first is unanswered (RFC 3311 §5.2); INVITE: none may
    at all, for the first one is open (RFC 3261 §14.2)."""
    if request.method == "UPDATE" and (sdp_of(request) is None or _answers(leg).settled):
        leg.changing(tx, request)
    else:
        leg.change.postpone(tx)


def changing_unacked(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """A change before the ACK: only an UPDATE may come, and only where the first offer was answered in a 1xx."""
    if request.method == "UPDATE" and (sdp_of(request) is None or _answers(leg).settled):
        leg.changing(tx, request)
    else:
        leg.too_early(tx, request)


def ask_early(leg: SipLeg, event: Update) -> None:
    """A change of ours before the answer: by UPDATE, once the first offer is answered (RFC 3311 §5.1)."""
    leg.asking.ask(leg.dialog if _answers(leg).settled else None, event, early=True)


def left_early(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """BYE in an early dialog: a caller may (§15), and means CANCEL."""
    tx.respond(make_response(request, 200, "OK"))
    _answers(leg).refuse(487, Reason.CANCELLED.phrase)
    leg.forget()
    leg.report(End(Reason.CANCELLED))


def unpracked(leg: SipLeg) -> None:
    """A reliable 1xx found no PRACK: the INVITE is refused (RFC 3262 §3)."""
    _answers(leg).refuse(504, "Server Time-out")
    leg.forget()
    leg.report(End(Reason.TIMEOUT))


def unacked(leg: SipLeg) -> None:
    """A 2xx found no ACK: the session ends (§13.3.1.4)."""
    leg.hang_up(End(Reason.TIMEOUT))
    leg.report(End(Reason.TIMEOUT))


def remember_end(leg: SipLeg, event: End) -> None:
    """Hung up before the ACK: BYE must wait for it."""
    leg.ending = event


def hang_up_now(leg: SipLeg, *_: object) -> None:
    """The ACK is there, or never will be: BYE."""
    _answers(leg).acked()
    leg.hang_up(leg.ending)
