"""One call through the `ImsCore`, as the phone behind the core sees it. See `ims_core.py` for how it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from rtcgw.sip.dialog import Dialog, new_tag
from rtcgw.sip.message import Message, Request, Response, make_response
from tests.peers.network import Address

if TYPE_CHECKING:
    from tests.peers.ims_core import ImsCore

SDP_TYPE = "application/sdp"


@define(eq=False)
class CoreCall:
    """One call through the core, seen from the phone behind it."""

    core: ImsCore
    invite: Request
    flow: Address
    dialog: Dialog | None = None
    name: str = "phone"
    """The user part of the phone's Contact."""
    auto_ack: bool = True
    auto_prack: bool = True
    tag: str = field(factory=new_tag)
    rseq: int = 100
    responses: list[Response] = field(factory=list)
    """To an INVITE of the core, in order, repetitions included."""
    requests: list[Request] = field(factory=list)
    """From the gateway inside the dialog, the ACK too."""
    canned: dict[str, list[tuple[int, str | None]]] = field(factory=dict)
    """By method, statuses and descriptions of the coming answers to requests inside the dialog; then 200 without."""
    terms: tuple[tuple[str, str], ...] = ()
    """Headers of the phone's 2xx to INVITE and UPDATE besides the usual ones: session timers, for instance."""
    asked: Request | None = None
    """The phone's own last request inside the dialog."""
    _final: Response | None = None

    # -- what happened ---------------------------------------------------------------------

    def _got(self, method: str) -> bool:
        return any(request.method == method for request in self.requests)

    @property
    def acked(self) -> bool:
        return self._got("ACK")

    @property
    def pracked(self) -> bool:
        return self._got("PRACK")

    @property
    def cancelled(self) -> bool:
        return self._got("CANCEL")

    @property
    def ended(self) -> bool:
        return self._got("BYE")

    @property
    def final(self) -> Response | None:
        """The final response to an INVITE of the core."""
        return next((one for one in self.responses if one.status >= 200 and one.cseq.method == "INVITE"), None)

    def last(self, method: str) -> Request:
        """The last request of this method in the dialog."""
        return [request for request in self.requests if request.method == method][-1]

    # -- the phone is called ------------------------------------------------------------------

    def respond(self, status: int, phrase: str, sdp: str | None = None, *headers: tuple[str, str]) -> Response:
        """Answer the gateway's INVITE."""
        response = make_response(self.invite, status, phrase, self.tag)
        if status > 100:
            for value in self.invite.headers.get("record-route", ()):
                response.add("record-route", value)
            response.add("record-route", self.core.record_route)
            response.set("contact", f"<sip:phone@{self.core.host}:{self.core.scscf_port};gr={self.tag}>")
        if any(name == "Contact" for name, _ in headers):
            response.remove("contact")
        for name, value in (*headers, *(self.terms if 200 <= status < 300 else ())):
            response.add(name.lower(), value)
        put(response, sdp)
        if 100 < status < 300:
            self.dialog = Dialog.as_uas(self.invite, self.tag)
            self.core.dialogs[self.dialog.id] = self
        if status >= 200:
            self._final = response
        self.core.reply(self.invite, response, self.flow)
        return response

    def trying(self) -> None:
        self.respond(100, "Trying")

    def ring(self, sdp: str | None = None, reliable: bool = False) -> None:
        self.respond(180, "Ringing", sdp, *self._rel(reliable))

    def progress(self, sdp: str | None = None, reliable: bool = True) -> None:
        self.respond(183, "Session Progress", sdp, *self._rel(reliable))

    def _rel(self, reliable: bool) -> tuple[tuple[str, str], ...]:
        if not reliable:
            return ()
        self.rseq += 1
        return (("Require", "100rel"), ("RSeq", str(self.rseq)))

    def answer(self, sdp: str | None = None) -> None:
        self.respond(200, "OK", sdp, ("Allow", "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE"))

    def answer_again(self) -> None:
        """The phone has not seen the ACK: its 200 once more."""
        assert self._final is not None
        self.core.reply(self.invite, self._final, self.flow)

    def repeat(self) -> None:
        """The phone has not seen the ACK of our re-INVITE: its 200 once more."""
        invite = self.last("INVITE")
        self.core.network.send(
            self.core._replies[invite.via.branch or "", "INVITE"], (self.core.host, self.core.scscf_port), self.flow
        )

    def reject(self, status: int, phrase: str, *headers: tuple[str, str]) -> None:
        self.respond(status, phrase, None, *headers)

    def move(self, *contacts: str, status: int = 302) -> None:
        """Answer with other addresses."""
        self.respond(status, "Moved", None, ("Contact", ", ".join(contacts)))

    def challenge(self, status: int = 407, stale: bool = False) -> None:
        """Ask for credentials; the INVITE that follows is a new call in `core.calls`."""
        name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
        self.reject(status, "Authentication Required", (name, self.core.challenge(stale)))

    # -- the phone calls ----------------------------------------------------------------------

    def got_response(self, response: Response) -> None:
        self.responses.append(response)
        if response.status == 100 or response.cseq.method != "INVITE":
            return
        again = self.asked is not None and self.asked.cseq == response.cseq
        invite = self.asked if again and self.asked is not None else self.invite
        if response.status < 300:
            if self.dialog is None:
                self.dialog = Dialog.as_uac(self.invite, response)
                self.core.dialogs[self.dialog.id] = self
            if response.status >= 200:
                if not again:
                    self.dialog.confirm(response)
                if self.auto_ack:
                    self.ack()
            elif response.has("require", "100rel") and self.auto_prack:
                self.prack()
        else:
            self.core.ack_refusal(invite, response, self.flow)

    def prack(self, sdp: str | None = None) -> None:
        assert self.dialog is not None
        response = next(one for one in reversed(self.responses) if one.get("rseq"))
        request = self.dialog.request("PRACK")
        request.set("rack", f"{response.get('rseq')} {self.invite.cseq.number} INVITE")
        put(request, sdp)
        self.core.send_in_dialog(self, request)

    def ack(self, sdp: str | None = None) -> None:
        """The ACK to the last 2xx, of the INVITE or of a re-INVITE."""
        assert self.dialog is not None
        numbers = [one.cseq.number for one in self.responses if one.cseq.method == "INVITE" and one.status >= 200]
        request = self.dialog.ack(numbers[-1])
        put(request, sdp)
        self.core.send_in_dialog(self, request)

    def cancel(self, *headers: tuple[str, str], invite: Request | None = None) -> None:
        """Take back the phone's INVITE, or a re-INVITE of its."""
        invite = invite or self.invite
        request = Request("CANCEL", invite.uri)
        for name in ("via", "from", "to", "call-id", "route"):
            for value in invite.headers.get(name, ()):
                request.add(name, value)
        request.set("cseq", f"{invite.cseq.number} CANCEL")
        request.set("max-forwards", "70")
        for name, value in headers:
            request.add(name.lower(), value)
        self.core.send(request, self.flow)

    # -- either ----------------------------------------------------------------------------

    def bye(self) -> None:
        self.request("BYE")

    def request(self, method: str, sdp: str | None = None, *headers: tuple[str, str]) -> Request:
        """Any request inside the dialog; its responses come to `responses`."""
        assert self.dialog is not None
        request = self.dialog.request(method)
        request.set("contact", f"<sip:{self.name}@{self.core.host}:{self.core.scscf_port}>")
        for name, value in headers:
            request.set(name.lower(), value)
        put(request, sdp)
        self.asked = request
        self.core.send_in_dialog(self, request)
        return request


def put(message: Message, sdp: str | None) -> None:
    if sdp is not None:
        if "content-type" not in message.headers:
            message.set("content-type", SDP_TYPE)
        message.body = sdp.encode()
