"""Recorded neighbours of the translator: a leg that writes down what it is told, media that marks what passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from rtcgw.media.backend import (
    Access,
    IMediaBackend,
    IMediaSession,
    MediaError,
    MediaNews,
    MediaStats,
    News,
    OnNews,
    Party,
    Reoffer,
    Reoffered,
)
from rtcgw.model.events import Description, Event, Kind, Roster, Setup
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason
from rtcgw.translator.leg import ILeg, ILegParent, LegView

SESSION = SessionId("s1")
OFFER = Description(Kind.OFFER, "offer")
ALICE = Identity("sip:alice@web")
ECHO = Identity("sip:echo@ims")
SETUP = Setup(ALICE, ECHO, OFFER)


@implementer(ILeg)
class RecordedLeg:
    """Appends what is delivered to `heard`, lists of participants to `rosters`; news is put in by `say`."""

    def __init__(self, name: str, access: Access, session: SessionId = SESSION) -> None:
        self.name = name
        self.session = session
        self.access = access
        self.parent: ILegParent | None = None
        self.heard: list[Event] = []
        self.rosters: list[Roster] = []
        self.note: Callable[[Event], None] = lambda event: None
        """Called with everything that is delivered."""

    def deliver(self, event: Event) -> None:
        self.note(event)
        if isinstance(event, Roster):
            self.rosters.append(event)
        else:
            self.heard.append(event)

    def say(self, event: Event) -> None:
        assert self.parent is not None
        self.parent.report(self, event)

    def view(self) -> LegView:
        return LegView("recorded", self.name, "listening")


@implementer(IMediaSession)
class MarkedMedia:
    """Returns each description with who gave it and how: `offer` of the caller becomes `caller-offer(offer)`.

    A new offer in a session is answered here when `local`, else it is for the other party. With `early` callers
    get an early answer, with `second` there is one fallback; a new offer `met` meets preconditions. With `slow`,
    results come as Deferreds that the test fires from `pending`. A description `bad` is refused.
    """

    def __init__(self, slow: bool = False, local: bool = True, early: bool = False, second: bool = False) -> None:
        self.slow = slow
        self.local = local
        self.early = early
        self.second = second
        self.reserved = True
        self.reverted = 0
        self.keyframes: list[Party] = []
        self.pressed: list[tuple[Party, str, int]] = []
        self.showing: set[Party] = set()
        """Who shows a picture."""
        self.plays_keys = False
        """Whether keys go in the sound."""
        self.answered: list[tuple[Party, str, bool]] = []
        """What each party has answered, and whether that was final."""
        self.pending: list[tuple[Deferred[str], str]] = []
        self.closed = 0
        self.account: Deferred[MediaStats] | None = None
        """What `close` returns; None: the account at once."""
        self.final = MediaStats("marked")
        self.candidates: list[str | None] = []

    def _result(self, text: str, sdp: str) -> str | Deferred[str]:
        if sdp == "bad":
            raise MediaError(Reason.MEDIA, "no codec in common")
        if not self.slow:
            return text
        waiting: Deferred[str] = Deferred()
        self.pending.append((waiting, text))
        return waiting

    def fire(self) -> None:
        waiting, text = self.pending.pop(0)
        waiting.callback(text)

    def offer(self, origin: Party, sdp: str) -> str | Deferred[str]:
        return self._result(f"{origin.value}-offer({sdp})", sdp)

    def answer(self, origin: Party, sdp: str, final: bool) -> str | Deferred[str]:
        self.answered.append((origin, sdp, final))
        return self._result(f"{origin.value}-{'answer' if final else 'pranswer'}({sdp})", sdp)

    def reoffer(self, origin: Party, sdp: str) -> Reoffered:
        self.reserved = self.reserved or sdp == "met"
        result = self._result(f"re-answer({sdp})" if self.local else f"re-offer({sdp})", sdp)
        return self._plan(result) if isinstance(result, str) else result.addCallback(self._plan)

    def _plan(self, text: str) -> Reoffer:
        return Reoffer(answer=text) if text.startswith("re-answer") else Reoffer(offer=text)

    def revert(self) -> None:
        self.reverted += 1

    def fallback(self) -> str | Deferred[str]:
        if not self.second:
            raise MediaError(Reason.MEDIA, "no second way")
        self.second = False
        return self._result("fallback", "")

    def early_answer(self, target: Party) -> str | Deferred[str] | None:
        return self._result(f"early-for-{target.value}", "") if self.early else None

    def keyframe(self, target: Party) -> None:
        self.keyframes.append(target)

    def make_offer(self, target: Party) -> str | Deferred[str]:
        return self._result(f"offer-for-{target.value}", "")

    def hold(self, by: Party, on: bool) -> str | Deferred[str]:
        return self._result(f"{by.value}-holds" if on else f"{by.value}-resumes", "")

    def press(self, target: Party, digits: str, duration: int) -> bool:
        self.pressed.append((target, digits, duration))
        return self.plays_keys

    def shows(self, party: Party) -> bool:
        return party in self.showing

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        self.candidates.append(candidate)
        return self.local

    def stats(self) -> MediaStats:
        return self.final

    def close(self) -> MediaStats | Deferred[MediaStats]:
        self.closed += 1
        return self.final if self.account is None else self.account


@implementer(IMediaBackend)
class MarkedBackend:
    """Hands out `MarkedMedia`, or refuses when `refuse` is set."""

    name = "marked"
    counters: ClassVar[dict[str, int]] = {}

    def __init__(self, media: MarkedMedia | None = None, refuse: MediaError | None = None) -> None:
        self.media = media or MarkedMedia()
        self.refuse = refuse
        self.opened: list[tuple[SessionId, Access, Access]] = []
        self.peers: list[PeerProfile] = []
        self.news: OnNews = lambda news: None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def check(self) -> Deferred[str]:
        raise AssertionError("not asked here")

    def open(
        self, session: SessionId, caller: Access, callee: Access, on_news: OnNews, peer: PeerProfile = PLAIN_PEER
    ) -> MarkedMedia:
        if self.refuse is not None:
            raise self.refuse
        self.opened.append((session, caller, callee))
        self.peers.append(peer)
        self.news = on_news
        return self.media

    def rows(self) -> list[Mapping[str, object]]:
        return []

    def lose(self) -> None:
        self.news(MediaNews(Party.CALLER, News.LOST, "no sign for 30 s"))
