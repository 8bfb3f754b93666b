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

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason


class Access(Enum):
    """What kind of media peer a party is."""

    WEB = "web"
    """A browser: ICE, DTLS-SRTP, rtcp-mux."""
    CORE = "core"
    """A phone or the IMS core: plain RTP/AVP on separate ports."""


class Party(Enum):
    """Whose description it is. A party keeps this name for the session's life."""

    CALLER = "caller"
    CALLEE = "callee"

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


@frozen
class MediaNews:
    """Something happened to a session's media without anybody asking."""

    party: Party
    state: str
    """`ice` (pair chosen), `dtls` (keys ready), `latched`, or `lost` (nothing can flow any more)."""
    detail: str = ""


@frozen
class Stream:
    """Counts of one direction, from the party named."""

    packets: int = 0
    octets: int = 0
    dropped: int = 0
    """Packets refused: wrong source, broken, replayed."""


@frozen
class MediaStats:
    """What the inspector shows of a session's media."""

    backend: str
    codec: str | None = None
    caller: Stream = field(factory=Stream)
    callee: Stream = field(factory=Stream)
    state: str = ""
    """Free words, e.g. `ice+dtls 192.0.2.1:40000`. Never keys, passwords or ufrags."""


Result: TypeAlias = str | Deferred[str]
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

    def reoffer(origin: Party, sdp: str) -> Result | None:
        """A new offer of `origin` in an established session that can be answered without the other party.

        Session refresh and hold from the core, ICE restart and reload from a browser. The result is the
        answer for `origin`. None: the other party must be asked (direct sessions).
        """

    def make_offer(target: Party) -> Result:
        """An offer for `target` made by the backend alone, where the other party offered nothing (offerless INVITE)."""

    def candidate(origin: Party, candidate: str | None, mid: str | None, ufrag: str | None) -> bool:
        """A trickled candidate of `origin`; None ends them. True: taken here. False: pass it to the other party."""

    def stats() -> MediaStats:
        """Counts so far; never raises."""

    def close() -> None:
        """Free everything. May be called at any time and more than once; nothing is heard of the session after."""


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

    def open(session: SessionId, caller: Access, callee: Access, on_news: OnNews) -> IMediaSession:
        """A session between two kinds of party. Raises `MediaError` (OVERLOADED) when a bound is reached."""
