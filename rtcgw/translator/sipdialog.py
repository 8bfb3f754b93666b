"""Parts of the SIP half-call that are not its machine: bodies, in-dialog requests, early dialogs.

    Ask            one in-dialog request (PRACK, BYE) to its final response
    EarlyDialogs   UAC: the dialogs that a forked INVITE makes, and their PRACKs (RFC 3262 §4)

Neither decides what a call does; `sipleg.py` does, and these do the bookkeeping. What is answered
is in `sipanswers.py`, what we ask to be changed in `sipchange.py`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from attrs import define, field
from zope.interface import implementer

from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import Dialog
from rtcgw.sip.headers import CSeq, RAck
from rtcgw.sip.message import Message, Request, Response
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser
from rtcgw.translator.sipport import ISipPort

FORK_LIMIT = 16
"""Early dialogs followed per INVITE; further forks are heard of again when they answer."""


AUTHORISED: Final = 2
"""The rank of an early dialog whose network says that it sends sound."""
_SOUND = re.compile(r"^m=audio ([0-9]{1,5})[ /][^\r\n]*\r?\n((?:(?!m=)[^\r\n]*\r?\n?)*)", re.M)
_HOST = re.compile(r"^c=IN IP[46] ([0-9A-Fa-f.:]+)", re.M)


def place_of(sdp: str | None) -> tuple[str, int] | None:
    """Where a description says that its first line of sound is; None where it does not, or by a name."""
    sound = None if sdp is None else _SOUND.search(sdp)
    if sdp is None or sound is None:
        return None
    host = _HOST.search(sound[2]) or _HOST.search(sdp)
    return None if host is None else (host[1], int(sound[1]))


def sdp_of(message: Message) -> str | None:
    """The session description in a message, or None. Bytes that are no UTF-8 become U+FFFD: the media decides."""
    if not message.body:
        return None
    kind = message.get("content-type") or ""
    if kind.partition(";")[0].strip().lower() != "application/sdp":
        return None
    return message.body.decode("utf-8", "replace")


def put_sdp(message: Message, sdp: str | None) -> None:
    """Give a message a session description as its body."""
    if sdp is not None:
        message.set("content-type", "application/sdp")
        message.body = sdp.encode()


def ack_of(dialog: Dialog, invite: Request) -> Request:
    """The ACK to a 2xx; nobody may challenge it, so it bears the credentials of its INVITE (§13.2.2.4, §22.1)."""
    ack = dialog.ack(invite.cseq.number)
    for name in ("authorization", "proxy-authorization"):
        for value in invite.headers.get(name, ()):
            ack.add(name, value)
    return ack


def reason_header(reason: Reason) -> tuple[str, str]:
    """The Reason header that says why we end a call (RFC 3326)."""
    if reason is Reason.ANSWERED_ELSEWHERE:
        return ("Reason", f'SIP;cause=200;text="{reason.phrase}"')
    return ("Reason", f"Q.850;cause={reason.cause}")


@implementer(IClientUser)
class Ask:
    """Sends an in-dialog request, meets one challenge, and hands over the final response, or None for silence."""

    __slots__ = ("_dialog", "_done", "_port", "_request", "_tries")

    def __init__(
        self, port: ISipPort, dialog: Dialog, request: Request, done: Callable[[Response | None], None]
    ) -> None:
        self._port = port
        self._dialog = dialog
        self._request = request
        self._done = done
        self._tries = 1
        port.send(request, self)

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        """See `IClientUser`."""
        if response.status < 200:
            return
        if response.status in (401, 407) and self._tries:
            self._tries -= 1
            again = self._port.authorize(self._request, response)
            if again is not None:
                # Not simply one more than before: another request of the dialog may have been sent meanwhile.
                self._dialog.local_cseq += 1
                again.set("cseq", str(CSeq(self._dialog.local_cseq, again.method)))
                self._request = again
                self._port.send(again, self)
                return
        self._done(response)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        """See `IClientUser`."""
        self._done(None)


@define
class Early:
    """One early dialog of an INVITE we sent."""

    dialog: Dialog
    rseq: int | None = None
    """The last reliable 1xx taken."""
    described: bool = False
    """Whether one of them carried a description: that of an INVITE's offer is then answered in this dialog."""
    agreed: str | None = None
    """The callee's description by the last change agreed since, which its 2xx may not know of."""
    sdp: str | None = None
    """Its description in a 1xx."""
    sounds: bool | None = None
    """Whether its network says that it sends sound before the answer; the last word holds."""
    over: bool = False
    """It has ended (199); kept so that a 1xx on its way makes no new one."""

    @property
    def tag(self) -> str:
        """Its To tag."""
        return self.dialog.id.remote_tag

    @property
    def description(self) -> str | None:
        """What holds of the callee's in this dialog."""
        return self.agreed or self.sdp

    @property
    def rank(self) -> int:
        """By what it may be chosen for sound: it sends some, says nothing, sends none."""
        return 1 if self.sounds is None else AUTHORISED if self.sounds else 0

    def heard(self, sdp: str | None, sounds: bool | None) -> None:
        """What a 1xx says of its media; where it says nothing, what was said before holds."""
        self.sdp = sdp or self.sdp
        self.sounds = self.sounds if sounds is None else sounds


@define
class EarlyDialogs:
    """The early dialogs of one INVITE, by To tag, and their PRACKs."""

    _port: ISipPort
    _dialogs: dict[str, Early] = field(factory=dict, init=False)
    _held: deque[tuple[Early, Response]] = field(factory=deque, init=False)
    _flying: int = field(default=0, init=False)
    """PRACKs sent and not yet answered."""
    described: str | None = None
    """To tag of the fork whose early description the caller has been given."""
    unwanted: dict[str, Request] = field(factory=dict, init=False)
    """By To tag, the ACK that a 2xx of another fork has had, for its repetitions."""

    def find(self, request: Request, response: Response) -> Early | None:
        """The early dialog of a 1xx, made on its first; None without a To tag, or beyond the bound."""
        tag = response.to.tag
        if not tag:
            return None
        early = self._dialogs.get(tag)
        if early is None and self._room():
            early = self._dialogs[tag] = Early(self.dialog(request, response))
        return early

    def _room(self) -> bool:
        """Whether another dialog may be followed; one that is over gives up its place, as in a hunt through a list."""
        if len(self._dialogs) < FORK_LIMIT:
            return True
        old = next((tag for tag, early in self._dialogs.items() if early.over), None)
        if old is not None:
            del self._dialogs[old]
        return old is not None

    def known(self, tag: str) -> Early | None:
        """The early dialog of this To tag."""
        return self._dialogs.get(tag)

    @property
    def chosen(self) -> Early | None:
        """The early dialog whose description the caller has."""
        return None if self.described is None else self._dialogs.get(self.described)

    def best(self) -> str | None:
        """The To tag of the dialog to be heard: by rank, the chosen one before its equals, then the oldest."""
        live = [early for early in self._dialogs.values() if early.sdp is not None and not early.over]
        best = max(live, key=lambda early: (early.rank, early.tag == self.described), default=None)
        return None if best is None else best.tag

    def at(self, host: str, port: int) -> Early | None:
        """The live dialog whose description says that its sound is there; by the host alone where that is one's only,
        for a phone behind NAT sends from another port than it names."""
        live = [early for early in self._dialogs.values() if not early.over]
        places = [(early, place) for early in live if (place := place_of(early.description)) is not None]
        exact = [early for early, place in places if place == (host, port)]
        near = [early for early, place in places if place[0] == host]
        return exact[0] if exact else near[0] if len(near) == 1 else None

    def finish(self, early: Early) -> None:
        """This dialog is over: nothing in it is acknowledged or heard any more."""
        early.over, early.sdp, early.agreed = True, None, None
        self._held = deque(held for held in self._held if held[0] is not early)

    def dialog(self, request: Request, response: Response) -> Dialog:
        """The dialog that a response to our INVITE makes."""
        dialog = Dialog.as_uac(request, response)
        dialog.headers = self._port.in_dialog(request)
        return dialog

    def following(self, dialog: Dialog) -> Early:
        """The entry of a dialog that exists already: 1xx to a re-INVITE."""
        return self._dialogs.setdefault(dialog.id.remote_tag, Early(dialog))

    def take(self, tag: str) -> Dialog | None:
        """The dialog of the fork that answered."""
        early = self._dialogs.get(tag)
        return None if early is None else early.dialog

    def all(self) -> list[Dialog]:
        """Every early dialog."""
        return [early.dialog for early in self._dialogs.values()]

    def in_order(self, early: Early, response: Response) -> bool | None:
        """None: not reliable. True: the next reliable 1xx of its dialog. False: a repetition, or out of order."""
        rseq = response.get("rseq")
        if rseq is None or not response.has("require", "100rel"):
            return None
        number = int(rseq) if rseq.isascii() and rseq.isdigit() and len(rseq) <= 10 else 0
        if number == 0 or (early.rseq is not None and number != early.rseq + 1):
            return False
        early.rseq = number
        early.described = early.described or sdp_of(response) is not None
        return True

    def settled(self, tag: str) -> bool:
        """Whether the first offer is answered in the early dialog of this To tag."""
        early = self._dialogs.get(tag)
        return early is not None and early.described and not self.holding

    def agree(self, tag: str, sdp: str | None) -> None:
        """A change has been agreed in the early dialog of this To tag."""
        early = self._dialogs.get(tag)
        if early is not None:
            early.agreed = sdp or early.agreed

    def agreed(self, tag: str) -> str | None:
        """The callee's description by the last change agreed in the early dialog of this To tag."""
        early = self._dialogs.get(tag)
        return None if early is None else early.agreed

    def settled_dialog(self) -> Dialog | None:
        """The early dialog whose description the caller has, once the first offer is answered in it."""
        tag = self.described
        return self.take(tag) if tag is not None and self.settled(tag) else None

    def hold(self, early: Early, response: Response) -> None:
        """Keep the PRACK back until the caller's browser has spoken."""
        self._held.append((early, response))

    @property
    def holding(self) -> bool:
        """Whether a PRACK waits for the browser."""
        return bool(self._held)

    @property
    def unanswered(self) -> bool:
        """Whether a PRACK is on its way, or waits to be."""
        return self._flying > 0 or self.holding

    def release(self, sdp: str | None, done: Callable[[], None]) -> None:
        """Send every PRACK that was held; `sdp` answers an offer that came in the 1xx."""
        while self._held:
            early, response = self._held.popleft()
            self.prack(early, response, sdp, done)

    def prack(self, early: Early, response: Response, sdp: str | None, done: Callable[[], None]) -> None:
        """Acknowledge a reliable 1xx; `done()` when its 200 is there (RFC 3262 §4)."""
        request = early.dialog.request("PRACK")
        request.set("rack", str(RAck(early.rseq or 0, response.cseq.number, response.cseq.method)))
        put_sdp(request, sdp)
        self._flying += 1

        def answered(final: Response | None) -> None:
            self._flying -= 1
            if final is not None and final.status < 300:
                done()

        Ask(self._port, early.dialog, request, answered)


@define
class Reliable:
    """The reliable 1xx of one re-INVITE in a dialog that stands; each gets its PRACK (RFC 3262 §4)."""

    _port: ISipPort
    _dialog: Dialog
    _early: EarlyDialogs = field(init=False)
    answer: str | None = field(default=None, init=False)
    """The first description in one of them: it is the answer, whatever the 2xx says (RFC 6337 §2.2)."""

    def __attrs_post_init__(self) -> None:
        self._early = EarlyDialogs(self._port)

    def take(self, response: Response) -> bool:
        """A 1xx; True when it was reliable, in order, and has got its PRACK."""
        early = self._early.following(self._dialog)
        if not self._early.in_order(early, response):
            return False
        self.answer = self.answer or sdp_of(response)
        self._early.prack(early, response, None, lambda: None)
        return True
