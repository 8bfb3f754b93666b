"""Run the tests with trial and end with one line over all of them: `N passed, N failed, N skipped`.

    run_tests.py             everything
    run_tests.py unit        unit and flow tests
    run_tests.py live        live tests
    run_tests.py NAME ...    these modules

Unit and live tests run in a process each, since a live test may leave the reactor with things that a unit
test would be blamed for. The counts come from trial's own result object by way of a file, not from its
output. With RTCGW_REQUIRE_LIVE=1 a skipped live test counts as failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from twisted.trial.reporter import TreeReporter
from twisted.trial.runner import TestLoader, TrialRunner

ROOT = Path(__file__).parent.parent
APART = {"live", "bench", "peers"}
"""Folders of tests/ that are no unit tests: with real peers, measurements, scriptable peers."""

Counts = dict[str, int]


def main() -> int:
    """Run what the command line asks for; 0 when nothing failed."""
    parser = argparse.ArgumentParser(description="Run the tests and count them.")
    parser.add_argument("names", nargs="*", default=["unit", "live"], help="unit, live, or modules")
    parser.add_argument("--report", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.report:
        return child(options.names, Path(options.report))
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for name in options.names:
        names = unit_names() if name == "unit" else ["tests.live"] if name == "live" else [name]
        counts = run_apart(names, strict=name == "live" and os.environ.get("RTCGW_REQUIRE_LIVE", "") not in ("", "0"))
        total = {word: total[word] + counts[word] for word in total}
    print(", ".join(f"{count} {word}" for word, count in total.items()), flush=True)  # noqa: T201
    return 1 if total["failed"] else 0


def unit_names() -> list[str]:
    """Every module and package below tests/ that runs in memory."""
    tests = ROOT / "tests"
    modules = [f"tests.{path.stem}" for path in sorted(tests.glob("test_*.py"))]
    packages = [f"tests.{path.parent.name}" for path in sorted(tests.glob("*/__init__.py"))]
    return [*modules, *(name for name in packages if name.removeprefix("tests.") not in APART)]


def run_apart(names: Sequence[str], strict: bool) -> Counts:
    """The counts of these modules, run in a process of their own. One that dies counts as a failure."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, __file__, "--report", str(report), *names]
        done = subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            counts: Counts = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            print(f"the test process ended with status {done.returncode} before its report")  # noqa: T201
            return {"passed": 0, "failed": 1, "skipped": 0}
    if done.returncode and not counts["failed"]:
        counts["failed"] = 1
    if strict and counts["skipped"]:
        print(f"{counts['skipped']} live tests were skipped, and RTCGW_REQUIRE_LIVE is set: failed")  # noqa: T201
        counts = {"passed": counts["passed"], "failed": counts["failed"] + counts["skipped"], "skipped": 0}
    return counts


def child(names: Sequence[str], report: Path) -> int:
    """Run these modules in this process, print what trial prints, write the counts to `report`."""
    suite = TestLoader().loadByNames(list(names), recurse=True)
    runner = TrialRunner(TreeReporter, workingDirectory="_trial_temp")
    result = cast(TreeReporter, runner.run(suite))
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    counts = {
        "passed": result.successes + len(result.expectedFailures),
        "failed": failed,
        "skipped": len(result.skips),
    }
    report.write_text(json.dumps(counts), encoding="utf-8")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
