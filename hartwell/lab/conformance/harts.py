"""Checks of the third level: several CPUs, in turn and at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import RESULT, Kind, Operations, Program, Results, handles_of
from hartwell.lab.oracle.shadow import Shadow
from hartwell.lab.subject.guest import GuestSubject
from hartwell.lab.trial import Trial
from hartwell.lab.workload import workload

from .bench import Bench, named

CPUS: Final = 3
"""CPUs of these checks' machines, at least."""
TURNS: Final = 24
"""How often the next CPU goes on."""
QUANTUM: Final = 701
"""Cycles after which the next hart runs, where several do at once."""


def in_turn(bench: Bench) -> list[Finding]:
    """Each CPU does a piece of a program; blocks that one has allocated are given back by others."""
    trial = bench.other(harts=max(CPUS, bench.subject.setting.harts))
    operations = workload("random").operations(trial.subject.kind, bench.pristine(trial).pristine.size,
                                               bench.count(OPERATIONS), bench.seed)
    found = _turns(bench, trial, operations, max(len(operations) // TURNS, 1))
    return found or _turns(bench, trial, _handed_over(bench), max(bench.count(4 * BATCH) // 2, 1))


OPERATIONS: Final = 3000
BATCH: Final = 256
"""Blocks that one CPU allocates for another."""


def _handed_over(bench: Bench) -> Operations:
    """One CPU allocates, the next one gives back: caches of a CPU only ever fill, or only ever empty."""
    program = Program()
    count = bench.count(2 * BATCH)
    for turn in range(6):
        held = [program.alloc(bench.least if turn % 2 else 4 * bench.least, bench.least) for _ in range(2 * count)]
        for handle in held:
            program.dealloc(handle)
    return program.operations


def _turns(bench: Bench, trial: Trial, operations: Operations, piece: int) -> list[Finding]:
    """Do a program in pieces, each on the next CPU; judged as a whole."""
    subject = trial.subject
    pristine = bench.pristine(trial)
    subject.reset()
    shadow = Shadow(subject.memory, subject.kind, max(handles_of(operations), 1), pristine.largest)
    for number, begin in enumerate(range(0, len(operations), piece)):
        cpu, part = number % subject.cpus, operations[begin:begin + piece]
        found = _part(shadow, trial, part, cpu)
        bench.operations += len(part)
        if found:
            return [named(_later(finding, begin), f"on CPU {cpu}") for finding in found]
    program = Program()
    for handle, _, _ in shadow.blocks():
        program.dealloc(handle)
    for number, begin in enumerate(range(0, len(program), piece)):
        if found := _part(shadow, trial, program.operations[begin:begin + piece], number % subject.cpus):
            return [replace(finding, operation=None) for finding in found]
    return pristine.check(subject, 0)


def _part(shadow: Shadow, trial: Trial, part: Operations, cpu: int) -> list[Finding]:
    results = np.zeros(len(part), dtype=RESULT)
    failed: list[Finding] = []
    try:
        results = trial.subject.run(part, cpu)
    except SubjectFailed as why:
        failed = [why.finding]
        if why.partial is not None:
            results[:len(why.partial)] = why.partial
    return shadow.follow(part, results) + failed


def _later(finding: Finding, by: int) -> Finding:
    return finding if finding.operation is None else replace(finding, operation=finding.operation + by)


# --- at once ----------------------------------------------------------------------------------------------------


def at_once(bench: Bench) -> list[Finding]:
    """All CPUs call it at the same time; each is interrupted in the middle of it, again and again.

    Python code cannot be: there the CPUs take turns at every operation.
    """
    trial = bench.other(harts=max(CPUS, bench.subject.setting.harts), quantum=QUANTUM)
    if not isinstance(trial.subject, GuestSubject):
        operations = workload("random").operations(trial.subject.kind, bench.pristine(trial).pristine.size,
                                                   bench.count(OPERATIONS), bench.seed + 1)
        return _turns(bench, trial, operations, 1)
    subject, pristine = trial.subject, bench.pristine(trial)
    subject.reset()
    programs = _programs(bench, subject, pristine.pristine.size)
    try:
        results = subject.run_together(programs)
    except SubjectFailed as why:
        return [replace(why.finding, operation=None)]
    bench.operations += sum(map(len, programs))
    return _judge(subject, programs, results) or pristine.check(subject, 0)


def _programs(bench: Bench, subject: GuestSubject, memory: int) -> list[Operations]:
    """A program for each CPU but the first, on handles of its own; it keeps some blocks to the end."""
    others = subject.cpus - 1
    programs: list[Operations] = []
    base = 0
    for number in range(others):
        made = workload(("random", "power-law", "bimodal")[number % 3]).operations(
            subject.kind, memory // others, bench.count(OPERATIONS), bench.seed + number)
        used = handles_of(made)
        made["handle"] += base
        split = made["kind"] == Kind.SPLIT
        made["size"][split] += np.uint64(base)
        base += used
        programs.append(made)
    return programs


def _judge(subject: GuestSubject, programs: list[Operations], results: list[Results]) -> list[Finding]:
    """Each CPU by itself, then all blocks that are left together, and then they are given back."""
    left: list[tuple[int, int, int, int]] = []
    for cpu, (operations, gave) in enumerate(zip(programs, results, strict=True), start=1):
        shadow = Shadow(subject.memory, subject.kind, handles_of(operations))
        if found := shadow.follow(operations, gave):
            return [named(replace(finding, operation=None), f"on CPU {cpu}, while others call it, operation "
                          f"{finding.operation}") for finding in found]
        left += [(address, size, handle, cpu) for handle, address, size in shadow.blocks()]
    left.sort()
    for (address, size, _, cpu), (other, length, _, its) in zip(left, left[1:], strict=False):
        if other < address + size:
            return [Finding(FindingKind.OVERLAP, f"CPU {cpu} was given {address:#x}-{address + size:#x}, CPU {its} "
                            f"{other:#x}-{other + length:#x}, at the same time", None, other, length,
                            "memory that nobody has", f"part of CPU {cpu}'s")]
    program = Program()
    for _, _, handle, _ in left:
        program.dealloc(handle)
    try:
        found_bytes: npt.NDArray[np.uint64] = subject.run(program.operations)["found"]
    except SubjectFailed as why:
        return [replace(why.finding, operation=None)]
    if found_bytes.any():
        address, size, _, cpu = left[int(np.flatnonzero(found_bytes)[0])]
        offset = int(found_bytes[np.flatnonzero(found_bytes)[0]]) - 1
        return [Finding(FindingKind.CONTENTS, f"byte {offset} of the {size:,} at {address:#x}, a block of CPU {cpu}'s, "
                        "has changed while it was allocated", None, address + offset, 1, "what its owner wrote",
                        "something else")]
    return []
