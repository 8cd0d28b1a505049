"""Checks of the third level: what a call costs, what it leaves as it was, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from emulator.timing import load_profile
from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Kind, Program
from hartwell.lab.oracle import promises, slowness
from hartwell.lab.subject.guest import PREFIXES, GuestSubject
from kernel.errors import KernelError, Misuse
from kernel.mm.check import InvariantError, check
from kernel.mm.layout import Layout

from .bench import Bench

# --- cost -------------------------------------------------------------------------------------------------------

LEVELS: Final = (0.05, 0.3, 0.6, 0.9)
"""Parts of the memory that are allocated when calls are measured; of Python's calls at the first and the last one."""
PROBES: Final = 24
"""Calls that are measured at each level, in the middle of what is done there."""
GROWTH: Final = 8
"""How many times more a call may take at one level than at the first one."""
SLACK: Final = 400
"""Instructions more that are never too many."""
PROFILE: Final = "simple"


def cost(bench: Bench) -> list[Finding]:
    """A call takes about the same however much is allocated, as long as that is in a row."""
    trial = bench.trial if bench.guest else bench.other(timing=load_profile(PROFILE))
    levels = LEVELS if bench.guest else LEVELS[::3]
    means: dict[str, list[float]] = {"alloc": [], "dealloc": []}
    for level in levels:
        program, probes = _filled(bench, level)
        outcome = bench.run(program, on=trial, conserve=False)
        if outcome.findings:
            return list(outcome.findings)
        for name, kind in (("alloc", Kind.ALLOC), ("dealloc", Kind.DEALLOC)):
            probed = outcome.results[probes:][outcome.operations[probes:]["kind"] == kind]
            means[name].append(float(probed["instructions"].mean()))
    return [_grows(name, per_level, levels) for name, per_level in means.items()
            if max(per_level) > GROWTH * per_level[0] + SLACK]


def _grows(name: str, means: list[float], levels: Sequence[float]) -> Finding:
    worst = int(np.argmax(means))
    figures = ", ".join(f"{mean:,.0f} at {level:.0%}" for mean, level in zip(means, levels, strict=True))
    return Finding(FindingKind.COST, f"{name}: {means[worst]:,.0f} instructions with {levels[worst]:.0%} of the memory "
                   f"allocated, {means[0]:,.0f} with {levels[0]:.0%} ({figures})", None,
                   expected=f"at most {GROWTH} times as many", actual=f"{means[worst] / max(means[0], 1):.0f} times",
                   details={"means": [round(mean, 1) for mean in means], "levels": list(levels)})


def _filled(bench: Bench, level: float) -> tuple[Program, int]:
    """A program that fills the memory up to a level, and then probes; where the probes begin."""
    program = Program()
    for _ in range(max(int(bench.pristine().pristine.size // bench.unit * level), 4)):
        program.alloc(bench.unit, bench.least)
    probes = len(program)
    for _ in range(PROBES):
        program.dealloc(program.alloc(bench.unit, bench.least))
    return program, probes


def bounded_time(bench: Bench) -> list[Finding]:
    """A call takes about the same with thousands of free blocks as with some, as the allocator promises."""
    return slowness.measure(bench.subject).findings()


# --- manners ----------------------------------------------------------------------------------------------------

SAVED: Final = ("sp", "gp", "tp", *(f"s{n}" for n in range(12)))
"""Registers that a function leaves as it found them (RISC-V calling convention)."""
SSI, SIE = 1 << 1, 1 << 1
"""Supervisor software interrupt, in sip and sie; interrupts enabled, in sstatus."""


def manners(bench: Bench) -> list[Finding]:
    """A call leaves the registers that are its caller's, does not enable interrupts, and takes none that is pending.

    Of Python code: the kernel that lives on it finds nothing wrong with its own memory.
    """
    subject = bench.subject
    subject.reset()
    if not isinstance(subject, GuestSubject):
        return _invariants(bench)
    prefix = PREFIXES[subject.kind]
    alloc, dealloc = (subject.text.address(prefix + name) for name in ("alloc", "dealloc"))
    hart = subject.kernel.service.hart(0)
    given: list[int] = []
    for size in (bench.least, 3 * bench.unit, bench.unit, bench.subject.memory.size * 2):
        value, found = _politely(subject, hart.id, f"alloc {size:,} bytes", alloc, size, bench.least)
        if found:
            return found
        given += [value, size] if value else []
    for address, size in zip(given[::2], given[1::2], strict=True):
        what = f"dealloc {address:#x}, {size:,} bytes"
        _, found = _politely(subject, hart.id, what, dealloc, address, size, bench.least)
        if found:
            return found
    return []


def _politely(subject: GuestSubject, number: int, what: str, function: int,
              *arguments: int) -> tuple[int, list[Finding]]:
    """Call a function with values of ours in all saved registers, and an interrupt pending; what it returned."""
    hart = subject.machine.harts[number]
    for n in range(12):
        hart.write(f"s{n}", 0x5EED_0000_0000_0000 + n)
    hart.write("sip", hart.read_csr("sip") | SSI)
    before = {name: hart.read(name) for name in SAVED if name != "tp"}
    try:
        value = subject.call(0, function, *arguments)
    except KernelError as why:
        return 0, [subject.failure(why, 0, what)]
    after = {name: hart.read(name) for name in before}
    pending, enabled = hart.read_csr("sip") & SSI, hart.read_csr("sstatus") & SIE
    hart.write("sip", hart.read_csr("sip") & ~SSI)
    for name, was in before.items():
        if after[name] != was:
            return value, [_rude(what, f"{name} is {after[name]:#x} afterwards", f"{name} as it was, {was:#x}",
                                 f"{after[name]:#x}")]
    if enabled:
        return value, [_rude(what, "interrupts are enabled afterwards", "interrupts off, as before", "sstatus.SIE = 1")]
    if not pending:
        return value, [_rude(what, "an interrupt that was pending was taken or cleared", "still pending", "gone")]
    return value, []


def _rude(what: str, seen: str, expected: str, actual: str) -> Finding:
    return Finding(FindingKind.CRASH, f"{what}: {seen}", None, expected=expected, actual=actual)


def _invariants(bench: Bench) -> list[Finding]:
    """The kernel's own checks of a memory in which the allocator has worked."""
    program = Program()
    for size in (bench.least, 3 * bench.unit, bench.unit):
        program.dealloc(program.alloc(size, bench.least))
    if found := bench.judge(program, conserve=False):
        return found
    try:
        check(bench.subject.kernel.mm)
    except InvariantError as why:
        return [Finding(FindingKind.CONTENTS, f"the kernel's memory is not in order: {why}", None,
                        expected="no breach of the kernel's invariants", actual=str(why).partition(";")[0])]
    return []


# --- promises ---------------------------------------------------------------------------------------------------


def zeroed(bench: Bench) -> list[Finding]:
    """Memory that is asked for as zeroed is zero, even where it was used before."""
    return promises.zeroed(bench.subject)


def misuse(bench: Bench) -> list[Finding]:
    """A block that is freed twice, or was never allocated, or begins in the middle of another: it is refused."""
    if isinstance(bench.subject, GuestSubject):
        return promises.misuse(bench.subject)
    size = bench.unit
    cases = [("freed a second time", size, (0, 0)), ("in free memory", size, (4 * size,))]
    if not bench.frames:  # of frames any part can be given back
        cases.append(("in the middle of another", 4 * size, (2 * size,)))
    return [finding for case in cases for finding in _misused(bench, *case)]


def _misused(bench: Bench, what: str, size: int, offsets: tuple[int, ...]) -> list[Finding]:
    """Give back what is at these offsets from a block: the last time, it must be refused."""
    bench.subject.reset()
    program = Program()
    blocks = [program.alloc(size, bench.least) for _ in range(8)]
    for block in blocks[1:]:
        program.dealloc(block)
    address = int(bench.subject.run(program.operations)["value"][0])
    mm = bench.subject.kernel.mm
    for time, offset in enumerate(offsets, start=1):
        try:
            if bench.frames:
                mm.frame_allocator.dealloc(address + offset, size)
            else:
                mm.heap.dealloc(address + offset, Layout(size, bench.least))
        except (KernelError, Misuse) as why:
            if time == len(offsets):
                return []
            return [Finding(FindingKind.REFUSED, f"a block that is live is not taken back: {why}", None, address, size,
                            "it is taken back", type(why).__name__)]
    at = address + offsets[-1]
    return [Finding(FindingKind.ACCEPTED, f"{size:,} bytes at {at:#x}, a block {what}, were taken back without a word",
                    None, at, size, "a refusal", "accepted")]
