"""Trials: the oracles over whole programs, and conservation."""

from __future__ import annotations

from pathlib import Path

import pytest

from hartwell.lab.finding import FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.oracle.conservation import Conservation, Yield
from hartwell.lab.subject import Subject, load_subject
from hartwell.lab.subject.subject import SubjectKind
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial

MIB = 1 << 20
MINE = "from kernel.osdk.frame_allocator import FrameAllocator\nclass Mine(FrameAllocator):\n"


def mixed(count: int) -> Program:
    """Allocations of several sizes, each second given back."""
    program = Program()
    handles = [program.alloc(4096 << n % 4, 4096) for n in range(count)]
    for handle in handles[::2]:
        program.dealloc(handle)
    return program


@pytest.mark.parametrize("name", ["buddy", "osdk-frame"])
def test_a_sound_frame_allocator(name: str) -> None:
    with load_subject(name) as subject:
        outcome = Trial(subject).run(mixed(40).operations)
        assert outcome.findings == () and outcome.done == 60
        assert outcome.live.blocks == 0  # all was given back in the end


def test_a_sound_heap(slab: Subject) -> None:
    program = Program()
    handles = [program.alloc(1 + 37 * n, 8 << n % 4) for n in range(60)]
    for handle in handles[::3]:
        program.dealloc(handle)
    assert Trial(slab).run(program.operations).findings == ()


def test_what_is_yielded_is_all_that_was_given(buddy: Subject) -> None:
    measured = Conservation.measure(buddy)
    assert buddy.memory.size * 0.9 < measured.pristine.size <= buddy.memory.size
    assert measured.largest >= buddy.memory.size // 4


def test_a_leak_is_lost_memory(tmp_path: object) -> None:
    with open(f"{tmp_path}/leaky.py", "w") as file:
        file.write(MINE + "    def dealloc(self, paddr, size):\n        if size != 8192:\n"
                   "            super().dealloc(paddr, size)\n")
    with load_subject(f"{tmp_path}/leaky.py:Mine") as subject:
        finding, = Trial(subject).run(mixed(8).operations).findings
    assert (finding.kind, finding.size, finding.operation) == (FindingKind.LOST, 2 * 8192, None)


def test_handing_out_twice_is_an_overlap(tmp_path: object) -> None:
    with open(f"{tmp_path}/twice.py", "w") as file:
        file.write(MINE + "    def alloc(self, layout):\n        found = super().alloc(layout)\n"
                   "        if layout.size == 16384:\n            self.kept = getattr(self, 'kept', found)\n"
                   "            return self.kept\n        return found\n")
    with load_subject(f"{tmp_path}/twice.py:Mine") as subject:
        outcome = Trial(subject).run(mixed(12).operations)
    assert [finding.kind for finding in outcome.findings] == [FindingKind.OVERLAP]
    assert outcome.findings[0].operation == outcome.done


def test_a_program_longer_than_a_batch(buddy: Subject) -> None:
    program = Program()
    for _ in range(10_000):
        program.dealloc(program.alloc(4096, 4096))
    seen: list[int] = []
    outcome = Trial(buddy).run(program.operations, progress=seen.append)
    assert outcome.ok and outcome.done == 20_000 and seen == [8192, 16384, 20_000]


def test_what_an_allocator_keeps_in_caches_is_lost_unless_it_can_be_told_to_give_it_up(tmp_path: Path) -> None:
    (tmp_path / "keeps.py").write_text("from kernel.osdk.heap_allocator import HeapAllocator\n"
                                       "class Keeps(HeapAllocator):\n    reclaim = None\n")
    program = Program()
    for handle in [program.alloc(size) for size in (8, 100, 2000)]:
        program.dealloc(handle)
    for spec, kinds in (("osdk-heap", []), (f"{tmp_path}/keeps.py:Keeps", [FindingKind.LOST])):
        with load_subject(spec, Setting(memory=16 * MIB)) as subject:
            outcome = Trial(subject).run(program.operations)
            assert [finding.kind for finding in outcome.findings] == kinds, spec


@pytest.mark.parametrize(("kind", "now", "said"), [
    (SubjectKind.HEAP, [(1 << 20, 3), (64, 1)], None),
    (SubjectKind.HEAP, [(1 << 20, 3)], None),                                     # a rest of 120 bytes, or two of 60
    (SubjectKind.HEAP, [(1 << 20, 2), (1 << 19, 2)], FindingKind.SPLINTERED),
    (SubjectKind.HEAP, [(1 << 21, 1), (1 << 20, 1), (64, 1)], None),              # larger ones
    (SubjectKind.HEAP, [(1 << 20, 2), (1 << 19, 1), (1 << 18, 1), (1 << 17, 2)], FindingKind.SPLINTERED),
    (SubjectKind.HEAP, [(1 << 20, 2), (1 << 19, 1)], FindingKind.LOST),
    (SubjectKind.HEAP, [(1 << 20, 5)], FindingKind.OUT_OF_RANGE),
    (SubjectKind.FRAME, [(1 << 20, 2), (1 << 19, 2), (64, 1)], FindingKind.SPLINTERED),
    (SubjectKind.FRAME, [(1 << 20, 3)], FindingKind.LOST),
])
def test_what_is_as_much_as_at_first(kind: SubjectKind, now: list[tuple[int, int]], said: FindingKind | None) -> None:
    then = Conservation(Yield(((1 << 20, 3), (64, 1))), 4 << 20, kind)
    assert [finding.kind for finding in then.judge(Yield(tuple(now)))] == ([said] if said else [])


@pytest.mark.parametrize("memory", [4 << 20, 64 << 20])
def test_what_the_kernel_itself_takes_is_not_lost(memory: int) -> None:
    with load_subject("osdk-frame", Setting(memory=memory)) as subject:
        assert Conservation.measure(subject).complaint() is None
        assert subject.given - subject.taken < Conservation.measure(subject).pristine.size <= subject.given


def test_a_third_of_the_memory_is_missed_beside_what_the_kernel_takes() -> None:
    found = Conservation(Yield(((1 << 20, 38),)), 60 << 20, SubjectKind.FRAME, taken=4 << 20).complaint()
    assert found is not None and found.kind is FindingKind.LOST
