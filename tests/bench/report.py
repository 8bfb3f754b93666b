"""The benchmark's table: what was measured, what must be, what is aimed at, and the bare program's figure beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from attrs import define, field, frozen


@frozen
class Row:
    """One measure. `reference` is the same measured of the bare program."""

    name: str
    values: tuple[float, ...]
    """One figure, or a median and a 99th percentile."""
    unit: str
    must: str = ""
    aim: str = ""
    reference: tuple[float, ...] = ()
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        ratio = f"{self.values[0] / self.reference[0]:.2f}" if self.reference and self.reference[0] else ""
        shown = f"{_figures(self.values)} {self.unit}"
        return (self.name, shown, self.must, self.aim, _figures(self.reference), ratio, self.note)


def _figures(values: Iterable[float]) -> str:
    return " / ".join(f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" for value in values)


@define
class Report:
    """Collects rows, telling each as it comes."""

    rows: list[Row] = field(factory=list)
    problems: list[str] = field(factory=list)
    """What makes the run a failure: calls that failed at a moderate rate."""

    def add(self, row: Row) -> None:
        """One more row."""
        self.rows.append(row)
        say(f"  {'  '.join(cell for cell in row.cells() if cell)}")

    def table(self) -> str:
        """The whole table, for people and for Markdown."""
        head = ("measure", "measured", "must", "aim", "bare Twisted", "ratio", "")
        return markdown([head, *(row.cells() for row in self.rows)])


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as a Markdown table, the first being its head."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)


def say(text: str = "") -> None:
    """A line for whoever runs the benchmark."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
