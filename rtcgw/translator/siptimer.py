"""Session timers of the SIP half-call, both roles (RFC 4028): who refreshes, when, and what ends a call that is dead.

    NONE -> OURS -> ASKING -> OURS          we refresh at half of the interval
    NONE -> THEIRS                          the peer does; without it the call ends shortly before the interval does
    any  -> OVER                            the call has ended

Each 2xx to an INVITE, re-INVITE or UPDATE, whoever sent it and whatever for, settles the terms anew (§7.2, §9). A
refresh is an UPDATE without a description where the peer takes UPDATE, else a re-INVITE with the description that
holds: neither the page nor the media hear of it. It goes through `sipchange.Asking`, so that no two requests of ours
are out at once. A call has a timer once somebody has agreed on an interval; most of the words are in `sipterms.py`.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.model.events import End
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.message import Request, Response
from rtcgw.translator import sipterms
from rtcgw.translator.sipstate import Ladder

SHORTEST_PAUSE: Final = 5.0
"""Seconds between two tries of a refresh that is refused, at the least (§10: no continuous retries)."""
MARGIN: Final = 32.0
"""Seconds before the end of the interval at which the peer's refresh is overdue, or a third of it (§10)."""

RAISES: Final = 3
"""422s that one request may meet: several proxies may raise Min-SE one after the other, but not without end."""


class Watch(Symbol):
    """Who keeps the session alive."""

    NONE = "no interval"
    OURS = "we refresh"
    ASKING = "refresh asked"
    THEIRS = "the peer refreshes"
    OVER = "over"


class Tick(Symbol):
    """What a session timer meets."""

    OURS = "agreed, we refresh"
    THEIRS = "agreed, the peer refreshes"
    FREE = "agreed, no interval"
    DUE = "half of the interval"
    LATER = "not now"
    EXPIRED = "interval over"
    END = "end of the call"


class ITimed(Protocol):
    """The leg."""

    peer: PeerProfile
    ladder: Ladder
    clock: IReactorTime
    dialog: Dialog | None
    timer: SessionTimer | None

    def refresh(self) -> bool:
        """Ask for a refresh; False: not now, another request is open. Its 2xx is `taken`, a refusal `refused`."""

    def lost(self, end: End) -> None:
        """The peer does not know the dialog any more, or does not answer (RFC 3261 §12.2.1.2)."""


class SessionTimer:
    """The timer of one leg."""

    __slots__ = ("_expires", "_leg", "_raises", "interval", "knows", "least", "machine")

    def __init__(self, leg: ITimed) -> None:
        self._leg = leg
        self._expires = 0.0
        self._raises = 0
        """422s since the last agreement."""
        self.interval = 0
        """Seconds; what was agreed last, 0 before."""
        self.least = leg.ladder.min_se
        """Seconds; what everybody on the way takes, as far as their 422 have told (§7.4)."""
        self.knows = False
        """Whether the peer has timers itself. One that has none may refuse a refresh and is alive all the same."""
        self.machine = Machine(TIMER, self, leg.clock)

    def agreed(self, interval: int, ours: bool) -> None:
        """A 2xx says so."""
        self.interval, self._raises = interval, 0
        self.machine.handle(Tick.OURS if ours else Tick.THEIRS)

    def free(self) -> None:
        """A 2xx has no interval any more (§7.2). Of a peer that knows none that says nothing: we go on."""
        if self.knows or not self.refreshing:
            self.interval = 0
            self.machine.handle(Tick.FREE)
        else:
            self.machine.handle(Tick.OURS)

    def raised(self, least: int) -> bool:
        """A 422 demands so much; False: too many have."""
        self._raises += 1
        self.least = max(self.least, least)
        return self._raises <= RAISES

    @property
    def refreshing(self) -> bool:
        """Whether it is us who refresh."""
        return self.machine.state in (Watch.OURS, Watch.ASKING)

    @property
    def role(self) -> str:
        """Who has refreshed so far, as a request of ours says it."""
        if self.machine.state is Watch.THEIRS:
            return "uas"
        return "uac" if self.refreshing else ""

    def refused(self, pause: float | None) -> None:
        """A refresh was not taken. `pause`: seconds after which it may be; None: it was refused for good."""
        if pause is None and not self.knows:
            self.machine.handle(Tick.OURS)
            return
        left = self._expires - self._leg.clock.seconds()
        self.machine.handle(Tick.LATER, max(left / 2, SHORTEST_PAUSE) if pause is None else pause)

    def end(self) -> None:
        """The call is over."""
        self.machine.handle(Tick.END)

    # -- actions ---------------------------------------------------------------------------

    def _ours(self) -> None:
        self._expires = self._leg.clock.seconds() + self.interval
        self.machine.arm("refresh", self.interval / 2)
        self.machine.arm("expiry", self.interval)

    def _theirs(self) -> None:
        self.machine.arm("expiry", self.interval - min(MARGIN, self.interval / 3))

    def _refresh(self) -> None:
        if not self._leg.refresh():
            self.machine.handle(Tick.LATER, SHORTEST_PAUSE)

    def _later(self, pause: float) -> None:
        self.machine.arm("refresh", pause)

    def _lost(self) -> None:
        self._leg.lost(End(Reason.TIMEOUT))


_W, _T = Watch, Tick
_ALIVE = (_W.NONE, _W.OURS, _W.ASKING, _W.THEIRS)
_ROWS = {
    **{(state, _T.OURS): Row(_W.OURS, (SessionTimer._ours,)) for state in _ALIVE},
    **{(state, _T.THEIRS): Row(_W.THEIRS, (SessionTimer._theirs,)) for state in _ALIVE},
    **{(state, _T.FREE): Row(_W.NONE) for state in _ALIVE},
    **{(state, _T.END): Row(_W.OVER) for state in _ALIVE},
    (_W.OURS, _T.DUE): Row(_W.ASKING, (SessionTimer._refresh,)),
    (_W.ASKING, _T.LATER): Row(_W.OURS, (SessionTimer._later,)),
    (_W.OURS, _T.EXPIRED): Row(_W.OVER, (SessionTimer._lost,)),
    (_W.ASKING, _T.EXPIRED): Row(_W.OVER, (SessionTimer._lost,)),
    (_W.THEIRS, _T.EXPIRED): Row(_W.OVER, (SessionTimer._lost,)),
}
TIMER: Table[Watch, Tick] = Table(
    "SIP leg, session timer",
    _W.NONE,
    Tick,
    _ROWS,
    {
        _W.NONE: {_T.DUE, _T.LATER, _T.EXPIRED},
        _W.OURS: {_T.LATER},
        _W.ASKING: {_T.DUE},
        # A refresh of ours may still be answered when a change has made it the peer's duty.
        _W.THEIRS: {_T.DUE, _T.LATER},
        _W.OVER: set(Tick),
    },
    [
        Timer("refresh", frozenset({_W.OURS}), lambda timer: None, _T.DUE),
        Timer("expiry", frozenset({_W.OURS, _W.ASKING, _W.THEIRS}), lambda timer: None, _T.EXPIRED),
    ],
)


# -- what a leg does with it -------------------------------------------------------------------


def propose(leg: ITimed, request: Request) -> None:
    """Ask in a request of ours for how long the session is to hold (§7.1, §7.4)."""
    if sipterms.TIMER in leg.peer.without:
        return
    interval, least, role = leg.ladder.session_expires, leg.ladder.min_se, ""
    timer = leg.timer
    if timer is not None:
        interval, least, role = timer.interval or interval, timer.least, timer.role
    if interval or least > leg.ladder.min_se:
        sipterms.propose(request, max(interval, least), least, role)


def grant(leg: ITimed, request: Request, response: Response) -> None:
    """Our 2xx to an INVITE, re-INVITE or UPDATE is about to go: it says for how long the session holds (§9)."""
    if sipterms.TIMER in leg.peer.without:
        return
    timer = leg.timer
    wanted = leg.ladder.session_expires if timer is None else timer.interval or leg.ladder.session_expires
    _settle(leg, request, sipterms.grant(request, response, wanted), "uas")


def taken(leg: ITimed, response: Response) -> None:
    """The peer's 2xx to an INVITE, re-INVITE or UPDATE of ours (§7.2)."""
    _settle(leg, response, sipterms.granted(response), "uac")


def _settle(leg: ITimed, message: Request | Response, terms: sipterms.Terms | None, here: str) -> None:
    """`message` is the peer's, `here` our role in the exchange."""
    timer = leg.timer
    if timer is None:
        if terms is None:
            return
        timer = leg.timer = SessionTimer(leg)
    by_peer = terms is not None and terms.refresher != here
    timer.knows = timer.knows or by_peer or sipterms.knows(message)
    if terms is None:
        timer.free()
    else:
        timer.agreed(terms.interval, terms.refresher == here)


def longer(leg: ITimed, request: Request, response: Response) -> bool:
    """A 422 to a request of ours: from now on as much as it demands is asked for (§7.3).

    False: it stands, for it demands no more than we asked for, or somebody has raised it too often.
    """
    least, asked = sipterms.least_of(response), sipterms.terms_of(request)
    if least is None or (asked is not None and least <= asked.interval) or sipterms.TIMER in leg.peer.without:
        return False
    timer = leg.timer = leg.timer or SessionTimer(leg)
    return timer.raised(least)


def refused(leg: ITimed, pause: float | None) -> None:
    """A refresh has been refused. `pause`: seconds after which it may be taken; None: it is no matter of time."""
    if leg.timer is not None:
        leg.timer.refused(pause)
