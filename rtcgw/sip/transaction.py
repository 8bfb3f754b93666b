"""The table of transactions: finds the one that a message belongs to, makes new ones, bounds them all.

    TransactionLayer.request(request, hop, user) -> ClientTransaction     we ask
    user.got_request(tx, request); tx.respond(response)                   they ask

The machines are in `client.py` and `server.py`. What belongs to no transaction: the ACK to a
2xx, which goes straight between the user and the transport; a response that matches nothing,
which is dropped (RFC 6026 §7.2); and whatever arrives when the table is full.
"""

from __future__ import annotations

import secrets

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw.machine import Watch
from rtcgw.sip.client import ClientKey, ClientTransaction, InviteClient, PlainClient
from rtcgw.sip.dialog import COOKIE, new_branch
from rtcgw.sip.flow import UDP, Flow, Hop
from rtcgw.sip.headers import HeaderError
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import InviteServer, MergeKey, PlainServer, ServerKey, ServerTransaction
from rtcgw.sip.transport import SipTransport
from rtcgw.sip.txuser import Failure, IClientUser, IServerUser, ITransactionUser, Timers

__all__ = [
    "ClientTransaction",
    "Failure",
    "IClientUser",
    "IServerUser",
    "ITransactionUser",
    "ServerTransaction",
    "Timers",
    "TransactionLayer",
]

log = Logger()

RETRY_AFTER = (5, 15)
"""Seconds told to a peer that is refused for lack of room: spread, so that they do not all come back at once."""


class TransactionLayer:
    """All transactions over one transport.

    `user` may be set later; until then requests are answered with 503. `limit` bounds the table: a tenth of it is
    kept for requests inside dialogs, so that calls that stand can end when no new ones are taken.
    `watch` sees every transition of every machine.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: SipTransport,
        user: ITransactionUser | None = None,
        timers: Timers | None = None,
        limit: int = 100_000,
        watch: Watch | None = None,
    ) -> None:
        self.clock = clock
        self.transport = transport
        self.user = user
        self.timers = timers or Timers()
        self.watch = watch
        self.counters: dict[str, int] = {}
        """What happened how often: `strays`, `repeated`, `merged`, `full`, `timeouts`, `faults`, ..."""
        self._limit = limit
        self._limit_new = limit - limit // 10
        self._clients: dict[ClientKey, ClientTransaction] = {}
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._merges: dict[MergeKey, ServerTransaction] = {}
        transport.on_message = self.got_message

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)

    def count(self, label: str) -> None:
        """One more `label`; the labels are this package's own words."""
        self.counters[label] = self.counters.get(label, 0) + 1

    def close(self) -> None:
        """Forget everything, timers included; nobody is told."""
        machines = [tx.machine for tx in self._clients.values()] + [tx.machine for tx in self._servers.values()]
        for machine in machines:
            for name in machine.table.timers:
                machine.cancel(name)
        self._clients.clear()
        self._servers.clear()
        self._merges.clear()

    # -- we ask --------------------------------------------------------------------------------

    def request(self, request: Request, hop: Hop, user: IClientUser) -> ClientTransaction:
        """Send a request in a transaction of its own; a Via of ours replaces whatever Via it bears.

        `user` is told of responses and failure, never before this call has returned. Beyond the bound the
        failure is `Failure.TRANSPORT`.
        """
        branch = self._put_via(request, hop)
        tx = self._make_client(request, user, branch)
        if self._has_room(request):
            self._clients[tx.key] = tx
            tx.start(hop)
        else:
            self.count("full")
            self.clock.callLater(0, user.got_failure, tx, Failure.TRANSPORT)
        return tx

    def start(self, request: Request, hop: Hop, user: IClientUser, branch: str) -> None:
        """Send a CANCEL that a client transaction has made: it bears its INVITE's Via, and is always let through."""
        tx = self._make_client(request, user, branch)
        self._clients[tx.key] = tx
        tx.start(hop)

    def send_ack(self, ack: Request, hop: Hop) -> None:
        """Send the ACK to a 2xx (§13.2.2.4). Given the same ACK again, for a repeated 2xx, it is sent as it was."""
        if "via" not in ack.headers:
            self._put_via(ack, hop)
        self.transport.send_request(ack, hop, None)

    def cancel(self, tx: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Take an INVITE back (§9.1): at once, with the first 1xx, or not at all when its final response is there.

        `headers` go into the CANCEL (Reason). The user still gets the INVITE's final response; without one in
        64*T1 it gets `Failure.TIMEOUT`.
        """
        tx.cancel(headers)

    def _put_via(self, request: Request, hop: Hop) -> str:
        branch = new_branch()
        request.remove("via")
        request.prepend("via", f"{self.transport.via(hop.transport or UDP)};branch={branch};rport")
        return branch

    def _make_client(self, request: Request, user: IClientUser, branch: str) -> ClientTransaction:
        method = request.method
        kind = InviteClient if method == "INVITE" else PlainClient
        return kind(self, (branch, method), request, user)

    def forget_client(self, tx: ClientTransaction) -> None:
        """A client transaction is over."""
        self._clients.pop(tx.key, None)

    # -- they ask ------------------------------------------------------------------------------

    def got_message(self, message: Request | Response, flow: Flow) -> None:
        """Whatever the transport has received."""
        if isinstance(message, Response):
            self._got_response(message, flow)
        elif message.method == "ACK":
            self._got_ack(message, flow)
        elif message.method == "CANCEL":
            self._got_cancel(message, flow)
        else:
            self._got_request(message, flow)

    def _got_response(self, response: Response, flow: Flow) -> None:
        tx = self._clients.get((response.via.branch or "", response.cseq.method))
        # More than one Via: meant for somebody behind us, and we are no proxy (§8.1.3.3).
        if tx is None or len(response.headers["via"]) > 1:
            self.count("strays")
            return
        try:
            tx.got_response(response)
        except HeaderError as error:
            self.count("bad_headers")
            log.info(
                "{status} from {host} not used: {error}",
                status=response.status,
                host=flow.host,
                error=error,
                ration="SIP",
            )
        except Exception:
            self.count("faults")
            log.failure("handling {status} to {method}", status=response.status, method=response.cseq.method)

    def _got_request(self, request: Request, flow: Flow) -> None:
        key = _server_key(request, request.method)
        tx = self._servers.get(key)
        if tx is not None:
            self.count("repeated")
            tx.repeated()
            return
        merge_key: MergeKey | None = None
        if request.to.tag is None:
            cseq = request.cseq
            merge_key = (request.call_id, request.from_.tag, cseq.number, cseq.method)
            if merge_key in self._merges:
                self._refuse(request, flow, 482, "Loop Detected", "merged")
                return
        if self.user is None or not self._has_room(request):
            self._refuse(request, flow, 503, "Service Unavailable", "full")
            return
        kind = InviteServer if request.method == "INVITE" else PlainServer
        tx = self._servers[key] = kind(self, key, merge_key, request, flow)
        if merge_key is not None:
            self._merges[merge_key] = tx
        self._tell(self.user, tx, request)

    def _tell(self, user: ITransactionUser, tx: ServerTransaction, request: Request) -> None:
        """Hand a request up. One whose headers cannot be read is refused; a fault of ours is told as one."""
        try:
            user.got_request(tx, request)
        except HeaderError as error:
            self.count("bad_headers")
            log.info("{method} refused: {error}", method=request.method, error=error, ration="SIP")
            if not tx.answered:
                tx.respond(make_response(request, 400, "Bad Request"))
        except Exception:
            self.count("faults")
            log.failure("handling {method}", method=request.method)
            if not tx.answered:
                tx.respond(make_response(request, 500, "Server Internal Error"))

    def _got_ack(self, ack: Request, flow: Flow) -> None:
        tx = self._servers.get(_server_key(ack, "INVITE"))
        if isinstance(tx, InviteServer):
            tx.got_ack(ack, flow)
        else:
            self.pass_ack(ack, flow)

    def pass_ack(self, ack: Request, flow: Flow) -> None:
        """An ACK for the user: no refusal waits for it."""
        if self.user is not None:
            self.user.got_ack(ack, flow)

    def _got_cancel(self, cancel: Request, flow: Flow) -> None:
        """CANCEL: answered here, then told to the INVITE's user (§9.2)."""
        key = _server_key(cancel, "CANCEL")
        tx = self._servers.get(key)
        if tx is not None:
            self.count("repeated")
            tx.repeated()
            return
        invite = self._servers.get(_server_key(cancel, "INVITE"))
        if not isinstance(invite, InviteServer):
            self._refuse(cancel, flow, 481, "Call/Transaction Does Not Exist", "cancels_unmatched")
            return
        # No bound is asked: there is at most one for each INVITE in the table.
        tx = self._servers[key] = PlainServer(self, key, None, cancel, flow)
        tx.respond(make_response(cancel, 200, "OK", invite.tag))
        invite.got_cancel(cancel)

    def _refuse(self, request: Request, flow: Flow, status: int, phrase: str, label: str) -> None:
        """Answer without a transaction: a repetition gets the same answer, made anew."""
        self.count(label)
        response = make_response(request, status, phrase)
        if status == 503:
            least, most = RETRY_AFTER
            response.set("retry-after", str(least + secrets.randbelow(most - least + 1)))
        self.transport.send_response(response, flow)

    def _has_room(self, request: Request) -> bool:
        return len(self) < (self._limit_new if request.to.tag is None else self._limit)

    def forget_server(self, tx: ServerTransaction) -> None:
        """A server transaction is over."""
        self._servers.pop(tx.key, None)
        if tx.merge_key is not None:
            self._merges.pop(tx.merge_key, None)


def _server_key(request: Request, method: str) -> ServerKey:
    """What §17.2.3 compares: branch, sent-by and method; ACK and CANCEL look for their INVITE's."""
    via = request.via
    branch = via.branch
    if branch is not None and branch.startswith(COOKIE):
        return (branch, via.host, via.port, method)
    # RFC 2543, without the cookie. The To tag is left out: the ACK bears the one that we gave.
    cseq = request.cseq.number
    return (str(request.uri), request.from_.tag, request.call_id, cseq, str(via), method)
