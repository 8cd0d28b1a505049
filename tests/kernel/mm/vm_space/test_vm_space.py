"""User address spaces: lives, I/O memory, user memory, and what the hart sees."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel import Kernel
from kernel.errors import AccessDenied, InvalidArgs, KernelPanic, LockHeld, MetaTypeError, PageFault, UseAfterMove
from kernel.mm import FrameAllocOptions, FrameMeta, Mm
from kernel.mm.io_mem import IoMem
from tests.helpers import page_tables as survey
from kernel.mm.page_table.pte import CachePolicy, PageFlags, PageProperty, PrivilegedPageFlags
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.vm_space.vm_space import VmSpace, activated_vm_space, deactivate
from tests.kernel.mm.page_table.scarce import at_each_failure, boot_scarce, census

HUGE = 512 * P
R, RW, RX = (PageProperty.new_user(flags) for flags in (PageFlags.R, PageFlags.RW, PageFlags.RX))
UART = 0x1000_0000
RAM = 0x8060_0000
"""Memory, 2 MiB aligned, that the firmware keeps from nobody."""
SUPERVISOR = PageProperty(PageFlags.RW)
"""A page of user space for the kernel alone. The emulated hart flushes what it caches of users' pages when
sstatus.SUM changes, as it does around the kernel's accesses to them, so that only these can become stale."""


class TypedMeta(FrameMeta):
    """Some typed frame."""


@pytest.fixture
def space(mm: Mm) -> Iterator[VmSpace]:
    before = census(mm)
    with VmSpace(mm) as space:
        yield space
        deactivate(mm)
        survey.check(mm, space.root_paddr)
    assert census(mm) == before


def map_page(space: VmSpace, va: int, prop: PageProperty = RW) -> int:
    """Map a new frame at `va`; its address."""
    frame = FrameAllocOptions(space._mm).alloc_frame()
    paddr = frame.paddr
    with space.cursor_mut(range(va, va + P)) as cursor:
        cursor.map(frame, prop)
    return paddr


# --- lives ---------------------------------------------------------------------------------------------------


def test_an_active_space_outlives_its_handle(mm: Mm) -> None:
    before = census(mm)
    space = VmSpace(mm)
    map_page(space, P)
    space.activate()
    root = space.root_paddr
    space.drop()
    assert activated_vm_space(mm) == root
    survey.check(mm, root)
    with VmSpace(mm) as other:
        other.activate()
        assert mm.slots.state(root).count == 0
        deactivate(mm)
    assert census(mm) == before


def test_activating_twice_holds_once(mm: Mm, space: VmSpace) -> None:
    space.activate()
    space.activate()
    assert mm.slots.state(space.root_paddr).count == 2
    assert space.cpus.load() == 1
    deactivate(mm)
    assert mm.slots.state(space.root_paddr).count == 1
    assert space.cpus.load() == 0


@pytest.mark.board(harts=2)
def test_a_space_can_be_active_on_several_cpus(kernel: Kernel) -> None:
    mm = kernel.mm
    with VmSpace(mm) as space:
        space.activate()
        with kernel.on_cpu(1):
            space.activate()
            assert space.is_active
        assert space.cpus.load() == 3
        assert mm.slots.state(space.root_paddr).count == 3
        assert activated_vm_space(mm, 1) == space.root_paddr
        with kernel.on_cpu(1):
            deactivate(mm)
        assert space.is_active
        assert space.cpus.load() == 1
        deactivate(mm)


def test_a_space_can_be_given_up_and_taken_up_by_its_root(mm: Mm) -> None:
    before = census(mm)
    space = VmSpace(mm)
    paddr = map_page(space, P)
    root = space.into_raw()
    with pytest.raises(UseAfterMove):
        space.activate()
    with VmSpace.from_raw(mm, root) as again:
        assert again.translate(P, False) == paddr
    assert census(mm) == before


def test_a_cursor_keeps_its_space(mm: Mm) -> None:
    before = census(mm)
    space = VmSpace(mm)
    map_page(space, P)
    cursor = space.cursor(range(P, 2 * P))
    space.drop()
    assert cursor.query()[1] is not None
    cursor.drop()
    assert census(mm) == before


# --- cursors -------------------------------------------------------------------------------------------------


def test_errors_of_the_page_table_are_access_denied(space: VmSpace) -> None:
    for va in (range(0, 0), range(0x800, 0x1800), range(1 << 47, 1 << 47 | P)):
        with pytest.raises(AccessDenied):
            space.cursor_mut(va)
    with space.cursor(range(P, 2 * P)) as cursor:
        with pytest.raises(AccessDenied):
            cursor.jump(2 * P)
        cursor.find_next(P)
        with pytest.raises(AccessDenied):
            cursor.query()
        with pytest.raises(LockHeld):
            space.cursor(range(P, 2 * P))


def test_a_typed_frame_is_refused(mm: Mm, space: VmSpace) -> None:
    with FrameAllocOptions(mm).alloc_frame_with(TypedMeta()) as frame, space.cursor_mut(range(P, 2 * P)) as cursor, \
            pytest.raises(MetaTypeError):
        cursor.map(frame, RW)  # type: ignore[arg-type]


def test_unmapped_frames_stay_until_the_flush_is_synchronised(mm: Mm, space: VmSpace) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    with frame.clone() as mine, space.cursor_mut(range(P, 2 * P)) as cursor:
        cursor.map(frame, RW)
        cursor.jump(P)
        assert cursor.unmap(P) == 1
        assert mine.reference_count == 2
        cursor.flusher.sync_tlb_flush()
        assert mine.reference_count == 1


def test_unmap_counts_pages_and_not_single_io_pages(mm: Mm, space: VmSpace) -> None:
    with space.cursor_mut(range(0, 4 * HUGE)) as cursor:
        for _ in range(600):
            cursor.map(FrameAllocOptions(mm).alloc_frame(), RW)
        cursor.jump(3 * HUGE)
        cursor.map_iomem(IoMem.acquire(mm, range(UART, UART + P)), RW, P, 0)
    with space.cursor_mut(range(3 * HUGE, 3 * HUGE + P)) as cursor:
        assert cursor.unmap(P) == 0
    with space.cursor_mut(range(0, 4 * HUGE)) as cursor:
        assert cursor.unmap(600 * P) == 600


def test_protect_next_cannot_change_whose_page_it_is(mm: Mm, space: VmSpace) -> None:
    map_page(space, P, RW)
    with space.cursor_mut(range(P, 2 * P)) as cursor:
        cursor.protect_next(P, lambda flags, cache: (flags | PageFlags.AVAIL2, cache))
    walked = space.page_table.page_walk(P)
    assert walked is not None
    assert walked[1].flags == PageFlags.RW | PageFlags.AVAIL2
    assert walked[1].priv_flags == PrivilegedPageFlags.USER


def test_the_page_table_level_cannot_turn_a_tracked_page_into_io(space: VmSpace) -> None:
    map_page(space, P, RW)
    avail = PageProperty(PageFlags.R, CachePolicy.WRITEBACK, PrivilegedPageFlags.USER | PrivilegedPageFlags.AVAIL1)
    with space.page_table.cursor_mut(range(P, 2 * P)) as cursor:
        cursor.protect_next(P, lambda prop: avail)
    leaves = [item for item in survey.walk(space._mm, space.root_paddr) if isinstance(item, survey.Leaf)]
    assert [leaf.tracked for leaf in leaves] == [True]


# --- I/O memory ----------------------------------------------------------------------------------------------


def test_map_iomem_refuses_a_length_beyond_the_io_memory(mm: Mm, space: VmSpace) -> None:
    """Upstream maps what there is and does not tell how much that was."""
    io = IoMem.acquire(mm, range(UART, UART + 2 * P))
    with space.cursor_mut(range(P, 9 * P)) as cursor:
        for length, offset in ((3 * P, 0), (2 * P, P), (P, 2 * P), (0, 0), (P, -P)):
            with pytest.raises(InvalidArgs):
                cursor.map_iomem(io, RW, length, offset)
        for length, offset in ((P + 1, 0), (P, 1)):
            with pytest.raises(KernelPanic):
                cursor.map_iomem(io, RW, length, offset)
        with pytest.raises(InvalidArgs):
            cursor.map_iomem(IoMem.acquire(mm, range(UART, UART + P + 8)), RW, P, 0)
        assert cursor.virt_addr == P
        assert cursor.find_iomem_by_paddr(UART) is None


def test_io_memory_is_remembered_once_and_in_order(mm: Mm, space: VmSpace) -> None:
    first, second = (IoMem.acquire(mm, range(UART + i * P, UART + (i + 2) * P)) for i in range(2))
    with space.cursor_mut(range(0, 9 * P)) as cursor:
        for io in (first, second, first):
            cursor.map_iomem(io, RW, P, P)
    assert list(space.iomems) == [first, second]
    with space.cursor_mut(range(0, 9 * P)) as cursor:
        assert cursor.find_iomem_by_paddr(UART + P) == (first, P)


def test_a_failed_map_iomem_remembers_nothing(mm: Mm, space: VmSpace) -> None:
    map_page(space, 2 * P)
    with space.cursor_mut(range(P, 9 * P)) as cursor, pytest.raises(KernelPanic, match="already mapped"):
        cursor.map_iomem(IoMem.acquire(mm, range(UART, UART + 4 * P)), RW, 4 * P, 0)
    assert list(space.iomems) == []


def test_map_iomem_fails_at_each_allocation_and_leaves_nothing() -> None:
    kernel, budget = boot_scarce()
    with kernel, VmSpace(kernel.mm) as space:
        mm = kernel.mm
        io = IoMem.acquire(mm, range(1 << 44, (1 << 44) + 4 * HUGE))

        with space.cursor_mut(range(0, 1 << 40)) as cursor:
            def act() -> None:
                cursor.jump(HUGE - P)
                cursor.map_iomem(io, RW, HUGE + 2 * P, 0)

            def undo() -> None:
                cursor.jump(0)
                cursor.unmap(1 << 39)
                cursor.flusher.sync_tlb_flush()
                space.iomems.clear()

            assert at_each_failure(mm, budget, act, undo) == 1 + 1 + 1 + 3


def test_ram_is_no_io_memory(mm: Mm) -> None:
    for pa in (range(0x8000_0000, 0x8000_1000), range(0x7fff_f000, 0x8000_1000), range(0, 1 << 56)):
        with pytest.raises(AccessDenied):
            IoMem.acquire(mm, pa)
    for pa in (range(0), range(P, 0), range(-P, P), range(1 << 56, 1 << 56 | P)):
        with pytest.raises(InvalidArgs):
            IoMem.acquire(mm, pa)


# --- user memory ---------------------------------------------------------------------------------------------


def test_readers_and_writers_reach_the_mapped_frames(mm: Mm, space: VmSpace) -> None:
    one, two = map_page(space, 4 * P), map_page(space, 5 * P)
    space.activate()
    data = bytes(range(256)) * 2
    space.writer(5 * P - 256, 512).write_bytes(data)
    assert mm.port.read(one + P - 256, 256) + mm.port.read(two, 256) == data
    assert space.reader(5 * P - 256, 512).read_bytes(512) == data


def test_a_write_to_a_read_only_page_and_a_read_of_an_unmapped_one_fault(space: VmSpace) -> None:
    map_page(space, 4 * P, R)
    space.activate()
    with pytest.raises(PageFault):
        space.writer(4 * P, 8).write_bytes(b"12345678")
    with pytest.raises(PageFault):
        space.reader(5 * P - 4, 8).read_bytes(8)


def test_a_reader_of_a_dropped_space_is_refused(mm: Mm) -> None:
    space = VmSpace(mm)
    map_page(space, P)
    space.activate()
    reader = space.reader(P, 8)
    space.drop()
    with pytest.raises(UseAfterMove):
        reader.read_bytes(8)
    deactivate(mm)


def test_accesses_set_a_and_d_as_the_harts_do(space: VmSpace) -> None:
    map_page(space, P)

    def flags() -> PageFlags:
        walked = space.page_table.page_walk(P)
        assert walked is not None
        return walked[1].flags

    assert flags() == PageFlags.RW
    space.translate(P, False)
    assert flags() == PageFlags.RW | PageFlags.ACCESSED
    space.translate(P, True)
    assert flags() == PageFlags.RW | PageFlags.ACCESSED | PageFlags.DIRTY


@pytest.mark.parametrize("prop, write, allowed", [
    (R, False, True), (R, True, False), (RW, True, True), (RX, False, True), (RX, True, False),
    (PageProperty.new_user(PageFlags.X), False, False), (PageProperty.new_user(PageFlags.W), True, False),
    (PageProperty.new_user(PageFlags.NONE), False, False), (PageProperty(PageFlags.RW), False, False)])
def test_translation_obeys_the_permissions(space: VmSpace, prop: PageProperty, write: bool, allowed: bool) -> None:
    paddr = map_page(space, P, prop)
    assert space.translate(P + 5, write) == (paddr + 5 if allowed else None)


def test_kernel_addresses_and_the_last_page_are_not_user_memory(mm: Mm, space: VmSpace) -> None:
    end = mm.paging.max_user_vaddr
    map_page(space, end)
    for va in (end, mm.paging.linear_base + 0x8000_0000, -1):
        assert space.translate(va, False) is None


def test_the_page_fault_handler_maps_on_demand(space: VmSpace) -> None:
    asked = []

    def handler(vaddr: int, write: bool) -> bool:
        asked.append((vaddr, write))
        if vaddr >= 8 * P:
            return False
        map_page(space, vaddr & -P)
        return True

    space.page_fault_handler = handler
    space.activate()
    space.writer(5 * P - 4, 8).write_bytes(b"demanded")
    assert space.reader(5 * P - 4, 8).read_bytes(8) == b"demanded"
    assert asked == [(5 * P - 4, True), (5 * P, True)]
    with pytest.raises(PageFault):
        space.reader(9 * P, 1).read_bytes(1)
