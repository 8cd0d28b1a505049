"""Shrinking: what is left is still a program, fails in the same way, and cannot be made shorter."""

from __future__ import annotations

import numpy as np
import pytest

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import OPERATION, Kind, Operations, Program, handles_of
from hartwell.lab.search.parts import Parts
from hartwell.lab.search.shrink import Fails, Shrinker
from hartwell.lab.subject.subject import Memory, SubjectKind, require_program
from hartwell.lab.workload import names, workload

MIB = 1 << 20


def lives(operations: Operations) -> None:
    """An AssertionError unless every operation is on a block that is there, and none is allocated twice."""
    held: dict[int, int] = {}
    for kind, handle, size, _, offset in operations.tolist():
        if kind == Kind.ALLOC:
            assert handle not in held
            held[handle] = size
        elif kind == Kind.SPLIT:
            assert handle in held and size not in held
            held[size], held[handle] = held[handle] - offset, offset
        elif kind == Kind.DEALLOC:
            del held[handle]
        elif kind == Kind.CHECK:
            assert handle in held


@pytest.mark.parametrize("name", names(SubjectKind.FRAME)[:13])
def test_any_part_of_a_program_is_a_program(name: str) -> None:
    random = np.random.default_rng(5)
    program = workload(name).operations(SubjectKind.FRAME, 16 * MIB, 300, 3)
    parts = Parts(program)
    everything = parts.settled(np.ones(len(program), dtype=np.bool_))
    for _ in range(20):
        kept = parts.settled(everything & (random.random(len(program)) < random.random()))
        left = parts.program(kept)
        require_program(left, SubjectKind.FRAME, Memory(0, 16 * MIB, 0))
        lives(left)
        begun = np.isin(left["kind"], (Kind.ALLOC, Kind.SPLIT))
        assert handles_of(left) == begun.sum() and len(left) == kept.sum()


def test_what_needs_what() -> None:
    program = Program()
    first = program.alloc(16384, 4096)
    second = program.split(first, 8192)
    third = program.split(second, 4096)
    program.check(third)
    program.dealloc(first)
    parts = Parts(program.operations)
    kept = parts.without(np.ones(5, dtype=np.bool_), 1, 2)
    assert kept.tolist() == [True, False, False, False, True]
    assert not parts.without(np.ones(5, dtype=np.bool_), 0, 1).any()
    assert parts.program(parts.without(np.ones(5, dtype=np.bool_), 2, 3))["kind"].tolist() == [
        Kind.ALLOC, Kind.SPLIT, Kind.DEALLOC]


def test_operations_on_nothing_are_no_part() -> None:
    rows = [(Kind.DEALLOC, 3, 0, 0, 0), (Kind.ALLOC, 3, 4096, 4096, 0), (Kind.DEALLOC, 3, 0, 0, 0),
            (Kind.CHECK, 3, 0, 0, 0), (Kind.SPLIT, 3, 4, 0, 4096), (Kind.DEALLOC, 4, 0, 0, 0)]
    parts = Parts(np.array(rows, dtype=OPERATION))
    assert parts.settled(np.ones(6, dtype=np.bool_)).tolist() == [False, True, True, False, False, False]


def test_handles_are_given_again_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hartwell.lab.search.parts.HANDLES", 5)
    program = np.zeros(12, dtype=OPERATION)
    program["kind"][1::2] = Kind.DEALLOC
    program["size"][::2], program["align"][::2] = 4096, 4096
    left = Parts(program).program(np.ones(len(program), dtype=np.bool_))
    assert handles_of(left) == 1 and (left == program).all()


# --- the shortest -------------------------------------------------------------------------------------------------


def when(condition: object) -> Fails:
    """Fails at the first operation at which `condition(operations up to it)` holds."""
    def fails(operations: Operations) -> Finding | None:
        lives(operations)
        for end in range(len(operations)):
            if condition(operations[:end + 1]):  # type: ignore[operator]
                return Finding(FindingKind.OVERLAP, "x", end)
        return None

    return fails


def made(count: int = 60) -> Operations:
    """A program with a bit of everything."""
    return workload("parts").operations(SubjectKind.FRAME, 16 * MIB, count, 1)


def count(operations: Operations, kind: Kind) -> int:
    """How many operations of a kind there are."""
    return int((operations["kind"] == kind).sum())


def test_two_allocations_of_many() -> None:
    best = Shrinker(when(lambda done: count(done, Kind.ALLOC) == 2), SubjectKind.FRAME).shrink(made())
    assert best.tolist() == [(0, 0, 4096, 4096, 0), (0, 1, 4096, 4096, 0)]


def test_operations_that_others_need_stay() -> None:
    def fails(done: Operations) -> bool:
        cut = done[done["kind"] == Kind.SPLIT]["size"].tolist()
        return int(done[-1]["kind"]) == Kind.DEALLOC and int(done[-1]["handle"]) in cut

    best = Shrinker(when(fails), SubjectKind.FRAME).shrink(made(200))
    assert best["kind"].tolist() == [Kind.ALLOC, Kind.SPLIT, Kind.DEALLOC]
    assert int(best[1]["offset"]) == 4096


@pytest.mark.parametrize("least", [4096, 5 * 4096, 8 * 4096, 13 * 4096])
def test_sizes_are_the_smallest_that_fail(least: int) -> None:
    program = Program()
    for size in (3, 30, 7, 99):
        program.alloc(size * 4096, 65536)
    best = Shrinker(when(lambda done: done["size"].max() >= least), SubjectKind.FRAME).shrink(program.operations)
    assert best.tolist() == [(0, 0, least, 4096, 0)]


def test_alignments_are_the_smallest_that_fail() -> None:
    program = Program()
    program.alloc(77, 4096)
    program.alloc(99, 512)
    best = Shrinker(when(lambda done: done["align"].max() >= 64), SubjectKind.HEAP).shrink(program.operations)
    assert best.tolist() == [(0, 0, 1, 64, 0)]


def test_what_only_goes_together() -> None:
    """An odd number of checks, or none: one cannot go alone."""
    program = Program()
    handle = program.alloc(4096, 4096)
    for _ in range(4):
        program.check(handle)
    program.dealloc(handle)

    def fails(done: Operations) -> bool:
        return count(done, Kind.CHECK) % 2 == 0 and int(done[-1]["kind"]) == Kind.DEALLOC

    best = Shrinker(when(fails), SubjectKind.FRAME).shrink(program.operations)
    assert best["kind"].tolist() == [Kind.ALLOC, Kind.DEALLOC]


def test_what_fails_without_any_operation() -> None:
    best = Shrinker(lambda operations: Finding(FindingKind.LOST, "always"), SubjectKind.FRAME).shrink(made())
    assert len(best) == 0


def test_what_does_not_fail_stays() -> None:
    program = made()
    assert Shrinker(lambda operations: None, SubjectKind.FRAME).shrink(program) is program


def test_patience_and_determinism() -> None:
    trials: list[int] = []
    fails = when(lambda done: count(done, Kind.SPLIT) == 3)

    def counted(operations: Operations) -> Finding | None:
        trials.append(len(operations))
        return fails(operations)

    short = Shrinker(counted, SubjectKind.FRAME, patience=10).shrink(made(200))
    assert len(trials) == 10 and fails(short) is not None
    one, other = (Shrinker(fails, SubjectKind.FRAME).shrink(made(200)) for _ in range(2))
    assert (one == other).all() and len(one) < len(short)
