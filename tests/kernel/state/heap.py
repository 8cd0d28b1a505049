"""The heap: objects of all sizes and alignments, boxes, CPU-local variables, and raw slabs."""

from __future__ import annotations

from dataclasses import dataclass

from kernel import Kernel
from kernel.errors import HeapMisuse, InvalidArgs, KernelPanic, NoMemory, UseAfterMove
from kernel.mm import PAGE_SIZE, Layout
from kernel.mm.frame.handle import Handle
from kernel.mm.heap.box import HeapBox
from kernel.mm.heap.slab import Slab
from kernel.mm.heap.slot import SLAB_SLOTS, HeapSlot
from kernel.mm.io.pod import PodType
from kernel.mm.fields import u32, u64
from kernel.osdk.heap_allocator.cpu_local_box import CpuLocalBox, alloc_cpu_local

from tests.kernel.state.part import Draw, Operation, Part, refused

SIZES = (0, 1, 7, 8, 9, 16, 17, 24, 32, 40, 63, 64, 65, 100, 128, 200, 256, 300, 512, 700, 1024, 1500, 2047, 2048, 2049,
         4095, 4096, 4097, 8192, 12_288, 20_000, 65_536)
ALIGNS = (1, 1, 1, 2, 4, 8, 8, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384)
MOST = 250


@dataclass
class Object:
    """An object in use: where, of what layout, and the word that it is filled with."""

    address: int
    layout: Layout
    word: int

    def content(self) -> bytes:
        """What must be in it."""
        return (self.word.to_bytes(8, "little") * (self.layout.size // 8 + 1))[:self.layout.size]


class HeapPart(Part):
    """Objects, each full of a word of its own; so two that overlap, or one that is written to when free, show."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.used: list[Object] = []
        self.boxes: list[tuple[HeapBox, bytes]] = []
        self.locals: list[tuple[CpuLocalBox[int], list[int]]] = []
        self.slabs: list[tuple[Slab, list[HeapSlot]]] = []
        self.next_word = 0
        alloc_cpu_local(self.mm, u64, lambda cpu: cpu).drop()  # the allocator keeps one chunk, once it has had one

    def operations(self) -> list[Operation]:
        return [
            Operation(self.alloc, 16), Operation(self.alloc_zeroed, 3), Operation(self.dealloc, 14),
            Operation(self.realloc, 4), Operation(self.look, 5), Operation(self.many, 1), Operation(self.few, 1),
            Operation(self.new_box, 2), Operation(self.resize_box, 3), Operation(self.drop_box, 2),
            Operation(self.new_local, 2), Operation(self.use_local, 2), Operation(self.drop_local, 2),
            Operation(self.new_slab, 1), Operation(self.slab_alloc, 2), Operation(self.slab_dealloc, 2),
            Operation(self.drop_slab, 1), Operation(self.reclaim, 1), Operation(self.misuse, 4),
        ]

    def holders(self) -> list[Handle]:
        found: list[Handle] = [box for box, _ in self.boxes]
        found += [local for local, _ in self.locals]
        for slab, slots in self.slabs:
            found += [slab, *slots]
        return found

    def objects(self) -> list[int]:
        return [each.address for each in self.used]

    def drop_all(self) -> None:
        for each in self.used:
            self._verify(each)
            self.mm.heap.dealloc(each.address, each.layout)
        for box, content in self.boxes:
            assert box.read() == content
            box.drop()
        for local, _ in self.locals:
            local.drop()
        for slab, slots in self.slabs:
            for slot in slots:
                slab.dealloc(slot)
            slab.drop()
        for things in (self.used, self.boxes, self.locals, self.slabs):
            things.clear()

    # --- objects ----------------------------------------------------------------------------------------------------

    def _word(self) -> int:
        self.next_word += 1
        return self.next_word * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1

    def _layout(self, draw: Draw) -> Layout:
        return Layout(SIZES[draw.below(len(SIZES))], ALIGNS[draw.below(len(ALIGNS))])

    def _add(self, layout: Layout, zeroed: bool = False) -> bool:
        heap, port = self.mm.heap, self.mm.port
        try:
            address = heap.alloc_zeroed(layout) if zeroed else heap.alloc(layout)
        except NoMemory:
            return False
        assert not address % layout.align
        made = Object(address, layout, self._word())
        paddr = self.mm.vaddr_to_paddr(address)
        if zeroed:
            assert port.read(paddr, layout.size) == bytes(layout.size)
        port.write(paddr, made.content())
        self.used.append(made)
        return True

    def _verify(self, each: Object) -> None:
        assert self.mm.heap.is_live(each.address, each.layout)
        assert self.mm.port.read(self.mm.vaddr_to_paddr(each.address), each.layout.size) == each.content(), (
            f"the object at {each.address:#x} has other contents")

    def alloc(self, draw: Draw) -> None:
        if len(self.used) < MOST:
            self._add(self._layout(draw))

    def alloc_zeroed(self, draw: Draw) -> None:
        if len(self.used) < MOST:
            self._add(self._layout(draw), zeroed=True)

    def dealloc(self, draw: Draw) -> None:
        if self.used:
            each = draw.take(self.used)
            self._verify(each)
            self.mm.heap.dealloc(each.address, each.layout)
            assert not self.mm.heap.is_live(each.address, each.layout)

    def realloc(self, draw: Draw) -> None:
        if self.used:
            each = draw.pick(self.used)
            self._verify(each)
            size = SIZES[draw.below(len(SIZES))]
            try:
                address = self.mm.heap.realloc(each.address, each.layout, size)
            except NoMemory:
                self._verify(each)
                return
            kept = min(size, each.layout.size)
            assert self.mm.port.read(self.mm.vaddr_to_paddr(address), kept) == each.content()[:kept]
            each.address, each.layout = address, Layout(size, each.layout.align)
            self.mm.port.write(self.mm.vaddr_to_paddr(address), each.content())

    def look(self, draw: Draw) -> None:
        if self.used:
            self._verify(draw.pick(self.used))

    def many(self, draw: Draw) -> None:
        """A burst of one size: caches run empty, slabs are made."""
        layout = Layout(SIZES[draw.below(18)])
        for _ in range(min(16 + draw.below(48), MOST - len(self.used))):
            if not self._add(layout):
                return

    def few(self, draw: Draw) -> None:
        """Free most: caches run over, slabs go."""
        for _ in range(len(self.used) * 3 // 4):
            self.dealloc(draw)

    # --- boxes and CPU-local variables ------------------------------------------------------------------------------

    def new_box(self, draw: Draw) -> None:
        if len(self.boxes) < 12:
            size = SIZES[draw.below(len(SIZES))]
            try:
                box = HeapBox(self.mm, size)
            except NoMemory:
                return
            content = bytes(size)
            assert box.read() == content
            if size >= 8:
                content = self._word().to_bytes(8, "little") + content[8:]
                box.write(0, content[:8])
            self.boxes.append((box, content))

    def resize_box(self, draw: Draw) -> None:
        if self.boxes:
            index, size = draw.below(len(self.boxes)), SIZES[draw.below(len(SIZES))]
            box, content = self.boxes[index]
            try:
                box.resize(size)
            except NoMemory:
                assert box.read() == content
                return
            content = content[:size].ljust(size, b"\0")
            assert box.read() == content
            self.boxes[index] = box, content
            with refused(InvalidArgs):
                box.write(size, b"!")

    def drop_box(self, draw: Draw) -> None:
        if self.boxes:
            box, content = draw.take(self.boxes)
            assert box.read() == content
            box.drop()
            with refused(UseAfterMove):
                box.read()

    def new_local(self, draw: Draw) -> None:
        if len(self.locals) < 40:
            kind: PodType[int] = draw.pick([u64, u32])
            start = draw.below(1000)
            try:
                local = alloc_cpu_local(self.mm, kind, lambda cpu: start + cpu)
            except NoMemory:
                return
            self.locals.append((local, [start + cpu for cpu in range(self.mm.cpu_locals.count)]))

    def use_local(self, draw: Draw) -> None:
        if self.locals:
            local, values = draw.pick(self.locals)
            assert [local.get_on_cpu(cpu) for cpu in range(len(values))] == values
            values[self.mm.cpu] = draw.below(1 << 30)
            local.set(values[self.mm.cpu])

    def drop_local(self, draw: Draw) -> None:
        if self.locals:
            draw.take(self.locals)[0].drop()

    # --- slabs ------------------------------------------------------------------------------------------------------

    def new_slab(self, draw: Draw) -> None:
        if len(self.slabs) < 3:
            try:
                self.slabs.append((Slab.new(self.mm, draw.pick(list(SLAB_SLOTS))), []))
            except NoMemory:
                return

    def slab_alloc(self, draw: Draw) -> None:
        if self.slabs:
            slab, slots = draw.pick(self.slabs)
            for _ in range(1 + draw.below(20)):
                if len(slots) == slab.capacity:
                    with refused(NoMemory):
                        slab.alloc()
                    return
                slots.append(slab.alloc())

    def slab_dealloc(self, draw: Draw) -> None:
        if self.slabs:
            slab, slots = draw.pick(self.slabs)
            other = draw.pick(self.slabs)[0]
            for _ in range(min(len(slots), 1 + draw.below(20))):
                slot = draw.take(slots)
                if other is not slab:
                    with refused(HeapMisuse):
                        other.dealloc(slot)
                slab.dealloc(slot)
            assert slab.nr_allocated == len(slots)

    def drop_slab(self, draw: Draw) -> None:
        if self.slabs:
            slab, slots = self.slabs[-1]
            if slots:
                with refused(KernelPanic):
                    slab.drop()
            else:
                self.slabs.pop()
                slab.drop()

    def reclaim(self, draw: Draw) -> None:
        self.mm.heap.inner.reclaim()  # type: ignore[attr-defined]

    # --- against the rules --------------------------------------------------------------------------------------------

    def misuse(self, draw: Draw) -> None:
        """Frees of what is not an object, or is another one, are refused by name."""
        heap = self.mm.heap
        layout = self._layout(draw)
        if self.used and draw.chance(2):
            each = draw.pick(self.used)
            with refused(HeapMisuse):
                heap.dealloc(each.address + draw.pick([1, 4, 8, 4096]) if each.layout.size > 4096 else each.address + 1,
                             each.layout)
            if heap.inner.slot_map(layout) != heap.inner.slot_map(each.layout):
                with refused(HeapMisuse):
                    heap.dealloc(each.address, layout)
                with refused(HeapMisuse):
                    heap.realloc(each.address, layout, 10)
            return
        address = draw.pick([0, 8, -8, 1 << 64, self.mm.paging.linear_base, self.mm.paging.meta_base,
                             self.mm.paddr_to_vaddr(self.mm.slots.first_paddr + PAGE_SIZE * draw.below(1000))])
        if address not in self.objects():
            with refused(HeapMisuse):
                heap.dealloc(address, layout)
        assert not heap.is_live(-1, layout)
