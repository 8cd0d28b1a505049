"""An allocator as tests use it: one call at a time, each judged."""

from __future__ import annotations

import pytest

from hartwell.lab.errors import LabError, ProgramError
from hartwell.lab.facade import HANDLES, Allocator, AllocatorFailure
from hartwell.lab.finding import FindingKind
from hartwell.lab.subject import Subject, SubjectKind, load_subject
from hartwell.lab.trial import Trial


def test_blocks(buddy: Subject) -> None:
    allocator = Allocator(buddy, name="mine")
    first, second = allocator.alloc(4096), allocator.alloc(3 * 4096, 1 << 14)
    assert first is not None and second is not None
    assert (first.size, second.size, second.align, second.address % (1 << 14)) == (4096, 3 * 4096, 1 << 14, 0)
    assert not first.overlaps(second) and allocator.memory.start <= first.address < allocator.memory.end
    assert set(allocator.live) == {first, second}
    allocator.dealloc(first)
    assert not first.live and allocator.live == [second]
    assert allocator.alloc(1 << 40) is None
    assert (allocator.kind, allocator.cpu, len(allocator.operations)) == (SubjectKind.FRAME, 0, 4)
    allocator.finish()
    assert allocator.live == [] and not second.live


def test_what_was_done_is_a_program(buddy: Subject) -> None:
    allocator = Allocator(buddy)
    for _ in range(3):
        block = allocator.alloc(8 * 4096)
        assert block is not None
        head, tail = allocator.split(block, 4096)
        allocator.dealloc(head)
        allocator.check(tail)
        allocator.dealloc(tail)
    assert Trial(buddy).run(allocator.operations).ok


def test_a_wrong_answer_is_raised_once_and_for_all() -> None:
    with load_subject("buddy/align-ignored") as subject:
        allocator = Allocator(subject)
        allocator.alloc(4096)
        with pytest.raises(AllocatorFailure) as failed:
            allocator.alloc(4096, 1 << 20)
        assert failed.value.finding.kind is FindingKind.MISALIGNED
        assert str(failed.value).splitlines()[-2:] == ["    0: alloc 4,096 bytes (align 4,096) -> #0",
                                                       "    1: alloc 4,096 bytes (align 1,048,576) -> #1"]
        with pytest.raises(AllocatorFailure):
            allocator.alloc(4096)
        allocator.finish()  # has nothing to add


def test_losses_are_seen_at_the_end() -> None:
    with load_subject("buddy/tail-lost") as subject:
        allocator = Allocator(subject)
        allocator.alloc(3 * 4096)
        with pytest.raises(AllocatorFailure, match="lost: with everything given back"):
            allocator.finish()


def test_mistakes_of_the_test_are_no_findings(slab: Subject) -> None:
    allocator = Allocator(slab)
    block = allocator.alloc(100)
    assert block is not None
    allocator.dealloc(block)
    with pytest.raises(LabError, match="was given back"):
        allocator.dealloc(block)
    with pytest.raises(ProgramError, match="power of two"):
        allocator.alloc(8, 12)
    other = allocator.alloc(64)
    assert other is not None
    with pytest.raises(LabError, match="expected frames"):
        allocator.split(other, 8)
    assert allocator.failure is None and len(allocator.operations) == 3
    for _ in range(3):  # handles are used again
        for held in [allocator.alloc(8) for _ in range(20)]:
            assert held is not None and held.handle < 30 < HANDLES
            allocator.dealloc(held)
