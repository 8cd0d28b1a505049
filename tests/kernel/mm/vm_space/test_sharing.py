"""Sharing a space's pages in bulk: the same as page by page, with every count, and with what harts do meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kernel import Kernel
from kernel.errors import FrameMisuse, KernelPanic, MetaTypeError, NoMemory, UseAfterMove
from kernel.mm import Frame, FrameAllocOptions, FrameMeta, Mm
from kernel.mm.frame.meta import REF_COUNT
from kernel.mm.io_mem import IoMem
from kernel.mm.operations import Moment, Operation, OperationKind
from kernel.mm.page_table.pte import ACCESSED, DIRTY, PPN_MASK, WRITE, PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.port import Access
from kernel.mm.vm_space.cursors import MappedRam
from kernel.mm.vm_space.vm_space import VmSpace
from tests.helpers import page_tables as survey
from tests.helpers.kernels import boot
from tests.kernel.mm.page_table.scarce import boot_scarce, census

BASE = 0x4040_0000 - 3 * P
PAGES = 1100
"""Parts of three tables."""
SPAN = range(BASE, BASE + PAGES * P)
UART = 0x1000_0000
RW, R = PageProperty.new_user(PageFlags.RW), PageProperty.new_user(PageFlags.R)


@pytest.fixture(autouse=True)
def _nothing_is_lost(request: pytest.FixtureRequest) -> Iterator[None]:
    if "mm" not in request.fixturenames:
        yield
        return
    mm: Mm = request.getfixturevalue("mm")
    before = census(mm)
    yield
    assert census(mm) == before


def filled(mm: Mm, seed: int = 1) -> VmSpace:
    """A space with pages of all sorts here and there in SPAN, and a page of I/O memory."""
    chance, space = random.Random(seed), VmSpace(mm)
    io = chance.randrange(PAGES)
    kinds = [PageFlags.R, PageFlags.RW, PageFlags.RX, PageFlags.RWX]
    with space.cursor_mut(SPAN) as cursor:
        for i in range(PAGES):
            cursor.jump(BASE + i * P)
            if i == io:
                cursor.map_iomem(IoMem.acquire(mm, range(UART, UART + P)), RW, P, 0)
            elif chance.random() < 0.6:
                flags = chance.choice(kinds) | chance.choice([PageFlags.NONE, PageFlags.ACCESSED,
                                                              PageFlags.ACCESSED | PageFlags.DIRTY])
                cursor.map(FrameAllocOptions(mm).zeroed(False).alloc_frame(), PageProperty.new_user(flags))
    return space


def one_by_one(source: VmSpace, target: VmSpace, span: range, copy_on_write: bool) -> int:
    """What `share` is to do, with the cursors' operations on single pages."""
    pages = 0
    with source.cursor_mut(span) as mine, target.cursor_mut(span) as its:
        for vaddr in range(span.start, span.stop, P):
            mine.jump(vaddr)
            _, item = mine.query()
            if not isinstance(item, MappedRam):
                continue
            flags = item.prop.flags & ~(PageFlags.ACCESSED | PageFlags.DIRTY)
            lost = PageFlags.W if copy_on_write else PageFlags.NONE
            its.jump(vaddr)
            its.map(item.frame.clone(), PageProperty.new_user(flags & ~lost))
            mine.protect_next(P, lambda old, cache, lost=lost: (old & ~lost, cache))
            pages += 1
    return pages


def leaves(space: VmSpace) -> list[tuple[int, int, PageProperty, bool]]:
    return [(leaf.va, leaf.paddr, leaf.prop, leaf.tracked) for leaf in survey.walk(space._mm, space.root_paddr)
            if isinstance(leaf, survey.Leaf) and leaf.va < 1 << 40]


def counts(space: VmSpace) -> list[int]:
    mm = space._mm
    return [mm.port.load(mm.slots.slot(paddr) + REF_COUNT) for _, paddr, _, tracked in leaves(space) if tracked]


@pytest.mark.parametrize("copy_on_write", [True, False])
@pytest.mark.parametrize("span", [SPAN, range(BASE + 2 * P, BASE + 700 * P), range(BASE + 5 * P, BASE + 6 * P)])
def test_it_does_what_page_by_page_does(mm: Mm, span: range, copy_on_write: bool) -> None:
    with filled(mm) as source, VmSpace(mm) as bulk, VmSpace(mm) as single:
        with source.cursor_mut(span) as mine, bulk.cursor_mut(span) as its:
            pages = mine.share(its, len(span), copy_on_write=copy_on_write)
            assert mine.virt_addr == its.virt_addr == span.stop
        after = leaves(source)
        once = counts(source)
        survey.check(mm, source.root_paddr)
        survey.check(mm, bulk.root_paddr)
        assert one_by_one(source, single, span, copy_on_write) == pages
        assert leaves(source) == after and leaves(bulk) == leaves(single)
        assert [count + 1 if count > 1 else 1 for count in once] == counts(source)
        assert sum(once) - len(once) == pages > 0 or span is not SPAN


def test_rows_of_pages_that_lose_w_are_flushed_others_not(mm: Mm) -> None:
    with (VmSpace(mm) as source, VmSpace(mm) as target,
          source.cursor_mut(SPAN) as mine, target.cursor_mut(SPAN) as its):
        for prop in R, RW, R:
            mine.map(FrameAllocOptions(mm).alloc_frame(), prop)
        mine.jump(BASE)
        mine.share(its, P, copy_on_write=True)
        assert "TlbFlusher 0 pages" in repr(mine.flusher)
        mine.share(its, 2 * P, copy_on_write=True)
        assert "TlbFlusher 2 pages" in repr(mine.flusher)


def test_what_harts_set_meanwhile_is_not_lost(kernel: Kernel, mm: Mm) -> None:
    """D comes between the look at an entry and its change."""
    with VmSpace(mm) as source, VmSpace(mm) as target:
        with source.cursor_mut(SPAN) as mine, target.cursor_mut(SPAN) as its:
            mine.map(frame := FrameAllocOptions(mm).alloc_frame(), RW)
            paddr = leaves(source)[0][1]
            del frame

            class Hart:
                """Stores to the page just before the kernel's compare-and-swap."""

                done = 0

                def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
                    if kind is Access.ATOMIC and (value or 0) & PPN_MASK == paddr >> 2 and not self.done:
                        assert value is not None
                        self.done = 1
                        kernel.machine.bus.write(address, (value | WRITE | ACCESSED | DIRTY).to_bytes(8, "little"))

            hart = Hart()
            mine.jump(BASE)
            with mm.port.observed(hart):
                mine.share(its, P, copy_on_write=True)
            assert hart.done
        flags = leaves(source)[0][2].flags
        assert flags == PageFlags.R | PageFlags.ACCESSED | PageFlags.DIRTY
        assert leaves(target)[0][2].flags == PageFlags.R


def test_misuse(mm: Mm) -> None:
    other = boot()
    with filled(mm) as source, VmSpace(mm) as target, VmSpace(other.mm) as foreign:
        before = leaves(source), counts(source)
        with source.cursor_mut(SPAN) as mine:
            with foreign.cursor_mut(SPAN) as its, pytest.raises(FrameMisuse, match="another kernel"):
                mine.share(its, P, copy_on_write=True)
            with target.cursor_mut(SPAN) as its:
                with pytest.raises(KernelPanic, match="not a multiple"):
                    mine.share(its, 100, copy_on_write=True)
                with pytest.raises(KernelPanic, match="exceeds"):
                    mine.share(its, len(SPAN) + P, copy_on_write=True)
            with target.cursor_mut(range(BASE, BASE + P)) as its, pytest.raises(KernelPanic, match="other cursor"):
                mine.share(its, 2 * P, copy_on_write=True)
            with target.cursor_mut(range(BASE + P, BASE + 3 * P)) as its, pytest.raises(KernelPanic, match="other"):
                mine.share(its, P, copy_on_write=True)
        assert (leaves(source), counts(source)) == before and not leaves(target)
    other.close()


def test_what_the_other_space_maps_stays(mm: Mm) -> None:
    with filled(mm) as source, VmSpace(mm) as target:
        first = next(va for va, _, _, tracked in leaves(source) if tracked)
        with target.cursor_mut(range(first, first + P)) as cursor:
            cursor.map(FrameAllocOptions(mm).alloc_frame(), R)
        before = leaves(source), counts(source), leaves(target)
        with source.cursor_mut(SPAN) as mine, target.cursor_mut(SPAN) as its, \
                pytest.raises(KernelPanic, match=f"already mapped page: {first:#x}"):
            mine.share(its, len(SPAN), copy_on_write=True)
        assert (leaves(source), counts(source), leaves(target)) == before


def test_out_of_memory_leaves_sound_tables() -> None:
    kernel, budget = boot_scarce()
    mm, failures = kernel.mm, 0
    before = census(mm)
    with filled(mm) as source:
        while True:
            with VmSpace(mm) as target, source.cursor_mut(SPAN) as mine, target.cursor_mut(SPAN) as its:
                budget.left = failures
                try:
                    mine.share(its, len(SPAN), copy_on_write=True)
                    break
                except NoMemory:
                    failures += 1
                finally:
                    budget.left = None
            survey.check(mm, source.root_paddr)
            assert set(counts(source)) == {1}
    assert failures >= 3  # a table for each part
    assert census(mm) == before
    kernel.close()


def test_listeners_hear_of_the_pages(mm: Mm) -> None:
    heard: list[Operation] = []
    with VmSpace(mm) as source, VmSpace(mm) as target:
        with source.cursor_mut(SPAN) as mine, target.cursor_mut(SPAN) as its:
            for prop in RW, R, RW:
                mine.map(FrameAllocOptions(mm).alloc_frame(), prop)
            mine.jump(BASE)
            mm.operations = heard.append
            mine.share(its, 8 * P, copy_on_write=True)
            mm.operations = None
        told = [(op.kind, op.moment, op.address, op.size, op.root) for op in heard
                if op.kind in (OperationKind.MAP, OperationKind.PROTECT)]
        assert told == [(kind, moment, BASE, 3 * P, root)
                        for kind, root in ((OperationKind.MAP, target.root_paddr),
                                           (OperationKind.PROTECT, source.root_paddr))
                        for moment in (Moment.CALL, Moment.RETURN)]


def test_every_count_is_an_access_that_meters_are_told_of(mm: Mm) -> None:
    """What a core is charged for grows with the pages: nothing is done behind the port's back."""

    class Charged:
        atomics: set[int] = set()

        def access(self, kind: Access, address: int, size: int, stride: int) -> None:
            if kind is Access.ATOMIC:
                self.atomics.add(address)

    with filled(mm) as source, VmSpace(mm) as target:
        with source.cursor_mut(SPAN) as mine, target.cursor_mut(SPAN) as its:
            before, mm.port.meter = mm.port.meter, Charged()
            try:
                mine.share(its, len(SPAN), copy_on_write=True)
            finally:
                mm.port.meter = before
        frames = {mm.slots.slot(paddr) + REF_COUNT for _, paddr, _, tracked in leaves(source) if tracked}
        assert frames <= Charged.atomics


@pytest.mark.parametrize("seed", range(3))
def test_absent_names_what_query_finds_nothing_at(mm: Mm, seed: int) -> None:
    chance = random.Random(seed)
    with filled(mm, seed) as space:
        whole = range(BASE - 3 * 512 * P, SPAN.stop + 2 * 512 * P)
        with space.cursor_mut(whole) as cursor:
            for _ in range(4):
                first, last = sorted(chance.sample(range(0, len(whole) // P), 2))
                start, length = whole.start + first * P, (last - first) * P
                nothing = []
                for vaddr in range(start, start + length, P):
                    cursor.jump(vaddr)
                    if cursor.query()[1] is None:
                        nothing.append(vaddr)
                cursor.jump(start)
                holes = cursor.absent(length)
                assert [vaddr for hole in holes for vaddr in hole[::P]] == nothing
                assert all(one.stop < other.start for one, other in zip(holes, holes[1:], strict=False))
                assert cursor.virt_addr == start
            assert cursor.absent(0) == []
            with pytest.raises(KernelPanic):
                cursor.absent(len(whole) + P)


# --- rows of frames -------------------------------------------------------------------------------------------


def held_frames(mm: Mm, count: int) -> list[int]:
    return [FrameAllocOptions(mm).alloc_frame().into_raw() for _ in range(count)]


def test_held_frames_are_mapped_as_one_by_one(mm: Mm) -> None:
    frames = held_frames(mm, 5)
    with VmSpace(mm) as row, VmSpace(mm) as single:
        with row.cursor_mut(SPAN) as cursor:
            cursor.jump(BASE + 10 * P)
            cursor.map_held(frames, RW)
            assert cursor.virt_addr == BASE + 15 * P
            cursor.map_held([], RW)
            cursor.map(FrameAllocOptions(mm).alloc_frame(), R)
        with single.cursor_mut(SPAN) as cursor:
            cursor.jump(BASE + 10 * P)
            for paddr in frames:
                mm.slots.add_holder(paddr)
                cursor.map(Frame.from_raw(mm, paddr), RW)
        assert leaves(row)[:5] == leaves(single) and len(leaves(row)) == 6
        assert counts(row) == [2] * 5 + [1]
        survey.check(mm, row.root_paddr)


class TypedMeta(FrameMeta):
    """A frame that is the kernel's."""


def test_held_frames_that_cannot_be_mapped_are_given_up(mm: Mm) -> None:
    with VmSpace(mm) as space:
        with space.cursor_mut(SPAN) as cursor:
            cursor.jump(BASE + 2 * P)
            cursor.map(FrameAllocOptions(mm).alloc_frame(), R)
            before = census(mm)
            for at, count, match in (0, 3, "already mapped"), (1, 3, "in one table"), (PAGES - 1, 2, "out-of-bound"):
                frames = held_frames(mm, count)
                cursor.jump(BASE + at * P)
                with pytest.raises(KernelPanic, match=match):
                    cursor.map_held(frames, RW)
                assert census(mm) == before
            frames = [*held_frames(mm, 1), FrameAllocOptions(mm).alloc_frame_with(TypedMeta()).into_raw()]
            cursor.jump(BASE + 4 * P)
            with pytest.raises(MetaTypeError, match="is typed"):
                cursor.map_held(frames, RW)
            assert census(mm) == before
        frames = held_frames(mm, 2)
        with pytest.raises(UseAfterMove):
            cursor.map_held(frames, RW)
        assert [va for va, *_ in leaves(space)] == [BASE + 2 * P]
