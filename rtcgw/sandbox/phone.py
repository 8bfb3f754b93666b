"""The answering phones of the sandbox: what each does when it is called, and the call back.

    Phones         all of them behind one transport: finds the phone, the call, the dialog
    Incoming       one call to a phone      (`called.py`)
    Outgoing       one call from a phone    (`calling.py`)

Plain user agents of RFC 3261, without 100rel, so that a 1xx of theirs is never waited for. They are reached
through the stand-in core and answer to nobody else's domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from rtcgw.media.backend import MediaError
from rtcgw.sandbox.called import Incoming, Manner
from rtcgw.sandbox.calling import Outgoing
from rtcgw.sandbox.phonecall import ALLOW, PhoneDialog, refusal
from rtcgw.sandbox.preset import phone_uri
from rtcgw.sandbox.registrar import read_uri
from rtcgw.sandbox.rtpphone import RtpPhone
from rtcgw.sandbox.tone import Tone
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.flow import Flow
from rtcgw.sip.message import Request, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.txuser import ITransactionUser
from rtcgw.sip.uri import Uri

log = Logger()

MAX_CALLS = 200
"""Calls of all phones together; beyond it 486."""
MAX_CALL_BACKS = 50
"""Callers who wait for being called back."""
CALL_BACK_AFTER = 10.0
"""Seconds."""

PITCH = Tone(440)
"""The concert pitch."""
RINGING = Tone(425, (0.4, 0.2, 0.4, 2.0))
"""As a network sounds whose phone rings, in the pitch of ITU-T E.180 and the cadence of Britain: once in 3 s."""

MANNERS: Mapping[str, Manner] = {
    "echo": Manner(),
    "tone": Manner(sound=PITCH),
    "early": Manner(rings=3.0, before=RINGING, sound=Tone(660)),
    "busy": Manner(refuses=486),
    "ring": Manner(rings=None),
    "caller": Manner(sound=PITCH, talks=2.0, calls_back=True),
    "hold": Manner(sound=PITCH, holds=8.0),
    "transfer": Manner(sound=PITCH, transfers_to=phone_uri("echo")),
}
"""By the name of the phone; the same names as `preset.PHONES`."""


@implementer(ITransactionUser)
@define(eq=False)
class Phones:
    """Every phone of the sandbox. `proxy` is the core's address as a Route value."""

    layer: TransactionLayer
    reactor: Any
    domain: str
    proxy: str
    calls: dict[DialogId, PhoneDialog] = field(factory=dict, init=False)
    """Calls by dialog; an outgoing one enters when it is answered."""
    _outgoing: set[PhoneDialog] = field(factory=set, init=False)
    _call_backs: dict[str, IDelayedCall] = field(factory=dict, init=False)
    """By the canonical key of who is called back."""

    # -- news from the transaction layer ---------------------------------------------------

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        """See `ITransactionUser`."""
        if request.to.tag:
            call = self.calls.get(DialogId.of_request(request))
            if call is None:
                tx.respond(make_response(request, 481))
            else:
                call.got_request(tx, request)
        elif "require" in request.headers:
            response = make_response(request, 420)
            response.set("unsupported", *request.headers["require"])
            tx.respond(response)
        elif request.method == "INVITE":
            self._invite(tx, request)
        else:
            response = make_response(request, 200 if request.method == "OPTIONS" else 405)
            response.set("allow", ALLOW)
            tx.respond(response)

    def got_ack(self, request: Request, flow: Flow) -> None:
        """See `ITransactionUser`. An ACK for a call that is over is late, and harmless."""
        call = self.calls.get(DialogId.of_request(request))
        if call is not None:
            call.got_ack(request)

    # -- calls -----------------------------------------------------------------------------

    def _invite(self, tx: ServerTransaction, request: Request) -> None:
        name = request.uri.plain_user or ""
        manner = MANNERS.get(name)
        if manner is None:
            tx.respond(make_response(request, 404))
            return
        if manner.calls_back:
            self._call_back_later(name, request)
        if manner.refuses is not None or len(self.calls) + len(self._outgoing) >= MAX_CALLS:
            tx.respond(make_response(request, manner.refuses or 486))
            return
        rtp = self._media(manner.sound)
        call = Incoming(self, rtp, self.contact(name), tx, manner)
        try:
            call.start()
        except MediaError as error:
            rtp.close()
            log.info("sandbox: phone {name} refused a call: {error}", name=name, error=error)
            tx.respond(make_response(request, refusal(error)))
        except Exception:  # a header that cannot be read: told by the layer, but the sockets are ours
            rtp.close()
            raise

    def _media(self, sound: Tone | None) -> RtpPhone:
        return RtpPhone(self.reactor, self.layer.transport.host, sound)

    def _call_back_later(self, name: str, request: Request) -> None:
        """Call whoever called, once, some time from now; who hides is not called."""
        caller = read_uri(request.get("p-asserted-identity"))
        if caller is None or caller.key in self._call_backs or len(self._call_backs) >= MAX_CALL_BACKS:
            return
        self._call_backs[caller.key] = self.layer.clock.callLater(CALL_BACK_AFTER, self._call_back, name, caller)

    def _call_back(self, name: str, target: Uri) -> None:
        del self._call_backs[target.key]
        if len(self.calls) + len(self._outgoing) >= MAX_CALLS:
            return
        call = Outgoing(self, self._media(PITCH), self.contact(name))
        self._outgoing.add(call)
        try:
            call.start(f"sip:{name}@{self.domain}", target)
        except MediaError as error:
            self._outgoing.discard(call)
            log.warn("sandbox: phone {name} cannot call back: {error}", name=name, error=error)

    def contact(self, name: str) -> str:
        """The Contact of a phone."""
        return f"<sip:{name}@{self.layer.transport.sent_by()}>"

    # -- for the calls ---------------------------------------------------------------------

    def entered(self, dialog: DialogId, call: PhoneDialog) -> None:
        """A call has a dialog."""
        self._outgoing.discard(call)
        self.calls[dialog] = call

    def left(self, call: PhoneDialog) -> None:
        """A call is over."""
        self._outgoing.discard(call)
        if call.dialog is not None:
            self.calls.pop(call.dialog.id, None)

    def close(self) -> Deferred[Any]:
        """Forget every call, sockets and timers included; nobody is told. Fires when the ports are free."""
        for later in self._call_backs.values():
            later.cancel()
        self._call_backs.clear()
        return gatherResults([call.abandon() for call in [*self.calls.values(), *self._outgoing]])
