"""A gateway that is none: it plays scripts to the page, and joins two pages to each other.

    server = ScriptedServer(reactor)
    await server.start()          # server.url is the page's address
    ...
    await server.stop()

Who is called decides what happens: `busy`, `ring`, `early`, `talk` and others of `SCRIPTS` are scripts, as are
`nobody` and `silent`; the name of a logged-in user rings at that user's page. The page is served as the gateway serves
it, and all that it sends is read by the gateway's own strict decoder: what that refuses stands in
`complaints`.

It carries no sound. The answers of scripts lead nowhere; between two pages the sound goes
directly, which makes them each other's real peer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from attrs import define, field
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint

from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.wire import WireError
from rtcgw.web.server import PageSettings, make_site

PASSWORDS = {"alice": "alice", "bob": "bob"}
CONTACTS = [{"name": "Echo", "address": "sip:echo@ims.test"}, {"name": "Bob", "address": "bob"}]

Message = dict[str, Any]


@define(eq=False)
class Leg:
    """One page's half of a call."""

    session: str
    user: str
    page: Connection | None
    peer: Leg | None = None
    answered: bool = False
    early: str = ""
    """The page's early answer."""
    offered: str = ""
    """The page's last offer."""
    owed: list[tuple[str, Any]] = field(factory=list)
    """Type and id of requests whose reply waits for the other page."""

    def send(self, kind: str, **fields: Any) -> None:
        if self.page is not None:
            self.page.send(kind, session=self.session, **fields)

    def settle(self, **fields: Any) -> None:
        """Reply to the oldest request that waits."""
        if self.owed:
            kind, request = self.owed.pop(0)
            self.send("OK", **{"for": kind}, id=request, **fields)


class Connection(WebSocketServerProtocol):
    """One page's socket."""

    user = ""

    def onConnect(self, request: Any) -> str:
        if native.SUBPROTOCOL not in request.protocols:
            raise ConnectionDeny(400, "rtcgw.1 is required")
        return native.SUBPROTOCOL

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.server.received(self, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.server.lost(self)

    def send(self, kind: str, **fields: Any) -> None:
        self.sendMessage(json.dumps({"type": kind, **fields}).encode())


class ScriptedServer:
    """See the module."""

    def __init__(self, reactor: Any, settings: PageSettings | None = None) -> None:
        self.url = ""
        self.log: list[Message] = []
        """What pages sent, each with the sender under `by`."""
        self.complaints: list[str] = []
        self.connections: set[Connection] = set()
        self.legs: dict[str, Leg] = {}
        self.capabilities = ["progress", "trickle", "resume", "ringback", "dtmf"]
        self.ice_servers: list[dict[str, Any]] = []
        self.ice_ttl: float | None = None
        """Seconds; pages ask again before."""
        self.conflicts = 0
        """So many of the pages' next changes are refused, as if they had met one of ours."""
        self.grace = 10.0
        self.mute = False
        """Reply to nothing from now on."""
        self._reactor = reactor
        self._settings = settings or PageSettings(passwords=True, hint="Try alice/alice or bob/bob.")
        self._port: Any = None
        self._gone: list[Deferred[None]] = []

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        factory: Any = WebSocketServerFactory(reactor=self._reactor)
        factory.protocol = Connection
        factory.server = self
        site = make_site(factory, "/ws", True, reactor=self._reactor, settings=self._settings)
        self._port = await TCP4ServerEndpoint(self._reactor, port, interface="127.0.0.1").listen(site)
        self.url = f"http://127.0.0.1:{self._port.getHost().port}/"

    async def stop(self) -> None:
        """Close the port and every connection."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        await self.drop()

    async def drop(self, user: str = "") -> None:
        """Cut the connections of a user, or all, as a broken network would, and wait until they are gone."""
        for page in [page for page in self.connections if user in ("", page.user)]:
            gone: Deferred[None] = Deferred()
            self._gone.append(gone)
            page.dropConnection(abort=True)
        for gone in list(self._gone):
            await gone

    def page_of(self, user: str) -> Connection:
        """The user's connection."""
        return next(page for page in self.connections if page.user == user)

    def ring(self, user: str, offer: str, caller: str = "sip:carol@ims.test", name: str = "Carol") -> Leg:
        """Call a user's page out of nowhere."""
        leg = self._leg(user, self.page_of(user))
        leg.send("OFFER", **{"from": {"uri": caller, "name": name}}, to=user, sdp=offer, sdpType="offer")
        return leg

    def sent(self, kind: str) -> list[Message]:
        """What pages sent of one type."""
        return [message for message in self.log if message["type"] == kind]

    # -- what pages send ---------------------------------------------------------------------

    def received(self, page: Connection, payload: bytes) -> None:
        """A frame of a page."""
        self.connections.add(page)
        message: Message = json.loads(payload)
        self.log.append({**message, "by": page.user})
        try:
            native.decode(payload)
        except WireError as error:
            self.complaints.append(f"{payload!r}: {error}")
        if not self.mute:
            getattr(self, f"_{message['type'].lower()}")(page, message)

    def lost(self, page: Connection) -> None:
        """A page's socket is gone."""
        self.connections.discard(page)
        for leg in list(self.legs.values()):
            if leg.page is page:
                leg.page = None
                if not leg.answered:
                    self._end(leg, "client-lost")
        if self._gone:
            self._gone.pop(0).callback(None)

    def _login(self, page: Connection, message: Message) -> None:
        user = message.get("user", "")
        if message.get("token") == "token-of-alice":
            user = "alice"
        elif PASSWORDS.get(user) != message.get("password"):
            page.send("ERROR", id=message["id"], code="auth-failed", text="Not accepted.")
            return
        page.user = user
        waiting = [leg for leg in self.legs.values() if leg.user == user and leg.page is None]
        reply = {"for": "LOGIN", "id": message["id"], "user": user, "identities": [f"sip:{user}@ims.test"]}
        page.send(
            "OK",
            **reply,
            version="1.0",
            server="scripted",
            **({"iceServers": self.ice_servers} | ({} if self.ice_ttl is None else {"iceTtl": self.ice_ttl})),
            ping=20,
            grace=self.grace,
            ladder="auto",
            capabilities=self.capabilities,
            contacts=CONTACTS,
            calls=[leg.session for leg in waiting],
        )

    def _offer(self, page: Connection, message: Message) -> None:
        if "session" in message:
            if message["session"] in self.legs:
                self._change(page, message)
            else:
                self._reply(page, message)
            return
        name = re.sub(r"^sip:|@.*", "", message["to"])
        if name == "silent":
            return
        if name == "nobody":
            page.send("ERROR", id=message["id"], code="not-found", text="There is no such user.")
            return
        leg = self._leg(page.user, page)
        leg.offered = message["sdp"]
        page.send("WAITING", id=message["id"], session=leg.session, to=message["to"])
        if name in SCRIPTS:
            SCRIPTS[name](leg, message["sdp"])
        elif any(other.user == name for other in self.connections):
            leg.peer = self.ring(name, message["sdp"], f"sip:{page.user}@ims.test", page.user.title())
            leg.peer.peer = leg
        else:
            self._end(leg, "unavailable", tell=leg)

    def _change(self, page: Connection, message: Message) -> None:
        leg = self.legs[message["session"]]
        if self.conflicts:
            self.conflicts -= 1
            leg.send("ERROR", id=message["id"], code="conflict", text="The gateway's own OFFER is on its way.")
            return
        leg.page = page
        leg.offered = message["sdp"]
        leg.owed.append(("OFFER", message["id"]))
        if leg.peer is None:
            leg.settle(sdp=answer_sdp(message["sdp"]), sdpType="answer")
        else:
            leg.peer.send("OFFER", sdp=message["sdp"], sdpType="offer")

    def _ringing(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None and leg.peer is not None:
            leg.peer.send("RINGING")

    def _answer(self, page: Connection, message: Message) -> None:
        leg = self.legs[message["session"]]
        peer = leg.peer
        sdp = message.get("sdp", leg.early)
        if not sdp or peer is None or leg.answered:
            self._reply(page, message)
            if peer is not None and "sdp" in message:
                peer.settle(sdp=message["sdp"], sdpType="answer")
            elif peer is not None:
                peer.settle()
            return
        leg.answered = peer.answered = True
        leg.owed.append(("ANSWER", message["id"]))
        peer.send("OK", **{"for": "OFFER"}, sdp=sdp, sdpType="answer")

    def _candidate(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None and leg.peer is not None:
            names = ("candidate", "mid", "mLineIndex", "ufrag")
            leg.peer.send("CANDIDATE", **{name: message[name] for name in names})

    def _hangup(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None:
            self._end(leg, message.get("reason", "hangup"))

    def _pranswer(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None and "sdp" in message:
            leg.early = message["sdp"]
            if leg.peer is not None:
                leg.peer.send("PROGRESS", sdp=leg.early, sdpType="pranswer")
                leg.peer.send("RINGBACK", sound="local")

    def _decline(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None and leg.peer is not None and leg.peer.owed:
            _, request = leg.peer.owed.pop(0)
            leg.peer.send("ERROR", id=request, code=message["reason"], text="As the other side said.")

    def _dtmf(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None and leg.peer is not None:
            leg.peer.send("DTMF", tones=message["tones"])

    def _ice_servers(self, page: Connection, message: Message) -> None:
        reply = {"for": "ICE_SERVERS", "id": message["id"], "iceServers": self.ice_servers, "ttl": self.ice_ttl}
        page.send("OK", **reply)

    def _ice(self, page: Connection, message: Message) -> None:
        self._reply(page, message)

    def _ping(self, page: Connection, message: Message) -> None:
        page.send("OK", **{"for": "PING"}, id=message["id"])

    def _logout(self, page: Connection, message: Message) -> None:
        page.send("OK", **{"for": "LOGOUT"}, id=message["id"])
        page.sendClose(1000)

    # -- calls -------------------------------------------------------------------------------

    def _leg(self, user: str, page: Connection) -> Leg:
        leg = Leg(f"session-{len(self.log)}-{user}", user, page)
        self.legs[leg.session] = leg
        return leg

    def _reply(self, page: Connection, message: Message) -> Leg | None:
        """OK for a request about a call; ERROR, and None, where there is no such call."""
        leg = self.legs.get(message["session"])
        if leg is None:
            page.send("ERROR", id=message["id"], code="no-session", text="There is no such call.")
        else:
            leg.send("OK", **{"for": message["type"]}, id=message["id"])
        return leg

    def _end(self, leg: Leg, reason: str, tell: Leg | None = None) -> None:
        self.legs.pop(leg.session, None)
        other = tell or leg.peer
        if other is not None:
            self.legs.pop(other.session, None)
            other.send("HANGUP", reason=reason, text="As the other side said.")


def answer_sdp(offer: str, video: bool = False, formats: str = "0") -> str:
    """An answer that a browser accepts: G.711, and VP8 where `video`, at a port where nobody listens."""
    return _description(offer, "passive", {"audio": formats, "video": _vp8(offer) if video else ""})


def offer_sdp(offer: str, video: bool = False) -> str:
    """An offer within the call that the page's `offer` began: the same again, or with a picture added."""
    if video and "m=video" not in offer:
        offer += "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:added\r\na=rtpmap:96 VP8/90000\r\n"
    return _description(offer, "actpass", {"audio": "0", "video": _vp8(offer) if video else ""})


def _vp8(offer: str) -> str:
    found = re.search(r"a=rtpmap:(\d+) VP8/90000", offer)
    return "" if found is None else found[1]


def _description(offer: str, setup: str, formats: dict[str, str]) -> str:
    """A description with a section for each of the offer's; without a format, its port is 0."""
    sections = [
        (found[1], found[2], formats[found[1]])
        for found in re.finditer(r"^m=(audio|video) .*?^a=mid:(\S+)", offer, re.MULTILINE | re.DOTALL)
    ]
    bundle = " ".join(mid for _, mid, used in sections if used)
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite", f"a=group:BUNDLE {bundle}"]
    for kind, mid, used in sections:
        lines += _section(kind, mid, used, setup)
    return "\r\n".join((*lines, ""))


_MAPS = {"0": "PCMU/8000", "8": "PCMA/8000", "126": "telephone-event/8000"}


def _section(kind: str, mid: str, formats: str, setup: str) -> list[str]:
    return [
        f"m={kind} {9 if formats else 0} UDP/TLS/RTP/SAVPF {formats or 0}",
        "c=IN IP4 127.0.0.1",
        *(f"a=rtpmap:{each} {_MAPS.get(each, 'VP8/90000')}" for each in formats.split()),
        f"a=mid:{mid}",
        "a=rtcp-mux",
        "a=sendrecv" if formats else "a=inactive",
        f"a=setup:{setup}",
        f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
        "a=ice-ufrag:script",
        "a=ice-pwd:scriptedscriptedscripted",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
    ]


def _warm(leg: Leg, offer: str) -> None:
    """The gateway's own early answer, so that the page connects while it rings."""
    leg.send("PROGRESS", sdp=answer_sdp(offer), sdpType="pranswer")


def _ring(leg: Leg, offer: str) -> None:
    _warm(leg, offer)
    leg.send("RINGING")
    leg.send("RINGBACK", sound="local")


def _early(leg: Leg, offer: str) -> None:
    """The network's announcement, heard before the answer."""
    _ring(leg, offer)
    leg.send("PROGRESS", sdp=answer_sdp(offer, formats="8"), sdpType="pranswer")
    leg.send("RINGBACK", sound="network")


def _talk(leg: Leg, offer: str, video: bool = False, formats: str = "0") -> None:
    leg.answered = True
    leg.send("RINGING")
    leg.send("OK", **{"for": "OFFER"}, sdp=answer_sdp(offer, video, formats), sdpType="answer")


SCRIPTS: dict[str, Callable[[Leg, str], None]] = {
    "busy": lambda leg, _: leg.send("HANGUP", reason="busy", text="Busy Here", status=486),
    "ring": _ring,
    "bare": lambda leg, _: leg.send("RINGING"),
    "early": _early,
    "sound": lambda leg, offer: leg.send("RINGING", sdp=answer_sdp(offer), sdpType="pranswer"),
    "talk": _talk,
    "keys": lambda leg, offer: _talk(leg, offer, formats="0 126"),
    "film": lambda leg, offer: _talk(leg, offer, video=True),
    "echo": _talk,
}
"""The number called -> what it does."""
