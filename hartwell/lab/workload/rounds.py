"""Workloads that are rounds of whole patterns: the attack on an allocator's ability to keep memory in one piece."""

from __future__ import annotations

import numpy as np

from hartwell.lab.operation import OPERATION, Kind, Operations
from hartwell.lab.subject.subject import SubjectKind

from .workload import HANDLES, Demand, Words


def fragmentation(demand: Demand) -> Operations:
    """Fill the memory with small blocks, give back every second, ask for larger ones, give back everything; again.

    The small blocks grow from round to round. In every fourth round, which of two neighbours stays is left to chance.
    """
    rounds: list[Operations] = []
    made = number = 0
    while made < demand.count:
        parts = _round(demand, number)
        rounds.append(parts)
        made, number = made + len(parts), number + 1
    return np.concatenate(rounds)[:demand.count]


def _round(demand: Demand, number: int) -> Operations:
    granule = demand.granule
    unit = granule if demand.kind is SubjectKind.FRAME else 16
    small = unit << number % 4
    while small > max(demand.live, unit):
        small //= 2
    room = max(demand.live // small, 1)
    blocks = int(min(room, HANDLES // 2, max(demand.count // 4, 2)))
    handles = np.arange(blocks, dtype=np.uint64)
    gone = handles[handles % np.uint64(2) == 0]
    if number % 4 == 3:
        gone = gone + demand.random.integers(0, 2, len(gone), dtype=np.uint64)
        gone = gone[gone < blocks]
    stay = np.setdiff1d(handles, gone)
    large = gone[:len(gone) // 2]  # as many bytes as came back: two in place of each pair
    last = np.concatenate([stay, large])
    demand.random.shuffle(last)
    return np.concatenate([_allocations(handles, small, granule), _deallocations(gone),
                           _allocations(large, 2 * small, granule), _deallocations(last)])


def _allocations(handles: Words, size: int, align: int) -> Operations:
    operations = np.zeros(len(handles), dtype=OPERATION)
    operations["kind"], operations["handle"] = Kind.ALLOC, handles
    operations["size"], operations["align"] = size, align
    return operations


def _deallocations(handles: Words) -> Operations:
    operations = np.zeros(len(handles), dtype=OPERATION)
    operations["kind"], operations["handle"] = Kind.DEALLOC, handles
    return operations
