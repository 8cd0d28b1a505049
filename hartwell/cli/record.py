"""`hartwell record`: what a real boot, or a real program, asks of the allocators, for the lab."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from . import run as run_program
from .options import MACHINE, WHAT, Harts, Memory, make_board, parse_count
from .status import CommandError, say

if TYPE_CHECKING:
    from hartwell.lab.workload.recorder import Recorder

app = typer.Typer(name="record", no_args_is_help=True,
                  help="Record what a boot or a program asks of the allocators: a workload for the lab.")

Out = Annotated[str, typer.Option(
    "-o", "--output", metavar="FILE.trace", show_default=False, help="Where the trace goes.")]
Most = Annotated[str | None, typer.Option(
    "--most", metavar="N", show_default="all",
    help="Record the first N operations of frames, and of the heap.")]


@app.command("boot")
def boot(output: Out, memory: Memory = None, smp: Harts = None, most: Most = None) -> int:
    """Boot Hartwell's kernel, and record what its boot asks of the allocators of frames and of the heap.

    \b
    [b]Examples[/b]
      hartwell record boot -o boot.trace
      hartwell lab trial ./mine.elf -w boot.trace      an allocator under it
    """
    from emulator.machine import Machine
    from hartwell.lab.workload.recorder import Recorder
    from kernel import Choices, Kernel

    recorder = Recorder(_most(most))
    machine = Machine(make_board(smp, memory, None))
    with closing(machine), Kernel.boot(machine, Choices(operations=recorder)):
        pass
    return _save(recorder, "hartwell record boot", output)


@app.command("run", context_settings={"allow_interspersed_args": False})
def run(
    program: Annotated[str, typer.Argument(
        metavar="PROGRAM", show_default=False,
        help="A static RV64 Linux program: its path, or the name of one of Hartwell's own (hartwell programs).")],
    output: Out,
    arguments: Annotated[list[str] | None, typer.Argument(
        metavar="ARGS", show_default=False, help="The program's arguments, dashes and all.")] = None,
    ramfs: Annotated[run_program.Ramfs, typer.Option(
        "--ramfs", rich_help_panel=WHAT, help="Keep contents of files on the heap, or in frames.")
    ] = run_program.Ramfs.FRAMES,
    add: Annotated[list[str] | None, typer.Option(
        "--file", metavar="HOST[:GUEST]", rich_help_panel=WHAT,
        help="A file of the host's, to be there under the path GUEST, /NAME by default; repeatable.")] = None,
    link: Annotated[list[str] | None, typer.Option(
        "--link", metavar="NAME", rich_help_panel=WHAT,
        help="One more name for the program in /bin; repeatable, or with commas.")] = None,
    memory: Annotated[str | None, typer.Option(
        "-m", "--memory", metavar="SIZE", rich_help_panel=MACHINE, help="RAM.", show_default="as the program says")
    ] = None,
    most: Most = None,
) -> int:
    """Run a user program (as hartwell run does), and record what the kernel asks of its allocators for it.

    Its pages, page tables, files and the kernel's own objects are in the trace. Options stand in front of PROGRAM.

    \b
    [b]Examples[/b]
      hartwell record run -o fork.trace forktest
      hartwell record run -o sh.trace --link sh,ls ./busybox sh -c 'ls -lR /'
      hartwell lab trial buddy -w fork.trace -n 100k     again and again, until there are so many

    The exit code is the program's.
    """
    from hartwell.lab.workload.recorder import Recorder
    from hartwell.userland import Userland, archive

    if ramfs is run_program.Ramfs.BOTH:
        raise CommandError("--ramfs both: one run is recorded; expected heap or frames")
    recorder = Recorder(_most(most))
    job, entries, usual = run_program.prepare(program, arguments, add, link)
    with closing(Userland(make_board(None, memory or usual, None), None, archive.pack(entries), ramfs.value,
                          say)) as user:
        user.kernel.mm.operations = recorder
        outcome, _, _ = run_program.attend(user, job, None, None)
    if outcome.reason not in ("exited", "killed"):
        say(outcome.message)
    words = " ".join(["hartwell record run", *(["--ramfs heap"] if ramfs is run_program.Ramfs.HEAP else []),
                      program.rsplit("/", 1)[-1], *(arguments or [])])
    return _save(recorder, words, output) or outcome.exit_code


def _most(text: str | None) -> int | None:
    return None if text is None else parse_count(text, "--most")


def _save(recorder: Recorder, source: str, output: str) -> int:
    from hartwell.lab.subject import SubjectKind

    frames, heap = (recorder.count(kind) for kind in SubjectKind)
    if not frames and not heap:
        raise CommandError(f"{source}: nothing was asked of any allocator; there is nothing to be recorded")
    recorder.trace(source).save(output)
    say(f"{output}: {frames:,} operations of frames, {heap:,} of the heap")
    return 0
