"""A call from an answering phone: CALLING (-> CANCELLING) -> TALKING -> OVER."""

from __future__ import annotations

from enum import Enum

from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media.backend import MediaError
from rtcgw.model.defaults import MAX_FORWARDS
from rtcgw.sandbox.phonecall import ALLOW, House, PhoneDialog
from rtcgw.sandbox.rtpphone import RtpPhone
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.dialog import Dialog, new_call_id, new_tag, next_hop
from rtcgw.sip.message import Request, Response
from rtcgw.sip.txuser import Failure, IClientUser
from rtcgw.sip.uri import Uri

PATIENCE = 60.0
"""Seconds that a phone lets others ring."""
CALL_BACK_TALK = 30.0
"""Seconds that a call back lasts."""


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
