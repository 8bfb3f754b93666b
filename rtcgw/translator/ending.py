"""The end of a call: whoever does not know is told, the media is closed, and its record is written, once.

Each step stands by itself: one that fails is logged and keeps no other from being taken, so that nobody is left
ringing, nothing stays open and no call goes unrecorded for a mistake of ours elsewhere.

What it is not: it does not decide that a call ends, nor why (`call.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from rtcgw.media.backend import MediaStats
from rtcgw.model.events import End, Setup
from rtcgw.model.identity import SessionId
from rtcgw.translator import account
from rtcgw.translator.joint import Joint
from rtcgw.translator.leg import ILeg
from rtcgw.translator.record import Books, CallRecord, Milestones

log = Logger()


class Ending:
    """Of one call. `finish` is called once; `story` is what the call has noted of itself."""

    __slots__ = ("_books", "_joint", "_session", "_setup", "_story")

    def __init__(self, session: SessionId, setup: Setup, joint: Joint, story: Milestones, books: Books) -> None:
        self._session = session
        self._setup = setup
        self._joint = joint
        self._story = story
        self._books = books

    def finish(self, end: End, by: ILeg | None, told: ILeg | None, path: str, close: Callable[[], None]) -> None:
        """Stop waiting for the media, close it, tell the legs and record the call.

        `by` has ended it, `told` knows already; `path` is how Fig. 6 placed it; `close()` stops the call's parts.
        """
        joint = self._joint
        try:
            close()
        except Exception:
            log.failure("call {session}: internal error at the end of a part", session=self._session)
        joint.stop()
        final = self._closed()
        side = "gateway" if by is None else joint.party(by).value
        record = self._recorded(end, side, path, final)
        for leg in (joint.caller, joint.callee):
            if leg is not told:
                self._tell(leg, end)
        if record is None:
            return
        if isinstance(final, Deferred):
            # The engine is asked once more how it was; nobody waits for that but the record.
            self._books.waiting[self] = record
            final.addErrback(self._unaccounted)
            final.addCallback(self._enter, record, end)
        else:
            self._enter(final, record, end)
        self._books.tell(self._books.ended, record)

    def _closed(self) -> MediaStats | Deferred[MediaStats] | None:
        try:
            return self._joint.media.close()
        except Exception:
            log.failure("call {session}: internal error at the end of its media", session=self._session)
            return None

    def _recorded(self, end: End, side: str, path: str, final: object) -> CallRecord | None:
        """With its quality where the media have accounted for it at once, so that it is made but once."""
        caller, callee = self._joint.caller, self._joint.callee
        try:
            quality = account.fields(final) if isinstance(final, MediaStats) else {}
            legs = (caller.view(), caller.access), (callee.view(), callee.access)
            return self._books.record(self._session, self._setup, path, self._story, legs, end, side, quality)
        except Exception:
            log.failure("call {session}: internal error, it goes unrecorded", session=self._session)
            return None

    def _tell(self, leg: ILeg, end: End) -> None:
        try:
            leg.deliver(end)
        except Exception:
            log.failure("call {session}: internal error at the end of a leg", session=self._session)

    def _unaccounted(self, failure: Failure) -> None:
        log.failure("call {session}: no account of its media", failure=failure, session=self._session)

    def _enter(self, final: MediaStats | None, record: CallRecord, end: End) -> None:
        log.emit(
            LogLevel.levelWithName(end.reason.level),
            "call {session} ended: {reason} after {age:.1f} s, {caller} -> {callee}, by {by}",
            session=self._session,
            reason=record.reason,
            age=record.ended_at - record.setup_at,
            caller=record.caller,
            callee=record.callee,
            by=record.side,
            status=record.status,
            **(record.quality or ({} if final is None else account.fields(final))),
        )
        self._books.enter(self, record, final)
