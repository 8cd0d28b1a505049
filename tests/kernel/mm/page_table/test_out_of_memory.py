"""No memory for a page-table node is NoMemory, at every place, and undoes what was begun (#3161, #3162)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kernel import Kernel
from kernel.errors import NoMemory
from kernel.mm import FrameAllocOptions, Mm
from kernel.mm.frame.meta_init import MetaRegion
from kernel.mm.kspace.kernel_page_table import init_kernel_page_table
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.page_table.config import KernelPtConfig, UserPtConfig
from kernel.mm.page_table.items import StrayPageTable
from kernel.mm.page_table.page_table import PageTable
from kernel.mm.page_table.pte import PageFlags
from kernel.mm.tlb.flusher import TlbFlusher
from kernel.mm.tlb.unmap import unmap_range
from kernel.mm.vm_space.vm_space import VmSpace
from tests.kernel.mm.page_table.scarce import Budget, at_each_failure, boot_scarce
from tests.kernel.mm.page_table.tables import HUGE, RW, P, UntrackedPtConfig, map_untracked

GIB = 512 * HUGE


@pytest.fixture
def scarce() -> Iterator[tuple[Kernel, Budget]]:
    kernel, budget = boot_scarce()
    yield kernel, budget
    kernel.close()


@pytest.fixture
def mm(scarce: tuple[Kernel, Budget]) -> Mm:
    return scarce[0].mm


@pytest.fixture
def fails(mm: Mm, scarce: tuple[Kernel, Budget]) -> Callable[..., int]:
    return lambda act, undo, stay=None: at_each_failure(mm, scarce[1], act, undo, stay)


def test_creating_a_cursor_fails_at_each_of_its_tables(mm: Mm, fails: Callable[..., int]) -> None:
    with PageTable.empty(mm, UserPtConfig) as table:
        def clear() -> None:
            with table.cursor_mut(range(0, 512 * GIB + P)) as cursor:
                taken = cursor.take_next(512 * GIB)
                assert isinstance(taken, StrayPageTable)
                taken.pt.drop()

        assert fails(lambda: table.cursor_mut(range(P, 2 * P)).drop(), clear) == 3


def test_mapping_a_page_fails_at_each_of_its_tables_and_keeps_the_frame(mm: Mm, fails: Callable[..., int]) -> None:
    with PageTable.empty(mm, UserPtConfig) as table:
        frame = FrameAllocOptions(mm).alloc_frame()
        cursor = table.cursor_mut(range(0, 512 * GIB + P))

        def act() -> None:
            assert frame.held
            cursor.map(frame, RW)

        def undo() -> None:
            nonlocal cursor, frame
            cursor.drop()
            cursor = table.cursor_mut(range(0, 512 * GIB + P))
            taken = cursor.take_next(512 * GIB)
            assert isinstance(taken, StrayPageTable) and taken.num_frames == 1
            taken.pt.drop()
            frame = FrameAllocOptions(mm).alloc_frame()
            cursor.jump(0)

        assert fails(act, undo) == 3
        frame.drop()
        cursor.drop()


def test_mapping_a_range_fails_at_each_of_its_tables(mm: Mm, fails: Callable[..., int]) -> None:
    with PageTable.empty(mm, UntrackedPtConfig) as table, table.cursor_mut(range(0, 3 * GIB)) as cursor:
        start, length = GIB - 2 * HUGE - P, 10 * HUGE

        def act() -> None:
            cursor.jump(start)
            cursor.map_range(P, length, RW)

        def undo() -> None:
            cursor.jump(0)
            while (taken := cursor.take_next(3 * GIB - cursor.virt_addr)) is not None:
                assert isinstance(taken, StrayPageTable)
                taken.pt.drop()

        assert fails(act, undo) == 2 + 11  # of levels 2 and 1


def test_splitting_a_huge_page_fails_at_each_level_and_keeps_it_mapped(mm: Mm, fails: Callable[..., int]) -> None:
    with PageTable.empty(mm, UntrackedPtConfig) as table:
        map_untracked(table, range(GIB, 2 * GIB), 4 * GIB)
        cursor = table.cursor_mut(range(GIB, 2 * GIB))
        page = GIB + 5 * HUGE + 7 * P

        def act() -> None:
            assert table.page_walk(page) == (4 * GIB + page - GIB, RW)
            cursor.jump(page)
            cursor.protect_next(P, lambda prop: prop.with_flags(PageFlags.R))

        def undo() -> None:
            nonlocal cursor
            cursor.drop()
            with table.cursor_mut(range(0, 4 * GIB)) as whole:
                taken = whole.take_next(4 * GIB)
                assert isinstance(taken, StrayPageTable)
                taken.pt.drop()
            map_untracked(table, range(GIB, 2 * GIB), 4 * GIB)
            cursor = table.cursor_mut(range(GIB, 2 * GIB))

        assert fails(act, undo) == 2
        cursor.drop()


def test_unmapping_the_middle_of_a_huge_page_fails_with_all_of_it_mapped(mm: Mm, scarce: tuple[Kernel, Budget]) -> None:
    start, length = 5 * P, 2 * GIB - 9 * P
    for granted in range(4):
        with VmSpace(mm) as space, space.page_table.cursor_mut(range(0, 2 * GIB)) as cursor, \
                TlbFlusher(mm, space.cpus.load) as flusher:
            cursor.map_range(4 * GIB, 2 * GIB, RW)
            cursor.jump(start)
            scarce[1].left = granted
            with pytest.raises(NoMemory):
                unmap_range(cursor, length, flusher)
            scarce[1].left = None
            assert all(space.page_table.page_walk(va) == (4 * GIB + va, RW) for va in range(P, 2 * GIB, 77 * P))
            cursor.jump(start)
            unmap_range(cursor, length, flusher)
            assert cursor.virt_addr == start + length
            mapped = [va for va in range(0, 2 * GIB, P)[:600] if space.page_table.page_walk(va)]
            assert mapped == [*range(0, start, P)]
            assert space.page_table.page_walk(start + length - P) is None
            assert space.page_table.page_walk(start + length) == (4 * GIB + start + length, RW)


def test_creating_a_user_page_table_fails_without_a_root(mm: Mm, fails: Callable[..., int]) -> None:
    spaces: list[VmSpace] = []
    assert fails(lambda: spaces.append(VmSpace(mm)), lambda: spaces.pop().drop()) == 1


@pytest.mark.slow
def test_making_the_kernel_page_table_fails_at_each_of_its_tables(mm: Mm, fails: Callable[..., int]) -> None:
    meta = MetaRegion.load(mm.statics)
    assert meta is not None
    tables: list[PageTable] = []
    made = fails(lambda: tables.append(init_kernel_page_table(mm, meta, (0x8020_0000, 0x8023_0000))),
                 lambda: tables.pop().drop())
    assert made >= 1 + 256 + 3


def test_a_kernel_virtual_area_fails_at_each_record_and_table(mm: Mm, fails: Callable[..., int]) -> None:
    KVirtArea.map_frames(mm, P, 0, [], RW).drop()  # begins the list of areas
    options = FrameAllocOptions(mm)
    frames = [options.alloc_frame() for _ in range(3)]
    areas: list[KVirtArea] = []

    def act() -> None:
        areas.append(KVirtArea.map_frames(mm, 600 * P, 511 * P, frames, RW))

    def undo() -> None:
        areas.pop().drop()
        frames[:] = [options.alloc_frame() for _ in range(3)]

    assert fails(act, undo, KernelPtConfig) >= 3  # empty tables stay in kernel space
    assert all(frame.held for frame in frames)
    for frame in frames:
        frame.drop()
    assert fails(lambda: areas.append(KVirtArea.map_untracked_frames(mm, 4 * HUGE, P, range(0, 3 * HUGE), RW)),
                 lambda: areas.pop().drop(), KernelPtConfig) >= 3


def test_splitting_a_kernel_virtual_area_fails_without_a_record(mm: Mm, fails: Callable[..., int]) -> None:
    area = KVirtArea.map_frames(mm, 4 * P, 0, [], RW)
    halves: list[KVirtArea] = []

    def undo() -> None:
        nonlocal area
        for half in halves:
            half.drop()
        halves.clear()
        area = KVirtArea.map_frames(mm, 4 * P, 0, [], RW)

    assert fails(lambda: halves.extend(area.split(P)), undo) == 1
    area.drop()
