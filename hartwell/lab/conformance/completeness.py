"""Checks of the second level: what is given back is there again, all of it, and nobody touches what is not his."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Kind, Program
from kernel.mm.paging import PAGE_SIZE

from .bench import Bench

ENOUGH: Final = 3, 4
"""The part of the memory that must be to be had in small blocks."""
MIB: Final = 1 << 20


def exhaust(bench: Bench) -> list[Finding]:
    """Everything is taken, in small blocks, until there is none; given back; and then there is as much again."""
    program = Program()
    for _ in range(2):
        held = [program.alloc(bench.unit, bench.least) for _ in range(bench.filling)]
        for handle in held:
            program.dealloc(handle)
    outcome = bench.run(program)
    if outcome.findings:
        return list(outcome.findings)
    allocations = outcome.operations["kind"] == Kind.ALLOC
    had = outcome.results["value"][allocations] != 0
    first, second = (int(part.sum()) * bench.unit for part in (had[:bench.filling], had[bench.filling:]))
    least = bench.pristine().pristine.size * ENOUGH[0] // ENOUGH[1]
    if first < least:
        return [Finding(FindingKind.EXHAUSTED, f"in blocks of {bench.unit:,} bytes only {first:,} bytes are to be had",
                        None, 0, least - first, f"at least {least:,} bytes", f"{first:,}")]
    if second < first:
        return [Finding(FindingKind.LOST, f"filled once more, it has {first - second:,} bytes less", None, 0,
                        first - second, f"{first:,} bytes again", f"{second:,}")]
    return []


def reuse(bench: Bench) -> list[Finding]:
    """Blocks that are freed are handed out again: many times the memory, a little of it at a time."""
    memory = bench.pristine().largest
    program, held = Program(), list[int]()
    part = max(memory // 16 & -PAGE_SIZE, 2 * PAGE_SIZE)
    for number in range(bench.count(2048)):
        if len(held) == 4:
            program.dealloc(held.pop(number % 4))
        held.append(program.alloc(part if number % 3 else part // 2 & -PAGE_SIZE, bench.least))
    outcome = bench.run(program)
    if outcome.findings:
        return list(outcome.findings)
    failed = (outcome.operations["kind"] == Kind.ALLOC) & (outcome.results["value"] == 0)
    if failed.any():
        number = int(failed.nonzero()[0][0])
        return [Finding(FindingKind.EXHAUSTED, f"{part:,} bytes are not to be had, though no more than "
                        f"{4 * part:,} of {memory:,} are allocated", number, 0, part, "a block", "0")]
    return []


def contents(bench: Bench) -> list[Finding]:
    """Allocated blocks keep every byte, whatever happens to their neighbours."""
    random = bench.random("contents")
    program, live = Program(), list[int]()
    for number in range(bench.count(1500)):
        size = bench.least * random.choice((1, 1, 2, 3, 5, 8)) if bench.frames else random.randrange(1, 600)
        live.append(program.alloc(size, bench.least))
        if len(live) > 40:
            program.dealloc(live.pop(random.randrange(len(live))))
        if number % 25 == 0:
            for handle in live:
                program.check(handle)
    return bench.judge(program)


def merge(bench: Bench) -> list[Finding]:
    """The memory is cut into the smallest blocks; given back in any order, it is whole again."""
    count = bench.filling
    forward = list(range(count))
    shuffled = forward.copy()
    bench.random("merge").shuffle(shuffled)
    orders = (forward[::2] + forward[1::2], shuffled, forward, forward[::-1])
    for order in orders if bench.guest else orders[:2]:
        program = Program()
        held = [program.alloc(bench.unit, bench.least) for _ in range(count)]
        for number in order:
            program.dealloc(held[number])
        if found := bench.judge(program):
            return found
    return []


def splits(bench: Bench) -> list[Finding]:
    """Frames come back in other parts than they were handed out in: heads, tails, middles, in any order."""
    random = bench.random("splits")
    program = Program()
    for pages in (2, 3, 8, 21, 64, 100):
        for order in ("up", "down", "inside out", "any"):
            block = program.alloc(pages * PAGE_SIZE, PAGE_SIZE)
            parts = _cut(program, block, pages, random.sample(range(1, pages), min(pages - 1, 7)))
            if order == "down":
                parts.reverse()
            elif order == "inside out":
                middle = parts[len(parts) // 2]
                parts.sort(key=lambda part: abs(middle - part))
            elif order == "any":
                random.shuffle(parts)
            for part in parts:
                program.dealloc(part)
                if pages > 8:  # what came back is handed out again before the rest has
                    program.dealloc(program.alloc(PAGE_SIZE, PAGE_SIZE))
    held: list[int] = []
    for _ in range(bench.count(400)):
        pages = random.randrange(2, 40)
        block = program.alloc(pages * PAGE_SIZE, PAGE_SIZE)
        held += _cut(program, block, pages, random.sample(range(1, pages), min(pages - 1, 3)))
        while len(held) > 30:
            program.dealloc(held.pop(random.randrange(len(held))))
    return bench.judge(program)


def _cut(program: Program, block: int, pages: int, places: Sequence[int]) -> list[int]:
    """Cut a block of `pages` pages at these places; the handles of its parts, ascending."""
    parts = [block]
    for place in sorted(places, reverse=True):
        parts.insert(1, program.split(block, place * PAGE_SIZE))
    return parts


def large_and_small(bench: Bench) -> list[Finding]:
    """Blocks of some bytes and of many pages, side by side."""
    random = bench.random("large and small")
    program, held = Program(), list[int]()
    for _ in range(bench.count(2000)):
        if len(held) > 60:
            program.dealloc(held.pop(random.randrange(len(held))))
        size = random.randrange(1, 200) if random.random() < 0.7 else random.randrange(4000, 60_000)
        held.append(program.alloc(size, random.choice((8, 8, 16, 64, 4096))))
    return bench.judge(program)


def pieces(bench: Bench) -> list[Finding]:
    """Memory comes in pieces, at odd places, in any order, with holes between: all of it is used, the holes are not."""
    if not bench.guest:
        trial = bench.other(memory=bench.subject.setting.memory - 5 * MIB - 3 * PAGE_SIZE)
        program = Program()
        for handle in [program.alloc(bench.unit, bench.least) for _ in range(bench.filling)][::-1]:
            program.dealloc(handle)
        return bench.judge(program, on=trial)
    size = bench.subject.memory.size
    page, eighth = PAGE_SIZE, size // 8 & -PAGE_SIZE
    ascending = ((3 * page, eighth + eighth // 2 + page), (2 * eighth + page, page),
                 (3 * eighth + 5 * page, 2 * eighth - 7 * page), (6 * eighth - page, 2 * eighth - eighth // 4))
    touching = ((eighth - page, eighth), (2 * eighth - page, eighth), (3 * eighth - page, 3 * page))
    for order in (ascending, ascending[::-1], (ascending[2], ascending[0], ascending[3], ascending[1]), touching):
        trial = bench.other(pieces=order)
        program = Program()
        program.alloc(2 * page, bench.least)
        held = [program.alloc(bench.unit, bench.least) for _ in range(bench.filling)]
        for number in [*range(1, len(held), 2), *range(0, len(held), 2)]:
            program.dealloc(held[number])
        outcome = bench.run(program, on=trial)
        if outcome.findings:
            return list(outcome.findings)
        start = trial.subject.memory.start
        values = outcome.results["value"][outcome.operations["kind"] == Kind.ALLOC]
        for number, value in enumerate(values):
            offset, length = int(value) - start, 2 * page if number == 0 else bench.unit
            if value and not any(at <= offset and offset + length <= at + room for at, room in order):
                return [Finding(FindingKind.OUT_OF_RANGE, f"{int(value):#x}-{int(value) + length:#x} was handed out, "
                                "which lies in no piece of the memory that was given", number, int(value), length,
                                "inside of a piece", f"{int(value):#x}", {"pieces": [list(each) for each in order]})]
        given = sum(room for _, room in order)
        least = given * ENOUGH[0] // ENOUGH[1]
        had = int((values != 0).sum()) * bench.unit
        if had < least:
            return [Finding(FindingKind.EXHAUSTED, f"of {given:,} bytes that were given in {len(order)} pieces, only "
                            f"{had:,} are to be had", None, 0, least - had, f"at least {least:,} bytes", f"{had:,}")]
    return []
