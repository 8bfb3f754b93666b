"""pip without ensurepip: its wheel from the index, checked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from tools import make_venv

WHEEL = b"not really a wheel"
DIGEST = hashlib.sha256(WHEEL).hexdigest()


class FetchTests(TestCase):
    def setUp(self) -> None:
        self.scratch = Path(self.mktemp())
        self.scratch.mkdir()
        self.pages: dict[str, bytes] = {}
        self.patch(make_venv, "_read", lambda url: self.pages[url])

    def fetch(self, page: str) -> Path:
        self.pages["https://index/simple/pip/"] = page.encode()
        return make_venv.fetch_pip("https://index/simple/", self.scratch)

    def test_newest_wheel(self) -> None:
        """The newest version is taken by number, not by spelling, from wherever the index keeps it."""
        self.pages["https://index/files/pip-24.10-py3-none-any.whl"] = WHEEL
        wheel = self.fetch(
            '<a href="../../files/pip-24.9-py3-none-any.whl#sha256=00">x</a>'
            f'<a href="../../files/pip-24.10-py3-none-any.whl#sha256={DIGEST}" data-x="y">x</a>'
            '<a href="../../files/pip-24.11.tar.gz#sha256=00">x</a>'
        )
        self.assertEqual((wheel.name, wheel.read_bytes()), ("pip-24.10-py3-none-any.whl", WHEEL))

    def test_damaged_wheel(self) -> None:
        """What does not have the hash that the index names is not run."""
        self.pages["https://index/simple/pip/pip-24.0-py3-none-any.whl"] = b"something else"
        with self.assertRaises(SystemExit) as caught:
            self.fetch(f'<a href="pip-24.0-py3-none-any.whl#sha256={DIGEST}">x</a>')
        self.assertIn("damaged", str(caught.exception))

    def test_no_pip(self) -> None:
        """An index without pip leads to the other way out."""
        with self.assertRaises(SystemExit) as caught:
            self.fetch("<html></html>")
        self.assertIn("python3-venv", str(caught.exception))

    def test_index_is_pips(self) -> None:
        """The index is the one that pip would ask."""
        self.patch(os, "environ", {"PIP_INDEX_URL": "https://mirror/simple"})
        self.assertEqual(make_venv.index_url(), "https://mirror/simple")
        settings = self.scratch / "pip.conf"
        settings.write_text("[global]\nindex-url = https://other/simple\n")
        self.patch(os, "environ", {"PIP_CONFIG_FILE": str(settings), "HOME": str(self.scratch)})
        self.assertEqual(make_venv.index_url(), "https://other/simple")
