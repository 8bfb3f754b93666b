"""The backend that leaves the media to rtpengine, over its NG protocol, on any number of engines.

The engine never writes to the core: what it says is read, and our own builder writes the core's description, so that
no WebRTC word can slip through (`lines.py`). New calls go to the engine that has fewest; a dead engine's calls
are made anew on another (`session.py`).

`delete` ends every session that the engine has heard of, also one that is closed while a request is out; what a killed
gateway leaves behind is found by its mark (`node.py`).
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from itertools import count
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime, IReactorUDP
from zope.interface import implementer

from rtcgw.media import sockets
from rtcgw.media.backend import Access, IMediaBackend, IMediaSession, MediaError, MediaStats, OnNews
from rtcgw.media.engine.interlude import Jukebox
from rtcgw.media.engine.ng import NgClient
from rtcgw.media.engine.node import NgNode
from rtcgw.media.engine.session import EngineSession
from rtcgw.media.packets.transcode import Places
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason


@frozen
class RtpengineSettings:
    """What the backend needs to know."""

    nodes: tuple[tuple[str, int], ...] = (("127.0.0.1", 2223),)
    """Control address and port of each engine; addresses, not names."""
    timeout: float = 3.0
    """Seconds that a request may take, with its repetitions."""
    ping: float = 5.0
    """Seconds between two health checks of a node."""
    instance: str = "gw"
    """This gateway's mark on its calls in the engines: those with it that nobody here knows are deleted."""
    transcodes: int = 50
    """Calls whose codecs are converted at once, over all engines."""
    music: str = ""
    """The file that whoever is held hears, as engines know it; empty: silence."""
    max_sessions: int = 10000


_DATAGRAM = 65535
"""Octets of an engine's answer; a list of calls and a query are longer than a packet of sound."""


@implementer(IMediaBackend)
class RtpengineBackend:
    """See the module. `clock` and `udp` are the reactor, twice: it is asked for two things."""

    name = "rtpengine"

    def __init__(self, settings: RtpengineSettings, clock: IReactorTime, udp: IReactorUDP) -> None:
        self.settings = settings
        self.client = NgClient(clock, settings.timeout)
        self.counters = self.client.counters
        self.clock = clock
        self.places = Places(settings.transcodes)
        self.jukebox = Jukebox(settings.music)
        self._mark = f"rtcgw-{settings.instance}-"
        self.nodes = [NgNode(self.client, address, clock, settings.ping, self._mark) for address in settings.nodes]
        self.sessions: dict[SessionId, EngineSession] = {}
        self._udp = udp
        self._turns = count(1)
        self._port: IListeningPort | None = None
        self._deleting: set[Deferred[Any]] = set()

    def start(self) -> Deferred[None]:
        """Meet the engines. Fails with `MediaError` (UNREACHABLE) where none answers; one is enough."""
        self._listen()
        asked: Deferred[Any] = DeferredList([node.start() for node in self.nodes], consumeErrors=True)
        return asked.addCallback(lambda _: self._met())

    def stop(self) -> Deferred[None]:
        """Delete every session, then close the socket."""
        for session in list(self.sessions.values()):
            session.close()
        for node in self.nodes:
            node.stop()
        done: Deferred[Any] = DeferredList(list(self._deleting), consumeErrors=True)
        return done.addCallback(self._close_port)

    def check(self) -> Deferred[str]:
        """Which engines answer; fails where none does. May be called before `start`."""
        opened = self._port is None
        self._listen()
        asked: Deferred[Any] = DeferredList(
            [self.client.request(node.address, {"command": "ping"}) for node in self.nodes], consumeErrors=True
        )
        asked.addCallback(self._checked)
        if opened:
            asked.addBoth(self._then_close)
        return asked

    def rows(self) -> list[Mapping[str, object]]:
        """See `IMediaBackend`: each engine."""
        converting = f"{self.places.used} of {self.places.limit}"
        return [
            {"carrier": node, "state": node.machine.state.value, "calls": len(node.sessions), "converting": converting}
            for node in self.nodes
        ]

    def open(
        self, session: SessionId, caller: Access, callee: Access, on_news: OnNews, peer: PeerProfile = PLAIN_PEER
    ) -> IMediaSession:
        """See `IMediaBackend`. Raises `MediaError`: MEDIA_FAILED without an engine, OVERLOADED at the bound."""
        if caller.on_web == callee.on_web:
            raise MediaError(Reason.MEDIA, "rtpengine joins a browser and the core only")
        if len(self.sessions) >= self.settings.max_sessions:
            raise MediaError(Reason.OVERLOADED, f"{self.settings.max_sessions} media sessions are open")
        node = self.place()
        if node is None:
            raise MediaError(Reason.MEDIA_FAILED, "no rtpengine is up that takes calls")
        made = EngineSession(session, self._mark + session, (caller, callee), node, peer, on_news, self)
        self.sessions[session] = made
        return made

    def place(self, but: Sequence[NgNode] = ()) -> NgNode | None:
        """The engine with fewest calls of those that take new ones, and are none of `but`; of equals, each in turn."""
        able = [node for node in self.nodes if node.healthy and node not in but]
        if not able:
            return None
        found = min(able, key=lambda node: (node.placed, node.turn))
        found.turn = next(self._turns)
        return found

    def finish(self, session: EngineSession, goodbye: Coroutine[Any, Any, MediaStats] | None) -> Deferred[MediaStats]:
        """A session is closed; `goodbye`, if the engine knows it, tells the engine and gives the final account."""
        self.sessions.pop(session.id, None)
        if goodbye is None:
            return succeed(session.stats())
        deleting: Deferred[MediaStats] = Deferred.fromCoroutine(goodbye)
        self._deleting.add(deleting)

        def done(result: MediaStats) -> MediaStats:
            self._deleting.discard(deleting)
            return result

        return deleting.addBoth(done)

    def _listen(self) -> None:
        if self._port is not None:
            return
        host = "::" if ":" in self.settings.nodes[0][0] else ""
        try:
            self._port = sockets.listen(self._udp, 0, self.client, host, _DATAGRAM)
        except CannotListenError as error:
            raise MediaError(Reason.INTERNAL, f"no UDP port for rtpengine's control: {error.socketError}") from None
        self.client.opened(sockets.writer(self._port))

    def _met(self) -> None:
        if not any(node.healthy for node in self.nodes):
            raise MediaError(Reason.UNREACHABLE, f"no rtpengine answers: {', '.join(map(str, self.nodes))}")

    def _checked(self, answers: list[tuple[bool, Any]]) -> str:
        alive = [str(node) for node, (fine, _) in zip(self.nodes, answers, strict=True) if fine]
        if not alive:
            raise MediaError(Reason.UNREACHABLE, f"no rtpengine answers: {', '.join(map(str, self.nodes))}")
        return f"rtpengine: {len(alive)} of {len(self.nodes)} answer: {', '.join(alive)}"

    def _then_close(self, result: Any) -> Deferred[Any]:
        return self._close_port(None).addCallback(lambda _: result)

    def _close_port(self, _: object) -> Deferred[Any]:
        self.client.close()
        port, self._port = self._port, None
        closed: Deferred[Any] = Deferred()
        if port is None:
            closed.callback(None)
            return closed
        return sockets.stop(port)
