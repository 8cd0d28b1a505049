"""Aligned tables, and JSON: the two forms in which every view is printed."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

WIDEST = 1000
"""Columns that no line comes near."""


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, prose: int = 0) -> None:
    """Print a table whose first `left` columns are flush left and whose others are flush right.

    Nothing is ever cut: lines that a terminal has no room for go on in the next one, those of the last
    `prose` columns within their column.
    """
    print_lines(table_lines(headings, rows, left=left, prose=prose))


def table_lines(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, prose: int = 0,
                plain: bool = False) -> list[str]:
    """The lines of such a table; with `plain` never with a terminal's escape sequences in them."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number < len(headings) - prose, overflow="fold",
                         justify="left" if number < left else "right")
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    console = Console(highlight=False, color_system=None if plain else "auto")
    if plain or not prose or not console.is_terminal:
        console.width = WIDEST
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def print_lines(lines: Iterable[str]) -> None:
    """Print a view's lines."""
    for line in lines:
        print(line)


def print_json(value: Any) -> None:
    """Print one object, in one line."""
    print(json.dumps(value))


def hexes(*numbers: int) -> list[str]:
    """Addresses as JSON has them: strings, since its numbers are exact up to 2^53 only."""
    return [f"{number:#x}" for number in numbers]


def can_print(text: str) -> bool:
    """Whether standard output has the characters of `text`."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return os.environ.get("TERM") != "dumb"
