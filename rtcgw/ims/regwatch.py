"""Watching our own registration: the `reg` subscription of one profile (RFC 3680, TS 24.229 §5.1.1.3).

It begins with the registration and ends with it. What the NOTIFYs add up to is judged by
`regnews.py`; a registrar without the package refuses once and is not asked again until the
next registration: one can live without.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.ims.line import Line
from rtcgw.ims.regevent import CONTENT_TYPE, Applied, RegEventError, RegView, parse
from rtcgw.ims.regnews import Verdict, judge
from rtcgw.model.defaults import EXPIRES_REGISTER
from rtcgw.sip.message import Request
from rtcgw.sip.subscription import ISubscriptionPort, ISubscriptionUser, Subscription
from rtcgw.sip.transaction import ServerTransaction
from rtcgw.sip.uri import Uri

log = Logger()

REFETCH_GAP = 60.0
"""Seconds between two fetches of the whole state; a notifier that skips versions must not lead us in circles."""


@implementer(ISubscriptionUser)
class RegWatch:
    """`told(verdict, seconds)` is called for each NOTIFY that has news about the line's contact.

    `port` is the profile's user agent, which enters itself; without one nothing is watched.
    """

    __slots__ = ("_clock", "_fetched", "_impu", "_line", "_subscription", "_told", "_view", "broken", "port")

    def __init__(self, line: Line, clock: IReactorTime, told: Callable[[Verdict, float], None]) -> None:
        self.port: ISubscriptionPort | None = None
        self.broken = 0
        """NOTIFYs whose body was no reginfo."""
        self._line = line
        self._clock = clock
        self._told = told
        self._impu = ""
        self._view = RegView()
        self._subscription: Subscription | None = None
        self._fetched = float("-inf")

    # -- orders ----------------------------------------------------------------------------

    def start(self, impu: str) -> None:
        """Watch the registration of `impu`; without effect while it is watched, or after a refusal until `stop`."""
        if self._subscription is None and self.port is not None:
            self._impu = impu
            self._subscription = Subscription(
                self.port,
                self,
                self._clock,
                Uri.parse(impu),
                "reg",
                CONTENT_TYPE,
                EXPIRES_REGISTER,
                self._line.layer.timers.limit,
            )
            self._subscription.start()

    def stop(self) -> None:
        """Watch no longer. The subscription takes its leave by itself; what it still hears is refused."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.stop()

    def got_notify(self, tx: ServerTransaction, request: Request) -> bool:
        """Take a NOTIFY; False, and unanswered, when it is not ours."""
        return self._subscription is not None and self._subscription.got_notify(tx, request)

    @property
    def state(self) -> str:
        """The subscription's state, for the inspector."""
        return "none" if self._subscription is None else self._subscription.machine.state.value

    # -- news from the subscription -----------------------------------------------------------

    def subscription_began(self) -> None:
        """See `ISubscriptionUser`."""
        self._view = RegView()

    def subscription_ended(self, why: str) -> None:
        """See `ISubscriptionUser`; the subscription has logged it, and the registration goes on without."""

    def notified(self, request: Request, state: str) -> None:
        """See `ISubscriptionUser`."""
        if not request.body:
            return
        try:
            applied = self._view.apply(parse(request.body))
        except RegEventError as error:
            self.broken += 1
            log.warn("profile {profile}: reg event dropped: {error}", profile=self._line.profile.name, error=error)
            return
        if applied is Applied.GAP:
            self._fetch_whole()
        elif applied is Applied.TAKEN:
            news = judge(self._view, self._line)
            if news is not None:
                self._told(*news)

    def _fetch_whole(self) -> None:
        """A partial document was missed: a new subscription begins with a full one."""
        now = self._clock.seconds()
        if now - self._fetched >= REFETCH_GAP:
            self._fetched = now
            self.stop()
            self.start(self._impu)
