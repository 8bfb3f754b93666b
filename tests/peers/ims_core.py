"""A scriptable IMS core in memory: registrar, S-CSCF and the phones behind it, for tests on a `Clock`.

    network = MemoryNetwork(clock)
    core = ImsCore(network)                             # stands on 127.0.0.1:5060 and 5061
    core.subscribe("gw1@ims.test", "gw1-secret", "sip:gw1@ims.test", "tel:+15550011")

Registrar: challenges with digest (MD5, qop=auth, checked by its own arithmetic), answers with
Service-Route, P-Associated-URI, Path and per-contact expires. `core.registered` has the bindings by IMPU.

    core.next_register(503, ("Retry-After", "120"))     # canned answers to the coming REGISTERs, in order
    core.silent = True                                  # hears nothing, says nothing (all methods)
    core.forget()                                       # the S-CSCF restarts: bindings, nonces, dialogs are gone
    core.network_deregisters("sip:gw1@ims.test", "rejected")     # a reg-event NOTIFY

Calls to a phone: each INVITE from the gateway becomes a `CoreCall` in `core.calls`; the phone it was
meant for says what happens at once, and the test does the rest.

    core.phone("sip:bob@ims.test", lambda call: call.ring())     # default phone: 100 only
    call = core.calls[-1]
    call.ring() / call.progress(sdp, reliable=True) / call.answer(sdp) / call.reject(486, "Busy Here")
    call.bye() ; call.answer_again() ; call.challenge()
    call.canned["INVITE"] = [(491, None), (200, sdp)]    # answers to requests inside the dialog, in order
    call.acked, call.pracked, call.cancelled, call.ended, call.invite

Calls from a phone:

    call = core.call("sip:gw1@ims.test", sdp=OFFER, caller="sip:bob@ims.test")
    call.responses, call.final ; call.prack() ; call.ack(sdp) ; call.cancel() ; call.bye()
    `auto_ack` and `auto_prack` are on: a 2xx is acknowledged, a reliable 1xx gets its PRACK.

Requests of the core itself are sent once: the network is told with `network.fate` what to lose, and
losing what the core sends is seen as the core having lost it. What the gateway repeats is recognised
by branch and answered with the response that it has had. `core.ladder` has one line for each message,
`<- INVITE sip:bob@ims.test` as the gateway's, `-> 200 INVITE` as the core's; repetitions included.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from rtcgw.model.identity import canonical_key
from rtcgw.sip.dialog import Dialog, DialogId, new_branch, new_call_id, new_tag
from rtcgw.sip.headers import Credentials, NameAddr
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.parser import parse_message
from tests.peers.core_call import CoreCall, put
from tests.peers.network import Address, MemoryNetwork

REMEMBERED = 500
"""Responses kept for repetitions."""


@frozen
class Subscriber:
    impi: str
    secret: str
    impus: tuple[str, ...]


@frozen
class Registered:
    contact: NameAddr
    expires: int
    path: tuple[str, ...]
    register: Request


Phone = Callable[[CoreCall], object]


@define(eq=False)
class ImsCore:
    """See the module's text."""

    network: MemoryNetwork
    host: str = "127.0.0.1"
    icscf_port: int = 5060
    scscf_port: int = 5061
    domain: str = "ims.test"
    granted: int = 600_000
    """Seconds granted to a REGISTER at most."""
    service_route: bool = True
    associated: bool = True
    silent: bool = False
    barred: set[str] = field(factory=set)
    subscribers: dict[str, Subscriber] = field(factory=dict)
    registered: dict[str, Registered] = field(factory=dict)
    """Bindings by canonical key of each IMPU."""
    calls: list[CoreCall] = field(factory=list)
    dialogs: dict[DialogId, CoreCall] = field(factory=dict)
    registers: list[Request] = field(factory=list)
    received: list[Message] = field(factory=list)
    ladder: list[str] = field(factory=list)
    subscriptions: dict[str, Dialog] = field(factory=dict)
    """reg-event dialogs by canonical key of the IMPU."""
    subscribe_status: int = 200
    _phones: dict[str, Phone] = field(factory=dict)
    _canned: deque[tuple[int, tuple[tuple[str, str], ...]]] = field(factory=deque)
    _nonces: set[str] = field(factory=set)
    _made: int = 0
    _versions: int = 7
    _replies: dict[tuple[str, str], bytes] = field(factory=dict)
    _transactions: dict[str, CoreCall] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for port in (self.icscf_port, self.scscf_port):
            self.network.attach((self.host, port), self._arrived)

    # -- script ----------------------------------------------------------------------------

    def subscribe(self, impi: str, secret: str, *impus: str) -> None:
        """A subscriber of this core."""
        self.subscribers[impi] = Subscriber(impi, secret, impus)

    def phone(self, uri: str, phone: Phone) -> None:
        """What happens when `uri` is called."""
        self._phones[canonical_key(uri)] = phone

    def next_register(self, status: int, *headers: tuple[str, str]) -> None:
        """The coming REGISTER is answered so, whatever it holds."""
        self._canned.append((status, headers))

    def forget(self) -> None:
        """The S-CSCF restarts."""
        self.registered.clear()
        self.dialogs.clear()
        self.subscriptions.clear()
        self._nonces.clear()

    @property
    def record_route(self) -> str:
        return f"<sip:mt@{self.host}:{self.scscf_port};lr>"

    def challenge(self, stale: bool = False) -> str:
        self._made += 1
        nonce = hashlib.sha256(f"nonce {self._made}".encode()).hexdigest()[:32]
        self._nonces.add(nonce)
        mark = ", stale=true" if stale else ""
        return f'Digest realm="{self.domain}", nonce="{nonce}", algorithm=MD5, qop="auth"{mark}'

    # -- the wire --------------------------------------------------------------------------

    def _arrived(self, data: bytes, source: Address) -> None:
        if self.silent:
            return
        message = parse_message(data)
        self.received.append(message)
        if isinstance(message, Response):
            self.ladder.append(f"<- {message.status} {message.cseq.method}")
            call = self._transactions.get(message.via.branch or "")
            if call is not None:
                call.got_response(message)
            return
        self.ladder.append(f"<- {message.method} {message.uri}")
        known = self._replies.get((message.via.branch or "", message.method))
        if known is not None:
            self.network.send(known, (self.host, self.scscf_port), source)
            return
        self._request(message, source)

    def _request(self, request: Request, source: Address) -> None:
        if request.method == "REGISTER":
            self._register(request, source)
        elif request.to.tag:
            self._in_dialog(request, source)
        elif request.method == "INVITE":
            self._invite(request, source)
        elif request.method == "CANCEL":
            self._cancel(request, source)
        elif request.method == "SUBSCRIBE":
            self._subscribe(request, source)
        elif request.method != "ACK":
            self.reply(request, make_response(request, 200, "OK", new_tag()), source)

    def reply(self, request: Request, response: Response, destination: Address) -> None:
        """Send a response, and remember it for repetitions of its request."""
        data = response.to_bytes()
        if len(self._replies) >= REMEMBERED:
            self._replies.clear()
        self._replies[(request.via.branch or "", request.method)] = data
        self.ladder.append(f"-> {response.status} {request.method}")
        self.network.send(data, (self.host, self.scscf_port), destination)

    def send(self, request: Request, destination: Address) -> None:
        """Send a request that has its Via."""
        self.ladder.append(f"-> {request.method} {request.uri}")
        self.network.send(request.to_bytes(), (self.host, self.scscf_port), destination)

    def _via(self, request: Request, call: CoreCall | None) -> None:
        branch = new_branch()
        request.prepend("via", f"SIP/2.0/UDP {self.host}:{self.scscf_port};branch={branch};rport")
        if call is not None:
            self._transactions[branch] = call

    def send_in_dialog(self, call: CoreCall, request: Request) -> None:
        """The S-CSCF's own Route is dropped: it is the one that sends."""
        request.remove("route")
        self._via(request, call)
        self.send(request, call.flow)

    def ack_refusal(self, invite: Request, response: Response, destination: Address) -> None:
        """The ACK of a refusal belongs to the INVITE's transaction (RFC 3261 §17.1.1.3)."""
        request = Request("ACK", invite.uri)
        request.add("via", str(invite.via))
        request.set("from", invite.get("from") or "")
        request.set("to", response.get("to") or "")
        request.set("call-id", invite.call_id)
        request.set("cseq", f"{invite.cseq.number} ACK")
        request.set("max-forwards", "70")
        self.send(request, destination)

    # -- registrar -------------------------------------------------------------------------

    def _register(self, request: Request, source: Address) -> None:
        self.registers.append(request)
        if self._canned:
            status, headers = self._canned.popleft()
            response = make_response(request, status, "Scripted", new_tag())
            for name, value in headers:
                response.add(name.lower(), value)
            self.reply(request, response, source)
            return
        subscriber, refused = self._authenticated(request)
        if subscriber is None:
            response = make_response(request, 403 if refused else 401, None, new_tag())
            if not refused:
                response.set("www-authenticate", self.challenge())
            self.reply(request, response, source)
            return
        self.reply(request, self._bind(request, subscriber), source)

    def _authenticated(self, request: Request) -> tuple[Subscriber | None, bool]:
        """The subscriber who proved himself; else whether he is refused rather than asked."""
        text = request.get("authorization")
        if text is None:
            return None, False
        params = Credentials.parse(text).params
        subscriber = self.subscribers.get(params.get("username") or "")
        if subscriber is None:
            return None, True
        nonce = params.get("nonce") or ""
        if nonce not in self._nonces:
            return None, False
        self._nonces.discard(nonce)  # nonces are used once, as Kamailio's are
        expected = digest_response(subscriber, self.domain, request.method, params)
        return (subscriber, False) if params.get("response") == expected else (None, True)

    def _bind(self, request: Request, subscriber: Subscriber) -> Response:
        contact = request.contact
        assert contact is not None
        expires = min(int(request.get("expires") or "3600"), self.granted)
        path = tuple(request.headers.get("path", ()))
        for impu in subscriber.impus:
            if expires:
                self.registered[canonical_key(impu)] = Registered(contact, expires, path, request)
            else:
                self.registered.pop(canonical_key(impu), None)
        response = make_response(request, 200, "OK", new_tag())
        response.set("contact", f"<{contact.uri}>;expires={expires}")
        if expires == 0:
            return response
        if self.service_route:
            response.set("service-route", f"<sip:orig@{self.host}:{self.scscf_port};lr>")
        if self.associated:
            open_to_all = [impu for impu in subscriber.impus if impu not in self.barred]
            response.set("p-associated-uri", ", ".join(f"<{impu}>" for impu in open_to_all))
        for value in path:
            response.add("path", value)
        return response

    # -- reg event -------------------------------------------------------------------------

    def _subscribe(self, request: Request, source: Address) -> None:
        if self.subscribe_status != 200:
            self.reply(request, make_response(request, self.subscribe_status, "Scripted", new_tag()), source)
            return
        tag = new_tag()
        response = make_response(request, 200, "OK", tag)
        response.set("expires", request.get("expires") or "3600")
        response.set("contact", f"<sip:{self.host}:{self.scscf_port}>")
        response.add("record-route", self.record_route)
        self.reply(request, response, source)
        key = request.to.uri.key
        dialog = Dialog.as_uas(request, tag)
        self.subscriptions[key] = dialog
        if request.get("event") == "reg":
            self.notify(key, self.reginfo(key))

    def reginfo(self, key: str, state: str = "active", event: str = "registered", more: str = "") -> bytes:
        """A full reginfo document about the contact registered for `key`."""
        self._versions += 1
        bound = self.registered.get(key)
        contact = "" if bound is None else str(bound.contact.uri)
        inner = f'<contact id="c1" state="{state}" event="{event}" {more}><uri>{contact}</uri></contact>'
        return (
            '<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" '
            f'version="{self._versions}" state="full"><registration aor="{key}" id="r1" state="{state}">{inner}'
            "</registration></reginfo>"
        ).encode()

    def network_deregisters(self, impu: str, event: str, more: str = "") -> None:
        """Tell the watcher of `impu` that its contact is terminated for this reason; drop the binding."""
        key = canonical_key(impu)
        body = self.reginfo(key, "terminated", event, more)
        bound = self.registered.get(key)
        gone = [name for name, other in self.registered.items() if bound is not None and other is bound]
        for name in gone:
            del self.registered[name]
        self.registered.pop(key, None)
        self.notify(key, body)

    def notify(self, key: str, body: bytes, state: str = "active;expires=3600", event: str = "reg") -> None:
        """A NOTIFY in the reg-event dialog of `key`."""
        dialog = self.subscriptions[key]
        request = dialog.request("NOTIFY")
        request.remove("route")
        request.set("event", event)
        request.set("subscription-state", state)
        request.set("contact", f"<sip:{self.host}:{self.scscf_port}>")
        request.set("content-type", "application/reginfo+xml")
        request.body = body
        self._via(request, None)
        uri = dialog.remote_target
        self.send(request, (uri.host, uri.port or 5060))

    # -- calls -----------------------------------------------------------------------------

    def _invite(self, request: Request, source: Address) -> None:
        call = CoreCall(self, request, source)
        self.calls.append(call)
        call.trying()
        phone = self._phones.get(request.uri.key)
        if phone is not None:
            phone(call)

    def _in_dialog(self, request: Request, source: Address) -> None:
        key = DialogId(request.call_id, request.to.tag or "", request.from_.tag or "")
        call = self.dialogs.get(key)
        if call is not None:
            call.requests.append(request)
        if request.method == "SUBSCRIBE":
            self._refresh_subscription(request, source)
        elif request.method != "ACK":
            status, sdp = (481, None) if call is None else (call.canned.get(request.method) or [(200, None)]).pop(0)
            response = make_response(request, status, None)
            if call is not None and status < 300 and request.method in ("INVITE", "UPDATE"):
                for name, value in call.terms:
                    response.add(name.lower(), value)
            put(response, sdp)
            self.reply(request, response, source)

    def _refresh_subscription(self, request: Request, source: Address) -> None:
        key = request.from_.uri.key
        found = key in self.subscriptions
        status, phrase = (200, "OK") if found else (481, "Subscription Does Not Exist")
        response = make_response(request, status, phrase)
        if found:
            response.set("expires", request.get("expires") or "3600")
            response.set("contact", f"<sip:{self.host}:{self.scscf_port}>")
        self.reply(request, response, source)

    def _cancel(self, request: Request, source: Address) -> None:
        for call in self.calls:
            if call.invite.via.branch == request.via.branch and call._final is None:
                call.requests.append(request)
                self.reply(request, make_response(request, 200, "OK", call.tag), source)
                call.reject(487, "Request Terminated")
                return
        self.reply(request, make_response(request, 481, "Call/Transaction Does Not Exist", new_tag()), source)

    def call(
        self,
        impu: str,
        sdp: str | None = None,
        caller: str = "sip:bob@ims.test",
        *headers: tuple[str, str],
        supported: str = "100rel",
    ) -> CoreCall:
        """A phone calls a registered identity: Request-URI is the Contact, P-Called-Party-ID the identity."""
        bound = self.registered[canonical_key(impu)]
        request = Request("INVITE", bound.contact.uri)
        for value in bound.path:
            request.add("route", value)
        request.add("record-route", self.record_route)
        request.set("max-forwards", "68")
        request.set("from", f'"Bob" <{caller}>;tag={new_tag()}')
        request.set("to", f"<{impu}>")
        request.set("call-id", new_call_id(self.host))
        request.set("cseq", "1 INVITE")
        request.set("contact", f"<sip:bob@{self.host}:{self.scscf_port}>")
        request.set("p-asserted-identity", f'"Bob" <{caller}>')
        request.set("p-called-party-id", f"<{impu}>")
        request.set("supported", supported)
        put(request, sdp)
        for name, value in headers:
            request.set(name.lower(), value)
        return self.place(request, (bound.contact.uri.host, bound.contact.uri.port or 5060))

    def place(self, request: Request, destination: Address) -> CoreCall:
        """Send any INVITE of the test's own making."""
        call = CoreCall(self, request, destination)
        self.calls.append(call)
        self._via(request, call)
        self.send(request, destination)
        return call


def digest_response(subscriber: Subscriber, realm: str, method: str, params: Mapping[str, str | None]) -> str:
    """RFC 2617 §3.2.2 by hand, so that the gateway's arithmetic is not checked against itself."""
    get = params.get

    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - the algorithm of RFC 3261

    first = h(f"{subscriber.impi}:{realm}:{subscriber.secret}")
    second = h(f"{method}:{get('uri')}")
    return h(f"{first}:{get('nonce')}:{get('nc')}:{get('cnonce')}:{get('qop')}:{second}")


def by_method(messages: list[Message], method: str) -> list[Request]:
    """The requests of one method among what a core has received."""
    return [message for message in messages if isinstance(message, Request) and re.fullmatch(method, message.method)]
