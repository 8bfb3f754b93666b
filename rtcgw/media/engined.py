"""One call's media in rtpengine: what is asked of the engine for each description.

The engine keeps offer and answer of both sides together, so a change of one side that the other need not
know of is shown to it as a whole exchange, the other side's part being its last description again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import Enum
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table
from rtcgw.media import codecs as choice
from rtcgw.media.backend import Access, IMediaSession, MediaError, MediaNews, MediaStats, News, OnNews, Party, Reoffer
from rtcgw.media.describe import CORE_PROFILE, WEB_PROFILE, CoreLine, Origin, Slot, audio_only, core_body, for_browser
from rtcgw.media.ng import NgError, Reply, Value
from rtcgw.media.ngnode import NgNode
from rtcgw.media.peers import CorePeer, WebPeer, read_core, read_web
from rtcgw.media.sdp import Codec, Direction, Media, SdpError, Session, parse
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason

log = Logger()

Flags = Mapping[str, Value]

_TO_CORE: Flags = {
    "transport-protocol": "RTP/AVP",
    "ICE": "remove",
    "rtcp-mux": ["demux"],
    "replace": ["origin"],
    "flags": ["trust-address", "strip-extmap", "port-latching"],
}
_TO_WEB: Flags = {
    "transport-protocol": "UDP/TLS/RTP/SAVPF",
    "ICE": "force",
    "DTLS": "passive",
    "SDES": ["off"],
    "rtcp-mux": ["offer", "require"],
    "replace": ["origin"],
    "flags": ["trust-address", "generate-mid", "strip-extmap", "port-latching"],
}
"""Flags by the side for which the engine writes; `port-latching` keeps the core's ports over an ICE restart."""
_NOWHERE = "0.0.0.0"  # noqa: S104 - written into a description, not bound


@define
class _Half:
    """One party's side of the session."""

    access: Access
    origin: Origin
    slots: tuple[Slot, ...]
    index: int = 0
    fixed: bool = False
    """The audio line's place is fixed by an offer of ours."""
    raw: str = ""
    """Its last description, as it came."""
    given: Session | None = None
    """The same as the engine got it."""
    told: frozenset[str] = frozenset()
    """Names of the codecs that it was told last; a browser goes on sending one of them."""
    real: bool = False
    """`given` is its own, not one made up for it."""

    @property
    def codecs(self) -> list[Codec]:
        """What it has."""
        return [] if self.given is None else self.given.media[0].codecs


class EngineState(Enum):
    """What the engine knows of the session."""

    UNUSED = "never asked"
    BUSY = "a request is out"
    IDLE = "known to the engine"
    CLOSING = "closed while a request is out"
    CLOSED = "closed"


class EngineEvent(Enum):
    """What moves the session."""

    ASK = "a request goes out"
    DONE = "it came back, or was given up"
    CLOSE = "closed"


Finish = Callable[["EngineSession", "Coroutine[Any, Any, None] | None"], None]


@implementer(IMediaSession)
class EngineSession:
    """See the module. `finish(session, goodbye)` is called once, at the end."""

    def __init__(
        self,
        session: SessionId,
        caller: Access,
        callee: Access,
        node: NgNode,
        codecs: Sequence[str],
        on_news: OnNews,
        finish: Finish,
    ) -> None:
        self.id = session
        self.node = node
        self._codecs = tuple(codecs)
        self._on_news = on_news
        self._finish = finish
        self._sides = {Party.CALLER: _half(caller), Party.CALLEE: _half(callee)}
        self._offerer: Party | None = None
        """Whose from-tag the exchange has."""
        self._told: tuple[Party, str, str] | None = None
        """The last answer: whose, what it said, and what the other was told."""
        self.machine = Machine(ENGINE_TABLE, self, node.clock)

    # -- IMediaSession -----------------------------------------------------------------------------------

    def offer(self, origin: Party, sdp: str) -> Deferred[str]:
        """See `IMediaSession`."""
        self._take(origin, sdp)
        return self._run(self._offered(origin))

    def answer(self, origin: Party, sdp: str, final: bool) -> str | Deferred[str]:
        """See `IMediaSession`; the same answer again needs no engine."""
        if self._told is not None and self._told[:2] == (origin, sdp):
            return self._told[2]
        other = self._sides[origin.other]
        self._take(origin, sdp)
        if self._offerer is origin or not other.real:
            return self._run(self._answered_ours(origin, sdp))
        return self._run(self._answered(origin, sdp))

    def fallback(self) -> str:
        """See `IMediaSession`."""
        raise MediaError(Reason.MEDIA, "there is no second way")

    def early_answer(self, target: Party) -> str | None:
        """See `IMediaSession`."""
        return None

    reserved = True

    def revert(self) -> None:
        """See `IMediaSession`."""

    def keyframe(self, target: Party) -> None:
        """See `IMediaSession`."""

    def reoffer(self, origin: Party, sdp: str) -> Deferred[Reoffer]:
        """See `IMediaSession`: the other side's part is its last description again."""
        if not (self._sides[origin].real and self._sides[origin.other].real):
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        before = evolve(self._sides[origin])
        self._take(origin, sdp, settled=True)
        self._told = None
        return self._run(self._changed(origin, before)).addCallback(lambda text: Reoffer(answer=text))

    def make_offer(self, target: Party) -> str | Deferred[str]:
        """See `IMediaSession`. In a session, the description in force; at its beginning, one for a made-up peer."""
        side = self._sides[target]
        side.fixed = True
        if side.origin.text:
            return side.origin.text
        other = self._sides[target.other]
        # One codec only: the browser would send its first choice, and the phone's are not known yet.
        other.given = _made_up(self._codecs[:1])
        return self._run(self._offered(target.other))

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """The engine learns browsers' addresses from their checks."""
        return True

    def stats(self) -> MediaStats:
        """See `IMediaSession`; packets are counted by the engine, not here."""
        codec = next((side.codecs[0].name for side in self._sides.values() if side.real), None)
        return MediaStats("rtpengine", codec, state=f"{self.machine.state.value}, at {self.node}")

    def close(self) -> MediaStats:
        """See `IMediaSession`."""
        stats = self.stats()
        self.machine.handle(EngineEvent.CLOSE)
        return stats

    # -- what is asked --------------------------------------------------------------------------------------

    async def _offered(self, origin: Party) -> str:
        self._offerer = origin
        given = self._sides[origin].given
        reply = await self._ask("offer", origin, given, self._flags(origin.other))
        return self._write(origin.other, reply)

    async def _answered(self, origin: Party, sdp: str) -> str:
        text = self._write(origin.other, await self._ask_answer(origin, self._sides[origin].given))
        self._told = (origin, sdp, text)
        return text

    async def _answered_ours(self, origin: Party, sdp: str) -> str:
        """The answer to an offer that was ours alone. Either the other side is not known yet, then this becomes
        the offer for it, or it is and need not be told: it is shown to the engine as a new exchange."""
        other = self._sides[origin.other]
        if not other.real:
            other.fixed = True
            return await self._answered(origin, sdp)
        await self._again(origin)
        self._told = (origin, sdp, other.origin.text)
        return other.origin.text

    async def _changed(self, origin: Party, before: _Half) -> str:
        try:
            return await self._again(origin)
        except MediaError:
            self._sides[origin] = before
            raise

    async def _again(self, origin: Party) -> str:
        """A whole exchange, the other side saying what it said last."""
        mine, other = self._sides[origin], self._sides[origin.other]
        if mine.given is None or other.given is None:
            raise MediaError(Reason.CONFLICT, "one side is not known yet")
        before = self._offerer
        self._offerer = origin
        await self._ask("offer", origin, mine.given, self._flags(origin.other))
        direction = mine.given.direction_of(mine.given.media[0]).mirrored
        names = {codec.name for codec in mine.codecs}
        wanted = [codec for codec in other.codecs if codec.name in names]
        again = audio_only(_turned(other.given, direction), 0, wanted or other.codecs)
        reply = await self._ask_answer(origin.other, again)
        self._offerer = before
        return self._write(origin, reply)

    async def _ask_answer(self, origin: Party, given: Session | None) -> Session:
        flags = dict(self._flags(origin.other))
        if self._sides[origin.other].access is Access.WEB:
            flags["rtcp-mux"] = ["require"]
        return await self._ask("answer", origin.other, given, flags)

    async def _ask(self, command: str, offerer: Party, given: Session | None, flags: Flags) -> Session:
        """One request. Raises `MediaError`: MEDIA_FAILED with what the engine said, or did not say."""
        message: dict[str, Value] = {"command": command, "call-id": self.id, "from-tag": offerer.value}
        if command == "answer" or all(side.real for side in self._sides.values()):
            message["to-tag"] = offerer.other.value
        message |= {"sdp": str(given), **flags}
        try:
            reply = await self.node.ask(message)
        except NgError as error:
            raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command}: {error}") from None
        return _description(command, reply)

    async def _delete(self) -> None:
        message: Flags = {"command": "delete", "call-id": self.id, "from-tag": (self._offerer or Party.CALLER).value}
        try:
            await self.node.ask(message)
        except NgError as error:
            log.warn("call {session}: rtpengine delete: {error}", session=self.id, error=error)

    # -- descriptions ------------------------------------------------------------------------------------------

    def _take(self, origin: Party, sdp: str, settled: bool = False) -> None:
        """Read and keep a description of `origin`, with what it has in common with the other side, if that is known.

        `settled`: the other side will not be told anything new. Raises `MediaError` (MEDIA) and keeps nothing
        where it cannot be carried.
        """
        side, other = self._sides[origin], self._sides[origin.other]
        place = side.index if side.fixed else None
        peer: CorePeer | WebPeer = read_web(sdp, place) if side.access is Access.WEB else read_core(sdp, place)
        found = choice.carried(peer.codecs, self._codecs)
        if other.real:
            names = {codec.name for codec in other.codecs}
            if settled and other.access is Access.WEB:
                names &= other.told
            found = [codec for codec in found if codec.name in names]
        if side.access is Access.WEB:
            found.sort(key=lambda codec: (*self._codecs, choice.DTMF).index(codec.name))
        if not choice.audio(found):
            raise MediaError(Reason.MEDIA, "no codec in common")
        side.slots, side.index, side.raw, side.real = peer.slots, peer.index, sdp, True
        side.given = audio_only(parse(sdp), peer.index, found)
        self._restrict(other, found)

    def _restrict(self, other: _Half, found: Sequence[Codec]) -> None:
        """Nothing is kept for the engine to pick that this side could not play."""
        if other.given is not None and not other.real:
            names = {codec.name for codec in found}
            kept = [codec for codec in other.codecs if codec.name in names]
            other.given = audio_only(other.given, 0, kept or other.codecs)

    def _flags(self, target: Party) -> Flags:
        return _TO_WEB if self._sides[target].access is Access.WEB else _TO_CORE

    def _write(self, target: Party, reply: Session) -> str:
        """What `target` is told: for the core by our own builder, for a browser in its own media lines."""
        side = self._sides[target]
        side.told = frozenset(codec.name for codec in reply.media[0].codecs)
        side.origin.address = reply.host_of(reply.media[0]) or _NOWHERE
        if side.access is Access.WEB:
            return side.origin.stamp(for_browser(reply, side.slots, side.index))
        line = evolve(_engine_line(reply), proto=side.slots[side.index].proto)
        return side.origin.stamp(core_body(line, side.slots, side.index))

    # -- the machine ---------------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, str]) -> Deferred[str]:
        """Start `work`. The caller may cancel what it gets; the work goes on, so that `delete` comes after it."""
        if self.machine.state not in (EngineState.UNUSED, EngineState.IDLE):
            work.close()
            raise MediaError(Reason.CONFLICT, "the media session is busy or closed")
        result: Deferred[str] = Deferred(lambda _: None)
        self.node.sessions[self.id] = self._lost
        self.machine.handle(EngineEvent.ASK)
        asked: Deferred[str] = Deferred.fromCoroutine(work)

        def done(outcome: str | Failure) -> None:
            self.machine.handle(EngineEvent.DONE)
            if not result.called:
                result.callback(outcome)

        asked.addBoth(done)
        return result

    def _lost(self, detail: str) -> None:
        web = next((party for party, side in self._sides.items() if side.access is Access.WEB), Party.CALLER)
        self._on_news(MediaNews(web, News.LOST, detail))

    def _over(self) -> None:
        self._forget()
        self._finish(self, None)

    def _over_with_delete(self) -> None:
        self._forget()
        self._finish(self, self._delete())

    def _forget(self) -> None:
        self._on_news = _nobody
        self.node.sessions.pop(self.id, None)


def _half(access: Access) -> _Half:
    proto = WEB_PROFILE if access is Access.WEB else CORE_PROFILE
    return _Half(access, Origin(_NOWHERE), (Slot("audio", proto, "0", "0" if access is Access.WEB else None),))


def _made_up(codecs: Sequence[str]) -> Session:
    """An offer for a phone that has made none, so that the engine has something to answer; nothing flows to it."""
    found = choice.for_core(choice.for_web((), codecs), codecs)
    media = Media("audio", 9, CORE_PROFILE, [str(codec.pt) for codec in found])
    media.attributes["rtpmap"] = [codec.rtpmap for codec in found]
    return Session("-", "1", "1", _NOWHERE, _NOWHERE, None, {}, [media])


def _turned(session: Session, direction: Direction) -> Session:
    return evolve(session, media=[evolve(session.media[0], direction=direction)])


def _description(command: str, reply: Reply) -> Session:
    sdp = reply.get("sdp")
    if reply.get("result") != "ok" or not isinstance(sdp, str):
        raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command}: {str(reply.get('error-reason', reply))[:200]}")
    try:
        session = parse(sdp)
    except SdpError as error:
        raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command}: {error}") from None
    if len(session.media) != 1 or not session.host_of(session.media[0]):
        raise MediaError(Reason.MEDIA_FAILED, f"rtpengine {command}: no description of one media line")
    return session


def _engine_line(reply: Session) -> CoreLine:
    """What the engine has opened for the core."""
    media = reply.media[0]
    rtcp = (media.get("rtcp") or "").partition(" ")[0]
    events = [codec.name == choice.DTMF for codec in media.codecs]
    return CoreLine(
        host=reply.host_of(media) or _NOWHERE,
        port=media.port,
        rtcp=int(rtcp) if rtcp.isascii() and rtcp.isdigit() else media.port + 1,
        codecs=[
            evolve(codec, fmtp="0-15" if is_event else None)
            for codec, is_event in zip(media.codecs, events, strict=True)
        ],
        direction=reply.direction_of(media),
    )


def _nobody(news: MediaNews) -> None:
    """The session is closed: nothing is heard of it any more."""


_S, _E = EngineState, EngineEvent
_GONE = Row(_S.CLOSED, (EngineSession._over,))
_DELETED = Row(_S.CLOSED, (EngineSession._over_with_delete,))

ENGINE_TABLE: Table[EngineState, EngineEvent] = Table(
    "rtpengine media",
    EngineState.UNUSED,
    EngineEvent,
    {
        (_S.UNUSED, _E.ASK): Row(_S.BUSY),
        (_S.UNUSED, _E.CLOSE): _GONE,
        (_S.BUSY, _E.DONE): Row(_S.IDLE),
        (_S.BUSY, _E.CLOSE): Row(_S.CLOSING, (EngineSession._forget,)),
        (_S.IDLE, _E.ASK): Row(_S.BUSY),
        (_S.IDLE, _E.CLOSE): _DELETED,
        (_S.CLOSING, _E.DONE): _DELETED,
    },
    {
        _S.UNUSED: {_E.DONE},
        _S.BUSY: {_E.ASK},
        _S.IDLE: {_E.DONE},
        _S.CLOSING: {_E.ASK, _E.CLOSE},
        _S.CLOSED: set(EngineEvent),
    },
)
