"""One request on its way through the stand-in core: two transactions, joined (RFC 3261 §16.6-§16.10).

Responses come back with the Vias of those before us, CANCEL goes forward, and an INVITE that nobody
answers is cancelled by timer C. No forking: a subscription has one contact.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from attrs import define, field
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.flow import Hop
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.txuser import Failure, IClientUser, IServerUser

TIMER_C = 240.0
"""Seconds without a final response after which an INVITE is cancelled: more than three minutes (§16.6 step 11)."""


class ForwardState(Enum):
    """Where a forwarded request stands."""

    OPEN = "open"
    CANCELLED = "cancelled"
    """CANCEL has gone forward; the final response still decides."""
    ANSWERED = "answered"


class ForwardEvent(Enum):
    """What happens to it."""

    PROVISIONAL = "1xx"
    FINAL = "final response"
    CANCEL = "CANCEL"
    LATE = "timer C"
    FAILED = "no answer"


@implementer(IClientUser, IServerUser)
@define(eq=False)
class Forwarding:
    """Joins the server transaction `tx` to a client transaction; `over` is called once, when the answer is there."""

    _layer: TransactionLayer
    _tx: ServerTransaction
    _over: Callable[[Forwarding], object] = lambda forwarding: None
    machine: Machine[ForwardState, ForwardEvent] = field(init=False)
    _client: ClientTransaction = field(init=False)

    def start(self, copy: Request, hop: Hop) -> None:
        """Send `copy`, which has no Via yet."""
        self.machine = Machine(FORWARD_TABLE, self, self._layer.clock)
        self._tx.user = self
        self._client = self._layer.request(copy, hop, self)
        self.machine.start()

    def abandon(self) -> None:
        """Stop its timer; nobody is told."""
        self.machine.cancel("C")

    # -- news ------------------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`. A 100 is for us alone (§16.7 step 5)."""
        if response.status >= 200:
            self.machine.handle(ForwardEvent.FINAL, response)
        elif response.status > 100:
            self.machine.handle(ForwardEvent.PROVISIONAL, response)

    def got_failure(self, tx: ClientTransaction | ServerTransaction, failure: Failure) -> None:
        """See `IClientUser`. The server transaction's failure changes nothing: its asker has gone."""
        if tx is not self._tx:
            self.machine.handle(ForwardEvent.FAILED, failure)

    def got_cancel(self, tx: ServerTransaction, cancel: Request) -> None:
        """See `IServerUser`."""
        self.machine.handle(ForwardEvent.CANCEL, tuple(("reason", text) for text in cancel.headers.get("reason", ())))

    # -- actions ---------------------------------------------------------------------------

    def _send_back(self, response: Response) -> None:
        """The response with the Vias that its request had when it came."""
        back = Response(response.status, response.phrase)
        back.charset = response.charset
        back.headers["via"] = self._tx.request.headers["via"].copy()
        for name, values in response.headers.items():
            if name not in ("via", "content-length"):
                back.headers[name] = values.copy()
        back.body = response.body
        self._tx.respond(back)

    def _cancel(self, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self._layer.cancel(self._client, headers)

    def _fail(self, failure: Failure) -> None:
        """Nobody answered: 408; nobody could be reached: 500, for 503 would speak of us (§16.9)."""
        status = 408 if failure is Failure.TIMEOUT else 500
        self._tx.respond(make_response(self._tx.request, status))

    def _done(self, *_: object) -> None:
        self._over(self)

    def _timer_c(self) -> float | None:
        return TIMER_C if self._tx.request.method == "INVITE" else None


_S, _E, _F = ForwardState, ForwardEvent, Forwarding

# fmt: off
FORWARD_TABLE: Table[ForwardState, ForwardEvent] = Table(
    "forwarding",
    _S.OPEN,
    _E,
    {
        (_S.OPEN, _E.PROVISIONAL): Row(_S.OPEN, (_F._send_back,)),
        (_S.OPEN, _E.FINAL): Row(_S.ANSWERED, (_F._send_back, _F._done)),
        (_S.OPEN, _E.CANCEL): Row(_S.CANCELLED, (_F._cancel,)),
        (_S.OPEN, _E.LATE): Row(_S.CANCELLED, (_F._cancel,)),
        (_S.OPEN, _E.FAILED): Row(_S.ANSWERED, (_F._fail, _F._done)),

        (_S.CANCELLED, _E.PROVISIONAL): Row(_S.CANCELLED, (_F._send_back,)),
        (_S.CANCELLED, _E.FINAL): Row(_S.ANSWERED, (_F._send_back, _F._done)),
        (_S.CANCELLED, _E.FAILED): Row(_S.ANSWERED, (_F._fail, _F._done)),

        (_S.ANSWERED, _E.FINAL): Row(_S.ANSWERED, (_F._send_back,)),  # a repeated 2xx
    },
    {
        _S.CANCELLED: {_E.CANCEL, _E.LATE},
        _S.ANSWERED: set(_E) - {_E.FINAL},
    },
    [Timer("C", frozenset({_S.OPEN}), _F._timer_c, _E.LATE)],
)
# fmt: on
