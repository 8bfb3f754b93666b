"""Parts of the SIP half-call that are not its machine: in-dialog requests, early dialogs, answers, changes.

    Ask            one in-dialog request (PRACK, BYE) to its final response
    EarlyDialogs   UAC: the dialogs that a forked INVITE makes, and their PRACKs (RFC 3262 §4)
    Answers        UAS: 1xx, reliable or not, and the 2xx until its ACK (RFC 3262 §3, RFC 3261 §13.3.1.4)
    Change         either: a re-INVITE or UPDATE of the peer being answered (RFC 3261 §14.2, RFC 3311 §5.2)

None of them decides what a call does; `sipleg.py` does, and these do the bookkeeping.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.model.events import Accept, Description, Kind, Stage
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import CSeq, HeaderError, RAck
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser, ServerTransaction
from rtcgw.translator.repeat import Repeat
from rtcgw.translator.sipport import ISipPort

FORK_LIMIT = 16
"""Early dialogs followed per INVITE; further forks are heard of again when they answer."""
PROGRESS_LIMIT = 4
"""1xx that may wait for the PRACK of an earlier one; further ones are dropped, they carry nothing new."""


def sdp_of(message: Message) -> str | None:
    """The session description in a message, or None. Bytes that are no UTF-8 become U+FFFD: the media decides."""
    if not message.body:
        return None
    kind = message.get("content-type") or ""
    if kind.partition(";")[0].strip().lower() != "application/sdp":
        return None
    return message.body.decode("utf-8", "replace")


def put_sdp(message: Message, sdp: str | None) -> None:
    """Give a message a session description as its body."""
    if sdp is not None:
        message.set("content-type", "application/sdp")
        message.body = sdp.encode()


def reason_header(reason: Reason) -> tuple[str, str]:
    """The Reason header that says why we end a call (RFC 3326)."""
    if reason is Reason.ANSWERED_ELSEWHERE:
        return ("Reason", f'SIP;cause=200;text="{reason.phrase}"')
    return ("Reason", f"Q.850;cause={reason.cause}")


@implementer(IClientUser)
class Ask:
    """Sends an in-dialog request, meets one challenge, and hands over the final response, or None for silence."""

    __slots__ = ("_dialog", "_done", "_port", "_request", "_tries")

    def __init__(
        self, port: ISipPort, dialog: Dialog, request: Request, done: Callable[[Response | None], None]
    ) -> None:
        self._port = port
        self._dialog = dialog
        self._request = request
        self._done = done
        self._tries = 1
        port.send(request, self)

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        if response.status < 200:
            return
        if response.status in (401, 407) and self._tries:
            self._tries -= 1
            again = self._port.authorize(self._request, response)
            if again is not None:
                # Not simply one more than before: another request of the dialog may have been sent meanwhile.
                self._dialog.local_cseq += 1
                again.set("cseq", str(CSeq(self._dialog.local_cseq, again.method)))
                self._request = again
                self._port.send(again, self)
                return
        self._done(response)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        self._done(None)


@define
class Early:
    """One early dialog of an INVITE we sent."""

    dialog: Dialog
    rseq: int | None = None
    """The last reliable 1xx taken."""
    described: bool = False
    """Whether one of them carried a description: that of an INVITE's offer is then answered in this dialog."""


@define
class EarlyDialogs:
    """The early dialogs of one INVITE, by To tag, and their PRACKs."""

    _port: ISipPort
    _dialogs: dict[str, Early] = field(factory=dict, init=False)
    _held: deque[tuple[Early, Response]] = field(factory=deque, init=False)
    _flying: int = field(default=0, init=False)
    """PRACKs sent and not yet answered."""
    described: str | None = None
    """To tag of the fork whose early description the caller has been given."""

    def find(self, request: Request, response: Response) -> Early | None:
        """The early dialog of a 1xx, made on its first; None without a To tag, or beyond the bound."""
        tag = response.to.tag
        if not tag:
            return None
        early = self._dialogs.get(tag)
        if early is None and len(self._dialogs) < FORK_LIMIT:
            early = self._dialogs[tag] = Early(Dialog.as_uac(request, response))
        return early

    def take(self, tag: str) -> Dialog | None:
        """The dialog of the fork that answered."""
        early = self._dialogs.get(tag)
        return None if early is None else early.dialog

    def all(self) -> list[Dialog]:
        """Every early dialog."""
        return [early.dialog for early in self._dialogs.values()]

    def in_order(self, early: Early, response: Response) -> bool | None:
        """None: not reliable. True: the next reliable 1xx of its dialog. False: a repetition, or out of order."""
        rseq = response.get("rseq")
        if rseq is None or not response.has("require", "100rel"):
            return None
        number = int(rseq) if rseq.isascii() and rseq.isdigit() and len(rseq) <= 10 else 0
        if number == 0 or (early.rseq is not None and number != early.rseq + 1):
            return False
        early.rseq = number
        early.described = early.described or sdp_of(response) is not None
        return True

    def settled(self, tag: str) -> bool:
        """Whether the first offer is answered in the early dialog of this To tag."""
        early = self._dialogs.get(tag)
        return early is not None and early.described and not self.holding

    def hold(self, early: Early, response: Response) -> None:
        """Keep the PRACK back until the caller's browser has spoken."""
        self._held.append((early, response))

    @property
    def holding(self) -> bool:
        """Whether a PRACK waits for the browser."""
        return bool(self._held)

    @property
    def unanswered(self) -> bool:
        """Whether a PRACK is on its way, or waits to be."""
        return self._flying > 0 or self.holding

    def release(self, sdp: str | None, done: Callable[[], None]) -> None:
        """Send every PRACK that was held; `sdp` answers an offer that came in the 1xx."""
        while self._held:
            early, response = self._held.popleft()
            self.prack(early, response, sdp, done)

    def prack(self, early: Early, response: Response, sdp: str | None, done: Callable[[], None]) -> None:
        """Acknowledge a reliable 1xx; `done()` when its 200 is there (RFC 3262 §4)."""
        request = early.dialog.request("PRACK")
        request.set("rack", str(RAck(early.rseq or 0, response.cseq.number, response.cseq.method)))
        put_sdp(request, sdp)
        self._flying += 1

        def answered(final: Response | None) -> None:
            self._flying -= 1
            if final is not None and final.status < 300:
                done()

        Ask(self._port, early.dialog, request, answered)


@define
class Answers:
    """What a UAS sends on one INVITE."""

    _port: ISipPort
    _clock: IReactorTime
    _tx: ServerTransaction
    _dialog: Dialog
    _t1: float
    _unpracked: Callable[[], None]
    """No PRACK for 64*T1."""
    _unacked: Callable[[], None]
    """No ACK for 64*T1."""
    _rseq: int = field(factory=lambda: 1 + secrets.randbelow(2**30), init=False)
    _sent: Repeat | None = field(default=None, init=False)
    """The reliable 1xx that waits for its PRACK."""
    _described: bool = field(default=False, init=False)
    """Whether that one carries a description."""
    _queue: deque[tuple[Stage, str | None]] = field(factory=deque, init=False)
    _final: Repeat | None = field(default=None, init=False)
    waiting: Accept | None = field(default=None, init=False)
    """The answer that waits for a PRACK."""
    early: str | None = field(default=None, init=False)
    """The description given in a 1xx: nothing later may give another one (RFC 6337 §2.2)."""

    @property
    def invite(self) -> Request:
        """The INVITE being answered."""
        return self._tx.request

    def progress(self, stage: Stage, sdp: str | None) -> None:
        """Send 180 or 183: reliably where the peer can, one at a time (RFC 3262 §3)."""
        if self._sent is not None and self._sent.outstanding:
            if len(self._queue) < PROGRESS_LIMIT:
                self._queue.append((stage, sdp))
            return
        status, phrase = (180, "Ringing") if stage is Stage.RINGING else (183, "Session Progress")
        if sdp is not None:
            sdp = self._first(sdp) if self._offered or self._reliable else None
            self.early = self.early or sdp
        response = self._response(status, phrase, sdp)
        if not self._reliable:
            self._tx.respond(response)
            return
        response.add("require", "100rel")
        response.set("rseq", str(self._rseq))
        self._described = sdp is not None
        self._sent = Repeat(self._clock, lambda: self._tx.respond(response), self._unpracked, self._t1, None)

    def _first(self, sdp: str | None) -> str | None:
        """The description to give: the one already given, once more; an offer of ours is not repeated (§3.1.1)."""
        if self.early is None:
            return sdp
        return self.early if self._offered else None

    @property
    def _offered(self) -> bool:
        """Whether the INVITE offers, so that ours is the answer. Else ours is the offer, and must go reliably."""
        return sdp_of(self._tx.request) is not None

    @property
    def _reliable(self) -> bool:
        request = self._tx.request
        return request.has("supported", "100rel") or request.has("require", "100rel")

    def pracked(self, prack: Request) -> bool:
        """Whether `prack` acknowledges the 1xx that waits; then the next one goes."""
        try:
            rack = RAck.parse(prack.get("rack") or "")
        except HeaderError:
            return False
        cseq = self._tx.request.cseq
        if self._sent is None:
            return False
        if (rack.rseq, rack.cseq, rack.method) != (self._rseq, cseq.number, cseq.method):
            return False
        self._sent.confirm()
        self._sent = None
        self._rseq += 1
        if self._queue:
            self.progress(*self._queue.popleft())
        return True

    @property
    def may_accept(self) -> bool:
        """A 2xx waits until a reliable 1xx with a description is acknowledged (RFC 3262 §3)."""
        return not (self._sent is not None and self._sent.outstanding and self._described)

    @property
    def settled(self) -> bool:
        """Whether the first offer has been answered, reliably."""
        return self.early is not None and self._reliable and self.may_accept

    def accept(self, sdp: str | None) -> None:
        """Send the 2xx, and again until the ACK."""
        self.stop_progress()
        response = self._response(200, "OK", self._first(sdp))
        self._final = Repeat(self._clock, lambda: self._tx.respond(response), self._unacked, self._t1)

    def refuse(self, status: int, phrase: str, *headers: tuple[str, str]) -> None:
        """Send a final refusal; its ACK is the transaction's."""
        self.stop_progress()
        response = make_response(self._tx.request, status, phrase, self._dialog.id.local_tag)
        for name, value in headers:
            response.add(name.lower(), value)
        self._tx.respond(response)

    def acked(self) -> None:
        """The ACK has come, or the call is over: stop repeating the 2xx."""
        if self._final is not None:
            self._final.confirm()

    def stop_progress(self) -> None:
        """No more 1xx; a PRACK that is on its way still finds what it acknowledges."""
        self._queue.clear()
        if self._sent is not None:
            self._sent.confirm()

    def _response(self, status: int, phrase: str, sdp: str | None) -> Response:
        response = make_response(self._tx.request, status, phrase, self._dialog.id.local_tag)
        for value in self._tx.request.headers.get("record-route", ()):
            response.add("record-route", value)
        self._port.decorate(response)
        put_sdp(response, sdp)
        return response


@define
class Change:
    """The peer's re-INVITE or UPDATE, one at a time."""

    _port: ISipPort
    _clock: IReactorTime
    _t1: float
    _unacked: Callable[[], None]
    _tx: ServerTransaction | None = field(default=None, init=False)
    _final: Repeat | None = field(default=None, init=False)
    _cseq: int = field(default=0, init=False)
    """The number of the re-INVITE whose 2xx waits for its ACK."""

    def begin(self, tx: ServerTransaction) -> bool:
        """Take up a change; False when one is already open: 500 with Retry-After has been sent (RFC 3311 §5.2)."""
        if self._tx is not None or (self._final is not None and self._final.outstanding):
            self.postpone(tx)
            return False
        self._tx = tx
        return True

    @staticmethod
    def postpone(tx: ServerTransaction) -> None:
        """Not now: an earlier offer of the peer's is unanswered."""
        response = make_response(tx.request, 500, "Server Internal Error")
        response.set("retry-after", str(secrets.randbelow(10)))
        tx.respond(response)

    @staticmethod
    def description(request: Request) -> Description | None:
        """The offer in the request; None asks us for one (re-INVITE) or asks nothing (UPDATE)."""
        sdp = sdp_of(request)
        return None if sdp is None else Description(Kind.OFFER, sdp)

    def accept(self, sdp: str | None) -> None:
        """Answer the open change with 200."""
        tx, self._tx = self._tx, None
        if tx is None:
            return
        response = make_response(tx.request, 200, "OK")
        self._port.decorate(response)
        put_sdp(response, sdp)
        if tx.request.method == "INVITE":
            self._cseq = tx.request.cseq.number
            self._final = Repeat(self._clock, lambda: tx.respond(response), self._unacked, self._t1)
        else:
            tx.respond(response)

    def refuse(self, reason: Reason) -> None:
        """Refuse the open change; the call stays as it was (RFC 6141)."""
        tx, self._tx = self._tx, None
        if tx is not None:
            tx.respond(make_response(tx.request, reason.status, reason.phrase))

    def acked(self, ack: Request) -> bool:
        """An ACK has come: True when it is for the change's 2xx, and no late one of an earlier INVITE's."""
        if self._final is None or not self._final.outstanding or ack.cseq.number != self._cseq:
            return False
        self._final.confirm()
        return True

    def abandon(self) -> None:
        """The call is over: answer what is open and stop repeating."""
        if self._tx is not None:
            self.refuse(Reason.CANCELLED)
        if self._final is not None:
            self._final.confirm()
