"""A program under measurement: started on one processor, asked for its run time and its memory."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_WAIT = 20.0


def cores() -> tuple[int | None, int | None]:
    """One processor for the program, another for the load; None and None where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


class Process:
    """One program. `ready`: what its log says when it can be used; `pause()` is called while it is waited for."""

    def __init__(
        self, name: str, argv: Sequence[str], folder: Path, ready: str, core: int | None, pause: Callable[[], None]
    ) -> None:
        self._log = folder / f"{name}.log"
        tie = shutil.which("setpriv")
        tied = [tie, "--pdeathsig", "KILL", "--"] if tie else []
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*tied, *argv],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if core is not None:
            os.sched_setaffinity(self.pid, {core})
        self._wait_for(name, re.compile(ready), pause)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu(self) -> float:
        """Seconds that its threads have run: its own time, whatever else the machine did."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def memory(self) -> float:
        """KiB of memory that are its own: proportional set size."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """End it by SIGTERM, and by SIGKILL when that does not help."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(8)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _wait_for(self, name: str, ready: re.Pattern[str], pause: Callable[[], None]) -> None:
        end = time.monotonic() + _WAIT
        while not ready.search(self.log()):
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{name} does not start:\n{self.log()[-2000:]}")
            pause()
