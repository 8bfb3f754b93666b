"""The record of a call, as operators keep them: who, when, how long, why it ended, how good it was.

    Milestones   what a running call notes, each when it happens: numbers only, so that noting costs next to nothing
    CallRecord   made of them when the call has ended, or when a set-up is refused; each exactly once
    Books        who hears of an ended call at once, and who writes its record once its media have accounted for

The fields follow the charging data records of 3GPP TS 32.298 §5.1.3 in meaning, not in form: parties and identities,
times of each milestone, the cause and side of the end, codecs, quality. A field that nobody knows is left out.

A private caller (RFC 3323) is recorded as the network asserts it, marked `private`: withholding is between the two
parties, and the operator must be able to tell who called.

What it is not: it writes no file (`ops/records.py`), and is no event log: what has no field here is in the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

from attrs import evolve, field, fields, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtcgw import __version__
from rtcgw.media.backend import Access, MediaStats, Party
from rtcgw.model.events import End, Progress, Setup, Stage
from rtcgw.model.identity import Identity, SessionId
from rtcgw.model.reason import Reason
from rtcgw.translator import account
from rtcgw.translator.leg import LegView

log = Logger()

SCHEMA: Final = 1
"""Grows when a field changes its meaning or goes; a field that is added leaves it as it is."""
MOVED: Final = "moved"
"""How the leg is called that was in another call until this one; see `LegView.kind`."""
TEXT_LIMIT: Final = 256
"""Characters kept of anything that a peer has written."""

Time: TypeAlias = float | None
"""Seconds since the epoch; written as ISO 8601 in UTC with milliseconds."""

_DIRECTIONS: Final[Mapping[tuple[bool, bool], str]] = {
    (True, True): "web",
    (True, False): "outgoing",
    (False, True): "incoming",
    (False, False): "core",
}
"""By whether caller and callee are on the web."""


class Milestones:
    """What one call notes of its course. Times are the clock's, in seconds; None: it has not happened."""

    __slots__ = (
        "_held_since",
        "_holders",
        "answered",
        "connected",
        "early",
        "held",
        "holds",
        "moved",
        "moves",
        "progress",
        "ringing",
        "started",
        "transferred_from",
        "transferred_to",
    )

    def __init__(self, started: float) -> None:
        self.started = started
        self.progress: float | None = None
        self.ringing: float | None = None
        self.early: float | None = None
        """The first description from the callee's side before the answer: sound may be heard from then on."""
        self.answered: float | None = None
        self.holds = 0
        """How often a party has put the other one on hold."""
        self.held = 0.0
        """Seconds during which somebody was on hold, those of a hold that lasts not yet among them."""
        self._holders: frozenset[Party] = frozenset()
        self._held_since = 0.0
        self.moves = 0
        """How often a party was away for a while: pages reloaded, networks changed."""
        self.connected: Identity | None = None
        """Who answered, where the network says so."""
        self.moved: tuple[Party, ...] = ()
        """Who was in another call until this one."""
        self.transferred_from: tuple[SessionId, ...] = ()
        self.transferred_to: SessionId | None = None

    def progressed(self, event: Progress, now: float) -> None:
        """The callee's side has said something before the answer."""
        if self.progress is None:
            self.progress = now
        if self.ringing is None and event.stage is Stage.RINGING:
            self.ringing = now
        if self.early is None and event.description is not None:
            self.early = now

    def continues(self, old: Milestones, old_session: SessionId, party: Party, session: SessionId) -> None:
        """A party has come into this call, `session`, out of another one."""
        self.moved = (*self.moved, party)
        self.transferred_from = (*self.transferred_from, old_session)
        old.transferred_to = session

    def hold(self, by: Party, on: bool, now: float) -> None:
        """A party puts the other one on hold, or takes it back; what is so already is not counted again."""
        before = self._holders
        if on == (by in before):
            return
        self._holders = before | {by} if on else before - {by}
        if on:
            self.holds += 1
        if not before:
            self._held_since = now
        elif not self._holders:
            self.held += now - self._held_since

    @property
    def holders(self) -> tuple[str, ...]:
        """Who has put the other one on hold now."""
        return tuple(party.value for party in Party if party in self._holders)

    def held_until(self, now: float) -> float:
        """Seconds on hold, a hold that still lasts among them."""
        return self.held + (now - self._held_since if self._holders else 0.0)


@frozen(kw_only=True)
class CallRecord:
    """One call, or one set-up that was refused. Every field says in its annotation what it means."""

    schema: Annotated[int, "Version of this list of fields."] = SCHEMA
    software: Annotated[str, "The gateway's version."] = __version__
    session: Annotated[str, "The call's id, as pages and the log see it."]
    direction: Annotated[
        str, "`outgoing`: web to core; `incoming`: core to web; `web`, `core`: within one. Missing where refused."
    ] = ""
    path: Annotated[str, "The steps of Fig. 6 that placed it."] = ""

    caller: Annotated[str, "The caller's URI, as the gateway or the network asserts it."]
    caller_name: Annotated[str | None, "The caller's display name."] = None
    private: Annotated[bool, "The caller is not to be shown to the called (RFC 3323)."] = False
    caller_user: Annotated[str, "The caller's user name, on the web."] = ""
    caller_profile: Annotated[str, "The subscription through which the caller's side of the core is reached."] = ""
    caller_access: Annotated[str, "The caller's media: `web`, `web without ICE`, `core`."] = ""
    caller_call_id: Annotated[str, "SIP Call-ID of the caller's side."] = ""
    caller_agent: Annotated[str, "What the caller's phone or network calls itself (User-Agent)."] = ""

    callee: Annotated[str, "Whom the caller asked for."]
    connected: Annotated[str | None, "Who answered in fact, where the network has said so."] = None
    callee_user: Annotated[str, "The callee's user name, on the web."] = ""
    callee_profile: Annotated[str, "The subscription through which the callee's side of the core is reached."] = ""
    callee_access: Annotated[str, "The callee's media, as the caller's."] = ""
    callee_call_id: Annotated[str, "SIP Call-ID of the callee's side."] = ""
    callee_agent: Annotated[str, "What the callee's phone or network calls itself (Server), once it has answered."] = ""
    history: Annotated[tuple[str, ...], "Whom the call was meant for before it was sent on (RFC 7044)."] = ()
    referred_by: Annotated[str | None, "Who asked for this call by a transfer (RFC 3892)."] = None

    setup_at: Annotated[float, "When the set-up arrived."]
    progress_at: Annotated[Time, "When the callee's side first said something."] = None
    ringing_at: Annotated[Time, "When it rang."] = None
    early_at: Annotated[Time, "When it described media before the answer."] = None
    answered_at: Annotated[Time, "When it was answered; missing: it never was."] = None
    ended_at: Annotated[float, "When it ended."]
    ring: Annotated[float | None, "Seconds from ringing to the answer, or to the end."] = None
    talk: Annotated[float, "Seconds from the answer to the end."] = 0.0

    reason: Annotated[str, "Why it ended: the word that pages are told."]
    side: Annotated[str, "Who ended it: `caller`, `callee`, `gateway`."]
    status: Annotated[int | None, "The SIP status received with it."] = None
    cause: Annotated[int, "The Q.850 cause of the reason."]

    holds: Annotated[int, "How often somebody was put on hold."] = 0
    held: Annotated[float, "Seconds during which somebody was on hold."] = 0.0
    moves: Annotated[int, "How often a page was away and came back, or did not."] = 0
    moved: Annotated[
        tuple[str, ...], "Who of `caller`, `callee` was in another call until this one, or should be."
    ] = ()
    transferred_from: Annotated[tuple[str, ...], "The calls that this one continues: one for each who was moved."] = ()
    transferred_to: Annotated[str | None, "The call that continues this one."] = None

    quality: Annotated[
        Mapping[str, object],
        "Not a field itself: its own stand in its place, `media` (who carried it), `transcoding`, and for what came "
        "from each party `caller_codec`, `caller_packets`, `caller_lost`, `caller_jitter`, `caller_rtt`, `caller_mos`, "
        "likewise `callee_`, `caller_video_`, `callee_video_`; as in the log.",
    ] = field(factory=dict)

    @property
    def answered(self) -> bool:
        """Whether anybody answered."""
        return self.answered_at is not None

    def line(self) -> dict[str, object]:
        """The fields that are known, ready for JSON."""
        found: dict[str, object] = {}
        for name in _NAMES:
            value = getattr(self, name)
            if value is None or value == "" or value == ():
                continue
            if name in _TIMES:
                value = datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
            elif isinstance(value, float):
                value = round(value, 3)
            found[name] = value
        return {**found, **self.quality}


_NAMES: Final = tuple(each.name for each in fields(CallRecord) if each.name != "quality")
_TIMES: Final = frozenset(name for name in _NAMES if name.endswith("_at"))

Sink: TypeAlias = Callable[[CallRecord], None]


def _nobody(record: CallRecord) -> None:
    """Nobody keeps records."""


@frozen(eq=False)
class Books:
    """Where ended calls are entered. `now` is wall-clock time, seconds since the epoch.

    `ended(record)` is told when a call has ended and its legs know, perhaps without its quality; `write(record)` once
    the media have accounted for it, at once where they can.
    """

    clock: IReactorTime
    now: Callable[[], float] = time.time
    ended: Sink = _nobody
    write: Sink = _nobody
    waiting: dict[object, CallRecord] = field(factory=dict, init=False)
    """Calls whose media have not accounted for themselves yet, by whoever waits for that."""

    def enter(self, owner: object, record: CallRecord, stats: MediaStats | None) -> None:
        """The call of `owner` has ended and its media have accounted for it, or failed to (None)."""
        self.waiting.pop(owner, None)
        if stats is not None and not record.quality:
            record = evolve(record, quality=account.fields(stats))
        self.tell(self.write, record)

    def settle(self) -> None:
        """Nobody accounts for anything any more: what still waits is written as it is."""
        while self.waiting:
            _, record = self.waiting.popitem()
            self.tell(self.write, record)

    def tell(self, sink: Sink, record: CallRecord) -> None:
        """A mistake of who keeps records is no mistake of the call."""
        try:
            sink(record)
        except Exception:
            log.failure("call {session}: internal error with its record", session=record.session)

    def refuse(self, setup: Setup, origin: LegView, session: SessionId, access: Access, reason: Reason) -> None:
        """A set-up was refused before there was a call."""
        now = self.now()
        record = CallRecord(
            **_parties(setup),
            **_leg("caller", origin, access),
            session=session,
            setup_at=now,
            ended_at=now,
            reason=reason.word,
            side="gateway",
            cause=reason.value.cause,
        )
        self.tell(self.ended, record)
        self.tell(self.write, record)

    # long: every field of the record in the order of the class, none of them computed
    def record(
        self,
        session: SessionId,
        setup: Setup,
        path: str,
        story: Milestones,
        legs: tuple[tuple[LegView, Access], tuple[LegView, Access]],
        end: End,
        side: str,
        quality: Mapping[str, object],
    ) -> CallRecord:
        """The record of a call that ends now; `quality` is empty where the media have yet to account for it."""
        clock = self.clock.seconds()
        epoch = self.now() - clock
        (caller, caller_access), (callee, callee_access) = legs
        answered, ringing = story.answered, story.ringing
        rung_until = clock if answered is None else answered
        return CallRecord(
            **_parties(setup),
            **_leg("caller", caller, caller_access),
            **_leg("callee", callee, callee_access),
            session=session,
            direction=_DIRECTIONS[caller_access.on_web, callee_access.on_web],
            path=path,
            connected=None if story.connected is None else story.connected.uri[:TEXT_LIMIT],
            setup_at=epoch + story.started,
            progress_at=_at(epoch, story.progress),
            ringing_at=_at(epoch, ringing),
            early_at=_at(epoch, story.early),
            answered_at=_at(epoch, answered),
            ended_at=epoch + clock,
            ring=None if ringing is None else max(0.0, rung_until - ringing),
            talk=0.0 if answered is None else clock - answered,
            reason=end.reason.word,
            side=side,
            status=end.status,
            cause=end.reason.value.cause,
            holds=story.holds,
            held=story.held_until(clock),
            moves=story.moves,
            moved=_moved(story, caller, callee),
            transferred_from=story.transferred_from,
            transferred_to=story.transferred_to,
            quality=quality,
        )


def _moved(story: Milestones, caller: LegView, callee: LegView) -> tuple[str, ...]:
    """Those who have come from another call, and those who were to and have not."""
    if not story.moved and MOVED not in (caller.kind, callee.kind):
        return ()
    return tuple(
        party.value
        for party, leg in ((Party.CALLER, caller), (Party.CALLEE, callee))
        if party in story.moved or leg.kind == MOVED
    )


def _at(epoch: float, moment: float | None) -> float | None:
    return None if moment is None else epoch + moment


def _parties(setup: Setup) -> dict[str, Any]:
    """What the set-up says, as fields of a record."""
    return {
        "caller": setup.caller.uri[:TEXT_LIMIT],
        "caller_name": setup.caller.display and setup.caller.display[:TEXT_LIMIT],
        "private": setup.private,
        "callee": setup.callee.uri[:TEXT_LIMIT],
        "history": tuple(each.uri[:TEXT_LIMIT] for each in setup.history),
        "referred_by": setup.referred_by and setup.referred_by[:TEXT_LIMIT],
    }


def _leg(party: str, view: LegView, access: Access) -> dict[str, Any]:
    """What a leg knows of itself, as fields of a record."""
    return {
        f"{party}_user": view.user,
        f"{party}_profile": view.profile,
        f"{party}_access": access.value,
        f"{party}_call_id": view.call_id[:TEXT_LIMIT],
        f"{party}_agent": view.agent[:TEXT_LIMIT],
    }
