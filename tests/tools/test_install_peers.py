"""Debian packages: what is run as root, and what is left alone."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from tools import install_peers

WANTING = [
    line for line in install_peers.LIST.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")
]


class InstallTests(TestCase):
    def setUp(self) -> None:
        self.commands: list[list[str]] = []
        self.has: set[str] = set()
        self.works = True
        self.programs = {"apt-get", "sudo", "systemctl", "dpkg-query"}
        self.policy = Path(self.mktemp()).absolute()
        self.out = io.StringIO()
        self.patch(install_peers, "run", self.ran)
        self.patch(install_peers, "installed", lambda package: package in self.has)
        self.patch(install_peers, "POLICY", self.policy)
        self.patch(os, "geteuid", lambda: 1000)
        self.patch(shutil, "which", lambda name: name if name in self.programs else None)
        self.patch(subprocess, "run", self._tee)
        self.patch(sys, "stdout", self.out)

    def ran(self, command: list[str]) -> bool:
        self.commands.append(list(command))
        if "install" in command and self.works:
            self.has |= set(WANTING) & set(command)
        return self.works

    def _tee(self, command: list[str], **kwargs: Any) -> None:
        self.commands.append(list(command))

    def test_nothing_missing(self) -> None:
        """With everything there nothing is run, and root is not asked for."""
        self.has = set(WANTING)
        self.assertEqual(install_peers.main(), 0)
        self.assertEqual(self.commands, [])

    def test_installs_what_is_missing(self) -> None:
        """Only the missing packages are installed, without a question, and their daemons are kept from starting."""
        self.has = set(WANTING) - {"kamailio", "baresip"}
        self.assertEqual(install_peers.main(), 0)
        install = next(command for command in self.commands if "install" in command)
        self.assertEqual(install[-2:], ["kamailio", "baresip"])
        self.assertIn("DEBIAN_FRONTEND=noninteractive", install)
        before = self.commands.index(["sudo", "-n", "tee", str(self.policy)])
        after = self.commands.index(["sudo", "-n", "rm", str(self.policy)])
        self.assertTrue(before < self.commands.index(install) < after)
        self.assertEqual(self.commands[-1], ["sudo", "-n", "systemctl", "--quiet", "disable", "kamailio"])

    def test_policy_is_left_alone(self) -> None:
        """A policy that the machine already has is neither replaced nor removed."""
        self.policy.write_text("theirs")
        install_peers.main()
        self.assertEqual(self.policy.read_text(), "theirs")
        self.assertEqual([command for command in self.commands if str(self.policy) in command], [])

    def test_no_root(self) -> None:
        """Without root and without sudo it names what is missing, and lets the tests go on."""
        self.works = False
        self.assertEqual(install_peers.main(), 0)
        self.assertEqual(self.commands, [["sudo", "-n", "true"]])
        self.assertIn("neither root nor sudo): chromium", self.out.getvalue())

    def test_not_debian(self) -> None:
        """On another system it says so."""
        self.programs.clear()
        self.assertEqual(install_peers.main(), 0)
        self.assertIn("this is no Debian", self.out.getvalue())

    def test_one_unknown_package(self) -> None:
        """When the lot cannot be installed each package is tried by itself, and those left are named."""
        self.patch(install_peers, "superuser", list)
        self.works = False
        self.assertEqual(install_peers.main(), 0)
        alone = [command[-1] for command in self.commands if command[-2] == "--no-install-recommends"]
        self.assertEqual(alone, WANTING)
        self.assertIn("could not be installed: chromium", self.out.getvalue())
