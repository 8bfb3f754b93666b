"""What stands in the log."""

from __future__ import annotations

import io
import json
from typing import cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogPublisher, formatEventAsClassicLogText
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from rtcgw.ops.logs import PERIOD, RATION, destination, observer, text_line


class LogTests(TestCase):
    def logged(self, level: str = "info", as_json: bool = True) -> tuple[Logger, io.StringIO]:
        out = io.StringIO()
        publisher = LogPublisher(observer(out, level, as_json))
        return Logger("rtcgw.test", observer=publisher), out

    def test_json_keeps_fields(self) -> None:
        """A log store can search for the call and the session by name."""
        log, out = self.logged()
        log.warn("call {session} ended: {reason}", session="x7", reason="busy", seconds=1.5, peer=("h", 1))
        record = json.loads(out.getvalue())
        self.assertEqual(record["text"], "call x7 ended: busy")
        self.assertEqual((record["level"], record["name"], record["session"]), ("warn", "rtcgw.test", "x7"))
        self.assertEqual((record["seconds"], record["peer"]), (1.5, "('h', 1)"))
        self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT.*\+00:00$")

    def test_json_failure(self) -> None:
        """A failure is one record with its traceback."""
        log, out = self.logged()
        log.failure("it broke", Failure(RuntimeError("why")))
        lines = out.getvalue().splitlines()
        self.assertEqual(len(lines), 1)
        self.assertIn("RuntimeError: why", json.loads(lines[0])["traceback"])

    def test_level(self) -> None:
        """Records below the configured level are not written."""
        log, out = self.logged("warn", as_json=False)
        log.info("unimportant")
        log.error("important")
        self.assertNotIn("unimportant", out.getvalue())
        self.assertIn("important", out.getvalue())

    def test_text_cannot_be_forged(self) -> None:
        """What a peer sent cannot start a line of its own or drive the terminal of whoever reads the log."""
        log, out = self.logged(as_json=False)
        log.info("from {who}", who="eve\n2026-01-01 all is well\x1b[2J\r")
        self.assertEqual(len([line for line in out.getvalue().splitlines() if not line.startswith("\t")]), 1)
        self.assertIn("\\x1b[2J\\x0d", out.getvalue())

    def test_tricks(self) -> None:
        """So it is with terminal commands of eight bits, line ends beyond ASCII and turns of direction, also in JSON,
        which then says the same."""
        trick = "eve\x9b2J\x85a\u2028b\u2029\u202ec\u2066"
        for as_json in (False, True):
            log, out = self.logged(as_json=as_json)
            log.info("from {who}", who=trick)
            self.assertEqual(len(out.getvalue().splitlines()), 1)
            self.assertFalse(set(trick[3:]) - set("2Jabc") & set(out.getvalue()))
        self.assertEqual(json.loads(out.getvalue())["who"], trick)

    def test_text_is_twisteds(self) -> None:
        """A log reader made for Twisted's lines reads ours, also of records that cannot be formatted."""
        seen: list[LogEvent] = []
        log = Logger("rtcgw.test", observer=cast(ILogObserver, seen.append))
        log.info("call {session} ended after {age:.1f} s", session="x7", age=2.04)
        log.warn("two\nlines of {who.kind}", who=self)
        log.info("{call()}, {missing}", call=lambda: "called")
        log.info("{missing}")
        log.info("")
        log.info("braces {{}}")
        log.failure("it broke", Failure(RuntimeError("why")))
        log.info("by a system", log_system="sys")
        self.assertEqual([text_line(event) for event in seen], [formatEventAsClassicLogText(event) for event in seen])
        self.assertIsNotNone(text_line(seen[0]))

    kind = "sorts"

    def test_destination(self) -> None:
        """twistd's own --logfile and --nodaemon decide where the log goes."""
        path = self.mktemp()
        out = destination(path, False)
        out.write("x\n")
        out.close()
        with open(path) as written:  # noqa: PTH123 - trial's own name
            self.assertEqual(written.read(), "x\n")
        self.assertIs(destination(None, True), destination("-", False))


class RationTests(TestCase):
    def write(self, *records: tuple[float, str | None]) -> list[str]:
        """The lines that are written of records with these times and kinds."""
        out = io.StringIO()
        write = observer(out, "info", False)
        for when, kind in records:
            event: LogEvent = {"log_time": when, "log_level": LogLevel.info, "log_namespace": "n", "log_format": "line"}
            write(event if kind is None else {**event, "ration": kind})
        return [line.partition("] ")[2] for line in out.getvalue().splitlines()]

    def test_flood(self) -> None:
        """Of a flood a few lines are written; when it is over, one says how many were not."""
        lines = self.write(*[(100.0 + n / 100, "strangers") for n in range(RATION + 30)], (100 + PERIOD, "strangers"))
        self.assertEqual(lines, ["line"] * RATION + ["30 more lines about strangers were left out", "line"])

    def test_others(self) -> None:
        """A flood of one kind takes nothing from another, nor from what is never a flood."""
        flood = [(100.0, "strangers")] * (RATION + 1)
        self.assertEqual(len(self.write(*flood, (101.0, "pages"), *[(101.0, None)] * 50)), RATION + 51)

    def test_clock_set_back(self) -> None:
        """A clock that is set back silences nobody."""
        self.assertEqual(len(self.write(*[(100.0, "strangers")] * RATION, (50.0, "strangers"))), RATION + 1)
