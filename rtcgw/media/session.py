"""One call's media in the embedded backend: what is said to each side, and who is joined to whom.

A `Side` is one party's half of the negotiation. Each description is read first, then judged, and
only then taken: a refused one leaves the session as it was. Whatever happens on the phone's side, the
browser is told the same thing as long as it can: same credentials, fingerprint and codecs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, TypeVar

from attrs import define, evolve, frozen
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.machine import Machine, Row, Table, Timer
from rtcgw.media import codecs as choice
from rtcgw.media.backend import IMediaSession, MediaError, MediaNews, MediaStats, News, OnNews, Party, Reoffer
from rtcgw.media.describe import WEB_PROFILE, CoreLine, Origin, Slot, WebLine, core_body, web_body
from rtcgw.media.dtls import Identity
from rtcgw.media.peers import CorePeer, WebPeer, read_core, read_web, refuse
from rtcgw.media.relay import Latch, Relay
from rtcgw.media.sdp import Codec, Direction
from rtcgw.media.sockets import Address, Write
from rtcgw.media.webleg import CONSENT, WebLeg, where
from rtcgw.media.webport import WebPort
from rtcgw.model.defaults import PTIME
from rtcgw.model.reason import Reason

P = TypeVar("P", CorePeer, WebPeer)


@frozen
class Terms:
    """What all sessions of a backend share."""

    identity: Identity
    hosts: tuple[str, ...]
    port: int
    core_host: str
    codecs: tuple[str, ...]
    latch: Latch
    setup_time: float


class Exchange(Enum):
    """Who has offered last on one side (RFC 3264: one exchange at a time)."""

    NONE = "nothing said"
    THEIRS = "they offered"
    OURS = "we offered"
    DONE = "answered"


@define
class Side(Generic[P]):
    """One party's half."""

    origin: Origin
    exchange: Exchange = Exchange.NONE
    peer: P | None = None
    """Its last description that was taken."""
    told: Sequence[Codec] = ()
    """The codecs in our last description for it, under its numbers."""
    slots: tuple[Slot, ...] = ()
    """The media lines of our description where it has not yet given its own."""

    @property
    def places(self) -> tuple[Slot, ...]:
        """All media lines in their places."""
        return self.slots if self.peer is None else self.peer.slots

    @property
    def index(self) -> int:
        """The place of the audio line."""
        return 0 if self.peer is None else self.peer.index

    @property
    def fixed(self) -> int | None:
        """The place that an answer must use for audio."""
        return self.index if self.exchange is Exchange.OURS else None


class MediaState(Enum):
    """How far the session has come."""

    NEW = "new"
    CONNECTING = "connecting"
    FLOWING = "flowing"
    AWAY = "the browser has closed its end"
    LOST = "lost"
    CLOSED = "closed"


class MediaEvent(Enum):
    """What moves the session."""

    AGREED = "both sides described"
    READY = "keys in use"
    GONE = "the browser has closed its end"
    RENEWED = "the browser begins anew"
    LATE = "browser did not connect in time"
    LOST = "nothing can flow any more"
    TELL = "time to say so"
    CLOSE = "closed"


@implementer(IMediaSession)
class EmbeddedSession:
    """See the module. `web` is the browser's party."""

    def __init__(self, web: Party, terms: Terms, clock: IReactorTime, port: WebPort, on_news: OnNews) -> None:
        self._party = web
        self._terms = terms
        self._clock = clock
        self._port = port
        self._on_news = on_news
        self._on_close: Callable[[], None] = lambda: None
        self._core_port = 0
        self._web: Side[WebPeer] = Side(Origin(terms.hosts[0]), slots=(Slot("audio", WEB_PROFILE, "0", "0"),))
        self._core: Side[CorePeer] = Side(Origin(terms.core_host), slots=(Slot("audio", "RTP/AVP", "0"),))
        self._agreed: list[Codec] = []
        """The browser's codecs in use, its first choice first."""
        self._ptime = PTIME
        self._client = False
        """We start DTLS."""
        self._detail = ""
        self.relay = Relay("audio", terms.latch, self._latched, lambda: None, clock.seconds)
        self.machine = Machine(MEDIA_TABLE, self, clock)
        self.leg = self._new_leg()

    def opened(self, port: int, write: Write, write_rtcp: Write, on_close: Callable[[], None]) -> None:
        """The sockets towards the core are open, RTP on `port`."""
        self._core_port = port
        self._on_close = on_close
        self.relay.opened(write, write_rtcp)

    # -- IMediaSession -------------------------------------------------------------------------------

    def offer(self, origin: Party, sdp: str) -> str:
        """See `IMediaSession`."""
        if origin is self._party:
            browser = read_web(sdp, None)
            found = self._carried(browser.codecs)
            self._take_web(browser)
            self._web.exchange = Exchange.THEIRS
            return self._offer_core(choice.for_core(found, self._terms.codecs), browser.direction)
        phone = read_core(sdp, None)
        found = self._carried(phone.codecs)
        self._core.peer, self._core.exchange = phone, Exchange.THEIRS
        self._ptime = phone.ptime
        return self._offer_web(choice.for_web(found, self._terms.codecs), phone.direction)

    def answer(self, origin: Party, sdp: str, final: bool) -> str:
        """See `IMediaSession`."""
        return self._answer_of_web(sdp, final) if origin is self._party else self._answer_of_core(sdp, final)

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

    def reoffer(self, origin: Party, sdp: str) -> Reoffer:
        """See `IMediaSession`: always answered here."""
        return Reoffer(answer=self._reoffered(origin, sdp))

    def _reoffered(self, origin: Party, sdp: str) -> str:
        if self._core.peer is None or self._web.peer is None or not self._agreed:
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        if origin is self._party:
            browser = read_web(sdp, None)
            phone = self._carried(self._core.peer.codecs)
            self._agreed = choice.answer_web(self._carried(browser.codecs), phone, self._agreed)
            self._take_web(browser, anew=True)
            self._join()
            return self._write_web(self._agreed, browser.direction.mirrored, self._setup)
        changed = read_core(sdp, None)
        found = choice.answer_core(self._carried(changed.codecs), self._agreed)
        self._core.peer = changed
        self._core.told = found
        self._join()
        return self._write_core(found, changed.direction.mirrored)

    def make_offer(self, target: Party) -> str:
        """See `IMediaSession`."""
        if target is self._party:
            return self._offer_web(self._agreed or choice.for_web((), self._terms.codecs), Direction.SENDRECV)
        known = choice.playable(self._agreed) if self._agreed else choice.for_web((), self._terms.codecs)
        events = next((codec.pt for codec in self._core.told if codec.name == choice.DTMF), choice.CORE_DTMF)
        return self._offer_core(choice.for_core(known, self._terms.codecs, events), Direction.SENDRECV)

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """An ICE-lite agent needs none: it answers wherever proven checks come from."""
        return True

    def stats(self) -> MediaStats:
        """See `IMediaSession`."""
        relay = self.relay
        web, core = relay.counts()
        web = evolve(web, dropped=web.dropped + self.leg.dropped)
        is_caller = self._party is Party.CALLER
        return MediaStats(
            backend="embedded",
            codec=self._agreed[0].name if self._agreed else None,
            caller=web if is_caller else core,
            callee=core if is_caller else web,
            state=f"{self.machine.state.value}, browser {self.leg.state.value} at {where(self.leg.address)}",
        )

    def close(self) -> MediaStats:
        """See `IMediaSession`."""
        stats = self.stats()
        self.machine.handle(MediaEvent.CLOSE)
        return stats

    # -- answers ---------------------------------------------------------------------------------------

    def _answer_of_web(self, sdp: str, final: bool) -> str:
        core = self._core
        browser = read_web(sdp, self._web.fixed)
        told = {codec.name for codec in self._web.told}
        agreed = [codec for codec in self._carried(browser.codecs) if codec.name in told]
        if not choice.audio(agreed):
            raise refuse("the browser took none of the codecs")
        found: list[Codec] = []
        if core.peer is not None:
            found = choice.answer_core(self._carried(core.peer.codecs), agreed)
        self._agreed = agreed
        self._take_web(browser)
        self._settle(self._web, final)
        if core.peer is None:
            # The phone called without an offer: now it is offered what the browser has chosen.
            return self._offer_core(choice.for_core(choice.playable(agreed), self._terms.codecs), Direction.SENDRECV)
        if core.exchange is Exchange.THEIRS:
            core.told = found
            self._join()
            self._settle(core, final)
            return self._write_core(found, browser.direction.within(core.peer.direction.mirrored))
        self._join()
        return core.origin.text

    def _answer_of_core(self, sdp: str, final: bool) -> str:
        web = self._web
        phone = read_core(sdp, self._core.fixed)
        found = self._carried(phone.codecs)
        if web.peer is not None and web.exchange is Exchange.THEIRS:
            agreed = choice.answer_web(self._carried(web.peer.codecs), found, self._agreed)
        else:
            agreed = self._agreed
            choice.answer_core(found, agreed)
        if agreed != self._agreed:
            self._ptime = phone.ptime
        self._core.peer = phone
        self._agreed = agreed
        self._settle(self._core, final)
        self._join()
        if web.peer is None or web.exchange is not Exchange.THEIRS:
            return web.origin.text
        self._settle(web, final)
        return self._write_web(agreed, phone.direction.within(web.peer.direction.mirrored), self._setup)

    def _settle(self, side: Side[P], final: bool) -> None:
        """A final answer ends the exchange; an early one leaves it open for others."""
        if final:
            side.exchange = Exchange.DONE

    def _carried(self, codecs: Sequence[Codec]) -> list[Codec]:
        found = choice.carried(codecs, self._terms.codecs)
        if not choice.audio(found):
            raise refuse("none of " + ", ".join(self._terms.codecs) + " is among the codecs")
        return found

    # -- descriptions ------------------------------------------------------------------------------------

    def _offer_core(self, codecs: Sequence[Codec], direction: Direction) -> str:
        self._core.exchange = Exchange.OURS
        self._core.told = codecs
        return self._write_core(codecs, direction)

    def _write_core(self, codecs: Sequence[Codec], direction: Direction) -> str:
        side = self._core
        line = CoreLine(
            host=self._terms.core_host,
            port=self._core_port,
            rtcp=self._core_port + 1,
            codecs=codecs,
            direction=direction,
            proto=side.places[side.index].proto,
        )
        return side.origin.stamp(core_body(line, side.places, side.index))

    def _offer_web(self, codecs: Sequence[Codec], direction: Direction) -> str:
        self._web.exchange = Exchange.OURS
        return self._write_web(codecs, direction, "actpass")

    @property
    def _setup(self) -> str:
        return "active" if self._client else "passive"

    def _write_web(self, codecs: Sequence[Codec], direction: Direction, setup: str) -> str:
        side, leg, terms = self._web, self.leg, self._terms
        side.told = codecs
        line = WebLine(
            hosts=terms.hosts,
            port=terms.port,
            codecs=codecs,
            direction=direction,
            ufrag=leg.ufrag,
            password=leg.password,
            fingerprint=terms.identity.fingerprint,
            setup=setup,
            mid=side.places[side.index].mid,
            bundled=side.peer is None or side.peer.bundled,
            ptime=self._ptime,
        )
        return side.origin.stamp(web_body(line, side.places, side.index))

    # -- joining -------------------------------------------------------------------------------------------

    def _take_web(self, browser: WebPeer, anew: bool = False) -> None:
        """The browser's description is accepted: tell the leg whom to expect.

        `anew`: it is another offer, which may begin another association (a reloaded page: a new leg)
        or restart ICE in the present one (RFC 8839 §4.4.3.1.1).
        """
        before, self._web.peer = self._web.peer, browser
        if before is None or before.association != browser.association:
            self._client = browser.setup == "passive"
            if anew:
                self._port.remove(self.leg)
                self.leg.close()
                self.leg = self._new_leg()
                self.machine.handle(MediaEvent.RENEWED)
        elif anew and before.ufrag != browser.ufrag:
            self._port.renew(self.leg)
        self.leg.describe(browser.ufrag, browser.promised, self._client)

    def _new_leg(self) -> WebLeg:
        leg = WebLeg(
            self._terms.identity,
            self._clock,
            self._port.send,
            self.relay.from_web,
            self.relay.rtcp_from_web,
            self._leg_news,
        )
        self.relay.leg = leg
        self._port.add(leg)
        return leg

    def _join(self) -> None:
        """Both sides are known: let packets through, each payload number as its receiver wants it."""
        phone, browser = self._core.peer, self._web.peer
        if phone is None or browser is None:
            return
        theirs = choice.carried(phone.codecs, self._terms.codecs)
        # A phone sends under the numbers that it was told, or under its own; both are understood.
        up, down = choice.routes(self._agreed, theirs), choice.routes([*theirs, *self._core.told], self._agreed)
        self.relay.agree(up, down)
        self.relay.connect(phone.address, phone.rtcp, phone.direction.receives, browser.direction.receives)
        self.machine.handle(MediaEvent.AGREED)

    # -- news ------------------------------------------------------------------------------------------------

    def _leg_news(self, state: str, detail: str) -> None:
        if state == "lost":
            self.machine.handle(MediaEvent.LOST, detail)
            return
        if state == "gone":
            self.machine.handle(MediaEvent.GONE)
            return
        if state == "dtls":
            self.machine.handle(MediaEvent.READY)
        self._on_news(MediaNews(self._party, _NEWS[state], detail))

    def _latched(self, address: Address) -> None:
        self._on_news(MediaNews(self._party.other, News.SOUND, where(address)))

    def _late(self) -> None:
        self._detail = f"the browser's media did not connect within {self._terms.setup_time:.0f} s"

    def _stayed_away(self) -> None:
        self._detail = "the browser closed its media and did not come back"

    def _lost(self, detail: str) -> None:
        self._detail = detail

    def _tell(self) -> None:
        self._on_news(MediaNews(self._party, News.LOST, self._detail))

    def _close(self) -> None:
        self._on_news = _nobody
        self._port.remove(self.leg)
        self.leg.close()
        self.relay.close()
        self._on_close()

    @property
    def setup_time(self) -> float:
        """Seconds until the browser must have connected."""
        return self._terms.setup_time


_NEWS = {"ice": News.ICE, "dtls": News.DTLS, "stalled": News.STALLED}


def _nobody(news: MediaNews) -> None:
    """The session is closed: nothing is heard of it any more."""


_S, _E = MediaState, MediaEvent
_CLOSED = Row(_S.CLOSED, (EmbeddedSession._close,))
_LOST = Row(_S.LOST, (EmbeddedSession._lost,))

MEDIA_TABLE: Table[MediaState, MediaEvent] = Table(
    "embedded media",
    MediaState.NEW,
    MediaEvent,
    {
        (_S.NEW, _E.AGREED): Row(_S.CONNECTING),
        (_S.NEW, _E.READY): Row(_S.FLOWING),
        (_S.NEW, _E.LOST): _LOST,
        (_S.NEW, _E.CLOSE): _CLOSED,
        (_S.CONNECTING, _E.READY): Row(_S.FLOWING),
        (_S.CONNECTING, _E.LATE): Row(_S.LOST, (EmbeddedSession._late,)),
        (_S.CONNECTING, _E.LOST): _LOST,
        (_S.CONNECTING, _E.CLOSE): _CLOSED,
        (_S.CONNECTING, _E.GONE): Row(_S.AWAY),
        (_S.FLOWING, _E.RENEWED): Row(_S.CONNECTING),
        (_S.FLOWING, _E.GONE): Row(_S.AWAY),
        (_S.FLOWING, _E.LOST): _LOST,
        (_S.FLOWING, _E.CLOSE): _CLOSED,
        (_S.AWAY, _E.RENEWED): Row(_S.CONNECTING),
        (_S.AWAY, _E.LATE): Row(_S.LOST, (EmbeddedSession._stayed_away,)),
        (_S.AWAY, _E.CLOSE): _CLOSED,
        (_S.LOST, _E.RENEWED): Row(_S.CONNECTING),
        (_S.LOST, _E.TELL): Row(_S.LOST, (EmbeddedSession._tell,)),
        (_S.LOST, _E.CLOSE): _CLOSED,
    },
    {
        _S.NEW: {_E.RENEWED, _E.LATE, _E.TELL, _E.GONE},
        _S.CONNECTING: {_E.AGREED, _E.RENEWED, _E.TELL},
        _S.FLOWING: {_E.AGREED, _E.READY, _E.LATE, _E.TELL},
        _S.AWAY: {_E.AGREED, _E.READY, _E.LOST, _E.TELL, _E.GONE},
        _S.LOST: {_E.AGREED, _E.READY, _E.LATE, _E.LOST, _E.GONE},
        _S.CLOSED: set(MediaEvent),
    },
    [
        Timer("setup", frozenset({_S.CONNECTING}), lambda session: session.setup_time, _E.LATE),
        # A page that reloads closes its connection as one that is closed for good does; signalling knows which.
        Timer("away", frozenset({_S.AWAY}), lambda session: CONSENT, _E.LATE),
        # Told from the reactor, not from inside the call that found it out: the listener may close the session.
        Timer("tell", frozenset({_S.LOST}), lambda session: 0, _E.TELL),
    ],
)
