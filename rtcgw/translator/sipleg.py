"""The SIP half-call: one INVITE dialog on one side, neutral events on the other.

Incoming and outgoing calls are this one leg in two starting states:

    outgoing   IDLE -> CALLING (-> REFUSED_ONCE -> CALLING) -> ANSWERED -> TALKING -> LEAVING -> ENDED
    incoming   OFFERED -> (ANSWERING) -> ACCEPTED -> TALKING -> LEAVING -> ENDED

The peer may be the IMS core or a browser that speaks SIP; which, only the port knows. The
leg decides when to say INVITE, PRACK, ACK, CANCEL, BYE and 1xx-6xx; the transactions below
it repeat them. This module holds the leg's data, its two doors (orders from the parent, news
from the transactions) and what both roles do; `sipuac.py` and `sipuas.py` hold the actions
of one role, `siptable.py` the table and the two ways to make a leg. Changes of the session are
`sipchange.py`'s (ours) and `sipanswers.py`'s (the peer's), INFO is `sipinfo.py`'s, the session timer `siptimer.py`'s.

PRACK and ACK never wait for a browser (RFC 3262 §3 and RFC 3261 §13.3.1.4 would end the
call), but for two cases: the answer must travel in them (offerless set-up), or
`ladder = "patent"` asks for the literal timing of Fig. 8; both are guarded by a timer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.machine import Machine, Table
from rtcgw.media.backend import Access
from rtcgw.model.events import (
    Accept,
    Confirm,
    Connected,
    Description,
    End,
    Event,
    Focus,
    Info,
    Keyframe,
    Kind,
    Progress,
    ProgressAck,
    Setup,
    Stray,
    Transfer,
    Transferring,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import DialogRef, SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import Dialog, DialogId
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.parties import known, renamed
from rtcgw.sip.reasons import of_bye
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser, IServerUser, ServerTransaction
from rtcgw.translator import siptimer
from rtcgw.translator.leg import ILeg, ILegParent, LegView
from rtcgw.translator.sipanswers import Answers, Change
from rtcgw.translator.sipchange import Asking
from rtcgw.translator.sipdialog import Ask, EarlyDialogs, reason_header, sdp_of
from rtcgw.translator.sipmoves import FOLLOWED, Redirects
from rtcgw.translator.siporigin import Thread, continued
from rtcgw.translator.sipport import IDialogOwner, ISipPort
from rtcgw.translator.sipstate import Input, Ladder, Policy, State
from rtcgw.translator.siptimer import SessionTimer

if TYPE_CHECKING:
    from rtcgw.translator.sipinfo import Infos
    from rtcgw.translator.siprefer import Referrals

log = Logger()

HISTORY = 16
"""Messages remembered per leg for the inspector."""

_ORDERS: dict[type[Event], Input] = {
    Setup: Input.SETUP,
    Progress: Input.PROGRESS,
    ProgressAck: Input.PROGRESS_ACK,
    Confirm: Input.CONFIRM,
    Update: Input.ASK,
    UpdateAccept: Input.CHANGE_TAKEN,
    UpdateReject: Input.CHANGE_REFUSED,
    Info: Input.INFORM,
    Keyframe: Input.INFORM,
    Stray: Input.STRAY,
    Transfer: Input.TRANSFER,
    Transferring: Input.TOLD,
    End: Input.END,
}
_METHODS = {
    "BYE": Input.BYE,
    "PRACK": Input.PRACK,
    "UPDATE": Input.CHANGE,
    "INVITE": Input.CHANGE,
    "INFO": Input.INFO,
    "REFER": Input.REFER,
    "NOTIFY": Input.NOTIFY,
}
UNFIT = frozenset({415, 420, 488, 580, 606})
"""Refusals of what an INVITE offers, not of the call: another offer may do."""


@implementer(ILeg, IDialogOwner, IClientUser, IServerUser)
class SipLeg:
    """Half of a call that speaks SIP; made by `siptable.outgoing` or `siptable.incoming`.

    `on_dialog(id)` is called when the call's dialog is known. Attributes without a docstring here are
    described in `__init__`.
    """

    __slots__ = (
        "access",
        "ack",
        "agent",
        "answers",
        "asking",
        "barred",
        "change",
        "clock",
        "dialog",
        "early",
        "ending",
        "focus",
        "history",
        "infos",
        "invite",
        "ladder",
        "machine",
        "on_dialog",
        "owed",
        "parent",
        "peer",
        "policy",
        "port",
        "redirects",
        "referrals",
        "said",
        "session",
        "setup",
        "shown",
        "thread",
        "timer",
        "told",
        "tx",
    )

    # long: the state of a leg, each name with its meaning; there is no step in it
    def __init__(
        self,
        session: SessionId,
        port: ISipPort,
        clock: IReactorTime,
        ladder: Ladder,
        table: Table[State, Input],
        on_dialog: Callable[[DialogId], None],
        peer: PeerProfile = PLAIN_PEER,
        owner: bool = True,
        policy: Policy = Policy(),  # noqa: B008 - frozen
    ) -> None:
        """`owner`: whether the Call-ID is ours."""
        self.session = session
        self.access = Access.CORE
        self.parent: ILegParent | None = None
        self.port = port
        self.clock = clock
        self.peer, self.ladder = peer, ladder
        self.on_dialog = on_dialog
        self.dialog: Dialog | None = None
        """The call's dialog; None until one of the early ones wins."""
        self.invite: Request | None = None
        self.tx: ClientTransaction | None = None
        """Outgoing: the INVITE's transaction."""
        self.early = EarlyDialogs(port)
        """Outgoing: the forks."""
        self.setup: Setup | None = None
        """Outgoing: what is asked for."""
        self.policy = policy
        self.redirects: Redirects | None = None  # made with the first 3xx: most calls have none
        self.shown = ""
        """The key of the party at the other end, as the parent knows it; empty until somebody asks."""
        self.barred: frozenset[str] = frozenset()
        """Outgoing: option tags that the callee has refused."""
        self.ack: Request | None = None
        """Outgoing: the ACK sent, kept for retransmitted 2xx."""
        self.agent = ""
        """Outgoing: what calls itself the server that has answered (RFC 3261 §20.35)."""
        self.owed = 0
        """Outgoing: PRANSWERs whose OK is still owed to the caller."""
        self.answers: Answers | None = None
        """Incoming: what has been sent on the INVITE."""
        self.ending = End(Reason.HANGUP)
        """Incoming: why the call ends, while BYE waits for the ACK."""
        self.change = Change(port, clock, ladder.t1, lambda: self.machine.handle(Input.UNACKED), self.agree, peer)
        self.asking = Asking(self, port, clock, owner, self._their_change, ladder.answer_wait)
        self.said: str | None = None
        """Our description that holds in the dialog: what a refresh by re-INVITE repeats."""
        self.timer: SessionTimer | None = None  # made when somebody has agreed on an interval
        self.infos: Infos | None = None  # made with the first key or picture: most calls have none
        self.referrals: Referrals | None = None  # made with the first REFER
        self.focus = ""
        """The name of the conference that the peer is in."""
        self.told = ""
        """The last description for the peer, until the leg moves."""
        self.thread: Thread | None = None
        """What it was told since then, and before."""
        self.history: deque[str] = deque(maxlen=HISTORY)
        self.machine: Machine[State, Input] = Machine(table, self, clock)

    # -- orders ----------------------------------------------------------------------------

    def deliver(self, event: Event) -> None:
        """See `ILeg`. Candidates and Ringback have no place towards a phone and are dropped: 180 and 183 say it."""
        description = getattr(event, "description", None)
        if description is not None or self.thread is not None or isinstance(event, Update):
            event = continued(self, event, description)
        if isinstance(event, Accept):
            ready = self.answers is None or self.answers.may_accept
            self.machine.handle(Input.ACCEPT if ready else Input.ACCEPT_LATER, event)
            return
        order = _ORDERS.get(type(event))
        if order is not None:
            self.machine.handle(order, event)

    def view(self) -> LegView:
        """See `ILeg`."""
        invite = self.invite
        peer = "" if invite is None else str(invite.to.uri if self.answers is None else invite.from_.uri)
        details = {"profile": self.port.profile}
        if invite is not None:
            details["call-id"] = invite.call_id
        return LegView(
            kind="sip",
            peer=peer,
            state=self.machine.state.value,
            timers=self.machine.timers(),
            last=tuple(self.history),
            details=details,
            profile=self.port.profile,
            call_id="" if invite is None else invite.call_id,
            agent=self.agent if invite is None or self.answers is None else invite.get("user-agent") or "",
        )

    # -- news ------------------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`: a response to our INVITE."""
        status = response.status
        if status == 100 or tx is not self.tx:
            return
        self.history.append(f"<- {status} {response.phrase[:32]}")
        if status < 300:
            try:
                _ = response.contact, response.record_routes
            except HeaderError as error:
                # Found out before the machine moves. There is no dialog in which to ACK: the peer gives up by itself.
                log.info("call {session}: response not used: {error}", session=self.session, error=error, ration="SIP")
                if status >= 200:
                    self.machine.handle(Input.REFUSED, response)
                return
        self.machine.handle(self._kind(status), response)

    def _kind(self, status: int) -> Input:
        if status < 200:
            return Input.PROVISIONAL
        if status < 300:
            return Input.SUCCESS if self.dialog is None else Input.AGAIN
        if status in (401, 407):
            return Input.CHALLENGED
        if status == 422:
            return Input.SHORT
        if (status in FOLLOWED and self.policy.redirects) or self._more(status):
            return Input.MOVED
        return Input.UNFIT if status in UNFIT else Input.REFUSED

    def _more(self, status: int) -> bool:
        """Whether a refusal leaves further addresses to try: one of them, not of all (6xx, §8.1.3.4, §21.6)."""
        return self.redirects is not None and self.redirects.waiting and status < 600

    def got_failure(self, tx: ClientTransaction | ServerTransaction, failure: Failure) -> None:
        """See `IClientUser` and `IServerUser`: nothing came, or nothing could be sent."""
        if tx is self.tx:
            self.machine.handle(Input.MOVED if self._more(408) else Input.SILENCE, failure)

    def got_cancel(self, tx: ServerTransaction, cancel: Request) -> None:
        """See `IServerUser`."""
        self.history.append("<- CANCEL")
        first = self.answers is not None and tx.request is self.answers.invite
        self.machine.handle(Input.CANCEL if first else Input.WITHDRAWN, cancel if first else tx)

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        """See `IDialogOwner`."""
        self.history.append(f"<- {request.method}")
        dialog = self.dialog or self.early.take(request.from_.tag or "")
        if dialog is not None and not dialog.accepts(request):
            tx.respond(make_response(request, 500, "CSeq Out of Order"))
            return
        event = _METHODS.get(request.method)
        if event is not None:
            if event is Input.CHANGE:
                _ = request.contact  # a broken one is refused here: whoever takes the change reads it again
            self.machine.handle(event, tx, request)
            return
        alive = request.method == "OPTIONS"
        response = make_response(request, 200 if alive else 405, "OK" if alive else "Method Not Allowed")
        self.port.decorate(response, self.peer)
        tx.respond(response)

    def got_ack(self, request: Request) -> None:
        """See `IDialogOwner`."""
        self.history.append("<- ACK")
        self.machine.handle(Input.ACK, request)

    # -- what both roles do ------------------------------------------------------------------

    def report(self, event: Event) -> None:
        """News for whoever holds this leg."""
        assert self.parent is not None
        self.parent.report(self, event if self.thread is None else self.thread.up(event))

    def report_end(self, event: End) -> None:
        """The leg has ended for a reason of its own."""
        self.report(event)

    def sent(self, what: str) -> None:
        """Something has been sent, for the inspector."""
        self.history.append(f"-> {what}")

    def enter(self, dialog: Dialog) -> bool:
        """`dialog` is the call's. False: there is no room for it in the index, no request of the peer would find it."""
        self.dialog = dialog
        self.asking.only(dialog)
        entered = self.port.add_dialog(dialog.id, self)
        self.on_dialog(dialog.id)
        return entered

    def replaces(self, announced: bool = False) -> DialogRef | None:
        """See `IReferable`: the tags are those of the peer, who is to match them."""
        if self.dialog is None or (announced and not self.dialog.supports("replaces")):
            return None
        return DialogRef(self.dialog.id.call_id, self.dialog.id.remote_tag, self.dialog.id.local_tag)

    def hang_up(self, event: End) -> None:
        """Send BYE; its answer, or silence, ends the leg."""
        assert self.dialog is not None
        self.settle()
        bye = self.dialog.request("BYE")
        bye.add(*reason_header(event.reason))
        self.history.append("-> BYE")
        Ask(self.port, self.dialog, bye, lambda response: self.machine.handle(Input.BYE_DONE))

    def hung_up(self, tx: ServerTransaction, request: Request) -> None:
        """BYE from the peer."""
        tx.respond(make_response(request, 200, "OK"))
        self.forget()
        self.report(of_bye(request))

    def answer_bye(self, tx: ServerTransaction, request: Request) -> None:
        """BYE from the peer of a call that is ending anyway: both hung up at once."""
        tx.respond(make_response(request, 200, "OK"))

    def suit(self, peer: PeerProfile) -> None:
        """The peer is of another kind than it was thought to be."""
        self.peer = self.change.peer = peer

    def ask(self, event: Update) -> None:
        """The parent wants the session changed: the peer is asked."""
        if event.fresh:
            self.focus = self.change.focus = event.focus
        self.asking.ask(self.dialog, event)

    def ask_not_now(self, event: Update) -> None:
        """No change can be asked for while the call is being set up in a way that no UPDATE may cross."""
        self.report(UpdateReject(Reason.CONFLICT))

    def change_confirmed(self, event: Confirm) -> None:
        """The answer to an offer that the peer made at our request."""
        self.asking.confirm(event)

    def renewed(self, tag: str, theirs: str | None, ours: str | None) -> None:
        """See `IAsker`: what a 2xx to the INVITE repeats, ours or the peer's, no longer holds."""
        self.said = ours or self.said
        if self.answers is not None:
            self.answers.replaced()
        else:
            self.early.agree(tag, theirs)

    def lost(self, end: End) -> None:
        """See `IAsker`."""
        self.machine.handle(Input.LOST, end)

    # -- the session timer -------------------------------------------------------------------

    def refresh(self) -> bool:
        """See `siptimer.ITimed`."""
        dialog = self.dialog
        return dialog is not None and self.machine.state is State.TALKING and self.asking.refresh(dialog, self.said)

    def agree(self, request: Request, response: Response) -> None:
        """A 2xx to the peer's change is about to go: now, and not before, has it moved the peer (RFC 6141 §5.4)."""
        dialog = self.dialog or self.early.take(request.from_.tag or "")
        if dialog is not None and request.method != "PRACK":
            before = dialog.focus
            dialog.refresh_target(request)
            if dialog.focus is not before:
                self.report(Focus(dialog.focus))
        if self.machine.state in (State.TALKING, State.ACCEPTED):
            siptimer.grant(self, request, response)

    # -- changes of the peer's -----------------------------------------------------------------

    def changing(self, tx: ServerTransaction, request: Request) -> None:
        """A re-INVITE or UPDATE. One without an offer can cross no offer of ours (RFC 3311 §5.2)."""
        if request.method == "UPDATE" and sdp_of(request) is None:
            if self.change.begin(tx):
                self.meet(request)
                self.change.accept(None)
        else:
            self.asking.theirs(tx, request)

    def take_change(self, tx: ServerTransaction, request: Request) -> None:
        """See `sipchange.IAsker`: the parent answers it."""
        if self.change.begin(tx):
            if request.method == "INVITE":
                tx.user = self  # it may be cancelled
            self.meet(request)
            self.report(Update(self.change.description(request)))

    def withdrawn(self, tx: ServerTransaction) -> None:
        """The peer has cancelled its re-INVITE. Whoever is asked need not decide; 487 goes when that is told here."""
        if self.change.request is tx.request:
            self.report(UpdateReject(Reason.CANCELLED))

    def meet(self, message: Message) -> None:
        """Whom the network asserts at the other end: told where it is another one than the parent knows.

        RFC 3325 §9.1, in a 2xx to our INVITE and in the peer's changes: after a forwarding or a transfer beyond us.
        """
        if self.dialog is None or "p-asserted-identity" not in message.headers:
            return
        if not self.shown and self.invite is not None:
            self.shown = known(self.invite)
        party = renamed(message, self.shown)
        if party is not None:
            self.shown = party.key
            self.report(Connected(party))

    def _their_change(self) -> bool:
        return self.change.open

    def changed(self, event: UpdateAccept) -> None:
        """The change is taken."""
        asked = self.change.request
        if event.description is not None and asked is not None:
            self.renewed(asked.from_.tag or "", sdp_of(asked), event.description.sdp)
        self.change.accept(None if event.description is None else event.description.sdp)

    def unchanged(self, event: UpdateReject) -> None:
        """The peer's change is refused, or ours is wanted no more."""
        if self.change.request is None:
            self.asking.withdraw()
        else:
            self.change.refuse(event.reason)

    def change_acked(self, request: Request) -> None:
        """The ACK of a change; it may carry the answer to an offerless re-INVITE."""
        sdp = sdp_of(request)
        if self.change.acked(request) and sdp is not None:
            self.report(Confirm(Description(Kind.ANSWER, sdp)))

    def too_early(self, tx: ServerTransaction, request: Request) -> None:
        """A change while the first exchange is open (RFC 3261 §14.2)."""
        tx.respond(make_response(request, 491, "Request Pending"))

    def no_such(self, tx: ServerTransaction, request: Request) -> None:
        """A request for a call that is gone, or matching nothing."""
        tx.respond(make_response(request, 481, "Call/Transaction Does Not Exist"))

    def settle(self) -> None:
        """Nothing of this call is repeated or asked any more."""
        self.change.abandon()
        self.asking.end()
        if self.infos is not None:
            self.infos.end()
        if self.timer is not None:
            self.timer.end()
        if self.answers is not None:
            self.answers.acked()

    def forget(self, *_: object) -> None:
        """The dialog is over."""
        self.settle()
        if self.dialog is not None:
            self.port.drop_dialog(self.dialog.id)
