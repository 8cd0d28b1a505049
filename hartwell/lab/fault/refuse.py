"""Memory that is out at one allocation: of a guest allocator, which somebody else has taken all memory from.

        golden run ──> before allocation n ──> everything is taken, the largest blocks first
                                               the allocation: it must say no, or be right
                                               everything is given back ──> the rest, as if nothing had been

Every client sees an allocator at its end some day. It must say no (0), and lose nothing over it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from hartwell.lab.operation import OPERATION, Kind, Operations, Program, describe

from .golden import SPARE_HANDLES, Golden
from .verdict import Injection, Verdict

KIND: Final = "alloc"
TARGET: Final = "memory out"


def refuse(golden: Golden, number: int, allocation: int) -> Injection:
    """Have allocation number `allocation` of the golden run find nothing."""
    operation = golden.allocations()[allocation]
    shadow = golden.at(operation)
    asked = golden.operations[operation:operation + 1]
    what = f"no memory for {describe(asked[0])}"

    def ended(verdict: Verdict, said: str) -> Injection:
        return Injection(number, KIND, TARGET, operation, what, verdict, said)

    taken: list[int] = []
    size, next_handle = 1 << golden.subject.memory.size.bit_length() - 1, golden.handles - SPARE_HANDLES
    least = int(asked["size"][0])
    while size >= golden.subject.kind.granule and next_handle < golden.handles:
        part = _allocations(next_handle, min(max(len(taken), 1), 512, golden.handles - next_handle), size,
                            golden.subject.kind.granule)
        results, failed = golden.attempt(part)
        if (found := golden.judge(shadow, part, results, failed)) is not None:
            return ended(*found)
        got = [next_handle + index for index in np.flatnonzero(results["value"]).tolist()]
        taken += got
        next_handle += len(got)
        if len(got) < len(part):
            if size <= least:
                break
            size >>= 1
    results, failed = golden.attempt(asked)
    if (found := golden.judge(shadow, asked, results, failed)) is not None:
        return ended(*found)
    said_no = int(results["value"][0]) == 0
    program = Program()
    for handle in taken:
        program.dealloc(handle)
    back = program.operations
    found = golden.judge(shadow, back, *golden.attempt(back)) if len(back) else None
    verdict, said = found or golden.verdict(operation + 1, shadow)
    if verdict is Verdict.MASKED and said_no:
        return ended(Verdict.DETECTED, "it said no, and lost nothing")
    return ended(verdict, said)


def _allocations(handle: int, count: int, size: int, align: int) -> Operations:
    operations = np.zeros(count, dtype=OPERATION)
    operations["kind"], operations["size"], operations["align"] = Kind.ALLOC, size, align
    operations["handle"] = np.arange(handle, handle + count)
    return operations


