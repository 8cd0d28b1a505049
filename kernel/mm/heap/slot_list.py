"""Lists of slab slots: a stack threaded through the free slots themselves (OSTD `mm/heap/slot_list.rs`).

        head word ──► slot ──► slot ──► … ──► 0      the first 8 bytes of each: the next one's address

Whoever writes to a slot after freeing it writes over a link. Before a slot leaves the list, its link must
be 0 or the address of a slot that could be in the list; otherwise CorruptionError names the slot and the
link, and the list stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from kernel.errors import CorruptionError, HeapMisuse, InvalidArgs, KernelPanic

from .slab import SlabFinder
from .slot import SLAB_SLOTS, HeapSlot, SlabSlot

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class SlabSlotList:
    """The list of slots of `slot_size` bytes whose head is the word at physical `head`, 0 for an empty list.

    The slots may come from several slabs (`SlabSlotList<SLOT_SIZE>`). InvalidArgs for a size that no slab has.
    """

    __slots__ = ("_finder", "_info", "_linear", "_mm", "_port", "_size", "head")

    def __init__(self, mm: Mm, slot_size: int, head: int) -> None:
        if slot_size not in SLAB_SLOTS:
            raise InvalidArgs(f"no slab has slots of {slot_size} bytes")
        self._mm, self._port, self.head = mm, mm.port, head
        self._linear, self._size = mm.paging.linear_base, slot_size
        self._info = SLAB_SLOTS[slot_size]
        self._finder = SlabFinder(mm)

    @property
    def is_empty(self) -> bool:
        """Whether there is no slot in the list."""
        return not self._port.load(self.head)

    def push(self, slot: HeapSlot) -> None:
        """Put a slot first; it is used up. KernelPanic if it is not a slab's, or has another size; HeapMisuse for
        another kernel's."""
        if not slot._held:
            slot._check()
        if slot._mm is not self._mm:
            raise HeapMisuse("push", slot._address, slot._info.size, "another kernel's slot", "one of this kernel")
        if slot._info is not self._info:
            if not isinstance(slot._info, SlabSlot):
                raise KernelPanic(f"The slot does not come from a slab: {slot!r}")
            raise KernelPanic(f"the slot has {slot._info.size} bytes, the list's have {self._size}: {slot!r}")
        port, address = self._port, slot._address
        slot._held = False
        port.store(address - self._linear, port.load(self.head))
        port.store(self.head, address)

    def pop(self) -> HeapSlot | None:
        """Take the first slot; None from an empty list. CorruptionError if the head or the slot's link is wrong."""
        port = self._port
        address = port.load(self.head)
        if not address:
            return None
        size, out = self._size, self._finder.out
        if not out(address, size):
            self._broken(f"its head at {self.head:#x}", address)
        link = port.load(address - self._linear)
        if link and (link == address or not out(link, size)):
            self._broken(f"slot {address:#x}", link)
        port.store(self.head, link)
        return HeapSlot._adopt(self._mm, address, self._info)

    def pop_many(self, count: int) -> list[HeapSlot]:
        """Take the first `count` slots, fewer if there are no more; all are checked, and no two are the same, before
        one is taken. CorruptionError, and the list is as it was, if a link among them is wrong."""
        port, size, out = self._port, self._size, self._finder.out
        found: dict[int, None] = {}
        where, address = "", port.load(self.head)
        while address:
            if address in found or not out(address, size):
                self._broken(where or f"its head at {self.head:#x}", address)
            if len(found) == count:
                break
            found[address] = None
            where, address = f"slot {address:#x}", port.load(address - self._linear)
        port.store(self.head, address)
        return [HeapSlot._adopt(self._mm, slot, self._info) for slot in found]

    def addresses(self) -> list[int]:
        """Kernel virtual addresses of the slots, first to last; CorruptionError for a broken list or a cycle."""
        found: dict[int, None] = {}
        where, address = f"its head at {self.head:#x}", self._port.load(self.head)
        while address:
            if address in found or not self._finder.out(address, self._size):
                self._broken(where, address)
            found[address] = None
            where, address = f"slot {address:#x}", self._port.load(address - self._linear)
        return list(found)

    def _broken(self, where: str, link: int) -> NoReturn:
        raise CorruptionError(f"list of {self._size}-byte heap slots: {where} links to {link:#x}, which is "
                              "no slot that can be in it: was a slot written after it was freed?")
