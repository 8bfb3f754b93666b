"""A call to an answering phone: RINGING -> ANSWERED -> TALKING -> OVER.

Plain RFC 3261, without 100rel. A phone with early sound sends its description in a 183, and is heard from then on.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.sandbox.phonecall import ALLOW, House, PhoneDialog
from rtcgw.sandbox.rtpphone import RtpPhone
from rtcgw.sandbox.tone import Tone
from rtcgw.sip.dialog import Dialog, new_tag
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.txuser import Failure, IServerUser

TURN_AFTER = 4.0
"""Seconds until a phone that holds or transfers whoever calls it does so, and then does it again or undoes it."""
RING_LIMIT = 300.0
"""Seconds after which a phone that never answers stops ringing."""


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
    TURN = "time to hold, to take back, to transfer"
    ENOUGH = "talked long enough"


@frozen
class Manner:
    """What a phone does when it is called."""

    rings: float | None = 0.5
    """Seconds until it answers; None: never."""
    refuses: int | None = None
    """The status with which it refuses at once."""
    before: Tone | None = None
    """What the caller hears of it before it answers; None: nothing, it merely rings."""
    sound: Tone | None = None
    """What the caller hears when it has answered; None: itself, in an echo."""
    talks: float = 1800.0
    """Seconds until it hangs up by itself."""
    calls_back: bool = False
    holds: float = 0.0
    """Seconds for which it holds its caller, every now and then; 0: never."""
    transfers_to: str = ""
    """The phone to which it transfers its caller."""


@implementer(IServerUser)
class Incoming(PhoneDialog):
    """A call to a phone of this manner."""

    def __init__(self, house: House, rtp: RtpPhone, contact: str, tx: ServerTransaction, manner: Manner) -> None:
        super().__init__(house, rtp, contact)
        self._tx = tx
        self._manner = manner
        self._answer: Response
        self._holding = False
        self.machine = Machine(IN_TABLE, self, house.layer.clock)

    def start(self) -> None:
        """Ring, or be heard early.

        Raises `MediaError` for an offer that cannot be answered, `HeaderError` without a Contact.
        """
        request = self._tx.request
        tag = new_tag()
        dialog = Dialog.as_uas(request, tag)
        self._answer = self._reply(200, tag)
        self._describe(self._answer, request)
        self.dialog = dialog
        self._tx.user = self
        self._house.entered(dialog.id, self)
        # To an INVITE without an offer there is nothing to answer early, and nowhere to send sound to.
        before = self._manner.before if request.body else None
        self._tx.respond(self._reply(180, tag) if before is None else self._early(tag))
        self.machine.start()
        if before is not None:
            self.rtp.play(before)

    def _early(self, tag: str) -> Response:
        """The answer in advance, so that its sound is expected; the 200 repeats it (RFC 3261 §13.2.1)."""
        response = self._reply(183, tag)
        response.set("content-type", "application/sdp")
        response.body = self._answer.body
        return response

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
        return self._manner.rings

    def _ring_limit(self) -> float:
        return RING_LIMIT

    def _talk_time(self) -> float:
        return self._manner.talks

    def _turn_time(self) -> float | None:
        return TURN_AFTER if self._manner.holds or self._manner.transfers_to else None

    def _turn(self) -> None:
        if self._manner.transfers_to:
            self._refer(self._manner.transfers_to)
            return
        if self._hold(not self._holding):
            self._holding = not self._holding
        self.machine.arm("turn", self._manner.holds if self._holding else TURN_AFTER)


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

        (_I.TALKING, _J.TURN): Row(_I.TALKING, (_C._turn,)),
        (_I.TALKING, _J.BYE): Row(_I.OVER, (_C._close,)),
        (_I.TALKING, _J.LOST): Row(_I.OVER, (_C._bye, _C._close)),
        (_I.TALKING, _J.ENOUGH): Row(_I.OVER, (_C._bye, _C._close)),
    },
    {
        _I.RINGING: {_J.ACK, _J.LOST, _J.TURN, _J.ENOUGH},
        _I.ANSWERED: {_J.ANSWER, _J.TIRED, _J.CANCEL, _J.TURN, _J.ENOUGH},
        _I.TALKING: {_J.ANSWER, _J.TIRED, _J.CANCEL, _J.ACK},
        _I.OVER: set(_J),
    },
    [
        Timer("ring", frozenset({_I.RINGING}), _C._ring_time, _J.ANSWER),
        Timer("limit", frozenset({_I.RINGING}), _C._ring_limit, _J.TIRED),
        Timer("turn", frozenset({_I.TALKING}), _C._turn_time, _J.TURN),
        Timer("talk", frozenset({_I.TALKING}), _C._talk_time, _J.ENOUGH),
    ],
)
# fmt: on
