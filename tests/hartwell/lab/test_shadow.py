"""The shadow against a model that keeps every byte's owner in a dict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hartwell.lab.finding import FindingKind
from hartwell.lab.operation import OPERATION, RESULT, Kind, State
from hartwell.lab.oracle.follow import ROOM
from hartwell.lab.oracle.shadow import Shadow
from hartwell.lab.subject import SubjectKind
from hartwell.lab.subject.subject import Memory

MEMORY = Memory(0x8100_0000, 64 << 10, 0x8100_0000)
HEAP = Memory(0xFFFF_8000_8100_0000, 4 << 10, 0x8100_0000)
HANDLES = 8


def record(*rows: tuple[Kind, int, int, int, int, int], found: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Operations (kind, handle, size, align, offset), and the value that each gave."""
    operations, results = np.zeros(len(rows), dtype=OPERATION), np.zeros(len(rows), dtype=RESULT)
    for at, (kind, handle, size, align, offset, value) in enumerate(rows):
        operations[at] = (kind, handle, size, align, offset)
        results[at]["value"], results[at]["state"] = value, State.DONE
    results["found"][-1] = found
    return operations, results


def alloc(handle: int, size: int, value: int, align: int = 4096) -> tuple[Kind, int, int, int, int, int]:
    return Kind.ALLOC, handle, size, align, 0, value


def dealloc(handle: int) -> tuple[Kind, int, int, int, int, int]:
    return Kind.DEALLOC, handle, 0, 0, 0, 0


def kinds(shadow: Shadow, *rows: tuple[Kind, int, int, int, int, int], found: int = 0) -> list[FindingKind]:
    return [finding.kind for finding in shadow.follow(*record(*rows, found=found))]


@pytest.fixture
def shadow() -> Shadow:
    return Shadow(MEMORY, SubjectKind.FRAME, HANDLES, largest=MEMORY.size)


def test_blocks_side_by_side_are_fine(shadow: Shadow) -> None:
    assert kinds(shadow, alloc(0, 8192, 0x8100_0000), alloc(1, 4096, 0x8100_2000), dealloc(0),
                 alloc(2, 8192, 0x8100_0000)) == []
    assert shadow.blocks() == [(2, 0x8100_0000, 8192), (1, 0x8100_2000, 4096)]
    assert (shadow.live.blocks, shadow.live.size, shadow.live.peak) == (2, 12288, 12288)


def test_an_overlap_names_the_other_block(shadow: Shadow) -> None:
    finding, = shadow.follow(*record(alloc(3, 8192, 0x8100_4000), alloc(5, 4096, 0x8100_5000)))
    assert (finding.kind, finding.operation, finding.details["other"]) == (FindingKind.OVERLAP, 1, 3)
    assert "0x81004000-0x81006000" in finding.what


@pytest.mark.parametrize("value, kind", [
    (0x8100_0800, FindingKind.MISALIGNED), (0x80FF_F000, FindingKind.OUT_OF_RANGE),
    (0x8101_0000, FindingKind.OUT_OF_RANGE), (1 << 63, FindingKind.OUT_OF_RANGE),
    ((1 << 64) - 4096, FindingKind.OUT_OF_RANGE),
])
def test_bad_answers(shadow: Shadow, value: int, kind: FindingKind) -> None:
    assert kinds(shadow, alloc(0, 4096, value)) == [kind]


def test_a_block_that_ends_behind_the_memory(shadow: Shadow) -> None:
    assert kinds(shadow, alloc(0, 8192, 0x8100_F000)) == [FindingKind.OUT_OF_RANGE]


def test_nothing_though_all_is_free(shadow: Shadow) -> None:
    assert kinds(shadow, alloc(0, 4096, 0)) == [FindingKind.EXHAUSTED]
    assert kinds(shadow, alloc(0, 4096, 0x8100_0000), alloc(1, 4096, 0)) == []


def test_contents_that_changed(shadow: Shadow) -> None:
    shadow.follow(*record(alloc(0, 8192, 0x8100_2000)))
    finding, = shadow.follow(*record(dealloc(0), found=1 + 100))
    assert (finding.kind, finding.address, finding.details) == (
        FindingKind.CONTENTS, 0x8100_2000 + 100, {"handle": 0, "offset": 100})


def test_halves_of_a_block_are_owned_apart(shadow: Shadow) -> None:
    split = (Kind.SPLIT, 0, 1, 0, 4096, 0)
    assert kinds(shadow, alloc(0, 8192, 0x8100_0000), split, dealloc(1), alloc(2, 4096, 0x8100_1000)) == []
    assert kinds(shadow, alloc(3, 4096, 0x8100_0000)) == [FindingKind.OVERLAP]


def test_operations_that_were_not_done_are_passed_over(shadow: Shadow) -> None:
    operations, results = record(alloc(0, 4096, 0), alloc(1, 4096, 0))
    results["state"] = State.CALLED
    assert shadow.follow(operations, results) == []


def test_only_so_many_are_told_of(shadow: Shadow) -> None:
    rows = [alloc(0, 4096, 0x7000_0000)] * (3 * ROOM)
    assert len(shadow.follow(*record(*rows))) == ROOM


def test_heap_blocks_share_no_granule() -> None:
    shadow = Shadow(HEAP, SubjectKind.HEAP, HANDLES)
    base = HEAP.start
    assert kinds(shadow, alloc(0, 3, base, 8), alloc(1, 5, base + 8, 8)) == []
    assert kinds(shadow, alloc(2, 8, base + 8, 8)) == [FindingKind.OVERLAP]


def test_arrays_of_other_types_are_refused(shadow: Shadow) -> None:
    with pytest.raises(ValueError, match="operations"):
        shadow.follow(np.zeros(1, dtype=np.uint8), np.zeros(1, dtype=RESULT))
    with pytest.raises(ValueError, match="handle"):
        shadow.follow(*record(alloc(HANDLES, 4096, 0)))


steps = st.lists(st.tuples(st.booleans(), st.integers(0, HANDLES - 1), st.integers(1, 5), st.integers(-1, 18)),
                 max_size=40)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps)
def test_it_says_what_a_model_says(script: list[tuple[bool, int, int, int]]) -> None:
    shadow = Shadow(MEMORY, SubjectKind.FRAME, HANDLES)
    blocks: dict[int, range] = {}
    rows, expected = [], []
    for number, (is_alloc, handle, pages, place) in enumerate(script):
        if is_alloc and handle not in blocks:
            rows.append(alloc(handle, pages * 4096, 0x8100_0000 + place * 4096 if place >= 0 else 0))
            wanted = range(place, place + pages)
            if place < 0:
                continue
            if wanted.stop > 16:
                expected.append((number, FindingKind.OUT_OF_RANGE))
            elif any(wanted.start < other.stop and other.start < wanted.stop for other in blocks.values()):
                expected.append((number, FindingKind.OVERLAP))
            else:
                blocks[handle] = wanted
        else:
            rows.append(dealloc(handle))
            blocks.pop(handle, None)
    if rows:
        findings = shadow.follow(*record(*rows))
        assert [(finding.operation, finding.kind) for finding in findings] == expected
    assert shadow.live.size == sum(len(block) for block in blocks.values()) * 4096
