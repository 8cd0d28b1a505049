"""Upstream's tests of osdk-heap-allocator, under their names."""

from __future__ import annotations

from kernel.mm import PAGE_SIZE, Mm
from kernel.mm.fields import u8, u16, u32, u64
from kernel.mm.io.pod import Pod
from kernel.osdk.heap_allocator.cpu_local_box import alloc_cpu_local
from kernel.osdk.heap_allocator.slab_cache import SlabCache
from kernel.osdk.heap_allocator.slab_counter import load_total_slab_size
from tests.kernel.mm.heap.heaps import area, make_mm

NR_SLABS = 20


def test_slab_counter_tracks_slab_pages(mm: Mm) -> None:
    lists = area(mm)
    before = load_total_slab_size(mm)
    cache = SlabCache(mm, 8, lists)
    slots = [cache.alloc() for _ in range(NR_SLABS * PAGE_SIZE // 8)]
    after_alloc = load_total_slab_size(mm)
    assert after_alloc >= before + NR_SLABS * PAGE_SIZE
    for slot in slots:
        cache.dealloc(slot)
    assert load_total_slab_size(mm) < after_alloc
    cache.drop()
    assert load_total_slab_size(mm) == before


class Sixteen(Pod):
    a = u64()
    b = u32()
    c = u32()


class ThirtyTwo(Pod):
    a = u64()
    b = u64()
    c = u64()
    d = u64()


def test_alloc_dealloc_cpu_local_various_types() -> None:
    mm = make_mm(harts=4)
    for kind in (u8, u16, u32, u64):
        with alloc_cpu_local(mm, kind, lambda cpu: cpu * 7 + 1) as box:
            for cpu in range(4):
                assert box.get_on_cpu(cpu) == cpu * 7 + 1
                assert box.address_on(cpu) % kind.SIZE == 0
                box.set_on_cpu(cpu, cpu)
            assert [box.get_on_cpu(cpu) for cpu in range(4)] == [0, 1, 2, 3]
    with alloc_cpu_local(mm, Sixteen, lambda cpu: Sixteen(a=cpu, b=1, c=2)) as pair, \
            alloc_cpu_local(mm, ThirtyTwo, lambda cpu: ThirtyTwo(a=cpu, d=cpu)) as four:
        for cpu in range(4):
            assert pair.get_on_cpu(cpu) == Sixteen(a=cpu, b=1, c=2)
            assert four.get_on_cpu(cpu) == ThirtyTwo(a=cpu, d=cpu)
            assert pair.address_on(cpu) % 16 == 0
            assert four.address_on(cpu) % 32 == 0
