"""One user who is there: the connections of their pages, and their halves of calls.

A user may have several pages. A leg whose page is away stays here until its grace time is over, and so does the
session. Whenever the list of calls changes, every page that knows the word is told (CALLS), at most once in a turn of
the reactor, however much has changed in it: so the other pages can show what happens on one of them.

What it is not: it finds no users (`identifying.py`) and carries out no request (`client.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import Attribute, Interface, implementer

from rtcgw.media.backend import Access
from rtcgw.model.identity import SessionId, User
from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.legfacts import NOBODY
from rtcgw.rtcweb.useragent import BrowserLeg, IHome
from rtcgw.translator.fork import Fork


class IClient(Interface):
    """A logged-in connection, as the session sees it."""

    access: Access = Attribute("What its media are like.")
    capabilities: frozenset[str] = Attribute("What the page can do beyond the minimum.")

    def ring(session: SessionId) -> BrowserLeg | None:
        """A callee's leg on this connection, or None when it takes part in that session already."""

    def send(message: native.GatewayMessage) -> None:
        """Send a message; dropped silently when the connection is closing."""


@implementer(IHome)
@define(eq=False)
class UserSession:
    """See the module. `_gone(session)` is called when nothing is left of it."""

    user: User
    _clock: IReactorTime = field(repr=False)
    clients: list[IClient] = field(factory=list)
    """Live connections, the oldest first."""
    legs: set[BrowserLeg] = field(factory=set)
    """The user's halves of calls, those whose page is away among them."""
    ringing: dict[SessionId, Fork] = field(factory=dict)
    """Calls to the user that nobody has answered yet: whoever logs in rings too."""
    _gone: Callable[[UserSession], None] = field(default=lambda session: None, repr=False)
    _telling: IDelayedCall | None = field(default=None, init=False, repr=False)

    def calls(self) -> set[SessionId]:
        """The calls of this user; one that rings on three pages is one."""
        return {leg.session for leg in self.legs}.union(self.ringing)

    def any(self, session: SessionId | str) -> BrowserLeg | None:
        """A leg of this call, on whatever page; where it rings on several, one of them."""
        return next((leg for leg in self.legs if leg.session == session), None)

    def log_out(self) -> None:
        """The user has left on purpose, on the last page: calls do not wait for another one."""
        for leg in list(self.legs):
            leg.leave()
        for fork in list(self.ringing.values()):
            fork.abandon()

    def waiting(self) -> tuple[str, ...]:
        """The calls that wait for their page."""
        return tuple(sorted(leg.session for leg in self.legs if leg.away))

    def views(self, page: object = None) -> tuple[native.CallInfo, ...]:
        """The calls of this user, each once, as `page` is to see them; one that rings there is shown as there."""
        shown: dict[SessionId, BrowserLeg] = {}
        for leg in self.legs:
            if leg.begun and (leg.session not in shown or leg.page is page):
                shown[leg.session] = leg
        vacant = (self._vacant(fork) for session, fork in self.ringing.items() if session not in shown)
        return (*(shown[session].info(page) for session in sorted(shown)), *vacant)

    @staticmethod
    def _vacant(fork: Fork) -> native.CallInfo:
        """A call that rings while no page of the user does; it will on the next one."""
        caller = fork.caller or NOBODY
        party = native.Party(uri=caller.uri, name=caller.display)
        return native.CallInfo(session=fork.session, role="callee", state="Calling", remote=party, away=True)

    def expect(self, fork: Fork) -> None:
        """A call rings for this user."""
        self.ringing[fork.session] = fork
        fork.on_over = self._rung

    def _rung(self, fork: Fork) -> None:
        self.ringing.pop(fork.session, None)
        self.changed()
        self.check()

    def ring(self, client: IClient) -> None:
        """This page has just come: what rings for the user rings there too, if it is of the same kind."""
        for fork in list(self.ringing.values()):
            if fork.access is client.access:
                leg = client.ring(fork.session)
                if leg is not None:
                    fork.join(leg)

    def changed(self) -> None:
        """See `IHome`."""
        if self._telling is None and any("calls" in client.capabilities for client in self.clients):
            self._telling = self._clock.callLater(0, self._tell)

    def _tell(self) -> None:
        self._telling = None
        for client in list(self.clients):
            if "calls" in client.capabilities:
                client.send(native.Calls(calls=self.views(client)))

    def forget(self, leg: BrowserLeg) -> None:
        """See `IHome`."""
        self.legs.discard(leg)
        self.changed()
        self.check()

    def check(self) -> None:
        """Nobody there and no call left: the session is over."""
        if not self.clients and not self.legs and not self.ringing:
            if self._telling is not None:
                self._telling.cancel()
                self._telling = None
            self._gone(self)
