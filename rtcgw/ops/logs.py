"""Log observers: text or JSON lines, from a least level on.

Every record of the gateway carries its fields by name (`call`, `session`, `profile`, `user`, ...); the JSON
form keeps them apart so that a log store can search them. One line per failure, written where it is
handled. Where the lines go is twistd's choice; this module only shapes them.

A record about what a peer may do as often as it likes names its kind in the field `ration`. Of each kind a few
lines are written in any ten seconds, then one that says how many were left out; the counters have them all.

`twisted.logger.jsonFileLogObserver` was refused: it writes Python-only structures (`log_logger`, `__class_uuid__`)
meant to be read back by Twisted, and fails on a record that holds an object.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TextIO, cast

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    formatEventAsClassicLogText,
    formatTime,
)
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from zope.interface import implementer

_INTERNAL = frozenset({"isError", "failure", "message", "format", "time", "system", "why", "printed", "ration"})
"""Fields that Twisted's two loggers add for each other."""

RATION = 20
"""Lines of one kind in `PERIOD`, for records that name their kind."""
PERIOD = 10.0
"""Seconds."""

_SPECIAL = frozenset({"log_failure", "log_flattened", "log_system"})
"""Fields with which Twisted writes a line in another way."""

_TRICKS = "\x7f-\x9f\u2028-\u202e\u2066-\u2069"
"""Line ends and terminal commands beyond ASCII, and what turns the direction of the text that follows."""
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f{_TRICKS}]")
"""Characters of a peer that could forge a line or drive a terminal."""
_UNSAFE_JSON = re.compile(f"[{_TRICKS}]")
"""Those of them that JSON may hold as they are."""


def observer(out: IO[Any], level: str, as_json: bool) -> ILogObserver:
    """An observer that writes records of at least `level` (debug ... critical) to `out`, one line each."""
    write = FileLogObserver(out, json_line if as_json else text_line)
    least = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    return FilteringLogObserver(Rationed(write), [cast(ILogFilterPredicate, least)])


@implementer(ILogObserver)
class Rationed:
    """Passes on every record, but of those that name a kind no more than their ration.

    The record's own time is the clock. The kinds are words of this code, so that their number is bounded. A filter on
    repeated texts was refused: an attacker's lines differ in what the attacker chooses.
    """

    def __init__(self, write: ILogObserver) -> None:
        self._write = write
        self._kinds: dict[str, tuple[float, int]] = {}
        """When the period of a kind began, and how many came since."""

    def __call__(self, event: LogEvent) -> None:
        """See `ILogObserver`."""
        kind = event.get("ration")
        if kind is None:
            self._write(event)
            return
        began, came = self._kinds.get(kind, (0.0, 0))
        now: float = event["log_time"]
        if not 0 <= now - began < PERIOD:
            if came > RATION:
                self._left_out(event, kind, came - RATION)
            began, came = now, 0
        self._kinds[kind] = began, came + 1
        if came < RATION:
            self._write(event)

    def _left_out(self, event: LogEvent, kind: str, count: int) -> None:
        form = "{count} more lines about {kind} were left out"
        basic: LogEvent = {name: event[name] for name in ("log_time", "log_level", "log_namespace") if name in event}
        self._write({**basic, "log_format": form, "count": count, "kind": kind})


def destination(logfile: str | None, nodaemon: bool) -> TextIO | LogFile:
    """Where twistd's own options send the log: `--logfile`, else standard output with `-n`, else twistd.log."""
    name = logfile or ("-" if nodaemon else "twistd.log")
    return sys.stdout if name == "-" else LogFile.fromFullPath(str(Path(name).absolute()))


def text_line(event: LogEvent) -> str | None:
    """A record as one line of text, with the traceback of a failure below it."""
    text = _plain_line(event) or formatEventAsClassicLogText(event)
    return None if text is None else _UNSAFE.sub(_escaped, text)


def _plain_line(event: LogEvent) -> str | None:
    """What `formatEventAsClassicLogText` would write, at a tenth of its cost; None for what it must write itself.

    The record of a call's end is written hundreds of times a second. Twisted's formatter walks the format string
    in Python, for the sake of formats that call their fields, and builds a time zone for each line.
    """
    form, level, when = event.get("log_format"), event.get("log_level"), event.get("log_time")
    if form is None or level is None or when is None or "(" in form or not _SPECIAL.isdisjoint(event):
        return None
    try:
        text = form.format_map(event)
    except Exception:  # Twisted's own way tells what is wrong with the record
        return None
    if not text:
        return None
    text = text.replace("\n", "\n\t")
    return f"{_stamp(int(when))} [{event.get('log_namespace', '-')}#{level.name}] {text}\n"


@lru_cache(maxsize=4)
def _stamp(second: int) -> str:
    """The time of a line, by the second."""
    return formatTime(second)


def json_line(event: LogEvent) -> str | None:
    """A record as one JSON object: `time`, `level`, `name`, `text`, its own fields, and `traceback`."""
    record: dict[str, object] = {
        "time": datetime.datetime.fromtimestamp(event["log_time"], datetime.UTC).isoformat(timespec="milliseconds"),
        "level": event["log_level"].name if event.get("log_level") else "info",
        "name": event.get("log_namespace", ""),
        "text": formatEvent(event),
    }
    record.update(_fields(event, record))
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        record["traceback"] = failure.getTraceback()
    return harmless(json.dumps(record, ensure_ascii=False, default=str)) + "\n"


def harmless(text: str) -> str:
    """JSON that is one line to every reader, and may be looked at on a terminal; it means what it meant."""
    return _UNSAFE_JSON.sub(_escaped_json, text)


def _fields(event: LogEvent, taken: Mapping[str, object]) -> dict[str, object]:
    """The record's own fields."""
    return {
        name: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for name, value in event.items()
        if not name.startswith("log_") and name not in _INTERNAL and name not in taken
    }


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def _escaped_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
