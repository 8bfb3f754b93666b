"""The IMS user agent (510): how one profile's calls go out to the core, and what they say about themselves.

One per profile. It provides `ISipPort` to the SIP half-calls: identity, routes, Contact,
capabilities and credentials of a call are decided here, the call itself is not. It says of
itself only what the gateway does, by the tables of `screen.py`.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from typing import Protocol

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw import __version__
from rtcgw.ims.challenge import challenges_of, is_stale
from rtcgw.ims.line import Line
from rtcgw.ims.registration import Registration
from rtcgw.ims.screen import ACCEPT, ALLOW, supported
from rtcgw.model import defaults
from rtcgw.model.identity import ANONYMOUS, Identity, canonical_key
from rtcgw.model.peer import PLAIN_PEER, PeerProfile, UriForm
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.dialog import DialogId, new_call_id, new_tag
from rtcgw.sip.digest import AuthRefused
from rtcgw.sip.flow import PORT, Hop, host_port
from rtcgw.sip.headers import CSeq, HeaderError, NameAddr, quote
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.subscription import ISubscriptionPort
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.txuser import Failure, IClientUser
from rtcgw.sip.uri import Uri, UriError, escape_user
from rtcgw.translator.sipport import IDialogOwner, ISipPort

log = Logger()

_MAX_FORWARDS = str(defaults.MAX_FORWARDS)
PRODUCT = f"rtcgw/{__version__}"
MAX_TRIES = 2
"""Times that one request is sent again with credentials: once, and once more for a stale nonce."""
_ICID = re.compile(r'\bicid-value=(?:"[^"\\]{1,128}"|[^\s;,"]{1,128})', re.I)
_REMEMBERED = 4096
"""Challenged requests whose tries are counted, and next hops that are kept parsed."""


class IDialogIndex(Protocol):
    """The dialog index of the routing function."""

    def __contains__(self, dialog: DialogId) -> bool:
        """Whether a dialog is in it."""

    def get(self, dialog: DialogId) -> IDialogOwner | None:
        """The owner of a dialog."""

    def add_dialog(self, dialog: DialogId, owner: IDialogOwner) -> bool:
        """Enter a dialog; False when the index is full."""

    def drop_dialog(self, dialog: DialogId) -> bool:
        """Take a dialog out; False when it was not there."""


@define(eq=False)
class Load:
    """The calls that a profile carries: one per Call-ID, however many early dialogs it has."""

    _uses: dict[str, int] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._uses)

    def take(self, call_id: str) -> None:
        """A call is tried, or a dialog of it exists."""
        self._uses[call_id] = self._uses.get(call_id, 0) + 1

    def give(self, call_id: str) -> None:
        """What was taken is over."""
        left = self._uses.get(call_id, 0) - 1
        if left > 0:
            self._uses[call_id] = left
        else:
            self._uses.pop(call_id, None)


@implementer(IClientUser)
@define(eq=False)
class _Counted:
    """Counts a call as carried from its INVITE until the final response; its dialogs count after that."""

    _load: Load
    _user: IClientUser
    _call_id: str

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        self._user.got_response(tx, response)
        if response.status >= 200:
            self._over()

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        self._user.got_failure(tx, failure)
        self._over()

    def _over(self) -> None:
        call_id, self._call_id = self._call_id, ""
        if call_id:
            self._load.give(call_id)


@implementer(ISipPort, ISubscriptionPort)
@define(eq=False)
class ImsUserAgent:
    """One profile's way to the core."""

    line: Line
    registration: Registration
    _index: IDialogIndex
    profile: str = field(init=False)
    layer: TransactionLayer = field(init=False)
    load: Load = field(factory=Load, init=False)
    _tries: OrderedDict[tuple[str, int], int] = field(factory=OrderedDict, init=False)
    _hops: dict[str, Hop | None] = field(factory=dict, init=False)
    _peer_route: str = field(init=False)
    _configured: frozenset[str] = field(init=False)
    _granted: tuple[str, ...] | None = field(default=None, init=False)
    _ours: dict[str, str] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.profile = self.line.profile.name
        self.layer = self.line.layer
        self.registration.watch.port = self
        peer = self.line.peer
        where = host_port(peer.host, peer.port) if peer.port else peer.host
        transport = f";transport={peer.transport.lower()}" if peer.transport else ""
        self._configured = frozenset(canonical_key(impu) for impu in self.line.profile.impus)
        self._peer_route = f"<sip:{where}{transport};lr>"

    # -- who we are ------------------------------------------------------------------------

    def contact(self) -> str:
        """The Contact of calls."""
        return self.line.contact

    def identity(self, caller: Identity | None) -> str:
        """The public identity that a caller's requests bear: its own if it is one of ours, else the default one."""
        ours = self._identities()
        if caller is not None and caller.key in ours:
            return ours[caller.key]
        return next(iter(ours.values()))

    def answers_for(self, key: str) -> bool:
        """Whether a canonical key is one of this profile's public identities, barred ones included."""
        return key in self._identities() or key in self._configured

    @property
    def trusted(self) -> bool:
        """See `ISipPort`: as the P-CSCF's stand-in, in attach mode B, it does; as a UE it does not (TS 24.229 §4.4)."""
        return self.line.core

    @property
    def full(self) -> bool:
        """Whether the profile carries all the calls that it may."""
        return len(self.load) >= self.line.profile.max_calls

    def _identities(self) -> dict[str, str]:
        """The usable identities by canonical key, the default one first; computed once per registration."""
        granted = self.registration.identities
        if granted is not self._granted:
            self._granted = granted
            self._ours = {canonical_key(impu): impu for impu in granted or (str(self.line.public),)}
        return self._ours

    # -- new requests ----------------------------------------------------------------------

    def invite(self, target: str, caller: Identity, peer: PeerProfile = PLAIN_PEER, private: bool = False) -> Request:
        """See `ISipPort`."""
        uri = self.target(target)
        if peer.uri is not UriForm.KEEP:
            uri = in_form(uri, peer.uri, self.line.profile.domain)
        request = self.new_request("INVITE", uri, caller, private)
        headers = request.headers  # still ours alone, see new_request
        headers["contact"] = [self.line.contact]
        headers["allow"] = [ALLOW]
        tags = supported(peer)
        if tags:
            headers["supported"] = [tags]
        headers["accept"] = [ACCEPT]
        headers["p-early-media"] = ["supported"]
        return request

    def target(self, text: str) -> Uri:
        """What a user dialled as a URI: a SIP or tel URI as it is, a number as tel, a name at the home domain.

        Raises `UriError`.
        """
        text = text.strip()
        head, colon, _ = text.partition(":")
        if colon and head.lower() in ("sip", "sips", "tel"):
            uri = Uri.parse(text)
            if uri.headers or "method" in uri.params:
                # A Request-URI has neither (RFC 3261 §19.1.1), and nobody dials somebody's headers; in a Refer-To a
                # method would have the phone send what it is told to.
                raise UriError("headers or a method in the address")
            return uri
        key = canonical_key(text)
        if key.startswith("tel:"):
            return Uri.parse(key)
        if "@" in text:
            return self.target(f"sip:{text}")
        return Uri.parse(f"sip:{text}@{self.line.profile.domain}")

    def new_request(self, method: str, target: Uri, caller: Identity | None, private: bool = False) -> Request:
        """A request outside a dialog, with the preloaded route and the caller's identity.

        A private one hides the caller in From and asks the network to do so elsewhere (RFC 3323 §4.1, RFC 3325 §7);
        the identity that the network needs is the caller's own all the same. A caller who is anonymous already, as
        in a call that only passes through, is not shown by way of our default identity.

        The headers of a new message are put in as one dictionary: by `set` they cost three times as much, and
        this is done for every call.
        """
        identity = self.identity(caller)
        private = private or (caller is not None and caller.uri == ANONYMOUS.uri)
        line = self.line
        headers = {
            "max-forwards": [_MAX_FORWARDS],
            "from": [_from(caller, ANONYMOUS.uri if private else identity, private)],
            "to": [f"<{target.text}>"],
            "call-id": [new_call_id(line.address)],
            "cseq": [f"{1 + secrets.randbelow(2**16)} {method}"],
            "user-agent": [PRODUCT],
        }
        routes = self._preloaded()
        if routes:
            headers["route"] = list(routes)
        if line.core:
            headers["p-asserted-identity"] = [f"<{identity}>"]
            headers["p-charging-vector"] = [line.charging_vector()]
        else:
            headers["p-preferred-identity"] = [f"<{identity}>"]
        if private:
            headers["privacy"] = ["id"]
        request = Request(method, target)
        request.headers = headers
        return request

    def _preloaded(self) -> tuple[str, ...]:
        """The Service-Route, in mode A behind the P-CSCF if that is not its first entry. TS 24.229 §5.1.2A.1.1."""
        routes = self.registration.routes
        if self.line.core or not routes:
            return routes
        first, peer = self._hop(routes[0]), self.line.peer
        same = first is not None and (first.host, first.port or PORT) == (peer.host, peer.port or PORT)
        return routes if same else (self._peer_route, *routes)

    def subscribe(self, target: Uri, caller: Identity | None = None) -> Request:
        """See `ISipPort`, and `ISubscriptionPort`: one of our identities watches itself."""
        request = self.new_request("SUBSCRIBE", target, caller or Identity(target.text))
        self.decorate(request)
        return request

    # -- requests and responses inside dialogs ----------------------------------------------

    def decorate(self, message: Message, peer: PeerProfile = PLAIN_PEER, focus: str = "") -> None:
        """See `ISipPort`."""
        message.set("contact", self.line.focus(focus) if focus else self.line.contact)
        message.set("allow", ALLOW)
        tags = supported(peer)
        if tags:
            message.set("supported", tags)
        if isinstance(message, Response):
            message.set("server", PRODUCT)

    def identify(self, response: Response, invite: Request) -> None:
        """See `ISipPort`: the identity that was called answers, preferred by a UE, asserted inside the trust domain.

        TS 24.229 §5.1.2A.2, and §5.2.6.4 for the P-CSCF whose duties are ours in attach mode B.
        """
        identity = f"<{self._called(invite)}>"
        if not self.line.core:
            response.set("p-preferred-identity", identity)
            return
        response.set("p-asserted-identity", identity)
        vector = invite.get("p-charging-vector")
        if vector is not None:
            response.set("p-charging-vector", f"{vector};term-ioi={self.line.profile.domain}")

    def _called(self, invite: Request) -> str:
        """The public identity that a call is for; the default one when it names none of ours."""
        ours = self._identities()
        for value in (invite.get("p-called-party-id"), invite.get("to")):
            try:
                key = "" if value is None else NameAddr.parse(value).uri.key
            except HeaderError:
                continue
            if key in ours:
                return ours[key]
        return next(iter(ours.values()))

    def in_dialog(self, invite: Request) -> tuple[tuple[str, str], ...]:
        """See `ISipPort`: in mode B each request of a dialog is counted under the id of its INVITE (RFC 7315 §4.6)."""
        if not self.line.core:
            return ()
        found = _ICID.search(invite.get("p-charging-vector") or "")
        return () if found is None else (("p-charging-vector", found[0]),)

    def send(self, request: Request, user: IClientUser) -> ClientTransaction:
        """See `ISipPort`."""
        if request.method == "INVITE" and not request.to.tag:
            call_id = request.call_id
            self.load.take(call_id)
            user = _Counted(self.load, user, call_id)
        return self.layer.request(request, self.next_hop(request), user)

    def ack(self, request: Request) -> None:
        """See `ISipPort`."""
        self.layer.send_ack(request, self.next_hop(request))

    def cancel(self, tx: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """See `ISipPort`."""
        self.layer.cancel(tx, headers)

    def next_hop(self, request: Request) -> Hop:
        """First Route; in a dialog without one the remote target; else the core's door. RFC 3261 §8.1.2, §12.2.1.1."""
        routes = request.headers.get("route")
        if routes:
            hop = self._hop(routes[0])
            if hop is not None:
                return hop
        return Hop.to_uri(request.uri) if request.to.tag else self.line.peer

    def _hop(self, route: str) -> Hop | None:
        """The hop of a Route, None for a strict router's; remembered, for a core has few and every request asks."""
        try:
            return self._hops[route]
        except KeyError:
            if len(self._hops) >= _REMEMBERED:
                self._hops.clear()
            uri = NameAddr.parse(route).uri
            hop = self._hops[route] = Hop.to_uri(uri) if uri.loose else None
            return hop

    def authorize(self, request: Request, response: Response) -> Request | None:
        """See `ISipPort`."""
        cseq = request.cseq
        tries = self._tries.pop((request.call_id, cseq.number), 0) + 1
        if tries > MAX_TRIES:
            return None
        header = "authorization" if response.status == 401 else "proxy-authorization"
        challenges = challenges_of(response)
        if request.get(header) is not None and not any(is_stale(challenge) for challenge in challenges):
            return None
        try:
            credentials = self.line.credentials.answer(challenges, request.method, str(request.uri), request.body)
        except AuthRefused as error:
            log.warn(
                "profile {profile}: {method} not authorized: {error}",
                profile=self.profile,
                method=request.method,
                error=str(error),
                ration="SIP",
            )
            return None
        again = again_with(request)
        again.set(header, credentials)
        # Counted under the number that it now bears: not per call, or a proxy that asks for each request's
        # credentials would let no BYE through after the second one.
        self._tries[request.call_id, cseq.number + 1] = tries
        if len(self._tries) > _REMEMBERED:
            self._tries.popitem(last=False)
        return again

    # -- the dialog index, the registration ---------------------------------------------------

    def add_dialog(self, dialog: DialogId, owner: IDialogOwner) -> bool:
        """See `ISipPort`. A dialog is entered again with each of its 1xx; it counts once."""
        known = dialog in self._index
        if not self._index.add_dialog(dialog, owner):
            return False
        if not known:
            self.load.take(dialog.call_id)
        return True

    def owner(self, dialog: DialogId) -> IDialogOwner | None:
        """Who has a dialog, of this profile or another one."""
        return self._index.get(dialog)

    def drop_dialog(self, dialog: DialogId) -> None:
        """See `ISipPort`."""
        if self._index.drop_dialog(dialog):
            self.load.give(dialog.call_id)

    def trouble(self, response: Response | None) -> None:
        """See `ISipPort`."""
        self.registration.suspect()


def _from(caller: Identity | None, address: str, private: bool) -> str:
    """A web user appears by display name only: the address is one that the network has registered."""
    display = ANONYMOUS.display if private else None if caller is None else caller.display
    display = " ".join((display or "").split())  # a line break here would begin another header
    return f"{quote(display)} <{address}>;tag={new_tag()}" if display else f"<{address}>;tag={new_tag()}"


def in_form(uri: Uri, form: UriForm, domain: str) -> Uri:
    """A number in the form that a peer takes; what is no number, or a number at another domain, stays as it is.

    RFC 3261 §19.1.6: the whole of a tel URI becomes the user part, at `domain`, marked as a telephone number.
    """
    if uri.scheme == "tel":
        if form is UriForm.SIP:
            return Uri("sip", _subscriber(uri), domain, params={"user": "phone"})
        return uri
    at_home = uri.host.lower() == domain.lower() or uri.usertype == "phone"
    if not (at_home and uri.key.startswith("tel:")):
        return uri
    if form is UriForm.TEL:
        return Uri.parse(uri.key)
    return uri.replace(params={**uri.params, "user": "phone"})


def _subscriber(uri: Uri) -> str:
    """A tel URI without its scheme and visual separators, its parameters in the order that compares as text."""
    first = [name for name in ("isub", "ext") if name in uri.params]
    names = first + sorted(name for name in uri.params if name not in first)
    params = (name if uri.params[name] is None else f"{name}={uri.params[name]}" for name in names)
    number = uri.key.removeprefix("tel:")
    return escape_user(";".join((number, *params)).lower())


def again_with(request: Request) -> Request:
    """The request once more: the next CSeq, no Via, all else alike. RFC 3261 §22.2, §8.1.3.5."""
    again = Request(request.method, request.uri)
    for name, values in request.headers.items():
        if name not in ("via", "content-length"):
            for value in values:
                again.add(name, value)
    again.set("cseq", str(CSeq(request.cseq.number + 1, request.method)))
    again.body = request.body
    return again
