"""Server transactions: INVITE and the others, each a table (RFC 3261 §17.2, RFC 6026 §7.1, RFC 4320).

    transport -> request, request again, ACK, CANCEL      TU -> 1xx, 2xx, 3xx-6xx
    transaction -> 100 when the TU is slow, refusals until their ACK

The first state of INVITE is split: TRYING until anything has been sent, so that the 100 which
is due within 200 ms needs no flag, then the RFC's Proceeding. A 2xx is repeated by its user,
not here; the state Accepted only swallows what the peer repeats meanwhile.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.sip.flow import Flow
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.txuser import Failure, IServerUser

if TYPE_CHECKING:
    from rtcgw.sip.transaction import TransactionLayer

ServerKey = tuple[object, ...]
"""Branch, sent-by and method; for a peer of RFC 2543, without the branch cookie, what §17.2.3 lists instead."""
MergeKey = tuple[str, str | None, int, str]
"""Call-ID, From tag, CSeq number and method (§8.2.2.2)."""

TRYING_AFTER = 0.2
"""Seconds; an INVITE that has found no answer by then gets its 100 (§17.2.1)."""


class InviteServerState(Symbol):
    """Where an INVITE that arrived stands."""

    TRYING = "trying"
    """Proceeding, and nothing has been sent yet."""
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class InviteServerEvent(Symbol):
    """What happens to it."""

    REPEATED = "INVITE again"
    ACK = "ACK"
    CANCEL = "CANCEL"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    REFUSAL = "3xx-6xx"
    BROKEN = "transport error"
    TIMER_100 = "timer 100"
    TIMER_G = "timer G"
    TIMER_H = "timer H"
    TIMER_I = "timer I"
    TIMER_L = "timer L"


class ServerState(Symbol):
    """Where another request that arrived stands."""

    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class ServerEvent(Symbol):
    """What happens to it."""

    REPEATED = "request again"
    FINAL = "2xx-6xx"
    WITHHELD = "an answer that must not be sent"
    BROKEN = "transport error"
    TIMER_100 = "timer 100"
    TIMER_F = "timer F"
    TIMER_J = "timer J"


class ServerTransaction:
    """One request that arrived; answered by `respond`, whose user is told the rest by `user`."""

    __slots__ = ("_interval", "_last", "_layer", "flow", "key", "machine", "merge_key", "request", "user")

    machine: Machine[Any, Any]

    def __init__(
        self, layer: TransactionLayer, key: ServerKey, merge_key: MergeKey | None, request: Request, flow: Flow
    ) -> None:
        self.key = key
        self.merge_key = merge_key
        self.request = request
        self.flow = flow
        self.user: IServerUser | None = None
        self._layer = layer
        self._last: Response | None = None
        """What a repeated request is answered with."""
        self._interval = layer.timers.t1

    @property
    def state(self) -> Enum:
        """The machine's state."""
        return self.machine.state  # type: ignore[no-any-return] # one of the two tables' enumerations

    @property
    def answered(self) -> bool:
        """Whether a final response has been given."""
        raise NotImplementedError

    @property
    def tag(self) -> str | None:
        """The To tag of the response that was sent last, or None (§9.2)."""
        return None if self._last is None else self._last.to.tag

    def respond(self, response: Response) -> None:
        """Send a response. One that comes too late, after another final response, is dropped."""
        raise NotImplementedError

    def repeated(self) -> None:
        """The request has come again."""
        raise NotImplementedError

    def send_failed(self) -> None:
        """A response could not be sent (RFC 3261 §18.4)."""
        raise NotImplementedError

    # -- actions -----------------------------------------------------------------------------

    def _send(self, response: Response) -> None:
        self._last = response
        self._layer.transport.send_response(response, self.flow, self.send_failed)

    def _send_again(self) -> None:
        if self._last is not None:
            self._layer.transport.send_response(self._last, self.flow, self.send_failed)

    def _send_trying(self) -> None:
        self._send(make_response(self.request, 100, "Trying"))

    def _broken(self) -> None:
        if self.user is not None:
            self.user.got_failure(self, Failure.TRANSPORT)

    def _timed_out(self) -> None:
        self._layer.count("timeouts")
        if self.user is not None:
            self.user.got_failure(self, Failure.TIMEOUT)

    def _forget(self, *_: object) -> None:
        self._layer.forget_server(self)

    # -- timers ------------------------------------------------------------------------------

    def _limit(self) -> float:
        return self._layer.timers.limit


class InviteServer(ServerTransaction):
    """The INVITE server transaction."""

    __slots__ = ()

    def __init__(
        self, layer: TransactionLayer, key: ServerKey, merge_key: MergeKey | None, request: Request, flow: Flow
    ) -> None:
        super().__init__(layer, key, merge_key, request, flow)
        self.machine = Machine(INVITE_SERVER, self, layer.clock, layer.watch, str(key[0]))
        self.machine.start()

    @property
    def answered(self) -> bool:
        """See `ServerTransaction`."""
        return self.machine.state not in (InviteServerState.TRYING, InviteServerState.PROCEEDING)

    def respond(self, response: Response) -> None:
        """See `ServerTransaction`; a 2xx may be given again and again until its ACK."""
        status = response.status
        if status < 200:
            self.machine.handle(InviteServerEvent.PROVISIONAL, response)
        elif status < 300:
            self.machine.handle(InviteServerEvent.SUCCESS, response)
        else:
            self.machine.handle(InviteServerEvent.REFUSAL, response)

    def repeated(self) -> None:
        """See `ServerTransaction`."""
        self.machine.handle(InviteServerEvent.REPEATED)

    def got_ack(self, ack: Request, flow: Flow) -> None:
        """An ACK with this transaction's branch."""
        self.machine.handle(InviteServerEvent.ACK, ack, flow)

    def got_cancel(self, cancel: Request) -> None:
        """A CANCEL with this transaction's branch; it has been answered (§9.2)."""
        self.machine.handle(InviteServerEvent.CANCEL, cancel)

    def send_failed(self) -> None:
        """See `ServerTransaction`; the state stays, so that repeated INVITEs are still swallowed (RFC 6026 §7.1)."""
        self.machine.handle(InviteServerEvent.BROKEN)

    # -- actions -----------------------------------------------------------------------------

    def _send_success(self, response: Response) -> None:
        self._last = None  # the user repeats it, and owns it
        self._layer.transport.send_response(response, self.flow, self.send_failed)

    def _refuse_again(self) -> None:
        self._interval = min(self._interval * 2, self._layer.timers.t2)
        self.machine.arm("G", self._interval)
        self._send_again()

    def _tell_cancel(self, cancel: Request) -> None:
        if self.user is not None:
            self.user.got_cancel(self, cancel)
        else:
            self.respond(make_response(self.request, 487, "Request Terminated"))

    def _pass_ack(self, ack: Request, flow: Flow) -> None:
        self._layer.pass_ack(ack, flow)

    # -- timers ------------------------------------------------------------------------------

    def _soon(self) -> float:
        return TRYING_AFTER

    def _timer_g(self) -> float | None:
        return None if self.flow.reliable else self._layer.timers.t1

    def _timer_i(self) -> float:
        return 0.0 if self.flow.reliable else self._layer.timers.t4


class PlainServer(ServerTransaction):
    """The non-INVITE server transaction.

    It sends no 1xx but a late 100, and never 408 (RFC 4320 §4): by then the peer has given up by itself, and the
    answer would only be a stray response on somebody's way.
    """

    __slots__ = ()

    def __init__(
        self, layer: TransactionLayer, key: ServerKey, merge_key: MergeKey | None, request: Request, flow: Flow
    ) -> None:
        super().__init__(layer, key, merge_key, request, flow)
        self.machine = Machine(SERVER, self, layer.clock, layer.watch, str(key[0]))
        self.machine.start()

    @property
    def answered(self) -> bool:
        """See `ServerTransaction`."""
        return self.machine.state not in (ServerState.TRYING, ServerState.PROCEEDING)

    def respond(self, response: Response) -> None:
        """See `ServerTransaction`; a 1xx is dropped, 408 ends the transaction in silence."""
        status = response.status
        if status == 408:
            self.machine.handle(ServerEvent.WITHHELD)
        elif status >= 200:
            self.machine.handle(ServerEvent.FINAL, response)

    def repeated(self) -> None:
        """See `ServerTransaction`."""
        self.machine.handle(ServerEvent.REPEATED)

    def send_failed(self) -> None:
        """See `ServerTransaction`."""
        self.machine.handle(ServerEvent.BROKEN)

    def _withhold(self) -> None:
        self._last = None

    def _late(self) -> float:
        return self._layer.timers.late

    def _timer_j(self) -> float:
        """Nothing is kept of an OPTIONS: its repetition is answered anew, with the same answer (§8.2.7).

        Cores ask every few seconds whether we live; each would be remembered for 64*T1.
        """
        return 0.0 if self.flow.reliable or self.request.method == "OPTIONS" else self._layer.timers.limit


_S, _E, _I = InviteServerState, InviteServerEvent, InviteServer
_TIMERS = {_E.TIMER_100, _E.TIMER_G, _E.TIMER_H, _E.TIMER_I, _E.TIMER_L}
_RESPONSES = {_E.PROVISIONAL, _E.SUCCESS, _E.REFUSAL}

# fmt: off
INVITE_SERVER: Table[InviteServerState, InviteServerEvent] = Table(
    "INVITE server",
    _S.TRYING,
    _E,
    {
        (_S.TRYING, _E.REPEATED): Row(_S.PROCEEDING, (_I._send_trying,)),
        (_S.TRYING, _E.TIMER_100): Row(_S.PROCEEDING, (_I._send_trying,)),
        (_S.TRYING, _E.CANCEL): Row(_S.TRYING, (_I._tell_cancel,)),
        (_S.TRYING, _E.PROVISIONAL): Row(_S.PROCEEDING, (_I._send,)),
        (_S.TRYING, _E.SUCCESS): Row(_S.ACCEPTED, (_I._send_success,)),
        (_S.TRYING, _E.REFUSAL): Row(_S.COMPLETED, (_I._send,)),

        (_S.PROCEEDING, _E.REPEATED): Row(_S.PROCEEDING, (_I._send_again,)),
        (_S.PROCEEDING, _E.CANCEL): Row(_S.PROCEEDING, (_I._tell_cancel,)),
        (_S.PROCEEDING, _E.PROVISIONAL): Row(_S.PROCEEDING, (_I._send,)),
        (_S.PROCEEDING, _E.SUCCESS): Row(_S.ACCEPTED, (_I._send_success,)),
        (_S.PROCEEDING, _E.REFUSAL): Row(_S.COMPLETED, (_I._send,)),
        (_S.PROCEEDING, _E.BROKEN): Row(_S.PROCEEDING, (_I._broken,)),

        (_S.COMPLETED, _E.REPEATED): Row(_S.COMPLETED, (_I._send_again,)),
        (_S.COMPLETED, _E.ACK): Row(_S.CONFIRMED),
        (_S.COMPLETED, _E.TIMER_G): Row(_S.COMPLETED, (_I._refuse_again,)),
        (_S.COMPLETED, _E.TIMER_H): Row(_S.TERMINATED, (_I._forget, _I._timed_out)),
        (_S.COMPLETED, _E.BROKEN): Row(_S.COMPLETED, (_I._broken,)),

        (_S.CONFIRMED, _E.TIMER_I): Row(_S.TERMINATED, (_I._forget,)),

        (_S.ACCEPTED, _E.SUCCESS): Row(_S.ACCEPTED, (_I._send_success,)),
        (_S.ACCEPTED, _E.ACK): Row(_S.ACCEPTED, (_I._pass_ack,)),
        (_S.ACCEPTED, _E.TIMER_L): Row(_S.TERMINATED, (_I._forget,)),
        (_S.ACCEPTED, _E.BROKEN): Row(_S.ACCEPTED, (_I._broken,)),
    },
    {
        _S.TRYING: (_TIMERS - {_E.TIMER_100}) | {_E.ACK, _E.BROKEN},
        _S.PROCEEDING: _TIMERS | {_E.ACK},
        # The refusal stands: CANCEL comes too late (§9.2), and so does another response.
        _S.COMPLETED: (_TIMERS - {_E.TIMER_G, _E.TIMER_H}) | _RESPONSES | {_E.CANCEL},
        _S.CONFIRMED: (_TIMERS - {_E.TIMER_I}) | _RESPONSES | {_E.REPEATED, _E.ACK, _E.CANCEL, _E.BROKEN},
        # A repeated INVITE is swallowed: the user repeats the 2xx (RFC 6026 §7.1).
        _S.ACCEPTED: (_TIMERS - {_E.TIMER_L}) | {_E.REPEATED, _E.CANCEL, _E.PROVISIONAL, _E.REFUSAL},
        _S.TERMINATED: set(_E),
    },
    [
        Timer("100", frozenset({_S.TRYING}), _I._soon, _E.TIMER_100),
        Timer("G", frozenset({_S.COMPLETED}), _I._timer_g, _E.TIMER_G),
        Timer("H", frozenset({_S.COMPLETED}), _I._limit, _E.TIMER_H),
        Timer("I", frozenset({_S.CONFIRMED}), _I._timer_i, _E.TIMER_I),
        Timer("L", frozenset({_S.ACCEPTED}), _I._limit, _E.TIMER_L),
    ],
)

_T, _V, _P = ServerState, ServerEvent, PlainServer

SERVER: Table[ServerState, ServerEvent] = Table(
    "non-INVITE server",
    _T.TRYING,
    _V,
    {
        (_T.TRYING, _V.FINAL): Row(_T.COMPLETED, (_P._send,)),
        (_T.TRYING, _V.WITHHELD): Row(_T.COMPLETED, (_P._withhold,)),
        (_T.TRYING, _V.TIMER_100): Row(_T.PROCEEDING, (_P._send_trying,)),
        (_T.TRYING, _V.TIMER_F): Row(_T.TERMINATED, (_P._forget, _P._timed_out)),

        (_T.PROCEEDING, _V.REPEATED): Row(_T.PROCEEDING, (_P._send_again,)),
        (_T.PROCEEDING, _V.FINAL): Row(_T.COMPLETED, (_P._send,)),
        (_T.PROCEEDING, _V.WITHHELD): Row(_T.COMPLETED, (_P._withhold,)),
        (_T.PROCEEDING, _V.TIMER_F): Row(_T.TERMINATED, (_P._forget, _P._timed_out)),

        (_T.COMPLETED, _V.REPEATED): Row(_T.COMPLETED, (_P._send_again,)),
        (_T.COMPLETED, _V.BROKEN): Row(_T.COMPLETED, (_P._broken,)),
        (_T.COMPLETED, _V.TIMER_J): Row(_T.TERMINATED, (_P._forget,)),
    },
    {
        _T.TRYING: {_V.REPEATED, _V.BROKEN, _V.TIMER_J},
        _T.PROCEEDING: {_V.BROKEN, _V.TIMER_100, _V.TIMER_J},
        _T.COMPLETED: {_V.FINAL, _V.WITHHELD, _V.TIMER_100, _V.TIMER_F},
        _T.TERMINATED: set(_V),
    },
    [
        Timer("100", frozenset({_T.TRYING}), _P._late, _V.TIMER_100),
        # The peer's own timer F: whoever asked has given up, and an answer that was forgotten must not fill the table.
        Timer("F", frozenset({_T.TRYING, _T.PROCEEDING}), _P._limit, _V.TIMER_F),
        Timer("J", frozenset({_T.COMPLETED}), _P._timer_j, _V.TIMER_J),
    ],
)
# fmt: on
