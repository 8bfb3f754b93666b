"""The notifier's side of one event subscription (RFC 6665 §4.2): who has subscribed is told, until it expires.

    <- SUBSCRIBE   200 ->   NOTIFY ->          at once, and whenever there is news, at most one in `GAP` seconds
    <- SUBSCRIBE   200 ->   NOTIFY ->          again before it expires; with Expires 0 it is the last one

News that comes faster than that waits, and is told as one. A subscriber that does not take a NOTIFY has none any more.

This module knows no package: what there is to say is `INotifierSource`'s, whose identity the NOTIFYs bear is the
port's. A subscription may share the dialog of a call or have one of its own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, implementer

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import HeaderError, ParamValue
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import ClientTransaction
from rtcgw.sip.txuser import Failure, IClientUser

log = Logger()

GAP: Final = 1.0
"""Seconds between two NOTIFYs of one subscription."""
DEFAULT: Final = 3600
"""Seconds, where the subscriber does not say (RFC 4575 §3.4, RFC 3856 §6.4)."""
LEAST: Final = 60
"""Seconds; less is refused with 423."""
MOST: Final = 3600
"""Seconds granted at most."""


class INotifierPort(Interface):
    """The way to the subscriber, under some identity."""

    def decorate(message: Message) -> None:
        """Add Contact and what else belongs into a message of the dialog."""

    def send(request: Request, user: IClientUser) -> ClientTransaction:
        """Send a request to its next hop."""

    def authorize(request: Request, response: Response) -> Request | None:
        """The request again with credentials and the next CSeq, or None when the challenge cannot be met."""


class Notification(NamedTuple):
    """What a NOTIFY says."""

    content_type: str
    body: bytes


class INotifierSource(Interface):
    """What one subscriber is told."""

    def notification(full: bool) -> Notification:
        """The whole state, or what has changed since the last one."""

    def watching_ended(notifier: Notifier) -> None:
        """The subscription is over; called once."""


class NotifierState(Symbol):
    """Where a subscription stands."""

    IDLE = "not yet"
    CURRENT = "told everything"
    RESTING = "told just now"
    OWING = "told just now, with news since"
    OVER = "over"


class NotifierEvent(Symbol):
    """What happens to it."""

    SUBSCRIBED = "SUBSCRIBE"
    LEFT = "SUBSCRIBE with Expires 0"
    CHANGED = "news"
    RESTED = "may be told again"
    EXPIRED = "expired"
    CLOSED = "there is nothing to watch any more"
    LOST = "the subscriber is gone"


class Refused(Exception):
    """A SUBSCRIBE is refused; `response` says how."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"{response.status} {response.phrase}")
        self.response = response


def package(request: Request, known: str, accepted: str) -> str:
    """The Event header of a SUBSCRIBE to the package `known`, `id` and all, for its NOTIFYs.

    Raises `Refused`: 489 for any other package, 406 where the subscriber does not take `accepted` bodies;
    `HeaderError` where the header cannot be read.
    """
    value = request.get("event") or ""
    if ParamValue.parse(value).value.lower() != known:
        response = make_response(request, 489, "Bad Event")
        response.set("allow-events", known)
        raise Refused(response)
    types = [one.partition(";")[0].strip().lower() for one in request.values("accept")]
    if types and accepted not in types and "*/*" not in types and "application/*" not in types:
        raise Refused(make_response(request, 406, "Not Acceptable"))
    return value


def duration(request: Request) -> int:
    """Seconds that are granted; 0 ends a subscription, or fetches once. Raises `Refused`: 423."""
    text = (request.get("expires") or str(DEFAULT)).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise HeaderError("Expires is no number of seconds")
    wanted = int(text)
    if 0 < wanted < LEAST:
        response = make_response(request, 423, "Interval Too Brief")
        response.set("min-expires", str(LEAST))
        raise Refused(response)
    return min(wanted, MOST)


@implementer(IClientUser)
class Notifier:
    """One subscription. `event` is the Event header that its NOTIFYs bear."""

    __slots__ = ("_clock", "_ends", "_event", "_full", "_port", "_source", "_tries", "dialog", "machine")

    def __init__(
        self, port: INotifierPort, dialog: Dialog, event: str, source: INotifierSource, clock: IReactorTime
    ) -> None:
        self.dialog = dialog
        self.machine = Machine(NOTIFIER, self, clock, label="notifier")
        self._clock = clock
        self._port = port
        self._event = event
        self._source = source
        self._ends = 0.0
        """When it expires, by the clock."""
        self._full = True
        """The next NOTIFY says everything."""
        self._tries = 0
        """Challenges still met for the NOTIFY on its way."""

    # -- orders --------------------------------------------------------------------------------

    def subscribed(self, tx: ServerTransaction, request: Request) -> None:
        """Answer a SUBSCRIBE that belongs to this subscription, the first one included. Raises `Refused`."""
        seconds = duration(request)
        response = make_response(request, 200, "OK", self.dialog.id.local_tag)
        for value in request.headers.get("record-route", ()):
            response.add("record-route", value)
        self._port.decorate(response)
        response.set("expires", str(seconds))
        self.dialog.refresh_target(request)
        tx.respond(response)
        self._ends = self._clock.seconds() + seconds
        self.machine.handle(NotifierEvent.SUBSCRIBED if seconds else NotifierEvent.LEFT)

    def changed(self) -> None:
        """There is news."""
        self.machine.handle(NotifierEvent.CHANGED)

    def close(self) -> None:
        """What was watched is no more."""
        self.machine.handle(NotifierEvent.CLOSED)

    def lose(self) -> None:
        """The dialog is over: nobody can be told."""
        self.machine.handle(NotifierEvent.LOST)

    # -- news of a NOTIFY ----------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`. Whoever refuses a NOTIFY is told no more (RFC 6665 §4.2.2), unless it says when."""
        status = response.status
        if status < 300 or response.get("retry-after") is not None:
            return
        if status in (401, 407) and self._tries:
            self._tries -= 1
            again = self._port.authorize(tx.request, response)
            if again is not None:
                self.dialog.local_cseq = max(self.dialog.local_cseq, again.cseq.number)
                self._port.send(again, self)
                return
        self.machine.handle(NotifierEvent.LOST)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        self.machine.handle(NotifierEvent.LOST)

    # -- actions -------------------------------------------------------------------------------

    def _welcome(self) -> None:
        self._renew()
        self._tell()

    def _renew(self) -> None:
        self._full = True
        self.machine.arm("expiry", self._ends - self._clock.seconds())

    def _tell(self) -> None:
        rest = max(0, round(self._ends - self._clock.seconds()))
        self._send(f"active;expires={rest}")
        self.machine.arm("rest", GAP)

    def _take_leave(self) -> None:
        """The last state, to whoever leaves or only wanted to look once."""
        self._full = True
        self._say_last("timeout")

    def _expire(self) -> None:
        self._say_last("timeout")

    def _shut(self) -> None:
        self._say_last("noresource")

    def _say_last(self, reason: str) -> None:
        self._send(f"terminated;reason={reason}")
        self._gone()

    def _gone(self) -> None:
        self._source.watching_ended(self)

    def _send(self, state: str) -> None:
        told = self._source.notification(self._full)
        self._full = False
        request = self.dialog.request("NOTIFY")
        self._port.decorate(request)
        request.set("event", self._event)
        request.set("subscription-state", state)
        request.set("content-type", told.content_type)
        request.body = told.body
        self._tries = 1
        self._port.send(request, self)

    def _by_action(self) -> None:
        """Armed by an action, which knows how long."""


_S, _E, _N = NotifierState, NotifierEvent, Notifier
_LIVE: Final = (_S.CURRENT, _S.RESTING, _S.OWING)

NOTIFIER: Table[NotifierState, NotifierEvent] = Table(
    "notifier",
    _S.IDLE,
    NotifierEvent,
    {
        (_S.IDLE, _E.SUBSCRIBED): Row(_S.RESTING, (_N._welcome,)),
        (_S.IDLE, _E.LEFT): Row(_S.OVER, (_N._take_leave,)),
        (_S.CURRENT, _E.SUBSCRIBED): Row(_S.RESTING, (_N._welcome,)),
        (_S.CURRENT, _E.CHANGED): Row(_S.RESTING, (_N._tell,)),
        (_S.RESTING, _E.SUBSCRIBED): Row(_S.OWING, (_N._renew,)),
        (_S.RESTING, _E.CHANGED): Row(_S.OWING),
        (_S.RESTING, _E.RESTED): Row(_S.CURRENT),
        (_S.OWING, _E.SUBSCRIBED): Row(_S.OWING, (_N._renew,)),
        (_S.OWING, _E.CHANGED): Row(_S.OWING),
        (_S.OWING, _E.RESTED): Row(_S.RESTING, (_N._tell,)),
        **{(state, _E.LEFT): Row(_S.OVER, (_N._take_leave,)) for state in _LIVE},
        **{(state, _E.EXPIRED): Row(_S.OVER, (_N._expire,)) for state in _LIVE},
        **{(state, _E.CLOSED): Row(_S.OVER, (_N._shut,)) for state in _LIVE},
        **{(state, _E.LOST): Row(_S.OVER, (_N._gone,)) for state in _LIVE},
    },
    {
        _S.IDLE: set(_E) - {_E.SUBSCRIBED, _E.LEFT},
        _S.CURRENT: {_E.RESTED},
        _S.RESTING: set(),
        _S.OWING: set(),
        _S.OVER: set(_E),
    },
    [
        Timer("expiry", frozenset(_LIVE), _N._by_action, _E.EXPIRED),
        Timer("rest", frozenset({_S.RESTING, _S.OWING}), _N._by_action, _E.RESTED),
    ],
)
