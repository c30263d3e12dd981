"""Tables of the JSON documents, for people to read. rich is imported only where something is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["print_convention", "print_conventions", "print_estimate"]

# A document as JSON has it; its schema says what is where.
Json = Mapping[str, Any]


def grouped(value: object) -> str:
    """Return an integer with separators, any other value as text; "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


def share(part: object, whole: object) -> str:
    """Return a part of a whole as a percentage, or nothing where either is not a number."""
    return f"{100 * part / whole:.1f} %" if isinstance(part, int) and isinstance(whole, int) and whole else ""


def magnitude(value: float) -> str:
    """Return a number with four digits: 3.791e+25."""
    return f"{value:.4g}"


def console() -> Console:
    """Return a console on stdout; rich itself honours NO_COLOR and COLUMNS. A pipe is 120 columns wide."""
    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, markup=False, emoji=False, width=120 if piped else None)


def table(*columns: str, title: str | None = None, left: int = 1) -> Table:
    """Return an empty table whose first `left` columns are text and whose others are numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", overflow="fold")
    return made


def print_conventions(document: Json) -> None:
    """Print a document of schema flopcore.conventions/1."""
    rows = table("convention", "unit", "also", "what it counts", left=4)
    for convention in document["conventions"]:
        rows.add_row(_named(convention), convention["unit"], ", ".join(convention["aliases"]), convention["summary"])
    console().print(rows)


def print_convention(convention: Json) -> None:
    """Print one convention: what it says on each switch, its weights, source and notes."""
    out = console()
    out.print(f"{_named(convention)}: {convention['summary']}", soft_wrap=True)
    out.print(f"unit {convention['unit']}, digest {convention['digest']}", soft_wrap=True)
    rows = table("question", "answer", left=2)
    for question, answer in convention["switches"].items():
        rows.add_row(question, answer)
    for kind, size in convention["extents"].items():
        rows.add_row(f"{kind} extent", size)
    out.print(rows)
    out.print(f"source: {convention['source']}", soft_wrap=True)
    for note in convention["notes"]:
        out.print(f"note: {note}", soft_wrap=True)


def print_estimate(document: Json) -> None:
    """Print a document of schema flopcore.estimate/1."""
    out = console()
    out.print(f"{magnitude(document['flop'])} FLOP of training compute by {document['method']}", soft_wrap=True)
    if document["p05"] != document["p95"]:
        out.print(f"90 % interval {magnitude(document['p05'])} to {magnitude(document['p95'])}", soft_wrap=True)
    for given in document["inputs"]:
        value = given["value"] if "value" in given else f"{given['low']:.6g} to {given['high']:.6g}, {given['shape']}"
        out.print(f"  {given['name']}: {f'{value:.6g}' if isinstance(value, int | float) else value}", soft_wrap=True)
    if document["exact"] is not None:
        exact = document["exact"]
        out.print(
            f"exact walk: {magnitude(exact['flop'])} FLOP; the estimate is {exact['ratio']:.4f} of it", soft_wrap=True
        )
    rows = table("threshold", "where", "status", "line", "verdict", "P(over)", left=3)
    for line in document["thresholds"]:
        rows.add_row(
            line["policy"] + (" *" if line["modality"] else ""),
            line["jurisdiction"],
            line["status"],
            f"{line['comparator']} {magnitude(line['threshold'])}",
            line["verdict"],
            f"{line['probability']:.3f}",
        )
    out.print(rows)
    if any(line["modality"] for line in document["thresholds"]):
        out.print("* only for models of the kind that the text names", soft_wrap=True)
    for note in document["notes"]:
        out.print(f"note: {note}", soft_wrap=True)


def _named(convention: Json) -> str:
    return f"{convention['name']}@{convention['version']}"
