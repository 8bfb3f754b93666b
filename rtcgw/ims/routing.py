"""The routing function (530): where a request from the core goes.

    in a dialog    the leg that owns it, found in the dialog index; no owner: 481, an ACK is dropped
    NOTIFY         the subscription that it belongs to
    OPTIONS        answered here, nothing is kept beyond the transaction
    INVITE         the called user is sought (`called.py`) and `on_invite` makes the half-call
    anything else  refused as RFC 3261 §8.2 says (`screen.py`)

It is the user of the transaction layer. The mapping table <sender, receiver, sessionID> that
the patent puts here is `store/table.py`'s; this room asks only which dialog has which owner.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.ims import screen
from rtcgw.ims.called import called_user, caller_of, candidates
from rtcgw.ims.profiles import Profiles
from rtcgw.ims.useragent import PRODUCT, ImsUserAgent
from rtcgw.model.defaults import MIN_SE
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.flow import Flow
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.txuser import ITransactionUser
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipport import IDialogOwner, ISipPort

log = Logger()

MAX_DIALOGS = 100_000
OnInvite = Callable[[ImsUserAgent, ServerTransaction, Request, str], None]
"""Called as on_invite(port, tx, request, user) for each call from the core; `user` is empty where only Replaces says
whom it is for."""


OnSubscribe = Callable[[ISipPort, ServerTransaction, Request, SipLeg | None], None]
"""Called as on_subscribe(port, tx, request, leg) for a SUBSCRIBE outside any dialog, or in that of a call's leg."""


def _no_events(port: ISipPort, tx: ServerTransaction, request: Request, leg: SipLeg | None) -> None:
    """Where nobody keeps subscriptions there is no package (RFC 6665 §4.2.1.1)."""
    response = make_response(request, 489, "Bad Event")
    response.set("allow-events", "")
    tx.respond(response)


@define(eq=False)
class DialogIndex:
    """Which leg owns which dialog; at most `limit` of them."""

    limit: int = MAX_DIALOGS
    _owners: dict[DialogId, IDialogOwner] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, dialog: DialogId) -> bool:
        return dialog in self._owners

    def add_dialog(self, dialog: DialogId, owner: IDialogOwner) -> bool:
        """Enter a dialog, or give it to another owner; False when the index is full."""
        if len(self._owners) >= self.limit and dialog not in self._owners:
            return False
        self._owners[dialog] = owner
        return True

    def drop_dialog(self, dialog: DialogId) -> bool:
        """Take a dialog out; False when it was not there."""
        return self._owners.pop(dialog, None) is not None

    def get(self, dialog: DialogId) -> IDialogOwner | None:
        """The owner of a dialog."""
        return self._owners.get(dialog)

    def find(self, request: Request) -> IDialogOwner | None:
        """The owner of the dialog that a request is in (RFC 3261 §12.2.2)."""
        return self._owners.get(DialogId.of_request(request))


@implementer(ITransactionUser)
@define(eq=False)
class RoutingFactory:
    """Every request that comes from the core passes here.

    `find_user(key)` gives the web user that a canonical key names, or None. `busy()` says whether new calls
    must be turned away. `peers(uri)` says what kind of peer a caller is.
    """

    profiles: Profiles
    index: DialogIndex
    _find_user: Callable[[str], str | None]
    on_invite: OnInvite
    _busy: Callable[[], bool] = lambda: False
    _retry_after: int = 5
    """Seconds; some more are added at random, lest all come back at once."""
    _peers: Callable[[str], PeerProfile] = lambda uri: PLAIN_PEER
    _min_se: int = MIN_SE
    """Seconds; shorter sessions are refused (RFC 4028 §9)."""
    on_subscribe: OnSubscribe = field(default=_no_events, init=False)
    """Who keeps subscriptions."""
    on_notify: Callable[[ServerTransaction, Request], bool] = field(default=lambda tx, request: False, init=False)
    """Who has subscribed, besides the profiles; whether the NOTIFY was theirs."""
    counters: Counter[str] = field(factory=Counter, init=False)
    """What arrived and what became of it; the labels are fixed."""

    # -- news from the transaction layer ------------------------------------------------------

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        """See `ITransactionUser`. A `HeaderError` is answered by the transaction layer, with 400."""
        refusal = screen.refusal(request, self._extensions(request), self._min_se)
        if refusal is not None:
            self._refused(str(refusal.status))
            tx.respond(refusal)
        elif request.method == "SUBSCRIBE":
            self._subscribe(tx, request)
        elif request.to.tag:
            self._in_dialog(tx, request)
        else:
            self._out_of_dialog(tx, request)

    def got_ack(self, request: Request, flow: Flow) -> None:
        """See `ITransactionUser`."""
        owner = self.index.find(request)
        if owner is None:
            self.counters["ack without a dialog"] += 1
        else:
            owner.got_ack(request)

    def _extensions(self, request: Request) -> frozenset[str]:
        """What the sender may require, by the profile of its dialog, or of a call that it would begin."""
        if "require" not in request.headers:
            return screen.EXTENSIONS  # not looked for where nothing is required
        if request.to.tag:
            owner = self.index.find(request)
            peer = PLAIN_PEER if owner is None else owner.peer
        else:
            peer = self._peers(caller_of(request).uri)
        return screen.extensions(peer)

    # -- where it goes ---------------------------------------------------------------------

    def _in_dialog(self, tx: ServerTransaction, request: Request) -> None:
        owner = self.index.find(request)
        if owner is not None:
            owner.got_request(tx, request)
        elif request.method != "NOTIFY" or not self._notified(tx, request):
            self._refuse(tx, 481, "Call/Transaction Does Not Exist")

    def _notified(self, tx: ServerTransaction, request: Request) -> bool:
        """Whether a NOTIFY outside calls is of a subscription of ours."""
        return self.profiles.got_notify(tx, request) or self.on_notify(tx, request)

    def _subscribe(self, tx: ServerTransaction, request: Request) -> None:
        """To a conference: outside any dialog, in that of a call with it, or again in the subscription's own."""
        owner = self.index.find(request) if request.to.tag else None
        port = owner.port if isinstance(owner, SipLeg) else None if request.to.tag else self._port(request)
        if owner is not None and port is None:
            owner.got_request(tx, request)
        elif port is None:
            self._refuse(tx, 481, "Call/Transaction Does Not Exist")
        else:
            self.on_subscribe(port, tx, request, owner if isinstance(owner, SipLeg) else None)

    def _out_of_dialog(self, tx: ServerTransaction, request: Request) -> None:
        if request.method == "INVITE":
            self._invite(tx, request)
        elif request.method == "OPTIONS":
            self._options(tx, request)
        elif request.method == "REFER" and "target-dialog" not in request.headers:
            self._refuse(tx, 403, "Forbidden")  # nobody is made to call by a stranger; in a dialog it is another matter
        else:
            self._refuse(tx, 481, "Call/Transaction Does Not Exist")

    def _options(self, tx: ServerTransaction, request: Request) -> None:
        """What we can do, and whether a call would be taken now (RFC 3261 §11.2)."""
        if self._busy():
            self._overloaded(tx)
            return
        self.counters["options"] += 1
        response = make_response(request, 200, "OK")
        response.set("allow", screen.ALLOW)
        response.set("accept", screen.ACCEPT_ANYWHERE)
        response.set("supported", screen.supported(PLAIN_PEER))
        response.set("server", PRODUCT)
        tx.respond(response)

    def _invite(self, tx: ServerTransaction, request: Request) -> None:
        if self._busy() or len(self.index) >= self.index.limit:
            self._overloaded(tx)
            return
        port = self._port(request)
        user = None if port is None else called_user(request, self._find_user)
        replaces = "replaces" in request.headers  # names a dialog, whoever the address names
        if port is None or (user is None and not replaces):
            log.info("call for {to} refused: nobody has that address", to=str(request.to.uri), ration="refused calls")
            self._refuse(tx, 404, "Not Found")
            return
        if port.full:
            self._overloaded(tx)
            return
        self.counters["invite"] += 1
        self.on_invite(port, tx, request, user or "")

    def _port(self, request: Request) -> ImsUserAgent | None:
        """The profile that answers: the one whose Contact was called, else whose identity, else any."""
        port = self.profiles.by_token(request.uri.user or "")
        if port is not None:
            return port
        for key in candidates(request):
            port = self.profiles.by_identity(key)
            if port is not None:
                return port
        return self.profiles.any()

    # -- refusals --------------------------------------------------------------------------

    def _refuse(self, tx: ServerTransaction, status: int, phrase: str) -> None:
        self._refused(str(status))
        tx.respond(make_response(tx.request, status, phrase))

    def _overloaded(self, tx: ServerTransaction) -> None:
        self._refused("503")
        response = make_response(tx.request, 503, "Service Unavailable")
        response.set("retry-after", str(self._retry_after + secrets.randbelow(self._retry_after + 1)))
        tx.respond(response)

    def _refused(self, status: str) -> None:
        self.counters[f"refused {status}"] += 1
