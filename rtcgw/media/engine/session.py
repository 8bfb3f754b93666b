"""One call's media in rtpengine: when it is asked what, and what becomes of refusals, deaths and silence.

The engine keeps offer and answer of both sides together, so a change of one side that the other need not
know of is shown to it as a whole exchange, the other side's part being its last description again
(`Exchange.again`). The same brings it back to what was before a refused change, and a call to another engine when
its own has died.

Work for one session is done in turn (`turns.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from rtcgw.media.backend import (
    Access,
    IMediaSession,
    MediaError,
    MediaNews,
    MediaStats,
    News,
    OnNews,
    Party,
    Reoffer,
    Result,
)
from rtcgw.media.engine import lines as enginelines
from rtcgw.media.engine import stats as enginestats
from rtcgw.media.engine.codecs import AUDIO, DTMF, VIDEO
from rtcgw.media.engine.exchange import Exchange, FullError, SilentError
from rtcgw.media.engine.interlude import Interlude, Jukebox
from rtcgw.media.engine.lines import Heard, Side
from rtcgw.media.engine.ng import NgError, Reply
from rtcgw.media.engine.node import NgNode
from rtcgw.media.engine.stats import Hearing
from rtcgw.media.engine.turns import EngineState, Turns
from rtcgw.media.holds import Held
from rtcgw.media.packets.transcode import Places
from rtcgw.media.sdp import Direction
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason

log = Logger()

T = TypeVar("T")

MAX_MOVES = 5
"""Times that a call is made anew; engines that keep losing it are not asked for ever."""


class Terms(Protocol):
    """What a session needs of its backend."""

    clock: IReactorTime
    places: Places
    jukebox: Jukebox

    def place(self, but: Sequence[NgNode] = ()) -> NgNode | None:
        """The engine for a new call or one that moves, none of `but`; None where there is none."""

    def finish(self, session: EngineSession, goodbye: Coroutine[Any, Any, MediaStats] | None) -> Deferred[MediaStats]:
        """A session is closed; `goodbye`, if the engine knows it, tells the engine and gives the final account."""


@implementer(IMediaSession)
class EngineSession:
    """See the module. `call` is the engine's name for it."""

    def __init__(
        self,
        session: SessionId,
        call: str,
        parties: tuple[Access, Access],
        node: NgNode,
        peer: PeerProfile,
        on_news: OnNews,
        terms: Terms,
    ) -> None:
        self.id = session
        self.call = call
        self.node = node
        self.exchange = Exchange(call, parties, peer, terms.places, node.ask)
        self.interlude = Interlude(self.exchange, terms.jukebox)
        self._held = Held(self._tell)
        self._on_news = on_news
        self._terms = terms
        self._open: Party | None = None
        """Whose offer was passed on for the other party to answer."""
        self._is_quiet = False
        """The one who offered has been answered already (offerless call): it is not told of the answer."""
        self._is_final = False
        self._told: tuple[Party, str, str] | None = None
        """The last answer: whose, what it said, and what the other was told."""
        self._proposed: tuple[Party, dict[Party, Side]] | None = None
        """Who has made an offer that the other party is asked about, and both sides as they were before."""
        self._moves = 0
        self._moved: set[Party] = set()
        """Those who are to be told where their media are now."""
        self._account: Deferred[MediaStats] | None = None
        self._stats = MediaStats("rtpengine")
        self._heard = {party: Hearing(terms.clock.seconds()) for party in Party}
        node.placed += 1
        self.turns = Turns(self, terms.clock)

    # -- IMediaSession: offers and answers ---------------------------------------------------------------------

    def offer(self, origin: Party, sdp: str) -> Deferred[str]:
        """See `IMediaSession`. Where the engine is full or does not answer, another one is asked."""
        heard = self._hear(origin, sdp)
        self.exchange.plan(origin, heard.codecs[AUDIO], settled=False)
        return self.turns.run(lambda: self._first_offer(origin, heard))

    def answer(self, origin: Party, sdp: str, final: bool) -> str | Deferred[str]:
        """See `IMediaSession`; the same answer again needs no engine."""
        told = self._told
        if told is not None and told[:2] == (origin, sdp):
            self._is_final = self._is_final or final
            if final and self.interlude.is_muted:
                return self.turns.run(lambda: self.interlude.unmuted(str(self.node), told[2]))
            return told[2]
        heard = self._hear(origin, sdp)
        self._is_final = self._is_final or final
        if self._open is not origin.other or not self._side(origin.other).real:
            return self.turns.run(lambda: self._answered_ours(origin, heard))
        if not final:
            self.node.watch(self.call)
        return self.turns.run(lambda: self._answered(origin, sdp, heard))

    def fallback(self) -> Deferred[str]:
        """See `IMediaSession`."""
        peer, callee = self.exchange.peer.fallback, self._side(Party.CALLEE)
        if peer is None or callee.on_web or self._open is not Party.CALLER:
            raise MediaError(Reason.MEDIA, "there is no second way")
        self.exchange.peer = peer
        callee.forget()
        return self.turns.run(lambda: self._offered(Party.CALLER))

    def early_answer(self, target: Party) -> Deferred[str] | None:
        """See `IMediaSession`: the engine is shown an answer made up for the other party. Not where the browser has a
        camera: nobody would be there to see its first whole picture, and the engine cannot ask for another."""
        mine = self._side(target)
        if self._open is not target or self._side(target.other).real or (mine.on_web and VIDEO in mine.lines):
            return None
        return self.turns.run(lambda: self._answered_early(target))

    @property
    def reserved(self) -> bool:
        """See `IMediaSession`."""
        waits = self._side(self.exchange.core).waits
        return waits is None or waits.met

    def reoffer(self, origin: Party, sdp: str) -> Deferred[Reoffer]:
        """See `IMediaSession`: the other side's part is its last description again, unless it must be asked."""
        mine, other = self._side(origin), self._side(origin.other)
        if not (mine.real and other.real):
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        heard = self._hear(origin, sdp)
        self.exchange.plan(origin, heard.codecs[AUDIO], settled=True)
        if (VIDEO in heard.lines) == (VIDEO in other.lines):
            return self.turns.run(lambda: self._changed(origin, heard))
        return self.turns.run(lambda: self._asked(origin, heard))

    def revert(self) -> None:
        """See `IMediaSession`: the engine is shown again what was before."""
        if self._proposed is not None:
            self._restore(self._proposed[1])
            self._later(self._settled)

    def make_offer(self, target: Party) -> str | Deferred[str]:
        """See `IMediaSession`. In a session the description in force; at its beginning, one for a made-up peer."""
        mine, other = self._side(target), self._side(target.other)
        mine.fixed = True
        if mine.real and other.real and mine.on_web and target not in self._moved:
            # The text in force may be an answer, which says who begins the handshake; an offer leaves that open.
            return self.turns.run(self._offered_again)
        if mine.origin.text:
            return mine.origin.text
        self.exchange.make_up(target.other)
        return self.turns.run(lambda: self._offered(target.other))

    # -- IMediaSession: the rest -------------------------------------------------------------------------------

    def hold(self, by: Party, on: bool) -> Result:
        """See `IMediaSession`. A phone is told, a browser need not be."""
        both = all(side.real for side in self.exchange.sides.values())
        if self._proposed is not None or not (self._is_final and both):
            raise MediaError(Reason.CONFLICT, "a change is under way, or the call is not answered")
        if on is self._side(by).held:
            return ""
        return self.turns.run(lambda: self._apart(by, on))

    def press(self, target: Party, digits: str, duration: int) -> bool:
        """See `IMediaSession`. A page is told of keys by signalling."""
        if target is self.exchange.web or not (self.exchange.is_met and self.interlude.takes_keys(digits)):
            return False
        return self._later(lambda: self.interlude.press(digits, duration))

    def shows(self, party: Party) -> bool:
        """See `IMediaSession`."""
        mine, other = self._side(party).lines.get(VIDEO), self._side(party.other)
        return mine is not None and other.has(VIDEO) and (mine.direction or Direction.SENDRECV).sends

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """The engine learns browsers' addresses from their checks."""
        return True

    def keyframe(self, target: Party) -> None:
        """See `IMediaSession`. NG has no word for it; the parties' own PLI and FIR pass through the engine."""

    def stats(self) -> MediaStats:
        """See `IMediaSession`; as the engine told last time (`NgNode`)."""
        return evolve(self._stats, state=f"{self.turns.state.value}, at {self.node}")

    def close(self) -> MediaStats | Deferred[MediaStats]:
        """See `IMediaSession`: the engine's last figures, where it knows the session."""
        if self.turns.is_closed:
            return self.stats()
        account: Deferred[MediaStats] | None = None
        if self.turns.state is not EngineState.UNUSED:
            account = self._account = Deferred()
        self.turns.close()
        return self.stats() if account is None else account

    # -- the work ----------------------------------------------------------------------------------------------

    async def _first_offer(self, origin: Party, heard: Heard) -> str:
        self.exchange.take(origin, heard)
        return await self._offered(origin)

    async def _offered(self, origin: Party) -> str:
        """Show an offer that the other party is to answer, to another engine where this one is full or silent."""
        tried: list[NgNode] = []
        while True:
            try:
                lines = await self.exchange.offer(origin)
                break
            except (FullError, SilentError) as error:
                tried.append(self.node)
                other = self._terms.place(tried)
                if isinstance(error, FullError):
                    self.node.filled()
                if other is None or self.exchange.is_met:
                    raise
                self._change(other)
        self._open = origin
        self._told = None
        return self.exchange.write(origin.other, lines, offering=True)

    async def _answered(self, origin: Party, sdp: str, heard: Heard) -> str:
        with self._kept():
            self.exchange.take(origin, heard)
            lines = await self.exchange.answer(origin)
            if self.exchange.has_lost_keys():
                _, lines = await self.exchange.again(origin.other, mirrored=False)
        is_muted = origin is Party.CALLEE and self._side(origin).on_web and not self._is_final
        await self._settle_holds(origin, is_muted=is_muted)
        other = self._side(origin.other)
        text = other.origin.text if self._is_quiet else self.exchange.write(origin.other, lines, offering=False)
        self._told = (origin, sdp, text)
        return text

    async def _answered_early(self, target: Party) -> str:
        return self.exchange.write(target, await self.exchange.early_answer(target.other), offering=False)

    async def _answered_ours(self, origin: Party, heard: Heard) -> str:
        """The answer to an offer that was ours alone, or to one that the other party proposed.

        Where the other party is not known yet, it becomes the offer for it; where it is, it need not be told.
        """
        mine, other = self._side(origin), self._side(origin.other)
        if not other.real:
            return await self._passed_on(origin, heard)
        if self._proposed is not None and self._proposed[0] is origin.other:
            return await self._accepted(origin, heard)
        with self._kept():
            self.exchange.take(origin, heard)
            # Shown as the answer: as an offer of a browser's with another ufrag it would change the engine's own.
            await self.exchange.again(origin.other)
        await self._settle_holds(origin)
        self._moved.discard(origin)
        mine.fixed = False
        return other.origin.text

    async def _passed_on(self, origin: Party, heard: Heard) -> str:
        """Of an offerless call: what one party has chosen is offered to the other. It will send its first codec."""
        self.exchange.take(origin, heard)
        await self.exchange.answer(origin)
        side = self._side(origin)
        first = side.told_names()[0]
        kept = tuple(codec for codec in side.codecs[AUDIO] if codec.name in (first, DTMF))
        side.codecs[AUDIO] = kept if kept[0].name == first else side.codecs[AUDIO]
        self._is_quiet = True
        return await self._offered(origin)

    async def _changed(self, origin: Party, heard: Heard) -> Reoffer:
        with self._kept(self._settled):
            self.exchange.take(origin, heard)
            _, lines = await self.exchange.again(origin)
        self._told = None
        await self._settle_holds(origin, is_offer=True)
        return Reoffer(answer=self.exchange.write(origin, lines, offering=False))

    async def _asked(self, origin: Party, heard: Heard) -> Reoffer:
        """The other party is asked. Until it agrees, the engine keeps the old line of sound: a browser's new ICE
        credentials would change the engine's own, and a refusal could not bring them back."""
        with self._kept(self._settled) as before:
            self.exchange.take(origin, heard)
            lines = await self.exchange.offer(origin, True, {AUDIO: before[origin].lines[AUDIO]})
            text = self.exchange.write(origin.other, lines, offering=True)
        self._proposed = origin, before
        self._open = None
        self._told = None
        self._side(origin.other).fixed = True
        return Reoffer(offer=text)

    async def _accepted(self, origin: Party, heard: Heard) -> str:
        self.exchange.take(origin, heard)
        _, lines = await self.exchange.again(origin.other, mirrored=False)
        self._proposed = None
        self._side(origin).fixed = False
        await self._settle_holds(origin)
        return self.exchange.write(origin.other, lines, offering=False)

    async def _apart(self, by: Party, on: bool) -> str:
        """A hold, or its end. What the engine is shown of a browser that holds says so, so the phone is told."""
        if by is self.exchange.core:
            self._side(by).held = on
            await self.interlude.settle(str(self.node))
            return ""
        with self._kept(self._settled) as before:
            self._side(by).held = on
            lines = await self.exchange.offer(by, settled=True)
            text = self.exchange.write(by.other, lines, offering=True)
        self._proposed = by, before
        self._open = self._told = None
        self._side(by.other).fixed = True
        return text

    async def _settle_holds(self, origin: Party, is_offer: bool = False, is_muted: bool | None = None) -> None:
        """Who hears whom now, and who music. Word of the phone's own hold, where it has described more than its
        first answer (`is_muted`) and less than was asked (RFC 6337 §5.3)."""
        await self.interlude.settle(str(self.node), is_muted)
        side = self._side(origin)
        told = side.told.get(AUDIO)
        if not side.on_web and (is_offer or told is None or (told.direction or Direction.SENDRECV).sends):
            self._held.said(origin, not side.takes, quietly=is_muted is not None)

    def _tell(self, news: MediaNews) -> None:
        self._on_news(news)

    async def _offered_again(self) -> str:
        offered, _ = await self.exchange.again(self.exchange.core)
        self._open = None
        self._told = None
        return self.exchange.write(self.exchange.web, offered, offering=True)

    async def _settled(self) -> None:
        """Bring the engine to what both sides are."""
        try:
            await self.exchange.again(self.exchange.core)
            await self.interlude.settle(str(self.node))
        except MediaError as error:
            log.warn("call {session}: not brought back: {error}", session=self.id, error=error.detail)

    # -- death and silence of others -----------------------------------------------------------------------------

    def lost(self, detail: str) -> None:
        """The engine is dead or has forgotten the call. An answered one is made anew on another engine."""
        self._moves += 1
        other = self._terms.place() if self._is_final and self._moves <= MAX_MOVES else None
        if other is None:
            self._on_news(MediaNews(self.exchange.web, News.LOST, detail))
            return
        self._later(lambda: self._remade(other, detail))

    async def _remade(self, node: NgNode, detail: str) -> None:
        exchange = self.exchange
        self._change(node)
        try:
            # Offered to the browser from the core's side: that text leaves the roles of the handshake open.
            offered, answered = await exchange.again(exchange.core)
            await self.interlude.settle(str(node))
        except MediaError as error:
            log.warn("call {session}: {detail}, and {error}", session=self.id, detail=detail, error=error.detail)
            node.sessions.pop(self.call, None)
            self._on_news(MediaNews(exchange.web, News.LOST, detail))
            return
        exchange.write(exchange.web, offered, offering=True)
        exchange.write(exchange.core, answered, offering=False)
        log.info("call {session}: {detail}; now at {node}", session=self.id, detail=detail, node=node)
        self._open = self._told = self._proposed = None
        self._moved = set(Party)
        for party in Party:
            self._on_news(MediaNews(party, News.MOVED, f"{detail}; now at {node}"))

    def counted(self, reply: Reply) -> None:
        """The engine's figures have come: note them, and tell of sound and silence."""
        found = enginestats.stats(reply, "")
        if found is None:
            return
        self._stats = found
        now, limit = self._terms.clock.seconds(), self.exchange.peer.media_timeout
        for party, stream in ((Party.CALLER, found.caller), (Party.CALLEE, found.callee)):
            expected = self._is_final and self.exchange.expects(party)
            news = self._heard[party].counted(stream.packets, now, expected, limit)
            if news is not None:
                self._on_news(MediaNews(party, *news))

    @property
    def is_early(self) -> bool:
        """Whether the callee's first packet is waited for."""
        return not self._is_final and self._heard[Party.CALLEE].packets == 0

    # -- the parts -----------------------------------------------------------------------------------------------

    def _side(self, party: Party) -> Side:
        return self.exchange.sides[party]

    def _hear(self, origin: Party, sdp: str) -> Heard:
        return enginelines.hear(sdp, self._side(origin), self.exchange.peer)

    @contextmanager
    def _kept(self, then: Callable[[], Coroutine[Any, Any, None]] | None = None) -> Iterator[dict[Party, Side]]:
        """Both sides as they are; back to them, and to `then`, where what follows is refused."""
        before = {party: side.copied() for party, side in self.exchange.sides.items()}
        try:
            yield before
        except MediaError:
            self._restore(before)
            if then is not None:
                self._later(then)
            raise

    def _restore(self, before: dict[Party, Side]) -> None:
        self.exchange.sides.update(before)
        self._proposed = None

    def _change(self, node: NgNode) -> None:
        """Another engine has the call."""
        self.node.sessions.pop(self.call, None)
        self.node.placed -= 1
        node.placed += 1
        self.node = node
        node.sessions[self.call] = self
        self.exchange.moved(node.ask)
        self.interlude.moved()

    def _later(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Work that nobody waits for. False: the session is closed, or has so much to do that it is left out."""
        try:
            self.turns.run(work).addErrback(self._failed)
        except MediaError:
            return False
        return True

    def _failed(self, failure: Failure) -> None:
        if not failure.check(MediaError):
            log.failure("media of call {session}", failure, session=self.id)

    async def _deleted(self) -> MediaStats:
        message = {"command": "delete", "call-id": self.call, "from-tag": (self._open or Party.CALLER).value}
        try:
            reply = await self.node.ask(message)
        except NgError as error:
            log.warn("call {session}: rtpengine delete: {error}", session=self.id, error=error)
            return self.stats()
        return enginestats.stats(reply, f"ended at {self.node}") or self.stats()

    # -- Worker ------------------------------------------------------------------------------------------------

    def begun(self) -> None:
        """See `Worker`."""
        self.node.sessions[self.call] = self

    def forget(self) -> None:
        """See `Worker`."""
        self._on_news = _nobody
        self.exchange.close()
        self.node.sessions.pop(self.call, None)

    def over(self, is_known: bool) -> None:
        """See `Worker`."""
        self.node.placed -= 1
        finished = self._terms.finish(self, self._deleted() if is_known else None)
        if self._account is not None:
            finished.addCallback(self._account.callback)


def _nobody(news: MediaNews) -> None:
    """The session is closed: nothing is heard of it any more."""
