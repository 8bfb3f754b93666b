"""What the SIP half-call asks of the IMS side, and what the IMS side may ask of it.

`translator/sipleg.py` knows INVITE, PRACK, CANCEL and BYE; it does not know profiles,
registrations, routes or identities. Those are the IMS user agent's (510), which provides
`ISipPort`. The dialog index belongs to the routing function (530), which calls
`IDialogOwner` when a request falls into a dialog.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface

from rtcgw.model.identity import Identity
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.transaction import ClientTransaction, IClientUser, ServerTransaction
from rtcgw.sip.uri import Uri


class IDialogOwner(Interface):
    """A leg with a dialog."""

    peer: PeerProfile = Attribute("What kind of peer is at the other end.")

    def got_request(tx: ServerTransaction, request: Request) -> None:
        """A request inside one of the owner's dialogs; the owner answers it."""

    def got_ack(request: Request) -> None:
        """The ACK to a 2xx of one of the owner's dialogs."""


class ISipPort(Interface):
    """One profile's way to the core."""

    profile: str = Attribute("The profile's name, for logs.")
    trusted: bool = Attribute("Whether the gateway stands inside the core's trust domain (RFC 3324), not before it.")

    def invite(target: str, caller: Identity, peer: PeerProfile = PLAIN_PEER, private: bool = False) -> Request:
        """An INVITE to `target`, complete but for its body: identity, routes, Contact, capabilities.

        `private`: the called is not to see who calls (RFC 3323); the network still learns it.

        Its form of addresses and its option tags are such as `peer` takes them.

        Raises `rtcgw.sip.uri.UriError` when `target` cannot be a SIP or tel URI.
        """

    def target(text: str) -> Uri:
        """What a user dialled as a URI: a SIP or tel URI as it is, a number as tel, a name at the home domain.

        Raises `rtcgw.sip.uri.UriError`.
        """

    def subscribe(target: Uri, caller: Identity | None = None) -> Request:
        """A SUBSCRIBE outside any dialog, complete but for Event, Accept and Expires; `caller` None: to ourselves."""

    def decorate(message: Message, peer: PeerProfile = PLAIN_PEER, focus: str = "") -> None:
        """Add Contact, Allow, Supported and the like to an in-dialog request or a dialog-creating response.

        `focus`: the name of the conference that the peer is in, which is its Contact then (RFC 4579 §4.1).
        """

    def identify(response: Response, invite: Request) -> None:
        """Say in a response to an INVITE who answers, and add what the core counts by."""

    def in_dialog(invite: Request) -> tuple[tuple[str, str], ...]:
        """Headers that our requests bear in a dialog of this INVITE, ours or the peer's; names in lower case."""

    def send(request: Request, user: IClientUser) -> ClientTransaction:
        """Send a request to its next hop: first Route, else the outbound proxy or the remote target."""

    def ack(request: Request) -> None:
        """Send the ACK to a 2xx."""

    def cancel(tx: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """CANCEL a pending INVITE as soon as that is allowed (RFC 3261 §9.1)."""

    def authorize(request: Request, response: Response) -> Request | None:
        """The request again with credentials and the next CSeq, or None when the challenge cannot be met."""

    def add_dialog(dialog: DialogId, owner: IDialogOwner) -> bool:
        """Enter a dialog into the index; False when the index is full."""

    def drop_dialog(dialog: DialogId) -> None:
        """Take a dialog out of the index; unknown ones are ignored."""

    def trouble(response: Response | None) -> None:
        """An initial request failed in a way that may mean the registration is lost: 403, 503, or silence (None)."""
