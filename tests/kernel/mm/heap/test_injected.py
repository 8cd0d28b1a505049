"""A heap allocator that others wrote is used if it is right, and named if it is not (R3.6, R3.10, R3.11)."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import AllocatorFault, AllocatorHung, HeapMisuse, InvalidArgs, NoMemory
from kernel.mm import Layout, Mm
from kernel.mm.heap.dispatch import AllocDispatch
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import HeapSlot, LargeSlot, SlabSlot, SlotInfo
from kernel.mm.watchdog import Watchdog
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from tests.kernel.mm.heap.heaps import L64, PAGE, heap_frames, make_mm


class Simple:
    """A right one: one slab of 64-byte slots at a time, everything else large."""

    def __init__(self, mm: Mm) -> None:
        self.mm = mm
        self.pages: list[int] = []

    def slot_map(self, layout: Layout) -> SlotInfo | None:
        if max(layout.size, layout.align) <= 64:
            return SlabSlot(64)
        return LargeSlot(-(-layout.size // 4096) * 4096) if layout.align <= 4096 else None

    def alloc(self, layout: Layout) -> HeapSlot:
        if max(layout.size, layout.align) > 64:
            return HeapSlot.alloc_large(self.mm, -(-layout.size // 4096) * 4096)
        slab = Slab.from_raw(self.mm, self.pages[-1]) if self.pages else Slab.new(self.mm, 64)
        if slab.nr_allocated == slab.capacity:
            slab.into_raw()
            slab = Slab.new(self.mm, 64)
        slot = slab.alloc()
        self.pages = [*(page for page in self.pages if page != slab.paddr), slab.into_raw()]
        return slot

    def dealloc(self, slot: HeapSlot) -> None:
        if isinstance(slot.info, LargeSlot):
            slot.dealloc_large()
            return
        slab = Slab.from_raw(self.mm, slot.paddr & -4096)
        slab.dealloc(slot)
        if slab.nr_allocated:
            slab.into_raw()
        else:
            self.pages.remove(slab.paddr)
            slab.drop()


def test_injected_allocator_serves_the_heap() -> None:
    mm = make_mm(Simple)
    addresses = [mm.heap.alloc(L64) for _ in range(100)] + [mm.heap.alloc(PAGE)]
    assert len(set(addresses)) == 101
    assert heap_frames(mm) == {"SlabMeta": 2, "LargeAllocFrameMeta": 1}
    with pytest.raises(HeapMisuse):
        mm.heap.dealloc(addresses[0] + 1, L64)
    for address in addresses[:100]:
        mm.heap.dealloc(address, L64)
    mm.heap.dealloc(addresses[100], PAGE)
    assert heap_frames(mm) == {}


def test_layout_without_slots_is_refused_by_name() -> None:
    mm = make_mm(Simple)
    with pytest.raises(InvalidArgs, match="Simple has no slots for"):
        mm.heap.alloc(Layout(64, 8192))


class Twice(Simple):
    """Hands out a slot, keeps the handle, and hands it out again."""

    last: HeapSlot | None = None

    def alloc(self, layout: Layout) -> HeapSlot:
        self.last = self.last or super().alloc(layout)
        return self.last


def test_slot_handed_out_twice_is_named() -> None:
    mm = make_mm(Twice)
    address = mm.heap.alloc(L64)
    with pytest.raises(AllocatorFault, match="Twice: alloc gave .* handed out or given away before") as caught:
        mm.heap.alloc(L64)
    assert (caught.value.address, caught.value.size) == (address, 64)
    assert mm.heap.is_live(address, L64)


class Forger(Simple):
    """Forges a handle for a slot that is in use, past all that Python keeps private."""

    victim = 0
    info: SlotInfo = SlabSlot(64)

    def alloc(self, layout: Layout) -> HeapSlot:
        return HeapSlot._adopt(self.mm, self.victim, self.info) if self.victim else super().alloc(layout)


@pytest.mark.parametrize("layout,info", [(L64, SlabSlot(64)), (PAGE, LargeSlot(4096))])
def test_live_slot_handed_out_again_is_named_and_stays_its_users(layout: Layout, info: SlotInfo) -> None:
    mm = make_mm(Forger)
    forger = mm.heap.inner
    assert isinstance(forger, Forger)
    address = mm.heap.alloc(layout)
    forger.victim, forger.info = address, info
    with pytest.raises(AllocatorFault, match="the slot is live") as caught:
        mm.heap.alloc(layout)
    assert caught.value.address == address
    assert mm.heap.is_live(address, layout)
    mm.heap.dealloc(address, layout)


class Answers(Simple):
    """Answers with whatever the test says."""

    answer: Any = None

    def alloc(self, layout: Layout) -> HeapSlot:
        return self.answer(self.mm) if self.answer else super().alloc(layout)


@pytest.mark.parametrize("answer,why", [
    (lambda mm: None, "None is no HeapSlot"),
    (lambda mm: 0x1000, "4096 is no HeapSlot"),
    (lambda mm: HeapSlot.alloc_large(mm, 4096), r"a LargeSlot\(size=4096\) for .* expected a SlabSlot\(size=64\)"),
])
def test_wrong_answer_is_named_and_leaks_nothing(answer: Any, why: str) -> None:
    mm = make_mm(Answers)
    before = heap_frames(mm)
    assert isinstance(mm.heap.inner, Answers)
    mm.heap.inner.answer = answer
    with pytest.raises(AllocatorFault, match=why):
        mm.heap.alloc(L64)
    assert heap_frames(mm) == before


class WrongSize(HeapAllocator):
    """The default one, but with slots of half or twice the size that it says."""

    __slots__ = ("factor",)

    def alloc(self, layout: Layout) -> HeapSlot:
        return super().alloc(Layout(int(layout.size * self.factor), 8))


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("size", [64, 2048, 8192])
def test_slot_of_another_size_is_named_and_goes_back(factor: float, size: int) -> None:
    mm = make_mm(WrongSize)
    wrong = mm.heap.inner
    assert isinstance(wrong, WrongSize)
    wrong.factor = factor
    with pytest.raises(AllocatorFault, match="expected a .*Slot"):
        mm.heap.alloc(Layout(size, 8))
    wrong.reclaim()
    assert heap_frames(mm) == {}


class Misaligned(Simple):
    """Serves every alignment with 64-byte slots."""

    def slot_map(self, layout: Layout) -> SlotInfo | None:
        return SlabSlot(64)

    def alloc(self, layout: Layout) -> HeapSlot:
        return super().alloc(L64)


def test_misaligned_slot_is_named_and_goes_back() -> None:
    mm = make_mm(Misaligned)
    with pytest.raises(AllocatorFault, match="at a multiple of 1024"):
        mm.heap.alloc(Layout(64, 1024))
    assert heap_frames(mm) == {}


def test_slot_smaller_than_the_layout_is_named() -> None:
    mm = make_mm(Misaligned)
    with pytest.raises(AllocatorFault, match=r"SlabSlot\(size=64\) for Layout\(size=65"):
        mm.heap.alloc(Layout(65, 8))


def test_slot_of_another_kernel_is_named() -> None:
    mm, other = make_mm(Answers), make_mm()
    assert isinstance(mm.heap.inner, Answers)
    slab = Slab.new(other, 64)
    slot = slab.alloc()
    mm.heap.inner.answer = lambda _: slot
    with pytest.raises(AllocatorFault, match="another kernel's slot"):
        mm.heap.alloc(L64)
    slab.dealloc(slot)
    slab.drop()


class Refusing(Simple):
    """Never takes anything back."""

    def dealloc(self, slot: HeapSlot) -> None:
        raise NoMemory("no room for it")


def test_object_that_the_allocator_does_not_take_back_stays_live() -> None:
    mm = make_mm(Refusing)
    for layout in (L64, PAGE):
        address = mm.heap.alloc(layout)
        with pytest.raises(NoMemory):
            mm.heap.dealloc(address, layout)
        assert mm.heap.is_live(address, layout)


def test_wrong_slot_that_the_allocator_does_not_take_back_is_reported_as_lost() -> None:
    class Both(Answers, Refusing):
        pass

    mm = make_mm(Both)
    assert isinstance(mm.heap.inner, Both)
    mm.heap.inner.answer = lambda mm: HeapSlot.alloc_large(mm, 4096)
    with pytest.raises(AllocatorFault) as caught:
        mm.heap.alloc(L64)
    assert any("the slot is lost" in note for note in caught.value.__notes__)


class Hanging(Simple):
    """Loops."""

    def alloc(self, layout: Layout) -> HeapSlot:
        while layout.size:
            pass
        return super().alloc(layout)

    def dealloc(self, slot: HeapSlot) -> None:
        while slot.held:
            pass


def test_allocator_that_hangs_is_stopped_and_named() -> None:
    mm = make_mm(Hanging)
    mm.heap = AllocDispatch(mm, mm.heap.inner, Watchdog(100_000))
    with pytest.raises(AllocatorHung, match="Hanging: alloc did not end"):
        mm.heap.alloc(L64)
    address = mm.heap.alloc(Layout(0, 8))
    with pytest.raises(AllocatorHung, match="Hanging: dealloc did not end"):
        mm.heap.dealloc(address, Layout(0, 8))
    assert mm.heap.is_live(address, Layout(0, 8))


class Fickle(Simple):
    """Changes its mind about what pages are served with."""

    info: SlotInfo = LargeSlot(4096)

    def slot_map(self, layout: Layout) -> SlotInfo | None:
        return self.info


def test_issue_3920_large_slot_is_not_freed_as_a_slab_slot_of_its_size() -> None:
    mm = make_mm(Fickle)
    address = mm.heap.alloc(PAGE)
    assert isinstance(mm.heap.inner, Fickle)
    mm.heap.inner.info = SlabSlot(4096)
    with pytest.raises(HeapMisuse, match="a large slot of 4096 bytes"):
        mm.heap.dealloc(address, PAGE)
    mm.heap.inner.info = LargeSlot(4096)
    mm.heap.dealloc(address, PAGE)
