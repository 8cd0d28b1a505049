"""The memory manager that is in a machine's memory, found again: nothing is run, nothing is changed.

    mm = find_memory(machine.bus)
    print(phase_of(mm).name)

`Kernel.attach` adds what drives the harts. Who only looks needs no more than this, and may do it as often as he
likes, at any moment between two instructions: only what the boot has come to is there (`Phase`), and an attribute
of Mm that is not yet there raises BootError.
"""

from __future__ import annotations

from emulator import Bus
from kernel.boot.boot_record import NAME_SIZE, BootRecord, Phase
from kernel.boot.booting import Choices
from kernel.errors import BootError
from kernel.mm.context import Mm
from kernel.mm.frame.allocator import FrameDispatch
from kernel.mm.frame.meta import MetaSlots
from kernel.mm.frame.meta_init import MetaRegion
from kernel.mm.heap.dispatch import AllocDispatch
from kernel.mm.kspace.kernel_space import KernelSpace
from kernel.mm.port import MemoryPort
from kernel.mm.statics import Statics
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.text.image import KernelHeader


def find_memory(bus: Bus, choices: Choices | None = None) -> Mm:
    """The memory manager behind `bus`, without a TLB. Its statics are sealed: areas that are not there are refused.

    Injected allocators must be given again in `choices`. BootError if there is no kernel, its boot never came to
    the metadata, or it has other allocators; CorruptionError if memory is not what the kernel writes there.
    """
    chosen = choices or Choices()
    port = MemoryPort(bus)
    statics = _sealed_statics(port, KernelHeader.read(port))
    record = BootRecord(statics)
    phase = record.phase
    meta = MetaRegion.load(statics) if phase >= Phase.METADATA else None
    if meta is None:
        raise BootError(f"the kernel in memory has not booted: it came to the phase {phase.name.lower()}")
    mm = Mm(port, record.paging, statics)
    mm.slots = MetaSlots(mm, meta.base, meta.max_paddr, meta.first_paddr)
    if phase >= Phase.FRAMES:
        if chosen.frame_allocator is None:  # ours would look for its own books
            _require_same("frame", record.frame_allocator, FrameAllocator.__name__)
        mm.frame_allocator = FrameDispatch(mm, (chosen.frame_allocator or FrameAllocator)(mm),
                                           chosen.watchdog(chosen.frame_allocator is not None))
        _require_same("frame", record.frame_allocator, mm.frame_allocator.name)
    if phase >= Phase.HEAP:
        if chosen.heap_allocator is None:
            _require_same("heap", record.heap_allocator, HeapAllocator.__name__)
        mm.heap = AllocDispatch(mm, (chosen.heap_allocator or HeapAllocator)(mm),
                                chosen.watchdog(chosen.heap_allocator is not None))
        _require_same("heap", record.heap_allocator, mm.heap.name)
    if phase >= Phase.PAGE_TABLE:
        mm.kspace = KernelSpace(mm)
    return mm


def phase_of(mm: Mm) -> Phase:
    """How far the boot has come."""
    with mm.port.looking():
        return BootRecord(mm.statics).phase


def phase_in(bus: Bus) -> Phase | None:
    """How far the boot of the kernel behind `bus` has come; None if it is loaded and has not begun.

    BootError if there is no kernel, CorruptionError as for `find_memory`.
    """
    port = MemoryPort(bus)
    header = KernelHeader.read(port)
    return BootRecord(_sealed_statics(port, header)).phase if port.load(header.statics) else None


def _sealed_statics(port: MemoryPort, header: KernelHeader) -> Statics:
    statics = Statics(port, header.statics, header.statics_size)
    statics.sealed = True
    return statics


def _require_same(what: str, there: str, given: str) -> None:
    """BootError unless the allocator that is `given` is the one whose books are in memory."""
    if there != given[:NAME_SIZE]:
        raise BootError(f"the kernel in memory has the {what} allocator {there}, not {given}: choose that one")
