"""Workloads: all are programs, in bounds, the same for the same seed and different for another."""

from __future__ import annotations

import numpy as np
import pytest

from hartwell.lab.operation import Kind, Operations
from hartwell.lab.subject import Subject, SubjectKind
from hartwell.lab.subject.subject import Memory, require_program
from hartwell.lab.trial import Trial
from hartwell.lab.workload import HANDLES, Workload, WorkloadError, made, names, recorded, workload

MIB = 1 << 20
EACH = [(each, kind) for each in made() for kind in each.kinds]
IDS = [f"{each.name}-{kind.value}" for each, kind in EACH]


def followed(operations: Operations) -> tuple[int, int, int]:
    """The most bytes and blocks that are live at a time, and the bytes of the largest block.

    An AssertionError for an operation on a handle without a block, an allocation on one that has one, and a cut beside
    a block.
    """
    sizes: dict[int, int] = {}
    live = peak = blocks = largest = 0
    for kind, handle, size, _, offset in operations.tolist():
        if kind == Kind.ALLOC:
            assert handle not in sizes
            sizes[handle] = size
            live, largest = live + size, max(largest, size)
        elif kind == Kind.SPLIT:
            assert 0 < offset < sizes[handle] and size not in sizes
            sizes[size], sizes[handle] = sizes[handle] - offset, offset
        elif kind == Kind.DEALLOC:
            live -= sizes.pop(handle)
        else:
            assert kind == Kind.CHECK and handle in sizes
        peak, blocks = max(peak, live), max(blocks, len(sizes))
    return peak, blocks, largest


@pytest.mark.parametrize("work, kind", EACH, ids=IDS)
@pytest.mark.parametrize("count, memory, load", [(1500, 4 * MIB, 0.6), (40, MIB, 0.9), (700, 64 * 1024, 0.3)])
def test_every_workload_is_a_program_in_bounds(work: Workload, kind: SubjectKind, count: int, memory: int,
                                               load: float) -> None:
    operations = work.operations(kind, memory, count, 11, load=load)
    assert len(operations) == count
    require_program(operations, kind, Memory(0, memory, 0))
    peak, blocks, largest = followed(operations)
    assert peak <= memory * load and blocks <= HANDLES and largest <= memory * load
    assert operations["handle"].max() < HANDLES


@pytest.mark.parametrize("work, kind", EACH, ids=IDS)
def test_chance_comes_from_the_seed_alone(work: Workload, kind: SubjectKind) -> None:
    one, same, other = (work.operations(kind, 4 * MIB, 1200, seed).tobytes() for seed in (1, 1, 2))
    assert one == same and one != other


@pytest.mark.parametrize("kind", SubjectKind)
def test_every_workload_is_another(kind: SubjectKind) -> None:
    programs = {each.name: each.operations(kind, 4 * MIB, 400, 5).tobytes() for each in made() if kind in each.kinds}
    assert len(set(programs.values())) == len(programs) >= 12


def test_what_the_names_promise() -> None:
    """Orders: what comes next is the newest, or the oldest."""
    for name, newest in (("lifo", True), ("fifo", False)):
        held: list[int] = []
        for kind, handle, _, _, _ in workload(name).operations(SubjectKind.FRAME, 4 * MIB, 1000, 3).tolist():
            if kind == Kind.ALLOC:
                held.append(handle)
            elif kind == Kind.DEALLOC:
                assert held.pop(-1 if newest else 0) == handle
    powers = workload("powers").operations(SubjectKind.HEAP, 4 * MIB, 400, 3)
    sizes = powers["size"][powers["kind"] == Kind.ALLOC].astype(np.int64)
    near = np.stack([abs(sizes - (1 << n)) for n in range(24)]).min(axis=0)
    assert (near <= 1).all()
    parts = workload("parts").operations(SubjectKind.FRAME, 4 * MIB, 1000, 3)
    assert (parts["kind"] == Kind.SPLIT).sum() > 50
    churn = workload("churn").operations(SubjectKind.FRAME, 4 * MIB, 100, 3)
    assert followed(churn)[1] == 1
    aligned = workload("aligned").operations(SubjectKind.HEAP, 4 * MIB, 400, 3)
    assert len(np.unique(aligned["align"][aligned["kind"] == Kind.ALLOC])) > 4


@pytest.mark.parametrize("name", names(SubjectKind.FRAME))
def test_a_sound_allocator_passes_them(buddy: Subject, name: str) -> None:
    operations = workload(name).operations(buddy.kind, buddy.memory.size, 300, 2)
    outcome = Trial(buddy).run(operations)
    assert outcome.findings == () and outcome.done == 300
    assert not (outcome.results["value"][operations["kind"] == Kind.ALLOC] == 0).any() or name != "lifo"


@pytest.mark.parametrize("arguments, expected", [
    (("parts", SubjectKind.HEAP, MIB, 10, 0), "is for frame allocators, not for a heap"),
    (("lifo", SubjectKind.FRAME, 4096, 10, 0), "has room for 4096 bytes"),
    (("lifo", SubjectKind.FRAME, MIB, -1, 0), "expected no negative number"),
    (("lifo", SubjectKind.FRAME, MIB, 1, -1), "expected no negative number"),
])
def test_what_cannot_be_made(arguments: tuple[str, SubjectKind, int, int, int], expected: str) -> None:
    name, kind, memory, count, seed = arguments
    with pytest.raises(WorkloadError, match=expected):
        workload(name).operations(kind, memory, count, seed)


def test_names() -> None:
    assert workload("lifo").name == "lifo"
    assert [each.name for each in recorded()] == ["trace:boot", "trace:fork", "trace:shell"]
    assert names()[:2] == ["churn", "lifo"] and "trace:boot" in names() and "parts" not in names(SubjectKind.HEAP)
    with pytest.raises(WorkloadError, match="no workload is called no-such: expected one of churn, lifo"):
        workload("no-such")
    assert len(workload("lifo").operations(SubjectKind.FRAME, MIB, 0, 0)) == 0
