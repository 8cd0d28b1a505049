"""A program's memory: areas over a VmSpace, filled when it is touched (Linux's `mm_struct`).

        fault in no area, or one that forbids it            SIGSEGV
        nothing mapped                                      a frame: zeroes, or what the area's backing has
        a store to a frame that others hold, too            a copy of one's own (copy-on-write)
        a store to a frame that nobody else holds           may be written from now on

        0x0001_0000 … program … heap (brk) ↑        ↓ mmap … stack … max_user_vaddr
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.errno import Errno, SysError
from kernel.mm import FrameAllocOptions, PageFlags, PageProperty, TlbFlushOp, VmSpace
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.vm_space.cursors import CursorMut, MappedRam

from .area import Area, Areas, Backing
from .backing import InodeBacking

if TYPE_CHECKING:
    from kernel.mm.context import Mm

LOWEST = 0x1_0000
"""Below it nothing is ever mapped (Linux's vm.mmap_min_addr)."""
STACK_SIZE = 8 << 20
"""Bytes of the stack's area; its pages appear as it grows."""
FAULT_AROUND = 16 * PAGE_SIZE
"""Bytes, aligned, of which a load from a file's page maps all that is in memory (Linux's fault_around_bytes)."""
MAX_AREAS = 65530
"""Areas that an address space has at most (Linux's vm.max_map_count)."""
STACK_GAP = 1 << 20
"""Bytes between the stack and what mmap chooses."""


def page_down(value: int) -> int:
    """The multiple of 4096 at or below `value`."""
    return value & -PAGE_SIZE


def page_up(value: int) -> int:
    """The multiple of 4096 at or above `value`."""
    return value + PAGE_SIZE - 1 & -PAGE_SIZE


def _around(page: int, area: Area) -> range:
    """The pages of `area` that a fault at `page` may map together: those of its 64 KiB."""
    first = page & -FAULT_AROUND
    return range(max(first, area.start), min(first + FAULT_AROUND, area.end))


def _map_around(cursor: CursorMut, around: range, area: Area, prop: PageProperty) -> None:
    """Map what else of the pages `around` the area's backing has in frames, and nothing is mapped for yet."""
    cursor.jump(around.start)
    for row in cursor.absent(len(around)):
        cursor.jump(row.start)
        cursor.map_held(area.hold_frames(row.start, len(row) // PAGE_SIZE), prop)


class AddressSpace:
    """The memory of a process; NoMemory. `drop` gives all of it back, when it was called once more than `share`."""

    def __init__(self, mm: Mm) -> None:
        self._mm = mm
        self.space = VmSpace(mm)
        self.space.page_fault_handler = lambda vaddr, write: self.fault(vaddr, PageFlags.W if write else PageFlags.R)
        self.areas = Areas()
        self._backings: dict[Backing, None] = {}
        self.top = page_down(mm.paging.max_user_vaddr)
        """End of the stack."""
        self.brk_start = self.brk = LOWEST
        """Where the heap begins, and ends."""
        self._users = 1
        self.faults = 0
        """Page faults that were answered."""

    # --- areas ----------------------------------------------------------------------------------------------

    def map(self, area: Area) -> None:
        """Put an area where it says, in the place of what is there. ENOMEM outside of user space, or for too many."""
        if not LOWEST <= area.start < area.end <= self.top:
            raise SysError(Errno.ENOMEM, f"{area.start:#x}-{area.end:#x} is not in user space")
        if len(self.areas) >= MAX_AREAS:
            raise SysError(Errno.ENOMEM, f"{MAX_AREAS} areas")
        gone = self._discard(area.start, area.end)
        self._hold(area.backing)
        self.areas.put(area)
        self._let_go(gone)

    def unmap(self, start: int, end: int) -> None:
        """Take everything from `start` to `end` away."""
        gone = self._discard(start, end)
        self.areas.clear(start, end)
        self._let_go(gone)

    def forget(self, start: int, end: int) -> None:
        """Have the private pages from `start` to `end` be what they were at first (MADV_DONTNEED)."""
        for area in self.areas.within(start, end):
            if not area.shared:
                self._discard(area.start, area.end)

    def protect(self, start: int, end: int, prot: PageFlags) -> None:
        """Allow `prot` from `start` to `end`; ENOMEM unless all of it is mapped, EACCES to write to a shared file."""
        if prot & PageFlags.W and any(area.shared and isinstance(area.backing, InodeBacking)
                                      for area in self.areas.within(start, end)):
            raise SysError(Errno.EACCES, f"{start:#x}-{end:#x}: a shared mapping of a file that may be read only")
        if not self.areas.covers(start, end):
            raise SysError(Errno.ENOMEM, f"{start:#x}-{end:#x} is not all mapped")
        for area in self.areas.within(start, end):
            self.areas.put(Area(area.start, area.end, prot, area.backing, area.offset, area.limit, area.shared,
                                area.name))
        # Writing is allowed page by page, when it is tried: the frame may be somebody else's, too.
        allowed = prot & ~PageFlags.W
        self._change(start, end, lambda flags, cache: (flags & ~PageFlags.RWX | allowed, cache))

    def find_gap(self, size: int, hint: int = 0) -> int:
        """Where `size` bytes are free: at `hint` if they are there; ENOMEM if nowhere."""
        high = self.top - STACK_SIZE - STACK_GAP
        if LOWEST <= hint <= high - size and not self.areas.within(hint, hint + size):
            return hint
        found = self.areas.gap(size, LOWEST, high)
        if found is None:
            raise SysError(Errno.ENOMEM, f"no {size} free addresses in a row")
        return found

    def set_brk(self, end: int) -> int:
        """Move the heap's end to `end` if that is possible; where it is then (brk)."""
        if end < self.brk_start or end > self.top - STACK_SIZE - STACK_GAP:
            return self.brk
        old, new = page_up(self.brk), page_up(end)
        if new < old:
            self.unmap(new, old)
        elif new > old:
            if self.areas.within(old, new):
                return self.brk
            self.map(Area(old, new, PageFlags.RW, name="[heap]"))
        self.brk = end
        return self.brk

    # --- pages ----------------------------------------------------------------------------------------------

    def fault(self, vaddr: int, access: PageFlags) -> bool:
        """A load (R), store (W) or fetch (X) at `vaddr` has faulted: whether it may be tried again. NoMemory."""
        area = self.areas.find(vaddr)
        if area is None or not int(area.prot) & int(access):
            return False
        page = page_down(vaddr)
        store = access is PageFlags.W
        around = range(page, page + PAGE_SIZE) if store or area.backing is None else _around(page, area)
        with self.space.cursor_mut(around) as cursor:
            cursor.jump(page)
            _, item = cursor.query()
            if item is None:
                found = None if store and not area.shared else area.frame(page)
                if found is not None:
                    prot = PageProperty.new_user(area.prot if area.shared else area.prot & ~PageFlags.W)
                    cursor.map(found.into_uframe(), prot)
                    if len(around) > PAGE_SIZE:
                        _map_around(cursor, around, area, prot)
                else:
                    frame = FrameAllocOptions(self._mm).alloc_frame()
                    if contents := area.contents(page, PAGE_SIZE):
                        frame.write_bytes(0, contents)
                    cursor.map(frame.into_uframe(), PageProperty.new_user(area.prot))
            elif store and isinstance(item, MappedRam):
                if area.shared or item.frame.reference_count == 1:
                    cursor.protect_next(PAGE_SIZE, lambda flags, cache: (flags | area.prot, cache))
                else:
                    copy = FrameAllocOptions(self._mm).zeroed(False).alloc_frame()
                    self._mm.port.copy(copy.paddr, item.frame.paddr, PAGE_SIZE)
                    cursor.unmap(PAGE_SIZE)
                    cursor.jump(page)
                    cursor.map(copy.into_uframe(), PageProperty.new_user(area.prot))
                cursor.flusher.issue_tlb_flush(TlbFlushOp.for_single(page))
            elif not isinstance(item, MappedRam):
                return False
            else:  # another CPU was faster, or the page was protected for a while
                cursor.protect_next(PAGE_SIZE, lambda flags, cache: (flags | area.prot & ~PageFlags.W, cache))
                cursor.flusher.issue_tlb_flush(TlbFlushOp.for_single(page))
            if item is not None:
                cursor.flusher.dispatch_tlb_flush()
                cursor.flusher.sync_tlb_flush()
        self.faults += 1
        return True

    def share(self) -> AddressSpace:
        """The same, for one more process (vfork)."""
        self._users += 1
        return self

    def fork(self) -> AddressSpace:
        """Another address space with the same contents: frames are shared until one of the two writes. NoMemory."""
        child = AddressSpace(self._mm)
        try:
            child.areas = self.areas.copy()
            for backing in self._backings:
                child._hold(backing)
            child.brk_start, child.brk = self.brk_start, self.brk
            for area in self.areas:
                self._share(area, child)
        except BaseException:
            child.drop()
            raise
        return child

    def _share(self, area: Area, child: AddressSpace) -> None:
        """Map an area's pages in the child, too."""
        span = range(area.start, area.end)
        with self.space.cursor_mut(span) as mine, child.space.cursor_mut(span) as its:
            mine.share(its, area.size, copy_on_write=not area.shared)
            mine.flusher.dispatch_tlb_flush()
            mine.flusher.sync_tlb_flush()

    def drop(self) -> None:
        """One process less has it; with the last, every page is given back."""
        self._users -= 1
        if self._users:
            return
        self.space.drop()
        for backing in self._backings:
            backing.release()
        self._backings.clear()

    def _hold(self, backing: Backing | None) -> None:
        """Keep a file as long as an area has it, once."""
        if backing is not None and backing not in self._backings:
            backing.hold()
            self._backings[backing] = None

    def _let_go(self, backings: set[Backing]) -> None:
        """Do not keep those files, and memory that is shared, of which no area is left."""
        if backings:
            for backing in backings - {area.backing for area in self.areas}:
                del self._backings[backing]
                backing.release()

    def _discard(self, start: int, end: int) -> set[Backing]:
        """Unmap what is mapped from `start` to `end`; what is behind it."""
        areas = self.areas.within(start, end)
        for area in areas:
            with self.space.cursor_mut(range(area.start, area.end)) as cursor:
                cursor.unmap(area.size)
                cursor.flusher.dispatch_tlb_flush()
                cursor.flusher.sync_tlb_flush()
        return {area.backing for area in areas if area.backing is not None}

    def _change(self, start: int, end: int, op: object) -> None:
        with self.space.cursor_mut(range(start, end)) as cursor:
            while (left := end - cursor.virt_addr) > 0:
                changed = cursor.protect_next(left, op)  # type: ignore[arg-type]
                if changed is None:
                    break
                cursor.flusher.issue_tlb_flush(TlbFlushOp.for_range(changed))
            cursor.flusher.dispatch_tlb_flush()
            cursor.flusher.sync_tlb_flush()
