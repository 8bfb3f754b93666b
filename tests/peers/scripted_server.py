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
from typing import Any

from attrs import define, field
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint

from rtcgw.rtcweb.dialects import native
from rtcgw.rtcweb.dialects.wire import WireError
from rtcgw.web.server import PageSettings, make_site
from tests.peers.scripts import SCRIPTS, answer_sdp

PASSWORDS = {"alice": "alice", "bob": "bob"}
CONTACTS = [{"name": "Echo", "address": "sip:echo@ims.test"}, {"name": "Bob", "address": "bob"}]

Message = dict[str, Any]


@define(eq=False)
class Leg:
    """One page's half of a call."""

    session: str
    user: str
    page: Connection | None
    role: str = "caller"
    remote: dict[str, str] = field(factory=dict)
    peer: Leg | None = None
    answered: bool = False
    since: float | None = None
    """When it was answered, in the reactor's seconds; set when somebody first asks."""
    holding: bool = False
    early: str = ""
    """The page's early answer."""
    offered: str = ""
    """The page's last description."""
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
    capabilities: tuple[str, ...] = ()

    def onConnect(self, request: Any) -> str:
        if native.SUBPROTOCOL not in request.protocols:
            raise ConnectionDeny(400, "rtcgw.1 is required")
        return native.SUBPROTOCOL

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.factory.server.received(self, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.factory.server.lost(self)

    def send(self, kind: str, **fields: Any) -> None:
        """As the gateway does it: what is for a connection that is closing is dropped."""
        if self.state == self.STATE_OPEN:
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
        self.capabilities = ["progress", "trickle", "resume", "ringback", "dtmf", "participants", "calls"]
        self.tokens: dict[str, str] = {}
        """Resume token -> user; each is taken once."""
        self.missed: dict[str, list[dict[str, Any]]] = {}
        """User -> calls that nobody took."""
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

    def ring(self, user: str, offer: str, caller: str = "sip:carol@ims.test", name: str = "Carol", **more: Any) -> Leg:
        """Call a user's page out of nowhere. `more`: fields of the OFFER."""
        remote = {"uri": caller, "name": name}
        leg = self._leg(user, self.page_of(user), "callee", remote)
        leg.send("OFFER", **{"from": remote}, to=user, sdp=offer, sdpType="offer", **more)
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
                if not leg.answered and leg.role == "callee":
                    self._end(leg, "client-lost")
        self.tell(page.user)
        if self._gone:
            self._gone.pop(0).callback(None)

    def _login(self, page: Connection, message: Message) -> None:
        user = message.get("user", "")
        if "resume" in message:
            user = self.tokens.pop(message["resume"], "")
        elif message.get("token") == "token-of-alice":
            user = "alice"
        elif PASSWORDS.get(user) != message.get("password"):
            user = ""
        if not user:
            page.send("ERROR", id=message["id"], code="auth-failed", text="Not accepted.")
            return
        page.user, page.capabilities = user, tuple(message["capabilities"])
        token = f"resume-{len(self.log)}"
        self.tokens[token] = user
        ice = {"iceServers": self.ice_servers} | ({} if self.ice_ttl is None else {"iceTtl": self.ice_ttl})
        page.send(
            "OK",
            **{"for": "LOGIN"},
            id=message["id"],
            user=user,
            identities=[f"sip:{user}@ims.test"],
            version="1.0",
            server="scripted",
            **ice,
            ping=20,
            grace=self.grace,
            ladder="auto",
            capabilities=self.capabilities,
            contacts=CONTACTS,
            calls=self.views(page),
            resume=token,
            resumeTtl=self.grace,
            missed=self.missed.get(user, []),
        )

    def views(self, page: Connection) -> list[dict[str, Any]]:
        """The calls of a page's user, as that page is to see them."""
        return [self._view(leg, page) for leg in self.legs.values() if leg.user == page.user]

    def _view(self, leg: Leg, page: Connection) -> dict[str, Any]:
        view = {"session": leg.session, "role": leg.role, "remote": leg.remote, "holding": leg.holding}
        if leg.answered:
            leg.since = self._reactor.seconds() if leg.since is None else leg.since
            view["answered"] = self._reactor.seconds() - leg.since
        state = "Reloading" if leg.page is None else "InCall" if leg.answered else "Calling"
        return {**view, "state": state, "here": leg.page is page, "away": leg.page is None}

    def tell(self, user: str) -> None:
        """CALLS to all pages of a user."""
        for page in self.connections:
            if page.user == user and "calls" in page.capabilities:
                page.send("CALLS", calls=self.views(page))

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
        leg = self._leg(page.user, page, "caller", {"uri": message["to"]})
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
        before, leg.page = leg.page, page
        if before not in (page, None):
            before.send("ERROR", session=leg.session, code="moved", text="Taken up by another page.")
        # Another peer connection has other media: the far page is asked for a new one of its own.
        fresh = {"fresh": True} if _key(leg.offered) not in ("", _key(message["sdp"])) else {}
        leg.offered = message["sdp"]
        if not leg.answered:
            leg.send("WAITING", id=message["id"], to=leg.remote["uri"])
            return
        leg.owed.append(("OFFER", message["id"]))
        if leg.peer is None:
            leg.settle(sdp=answer_sdp(message["sdp"]), sdpType="answer")
        else:
            leg.peer.send("OFFER", sdp=message["sdp"], sdpType="offer", **fresh)
        self.tell(page.user)

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
            if "sdp" in message:
                leg.offered = message["sdp"]
            if peer is not None and "sdp" in message:
                peer.settle(sdp=message["sdp"], sdpType="answer")
            elif peer is not None:
                peer.settle()
            return
        leg.answered = peer.answered = True
        leg.offered = sdp
        self.tell(page.user)
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

    def _hold(self, page: Connection, message: Message) -> None:
        leg = self._reply(page, message)
        if leg is not None:
            leg.holding = message["on"]
            if leg.peer is not None:
                leg.peer.send("HOLD", on=leg.holding)

    def _transfer(self, page: Connection, message: Message) -> None:
        """It fails where it is to `busy`, hangs where it is to `silent`, and else comes about."""
        leg = self._reply(page, message)
        if leg is None or message.get("to") == "silent":
            return
        leg.send("TRANSFER", stage="trying")
        if message.get("to") == "busy":
            leg.send("TRANSFER", stage="failed", reason="busy", text="Busy Here", status=486)
            return
        for other in (leg, self.legs.get(message.get("with", ""))):
            if other is not None:
                leg.send("TRANSFER", stage="done")
                self._end(other, "transferred", tell=other)

    def _merge(self, page: Connection, message: Message) -> None:
        first, *others = [self.legs[session] for session in message["sessions"]]
        first.send("OK", **{"for": "MERGE"}, id=message["id"])
        for other in others:
            self._end(other, "replaced", tell=other)

    def _seen(self, page: Connection, message: Message) -> None:
        self.missed.pop(page.user, None)
        page.send("OK", **{"for": "SEEN"}, id=message["id"])
        for each in self.connections:
            if each.user == page.user:
                each.send("MISSED", missed=[])

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

    def _leg(self, user: str, page: Connection, role: str, remote: dict[str, str]) -> Leg:
        leg = Leg(f"session-{len(self.log)}-{user}-{len(self.legs)}", user, page, role, remote)
        self.legs[leg.session] = leg
        self.tell(user)
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
            self.tell(other.user)
        self.tell(leg.user)


def _key(sdp: str) -> str:
    """The fingerprint in a description."""
    found = re.search(r"^a=fingerprint:\S+ (\S+)", sdp, re.MULTILINE)
    return "" if found is None else found[1]
