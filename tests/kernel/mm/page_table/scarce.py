"""A kernel whose allocators can be made to run out at the n-th request, and a count of all that is in use."""

from __future__ import annotations

from collections.abc import Callable

from kernel import Choices, Kernel
from kernel.errors import NoMemory
from kernel.mm import Layout, Mm
from kernel.mm.frame.meta import FREE, REF_COUNT, UNUSED, VTABLE
from kernel.mm.frame.meta_type import FrameMeta
from kernel.mm.frame.type_table import full_name
from kernel.mm.heap.slot import HeapSlot
from kernel.mm.paging import META_SLOT_SIZE
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from tests.helpers.kernels import boot


class Budget:
    """Requests that are still granted; None for any number."""

    def __init__(self) -> None:
        self.left: int | None = None

    def spend(self) -> bool:
        """Whether one more request is granted."""
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


class ScarceFrames(FrameAllocator):
    """The default frame allocator with a budget."""

    __slots__ = ("budget",)

    def __init__(self, mm: Mm, budget: Budget) -> None:
        super().__init__(mm)
        self.budget = budget

    def alloc(self, layout: Layout) -> int | None:
        return super().alloc(layout) if self.budget.spend() else None


class ScarceHeap(HeapAllocator):
    """The default heap allocator with a budget."""

    __slots__ = ("budget",)

    def __init__(self, mm: Mm, budget: Budget) -> None:
        super().__init__(mm)
        self.budget = budget

    def alloc(self, layout: Layout) -> HeapSlot:
        if not self.budget.spend():
            raise NoMemory("the test's budget is spent")
        return super().alloc(layout)


def boot_scarce() -> tuple[Kernel, Budget]:
    """A small kernel, and the budget of both of its allocators."""
    budget = Budget()
    choices = Choices(frame_allocator=lambda mm: ScarceFrames(mm, budget),
                      heap_allocator=lambda mm: ScarceHeap(mm, budget), watchdog_lines=None)
    return boot(choices), budget


HEAP_FRAMES = ("SlabMeta", "LiveMapMeta", "LargeAllocFrameMeta", "FreeHeadMeta")


def census(mm: Mm) -> dict[str, int]:
    """Holders of frames by metadata type, frames `lost` to everybody, and heap objects; not what caches hold."""
    slots = mm.slots
    first, count = slots.base + (slots.first_paddr >> 6), slots.max_paddr - slots.first_paddr >> 12
    counts = mm.port.load_column(first + REF_COUNT, count, META_SLOT_SIZE)
    vtables = mm.port.load_column(first + VTABLE, count, META_SLOT_SIZE)
    used = counts != UNUSED
    found = {"lost": int((~used & (vtables != FREE)).sum())}
    for vtable, name, _, _ in mm.types.entries():
        if not name.endswith(HEAP_FRAMES):
            found[name] = int(counts[used & (vtables == vtable)].sum())
    inner = mm.heap.inner
    assert isinstance(inner, HeapAllocator)
    found["heap objects"] = sum(use.active for use in inner.use())
    return {name: n for name, n in found.items() if n}


def at_each_failure(mm: Mm, budget: Budget, act: Callable[[], object], undo: Callable[[], object],
                    stay: type[FrameMeta] | None = None) -> int:
    """Run `act` with 0, 1, 2, … allocations granted until it succeeds, then `undo` it; how often it failed.

    Every failure must be NoMemory and leave everything as it was, and so must `undo` in the end, but for
    frames of the type `stay`.
    """
    before = census(mm)
    failures = 0
    while True:
        budget.left = failures
        try:
            act()
        except NoMemory:
            budget.left = None
            assert census(mm) == before, f"after the failure of allocation {failures}"
            failures += 1
            continue
        finally:
            budget.left = None
        undo()
        after = census(mm)
        if stay is not None:
            after[full_name(stay)] = before[full_name(stay)]
        assert after == before
        return failures
