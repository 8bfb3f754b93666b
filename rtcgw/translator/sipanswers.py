"""What the SIP half-call answers: an INVITE until its ACK, and the peer's changes afterwards.

    Answers        UAS: 1xx, reliable or not, and the 2xx until its ACK (RFC 3262 §3, RFC 3261 §13.3.1.4)
    Change         either: a re-INVITE or UPDATE of the peer being answered (RFC 3261 §14.2, RFC 3311 §5.2)

Neither decides what a call does; `sipleg.py` does, and these do the bookkeeping.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from rtcgw.model.events import Accept, Description, Kind, Stage
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import HeaderError, RAck
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.translator.repeat import Repeat
from rtcgw.translator.sipdialog import put_sdp, sdp_of
from rtcgw.translator.sippeer import announce_sound, require_preconditions
from rtcgw.translator.sipport import ISipPort

PROGRESS_LIMIT = 4
"""1xx that may wait for the PRACK of an earlier one; further ones are dropped, they carry nothing new."""
FATAL = frozenset({404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 502, 604})
"""Statuses that would end the peer's dialog, or its call, though only a change is refused (RFC 5057 §5.1; RFC 3261
§12.2.1.2): a page that is silent or away would cost the call. 488 refuses the change and nothing else."""


CALL_WAITING: Final = "<urn:alert:service:call-waiting>"
"""Alert-Info of a 180 whose called is in another call (RFC 7462)."""
_PROGRESS: Final = {
    Stage.RINGING: (180, "Ringing"),
    Stage.FORWARDED: (181, "Call Is Being Forwarded"),
    Stage.QUEUED: (182, "Queued"),
}


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
    _agree: Callable[[Request, Response], None]
    """Called with the INVITE and its 2xx, before that goes."""
    _peer: PeerProfile = PLAIN_PEER
    _rseq: int = field(factory=lambda: 1 + secrets.randbelow(2**30), init=False)
    _sent: Repeat | None = field(default=None, init=False)
    """The reliable 1xx that waits for its PRACK."""
    _described: bool = field(default=False, init=False)
    """Whether that one carries a description."""
    _queue: deque[tuple[Stage, str | None, bool]] = field(factory=deque, init=False)
    _final: Repeat | None = field(default=None, init=False)
    waiting: Accept | None = field(default=None, init=False)
    """The answer that waits for a PRACK."""
    call_waiting: bool = field(default=False, init=False)
    """The called has another call: the caller's phone may say so (RFC 7462)."""
    early: str | None = field(default=None, init=False)
    """The description given in a 1xx: nothing later may give another one (RFC 6337 §2.2).

    Empty once a change has replaced it: then it is not repeated, for it is no longer what holds.
    """

    @property
    def invite(self) -> Request:
        """The INVITE being answered."""
        return self._tx.request

    def progress(self, stage: Stage, sdp: str | None, sounds: bool = True) -> None:
        """Send 180 or 183: reliably where the peer can, one at a time (RFC 3262 §3).

        `sounds`: whether what the description describes sounds before the answer.
        """
        if self._sent is not None and self._sent.outstanding:
            if len(self._queue) < PROGRESS_LIMIT:
                self._queue.append((stage, sdp, sounds))
            return
        status, phrase = _PROGRESS.get(stage, (183, "Session Progress"))
        if sdp is not None:
            sdp = self._first(sdp) if self._offered or self._reliable else None
            self.early = sdp if self.early is None else self.early
        response = self._response(status, phrase, sdp)
        if self.call_waiting and stage is Stage.RINGING:
            response.set("alert-info", CALL_WAITING)
        if sdp is not None and self._port.trusted:
            announce_sound(response, self._tx.request, sounds)
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
        return (self.early or None) if self._offered else None

    @property
    def _offered(self) -> bool:
        """Whether the INVITE offers, so that ours is the answer. Else ours is the offer, and must go reliably."""
        return sdp_of(self._tx.request) is not None

    @property
    def _reliable(self) -> bool:
        request = self._tx.request
        if request.has("require", "100rel"):
            return True
        return request.has("supported", "100rel") and "100rel" not in self._peer.without

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

    def replaced(self) -> None:
        """A change has been agreed before the answer."""
        if self.early is not None:
            self.early = ""

    def accept(self, sdp: str | None) -> None:
        """Send the 2xx, and again until the ACK."""
        self.stop_progress()
        response = self._response(200, "OK", self._first(sdp))
        self._agree(self._tx.request, response)
        self._final = Repeat(self._clock, lambda: self._tx.respond(response), self._unacked, self._t1)

    def refuse(self, status: int, phrase: str, *headers: tuple[str, str], body: bytes = b"") -> None:
        """Send a final refusal; its ACK is the transaction's."""
        self.stop_progress()
        response = make_response(self._tx.request, status, phrase, self._dialog.id.local_tag)
        response.body = body
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
        self._port.decorate(response, self._peer)
        self._port.identify(response, self._tx.request)
        put_sdp(response, sdp)
        if not self._offered:  # ours is the offer then
            require_preconditions(response, sdp, self._peer)
        return response


@define
class Change:
    """The peer's re-INVITE or UPDATE, one at a time."""

    _port: ISipPort
    _clock: IReactorTime
    _t1: float
    _unacked: Callable[[], None]
    _agree: Callable[[Request, Response], None]
    """Called with the change and its 2xx, before that goes."""
    peer: PeerProfile = PLAIN_PEER
    focus: str = field(default="", init=False)
    """The name of the conference that the peer is in."""
    _tx: ServerTransaction | None = field(default=None, init=False)
    _final: Repeat | None = field(default=None, init=False)
    _cseq: int = field(default=0, init=False)
    """The number of the re-INVITE whose 2xx waits for its ACK."""

    @property
    def open(self) -> bool:
        """Whether a change of the peer's waits for its answer or its ACK."""
        return self._tx is not None or (self._final is not None and self._final.outstanding)

    @property
    def request(self) -> Request | None:
        """The change that waits for its answer."""
        return None if self._tx is None else self._tx.request

    def begin(self, tx: ServerTransaction) -> bool:
        """Take up a change; False when one is already open: 500 with Retry-After has been sent (RFC 3311 §5.2)."""
        if self.open:
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
        self._port.decorate(response, self.peer, self.focus)
        put_sdp(response, sdp)
        self._agree(tx.request, response)
        if tx.request.method == "INVITE":
            self._cseq = tx.request.cseq.number
            self._final = Repeat(self._clock, lambda: tx.respond(response), self._unacked, self._t1)
        else:
            tx.respond(response)

    def refuse(self, reason: Reason) -> None:
        """Refuse the open change; the call stays as it was (RFC 6141)."""
        tx, self._tx = self._tx, None
        if tx is None:
            return
        if reason is Reason.TIMEOUT and tx.request.method == "UPDATE":  # a re-INVITE may wait longer (RFC 3311 §5.2)
            tx.respond(make_response(tx.request, 504, "Server Time-out"))
            return
        fit = Reason.MEDIA if reason.status in FATAL else reason
        tx.respond(make_response(tx.request, fit.status, fit.phrase))

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
