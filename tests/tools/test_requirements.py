"""A live test without its peer is skipped, or fails where that is asked for; never passes."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.reporter import TestResult
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.live import requirements
from tests.live.requirements import PEERS, Program, missing, need, program

PACKAGES = Path(__file__).parent.parent / "live/packages.txt"


class RequirementTests(TestCase):
    def setUp(self) -> None:
        self.patch(
            requirements,
            "PEERS",
            {
                "here": Program("sh", ("dash",)),
                "absent": Program("no-such-program", ("a-package",)),
                "half": Program("sh", ("dash",), {"no-such-module.so": "a-module-package"}),
            },
        )

    def result(self, *names: str, required: str = "") -> TestResult:
        """What becomes of a test that needs these peers."""
        self.patch(os, "environ", {**os.environ, "RTCGW_REQUIRE_LIVE": required})

        @need(*names)
        class Case(SynchronousTestCase):
            def test_passes(self) -> None:
                """Passes when it runs."""

        result = TestResult()
        Case("test_passes").run(result)
        return result

    def test_peer_is_there(self) -> None:
        """With its peers a test runs."""
        self.assertEqual(self.result("here").successes, 1)
        self.assertTrue(Path(program("here")).is_absolute())

    def test_peer_is_missing(self) -> None:
        """Without them it is skipped, naming what to install."""
        result = self.result("here", "absent", "half")
        self.assertEqual(result.skips[0][1], "needs here, absent, half; not installed: a-package a-module-package")
        self.assertEqual(result.successes, 0)

    def test_peer_is_required(self) -> None:
        """Where live tests are required it fails instead, with the same words."""
        result = self.result("absent", required="1")
        self.assertEqual((len(result.failures), len(result.skips), result.successes), (1, 0, 0))
        self.assertIn("not installed: a-package", str(result.failures[0][1]))

    def test_program_missing(self) -> None:
        """Asking for the path of a program that is not there fails at once."""
        with self.assertRaises(FileNotFoundError):
            program("absent")


class PackageListTests(TestCase):
    def test_list_has_every_package(self) -> None:
        """`make test` installs whatever some live test may need."""
        listed = {line for line in PACKAGES.read_text().splitlines() if line and not line.startswith("#")}
        for name, peer in PEERS.items():
            self.assertEqual({*peer.packages, *peer.modules.values()} - listed, set(), name)

    def test_nothing_is_missing_of_nothing(self) -> None:
        """A test that needs no peer is never skipped."""
        self.assertEqual(missing(), [])
