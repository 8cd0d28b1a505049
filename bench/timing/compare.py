"""Running the reference programs: the cycles that the model counts beside those that were measured."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from emulator.board import Board
from emulator.loader.detect import load_image
from emulator.timing.profile import Profile

from .core import timed
from .programs import Program

MEMORY = 64 << 20
"""What the test bench of the reference core has."""
MAX_INSNS = 20_000_000
"""Set-up, warm-up and report included, no program needs a tenth of that."""
LINE = re.compile(rb"(\S+) cycles=(\d+) instret=(\d+)\r?\n")


class ProgramError(Exception):
    """A reference program did not do what it does on the reference core: no comparison is possible."""


@dataclass(frozen=True, slots=True)
class Result:
    """A program's region of interest as the model counts it."""

    program: Program
    cycles: int

    @property
    def error(self) -> Fraction:
        """By how many per cent the model is above (or, negative, below) the reference core."""
        return Fraction(100 * (self.cycles - self.program.cycles), self.program.cycles)


def run(program: Program, profile: Profile | None) -> Result:
    """Run a program from reset on one hart, alone in memory, in M-mode.

    ProgramError if it does not end with PASS, or not with its line on the console, or has not retired
    the instructions that it retires on the reference core.
    """
    machine = timed(Board(memory=MEMORY), profile)
    try:
        machine.boot(kernel=load_image(program.path.read_bytes(), program.path.name, 0x8000_0000))
        stop = machine.run(max_insns=MAX_INSNS)
        console = machine.console
    finally:
        machine.close()
    printed = LINE.fullmatch(console)
    if not stop.ok or printed is None or printed[1].decode() != program.name:
        raise ProgramError(f"{program.name}: {stop}, and printed {console[:100]!r}; expected PASS and one line "
                           f"\"{program.name} cycles=N instret=M\"")
    if int(printed[3]) != program.instructions:
        raise ProgramError(f"{program.name}: {int(printed[3])} instructions retired; expected {program.instructions}, "
                           "as on the reference core")
    return Result(program, int(printed[2]))


def compare(chosen: Sequence[Program], profile: Profile | None, jobs: int = 1) -> list[Result]:
    """Run programs, `jobs` at a time; the results are in the order of `chosen`, and do not depend on `jobs`.

    ProgramError as `run`.
    """
    if jobs <= 1 or len(chosen) <= 1:
        return [run(program, profile) for program in chosen]
    # Spawned, not forked: a fork would inherit the engine's library, and the threads of whoever calls.
    with ProcessPoolExecutor(min(jobs, len(chosen)), multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(partial(run, profile=profile), chosen, chunksize=4))
