"""What the project promises its readers: short modules, short functions, and an opening word in each file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

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


class StyleTests(TestCase):
    def test_modules_are_short(self) -> None:
        """A module that nobody can hold in their head is two modules."""
        long = {
            str(path.relative_to(ROOT)): count
            for path in sources()
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > MODULE
        }
        self.assertEqual(long, {})

    def test_functions_are_short(self) -> None:
        """A function fits on a screen, or says why not."""
        found = []
        for path in sources():
            text = path.read_text(encoding="utf-8")
            lines = text.splitlines()
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {length(node)} lines"
                for node in functions(ast.parse(text))
                if length(node) > FUNCTION and not excused(node, lines)
            ]
        self.assertEqual(found, [])

    def test_modules_open_with_prose(self) -> None:
        """The first thing in a file is what it is; a file that only marks a folder may be empty."""
        silent = [
            str(path.relative_to(ROOT))
            for path in sources()
            if (text := path.read_text(encoding="utf-8")) and not ast.get_docstring(ast.parse(text))
        ]
        self.assertEqual(silent, [])
