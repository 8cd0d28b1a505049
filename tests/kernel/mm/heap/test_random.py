"""Random work on several CPUs, against a model: objects never overlap, keep their contents, and all go back."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kernel.errors import HeapMisuse, NoMemory
from kernel.mm import Layout, Mm
from kernel.mm.heap.slot import SlabSlot
from tests.kernel.mm.heap.heaps import CountedFrames, allocator, consistent, heap_frames, make_mm

CPUS = 3
SIZES = st.one_of(st.sampled_from([8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]), st.integers(0, 9000))
LAYOUTS = st.builds(Layout, SIZES, st.sampled_from([1, 8, 8, 8, 32, 256, 4096, 8192]))


class Heap(RuleBasedStateMachine):
    """What users may do with the heap, and some of what they may not."""

    mm: Mm

    @initialize()
    def boot(self) -> None:
        self.mm = make_mm(harts=CPUS, frames=CountedFrames)
        self.live: dict[int, tuple[Layout, bytes]] = {}
        self.freed: list[tuple[int, Layout]] = []
        self.stamp = 0

    def _pattern(self, size: int) -> bytes:
        self.stamp += 1
        start = bytes((self.stamp * 31 + n * 7) & 0xff for n in range(min(size, 64)))
        return start.ljust(size, bytes([self.stamp & 0xff]))

    def _write(self, address: int, layout: Layout) -> None:
        data = self._pattern(layout.size)
        self.mm.port.write(self.mm.vaddr_to_paddr(address), data)
        self.live[address] = layout, data

    def _check(self, address: int) -> None:
        layout, data = self.live[address]
        assert self.mm.port.read(self.mm.vaddr_to_paddr(address), layout.size) == data

    def _pick(self, data: Any) -> int:
        picked: int = data.draw(st.sampled_from(sorted(self.live)))
        return picked

    @rule(layout=LAYOUTS, cpu=st.integers(0, CPUS - 1), count=st.sampled_from([1, 1, 1, 10, 70]))
    def alloc(self, layout: Layout, cpu: int, count: int) -> None:
        self.mm.cpu = cpu
        for _ in range(count):
            address = self.mm.heap.alloc(layout)
            assert address not in self.live
            assert address % layout.align == 0
            self._write(address, layout)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), cpu=st.integers(0, CPUS - 1), count=st.sampled_from([1, 1, 10, 200]))
    def dealloc(self, data: Any, cpu: int, count: int) -> None:
        self.mm.cpu = cpu
        first = sorted(self.live).index(self._pick(data))
        for address in sorted(self.live)[first:first + count]:
            self._check(address)
            layout, _ = self.live.pop(address)
            self.mm.heap.dealloc(address, layout)
            self.freed.append((address, layout))

    @precondition(lambda self: self.live)
    @rule(data=st.data(), size=SIZES, cpu=st.integers(0, CPUS - 1))
    def realloc(self, data: Any, size: int, cpu: int) -> None:
        self.mm.cpu = cpu
        address = self._pick(data)
        layout, contents = self.live.pop(address)
        moved = self.mm.heap.realloc(address, layout, size)
        keep = min(layout.size, size)
        assert self.mm.port.read(self.mm.vaddr_to_paddr(moved), keep) == contents[:keep]
        assert moved not in self.live
        self._write(moved, Layout(size, layout.align))

    @precondition(lambda self: self.freed)
    @rule(data=st.data(), cpu=st.integers(0, CPUS - 1))
    def free_again(self, data: Any, cpu: int) -> None:
        self.mm.cpu = cpu
        address, layout = data.draw(st.sampled_from(self.freed[-50:]))
        if address not in self.live:
            with pytest.raises(HeapMisuse):
                self.mm.heap.dealloc(address, layout)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), offset=st.integers(1, 4095))
    def free_inside(self, data: Any, offset: int) -> None:
        address = self._pick(data)
        if address + offset not in self.live:
            with pytest.raises(HeapMisuse):
                self.mm.heap.dealloc(address + offset, Layout(self.live[address][0].size, 1))

    @rule(layout=LAYOUTS, left=st.integers(0, 3))
    def alloc_short_of_frames(self, layout: Layout, left: int) -> None:
        frames = self.mm.frame_allocator.inner
        assert isinstance(frames, CountedFrames)
        frames.left = left
        try:
            self._write(self.mm.heap.alloc(layout), layout)
        except NoMemory:
            pass
        finally:
            frames.left = None

    @rule()
    def reclaim(self) -> None:
        allocator(self.mm).reclaim()

    @invariant()
    def nothing_overlaps(self) -> None:
        end = 0
        for address, (layout, _) in sorted(self.live.items()):
            assert address >= end
            end = address + layout.size

    @invariant()
    def books_agree(self) -> None:
        slot_map = allocator(self.mm).slot_map
        infos = [slot_map(layout) for layout, _ in self.live.values()]
        consistent(self.mm, Counter(info.size for info in infos if isinstance(info, SlabSlot)))
        frames = heap_frames(self.mm)
        large = sum(info.size for info in infos if not isinstance(info, SlabSlot)) // 4096
        assert frames.get("LargeAllocFrameMeta", 0) == large
        assert "lost" not in frames

    def teardown(self) -> None:
        if hasattr(self, "mm"):
            for address, (layout, _) in self.live.items():
                self._check(address)
                self.mm.heap.dealloc(address, layout)
            allocator(self.mm).reclaim()
            assert heap_frames(self.mm) == {}


TestHeap = Heap.TestCase
TestHeap.settings = settings(max_examples=30, stateful_step_count=40, deadline=None,
                             suppress_health_check=list(HealthCheck))
