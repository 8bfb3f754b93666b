"""The two descriptions of one call: what was read of each side, what is written to each, and how the two are joined.

Whose turn it is, and what a change asks of whom, is decided in `session.py`; here are the steps. Everything
that a step changes can be put back (`save`, `restore`), so that a refused offer or answer has changed nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import evolve, frozen
from twisted.internet.interfaces import IReactorTime

from rtcgw.media import preconditions
from rtcgw.media.backend import MediaError, News, Party
from rtcgw.media.codecs import Numbers
from rtcgw.media.describe import WEB_PROFILE, core_lines, web_lines
from rtcgw.media.embedded.audio import AudioChoice
from rtcgw.media.embedded.interlude import Interlude
from rtcgw.media.embedded.life import Life, MediaEvent
from rtcgw.media.embedded.lines import Choice, Ends, Line
from rtcgw.media.embedded.security import Security
from rtcgw.media.embedded.sides import Exchange, Side
from rtcgw.media.embedded.video import VideoChoice
from rtcgw.media.packets.music import Music
from rtcgw.media.packets.relay import Latch, Relay
from rtcgw.media.packets.transcode import Places
from rtcgw.media.packets.voice import Metronome
from rtcgw.media.peers import AUDIO, VIDEO, CorePeer, CoreStream, WebPeer, WebStream, core_peer, refuse, web_peer
from rtcgw.media.sockets import Address
from rtcgw.media.webside.plainend import PlainEnd
from rtcgw.media.webside.plainleg import PlainLeg
from rtcgw.media.webside.webend import WebEnd
from rtcgw.media.webside.webleg import WebLeg, where
from rtcgw.model.peer import PeerProfile, Transcode, WhenFull

T = TypeVar("T")
Leg = WebLeg | PlainLeg
End = WebEnd | PlainEnd
MakeEnd = Callable[[Callable[[Leg], object], Callable[[str, str], object]], End]
"""Makes what the web has of a session, of `on_leg` and `on_news`, see `WebEnd`."""


@frozen
class Terms:
    """What all sessions of a backend share."""

    web_host: str
    core_host: str
    latch: Latch
    setup_time: float
    places: Places
    """For conversions; with a limit of 0 there are none."""
    take: Callable[[Relay], Ends]
    """Opens a pair of ports for a line. Raises `MediaError` (OVERLOADED)."""
    metronome: Metronome
    music: Music | None = None
    """For whoever is held; None: silence."""


class Negotiation:
    """See the module. `party` is the browser's, `end` what it has. Raises `MediaError` (OVERLOADED) without ports."""

    def __init__(
        self,
        party: Party,
        end: MakeEnd,
        terms: Terms,
        profile: PeerProfile,
        clock: IReactorTime,
        life: Life,
    ) -> None:
        self._party = party
        self._terms = terms
        self._clock = clock
        self._life = life
        self.profile = profile
        self.web: Side[WebPeer] = Side(terms.web_host, WEB_PROFILE)
        self.core: Side[CorePeer] = Side(terms.core_host, Security(profile.srtp).profile)
        self.lines: list[Line] = []
        """The sound first, always; the picture once anybody has offered one."""
        self.untaken: WebPeer | None = None
        """The browser's new description, which its leg learns when the phone has agreed to the change."""
        self.converting = False
        """It has a place for converting."""
        self.muted = party is Party.CALLEE
        """The browser is called and its user has not answered: nobody hears it, whatever it has said early."""
        self.holders: frozenset[Party] = frozenset()
        """Who holds the other by the gateway's doing, not by a description."""
        self.interlude = Interlude(party, terms.metronome, terms.music, clock.seconds)
        self._refused: Counter[str] = Counter()
        """What parts that are no more have refused."""
        self._numbers: defaultdict[str, Numbers] = defaultdict(Numbers)
        """The phone's, by kind: a picture that was refused and is offered again has the numbers that it had."""
        self._leg: Leg | None = None
        self.end = end(self._with_leg, life.of_leg)
        try:
            self._add_line(AUDIO)
        except MediaError:
            self.end.close()  # or the shared port would know its browser's end for ever
            raise

    @property
    def established(self) -> bool:
        """Both sides have spoken, and have something in common."""
        known = self.core.peer is not None and self.web.peer is not None
        return known and any(line.agreed for line in self.lines)

    def welcome(self) -> None:
        """The browser's new description holds: its leg learns of it, and may become another."""
        browser, self.untaken = self.untaken, None
        if browser is not None and self.end.take(browser, anew=True):
            self._life.machine.handle(MediaEvent.RENEWED)

    # -- reading -----------------------------------------------------------------------------------

    def read_web(self, sdp: str) -> WebPeer:
        """The browser's offer, taken as its latest word, and the places of the lines in it."""
        browser = web_peer(sdp, self.end.ice)
        if self.web.take_offer(browser):
            for line in self.lines:
                line.web, line.shown = line.web.at(None), False  # another page counts its lines anew
        for stream in browser.streams:
            self.web.numbers.learn(stream.codecs)
        self._wanted_video(browser.streams)
        for line in self.lines:
            line.web = line.web.at(self.web.place(line.kind, line.web.index, browser.streams))
            line.shown = line.shown or line.web.index is not None
        return browser

    def read_core(self, sdp: str) -> CorePeer:
        """The phone's offer, as `read_web`; what cannot be secured as its profile says is as if it were not there."""
        phone = core_peer(sdp)
        security = Security(self.profile.srtp)
        reasons = [security.wrong(stream) or self.unreached(stream) for stream in phone.streams]
        if any(reasons):
            fit = tuple(stream for stream, why in zip(phone.streams, reasons, strict=True) if not why)
            if not fit:
                raise refuse(reasons[0])
            phone = evolve(phone, streams=fit)
        self.core.take_offer(phone)
        self._wanted_video(phone.streams)
        for line in self.lines:
            line.core = line.core.at(self.core.place(line.kind, line.core.index, phone.streams))
            stream = phone.at(line.core.index)
            if stream is not None:
                line.hear_core(stream, True)
                line.numbers.learn(stream.codecs)
                line.status = preconditions.read(stream.attributes) if self.profile.preconditions else None
        return phone

    def unreached(self, stream: CoreStream) -> str:
        """Why nothing could be sent to the phone's address; '' if it can."""
        ours = ":" in self._terms.core_host
        if stream.address is None or (":" in stream.address[0]) is ours:
            return ""
        return f"the phone's media address is IPv{4 if ours else 6}, ours is not"

    def _wanted_video(self, streams: tuple[WebStream, ...] | tuple[CoreStream, ...]) -> None:
        if self.profile.video and self.line(VIDEO) is None and any(stream.kind == VIDEO for stream in streams):
            self._add_line(VIDEO)

    # -- writing -----------------------------------------------------------------------------------

    def offer_core(self, settled: bool = False) -> str:
        """The offer for the phone of what the browser has; `settled`: of what it has been answered with."""
        browser, core = self.web.peer, self.core
        carried = False
        for line in self.lines:
            stream = None if browser is None else browser.at(line.web.index)
            if line.offer_core(stream, browser is not None, settled, self.profile.preconditions):
                carried = True
                line.core = line.core.at(core.slot(line.kind, line.core.index, line.proto))
        if not carried:
            raise refuse("none of " + ", ".join(self.profile.codecs) + " is among the codecs")
        core.exchange, core.promised, core.answered = Exchange.OURS, False, ""
        return self._write_core()

    def answer_core(self, early: bool = False) -> str:
        """The answer for the phone; `early`: before the browser has spoken. Raises where nothing is left."""
        browser, phone = self.web.peer, self.core.peer
        carried = False
        for line in self.lines:
            stream = None if phone is None else phone.at(line.core.index)
            web = None if browser is None else browser.at(line.web.index)
            if stream is None:
                line.core = line.core.refused
            elif line.answer_core(stream, web, early):
                carried = True
        if not carried:
            raise refuse("no codec in common")
        return self._write_core()

    def _write_core(self) -> str:
        core, host = self.core, self._terms.core_host
        carried = {line.core.index: line.core_line(host) for line in self.lines if line.core.told}
        told = {place: line for place, line in carried.items() if place is not None}
        return core.origin.stamp(core_lines(host, told, core.slots))

    def offer_web(self) -> str:
        """The offer for the browser of what the phone has, or of everything where it has not spoken."""
        web, phone = self.web, self.core.peer
        carried = False
        for line in self.lines:
            stream = None if phone is None else phone.at(line.core.index)
            if line.offer_web(stream, phone is not None, web.numbers):
                carried = True
                line.web = line.web.at(web.slot(line.kind, line.web.index, WEB_PROFILE))
        if not carried:
            raise refuse("none of " + ", ".join(self.profile.codecs) + " is among the codecs")
        web.exchange, web.answered = Exchange.OURS, ""
        return self.write_web("actpass")

    def choose_web(self, early: bool = False) -> None:
        """The codecs of the answer for the browser. Raises `MediaError` where nothing is left."""
        browser, phone = self.web.peer, self.core.peer
        for line in self.lines:
            web = None if browser is None else browser.at(line.web.index)
            core = phone.at(line.core.index) if phone is not None and line.core.told else None
            if web is None or not line.core.told:
                line.web, line.agreed = line.web.refused, ()
            else:
                line.answer_web(web, core, early)
        if not any(line.agreed for line in self.lines):
            raise refuse("no codec in common")

    def write_web(self, setup: str) -> str:
        """The browser's description as its lines stand; `setup` is our DTLS role."""
        web = self.web
        told = {
            line.web.index: line.web_line(web.slots[line.web.index].mid)
            for line in self.lines
            if line.web.told and line.web.index is not None
        }
        bundled = web.peer is None or web.peer.bundled
        return web.origin.stamp(web_lines(self.end.transport(setup, bundled), told, web.slots))

    # -- joining -----------------------------------------------------------------------------------

    def join(self) -> None:
        """Both sides are known: let packets through."""
        browser, phone = self.web.peer, self.core.peer
        if browser is None or phone is None:
            return
        converts, apart = self._converts, bool(self.holders)
        for line in self.lines:
            line.join(browser.at(line.web.index), phone.at(line.core.index), converts, self.muted, apart)
        sound = self.lines[0]
        self.interlude.joined(sound, browser.at(sound.web.index), phone.at(sound.core.index), self.holders)
        routes = {codec.pt: line.relay for line in self.lines for codec in (*line.web.told, *line.agreed)}
        self.end.bundle.route(routes)
        self._life.machine.handle(MediaEvent.AGREED)

    # -- holding -----------------------------------------------------------------------------------

    def hold_core(self, on: bool) -> str:
        """The browser holds the phone, or takes it back: the offer by which the phone learns it."""
        self.holders = self.holders | {self._party} if on else self.holders - {self._party}
        for line in self.lines:
            line.held = on
        return self.offer_core(settled=True)

    def hold_web(self, on: bool) -> None:
        """The phone is to be neither heard by the browser nor to hear it, or is again. Nobody is told anything."""
        core = self._party.other
        self.holders = self.holders | {core} if on else self.holders - {core}
        self.join()

    @property
    def phone_sound(self) -> CoreStream | None:
        """The phone's line of sound, as it was described last."""
        return None if self.core.peer is None else self.core.peer.at(self.lines[0].core.index)

    @property
    def _converts(self) -> bool:
        """Whether what is agreed needs a conversion that costs."""
        phone = self.core.peer
        for line in self.lines:
            core = None if phone is None or not line.core.told else phone.at(line.core.index)
            if core is not None and line.agreed and line.choice.converts(line.agreed, core.codecs):
                return True
        return False

    def reserve(self) -> None:
        """Take a place for converting, or give it back. Raises `MediaError` (MEDIA) where there is none left."""
        self._hold(self._converts)

    def _hold(self, wanted: bool) -> None:
        if wanted and not self.converting and not self._terms.places.take():
            raise refuse(f"{self._terms.places.limit} calls are being converted")
        if self.converting and not wanted:
            self._terms.places.give()
        self.converting = wanted

    def _may_convert(self) -> bool:
        """Whether a conversion may be proposed: where calls are refused beyond the bound, that is found out later."""
        if self.profile.transcode is Transcode.NEVER:
            return False
        places = self._terms.places
        full = places.used >= places.limit and not self.converting
        return places.limit > 0 and not (full and self.profile.when_full is WhenFull.PLAIN)

    def line(self, kind: str) -> Line | None:
        """The line of this kind."""
        return next((line for line in self.lines if line.kind == kind), None)

    def choice(self, kind: str) -> Choice:
        """How codecs are chosen under the present profile."""
        return AudioChoice(self.profile, self._may_convert) if kind == AUDIO else VideoChoice(self.profile.video)

    def _add_line(self, kind: str) -> None:
        sound = kind == AUDIO
        relay = Relay(
            kind,
            self._terms.latch,
            self._sounds if sound else _nobody,
            self._picture_wanted,
            self._clock.seconds,
        )
        if sound:
            relay.down.on_key = self._pressed
            relay.on_stray = self._strayed
        ends = self._terms.take(relay)
        relay.opened(ends.write, ends.write_rtcp)
        relay.leg = self.end.leg
        security = Security(self.profile.srtp)
        numbers = self._numbers[kind]
        held = self._party in self.holders
        line = Line(kind, self.choice(kind), security, relay, ends, self.profile.ptime, numbers, held=held)
        self.lines.append(line)

    def _with_leg(self, leg: Leg) -> None:
        if self._leg is not None:
            self._refused["browser unproven"] += self._leg.dropped
        self._leg = leg
        for line in self.lines:
            line.relay.leg = leg

    # -- before and after --------------------------------------------------------------------------

    def attempt(self, work: Callable[[], T]) -> T:
        """What fails has changed nothing."""
        saved = self.save()
        try:
            return work()
        except MediaError:
            self.restore(saved)
            raise

    def save(self) -> tuple[Any, ...]:
        """Everything that `restore` puts back."""
        lines = [(line, line.save()) for line in self.lines]
        switches = self.profile, self.untaken, self.muted, self.holders
        return self.web.save(), self.core.save(), lines, switches, self.end.save()

    def restore(self, saved: tuple[Any, ...]) -> None:
        """All is as it was when `save` was called."""
        web, core, lines, (self.profile, self.untaken, self.muted, self.holders), credentials = saved
        self.web.restore(web)
        self.core.restore(core)
        kept = [line for line, _ in lines]
        for line in self.lines:
            if line not in kept:
                self._refused.update(line.relay.refused())
                line.close()
        self.lines = kept
        for line, values in lines:
            line.restore(values)
        self.end.restore(credentials)
        if self.established:
            self._hold(self._converts and (self.converting or self._terms.places.used < self._terms.places.limit))
            self.join()

    def refused(self) -> Counter[str]:
        """Packets that came to nothing so far, by why."""
        found = self._refused.copy()
        for line in self.lines:
            found.update(line.relay.refused())
        found["browser unproven"] += self.end.leg.dropped
        found["browser unassigned"] += self.end.bundle.dropped
        return found

    # -- news --------------------------------------------------------------------------------------

    def _sounds(self, address: Address) -> None:
        self._life.tell(self._party.other, News.SOUND, where(address))

    def _strayed(self, address: Address) -> None:
        self._life.tell(self._party.other, News.STRAY, where(address))

    def _pressed(self, key: str) -> None:
        self._life.tell(self._party.other, News.KEYS, key)

    def _picture_wanted(self) -> None:
        self._life.tell(self._party, News.KEYFRAME)

    def close(self) -> None:
        """Free everything."""
        self._hold(False)
        self.interlude.close()
        self.end.close()
        for line in self.lines:
            line.close()


def _nobody(*_: object) -> None:
    """Of a picture's first packet nobody needs to be told."""
