"""The pictures of the state machines in docs/machines are what their tables say."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tools.draw_machines import pictures

FOLDER = Path(__file__).parent.parent / "docs/machines"


class PictureTests(TestCase):
    def test_pictures_are_up_to_date(self) -> None:
        """A reader of the documentation sees the machine that runs: `make docs` draws them anew."""
        kept = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.dot")}
        drawn = pictures()
        self.assertEqual(sorted(kept), sorted(drawn), "run make docs")
        for name, text in drawn.items():
            self.assertEqual(kept[name], text, f"{name}: run make docs")
