"""`hartwell stats`: what the cycles of a run went to."""

from __future__ import annotations

from typing import Annotated

import typer

from . import kernel_boot
from .boot import load_machine, run_image
from .kernel_boot import Limits, our_kernel
from .options import (
    Append, Bios, Harts, ImageOrKernel, Initrd, MaxInsns, Memory, Mmu, Timeout, Timing, load_timing, make_board,
    parse_count, parse_seconds,
)
from .software import choose
from .status import CommandError

DEFAULT_PROFILE = "rocket"


def stats(
    image: ImageOrKernel = None,
    bios: Bios = None,
    initrd: Initrd = None,
    append: Append = "",
    memory: Memory = None,
    smp: Harts = None,
    mmu: Mmu = None,
    timing: Timing = DEFAULT_PROFILE,
    max_insns: MaxInsns = None,
    timeout: Timeout = None,
    as_json: Annotated[bool, typer.Option(
        "--json", help="One JSON object instead of tables: the same for every run of the same machine.")] = False,
) -> int:
    """Boot an image without showing its console, then show what its cycles went to.

    For every hart: instructions, cycles and CPI; the share of cycles in which instructions were issued, of
    every cause why none was, and of waiting; misses and mispredictions per 1000 instructions. The first
    line says which core it is, and the error that was measured for it. Of our own kernel's boot, also the
    cycles of every stage.

    \b
    [b]Examples[/b]
      hartwell stats hello                         a test image
      hartwell stats                               the boot of Hartwell's own kernel
      hartwell stats smp-pingpong --smp 4          four harts
      hartwell stats prog.elf --timing mine.toml   a core of one's own (hartwell profiles)
      hartwell stats hello --json                  for programs

    The exit code is the guest's, or boot's for how the run ended.
    """
    from hartwell.views import stages
    from hartwell.views.stats import as_dict, lines
    from hartwell.views.table import can_print, print_json

    limits = Limits(parse_count(max_insns, "--max-insns") if max_insns is not None else None,
                    parse_seconds(timeout, "--timeout"))
    profile = load_timing(timing)
    if profile is None:
        raise CommandError("--timing off: there is nothing to show without a timing profile; hartwell profiles lists "
                           "them")
    software = our_kernel(bios) if image is None else choose(image, None, bios)
    if software.listed is not None:
        smp = software.listed.smp if smp is None else smp
        memory = memory or software.listed.memory
        limits = Limits(limits.instructions or software.listed.max_insns, limits.seconds)
    machine = load_machine(make_board(smp, memory, mmu), profile, software, initrd, append, None)
    try:
        run = kernel_boot.run if image is None else run_image
        done = run(machine, software, limits, None, attached=False)
        assert machine.timing is not None
        counted = machine.timing.stats()
    finally:
        machine.close()
    if as_json:
        print_json({"reason": done.result.reason, "exit_code": done.result.exit_code, **as_dict(counted)})
    else:
        print("\n".join(lines(counted, plain=False, ascii_only=not can_print("█▏"))))
        if done.stages:
            print("\n" + "\n".join(stages.lines(done.stages, plain=False)))
    return done.result.exit_code
