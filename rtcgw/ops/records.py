"""The records of calls: the last ones for the prompt, and all of them in a file, one JSON object per line.

A call waits for no disk: its record is put into a queue, and what has gathered is written in one piece once a second.
What is written is in the kernel's hands and survives the death of this process; it is forced to the disk (fsync) when
a file is full and when the gateway stops, no more often, for a disk that is forced stands still for everybody. So the
death of the process loses the records of one second at most, the death of the machine those of the kernel's last
half minute or so.

The file is opened for each batch: another program may move it away at any time, and needs no signal to be told (twistd
has none to spare). A disk that refuses is told of once, then tried again every `RETRY` seconds; meanwhile records
wait, `QUEUE` of them at most. No call is ever harmed.

Writing in a thread was refused: a batch of five hundred records takes a millisecond on a local disk, and a file on a
network that stalls would then lose what waits at the end. Let `[records] file` be local.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, get_type_hints

from attrs import fields
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from rtcgw.config import Records as Settings
from rtcgw.ops.logs import harmless
from rtcgw.translator.record import CallRecord

log = Logger()

SHOWN: Final = 20
"""Records that the prompt shows."""
QUEUE: Final = 10_000
"""Records that may wait for the disk, some ten megabytes; further ones are counted and lost."""
BATCH: Final = 500
"""As many are written without waiting for the second to pass."""
PERIOD: Final = 1.0
"""Seconds for which records gather."""
RETRY: Final = 10.0
"""Seconds until a disk that refused is tried again."""
MODE: Final = 0o640
"""The file is nobody's business: it says who called whom."""


class Records:
    """Takes every record. Without `[records] file` only the last ones are kept, in memory."""

    def __init__(self, settings: Settings, clock: IReactorTime) -> None:
        self._settings = settings
        self._clock = clock
        self._last: deque[CallRecord] = deque(maxlen=SHOWN)
        self._queue: deque[CallRecord] = deque()
        self._due: IDelayedCall | None = None
        self._complaint = ""
        """Why nothing can be written at present; empty: it can."""
        self.counters: dict[str, int] = {}

    def take(self, record: CallRecord) -> None:
        """A call has ended, or a set-up was refused."""
        self._last.append(record)
        if not self._settings.file:
            return
        if len(self._queue) >= QUEUE:
            self._count("lost")
            return
        self._queue.append(record)
        if self._due is None:
            self._due = self._clock.callLater(PERIOD, self._wake)
        elif len(self._queue) == BATCH and not self._complaint:
            self._due.reset(0)

    def rows(self) -> list[Mapping[str, object]]:
        """The last records for the inspector, the newest first."""
        return [_row(record) for record in reversed(self._last)]

    def stop(self) -> None:
        """Write what waits, and force it to the disk."""
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
        if self._settings.file:
            while self._flush(last=True) and self._queue:
                pass
        if self._queue:
            self._count("lost", len(self._queue))
            log.error("{count} records of calls are lost at the end", count=len(self._queue))
            self._queue.clear()

    def _wake(self) -> None:
        written = self._flush()
        self._due = None
        if self._queue:
            self._due = self._clock.callLater(0 if written else RETRY, self._wake)

    def _flush(self, last: bool = False) -> bool:
        """Write one batch of what waits; whether that could be done."""
        lines = [_line(record) for record in islice(self._queue, BATCH)]
        try:
            _append(self._settings, b"".join(lines), last)
        except OSError as error:
            self._failed(error)
            return False
        self._count("written", sum(map(bool, lines)))
        for _ in lines:
            self._queue.popleft()
        if self._complaint:
            self._complaint = ""
            log.info("records of calls are written again, {lost} were lost", lost=self.counters.get("lost", 0))
        return True

    def _failed(self, error: OSError) -> None:
        """Told once for each cause: it may last for days."""
        self._count("refused by the disk")
        complaint = error.strerror or str(error)
        if complaint != self._complaint:
            self._complaint = complaint
            log.error("records of calls wait: {file}: {complaint}", file=self._settings.file, complaint=complaint)

    def _count(self, what: str, number: int = 1) -> None:
        self.counters[what] = self.counters.get(what, 0) + number


def described() -> list[tuple[str, str]]:
    """The fields of a record and what they mean, for the documentation."""
    hints = get_type_hints(CallRecord, include_extras=True)
    return [(each.name, hints[each.name].__metadata__[0]) for each in fields(CallRecord)]


def _line(record: CallRecord) -> bytes:
    """A record as a line; empty where it cannot be written, so that it does not stand in the way of the others."""
    try:
        return harmless(json.dumps(record.line(), ensure_ascii=False)).encode("utf-8", "replace") + b"\n"
    except (TypeError, ValueError):
        log.failure("call {session}: its record cannot be written", session=record.session)
        return b""


def _append(settings: Settings, data: bytes, last: bool) -> None:
    """Append `data` whole or not at all; a file that it would make too large gives way first. Raises `OSError`."""
    path = Path(settings.file)
    size = path.stat().st_size if path.exists() else 0
    if size and size + len(data) > settings.max_size:
        _rotate(path, settings.keep)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            data = b"\n" + data  # somebody died in the middle of a line
        _write(file, data, size)
        if last:
            os.fsync(file)
    finally:
        os.close(file)


def _write(file: int, data: bytes, size: int) -> None:
    """A disk that is full in the middle gets its part back: the same records will be written again."""
    done = 0
    try:
        while done < len(data):
            done += os.write(file, data[done:])
    except OSError:
        os.ftruncate(file, size)
        raise


def _rotate(file: Path, keep: int) -> None:
    """`file` becomes `file.1`, that `file.2`, and so on; of the old ones `keep` stay."""
    full = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(full)
    finally:
        os.close(full)
    for number in range(keep - 1, 0, -1):
        aside = Path(f"{file}.{number}")
        if aside.exists():
            aside.replace(f"{file}.{number + 1}")
    file.replace(f"{file}.1")


def _row(record: CallRecord) -> dict[str, object]:
    return {
        "ended": datetime.fromtimestamp(record.ended_at, UTC).isoformat(" ", "seconds")[:19],
        "session": record.session,
        "caller": record.caller,
        "callee": record.connected or record.callee,
        "reason": record.reason,
        "side": record.side,
        "rang": "" if record.ring is None else round(record.ring, 1),
        "talked": round(record.talk, 1) if record.answered else "",
        "media": record.quality.get("media", ""),
    }
