"""Client transactions: INVITE and the others, each a table (RFC 3261 §17.1, RFC 6026 §7.2, RFC 4320).

    TU -> request            transport -> 1xx, 2xx, 3xx-6xx
    transaction -> request again, ACK to 3xx-6xx, CANCEL

Two states come on top of the RFC's INVITE figure, so that no flag is needed: WITHDRAWN is
Calling with a CANCEL that waits for the first 1xx, CANCELLED is Proceeding with that CANCEL
sent (§9.1). The ACK to a 2xx is not a transaction's: `TransactionLayer.send_ack`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.model.defaults import MAX_FORWARDS
from rtcgw.sip.flow import Hop, ISender
from rtcgw.sip.message import Request, Response
from rtcgw.sip.txuser import Failure, IClientUser

if TYPE_CHECKING:
    from rtcgw.sip.outgoing import Outgoing
    from rtcgw.sip.transaction import TransactionLayer

ClientKey = tuple[str, str]
"""Branch of the top Via and method of the CSeq (§17.1.3)."""


class InviteClientState(Symbol):
    """Where an INVITE that was sent stands."""

    CALLING = "calling"
    WITHDRAWN = "withdrawn"
    """Calling, and CANCEL goes out with the first 1xx."""
    PROCEEDING = "proceeding"
    CANCELLED = "cancelled"
    """Proceeding, and CANCEL has been sent."""
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class InviteClientEvent(Symbol):
    """What happens to it."""

    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    REFUSAL = "3xx-6xx"
    CANCEL = "cancel"
    MOVED = "moved to UDP"
    BROKEN = "transport error"
    TIMER_A = "timer A"
    TIMER_B = "timer B"
    TIMER_D = "timer D"
    TIMER_M = "timer M"
    TIMER_X = "no final response after CANCEL"


class ClientState(Symbol):
    """Where another request that was sent stands."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class ClientEvent(Symbol):
    """What happens to it."""

    PROVISIONAL = "1xx"
    FINAL = "2xx-6xx"
    MOVED = "moved to UDP"
    BROKEN = "transport error"
    TIMER_E = "timer E"
    TIMER_F = "timer F"
    TIMER_K = "timer K"


@implementer(ISender)
class ClientTransaction:
    """One request on its way to its final response; made by `TransactionLayer.request`."""

    __slots__ = ("_interval", "_layer", "_sent", "_user", "key", "machine", "request")

    machine: Machine[Any, Any]

    def __init__(self, layer: TransactionLayer, key: ClientKey, request: Request, user: IClientUser) -> None:
        self.key = key
        self.request = request
        """The request as it was sent, its Via included."""
        self._layer = layer
        self._user = user
        self._interval = layer.timers.t1
        self._sent: Outgoing

    @property
    def state(self) -> Enum:
        """The machine's state."""
        return self.machine.state  # type: ignore[no-any-return] # one of the two tables' enumerations

    def start(self, hop: Hop) -> None:
        """Send the request; its timers run from here."""
        self._sent = self._layer.transport.prepare(self.request, hop, self)
        self.machine.start()
        self._sent.go()

    def got_response(self, response: Response) -> None:
        """A response that matches this transaction."""
        raise NotImplementedError

    def cancel(self, headers: tuple[tuple[str, str], ...]) -> None:
        """Take the request back, where there is a way to: only INVITE has one (§9.1)."""

    def sent_by_udp(self) -> None:
        """See `ISender`."""
        raise NotImplementedError

    def send_failed(self) -> None:
        """See `ISender`."""
        raise NotImplementedError

    # -- actions -----------------------------------------------------------------------------

    def _pass_up(self, response: Response) -> None:
        self._user.got_response(self, response)

    def _timed_out(self) -> None:
        self._layer.count("timeouts")
        self._user.got_failure(self, Failure.TIMEOUT)

    def _broken(self) -> None:
        self._user.got_failure(self, Failure.TRANSPORT)

    def _repeat_doubled(self, timer: str, cap: float | None) -> None:
        self._interval *= 2
        if cap is not None and self._interval > cap:
            self._interval = cap
        self.machine.arm(timer, self._interval)
        self._sent.again()

    def _release(self, *_: object) -> None:
        """The request is not sent again: its bytes, the larger part of what a waiting transaction holds, may go."""
        self._sent.data = b""

    def _forget(self, *_: object) -> None:
        self._layer.forget_client(self)

    # -- timers ------------------------------------------------------------------------------

    def _t1_over_udp(self) -> float | None:
        return None if self._sent.reliable else self._layer.timers.t1

    def _limit(self) -> float:
        return self._layer.timers.limit


class InviteClient(ClientTransaction):
    """The INVITE client transaction."""

    __slots__ = ("_ack", "_cancel_headers")

    def __init__(self, layer: TransactionLayer, key: ClientKey, request: Request, user: IClientUser) -> None:
        super().__init__(layer, key, request, user)
        self._ack: Outgoing | None = None
        self._cancel_headers: tuple[tuple[str, str], ...] = ()
        self.machine = Machine(INVITE_CLIENT, self, layer.clock, layer.watch, key[0])

    def got_response(self, response: Response) -> None:
        """See `ClientTransaction`."""
        status = response.status
        if status < 200:
            self.machine.handle(InviteClientEvent.PROVISIONAL, response)
        elif status < 300:
            self.machine.handle(InviteClientEvent.SUCCESS, response)
        else:
            self.machine.handle(InviteClientEvent.REFUSAL, response)

    def cancel(self, headers: tuple[tuple[str, str], ...]) -> None:
        """Send CANCEL now, or with the first 1xx; after a final response it has no effect (§9.1)."""
        self.machine.handle(InviteClientEvent.CANCEL, headers)

    def sent_by_udp(self) -> None:
        """See `ISender`."""
        self.machine.handle(InviteClientEvent.MOVED)

    def send_failed(self) -> None:
        """See `ISender`."""
        self.machine.handle(InviteClientEvent.BROKEN)

    # -- actions -----------------------------------------------------------------------------

    def _again(self) -> None:
        self._repeat_doubled("A", None)

    def _repeat_from_now(self) -> None:
        self.machine.arm("A", self._layer.timers.t1)

    def _acknowledge(self, response: Response) -> None:
        """ACK to a refusal: the INVITE's Via, Route and number, the response's To (§17.1.1.3)."""
        ack = self._companion("ACK")
        ack.set("to", response.headers["to"][0])
        self._ack = self._layer.transport.send_request(ack, self._sent.hop, None)

    def _acknowledge_again(self, response: Response) -> None:
        if self._ack is not None:
            self._ack.again()

    def _keep_cancel(self, headers: tuple[tuple[str, str], ...]) -> None:
        self._cancel_headers = headers

    def _cancel(self, *_: object) -> None:
        cancel = self._companion("CANCEL")
        for name, value in self._cancel_headers:
            cancel.add(name.lower(), value)
        self._layer.start(cancel, self._sent.hop, _UNHEARD, self.key[0])

    def _companion(self, method: str) -> Request:
        """ACK or CANCEL: what they copy from the INVITE (§9.1, §17.1.1.3)."""
        invite = self.request
        companion = Request(method, invite.uri)
        sent_by = invite.headers["via"][0].partition(" ")[2]
        companion.add("via", f"SIP/2.0/{self._sent.transport} {sent_by}")  # as it really went out
        for name in ("route", "from", "to", "call-id"):
            for value in invite.headers.get(name, ()):
                companion.add(name, value)
        companion.add("cseq", f"{invite.cseq.number} {method}")
        companion.add("max-forwards", str(MAX_FORWARDS))
        return companion

    # -- timers ------------------------------------------------------------------------------

    def _timer_d(self) -> float:
        return 0.0 if self._sent.reliable else self._layer.timers.d


class PlainClient(ClientTransaction):
    """The non-INVITE client transaction."""

    __slots__ = ()

    def __init__(self, layer: TransactionLayer, key: ClientKey, request: Request, user: IClientUser) -> None:
        super().__init__(layer, key, request, user)
        self.machine = Machine(CLIENT, self, layer.clock, layer.watch, key[0])

    def got_response(self, response: Response) -> None:
        """See `ClientTransaction`."""
        self.machine.handle(ClientEvent.PROVISIONAL if response.status < 200 else ClientEvent.FINAL, response)

    def sent_by_udp(self) -> None:
        """See `ISender`."""
        self.machine.handle(ClientEvent.MOVED)

    def send_failed(self) -> None:
        """See `ISender`."""
        self.machine.handle(ClientEvent.BROKEN)

    def _again(self) -> None:
        self._repeat_doubled("E", self._layer.timers.t2)

    def _again_slowly(self) -> None:
        self.machine.arm("E", self._layer.timers.t2)
        self._sent.again()

    def _repeat_from_now(self) -> None:
        self.machine.arm("E", self._layer.timers.t1)

    def _timer_k(self) -> float:
        return 0.0 if self._sent.reliable else self._layer.timers.t4


@implementer(IClientUser)
class _Unheard:
    """The user of a CANCEL: its answer decides nothing, the INVITE's final response does (§9.1)."""

    __slots__ = ()

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""


_UNHEARD = _Unheard()

_S, _E, _C = InviteClientState, InviteClientEvent, InviteClient

# fmt: off
INVITE_CLIENT: Table[InviteClientState, InviteClientEvent] = Table(
    "INVITE client",
    _S.CALLING,
    _E,
    {
        (_S.CALLING, _E.PROVISIONAL): Row(_S.PROCEEDING, (_C._release, _C._pass_up)),
        (_S.CALLING, _E.SUCCESS): Row(_S.ACCEPTED, (_C._release, _C._pass_up)),
        (_S.CALLING, _E.REFUSAL): Row(_S.COMPLETED, (_C._release, _C._acknowledge, _C._pass_up)),
        (_S.CALLING, _E.CANCEL): Row(_S.WITHDRAWN, (_C._keep_cancel,)),
        (_S.CALLING, _E.MOVED): Row(_S.CALLING, (_C._repeat_from_now,)),
        (_S.CALLING, _E.BROKEN): Row(_S.TERMINATED, (_C._forget, _C._broken)),
        (_S.CALLING, _E.TIMER_A): Row(_S.CALLING, (_C._again,)),
        (_S.CALLING, _E.TIMER_B): Row(_S.TERMINATED, (_C._forget, _C._timed_out)),

        (_S.WITHDRAWN, _E.PROVISIONAL): Row(_S.CANCELLED, (_C._release, _C._cancel, _C._pass_up)),
        (_S.WITHDRAWN, _E.SUCCESS): Row(_S.ACCEPTED, (_C._release, _C._pass_up)),
        (_S.WITHDRAWN, _E.REFUSAL): Row(_S.COMPLETED, (_C._release, _C._acknowledge, _C._pass_up)),
        (_S.WITHDRAWN, _E.MOVED): Row(_S.WITHDRAWN, (_C._repeat_from_now,)),
        (_S.WITHDRAWN, _E.BROKEN): Row(_S.TERMINATED, (_C._forget, _C._broken)),
        (_S.WITHDRAWN, _E.TIMER_A): Row(_S.WITHDRAWN, (_C._again,)),
        (_S.WITHDRAWN, _E.TIMER_B): Row(_S.TERMINATED, (_C._forget, _C._timed_out)),

        (_S.PROCEEDING, _E.PROVISIONAL): Row(_S.PROCEEDING, (_C._pass_up,)),
        (_S.PROCEEDING, _E.SUCCESS): Row(_S.ACCEPTED, (_C._pass_up,)),
        (_S.PROCEEDING, _E.REFUSAL): Row(_S.COMPLETED, (_C._acknowledge, _C._pass_up)),
        (_S.PROCEEDING, _E.CANCEL): Row(_S.CANCELLED, (_C._keep_cancel, _C._cancel)),

        (_S.CANCELLED, _E.PROVISIONAL): Row(_S.CANCELLED, (_C._pass_up,)),
        (_S.CANCELLED, _E.SUCCESS): Row(_S.ACCEPTED, (_C._pass_up,)),
        (_S.CANCELLED, _E.REFUSAL): Row(_S.COMPLETED, (_C._acknowledge, _C._pass_up)),
        (_S.CANCELLED, _E.TIMER_X): Row(_S.TERMINATED, (_C._forget, _C._timed_out)),

        (_S.COMPLETED, _E.REFUSAL): Row(_S.COMPLETED, (_C._acknowledge_again,)),
        (_S.COMPLETED, _E.TIMER_D): Row(_S.TERMINATED, (_C._forget,)),

        (_S.ACCEPTED, _E.SUCCESS): Row(_S.ACCEPTED, (_C._pass_up,)),
        (_S.ACCEPTED, _E.TIMER_M): Row(_S.TERMINATED, (_C._forget,)),
    },
    {
        _S.CALLING: {_E.TIMER_D, _E.TIMER_M, _E.TIMER_X},
        _S.WITHDRAWN: {_E.CANCEL, _E.TIMER_D, _E.TIMER_M, _E.TIMER_X},
        # Once somebody has answered, the INVITE is not sent again: a late transport error changes nothing.
        _S.PROCEEDING: {_E.MOVED, _E.BROKEN, _E.TIMER_A, _E.TIMER_B, _E.TIMER_D, _E.TIMER_M, _E.TIMER_X},
        _S.CANCELLED: {_E.CANCEL, _E.MOVED, _E.BROKEN, _E.TIMER_A, _E.TIMER_B, _E.TIMER_D, _E.TIMER_M},
        # The user has its final response; an ACK that cannot be sent is asked for again by the peer.
        _S.COMPLETED: set(_E) - {_E.REFUSAL, _E.TIMER_D},
        _S.ACCEPTED: set(_E) - {_E.SUCCESS, _E.TIMER_M},
        _S.TERMINATED: set(_E),
    },
    [
        Timer("A", frozenset({_S.CALLING, _S.WITHDRAWN}), _C._t1_over_udp, _E.TIMER_A),
        Timer("B", frozenset({_S.CALLING, _S.WITHDRAWN}), _C._limit, _E.TIMER_B),
        Timer("D", frozenset({_S.COMPLETED}), _C._timer_d, _E.TIMER_D),
        Timer("M", frozenset({_S.ACCEPTED}), _C._limit, _E.TIMER_M),
        Timer("X", frozenset({_S.CANCELLED}), _C._limit, _E.TIMER_X),
    ],
)

_T, _V, _P = ClientState, ClientEvent, PlainClient

CLIENT: Table[ClientState, ClientEvent] = Table(
    "non-INVITE client",
    _T.TRYING,
    _V,
    {
        (_T.TRYING, _V.PROVISIONAL): Row(_T.PROCEEDING, (_P._pass_up,)),
        (_T.TRYING, _V.FINAL): Row(_T.COMPLETED, (_P._release, _P._pass_up)),
        (_T.TRYING, _V.MOVED): Row(_T.TRYING, (_P._repeat_from_now,)),
        (_T.TRYING, _V.BROKEN): Row(_T.TERMINATED, (_P._forget, _P._broken)),
        (_T.TRYING, _V.TIMER_E): Row(_T.TRYING, (_P._again,)),
        (_T.TRYING, _V.TIMER_F): Row(_T.TERMINATED, (_P._forget, _P._timed_out)),

        (_T.PROCEEDING, _V.PROVISIONAL): Row(_T.PROCEEDING, (_P._pass_up,)),
        (_T.PROCEEDING, _V.FINAL): Row(_T.COMPLETED, (_P._release, _P._pass_up)),
        (_T.PROCEEDING, _V.BROKEN): Row(_T.TERMINATED, (_P._forget, _P._broken)),
        (_T.PROCEEDING, _V.TIMER_E): Row(_T.PROCEEDING, (_P._again_slowly,)),
        (_T.PROCEEDING, _V.TIMER_F): Row(_T.TERMINATED, (_P._forget, _P._timed_out)),

        (_T.COMPLETED, _V.TIMER_K): Row(_T.TERMINATED, (_P._forget,)),
    },
    {
        _T.TRYING: {_V.TIMER_K},
        _T.PROCEEDING: {_V.MOVED, _V.TIMER_K},  # a request that was answered has arrived
        _T.COMPLETED: set(_V) - {_V.TIMER_K},
        _T.TERMINATED: set(_V),
    },
    [
        Timer("E", frozenset({_T.TRYING, _T.PROCEEDING}), _P._t1_over_udp, _V.TIMER_E),
        Timer("F", frozenset({_T.TRYING, _T.PROCEEDING}), _P._limit, _V.TIMER_F),
        Timer("K", frozenset({_T.COMPLETED}), _P._timer_k, _V.TIMER_K),
    ],
)
# fmt: on
