"""The end of a call: whoever does not know is told, the media is closed, and its record is written, once.

What it is not: it does not decide that a call ends, nor why (`call.py`).
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from rtcgw.media.backend import MediaStats
from rtcgw.model.events import End, Setup
from rtcgw.model.identity import SessionId
from rtcgw.translator import account
from rtcgw.translator.joint import Joint
from rtcgw.translator.leg import ILeg

log = Logger()


class Ending:
    """Of one call. `finish` is called once."""

    __slots__ = ("_joint", "_session", "_setup")

    def __init__(self, session: SessionId, setup: Setup, joint: Joint) -> None:
        self._session = session
        self._setup = setup
        self._joint = joint

    def finish(self, end: End, by: ILeg | None, told: ILeg | None, age: float) -> None:
        """Stop waiting for the media, close it, tell the legs and record the call.

        `by` has ended it, `told` knows already; `age` is how old the call is, in seconds.
        """
        joint = self._joint
        joint.stop()
        final = joint.media.close()
        for leg in (joint.caller, joint.callee):
            if leg is not told:
                self._tell(leg, end)
        side = "gateway" if by is None else joint.party(by).value
        if isinstance(final, Deferred):
            # The engine is asked once more how it was; nobody waits for that but this record.
            final.addErrback(self._unaccounted)
            final.addCallback(self._record, end, side, age)
        else:
            self._record(final, end, side, age)

    def _tell(self, leg: ILeg, end: End) -> None:
        """A leg that fails at its end must neither leave the other one ringing nor keep the call in the books."""
        try:
            leg.deliver(end)
        except Exception:
            log.failure("call {session}: internal error at the end of a leg", session=self._session)

    def _unaccounted(self, failure: Failure) -> None:
        log.failure("call {session}: no account of its media", failure=failure, session=self._session)

    def _record(self, final: MediaStats | None, end: End, by: str, age: float) -> None:
        log.emit(
            LogLevel.levelWithName(end.reason.level),
            "call {session} ended: {reason} after {age:.1f} s, {caller} -> {callee}, by {by}",
            session=self._session,
            reason=end.reason.word,
            age=age,
            caller=self._setup.caller.uri,
            callee=self._setup.callee.uri,
            by=by,
            status=end.status,
            **({} if final is None else account.fields(final)),
        )
