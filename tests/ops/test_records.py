"""The file of call records: whole lines, bounded, and never in anybody's way."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from rtcgw.config import Records as Settings
from rtcgw.ops.records import BATCH, PERIOD, QUEUE, RETRY, SHOWN, Records, described
from rtcgw.translator.record import CallRecord


def record(number: int = 0, **fields: Any) -> CallRecord:
    known: dict[str, Any] = {
        "caller": "alice",
        "callee": "bob",
        "setup_at": 1.0,
        "ended_at": 2.5,
        "reason": "busy",
        "side": "callee",
    }
    return CallRecord(session=f"s{number}", cause=17, **(known | fields))


class RecordsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "calls.jsonl"
        self.clock = Clock()
        self.logged: list[LogEvent] = []
        observer = cast(ILogObserver, self.logged.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.records = self.keeper()

    def keeper(self, **settings: Any) -> Records:
        return Records(Settings(str(self.file), **settings), self.clock)

    def sessions(self, name: str = "calls.jsonl") -> list[str]:
        return [json.loads(line)["session"] for line in (self.folder / name).read_text("utf-8").splitlines()]

    def errors(self) -> list[str]:
        return [event["log_format"] for event in self.logged if event["log_level"].name == "error"]

    def test_line(self) -> None:
        """A second after the end there is a line, JSON, with the fields that are known, and nobody else reads it."""
        self.records.take(record(7, caller_name="Zoë"))
        self.assertFalse(self.file.exists())
        self.clock.advance(PERIOD)
        line = json.loads(self.file.read_text("utf-8"))
        self.assertEqual((line["session"], line["caller_name"], line["cause"]), ("s7", "Zoë", 17))
        self.assertEqual(line["ended_at"], "1970-01-01T00:00:02.500+00:00")
        self.assertNotIn("answered_at", line)
        self.assertEqual(self.file.stat().st_mode & 0o027, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_line(self) -> None:
        """Whatever somebody has typed to call somebody: a record is one line to every reader."""
        typed = "bob\u2028\u2029\x85\x1e\x9b2J\u202e"
        self.records.take(record(1, callee=typed))
        self.clock.advance(PERIOD)
        (line,) = self.file.read_text("utf-8").splitlines()
        self.assertEqual(json.loads(line)["callee"], typed)
        self.assertFalse(set(typed[3:]) - set("2J") & set(line))

    def test_many(self) -> None:
        """Where many calls end at once nobody waits for the second to pass; all are written, in order."""
        for number in range(2 * BATCH + 3):
            self.records.take(record(number))
        self.clock.advance(0)
        self.assertEqual(self.sessions(), [f"s{number}" for number in range(2 * BATCH + 3)])
        self.assertEqual(self.records.counters, {"written": 2 * BATCH + 3})

    def test_rotation(self) -> None:
        """A full file is put aside; as many as asked for are kept, no line is cut, none is lost before its time."""
        self.records = self.keeper(max_size=500, keep=2)
        for number in range(12):
            self.records.take(record(number))
            self.clock.advance(PERIOD)
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, ["calls.jsonl", "calls.jsonl.1", "calls.jsonl.2"])
        kept = [*self.sessions("calls.jsonl.2"), *self.sessions("calls.jsonl.1"), *self.sessions()]
        self.assertEqual(kept, [f"s{number}" for number in range(12 - len(kept), 12)])
        self.assertLessEqual(max(path.stat().st_size for path in self.folder.iterdir()), 500)

    def test_moved_away(self) -> None:
        """Another program may take the file away at any time: the next record begins a new one."""
        self.records.take(record(1))
        self.clock.advance(PERIOD)
        self.file.rename(self.folder / "taken")
        self.records.take(record(2))
        self.clock.advance(PERIOD)
        self.assertEqual((self.sessions("taken"), self.sessions()), (["s1"], ["s2"]))

    def test_cut_line(self) -> None:
        """What the last run left in the middle of a line does not spoil the first record of this one."""
        self.file.write_bytes(b'{"session": "s0", "cal')
        self.records.take(record(1))
        self.clock.advance(PERIOD)
        lines = self.file.read_text("utf-8").splitlines()
        self.assertEqual([line[:12] for line in lines], ['{"session": ', '{"schema": 1'])

    def test_stop(self) -> None:
        """The gateway stops before the second is over: nothing is lost, nothing runs on."""
        self.records.take(record(1))
        self.records.stop()
        self.assertEqual(self.sessions(), ["s1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disk_full(self) -> None:
        """A disk that is full in the middle of a line: told once, no half line, and all is written once it can be."""
        real = os.write
        written: list[int] = []

        def write(file: int, data: bytes) -> int:
            if written:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(real(file, data[:40]))
            return written[0]

        self.patch(os, "write", write)
        for number in range(3):
            self.records.take(record(number))
        self.clock.advance(PERIOD)
        self.clock.advance(RETRY)
        self.assertEqual(self.file.read_bytes(), b"")
        self.assertEqual(self.errors(), ["records of calls wait: {file}: {complaint}"])
        self.assertEqual(self.records.counters, {"refused by the disk": 2})
        self.patch(os, "write", real)
        self.records.take(record(3))
        self.clock.advance(RETRY)
        self.assertEqual(self.sessions(), ["s0", "s1", "s2", "s3"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_folder(self) -> None:
        """The folder has gone, and comes back."""
        self.folder.rename(f"{self.folder}-gone")
        self.records.take(record(1))
        self.clock.advance(PERIOD)
        self.assertEqual(len(self.errors()), 1)
        self.folder.mkdir()
        self.clock.advance(RETRY)
        self.assertEqual(self.sessions(), ["s1"])

    def test_bound(self) -> None:
        """Of a disk that never comes back the memory does not fill: further records are counted as lost."""
        self.folder.rename(f"{self.folder}-gone")
        for number in range(QUEUE + 5):
            self.records.take(record(number))
            if number == 1:
                self.clock.advance(PERIOD)
        self.assertEqual(self.records.counters["lost"], 5)
        self.records.stop()
        self.assertEqual(self.records.counters["lost"], QUEUE + 5)
        self.assertIn("{count} records of calls are lost at the end", self.errors())

    def test_unwritable_record(self) -> None:
        """One record that cannot be put into JSON does not stand in the way of the others."""
        self.records.take(record(1, quality={"media": object()}))
        self.records.take(record(2))
        self.clock.advance(PERIOD)
        self.assertEqual(self.sessions(), ["s2"])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_no_file(self) -> None:
        """Without a file nothing is written and nothing runs; the prompt still shows the last ones."""
        records = Records(Settings(), self.clock)
        for number in range(SHOWN + 5):
            records.take(record(number, answered_at=1.25, talk=1.25))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        rows = records.rows()
        self.assertEqual((len(rows), rows[0]["session"], rows[0]["talked"]), (SHOWN, f"s{SHOWN + 4}", 1.2))
        records.stop()
        self.assertEqual(list(self.folder.iterdir()), [])


class WrittenTests(SynchronousTestCase):
    def test_every_field(self) -> None:
        """The operator's guide has each field, in order, in the words of the class."""
        guide = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text("utf-8")
        table = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in described())
        self.assertIn(f"| field | meaning |\n|---|---|\n{table}\n\n", guide)
