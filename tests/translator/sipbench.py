"""A SIP half-call on a bench: its port, its peer and its parent are recorded, so that each row of its table can be met.

bench = UacBench(); bench.setup(); bench.response(183, sdp="early", rseq=7)
bench.sent    ["INVITE", "PRACK"]
bench.heard   [Progress(...)]
bench.walked  {(State.IDLE, Input.SETUP), ...}
bench.changes {(Asked.IDLE, Step.ASK), ...}
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from rtcgw.machine import Table
from rtcgw.model.events import Description, End, Event, Kind, Setup
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.sip.dialog import DialogId
from rtcgw.sip.headers import CSeq
from rtcgw.sip.message import Message, Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import ClientTransaction, Failure, IClientUser
from rtcgw.sip.uri import Uri, UriError
from rtcgw.translator.leg import ILeg, ILegParent
from rtcgw.translator.sipleg import SipLeg
from rtcgw.translator.sipport import IDialogOwner, ISipPort
from rtcgw.translator.sipstate import Asked, Ladder, Policy, State
from rtcgw.translator.siptable import incoming, outgoing

SESSION = SessionId("s1")
OURS, THEIRS = "ours", "theirs"
POLICY = Policy()


class Tx:
    """A client or server transaction that does nothing; `statuses` is what was responded."""

    def __init__(self, request: Request, user: IClientUser | None = None) -> None:
        self.request = request
        self.user: Any = user
        self.responses: list[Response] = []

    def respond(self, response: Response) -> None:
        self.responses.append(response)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]


def put(message: Message, sdp: str | None) -> None:
    if sdp is not None:
        if "content-type" not in message.headers:
            message.set("content-type", "application/sdp")
        message.body = sdp.encode()


@implementer(ISipPort)
class Port:
    """Records what is sent."""

    profile = "main"

    def __init__(self) -> None:
        self.trusted = False
        self.room = True
        """Whether the dialog index takes another one."""
        self.sent: list[str] = []
        self.asked: list[Tx] = []
        self.dialogs: dict[DialogId, IDialogOwner] = {}
        self.troubles = 0
        self.credentials = True

    def invite(self, target: str, caller: Identity, peer: PeerProfile = PLAIN_PEER, private: bool = False) -> Request:
        if target == "nowhere":
            raise UriError(target)
        request = Request("INVITE", Uri.parse(target))
        request.set("from", f"<{caller.uri}>;tag={OURS}")
        request.set("to", f"<{target}>")
        if private:
            request.set("privacy", "id")
        request.set("call-id", "c1")
        request.set("cseq", "10 INVITE")
        self.decorate(request, peer)
        return request

    def target(self, text: str) -> Uri:
        if text == "nowhere":
            raise UriError(text)
        return Uri.parse(text)

    def subscribe(self, target: Uri, caller: Identity | None = None) -> Request:
        raise AssertionError("not asked here")

    def decorate(self, message: Message, peer: PeerProfile = PLAIN_PEER, focus: str = "") -> None:
        message.set("contact", "<sip:gw@127.0.0.1:5070>")
        message.set("supported", "100rel, precondition" if peer.preconditions else "100rel")

    def identify(self, response: Response, invite: Request) -> None:
        response.set("p-preferred-identity", "<sip:alice@ims.test>")

    def in_dialog(self, invite: Request) -> tuple[tuple[str, str], ...]:
        return (("x-dialog", invite.call_id),)

    def send(self, request: Request, user: IClientUser) -> ClientTransaction:
        self._note(request)
        tx = Tx(request, user)
        self.asked.append(tx)
        return cast(ClientTransaction, tx)

    def ack(self, request: Request) -> None:
        self._note(request)

    def cancel(self, tx: ClientTransaction, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.sent.append("CANCEL")

    def _note(self, request: Request) -> None:
        self.sent.append(f"{request.method} {request.body.decode()}".strip())

    def authorize(self, request: Request, response: Response) -> Request | None:
        if not self.credentials:
            return None
        self.credentials = False
        again = Request(request.method, request.uri)
        for name, values in request.headers.items():
            for value in values:
                again.add(name, value)
        again.set("cseq", str(CSeq(request.cseq.number + 1, request.method)))
        again.body = request.body
        return again

    def add_dialog(self, dialog: DialogId, owner: IDialogOwner) -> bool:
        if self.room:
            self.dialogs[dialog] = owner
        return self.room

    def drop_dialog(self, dialog: DialogId) -> None:
        self.dialogs.pop(dialog, None)

    def trouble(self, response: Response | None) -> None:
        self.troubles += 1


def rows(table: Table[Any, Any]) -> set[tuple[Any, Any]]:
    """Every row of a table."""
    return {(state, event) for state, events in table.rows.items() for event in events}


def walk(*cases: type[SynchronousTestCase]) -> Iterator[SynchronousTestCase]:
    """Run each test of these classes, but the one that asks; what each has met is in its `bench`."""
    for kind in cases:
        for name in dir(kind):
            if name.startswith("test_") and not name.startswith("test_every_row"):
                case = kind(name)
                case.setUp()
                getattr(case, name)()
                yield case


@implementer(ILegParent)
class SipBench:
    """What both roles have."""

    leg: SipLeg

    def __init__(self, peer: PeerProfile = PLAIN_PEER, **ladder: Any) -> None:
        self.peer = peer
        self.clock = Clock()
        self.port = Port()
        self.ladder = Ladder(**ladder)
        self.heard: list[Event] = []
        self.walked: set[tuple[State, Any]] = set()
        self.changes: set[tuple[Asked, Any]] = set()
        self.finals: dict[Tx, int] = {}
        """Final responses that our requests have had, for tests that keep to one."""
        self.number = self.invited = 100
        """CSeq numbers of the peer: its last one, and that of its last INVITE."""

    def mount(self, leg: SipLeg) -> None:
        self.leg = leg
        leg.parent = self
        leg.machine.watch = self._watch
        leg.asking.machine.watch = self._watch_change

    def _watch(self, label: str, old: Enum, event: Enum, new: Enum) -> None:
        self.walked.add((State(old), event))

    def _watch_change(self, label: str, old: Enum, event: Enum, new: Enum) -> None:
        self.changes.add((Asked(old), event))

    def report(self, leg: ILeg, event: Event) -> None:
        self.heard.append(event)

    @property
    def sent(self) -> list[str]:
        return self.port.sent

    @property
    def state(self) -> State:
        return self.leg.machine.state

    def request(self, method: str, sdp: str | None = None, *headers: tuple[str, str], tag: str = THEIRS) -> Tx:
        """A request of the peer inside the dialog."""
        self.number += 1
        if method == "INVITE":
            self.invited = self.number
        return self._request(self.number, method, sdp, headers, tag)

    def ack(self, sdp: str | None = None, late: bool = False) -> None:
        """The ACK of the peer's last INVITE; `late`: of the one before."""
        self._request(self.invited - late, "ACK", sdp, (), THEIRS)

    def _request(self, number: int, method: str, sdp: str | None, headers: tuple[tuple[str, str], ...], tag: str) -> Tx:
        request = Request(method, Uri.parse("sip:gw@127.0.0.1:5070"))
        request.set("from", f"<sip:echo@ims.test>;tag={tag}")
        request.set("to", f"<sip:alice@ims.test>;tag={self.local_tag}")
        request.set("call-id", "c1")
        request.set("cseq", f"{number} {method}")
        request.set("contact", "<sip:echo@127.0.0.1:5061>")
        for name, value in headers:
            request.set(name, value)
        put(request, sdp)
        tx = Tx(request)
        if method == "ACK":
            self.leg.got_ack(request)
        else:
            self.leg.got_request(cast(ServerTransaction, tx), request)
        return tx

    @property
    def local_tag(self) -> str:
        return OURS

    def end(self, reason: Reason = Reason.HANGUP) -> None:
        self.leg.deliver(End(reason))

    def answer_last(self, status: int = 200, sdp: str | None = None, *headers: tuple[str, str]) -> Tx:
        """The peer answers our last in-dialog request."""
        tx = self.port.asked[-1]
        self.answer(tx, status, sdp, *headers)
        return tx

    def answer(self, tx: Tx, status: int = 200, sdp: str | None = None, *headers: tuple[str, str]) -> None:
        """The peer answers, perhaps once more, a request of ours."""
        response = make_response(tx.request, status, None)
        for name, value in headers:
            response.set(name, value)
        put(response, sdp)
        tx.user.got_response(tx, response)

    def silence_last(self) -> None:
        """Our last in-dialog request is never answered."""
        tx = self.port.asked[-1]
        tx.user.got_failure(tx, Failure.TIMEOUT)


class UacBench(SipBench):
    """An outgoing leg."""

    def __init__(self, peer: PeerProfile = PLAIN_PEER, policy: Policy = POLICY, **ladder: Any) -> None:
        super().__init__(peer, **ladder)
        self.mount(outgoing(SESSION, self.port, self.clock, self.ladder, peer=peer, policy=policy))

    def setup(self, sdp: str | None = "offer", target: str = "sip:echo@ims.test") -> None:
        description = None if sdp is None else Description(Kind.OFFER, sdp)
        self.leg.deliver(Setup(Identity("sip:alice@ims.test"), Identity(target), description))

    def response(
        self,
        status: int,
        sdp: str | None = None,
        rseq: int | None = None,
        tag: str = THEIRS,
        contact: str = "<sip:echo@127.0.0.1:5061>",
        **headers: str,
    ) -> None:
        """A response to our INVITE."""
        assert self.leg.invite is not None
        assert self.leg.tx is not None
        response = make_response(self.leg.invite, status, None, tag)
        response.set("contact", contact)
        if rseq is not None:
            response.set("require", "100rel")
            response.set("rseq", str(rseq))
        for name, value in headers.items():
            response.set(name.replace("_", "-"), value)
        put(response, sdp)
        self.leg.got_response(self.leg.tx, response)

    def silence(self, failure: Failure = Failure.TIMEOUT) -> None:
        """Our INVITE is never answered."""
        assert self.leg.tx is not None
        self.leg.got_failure(self.leg.tx, failure)


class UasBench(SipBench):
    """An incoming leg."""

    def __init__(
        self,
        sdp: str | None = "offer",
        supported: str = "100rel",
        peer: PeerProfile = PLAIN_PEER,
        headers: tuple[tuple[str, str], ...] = (),
        **ladder: Any,
    ) -> None:
        super().__init__(peer, **ladder)
        request = Request("INVITE", Uri.parse("sip:gw@127.0.0.1:5070"))
        request.set("from", f"<sip:echo@ims.test>;tag={THEIRS}")
        request.set("to", "<sip:alice@ims.test>")
        request.set("call-id", "c1")
        request.set("cseq", "100 INVITE")
        request.set("contact", "<sip:echo@127.0.0.1:5061>")
        request.set("supported", supported)
        for name, value in headers:
            request.set(name, value)
        put(request, sdp)
        self.tx = Tx(request)
        tx = cast(ServerTransaction, self.tx)
        self.mount(incoming(SESSION, self.port, self.clock, self.ladder, tx, peer=peer))

    @property
    def local_tag(self) -> str:
        assert self.leg.dialog is not None
        return self.leg.dialog.id.local_tag

    def cancel(self) -> None:
        """CANCEL of our INVITE."""
        self.leg.got_cancel(cast(ServerTransaction, self.tx), Request("CANCEL", self.tx.request.uri))

    def prack(self, sdp: str | None = None) -> Tx:
        """The PRACK of the last reliable 1xx."""
        rseq = next(one.get("rseq") for one in reversed(self.tx.responses) if one.get("rseq"))
        return self.request("PRACK", sdp, ("rack", f"{rseq} 100 INVITE"))
