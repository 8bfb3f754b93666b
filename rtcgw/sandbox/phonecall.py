"""What calls to and from answering phones share: the dialog, and what a phone must know inside it.

BYE, re-INVITE and UPDATE with a new description, INFO, OPTIONS, and the NOTIFYs that a REFER of ours entails; a hold
and a transfer of our own. How a call begins and ends is in `called.py` and `calling.py`, what is heard and seen in
`rtpphone.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import implementer

from rtcgw.machine import Machine
from rtcgw.media.backend import MediaError
from rtcgw.model.reason import Reason
from rtcgw.sandbox.rtpphone import RtpPhone
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.dialog import Dialog, DialogId, next_hop
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.txuser import Failure, IClientUser
from rtcgw.translator.repeat import Repeat
from rtcgw.translator.sipinfo import MEDIA_CONTROL, PICTURE_FAST_UPDATE, Unreadable, read_media_control

ALLOW = "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, NOTIFY, OPTIONS"
"""No REFER: whoever is transferred here is moved by the gateway."""


class House(Protocol):
    """What a call needs of `Phones`."""

    layer: TransactionLayer
    proxy: str

    def entered(self, dialog: DialogId, call: PhoneDialog) -> None:
        """A call has a dialog."""

    def left(self, call: PhoneDialog) -> None:
        """A call is over."""


@implementer(IClientUser)
class _Unheard:
    """The user of a BYE or INFO: whatever its answer, nothing follows from it."""

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""


_UNHEARD = _Unheard()


@implementer(IClientUser)
@frozen
class _Change:
    """The user of a re-INVITE. Refused, or not answered, the call is as it was (RFC 3261 §14.1)."""

    call: PhoneDialog

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        if 200 <= response.status < 300:
            self.call.got_change(response)
        elif response.status >= 300:
            self.call.changing = False

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        self.call.changing = False


def refusal(error: MediaError) -> int:
    """The status for media that cannot be: not acceptable, or our own lack of ports."""
    return 488 if error.reason is Reason.MEDIA else 500


class PhoneDialog:
    """What both kinds of call share."""

    machine: Machine[Any, Any]

    def __init__(self, house: House, rtp: RtpPhone, contact: str) -> None:
        self.rtp = rtp
        self.dialog: Dialog | None = None
        self._house = house
        self._contact = contact
        self._repeat: Repeat | None = None
        """The 2xx that waits for its ACK."""
        self.changing = False
        """An offer of ours has no answer yet."""
        self._offered = False
        """The description in that 2xx is an offer; the ACK has the answer."""

    # -- requests inside the dialog --------------------------------------------------------

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        """A request inside the dialog."""
        assert self.dialog is not None  # the house found the call by it
        if not self.dialog.accepts(request):
            tx.respond(make_response(request, 500))
        elif request.method == "BYE":
            tx.respond(make_response(request, 200))
            self.got_bye()
        elif request.method in ("INVITE", "UPDATE"):
            self._changed(tx, request)
        elif request.method == "INFO":
            self._informed(tx, request)
        elif request.method == "NOTIFY" and (request.get("event") or "").partition(";")[0].strip() == "refer":
            tx.respond(make_response(request, 200))  # how a transfer goes: done, its call ends by BYE
        else:
            response = make_response(request, 200 if request.method == "OPTIONS" else 405)
            response.set("allow", ALLOW)
            tx.respond(response)

    def got_bye(self) -> None:
        """The peer has hung up."""
        raise NotImplementedError

    def got_unacknowledged(self) -> None:
        """No ACK came to our 2xx."""
        raise NotImplementedError

    def _changed(self, tx: ServerTransaction, request: Request) -> None:
        """Another description, or another target (RFC 3261 §14.2, RFC 3311 §5.2)."""
        if self.changing or (self._repeat is not None and self._repeat.outstanding):
            tx.respond(make_response(request, 491))
            return
        response = make_response(request, 200)
        if request.method == "INVITE" or request.body:
            try:
                self._describe(response, request)
            except MediaError as error:
                tx.respond(make_response(request, refusal(error)))
                return
        response.set("contact", self._contact)
        if self.dialog is not None:
            self.dialog.refresh_target(request)
        if request.method == "INVITE":
            self._send_until_ack(tx, response)
        else:
            tx.respond(response)

    def _describe(self, response: Response, request: Request) -> None:
        """Put our description into a response: the answer to the request's offer, or an offer if it has none."""
        sdp = self.rtp.answer(request.body.decode("utf-8", "replace")) if request.body else self.rtp.offer()
        self._offered = not request.body
        response.set("content-type", "application/sdp")
        response.body = sdp.encode()

    def _informed(self, tx: ServerTransaction, request: Request) -> None:
        """INFO of the kinds that need no package (RFC 6086 §4.2.2): the wish for a whole picture is passed back."""
        kind = (request.get("content-type") or "").partition(";")[0].strip().lower()
        response, wanted = make_response(request, 200), False
        if "info-package" in request.headers:
            response = make_response(request, 469, "Bad Info Package")
            response.set("recv-info", "")
        elif request.body and kind != MEDIA_CONTROL:
            response = make_response(request, 415)
            response.set("accept", MEDIA_CONTROL)
        elif request.body:
            try:
                wanted = read_media_control(request.body) is not None
            except Unreadable:
                response = make_response(request, 400)
        tx.respond(response)
        if wanted and self.rtp.shows:
            self._ask("INFO", MEDIA_CONTROL, PICTURE_FAST_UPDATE)

    def _send_until_ack(self, tx: ServerTransaction, response: Response) -> None:
        timers = self._house.layer.timers
        clock = self._house.layer.clock
        self._repeat = Repeat(clock, lambda: tx.respond(response), self.got_unacknowledged, timers.t1, timers.t2)

    def got_ack(self, ack: Request) -> None:
        """The ACK to our 2xx. Without the answer that it owes, the call has no sound and ends."""
        if self._repeat is None or not self._repeat.outstanding:
            return
        self._repeat.confirm()
        if self._offered:
            self._offered = False
            try:
                self.rtp.take(ack.body.decode("utf-8", "replace"))
            except MediaError:
                self.got_unacknowledged()
                return
        self.rtp.start()

    # -- requests of ours ------------------------------------------------------------------

    def _hold(self, on: bool) -> bool:
        """Put the other side on hold or take it back; whether that could be asked."""
        if self.dialog is None or self.changing or (self._repeat is not None and self._repeat.outstanding):
            return False
        request = self.dialog.request("INVITE")
        request.set("contact", self._contact)
        request.set("allow", ALLOW)
        request.set("content-type", "application/sdp")
        request.body = self.rtp.offer(on).encode()
        self.changing = True
        self._house.layer.request(request, next_hop(request), _Change(self))
        return True

    def got_change(self, response: Response) -> None:
        """The answer to our offer; a 2xx that comes again has lost its ACK."""
        assert self.dialog is not None  # the re-INVITE was sent in it
        ack = self.dialog.ack(response.cseq.number)
        self._house.layer.send_ack(ack, next_hop(ack))
        if not self.changing:
            return
        self.changing = False
        try:
            self.rtp.take(response.body.decode("utf-8", "replace"))
        except MediaError:
            self.got_unacknowledged()

    def _refer(self, target: str) -> None:
        """Send the other side to somebody else (RFC 3515)."""
        self._ask("REFER", headers=(("refer-to", f"<{target}>"), ("contact", self._contact)))

    # -- the end ---------------------------------------------------------------------------

    def _bye(self, *_: object) -> None:
        self._ask("BYE")

    def _ask(self, method: str, kind: str = "", body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send a request inside the dialog, if there is one."""
        if self.dialog is None:
            return
        request = self.dialog.request(method)
        for name, value in headers:
            request.set(name, value)
        if body:
            request.set("content-type", kind)
            request.body = body
        self._house.layer.request(request, next_hop(request), _UNHEARD)

    def _close(self, *_: object) -> None:
        if self._repeat is not None:
            self._repeat.confirm()
        self.rtp.close()
        self._house.left(self)

    def abandon(self) -> Deferred[Any]:
        """Forget the call without a word; fires when its ports are free."""
        for name in self.machine.table.timers:
            self.machine.cancel(name)
        self._house.left(self)
        if self._repeat is not None:
            self._repeat.confirm()
        return self.rtp.close()
