"""Who is in a conference, told to phones that subscribe to it (RFC 4575, package `conference`).

    SUBSCRIBE to the conference's URI, or in the dialog of a call with it
    NOTIFY    the whole list at first and after each refresh, then what has changed, each under the next version

The URI is the Contact of a phone's call with the conference, marked `isfocus` (RFC 4579 §4.1). Nobody can guess one:
whoever knows it has been told. A user is named as the others see it; its endpoints bear numbers, not addresses.

What it is not: it keeps no list (`conference.py`) and no subscription (`sip/notifier.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, Protocol
from xml.etree import ElementTree

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.model.events import Part, Participant, Roster
from rtcgw.model.identity import Identity
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.sip.dialog import Dialog, DialogId, new_tag
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.notifier import INotifierPort, INotifierSource, Notification, Notifier, Refused, package
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import ClientTransaction, IClientUser
from rtcgw.sip.uri import Uri, UriError, escape_user
from rtcgw.translator.call import Call
from rtcgw.translator.conference import Conference, Conferences
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipport import IDialogOwner, ISipPort

log = Logger()

PACKAGE: Final = "conference"
CONTENT: Final = "application/conference-info+xml"
NAMESPACE: Final = "urn:ietf:params:xml:ns:conference-info"
LIMIT: Final = 32
"""Subscriptions to one conference: four for each party that it may have."""
_STATUS: Final[Mapping[Part, str]] = {
    Part.CALLING: "dialing-out",
    Part.TALKING: "connected",
    Part.HELD: "on-hold",
    Part.AWAY: "on-hold",
}
"""RFC 4575 §5.7.3 has no word for a page that reloads; like a party on hold it is there and not heard."""

Users = dict[str, tuple[str | None, tuple[Part, ...]]]
"""By URI: the name, and what each endpoint is doing."""


class IIndex(Protocol):
    """The dialog index of the routing function."""

    def add_dialog(self, dialog: DialogId, owner: IDialogOwner) -> bool:
        """Enter a dialog; False when the index is full."""

    def drop_dialog(self, dialog: DialogId) -> bool:
        """Take a dialog out."""


@implementer(INotifierPort)
class _Port:
    """The way to one subscriber: the profile's, with the conference's Contact."""

    def __init__(self, port: ISipPort, name: str) -> None:
        self._port = port
        self._name = name

    def decorate(self, message: Message) -> None:
        """See `INotifierPort`."""
        self._port.decorate(message, PLAIN_PEER, self._name)
        message.set("allow-events", PACKAGE)

    def send(self, request: Request, user: IClientUser) -> ClientTransaction:
        """See `INotifierPort`."""
        return self._port.send(request, user)

    def authorize(self, request: Request, response: Response) -> Request | None:
        """See `INotifierPort`."""
        return self._port.authorize(request, response)


@implementer(INotifierSource, IDialogOwner)
class Watch:
    """One subscription to a conference. `leg` is the call in whose dialog it is; None: it has its own."""

    peer: PeerProfile = PLAIN_PEER

    def __init__(self, conference: Conference, entity: str, leg: SipLeg | None, over: Callable[[Watch], None]) -> None:
        self.conference = conference
        self.leg = leg
        self.notifier: Notifier | None = None
        self._entity = entity
        self._over = over
        self._version = 0
        self._told: Users = {}

    def changed(self, roster: Roster | None) -> None:
        """See `Conference.watchers`."""
        assert self.notifier is not None
        call: object = None if self.leg is None else self.leg.parent
        if isinstance(call, Call) and call.over:
            self.notifier.lose()
        elif roster is None:
            self.notifier.close()
        else:
            self.notifier.changed()

    def notification(self, full: bool) -> Notification:
        """See `INotifierSource`."""
        present = users(self.conference.roster.participants, self.conference.domain)
        changed = {uri: user for uri, user in present.items() if full or self._told.get(uri) != user}
        gone = [] if full else [uri for uri in self._told if uri not in present]
        self._version += 1
        self._told = present
        root = document(self._entity, self._version, "full" if full else "partial", present)
        listed = ElementTree.SubElement(root, "users", {"state": root.get("state", "full")})
        for uri, (name, parts) in changed.items():
            _user(listed, uri, name, parts)
        for uri in gone:
            ElementTree.SubElement(listed, "user", {"entity": uri, "state": "deleted"})
        return Notification(CONTENT, ElementTree.tostring(root, "utf-8", xml_declaration=True))

    def watching_ended(self, notifier: Notifier) -> None:
        """See `INotifierSource`."""
        self._over(self)

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        """See `IDialogOwner`: in a subscription's dialog only SUBSCRIBE makes sense."""
        assert self.notifier is not None
        if request.method != "SUBSCRIBE":
            tx.respond(make_response(request, 405, "Method Not Allowed"))
        elif not self.notifier.dialog.accepts(request):
            tx.respond(make_response(request, 500, "CSeq Out of Order"))
        else:
            self.again(tx, request)

    def again(self, tx: ServerTransaction, request: Request) -> None:
        """Answer a SUBSCRIBE of this subscription."""
        assert self.notifier is not None
        try:
            package(request, PACKAGE, CONTENT)
            self.notifier.subscribed(tx, request)
        except Refused as refused:
            tx.respond(refused.response)

    def got_ack(self, request: Request) -> None:
        """See `IDialogOwner`: a subscription has no INVITE."""


def users(present: tuple[Participant, ...], domain: str) -> Users:
    """Who is there, by URI; who is there twice is one user with two endpoints."""
    found: Users = {}
    for each in present:
        uri = address(each.party, domain)
        name, parts = found.get(uri, (each.party.display, ()))
        found[uri] = name, (*parts, each.part)
    return found


def address(party: Identity, domain: str) -> str:
    """A party's URI; a web user without a public identity has one at the conference's domain, and so has whatever
    else is none: a party is called what a page may have typed."""
    try:
        uri = Uri.parse(party.uri)
        if uri.is_sip or uri.scheme == "tel":
            return uri.text
    except UriError:
        pass
    return f"sip:{escape_user(party.uri)}@{domain}"


def document(entity: str, version: int, state: str, present: Users) -> ElementTree.Element:
    """A document of RFC 4575 §5 but for its users."""
    attributes = {"xmlns": NAMESPACE, "entity": entity, "state": state, "version": str(version)}
    root = ElementTree.Element("conference-info", attributes)
    described = ElementTree.SubElement(root, "conference-description")
    ElementTree.SubElement(described, "display-text").text = "Conference"
    standing = ElementTree.SubElement(root, "conference-state")
    ElementTree.SubElement(standing, "user-count").text = str(len(present))
    ElementTree.SubElement(standing, "active").text = "true" if present else "false"
    return root


def _user(listed: ElementTree.Element, uri: str, name: str | None, parts: tuple[Part, ...]) -> None:
    user = ElementTree.SubElement(listed, "user", {"entity": uri, "state": "full"})
    if name:
        ElementTree.SubElement(user, "display-text").text = _printable(name)
    for number, part in enumerate(parts, 1):
        endpoint = ElementTree.SubElement(user, "endpoint", {"entity": f"{uri};endpoint={number}"})
        ElementTree.SubElement(endpoint, "status").text = _STATUS[part]


def _printable(text: str) -> str:
    """What XML can hold: the printer escapes, but a control character is none in any spelling (XML 1.0 §2.2)."""
    return "".join(char for char in text if char.isprintable())


class ConferenceInfo:
    """All subscriptions to conferences of the gateway."""

    def __init__(self, conferences: Conferences, index: IIndex, clock: IReactorTime) -> None:
        self._conferences = conferences
        self._index = index
        self._clock = clock
        self._watches: list[Watch] = []
        self.counters: Counter[str] = Counter()
        """SUBSCRIBEs by what became of them: `taken`, `refreshed`, `refused 489` and the like."""

    def __len__(self) -> int:
        return len(self._watches)

    def subscribe(self, port: ISipPort, tx: ServerTransaction, request: Request, leg: SipLeg | None) -> None:
        """A SUBSCRIBE outside any dialog, or in that of a call.

        Raises `HeaderError` where it cannot be read; the transaction layer answers that.
        """
        try:
            if leg is not None and leg.dialog is not None and not leg.dialog.accepts(request):
                raise Refused(make_response(request, 500, "CSeq Out of Order"))
            event = package(request, PACKAGE, CONTENT)
            known = next((watch for watch in self._watches if leg is not None and watch.leg is leg), None)
            if known is not None:
                known.again(tx, request)
                self.counters["refreshed"] += 1
                return
            self._begin(port, tx, request, leg, event)
            self.counters["taken"] += 1
        except Refused as refused:
            self.counters[f"refused {refused.response.status}"] += 1
            tx.respond(refused.response)

    def _begin(self, port: ISipPort, tx: ServerTransaction, request: Request, leg: SipLeg | None, event: str) -> None:
        name = request.uri.user or "" if leg is None else leg.focus
        conference = self._conferences.rooms.get(name)
        if conference is None:
            status = (404, "Not Found") if leg is None else (489, "Bad Event")
            raise Refused(make_response(request, *status))
        if sum(watch.conference is conference for watch in self._watches) >= LIMIT:
            raise Refused(make_response(request, 503, "Service Unavailable"))
        dialog = Dialog.as_uas(request, new_tag()) if leg is None else leg.dialog
        entity = f"{request.uri.scheme}:{name}@{request.uri.host}"
        watch = Watch(conference, entity, leg, self._ended)
        if dialog is None or (leg is None and not self._index.add_dialog(dialog.id, watch)):
            raise Refused(make_response(request, 503, "Service Unavailable"))
        watch.notifier = Notifier(_Port(port, name), dialog, event, watch, self._clock)
        self._watches.append(watch)
        conference.watchers.append(watch.changed)
        try:
            watch.notifier.subscribed(tx, request)
        except Exception:
            self._ended(watch)
            raise

    def _ended(self, watch: Watch) -> None:
        if watch not in self._watches:
            return
        self._watches.remove(watch)
        if watch.changed in watch.conference.watchers:
            watch.conference.watchers.remove(watch.changed)
        if watch.leg is None and watch.notifier is not None:
            self._index.drop_dialog(watch.notifier.dialog.id)
