"""A slot list is threaded through free slots, and notices when somebody wrote to one after freeing it (R3.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from kernel.errors import CorruptionError, InvalidArgs, KernelPanic, UseAfterMove
from kernel.mm import PAGE_SIZE, FrameAllocOptions, Link, Mm
from kernel.mm.fields import u32, u64
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import HeapSlot
from kernel.mm.heap.slot_list import SlabSlotList
from tests.kernel.mm.heap.heaps import L64, area


@dataclass
class Full:
    """A list of four slots of one slab."""

    mm: Mm
    slab: Slab
    slots: SlabSlotList
    addresses: list[int]
    """First to last."""

    def word(self, n: int) -> int:
        return self.mm.vaddr_to_paddr(self.addresses[n])


@pytest.fixture
def full(mm: Mm) -> Iterator[Full]:
    slab, slots = Slab.new(mm, 64), SlabSlotList(mm, 64, area(mm, 8))
    pushed = []
    for _ in range(4):
        slot = slab.alloc()
        pushed.append(slot.address)
        slots.push(slot)
    yield Full(mm, slab, slots, pushed[::-1])
    slab.into_raw()


def test_last_pushed_is_first_popped(full: Full) -> None:
    popped = []
    while (slot := full.slots.pop()) is not None:
        popped.append(slot.address)
        full.slab.dealloc(slot)
    assert popped == full.addresses
    assert full.slots.is_empty


def test_links_are_kernel_virtual_addresses_and_end_with_0(full: Full) -> None:
    assert full.mm.port.load(full.slots.head) == full.addresses[0]
    assert [full.mm.port.load(full.word(n)) for n in range(4)] == [*full.addresses[1:], 0]


def test_pushed_slot_is_used_up(full: Full) -> None:
    slot = full.slots.pop()
    assert slot is not None
    full.slots.push(slot)
    with pytest.raises(UseAfterMove):
        full.slots.push(slot)


def test_slot_of_another_size_or_kind_panics(full: Full) -> None:
    other = Slab.new(full.mm, 128)
    slot, large = other.alloc(), HeapSlot.alloc_large(full.mm, PAGE_SIZE)
    with pytest.raises(KernelPanic, match="128 bytes"):
        full.slots.push(slot)
    with pytest.raises(KernelPanic, match="does not come from a slab"):
        full.slots.push(large)
    large.drop()
    other.dealloc(slot)
    other.drop()


def test_no_list_of_slots_that_no_slab_has(mm: Mm) -> None:
    with pytest.raises(InvalidArgs):
        SlabSlotList(mm, 24, 0)


def _bad_links(full: Full) -> dict[str, int]:
    mm = full.mm
    other = Slab.new(mm, 128)
    slot = other.alloc()
    another_size = slot.address
    other.dealloc(slot)
    other.into_raw()
    return {
        "text": 0x6f6c6c6548, "not in memory": mm.paddr_to_vaddr(mm.slots.max_paddr), "all ones": (1 << 64) - 1,
        "inside a slot": full.addresses[2] + 8, "itself": full.addresses[0],
        "a slab of another size": another_size, "no slab": mm.paddr_to_vaddr(mm.slots.max_paddr - PAGE_SIZE),
        "a live object": mm.heap.alloc(L64),
    }


@pytest.mark.parametrize("kind", ["text", "not in memory", "all ones", "inside a slot", "itself",
                                  "a slab of another size", "no slab", "a live object"])
def test_overwritten_link_is_named_at_pop_and_nothing_is_changed(full: Full, kind: str) -> None:
    port, link = full.mm.port, _bad_links(full)[kind]
    port.store(full.word(0), link)
    for pop in (full.slots.pop, lambda: full.slots.pop_many(1), lambda: full.slots.pop_many(4), full.slots.addresses):
        with pytest.raises(CorruptionError, match=f"slot {full.addresses[0]:#x} links to {link:#x}"):
            pop()
        assert port.load(full.slots.head) == full.addresses[0]
    port.store(full.word(0), full.addresses[1])
    assert full.slots.addresses() == full.addresses


def test_overwritten_head_is_named(full: Full) -> None:
    port = full.mm.port
    port.store(full.slots.head, full.addresses[0] + 4)
    for pop in (full.slots.pop, lambda: full.slots.pop_many(2), full.slots.addresses):
        with pytest.raises(CorruptionError, match=f"its head at {full.slots.head:#x} links to"):
            pop()


def test_cycle_ends_and_is_named(full: Full) -> None:
    full.mm.port.store(full.word(3), full.addresses[0])
    for pop in (lambda: full.slots.pop_many(5), full.slots.addresses):
        with pytest.raises(CorruptionError, match=f"slot {full.addresses[3]:#x} links to {full.addresses[0]:#x}"):
            pop()


def test_pop_many_takes_the_first_ones_in_order(full: Full) -> None:
    slots = full.slots.pop_many(3)
    assert [slot.address for slot in slots] == full.addresses[:3]
    assert full.slots.addresses() == full.addresses[3:]
    for slot in (*slots, *full.slots.pop_many(9)):
        full.slab.dealloc(slot)
    assert full.slots.pop_many(1) == []


def test_link_into_a_freed_slab_is_named(full: Full) -> None:
    gone = Slab.new(full.mm, 64)
    link = gone.meta.free_list
    gone.drop()
    full.mm.port.store(full.word(0), link)
    with pytest.raises(CorruptionError):
        full.slots.pop()


class NotASlabMeta(Link):
    """Metadata that looks like a slab's but for its type."""

    free_list = u64()
    nr_allocated = u32()
    slot_size = u32()
    live = u64()


@pytest.mark.parametrize("what", ["no slot allocated", "another metadata type", "not a unique frame"])
def test_link_into_a_frame_that_only_looks_like_the_right_slab_is_named(full: Full, what: str) -> None:
    mm = full.mm
    if what == "no slot allocated":
        frame: Any = Slab.new(mm, 64)
    elif what == "another metadata type":
        frame = FrameAllocOptions(mm).alloc_unique(NotASlabMeta(nr_allocated=1, slot_size=64))
    else:
        slab = Slab.new(mm, 64)
        slab.meta.nr_allocated = 1
        frame = slab.into_frame()
    link = mm.paddr_to_vaddr(frame.paddr)
    mm.port.store(full.word(0), link)
    with pytest.raises(CorruptionError, match=f"slot {full.addresses[0]:#x} links to {link:#x}"):
        full.slots.pop()
    if what == "not a unique frame":
        frame.meta.nr_allocated = 0
    frame.drop()
