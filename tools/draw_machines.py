"""Draw every state machine from its table: docs/machines.md with pictures that code hosts show, docs/machines/*.dot.

Where Graphviz is installed the .dot files become .svg as well. `tests/test_pictures.py` fails when a picture
is not what its table says.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rtcgw
from rtcgw.machine import Table

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "machines"
APART = {"rtcgw.tap", "rtcgw.gateway"}
"""Modules without machines whose import is dear or chooses a reactor."""

HEAD = """\
# The state machines

Drawn from the tables in the code by `make docs`; a test holds them equal. An arrow carries the events that take it,
a state the timers that run in it. Events that a state ignores on purpose are not drawn.
"""


def tables() -> list[tuple[str, Table[Any, Any]]]:
    """Every table in the project, by the machine's name, with the module that declares it."""
    found: dict[str, tuple[str, Table[Any, Any]]] = {}
    for module in pkgutil.walk_packages(rtcgw.__path__, "rtcgw."):
        if module.name in APART:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Table):
                other = found.setdefault(value.name, (module.name, value))[1]
                if other is not value:
                    raise ValueError(f"two machines are called {value.name!r}")
    return [found[name] for name in sorted(found, key=str.lower)]


def pictures() -> dict[str, str]:
    """File name below docs/ to text."""
    drawn = {f"machines/{slug(table.name)}.dot": table.to_dot() for _, table in tables()}
    drawn["machines.md"] = "\n".join([HEAD, *(line for _, table in tables() for line in section(table))])
    return drawn


def section(table: Table[Any, Any]) -> Iterator[str]:
    """One machine as a Mermaid picture with its heading."""
    yield from (f"## {table.name}", "", "```mermaid", "stateDiagram-v2", f"    [*] --> {table.initial.name}")
    for state in table.states:
        timers = [timer.name for timer in table.timers.values() if state in timer.states]
        if timers:
            yield f"    {state.name} : {state.name} ({', '.join(timers)})"
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row_of in table.rows.items():
        for event, row in row_of.items():
            arrows.setdefault((state.name, row.next.name), []).append(event.name)
    for (old, new), events in arrows.items():
        yield f"    {old} --> {new} : {', '.join(events)}"
    yield from ("```", "")


def slug(name: str) -> str:
    """A file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def main() -> None:
    """Write the pictures and remove those of machines that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn = pictures()
    for path in FOLDER.iterdir():
        if f"machines/{path.stem}.dot" not in drawn:
            path.unlink()
    dot = shutil.which("dot")
    for name, text in drawn.items():
        path = DOCS / name
        stale = not path.exists() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".dot" and dot is not None:
            subprocess.run([dot, "-Tsvg", "-o", path.with_suffix(".svg"), path], check=True)
        elif path.suffix == ".dot" and stale:
            path.with_suffix(".svg").unlink(missing_ok=True)  # better none than an old one


if __name__ == "__main__":
    main()
