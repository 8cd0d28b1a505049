"""Checks of the third level: load, and a memory that is full."""

from __future__ import annotations

from typing import Final

import numpy as np

from hartwell.lab.finding import Finding
from hartwell.lab.operation import OPERATION, Kind, Operations, handles_of
from hartwell.lab.workload import made, workload

from .bench import Bench, named

OPERATIONS: Final = 2400
"""Of each workload."""


def workloads(bench: Bench) -> list[Finding]:
    """All workloads that are made (`hartwell lab workloads`), one after the other."""
    kind, memory, count = bench.subject.kind, bench.pristine().pristine.size, bench.count(OPERATIONS)
    programs = {each.name: each.operations(kind, memory, count, bench.seed) for each in made() if kind in each.kinds}
    if not bench.guest:  # what Python loses in one shows at the end of all of them
        programs = {"all, one after the other": _in_a_row(list(programs.values()))}
    for name, operations in programs.items():
        if found := bench.judge(operations):
            return [named(finding, f"workload {name}") for finding in found]
    return []


def _in_a_row(programs: list[Operations]) -> Operations:
    """One program of several: all is given back between two of them."""
    parts: list[Operations] = []
    for operations in programs:
        end = np.zeros(handles_of(operations), dtype=OPERATION)
        end["kind"], end["handle"] = Kind.DEALLOC, np.arange(len(end))
        parts += [operations, end]
    return np.concatenate(parts)


def full(bench: Bench) -> list[Finding]:
    """The memory is full again and again while blocks come and go: refused requests change nothing."""
    memory = bench.pristine().pristine.size
    for name in ("random", "power-law", "aligned"):
        count = bench.count(OPERATIONS)
        operations = workload(name).operations(bench.subject.kind, memory, count, bench.seed, load=1.0)
        larger = operations["kind"] == Kind.ALLOC
        operations["size"][larger] *= 4  # four times what there is room for
        if found := bench.judge(operations):
            return [named(finding, f"workload {name} in a memory that is full") for finding in found]
    return []
