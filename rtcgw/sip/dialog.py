"""Dialogs: ids, CSeq order, route set and remote target (RFC 3261 §12), and the ids made for them.

A `Dialog` is what both ends remember. It has no state machine: whether it is early, confirmed or
over is known to its owner, a call leg or a subscription. One INVITE may make several dialogs,
one per To tag; the owner keeps them apart by `DialogId`.
"""

from __future__ import annotations

import secrets

from attrs import define, frozen

from rtcgw.model.defaults import MAX_FORWARDS
from rtcgw.sip.flow import Hop
from rtcgw.sip.headers import HeaderError, NameAddr
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.uri import Uri

FOCUS = "isfocus"
"""The parameter of a Contact that is a conference's (RFC 3840 §10.18)."""
COOKIE = "z9hG4bK"
"""Begins every branch since RFC 3261 (§8.1.1.7)."""


def new_tag() -> str:
    """A fresh tag: 64 random bits (§19.3 asks for 32)."""
    return secrets.token_hex(8)


def new_call_id(host: str) -> str:
    """A fresh Call-ID, unguessable."""
    return f"{secrets.token_hex(12)}@{host}"


def new_branch() -> str:
    """A fresh branch: 80 random bits, so that a response that bears it is an answer to us."""
    return COOKIE + secrets.token_hex(10)


@frozen
class DialogId:
    """What names a dialog at this end (§12)."""

    call_id: str
    local_tag: str
    remote_tag: str
    """Empty for a peer of RFC 2543 that gives no tag."""

    @classmethod
    def of_request(cls, request: Request) -> DialogId:
        """The dialog into which a request that we received falls: its To tag is ours."""
        return cls(request.call_id, request.to.tag or "", request.from_.tag or "")


@define
class Dialog:
    """One end of a dialog."""

    id: DialogId
    local: NameAddr
    """Our address, with our tag: the From of what we send."""
    remote: NameAddr
    """The peer's address, with its tag: the To of what we send."""
    remote_target: Uri
    """The peer's Contact."""
    route_set: tuple[NameAddr, ...]
    """The proxies between, nearest first."""
    local_cseq: int
    remote_cseq: int | None
    """None until the peer has sent a request."""
    allow: tuple[str, ...] | None = None
    """The peer's last Allow, as lines; None until it has sent one. Read when somebody asks, which few calls do."""
    focus: bool = False
    """The peer's last Contact says that it is a conference (RFC 4579 §4.1)."""
    supported: tuple[str, ...] | None = None
    """The same for Supported."""
    headers: tuple[tuple[str, str], ...] = ()
    """What each of our requests in the dialog bears besides, the ACK apart; names in lower case."""

    @classmethod
    def as_uac(cls, request: Request, response: Response) -> Dialog:
        """The dialog that a response to our request makes, early or confirmed (§12.1.2)."""
        local, remote = request.from_, response.to
        contact = response.contact
        return cls(
            id=DialogId(request.call_id, local.tag or "", remote.tag or ""),
            local=local,
            remote=remote,
            # A 1xx may leave Contact out; until the 2xx brings it, the peer is where the request went.
            remote_target=request.uri if contact is None else contact.uri,
            route_set=tuple(reversed(response.record_routes)),
            local_cseq=request.cseq.number,
            remote_cseq=None,
            allow=_lines(response, "allow"),
            supported=_lines(response, "supported"),
            focus=contact is not None and FOCUS in contact.params,
        )

    @classmethod
    def as_uas(cls, request: Request, local_tag: str) -> Dialog:
        """The dialog that our answer with `local_tag` makes (§12.1.1). Raises `HeaderError` when Contact is missing."""
        contact = request.contact
        if contact is None:
            raise HeaderError("Contact is missing")
        local, remote = request.to, request.from_
        return cls(
            id=DialogId(request.call_id, local_tag, remote.tag or ""),
            local=local.with_tag(local_tag),
            remote=remote,
            remote_target=contact.uri,
            route_set=tuple(request.record_routes),
            local_cseq=secrets.randbelow(2**16),
            remote_cseq=request.cseq.number,
            allow=_lines(request, "allow"),
            supported=_lines(request, "supported"),
            focus=FOCUS in contact.params,
        )

    def confirm(self, response: Response) -> None:
        """The 2xx of an early dialog: its route set and target are the valid ones (§13.2.2.4)."""
        self.route_set = tuple(reversed(response.record_routes))
        self.refresh_target(response)

    def refresh_target(self, message: Message) -> None:
        """A target refresh, or its 2xx, may move the peer and change what it takes; the route set stays (§12.2)."""
        contact = message.contact
        if contact is not None:
            self.remote_target = contact.uri
            self.focus = FOCUS in contact.params
        self.allow = _lines(message, "allow") or self.allow
        self.supported = _lines(message, "supported") or self.supported

    def takes(self, method: str) -> bool | None:
        """Whether the peer says that it takes `method`; None when it has said nothing (§20.5)."""
        if self.allow is None:
            return None
        return any(method == word.strip() for line in self.allow for word in line.split(","))

    def supports(self, tag: str) -> bool:
        """Whether the peer says that it supports this option tag (§20.37)."""
        return any(tag == word.strip().lower() for line in self.supported or () for word in line.split(","))

    def accepts(self, request: Request) -> bool:
        """Whether a request comes in order; False is answered with 500 (§12.2.2). ACK and CANCEL bear old numbers."""
        if request.method in ("ACK", "CANCEL"):
            return True
        number = request.cseq.number
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    def request(self, method: str) -> Request:
        """A new request inside the dialog, with the next CSeq; no Via, no Contact (§12.2.1.1)."""
        self.local_cseq += 1
        request = self._request(method, self.local_cseq)
        for name, value in self.headers:
            request.add(name, value)
        return request

    def ack(self, invite_cseq: int) -> Request:
        """The ACK to a 2xx: the INVITE's number (§13.2.2.4)."""
        return self._request("ACK", invite_cseq)

    def _request(self, method: str, number: int) -> Request:
        target, routes = self.remote_target, self.route_set
        if routes and not routes[0].uri.loose:
            # A strict router: it finds itself in the Request-URI, and the target at the end of the Route.
            first = routes[0].uri
            routes = (*routes[1:], NameAddr(target))
            params = {name: value for name, value in first.params.items() if name != "method"}
            target = first.replace(params=params, headers=())
        request = Request(method, target)
        for route in routes:
            request.add("route", str(route))
        request.add("max-forwards", str(MAX_FORWARDS))
        request.add("from", str(self.local))
        request.add("to", str(self.remote))
        request.add("call-id", self.id.call_id)
        request.add("cseq", f"{number} {method}")
        return request

    def next_hop(self, request: Request) -> Hop:
        """Where a request of this dialog goes first (§8.1.2)."""
        return next_hop(request)


def _lines(message: Message, name: str) -> tuple[str, ...] | None:
    lines = message.headers.get(name)
    return None if lines is None else tuple(lines)


def next_hop(request: Request) -> Hop:
    """The first Route, if it is a loose router's, else the Request-URI (§8.1.2, §12.2.1.1)."""
    routes = request.routes
    if routes and routes[0].uri.loose:
        return Hop.to_uri(routes[0].uri)
    return Hop.to_uri(request.uri)
