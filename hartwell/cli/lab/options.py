"""Options that the lab's commands share, and what people type as their values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from hartwell.cli.status import CommandError

LOAD, WORK = "The load", "The work"

Spec = Annotated[str, typer.Argument(
    metavar="SPEC", show_default=False,
    help="The allocator: a name (hartwell lab list), FILE.elf, FILE.py:Class or module:Class.")]
Operations = Annotated[str, typer.Option(
    "-n", "--operations", metavar="N", rich_help_panel=LOAD, help="How many operations: 5000, or 5k.")]
Workload = Annotated[str, typer.Option(
    "-w", "--workload", metavar="NAME", rich_help_panel=LOAD,
    help="What the allocator is put under (hartwell lab workloads lists them).")]
Seed = Annotated[int, typer.Option(
    "--seed", metavar="N", rich_help_panel=LOAD, help="Where all chance comes from: the same seed, the same run.")]
Jobs = Annotated[int | None, typer.Option(
    "-j", "--jobs", metavar="N", rich_help_panel=WORK, show_default="one for each core",
    help="How many processes do the work. What comes of it is the same for any number.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")]
LAB_MEMORY = "64M"


def parse_operations(text: str) -> int:
    """A number of operations: 5000, 5_000 or 5k (powers of 1000)."""
    from hartwell.cli.options import parse_count

    try:
        return parse_count(text, "-n")
    except CommandError:
        raise CommandError(f"-n {text!r}: expected a number of operations, such as 5000 or 5k") from None


def parse_jobs(jobs: int | None) -> int | None:
    """A number of processes; None for one for each core."""
    if jobs is not None and not 1 <= jobs <= 1024:
        raise CommandError(f"--jobs {jobs}: expected 1 to 1024")
    return jobs


@contextmanager
def counting(what: str) -> Iterator[Counter]:
    """A line on stderr, if that is a terminal, that says how many of how many are done; gone afterwards."""
    counter = Counter(what)
    try:
        yield counter
    finally:
        counter.clear()


class Counter:
    """Told how far something is."""

    def __init__(self, what: str) -> None:
        import sys

        self._what, self._shown = what, sys.stderr.isatty()
        self._last = 0.0
        self._written = False

    def __call__(self, done: int, of: int, note: str = "") -> None:
        """`done` of `of` are done; `note` is something to be said besides."""
        if not self._shown:
            return
        import time

        from hartwell.cli.progress import CLEAR, EVERY, write

        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last, self._written = now, True
            write(f"{CLEAR}hartwell: {done:,} of {of:,} {self._what}{note}")

    def clear(self) -> None:
        """The line goes."""
        if self._written:
            from hartwell.cli.progress import CLEAR, write

            write(CLEAR)
