"""One call to or from an answering phone: its dialog, its machine, its sound.

    Incoming   RINGING -> ANSWERED -> TALKING -> OVER
    Outgoing   CALLING (-> CANCELLING) -> TALKING -> OVER

Both know what a phone must inside a dialog: BYE, re-INVITE and UPDATE with a new description, OPTIONS.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media.backend import MediaError
from rtcgw.model.defaults import MAX_FORWARDS
from rtcgw.sandbox.rtpphone import RtpPhone
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.dialog import Dialog, DialogId, new_call_id, new_tag, next_hop
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.txuser import Failure, IClientUser, IServerUser
from rtcgw.sip.uri import Uri
from rtcgw.translator.repeat import Repeat

ALLOW = "INVITE, ACK, CANCEL, BYE, UPDATE, OPTIONS"
RING_LIMIT = 300.0
"""Seconds after which a phone that never answers stops ringing."""
PATIENCE = 60.0
"""Seconds that a phone lets others ring."""
CALL_BACK_TALK = 30.0
"""Seconds that a call back lasts."""


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
    """The user of a BYE: whatever its answer, the call is over."""

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""


_UNHEARD = _Unheard()


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
        if self._repeat is not None and self._repeat.outstanding:
            tx.respond(make_response(request, 491))
            return
        response = make_response(request, 200)
        if request.method == "INVITE" or request.body:
            try:
                self._describe(response, request)
            except MediaError:
                tx.respond(make_response(request, 488))
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

    # -- the end ---------------------------------------------------------------------------

    def _bye(self, *_: object) -> None:
        if self.dialog is not None:
            bye = self.dialog.request("BYE")
            self._house.layer.request(bye, next_hop(bye), _UNHEARD)

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


# -- a call to a phone -----------------------------------------------------------------------


class InState(Enum):
    """Where a call to a phone stands."""

    RINGING = "ringing"
    ANSWERED = "answered"
    """2xx sent, no ACK yet."""
    TALKING = "talking"
    OVER = "over"


class InEvent(Enum):
    """What happens to it."""

    ANSWER = "somebody answers"
    TIRED = "it rang too long"
    CANCEL = "CANCEL"
    ACK = "ACK"
    BYE = "BYE"
    LOST = "no ACK, or one without an answer"
    ENOUGH = "talked long enough"


@implementer(IServerUser)
class Incoming(PhoneDialog):
    """A call to a phone that answers after `rings` seconds (None: never) and talks for `talks`."""

    def __init__(
        self, house: House, rtp: RtpPhone, contact: str, tx: ServerTransaction, rings: float | None, talks: float
    ) -> None:
        super().__init__(house, rtp, contact)
        self._tx = tx
        self._rings = rings
        self._talks = talks
        self._answer: Response
        self.machine = Machine(IN_TABLE, self, house.layer.clock)

    def start(self) -> None:
        """Ring. Raises `MediaError` for an offer that cannot be answered, `HeaderError` without a Contact."""
        request = self._tx.request
        tag = new_tag()
        dialog = Dialog.as_uas(request, tag)
        self._answer = self._reply(200, tag)
        self._describe(self._answer, request)
        self.dialog = dialog
        self._tx.user = self
        self._house.entered(dialog.id, self)
        self._tx.respond(self._reply(180, tag))
        self.machine.start()

    def _reply(self, status: int, tag: str) -> Response:
        """A response that makes or confirms the dialog (RFC 3261 §12.1.1)."""
        request = self._tx.request
        response = make_response(request, status, None, tag)
        if "record-route" in request.headers:
            response.set("record-route", *request.headers["record-route"])
        response.set("contact", self._contact)
        response.set("allow", ALLOW)
        return response

    # -- news ------------------------------------------------------------------------------

    def got_cancel(self, tx: ServerTransaction, cancel: Request) -> None:
        """See `IServerUser`."""
        self.machine.handle(InEvent.CANCEL)

    def got_failure(self, tx: ServerTransaction, failure: Failure) -> None:
        """See `IServerUser`. A 2xx that got lost is repeated by us; with anything else the call is over already."""

    def got_ack(self, ack: Request) -> None:
        """See `PhoneDialog`."""
        super().got_ack(ack)
        self.machine.handle(InEvent.ACK)

    def got_bye(self) -> None:
        """See `PhoneDialog`."""
        self.machine.handle(InEvent.BYE)

    def got_unacknowledged(self) -> None:
        """See `PhoneDialog`."""
        self.machine.handle(InEvent.LOST)

    # -- actions ---------------------------------------------------------------------------

    def _pick_up(self) -> None:
        self._send_until_ack(self._tx, self._answer)
        self.rtp.start()

    def _refuse(self, status: int) -> None:
        assert self.dialog is not None
        self._tx.respond(make_response(self._tx.request, status, None, self.dialog.id.local_tag))

    def _terminated(self) -> None:
        self._refuse(487)

    def _unavailable(self) -> None:
        self._refuse(480)

    def _ring_time(self) -> float | None:
        return self._rings

    def _ring_limit(self) -> float:
        return RING_LIMIT

    def _talk_time(self) -> float:
        return self._talks


_I, _J, _C = InState, InEvent, Incoming

# fmt: off
IN_TABLE: Table[InState, InEvent] = Table(
    "sandbox phone, called",
    _I.RINGING,
    _J,
    {
        (_I.RINGING, _J.ANSWER): Row(_I.ANSWERED, (_C._pick_up,)),
        (_I.RINGING, _J.TIRED): Row(_I.OVER, (_C._unavailable, _C._close)),
        (_I.RINGING, _J.CANCEL): Row(_I.OVER, (_C._terminated, _C._close)),
        (_I.RINGING, _J.BYE): Row(_I.OVER, (_C._terminated, _C._close)),

        (_I.ANSWERED, _J.ACK): Row(_I.TALKING),
        (_I.ANSWERED, _J.BYE): Row(_I.OVER, (_C._close,)),
        (_I.ANSWERED, _J.LOST): Row(_I.OVER, (_C._bye, _C._close)),

        (_I.TALKING, _J.BYE): Row(_I.OVER, (_C._close,)),
        (_I.TALKING, _J.LOST): Row(_I.OVER, (_C._bye, _C._close)),
        (_I.TALKING, _J.ENOUGH): Row(_I.OVER, (_C._bye, _C._close)),
    },
    {
        _I.RINGING: {_J.ACK, _J.LOST, _J.ENOUGH},
        _I.ANSWERED: {_J.ANSWER, _J.TIRED, _J.CANCEL, _J.ENOUGH},
        _I.TALKING: {_J.ANSWER, _J.TIRED, _J.CANCEL, _J.ACK},
        _I.OVER: set(_J),
    },
    [
        Timer("ring", frozenset({_I.RINGING}), _C._ring_time, _J.ANSWER),
        Timer("limit", frozenset({_I.RINGING}), _C._ring_limit, _J.TIRED),
        Timer("talk", frozenset({_I.TALKING}), _C._talk_time, _J.ENOUGH),
    ],
)
# fmt: on


# -- a call from a phone ---------------------------------------------------------------------


class OutState(Enum):
    """Where a call from a phone stands."""

    CALLING = "calling"
    CANCELLING = "cancelling"
    TALKING = "talking"
    OVER = "over"


class OutEvent(Enum):
    """What happens to it."""

    ANSWERED = "2xx"
    REFUSED = "refused, or nobody there"
    TIRED = "waited long enough"
    BYE = "BYE"
    LOST = "no sound in common, or no ACK"
    ENOUGH = "talked long enough"


@implementer(IClientUser)
class Outgoing(PhoneDialog):
    """A call from a phone that plays its sound when answered and hangs up by itself."""

    def __init__(self, house: House, rtp: RtpPhone, contact: str) -> None:
        super().__init__(house, rtp, contact)
        self._client: ClientTransaction
        self._ack: Request | None = None
        self.machine = Machine(OUT_TABLE, self, house.layer.clock)

    def start(self, caller: str, target: Uri) -> None:
        """Call `target` as `caller`, through the core."""
        layer = self._house.layer
        invite = Request("INVITE", target)
        invite.set("route", self._house.proxy)
        invite.set("max-forwards", str(MAX_FORWARDS))
        invite.set("from", f"<{caller}>;tag={new_tag()}")
        invite.set("to", f"<{target}>")
        invite.set("call-id", new_call_id(layer.transport.host))
        invite.set("cseq", "1 INVITE")
        invite.set("contact", self._contact)
        invite.set("p-preferred-identity", f"<{caller}>")
        invite.set("allow", ALLOW)
        invite.set("content-type", "application/sdp")
        invite.body = self.rtp.offer().encode()
        self._client = layer.request(invite, next_hop(invite), self)
        self.machine.start()

    # -- news ------------------------------------------------------------------------------

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        if 200 <= response.status < 300:
            self.machine.handle(OutEvent.ANSWERED, response)
        elif response.status >= 300:
            self.machine.handle(OutEvent.REFUSED)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        self.machine.handle(OutEvent.REFUSED)

    def got_bye(self) -> None:
        """See `PhoneDialog`."""
        self.machine.handle(OutEvent.BYE)

    def got_unacknowledged(self) -> None:
        """See `PhoneDialog`."""
        self.machine.handle(OutEvent.LOST)

    # -- actions ---------------------------------------------------------------------------

    def _confirm(self, response: Response) -> None:
        """The dialog, and the ACK that the 2xx asks for."""
        self.dialog = Dialog.as_uac(self._client.request, response)
        self._house.entered(self.dialog.id, self)
        self._ack = self.dialog.ack(response.cseq.number)
        self._acknowledge()

    def _acknowledge(self, *_: object) -> None:
        if self._ack is not None:
            self._house.layer.send_ack(self._ack, next_hop(self._ack))

    def _listen(self, response: Response) -> None:
        try:
            self.rtp.take(response.body.decode("utf-8", "replace"))
        except MediaError:
            self.machine.handle(OutEvent.LOST)
            return
        self.rtp.start()

    def _cancel(self) -> None:
        self._house.layer.cancel(self._client)

    def _patience(self) -> float:
        return PATIENCE

    def _talk_time(self) -> float:
        return CALL_BACK_TALK


_O, _P, _D = OutState, OutEvent, Outgoing

# fmt: off
OUT_TABLE: Table[OutState, OutEvent] = Table(
    "sandbox phone, calling",
    _O.CALLING,
    _P,
    {
        (_O.CALLING, _P.ANSWERED): Row(_O.TALKING, (_D._confirm, _D._listen)),
        (_O.CALLING, _P.REFUSED): Row(_O.OVER, (_D._close,)),
        (_O.CALLING, _P.TIRED): Row(_O.CANCELLING, (_D._cancel,)),

        (_O.CANCELLING, _P.ANSWERED): Row(_O.OVER, (_D._confirm, _D._bye, _D._close)),
        (_O.CANCELLING, _P.REFUSED): Row(_O.OVER, (_D._close,)),

        (_O.TALKING, _P.ANSWERED): Row(_O.TALKING, (_D._acknowledge,)),
        (_O.TALKING, _P.BYE): Row(_O.OVER, (_D._close,)),
        (_O.TALKING, _P.LOST): Row(_O.OVER, (_D._bye, _D._close)),
        (_O.TALKING, _P.ENOUGH): Row(_O.OVER, (_D._bye, _D._close)),

        (_O.OVER, _P.ANSWERED): Row(_O.OVER, (_D._acknowledge,)),
    },
    {
        _O.CALLING: {_P.BYE, _P.LOST, _P.ENOUGH},
        _O.CANCELLING: {_P.TIRED, _P.BYE, _P.LOST, _P.ENOUGH},
        _O.TALKING: {_P.REFUSED, _P.TIRED},
        _O.OVER: set(_P) - {_P.ANSWERED},
    },
    [
        Timer("patience", frozenset({_O.CALLING}), _D._patience, _P.TIRED),
        Timer("talk", frozenset({_O.TALKING}), _D._talk_time, _P.ENOUGH),
    ],
)
# fmt: on
