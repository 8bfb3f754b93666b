"""What the project promises its readers: short modules, short functions, and an opening word in each file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import TestCase

ROOT = Path(__file__).parent.parent
MODULE = 500
"""Lines of a module."""
FUNCTION = 40
"""Lines of a function without its docstring; `# long: why` on its first line or the one above excuses more."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    """Every Python file of the project."""
    folders = ("rtcgw", "tests", "tools", "twisted")
    return [ROOT / "setup.py", *(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))]


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(node: Function) -> int:
    """Lines from `def` to the end, the docstring left out: telling more must not cost."""
    first = node.body[0]
    told = ast.get_docstring(node) is not None and first.end_lineno is not None
    docs = (first.end_lineno or 0) - first.lineno + 1 if told else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - docs


def excused(node: Function, lines: list[str]) -> bool:
    """Whether a reason for the length is written at the function."""
    above = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return any("# long: " in line for line in lines[max(above - 2, 0) : node.body[0].lineno])


class Source(NamedTuple):
    """What is asked of a file."""

    lines: int
    opens: bool
    """It is empty, or its first word is what it is."""
    long: tuple[str, ...]
    """Its functions that are too long and do not say why."""


@cache
def read(path: Path) -> Source:
    """The file, read and parsed once for all tests."""
    text = path.read_text(encoding="utf-8")
    lines, tree = text.splitlines(), ast.parse(text)
    long = (node for node in functions(tree) if length(node) > FUNCTION and not excused(node, lines))
    told = tuple(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length(node)} lines" for node in long)
    return Source(len(lines), not text or ast.get_docstring(tree) is not None, told)


class StyleTests(TestCase):
    def test_modules_are_short(self) -> None:
        """A module that nobody can hold in their head is two modules."""
        long = {str(path.relative_to(ROOT)): count for path in sources() if (count := read(path).lines) > MODULE}
        self.assertEqual(long, {})

    def test_functions_are_short(self) -> None:
        """A function fits on a screen, or says why not."""
        self.assertEqual([long for path in sources() for long in read(path).long], [])

    def test_modules_open_with_prose(self) -> None:
        """The first thing in a file is what it is; a file that only marks a folder may be empty."""
        self.assertEqual([str(path.relative_to(ROOT)) for path in sources() if not read(path).opens], [])
