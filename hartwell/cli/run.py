"""`hartwell run`: a user program on Hartwell's own kernel."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    WHAT, Harts, MaxInsns, Memory, Mmu, Timeout, Timing, load_timing, make_board, parse_count, parse_seconds,
)
from .stats import DEFAULT_PROFILE
from .status import CommandError, say

if TYPE_CHECKING:
    from hartwell.userland import Job, Outcome, Userland
    from hartwell.userland.archive import Entry
    from kernel.process.task import Process

SHOW = "What to show"
PATH = "/bin"
"""Where the program goes, and what PATH says."""


class Ramfs(Enum):
    """How the RamFS keeps contents of files."""

    HEAP = "heap"
    FRAMES = "frames"
    BOTH = "both"


def run(
    program: Annotated[str, typer.Argument(
        metavar="PROGRAM", show_default=False,
        help="A static RV64 Linux program: its path, or the name of one of Hartwell's own (hartwell programs). With "
             "--initrd, a path that is in the archive and begins with a slash.")],
    arguments: Annotated[list[str] | None, typer.Argument(
        metavar="ARGS", show_default=False, help="The program's arguments, dashes and all.")] = None,
    ramfs: Annotated[Ramfs, typer.Option(
        "--ramfs", rich_help_panel=WHAT,
        help="Keep contents of files in one heap object each, or in frames; both: run it both ways, and show a table "
             "of what that changes (rocket's cycles, unless --timing says otherwise).")] = Ramfs.FRAMES,
    initrd: Annotated[str | None, typer.Option(
        "--initrd", metavar="FILE", rich_help_panel=WHAT, help="A cpio archive (newc, also .gz) with more files.")
    ] = None,
    add: Annotated[list[str] | None, typer.Option(
        "--file", metavar="HOST[:GUEST]", rich_help_panel=WHAT,
        help="A file of the host's, to be there under the path GUEST, /NAME by default; repeatable.")] = None,
    link: Annotated[list[str] | None, typer.Option(
        "--link", metavar="NAME", rich_help_panel=WHAT,
        help="One more name for the program in /bin, as busybox has one for each tool; repeatable, or with commas.")
    ] = None,
    environment: Annotated[list[str] | None, typer.Option(
        "--env", metavar="NAME=VALUE", rich_help_panel=WHAT, help="A variable of the environment; repeatable.")] = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    timing: Timing = "off",
    max_insns: MaxInsns = None,
    timeout: Timeout = None,
    strace: Annotated[bool, typer.Option(
        "--strace", rich_help_panel=SHOW,
        help="Show system calls on stderr, as strace does; at the end, those that nobody answers here.")] = False,
    stats: Annotated[bool, typer.Option(
        "--stats", rich_help_panel=SHOW,
        help="At the end, what it took: instructions, cycles, page faults, allocations, copies, memory.")] = False,
    as_json: Annotated[bool, typer.Option(
        "--json", rich_help_panel=SHOW,
        help="At the end, one JSON object on stdout instead of the output; with --stats, allocations and copies, too.")
    ] = False,
) -> int:
    """Run a static RISC-V Linux program in U-mode on Hartwell's kernel.

    Its pages, heap, stack and files are frames of the kernel's allocators, in emulated memory; when it is over,
    all of them have been given back. Standard input, output and error are the program's. At a terminal, Ctrl-C is
    SIGINT for it, [b]Ctrl-A x[/b] ends the run. Options stand in front of PROGRAM.

    \b
    [b]Examples[/b]
      hartwell run cowtest                       one of Hartwell's own programs
      hartwell run ./busybox ls -lR /            … somebody else's
      hartwell run --link sh,cat ./busybox sh    a shell
      hartwell run --file data.txt --link wc ./busybox wc /data.txt
      hartwell run --ramfs both ramfs            the exercise: files on the heap, or in frames
      hartwell run --strace ./a.out              what it asks of the kernel
      hartwell run --stats --timing rocket cowtest

    A program needs to be linked statically: riscv64-linux-gnu-gcc -static hello.c

    \b
    [b]Exit code[/b]
      the program's; 128 + N if signal N killed it; else
      1  Hartwell itself failed              3  watchdog: a limit was reached
      2  a mistake in the command            4  deadlock: every process waits for ever
      130  Ctrl-C (Ctrl-A x ends with 0)
    """
    from hartwell.userland import Job, Userland, archive

    limit = parse_count(max_insns, "--max-insns") if max_insns is not None else None
    seconds = parse_seconds(timeout, "--timeout")
    both = ramfs is Ramfs.BOTH
    profile = load_timing(DEFAULT_PROFILE if both and timing == "off" else timing)
    first = archive.initrd(initrd)
    data, name, usual = _program(program, first)
    board = make_board(smp, memory or usual, mmu)
    entries: list[Entry] = [] if data is None else archive.program(name, data, _names(link))
    entries += [archive.host_file(spec) for spec in add or []]
    job = Job(name if data is None else f"{PATH}/{name}",
              [os.fsencode(program.rsplit("/", 1)[-1]), *map(os.fsencode, arguments or [])],
              _environment(environment or []), program)
    packed = first + archive.pack(entries)
    outcomes = []
    for storage in (Ramfs.HEAP, Ramfs.FRAMES) if both else (ramfs,):
        with closing(Userland(board, profile, packed, storage.value, say)) as user:
            outcome, output, errors = attend(user, job, limit, seconds, strace=strace, quiet=as_json,
                                             counted=stats or both)
        outcomes.append(outcome)
        if outcome.reason not in ("exited", "killed"):
            say(outcome.message)
        if as_json:
            continue
        if strace and outcome.missing:
            say("not answered here (ENOSYS): " + ", ".join(f"{call} ({n})" for call, n in outcome.missing.items()))
        if stats:
            for line in outcome.lines():
                say(line)
    if as_json:
        _print_json(outcomes, output, errors)
    elif both:
        from hartwell.userland.both import table

        for line in table(outcomes):
            print(line)
    return next((outcome.exit_code for outcome in outcomes if outcome.exit_code), 0)


def prepare(program: str, arguments: Sequence[str] | None, add: Sequence[str] | None,
            link: Sequence[str] | None) -> tuple[Job, list[Entry], str | None]:
    """A program that is not in an archive: the job, the files that are to be there, and the memory that it is for."""
    from hartwell.userland import Job, archive

    data, name, usual = _program(program, b"")
    assert data is not None
    entries = [*archive.program(name, data, _names(link)), *(archive.host_file(spec) for spec in add or [])]
    return Job(f"{PATH}/{name}", [os.fsencode(program.rsplit("/", 1)[-1]), *map(os.fsencode, arguments or [])],
               _environment([]), program), entries, usual


def attend(user: Userland, job: Job, limit: int | None, seconds: float | None, *, strace: bool = False,
           quiet: bool = False, counted: bool = False) -> tuple[Outcome, bytes, bytes]:
    """Run it with this process's standard streams; with `quiet`, what it writes is kept, and no terminal is taken."""
    from hartwell.console import Console
    from hartwell.userland import Listeners

    output, errors = bytearray(), bytearray()
    host = Console(user.board.clock_hz, lambda: 0, attached=not quiet)
    host.deadline = time.monotonic() + seconds if seconds is not None else None
    terminals = (False, False, False) if quiet else (os.isatty(0), os.isatty(1), os.isatty(2))
    listeners = Listeners(output.extend if quiet else host.write, errors.extend if quiet else _writer(2),
                          _say_call if strace else None, _say_death, terminals)
    with host:
        outcome = user.run(job, host, listeners, limit=limit, counted=counted)
    if not quiet:
        host.end_line()
    return outcome, bytes(output), bytes(errors)


def _print_json(outcomes: Sequence[Outcome], output: bytes, errors: bytes) -> None:
    from hartwell.views.table import print_json

    texts = {"output": output.decode("utf-8", "backslashreplace"), "errors": errors.decode("utf-8", "backslashreplace")}
    if len(outcomes) == 1:
        print_json({**outcomes[0].as_dict(), **texts})
    else:
        print_json({**{outcome.storage: outcome.as_dict() for outcome in outcomes}, **texts})


def _program(program: str, archived: bytes) -> tuple[bytes | None, str, str | None]:
    """The program's bytes, None if it is in the archive; its name; the memory that it is for, if it says so."""
    from hartwell import programs
    from hartwell.userland import archive

    if archived and program.startswith("/") and archive.holds(archived, program):
        return None, program, None
    found = programs.find(program)
    if found is not None:
        return found.program(), program, found.memory
    if not os.path.exists(program):
        if "/" not in program:
            raise CommandError(f"{program}: no such file, and none of Hartwell's own programs, which are "
                               + ", ".join(programs.names()))
        if archived:
            raise CommandError(f"{program}: no such file, neither in the archive that --initrd names nor on the host")
    from emulator.loader.detect import read_file

    return read_file(program, "program"), os.path.basename(program), None


def _names(link: Sequence[str] | None) -> list[str]:
    names = [name for part in link or [] for name in part.split(",") if name]
    for name in names:
        if "/" in name:
            raise CommandError(f"--link {name}: expected a name without a slash, for a link in {PATH}")
    return names


def _environment(given: Sequence[str]) -> list[bytes]:
    for text in given:
        if "=" not in text[1:]:
            raise CommandError(f"--env {text}: expected NAME=VALUE")
    names = {text.split("=", 1)[0] for text in given}
    return [*([] if "PATH" in names else [f"PATH={PATH}".encode()]), *map(os.fsencode, given)]


def _writer(descriptor: int) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view):]

    return write


def _say_call(line: str) -> None:
    os.write(2, line.encode("utf-8", "backslashreplace") + b"\n")


def _say_death(process: Process, why: str) -> None:
    """Say that the kernel has killed a process; signals that programs send each other are their own business."""
    if " " in why or process.pid == 1:
        say(f"process {process.pid} ({process.name}) killed: {why}")
