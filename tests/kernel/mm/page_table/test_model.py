"""A user page table against a model that is a dict: random mapping, unmapping, protecting, with huge pages."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kernel import Kernel
from kernel.errors import KernelPanic
from kernel.mm import Frame, FrameAllocOptions
from tests.helpers import page_tables as survey
from kernel.mm.page_table.items import Mapped, StrayPageTable, Tracked, TrackedRef, Untracked
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.tlb.flusher import TlbFlusher
from kernel.mm.tlb.unmap import unmap_range
from kernel.mm.vm_space.vm_space import VmSpace
from tests.helpers.kernels import boot
from tests.kernel.mm.page_table.scarce import census
from tests.kernel.mm.page_table.tables import HUGE, P

BASE = 512 * HUGE - 2 * HUGE
PAGES = 4 * 512
"""Two huge pages on each side of a boundary of 1 GiB."""
WHOLE = range(BASE, BASE + PAGES * P)
IO = 1 << 44

edges = st.sampled_from([0, 1, 511, 512, 513, 1023, 1024, 1025, 1535, 1536, 2047])
places = edges | st.integers(0, PAGES - 1)
lengths = st.sampled_from([1, 2, 512, 513, 1024, PAGES]) | st.integers(1, 40)
flags = st.sampled_from([PageFlags.R, PageFlags.RW, PageFlags.RX, PageFlags.RWX])


class Page(NamedTuple):
    """What the model says of a page."""

    paddr: int
    prop: PageProperty
    frame: int | None
    """Which of the machine's frames it is, None for I/O memory."""


class PageTableModel(RuleBasedStateMachine):
    """Every rule does the same to the table and to `self.model`."""

    kernel: Kernel

    def __init__(self) -> None:
        super().__init__()
        self.mm = self.kernel.mm
        self.before = census(self.mm)
        self.space = VmSpace(self.mm)
        self.table = self.space.page_table
        self.frames: list[Frame] = [FrameAllocOptions(self.mm).alloc_frame() for _ in range(4)]
        self.model: dict[int, Page] = {}

    def free(self, first: int, count: int) -> bool:
        return not any(page in self.model for page in range(first, first + count))

    @rule(first=places, which=st.lists(st.integers(0, 3), min_size=1, max_size=5), flags=flags)
    def map_frames(self, first: int, which: list[int], flags: PageFlags) -> None:
        prop = PageProperty.new_user(flags)
        which = which[:PAGES - first]
        with self.table.cursor_mut(range(WHOLE[first * P], WHOLE.stop)) as cursor:
            for page, frame in enumerate(which, first):
                held = self.frames[frame].clone()
                if page in self.model:
                    with pytest.raises(KernelPanic, match="mapping over an already mapped page"):
                        cursor.map(held, prop)
                    held.drop()
                    return
                cursor.map(held, prop)
                self.model[page] = Page(self.frames[frame].paddr, prop, frame)

    @rule(first=places, count=lengths, shift=st.integers(0, 2), flags=flags, whole=st.booleans())
    def map_range(self, first: int, count: int, shift: int, flags: PageFlags, whole: bool) -> None:
        prop, count = PageProperty.new_user(flags), min(count, PAGES - first)
        start = BASE + first * P
        paddr = IO + start + shift * P
        with self.table.cursor_mut(WHOLE if whole else range(start, start + count * P)) as cursor:
            cursor.jump(start)
            if not self.free(first, count):
                with pytest.raises(KernelPanic, match="mapping over an already mapped page"):
                    cursor.map_range(paddr, count * P, prop)
                return
            cursor.map_range(paddr, count * P, prop)
            assert cursor.virt_addr == start + count * P
        for i in range(count):
            self.model[first + i] = Page(paddr + i * P, prop, None)

    @rule(huge=st.integers(0, 3), flags=flags, exact=st.booleans())
    def map_huge(self, huge: int, flags: PageFlags, exact: bool) -> None:
        prop, start = PageProperty.new_user(flags), BASE + huge * HUGE
        with self.table.cursor_mut(range(start, start + HUGE) if exact else WHOLE) as cursor:
            cursor.jump(start)
            has_table = len(survey.path(self.mm, self.table.root_paddr, start)) == self.mm.paging.levels
            if has_table or not self.free(huge * 512, 512):
                with pytest.raises(KernelPanic, match="mapping over an already mapped page"):
                    cursor.map_untracked(IO + start, 2, prop)
                return
            cursor.map_untracked(IO + start, 2, prop)
        for i in range(512):
            self.model[huge * 512 + i] = Page(IO + start + i * P, prop, None)

    @rule(first=places, count=lengths, whole=st.booleans())
    def unmap(self, first: int, count: int, whole: bool) -> None:
        count = min(count, PAGES - first)
        start = BASE + first * P
        with self.table.cursor_mut(WHOLE if whole else range(start, start + count * P)) as cursor, \
                TlbFlusher(self.mm, lambda: 0) as flusher:
            cursor.jump(start)
            unmap_range(cursor, count * P, flusher)
            assert cursor.virt_addr >= start + count * P or cursor.virt_addr == cursor.span.stop
        for page in range(first, first + count):
            self.model.pop(page, None)

    @rule(first=places, count=lengths)
    def take(self, first: int, count: int) -> None:
        count = min(count, PAGES - first)
        start, end = BASE + first * P, BASE + (first + count) * P
        with self.table.cursor_mut(WHOLE) as cursor:
            cursor.jump(start)
            while (taken := cursor.take_next(max(end - cursor.virt_addr, 0))) is not None:
                page = (taken.va - BASE) // P
                if isinstance(taken, StrayPageTable):
                    gone = [self.model.pop(page + i, None) for i in range(taken.len // P)]
                    assert taken.num_frames == sum(one is not None for one in gone)
                    taken.pt.drop()
                    continue
                assert isinstance(taken, Mapped)
                if isinstance(taken.item, Tracked):
                    assert self.model.pop(page) [:2] == (taken.item.frame.paddr, taken.item.prop)
                    taken.item.frame.drop()
                else:
                    gone = [self.model.pop(page + i) for i in range(1 if taken.item.level == 1 else 512)]
                    assert gone[0] == Page(taken.item.paddr, taken.item.prop, None)
        assert self.free(first, count)

    @rule(first=places, count=lengths, flags=flags)
    def protect(self, first: int, count: int, flags: PageFlags) -> None:
        count = min(count, PAGES - first)
        start, end = BASE + first * P, BASE + (first + count) * P
        seen = []
        with self.table.cursor_mut(WHOLE) as cursor:
            cursor.jump(start)
            while (done := cursor.protect_next(max(end - cursor.virt_addr, 0), lambda p: p.with_flags(flags))):
                seen += range((done.start - BASE) // P, (done.stop - BASE) // P)
        expected = [page for page in range(first, first + count) if page in self.model]
        assert seen == expected
        for page in expected:
            self.model[page] = self.model[page]._replace(prop=self.model[page].prop.with_flags(flags))

    @rule(first=places, count=lengths)
    def find(self, first: int, count: int) -> None:
        count = min(count, PAGES - first)
        expected = next((page for page in range(first, first + count) if page in self.model), None)
        with self.table.cursor(WHOLE) as cursor:
            cursor.jump(BASE + first * P)
            found = cursor.find_next(count * P)
            assert found == (None if expected is None else BASE + expected * P)
            if found is None:
                assert cursor.virt_addr >= BASE + (first + count) * P

    @rule(jumps=st.lists(places, min_size=1, max_size=6))
    def query(self, jumps: list[int]) -> None:
        with self.table.cursor(WHOLE) as cursor:
            for page in jumps:
                cursor.jump(BASE + page * P)
                va, item = cursor.query()
                model = self.model.get(page)
                assert BASE + page * P in va
                if model is None:
                    assert item is None
                    assert not any(BASE + other * P in va for other in self.model)
                elif model.frame is not None:
                    assert isinstance(item, TrackedRef)
                    assert (item.frame.paddr, item.prop, len(va)) == (model.paddr, model.prop, P)
                else:
                    assert isinstance(item, Untracked)
                    assert item.paddr + (BASE + page * P - va.start) == model.paddr
                    assert (item.prop, len(va)) == (model.prop, P if item.level == 1 else HUGE)

    @precondition(lambda self: self.model)
    @rule(page=places, write=st.booleans())
    def translate(self, page: int, write: bool) -> None:
        model = self.model.get(page)
        if model is not None and not write:
            assert self.space.translate(BASE + page * P + 123, False) == model.paddr + 123
            self.clear_accessed()

    def clear_accessed(self) -> None:
        with self.table.cursor_mut(WHOLE) as cursor:
            while cursor.protect_next(WHOLE.stop - cursor.virt_addr, lambda p: p.without(PageFlags.ACCESSED)):
                pass

    @invariant()
    def walks_agree(self) -> None:
        found = {}
        for item in survey.walk(self.mm, self.table.root_paddr):
            if isinstance(item, survey.Leaf):
                for i in range(1 if item.level == 1 else 512):
                    found[(item.va - BASE) // P + i] = (item.paddr + i * P, item.prop, item.tracked)
        assert found == {page: (one.paddr, one.prop, one.frame is not None) for page, one in self.model.items()}
        for page in (0, 511, 512, 1024, 2047):
            walked = self.table.page_walk(BASE + page * P)
            assert walked == (self.model[page][:2] if page in self.model else None)

    @invariant()
    def sound(self) -> None:
        survey.check(self.mm, self.table.root_paddr)
        for i, frame in enumerate(self.frames):
            assert frame.reference_count == 1 + sum(one.frame == i for one in self.model.values())

    def teardown(self) -> None:
        self.space.drop()
        assert all(frame.reference_count == 1 for frame in self.frames)
        for frame in self.frames:
            frame.drop()
        assert census(self.mm) == self.before


def test_a_user_page_table_does_what_a_dict_does() -> None:
    with boot() as kernel:
        class OnThisKernel(PageTableModel):
            pass

        OnThisKernel.kernel = kernel
        case = OnThisKernel.TestCase
        case.settings = settings(max_examples=40, stateful_step_count=30, deadline=None,
                                 suppress_health_check=list(HealthCheck))
        case().runTest()
