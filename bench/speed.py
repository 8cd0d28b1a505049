"""What counting cycles costs: programs without timing, with the reference core's profile, and in QEMU."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from emulator.board import Board
from emulator.loader.detect import load_image
from emulator.timing.profile import Profile

from .measure import PROGRAMS, Figure, interleaved, seconds_of, timed
from .timing import core
from .timing.programs import FOLDER

QEMU = shutil.which("qemu-system-riscv64")
PLUGINS = tuple(f"usr/{folder}/qemu/plugins/libcache.so" for folder in ("lib/*", "lib", "lib64", "local/lib"))
"""Where a distribution may have put QEMU's cache plugin; HARTWELL_QEMU_CACHE_PLUGIN names one that is elsewhere."""
PLUGIN_OPTIONS = "icachesize=16384,iassoc=4,iblksize=64,dcachesize=16384,dassoc=4,dblksize=64"
"""The caches of the reference core."""
PUBLISHED = 49
"""MIPS of QEMU with the cache plugin, as others measured."""
IDLE = FOLDER / "elf" / "empty.elf"
"""Ends at once: what a QEMU that runs it takes is QEMU's start."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Workload:
    """A program, and the MIPS that it must reach with timing (None: reported only)."""

    program: str
    what: str
    required: float | None


WORKLOADS = (
    Workload("registers", "compute loop", 80),
    Workload("memory-8k", "loads and stores over 8 KiB", 40),
    Workload("memory-1m", "loads and stores over 1 MiB", 40),
    Workload("branches", "unpredictable branches and calls", None),
)


def path(program: str) -> Path:
    """The ELF of one of the workloads."""
    return PROGRAMS / f"{program}.elf"


def hartwell(program: str, profile: Profile | None) -> tuple[float, int]:
    """Seconds of the run, and its instructions."""
    machine = core.timed(Board(), profile)
    machine.boot(kernel=load_image(path(program).read_bytes(), program, 0))
    stops = []
    seconds = timed(lambda: stops.append(machine.run()))
    assert stops[0].ok, stops[0]
    count = machine.instructions
    machine.close()
    return seconds, count


def plugin() -> Path | None:
    """QEMU's cache plugin, if it is on this host."""
    named = os.environ.get("HARTWELL_QEMU_CACHE_PLUGIN")
    if named:
        return Path(named)
    return next((found for pattern in PLUGINS for found in sorted(Path("/").glob(pattern))), None)


def qemu(elf: Path, cache: Path | None) -> float:
    """Seconds of QEMU's process that runs `elf`, counting instructions; the plugin `cache` then models caches."""
    assert QEMU is not None
    more = ["-plugin", f"{cache},{PLUGIN_OPTIONS}", "-d", "plugin", "-D", os.devnull] if cache is not None else []
    return seconds_of([QEMU, "-M", "virt", "-icount", "shift=0", "-display", "none", "-serial", "null",
                       "-monitor", "none", "-bios", str(elf), *more])


def alternatives(program: str, cache: Path | None) -> dict[str, Callable[[], float]]:
    """What is measured of a program, by the word for it in the table."""
    found: dict[str, Callable[[], float]] = {"untimed": lambda: hartwell(program, None)[0]}
    if core.MODELLED:
        profile = core.profile(core.REFERENCE)
        found["timed"] = lambda: hartwell(program, profile)[0]
    if QEMU is not None:
        found["QEMU -icount"] = partial(_without_start, program, None)
        if cache is not None:
            found["QEMU with the cache plugin"] = partial(_without_start, program, cache)
    return found


def _without_start(program: str, cache: Path | None) -> float:
    return qemu(path(program), cache) - qemu(IDLE, cache)


def figures() -> list[Figure]:
    """MIPS with timing, beside the others' MIPS and how they compare (above 1: ours is slower)."""
    cache, rows = plugin(), []
    for workload in WORKLOADS:
        count = hartwell(workload.program, None)[1]
        seconds = interleaved(ROUNDS, **alternatives(workload.program, cache))
        mips = {name: count / median / 1e6 for name, median in seconds.items()}
        ours = mips.pop("timed", None)
        notes = [f"{name} {value:.0f} MIPS" + (f" ({value / ours:.1f}x)" if ours else "")
                 for name, value in mips.items()]
        rows.append(Figure(f"{workload.what}, with timing", ours, "MIPS", workload.required, True,
                           "; ".join(notes if ours else ["there is no timing model yet", *notes])))
    if QEMU is None or cache is None:
        why = "QEMU is not installed" if QEMU is None else "this QEMU came without plugins"
        rows.append(Figure("QEMU with its cache plugin", None, "MIPS", note=f"{why}; others measured {PUBLISHED} MIPS"))
    return rows
