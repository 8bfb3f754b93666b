"""How far a call's media has come, and what is told of it: connecting, flowing, silent, lost.

What was negotiated is `session.py`'s matter; here are the times that it may take, and who has gone quiet.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from twisted.internet.interfaces import IReactorTime

from rtcgw.machine import Machine, Row, Symbol, Table, Timer
from rtcgw.media.backend import MediaNews, News, OnNews, Party
from rtcgw.media.webside.webleg import CONSENT

WATCH = 5.0
"""Seconds between two looks at who is sending."""
QUIET = 10.0
"""Seconds without a packet of a party that should send until it is called silent."""


class MediaState(Symbol):
    """How far the session has come."""

    NEW = "new"
    CONNECTING = "connecting"
    FLOWING = "flowing"
    AWAY = "the browser has closed its end"
    LOST = "lost"
    CLOSED = "closed"


class MediaEvent(Symbol):
    """What moves the session."""

    AGREED = "both sides described"
    READY = "keys in use"
    GONE = "the browser has closed its end"
    RENEWED = "the browser begins anew"
    LATE = "browser did not connect in time"
    LOOK = "time to see who is sending"
    LOST = "nothing can flow any more"
    TELL = "time to say so"
    CLOSE = "closed"


@define
class Ear:
    """What is heard of one party that should send."""

    heard: Callable[[], float | None]
    """When its last packet came, by the clock; None: none yet."""
    due: Callable[[], bool]
    """Whether it should be sending."""
    since: float = 0.0
    """From when on its silence counts."""
    missed: bool = True
    """At the last look it should have been sending."""
    silent: bool = False
    """It has been reported so."""


class Life:
    """See the module. `timeout`: seconds of silence that end the call, 0 none; `free()` releases everything."""

    def __init__(
        self,
        web: Party,
        ears: dict[Party, Ear],
        times: tuple[float, float],
        clock: IReactorTime,
        on_news: OnNews,
        free: Callable[[], None],
    ) -> None:
        self._web = web
        self._ears = ears
        self.setup_time, self._timeout = times
        self._clock = clock
        self._on_news = on_news
        self._free = free
        self._detail = ""
        self._whose = web
        self.machine = Machine(MEDIA_TABLE, self, clock)

    @property
    def state(self) -> MediaState:
        """How far it has come."""
        return self.machine.state

    def tell(self, party: Party, news: News, detail: str = "") -> None:
        """Pass on what happened to `party`'s media; nothing once it is closed."""
        self._on_news(MediaNews(party, news, detail))

    def of_leg(self, state: str, detail: str) -> None:
        """News of the browser's leg, in its own words."""
        if state == "lost":
            self.machine.handle(MediaEvent.LOST, detail)
            return
        if state == "gone":
            self.machine.handle(MediaEvent.GONE)
            return
        if state == "dtls":
            self.machine.handle(MediaEvent.READY)
        self.tell(self._web, _NEWS[state], detail)

    # -- actions of the table ----------------------------------------------------------------------

    def _listen(self) -> None:
        """The media flows, for the first time or again: whoever should send has all its time."""
        for ear in self._ears.values():
            ear.since = self._clock.seconds()

    def _look(self) -> None:
        self.machine.arm("watch", WATCH)
        now = self._clock.seconds()
        for party, ear in self._ears.items():
            before, ear.missed = ear.missed, ear.due()
            if not (before and ear.missed):
                ear.since = now  # after a hold its time begins when that was seen to be over
                continue
            quiet = now - max(ear.heard() or 0.0, ear.since)
            if quiet < QUIET and ear.silent:
                ear.silent = False
                self.tell(party, News.HEARD)
            elif quiet >= QUIET and not ear.silent:
                ear.silent = True
                self.tell(party, News.SILENT, f"no packet for {quiet:.0f} s")
            if 0 < self._timeout <= quiet:
                self._whose = party
                self.machine.handle(MediaEvent.LOST, f"no packet of the {party.value} for {quiet:.0f} s")
                return

    def _late(self) -> None:
        self._detail = f"the browser's media did not connect within {self.setup_time:.0f} s"

    def _stayed_away(self) -> None:
        self._detail = "the browser closed its media and did not come back"

    def _lost(self, detail: str) -> None:
        self._detail = detail

    def _tell(self) -> None:
        whose, self._whose = self._whose, self._web
        self.tell(whose, News.LOST, self._detail)

    def _close(self) -> None:
        self._on_news = _nobody
        self._free()


_NEWS = {"ice": News.ICE, "dtls": News.DTLS, "stalled": News.STALLED}


def _nobody(news: MediaNews) -> None:
    """The session is closed: nothing is heard of it any more."""


_S, _E = MediaState, MediaEvent
_CLOSED = Row(_S.CLOSED, (Life._close,))
_LOST = Row(_S.LOST, (Life._lost,))
_FLOWS = Row(_S.FLOWING, (Life._listen,))

MEDIA_TABLE: Table[MediaState, MediaEvent] = Table(
    "embedded media",
    MediaState.NEW,
    MediaEvent,
    {
        (_S.NEW, _E.AGREED): Row(_S.CONNECTING),
        (_S.NEW, _E.READY): _FLOWS,
        (_S.NEW, _E.LOST): _LOST,
        (_S.NEW, _E.CLOSE): _CLOSED,
        (_S.CONNECTING, _E.READY): _FLOWS,
        (_S.CONNECTING, _E.LATE): Row(_S.LOST, (Life._late,)),
        (_S.CONNECTING, _E.LOST): _LOST,
        (_S.CONNECTING, _E.CLOSE): _CLOSED,
        (_S.CONNECTING, _E.GONE): Row(_S.AWAY),
        (_S.FLOWING, _E.RENEWED): Row(_S.CONNECTING),
        (_S.FLOWING, _E.GONE): Row(_S.AWAY),
        (_S.FLOWING, _E.LOOK): Row(_S.FLOWING, (Life._look,)),
        (_S.FLOWING, _E.LOST): _LOST,
        (_S.FLOWING, _E.CLOSE): _CLOSED,
        (_S.AWAY, _E.RENEWED): Row(_S.CONNECTING),
        (_S.AWAY, _E.LATE): Row(_S.LOST, (Life._stayed_away,)),
        (_S.AWAY, _E.CLOSE): _CLOSED,
        (_S.LOST, _E.RENEWED): Row(_S.CONNECTING),
        (_S.LOST, _E.TELL): Row(_S.LOST, (Life._tell,)),
        (_S.LOST, _E.CLOSE): _CLOSED,
    },
    {
        _S.NEW: {_E.RENEWED, _E.LATE, _E.LOOK, _E.TELL, _E.GONE},
        _S.CONNECTING: {_E.AGREED, _E.RENEWED, _E.LOOK, _E.TELL},
        _S.FLOWING: {_E.AGREED, _E.READY, _E.LATE, _E.TELL},
        _S.AWAY: {_E.AGREED, _E.READY, _E.LOOK, _E.LOST, _E.TELL, _E.GONE},
        _S.LOST: {_E.AGREED, _E.READY, _E.LATE, _E.LOOK, _E.LOST, _E.GONE},
        _S.CLOSED: set(MediaEvent),
    },
    [
        Timer("setup", frozenset({_S.CONNECTING}), lambda life: life.setup_time, _E.LATE),
        # A page that reloads closes its connection as one that is closed for good does; signalling knows which.
        Timer("away", frozenset({_S.AWAY}), lambda life: CONSENT, _E.LATE),
        Timer("watch", frozenset({_S.FLOWING}), lambda life: WATCH, _E.LOOK),
        # Told from the reactor, not from inside the call that found it out: the listener may close the session.
        Timer("tell", frozenset({_S.LOST}), lambda life: 0, _E.TELL),
    ],
)
