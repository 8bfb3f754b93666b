"""The RTCWeb user agent (430): half a call whose far end is a browser page.

`BrowserLeg` is the same class for both roles, in two starting events:

    caller   IDLE -PLACE-> CALLING -ACCEPT-> ANSWERED -page's ANSWER-> INCALL -> HANGUP
    callee   IDLE -SETUP-> OFFERED -page rings-> ALERTING -page's ANSWER-> ACCEPTING -CONFIRM-> INCALL -> HANGUP

and either, when its page is lost: CALLING_AWAY or INCALL_AWAY until the page comes back or the grace time is over.
`LegState.figure` gives the five names of Fig. 7. A leg outlives its connection: the connection's loss never ends a
call by itself, only the grace timer does; a page that was merely ringing is no party yet and drops out at once.

Every request of the page is answered exactly once. Those whose answer must wait for the other side (PRANSWER,
the callee's ANSWER, a new OFFER) are kept in `_owed`, and settled at the latest when the call ends. A request that
makes no sense in the present state is answered with ERROR and changes nothing.

What it is not: it finds no users and reads no bytes (`client.py`, `dialects/`), and does not touch media.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface, implementer

from rtcgw.machine import Machine, Table
from rtcgw.media.backend import Access
from rtcgw.model.events import (
    Accept,
    Candidates,
    Confirm,
    Description,
    End,
    Event,
    Kind,
    Progress,
    ProgressAck,
    ProgressAcked,
    Setup,
    Stage,
    Update,
    UpdateAccept,
    UpdateReject,
)
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.native import Id
from rtcgw.rtcweb.legstates import FAULTS, MOVABLE, ORDERS, REFUSALS, REQUESTS, LegEvent, LegState, Role, reason_given
from rtcgw.translator.leg import ILeg, ILegParent, LegView

log = Logger()

HELD_LIMIT: Final = 64
"""Candidates of a page that may wait until the call knows what to do with them."""
OWED_LIMIT: Final = 8
"""Requests of one page in one call that may wait for the other side."""
HISTORY: Final = 16
"""Messages remembered per leg for the inspector."""


class IPage(Interface):
    """What a leg needs of the connection that its page is on."""

    name: str = Attribute("User and connection, for logs: `alice#12`.")
    early_messages: bool = Attribute("Whether the page knows PROGRESS.")

    def send(message: native.GatewayMessage) -> None:
        """Send a message; dropped silently when the connection is closing."""

    def adopt(leg: BrowserLeg) -> None:
        """The leg has moved to this page."""

    def drop(leg: BrowserLeg) -> None:
        """The leg is over, or has moved to another page."""


class IHome(Interface):
    """Who keeps the legs of one user, whatever happens to connections."""

    def forget(leg: BrowserLeg) -> None:
        """The leg is over."""


@implementer(ILeg)
class BrowserLeg:
    """Half of a call that speaks to a page; made by `legtable.browser_leg`.

    `page` is the connection it is on, None while the page is away. `grace` is how long it then waits, `confirm_wait`
    how long the caller's page may take for its final ANSWER before the gateway confirms in its stead; seconds.
    """

    __slots__ = (
        "_confirm_wait",
        "_described",
        "_grace",
        "_held",
        "_history",
        "_home",
        "_offered",
        "_owed",
        "access",
        "machine",
        "page",
        "pair",
        "parent",
        "peer",
        "role",
        "session",
    )

    def __init__(
        self,
        table: Table[LegState, LegEvent],
        session: SessionId,
        role: Role,
        page: IPage,
        home: IHome,
        clock: IReactorTime,
        grace: float,
        confirm_wait: float,
    ) -> None:
        self.session = session
        self.role = role
        self.access = Access.WEB
        self.parent: ILegParent | None = None
        self.page: IPage | None = page
        self.peer = page.name
        self.pair: Mapping[str, native.PairValue] = {}
        """The nominated candidate pair, as the page reported it (440)."""
        self.machine = Machine(table, self, clock, label=session)
        self._home = home
        self._grace = grace
        self._confirm_wait = confirm_wait
        self._owed: list[tuple[str, Id]] = []
        """Requests whose answer waits for the other side: type and id, oldest first."""
        self._held: list[Candidates] = []
        self._offered = False
        """The gateway's last description was an offer, which the page's next one answers."""
        self._described = role is Role.CALLER
        """The page has given a description, so that its candidates mean something."""
        self._history: deque[str] = deque(maxlen=HISTORY)

    # -- the doors -------------------------------------------------------------------------

    def deliver(self, event: Event) -> None:
        """See `ILeg`."""
        order = ORDERS[type(event)]
        if order is LegEvent.SETUP and isinstance(event, Setup) and event.description is None:
            order = LegEvent.SETUP_BARE
        self.machine.handle(order, event)

    def view(self) -> LegView:
        """See `ILeg`."""
        details = {"role": self.role.value, "state": self.machine.state.value}
        details.update((f"pair.{name}", str(value)) for name, value in self.pair.items())
        return LegView(
            kind="browser",
            peer=self.peer,
            state=self.machine.state.figure,
            timers=self.machine.timers(),
            last=tuple(self._history),
            details=details,
        )

    @property
    def away(self) -> bool:
        """Whether the page is lost and may come back."""
        return self.machine.state.away

    @property
    def movable(self) -> bool:
        """Whether another page of the user may take it up."""
        return self.machine.state in MOVABLE

    def place(self, message: native.Offer) -> None:
        """The page places a call: it hears WAITING. The translator is the caller's to ask."""
        self.machine.handle(LegEvent.PLACE, message)

    def request(self, message: native.Request) -> None:
        """A request of the page that is about this call."""
        event = REQUESTS[type(message)]
        if isinstance(message, native.Answer) and message.sdp is None and self._description_due:
            event = LegEvent.PAGE_ANSWERS_BARE
        self._history.append(f"<- {type(message).__struct_config__.tag}")
        self.machine.handle(event, message)

    def rejoin(self, message: native.Offer, page: IPage) -> None:
        """The page has come back on another connection, with a new offer.

        The old connection need not have been missed yet: a network that changes leaves it half open.
        """
        if self.page is not None:
            self._send(self._error(None, "moved", native.CODES["moved"]))
            self.lost()
        self._history.append("<- OFFER (page came back)")
        self.machine.handle(LegEvent.PAGE_RETURNS, message, page)

    def candidate(self, message: native.Candidate, page: IPage) -> None:
        """A candidate of the page: passed on, or kept in order until the page has described itself."""
        # A browser writes the end of candidates as null, or as an empty text (W3C webrtc §4.8.1.1).
        news = Candidates(message.candidate or None, message.mid, message.m_line_index, message.ufrag)
        if self._described:
            self._report(news)
        elif len(self._held) < HELD_LIMIT:
            self._held.append(news)
        else:
            page.send(self._error(message.id, "limit", "Too many candidates before a description"))
            return
        if message.id is not None:
            page.send(native.Ok(for_="CANDIDATE", id=message.id, session=self.session))

    def nominated(self, pair: Mapping[str, native.PairValue]) -> None:
        """The page's ICE agent has chosen its pair (440)."""
        self.pair = pair

    def lost(self) -> None:
        """The connection of the page is gone."""
        self.machine.handle(LegEvent.PAGE_LOST)

    def leave(self) -> None:
        """The user logs out: a call ends at once; a page that only rings drops out and speaks for no other."""
        self.lost()
        self.machine.handle(LegEvent.PAGE_HANGS_UP, None)

    # -- helpers ---------------------------------------------------------------------------

    def _report(self, event: Event) -> None:
        if self.parent is not None:
            self.parent.report(self, event)

    def _send(self, message: native.GatewayMessage) -> None:
        if self.page is not None:
            self._history.append(f"-> {type(message).__struct_config__.tag}")
            self.page.send(message)

    def _error(self, request: Id | None, code: str, text: str) -> native.Error:
        return native.Error(id=request, session=self.session, code=code, text=text)

    def _settle(self, word: str) -> Id | None:
        """The oldest request of this type that waits."""
        for index, (owed, request) in enumerate(self._owed):
            if owed == word:
                del self._owed[index]
                return request
        return None

    @property
    def _description_due(self) -> bool:
        """Whether the page's next description is the one that its PRANSWER or ANSWER must carry."""
        return self._offered if self.role is Role.CALLER else not self._described

    def _release(self) -> None:
        """The page has described itself: its candidates follow, in order."""
        self._described = True
        held, self._held = self._held, []
        for candidates in held:
            self._report(candidates)

    def _refuse_request(self, message: native.Request, code: str, text: str) -> None:
        self._send(self._error(getattr(message, "id", None), code, text))

    def _note(self, event: Progress | Accept) -> None:
        """Remember whether the other side's description asks the page for an answer."""
        if event.description is not None:
            self._offered = event.description.kind is Kind.OFFER

    def _send_description(self, request: Id | None, description: Description | None) -> None:
        """OK for OFFER: the call is answered, or a change taken."""
        sdp = None if description is None else description.sdp
        kind = None if description is None else description.kind
        self._send(native.Ok(for_="OFFER", id=request, session=self.session, sdp=sdp, sdp_type=kind))

    def _illegal(self, message: native.Request) -> None:
        """The page asked for what makes no sense now: it is told, the state stays."""
        self._refuse_request(message, "illegal-state", f"Not possible while the call is {self.machine.state.value}")

    def _bare(self, message: native.Request) -> None:
        self._refuse_request(message, "sdp-required", "This message must carry `sdp` now")

    # -- the page's requests ---------------------------------------------------------------

    def _place(self, message: native.Offer) -> None:
        self._history.append("<- OFFER")
        self._send(native.Waiting(id=message.id, session=self.session, to=message.to or ""))

    def _page_rings(self, message: native.Ringing) -> None:
        self._send(native.Ok(for_="RINGING", id=message.id, session=self.session))
        self._report(Progress(Stage.RINGING))

    def _rings_again(self, message: native.Ringing) -> None:
        self._send(native.Ok(for_="RINGING", id=message.id, session=self.session))

    def _page_pranswers(self, message: native.Pranswer) -> None:
        """The callee's early answer."""
        if message.sdp is None:
            self._bare(message)
            return
        self._send(native.Ok(for_="PRANSWER", id=message.id, session=self.session))
        self._report(Progress(Stage.SESSION, Description(Kind.PRANSWER, message.sdp)))
        self._release()

    def _page_acknowledges(self, message: native.Pranswer) -> None:
        """The caller's PRANSWER: its OK is that of the PRACK (Fig. 8, S830)."""
        if message.sdp is None and self._description_due:
            self._bare(message)
        elif len(self._owed) >= OWED_LIMIT:
            self._refuse_request(message, "limit", "Too many requests of this call wait for an answer")
        else:
            self._owed.append(("PRANSWER", message.id))
            self._report(ProgressAck(self._answer_in(message)))

    def _acknowledges_late(self, message: native.Pranswer) -> None:
        if self.role is Role.CALLER:
            self._send(native.Ok(for_="PRANSWER", id=message.id, session=self.session))
        else:
            self._illegal(message)

    def _answer_in(self, message: native.Pranswer | native.Answer) -> Description | None:
        """A caller's description counts only as the answer to an offer of the gateway."""
        if not self._offered or message.sdp is None:
            return None
        self._offered = False
        return Description(Kind.ANSWER, message.sdp)

    def _page_answers(self, message: native.Answer) -> None:
        """The callee's user answers; the OK comes when the caller has confirmed."""
        sdp = message.sdp
        self._owed.append(("ANSWER", message.id))
        self._report(Accept(None if sdp is None else Description(Kind.ANSWER, sdp)))
        self._release()

    def _page_confirms(self, message: native.Answer) -> None:
        """The caller's ANSWER, Fig. 8's final reply."""
        self._send(native.Ok(for_="ANSWER", id=message.id, session=self.session))
        self._report(Confirm(self._answer_in(message)))

    def _confirms_again(self, message: native.Answer) -> None:
        """Late, because the gateway has confirmed already: accepted all the same (idempotent)."""
        if self.role is Role.CALLER:
            self._send(native.Ok(for_="ANSWER", id=message.id, session=self.session))
        else:
            self._illegal(message)

    def _page_changes(self, message: native.Offer) -> None:
        self._owed.append(("OFFER", message.id))
        self._report(Update(Description(Kind.OFFER, message.sdp or "")))

    def _page_returns(self, message: native.Offer, page: IPage) -> None:
        self.page = page
        self.peer = page.name
        page.adopt(self)
        self._page_changes(message)

    def _returns_too_early(self, message: native.Offer, page: IPage) -> None:
        page.send(self._error(message.id, "illegal-state", "The call is not answered yet"))

    def _cancel(self, message: native.Hangup | None) -> None:
        self._leave(message, End(Reason.CANCELLED))

    def _refuse(self, message: native.Hangup) -> None:
        self._leave(message, End(reason_given(message, REFUSALS, Reason.DECLINED)))

    def _hang_up(self, message: native.Hangup | None) -> None:
        self._leave(message, End(reason_given(message, FAULTS, Reason.HANGUP)))

    def _leave(self, message: native.Hangup | None, end: End) -> None:
        """The page ends its part: what it still waited for is settled first."""
        self._settle_all()
        if message is not None:
            self._send(native.Ok(for_="HANGUP", id=message.id, session=self.session))
        self._over()
        self._report(end)

    # -- the page is lost ------------------------------------------------------------------

    def _go_away(self) -> None:
        self._settle_all()
        page, self.page = self.page, None
        if page is not None:
            page.drop(self)
        log.info("call {session}: {page} lost its page", session=self.session, page=self.peer)

    def _give_up(self) -> None:
        self._over()
        self._report(End(Reason.CLIENT_LOST))

    # -- the call's orders -----------------------------------------------------------------

    def _offer(self, event: Setup) -> None:
        assert event.description is not None
        caller = native.Party(uri=event.caller.uri, name=event.caller.display)
        self._send(
            native.Incoming(
                session=self.session, from_=caller, to=event.callee.uri, sdp=event.description.sdp, sdp_type="offer"
            )
        )

    def _cannot_ring(self, event: Setup) -> None:
        """A call without an offer from a party for which the gateway cannot make one."""
        self._over()
        self._report(End(Reason.MEDIA))

    def _progress(self, event: Progress) -> None:
        self._note(event)
        description = event.description
        sdp = None if description is None else description.sdp
        kind = None if description is None else description.kind
        early = self.page is not None and self.page.early_messages
        if event.stage is Stage.SESSION and early and sdp is not None and kind is not None:
            self._send(native.Early(session=self.session, sdp=sdp, sdp_type=kind))
        elif event.stage is Stage.RINGING or sdp is not None:
            self._send(native.Alerting(session=self.session, sdp=sdp, sdp_type=kind))

    def _acked(self, event: ProgressAcked) -> None:
        request = self._settle("PRANSWER")
        if request is not None:
            self._send(native.Ok(for_="PRANSWER", id=request, session=self.session))

    def _ack_progress(self, event: ProgressAck) -> None:
        """The caller has noted the callee's early answer; the page has nothing to add."""
        self._report(ProgressAcked())

    def _accepted(self, event: Accept) -> None:
        while self._owed:
            self._acked(ProgressAcked())  # PRACKs whose 200 was overtaken by the answer
        self._note(event)
        if self._offered:
            self.machine.cancel("confirm")  # nobody can make the page's answer in its stead
        self._send_description(None, event.description)

    def _accepted_away(self, event: Accept) -> None:
        self._note(event)
        self._confirm_alone()

    def _confirm_alone(self) -> None:
        """The page is away or silent: the other side must not wait for it, unless for its answer."""
        if not self._offered:
            self._report(Confirm())

    def _confirmed(self, event: Confirm) -> None:
        request = self._settle("ANSWER")
        if request is not None:
            self._send(native.Ok(for_="ANSWER", id=request, session=self.session))

    def _refuse_update(self, event: Update) -> None:
        """The dialect has no message by which the gateway offers within a session."""
        self._report(UpdateReject(Reason.MEDIA))

    def _changed(self, event: UpdateAccept) -> None:
        self._send_description(self._settle("OFFER"), event.description)

    def _change_refused(self, event: UpdateReject) -> None:
        self._send(self._error(self._settle("OFFER"), event.reason.word, event.reason.text))

    def _trickle(self, event: Candidates) -> None:
        self._send(
            native.Trickle(
                session=self.session,
                candidate=event.candidate,
                mid=event.mid,
                m_line_index=event.mline,
                ufrag=event.ufrag,
            )
        )

    def _vanish(self, event: End) -> None:
        """The call ended before the page had heard of it."""
        self._over()

    def _ended(self, event: End) -> None:
        self._settle_all()
        self._send(
            native.Ended(
                session=self.session,
                reason=event.reason.word,
                text=event.text or event.reason.text,
                status=event.status,
            )
        )
        self._over()

    def _settle_all(self) -> None:
        """No request stays unanswered."""
        owed, self._owed = self._owed, []
        for word, request in owed:
            self._send(
                self._error(request, "ended", f"The call ended, or its page left, before {word} was carried out")
            )

    def _over(self) -> None:
        page, self.page = self.page, None
        self._held.clear()
        if page is not None:
            page.drop(self)
        self._home.forget(self)
