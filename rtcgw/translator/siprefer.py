"""REFER in the dialog of a call: a phone that sends the other party elsewhere, and a phone that is sent (RFC 3515).

    theirs   REFER -> 202, NOTIFY `100 Trying` at once, `180 Ringing`, and the outcome, which ends the subscription
    ours     REFER, and what its NOTIFYs say: bodies of message/sipfrag, of which the status line counts

`Refer-Sub: false` leaves the NOTIFYs out (RFC 4488); the second REFER of a dialog and all after it name their
subscription by `id`. Replaces in a Refer-To makes the transfer an attended one (RFC 3891, RFC 5589 §7). One REFER at a
time each way. A subscription does not outlive its dialog, and is neither refreshed nor cancelled by SUBSCRIBE: it
lasts as long as a call rings.

What it is not: it decides about no transfer. `transfer.py` does, and hears of all this by neutral events.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote

from attrs import define, field, frozen
from twisted.logger import Logger

from rtcgw.model.events import Transfer, Transferring, TransferStage
from rtcgw.model.identity import DialogRef
from rtcgw.model.peer import TransferWay
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.grammar import PLAIN_VALUE
from rtcgw.sip.headers import HeaderError, NameAddr, ParamValue, parse_params
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.names import PHRASES
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.sip.uri import Uri, UriError
from rtcgw.translator.sipdialog import Ask
from rtcgw.translator.sipleg import SipLeg

log = Logger()

SIPFRAG: Final = "message/sipfrag"
LASTS: Final = 200
"""Seconds that a subscription is said to last; a call rings for 180."""
FRAGMENT_LIMIT: Final = 8192
"""Octets of a NOTIFY's body; of these only the first line is looked at."""
_STATUS_LINE: Final = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})(?: [^\r\n]{0,256})?(?:\r?\n|\Z)")
_SCHEMES: Final = frozenset({"sip", "sips", "tel"})
_HEADER_SAFE: Final = "[]/?:+$-_.!~*'()"
_CALL_ID: Final = re.compile(r"[!-+\--:<-~]+\Z")
"""Somewhat more than RFC 3261 §25.1 allows: printable ASCII without `,` and `;`. The text may come out of an escaped
URI, in which a line break can hide."""


class NotUsable(ValueError):
    """A request that is answered with 4xx; `status` is which."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


# -- words ---------------------------------------------------------------------------------------


def read_replaces(value: str) -> DialogRef:
    """The dialog that a Replaces names (RFC 3891 §6.1). Raises `HeaderError`."""
    call_id, _, rest = value.partition(";")
    call_id, params = call_id.strip(), parse_params(rest) if rest else {}
    to_tag, from_tag = params.get("to-tag") or "", params.get("from-tag") or ""
    if not (_CALL_ID.match(call_id) and PLAIN_VALUE.match(to_tag) and PLAIN_VALUE.match(from_tag)):
        raise HeaderError("Replaces lacks the Call-ID or a tag, or they are none")
    return DialogRef(call_id, to_tag, from_tag, "early-only" in params)


def read_refer(request: Request) -> Transfer:
    """Where a REFER sends the other party. Raises `NotUsable`."""
    try:
        targets = request.values("refer-to")
        if len(targets) != 1:
            raise NotUsable(400, "not exactly one Refer-To")
        uri = NameAddr.parse(targets[0]).uri
        by = request.get("referred-by")
        referrer = request.from_ if by is None else NameAddr.parse(by)
        if uri.scheme not in _SCHEMES:
            raise NotUsable(416, f"Refer-To of scheme {uri.scheme}")
        if (uri.method or "INVITE").upper() != "INVITE":
            raise NotUsable(400, "Refer-To asks for another method than INVITE")
        ref = _replaces_in(uri)
    except HeaderError as error:
        raise NotUsable(400, str(error)) from None
    target = uri.replace(headers=(), params={name: value for name, value in uri.params.items() if name != "method"})
    return Transfer(target.text, replaces=ref, referred_by=referrer.uri.text)


def _replaces_in(uri: Uri) -> DialogRef | None:
    """The Replaces among a URI's headers. All others are dropped: nobody else writes our INVITEs."""
    found = [unquote(value) for name, value in uri.headers if unquote(name).lower() == "replaces"]
    if len(found) > 1:
        raise HeaderError("more than one Replaces")
    return read_replaces(found[0]) if found else None


def refer_to(target: Uri, replaces: DialogRef | None) -> str:
    """The value of Refer-To."""
    headers = () if replaces is None else (("Replaces", quote(str(replaces), safe=_HEADER_SAFE)),)
    return f"<{target.replace(headers=headers).text}>"


def read_notify(request: Request) -> tuple[int | None, bool]:
    """The status that a NOTIFY of `refer` tells, None for none, and whether it is the last one. Raises `NotUsable`."""
    try:
        state = ParamValue.parse(request.get("subscription-state") or "")
        kind = ParamValue.parse(request.get("content-type") or SIPFRAG).value.lower()
    except HeaderError as error:
        raise NotUsable(400, str(error)) from None
    if not request.body:
        return None, state.value.lower() == "terminated"
    if kind != SIPFRAG:
        raise NotUsable(415, "body is no message/sipfrag")
    match = _STATUS_LINE.match(request.body)
    if match is None or len(request.body) > FRAGMENT_LIMIT:
        raise NotUsable(400, "body does not begin with a status line")
    return int(match[1]), state.value.lower() == "terminated"


@frozen
class _Event:
    """An Event header of this package."""

    id: str | None

    @classmethod
    def of(cls, request: Request) -> _Event:
        """Raises `NotUsable` for another package."""
        try:
            event = ParamValue.parse(request.get("event") or "")
        except HeaderError as error:
            raise NotUsable(400, str(error)) from None
        if event.value.lower() != "refer":
            raise NotUsable(489, f"event {event.value}")
        return cls(event.params.get("id"))


# -- the subscriptions of one leg --------------------------------------------------------------------


@define(eq=False)
class Theirs:
    """A REFER of the peer that is being carried out."""

    _leg: SipLeg
    _dialog: Dialog
    _event: str
    _quiet: bool
    """It wants no NOTIFY."""

    def tell(self, status: int, phrase: str, last: bool = False) -> None:
        """How far it is."""
        if self._quiet:
            return
        request = self._dialog.request("NOTIFY")
        self._leg.port.decorate(request, self._leg.peer)
        request.set("event", self._event)
        request.set("subscription-state", "terminated;reason=noresource" if last else f"active;expires={LASTS}")
        request.set("content-type", f"{SIPFRAG};version=2.0")
        request.body = f"SIP/2.0 {status} {phrase}\r\n".encode()
        self._leg.sent(f"NOTIFY {status}")
        Ask(self._leg.port, self._dialog, request, self._told)

    def _told(self, response: Response | None) -> None:
        """A peer that does not take a NOTIFY wants no other one."""
        if response is None or response.status >= 300:
            self._quiet = True


@define(eq=False)
class Ours:
    """A REFER of ours whose outcome is awaited."""

    cseq: int
    alone: bool
    """None before it is still without an outcome: a NOTIFY that names no REFER means this one."""
    agreed: bool = False
    """The peer has taken it."""


@define(eq=False)
class Referrals:
    """Both ways in one leg; made with the first REFER."""

    ours: Ours | None = None
    theirs: Theirs | None = None
    count: int = field(default=0)
    """REFERs of the peer so far."""


def _of(leg: SipLeg) -> Referrals:
    if leg.referrals is None:
        leg.referrals = Referrals()
    return leg.referrals


# -- the peer refers: actions of `siptable` ----------------------------------------------------------


def referred(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """REFER from the peer."""
    assert leg.dialog is not None
    state = _of(leg)
    if state.theirs is not None:
        leg.too_early(tx, request)
        return
    if not leg.policy.refers:
        tx.respond(make_response(request, 603, "Decline"))
        return
    try:
        event = read_refer(request)
    except NotUsable as error:
        _refuse(leg, tx, request, error)
        return
    quiet = (request.get("refer-sub") or "").strip().lower() == "false" or request.has("require", "norefersub")
    response = make_response(request, 202, "Accepted")
    leg.port.decorate(response, leg.peer)
    if quiet:
        response.set("refer-sub", "false")
    tx.respond(response)
    state.count += 1
    package = "refer" if state.count == 1 else f"refer;id={request.cseq.number}"
    state.theirs = Theirs(leg, leg.dialog, package, quiet)
    state.theirs.tell(100, "Trying")
    leg.report(event)


def told(leg: SipLeg, event: Transferring) -> None:
    """What the peer has asked for goes on: it is notified."""
    state = _of(leg)
    theirs = state.theirs
    if theirs is None:
        return
    if event.stage is TransferStage.RINGING:
        theirs.tell(180, "Ringing")
    elif event.stage is TransferStage.DONE:
        state.theirs = None
        theirs.tell(200, "OK", last=True)
    elif event.stage is TransferStage.FAILED:
        state.theirs = None
        reason = event.reason or Reason.SERVER
        status = event.status or reason.status
        theirs.tell(status, PHRASES.get(status, reason.phrase), last=True)


# -- the peer is referred ------------------------------------------------------------------------------


def send_elsewhere(leg: SipLeg, event: Transfer) -> None:
    """Ask the peer to call somebody else, if it says that it can and may be asked."""
    dialog = leg.dialog
    assert dialog is not None
    state = _of(leg)
    forced = leg.peer.transfer is TransferWay.REFER and dialog.takes("REFER") is None
    before = state.ours
    if (before is not None and not before.agreed) or not (dialog.takes("REFER") or forced):
        cannot_send(leg, event)
        return
    try:
        target = leg.port.target(event.target)
    except UriError:
        leg.report(Transferring(TransferStage.FAILED, Reason.NOT_FOUND))
        return
    request = dialog.request("REFER")
    leg.port.decorate(request, leg.peer)
    request.set("refer-to", refer_to(target, event.replaces))
    request.set("referred-by", f"<{dialog.local.uri.text}>")
    # One that was taken, and whose outcome nobody waits for any more, does not stand in the way of all others.
    mine = state.ours = Ours(request.cseq.number, alone=before is None)
    leg.sent("REFER")
    Ask(leg.port, dialog, request, lambda response: _answered(leg, mine, response))


def cannot_send(leg: SipLeg, event: Transfer) -> None:
    """The peer cannot be sent elsewhere: it knows no REFER, or has no dialog for it now."""
    leg.report(Transferring(TransferStage.FAILED, Reason.PROTOCOL, 405))


def _answered(leg: SipLeg, mine: Ours, response: Response | None) -> None:
    state = _of(leg)
    if state.ours is not mine:
        return  # its outcome has overtaken this
    if response is not None and response.status < 300:
        mine.cseq = response.cseq.number  # a challenge has met another number than the first
        mine.agreed = True
        leg.report(Transferring(TransferStage.TRYING))
        return
    state.ours = None
    status = 408 if response is None else response.status
    leg.report(Transferring(TransferStage.FAILED, from_status(status), status))


def notified(leg: SipLeg, tx: ServerTransaction, request: Request) -> None:
    """NOTIFY from the peer: how our REFER goes."""
    ours = None if leg.referrals is None else leg.referrals.ours
    try:
        event = _Event.of(request)
        if ours is None or (event.id != str(ours.cseq) and (event.id is not None or not ours.alone)):
            leg.no_such(tx, request)
            return
        status, last = read_notify(request)
    except NotUsable as error:
        _refuse(leg, tx, request, error)
        return
    tx.respond(make_response(request, 200, "OK"))
    leg.report(Transferring(TransferStage.TRYING))
    outcome = _outcome(status, last)
    if outcome is None:
        return
    if outcome.stage is not TransferStage.RINGING:
        _of(leg).ours = None
    leg.report(outcome)


def _outcome(status: int | None, last: bool) -> Transferring | None:
    """What a NOTIFY says; a subscription that ends without an outcome has failed (RFC 3515 §2.4.5)."""
    if status is not None and 180 <= status < 200 and not last:
        return Transferring(TransferStage.RINGING)
    if status is None or status < 200:
        return Transferring(TransferStage.FAILED, Reason.SERVER) if last else None
    if status < 300:
        return Transferring(TransferStage.DONE)
    return Transferring(TransferStage.FAILED, from_status(status), status)


def _refuse(leg: SipLeg, tx: ServerTransaction, request: Request, error: NotUsable) -> None:
    log.info(
        "call {session}: {method} refused: {error}",
        session=leg.session,
        method=request.method,
        error=str(error),
        ration="SIP",
    )
    response = make_response(request, error.status, PHRASES.get(error.status, "Bad Request"))
    if error.status == 489:
        response.set("allow-events", "refer")
    elif error.status == 415:
        response.set("accept", SIPFRAG)
    tx.respond(response)
