"""A gateway that is none: it plays scripts to the page, and joins two pages to each other.

    server = ScriptedServer(reactor)
    await server.start()          # server.url is the page's address
    ...
    await server.stop()

Who is called decides what happens: `busy`, `ring`, `early`, `talk`, `nobody`, `silent` are scripts,
the name of a logged-in user rings at that user's page. The page is served as the gateway serves
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
        self.capabilities = ["progress", "trickle", "resume"]
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
            iceServers=[],
            ping=20,
            grace=self.grace,
            ladder="auto",
            capabilities=self.capabilities,
            contacts=CONTACTS,
            calls=[leg.session for leg in waiting],
        )

    def _offer(self, page: Connection, message: Message) -> None:
        if "session" in message:
            self._change(page, message)
            return
        name = re.sub(r"^sip:|@.*", "", message["to"])
        if name == "silent":
            return
        if name == "nobody":
            page.send("ERROR", id=message["id"], code="not-found", text="There is no such user.")
            return
        leg = self._leg(page.user, page)
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
        leg.page = page
        leg.owed.append(("OFFER", message["id"]))
        if leg.peer is None:
            leg.settle(sdp=answer_sdp(message["sdp"]), sdpType="answer")
        else:
            leg.peer.send("OFFER", sdp=message["sdp"], sdpType="offer", **{"from": {"uri": leg.user}}, to=leg.peer.user)

    def _ringing(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None and leg.peer is not None:
            leg.peer.send("RINGING")

    def _answer(self, page: Connection, message: Message) -> None:
        leg = self.legs[message["session"]]
        peer = leg.peer
        if "sdp" not in message or peer is None or leg.answered:
            self._reply(page, message)
            if peer is not None and "sdp" in message:
                peer.settle(sdp=message["sdp"], sdpType="answer")
            elif peer is not None:
                peer.settle()
            return
        leg.answered = peer.answered = True
        leg.owed.append(("ANSWER", message["id"]))
        peer.send("OK", **{"for": "OFFER"}, sdp=message["sdp"], sdpType="answer")

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
        self._reply(page, message)

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


def answer_sdp(offer: str) -> str:
    """An answer that a browser accepts: G.711 at a port where nobody listens."""
    lines = [line for line in offer.splitlines() if line.startswith(("a=mid:", "a=setup:"))]
    mid = lines[[line.startswith("a=mid:") for line in lines].index(True)]
    return "\r\n".join(
        (
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=ice-lite",
            f"a=group:BUNDLE {mid.removeprefix('a=mid:')}",
            "m=audio 9 UDP/TLS/RTP/SAVPF 0",
            "c=IN IP4 127.0.0.1",
            "a=rtpmap:0 PCMU/8000",
            mid,
            "a=rtcp-mux",
            "a=sendrecv",
            "a=setup:passive",
            f"a=fingerprint:sha-256 {':'.join(['00'] * 32)}",
            "a=ice-ufrag:script",
            "a=ice-pwd:scriptedscriptedscripted",
            "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
            "",
        )
    )


def _talk(leg: Leg, offer: str) -> None:
    leg.answered = True
    leg.send("RINGING")
    leg.send("OK", **{"for": "OFFER"}, sdp=answer_sdp(offer), sdpType="answer")


SCRIPTS: dict[str, Callable[[Leg, str], None]] = {
    "busy": lambda leg, _: leg.send("HANGUP", reason="busy", text="Busy Here", status=486),
    "ring": lambda leg, _: leg.send("RINGING"),
    "early": lambda leg, offer: leg.send("RINGING", sdp=answer_sdp(offer), sdpType="pranswer"),
    "talk": _talk,
    "echo": _talk,
}
"""The number called -> what it does."""
