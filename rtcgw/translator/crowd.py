"""A call with somebody else's conference: who is in it, learnt by subscription (RFC 4575), for the page in the call.

A focus says what it is by `isfocus` in its Contact (RFC 4579 §4.1). Then the page's half of the call subscribes to
it, outside the call's dialog (RFC 6665 §4.5.2), and each list that comes is reported by the phone's leg, as
`focus.py` does for our own conferences.

What it is not: it does not keep the subscription alive (`sip/subscription.py`) nor tell the page (`roster.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.model.events import Part, Participant, Roster
from rtcgw.model.identity import Identity
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.parties import plain
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.subscription import ISubscriptionPort, ISubscriptionUser, Subscription
from rtcgw.sip.transaction import ClientTransaction, IClientUser
from rtcgw.sip.uri import Uri
from rtcgw.sip.xmlbody import Bounds, XmlError, walk
from rtcgw.translator.call import Call
from rtcgw.translator.confinfo import CONTENT, NAMESPACE, PACKAGE
from rtcgw.translator.sipleg import SipLeg

log = Logger()

EXPIRES: Final = 3600
"""Seconds asked for (RFC 4575 §3.4)."""
BOUNDS: Final = Bounds(octets=65536, depth=12, elements=4000)
USERS: Final = 100
"""Users kept of a conference; what is said of more is passed over."""
ENDPOINTS: Final = 8
"""Endpoints kept of a user."""
TEXT: Final = 256
"""Characters of a name or a word that are kept."""
PAUSE: Final = 10.0
"""Seconds between two times that everything is asked for again: a focus whose lists never fit is not asked without end.
"""
_PARTS: Final[Mapping[str, Part]] = {
    "connected": Part.TALKING,
    "muted-via-focus": Part.TALKING,
    "on-hold": Part.HELD,
    "dialing-out": Part.CALLING,
    "dialing-in": Part.CALLING,
    "alerting": Part.CALLING,
    "pending": Part.CALLING,
}
"""RFC 4575 §5.7.3; whoever is disconnected, or disconnecting, is not there."""


@define
class User:
    """What has been said of one user."""

    name: str | None = None
    endpoints: dict[str, str] = field(factory=dict)
    """By URI, how each is connected; `ENDPOINTS` at most."""

    def note(self, endpoint: str, status: str) -> None:
        """How an endpoint is connected."""
        if endpoint in self.endpoints or len(self.endpoints) < ENDPOINTS:
            self.endpoints[endpoint] = status

    @property
    def part(self) -> Part | None:
        """What the user is doing; None where no endpoint is there any more. One without endpoints is simply there."""
        if not self.endpoints:
            return Part.TALKING
        parts = {_PARTS.get(status) for status in self.endpoints.values()}
        return next((part for part in (Part.TALKING, Part.HELD, Part.CALLING) if part in parts), None)


class Document:
    """A document of RFC 4575 as it is read; its parts' states are words: `full`, `partial`, `deleted`."""

    def __init__(self) -> None:
        self.state = "full"
        self.version: int | None = None
        self.users: list[tuple[str, str, User]] = []
        """URI, state, and what is said."""
        self.gone: list[tuple[str, str]] = []
        """Endpoints that are deleted: user's URI, endpoint's URI."""
        self._path: list[str] = []
        self._text = ""
        self._endpoint = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """See `xmlbody.Reader`."""
        local = name.removeprefix(f"{NAMESPACE} ")
        if not self._path and local != "conference-info":
            raise XmlError("no conference-info")
        self._path.append(local)
        self._text = ""
        if local == "conference-info":
            version = attributes.get("version", "")
            self.version = int(version) if version.isascii() and version.isdigit() and len(version) < 11 else None
            self.state = attributes.get("state", "full")
        elif self._path[1:] == ["users", "user"]:
            entity = plain(attributes.get("entity"), TEXT) or ""
            self.users.append((entity, attributes.get("state", "full"), User()))
        elif self._path[1:] == ["users", "user", "endpoint"]:
            self._endpoint = attributes.get("entity", "")[:TEXT]
            if attributes.get("state") == "deleted":
                self.gone.append((self.users[-1][0], self._endpoint))
            else:
                self.users[-1][2].note(self._endpoint, "connected")

    def data(self, text: str) -> None:
        """See `xmlbody.Reader`."""
        if len(self._text) < TEXT:
            self._text += text

    def end(self, name: str) -> None:
        """See `xmlbody.Reader`."""
        path, text = self._path[1:], self._text.strip()[:TEXT]
        self._path.pop()
        self._text = ""
        if path == ["users", "user", "display-text"]:
            self.users[-1][2].name = plain(text)
        elif path == ["users", "user", "endpoint", "status"] and self._endpoint in self.users[-1][2].endpoints:
            self.users[-1][2].note(self._endpoint, text.lower())


@implementer(ISubscriptionPort)
class _Port:
    """The way to the focus, under the identity of whoever is in the call."""

    def __init__(self, leg: SipLeg, caller: Identity) -> None:
        self._leg = leg
        self._caller = caller

    def subscribe(self, target: Uri) -> Request:
        """See `ISubscriptionPort`."""
        return self._leg.port.subscribe(target, self._caller)

    def decorate(self, message: Message) -> None:
        """See `ISubscriptionPort`."""
        self._leg.port.decorate(message)

    def send(self, request: Request, user: IClientUser) -> ClientTransaction:
        """See `ISubscriptionPort`."""
        return self._leg.port.send(request, user)

    def authorize(self, request: Request, response: Response) -> Request | None:
        """See `ISubscriptionPort`."""
        return self._leg.port.authorize(request, response)


@implementer(ISubscriptionUser)
class Crowd:
    """The conference at the far end of one call: `leg` speaks to its focus."""

    def __init__(self, leg: SipLeg, target: Uri, caller: Identity, clock: IReactorTime) -> None:
        self._leg = leg
        self._users: dict[str, User] = {}
        self._version: int | None = None
        self._told = 0
        self._clock = clock
        self._due: IDelayedCall | None = None
        """Everything will be asked for again: as soon as the NOTIFY in hand is dealt with, or later."""
        self._asked = -PAUSE
        """When it was asked for again last, by the clock."""
        self._shown: tuple[Participant, ...] = ()
        port = _Port(leg, caller)
        self.subscription = Subscription(port, self, clock, target, PACKAGE, CONTENT, EXPIRES)

    def close(self) -> None:
        """The call is over, or its far end no conference any more."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
        self.subscription.stop()

    def _ask_again(self) -> None:
        self._due = None
        self._asked = self._clock.seconds()
        self.subscription.stop()
        self.subscription.start()

    def subscription_began(self) -> None:
        """See `ISubscriptionUser`: what is known counts until the new list comes."""
        self._version = None

    def notified(self, request: Request, state: str) -> None:
        """See `ISubscriptionUser`."""
        if not request.body:
            return
        document = Document()
        try:
            walk(request.body, document, BOUNDS)
        except XmlError as error:
            log.info(
                "call {session}: list of a conference: {error}",
                session=self._leg.session,
                error=str(error),
                ration="SIP",
            )
            return
        if self._take(document):
            self._report()

    def subscription_ended(self, why: str) -> None:
        """See `ISubscriptionUser`: the last list stands."""

    def _take(self, document: Document) -> bool:
        """Whether the document was news. One that leaves a gap is no use: everything is asked for again."""
        version, known = document.version, self._version
        if document.state != "full":
            if version is None or known is None or version > known + 1:
                if self._due is None:
                    wait = max(0.0, self._asked + PAUSE - self._clock.seconds())
                    self._due = self._clock.callLater(wait, self._ask_again)
                return False
            if version <= known:
                return False
        else:
            if version is not None and known is not None and version < known:
                return False
            self._users.clear()
        self._version = version
        for entity, state, user in document.users:
            self._note(entity, state, user)
        for entity, endpoint in document.gone:
            if entity in self._users:
                self._users[entity].endpoints.pop(endpoint, None)
        return True

    def _note(self, entity: str, state: str, user: User) -> None:
        if state == "deleted":
            self._users.pop(entity, None)
        elif state == "partial" and entity in self._users:
            known = self._users[entity]
            known.name = user.name or known.name
            for endpoint, status in user.endpoints.items():
                known.note(endpoint, status)
        elif entity and len(self._users) < USERS:
            self._users[entity] = user

    def _report(self) -> None:
        present = tuple(
            Participant(Identity(entity, user.name), user.part)
            for entity, user in self._users.items()
            if user.part is not None
        )
        if present and present != self._shown:
            self._shown = present
            self._told += 1
            self._leg.report(Roster(self._told, present))


class Crowds:
    """All calls with somebody else's conferences."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._crowds: dict[Call, Crowd] = {}

    def __len__(self) -> int:
        return len(self._crowds)

    def look(self, call: Call) -> None:
        """A call was answered, or has changed: its far end may be a conference, or one no more."""
        leg = next((leg for leg in (call.callee, call.caller) if isinstance(leg, SipLeg)), None)
        dialog = None if leg is None else leg.dialog
        if leg is None or dialog is None or not dialog.focus:
            self.over(call)
        elif call not in self._crowds:
            crowd = Crowd(leg, dialog.remote_target, call.other_identity(leg), self._clock)
            self._crowds[call] = crowd
            crowd.subscription.start()

    def over(self, call: Call) -> None:
        """The call has ended."""
        crowd = self._crowds.pop(call, None)
        if crowd is not None:
            crowd.close()

    def got_notify(self, tx: ServerTransaction, request: Request) -> bool:
        """A NOTIFY outside the dialogs of calls; False, and unanswered, when it is none of these subscriptions'."""
        return any(crowd.subscription.got_notify(tx, request) for crowd in list(self._crowds.values()))
