"""The backend that carries nothing: descriptions pass as they are, and the parties talk to each other.

Between two browsers always. Between a browser and the core only where the phone itself speaks ICE and
DTLS-SRTP; a phone that does not is refused with 488, because the call would be mute. Phones do not trickle (RFC 8840
is spoken by none of them): what a browser describes without its candidates waits for them, and goes out whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
from rtcgw.media.gathering import Gathering, trickles, ufrag
from rtcgw.media.peers import refuse
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
        return DirectSession(caller, callee, self._clock)


@implementer(IMediaSession)
class DirectSession:
    """One call's descriptions, passed on."""

    __slots__ = ("_access", "_clock", "_gathering")

    def __init__(self, caller: Access, callee: Access, clock: IReactorTime) -> None:
        self._access = {Party.CALLER: caller, Party.CALLEE: callee}
        self._clock = clock
        self._gathering: Gathering | None = None
        """The browser's description that waits, or has waited, for its candidates."""

    def offer(self, origin: Party, sdp: str) -> Result:
        """The offer itself. Raises `MediaError` (MEDIA) for one of a phone that cannot talk to a browser."""
        return self._passed(origin, sdp)

    def answer(self, origin: Party, sdp: str, final: bool) -> Result:
        """The answer itself. Raises as `offer`."""
        return self._passed(origin, sdp)

    def fallback(self) -> str:
        """There is no other way: MEDIA."""
        raise MediaError(Reason.MEDIA, "direct media has no second way")

    def early_answer(self, target: Party) -> None:
        """Only the other party can answer."""

    def reoffer(self, origin: Party, sdp: str) -> Reoffered:
        """Only the other party can answer."""
        passed = self._passed(origin, sdp)
        if isinstance(passed, str):
            return Reoffer(offer=passed)
        return passed.addCallback(lambda whole: Reoffer(offer=whole))

    def revert(self) -> None:
        """Nothing was changed here."""

    reserved = True
    """Preconditions pass end to end."""

    def keyframe(self, target: Party) -> None:
        """The parties ask each other."""

    def make_offer(self, target: Party) -> str:
        """There is nobody here who could offer anything: MEDIA."""
        raise MediaError(Reason.MEDIA, "direct media cannot make an offer of its own")

    def hold(self, by: Party, on: bool) -> Result:
        """The parties hear each other directly: who holds is silent by itself, and nothing need be offered."""
        return ""

    def press(self, target: Party, digits: str, duration: int) -> bool:
        """The parties talk to each other."""
        return False

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

    def _passed(self, origin: Party, sdp: str) -> Result:
        try:
            session = parse(sdp)
        except SdpError as error:
            raise refuse(f"unreadable description: {error}") from None
        if self._access[origin] is Access.CORE and (lacking := _lacking(session)):
            raise refuse(f"the phone lacks {lacking}, and direct media carries nothing")
        if self._access[origin.other] is Access.CORE and trickles(session):
            return self._gathered(sdp, ufrag(session))
        return sdp

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
