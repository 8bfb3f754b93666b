"""No key of the configuration is without effect."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.trial.unittest import TestCase

from rtcgw.config.reading import Table, Tables, keys_of
from rtcgw.config.sections import LISTS, NAMED, SECTIONS

PACKAGE = Path(__file__).parent.parent.parent / "rtcgw"


def names_read() -> set[str]:
    """Every attribute that some module outside the configuration's own files reads."""
    return {
        node.attr
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "config" or path.name in ("__init__.py", "checks.py", "peers.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }


def sections() -> list[type]:
    """Every section, with the tables inside."""
    found = [*SECTIONS.values(), *LISTS.values(), *NAMED.values()]
    for section in found:
        found += [key.kind.section for key in keys_of(section).values() if isinstance(key.kind, (Table, Tables))]
    return found


class UsedTests(TestCase):
    def test_every_key_is_read(self) -> None:
        """Whoever changes a key changes something: a key that no module reads would be a promise not kept."""
        read = names_read()
        idle = [f"{section.__name__}.{name}" for section in sections() for name in keys_of(section) if name not in read]
        self.assertEqual(idle, [])
