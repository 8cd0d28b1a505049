"""Buddy sets: free chunks by order, in emulated memory (osdk-frame-allocator `set.rs`).

        +0              total_size, bytes of all chunks in the set
        +8 + 32 · k     head of the list of chunks of order k: front, back, size, id

The lists are LinkedLists of FreeHeadMeta, and look like them in every word. What is done to them here
is done on the slots by address: a UniqueFrame for each chunk that is split or merged would cost more
than all the rest. Callers hold the lock that guards the set.

        alloc_chunk(0) of a set with one chunk of order 2:        insert_chunk of it again:

        order 2  [────────────────]                               [────────────────]
        order 1  [───────][ free ─]   right halves stay           [───────][ buddy ]   as long as the buddy
        order 0  [ it ][ free ]       in the set                  [ it ][ buddy ]      is in this set, merge

Every word that is read is checked before anything is written: a broken list is a CorruptionError, and
a chunk that is not the allocator's to insert is refused, with the set as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from kernel.errors import CorruptionError, FrameMisuse, InvalidArgs
from kernel.mm.frame.linked_list import BACK, FRONT, HEAD_SIZE, ID, NEXT, PREV, SIZE, FrameChain
from kernel.mm.frame.meta import BUSY, FREE, IN_LIST, REF_COUNT, UNIQUE, UNUSED, VTABLE
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SHIFT, PAGE_SIZE

from .chunk import FreeHeadMeta, size_of_order

if TYPE_CHECKING:
    from kernel.mm.context import Mm

LISTS = 8
ORDER = FreeHeadMeta.order.offset


class BuddySet:
    """The buddy set of `orders` orders whose state is at physical `address`; zeroed memory is an empty set.

    `name` is for messages. Chunks have orders 0 … `orders` - 1. Buddies merge when both are in this set,
    so that no two chunks of a set are buddies, but for two of the highest order.
    """

    __slots__ = ("_address", "_chains", "_end", "_first", "_lists", "_mm", "_port", "_slots", "_virtual", "_vtable",
                 "name", "orders")

    def __init__(self, mm: Mm, address: int, orders: int, name: str = "buddy set") -> None:
        if not 0 < orders <= 64 - PAGE_SHIFT:
            raise InvalidArgs(f"a buddy set of {orders} orders; expected 1 to {64 - PAGE_SHIFT}")
        self.orders, self.name = orders, name
        self._mm, self._port, self._address, self._lists = mm, mm.port, address, address + LISTS
        self._slots, self._first, self._end = mm.slots.base, mm.slots.first_paddr, mm.slots.max_paddr
        self._virtual = mm.slots.to_virtual(0)
        self._vtable = mm.types.vtable(FreeHeadMeta)
        self._chains = [FrameChain(mm, self._lists + HEAD_SIZE * order) for order in range(orders)]

    @staticmethod
    def size_in_memory(orders: int) -> int:
        """Bytes that the state of a set of `orders` orders takes."""
        return LISTS + HEAD_SIZE * orders

    # --- what is in it ----------------------------------------------------------------------------------------

    @property
    def total_size(self) -> int:
        """Bytes of all free chunks."""
        return self._port.load(self._address)

    def chunk_count(self, order: int) -> int:
        """Free chunks of `order`."""
        return len(self._chains[order])

    def chunks(self, order: int) -> Iterator[int]:
        """Physical addresses of the free chunks of `order`, the next to be taken first.

        CorruptionError for a broken list, or a member that is no free chunk of that order.
        """
        port = self._port
        for slot in self._chains[order]:
            paddr = slot - self._slots << 6
            if port.load(slot + ORDER) != order or not self._is_head(slot) or paddr & size_of_order(order) - 1:
                raise CorruptionError(f"{self.name}: {paddr:#x} is in the list of order {order}, but it is "
                                      f"{self._mm.slots.state(paddr)}, of order {port.load(slot + ORDER)}")
            yield paddr

    def has_chunk(self, paddr: int, order: int) -> bool:
        """Whether the free chunk of `order` at `paddr` is in this set."""
        return self._first <= paddr < self._end and self._chains[order].contains_slot(self._slots + (paddr >> 6))

    # --- insert -------------------------------------------------------------------------------------------------

    def insert_chunk(self, paddr: int, order: int) -> None:
        """Insert the chunk of `order` at `paddr`, all of whose frames are in the allocator's hands, and merge.

        InvalidArgs for an order that the set has not, or an address that no chunk of it can have;
        FrameMisuse when the head is not free, or is the head of a free chunk already. Tails are not looked at.
        """
        if not 0 <= order < self.orders:
            raise InvalidArgs(f"{self.name}: there is no order {order} of {self.orders}")
        size = PAGE_SIZE << order
        if paddr & size - 1 or not self._first <= paddr <= self._end - size:
            raise InvalidArgs(f"{self.name}: {paddr:#x} cannot be a chunk of order {order} below {self._end:#x}")
        port, slots, virtual = self._port, self._slots, self._virtual
        load, store = port.load, port.store
        slot = slots + (paddr >> 6)
        if load(slot + VTABLE) != FREE or port.compare_exchange(slot + REF_COUNT, UNUSED, BUSY) != UNUSED:
            self._refuse(paddr, size)
        # Find all that will merge. Until that is done, the busy head is the only change.
        head, at, inserted = paddr, self._lists + HEAD_SIZE * order, order
        last = self._lists + HEAD_SIZE * (self.orders - 1)
        merged: list[tuple[int, int, int, int]] = []
        try:
            while at < last:
                buddy = head ^ PAGE_SIZE << order
                if not self._first <= buddy < self._end:
                    break
                other = slots + (buddy >> 6)
                in_list = load(other + IN_LIST)
                if not in_list or in_list != load(at + ID):
                    break
                merged.append((at, other, *self._neighbours(at, other, order)))
                head &= buddy
                at += HEAD_SIZE
                order += 1
            front = load(at + FRONT)
            front_word = (self._slot(front) + PREV) if front else at + BACK
            self._require_total(0, self._end - size)
            if load(at + SIZE) > self._end:
                raise CorruptionError(f"{self.name}: {load(at + SIZE)} chunks of order {order} by its own count")
        except BaseException:
            store(slot + REF_COUNT, UNUSED)
            raise
        top = slots + (head >> 6)
        for its_list, other, before_word, following_word in merged:
            store(before_word, load(other + NEXT))
            store(following_word, load(other + PREV))
            store(its_list + SIZE, load(its_list + SIZE) - 1)
            store(other + IN_LIST, 0)
            if other != top:  # give it up (reset_as_unused)
                store(other + VTABLE, FREE)
                store(other + REF_COUNT, UNUSED)
        if slot != top:
            store(slot + REF_COUNT, UNUSED)
        else:
            store(slot + VTABLE, self._vtable)
        store(top + NEXT, front)
        store(top + PREV, 0)
        store(top + ORDER, order)
        store(top + IN_LIST, load(at + ID) or self._chains[order].id())
        if slot == top:
            store(top + REF_COUNT, UNIQUE)
        store(front_word, top + virtual)
        store(at + FRONT, top + virtual)
        store(at + SIZE, load(at + SIZE) + 1)
        store(self._address, load(self._address) + (PAGE_SIZE << inserted))

    # --- take -----------------------------------------------------------------------------------------------------

    def alloc_chunk(self, order: int) -> int | None:
        """Take a chunk of `order` out, splitting a larger one if need be; its address, None if there is none.

        Its frames are then unused, and still in the allocator's hands. InvalidArgs for a negative order.
        """
        if order < 0:
            raise InvalidArgs(f"{self.name}: there is no order {order}")
        load = self._port.load
        at, found, end = self._lists + HEAD_SIZE * order, order, self.orders
        while found < end:
            if load(at + SIZE):
                return self._take(at, found, order)
            at += HEAD_SIZE
            found += 1
        return None

    def pop_largest(self, limit: int) -> tuple[int, int] | None:
        """Take a chunk of the highest order up to `limit` that has one; address and order, None if there is none."""
        load, at = self._port.load, self._lists + HEAD_SIZE * limit
        for order in range(limit, -1, -1):
            if load(at + SIZE):
                return self._take(at, order, order), order
            at -= HEAD_SIZE
        return None

    def take_chunk(self, paddr: int, order: int) -> None:
        """Take the free chunk of `order` at `paddr` out as it is; CorruptionError if it is not in this set."""
        port, slot, at = self._port, self._slots + (paddr >> 6), self._lists + HEAD_SIZE * order
        if not self.has_chunk(paddr, order):
            raise CorruptionError(f"{self.name} has no chunk of order {order} at {paddr:#x}")
        self._neighbours(at, slot, order)
        self._require_total(PAGE_SIZE << order, self._end)
        self._chains[order].remove(slot)
        port.store(slot + VTABLE, FREE)
        port.store(slot + REF_COUNT, UNUSED)
        port.store(self._address, port.load(self._address) - (PAGE_SIZE << order))

    def _take(self, at: int, found: int, order: int) -> int:
        """Take the first chunk of the list `at`, of order `found`, split it down to `order`; its address."""
        port, slots, virtual = self._port, self._slots, self._virtual
        load, store = port.load, port.store
        slot = self._slot(load(at + FRONT))
        before_word, following_word = self._neighbours(at, slot, found)
        if before_word != at + FRONT:
            self._broken(at, slot, "the first one has another before it")
        self._require_total(PAGE_SIZE << order, self._end)
        for half in range(order, found):
            right = slot + (META_SLOT_SIZE << half)
            if load(right + VTABLE) != FREE or port.compare_exchange(right + REF_COUNT, UNUSED, BUSY) != UNUSED:
                for claimed in range(order, half):
                    store(slot + (META_SLOT_SIZE << claimed) + REF_COUNT, UNUSED)
                tail = right - slots << 6
                self._broken(at, slot, f"its tail {tail:#x} is {self._mm.slots.state(tail)}")
        store(before_word, load(slot + NEXT))
        store(following_word, 0)
        store(at + SIZE, load(at + SIZE) - 1)
        store(slot + IN_LIST, 0)
        for half in range(found - 1, order - 1, -1):  # the lists in between are empty: `at` was the first that is not
            at -= HEAD_SIZE
            right = slot + (META_SLOT_SIZE << half)
            store(right + VTABLE, self._vtable)
            store(right + NEXT, 0)
            store(right + PREV, 0)
            store(right + ORDER, half)
            store(right + IN_LIST, load(at + ID) or self._chains[half].id())
            store(right + REF_COUNT, UNIQUE)
            store(at + FRONT, right + virtual)
            store(at + BACK, right + virtual)
            store(at + SIZE, 1)
        store(slot + VTABLE, FREE)
        store(slot + REF_COUNT, UNUSED)
        store(self._address, load(self._address) - (PAGE_SIZE << order))
        return slot - slots << 6

    # --- words ----------------------------------------------------------------------------------------------------

    def _require_total(self, least: int, most: int) -> None:
        total = self._port.load(self._address)
        if not least <= total <= most:
            raise CorruptionError(f"{self.name}: its total size is {total:#x}; expected {least:#x} to {most:#x}")

    def _is_head(self, slot: int) -> bool:
        return self._port.load(slot + REF_COUNT) == UNIQUE and self._port.load(slot + VTABLE) == self._vtable

    def _slot(self, link: int) -> int:
        """Physical address of the slot that a link which is not 0 points to."""
        slot = link - self._virtual
        if slot & META_SLOT_SIZE - 1 or not self._first >> 6 <= slot - self._slots < self._end >> 6:
            raise CorruptionError(f"{self.name}: link {link:#x} is not the address of a metadata slot")
        return slot

    def _neighbours(self, at: int, slot: int, order: int) -> tuple[int, int]:
        """Where the links to `slot` are: in the one before it, and in the one that follows. All must agree."""
        load = self._port.load
        following, before, here = load(slot + NEXT), load(slot + PREV), slot + self._virtual
        before_word = self._slot(before) + NEXT if before else at + FRONT
        following_word = self._slot(following) + PREV if following else at + BACK
        if load(before_word) != here or load(following_word) != here:
            self._broken(at, slot, "its neighbours do not link back")
        if not load(at + SIZE):
            self._broken(at, slot, "the list is empty by its own count")
        if load(slot + ORDER) != order or load(slot + VTABLE) != self._vtable:
            self._broken(at, slot, f"it is {self._mm.slots.state(slot - self._slots << 6)}, "
                                   f"of order {load(slot + ORDER)}")
        return before_word, following_word

    def _broken(self, at: int, slot: int, why: str) -> NoReturn:
        paddr, order = slot - self._slots << 6, (at - self._lists) // HEAD_SIZE
        raise CorruptionError(f"{self.name}: the chunk {paddr:#x} in the list of order {order}: {why}")

    def _refuse(self, paddr: int, size: int) -> NoReturn:
        raise FrameMisuse("insert_chunk", paddr, size, str(self._mm.slots.state(paddr)),
                          "free frames that are in no free chunk")
