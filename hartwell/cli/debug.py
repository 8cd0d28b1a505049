"""`hartwell debug`: a machine under the debugger, at a prompt or led by scripts."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .boot import load_machine
from .kernel_boot import our_kernel
from .options import (
    MACHINE, WHAT, Append, Bios, Harts, ImageOrKernel, Initrd, MaxInsns, Memory, Mmu, Timing, load_timing,
    make_board, open_disks, parse_count,
)
from .saving import continued
from .software import Software, choose
from .status import INTERNAL, INTERRUPTED, CommandError, say

if TYPE_CHECKING:
    from emulator.machine import Machine
    from hartwell.debug.replaying import Replaying
    from hartwell.debug.session import Session
    from kernel.track import Tracker

HOW = "How to debug"


def debug(
    image: ImageOrKernel = None,
    bios: Bios = None,
    kernel: Annotated[str | None, typer.Option(
        "--kernel", metavar="FILE", rich_help_panel=WHAT, help="The same as IMAGE, for a path.")] = None,
    initrd: Initrd = None,
    append: Append = "",
    disk: Annotated[list[str] | None, typer.Option(
        "--disk", metavar="FILE", rich_help_panel=WHAT,
        help="A virtio disk with this file's contents; up to eight. The guest's writes stay in memory, so that they "
             "can be undone.")] = None,
    load: Annotated[str | None, typer.Option(
        "--load", metavar="FILE", rich_help_panel=WHAT,
        help="Go on from a snapshot, instead of booting. IMAGE then only tells of symbols.")] = None,
    replay: Annotated[str | None, typer.Option(
        "--replay", metavar="FILE", rich_help_panel=WHAT,
        help="A failure of an allocator, found by the lab (hartwell lab search --save FILE): begin where it fails.")
    ] = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    timing: Timing = "off",
    max_insns: MaxInsns = None,
    track: Annotated[bool, typer.Option(
        "--track", rich_help_panel=MACHINE,
        help="Record who allocates and frees each frame and heap slot of Hartwell's kernel, and when: the commands "
             "frame and heap show it.")] = False,
    command: Annotated[list[str] | None, typer.Option(
        "--command", "-x", metavar="FILE", rich_help_panel=HOW,
        help="Run the commands in FILE, up to the first that fails. Several files in order.")] = None,
    execute: Annotated[list[str] | None, typer.Option(
        "--execute", "-ex", metavar="CMD", rich_help_panel=HOW, help="Run a command, behind those in files.")] = None,
    batch: Annotated[bool, typer.Option(
        "--batch", rich_help_panel=HOW, help="Then end, without a prompt.")] = False,
    gdb: Annotated[str | None, typer.Option(
        "--gdb", metavar="[HOST:]PORT", rich_help_panel=HOW,
        help="With --replay: no commands here, but a server for GDB and LLDB, at the failure.")] = None,
    directories: Annotated[list[str] | None, typer.Option(
        "--directory", "-d", metavar="DIR", rich_help_panel=HOW,
        help="Look for source files in DIR before the places that the program names.")] = None,
) -> int:
    """Step through a boot, forwards and backwards, from the first instruction on.

    Without an image it is Hartwell's own kernel: its boot stages and the operations of its memory manager are
    places to stop at, too, and its memory can be looked at in its own terms.

    \b
    [b]A first session[/b]
      hartwell debug hello            at the reset vector; nothing has run yet
      (hartwell) b kernel_main        commands as in gdb: b, c, s, si, n, ni, fin, x, p, info, watch, bt
      (hartwell) c
      (hartwell) rsi                  one instruction back; rc, rs, rn, rni, rfin are the other ways back
      (hartwell) last-write $sp 8     who has written there last, and when
      (hartwell) goto write           … to just before it
      (hartwell) help                 all commands; help COMMAND teaches one

    \b
    [b]Hartwell's own kernel[/b]
      hartwell debug -ex "b stage:heap" -ex c     before the stage heap, with what Python knows there
      (hartwell) memmap               frame PA, buddy, slab, heap ADDR, pt VA, vmmap: memory in the kernel's terms
      (hartwell) diff                 what has changed in it since the last stop

    \b
    [b]Examples of scripts[/b]
      hartwell debug hello --command boot.cmd --batch
      echo "info registers" | hartwell debug hello

    What the guest prints appears in between. Standard input is the debugger's; the command [b]type[/b] gives the
    guest input. Ctrl-C stops the run, and not the debugger. Without a terminal nothing is coloured, no prompt is
    printed, and the output depends on the machine only.

    \b
    [b]Exit code[/b]
      0 at the end of the commands, or what quit says; 1 if one failed, which ends a script
      2 a mistake on the command line; 130 if Ctrl-C ended a script
    """
    interactive = sys.stdin.isatty() and not batch
    scripts = [_script(path) for path in command or []]
    limit = parse_count(max_insns, "--max-insns") if max_insns is not None else None
    profile = load_timing(timing)
    disks = open_disks(disk or [], snapshot=True)
    if replay is not None:
        given = {"IMAGE": image, "--bios": bios, "--kernel": kernel, "--initrd": initrd, "--append": append,
                 "--disk": disk, "--load": load, "-m": memory, "--smp": smp, "--mmu": mmu, "--timing": profile,
                 "--max-insns": limit, "--track": track}
        leave = [name for name, value in given.items() if value]
        if gdb is not None:
            return _serve_replay(replay, leave, gdb)
        return _debug_replay(replay, leave, interactive=interactive, scripts=scripts, lines=execute or [], batch=batch,
                             directories=[Path(each) for each in directories or []])
    if gdb is not None:
        raise CommandError("--gdb: this is for --replay; hartwell boot --gdb serves a boot")
    ours = image is None and kernel is None and load is None
    for directory in directories or []:
        if not Path(directory).is_dir():
            raise CommandError(f"--directory {directory}: expected the name of a folder")
    if track and not ours:
        raise CommandError("--track: only Hartwell's own kernel tells what it allocates; leave the image away")
    if load is not None:
        given = {"--initrd": initrd, "--append": append, "-m": memory, "--smp": smp, "--mmu": mmu, "--timing": profile}
        machine = continued(load, given, disks, to_look=True)
        software = _symbols_of_snapshot(machine, image, kernel, bios)
    else:
        software = our_kernel(bios) if ours else choose(image, kernel, bios)
        if software.listed is not None:
            smp = software.listed.smp if smp is None else smp
            memory = memory or software.listed.memory
        machine = load_machine(make_board(smp, memory, mmu, None, disks), profile, software, initrd, append, None)
    with ExitStack() as stack:
        stack.callback(machine.close)
        return _debug(stack, machine, software, ours=ours, track=track, limit=limit, interactive=interactive,
                      directories=[Path(each) for each in directories or []], scripts=scripts,
                      lines=execute or [], batch=batch)


def _script(path: str) -> Path:
    """A script that can be read; CommandError, before anything runs, if it cannot."""
    try:
        with open(path, encoding="utf-8") as file:
            file.read()
    except OSError as error:
        raise CommandError(f"--command {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"--command {path}: not a text file: expected commands, in UTF-8") from None
    return Path(path)


def _symbols_of_snapshot(machine: Machine, image: str | None, kernel: str | None, bios: str | None) -> Software:
    """What is known of a snapshot's programs: what the command line names, or our own kernel, if it is in there."""
    from kernel.attaching import phase_in
    from kernel.errors import KernelError

    if image is not None or kernel is not None:
        return choose(image, kernel, bios)
    with suppress(KernelError):
        if phase_in(machine.bus) is not None:
            return our_kernel(None)
    return Software(None, None, None)


def _debug(stack: ExitStack, machine: Machine, software: Software, *, ours: bool, track: bool, limit: int | None,
           interactive: bool, directories: list[Path], scripts: list[Path], lines: list[str], batch: bool) -> int:
    """The session, from its first command to its end."""
    from emulator.debug import Target
    from hartwell.debug.idle import no_input
    from hartwell.debug.kernel_program import boot_kernel
    from hartwell.debug.palette import Palette
    from hartwell.debug.programs import Programs
    from hartwell.debug.screen import Screen
    from hartwell.debug.session import Session

    screen = Screen(interactive=interactive)
    stack.callback(screen.end)
    machine.on_output = screen.guest
    machine.reboot = True
    tracker: Tracker | None = None
    if track:
        from kernel.track import Tracker

        tracker = Tracker(machine)
    target = stack.enter_context(Target(
        machine, boot_kernel(tracker) if ours else None, poll=no_input(machine), max_insns=limit))
    colours = interactive and sys.stdout.isatty()
    session = Session(target, Programs(software.images, directories), screen.say, palette=Palette(colours),
                      context=interactive, tracker=tracker)
    return _lead(session, scripts, lines, interactive=interactive, batch=batch)


def _debug_replay(path: str, given: list[str], *, interactive: bool, directories: list[Path], scripts: list[Path],
                  lines: list[str], batch: bool) -> int:
    """The session of a replay; `given` are options that a replay leaves no choice of."""
    from emulator.debug import Target
    from hartwell.debug.palette import Palette
    from hartwell.debug.programs import Programs
    from hartwell.debug.screen import Screen
    from hartwell.debug.session import Session

    replaying = _replaying(path, given)
    if replaying.replay.elf() is not None:  # its sources are beside it
        directories = [*directories, Path(replaying.replay.located).parent]
    with ExitStack() as stack:
        machine = replaying.machine()
        stack.callback(machine.close)
        screen = Screen(interactive=interactive)
        stack.callback(screen.end)
        machine.reboot = True
        target = stack.enter_context(Target(machine, replaying.program))
        session = Session(target, Programs(replaying.images(), directories), screen.say, context=False,
                          palette=Palette(interactive and sys.stdout.isatty()))
        session.marks = tuple(f"operation:{number}" for number in range(len(replaying.operations)))
        for line in replaying.introduction():
            session.out(line)
        session.move(lambda: replaying.go_to_failure(target))
        for hint in replaying.hints():
            session.out(f"  {hint}")
        session.settings.context = interactive
        return _lead(session, scripts, lines, interactive=interactive, batch=batch)


def _replaying(path: str, given: list[str]) -> Replaying:
    """The failure in a replay file, which has been seen again. CommandError if there is none any more."""
    from hartwell.debug.replaying import Replaying
    from hartwell.lab.search.replay import Replay

    if given:
        raise CommandError(f"--replay {path}: says itself what runs, and on which machine; leave {', '.join(given)} "
                           "away")
    replay = Replay.load(path)
    replayed = replay.run()
    if replayed.changed:
        say(f"{replay.located} is not what it was when {path} was written")
    if replayed.finding is None:
        raise CommandError(f"--replay {path}: {replay.located} passes now: there is no failure to look at "
                           f"(it was {replay.finding})")
    return Replaying(replay, replayed.finding)


def _serve_replay(path: str, given: list[str], place: str) -> int:
    """A server for gdb, with the machine at the failure, until gdb has had enough."""
    from contextlib import closing

    from emulator.debug import Target
    from emulator.gdb import Attention

    from .gdb import listen, parse, serve
    from .monitor import commands

    options = parse(place, True)
    assert options is not None
    replaying = _replaying(path, given)
    with listen(options) as listener, closing(replaying.machine()) as machine:
        attention = Attention(listener, machine.board.clock_hz, None, None)
        with Target(machine, replaying.program, glance=attention.glance) as target:
            replaying.go_to_failure(target)
            for line in replaying.introduction():
                print(line, flush=True)
            elf = replaying.replay.located if replaying.replay.elf() is not None else None
            serve(target, attention, held=True, elf=elf, monitor=commands(target, replaying.images()))
    return 0


def _lead(session: Session, scripts: list[Path], lines: list[str], *, interactive: bool, batch: bool) -> int:
    """Scripts, then commands, then the prompt, or what is piped."""
    from hartwell.debug.errors import DebugError
    from hartwell.debug.interrupting import interruptible
    from hartwell.debug.script import ScriptInterrupted, run_lines, run_script, stdin_lines

    def complain(text: str) -> None:
        sys.stdout.flush()
        say(f"error: {text}")

    try:
        with interruptible(session.machine):
            for path in scripts:
                if session.exit_code is None:
                    run_script(session, path)
            for line in lines:
                if session.exit_code is None:
                    run_lines(session, [line], f"-ex {line}")
            if not interactive and not batch and session.exit_code is None:
                run_lines(session, stdin_lines(), "<stdin>")
    except DebugError as why:
        complain(str(why))
        if not interactive or isinstance(why, ScriptInterrupted):
            return INTERRUPTED if isinstance(why, ScriptInterrupted) else INTERNAL
    except KeyboardInterrupt:
        return INTERRUPTED
    if interactive and session.exit_code is None:
        from hartwell.debug.prompt import talk
        from hartwell.debug.stopping import show_place

        if not scripts and not lines:
            session.out("help lists the commands; b PLACE and c go somewhere")
            show_place(session)
        talk(session, complain)
    return session.exit_code or 0
