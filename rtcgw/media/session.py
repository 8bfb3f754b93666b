"""One call's media in the embedded backend: what is said to each side, and who is joined to whom.

Each description is read first, then judged, and only then taken: a refused one leaves the session as it was,
and so does a change that the other party refuses (RFC 6141). Whatever happens on the phone's side, the browser
is told the same thing as long as it can: same credentials, fingerprint and codecs.

What one media line says is in `lines.py`, the browser's transport in `webend.py`, the times in `life.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.media import preconditions
from rtcgw.media.audio import AudioChoice
from rtcgw.media.backend import IMediaSession, MediaError, MediaStats, News, OnNews, Party, Reoffer
from rtcgw.media.describe import WEB_PROFILE, core_lines, web_lines
from rtcgw.media.life import Ear, Life, MediaEvent
from rtcgw.media.lines import Choice, Ends, Line
from rtcgw.media.peers import AUDIO, VIDEO, CorePeer, CoreStream, WebPeer, WebStream, core_peer, refuse, web_peer
from rtcgw.media.relay import Latch, Relay
from rtcgw.media.security import Security
from rtcgw.media.sides import Exchange, Side
from rtcgw.media.sockets import Address
from rtcgw.media.transcode import Places
from rtcgw.media.video import VideoChoice
from rtcgw.media.webend import Door, WebEnd
from rtcgw.media.webleg import WebLeg, where
from rtcgw.media.webport import WebPort
from rtcgw.model.peer import PeerProfile, Transcode, WhenFull
from rtcgw.model.reason import Reason

T = TypeVar("T")


@frozen
class Terms:
    """What all sessions of a backend share."""

    door: Door
    core_host: str
    latch: Latch
    setup_time: float
    places: Places
    """For conversions; with a limit of 0 there are none."""
    take: Callable[[Relay], Ends]
    """Opens a pair of ports for a line. Raises `MediaError` (OVERLOADED)."""


@implementer(IMediaSession)
class EmbeddedSession:
    """See the module. `web` is the browser's party, `on_close` is called once at the end."""

    def __init__(
        self,
        web: Party,
        terms: Terms,
        profile: PeerProfile,
        clock: IReactorTime,
        port: WebPort,
        on_news: OnNews,
        on_close: Callable[[], None],
    ) -> None:
        self._party = web
        self._terms = terms
        self._profile = profile
        self._clock = clock
        self._on_close = on_close
        self._web: Side[WebPeer] = Side(terms.door.hosts[0], WEB_PROFILE)
        self._core: Side[CorePeer] = Side(terms.core_host, Security(profile.srtp).profile)
        self.lines: list[Line] = []
        self._change: tuple[Any, ...] | None = None
        """What `revert` restores while an offer of a change is out."""
        self._untaken: WebPeer | None = None
        """The browser's new description, which its leg learns when the phone has agreed to the change."""
        self._has_place = False
        ears = {web: Ear(self._heard_web, self._web_due), web.other: Ear(self._heard_core, self._core_due)}
        self.life = Life(web, ears, (terms.setup_time, profile.media_timeout), clock, on_news, self._free)
        self.end = WebEnd(terms.door, clock, port, self._with_leg, self.life.of_leg)
        try:
            self._add_line(AUDIO)
        except MediaError:
            self.end.close()  # or the shared port would know its browser's end for ever
            raise

    @property
    def leg(self) -> WebLeg:
        """The browser's present leg."""
        return self.end.leg

    @property
    def relay(self) -> Relay:
        """The packet path of the sound."""
        return self.lines[0].relay

    # -- IMediaSession -------------------------------------------------------------------------------

    def offer(self, origin: Party, sdp: str) -> str:
        """See `IMediaSession`."""
        return self._attempt(lambda: self._web_offers(sdp) if origin is self._party else self._core_offers(sdp))

    def answer(self, origin: Party, sdp: str, final: bool) -> str:
        """See `IMediaSession`."""
        mine: Side[Any] = self._web if origin is self._party else self._core
        if sdp != mine.answered:
            work = self._web_answers if origin is self._party else self._core_answers
            self._attempt(lambda: work(sdp))
            mine.answered = sdp
        if final:
            self._change = None
            for side in (self._web, self._core):
                if side is mine or side.exchange is Exchange.THEIRS:
                    side.exchange = Exchange.DONE
        other: Side[Any] = self._core if origin is self._party else self._web
        return other.origin.text

    def fallback(self) -> str:
        """See `IMediaSession`."""
        profile = self._profile.fallback
        if profile is None or self._core.exchange is not Exchange.OURS or self._core.peer is not None:
            raise refuse("there is no second way")
        return self._attempt(lambda: self._fall_back(profile))

    def early_answer(self, target: Party) -> str | None:
        """See `IMediaSession`."""
        return self._attempt(self._early_web if target is self._party else self._early_core)

    @property
    def reserved(self) -> bool:
        """See `IMediaSession`. A phone that is called waits for its preconditions by itself."""
        called = self._party is Party.CALLER
        return called or all(line.status is None or line.status.met for line in self.lines)

    def reoffer(self, origin: Party, sdp: str) -> Reoffer:
        """See `IMediaSession`."""
        if self._change is not None:
            raise MediaError(Reason.CONFLICT, "a change is under way")
        return self._attempt(lambda: self._web_changes(sdp) if origin is self._party else self._core_changes(sdp))

    def make_offer(self, target: Party) -> str:
        """See `IMediaSession`."""
        if self._change is not None:
            raise MediaError(Reason.CONFLICT, "a change is under way")
        before = self._save() if self._established else None
        text = self._attempt(lambda: self._made_web() if target is self._party else self._made_core())
        self._change = before
        return text

    def revert(self) -> None:
        """See `IMediaSession`."""
        if self._change is not None:
            self._restore(self._change)
            self._change = None

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """An ICE-lite agent needs none: it answers wherever proven checks come from."""
        return True

    def keyframe(self, target: Party) -> None:
        """See `IMediaSession`."""
        line = self._line(VIDEO)
        if line is not None:
            if target is self._party:
                line.relay.ask_web()
            else:
                line.relay.ask_core()

    def stats(self) -> MediaStats:
        """See `IMediaSession`."""
        web, core = self.lines[0].relay.counts()
        web = evolve(web, dropped=web.dropped + self.end.leg.dropped + self.end.bundle.dropped)
        video = self._line(VIDEO)
        web_video, core_video = (None, None) if video is None else video.relay.counts()
        agreed = self.lines[0].agreed
        called = self._party is Party.CALLER
        return MediaStats(
            backend="embedded",
            codec=agreed[0].name if agreed else None,
            caller=web if called else core,
            callee=core if called else web,
            state=f"{self.life.state.value}, browser {self.end.view}",
            caller_video=web_video if called else core_video,
            callee_video=core_video if called else web_video,
            transcoding=self._has_place,
        )

    def close(self) -> MediaStats:
        """See `IMediaSession`."""
        stats = self.stats()
        self.life.machine.handle(MediaEvent.CLOSE)
        return stats

    # -- first offers and answers ------------------------------------------------------------------

    def _web_offers(self, sdp: str) -> str:
        browser = self._read_web(sdp)
        self._web.exchange = Exchange.THEIRS
        text = self._offer_core()
        self.end.take(browser)
        return text

    def _core_offers(self, sdp: str) -> str:
        self._read_core(sdp)
        self._core.exchange = Exchange.THEIRS
        return self._offer_web()

    def _web_answers(self, sdp: str) -> None:
        browser = web_peer(sdp)
        self._web.take_answer(browser)
        taken = [line.take_web(browser.at(line.web.index, line.kind)) for line in self.lines if line.web.told]
        if not any(taken):
            raise refuse("the browser took none of the codecs")
        core = self._core
        if core.peer is None:
            self._offer_core(settled=True)  # the phone called without an offer: now it is offered what was chosen
        elif core.exchange is Exchange.THEIRS and not core.promised:
            self._answer_core()
        elif core.promised:
            self._keep_promise(core.peer)
        self._reserve()
        self.end.take(browser)
        self._join()

    def _core_answers(self, sdp: str) -> None:
        web = self._web
        phone = core_peer(sdp)
        self._core.take_answer(phone)
        for line in self.lines:
            self._take_core(line, phone.at(line.core.index, line.kind) if line.core.told else None)
        if web.peer is None:
            if not web.origin.text:
                self._offer_web()  # neither has offered: the browser gets the phone's answer as an offer
        elif web.exchange is Exchange.THEIRS:
            self._choose_web()
            self._reserve()
            self._welcome()
            self._write_web(self.end.setup)
        else:
            self._judge(phone)
            self._reserve()
        self._join()

    def _take_core(self, line: Line, stream: CoreStream | None) -> None:
        """The phone's answer to what it was told of `line`; None: it has refused it."""
        if stream is None:
            line.core = evolve(line.core, told=())
            return
        if why := self._unreached(stream):
            raise refuse(why)
        line.numbers.learn(stream.codecs)
        line.security.take(stream, line.attributes)
        line.feedback = tuple(kind for kind in stream.feedback if line.proto.endswith("F"))
        if self._profile.preconditions:
            line.status = preconditions.read(stream.attributes) or line.status

    def _judge(self, phone: CorePeer) -> None:
        """The phone has answered, the browser is settled: what the browser sends must still be playable."""
        alive = False
        for line in self.lines:
            stream = phone.at(line.core.index) if line.core.told else None
            if stream is not None and line.agreed:
                alive = alive or bool(line.choice.answer_core(stream.codecs, line.agreed))
        if not alive:
            raise refuse("no codec in common")

    def _keep_promise(self, phone: CorePeer) -> None:
        """The phone was answered before the browser was: what it was told must be playable now."""
        for line in self.lines:
            stream = phone.at(line.core.index)
            if line.kind != AUDIO or stream is None or not line.core.told:
                continue
            told = {codec.pt for codec in line.core.told}
            promised = [codec for codec in stream.codecs if codec.pt in told]
            if not line.choice.answer_core(promised, line.agreed):
                raise refuse("the browser took another codec than the phone was told")

    def _fall_back(self, profile: PeerProfile) -> str:
        self._profile = profile
        for line in self.lines:
            line.choice, line.security = self._choice(line.kind), Security(profile.srtp)
            line.status = None
            line.core = evolve(line.core, told=())
        return self._offer_core()

    def _early_web(self) -> str | None:
        web = self._web
        if web.peer is None or web.exchange is not Exchange.THEIRS:
            return None
        if self._core.peer is None:
            self._choose_web(early=True)
            self._write_web(self.end.setup)
        return web.origin.text or None

    def _early_core(self) -> str | None:
        core = self._core
        if core.peer is None or core.exchange is not Exchange.THEIRS or self._web.peer is not None:
            return None
        core.promised = True
        return self._answer_core(early=True)

    # -- changes -----------------------------------------------------------------------------------

    @property
    def _established(self) -> bool:
        known = self._core.peer is not None and self._web.peer is not None
        return known and any(line.agreed for line in self.lines)

    def _web_changes(self, sdp: str) -> Reoffer:
        before, phone = self._web.peer, self._core.peer
        if before is None or phone is None or not self._established:
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        saved = self._save()
        places = [before.at(line.web.index) for line in self.lines]
        browser = self._read_web(sdp)
        old: list[WebStream | None] = [*places, *([None] * (len(self.lines) - len(places)))]
        if any(self._phone_must_know(line, was, browser) for line, was in zip(self.lines, old, strict=True)):
            return self._ask_core(saved, browser)
        agreed = [line for line in self.lines if line.agreed]
        self._choose_web()
        if not all(line.agreed for line in agreed):
            self._restore(saved)
            return self._ask_core(saved, self._read_web(sdp))
        self._reserve()
        self._untaken = browser
        self._web.exchange = Exchange.DONE
        self._welcome()
        text = self._write_web(self.end.setup)
        self._join()
        return Reoffer(answer=text)

    def _ask_core(self, saved: tuple[Any, ...], browser: WebPeer) -> Reoffer:
        self._untaken = browser
        self._web.exchange = Exchange.THEIRS
        text = self._offer_core()
        self._change = saved
        return Reoffer(offer=text)

    def _phone_must_know(self, line: Line, was: WebStream | None, browser: WebPeer) -> bool:
        """Whether the browser's new description changes what the phone was told of the line.

        One that it has refused before and that is offered again unchanged does not.
        """
        stream, told = browser.at(line.web.index), bool(line.core.told)
        if stream is None or was is None:
            return told if stream is None else bool(line.choice.offer_core(stream.codecs))
        return told and stream.direction is not line.conveyed

    def _welcome(self) -> None:
        """The browser's new description holds: its leg learns of it, and may become another."""
        browser, self._untaken = self._untaken, None
        if browser is not None and self.end.take(browser, anew=True):
            self.life.machine.handle(MediaEvent.RENEWED)

    def _core_changes(self, sdp: str) -> Reoffer:
        before, core = self._core.peer, self._core
        waiting = core.promised and self._web.peer is None
        if before is None or not (waiting or self._established):
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        saved = self._save()
        places = [before.at(line.core.index) for line in self.lines]
        phone = self._read_core(sdp)
        if waiting:
            return Reoffer(answer=self._answer_core(early=True))
        old: list[CoreStream | None] = [*places, *([None] * (len(self.lines) - len(places)))]
        if any(self._browser_must_know(line, was, phone) for line, was in zip(self.lines, old, strict=True)):
            core.exchange = Exchange.THEIRS
            core.promised = False
            text = self._offer_web()
            self._change = saved
            return Reoffer(offer=text)
        core.exchange = Exchange.DONE
        text = self._answer_core()
        self._reserve()
        self._join()
        return Reoffer(answer=text)

    def _browser_must_know(self, line: Line, was: CoreStream | None, phone: CorePeer) -> bool:
        """Whether the phone's new description changes what the browser was told of the line."""
        stream, told = phone.at(line.core.index), bool(line.web.told)
        if stream is None or was is None:
            return told if stream is None else not told and bool(line.choice.offer_web(stream.codecs))
        if not told:
            return False
        if not line.plays(stream):
            return bool(line.choice.offer_web(stream.codecs))
        wish = stream.direction.within(line.willing)
        return line.kind != AUDIO and wish.within(line.web.direction) is not wish

    def _made_web(self) -> str:
        if self._established:
            self.end.renew()
        return self._offer_web()

    def _made_core(self) -> str:
        return self._offer_core(settled=self._established)

    # -- reading -----------------------------------------------------------------------------------

    def _read_web(self, sdp: str) -> WebPeer:
        """The browser's offer, taken as its latest word, and the places of the lines in it."""
        browser = web_peer(sdp)
        if self._web.take_offer(browser):
            for line in self.lines:
                line.web, line.shown = evolve(line.web, index=None), False  # another page counts its lines anew
        for stream in browser.streams:
            self._web.numbers.learn(stream.codecs)
        self._wanted_video(browser.streams)
        for line in self.lines:
            line.web = evolve(line.web, index=self._web.place(line.kind, line.web.index, browser.streams))
            line.shown = line.shown or line.web.index is not None
        return browser

    def _read_core(self, sdp: str) -> CorePeer:
        """The phone's offer, as `_read_web`; what cannot be secured as its profile says is as if it were not there."""
        phone = core_peer(sdp)
        security = Security(self._profile.srtp)
        reasons = [security.wrong(stream) or self._unreached(stream) for stream in phone.streams]
        if any(reasons):
            fit = tuple(stream for stream, why in zip(phone.streams, reasons, strict=True) if not why)
            if not fit:
                raise refuse(reasons[0])
            phone = evolve(phone, streams=fit)
        self._core.take_offer(phone)
        self._wanted_video(phone.streams)
        for line in self.lines:
            line.core = evolve(line.core, index=self._core.place(line.kind, line.core.index, phone.streams))
            stream = phone.at(line.core.index)
            if stream is not None:
                line.numbers.learn(stream.codecs)
                line.status = preconditions.read(stream.attributes) if self._profile.preconditions else None
        return phone

    def _unreached(self, stream: CoreStream) -> str:
        """Why nothing could be sent to the phone's address; '' if it can."""
        ours = ":" in self._terms.core_host
        if stream.address is None or (":" in stream.address[0]) is ours:
            return ""
        return f"the phone's media address is IPv{4 if ours else 6}, ours is not"

    def _wanted_video(self, streams: tuple[WebStream, ...] | tuple[CoreStream, ...]) -> None:
        if self._profile.video and self._line(VIDEO) is None and any(stream.kind == VIDEO for stream in streams):
            self._add_line(VIDEO)

    # -- writing -----------------------------------------------------------------------------------

    def _offer_core(self, settled: bool = False) -> str:
        """The offer for the phone of what the browser has; `settled`: of what it has been answered with."""
        browser, core = self._web.peer, self._core
        carried = False
        for line in self.lines:
            stream = None if browser is None else browser.at(line.web.index)
            if line.offer_core(stream, browser is not None, settled, self._profile.preconditions):
                carried = True
                line.core = evolve(line.core, index=core.slot(line.kind, line.core.index, line.proto))
        if not carried:
            raise refuse("none of " + ", ".join(self._profile.codecs) + " is among the codecs")
        core.exchange, core.promised, core.answered = Exchange.OURS, False, ""
        return self._write_core()

    def _answer_core(self, early: bool = False) -> str:
        browser, phone = self._web.peer, self._core.peer
        carried = False
        for line in self.lines:
            stream = None if phone is None else phone.at(line.core.index)
            web = None if browser is None else browser.at(line.web.index)
            if stream is None:
                line.core = evolve(line.core, told=())
            elif line.answer_core(stream, web, early):
                carried = True
        if not carried:
            raise refuse("no codec in common")
        return self._write_core()

    def _write_core(self) -> str:
        core, host = self._core, self._terms.core_host
        carried = {line.core.index: line.core_line(host) for line in self.lines if line.core.told}
        told = {place: line for place, line in carried.items() if place is not None}
        return core.origin.stamp(core_lines(host, told, core.slots))

    def _offer_web(self) -> str:
        web, phone = self._web, self._core.peer
        carried = False
        for line in self.lines:
            stream = None if phone is None else phone.at(line.core.index)
            if line.offer_web(stream, phone is not None, web.numbers):
                carried = True
                line.web = evolve(line.web, index=web.slot(line.kind, line.web.index, WEB_PROFILE))
        if not carried:
            raise refuse("none of " + ", ".join(self._profile.codecs) + " is among the codecs")
        web.exchange, web.answered = Exchange.OURS, ""
        return self._write_web("actpass")

    def _choose_web(self, early: bool = False) -> None:
        """The codecs of the answer for the browser. Raises `MediaError` where nothing is left."""
        browser, phone = self._web.peer, self._core.peer
        for line in self.lines:
            web = None if browser is None else browser.at(line.web.index)
            core = phone.at(line.core.index) if phone is not None and line.core.told else None
            if web is None or not line.core.told:
                line.web, line.agreed = evolve(line.web, told=()), ()
            else:
                line.answer_web(web, core, early)
        if not any(line.agreed for line in self.lines):
            raise refuse("no codec in common")

    def _write_web(self, setup: str) -> str:
        web = self._web
        told = {
            line.web.index: line.web_line(web.slots[line.web.index].mid)
            for line in self.lines
            if line.web.told and line.web.index is not None
        }
        bundled = web.peer is None or web.peer.bundled
        return web.origin.stamp(web_lines(self.end.transport(setup, bundled), told, web.slots))

    # -- joining -----------------------------------------------------------------------------------

    def _join(self) -> None:
        """Both sides are known: let packets through."""
        browser, phone = self._web.peer, self._core.peer
        if browser is None or phone is None:
            return
        converts = self._converts
        for line in self.lines:
            line.join(browser.at(line.web.index), phone.at(line.core.index), converts)
        routes = {codec.pt: line.relay for line in self.lines for codec in (*line.web.told, *line.agreed)}
        self.end.bundle.route(routes)
        self.life.machine.handle(MediaEvent.AGREED)

    @property
    def _converts(self) -> bool:
        """Whether what is agreed needs a conversion that costs."""
        phone = self._core.peer
        for line in self.lines:
            core = None if phone is None or not line.core.told else phone.at(line.core.index)
            if core is not None and line.agreed and line.choice.converts(line.agreed, core.codecs):
                return True
        return False

    def _reserve(self) -> None:
        """Take a place for converting, or give it back. Raises `MediaError` (MEDIA) where there is none left."""
        self._hold(self._converts)

    def _hold(self, wanted: bool) -> None:
        if wanted and not self._has_place and not self._terms.places.take():
            raise refuse(f"{self._terms.places.limit} calls are being converted")
        if self._has_place and not wanted:
            self._terms.places.give()
        self._has_place = wanted

    def _may_convert(self) -> bool:
        """Whether a conversion may be proposed: where calls are refused beyond the bound, that is found out later."""
        if self._profile.transcode is Transcode.NEVER:
            return False
        places = self._terms.places
        full = places.used >= places.limit and not self._has_place
        return places.limit > 0 and not (full and self._profile.when_full is WhenFull.PLAIN)

    def _line(self, kind: str) -> Line | None:
        return next((line for line in self.lines if line.kind == kind), None)

    def _choice(self, kind: str) -> Choice:
        return AudioChoice(self._profile, self._may_convert) if kind == AUDIO else VideoChoice(self._profile.video)

    def _add_line(self, kind: str) -> None:
        sound = kind == AUDIO
        relay = Relay(
            kind,
            self._terms.latch,
            self._sounds if sound else _nobody,
            self._picture_wanted,
            self._clock.seconds,
        )
        ends = self._terms.take(relay)
        relay.opened(ends.write, ends.write_rtcp)
        relay.leg = self.end.leg
        security = Security(self._profile.srtp)
        self.lines.append(Line(kind, self._choice(kind), security, relay, ends, self._profile.ptime))

    def _with_leg(self, leg: WebLeg) -> None:
        for line in self.lines:
            line.relay.leg = leg

    # -- before and after --------------------------------------------------------------------------

    def _attempt(self, work: Callable[[], T]) -> T:
        """What fails has changed nothing."""
        saved = self._save()
        try:
            return work()
        except MediaError:
            self._restore(saved)
            raise

    def _save(self) -> tuple[Any, ...]:
        lines = [(line, line.save()) for line in self.lines]
        return self._web.save(), self._core.save(), lines, self._profile, self._untaken, self.end.save()

    def _restore(self, saved: tuple[Any, ...]) -> None:
        web, core, lines, self._profile, self._untaken, credentials = saved
        self._web.restore(web)
        self._core.restore(core)
        kept = [line for line, _ in lines]
        for line in self.lines:
            if line not in kept:
                line.close()
        self.lines = kept
        for line, values in lines:
            line.restore(values)
        self.end.restore(credentials)
        if self._established:
            self._hold(self._converts and (self._has_place or self._terms.places.used < self._terms.places.limit))
            self._join()

    # -- news --------------------------------------------------------------------------------------

    def _sounds(self, address: Address) -> None:
        self.life.tell(self._party.other, News.SOUND, where(address))

    def _picture_wanted(self) -> None:
        self.life.tell(self._party, News.KEYFRAME)

    def _heard_web(self) -> float | None:
        return self.lines[0].relay.last_web

    def _heard_core(self) -> float | None:
        return self.lines[0].relay.last_core

    def _streams(self) -> tuple[WebStream | None, CoreStream | None]:
        """The sound of both, once the call is answered and while the line is in use."""
        browser, phone, line = self._web.peer, self._core.peer, self.lines[0]
        answered = self._core.exchange is Exchange.DONE and self._web.exchange is Exchange.DONE
        if browser is None or phone is None or not answered or not (line.agreed and line.core.told):
            return None, None
        return browser.at(line.web.index), phone.at(line.core.index)

    def _web_due(self) -> bool:
        web, core = self._streams()
        return web is not None and core is not None and web.direction.sends and core.direction.receives

    def _core_due(self) -> bool:
        web, core = self._streams()
        return web is not None and core is not None and web.direction.receives and core.direction.sends

    def _free(self) -> None:
        self._hold(False)
        self.end.close()
        for line in self.lines:
            line.close()
        self._on_close()


def _nobody(*_: object) -> None:
    """Of a picture's first packet nobody needs to be told."""
