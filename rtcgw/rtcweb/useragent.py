"""The RTCWeb user agent (430): half a call whose far end is a browser page.

`BrowserLeg` is the same class for both roles, in two starting events:

    caller   IDLE -PLACE-> CALLING -ACCEPT-> ANSWERED -page's ANSWER-> INCALL -> HANGUP
    callee   IDLE -SETUP-> OFFERED -page rings-> ALERTING -page's ANSWER-> ACCEPTING -CONFIRM-> INCALL -> HANGUP

and either, once it is INCALL: CHANGING while its page's new offer is decided, ASKED while the page decides one of the
gateway's; and when its page is lost, one of the states `away` until the page comes back or the grace time is over.
`LegState.figure` gives the five names of Fig. 7. A leg outlives its connection: the connection's loss never ends a
call by itself, only the grace timer does. A page that was merely ringing is no party yet and drops out at once; that
another one may still come and ring is the fork's business.

Every request of the page is answered exactly once. Those whose answer must wait for the other side (PRANSWER,
the callee's ANSWER, a new OFFER) are kept in `owed`, and settled at the latest when the call ends. A request that
makes no sense in the present state is answered with ERROR and changes nothing.

Here are the leg's doors and what its actions share. The actions themselves are functions that take the leg:

    legsetup.py     until the call is answered and confirmed
    legchange.py    a call that changes
    legtaking.py    a page takes it up: its own that comes back, or another one
    legleaving.py   the page goes, the call ends
    legtable.py     when each of them runs

What it is not: it finds no users and reads no bytes (`client.py`, `dialects/`), and does not touch media.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from twisted.internet.interfaces import IReactorTime
from zope.interface import Attribute, Interface, implementer

from rtcgw.machine import Machine, Table
from rtcgw.media.backend import Access
from rtcgw.model.events import Candidates, Description, Event
from rtcgw.model.identity import Identity, SessionId, User
from rtcgw.model.reason import Reason
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.native import Id
from rtcgw.rtcweb.legfacts import Facts
from rtcgw.rtcweb.legstates import BARE, MOVABLE, ORDERS, REQUESTS, LegEvent, LegState, Role
from rtcgw.translator.leg import ILeg, ILegParent, LegView

HELD_LIMIT: Final = 64
"""Candidates of a page that may wait until the call knows what to do with them."""
OWED_LIMIT: Final = 8
"""Requests of one page in one call that may wait for the other side."""
HISTORY: Final = 16
"""Messages remembered per leg for the inspector."""
PAIRS: Final = 4
"""Nominated pairs remembered per leg: the present one and those before it."""

Pair = Mapping[str, native.PairValue]


class IPage(Interface):
    """What a leg needs of the connection that its page is on."""

    name: str = Attribute("User and connection, for logs: `alice#12`.")
    capabilities: frozenset[str] = Attribute("What the page can do beyond the minimum.")
    access: Access = Attribute("What its media are like: WEB, or PLAIN without ICE.")

    def send(message: native.GatewayMessage) -> None:
        """Send a message; dropped silently when the connection is closing."""

    def adopt(leg: BrowserLeg) -> None:
        """The leg has moved to this page."""

    def drop(leg: BrowserLeg) -> None:
        """The leg is over, or has moved to another page."""


class IHome(Interface):
    """Who keeps the legs of one user, whatever happens to connections."""

    user: User = Attribute("Whose they are.")

    def forget(leg: BrowserLeg) -> None:
        """The leg is over."""

    def changed() -> None:
        """What the user's pages are told of a call has changed."""


@implementer(ILeg)
class BrowserLeg:
    """Half of a call that speaks to a page; made by `legtable.browser_leg`.

    `page` is the connection it is on, None while the page is away. `grace` is how long it then waits, `confirm_wait`
    how long the caller's page may take for its final ANSWER before the gateway confirms in its stead; seconds.
    """

    __slots__ = (
        "access",
        "clock",
        "confirm_wait",
        "described",
        "facts",
        "grace",
        "held",
        "history",
        "home",
        "machine",
        "offered",
        "owed",
        "page",
        "pairs",
        "parent",
        "peer",
        "role",
        "session",
        "unnoted",
        "waiting",
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
        self.access: Access = page.access
        self.parent: ILegParent | None = None
        self.page: IPage | None = page
        self.peer = page.name
        self.machine = Machine(table, self, clock, label=session)
        self.home = home
        self.clock = clock
        self.grace = grace
        self.confirm_wait = confirm_wait
        self.pairs: tuple[tuple[float, Pair], ...] = ()
        """The nominated pairs as the page reported them (440), each with its time; the present one last."""
        self.owed: list[tuple[str, Id]] = []
        """Requests whose answer waits for the other side: type and id, oldest first."""
        self.held: list[Candidates] = []
        """Candidates of the page that came before the description they belong to."""
        self.offered = False
        """The gateway's last description was an offer, which the page's next one answers."""
        self.described = role is Role.CALLER
        """The page has given the description that is due of it, so that its candidates mean something."""
        self.unnoted = 0
        """Early answers of the gateway's own that the page has not yet acknowledged."""
        self.waiting: native.Offer | None = None
        """The offer of a page that is back, while another one is still being decided."""
        self.history: deque[str] = deque(maxlen=HISTORY)
        self.facts = Facts()

    # -- the doors -------------------------------------------------------------------------

    def deliver(self, event: Event) -> None:
        """See `ILeg`."""
        order = ORDERS[type(event)]
        if order in BARE and getattr(event, "description", None) is None:
            order = BARE[order]
        self.machine.handle(order, event)

    def view(self) -> LegView:
        """See `ILeg`."""
        details = {"role": self.role.value, "state": self.machine.state.value, "access": self.access.value}
        if self.pairs:
            now = self.clock.seconds()
            details.update((f"pair.{name}", str(value)) for name, value in self.pairs[-1][1].items())
            for number, (since, pair) in enumerate(reversed(self.pairs)):
                details[f"pair {-number}"] = f"{now - since:.0f} s ago: {_told(pair)}"
        return LegView(
            kind="browser",
            peer=self.peer,
            state=self.machine.state.figure,
            timers=self.machine.timers(),
            last=tuple(self.history),
            details=details,
            user=self.home.user.name,
        )

    def info(self, page: object = None) -> native.CallInfo:
        """The call as a page of the user's sees it."""
        figure, facts = self.machine.state.figure, self.facts
        return native.CallInfo(
            session=self.session,
            role=self.role.value,
            state="Calling" if figure == "Calling" else "InCall" if figure == "InCall" else "Reloading",
            remote=native.Party(uri=facts.remote.uri, name=facts.remote.display),
            here=page is not None and self.page is page,
            away=self.away,
            answered=None if facts.answered is None else round(self.clock.seconds() - facts.answered, 1),
            holding=facts.holding,
            held=facts.on_hold,
        )

    @property
    def begun(self) -> bool:
        """Whether there is a call to be shown: neither one that the page has yet to hear of, nor one that is over."""
        return self.machine.state not in (LegState.IDLE, LegState.HANGUP)

    @property
    def away(self) -> bool:
        """Whether the page is lost and may come back."""
        return self.machine.state.away

    @property
    def movable(self) -> bool:
        """Whether another page of the user may take it up."""
        return self.machine.state in MOVABLE

    def place(self, message: native.Offer, remote: Identity) -> None:
        """The page calls `remote`: it hears WAITING. The translator is the caller's to ask."""
        self.machine.handle(LegEvent.PLACE, message, remote)

    def request(self, message: native.Request) -> None:
        """A request of the page that is about this call."""
        event = REQUESTS[type(message)]
        if isinstance(message, native.Answer) and message.sdp is None and self.description_due:
            event = LegEvent.PAGE_ANSWERS_BARE
        self.history.append(f"<- {type(message).__struct_config__.tag}")
        self.machine.handle(event, message)

    def rejoin(self, message: native.Offer, page: IPage) -> None:
        """A page takes the call up with a new offer: its own after a loss, or another one of the user's.

        The old connection need not have been missed yet: a network that changes leaves it half open.
        """
        if page.access is not self.access:
            # The media of the call are made for the one kind; a page of the other could not be heard.
            text = "The call was begun by a page with ICE, this one has none, or the reverse"
            page.send(self.error(message.id, Reason.MEDIA.word, text))
            return
        if self.facts.undescribed:
            text = "The call was placed without a description: only the page that placed it can give one"
            page.send(self.error(message.id, "illegal-state", text))
            return
        self.history.append("<- OFFER (taken up)")
        self.machine.handle(LegEvent.PAGE_RETURNS if self.page is None else LegEvent.TAKEN_OVER, message, page)

    def hang_up_elsewhere(self, message: native.Hangup) -> None:
        """The user ends the call on a page that does not have it."""
        self.machine.handle(LegEvent.ENDED_ELSEWHERE, message)

    def candidate(self, message: native.Candidate, page: IPage) -> None:
        """A candidate of the page: passed on, or kept in order until the page has described itself.

        Names in `.local` (mDNS) pass like addresses: nobody here resolves them.
        """
        # A browser writes the end of candidates as null, or as an empty text (W3C webrtc §4.8.1.1).
        news = Candidates(message.candidate or None, message.mid, message.m_line_index, message.ufrag)
        if self.described:
            self.report(news)
        elif len(self.held) < HELD_LIMIT:
            self.held.append(news)
        else:
            page.send(self.error(message.id, "limit", "Too many candidates before a description"))
            return
        if message.id is not None:
            page.send(native.Ok(for_="CANDIDATE", id=message.id, session=self.session))

    def nominated(self, pair: Pair) -> None:
        """The page's ICE agent has chosen its pair (440), at first or after a restart."""
        self.pairs = (*self.pairs, (self.clock.seconds(), pair))[-PAIRS:]

    def lost(self) -> None:
        """The connection of the page is gone."""
        self.machine.handle(LegEvent.PAGE_LOST)

    def leave(self) -> None:
        """The user logs out: a call ends at once; a page that only rings drops out and speaks for no other."""
        self.machine.handle(LegEvent.LOGGED_OUT)

    # -- what the actions share ------------------------------------------------------------

    def report(self, event: Event) -> None:
        """News for the call."""
        if self.parent is not None:
            self.parent.report(self, event)

    def send(self, message: native.GatewayMessage) -> None:
        """A message to the page, where there is one."""
        if self.page is not None:
            self.history.append(f"-> {type(message).__struct_config__.tag}")
            self.page.send(message)

    def can(self, capability: str) -> bool:
        """Whether there is a page, and it knows the word."""
        return self.page is not None and capability in self.page.capabilities

    def error(self, request: Id | None, code: str, text: str) -> native.Error:
        """An ERROR about this call."""
        return native.Error(id=request, session=self.session, code=code, text=text)

    def refuse(self, message: native.Request, code: str, text: str) -> None:
        """The request changes nothing, and the page hears why."""
        self.send(self.error(getattr(message, "id", None), code, text))

    def settle(self, word: str) -> Id | None:
        """The oldest request of this type that waits."""
        for index, (owed, request) in enumerate(self.owed):
            if owed == word:
                del self.owed[index]
                return request
        return None

    def settle_all(self) -> None:
        """No request stays unanswered."""
        owed, self.owed = self.owed, []
        for word, request in owed:
            self.send(self.error(request, "ended", f"The call ended, or its page left, before {word} was carried out"))

    @property
    def description_due(self) -> bool:
        """Whether the page's next description is one that its PRANSWER or ANSWER must carry."""
        return self.offered or not self.described

    def release(self) -> None:
        """The page has described itself: its candidates follow, in order."""
        self.described = True
        held, self.held = self.held, []
        for candidates in held:
            self.report(candidates)

    def send_description(self, request: Id | None, description: Description | None) -> None:
        """OK for OFFER: the call is answered, or a change taken."""
        sdp = None if description is None else description.sdp
        kind = None if description is None else description.kind
        self.send(native.Ok(for_="OFFER", id=request, session=self.session, sdp=sdp, sdp_type=kind))

    def connect(self) -> None:
        """The call is answered: its time runs."""
        self.facts.answered = self.clock.seconds()
        self.home.changed()

    def over(self) -> None:
        """Nobody hears of this leg any more."""
        page, self.page = self.page, None
        self.held.clear()
        if page is not None:
            page.drop(self)
        self.home.forget(self)

    def illegal(self, message: native.Request) -> None:
        """The page asked for what makes no sense now: it is told, the state stays."""
        self.refuse(message, "illegal-state", f"Not possible while the call is {self.machine.state.value}")

    def bare(self, message: native.Request) -> None:
        """A description is due and missing."""
        self.refuse(message, "sdp-required", "This message must carry `sdp` now")


def _told(pair: Pair) -> str:
    """A pair in one line, bounded."""
    return ", ".join(f"{name} {value}" for name, value in pair.items())[:200]
