"""The subscriber's side of one event subscription (RFC 6665 §4.1), kept alive until it is stopped or refused.

    SUBSCRIBE ->   <- 2xx   <- NOTIFY   200 ->      and again before it expires

The subscription exists from its first NOTIFY, which may overtake the 2xx; one dialog is taken
per SUBSCRIBE, as the package `reg` asks, NOTIFYs of other forks are refused with 481. What
goes wrong for a while is tried again with growing pauses; what is refused for good is told.

This module does not know whose identity it bears nor what a body says: the first is behind
`ISubscriptionPort`, the second behind `ISubscriptionUser`.
"""

from __future__ import annotations

import random
from enum import Enum

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import ParamValue
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser, ServerTransaction
from rtcgw.sip.uri import Uri

log = Logger()

QUIET = 60.0
"""Seconds; a subscription that ended sooner than this is not asked for again at once, whatever its end allows."""
PAUSE_LEAST = 30.0
PAUSE_MOST = 1800.0
"""Seconds between attempts, doubling (RFC 5626 §4.5)."""
LASTS_LEAST = 10.0
"""Seconds; a notifier that grants less is not asked again any faster."""
EXPIRES_MOST = 2**31
"""Seconds; a larger value in a header is not believed."""

_REFUSED = frozenset({403, 405, 420, 489, 501, 603})
"""Nothing to gain by asking again."""
_GONE = frozenset({404, 410, 416, 480, 481, 482, 483, 484, 485, 604})
"""On a refresh, the end of the subscription, but not of the wish for one (RFC 6665 §4.1.2.2)."""
_NEVER = frozenset({"rejected", "noresource", "invariant"})
_LATER = frozenset({"probation", "giveup"})


class ISubscriptionPort(Interface):
    """The way to the notifier, under some identity."""

    def subscribe(target: Uri) -> Request:
        """A SUBSCRIBE outside any dialog, complete but for Event, Accept and Expires."""

    def decorate(message: Message) -> None:
        """Add Contact and what else belongs into a SUBSCRIBE inside the dialog."""

    def send(request: Request, user: IClientUser) -> ClientTransaction:
        """Send a request to its next hop."""

    def authorize(request: Request, response: Response) -> Request | None:
        """The request again with credentials and the next CSeq, or None when the challenge cannot be met."""


class ISubscriptionUser(Interface):
    """Whoever wants to know."""

    def subscription_began() -> None:
        """A new subscription is asked for: what was known through an earlier one is to be forgotten."""

    def notified(request: Request, state: str) -> None:
        """A NOTIFY, already answered; `state` is `active`, `pending` or `terminated`."""

    def subscription_ended(why: str) -> None:
        """It was refused, and is not asked for again until `start`."""


class SubscriptionState(Enum):
    """Where a subscription stands."""

    IDLE = "idle"
    ASKING = "asking"
    """SUBSCRIBE is out, no NOTIFY has come."""
    ACTIVE = "active"
    REFRESHING = "refreshing"
    LEAVING = "leaving"
    """SUBSCRIBE with Expires 0 is out, the last NOTIFY has not come."""
    RESTING = "resting"
    """Waiting before the next attempt."""


class SubscriptionEvent(Enum):
    """What happens to it."""

    START = "start"
    STOP = "stop"
    TAKEN = "2xx"
    CHALLENGED = "401, 407"
    BRIEF = "423"
    GONE = "481"
    REFUSED = "refused"
    FAILED = "failed"
    LIVE = "NOTIFY active"
    AGAIN = "NOTIFY terminated, ask again"
    LATER = "NOTIFY terminated, ask later"
    OVER = "NOTIFY terminated, do not ask"
    TIMER_N = "timer N"
    REFRESH = "refresh is due"
    EXPIRED = "expired"
    RESTED = "rested"


@implementer(IClientUser)
class Subscription:
    """One subscription; `start()` it, give it the NOTIFYs that are its own, `stop()` it.

    `expires` is the duration asked for, `timer_n` (64*T1) the wait for the first NOTIFY; both in seconds.
    """

    __slots__ = (
        "_accept",
        "_began",
        "_clock",
        "_dialog",
        "_ends",
        "_event",
        "_expires",
        "_failures",
        "_pause",
        "_port",
        "_request",
        "_target",
        "_timer_n",
        "_tries",
        "_tx",
        "_user",
        "machine",
    )

    def __init__(
        self,
        port: ISubscriptionPort,
        user: ISubscriptionUser,
        clock: IReactorTime,
        target: Uri,
        event: str,
        accept: str,
        expires: int,
        timer_n: float = 32.0,
    ) -> None:
        self._port = port
        self._user = user
        self._clock = clock
        self._target = target
        self._event = event
        self._accept = accept
        self._expires = expires
        self._timer_n = timer_n
        self._dialog: Dialog | None = None
        self._request: Request | None = None
        """The SUBSCRIBE sent last; None when there is no subscription."""
        self._tx: ClientTransaction | None = None
        self._tries = 0
        """Challenges and 423 still met for this SUBSCRIBE."""
        self._began = 0.0
        self._ends = 0.0
        """When the subscription expires."""
        self._failures = 0
        self._pause: float | None = None
        """The pause that the notifier asked for."""
        self.machine = Machine(SUBSCRIPTION, self, clock, label=f"{event} subscription")

    # -- orders --------------------------------------------------------------------------------

    def start(self) -> None:
        """Subscribe, now even if it rests; without effect on a subscription that runs."""
        self.machine.handle(SubscriptionEvent.START)

    def stop(self) -> None:
        """Unsubscribe."""
        self.machine.handle(SubscriptionEvent.STOP)

    @property
    def key(self) -> tuple[str, str] | None:
        """Call-ID and our tag: what a NOTIFY of this subscription bears as Call-ID and To tag; None without one."""
        request = self._request
        return None if request is None else (request.call_id, request.from_.tag or "")

    # -- news ----------------------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        status = response.status
        if tx is not self._tx or status < 200:
            return
        if status < 300:
            event = SubscriptionEvent.TAKEN
        elif status in (401, 407) and self._tries:
            event = SubscriptionEvent.CHALLENGED
        elif status == 423 and self._tries:
            event = SubscriptionEvent.BRIEF
        elif status in _GONE:
            event = SubscriptionEvent.GONE
        elif status in _REFUSED or status in (401, 407):
            event = SubscriptionEvent.REFUSED
        else:
            event = SubscriptionEvent.FAILED
        self._pause = _seconds(response.get("retry-after"))
        self.machine.handle(event, response)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        if tx is self._tx:
            self._pause = None
            self.machine.handle(SubscriptionEvent.FAILED, None)

    def got_notify(self, tx: ServerTransaction, request: Request) -> bool:
        """Take a NOTIFY; False, and unanswered, when it is not this subscription's.

        Raises `HeaderError` when its headers cannot be read; the transaction layer answers that.
        """
        if self.key != (request.call_id, request.to.tag):
            return False
        if ParamValue.parse(request.get("event") or "").value.lower() != self._event:
            tx.respond(make_response(request, 489, "Bad Event"))
            return True
        state = ParamValue.parse(request.get("subscription-state") or "")
        dialog = self._dialog or self._begin_dialog(request)
        if dialog.id.remote_tag != (request.from_.tag or ""):
            tx.respond(make_response(request, 481, "Subscription Does Not Exist"))
        elif not dialog.accepts(request):
            tx.respond(make_response(request, 500, "CSeq Out of Order"))
        else:
            self._dialog = dialog
            dialog.refresh_target(request)
            tx.respond(make_response(request, 200, "OK"))
            self._take(request, state)
        return True

    def _begin_dialog(self, request: Request) -> Dialog:
        """The NOTIFY makes the dialog (RFC 6665 §4.4.1); our numbers go on from the SUBSCRIBE's."""
        assert self._request is not None
        dialog = Dialog.as_uas(request, request.to.tag or "")
        dialog.local_cseq = self._request.cseq.number
        dialog.remote_cseq = None
        return dialog

    def _take(self, request: Request, state: ParamValue) -> None:
        value = state.value.lower()
        self._user.notified(request, value)
        if value == "terminated":
            reason = (state.params.get("reason") or "").lower()
            self._pause = _seconds(state.params.get("retry-after"))
            self.machine.handle(self._ending(reason), reason or "terminated")
        else:
            self.machine.handle(SubscriptionEvent.LIVE, _seconds(state.params.get("expires")))

    def _ending(self, reason: str) -> SubscriptionEvent:
        """What the reason of an end allows (RFC 6665 §4.1.3)."""
        if reason in _NEVER:
            return SubscriptionEvent.OVER
        young = self._clock.seconds() - self._began < QUIET
        if reason in _LATER or self._pause is not None or young:
            return SubscriptionEvent.LATER
        return SubscriptionEvent.AGAIN

    # -- actions -------------------------------------------------------------------------------

    def _ask(self, *_: object) -> None:
        self._forget()
        self._began = self._clock.seconds()
        self._user.subscription_began()
        self._tries = 2
        self._send(self._port.subscribe(self._target), self._expires)

    def _refresh(self) -> None:
        self._tries = 2
        self._send(self._inside(), self._expires)

    def _unsubscribe(self) -> None:
        self._tries = 2
        self._send(self._inside(), 0)

    def _inside(self) -> Request:
        assert self._dialog is not None
        request = self._dialog.request("SUBSCRIBE")
        self._port.decorate(request)
        return request

    def _send(self, request: Request, expires: int) -> None:
        request.set("event", self._event)
        request.set("accept", self._accept)
        request.set("expires", str(expires))
        self._submit(request)

    def _submit(self, request: Request) -> None:
        self._request = request
        self.machine.arm("N", self._timer_n)
        self._tx = self._port.send(request, self)

    def _meet_challenge(self, response: Response) -> None:
        self._tries -= 1
        assert self._request is not None
        again = self._port.authorize(self._request, response)
        if again is None:
            self.machine.handle(SubscriptionEvent.REFUSED, response)
            return
        if self._dialog is not None:
            self._dialog.local_cseq = again.cseq.number
        self._submit(again)

    def _ask_longer(self, response: Response) -> None:
        """423: the notifier wants a longer duration; it gets it, and from now on."""
        least = _seconds(response.get("min-expires"))
        if least is None or least <= self._expires:
            self.machine.handle(SubscriptionEvent.FAILED, response)
            return
        self._tries -= 1
        self._expires = int(least)
        request = self._port.subscribe(self._target) if self._dialog is None else self._inside()
        self._send(request, self._expires)

    def _taken(self, response: Response) -> None:
        self._lasts(_seconds(response.get("expires")))

    def _live(self, expires: float | None) -> None:
        self._failures = 0
        self._lasts(expires)

    def _lasts(self, expires: float | None) -> None:
        """The notifier has said how long it lasts; refresh 600 s before, or half-way (as TS 24.229 §5.1.1.4.1)."""
        now = self._clock.seconds()
        if expires is not None:
            self._ends = now + expires
        elif self._ends <= now:
            self._ends = now + self._expires
        rest = max(self._ends - now, LASTS_LEAST)
        self.machine.arm("expiry", rest)
        self.machine.arm("refresh", rest - 600 if rest > 1200 else rest / 2)

    def _refresh_later(self, _: object) -> None:
        """A refresh came to nothing, but the subscription stands until it expires (RFC 6665 §4.1.2.2)."""
        self.machine.arm("refresh", self._next_pause())

    def _rest(self, *_: object) -> None:
        self._forget()
        self.machine.arm("rest", self._next_pause())

    def _next_pause(self) -> float:
        asked, self._pause = self._pause, None
        longest = min(PAUSE_MOST, PAUSE_LEAST * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        return longest * random.uniform(0.5, 1.0) if asked is None else asked  # noqa: S311 - spread, not secrecy

    def _ended(self, news: Response | str | None) -> None:
        self._forget()
        why = f"{news.status} {news.phrase[:64]}" if isinstance(news, Response) else news or "refused"
        log.info(
            "subscription to {event} of {target} ended: {why}", event=self._event, target=self._target.key, why=why
        )
        self._user.subscription_ended(why)

    def _forget(self, *_: object) -> None:
        self._dialog = self._request = self._tx = None
        self._ends = 0.0

    # -- timers --------------------------------------------------------------------------------

    def _limit(self) -> float:
        return self._timer_n

    def _by_action(self) -> None:
        """Armed by an action, which knows how long."""


def _seconds(text: str | None) -> float | None:
    """The delta-seconds at the beginning of a header or parameter, or None."""
    digits = (text or "").partition(";")[0].partition("(")[0].strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10:
        return None
    return float(min(int(digits), EXPIRES_MOST))


_S, _E, _A = SubscriptionState, SubscriptionEvent, Subscription

# fmt: off
SUBSCRIPTION: Table[SubscriptionState, SubscriptionEvent] = Table(
    "subscription",
    _S.IDLE,
    _E,
    {
        (_S.IDLE, _E.START): Row(_S.ASKING, (_A._ask,)),

        (_S.ASKING, _E.STOP): Row(_S.IDLE, (_A._forget,)),  # no dialog to end: a NOTIFY that still comes gets 481
        (_S.ASKING, _E.TAKEN): Row(_S.ASKING, (_A._taken,)),
        (_S.ASKING, _E.CHALLENGED): Row(_S.ASKING, (_A._meet_challenge,)),
        (_S.ASKING, _E.BRIEF): Row(_S.ASKING, (_A._ask_longer,)),
        (_S.ASKING, _E.GONE): Row(_S.RESTING, (_A._rest,)),
        (_S.ASKING, _E.REFUSED): Row(_S.IDLE, (_A._ended,)),
        (_S.ASKING, _E.FAILED): Row(_S.RESTING, (_A._rest,)),
        (_S.ASKING, _E.LIVE): Row(_S.ACTIVE, (_A._live,)),
        (_S.ASKING, _E.AGAIN): Row(_S.ASKING, (_A._ask,)),
        (_S.ASKING, _E.LATER): Row(_S.RESTING, (_A._rest,)),
        (_S.ASKING, _E.OVER): Row(_S.IDLE, (_A._ended,)),
        (_S.ASKING, _E.TIMER_N): Row(_S.RESTING, (_A._rest,)),

        (_S.ACTIVE, _E.STOP): Row(_S.LEAVING, (_A._unsubscribe,)),
        (_S.ACTIVE, _E.TAKEN): Row(_S.ACTIVE, (_A._taken,)),  # overtaken by the NOTIFY
        (_S.ACTIVE, _E.LIVE): Row(_S.ACTIVE, (_A._live,)),
        (_S.ACTIVE, _E.AGAIN): Row(_S.ASKING, (_A._ask,)),
        (_S.ACTIVE, _E.LATER): Row(_S.RESTING, (_A._rest,)),
        (_S.ACTIVE, _E.OVER): Row(_S.IDLE, (_A._ended,)),
        (_S.ACTIVE, _E.REFRESH): Row(_S.REFRESHING, (_A._refresh,)),
        (_S.ACTIVE, _E.EXPIRED): Row(_S.ASKING, (_A._ask,)),

        (_S.REFRESHING, _E.STOP): Row(_S.LEAVING, (_A._unsubscribe,)),
        (_S.REFRESHING, _E.TAKEN): Row(_S.ACTIVE, (_A._taken,)),
        (_S.REFRESHING, _E.CHALLENGED): Row(_S.REFRESHING, (_A._meet_challenge,)),
        (_S.REFRESHING, _E.BRIEF): Row(_S.REFRESHING, (_A._ask_longer,)),
        (_S.REFRESHING, _E.GONE): Row(_S.ASKING, (_A._ask,)),
        (_S.REFRESHING, _E.REFUSED): Row(_S.IDLE, (_A._ended,)),
        (_S.REFRESHING, _E.FAILED): Row(_S.ACTIVE, (_A._refresh_later,)),
        (_S.REFRESHING, _E.LIVE): Row(_S.REFRESHING, (_A._live,)),
        (_S.REFRESHING, _E.AGAIN): Row(_S.ASKING, (_A._ask,)),
        (_S.REFRESHING, _E.LATER): Row(_S.RESTING, (_A._rest,)),
        (_S.REFRESHING, _E.OVER): Row(_S.IDLE, (_A._ended,)),
        (_S.REFRESHING, _E.EXPIRED): Row(_S.ASKING, (_A._ask,)),

        (_S.LEAVING, _E.START): Row(_S.ASKING, (_A._ask,)),
        (_S.LEAVING, _E.CHALLENGED): Row(_S.LEAVING, (_A._meet_challenge,)),
        (_S.LEAVING, _E.BRIEF): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.GONE): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.REFUSED): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.FAILED): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.AGAIN): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.LATER): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.OVER): Row(_S.IDLE, (_A._forget,)),
        (_S.LEAVING, _E.TIMER_N): Row(_S.IDLE, (_A._forget,)),

        (_S.RESTING, _E.START): Row(_S.ASKING, (_A._ask,)),
        (_S.RESTING, _E.STOP): Row(_S.IDLE),
        (_S.RESTING, _E.RESTED): Row(_S.ASKING, (_A._ask,)),
    },
    {
        _S.IDLE: set(_E) - {_E.START},
        _S.ASKING: {_E.START, _E.REFRESH, _E.EXPIRED, _E.RESTED},
        # A refusal after the NOTIFY contradicts it; the subscription ends by its own expiry, if at all.
        _S.ACTIVE: {
            _E.START, _E.CHALLENGED, _E.BRIEF, _E.GONE, _E.REFUSED, _E.FAILED, _E.TIMER_N, _E.RESTED,
        },
        _S.REFRESHING: {_E.START, _E.TIMER_N, _E.REFRESH, _E.RESTED},
        _S.LEAVING: {_E.STOP, _E.TAKEN, _E.LIVE, _E.REFRESH, _E.EXPIRED, _E.RESTED},
        _S.RESTING: set(_E) - {_E.START, _E.STOP, _E.RESTED},
    },
    [
        Timer("N", frozenset({_S.ASKING, _S.LEAVING}), _A._limit, _E.TIMER_N),
        Timer("refresh", frozenset({_S.ACTIVE}), _A._by_action, _E.REFRESH),
        Timer("expiry", frozenset({_S.ACTIVE, _S.REFRESHING}), _A._by_action, _E.EXPIRED),
        Timer("rest", frozenset({_S.RESTING}), _A._by_action, _E.RESTED),
    ],
)
# fmt: on
