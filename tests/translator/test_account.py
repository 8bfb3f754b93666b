"""The record of a call's end: how it was, as far as anybody knows, and never in the way of freeing things."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from rtcgw.media.backend import MediaStats, Stream
from rtcgw.model.events import End
from rtcgw.model.reason import Reason
from rtcgw.translator.account import fields
from tests.translator.callcase import CallCase

STATS = MediaStats(
    "embedded",
    "OPUS",
    caller=Stream(500, 80_000, 2, 5, 12.345, 40.06, "OPUS", 4.1234),
    callee=Stream(498, 79_680, codec="PCMU"),
    transcoding=True,
)
FIELDS = {
    "media": "embedded",
    "transcoding": True,
    "caller_codec": "OPUS",
    "caller_packets": 500,
    "caller_lost": 5,
    "caller_jitter": 12.3,
    "caller_rtt": 40.1,
    "caller_mos": 4.12,
    "callee_codec": "PCMU",
    "callee_packets": 498,
}


class RecordTests(CallCase):
    """One line for each call."""

    def setUp(self) -> None:
        super().setUp()
        self.records: list[LogEvent] = []
        observer = cast(ILogObserver, self.note)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def note(self, event: LogEvent) -> None:
        if "ended" in event.get("log_format", ""):
            self.records.append(event)

    def record(self) -> dict[str, Any]:
        """The one record's fields of its media."""
        (record,) = self.records
        return {name: value for name, value in record.items() if name in FIELDS}

    def test_quality(self) -> None:
        """Codec, packets, loss, jitter, round trip and quality of each direction, rounded to what they mean."""
        self.media.final = STATS
        self.establish()
        self.clock.advance(4)
        self.callee.say(End(Reason.HANGUP))
        self.assertEqual(self.record(), FIELDS)
        record = self.records[0]
        self.assertEqual((record["by"], record["age"], record["reason"]), ("callee", 4.0, "hangup"))

    def test_account_comes_later(self) -> None:
        """An engine that must be asked holds up the record only: the call is forgotten, its legs are told."""
        self.media.account = Deferred()
        self.establish()
        self.clock.advance(4)
        self.call.end(Reason.SHUTDOWN)
        self.check_over(Reason.SHUTDOWN)
        self.assertEqual(self.records, [])
        self.clock.advance(1)
        self.media.account.callback(STATS)
        self.assertEqual(self.record(), FIELDS)
        self.assertEqual((self.records[0]["by"], self.records[0]["age"]), ("gateway", 4.0))

    def test_no_account(self) -> None:
        """A fault at the very end costs the account, not the record."""
        self.media.account = Deferred()
        self.establish()
        self.caller.say(End(Reason.HANGUP))
        self.media.account.errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.record(), {})
        self.assertEqual(self.records[0]["by"], "caller")

    def test_what_is_not_known(self) -> None:
        """Nothing is written about what nobody counted."""
        self.assertEqual(fields(MediaStats("direct")), {"media": "direct"})

    def test_video(self) -> None:
        """Video has fields of its own."""
        found = fields(MediaStats("rtpengine", caller_video=Stream(9, lost=0, codec="VP8"), callee_video=Stream()))
        self.assertEqual(
            found,
            {"media": "rtpengine", "caller_video_codec": "VP8", "caller_video_packets": 9, "caller_video_lost": 0},
        )
