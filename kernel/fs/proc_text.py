"""What the kernel's own files in /proc say, in Linux's words: meminfo, buddyinfo, slabinfo, mounts.

Sources: proc(5); slabinfo(5). Everything is read from emulated memory (kernel.picture). Memory that the boot
took for good (the kernel's image, frame metadata, firmware) is not in MemTotal.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from kernel.mm.paging import PAGE_SIZE
from kernel.picture import FrameMap, FrameUsage, read_buddy, read_heap

from .procfs import ProcFs, ProcText

if TYPE_CHECKING:
    from kernel.mm.context import Mm

    from .namespace import Namespace

BOOT_TYPES: Final = ("KernelMeta", "EarlyAllocatedFrameMeta", "MetaPageMeta", "ReservedMemoryMeta",
                     "UnusableMemoryMeta")
SLAB_TYPES: Final = ("SlabMeta", "LiveMapMeta", "LargeAllocFrameMeta")
TABLE_TYPES: Final = ("page table (kernel)", "page table (user)")
ORDERS: Final = 11
"""Orders that buddyinfo shows at least, as many as Linux has."""


def total_memory(usage: FrameUsage) -> int:
    """Bytes of memory that the boot has not taken for good."""
    return usage.frames * PAGE_SIZE - sum(of.size for of in usage.types if of.type_name in BOOT_TYPES)


def meminfo(mm: Mm, files: Callable[[], int] = lambda: 0) -> bytes:
    """/proc/meminfo; `files()` are the bytes of frames that files have, which are counted as Shmem and Cached."""
    usage = FrameUsage.of(FrameMap.read(mm))
    by_type = {of.type_name: of.size for of in usage.types}
    slabs = sum(by_type.get(name, 0) for name in SLAB_TYPES)
    shared = files()
    free = usage.free * PAGE_SIZE
    rows = (
        ("MemTotal", total_memory(usage)),
        ("MemFree", free), ("MemAvailable", free), ("Buffers", 0), ("Cached", shared), ("SwapCached", 0),
        ("SwapTotal", 0), ("SwapFree", 0), ("Shmem", shared), ("Slab", slabs), ("SReclaimable", 0),
        ("SUnreclaim", slabs), ("PageTables", sum(by_type.get(name, 0) for name in TABLE_TYPES)),
    )
    return "".join(f"{name + ':':16}{size // 1024:8} kB\n" for name, size in rows).encode()


def buddyinfo(mm: Mm) -> bytes:
    """/proc/buddyinfo: free chunks of each order in all pools; what CPUs' caches have is not among them."""
    counts = read_buddy(mm).counts
    shown = max([ORDERS, *(order + 1 for order, count in enumerate(counts) if count)])
    return ("Node 0, zone   Normal " + "".join(f"{count:6} " for count in counts[:shown]) + "\n").encode()


def slabinfo(mm: Mm) -> bytes:
    """/proc/slabinfo, version 2.1: a cache for each slot size; slots that CPUs keep count as not active."""
    lines = ["slabinfo - version: 2.1",
             "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> "
             "<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>"]
    for of in read_heap(mm, FrameMap.read(mm)).classes:
        lines.append(f"{f'kmalloc-{of.slot_size}':17} {of.active:6} {of.slots:6} {of.slot_size:6} "
                     f"{PAGE_SIZE // of.slot_size:4} {1:4} : tunables {0:4} {0:4} {0:4} : slabdata "
                     f"{of.slabs - of.empty:6} {of.slabs:6} {0:6}")
    return ("\n".join(lines) + "\n").encode()


def mounts(namespace: Namespace) -> bytes:
    """/proc/mounts."""
    return b"".join(b"%s %s %s rw 0 0\n" % (fs.name.encode(), path, fs.name.encode())
                    for path, fs in namespace.file_systems())


def add_memory_files(proc: ProcFs, namespace: Namespace, files: Callable[[], int] = lambda: 0) -> None:
    """Have all of these in a proc file system."""
    proc.add(b"meminfo", ProcText(partial(meminfo, proc.mm, files)))
    proc.add(b"buddyinfo", ProcText(partial(buddyinfo, proc.mm)))
    proc.add(b"slabinfo", ProcText(partial(slabinfo, proc.mm)))
    proc.add(b"mounts", ProcText(partial(mounts, namespace)))
