"""Who has memory while our own kernel boots, read from the machine's memory at the end of a stage.

Nothing is changed, and no access is charged to the boot: the port is one of its own.
"""

from __future__ import annotations

from typing import Final

from emulator import Machine
from kernel.boot.boot_record import BootRecord, Phase
from kernel.errors import CorruptionError
from kernel.mm.context import Mm
from kernel.mm.frame.early import EarlyFrameAllocator
from kernel.mm.frame.meta import MetaSlots
from kernel.mm.frame.meta_init import MetaRegion
from kernel.mm.paging import PAGE_SHIFT, PagingMode
from kernel.mm.port import MemoryPort
from kernel.mm.statics import Statics
from kernel.picture import FrameMap, FrameUsage, parts_of
from kernel.text.image import KernelHeader

from .story import Memory, Use

GAPS: Final = {"user space": "lower half", "(hole)": "between the parts"}
"""What parts of the address space are called before the kernel's own page table is there, which leaves them empty."""


def read_memory(machine: Machine) -> Memory:
    """Who has memory now; the kernel's boot has come behind its stage `entry`."""
    port = MemoryPort(machine.bus)
    header = KernelHeader.read(port)
    statics = Statics(port, header.statics, header.statics_size)
    statics.sealed = True
    record = BootRecord(statics)
    meta = MetaRegion.load(statics) if record.phase >= Phase.METADATA else None
    if meta is None:
        return _before_metadata(statics, header)
    mm = Mm(port, record.paging, statics)
    mm.slots = MetaSlots(mm, meta.base, meta.max_paddr, meta.first_paddr)
    usage = FrameUsage.of(FrameMap.read(mm))
    uses = [Use(used.type_name, used.owner, used.size) for used in usage.types]
    if record.phase < Phase.FRAMES:  # nobody has the unused frames yet
        return Memory(tuple(uses), True, 0)
    if usage.handed_out:
        uses.append(Use("", "handed out, not claimed yet", usage.handed_out << PAGE_SHIFT))
    return Memory(tuple(uses), True, usage.free << PAGE_SHIFT)


def _before_metadata(statics: Statics, header: KernelHeader) -> Memory:
    uses = [Use("", "kernel image", header.kernel_end - header.kernel_start)]
    try:
        handed_out = sum(end - start for start, end in EarlyFrameAllocator(statics).allocated_regions())
    except CorruptionError:  # the boot has not come to it: there is no such area
        handed_out = 0
    if handed_out:
        uses.append(Use("", "early allocator", handed_out))
    return Memory(tuple(uses), False, 0)


def kernel_areas(paging: PagingMode) -> tuple[tuple[str, int, int], ...]:
    """The parts of the kernel's address space: name, start and end."""
    return tuple((GAPS.get(part.name, part.name), part.start, part.end) for part in parts_of(paging))
