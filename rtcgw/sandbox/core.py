"""The stand-in IMS core: P-, I- and S-CSCF in one proxy, with just what a gateway can tell apart.

    REGISTER           the registrar (`registrar.py`)
    INVITE and others  to a subscriber's contact or a phone; 404 for strangers, 480 for who is away
    inside a dialog    by Record-Route, to where the Route or the Request-URI says
    OPTIONS to itself  answered; SUBSCRIBE to a subscriber: 489, this core has no event packages

It asserts the caller's identity (P-Preferred-Identity -> P-Asserted-Identity) and tells the called by which
identity it was reached (P-Called-Party-ID). It is a stateful proxy (RFC 3261 §16) on the
gateway's own transaction layer, with one liberty that border proxies take: it keeps the Vias of
those before it to itself and puts them back into the responses.

Nothing leaves the machine: a hop that is not a loopback address is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field, frozen
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.config import is_loopback
from rtcgw.model.defaults import MAX_FORWARDS
from rtcgw.sandbox.forwarding import Forwarding
from rtcgw.sandbox.registrar import Registrar, read_uri
from rtcgw.sip.dialog import next_hop
from rtcgw.sip.flow import PORT, Flow, Hop
from rtcgw.sip.headers import NameAddr
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.txuser import ITransactionUser
from rtcgw.sip.uri import Uri

log = Logger()

ALLOW = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, OPTIONS, REGISTER"
MAX_CALLS = 1000
"""INVITEs on their way at once; beyond it 503."""


@frozen
class Refusal(Exception):
    """A request that is not forwarded, and the answer that it gets."""

    status: int
    phrase: str


@implementer(ITransactionUser)
@define(eq=False)
class Core:
    """The proxy. `phones` gives the fixed contact of each phone by the canonical key of its address."""

    layer: TransactionLayer
    registrar: Registrar
    domain: str
    phones: Mapping[str, Uri]
    calls: set[Forwarding] = field(factory=set, init=False)
    """INVITEs on their way, each until its final response."""

    # -- news from the transaction layer ---------------------------------------------------

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        """See `ITransactionUser`. A `HeaderError` is answered by the transaction layer, with 400."""
        try:
            if request.method == "REGISTER" and self._home(request.uri):
                tx.respond(self.registrar.register(request))
            else:
                self._forward(tx, request)
        except Refusal as refusal:
            self._refuse(tx, refusal)

    def got_ack(self, request: Request, flow: Flow) -> None:
        """See `ITransactionUser`: the ACK to a 2xx goes on without a transaction (RFC 3261 §16.7)."""
        try:
            copy = self._onward(request)
            self.layer.send_ack(copy, self._hop(copy))
        except Refusal as refusal:
            log.debug("sandbox: ACK dropped: {phrase}", phrase=refusal.phrase)

    # -- requests --------------------------------------------------------------------------

    def _forward(self, tx: ServerTransaction, request: Request) -> None:
        if "proxy-require" in request.headers:
            raise Refusal(420, "Bad Extension")
        copy = self._onward(request)
        if not request.to.tag and self._home(copy.uri):
            if not copy.uri.user:
                self._ourselves(tx, request)
                return
            self._to_user(copy)
        elif not request.to.tag:
            raise Refusal(404, "Not This Domain")
        hop = self._hop(copy)
        if request.method != "INVITE":
            Forwarding(self.layer, tx).start(copy, hop)
        elif len(self.calls) >= MAX_CALLS:
            raise Refusal(503, "Sandbox Is Full")
        else:
            copy.prepend("record-route", f"<{self._address()};lr>")
            call = Forwarding(self.layer, tx, self.calls.discard)
            call.start(copy, hop)
            self.calls.add(call)

    def close(self) -> None:
        """Forget the calls on their way, timers included; nobody is told."""
        for call in self.calls:
            call.abandon()
        self.calls.clear()

    def _ourselves(self, tx: ServerTransaction, request: Request) -> None:
        """A request for the core and nobody behind it."""
        if request.method != "OPTIONS":
            raise Refusal(405, "Method Not Allowed")
        response = make_response(request, 200, "OK")
        response.set("allow", ALLOW)
        tx.respond(response)

    def _onward(self, request: Request) -> Request:
        """The request as it goes on: without the Vias before us and the Route that led here."""
        copy = Request(request.method, request.uri)
        copy.charset = request.charset
        for name, values in request.headers.items():
            if name not in ("via", "content-length"):
                copy.headers[name] = values.copy()
        copy.body = request.body
        text = (request.get("max-forwards") or str(MAX_FORWARDS)).strip()
        if not (text.isascii() and text.isdigit()) or int(text[:4]) == 0:
            raise Refusal(483, "Too Many Hops")
        copy.set("max-forwards", str(min(int(text[:4]), MAX_FORWARDS + 1) - 1))
        routes = copy.routes
        while routes and self._is_us(routes[0].uri):
            routes.pop(0)
        if routes:
            copy.set("route", *map(str, routes))
        else:
            copy.remove("route")
        return copy

    def _to_user(self, copy: Request) -> None:
        """The called user's serving proxy: P-Called-Party-ID, contact, Path (TS 24.229 §5.4.3.3)."""
        if copy.method == "SUBSCRIBE":
            raise Refusal(489, "Bad Event")
        called = copy.uri
        path: tuple[str, ...] = ()
        if called.key in self.phones:
            contact = self.phones[called.key]
        else:
            binding = self.registrar.find(called.key)
            if binding is None:
                away = self.registrar.knows(called.key)
                raise Refusal(480, "Temporarily Unavailable") if away else Refusal(404, "Not Found")
            contact, path = binding.contact, binding.path
        self._assert_identity(copy)
        copy.set("p-called-party-id", f"<{called}>")
        if path:
            copy.set("route", *path)
        else:
            copy.remove("route")
        copy.uri = contact

    def _assert_identity(self, copy: Request) -> None:
        """The caller's serving proxy: whoever is not registered here calls nobody (TS 24.229 §5.4.3.2)."""
        caller = read_uri(copy.get("p-preferred-identity")) or copy.from_.uri
        if caller.key not in self.phones and self.registrar.find(caller.key) is None:
            raise Refusal(403, "Not Registered")
        private = "id" in (copy.get("privacy") or "").lower().replace(" ", "").split(";")
        copy.remove("p-preferred-identity")
        copy.remove("p-asserted-identity")
        if not private:
            copy.set("p-asserted-identity", str(NameAddr(caller, copy.from_.display)))

    # -- addresses -------------------------------------------------------------------------

    def _hop(self, copy: Request) -> Hop:
        hop = next_hop(copy)
        if not is_loopback(hop.host):
            raise Refusal(403, "Not On This Machine")
        transport = self.layer.transport
        if (hop.host, hop.port or PORT) == (transport.host, transport.port):
            raise Refusal(482, "Loop Detected")
        return hop

    def _address(self) -> str:
        return f"sip:{self.layer.transport.sent_by()}"

    def _is_us(self, uri: Uri) -> bool:
        transport = self.layer.transport
        return uri.is_sip and uri.host == transport.host and (uri.port or PORT) == transport.port

    def _home(self, uri: Uri) -> bool:
        """Whether a Request-URI is this domain's to answer; a number is nobody else's."""
        return uri.scheme == "tel" or (uri.is_sip and (uri.host.lower() == self.domain or self._is_us(uri)))

    @staticmethod
    def _refuse(tx: ServerTransaction, refusal: Refusal) -> None:
        response = make_response(tx.request, refusal.status, refusal.phrase)
        if refusal.status == 405:
            response.set("allow", ALLOW)
        elif refusal.status == 420:
            response.set("unsupported", *tx.request.headers.get("proxy-require", ()))
        elif refusal.status == 503:
            response.set("retry-after", "5")
        tx.respond(response)
