"""Draw every state machine from its table into docs/machines: .dot always, .svg where Graphviz is there.

`tests/test_pictures.py` fails when a picture is not what its table says.
"""

from __future__ import annotations

import importlib
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import rtcgw
from rtcgw.machine import Table

FOLDER = Path(__file__).parent.parent / "docs/machines"


def pictures() -> dict[str, str]:
    """File name to dot text, of every table in the project."""
    tables: dict[str, Table[Any, Any]] = {}
    for module in pkgutil.walk_packages(rtcgw.__path__, "rtcgw."):
        if module.name == "rtcgw.tap":
            continue  # imports the reactor on demand and holds no machine
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Table):
                other = tables.setdefault(value.name, value)
                if other is not value:
                    raise ValueError(f"two machines are called {value.name!r}")
    return {f"{name.lower().replace(' ', '-')}.dot": table.to_dot() for name, table in sorted(tables.items())}


def main() -> None:
    """Write the pictures and remove those of machines that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    drawn = pictures()
    for path in FOLDER.iterdir():
        if path.with_suffix(".dot").name not in drawn:
            path.unlink()
    dot = shutil.which("dot")
    for name, text in drawn.items():
        path = FOLDER / name
        path.write_text(text, encoding="utf-8")
        if dot is not None:
            subprocess.run([dot, "-Tsvg", "-o", path.with_suffix(".svg"), path], check=True)
    if dot is None:
        sys.stdout.write("no Graphviz here: the .svg files stay as they are\n")


if __name__ == "__main__":
    main()
