"""Bitmaps of live slots are units of frames of their own, which come and go with the slabs."""

from __future__ import annotations

import pytest

from kernel.errors import CorruptionError
from kernel.mm import PAGE_SIZE, Mm
from kernel.mm.heap.live_map import LiveMaps
from kernel.mm.heap.slab import Slab
from tests.kernel.mm.heap.heaps import L8, L64, CountedFrames, allocator, heap_frames, make_mm


def test_units_of_a_frame_are_its_64_lines(mm: Mm) -> None:
    maps = LiveMaps(mm)
    units = [maps.take() for _ in range(64)]
    assert units == list(range(units[0], units[0] + PAGE_SIZE, 64))
    assert len(maps.frames()) == 1
    other = maps.take()
    assert other & -PAGE_SIZE != units[0]
    assert (len(maps.frames()), maps.used()) == (2, 65)
    for unit in (*units, other):
        maps.give(unit)


def test_unit_is_zeroed(mm: Mm) -> None:
    maps = LiveMaps(mm)
    keep, unit = maps.take(), maps.take()
    mm.port.fill(unit, 64, 0xff)
    maps.give(unit)
    assert maps.take() == unit
    assert mm.port.read(unit, 64) == bytes(64)
    maps.give(unit)
    maps.give(keep)


def test_frame_goes_back_with_its_last_unit(mm: Mm) -> None:
    maps = LiveMaps(mm)
    units = [maps.take() for _ in range(130)]
    assert len(maps.frames()) == 3
    for unit in units[::-1]:
        maps.give(unit)
    assert maps.frames() == []
    assert "LiveMapMeta" not in heap_frames(mm)


def test_full_frame_that_gets_a_unit_back_is_used_next(mm: Mm) -> None:
    maps = LiveMaps(mm)
    units = [maps.take() for _ in range(128)]
    maps.give(units[3])
    maps.give(units[100])
    assert {maps.take(), maps.take()} == {units[3], units[100]}
    assert len(maps.frames()) == 2
    for unit in units:
        maps.give(unit)


def test_giving_what_is_no_unit_is_named(mm: Mm) -> None:
    maps = LiveMaps(mm)
    unit = maps.take()
    for wrong in (unit + 8, 0, mm.slots.max_paddr, mm.slots.max_paddr - PAGE_SIZE, unit + 64):
        with pytest.raises(CorruptionError):
            maps.give(wrong)
    maps.give(unit)
    with pytest.raises(CorruptionError):
        maps.give(unit)


def test_only_slabs_of_more_than_64_slots_have_a_bitmap(mm: Mm) -> None:
    for size, units in ((8, 1), (16, 1), (32, 1), (64, 0), (4096, 0)):
        slab = Slab.new(mm, size)
        assert LiveMaps(mm).used() == units
        slab.drop()
    assert LiveMaps(mm).used() == 0


def test_live_bits_of_small_slots_are_in_the_bitmap(mm: Mm) -> None:
    address = mm.heap.alloc(L8)
    slot = mm.slots.slot(mm.vaddr_to_paddr(address) & -PAGE_SIZE)
    unit, index = mm.port.load(slot + 32), (address & PAGE_SIZE - 1) // 8
    bits = int.from_bytes(mm.port.read(unit, 64), "little")
    assert bits == 1 << index
    mm.heap.dealloc(address, L8)
    assert mm.port.read(unit, 64) == bytes(64)


def test_live_bits_of_other_slots_are_in_the_metadata_slot(mm: Mm) -> None:
    address = mm.heap.alloc(L64)
    slot = mm.slots.slot(mm.vaddr_to_paddr(address) & -PAGE_SIZE)
    assert mm.port.load(slot + 32) == 1 << (address & PAGE_SIZE - 1) // 64
    mm.heap.dealloc(address, L64)
    assert mm.port.load(slot + 32) == 0


def test_bitmaps_never_ask_the_heap() -> None:
    mm = make_mm(frames=CountedFrames)
    heap = allocator(mm)
    before = list(heap.use())
    unit = LiveMaps(mm).take()
    assert list(heap.use()) == before
    LiveMaps(mm).give(unit)
