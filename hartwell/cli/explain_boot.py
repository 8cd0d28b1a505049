"""`hartwell explain-boot`: what happens while something boots, and when."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from . import kernel_boot
from .boot import DEFAULT_LIMIT, load_machine
from .kernel_boot import Limits, our_kernel
from .options import (
    Append, Bios, Harts, ImageOrKernel, Initrd, MaxInsns, Memory, Mmu, Timing, load_timing, make_board, parse_count,
)
from .progress import progress
from .report import Run
from .software import Software, choose
from .status import CommandError, outcome, say

if TYPE_CHECKING:
    from emulator.machine import Machine
    from hartwell.explain.places import Places
    from hartwell.explain.recorder import Recorder
    from hartwell.explain.story import Story

FORM = "How to tell it"


def explain_boot(
    image: ImageOrKernel = None,
    bios: Bios = None,
    initrd: Initrd = None,
    append: Append = "",
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    timing: Timing = "off",
    max_insns: MaxInsns = None,
    html: Annotated[str | None, typer.Option(
        "--html", metavar="FILE", rich_help_panel=FORM,
        help="Write the explanation to FILE as one HTML page, which needs nothing else.")] = None,
    as_json: Annotated[bool, typer.Option(
        "--json", rich_help_panel=FORM, help="One JSON object instead of text; addresses are strings: \"0x1000\".")
    ] = False,
) -> int:
    """Boot, and explain it: who ran at which privilege and when, phase by phase, and what each phase built.

    The boot is cut where something new begins: behind the boot ROM, the firmware, a change of satp, at the first
    user program; Hartwell's own kernel says itself where its stages end. Told of each are its cycles and
    instructions, traps, calls to the firmware, what it mapped, and of our own kernel, who has the memory.

    \b
    [b]Examples[/b]
      hartwell explain-boot                            our own kernel
      hartwell explain-boot --html boot.html           … as a page to look at in a browser
      hartwell explain-boot --timing rocket            … with the cycles of a core (hartwell profiles lists them)
      hartwell explain-boot hello                      a test image, on our own firmware
      hartwell explain-boot hello --bios fw_jump.bin   … on somebody else's
      hartwell explain-boot Image --initrd root.cpio.gz -m 512M --max-insns 2G --html linux.html

    The same command says the same, byte for byte, every time; the guest gets no input. Ctrl-C ends the run, and
    what happened until then is explained. The exit code is boot's.
    """
    limit = parse_count(max_insns, "--max-insns") if max_insns is not None else None
    profile = load_timing(timing)
    software = our_kernel(bios) if image is None else choose(image, None, bios)
    if software.listed is not None:
        smp = software.listed.smp if smp is None else smp
        memory = memory or software.listed.memory
        limit = limit or software.listed.max_insns
    if html is not None:
        _require_writable(html)
    board = make_board(smp, memory, mmu)
    machine = load_machine(board, profile, software, initrd, append, None)
    try:
        from hartwell.explain.recorder import Recorder

        first = software.firmware or software.kernel
        assert first is not None
        recorder = Recorder(machine, first.entry, _places(software), ours=image is None,
                            firmware=software.firmware is not None)
        with progress(machine):
            done = _run(machine, recorder, software, limit, ours=image is None)
        recorder.close()
        story = _story(machine, recorder, software, done, image)
    finally:
        machine.close()
    _tell(story, html, as_json)
    return done.result.exit_code


def _run(machine: Machine, recorder: Recorder, software: Software, limit: int | None, *, ours: bool) -> Run:
    """Run the boot to its end or to the limit of instructions."""
    from emulator.stop import Interrupted, Watchdog

    machine.reboot = False
    stop = recorder.leave_rom(limit)
    if stop is None and ours:
        return kernel_boot.run(machine, software, Limits(limit, None), None, attached=False,
                               watch=recorder.stage_ended)
    if stop is None:
        left = (limit or DEFAULT_LIMIT) - machine.instructions
        try:
            stop = machine.run(max_insns=max(0, left))
        except KeyboardInterrupt:  # between two slices, or while a line of progress is written
            stop = Interrupted()
    if isinstance(stop, Watchdog):  # the boot ROM's instructions count, too
        stop = replace(stop, limit=limit or DEFAULT_LIMIT)
    result = outcome(stop)
    if result.worth_telling:
        say(result.message)
    return Run(stop, result, 0.0)


def _places(software: Software) -> Places:
    from hartwell.debug.programs import Programs
    from hartwell.explain.places import Places

    images = [image for image in (software.firmware, software.kernel) if image is not None]
    return Places(Programs(images).symbols, images)


def _story(machine: Machine, recorder: Recorder, software: Software, done: Run, image: str | None) -> Story:
    """What there is to tell of a run of `image`, None for our own kernel."""
    from hartwell import __version__
    from hartwell.explain.kernel_memory import kernel_areas
    from hartwell.explain.story import Story
    from kernel.mm.paging import MODES

    areas: tuple[tuple[str, int, int], ...] = ()
    if image is None:
        modes = {table.satp >> 60 for phase in recorder.phases for table in phase.tables}
        areas = next((kernel_areas(mode) for mode in MODES.values() if mode.satp_mode in modes), ())
    profile = machine.timing.profile if machine.timing is not None else None
    return Story(
        "Hartwell's own kernel" if image is None else image, shlex.join(["hartwell", *sys.argv[1:]]), __version__,
        len(machine.harts), sum(bank.size for bank in machine.board.banks), profile.name if profile else "",
        profile.accuracy if profile else "", done.result.reason, done.result.message, done.result.exit_code,
        tuple(recorder.phases), recorder.timeline, _places(software), areas,
        tuple(hart.cycles for hart in machine.harts), machine.instructions)


def _tell(story: Story, html: str | None, as_json: bool) -> None:
    from hartwell.views.table import print_json

    if html is not None:
        from hartwell.explain.page import page

        text = page(story)
        try:
            with open(html, "w", encoding="utf-8") as out:
                out.write(text)
        except OSError as error:
            raise CommandError(f"--html {html}: {error.strerror}") from None
    if as_json:
        from hartwell.explain.record import as_dict

        print_json(as_dict(story))
    elif html is None:
        from hartwell.explain.text import lines

        print("\n".join(lines(story, plain=False)))
    else:
        say(f"{html}: {len(story.phases)} phases, {story.instructions:,} instructions, {story.cycles:,} cycles")


def _require_writable(path: str) -> None:
    """CommandError, before anything runs, if there can be no such file; nothing is left there."""
    new = not os.path.lexists(path)
    try:
        with open(path, "ab"):
            pass
        if new:
            os.remove(path)
    except OSError as error:
        raise CommandError(f"--html {path}: {error.strerror}") from None
