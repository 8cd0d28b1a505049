"""The kernel heap's front: asks the injected allocator, and checks its answers and everybody's frees.

        mm.heap.alloc(layout) ──► slot_map(layout), inner.alloc(layout) ──► HeapSlot ──► live, an address
        mm.heap.dealloc(address, layout) ──► found, live, of that size ──► HeapSlot ──► inner.dealloc(slot)

Upstream (`mm/heap/mod.rs`) believes addresses that come back, and compares sizes of answers only (#3920).
Here each slot has a live bit, in its slab's or large allocation's metadata, which is set and cleared with
compare-and-swap here and nowhere else. So a second free, an address inside an object, another size, and an
allocator that hands out memory that is in use, are reported before anything changes. Where upstream aborts,
an error is raised; out of memory is NoMemory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from kernel.errors import AllocatorFault, HeapMisuse, InvalidArgs, KernelError
from kernel.mm.frame.meta import REF_COUNT, UNIQUE, VTABLE
from kernel.mm.layout import Layout
from kernel.mm.operations import Moment, OperationKind, tell
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.watchdog import Watchdog

from .slab import COUNTS, LIVE, SMALL, SlabMeta
from .slot import SLAB_SLOTS, HeapSlot, LargeAllocFrameMeta, SlabSlot, SlotInfo

if TYPE_CHECKING:
    from kernel.mm.context import Mm

LARGE_LIVE, LARGE_HEAD = LargeAllocFrameMeta.live.offset, LargeAllocFrameMeta.head.offset
PAGE_MASK = PAGE_SIZE - 1
NOT_LIVE = "not live: it was freed, or never allocated"


class GlobalHeapAllocator(Protocol):
    """The policy: which slot an allocation gets (`GlobalHeapAllocator`)."""

    def alloc(self, layout: Layout) -> HeapSlot:
        """A slot of the kind and size that `slot_map` tells for `layout`; NoMemory (`AllocError`)."""

    def dealloc(self, slot: HeapSlot) -> None:
        """Take a slot back. An error leaves the slot unused."""

    def slot_map(self, layout: Layout) -> SlotInfo | None:
        """Kind and size of slots for `layout`, always the same; None if there are none."""


class AllocDispatch:
    """The heap as the kernel uses it; `mm.heap` (`AllocDispatch`, Rust's `GlobalAlloc`).

    `watchdog` guards calls of an allocator that is not ours; None for none.
    """

    __slots__ = ("_alloc", "_dealloc", "_large_vtable", "_linear", "_map", "_mm", "_port", "_slots", "_vtable",
                 "inner", "name", "watchdog")

    def __init__(self, mm: Mm, inner: GlobalHeapAllocator, watchdog: Watchdog | None = None) -> None:
        self._mm, self._port, self._slots, self._linear = mm, mm.port, mm.slots, mm.paging.linear_base
        self.inner, self.name, self.watchdog = inner, type(inner).__name__, watchdog
        self._vtable, self._large_vtable = mm.types.vtable(SlabMeta), mm.types.vtable(LargeAllocFrameMeta)
        self._alloc: Callable[[Layout], HeapSlot] = inner.alloc
        self._dealloc: Callable[[HeapSlot], None] = inner.dealloc
        self._map: Callable[[Layout], SlotInfo | None] = inner.slot_map
        if watchdog is not None:
            self._alloc = lambda layout: watchdog.call(self.name, "alloc", inner.alloc, layout)
            self._dealloc = lambda slot: watchdog.call(self.name, "dealloc", inner.dealloc, slot)
            self._map = lambda layout: watchdog.call(self.name, "slot_map", inner.slot_map, layout)

    # --- allocation -----------------------------------------------------------------------------------------

    def alloc(self, layout: Layout) -> int:
        """Kernel virtual address, in the linear mapping, of `layout.size` bytes at a multiple of `layout.align`.

        The contents are whatever was there. Raises NoMemory, InvalidArgs for a layout that the allocator has
        no slots for, AllocatorFault for an answer that cannot be right, AllocatorHung, CorruptionError.
        """
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.HEAP_ALLOC, Moment.CALL, None, layout.size, layout.align)
        info = self._map(layout)
        if info is None:
            raise InvalidArgs(f"{self.name} has no slots for {layout}")
        slot = self._alloc(layout)
        if type(slot) is not HeapSlot or not slot._held or slot._mm is not self._mm:
            self._not_a_slot(slot, layout)
        has = slot._info
        address = slot._address
        if has is not info and has != info or has.size < layout.size or address & layout.align - 1:
            self._refuse(slot, info, layout)
        port = self._port
        paddr = address - self._linear
        word = self._slots.base + (paddr >> 12 << 6)
        if type(has) is SlabSlot:
            size = has.size
            index = (paddr & PAGE_MASK) // size
            word = word + LIVE if size >= SMALL else port.load(word + LIVE) + (index >> 6 << 3)
            bit = 1 << (index & 63)
        else:
            word, bit = word + LARGE_LIVE, 1
        was = port.load(word)
        while not was & bit:
            seen = port.compare_exchange(word, was, was | bit)
            if seen == was:
                slot._held = False
                if heard:
                    tell(self._mm, OperationKind.HEAP_ALLOC, Moment.RETURN, address, layout.size, layout.align)
                return address
            was = seen
        slot._held = False  # somebody else's: not to be given back
        raise AllocatorFault(self.name, "alloc", address, has.size, "the slot is live: it was handed out before")

    def alloc_zeroed(self, layout: Layout) -> int:
        """`alloc` with the `layout.size` bytes zeroed."""
        address = self.alloc(layout)
        self._port.fill(address - self._linear, layout.size)
        return address

    def dealloc(self, address: int, layout: Layout) -> None:
        """Free what `alloc(layout)` gave. HeapMisuse names everything else: nothing is changed then."""
        heard = self._mm.operations is not None
        if heard:
            tell(self._mm, OperationKind.HEAP_DEALLOC, Moment.CALL, address, layout.size)
        info = self._map(layout)
        port, word, bit = self._port, *self._find("dealloc", address, layout, info)
        was = port.load(word)
        while was & bit:
            seen = port.compare_exchange(word, was, was ^ bit)
            if seen == was:
                break
            was = seen
        else:
            raise HeapMisuse("dealloc", address, layout.size, NOT_LIVE, "a live object")
        assert info is not None
        slot = HeapSlot._adopt(self._mm, address, SLAB_SLOTS[info.size] if type(info) is SlabSlot else info)
        try:
            self._dealloc(slot)
        except BaseException:
            if slot._held:
                slot._held = False
                self._set(word, bit)
            raise
        if heard:
            tell(self._mm, OperationKind.HEAP_DEALLOC, Moment.RETURN, address, layout.size)

    def realloc(self, address: int, layout: Layout, new_size: int) -> int:
        """Make what `alloc(layout)` gave `new_size` bytes large; the address, new or the same.

        The contents up to the smaller size stay. On an error (see `alloc`, `dealloc`) the old one is as it was.
        """
        new_layout = Layout(new_size, layout.align)
        info = self._map(layout)
        word, bit = self._find("realloc", address, layout, info)
        if not self._port.load(word) & bit:
            raise HeapMisuse("realloc", address, layout.size, NOT_LIVE, "a live object")
        if self._map(new_layout) == info:
            return address
        moved = self.alloc(new_layout)
        self._port.copy(moved - self._linear, address - self._linear, min(layout.size, new_size))
        self.dealloc(address, layout)
        return moved

    def is_live(self, address: int, layout: Layout) -> bool:
        """Whether `address` is what `alloc(layout)` gave, and was not freed since."""
        try:
            word, bit = self._find("is_live", address, layout, self._map(layout))
        except HeapMisuse:
            return False
        return bool(self._port.load(word) & bit)

    # --- checks -----------------------------------------------------------------------------------------------

    def _find(self, operation: str, address: int, layout: Layout, info: SlotInfo | None) -> tuple[int, int]:
        """The word and the bit that say whether the slot is live; HeapMisuse if there is no such slot."""
        paddr, slots, port = address - self._linear, self._slots, self._port
        if not slots.first_paddr <= paddr < slots.max_paddr:
            self._misuse(operation, address, layout, "not in the linear mapping of memory")
        meta = slots.base + (paddr >> 12 << 6)
        vtable, count = port.load(meta + VTABLE), port.load(meta + REF_COUNT)
        if vtable == self._vtable and count == UNIQUE:
            size = port.load(meta + COUNTS) >> 32
            if type(info) is not SlabSlot or size != info.size:
                self._misuse(operation, address, layout, f"in a slab of {size}-byte slots", info)
            if paddr & size - 1:
                self._misuse(operation, address, layout, f"inside the {size}-byte slot at {address & -size:#x}")
            index = (paddr & PAGE_MASK) // size
            word = meta + LIVE if size >= SMALL else port.load(meta + LIVE) + (index >> 6 << 3)
            bit = 1 << (index & 63)
        elif vtable == self._large_vtable and 0 < count < UNIQUE:
            large = LargeAllocFrameMeta.at(port, meta)
            size = large.size
            if paddr != large.head:
                self._misuse(operation, address, layout,
                             f"inside the large slot at {large.head + self._linear:#x} ({size} bytes)")
            if type(info) is SlabSlot or info is None or size != info.size:
                self._misuse(operation, address, layout, f"a large slot of {size} bytes", info)
            word, bit = meta + LARGE_LIVE, 1
        else:
            self._misuse(operation, address, layout, f"no heap memory: its frame is {slots.state(paddr & -PAGE_SIZE)}")
        if address & layout.align - 1:
            self._misuse(operation, address, layout, f"not a multiple of {layout.align}")
        return word, bit

    def _misuse(self, operation: str, address: int, layout: Layout, state: str,
                info: SlotInfo | None = None) -> NoReturn:
        expected = f"a live object of {layout}" + (f", which has a {info}" if info is not None else "")
        raise HeapMisuse(operation, address, layout.size, state, expected)

    def _not_a_slot(self, answer: Any, layout: Layout) -> NoReturn:
        if type(answer) is HeapSlot:
            why = "the slot was handed out or given away before" if not answer._held else "another kernel's slot"
            raise AllocatorFault(self.name, "alloc", answer._address, answer._info.size, why)
        raise AllocatorFault(self.name, "alloc", 0, layout.size, f"{answer!r} is no HeapSlot")

    def _refuse(self, slot: HeapSlot, info: SlotInfo, layout: Layout) -> NoReturn:
        """The allocator's answer is a slot of the wrong kind: it gets it back, if it takes it."""
        address, has = slot._address, slot._info
        fault = AllocatorFault(self.name, "alloc", address, has.size, f"a {has} for {layout}; expected a {info} "
                               f"at a multiple of {layout.align}")
        try:
            self._dealloc(slot)
        except KernelError as error:
            slot._held = False
            fault.add_note(f"the slot is lost: {error}")
        raise fault

    def _set(self, word: int, bit: int) -> None:
        was = self._port.load(word)
        while (seen := self._port.compare_exchange(word, was, was | bit)) != was:
            was = seen
