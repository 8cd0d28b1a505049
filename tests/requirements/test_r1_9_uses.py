"""R1.9: what looking frames up by address is good for: merging buddies, moving live frames, hot-plug."""

from __future__ import annotations

import pytest

from kernel.errors import FrameMisuse, NoMemory
from kernel.mm import FrameAllocOptions, Mm, PageFlags, PageProperty, VmSpace
from kernel.mm.check import check
from kernel.mm.compaction import MovableMeta, compact, map_movable
from kernel.mm.frame.meta import Kind
from kernel.mm.hotplug import offline, online
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator

RW = PageProperty.new_user(PageFlags.RW)
MIB = 1 << 20


def _free(mm: Mm) -> int:
    allocator = mm.frame_allocator.inner
    assert isinstance(allocator, FrameAllocator)
    return allocator.load_total_free_size()


def test_r1_9_buddies_are_found_by_address_and_merge(mm: Mm) -> None:
    segment = FrameAllocOptions(mm).alloc_segment(64)
    start = segment.start_paddr
    frames = list(segment)
    for frame in frames[::2] + frames[1::2]:
        frame.drop()
    allocator = mm.frame_allocator.inner
    assert isinstance(allocator, FrameAllocator)
    allocator.drain()
    around = allocator.pools.chunk_around(start + 17 * 4096)
    assert around is not None
    assert around[1] >= 6
    check(mm, [])


def test_r1_9_live_user_pages_move_and_keep_their_contents(mm: Mm) -> None:
    with VmSpace(mm) as space:
        space.activate()
        for page in range(8):
            map_movable(space, 0x10000 + page * 4096, RW)
            space.writer(0x10000 + page * 4096, 4096).write_bytes(bytes([page + 1]) * 4096)
        before = [space.page_table.page_walk(0x10000 + page * 4096) for page in range(8)]
        addresses = [walk[0] for walk in before if walk is not None]
        low, high = min(addresses) // MIB * MIB, -(-(max(addresses) + 1) // MIB) * MIB
        done = compact(mm, low, high)
        assert [old for old, _ in done.moved] == sorted(addresses)
        assert not done.stayed
        for page in range(8):
            walk = space.page_table.page_walk(0x10000 + page * 4096)
            assert walk is not None
            assert not low <= walk[0] < high
            assert space.reader(0x10000 + page * 4096, 4096).read_bytes(4096) == bytes([page + 1]) * 4096
        check(mm, [space])


def test_r1_9_a_frame_that_somebody_else_holds_stays(mm: Mm) -> None:
    from kernel.mm import Frame

    with VmSpace(mm) as space:
        paddr = map_movable(space, 0x10000, RW)
        pinned = Frame.access(mm, paddr, MovableMeta)
        assert pinned is not None
        assert compact(mm, paddr, paddr + 4096).stayed == (paddr,)
        pinned.drop()
        assert compact(mm, paddr, paddr + 4096).moved[0][0] == paddr
        check(mm, [space])


def test_r1_9_memory_is_unplugged_and_plugged_while_its_pages_live_on(mm: Mm) -> None:
    with VmSpace(mm) as space:
        space.activate()
        paddr = map_movable(space, 0x10000, RW)
        space.writer(0x10000, 5).write_bytes(b"alive")
        before = _free(mm)
        done = offline(mm, paddr, 4096)
        assert [old for old, _ in done.moved] == [paddr]
        assert space.reader(0x10000, 5).read_bytes(5) == b"alive"
        assert _free(mm) == before - 4096
        with pytest.raises(FrameMisuse, match="OfflineMemoryMeta"):
            mm.frame_allocator.dealloc(paddr, 4096)
        online(mm, paddr, 4096)
        assert _free(mm) == before
        with pytest.raises(FrameMisuse, match="expected memory that is offline"):
            online(mm, paddr, 4096)
        check(mm, [space])


def test_r1_9_unplugged_memory_is_never_allocated(mm: Mm) -> None:
    base = next(at for at in range(mm.slots.max_paddr - 2 * MIB, 0, -MIB)
                if all(mm.slots.state(page).kind is not Kind.SHARED for page in range(at, at + MIB, 4096)))
    before = _free(mm)
    offline(mm, base, MIB)
    assert _free(mm) == before - MIB
    taken = []
    with pytest.raises(NoMemory):
        while True:
            taken.append(FrameAllocOptions(mm).zeroed(False).alloc_frame())
    assert not any(base <= frame.paddr < base + MIB for frame in taken)
    for frame in taken:
        frame.drop()
    online(mm, base, MIB)
    assert _free(mm) == before
    check(mm, [])


def test_r1_9_memory_in_use_cannot_be_unplugged(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        before = _free(mm)
        with pytest.raises(FrameMisuse, match=f"{frame.paddr:#x} is in use by 1"):
            offline(mm, frame.paddr, 4096)
        assert _free(mm) == before
        check(mm, [frame])
