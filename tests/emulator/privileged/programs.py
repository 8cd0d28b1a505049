"""The guest programs of `tests/emulator/programs`: their checks by name, and what a run said of each."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from emulator.board import Board
from emulator.engine import layout
from emulator.range import Range
from emulator.trace import TraceKind, Tracer
from tests.helpers import qemu
from tests.helpers.machines import load, timed

FOLDER = Path(__file__).resolve().parents[1] / "programs"
PROGRAMS = ("traps", "status", "paging", "crossing", "pmp", "pmplock", "counters", "interrupts", "plic", "csrs",
            "atomics", "code", "fp")
"""The programs made of named checks; FOLDER has others, which only end well or not."""
LIMIT = 20_000_000
"""Instructions within which every program ends."""

Results = dict[str, str]
"""By a check's name: "" if it held, else what was found."""


def elf(program: str) -> Path:
    """A program as it was built."""
    return FOLDER / f"{program}.elf"


def checks(program: str) -> list[str]:
    """The names of a program's checks, in order."""
    return re.findall(r'^ *CHECK\("(.*)"\)', (FOLDER / f"{program}.S").read_text(), re.MULTILINE)


def _results(console: bytes, end: str) -> Results:
    found: Results = {}
    for line in console.decode(errors="replace").splitlines():
        if match := re.match(r"(not )?ok \d+ (.*)", line):
            name, _, why = match[2].partition(": line ") if match[1] else (match[2], "", "")
            if match[1] and not why:
                name, _, why = match[2].partition(": unexpected trap")
            found[name] = f"line {why}" if match[1] else ""
    found["(end)"] = end
    return found


@functools.cache
def on_hartwell(program: str, fast_stores: bool = True, profile: str | None = None, traced: bool = False) -> Results:
    """Run a program here: with the engine's fallback for stores, its cycles counted, its instructions traced."""
    machine = timed(Board(), profile)
    try:
        if not fast_stores:
            machine.engine.set_word(layout.M_FAST_STORES, 0)
        machine.boot(kernel=load(elf(program)))
        if traced:
            Tracer(machine, frozenset({TraceKind.INSNS}), lambda line: None, where=Range(0, 1))  # recorded, not shown
        stop = machine.run(max_insns=LIMIT)
        return _results(machine.console, str(stop))
    finally:
        machine.close()


@functools.cache
def on_qemu(program: str) -> Results:
    """Run a program on QEMU, with a clock that counts instructions."""
    line = qemu.command(bios="none", kernel=elf(program), more=("-icount", "shift=0,sleep=off"))
    console, code = qemu.run(line)
    return _results(console, f"exit code {code}")


def verdict(results: Results, check: str) -> str:
    """What there is against a check: "" if it held."""
    return results.get(check, f"the program ended before this check: {results['(end)']}")
