"""The backend that carries nothing: descriptions pass as they are, and the parties talk to each other.

Between two browsers always, and between two phones (that a transfer has joined). Between a browser and the core only
where the phone itself speaks ICE and DTLS-SRTP; a phone that does not is refused with 488, because the call would be
mute. Phones do not trickle (RFC 8840 is spoken by none of them): what a browser describes without its candidates
waits for them, and goes out whole.

A phone is told everything under one `o=` line, whose version counts what it was told (RFC 3264 §8): a hold that the
gateway signals is a description of the gateway's own between two of the other party's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from rtcgw.media.backend import (
    Access,
    IMediaBackend,
    IMediaSession,
    MediaError,
    MediaStats,
    OnNews,
    Party,
    Reoffer,
    Reoffered,
    Result,
)
from rtcgw.media.describe import Origin
from rtcgw.media.gathering import Gathering, trickles, ufrag
from rtcgw.media.holds import Held, is_hold, withheld
from rtcgw.media.peers import VIDEO, refuse
from rtcgw.media.sdp import SdpError, Session, parse
from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason


@implementer(IMediaBackend)
class DirectBackend:
    """See the module."""

    name = "direct"
    counters: Mapping[str, int] = MappingProxyType({})
    """Nothing passes here that could be dropped."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def start(self) -> None:
        """Nothing is opened."""

    def stop(self) -> None:
        """Nothing is closed."""

    def check(self) -> Deferred[str]:
        """Always fit."""
        return succeed("direct: the parties talk to each other; phones must speak ICE and DTLS-SRTP")

    def rows(self) -> list[Mapping[str, object]]:
        """Nobody carries anything."""
        return []

    def open(
        self, session: SessionId, caller: Access, callee: Access, on_news: OnNews, peer: PeerProfile = PLAIN_PEER
    ) -> IMediaSession:
        """See `IMediaBackend`; there is no bound to reach. Raises `MediaError` (MEDIA) for a client without ICE and
        one with it: neither would find the other."""
        if Access.PLAIN in (caller, callee) and caller is not callee:
            raise refuse("a client without ICE can talk through the gateway's media only")
        return DirectSession(caller, callee, self._clock, on_news)


@frozen
class _Looks:
    """What the parties' descriptions say of them, as far as anybody asks."""

    showing: frozenset[Party] = frozenset()
    """Who sends a picture."""
    taking: frozenset[Party] = frozenset()
    """Who has a line of pictures in use."""
    keys: Mapping[Party, str] = MappingProxyType({})
    """The fingerprint of each browser: a peer connection made anew has another one (RFC 8842 §5.1)."""

    def with_(self, party: Party, session: Session) -> _Looks:
        """The party has described itself."""
        used = [media for media in session.media if media.port != 0]
        lines = [media for media in used if media.kind == VIDEO]
        key = session.value_of(used[0], "fingerprint") if used else None
        keys = {**self.keys, party: key} if key else self.keys
        if not lines and party not in self.taking:  # nor has it shown anything: most calls are sound alone
            return self if keys is self.keys else _Looks(self.showing, self.taking, keys)
        shows = any(session.direction_of(media).sends for media in lines)
        return _Looks(
            self.showing | {party} if shows else self.showing - {party},
            self.taking | {party} if lines else self.taking - {party},
            keys,
        )


@frozen
class _Open:
    """A change that waits for its answer, and what a refusal brings back."""

    meant: Mapping[Party, str]
    looks: _Looks
    by: Party | None = None
    """Who holds or takes back by it; None: a party's own offer, whose answer the other is told."""
    was_held: bool = False
    holds: tuple[Party, bool] | None = None
    """The phone that offers it, and whether it holds the other by that."""


@implementer(IMediaSession)
class DirectSession:
    """One call's descriptions, passed on."""

    __slots__ = (
        "_access",
        "_clock",
        "_gathering",
        "_held",
        "_is_settled",
        "_looks",
        "_meant",
        "_open",
        "_takes",
        "_written",
    )

    def __init__(self, caller: Access, callee: Access, clock: IReactorTime, on_news: OnNews) -> None:
        self._access = {Party.CALLER: caller, Party.CALLEE: callee}
        self._clock = clock
        self._held = Held(on_news)
        self._written: dict[Party, Origin] = {}
        """What each phone was told."""
        self._takes: dict[Party, bool] = {}
        """Whether that leaves the phone anything to take: an answer to a hold does not hold."""
        self._meant: dict[Party, str] = {}
        """The same as the other party has said it, held or not."""
        self._is_settled = False
        """The first offer has its final answer."""
        self._open: _Open | None = None
        self._gathering: Gathering | None = None
        """The browser's description that waits, or has waited, for its candidates."""
        self._looks = _Looks()

    def offer(self, origin: Party, sdp: str) -> Result:
        """The offer itself. Raises `MediaError` (MEDIA) for one of a phone that cannot talk to a browser."""
        return self._passed(origin, sdp, self._read(origin, sdp))

    def answer(self, origin: Party, sdp: str, final: bool) -> Result:
        """The answer itself. Raises as `offer`. One to a hold of ours is of no interest to the other party."""
        change = self._open
        if change is not None and change.by is not None:
            session = parse(sdp)
            passed: Result = ""
        else:
            session = self._read(origin, sdp)
            passed = self._passed(origin, sdp, session)
        self._open = None
        if change is not None and change.holds is not None:
            self._held.said(*change.holds)
        if self._takes.get(origin, False):
            self._held.said(origin, is_hold(session), quietly=not self._is_settled)
        self._is_settled = self._is_settled or final
        return passed

    def fallback(self) -> str:
        """There is no other way: MEDIA."""
        raise MediaError(Reason.MEDIA, "direct media has no second way")

    def early_answer(self, target: Party) -> None:
        """Only the other party can answer."""

    def reoffer(self, origin: Party, sdp: str) -> Reoffered:
        """Only the other party can answer; a browser, whose peer connection knows the one before, by a new one."""
        before, looks = dict(self._meant), self._looks
        session = self._read(origin, sdp)
        passed = self._passed(origin, sdp, session)
        holds = None if self._access[origin].on_web else (origin, is_hold(session))
        self._open = _Open(before, looks, holds=holds)
        known = looks.keys.get(origin)
        fresh = self._access[origin.other].on_web and known is not None and known != self._looks.keys[origin]
        if isinstance(passed, str):
            return Reoffer(offer=passed, fresh=fresh)
        return passed.addCallback(lambda whole: Reoffer(offer=whole, fresh=fresh))

    def revert(self) -> None:
        """What a phone was told and has refused is not what a hold would turn."""
        change, self._open = self._open, None
        if change is None:
            return
        self._meant, self._looks = dict(change.meant), change.looks
        if change.by is not None:
            self._held.asked(change.by, change.was_held)

    reserved = True
    """Preconditions pass end to end."""

    def keyframe(self, target: Party) -> None:
        """The parties ask each other."""

    def make_offer(self, target: Party) -> str:
        """There is nobody here who could offer anything: MEDIA."""
        raise MediaError(Reason.MEDIA, "direct media cannot make an offer of its own")

    def hold(self, by: Party, on: bool) -> Result:
        """A phone is offered what it was told last, turned. A browser is told by signalling alone: the parties hear
        each other directly, and whoever holds is silent by itself."""
        target = by.other
        if self._open is not None:
            raise MediaError(Reason.CONFLICT, "a change is under way")
        before = self._held.asked(by, on)
        if self._access[target] is not Access.CORE:
            return ""
        if target not in self._meant:
            self._held.asked(by, before)
            raise MediaError(Reason.CONFLICT, "the phone has been told nothing yet")
        if before is on:
            return ""
        self._open = _Open(dict(self._meant), self._looks, by, before)
        return self._told(target, self._meant[target])

    def press(self, target: Party, digits: str, duration: int) -> bool:
        """The parties talk to each other."""
        return False

    def shows(self, party: Party) -> bool:
        """See `IMediaSession`."""
        return party in self._looks.showing and party.other in self._looks.taking

    def candidate(self, origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """For the other browser; a phone gets it in the description."""
        if self._access[origin.other] is Access.WEB:
            return False
        if self._gathering is not None:
            self._gathering.add(candidate, mid)
        return True

    def stats(self) -> MediaStats:
        """Nothing is seen of the packets."""
        return MediaStats("direct")

    def close(self) -> MediaStats:
        """Nothing is held but a description that waits."""
        if self._gathering is not None:
            self._gathering.cancel()
        return self.stats()

    def _read(self, origin: Party, sdp: str) -> Session:
        """A description that is to be passed on, once: reading it is what costs most here."""
        try:
            session = parse(sdp)
        except SdpError as error:
            raise refuse(f"unreadable description: {error}") from None
        self._looks = self._looks.with_(origin, session)
        target = self._access[origin.other]
        if self._access[origin] is Access.CORE and target.on_web and (lacking := _lacking(session)):
            raise refuse(f"the phone lacks {lacking}, and direct media carries nothing")
        return session

    def _passed(self, origin: Party, sdp: str, session: Session) -> Result:
        target = self._access[origin.other]
        if target is not Access.CORE:
            return sdp
        if self._access[origin].on_web and trickles(session):
            whole = self._gathered(sdp, ufrag(session))
            if not isinstance(whole, str):
                return whole.addCallback(lambda text: self._told(origin.other, text))
            if whole != sdp:
                return self._told(origin.other, whole)
        return self._told(origin.other, sdp, session)

    def _told(self, target: Party, sdp: str, session: Session | None = None) -> str:
        """What a phone is told, under its own `o=` line; less than was meant while the other party holds it.

        `session` is `sdp` where that has been read already."""
        self._meant[target] = sdp
        text = sdp
        if self._held.asks(target.other):
            text, session = withheld(sdp), None
        session = parse(text) if session is None else session
        self._takes[target] = not is_hold(session)
        origin = self._written.get(target)
        if origin is None:
            origin = self._written[target] = _first(session)
        return origin.stamp(_body(text))

    def _gathered(self, sdp: str, name: str | None) -> Result:
        """A browser's description with its candidates, which come later or have come."""
        before = self._gathering
        if before is not None and before.ufrag == name:
            return before.repeated(sdp)
        if before is not None:
            before.cancel()
        self._gathering = Gathering(sdp, name, self._clock)
        return self._gathering.whole


def _lacking(session: Session) -> str:
    """What a media line in use lacks to talk to a browser; '' if none lacks anything."""
    used = [media for media in session.media if media.port != 0 or media.get("bundle-only") is not None]
    if not used:
        return "a media line in use"
    for media in used:
        if not (session.value_of(media, "ice-ufrag") and session.value_of(media, "ice-pwd")):
            return f"ICE (m={media.kind} {media.proto})"
        if not session.value_of(media, "fingerprint"):
            return f"DTLS-SRTP (m={media.kind} {media.proto})"
    return ""


def _first(session: Session) -> Origin:
    """The `o=` line that a phone sees first is the other party's own, where it is a usual one."""
    if not (_is_number(session.number) and _is_number(session.version)):
        return Origin(session.address)
    return Origin(session.address, int(session.number), int(session.version) - 1)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def _body(sdp: str) -> str:
    """A description without `v=` and `o=`."""
    rest = sdp.replace("\r\n", "\n").rstrip("\n").partition("\n")[2]
    if rest.startswith("o="):
        rest = rest.partition("\n")[2]
    if rest.startswith("o=") or "\no=" in rest:  # once too often: nobody else writes that
        rest = "\n".join(line for line in rest.split("\n") if not line.startswith("o="))
    return rest.replace("\n", "\r\n") + "\r\n" if rest else ""
