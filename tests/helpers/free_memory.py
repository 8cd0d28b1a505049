"""A frame allocator's free memory piece by piece: a second opinion on what kernel.mm.check says by columns."""

from __future__ import annotations

import numpy as np

from kernel.errors import CorruptionError
from kernel.mm.frame.meta import FREE, REF_COUNT, UNUSED, VTABLE
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SHIFT, PAGE_SIZE
from kernel.osdk.frame_allocator import FrameAllocator, Survey, survey
from kernel.osdk.frame_allocator.chunk import size_of_order


def check(allocator: FrameAllocator) -> Survey:
    """`survey`, with everything verified that the allocator promises; CorruptionError names what is wrong.

    Pieces do not overlap; every frame in them is unused and in the allocator's hands, but for heads;
    no pool has both of two buddies; sizes and the free-size counter are right. The CPUs are at rest.
    """
    found = survey(allocator)
    sets = [allocator.pools.global_set] + [part.local.set for part in allocator.cpus]
    for pool, its_set in zip(found.pools, sets, strict=True):
        if pool.total_size != its_set.total_size:
            raise CorruptionError(f"{pool.name} says {its_set.total_size} bytes; its chunks have {pool.total_size}")
        for order, chunks in enumerate(pool.chunks[:-1]):
            both = set(chunks) & {paddr ^ size_of_order(order) for paddr in chunks}
            if both:
                raise CorruptionError(f"{pool.name}: {min(both):#x} of order {order} and its buddy are not merged")
    before, whose = 0, ""
    for paddr, size, name in found.ranges():
        if paddr < before:
            raise CorruptionError(f"free frame {paddr:#x} is in the {name}, and in the {whose}")
        before, whose = paddr + size, name
    _check_frames(allocator, found)
    counted = allocator.load_total_free_size()
    if counted != found.total_size:
        raise CorruptionError(f"{counted} bytes are counted as free; pools and caches have {found.total_size}")
    return found


def _check_frames(allocator: FrameAllocator, found: Survey) -> None:
    slots, port = allocator.mm.slots, allocator.mm.port
    heads = {paddr for pool in found.pools for chunks in pool.chunks for paddr in chunks}
    for paddr, size, name in found.ranges():
        first = paddr + PAGE_SIZE if paddr in heads else paddr
        count = paddr + size - first >> PAGE_SHIFT
        if count <= 0:
            continue
        slot = slots.slot(first)
        wrong = port.load_column(slot + REF_COUNT, count, META_SLOT_SIZE) != np.uint64(UNUSED)
        wrong |= port.load_column(slot + VTABLE, count, META_SLOT_SIZE) != np.uint64(FREE)
        if wrong.any():
            frame = first + int(wrong.argmax()) * PAGE_SIZE
            raise CorruptionError(f"frame {frame:#x} in the {name} is {slots.state(frame)}; expected a free one")
