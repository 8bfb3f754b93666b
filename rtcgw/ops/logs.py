"""Log observers: text or JSON lines, from a least level on.

Every record of the gateway carries its fields by name (`call`, `session`, `profile`, `user`, ...); the JSON
form keeps them apart so that a log store can search them. One line per failure, written where it is
handled. Where the lines go is twistd's choice; this module only shapes them.

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

_INTERNAL = frozenset({"isError", "failure", "message", "format", "time", "system", "why", "printed"})
"""Fields that Twisted's two loggers add for each other."""

_SPECIAL = frozenset({"log_failure", "log_flattened", "log_system"})
"""Fields with which Twisted writes a line in another way."""

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")
"""Characters of a peer that could forge a line or drive a terminal."""


def observer(out: IO[Any], level: str, as_json: bool) -> ILogObserver:
    """An observer that writes records of at least `level` (debug ... critical) to `out`, one line each."""
    write = FileLogObserver(out, json_line if as_json else text_line)
    least = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    return FilteringLogObserver(write, [cast(ILogFilterPredicate, least)])


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
    return json.dumps(record, ensure_ascii=False, default=str) + "\n"


def _fields(event: LogEvent, taken: Mapping[str, object]) -> dict[str, object]:
    """The record's own fields."""
    return {
        name: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for name, value in event.items()
        if not name.startswith("log_") and name not in _INTERNAL and name not in taken
    }


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"
