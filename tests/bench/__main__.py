"""`make bench`: the gateway's speed and memory, printed as a table. Nothing here fails for being slow.

    make bench                         all of it, some ten minutes
    make bench ARGS=--quick            two or three minutes
    make bench ARGS="--only sound"     one part: signalling, engines, users, sound, split

Ends with 1 only when calls failed at a moderate rate. What is measured, and how: docs/performance.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.measures import FULL, QUICK, Bench
from tests.bench.process import cores
from tests.bench.report import Report, say

PARTS = ("signalling", "engines", "users", "sound", "split")
_FILES = 8192
"""Open files wanted: both ends of every connection have one."""


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure a real gateway process.")
    parser.add_argument("--quick", action="store_true", help="two or three minutes, and rougher figures")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given several times")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(_FILES, hard)), hard))
    gateway, load = cores()
    if load is not None:
        os.sched_setaffinity(0, {load})
    began = time.monotonic()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="rtcgw-bench-") as folder:
        split = measure(Bench(QUICK if options.quick else FULL, Path(folder), gateway, report), options.only or PARTS)
    pinned = "one processor each" if load is not None else "sharing one processor"
    say(f"\nPython {platform.python_version()}, {os.cpu_count()} processors; gateway and load generator {pinned}.")
    say("CPU is the gateway process's own run time. Signalling without TLS; descriptions of browser length.\n")
    say(report.table())
    if split:
        say(f"\n{split}")
    say(f"\n{time.monotonic() - began:.0f} s, load average {os.getloadavg()[0]:.1f}")
    for problem in report.problems:
        say(f"FAILED: {problem}")
    return 1 if report.problems else 0


def measure(bench: Bench, parts: tuple[str, ...] | list[str]) -> str:
    """The parts asked for, in their order; the CPU split's table."""
    steps: dict[str, Callable[[], None]] = {
        "signalling": bench.signalling,
        "engines": bench.engines,
        "users": bench.users,
        "sound": bench.sound,
    }
    for name, step in steps.items():
        if name in parts:
            step()
    return bench.split() if "split" in parts else ""


if __name__ == "__main__":
    sys.exit(main())
