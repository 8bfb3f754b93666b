"""Where call records are to go: found out at the start, not when the first call ends."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from rtcgw.config import ConfigError, loads


class RecordsTests(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def read(self, file: str) -> str:
        return loads(f'[records]\nfile = "{file}"', self.folder).records.file

    def refused(self, file: str) -> str:
        with self.assertRaises(ConfigError) as caught:
            self.read(file)
        return str(caught.exception)

    def test_file(self) -> None:
        """Beside the configuration unless it says otherwise; it need not be there yet."""
        self.assertEqual(self.read(""), "")
        self.assertEqual(self.read("calls.jsonl"), str(self.folder / "calls.jsonl"))
        (self.folder / "calls.jsonl").touch()
        self.assertEqual(self.read(f"{self.folder}/calls.jsonl"), str(self.folder / "calls.jsonl"))

    def test_refused(self) -> None:
        """A folder that is not there, or a folder in the file's place: the start fails and says what is wrong."""
        self.assertIn(f"there is no folder {self.folder}/gone", self.refused("gone/calls.jsonl"))
        (self.folder / "calls.jsonl").mkdir()
        self.assertIn("cannot be written, or is no file", self.refused("calls.jsonl"))

    def test_not_allowed(self) -> None:
        """Permissions are looked at as well, where this user is bound by any."""
        self.patch(__import__("os"), "access", lambda path, mode: Path(path) != self.folder)
        self.assertIn(f"the folder {self.folder} cannot be written", self.refused("calls.jsonl"))
