"""Checks of the first level: blocks are what was asked for."""

from __future__ import annotations

from typing import Final

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.subject.guest import PREFIXES, GuestSubject
from kernel.errors import KernelError

from .bench import Bench

WINDOW: Final = 12
"""Blocks that are held while others are asked for."""
BEYOND: Final = (1 << 63, (1 << 64) - 4096)
"""Bytes that no machine has; added to an address, they wrap around."""


def one(bench: Bench) -> list[Finding]:
    """One block, and back; then another, and the smallest that there is."""
    program = Program()
    for size in (bench.unit, bench.unit, 1 if not bench.frames else bench.least):
        program.dealloc(program.alloc(size, bench.least))
    return bench.judge(program)


def sizes(bench: Bench) -> list[Finding]:
    """Every size up to a limit, some blocks at a time."""
    if bench.frames:
        wanted = [4096 * n for n in range(1, bench.count(256) + 1)]
    else:
        wanted = list(range(1, bench.count(4096) + 1))
    program, held = Program(), list[int]()
    for size in wanted:
        held.append(program.alloc(size, bench.least))
        if len(held) > WINDOW:
            program.dealloc(held.pop(0 if size & 1 else WINDOW // 2))
    return bench.judge(program)


def alignments(bench: Bench) -> list[Finding]:
    """The smallest block at every power of two up to a quarter of the memory, and blocks of that size."""
    limit = min(bench.subject.memory.size, 2 * bench.pristine().largest) // 4
    wanted = [1 << n for n in range(bench.least.bit_length() - 1, limit.bit_length())]
    program = Program()
    for align in wanted:
        program.dealloc(program.alloc(bench.least, align))
    alone = len(program)
    for align in wanted[:-2]:
        program.alloc(bench.least, align)
        program.alloc(align, align)
        program.alloc(3 * bench.least, align)
    outcome = bench.run(program)
    if outcome.findings:
        return list(outcome.findings)
    for number in range(0, alone, 2):
        if not outcome.results[number]["value"]:
            align = int(outcome.operations[number]["align"])
            return [Finding(FindingKind.EXHAUSTED, f"{bench.least} bytes at a multiple of {align:,} are not to be had, "
                            "though nothing is allocated", number, 0, bench.least, f"a multiple of {align:,}", "0")]
    return []


def odd_sizes(bench: Bench) -> list[Finding]:
    """Sizes that are no powers of two, and those right beside one, all held at once, and given back backwards."""
    program = Program()
    if bench.frames:
        wanted = [4096 * pages for pages in (3, 5, 7, 9, 11, 13, 31, 33, 63, 65, 127, 129, 251, 257)]
    else:
        wanted = [(1 << order) + more for order in range(4, 16) for more in (-7, -1, 0, 1, 7)]
    held = [program.alloc(size, bench.least) for size in wanted]
    held += [program.alloc(size, bench.least << n % 5) for n, size in enumerate(wanted[:10])]
    for handle in reversed(held):
        program.dealloc(handle)
    return bench.judge(program)


def impossible(bench: Bench) -> list[Finding]:
    """What cannot be had gets the answer 0, and changes nothing: too large, aligned to what memory does not have."""
    memory = bench.subject.memory
    program = Program()
    kept = program.alloc(bench.unit, bench.least)
    shifts = range(memory.size.bit_length(), 48)
    for size in (memory.size + 4096, *((1 << shift) + more for shift in shifts for more in (0, 4096)), 1 << 48):
        program.alloc(size, bench.least)
        program.alloc(size, 4096)
    for align in (1 << 40, 1 << 46):
        program.alloc(bench.least, align)
    program.check(kept)
    outcome = bench.run(program)
    if outcome.findings:
        return list(outcome.findings)
    for number in range(1, len(program) - 1):
        if outcome.results[number]["value"]:
            operation = outcome.operations[number]
            return [Finding(FindingKind.ACCEPTED, f"a block of {int(operation['size']):,} bytes at a multiple of "
                            f"{int(operation['align']):,} was handed out, which the memory does not have", number,
                            int(outcome.results[number]["value"]), int(operation["size"]), "0",
                            f"{int(outcome.results[number]['value']):#x}")]
    return _beyond(bench)


def _beyond(bench: Bench) -> list[Finding]:
    """Sizes that do not fit any address space; programs do not have them, so the function is called itself."""
    subject = bench.subject
    if not isinstance(subject, GuestSubject):
        return []
    subject.reset()
    function = subject.text.address(PREFIXES[subject.kind] + "alloc")
    for size in BEYOND:
        for align in (bench.least, 1 << 20):
            what = f"alloc {size:#x} bytes (align {align:,})"
            try:
                value = subject.call(0, function, size, align)
            except KernelError as why:
                return [subject.failure(why, 0, what)]
            if value:
                return [Finding(FindingKind.ACCEPTED, f"{what}: {value:#x} was handed out", None, value, 0, "0",
                                f"{value:#x}")]
    return []
