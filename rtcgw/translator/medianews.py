"""What the news of a call's media set off: a line in the log, and the part of the call that must know.

What it is not: it decides nothing; `change.py` offers anew, `ringback.py` knows who makes the tones, the call ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from twisted.logger import Logger, LogLevel

from rtcgw.media.backend import MediaNews, News, Party
from rtcgw.model.events import Info, Keyframe, Stray
from rtcgw.model.identity import SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator.change import Changes
from rtcgw.translator.joint import Joint
from rtcgw.translator.ringback import RingTone

log = Logger()

_NOBODY: Final[frozenset[Party]] = frozenset()


class NewsDesk:
    """Of one call. `lost(reason, text)` is called when its media are gone for good, `answered()` says how far it is."""

    __slots__ = ("_answered", "_changes", "_joint", "_lost", "_ringback", "_session", "absent")

    def __init__(
        self,
        session: SessionId,
        joint: Joint,
        changes: Changes,
        ringback: RingTone | None,
        lost: Callable[[Reason, str | None], None],
        answered: Callable[[], bool],
    ) -> None:
        self._session = session
        self._joint = joint
        self._changes = changes
        self._ringback = ringback
        self._lost = lost
        self._answered = answered
        self.absent: frozenset[Party] = _NOBODY
        """Whose page is gone for a while."""

    def take(self, news: MediaNews) -> None:
        """One piece of news of a call that has not ended."""
        log.emit(
            LogLevel.info if news.state in _NOTABLE else LogLevel.debug,
            "call {session}: media {party} {state}: {detail}"
            if news.detail
            else "call {session}: media {party} {state}",
            session=self._session,
            party=news.party.value,
            state=news.state.value,
            detail=news.detail,
        )
        told = _NEWS.get(news.state)
        if told is not None:
            told(self, news)

    def away(self, party: Party, on: bool) -> None:
        """The party's page is gone for a while, or there again."""
        self.absent = self.absent | {party} if on else self.absent - {party}

    def _sounds(self, news: MediaNews) -> None:
        if self._ringback is not None and news.party is Party.CALLEE:
            self._ringback.heard()

    def _stray(self, news: MediaNews) -> None:
        """A phone's leg may know who that is, as long as nobody has answered."""
        leg = self._joint.leg(news.party)
        host, _, port = news.detail.rpartition(":")
        if news.party is Party.CALLEE and not self._answered() and not leg.access.on_web and port.isdecimal():
            leg.deliver(Stray(host, int(port)))

    def _silent(self, news: MediaNews) -> None:
        if self._ringback is not None and news.party is Party.CALLEE:
            self._ringback.lulled()

    def _moved(self, news: MediaNews) -> None:
        self._changes.moved(news.party)

    def _stalled(self, news: MediaNews) -> None:
        self._changes.stalled(news.party, news.detail)

    def _keys_ready(self, news: MediaNews) -> None:
        self._changes.keys_ready(news.party)

    def _wants_keyframe(self, news: MediaNews) -> None:
        self._joint.leg(news.party.other).deliver(Keyframe())

    def _held(self, news: MediaNews) -> None:
        self._changes.said(news.party, news.state is News.HELD)

    def _keys(self, news: MediaNews) -> None:
        """The sound has them already; a page is told, for it cannot hear what they are."""
        leg = self._joint.leg(news.party.other)
        if leg.access.on_web:
            leg.deliver(Info(news.detail))

    def _gone(self, news: MediaNews) -> None:
        """Two are excused. A party whose page is away has its grace time, and new media when it comes back; and what
        a called page has connected early is not in the call yet: that page may be gone, and another one answer."""
        early = news.party is Party.CALLEE and not self._answered() and self._joint.callee.access.on_web
        if news.party not in self.absent and not early:
            self._lost(Reason.MEDIA_LOST, news.detail)


_NEWS: Final[Mapping[News, Callable[[NewsDesk, MediaNews], None]]] = {
    News.SOUND: NewsDesk._sounds,
    News.HEARD: NewsDesk._sounds,
    News.SILENT: NewsDesk._silent,
    News.DTLS: NewsDesk._keys_ready,
    News.STRAY: NewsDesk._stray,
    News.STALLED: NewsDesk._stalled,
    News.MOVED: NewsDesk._moved,
    News.KEYFRAME: NewsDesk._wants_keyframe,
    News.HELD: NewsDesk._held,
    News.RESUMED: NewsDesk._held,
    News.KEYS: NewsDesk._keys,
    News.LOST: NewsDesk._gone,
}
_NOTABLE: Final = frozenset({News.STALLED, News.MOVED, News.SILENT, News.HEARD, News.LOST})
"""News that an operator looks for when somebody complains."""
