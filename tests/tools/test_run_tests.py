"""The runner's last line can be believed."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

from tools import run_tests

PASSES = "    def test_{0}(self) -> None:\n        pass\n"
FAILS = "    def test_{0}(self) -> None:\n        self.fail()\n"
SKIPS = "    def test_{0}(self) -> None:\n        self.skipTest('no peer')\n"
DIES = "    def test_{0}(self) -> None:\n        import os\n        os._exit(3)\n"


class RunnerTests(TestCase):
    """The runner runs suites made here; their own output is not shown."""

    def setUp(self) -> None:
        self.root = Path(self.mktemp()).absolute()
        self.root.mkdir()
        self.patch(run_tests, "ROOT", self.root)
        self.out = io.StringIO()
        self.patch(sys, "stdout", self.out)
        null = os.open(os.devnull, os.O_WRONLY)
        kept = [os.dup(1), os.dup(2)]
        for number in (1, 2):
            os.dup2(null, number)
        self.addCleanup(self._restore, null, kept)

    @staticmethod
    def _restore(null: int, kept: list[int]) -> None:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(null)

    def suite(self, *methods: str) -> str:
        """A test module with these methods; its name."""
        body = "".join(method.format(number) for number, method in enumerate(methods))
        (self.root / "made.py").write_text(
            f"from twisted.trial.unittest import SynchronousTestCase\n\n\nclass T(SynchronousTestCase):\n{body}"
        )
        return "made"

    def run_suite(self, *methods: str) -> tuple[int, str]:
        """Status and last line of a run."""
        self.patch(sys, "argv", ["run_tests.py", self.suite(*methods)])
        status = run_tests.main()
        return status, self.out.getvalue().splitlines()[-1]

    def test_counts(self) -> None:
        """Passed, failed and skipped are trial's own numbers, and a failure shows in the exit status."""
        self.assertEqual(self.run_suite(PASSES, PASSES, FAILS, SKIPS), (1, "2 passed, 1 failed, 1 skipped"))

    def test_all_well(self) -> None:
        """A run without failures ends with status 0."""
        self.assertEqual(self.run_suite(PASSES, SKIPS), (0, "1 passed, 0 failed, 1 skipped"))

    def test_process_dies(self) -> None:
        """A test that takes its process down is not silently left out."""
        self.assertEqual(self.run_suite(PASSES, DIES), (1, "0 passed, 1 failed, 0 skipped"))

    def test_skips_fail_when_required(self) -> None:
        """Where live tests are required, a skipped one is a failed one."""
        counts = run_tests.run_apart([self.suite(PASSES, SKIPS)], strict=True)
        self.assertEqual(counts, {"passed": 1, "failed": 1, "skipped": 0})


class NamesTests(TestCase):
    def test_unit_tests_are_everything_but_live_and_bench(self) -> None:
        """No test module is forgotten, and `make unit` needs no peer."""
        names = run_tests.unit_names()
        self.assertIn("tests.test_layers", names)
        self.assertIn("tests.config", names)
        self.assertEqual({"tests.live", "tests.bench"} & set(names), set())
