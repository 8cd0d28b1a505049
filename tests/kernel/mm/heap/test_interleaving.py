"""Two CPUs at the same slot or the same live word: one access in between changes nothing that it should not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from kernel.errors import HeapMisuse, LockHeld
from kernel.mm import Access, Layout, Mm
from tests.kernel.mm.heap.heaps import L8, L64, allocator, consistent, heap_frames, make_mm


class Between:
    """Runs `other` as CPU 1 once, before access number `when`."""

    def __init__(self, mm: Mm, when: int, other: Callable[[], None]) -> None:
        self.mm, self.when, self.other, self.seen = mm, when, other, 0

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.seen += 1
        if self.seen == self.when:
            self.mm.cpu = 1
            try:
                self.other()
            finally:
                self.mm.cpu = 0


@pytest.mark.parametrize("layout", [L8, L64])
def test_two_frees_of_one_object_at_once_are_one_free_and_one_misuse(layout: Layout) -> None:
    for when in range(1, 60):
        mm = make_mm(harts=2)
        address, won = mm.heap.alloc(layout), []

        def free(who: int, mm: Mm = mm, address: int = address, won: list[int] = won) -> None:
            with suppress(HeapMisuse):
                mm.heap.dealloc(address, layout)
                won.append(who)

        between = Between(mm, when, partial(free, 1))
        with mm.port.observed(between):
            free(0)
        assert len(won) == 1 or between.seen < when
        if between.seen < when:
            return
    raise AssertionError("the free never ended")


def test_live_bits_of_neighbours_changed_at_once_both_stay() -> None:
    done = False
    for when in range(1, 80):
        mm = make_mm(harts=2)
        first, second, third = (mm.heap.alloc(L64) for _ in range(3))
        assert second & -4096 == third & -4096
        mm.heap.dealloc(second, L64)

        def other(mm: Mm = mm, third: int = third) -> None:
            mm.heap.dealloc(third, L64)

        between = Between(mm, when, other)
        with mm.port.observed(between):
            again = mm.heap.alloc(L64)
        assert again == second
        assert mm.heap.is_live(second, L64)
        if between.seen < when:
            done = True
            break
        assert not mm.heap.is_live(third, L64)
        for address in (first, second):
            mm.heap.dealloc(address, L64)
        allocator(mm).reclaim()
        assert heap_frames(mm) == {}
    assert done


def test_second_cpu_at_any_point_of_an_allocation_waits_or_gets_another_slot() -> None:
    """Where it finds a lock taken it cannot wait, as nobody lets the first one go on: LockHeld, nothing changed."""
    told = 0
    for when in range(1, 4000, 37):
        mm = make_mm(harts=2)
        got: list[int] = []

        def other(mm: Mm = mm, got: list[int] = got) -> None:
            nonlocal told
            try:
                got.append(mm.heap.alloc(L64))
            except LockHeld:
                told += 1

        between = Between(mm, when, other)
        with mm.port.observed(between):
            got.append(mm.heap.alloc(L64))
        assert len(set(got)) == len(got)
        consistent(mm, Counter({64: len(got)}))
        for address in got:
            mm.heap.dealloc(address, L64)
        allocator(mm).reclaim()
        assert heap_frames(mm) == {}
        if between.seen < when:
            break
    assert told
