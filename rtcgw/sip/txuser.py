"""What transactions and their users call each other, and the timer values of RFC 3261 appendix A.

The transaction user (TU) is the core above: `ims/routing.py` for requests that arrive, a call
leg, a registration or a subscription for requests that go out. The machines are in
`client.py` and `server.py`, the table that finds them in `transaction.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen
from zope.interface import Interface

if TYPE_CHECKING:
    from rtcgw.sip.client import ClientTransaction
    from rtcgw.sip.flow import Flow
    from rtcgw.sip.message import Request, Response
    from rtcgw.sip.server import ServerTransaction


@frozen
class Timers:
    """The basic values, in seconds; every other timer follows from them (RFC 3261 appendix A; TS 24.229 §7.7)."""

    t1: float = 0.5
    """The round-trip estimate."""
    t2: float = 4.0
    """The longest retransmission interval of a non-INVITE request or an INVITE response."""
    t4: float = 5.0
    """The longest time a message stays in the network."""

    @property
    def limit(self) -> float:
        """64*T1: timers B, F, H, J, L, M and N."""
        return 64 * self.t1

    @property
    def d(self) -> float:
        """How long a refused INVITE waits for repetitions of the refusal over UDP: at least 32 s."""
        return max(32.0, self.limit)

    @property
    def late(self) -> float:
        """How long timer E takes to grow to T2: the earliest time for 100 to a non-INVITE request (RFC 4320 §4.1)."""
        total, interval = 0.0, self.t1
        while interval < self.t2:
            total += interval
            interval *= 2
        return total


class Failure(Enum):
    """Why a transaction ended without what its user waited for."""

    TIMEOUT = "timeout"
    """Nobody answered in time: timers B, F, H, or no final response after CANCEL."""
    TRANSPORT = "transport"
    """The message could not be sent."""


class ITransactionUser(Interface):
    """The core above the transaction layer, for what the network begins."""

    def got_request(tx: ServerTransaction, request: Request) -> None:
        """A new request; never ACK or CANCEL. The user answers by `tx.respond`."""

    def got_ack(request: Request, flow: Flow) -> None:
        """The ACK to a 2xx."""


class IClientUser(Interface):
    """Whoever sent a request."""

    def got_response(tx: ClientTransaction, response: Response) -> None:
        """Every 1xx, the final response, and each repetition of a 2xx to INVITE (RFC 6026 §7.2)."""

    def got_failure(tx: ClientTransaction, failure: Failure) -> None:
        """There will be no final response."""


class IServerUser(Interface):
    """Whoever answers a request, entered as `tx.user`."""

    def got_cancel(tx: ServerTransaction, cancel: Request) -> None:
        """The INVITE is cancelled; CANCEL itself has been answered. The user answers the INVITE with 487."""

    def got_failure(tx: ServerTransaction, failure: Failure) -> None:
        """No ACK came to a refusal (timer H), or a response could not be sent."""
