"""One call's media in the embedded backend: what is said to each side, and who is joined to whom.

Each description is read first, then judged, and only then taken: a refused one leaves the session as it was,
and so does a change that the other party refuses (RFC 6141). Whatever happens on the phone's side, the browser
is told the same thing as long as it can: same credentials, fingerprint and codecs.

The steps are in `negotiation.py`, what one media line says in `lines.py`, the times in `life.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.media import preconditions
from rtcgw.media.backend import IMediaSession, MediaError, MediaStats, OnNews, Party, Reoffer
from rtcgw.media.embedded.life import Ear, Life, MediaEvent, MediaState
from rtcgw.media.embedded.lines import Line
from rtcgw.media.embedded.negotiation import MakeEnd, Negotiation, Terms
from rtcgw.media.embedded.security import Security
from rtcgw.media.embedded.sides import Exchange, Side
from rtcgw.media.holds import Held
from rtcgw.media.peers import AUDIO, VIDEO, CorePeer, CoreStream, WebPeer, WebStream, core_peer, refuse, web_peer
from rtcgw.model.peer import PeerProfile
from rtcgw.model.reason import Reason


@implementer(IMediaSession)
class EmbeddedSession:
    """See the module. `web` is the browser's party, `end` makes what it has, `on_close` is called once at the end."""

    def __init__(
        self,
        web: Party,
        end: MakeEnd,
        terms: Terms,
        profile: PeerProfile,
        clock: IReactorTime,
        on_news: OnNews,
        on_close: Callable[[], None],
    ) -> None:
        self._party = web
        self._on_close = on_close
        self._change: tuple[Any, ...] | None = None
        """What `revert` restores while an offer of a change is out."""
        self._is_settled = False
        """The first offer has its final answer."""
        self._held = Held(lambda news: self.life.tell(news.party, news.state))
        ears = {web: Ear(self._heard_web, self._web_due), web.other: Ear(self._heard_core, self._core_due)}
        self.life = Life(web, ears, (terms.setup_time, profile.media_timeout), clock, on_news, self._free)
        self.talks = Negotiation(web, end, terms, profile, clock, self.life)

    # -- IMediaSession -------------------------------------------------------------------------------

    def offer(self, origin: Party, sdp: str) -> str:
        """See `IMediaSession`."""
        return self.talks.attempt(lambda: self._web_offers(sdp) if origin is self._party else self._core_offers(sdp))

    def answer(self, origin: Party, sdp: str, final: bool) -> str:
        """See `IMediaSession`."""
        mine: Side[Any] = self.talks.web if origin is self._party else self.talks.core
        if sdp != mine.answered:
            work = self._web_answers if origin is self._party else self._core_answers
            self.talks.attempt(lambda: self._answered(origin, final, lambda: work(sdp)))
            mine.answered = sdp
        elif self.talks.muted:
            self._answered(origin, final, self.talks.join)
        if final:
            self._change = None
            self._hear_hold()
            self._is_settled = True
            for side in (self.talks.web, self.talks.core):
                if side is mine or side.exchange is Exchange.THEIRS:
                    side.exchange = Exchange.DONE
        other: Side[Any] = self.talks.core if origin is self._party else self.talks.web
        return other.origin.text

    def _answered(self, origin: Party, final: bool, work: Callable[[], None]) -> None:
        if final and origin is self._party:
            self.talks.muted = False
        work()

    def fallback(self) -> str:
        """See `IMediaSession`."""
        profile = self.talks.profile.fallback
        if profile is None or self.talks.core.exchange is not Exchange.OURS or self.talks.core.peer is not None:
            raise refuse("there is no second way")
        return self.talks.attempt(lambda: self._fall_back(profile))

    def early_answer(self, target: Party) -> str | None:
        """See `IMediaSession`."""
        return self.talks.attempt(self._early_web if target is self._party else self._early_core)

    @property
    def reserved(self) -> bool:
        """See `IMediaSession`. A phone that is called waits for its preconditions by itself."""
        called = self._party is Party.CALLER
        return called or all(line.status is None or line.status.met for line in self.talks.lines)

    def reoffer(self, origin: Party, sdp: str) -> Reoffer:
        """See `IMediaSession`."""
        if self._change is not None:
            raise MediaError(Reason.CONFLICT, "a change is under way")
        found = self.talks.attempt(lambda: self._web_changes(sdp) if origin is self._party else self._core_changes(sdp))
        if self._change is None:
            self._hear_hold()
        return found

    def make_offer(self, target: Party) -> str:
        """See `IMediaSession`."""
        if self._change is not None:
            raise MediaError(Reason.CONFLICT, "a change is under way")
        before = self.talks.save() if self.talks.established else None
        text = self.talks.attempt(lambda: self._made_web() if target is self._party else self._made_core())
        self._change = before
        return text

    def revert(self) -> None:
        """See `IMediaSession`."""
        if self._change is not None:
            self.talks.restore(self._change)
            self._change = None

    def hold(self, by: Party, on: bool) -> str:
        """See `IMediaSession`. A phone is told, a browser need not be."""
        if self._change is not None or not (self._is_settled and self.talks.established):
            raise MediaError(Reason.CONFLICT, "a change is under way, or the call is not answered")
        if on is (by in self.talks.holders):
            return ""
        if by is not self._party:
            self.talks.hold_web(on)
            return ""
        before = self.talks.save()
        text = self.talks.attempt(lambda: self.talks.hold_core(on))
        self._change = before
        return text

    def press(self, target: Party, digits: str, duration: int) -> bool:
        """See `IMediaSession`. A page is told of keys by signalling."""
        talks = self.talks
        if target is self._party or talks.muted or self.life.state is MediaState.CLOSED:
            return False
        return talks.interlude.press(talks.lines[0], talks.phone_sound, digits, duration)

    def shows(self, party: Party) -> bool:
        """See `IMediaSession`."""
        line, browser, phone = self.talks.line(VIDEO), self.talks.web.peer, self.talks.core.peer
        if line is None or browser is None or phone is None or not (line.agreed and line.core.told):
            return False
        mine = browser.at(line.web.index) if party is self._party else phone.at(line.core.index)
        return mine is not None and mine.direction.sends

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """An ICE-lite agent needs none: it answers wherever proven checks come from."""
        return True

    def keyframe(self, target: Party) -> None:
        """See `IMediaSession`."""
        line = self.talks.line(VIDEO)
        if line is not None:
            if target is self._party:
                line.relay.ask_web()
            else:
                line.relay.ask_core()

    def stats(self) -> MediaStats:
        """See `IMediaSession`."""
        web, core = self.talks.lines[0].relay.counts()
        web = evolve(web, dropped=web.dropped + self.talks.end.leg.dropped + self.talks.end.bundle.dropped)
        video = self.talks.line(VIDEO)
        web_video, core_video = (None, None) if video is None else video.relay.counts()
        agreed = self.talks.lines[0].agreed
        called = self._party is Party.CALLER
        return MediaStats(
            backend="embedded",
            codec=agreed[0].name if agreed else None,
            caller=web if called else core,
            callee=core if called else web,
            state=f"{self.life.state.value}, browser {self.talks.end.view}",
            caller_video=web_video if called else core_video,
            callee_video=core_video if called else web_video,
            transcoding=self.talks.converting,
        )

    def close(self) -> MediaStats:
        """See `IMediaSession`."""
        stats = self.stats()
        self.life.machine.handle(MediaEvent.CLOSE)
        return stats

    # -- first offers and answers ------------------------------------------------------------------

    def _web_offers(self, sdp: str) -> str:
        browser = self.talks.read_web(sdp)
        self.talks.web.exchange = Exchange.THEIRS
        text = self.talks.offer_core()
        self.talks.end.take(browser)
        return text

    def _core_offers(self, sdp: str) -> str:
        self.talks.read_core(sdp)
        self.talks.core.exchange = Exchange.THEIRS
        return self.talks.offer_web()

    def _web_answers(self, sdp: str) -> None:
        browser = web_peer(sdp, self.talks.end.ice)
        self.talks.web.take_answer(browser)
        taken = [line.take_web(browser.at(line.web.index, line.kind)) for line in self.talks.lines if line.web.told]
        if not any(taken):
            raise refuse("the browser took none of the codecs")
        core = self.talks.core
        if core.peer is None:
            self.talks.offer_core(settled=True)  # the phone called without an offer: now it is offered what was chosen
        elif core.exchange is Exchange.THEIRS and not core.promised:
            self.talks.answer_core()
        elif core.promised:
            self._keep_promise(core.peer)
        self.talks.reserve()
        if self.talks.end.take(browser):
            self.life.machine.handle(MediaEvent.RENEWED)  # another page than the one that had answered early
        self.talks.join()

    def _core_answers(self, sdp: str) -> None:
        web = self.talks.web
        phone = core_peer(sdp)
        self.talks.core.take_answer(phone)
        for line in self.talks.lines:
            stream = phone.at(line.core.index, line.kind) if line.core.told else None
            try:
                self._take_core(line, stream)
            except MediaError:
                if line.kind == AUDIO or len(phone.streams) == 1:
                    raise
                self._take_core(line, None)  # the sound need not suffer for a picture that cannot be carried
        if web.peer is None:
            if not web.origin.text:
                self.talks.offer_web()  # neither has offered: the browser gets the phone's answer as an offer
        elif web.exchange is Exchange.THEIRS:
            self.talks.choose_web()
            self.talks.reserve()
            self.talks.welcome()
            self.talks.write_web(self.talks.end.setup)
        else:
            self._judge(phone)
            self.talks.reserve()
        self.talks.join()

    def _take_core(self, line: Line, stream: CoreStream | None) -> None:
        """The phone's answer to what it was told of `line`; None: it has refused it."""
        if stream is None:
            line.core = line.core.refused
            return
        if why := self.talks.unreached(stream):
            raise refuse(why)
        line.hear_core(stream, False)
        line.numbers.learn(stream.codecs)
        line.security.take(stream, line.attributes)
        line.feedback = tuple(kind for kind in stream.feedback if line.proto.endswith("F"))
        if self.talks.profile.preconditions:
            line.status = preconditions.read(stream.attributes) or line.status

    def _judge(self, phone: CorePeer) -> None:
        """The phone has answered, the browser is settled: what the browser sends must still be playable."""
        alive = False
        for line in self.talks.lines:
            stream = phone.at(line.core.index) if line.core.told else None
            if stream is not None and line.agreed:
                alive = alive or bool(line.choice.answer_core(stream.codecs, line.agreed))
        if not alive:
            raise refuse("no codec in common")

    def _keep_promise(self, phone: CorePeer) -> None:
        """The phone was answered before the browser was: what it was told must be playable now."""
        for line in self.talks.lines:
            stream = phone.at(line.core.index)
            if line.kind != AUDIO or stream is None or not line.core.told:
                continue
            told = {codec.pt for codec in line.core.told}
            promised = [codec for codec in stream.codecs if codec.pt in told]
            if not line.choice.answer_core(promised, line.agreed):
                raise refuse("the browser took another codec than the phone was told")

    def _fall_back(self, profile: PeerProfile) -> str:
        self.talks.profile = profile
        for line in self.talks.lines:
            line.choice, line.security = self.talks.choice(line.kind), Security(profile.srtp)
            line.status = None
            line.core = line.core.refused
        return self.talks.offer_core()

    def _early_web(self) -> str | None:
        web = self.talks.web
        if web.peer is None or web.exchange is not Exchange.THEIRS:
            return None
        if self.talks.core.peer is None:
            self.talks.choose_web(early=True)
            self.talks.write_web(self.talks.end.setup)
        return web.origin.text or None

    def _early_core(self) -> str | None:
        core = self.talks.core
        if core.peer is None or core.exchange is not Exchange.THEIRS or self.talks.web.peer is not None:
            return None
        core.promised = True
        return self.talks.answer_core(early=True)

    # -- changes -----------------------------------------------------------------------------------

    def _web_changes(self, sdp: str) -> Reoffer:
        before, phone = self.talks.web.peer, self.talks.core.peer
        if before is None or phone is None or not self.talks.established:
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        saved = self.talks.save()
        places = [before.at(line.web.index) for line in self.talks.lines]
        browser = self.talks.read_web(sdp)
        old: list[WebStream | None] = [*places, *([None] * (len(self.talks.lines) - len(places)))]
        if any(self._phone_must_know(line, was, browser) for line, was in zip(self.talks.lines, old, strict=True)):
            return self._ask_core(saved, browser)
        agreed = [line for line in self.talks.lines if line.agreed]
        self.talks.choose_web()
        if not all(line.agreed for line in agreed):
            self.talks.restore(saved)
            return self._ask_core(saved, self.talks.read_web(sdp))
        self.talks.reserve()
        self.talks.untaken = browser
        self.talks.web.exchange = Exchange.DONE
        self.talks.welcome()
        text = self.talks.write_web(self.talks.end.setup)
        self.talks.join()
        return Reoffer(answer=text)

    def _ask_core(self, saved: tuple[Any, ...], browser: WebPeer) -> Reoffer:
        self.talks.untaken = browser
        self.talks.web.exchange = Exchange.THEIRS
        text = self.talks.offer_core()
        self._change = saved
        return Reoffer(offer=text)

    def _phone_must_know(self, line: Line, was: WebStream | None, browser: WebPeer) -> bool:
        """Whether the browser's new description changes what the phone was told of the line.

        One that it has refused before and that is offered again unchanged does not.
        """
        stream, told = browser.at(line.web.index), bool(line.core.told)
        if stream is None or was is None:
            return told if stream is None else bool(line.choice.offer_core(stream.codecs))
        return told and line.is_news(stream)

    def _core_changes(self, sdp: str) -> Reoffer:
        before, core = self.talks.core.peer, self.talks.core
        waiting = core.promised and self.talks.web.peer is None
        if before is None or not (waiting or self.talks.established):
            raise MediaError(Reason.CONFLICT, "a new offer before the first one was answered")
        saved = self.talks.save()
        places = [before.at(line.core.index) for line in self.talks.lines]
        phone = self.talks.read_core(sdp)
        if waiting:
            return Reoffer(answer=self.talks.answer_core(early=True))
        old: list[CoreStream | None] = [*places, *([None] * (len(self.talks.lines) - len(places)))]
        if any(self._browser_must_know(line, was, phone) for line, was in zip(self.talks.lines, old, strict=True)):
            core.exchange = Exchange.THEIRS
            core.promised = False
            text = self.talks.offer_web()
            self._change = saved
            return Reoffer(offer=text)
        core.exchange = Exchange.DONE
        text = self.talks.answer_core()
        self.talks.reserve()
        self.talks.join()
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
        if self.talks.established:
            self.talks.end.renew()
        return self.talks.offer_web()

    def _made_core(self) -> str:
        return self.talks.offer_core(settled=self.talks.established)

    # -- news --------------------------------------------------------------------------------------

    def _hear_hold(self) -> None:
        """What is in force of the phone's may hold the browser."""
        self._held.said(self._party.other, self.talks.lines[0].deaf, quietly=not self._is_settled)

    def _heard_web(self) -> float | None:
        return self.talks.lines[0].relay.last_web

    def _heard_core(self) -> float | None:
        return self.talks.lines[0].relay.last_core

    def _streams(self) -> tuple[WebStream | None, CoreStream | None]:
        """The sound of both, once the call is answered, while the line is in use and nobody is held by our doing."""
        browser, phone, line = self.talks.web.peer, self.talks.core.peer, self.talks.lines[0]
        answered = self.talks.core.exchange is Exchange.DONE and self.talks.web.exchange is Exchange.DONE
        agreed = bool(line.agreed and line.core.told) and not self.talks.holders
        if browser is None or phone is None or not answered or not agreed:
            return None, None
        return browser.at(line.web.index), phone.at(line.core.index)

    def _web_due(self) -> bool:
        web, core = self._streams()
        return web is not None and core is not None and web.direction.sends and core.direction.receives

    def _core_due(self) -> bool:
        web, core = self._streams()
        return web is not None and core is not None and web.direction.receives and core.direction.sends

    def _free(self) -> None:
        self.talks.close()
        self._on_close()
