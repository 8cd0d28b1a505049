"""User address spaces (OSTD `mm/vm_space.rs`).

        CPU-local word ──► root of the space that is active on the CPU (0: the kernel's table alone)
        root's slot    ──► page table metadata, I/O memory list, CPUs that the space is active on

A space is its page table's root: the handle holds one count on it, and every CPU that it is active on
another one, so that it lives until the last of them has switched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel.errors import AccessDenied
from kernel.mm.frame.handle import Handle
from kernel.mm.io.reader import FallibleVmReader
from kernel.mm.io.window import UserWindow
from kernel.mm.io.writer import FallibleVmWriter
from kernel.mm.page_table.page_table import SATP_MODE_SHIFT, SATP_PPN, PageTable
from kernel.mm.tlb.cpu_set import AtomicCpuSet

from .cursors import Cursor, CursorMut
from .iomem_list import IoMemList
from .translate import translate

if TYPE_CHECKING:
    from kernel.mm.context import Mm

PageFaultHandler = Callable[[int, bool], bool]
"""`handler(vaddr, write)` is asked when an access faults; whether it mapped the page, so that it may be tried again."""


class VmSpace(Handle):
    """A user address space: `VmSpace(mm)`; NoMemory.

    `page_fault_handler` is called for faults of this side's readers and writers; None for none.
    """

    __slots__ = ("_pt", "page_fault_handler")

    _pt: PageTable

    def __init__(self, mm: Mm) -> None:
        self._held = False
        self._mm, self._pt = mm, mm.kspace.page_table.create_user_page_table()
        self._held = True
        self.page_fault_handler: PageFaultHandler | None = None

    @classmethod
    def from_raw(cls, mm: Mm, root: int) -> VmSpace:
        """The handle for a count on the space whose root is at physical `root`, given up with `into_raw`."""
        space = object.__new__(cls)
        space._held = False
        space._mm, space._pt = mm, PageTable.from_raw(mm, root, svpbmt=mm.kspace.page_table.svpbmt)
        space.page_fault_handler = None
        space._held = True
        return space

    def into_raw(self) -> int:
        """Give up the handle but not the count; the root's physical address."""
        self._take()
        return self._pt.into_raw()

    def _release(self) -> None:
        self._pt.drop()

    def __repr__(self) -> str:
        return f"<VmSpace {self._pt._root:#x}{'' if self._held else ', gone'}>"

    @property
    def root_paddr(self) -> int:
        """Physical address of the page table's root; it names the space."""
        self._check()
        return self._pt.root_paddr

    @property
    def page_table(self) -> PageTable:
        """The page table."""
        self._check()
        return self._pt

    @property
    def cpus(self) -> AtomicCpuSet:
        """The CPUs that the space is active on."""
        return AtomicCpuSet.of_root(self._mm, self.root_paddr)

    @property
    def iomems(self) -> IoMemList:
        """The I/O memory that was ever mapped in the space."""
        return IoMemList.of_root(self._mm, self.root_paddr)

    def cursor(self, va: range) -> Cursor:
        """A cursor that looks at `va`, alone.

        AccessDenied (a PageTableError is its cause) if `va` is empty, unaligned or not in user space;
        LockHeld if another cursor has part of it; NoMemory.
        """
        return Cursor(self, va)

    def cursor_mut(self, va: range) -> CursorMut:
        """A cursor that changes `va`, alone; otherwise as `cursor`."""
        return CursorMut(self, va)

    # --- activation -------------------------------------------------------------------------------------------

    def activate(self) -> None:
        """Make this CPU translate by this space; nothing if it does already."""
        if not self._held:
            self._gone()
        _switch(self._mm, self._pt, self._pt._root)

    @property
    def is_active(self) -> bool:
        """Whether this CPU's satp names this space."""
        satp = self._mm.tlb.satp
        return satp >> SATP_MODE_SHIFT != 0 and (satp & SATP_PPN) << 12 == self.root_paddr

    # --- user memory ------------------------------------------------------------------------------------------

    def translate(self, vaddr: int, write: bool) -> int | None:
        """What a load or store of user code to the byte at `vaddr` would reach, after asking the fault handler."""
        root = self.root_paddr
        paddr = translate(self._mm, root, vaddr, write)
        if paddr is None and self.page_fault_handler is not None and self.page_fault_handler(vaddr, write):
            paddr = translate(self._mm, root, vaddr, write)
        return paddr

    def reader(self, vaddr: int, length: int) -> FallibleVmReader:
        """Reads `length` bytes at user address `vaddr`.

        AccessDenied unless the space is active on this CPU and the bytes are in user space.
        """
        return FallibleVmReader.from_user_space(self.window(vaddr, length), vaddr, length, self._check)

    def writer(self, vaddr: int, length: int) -> FallibleVmWriter:
        """Writes `length` bytes at user address `vaddr`; AccessDenied as for `reader`."""
        return FallibleVmWriter.from_user_space(self.window(vaddr, length), vaddr, length, self._check)

    def reader_writer(self, vaddr: int, length: int) -> tuple[FallibleVmReader, FallibleVmWriter]:
        """Both, for the same bytes; AccessDenied as for `reader`."""
        window = self.window(vaddr, length)
        return (FallibleVmReader.from_user_space(window, vaddr, length, self._check),
                FallibleVmWriter.from_user_space(window, vaddr, length, self._check))

    def window(self, vaddr: int, length: int) -> UserWindow:
        """What `reader` and `writer` look through, for whoever copies page by page; AccessDenied as for them."""
        if not self.is_active:
            raise AccessDenied(f"{self} is not active on CPU {self._mm.cpu}")
        end = self._mm.paging.max_user_vaddr
        if vaddr < 0 or length < 0 or vaddr + length > end:
            raise AccessDenied(f"{length:#x} bytes at {vaddr:#x} are not in user space, which ends at {end:#x}")
        return UserWindow(self._mm.port, self.translate, end)


def cpus_of(mm: Mm, root: int) -> AtomicCpuSet:
    """The CPUs that the space with the root at physical `root` is active on."""
    return AtomicCpuSet.of_root(mm, root)


def activated_vm_space(mm: Mm, cpu: int | None = None) -> int:
    """Physical address of the root of the space that is active on CPU `cpu` (this one), 0 for none."""
    return mm.port.load(_active_word(mm, mm.cpu if cpu is None else cpu))


def deactivate(mm: Mm) -> None:
    """Make this CPU translate by the kernel's page table alone."""
    _switch(mm, mm.kspace.page_table, 0)


def _switch(mm: Mm, table: PageTable, root: int) -> None:
    """Translate by `table`; `root` is the new space's, 0 for the kernel's alone."""
    cpu = mm.cpu
    word = mm.cpu_locals.base(cpu) + mm.statics.local_area("vm_space", 8)
    last = mm.port.load(word)
    if last == root:
        return
    # The CPU is in the new space's set before it can cache anything of it, and leaves the old one's after.
    if root:
        cpus_of(mm, root).add(cpu)
    if last:
        mm.slots.add_holder(last)
    try:
        table.activate()
    except BaseException:
        if root:
            cpus_of(mm, root).remove(cpu)
        if last:
            mm.slots.drop_holder(last)
        raise
    mm.port.store(word, root)
    if last:
        cpus_of(mm, last).remove(cpu)
        mm.slots.drop_holder(last)


def _active_word(mm: Mm, cpu: int) -> int:
    return mm.cpu_locals.base(cpu) + mm.statics.local_area("vm_space", 8)
