"""Slabs as their frames and metadata slots say, one by one: which slots are free, live, or out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kernel.mm.heap.live_map import UNIT_SIZE, LiveMapMeta
from kernel.mm.heap.slab import COUNTS, FREE_LIST, LIVE, SMALL, SlabMeta
from kernel.mm.paging import PAGE_SIZE

from .census import Census

REMEMBERED = 1024


@dataclass(frozen=True, slots=True, eq=False)
class FreeList:
    """A slab's free slots as a bit mask, the first word of every slot, and what is wrong ("" if nothing)."""

    free: int
    links: list[int]
    wrong: str


class Slab(NamedTuple):
    """What was found of the slab at physical `paddr`, which is frame number `frame`; masks have a bit for each slot."""

    frame: int
    paddr: int
    size: int
    allocated: int
    list: FreeList
    live: int

    @property
    def capacity(self) -> int:
        """Slots."""
        return PAGE_SIZE // self.size

    @property
    def free(self) -> int:
        """The slots in the free list."""
        return self.list.free


@lru_cache(maxsize=REMEMBERED)
def _walk(words: bytes, first: int, size: int, head: int) -> FreeList:
    """Walk the free list from `head` of a slab at kernel virtual `first` whose slots begin with `words`.

    Remembered: most slabs are as they were at the last check, and the answer depends on nothing else.
    """
    links = np.frombuffer(words, dtype=np.uint64).tolist()
    free, address = 0, head
    while address:
        index, odd = divmod(address - first, size)
        if odd or not 0 <= index < len(links):
            return FreeList(free, links, f"goes to {address:#x}, which is no {size}-byte slot of it")
        if free >> index & 1:
            return FreeList(free, links, f"goes to {address:#x}, which is in it already")
        free |= 1 << index
        address = links[index]
    return FreeList(free, links, "")


class Objects(NamedTuple):
    """Slots found in a list: how many, which of each slab (by physical address, a mask), and what is wrong."""

    number: int
    slots: dict[int, int]
    wrong: str


@lru_cache(maxsize=REMEMBERED)
def walk_objects(head: int, size: int, linear: int, slabs: tuple[tuple[int, FreeList], ...]) -> Objects:
    """Walk a list of `size`-byte slots from the address `head`; it ends, or goes astray, or goes round.

    `slabs` are those of that size, by physical address, with their slots' links; remembered as `_walk` is.
    """
    links = {paddr + linear >> 12: its.links for paddr, its in slabs}
    offsets: dict[int, list[int]] = {page: [] for page in links}
    low, shift = size - 1, size.bit_length() - 1
    most, count, address, wrong = len(slabs) * PAGE_SIZE // size, 0, head, ""
    while address:
        page = address >> 12
        if page not in links or address & low:
            wrong = f"goes to {address:#x}, which is no {size}-byte slot"
            break
        if count == most:
            wrong = f"does not end after {most} slots, which is all that there are"
            break
        count += 1
        offset = (address & PAGE_SIZE - 1) >> shift
        offsets[page].append(offset)
        address = links[page][offset]
    slots: dict[int, int] = {}
    for page, found in offsets.items():
        if found:
            bits = np.zeros(PAGE_SIZE // size, dtype=np.uint8)
            bits[found] = 1
            slots[(page << 12) - linear] = int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")
    return Objects(count, slots, wrong)


def find_slabs(census: Census) -> dict[int, Slab]:
    """Every slab that can be one, whoever's it is, by frame number; its free list, counts and live bits are checked."""
    mm, port = census.mm, census.mm.port
    linear = mm.paging.linear_base
    bitmaps = census.of_type(LiveMapMeta)
    units: set[int] = set()
    found: dict[int, Slab] = {}
    indices = np.flatnonzero(census.of_type(SlabMeta))
    columns = [census.storage[at // 8][indices].tolist() for at in (FREE_LIST, COUNTS, LIVE)]
    for index, head, counts, live in zip(indices.tolist(), *columns, strict=True):
        paddr = census.paddr(index)
        size, allocated = counts >> 32, counts & 0xFFFF_FFFF
        if size < 8 or size > PAGE_SIZE or PAGE_SIZE % size:
            census.breach(f"slab {paddr:#x}: slots of {size} bytes")
            continue
        capacity = PAGE_SIZE // size
        chain = _walk(port.load_column(paddr, capacity, size).tobytes(), paddr + linear, size, head)
        free = chain.free
        if chain.wrong:
            census.breach(f"slab {paddr:#x}: the free list {chain.wrong}")
        if free.bit_count() + allocated != capacity:
            census.breach(f"slab {paddr:#x}: {free.bit_count()} free and {allocated} allocated slots of {capacity}")
        if size < SMALL:
            frame = census.index(live)
            if frame < 0 or live % UNIT_SIZE or not bitmaps[frame] or live in units:
                census.breach(f"slab {paddr:#x}: its bitmap at {live:#x} is "
                              + ("another slab's" if live in units else "none"))
                continue
            units.add(live)
            live = int.from_bytes(port.read(live, UNIT_SIZE), "little")
        if live >> capacity:
            census.breach(f"slab {paddr:#x}: live slots beyond the last of {capacity}")
        if live & free:
            slot = paddr + linear + ((live & free).bit_length() - 1) * size
            census.breach(f"slab {paddr:#x}: slot {slot:#x} is live and in the free list")
        found[index] = Slab(index, paddr, size, allocated, chain, live)
    _check_units(census, units)
    return found


def _check_units(census: Census, units: set[int]) -> None:
    """The bitmaps' frames: a bit is set for each unit that a slab has, and for no other."""
    mm = census.mm
    area = mm.statics.area("live_maps", 64)
    for index in census.chain(area, "the list of slab bitmaps"):
        paddr = census.paddr(index)
        census.own(paddr, "the list of slab bitmaps")
        used = int(census.storage[2][index])
        for bit in range(PAGE_SIZE // UNIT_SIZE):
            unit = paddr + bit * UNIT_SIZE
            if (used >> bit & 1 != 0) is not (unit in units):
                census.breach(f"the slab bitmap at {unit:#x} is " + ("in use, by no slab" if used >> bit & 1 else
                                                                     "a slab's, and not in use"))
    if holder := mm.port.load(area + 32):
        census.breach(f"the slab bitmaps are locked by CPU {holder - 1}")
