"""`hartwell boot`: build a machine, load it, run it with the console on this terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from . import gdb, kernel_boot, saving
from .kernel_boot import Limits, our_kernel
from .options import (
    MACHINE, WHAT, WHEN, Append, Bios, Harts, ImageOrKernel, Initrd, MaxInsns, Memory, Mmu, Timeout, Timing,
    load_timing, make_board, open_disks, parse_count, parse_seconds,
)
from .report import Run, show
from .software import Software, choose, placement_hint
from .status import CommandError, Outcome, outcome, say
from .tracing import TraceOptions, parse, tracing

if TYPE_CHECKING:
    from emulator.board import Board
    from emulator.machine import Machine
    from emulator.stop import Stop
    from emulator.timing.profile import Profile
    from hartwell.console import Console

SHOW, KEEP, DEBUG = "What to show", "Save and continue", "Debug"
DEFAULT_LIMIT = 10**12
"""Instructions after which any run ends: some half an hour of a guest that never idles."""


def boot(
    image: ImageOrKernel = None,
    bios: Bios = None,
    kernel: Annotated[str | None, typer.Option(
        "--kernel", metavar="FILE", rich_help_panel=WHAT, help="The same as IMAGE, for a path.")] = None,
    initrd: Initrd = None,
    append: Append = "",
    disk: Annotated[list[str] | None, typer.Option(
        "--disk", metavar="FILE", rich_help_panel=WHAT,
        help="A virtio disk with this file's contents; up to eight. The guest's writes go to the file.")] = None,
    snapshot: Annotated[bool, typer.Option(
        "--snapshot", rich_help_panel=WHAT, help="Keep the guest's writes to disks in memory.")] = False,
    dtb: Annotated[str | None, typer.Option(
        "--dtb", metavar="FILE", rich_help_panel=WHAT,
        help="A device tree to use instead of the machine's own.")] = None,
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    quantum: Annotated[int | None, typer.Option(
        "--quantum", metavar="N", rich_help_panel=MACHINE, show_default="20000",
        help="Cycles that one hart may be ahead of another: less interleaves them more finely, and costs speed.")
    ] = None,
    timing: Timing = "off",
    max_insns: MaxInsns = None,
    timeout: Timeout = None,
    no_reboot: Annotated[bool, typer.Option(
        "--no-reboot", rich_help_panel=WHEN, help="Stop when the guest asks for a reset.")] = False,
    trace: Annotated[str | None, typer.Option(
        "--trace", metavar="KINDS", rich_help_panel=SHOW,
        help="Show insns, traps, mmio, csr (writes) or xret (mret and sret); several with commas, or all.")] = None,
    trace_file: Annotated[str | None, typer.Option(
        "--trace-file", metavar="FILE", rich_help_panel=SHOW, show_default="stderr",
        help="Where the trace goes.")] = None,
    trace_range: Annotated[str | None, typer.Option(
        "--trace-range", metavar="A..B|SYMBOL", rich_help_panel=SHOW,
        help="Trace only while the pc is in this range of addresses, or in this function.")] = None,
    stats: Annotated[bool, typer.Option(
        "--stats", rich_help_panel=SHOW, help="At the end, instructions, cycles and traps of every hart, and "
                                                          "with --timing what the cycles went to.")] = False,
    dump_ram: Annotated[str | None, typer.Option(
        "--dump-ram", metavar="FILE", rich_help_panel=SHOW,
        help="At the end, write what is in RAM to FILE: for --ram of memmap, buddyinfo, pagetable and others.")] = None,
    save: Annotated[str | None, typer.Option(
        "--save", metavar="FILE", rich_help_panel=KEEP,
        help="At the end, whatever ends the run, write a snapshot of the machine to FILE. Disks' files are not in it.")
    ] = None,
    load: Annotated[str | None, typer.Option(
        "--load", metavar="FILE", rich_help_panel=KEEP,
        help="Go on from a snapshot, instead of booting. With the same --disk options, and none that say what the "
             "machine is like.")] = None,
    gdb_at: Annotated[str | None, typer.Option(
        "--gdb", metavar="[HOST:]PORT", rich_help_panel=DEBUG,
        help="Serve GDB and LLDB there (port 0: any), forwards and backwards. HOST is 127.0.0.1 unless given.")] = None,
    wait: Annotated[bool, typer.Option(
        "-S", "--wait", rich_help_panel=DEBUG,
        help="Hold the machine at its reset vector until a debugger lets it run.")] = False,
    as_json: Annotated[bool, typer.Option(
        "--json", rich_help_panel=SHOW,
        help="At the end, one JSON object on stdout instead of the console: the same for every run of the same "
             "machine. With --stats, host seconds too.")] = False,
) -> int:
    """Boot an image and talk to it; [b]Ctrl-A x[/b] ends the run, [b]Ctrl-A h[/b] shows the keys.

    Without an image, Hartwell's own kernel boots: its console shows what every stage has built,
    then the run ends. Limits are looked at between its stages, and its input is nobody's.

    \b
    [b]Examples[/b]
      hartwell boot                            our own kernel
      hartwell boot --smp 4 -m 1G --stats      … with four harts, and what it cost
      hartwell boot --dump-ram after.ram       … to look at with hartwell memmap --ram after.ram
      hartwell boot hello                      a test image, on our own firmware
      hartwell boot smp-pingpong --smp 4       four harts
      hartwell boot hello --trace traps        what traps on the way
      hartwell boot hello --timing rocket      how many cycles it takes on a core (hartwell profiles lists them)
      hartwell boot --bios none mhello         M-mode, no firmware at all
      hartwell boot --bios fw_jump.bin hello   somebody else's firmware
      hartwell boot kernel.elf --disk fs.img   a kernel with a disk
      hartwell boot Image --initrd root.cpio.gz --append console=ttyS0 -m 512M
      hartwell boot timer --max-insns 4M --save now.snap
      hartwell boot --load now.snap            … goes on from there, as if it had not stopped
      hartwell boot hello --gdb 1234 -S        wait at the reset vector for gdb-multiarch

    \b
    [b]Exit code[/b]
      the guest's own (modulo 256, 255 for a failure that would be 0): 0 when it shut down in order; else
      1  Hartwell itself failed              4  deadlock: no hart can ever wake
      2  a mistake in the command            5  trap loop: a handler that traps
      3  watchdog: a limit was reached       130  Ctrl-C (Ctrl-A x ends with 0)
    """
    traced = parse(trace, trace_file, trace_range)
    debugged = gdb.parse(gdb_at, wait)
    if debugged is not None and traced is not None:
        raise CommandError("--trace and --gdb: a trace is of a run that only goes forwards; give one of them")
    seconds = parse_seconds(timeout, "--timeout")
    limit = parse_count(max_insns, "--max-insns") if max_insns is not None else None
    profile = load_timing(timing)
    ours = image is None and kernel is None and load is None
    if save is not None:
        saving.require_savable(save)
    if load is not None:
        software = Software(None, None, None)
    else:
        software = our_kernel(bios) if ours else choose(image, kernel, bios)
    if software.listed is not None:
        smp = software.listed.smp if smp is None else smp
        memory = memory or software.listed.memory
        limit = limit or software.listed.max_insns
    if dump_ram is not None:
        _require_writable(dump_ram)
    disks = open_disks(disk or [], snapshot)
    if load is not None:
        given = {"IMAGE": image, "--kernel": kernel, "--bios": bios, "--initrd": initrd, "--append": append,
                 "--dtb": dtb, "-m": memory, "--smp": smp, "--mmu": mmu, "--quantum": quantum, "--timing": profile}
        machine = saving.continued(load, given, disks)
    else:
        board = make_board(smp, memory, mmu, quantum, disks)
        machine = load_machine(board, profile, software, initrd, append, dtb)
    machine.reboot = not no_reboot
    try:
        limits = Limits(limit, seconds)
        if debugged is not None:
            done = gdb.run(machine, software, limits, debugged, ours=ours, attached=not as_json)
        else:
            run = kernel_boot.run if ours else run_image
            done = run(machine, software, limits, traced, attached=not as_json)
        show(machine, done, stats, as_json)
        if save is not None:
            saving.save(machine, save, done.stop)
        if dump_ram is not None:
            from emulator import ramdump

            ramdump.save(machine, dump_ram)
        return done.result.exit_code
    finally:
        machine.close()


def _require_writable(path: str) -> None:
    """CommandError, before anything runs, if there can be no such file; one that is there keeps its contents."""
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise CommandError(f"--dump-ram {path}: {error.strerror}") from None


def load_machine(board: Board, profile: Profile | None, software: Software, initrd: str | None, append: str,
                 dtb: str | None) -> Machine:
    """A machine with everything in its memory."""
    from emulator.errors import PlacementError
    from emulator.loader.detect import read_file
    from emulator.machine import Machine

    initrd_data = read_file(initrd, "initrd") if initrd is not None else None
    tree = _read_tree(dtb) if dtb is not None else None
    machine = Machine(board, profile, notice=say)
    try:
        machine.boot(kernel=software.kernel, firmware=software.firmware, initrd=initrd_data, bootargs=append,
                     device_tree=tree)
    except PlacementError as error:
        machine.close()
        raise CommandError(f"{error}{placement_hint(software)}") from None
    return machine


def _read_tree(path: str) -> bytes:
    """A device tree from a file; it is parsed here so that errors name the file."""
    from emulator.devicetree import parse as parse_tree
    from emulator.loader.detect import read_file

    data = read_file(path, "device tree")
    parse_tree(data, path)
    return data


def run_image(machine: Machine, software: Software, limits: Limits, traced: TraceOptions | None, *,
              attached: bool) -> Run:
    """Run what is loaded in `machine`, if it is `attached` with its console on this terminal."""
    from hartwell.console import Console

    limit, seconds = limits.instructions or DEFAULT_LIMIT, limits.seconds
    console = Console(machine.board.clock_hz, lambda: machine.uart.input_left, attached=attached)
    machine.on_output = console.write if attached else None
    machine.feed(console.at_start)
    with tracing(machine, software, traced):
        started = time.monotonic()
        console.deadline = started + seconds if seconds is not None else None
        with console:
            stop, result = _until_stop(machine, console, limit, seconds)
        took = time.monotonic() - started
    if attached:
        console.end_line()
    if result.worth_telling:
        say(result.message)
    return Run(stop, result, took)


def _until_stop(machine: Machine, console: Console, limit: int | None,
                seconds: float | None) -> tuple[Stop, Outcome]:
    """Run; the keyboard's ways to end a run are stops like any other."""
    from emulator.stop import Interrupted
    from hartwell.console import QuitError

    try:
        stop = machine.run(max_insns=limit, timeout=seconds, poll=console.poll)
    except KeyboardInterrupt:
        stop = Interrupted()
    except QuitError:
        stop = Interrupted()
        return stop, Outcome("interrupted", 0, str(stop))
    return stop, outcome(stop)
