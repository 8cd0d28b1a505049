"""The boot, stage by stage: from the firmware's hand-over to a kernel whose memory is managed.

    entry                    the firmware has entered the text; boot page table, high half
    early-info               the device tree becomes a list of memory regions
    early-allocator          two ranges of memory, handed out from their starts
    cpu-local                a page or two for each further CPU
    frame-metadata           a 64-byte slot for each frame, and those of frames in use are marked
    frame-allocator          all other frames become the frame allocator's
    heap                     slabs on top of it
    kernel-page-table        linear mapping, metadata, kernel code
    activate                 the hart itself writes satp and goes on executing
    boot-info                what the kernel was booted with moves to the heap
    smp                      the other harts start
    dismiss-boot-page-table  the boot page table's frames are free
    ready

Everything after `entry` is Python; what a stage builds is in the machine's memory when it ends. The order
is OSTD's (`ostd::init`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernel.boot.booting import Booting, Outcome, StageReport
from kernel.boot.device_tree import read_device_tree
from kernel.boot.early_info import EarlyInfo
from kernel.cost import Meter
from kernel.cpu.service import Service
from kernel.cpu.smp import Smp
from kernel.cpu.tlb import Tlb
from kernel.errors import BootError
from kernel.mm.context import Mm
from kernel.mm.frame import meta_init
from kernel.mm.frame.allocator import FrameDispatch
from kernel.mm.frame.early import EarlyFrameAllocator
from kernel.mm.frame.meta import MetaSlots
from kernel.mm.heap.dispatch import AllocDispatch
from kernel.mm.kspace.kernel_page_table import DATA
from kernel.mm.kspace.kernel_space import KernelSpace
from kernel.mm.layout import Layout
from kernel.mm.page_table.boot_pt import BootPageTable
from kernel.mm.page_table.node import nr_children, tables_in
from kernel.mm.paging import ENTRIES, PAGE_SIZE
from kernel.mm.port import MemoryPort
from kernel.mm.statics import CPU_LOCAL_SIZE, Statics
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.osdk.heap_allocator.heap_allocator import HeapAllocator
from kernel.osdk.heap_allocator.slab_counter import load_total_slab_size

from .boot_record import BootRecord, Phase
from .figures import amount, cpus, orders


@dataclass(frozen=True)
class Stage:
    """A stage: its `name` (a debugger stops at the mark `stage:name`), a `title`, and what `run` does."""

    name: str
    title: str
    run: Callable[[Booting], Outcome]


def enter(boot: Booting) -> Outcome:
    """Run firmware and text until the boot hart is in the high half and asks what to do."""
    service = boot.service = Service(boot.machine)
    wanted = boot.choices.paging
    entry = boot.entry = service.start(None if wanted is None else wanted.satp_mode)
    if wanted is not None and entry.paging != wanted:
        raise BootError(f"the hart has no {wanted.name}; it took {entry.paging.name}")
    port, header = MemoryPort(boot.machine.bus), service.header
    boot.mm = mm = Mm(port, entry.paging, Statics.create(port, header.statics, header.statics_size))
    mm.operations = boot.choices.operations
    boot.smp, service.switch = Smp(service, lambda: mm.cpu), mm.switch_cpu
    boot.meter = Meter(boot.machine, mm, service)
    boot.sbi = boot.smp.sbi
    boot.tlb = mm.tlb = Tlb(boot.smp)
    BootRecord.create(mm.statics, entry.paging)
    return Outcome(
        {"hart": entry.hart, "device_tree": entry.device_tree, "paging": entry.paging.name,
         "kernel_start": header.kernel_start, "kernel_end": header.kernel_end},
        [f"in S-mode on hart {entry.hart}, {entry.paging.name}, device tree at {entry.device_tree:#x}",
         f"kernel image {header.kernel_start:#x}-{header.kernel_end:#x} "
         f"({amount(header.kernel_end - header.kernel_start)})"])


def early_info(boot: Booting) -> Outcome:
    """Read the device tree, and write EARLY_INFO."""
    header = boot.service.header
    boot.information = read_device_tree(boot.mm.port, boot.entry.device_tree, (header.kernel_start, header.kernel_end))
    boot.early_info = info = EarlyInfo.of(boot.information)
    info.store(boot.mm.statics)
    lines = [f"command line {info.command_line!r}"]
    if info.initramfs is not None:
        lines.append(f"initramfs {info.initramfs[0]:#x}-{info.initramfs[1]:#x}")
    lines += [f"{region.base:010x}-{region.end - 1:010x}  {region.kind!s:<12} {amount(region.size):>10}"
              for region in info.regions]
    usable = sum(region.size for region in info.regions if region.kind.name == "USABLE")
    return Outcome({"regions": len(info.regions), "usable_bytes": usable, "command_line": info.command_line}, lines)


def early_allocator(boot: Booting) -> Outcome:
    """Begin to serve frames before there is metadata about them."""
    boot.early = early = EarlyFrameAllocator.create(boot.mm.statics, boot.early_info.regions)
    return Outcome({"largest_piece": early.largest_piece()}, [f"{amount(early.largest_piece())} in one piece"])


def cpu_local(boot: Booting) -> Outcome:
    """Give each further CPU its local storage; CPU 0's is in the kernel's image."""
    count = min(len(boot.machine.harts), boot.service.header.max_cpus)
    for cpu in range(1, count):
        base = boot.early.need(Layout(CPU_LOCAL_SIZE, PAGE_SIZE), f"the local storage of CPU {cpu}")
        boot.mm.port.fill(base, CPU_LOCAL_SIZE)
        boot.mm.cpu_locals.set_base(cpu, base)
    return Outcome({"cpus": count, "bytes_each": CPU_LOCAL_SIZE},
                   [f"{cpus(count)}, {amount(CPU_LOCAL_SIZE)} each; CPU 0's is in the kernel image"])


def frame_metadata(boot: Booting) -> Outcome:
    """Make a slot for each frame, map the slots, and mark the frames that no allocator will ever have."""
    mm, early = boot.mm, boot.early
    boot.meta = meta = meta_init.init(mm.port, boot.early_info.regions, early, mm.paging.linear_size)
    boot.boot_page_table = BootPageTable.from_current_pt(
        mm, mm.tlb.satp, lambda: early.need(Layout(PAGE_SIZE, PAGE_SIZE), "a node of the boot page table"))
    boot.boot_page_table.map_range(mm.paging.meta_base + (meta.first_paddr >> 6), meta.paddr, meta.size, DATA)
    meta.publish(mm.statics)
    mm.slots = MetaSlots(mm, meta.base, meta.max_paddr, meta.first_paddr)
    marked = meta_init.mark_regions(mm, boot.early_info.regions, early, meta)
    BootRecord(mm.statics).phase = Phase.METADATA
    count = sum(mark.end - mark.start >> 12 for mark in marked)
    return Outcome(
        {"frames": meta.frames, "bytes": meta.size, "paddr": meta.paddr, "max_paddr": meta.max_paddr, "marked": count},
        [f"{meta.frames:,} slots, {amount(meta.size)}, at {meta.paddr:#x}, "
         f"mapped at {mm.paging.meta_base + (meta.first_paddr >> 6):#x}",
         f"{count:,} frames marked as in use, {meta.frames - count:,} unused"])


def frame_allocator(boot: Booting) -> Outcome:
    """Retire the early allocator; what it has not handed out becomes the frame allocator's."""
    mm, choices = boot.mm, boot.choices
    free = boot.early.retire(boot.early_info.regions)
    inner = (choices.frame_allocator or FrameAllocator)(mm)
    mm.frame_allocator = FrameDispatch(mm, inner, choices.watchdog(choices.frame_allocator is not None))
    for paddr, size in free:
        mm.frame_allocator.add_free_memory(paddr, size)
    record = BootRecord(mm.statics)
    record.frame_allocator, record.phase = mm.frame_allocator.name, Phase.FRAMES
    total, early = sum(size for _, size in free), sum(end - start for start, end in boot.early.allocated_regions())
    lines = [f"{mm.frame_allocator.name}: {amount(total)} free in {len(free)} pieces",
             f"the early allocator is retired, {amount(early)} stay allocated"]
    if isinstance(inner, FrameAllocator):
        with mm.port.looking():
            lines.append(orders(inner))
    return Outcome({"free_bytes": total, "early_bytes": early, "pieces": len(free),
                    "allocator": mm.frame_allocator.name}, lines)


def heap(boot: Booting) -> Outcome:
    """Put the heap allocator on top of the frame allocator."""
    mm, choices = boot.mm, boot.choices
    inner = (choices.heap_allocator or HeapAllocator)(mm)
    mm.heap = AllocDispatch(mm, inner, choices.watchdog(choices.heap_allocator is not None))
    name, record = type(inner).__name__, BootRecord(mm.statics)
    record.heap_allocator, record.phase = name, Phase.HEAP
    return Outcome({"allocator": name}, [f"{name}: slots of 8 to 2048 bytes, larger by frames"])


def kernel_page_table(boot: Booting) -> Outcome:
    """Map all of physical memory, the metadata and the kernel's code in a page table of the kernel's own."""
    mm, header = boot.mm, boot.service.header
    mm.kspace = KernelSpace.init(mm, boot.meta, (header.kernel_start, header.kernel_end))
    BootRecord(mm.statics).phase = Phase.PAGE_TABLE
    with mm.port.looking():
        nodes = _tables(mm, mm.kspace.root_paddr, mm.paging.levels)
    return Outcome({"root": mm.kspace.root_paddr, "nodes": nodes},
                   [f"root at {mm.kspace.root_paddr:#x}, {nodes} page-table frames ({amount(nodes * PAGE_SIZE)})"])


def activate(boot: Booting) -> Outcome:
    """Have the hart write satp; it goes on executing in the high half."""
    mm = boot.mm
    mm.kspace.first_activate()
    pc = boot.service.hart(0).pc
    return Outcome({"satp": boot.tlb.satp, "pc": pc}, [f"satp {boot.tlb.satp:#x}, pc {pc:#x}"])


def boot_info(boot: Booting) -> Outcome:
    """Copy EARLY_INFO to the heap."""
    mm, data = boot.mm, boot.early_info.to_bytes()
    address = mm.heap.alloc(Layout(len(data), 8))
    mm.port.write(mm.vaddr_to_paddr(address), data)
    record = BootRecord(mm.statics)
    record.boot_info, record.boot_info_size = address, len(data)
    return Outcome({"address": address, "bytes": len(data)}, [f"{len(data)} bytes at {address:#x}"])


def smp(boot: Booting) -> Outcome:
    """Start the other harts, under the kernel's page table, and park them."""
    mm = boot.mm
    started = boot.smp.start_all(mm.paging.satp(mm.kspace.root_paddr)) if len(boot.machine.harts) > 1 else []
    for _ in started:  # each CPU holds a count on the table that it translates by
        mm.slots.add_holder(mm.kspace.root_paddr)
    return Outcome({"cpus": 1 + len(started)}, [f"{cpus(1 + len(started))} online"])


def dismiss_boot_page_table(boot: Booting) -> Outcome:
    """Free the frames of the boot page table, which no CPU uses any more."""
    count = boot.mm.cpu_locals.count
    for cpu in range(count):
        boot.boot_page_table.dismiss(cpu)
    boot.service.linear_base = boot.mm.paging.linear_base
    return Outcome({"cpus": count}, [f"dismissed by {cpus(count)}"])


def ready(boot: Booting) -> Outcome:
    """The kernel's memory is managed."""
    mm = boot.mm
    BootRecord(mm.statics).phase = Phase.READY
    inner = mm.frame_allocator.inner
    if isinstance(inner, FrameAllocator):
        with mm.port.looking():
            free, slabs, blocks = inner.load_total_free_size(), load_total_slab_size(mm), orders(inner)
        return Outcome({"free_bytes": free, "slab_bytes": slabs},
                       [f"{amount(free)} free, {amount(slabs)} in slabs", blocks])
    return Outcome({}, ["kernel ready"])


def _tables(mm: Mm, table: int, level: int) -> int:
    """How many tables a page table has."""
    if level == 1 or not nr_children(mm, table):
        return 1
    return 1 + sum(_tables(mm, child, level - 1) for _, child in tables_in(mm, table, 0, ENTRIES))


STAGES = (
    Stage("entry", "the firmware has entered the kernel", enter),
    Stage("early-info", "the device tree becomes memory regions", early_info),
    Stage("early-allocator", "memory before there is metadata about it", early_allocator),
    Stage("cpu-local", "each CPU's own variables", cpu_local),
    Stage("frame-metadata", "a 64-byte slot for each frame", frame_metadata),
    Stage("frame-allocator", "free frames become the allocator's", frame_allocator),
    Stage("heap", "slabs on top of the frames", heap),
    Stage("kernel-page-table", "linear mapping, metadata, kernel code", kernel_page_table),
    Stage("activate", "the hart writes satp", activate),
    Stage("boot-info", "what the kernel was booted with moves to the heap", boot_info),
    Stage("smp", "the other harts start", smp),
    Stage("dismiss-boot-page-table", "its frames are free", dismiss_boot_page_table),
    Stage("ready", "the kernel's memory is managed", ready),
)
"""All stages, in order."""


def run_stage(boot: Booting, stage: Stage) -> StageReport:
    """Run one stage, and write what it did to the guest's console."""
    machine = boot.machine
    machine.mark(f"stage:{stage.name}", boot)
    if boot.reports:
        boot.mm.stage = stage.name
    outcome = stage.run(boot)
    boot.mm.stage = ""
    lines = tuple(outcome.lines)
    boot.sbi.console_write("".join(f"{stage.name + ':' if not i else '':25}{line}\n"
                                   for i, line in enumerate(lines)).encode())
    report = StageReport(stage.name, stage.title, outcome.figures, lines, machine.harts[boot.entry.hart].cycles,
                         machine.instructions)
    boot.reports.append(report)
    return report
