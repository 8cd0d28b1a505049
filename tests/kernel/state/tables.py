"""Address spaces and kernel virtual areas: maps, unmaps, protections; and what the harts see of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kernel import Kernel
from kernel.cpu.probe import Fault, Probe
from kernel.errors import AccessDenied, InvalidArgs, KernelPanic, LockHeld, NoMemory, PageFault, PageTableError
from kernel.mm import PAGE_SIZE, Frame, FrameAllocOptions
from kernel.mm.frame.handle import Handle
from kernel.mm.io_mem import IoMem
from kernel.mm.kspace.kvirt_area import KVirtArea
from kernel.mm.page_table.items import Mapped, TrackedRef, Untracked
from kernel.mm.page_table.pte import CachePolicy, PageFlags, PageProperty
from kernel.mm.tlb.flusher import TlbFlushOp
from kernel.mm.vm_space.cursors import CursorMut, MappedIoMem, MappedRam
from kernel.mm.vm_space.vm_space import VmSpace, deactivate

from tests.kernel.state.part import Draw, Operation, Part, refused

HUGE = 512 * PAGE_SIZE
IO_BASE = 1 << 44
IMAGE = 0x8020_0000
"""Where the kernel's image is; below it is the firmware, which PMP keeps from the kernel."""
WINDOW = 16
"""Pages of a window, where things are mapped."""
HUGE_WINDOW = 1 << 31
HUGE_PAGES = 4
FLAGS = (PageFlags.R, PageFlags.RW, PageFlags.RX, PageFlags.RWX)


class Page(NamedTuple):
    """What the model knows of a mapped page."""

    paddr: int
    flags: PageFlags
    ram: bool


@dataclass
class Space:
    """A space with what is mapped in it, page by page, and its I/O memory."""

    space: VmSpace
    pages: dict[int, Page] = field(default_factory=dict)
    iomems: list[IoMem] = field(default_factory=list)
    stale: bool = False
    """Protections were changed without a flush: a hart may still go by the old ones."""


@dataclass
class Area:
    """A kernel virtual area with what is mapped in it."""

    area: KVirtArea
    pages: dict[int, int]


class TablesPart(Part):
    """Spaces, areas, and a few frames that are mapped in several places at once."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.spaces: list[Space] = []
        self.areas: list[Area] = []
        self.frames: list[Frame[Any]] = []
        self.probe = Probe(kernel.smp)
        self.active: dict[int, Space] = {}
        # Over the edges of tables of each level, and at both ends of user space.
        low, width = 8 * PAGE_SIZE, self.mm.paging.width
        self.windows = (0, HUGE - low, (1 << 30) - low, (1 << width - 9) - low, (1 << width - 1) - WINDOW * PAGE_SIZE)
        # What stays once there was an area: the first block of addresses, and the kernel's tables for the last ones.
        pa = range(self.mm.slots.first_paddr, self.mm.slots.first_paddr + PAGE_SIZE)
        KVirtArea.map_untracked_frames(self.mm, PAGE_SIZE, 0, pa, PageProperty.new_kernel(PageFlags.R)).drop()

    def begin(self) -> None:
        self.frames += [FrameAllocOptions(self.mm).alloc_frame() for _ in range(4)]
        for number, frame in enumerate(self.frames, 1):
            frame.write_bytes(0, bytes([number]) * PAGE_SIZE)

    def operations(self) -> list[Operation]:
        return [
            Operation(self.new_space, 3), Operation(self.drop_space, 1), Operation(self.map, 10),
            Operation(self.unmap, 8), Operation(self.protect, 5), Operation(self.query, 5),
            Operation(self.find, 2), Operation(self.map_iomem, 4), Operation(self.map_huge, 4),
            Operation(self.unmap_huge, 3), Operation(self.protect_huge, 4), Operation(self.take_next, 3),
            Operation(self.activate, 3), Operation(self.deactivate, 1), Operation(self.look_by_hart, 6),
            Operation(self.read_write, 4), Operation(self.new_area, 4), Operation(self.look_at_area, 4),
            Operation(self.split_area, 2), Operation(self.drop_area, 3), Operation(self.two_cursors, 1),
            Operation(self.come_and_go, 3), Operation(self.misuse, 2),
        ]

    def holders(self) -> list[Handle]:
        return [*self.frames, *(each.space for each in self.spaces)]

    def drop_all(self) -> None:
        for cpu in range(self.mm.cpu_locals.count):
            with self.kernel.on_cpu(cpu):
                deactivate(self.mm)
        for each in self.spaces:
            each.space.drop()
        for area in self.areas:
            area.area.drop()
        for frame in self.frames:
            frame.drop()
        for things in (self.spaces, self.areas, self.frames, self.active):
            things.clear()

    # --- spaces -----------------------------------------------------------------------------------------------------

    def new_space(self, draw: Draw) -> None:
        if len(self.spaces) < 3:
            try:
                self.spaces.append(Space(VmSpace(self.mm)))
            except NoMemory:
                return

    def drop_space(self, draw: Draw) -> None:
        """Its last handle; CPUs that it is active on keep it alive."""
        if self.spaces:
            draw.take(self.spaces).space.drop()

    def _window(self, draw: Draw) -> tuple[int, int, int]:
        """A window, a page in it, and pages from there."""
        base = self.windows[draw.below(len(self.windows))]
        first = draw.below(WINDOW)
        return base, base + first * PAGE_SIZE, 1 + draw.below(WINDOW - first)

    def _prop(self, draw: Draw) -> PageProperty:
        return PageProperty.new_user(FLAGS[draw.below(len(FLAGS))])

    def _is_user(self, va: int) -> bool:
        """Whether pages at `va` are for user code. In some windows they are the kernel's alone: a hart here forgets
        users' pages whenever sstatus.SUM changes, so that only the kernel's can become stale."""
        return va >= HUGE_WINDOW and va < self.windows[-1] or va < self.windows[1]

    def _prop_at(self, draw: Draw, va: int) -> PageProperty:
        prop = self._prop(draw)
        return prop if self._is_user(va) else PageProperty(prop.flags)

    def map(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (base, va, count) = draw.pick(self.spaces), self._window(draw)
        prop = self._prop_at(draw, va)
        try:
            cursor = each.space.cursor_mut(range(base, base + WINDOW * PAGE_SIZE))
        except NoMemory:
            return
        with cursor:
            cursor.jump(va)
            for page in range(va, va + min(count, 5) * PAGE_SIZE, PAGE_SIZE):
                frame = draw.pick(self.frames).clone()
                paddr = frame.paddr
                try:
                    cursor.map(frame, prop)
                except NoMemory:
                    frame.drop()
                    return
                except KernelPanic as panic:
                    assert page in each.pages and "already mapped" in str(panic)
                    frame.drop()
                    return
                assert page not in each.pages
                each.pages[page] = Page(paddr, prop.flags, True)
                assert cursor.virt_addr == page + PAGE_SIZE

    def unmap(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (_, va, count) = draw.pick(self.spaces), self._window(draw)
        length = count * PAGE_SIZE
        try:
            cursor = each.space.cursor_mut(range(va, va + length))
        except NoMemory:
            return
        gone = [page for page in each.pages if va <= page < va + length]
        touched = [page for page in gone if each.pages[page].ram][:3]
        self._touch(each, touched)
        with cursor:
            unmapped = cursor.unmap(length)
            assert unmapped == sum(each.pages[page].ram for page in gone)
            assert cursor.virt_addr == va + length
            cursor.flusher.sync_tlb_flush()
        for page in gone:
            del each.pages[page]
        for page in touched:
            for cpu in self._cpus(each):
                found = self.probe.load(cpu, page, user=self._is_user(page))
                assert isinstance(found, Fault), f"CPU {cpu} still reads {page:#x}"

    def _cpus(self, each: Space) -> list[int]:
        """The CPUs that the space is active on."""
        return [cpu for cpu, active in self.active.items() if active is each]

    def _touch(self, each: Space, pages: list[int]) -> None:
        """Have every CPU that the space is active on read pages, so that their TLBs know them."""
        for cpu in self._cpus(each):
            for page in pages:
                assert self.probe.load(cpu, page, user=self._is_user(page)) == self.mm.port.load(each.pages[page].paddr)

    def protect(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (base, va, count), prop = draw.pick(self.spaces), self._window(draw), self._prop(draw)
        flush = not draw.chance(3)
        try:
            cursor = each.space.cursor_mut(range(base, base + WINDOW * PAGE_SIZE))
        except NoMemory:
            return
        with cursor:
            cursor.jump(va)
            end = va + count * PAGE_SIZE
            expected = sorted(page for page in each.pages if va <= page < end)
            self._touch(each, [page for page in expected if each.pages[page].ram][:3])
            while (changed := cursor.protect_next(end - cursor.virt_addr,
                                                  lambda _, cache: (prop.flags, cache))) is not None:
                assert changed == range(expected[0], expected[0] + PAGE_SIZE)
                page = expected.pop(0)
                each.pages[page] = each.pages[page]._replace(flags=prop.flags)
                if flush:
                    cursor.flusher.issue_tlb_flush(TlbFlushOp.for_single(page))
            assert not expected
            if flush:
                cursor.flusher.dispatch_tlb_flush()
                cursor.flusher.sync_tlb_flush()
            else:
                each.stale = True

    def _compare(self, each: Space, va: int, cursor: CursorMut) -> None:
        span, item = cursor.query()
        page = each.pages.get(va)
        assert span.start <= va < span.stop
        if page is None:
            assert item is None
            return
        if page.ram:
            assert isinstance(item, MappedRam) and item.frame.paddr == page.paddr
        else:
            assert isinstance(item, MappedIoMem) and item.paddr + va - span.start == page.paddr
        assert item.prop.flags & PageFlags.RWX == page.flags and item.prop.cache is CachePolicy.WRITEBACK

    def query(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (base, _, _) = draw.pick(self.spaces), self._window(draw)
        try:
            cursor = each.space.cursor_mut(range(base, base + WINDOW * PAGE_SIZE))
        except NoMemory:
            return
        with cursor:
            for va in range(base, base + WINDOW * PAGE_SIZE, PAGE_SIZE):
                cursor.jump(va)
                self._compare(each, va, cursor)

    def find(self, draw: Draw) -> None:
        if self.spaces:
            each = draw.pick(self.spaces)
            span = range(0, self.windows[-1] + WINDOW * PAGE_SIZE)
            found = []
            with each.space.cursor(span) as cursor:
                while (va := cursor.find_next(span.stop - cursor.virt_addr)) is not None:
                    found.append(va)
                    if va + PAGE_SIZE == span.stop:
                        break
                    cursor.jump(va + PAGE_SIZE)
            assert [hex(va) for va in found] == [hex(va) for va in sorted(each.pages)]

    def _nothing_mapped(self, each: Space, pages: range) -> None:
        """A mapping that failed left nothing behind."""
        for va in pages:
            assert (each.space.page_table.page_walk(va) is None) == (va not in each.pages), f"{va:#x} is half mapped"

    def map_iomem(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (base, va, count), prop = draw.pick(self.spaces), self._window(draw), self._prop(draw)
        io_mem = IoMem.acquire(self.mm, range(IO_BASE, IO_BASE + (1 + draw.below(3)) * 8 * PAGE_SIZE))
        offset, length = draw.below(8) * PAGE_SIZE, count * PAGE_SIZE
        try:
            with each.space.cursor_mut(range(base, base + WINDOW * PAGE_SIZE)) as cursor:
                cursor.jump(va)
                cursor.map_iomem(io_mem, prop, length, offset)
        except NoMemory:
            self._nothing_mapped(each, range(va, va + length, PAGE_SIZE))
            return
        except InvalidArgs:
            assert offset + length > io_mem.size
            return
        except KernelPanic:
            assert any(va <= page < va + length for page in each.pages)
            return
        for i in range(count):
            assert va + i * PAGE_SIZE not in each.pages
            each.pages[va + i * PAGE_SIZE] = Page(IO_BASE + offset + i * PAGE_SIZE, prop.flags, False)
        each.iomems.append(io_mem)
        with each.space.cursor_mut(range(base, base + PAGE_SIZE)) as cursor:
            assert cursor.find_iomem_by_paddr(IO_BASE + offset) is not None

    # --- huge pages, through the page table itself -----------------------------------------------------------------

    def _huge(self, draw: Draw) -> tuple[int, int]:
        """Start and end of a range over huge pages, whole ones or not."""
        pages = HUGE_PAGES * 512
        first = draw.pick([0, 512, 1024, 1536, 1, 511, 513, 2047])
        last = min(first + draw.pick([512, 1024, 1, 2, 511, 513]), pages)
        return HUGE_WINDOW + first * PAGE_SIZE, HUGE_WINDOW + last * PAGE_SIZE

    def map_huge(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (start, end), prop = draw.pick(self.spaces), self._huge(draw), self._prop(draw)
        paddr = IO_BASE * 2 + (start - HUGE_WINDOW) + draw.pick([0, 0, 0, 0, PAGE_SIZE])
        try:
            with each.space.page_table.cursor_mut(range(start, end)) as cursor:
                cursor.map_range(paddr, end - start, prop)
        except NoMemory:
            self._nothing_mapped(each, range(start, end, 64 * PAGE_SIZE))
            return
        except KernelPanic:
            assert any(va in each.pages for va in range(start, end, PAGE_SIZE))
            return
        for va in range(start, end, PAGE_SIZE):
            assert va not in each.pages
            each.pages[va] = Page(paddr + va - start, prop.flags, False)

    def unmap_huge(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (start, end) = draw.pick(self.spaces), self._huge(draw)
        try:
            cursor = each.space.cursor_mut(range(start, end))
        except NoMemory:
            return
        with cursor:
            try:
                cursor.unmap(end - start)
            except NoMemory:
                assert cursor.virt_addr == start
                end = start  # a huge page at the edge could not be split: nothing was unmapped
        for va in range(start, end, PAGE_SIZE):
            each.pages.pop(va, None)

    def protect_huge(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (start, end), prop = draw.pick(self.spaces), self._huge(draw), self._prop(draw)
        each.stale = True
        try:
            with each.space.page_table.cursor_mut(range(start, end)) as cursor:
                while (changed := cursor.protect_next(end - cursor.virt_addr, lambda _: prop)) is not None:
                    assert start <= changed.start < changed.stop <= end
                    for va in range(changed.start, changed.stop, PAGE_SIZE):
                        each.pages[va] = each.pages[va]._replace(flags=prop.flags)
        except NoMemory:
            return
        for va in range(start, end, PAGE_SIZE):
            if va in each.pages:
                assert each.pages[va].flags == prop.flags
                found = each.space.page_table.page_walk(va)
                assert found is not None and found[0] == each.pages[va].paddr
                assert found[1].flags & PageFlags.RWX == prop.flags

    def take_next(self, draw: Draw) -> None:
        """Take all out of a range by the page table's own cursor: pages, and whole tables."""
        if not self.spaces:
            return
        each = draw.pick(self.spaces)
        base, va, count = self._window(draw)
        start, end = draw.pick([(va, va + count * PAGE_SIZE), (0, 1 << 30), (base, base + WINDOW * PAGE_SIZE),
                                self._huge(draw)])
        try:
            cursor = each.space.page_table.cursor_mut(range(start, end))
        except NoMemory:
            return
        taken = []
        with cursor:
            try:
                while (frag := cursor.take_next(end - cursor.virt_addr)) is not None:
                    taken.append(frag)
            except NoMemory:
                end = cursor.virt_addr
        self.mm.tlb.sfence_all()
        self.mm.tlb.remote_sfence(0, 0)
        pages = {page: each.pages.pop(page) for page in list(each.pages) if start <= page < end}
        for frag in taken:
            if isinstance(frag, Mapped):
                first = pages[frag.va]
                if isinstance(frag.item, Untracked):
                    assert frag.item.paddr == first.paddr and not first.ram
                else:
                    assert frag.item.frame.paddr == first.paddr and first.ram
                    frag.item.frame.drop()
            else:
                inside = sum(frag.va <= page < frag.va + frag.len for page in pages)
                assert frag.num_frames <= inside
                frag.pt.drop()

    # --- what the harts see -----------------------------------------------------------------------------------------

    def activate(self, draw: Draw) -> None:
        if self.spaces:
            each = draw.pick(self.spaces)
            each.space.activate()
            self.active[self.mm.cpu] = each
            each.stale = False if len([cpu for cpu in self.active if self.active[cpu] is each]) == 1 else each.stale
            assert each.space.is_active

    def deactivate(self, draw: Draw) -> None:
        deactivate(self.mm)
        self.active.pop(self.mm.cpu, None)
        assert self.mm.tlb.satp == self.mm.paging.satp(self.mm.kspace.root_paddr)

    def look_by_hart(self, draw: Draw) -> None:
        """A load by the hart gives what is mapped, or faults where nothing is."""
        each, (_, va, _) = self.active.get(self.mm.cpu), self._window(draw)
        if each is None:
            assert isinstance(self.probe.load(self.mm.cpu, va, user=self._is_user(va)), Fault)
            return
        page = each.pages.get(va)
        if page is not None and not page.ram:
            return
        found = self.probe.load(self.mm.cpu, va, user=self._is_user(va))
        if page is None:
            assert isinstance(found, Fault), f"{va:#x} is not mapped, and the hart reads {found:#x}: stale"
        else:
            assert not isinstance(found, Fault), f"{va:#x} is mapped: {found}"
            assert found == self.mm.port.load(page.paddr)
        if page is not None and not each.stale:
            fault = self.probe.store(self.mm.cpu, va, self.mm.port.load(page.paddr), user=self._is_user(va))
            assert (fault is None) == bool(page.flags & PageFlags.W), f"{va:#x} is {page.flags!r}: {fault}"

    def come_and_go(self, draw: Draw) -> None:
        """A page of the active space that is mapped, read by the harts, and unmapped: none has it afterwards."""
        each = self.active.get(self.mm.cpu)
        if each is None or not each.space.held:
            return
        va = self.windows[1] + draw.below(WINDOW) * PAGE_SIZE
        if va not in each.pages:
            frame = draw.pick(self.frames).clone()
            paddr = frame.paddr
            try:
                with each.space.cursor_mut(range(va, va + PAGE_SIZE)) as cursor:
                    cursor.map(frame, PageProperty(PageFlags.RW))
            except NoMemory:
                frame.drop()
                return
            each.pages[va] = Page(paddr, PageFlags.RW, True)
        if each.pages[va].ram:
            self._touch(each, [va])
        with each.space.cursor_mut(range(va, va + PAGE_SIZE)) as cursor:
            cursor.unmap(PAGE_SIZE)
        del each.pages[va]
        for cpu in sorted(self._cpus(each), key=lambda cpu: cpu != self.mm.cpu):
            assert isinstance(self.probe.load(cpu, va), Fault), f"CPU {cpu} still reads {va:#x}"

    def read_write(self, draw: Draw) -> None:
        """Readers and writers of user memory copy, and stop where nothing is mapped."""
        if not self.spaces:
            return
        each, (_, va, count) = draw.pick(self.spaces), self._window(draw)
        length = count * PAGE_SIZE
        if self.active.get(self.mm.cpu) is not each or va + length > self.mm.paging.max_user_vaddr:
            with refused(AccessDenied):
                each.space.reader(va, length)
            return
        good = 0
        if not self._is_user(va):
            with refused(PageFault):
                each.space.reader(va, length).read_bytes(length)
            return
        while good < count and (page := each.pages.get(va + good * PAGE_SIZE)) is not None and page.ram:
            good += 1
        if good < count and va + good * PAGE_SIZE in each.pages:
            return  # I/O memory, where there is no device
        try:
            data = each.space.reader(va, length).read_bytes(length)
        except PageFault:
            assert good < count
            return
        assert good == count
        paddrs = [each.pages[va + i * PAGE_SIZE].paddr for i in range(count)]
        assert data == b"".join(self.mm.port.read(paddr, PAGE_SIZE) for paddr in paddrs)

    # --- kernel virtual areas ---------------------------------------------------------------------------------------

    def new_area(self, draw: Draw) -> None:
        if len(self.areas) >= 8:
            return
        size, offset = (1 + draw.below(6)) * PAGE_SIZE, draw.below(3) * PAGE_SIZE
        count = draw.below(4)
        prop = PageProperty.new_kernel(draw.pick([PageFlags.R, PageFlags.RW]))
        if draw.chance(3):
            pa = range(IMAGE, IMAGE + count * PAGE_SIZE)
            if offset + len(pa) > size:
                with refused(KernelPanic):
                    KVirtArea.map_untracked_frames(self.mm, size, offset, pa, prop)
                return
            try:
                area = KVirtArea.map_untracked_frames(self.mm, size, offset, pa, prop)
            except NoMemory:
                return
            paddrs = list(pa[::PAGE_SIZE])
        else:
            frames = [draw.pick(self.frames).clone() for _ in range(count)]
            paddrs = [frame.paddr for frame in frames]
            try:
                area = KVirtArea.map_frames(self.mm, size, offset, frames, prop)
            except (KernelPanic, NoMemory) as error:
                assert isinstance(error, NoMemory) or offset + count * PAGE_SIZE > size
                for frame in frames:
                    frame.drop()
                return
        self.areas.append(Area(area, {area.start + offset + i * PAGE_SIZE: paddr for i, paddr in enumerate(paddrs)}))

    def look_at_area(self, draw: Draw) -> None:
        """The area's pages, by query and by the hart, whatever space is active."""
        if not self.areas:
            return
        each = draw.pick(self.areas)
        va = each.area.start + draw.below(each.area.size // PAGE_SIZE) * PAGE_SIZE
        item, paddr = each.area.query(va + 8), each.pages.get(va)
        found = self.probe.load(self.mm.cpu, va)
        if paddr is None:
            assert item is None and isinstance(found, Fault)
            return
        assert (item.frame.paddr if isinstance(item, TrackedRef) else item.paddr if item else None) == paddr
        assert found == self.mm.port.load(paddr), f"the hart reads {found} at {va:#x}, which is {paddr:#x}"

    def split_area(self, draw: Draw) -> None:
        if self.areas:
            each = draw.take(self.areas)
            pages = each.area.size // PAGE_SIZE
            if pages == 1:
                with refused(KernelPanic):
                    each.area.split(PAGE_SIZE)
                self.areas.append(each)
                return
            try:
                parts = each.area.split((1 + draw.below(pages - 1)) * PAGE_SIZE)
            except NoMemory:
                self.areas.append(each)
                return
            for part in parts:
                self.areas.append(Area(part, {va: pa for va, pa in each.pages.items() if part.start <= va < part.end}))

    def drop_area(self, draw: Draw) -> None:
        """Nothing of a dropped area can be read by any hart."""
        if self.areas:
            each = draw.take(self.areas)
            each.area.drop()
            for va in each.pages:
                for cpu in range(self.mm.cpu_locals.count):
                    assert isinstance(self.probe.load(cpu, va), Fault), f"CPU {cpu} still reads {va:#x}"

    # --- against the rules ------------------------------------------------------------------------------------------

    def two_cursors(self, draw: Draw) -> None:
        if self.spaces:
            each, (base, va, count) = draw.pick(self.spaces), self._window(draw)
            try:
                cursor = each.space.cursor(range(va, va + count * PAGE_SIZE))
            except NoMemory:
                return
            with cursor, refused(LockHeld):
                each.space.cursor_mut(range(base, base + WINDOW * PAGE_SIZE))

    def misuse(self, draw: Draw) -> None:
        if not self.spaces:
            return
        each, (_, va, count) = draw.pick(self.spaces), self._window(draw)
        end = self.mm.paging.max_user_vaddr
        for bad in (range(va + 1, va + PAGE_SIZE), range(va, va), range(-PAGE_SIZE, va), range(va, 1 << 64),
                    range(1 << 63, (1 << 63) + PAGE_SIZE), range(end, end + 2 * PAGE_SIZE), range(va, va + 100)):
            with refused(AccessDenied):
                each.space.cursor(bad)
            with refused(PageTableError):
                each.space.page_table.cursor_mut(bad)
        try:
            cursor = each.space.cursor_mut(range(va, va + count * PAGE_SIZE))
        except NoMemory:
            return
        with cursor:
            with refused(KernelPanic):
                cursor.unmap((count + 1) * PAGE_SIZE)
            with refused(KernelPanic):
                cursor.unmap(8)
            with refused(KernelPanic):
                cursor.protect_next(-PAGE_SIZE, lambda flags, cache: (flags, cache))
            with refused(AccessDenied):
                cursor.jump(va + count * PAGE_SIZE)
            with refused(KernelPanic):
                cursor.jump(va + 1)
