"""A phone made of Python, as a subscriber of the core: what the packaged phones lack or do not let a test decide.

    phone = Answerer(named("henry"), core, lambda port: Sound(AmrWb(), port, tone=900))
    await phone.start()                          registered
    ...
    call = await phone.called()                  an INVITE has come
    call.ring()                                  180
    call.early()                                 183 with an answer; its sound begins
    call.answer()                                200; `call.answered_at`, the reactor's seconds
    await call.ended()                           BYE, or CANCEL
    await phone.stop()

It speaks the codecs that it is given and no others, offers nothing and is called only. New offers in the call (re-
INVITE, UPDATE) are answered at once. `phone.methods` counts the requests that came. UDP on loopback loses nothing, so
a response is sent once and again when the request is repeated, but not by a timer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol

from rtcgw.media import sdp
from rtcgw.sip.dialog import Dialog, new_branch, new_call_id, new_tag
from rtcgw.sip.digest import DigestClient
from rtcgw.sip.headers import Challenge
from rtcgw.sip.message import Request, Response, make_response
from rtcgw.sip.parser import parse_message
from rtcgw.sip.uri import Uri
from tests.live.answers import Part, described, fitting, numbered
from tests.live.ims.core import DOMAIN, ImsCore
from tests.live.ims.subscribers import Subscriber
from tests.live.picture import Picture
from tests.live.sound import Address, Sound
from tests.live.waiting import HOST, reactor, until, within

ALLOW = "INVITE, ACK, CANCEL, BYE, PRACK, UPDATE, INFO, OPTIONS"


@define(eq=False)
class Answered:
    """One call to the phone."""

    phone: Answerer
    invite: Request
    source: Address
    parts: list[Part]
    tag: str = field(factory=new_tag)
    offers: list[sdp.Session] = field(factory=list)
    """What the other side has described, the newest last."""
    answered_at: float | None = None
    over: str = ""
    """The method that ended it."""
    _version: int = 0

    @property
    def sound(self) -> Sound:
        """Its end of the sound."""
        return next(part for part in self.parts if isinstance(part, Sound))

    @property
    def picture(self) -> Picture:
        """Its end of the pictures."""
        return next(part for part in self.parts if isinstance(part, Picture))

    @property
    def playable(self) -> bool:
        """Whether the offer has a line of sound that the phone can take."""
        return any(fitting(media, self.parts) for media in self.offers[-1].media if media.kind == "audio")

    def ring(self, *headers: tuple[str, str]) -> None:
        """180 without a description."""
        self._respond(180, "Ringing", None, headers)

    def early(self, *headers: tuple[str, str]) -> None:
        """183 with the answer; what it says is sent from now on."""
        self._respond(183, "Session Progress", self._take(self.offers[-1]), headers)

    def describe_only(self) -> None:
        """183 with the answer, and no sound although it might be sent."""
        body = described(self.offers[-1], self.parts, self._version + 1)
        self._respond(183, "Session Progress", body, ())

    def answer(self) -> None:
        """200 with the answer; 488 when there is nothing in the offer that the phone can speak."""
        if not self.playable:
            self.refuse(488, "Not Acceptable Here")
            return
        sdp_text = self._take(self.offers[-1])
        self.answered_at = reactor.seconds()
        self._respond(200, "OK", sdp_text, ())

    def refuse(self, status: int, phrase: str) -> None:
        """A final refusal."""
        self.over = self.over or str(status)
        self._respond(status, phrase, None, ())

    def hang_up(self) -> None:
        """BYE."""
        self.over = "BYE"
        self.phone.send_in(Dialog.as_uas(self.invite, self.tag).request("BYE"), self.source)

    async def ended(self, timeout: float = 10) -> str:
        """Wait for its end; by which method."""
        return await until(f"the call at {self.phone.who.user} ends", lambda: self.over, timeout)

    async def hears(self, hertz: float, timeout: float = 10, seconds: float = 0.5) -> None:
        """Wait until the loudest tone of the last `seconds` is this one."""
        sound = self.sound

        def look() -> bool:
            return len(sound.latest(seconds)) >= seconds * sound.codec.rate and abs(sound.heard(seconds) - hertz) <= 6

        try:
            await until("sound", look, timeout)
        except AssertionError:
            heard = f"{sound.heard(seconds):.0f} Hz, packets {dict(sound.types)}, broken {sound.broken}"
            raise AssertionError(f"{self.phone.who.user} hears {heard}, not {hertz:g} Hz") from None

    def took(self, request: Request, source: Address) -> None:
        """A request inside the dialog."""
        if request.method == "ACK":
            if request.body:
                self._follow(sdp.parse(request.body.decode()))
            return
        response = make_response(request, 200, "OK", self.tag)
        if request.method in ("INVITE", "UPDATE") and request.body:
            self.offers.append(sdp.parse(request.body.decode()))
            response.set("content-type", "application/sdp")
            response.body = self._take(self.offers[-1]).encode()
            response.set("contact", self.phone.contact)
        elif request.method == "INVITE":  # it is asked for an offer, and gets the answer in the ACK
            self._version += 1
            response.set("content-type", "application/sdp")
            response.body = described(self.offers[-1], self.parts, self._version).encode()
            response.set("contact", self.phone.contact)
        elif request.method == "INFO" and b"picture_fast_update" in request.body:  # RFC 5168
            self.picture.keyframe()
        elif request.method == "BYE":
            self.over = "BYE"
            for part in self.parts:
                part.connect(("", 0), playing=False)
        self.phone.reply(request, response, source)

    def cancelled(self) -> None:
        """The caller has given up."""
        self.over = "CANCEL"
        self._respond(487, "Request Terminated", None, ())

    def _take(self, offer: sdp.Session) -> str:
        """The answer; each part now sends where the offer says, as far as it wants to be sent anything."""
        self._version += 1
        self._follow(offer)
        return described(offer, self.parts, self._version)

    def _follow(self, theirs: sdp.Session) -> None:
        """Send where the other side's description says."""
        for media in theirs.media:
            part, host = fitting(media, self.parts), theirs.host_of(media)
            if part is not None and host is not None:
                part.pt = numbered(media, part) or 0
                part.connect((host, media.port), theirs.direction_of(media).receives)

    def _respond(self, status: int, phrase: str, body: str | None, headers: Sequence[tuple[str, str]]) -> None:
        response = make_response(self.invite, status, phrase, self.tag)
        for value in self.invite.headers.get("record-route", ()):
            response.add("record-route", value)
        response.set("contact", self.phone.contact)
        response.set("allow", ALLOW)
        for name, value in headers:
            response.add(name.lower(), value)
        if body is not None:
            response.set("content-type", "application/sdp")
            response.body = body.encode()
        self.phone.reply(self.invite, response, self.source)


class Answerer(DatagramProtocol):
    """One phone. `make`: its ends of the media, each given a port of its own; they live as long as the phone."""

    def __init__(self, who: Subscriber, core: ImsCore, *make: Callable[[int], Part]) -> None:
        self.who = who
        self.core = core
        self.parts = [made(who.rtp_port + 2 * place) for place, made in enumerate(make)]
        self.calls: list[Answered] = []
        self.methods: Counter[str] = Counter()
        """Requests that have come, repetitions left out."""
        self._waited = 0
        self._open: Any = None
        self._replies: dict[tuple[str, str], bytes] = {}
        self._registering: Deferred[Response] | None = None

    @property
    def contact(self) -> str:
        """Its Contact."""
        return f"<sip:{self.who.user}@{HOST}:{self.who.sip_port}>"

    async def start(self) -> None:
        """Open the ports, and register."""
        self._open = reactor.listenUDP(self.who.sip_port, self, interface=HOST)
        for part in self.parts:
            part.listen()
        await self._register(600)

    async def stop(self) -> None:
        """De-register, and free the ports."""
        if self._open is not None:
            await self._register(0)
            opened, self._open = self._open, None
            await opened.stopListening()
        for part in self.parts:
            await part.close()

    async def called(self, timeout: float = 10) -> Answered:
        """Wait for a call that was not waited for yet."""
        await until(f"{self.who.user} is called", lambda: len(self.calls) > self._waited, timeout)
        self._waited += 1
        return self.calls[self._waited - 1]

    # -- the wire ------------------------------------------------------------------------------

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        message = parse_message(datagram)
        if isinstance(message, Response):
            if message.cseq.method == "REGISTER" and message.status >= 200 and self._registering is not None:
                waiting, self._registering = self._registering, None
                waiting.callback(message)
            return
        key = (message.via.branch or "", message.method)
        if key in self._replies:
            self._write(self._replies[key], addr)
        elif message.method != "ACK" or message.to.tag:
            self.methods[message.method] += 1
            self._request(message, addr)

    def reply(self, request: Request, response: Response, source: Address) -> None:
        """Send a response, and again whenever the request is repeated."""
        data = response.to_bytes()
        self._replies[request.via.branch or "", request.method] = data
        self._write(data, source)

    def send_in(self, request: Request, to: Address) -> None:
        """Send a request inside a dialog to where its INVITE came from."""
        request.prepend("via", f"SIP/2.0/UDP {HOST}:{self.who.sip_port};branch={new_branch()}")
        self._write(request.to_bytes(), to)

    def _request(self, request: Request, source: Address) -> None:
        call = next((call for call in self.calls if call.invite.call_id == request.call_id), None)
        if request.method == "INVITE" and not request.to.tag:
            self.calls.append(Answered(self, request, source, self.parts, offers=[sdp.parse(request.body.decode())]))
            self.reply(request, make_response(request, 100, "Trying"), source)
        elif request.method == "CANCEL" and call is not None:
            self.reply(request, make_response(request, 200, "OK", call.tag), source)
            call.cancelled()
        elif call is not None:
            call.took(request, source)
        elif request.method != "ACK":
            self.reply(request, make_response(request, 481), source)

    def _write(self, data: bytes, to: Address) -> None:
        if self._open is not None and self.transport is not None:
            self.transport.write(data, to)

    async def _register(self, expires: int) -> None:
        digest = DigestClient(self.who.impi, self.who.password)
        uri, call_id, tag = f"sip:{DOMAIN}", new_call_id(HOST), new_tag()
        authorization = ""
        for number in (1, 2):
            request = Request("REGISTER", Uri.parse(uri))
            for name, value in {
                "via": f"SIP/2.0/UDP {HOST}:{self.who.sip_port};branch={new_branch()}",
                "max-forwards": "70",
                "from": f"<{self.who.uri}>;tag={tag}",
                "to": f"<{self.who.uri}>",
                "call-id": call_id,
                "cseq": f"{number} REGISTER",
                "contact": self.contact,
                "expires": str(expires),
                "supported": "path",
            }.items():
                request.set(name, value)
            if authorization:
                request.set("authorization", authorization)
            self._registering = Deferred()
            self._write(request.to_bytes(), (HOST, self.core.ports.icscf))
            answer = await within(f"{self.who.user} registers", self._registering, 5)
            if answer.status == 200:
                return
            challenges = [Challenge.parse(value) for value in answer.headers.get("www-authenticate", ())]
            authorization = digest.answer(challenges, "REGISTER", uri)
        raise AssertionError(f"{self.who.user} may not register")
