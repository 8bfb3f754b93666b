"""Changes of a session that we ask for: UPDATE or re-INVITE, one at a time (RFC 3261 §14.1, RFC 3311 §5.1).

    IDLE -> ASKED -> IDLE                  the peer takes it or refuses it; refused, the call stays as it was
            ASKED -> BACKING_OFF -> ASKED  both asked at once: again after a random time
            ASKED -> OWING -> IDLE         an offerless re-INVITE has brought an offer, our ACK owes the answer
            IDLE  -> REFRESHING -> IDLE    the session timer's refresh, of which nobody else hears (RFC 4028)
            any   -> OVER                  the call has ended, or its dialog is lost

UPDATE is used where the peer says that it takes it, for it needs no ACK and works before the
answer; a peer that will not answer it at once (504) or at all (405, 501) is asked by re-INVITE.
Who may ask now is also decided here: the peer's changes pass `theirs()`, and get 491 while
ours is out. How the peer's changes are answered is `sipanswers.Change`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.model.events import Confirm, Description, End, Focus, Kind, Update, UpdateAccept, UpdateReject
from rtcgw.model.reason import Reason, from_status
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import CSeq, HeaderError
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser, ServerTransaction
from rtcgw.translator import siptimer
from rtcgw.translator.sipasker import IAsker, glare_pause, pause_after
from rtcgw.translator.sipdialog import Reliable, ack_of, put_sdp, sdp_of
from rtcgw.translator.sippeer import drop_options, require_preconditions
from rtcgw.translator.sipport import ISipPort
from rtcgw.translator.sipstate import Asked, Step

TRIES: Final = 3
"""Times that a change is asked for when each time the peer asks as well."""
PATIENCE: Final = 25.0
"""Seconds that a peer may think about a re-INVITE, which may ask a person, before it is cancelled: so that it is told
before the call gives the change up (`change.ANSWER_TIME`)."""


@implementer(IClientUser)
class Asking:
    """Our side of changes in one leg.

    `owner`: whether the call's Call-ID is ours. `busy()`: whether a change of the peer's is open.
    `wait`: seconds that an answer owed in an ACK may take.
    """

    __slots__ = (
        "_ack",
        "_acked",
        "_busy",
        "_dialog",
        "_early",
        "_leg",
        "_method",
        "_next",
        "_owner",
        "_port",
        "_refresh_sdp",
        "_reliable",
        "_request",
        "_sdp",
        "_tries",
        "_tx",
        "_wait",
        "machine",
    )

    def __init__(
        self,
        leg: IAsker,
        port: ISipPort,
        clock: IReactorTime,
        owner: bool,
        busy: Callable[[], bool],
        wait: float,
    ) -> None:
        self._leg = leg
        self._port = port
        self._owner = owner
        self._busy = busy
        self._wait = wait
        self._dialog: Dialog | None = None
        self._early = False
        self._method = "UPDATE"
        self._sdp: str | None = None
        """What is asked for; None asks the peer for an offer."""
        self._refresh_sdp: str | None = None
        """What a re-INVITE repeats that only refreshes."""
        self._next: tuple[Dialog | None, str | None, bool] | None = None
        """A change that waits for the end of a refresh."""
        self._tries = 0
        self._request: Request | None = None
        self._tx: ClientTransaction | None = None
        """The transaction whose final response is awaited."""
        self._acked: ClientTransaction | None = None
        """The last re-INVITE that got a 2xx, and the ACK for its repetitions."""
        self._ack: Request | None = None
        self._reliable: Reliable | None = None
        """The reliable 1xx of a re-INVITE; None before the first 1xx."""
        self.machine = Machine(ASKING, self, clock)

    # -- orders ----------------------------------------------------------------------------

    def ask(self, dialog: Dialog | None, event: Update, early: bool = False) -> None:
        """Ask for a change in `dialog`; None: there is none in which to ask. `early`: only UPDATE may go there."""
        offer = event.description
        possible = dialog is not None and not self._busy()
        if early:
            possible = possible and offer is not None and dialog is not None and dialog.takes("UPDATE") is True
        self.machine.handle(Step.ASK if possible else Step.BUSY, dialog, None if offer is None else offer.sdp, early)

    def refresh(self, dialog: Dialog, sdp: str | None) -> bool:
        """Ask for nothing but more time; False: a change of either side is open, which asks for it as well.

        By UPDATE without a description, which no offer can cross, or by a re-INVITE with the one that holds.
        """
        if self.machine.state is not Asked.IDLE or self._busy() or not (dialog.takes("UPDATE") or sdp):
            return False
        self.machine.handle(Step.REFRESH, dialog, sdp)
        return True

    def withdraw(self) -> None:
        """Whoever wanted the change has taken it back. A peer that takes it meanwhile is heard none the less."""
        self.machine.handle(Step.WITHDRAW)

    def confirm(self, event: Confirm) -> None:
        """The answer to an offer that came in a 2xx."""
        self.machine.handle(Step.CONFIRM, None if event.description is None else event.description.sdp)

    def theirs(self, tx: ServerTransaction, request: Request) -> None:
        """The peer's own change: passed on, or 491 because ours is out."""
        self.machine.handle(Step.THEIRS, tx, request)

    def only(self, dialog: Dialog | None) -> None:
        """The call is in this dialog now, or in none: what was asked in another one is void."""
        if self._dialog is not dialog:
            self.machine.handle(Step.ELSEWHERE)

    def end(self) -> None:
        """The call is over."""
        self.machine.handle(Step.END)

    # -- news ------------------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        status = response.status
        if tx is not self._tx:
            if tx is self._acked and 200 <= status < 300:
                self.machine.handle(Step.AGAIN)
        elif status < 200:
            self.machine.handle(Step.PROVISIONAL, response)
        else:
            self._tx = None
            self._got_final(tx, response)

    def _got_final(self, tx: ClientTransaction, response: Response) -> None:
        status, handle = response.status, self.machine.handle
        if status < 300:
            offered = self._method == "INVITE" and self._sdp is None and sdp_of(response) is not None
            self._acked = tx if self._method == "INVITE" else None
            handle(Step.OFFERED if offered else Step.TAKEN, response)
        elif status in (401, 407):
            handle(Step.CHALLENGED, response)
        elif status in (408, 481):
            handle(Step.LOST, End(Reason.GONE if status == 481 else Reason.TIMEOUT, status=status))
        elif status in (405, 501, 504) and self._method == "UPDATE" and not self._early:
            handle(Step.UNFIT, response)
        elif status == 422 and not self._early:
            handle(Step.SHORT, response)
        else:
            pause = pause_after(response, self._owner)
            if pause is None:
                handle(Step.REFUSED, from_status(status))
            else:
                self._glare(pause)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`. What could not be sent counts as 503 (§8.1.3.1), which leaves the call as it is."""
        if tx is not self._tx:
            return
        self._tx = None
        if failure is Failure.TIMEOUT:
            self.machine.handle(Step.LOST, End(Reason.TIMEOUT))
        else:
            self.machine.handle(Step.REFUSED, Reason.UNREACHABLE)

    def _glare(self, pause: float) -> None:
        if self._tries < TRIES:
            self.machine.handle(Step.GLARE, pause)
        else:
            self.machine.handle(Step.REFUSED, Reason.CONFLICT)

    # -- actions ---------------------------------------------------------------------------

    def _begin_refresh(self, dialog: Dialog, sdp: str | None) -> None:
        self._dialog, self._refresh_sdp, self._early = dialog, sdp, False
        self._method, self._sdp = ("UPDATE", None) if dialog.takes("UPDATE") else ("INVITE", sdp)
        self._tries = 0
        self._send()

    def _begin(self, dialog: Dialog, sdp: str | None, early: bool) -> None:
        self._dialog, self._sdp, self._early = dialog, sdp, early
        self._method = "UPDATE" if sdp is not None and dialog.takes("UPDATE") else "INVITE"
        self._tries = 0
        self._send()

    def _send(self) -> None:
        assert self._dialog is not None
        self._tries += 1
        request = self._dialog.request(self._method)
        self._port.decorate(request, self._leg.peer, self._leg.focus)
        put_sdp(request, self._sdp)
        require_preconditions(request, self._sdp, self._leg.peer)
        if self._method == "INVITE" and self._sdp is None:
            # Without 100rel the offer can come in the 2xx only, and its answer in the ACK.
            drop_options(request, frozenset({"100rel"}))
        if not self._early:
            siptimer.propose(self._leg, request)
        self._reliable = None
        self._launch(request)

    def _launch(self, request: Request) -> None:
        self._leg.sent(request.method)
        self._request = request
        self._tx = self._port.send(request, self)

    def _again(self) -> None:
        """The time after a glare is over; if the peer has a change open by now, that is one more."""
        if self._busy():
            self._tries += 1
            self._glare(glare_pause(self._owner))
        else:
            self._send()

    def _back_off(self, pause: float) -> None:
        self.machine.arm("back off", pause)

    def _authorize(self, response: Response) -> None:
        assert self._dialog is not None
        assert self._request is not None
        again = self._port.authorize(self._request, response)
        if again is None:
            self.machine.handle(Step.REFUSED, from_status(response.status))
            return
        self._dialog.local_cseq += 1  # another request may have been sent meanwhile
        again.set("cseq", str(CSeq(self._dialog.local_cseq, again.method)))
        self._launch(again)

    def _lengthen(self, response: Response) -> None:
        """A longer session is demanded (RFC 4028 §7.3): asked for once more, or it is a refusal."""
        assert self._request is not None
        if siptimer.longer(self._leg, self._request, response):
            self._send()
        else:
            self.machine.handle(Step.REFUSED, from_status(response.status))

    def _refresh_by_reinvite(self, response: Response) -> None:
        self._sdp = self._refresh_sdp
        if self._sdp is None:
            self.machine.handle(Step.REFUSED, from_status(response.status))
        else:
            self._by_reinvite(response)

    def _by_reinvite(self, response: Response) -> None:
        assert self._dialog is not None
        if response.status != 504:  # it does not take UPDATE at all: not asked so again
            self._dialog.allow = ()
        self._method = "INVITE"
        self._send()

    def _progressed(self, response: Response) -> None:
        """A reliable 1xx to a re-INVITE gets its PRACK; a description in it is the answer (RFC 6337 §2.2)."""
        assert self._dialog is not None
        if self._method != "INVITE" or self._sdp is None:
            return
        if self._reliable is None:
            self._reliable = Reliable(self._port, self._dialog)
        if self._reliable.take(response):
            self._leg.sent("PRACK")

    def _taken(self, response: Response) -> None:
        """The peer has agreed. Without an answer where one is due nothing is agreed."""
        self._refresh(response)
        if self._method == "INVITE":
            self._send_ack(None)
        assert self._dialog is not None
        sdp = (self._reliable and self._reliable.answer) or sdp_of(response)
        if sdp is None:
            self._leg.report(UpdateReject(Reason.PROTOCOL))
        else:
            self._leg.renewed(self._dialog.id.remote_tag, sdp, self._sdp)
            self._leg.report(UpdateAccept(Description(Kind.ANSWER, sdp)))

    def _refreshed(self, response: Response) -> None:
        """The peer is alive. What its 2xx describes is what held before: nothing was offered but that."""
        self._refresh(response)
        self._ack_plain()

    def _not_refreshed(self, why: Reason | float) -> None:
        siptimer.refused(self._leg, why if isinstance(why, float) else None)

    def _postpone(self, dialog: Dialog | None, sdp: str | None, early: bool) -> None:
        """A change asked for while a refresh is out: nobody has done wrong, it waits."""
        if self._next is None:
            self._next = dialog, sdp, early
        else:
            self._conflict()

    def _resume(self, *_: object) -> None:
        following, self._next = self._next, None
        if following is not None:
            self.machine.handle(Step.BUSY if self._busy() else Step.ASK, *following)

    def _offered(self, response: Response) -> None:
        self._refresh(response)
        self._leg.report(UpdateAccept(Description(Kind.OFFER, sdp_of(response) or "")))

    def _refresh(self, response: Response) -> None:
        """The 2xx says how long the session holds, and may move the peer; an unreadable Contact moves nobody."""
        assert self._dialog is not None
        if not self._early:
            siptimer.taken(self._leg, response)
        before = self._dialog.focus
        try:
            self._dialog.refresh_target(response)
        except HeaderError:
            return
        if self._dialog.focus is not before:
            self._leg.report(Focus(self._dialog.focus))

    def _send_ack(self, sdp: str | None) -> None:
        assert self._dialog is not None
        assert self._request is not None
        self._ack = ack_of(self._dialog, self._request)
        put_sdp(self._ack, sdp)
        self._leg.sent("ACK")
        self._port.ack(self._ack)

    def _confirm(self, sdp: str | None) -> None:
        assert self._dialog is not None
        self._send_ack(sdp)
        self._leg.renewed(self._dialog.id.remote_tag, None, sdp)

    def _ack_plain(self, *_: object) -> None:
        """A 2xx that nobody waits for any more is acknowledged all the same."""
        if self._method == "INVITE":
            self._send_ack(None)

    def _ack_again(self) -> None:
        if self._ack is not None:
            self._port.ack(self._ack)

    def _cancel(self) -> None:
        if self._tx is not None:
            self._port.cancel(self._tx)

    def _refused(self, reason: Reason) -> None:
        self._leg.report(UpdateReject(reason))

    def _conflict(self, *_: object) -> None:
        self._leg.report(UpdateReject(Reason.CONFLICT))

    def _void(self) -> None:
        """Asked in a dialog that is not the call's: its answer does not matter."""
        self._tx = None
        self._conflict()

    def _lost(self, end: End) -> None:
        self._leg.lost(end)

    def _never_answered(self) -> None:
        """Nobody has answered the offer of the 2xx: the ACK cannot go as it should, and the call cannot go on."""
        self._send_ack(None)
        self._leg.lost(End(Reason.TIMEOUT))

    def _arm_wait(self, *_: object) -> None:
        self.machine.arm("answer", self._wait)

    def _pass(self, tx: ServerTransaction, request: Request) -> None:
        self._leg.take_change(tx, request)

    def _cross_refresh(self, tx: ServerTransaction, request: Request) -> None:
        """An UPDATE of ours without an offer is crossed by anything."""
        if self._method == "UPDATE":
            self._pass(tx, request)
        else:
            self._cross(tx, request)

    def _cross(self, tx: ServerTransaction, request: Request) -> None:
        tx.respond(make_response(request, 491, "Request Pending"))

    def _no_such(self, tx: ServerTransaction, request: Request) -> None:
        tx.respond(make_response(request, 481, "Call/Transaction Does Not Exist"))


_A, _S = Asked, Step
_TIMERS = (
    Timer[Asked, Step]("patience", frozenset({_A.ASKED, _A.REFRESHING}), lambda asking: PATIENCE, _S.TIRED),
    Timer[Asked, Step]("back off", frozenset({_A.BACKING_OFF}), lambda asking: None, _S.DUE),
    Timer[Asked, Step]("answer", frozenset({_A.OWING}), lambda asking: None, _S.UNANSWERED),
)
_FINAL = {_S.TAKEN, _S.OFFERED, _S.CHALLENGED, _S.GLARE, _S.UNFIT, _S.SHORT, _S.REFUSED, _S.LOST}
"""Final responses, which come to a request that is out."""

# fmt: off
ASKING: Table[Asked, Step] = Table(
    "SIP leg, our change",
    _A.IDLE,
    Step,
    {
        (_A.IDLE, _S.ASK): Row(_A.ASKED, (Asking._begin,)),
        (_A.IDLE, _S.BUSY): Row(_A.IDLE, (Asking._conflict,)),
        (_A.IDLE, _S.REFRESH): Row(_A.REFRESHING, (Asking._begin_refresh,)),
        (_A.IDLE, _S.THEIRS): Row(_A.IDLE, (Asking._pass,)),
        (_A.IDLE, _S.AGAIN): Row(_A.IDLE, (Asking._ack_again,)),
        (_A.IDLE, _S.END): Row(_A.OVER),

        (_A.ASKED, _S.ASK): Row(_A.ASKED, (Asking._conflict,)),
        (_A.ASKED, _S.BUSY): Row(_A.ASKED, (Asking._conflict,)),
        (_A.ASKED, _S.THEIRS): Row(_A.ASKED, (Asking._cross,)),
        (_A.ASKED, _S.PROVISIONAL): Row(_A.ASKED, (Asking._progressed,)),
        (_A.ASKED, _S.TAKEN): Row(_A.IDLE, (Asking._taken,)),
        (_A.ASKED, _S.OFFERED): Row(_A.OWING, (Asking._arm_wait, Asking._offered)),
        (_A.ASKED, _S.AGAIN): Row(_A.ASKED, (Asking._ack_again,)),
        (_A.ASKED, _S.CHALLENGED): Row(_A.ASKED, (Asking._authorize,)),
        (_A.ASKED, _S.GLARE): Row(_A.BACKING_OFF, (Asking._back_off,)),
        (_A.ASKED, _S.UNFIT): Row(_A.ASKED, (Asking._by_reinvite,)),
        (_A.ASKED, _S.SHORT): Row(_A.ASKED, (Asking._lengthen,)),
        (_A.ASKED, _S.REFUSED): Row(_A.IDLE, (Asking._refused,)),
        (_A.ASKED, _S.LOST): Row(_A.OVER, (Asking._lost,)),
        (_A.ASKED, _S.TIRED): Row(_A.ASKED, (Asking._cancel,)),
        (_A.ASKED, _S.WITHDRAW): Row(_A.ASKED, (Asking._cancel,)),
        (_A.ASKED, _S.ELSEWHERE): Row(_A.IDLE, (Asking._void,)),
        (_A.ASKED, _S.END): Row(_A.OVER),

        (_A.REFRESHING, _S.ASK): Row(_A.REFRESHING, (Asking._postpone,)),
        (_A.REFRESHING, _S.BUSY): Row(_A.REFRESHING, (Asking._conflict,)),
        (_A.REFRESHING, _S.THEIRS): Row(_A.REFRESHING, (Asking._cross_refresh,)),
        (_A.REFRESHING, _S.PROVISIONAL): Row(_A.REFRESHING, (Asking._progressed,)),
        (_A.REFRESHING, _S.TAKEN): Row(_A.IDLE, (Asking._refreshed, Asking._resume)),
        (_A.REFRESHING, _S.AGAIN): Row(_A.REFRESHING, (Asking._ack_again,)),
        (_A.REFRESHING, _S.CHALLENGED): Row(_A.REFRESHING, (Asking._authorize,)),
        (_A.REFRESHING, _S.GLARE): Row(_A.IDLE, (Asking._not_refreshed, Asking._resume)),
        (_A.REFRESHING, _S.UNFIT): Row(_A.REFRESHING, (Asking._refresh_by_reinvite,)),
        (_A.REFRESHING, _S.SHORT): Row(_A.REFRESHING, (Asking._lengthen,)),
        (_A.REFRESHING, _S.REFUSED): Row(_A.IDLE, (Asking._not_refreshed, Asking._resume)),
        (_A.REFRESHING, _S.LOST): Row(_A.OVER, (Asking._lost,)),
        (_A.REFRESHING, _S.TIRED): Row(_A.REFRESHING, (Asking._cancel,)),
        (_A.REFRESHING, _S.END): Row(_A.OVER),

        (_A.BACKING_OFF, _S.ASK): Row(_A.BACKING_OFF, (Asking._conflict,)),
        (_A.BACKING_OFF, _S.BUSY): Row(_A.BACKING_OFF, (Asking._conflict,)),
        (_A.BACKING_OFF, _S.THEIRS): Row(_A.BACKING_OFF, (Asking._pass,)),
        (_A.BACKING_OFF, _S.AGAIN): Row(_A.BACKING_OFF, (Asking._ack_again,)),
        (_A.BACKING_OFF, _S.DUE): Row(_A.ASKED, (Asking._again,)),
        (_A.BACKING_OFF, _S.WITHDRAW): Row(_A.IDLE),
        (_A.BACKING_OFF, _S.ELSEWHERE): Row(_A.IDLE, (Asking._void,)),
        (_A.BACKING_OFF, _S.END): Row(_A.OVER),

        (_A.OWING, _S.ASK): Row(_A.OWING, (Asking._conflict,)),
        (_A.OWING, _S.BUSY): Row(_A.OWING, (Asking._conflict,)),
        (_A.OWING, _S.THEIRS): Row(_A.OWING, (Asking._cross,)),
        (_A.OWING, _S.CONFIRM): Row(_A.IDLE, (Asking._confirm,)),
        (_A.OWING, _S.UNANSWERED): Row(_A.OVER, (Asking._never_answered,)),
        (_A.OWING, _S.END): Row(_A.OVER, (Asking._ack_plain,)),

        (_A.OVER, _S.THEIRS): Row(_A.OVER, (Asking._no_such,)),
        (_A.OVER, _S.TAKEN): Row(_A.OVER, (Asking._ack_plain,)),
        (_A.OVER, _S.OFFERED): Row(_A.OVER, (Asking._ack_plain,)),
        (_A.OVER, _S.AGAIN): Row(_A.OVER, (Asking._ack_again,)),
    },
    {
        _A.IDLE: _FINAL | {_S.CONFIRM, _S.WITHDRAW, _S.ELSEWHERE, _S.PROVISIONAL, _S.DUE, _S.TIRED, _S.UNANSWERED},
        _A.ASKED: {_S.CONFIRM, _S.DUE, _S.UNANSWERED, _S.REFRESH},
        # A refresh offers, if anything, and is sent in the call's one dialog.
        _A.REFRESHING: {_S.CONFIRM, _S.DUE, _S.UNANSWERED, _S.REFRESH, _S.OFFERED, _S.WITHDRAW, _S.ELSEWHERE},
        _A.BACKING_OFF: _FINAL | {_S.CONFIRM, _S.PROVISIONAL, _S.TIRED, _S.UNANSWERED, _S.REFRESH},
        # The 2xx is repeated until the answer is there; the ACK that it asks for is not made yet.
        _A.OWING: _FINAL | {_S.AGAIN, _S.ELSEWHERE, _S.PROVISIONAL, _S.DUE, _S.TIRED, _S.REFRESH, _S.WITHDRAW},
        _A.OVER: (_FINAL - {_S.TAKEN, _S.OFFERED}) | {
            _S.ASK, _S.BUSY, _S.CONFIRM, _S.ELSEWHERE, _S.END, _S.PROVISIONAL, _S.DUE, _S.TIRED, _S.UNANSWERED,
            _S.REFRESH, _S.WITHDRAW,
        },
    },
    _TIMERS,
)
# fmt: on
