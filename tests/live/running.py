"""A program started by the suite: its log file, its end, and its end by force.

`subprocess` with a log file on disk rather than `reactor.spawnProcess`: the IMS core outlives single test
classes, and trial kills whatever a class leaves in the reactor. The log stays in trial's work folder, to be
read after a failure. Every program is stopped by its own pid, and dies with the test process if that is killed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.live.waiting import NotInTimeError, until


class Running:
    """One process of ours. `name` is also the name of its log file in `folder`."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        typed: bool = False,
    ) -> None:
        """Start `argv` in `folder`. `typed`: it reads commands from its standard input (see `type`)."""
        self.name = name
        self.log_file = folder / f"{name}.log"
        with self.log_file.open("ab") as log:
            self._seen = log.tell()
            self.process = subprocess.Popen(
                [*_tied(), *argv],
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a process group of its own, for a kill that leaves no child
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def log(self) -> str:
        """All that it has written since this start."""
        with self.log_file.open("rb") as log:
            log.seek(self._seen)
            return log.read().decode("utf-8", "replace")

    def tail(self, lines: int = 15) -> str:
        """The end of the log, for a message about a failure."""
        return "\n".join(self.log().splitlines()[-lines:])

    async def said(self, pattern: str, timeout: float = 10.0, times: int = 1) -> re.Match[str]:
        """Wait until `pattern` (a regular expression, `^` and `$` per line) is in the log; the last match."""
        form = re.compile(pattern, re.MULTILINE)

        def look() -> re.Match[str] | None:
            found = list(form.finditer(self.log()))
            if len(found) >= times:
                return found[-1]
            if self.ended:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            return None

        try:
            return await until(f"{self.name} says {pattern!r}", look, timeout)
        except NotInTimeError as error:
            raise NotInTimeError(f"{error}\n{self.tail()}") from None

    def type(self, line: str) -> None:
        """One line to its standard input."""
        assert self.process.stdin is not None, "started without typed=True"
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    async def end(self, timeout: float = 10.0) -> int:
        """Wait for the process to end by itself; the exit status, negative for a signal."""
        await until(f"{self.name} ends\n{self.tail()}", lambda: self.ended, timeout)
        self._close()
        return self.process.returncode or 0

    async def stop(self, timeout: float = 8.0) -> int:
        """SIGTERM, and SIGKILL to its process group when that does not help; the exit status."""
        if not self.ended:
            self.process.send_signal(signal.SIGTERM)
            try:
                return await self.end(timeout)
            except NotInTimeError:
                self.kill_group()
        return await self.end(timeout)

    async def kill(self) -> None:
        """SIGKILL to the process and its children, as a crash would end them."""
        self.kill_group()
        await self.end()

    def kill_group(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """A signal to every process of the group; SIGSTOP and SIGCONT make it silent and wake it again."""
        if not self.ended:
            os.killpg(self.pid, sig)

    def _close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()


def _tied() -> list[str]:
    """Words before a command line that have the kernel end the program when the test process dies."""
    tie = shutil.which("setpriv")
    return [tie, "--pdeathsig", "TERM", "--"] if tie else []
