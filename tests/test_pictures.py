"""The pictures of the state machines are what their tables say."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tools.draw_machines import pictures, slug

DOCS = Path(__file__).parent.parent / "docs"


class PictureTests(TestCase):
    def test_pictures_are_up_to_date(self) -> None:
        """A reader of the documentation sees the machine that runs: `make docs` draws them anew."""
        drawn = pictures()
        kept = {f"machines/{path.name}" for path in (DOCS / "machines").glob("*.dot")} | {"machines.md"}
        self.assertEqual(sorted(kept), sorted(drawn), "run make docs")
        for name, text in drawn.items():
            self.assertEqual((DOCS / name).read_text(encoding="utf-8"), text, f"{name}: run make docs")

    def test_every_machine_is_drawn(self) -> None:
        """The machines that a reader of the specifications looks for are there."""
        drawn = pictures()
        for name in ("invite-client", "invite-server", "non-invite-client", "non-invite-server", "browser-leg", "call"):
            self.assertIn(f"machines/{name}.dot", drawn)
        self.assertIn("stateDiagram-v2", drawn["machines.md"])

    def test_file_names(self) -> None:
        """A machine's name makes a file name that every system takes."""
        self.assertEqual(slug("SIP leg, incoming"), "sip-leg-incoming")
