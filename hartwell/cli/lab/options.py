"""Options that the lab's commands share, and what people type as their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from hartwell.cli.options import MACHINE
from hartwell.cli.status import CommandError

if TYPE_CHECKING:
    from hartwell.lab.subject.setting import Setting
    from hartwell.lab.subject.subject import SubjectKind

LOAD, WORK = "The load", "The work"
ALL = "all"

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
Workloads = Annotated[list[str] | None, typer.Option(
    "-w", "--workload", metavar="NAME|all", rich_help_panel=LOAD,
    help="What the allocator is put under (hartwell lab workloads lists them); may be repeated.")]
LAB_MEMORY = "64M"
LabMemory = Annotated[str, typer.Option(
    "-m", "--memory", metavar="SIZE", rich_help_panel=MACHINE,
    help="RAM of the machine; guest code under test gets a quarter of it.")]
LabHarts = Annotated[int, typer.Option(
    "--smp", metavar="N", min=1, max=8, rich_help_panel=MACHINE, help="Number of harts.")]
Html = Annotated[str | None, typer.Option(
    "--html", metavar="FILE", help="Write a page for browsers, too; it needs nothing else.")]


def make_setting(memory: str = LAB_MEMORY, smp: int = 1, timing: str = "off") -> Setting:
    """The machine that the options describe. SizeError, ProfileError or InputFileError says what is wrong with them."""
    from emulator.loader.sizes import parse_size
    from hartwell.cli.options import load_timing
    from hartwell.lab.subject.setting import Setting

    return Setting(harts=smp, memory=parse_size(memory, "-m"), timing=load_timing(timing))


def workload_names(given: Sequence[str] | None, kind: SubjectKind, default: Sequence[str]) -> list[str]:
    """The workloads that the options name, each once: of `all`, those for allocators of `kind`."""
    from hartwell.lab.workload import names

    found: list[str] = []
    for name in given or default:
        found += names(kind) if name == ALL else [name]
    return list(dict.fromkeys(found))


def write_page(path: str, text: str) -> None:
    """Write a page. OutputError if that cannot be done."""
    from hartwell.lab.writing import write_text

    write_text(path, text, "--html")


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
