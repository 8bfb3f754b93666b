"""The one interface of every media backend, and what a backend may say.

A backend stands between the two parties of a call and rewrites session descriptions so
that each party meets a peer of its own kind: a browser (ICE, DTLS-SRTP, rtcp-mux) or a
phone in the core (plain RTP/AVP). The translator hands it each description, in order, and
never looks inside one. A backend knows nothing of SIP, of dialects or of calls.

Results are plain text where the backend can answer at once (`embedded`, `direct`) and a
Deferred where it must ask another process (`rtpengine`). The caller treats both alike;
making every result a Deferred was refused because it costs 1.4 us per hop on the path that
every call runs through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TypeAlias

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from rtcgw.model.identity import SessionId
from rtcgw.model.peer import PLAIN_PEER, PeerProfile
from rtcgw.model.reason import Reason


class Access(Enum):
    """What kind of media peer a party is."""

    WEB = "web"
    """A browser: ICE, DTLS-SRTP, rtcp-mux."""
    PLAIN = "web without ICE"
    """A client of the web without ICE (`ice: false`): DTLS-SRTP and rtcp-mux all the same, on a port of its own."""
    CORE = "core"
    """A phone or the IMS core: RTP/AVP on separate ports, encrypted where the peer profile says so."""

    __hash__ = object.__hash__  # that of `Enum` is a Python function; see `machine.Symbol`

    def __init__(self, name: str) -> None:
        self.on_web = name != "core"
        """Whether the party is of the web, not of the core. A call asks a dozen times."""


class Party(Enum):
    """Whose description it is. A party keeps this name for the session's life."""

    CALLER = "caller"
    CALLEE = "callee"

    __hash__ = object.__hash__

    @property
    def other(self) -> Party:
        """The party at the other end."""
        return Party.CALLEE if self is Party.CALLER else Party.CALLER


class MediaError(Exception):
    """The media cannot be set up as asked. `reason` is from the one table, `detail` is for the log."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class News(Enum):
    """What may happen to a session's media without anybody asking."""

    ICE = "pair chosen"
    """The browser's way is known, for the first time or a new one; `detail` says which."""
    DTLS = "keys ready"
    SOUND = "first packet"
    """The party's first packet of sound has come (RFC 3960 §3.2: it silences a local ring-back tone)."""
    STRAY = "sound from elsewhere"
    """Nothing has come from where the party says it is, and `detail`, an address, sends instead: another fork's, or
    nobody's."""
    STALLED = "connected, but no DTLS"
    """The browser has connected and does not begin its handshake: it should be offered a new start."""
    MOVED = "media address has changed"
    """What the party was told is no longer true (the relay died, another took over): it must be offered anew."""
    KEYFRAME = "whole picture wanted"
    """The party needs one, and the other party can only be asked by signalling."""
    SILENT = "silent"
    """Nothing has come from the party for a while, although it should send."""
    HEARD = "heard again"
    HELD = "on hold"
    """The party has put the other one on hold, by its description."""
    RESUMED = "off hold"
    """The party has taken the other one back, likewise."""
    KEYS = "keys pressed"
    """Keys came in the party's sound (RFC 4733); `detail` holds them."""
    LOST = "lost"
    """Nothing can flow any more."""


@frozen
class MediaNews:
    """Something happened to a session's media without anybody asking."""

    party: Party
    state: News
    detail: str = ""


@frozen
class Stream:
    """One direction of one kind of media, from the party named. What is not known is None."""

    packets: int = 0
    octets: int = 0
    dropped: int = 0
    """Packets refused: wrong source, broken, replayed."""
    lost: int | None = None
    """Packets that never came, as far as the one who should have received them knows."""
    jitter: float | None = None
    """Milliseconds (RFC 3550 §6.4.1)."""
    rtt: float | None = None
    """Round trip to the party, milliseconds, by its RTCP or ICE."""
    codec: str | None = None
    mos: float | None = None
    """Estimated quality of what the other party hears, 1 to 4.5 (ITU-T G.107); None without packets."""


@frozen
class MediaStats:
    """What the inspector and the call record show of a session's media."""

    backend: str
    codec: str | None = None
    """Of the caller's sound, for a short look."""
    caller: Stream = field(factory=Stream)
    callee: Stream = field(factory=Stream)
    state: str = ""
    """Free words, e.g. `ice+dtls 192.0.2.1:40000`. Never keys, passwords or ufrags."""
    caller_video: Stream | None = None
    """None where there is no video."""
    callee_video: Stream | None = None
    transcoding: bool = False


@frozen
class Reoffer:
    """What comes of a new offer within a session: exactly one of the two is set."""

    answer: str | None = None
    """For the party that offered: the other one need not know."""
    offer: str | None = None
    """For the other party; its answer then goes through `answer`, its refusal is told by `revert`."""
    fresh: bool = False
    """With `offer`, for a browser: the peer connection behind it is another one, and only another one can answer."""


Result: TypeAlias = str | Deferred[str]
Reoffered: TypeAlias = Reoffer | Deferred[Reoffer]
Account: TypeAlias = MediaStats | Deferred[MediaStats]
OnNews: TypeAlias = Callable[[MediaNews], None]


class IMediaSession(Interface):
    """The media of one call. Every method may raise `MediaError`, at once or through its Deferred."""

    def offer(origin: Party, sdp: str) -> Result:
        """The first offer of `origin`; the result is the offer for the other party."""

    def answer(origin: Party, sdp: str, final: bool) -> Result:
        """The answer of `origin`, early (`final` False) or final; the result is for the other party.

        May be called again: the same early answer repeated as final, or another answer from another
        fork. The description made for a browser stays the same as long as it can (same ICE
        credentials, fingerprint and codecs), whatever the phone's side does.
        """

    def fallback() -> Result:
        """The callee has refused the offer: the same again by the fallback of its peer profile.

        The caller is not concerned. Raises `MediaError` (MEDIA) where there is no fallback, or it was tried already.
        """

    def early_answer(target: Party) -> Result | None:
        """An early answer for `target`, which has offered, before the other party has said anything.

        For a browser: its ICE and DTLS are then done while the phone rings. For a phone: preconditions are
        met before anybody is alerted. Later answers keep what they can of it. None where the backend cannot.
        """

    def reoffer(origin: Party, sdp: str) -> Reoffered:
        """A new offer of `origin` in an established session.

        Session refresh and hold from the core, ICE restart and reload from a browser are answered here; what
        changes the other party's media (video added or removed, an address that has moved) asks it. A refused
        one (`MediaError`) leaves everything as it was (RFC 6141).
        """

    def revert() -> None:
        """The other party refused the offer of `reoffer` or `make_offer`, or never answered: all is as before."""

    def make_offer(target: Party) -> Result:
        """An offer for `target` made by the backend alone.

        Where the other party offered nothing (offerless INVITE), after `News.MOVED`, and after `News.STALLED`,
        when it is a new start for the browser: fresh ICE credentials, everything else as it was.
        """

    def hold(by: Party, on: bool) -> Result:
        """`by` puts the other party on hold, or takes it back: the offer by which the other learns it, whose answer
        goes through `answer`, its refusal through `revert`. Empty where nothing need be said to it.

        While it lasts `by` neither hears nor is heard; the other hears music where the backend has some for it.
        Raises `MediaError` (CONFLICT) while a change is under way, or before the call is answered.
        """

    def press(target: Party, digits: str, duration: int) -> bool:
        """Keys for `target` in its sound (RFC 4733), `duration` ms each. False: they cannot go that way."""

    def shows(party: Party) -> bool:
        """Whether the party shows a picture, by what was agreed last. Asked for seldom; never raises."""

    def candidate(origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """A trickled candidate of `origin`; None ends them. True: taken here. False: pass it to the other party."""

    def keyframe(target: Party) -> None:
        """`target` is asked for a whole picture by RTCP, where it sends video. Never raises."""

    reserved = Attribute("False while preconditions of an offer from the core are not met: nobody may be alerted yet.")

    def stats() -> MediaStats:
        """Counts so far; never raises."""

    def close() -> Account:
        """Free everything; the final account. May be called at any time and more than once; nothing is heard of
        the session after. The Deferred never fails."""


class IMediaBackend(Interface):
    """Makes sessions; started and stopped with the gateway."""

    name = Attribute("The word in the configuration: embedded, rtpengine, direct.")
    counters = Attribute("What was dropped or went wrong, by label: a mapping of text to number, for the inspector.")

    def start() -> Deferred[None] | None:
        """Open ports, meet the peers. Fails with `MediaError` naming what could not be had."""

    def stop() -> Deferred[None] | None:
        """Close every session, then the ports."""

    def check() -> Deferred[str]:
        """One sentence on the state of this backend for `--check`; fails with `MediaError` when unfit."""

    def rows() -> list[Mapping[str, object]]:
        """Who carries the media, one row each, for the inspector: state and load by column name."""

    def open(
        session: SessionId, caller: Access, callee: Access, on_news: OnNews, peer: PeerProfile = PLAIN_PEER
    ) -> IMediaSession:
        """A session between two kinds of party; `peer` is what the one of the core is like.

        Raises `MediaError` (OVERLOADED) when a bound is reached.
        """
