"""The sandbox in memory, with a user agent in front of it that does what a test tells it.

world = World()
world.register("alice")
call = world.invite("alice", "echo")
world.advance(1.0)
call.statuses                                   [180, 200]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from rtcgw.config import Config
from rtcgw.sandbox.preset import DOMAIN, phone_uri, sandbox_config
from rtcgw.sandbox.service import SandboxService
from rtcgw.sip.client import ClientTransaction
from rtcgw.sip.dialog import Dialog, new_call_id, new_tag, next_hop
from rtcgw.sip.digest import DigestClient
from rtcgw.sip.flow import Flow, Hop
from rtcgw.sip.headers import Challenge
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.server import ServerTransaction
from rtcgw.sip.transaction import TransactionLayer
from rtcgw.sip.transport import SipTransport
from rtcgw.sip.txuser import Failure, IClientUser, IServerUser, ITransactionUser
from rtcgw.sip.uri import Uri
from tests.peers.network import MemoryNetwork, MemoryReactor
from tests.peers.rtp import RtpEnd

HOST = "127.0.0.1"
PORT = 15070
MEDIA = 20_000


def sdp(codecs: str = "0 8 9 101", host: str = HOST, direction: str = "sendrecv", kind: str = "audio") -> bytes:
    """What a gateway offers to the core."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm={kind} {MEDIA} RTP/AVP {codecs}\r\n"
        f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    ).encode()


def pictures(
    codecs: str = "97 96", port: int = MEDIA + 2, direction: str = "sendrecv", proto: str = "RTP/AVP", sound: str = "0"
) -> bytes:
    """Sound and pictures in H.264 (97) and VP8 (96); with an AVPF profile all the feedback that there is."""
    wishes = "".join(f"a=rtcp-fb:* {kind}\r\n" for kind in ("nack", "nack pli", "ccm fir", "transport-cc"))
    return (
        sdp(sound)
        + (
            f"m=video {port} {proto} {codecs}\r\n"
            "a=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42e01f;packetization-mode=1\r\n"
            f"a=rtpmap:96 VP8/90000\r\n{wishes if proto == 'RTP/AVPF' else ''}a={direction}\r\n"
        ).encode()
    )


@implementer(IClientUser)
@define(eq=False)
class Asked:
    """A request that was sent, and what came back."""

    request: Request
    layer: TransactionLayer
    responses: list[Response] = field(factory=list)
    failures: list[Failure] = field(factory=list)
    tx: ClientTransaction | None = None

    def got_response(self, tx: ClientTransaction, response: Response) -> None:
        if response.status > 100:
            self.responses.append(response)

    def got_failure(self, tx: ClientTransaction, failure: Failure) -> None:
        self.failures.append(failure)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    @property
    def last(self) -> Response:
        return self.responses[-1]

    def cancel(self) -> None:
        assert self.tx is not None
        self.layer.cancel(self.tx, (("reason", "SIP;cause=200"),))

    def acknowledge(self, body: bytes = b"") -> Dialog:
        """The dialog of the 2xx, its ACK sent."""
        dialog = Dialog.as_uac(self.request, self.last)
        ack = dialog.ack(self.request.cseq.number)
        ack.body = body
        self.layer.send_ack(ack, next_hop(ack))
        return dialog


@implementer(ITransactionUser, IServerUser)
class World:
    """Clock, network, sandbox and the agent at the place of the gateway."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.reactor = MemoryReactor(self.network)
        config = sandbox_config(False, Config())
        self.config: Config = evolve(config, sandbox=evolve(config.sandbox, core_port=15060))
        self.service = SandboxService(self.config, self.reactor)
        self.started = self.service.start()
        transport = SipTransport(self.reactor, f"tcp:{PORT}:interface={HOST}")
        self.layer = TransactionLayer(self.clock, transport, self)
        self.listening = Deferred.fromCoroutine(transport.start())
        self.core = Hop(HOST, self.service.core_port)
        self.requests: list[ServerTransaction] = []
        """What came from the core, ACK and CANCEL apart."""
        self.acks: list[Request] = []
        self.cancels: list[Request] = []
        self.on_request: Callable[[ServerTransaction], Any] = lambda tx: tx.respond(make_response(tx.request, 200))

    def advance(self, seconds: float = 0.1) -> None:
        self.network.advance(seconds)

    # -- what comes from the core ------------------------------------------------------------

    def got_request(self, tx: ServerTransaction, request: Request) -> None:
        tx.user = self
        self.requests.append(tx)
        self.on_request(tx)

    def got_ack(self, request: Request, flow: Flow) -> None:
        self.acks.append(request)

    def got_cancel(self, tx: ServerTransaction, cancel: Request) -> None:
        self.cancels.append(cancel)
        tx.respond(make_response(tx.request, 487))

    def got_failure(self, tx: ServerTransaction, failure: Failure) -> None:
        """Nothing is asserted about that."""

    @property
    def methods(self) -> list[str]:
        return [tx.request.method for tx in self.requests]

    # -- what goes to the core ---------------------------------------------------------------

    def new(self, method: str, user: str, target: str, **headers: str) -> Request:
        request = Request(method, Uri.parse(target))
        request.set("from", f"{user.title()} <{phone_uri(user)}>;tag={new_tag()}")
        request.set("to", f"<{target}>")
        request.set("call-id", new_call_id(HOST))
        request.set("cseq", f"1 {method}")
        request.set("max-forwards", "70")
        request.set("contact", f"<sip:{user}-token@{HOST}:{PORT}>")
        for name, value in headers.items():
            request.set(name.replace("_", "-"), value)
        return request

    def send(self, request: Request, hop: Hop | None = None) -> Asked:
        asked = Asked(request, self.layer)
        asked.tx = self.layer.request(request, hop or self.core, asked)
        self.advance()
        return asked

    def register(
        self, user: str, secret: str | None = None, expires: int = 3600, to: str | None = None, **headers: str
    ) -> Asked:
        """Register with digest; the answer to the second REGISTER."""
        profile = next(profile for profile in self.config.profiles if profile.name == user)
        client = DigestClient(profile.impi, profile.secret if secret is None else secret)
        first = self.new("REGISTER", user, f"sip:{DOMAIN}", to=f"<{to or phone_uri(user)}>", expires=str(expires))
        asked = self.send(first)
        challenges = [Challenge.parse(line) for line in asked.last.headers["www-authenticate"]]
        second = self.new("REGISTER", user, f"sip:{DOMAIN}", to=f"<{to or phone_uri(user)}>", expires=str(expires))
        for name, value in headers.items():
            second.set(name, value)
        second.set("authorization", client.answer(challenges, "REGISTER", f"sip:{DOMAIN}"))
        return self.send(second)

    def invite(self, user: str, target: str, body: bytes | None = None, **headers: str) -> Asked:
        """An INVITE along the Service-Route, as a registered user agent sends it."""
        uri = target if ":" in target else phone_uri(target)
        request = self.new("INVITE", user, uri, route=f"<sip:{HOST}:15060;lr>", **headers)
        request.body = sdp() if body is None else body
        if request.body:
            request.set("content-type", "application/sdp")
        return self.send(request)

    def in_dialog(self, dialog: Dialog, method: str, body: bytes = b"", **headers: str) -> Asked:
        request = dialog.request(method)
        for name, value in headers.items():
            request.set(name.replace("_", "-"), value)
        request.set("contact", f"<sip:alice-token@{HOST}:{PORT}>")
        request.body = body
        return self.send(request, next_hop(request))

    # -- sound -------------------------------------------------------------------------------

    def listen(self, description: bytes, frequency: float = 1000) -> RtpEnd:
        """An RTP end at the gateway's media address, sending to the phone of this description."""
        lines = description.decode().split("\r\n")
        port = int(next(line for line in lines if line.startswith("m=audio")).split()[1])
        end = RtpEnd(lambda packet: self.network.send(packet, (HOST, MEDIA), (HOST, port)), 0, frequency)
        self.network.attach((HOST, MEDIA), lambda packet, source: end.feed(packet))
        return end

    @property
    def ports(self) -> set[int]:
        """Every UDP port that is open, except where the test itself listens."""
        return {port for _, port in self.network._receivers}.difference(range(MEDIA, MEDIA + 4))
