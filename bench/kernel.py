"""The mini-kernel: booting, allocating, mapping; and whether cost grows with the memory or with what is allocated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .measure import Figure, interleaved, python

if TYPE_CHECKING:
    from kernel import Kernel

BOOT = """
import gc, sys, time
from emulator import Board, Machine
from kernel import Kernel
Kernel.boot(Machine(Board(memory=32 << 20))).machine.close()
seconds, frames = [], 0
for _ in range(int(sys.argv[2])):
    machine = Machine(Board(memory=int(sys.argv[1]) << 20))
    started = time.perf_counter()
    kernel = Kernel.boot(machine)
    seconds.append(time.perf_counter() - started)
    frames = kernel.mm.slots.max_paddr >> 12
    status = open("/proc/self/status").read()
    kernel.close()
    machine.close()
    del kernel, machine
    gc.collect()
print(sorted(seconds)[len(seconds) // 2], min(seconds), frames, int(status.split("VmRSS:")[1].split()[0]) / 1024)
"""
"""Median and least seconds from reset to "kernel ready" with so many MiB, frames with metadata, MiB resident."""

MEMORIES = (128, 1 << 10, 8 << 10, 64 << 10)
LIVE = (100, 1_000_000)
PAIRS = 20_000


def boots() -> list[Figure]:
    """Boot time by memory size."""
    found: list[Figure] = []
    each: dict[int, float] = {}
    for mib in MEMORIES:
        printed = python("-c", BOOT, str(mib), "5" if mib < 9000 else "3")
        seconds, least, frames, resident = (float(part) for part in printed.split())
        each[mib] = least * 1e9 / frames
        size = f"{mib} MiB" if mib < 1024 else f"{mib >> 10} GiB"
        required = {128: 0.3, 64 << 10: 3.0}.get(mib)
        found.append(Figure(f"kernel boot, {size}", seconds, "s", required,
                            note=f"{each[mib]:.0f} ns for each of {frames:,.0f} frames"))
        if mib == MEMORIES[-1]:
            found.append(Figure(f"kernel boot, {size}, resident", resident, "MiB", 1.3 * 1024,
                                note="the whole process"))
    # By the best runs: a host that must first find 1.1 GiB of free pages can take seconds for that.
    found.append(Figure("cost per frame, 64 GiB to 128 MiB", each[MEMORIES[-1]] / each[MEMORIES[0]], "x", 1.25,
                        note="best runs"))
    return found


class _Count:
    """Counts accesses through the memory port."""

    number = 0

    def access(self, kind: object, address: int, size: int, value: int | None) -> None:
        self.number += 1


def _accesses(kernel: Kernel, action: Callable[[], None], times: int) -> float:
    count = _Count()
    with kernel.mm.port.observed(count):
        action()
    return count.number / times


def _rate(action: Callable[[], None], times: int) -> float:
    started = time.perf_counter()
    action()
    return times / (time.perf_counter() - started)


def _machine(mib: int) -> Kernel:
    from emulator import Board, Machine
    from kernel import Kernel

    return Kernel.boot(Machine(Board(memory=mib << 20)))


def operations() -> list[Figure]:
    """Pairs of allocation and release, and pages mapped, a second; with few and with many others alive."""
    from kernel.mm import FrameAllocOptions, Layout, PageFlags, PageProperty, VmSpace

    layout, prop = Layout(64, 8), PageProperty.new_user(PageFlags.RW)
    kernel = _machine(16 << 10)
    mm, options = kernel.mm, FrameAllocOptions(kernel.mm)

    def frames() -> None:
        alloc = options.alloc_frame
        for _ in range(PAIRS):
            alloc().drop()

    def heap() -> None:
        alloc, dealloc = mm.heap.alloc, mm.heap.dealloc
        for _ in range(PAIRS):
            dealloc(alloc(layout), layout)

    space = VmSpace(mm)
    at = [1 << 30]

    def mapping() -> None:
        start, pages = at[0], [options.alloc_frame() for _ in range(PAIRS)]
        at[0] += PAIRS * 4096
        begun.append(time.perf_counter())
        with space.cursor_mut(range(start, at[0])) as cursor:
            for page in pages:
                cursor.map(page, prop)
        ended.append(time.perf_counter())

    begun: list[float] = []
    ended: list[float] = []

    def map_rate() -> float:
        mapping()
        return PAIRS / (ended[-1] - begun[-1])

    def all_three() -> dict[str, float]:
        return interleaved(5, frames=lambda: _rate(frames, PAIRS), heap=lambda: _rate(heap, PAIRS), mapping=map_rate)

    rates = {0: all_three()}
    for live in LIVE:
        kept = [options.alloc_frame().into_raw() for _ in range(live)]
        slots = [mm.heap.alloc(layout) for _ in range(live)]
        while at[0] - (1 << 30) < live * 4096:
            mapping()
        rates[live] = all_three()
        for paddr in kept:
            mm.slots.drop_holder(paddr)
        for address in slots:
            mm.heap.dealloc(address, layout)
    with options.alloc_frame():
        notes = {"frames": f"{_accesses(kernel, frames, PAIRS):.1f} accesses to memory a pair",
                 "heap": f"{_accesses(kernel, heap, PAIRS):.1f} accesses to memory a pair", "mapping": ""}
    kernel.close()
    names = {"frames": ("alloc and drop of a frame", "pairs/s", 60_000.0),
             "heap": ("alloc and dealloc of a 64-byte slot", "pairs/s", 60_000.0),
             "mapping": ("mapping by cursor", "pages/s", 50_000.0)}
    found = [Figure(name, rates[0][key], unit, least, least=True, note=notes[key])
             for key, (name, unit, least) in names.items()]
    few, many = LIVE
    return found + [Figure(f"{name}, 10^6 alive to 10^2", rates[few][key] / rates[many][key], "x", 1.25)
                    for key, (name, _, _) in names.items()]


def charging() -> list[Figure]:
    """What a timing model costs the kernel's accesses, beside none; medians of runs that are taken in turn."""
    from emulator import Board, Machine
    from emulator.timing import load_profile
    from kernel import Kernel
    from kernel.mm import FrameAllocOptions

    pairs = PAIRS // 5

    def rate(kernel: Kernel) -> float:
        alloc = FrameAllocOptions(kernel.mm).alloc_frame

        def action() -> None:
            for _ in range(pairs):
                alloc().drop()

        return _rate(action, pairs)

    kernels = [Kernel.boot(Machine(Board(memory=32 << 20), profile)) for profile in (None, load_profile("rocket"))]
    off, on = kernels
    rates = interleaved(5, off=lambda: rate(off), on=lambda: rate(on))
    with on.mm.port.observed(count := _Count()):
        FrameAllocOptions(on.mm).alloc_frame().drop()
    each = (1 / rates["on"] - 1 / rates["off"]) / count.number
    for kernel in kernels:
        kernel.close()
    return [
        Figure("alloc and drop of a frame, accesses charged", rates["on"], "pairs/s",
               note=f"{rates['off']:,.0f} without a timing model"),
        Figure("charging an access", each * 1e6, "us", note=f"{count.number} accesses a pair, one of them a page"),
    ]


def service() -> Figure:
    """A command that a hart executes for Python, such as a TLB flush."""
    kernel = _machine(32)
    mm, times = kernel.mm, 2000

    def flush() -> None:
        for _ in range(times):
            mm.tlb.sfence_page(0x1000)

    flush()
    seconds = 1 / _rate(flush, times)
    kernel.close()
    return Figure("a TLB flush by the guest's sfence.vma", seconds * 1e6, "us", 60)


def figures() -> list[Figure]:
    """All of them."""
    return [*boots(), *operations(), *charging(), service()]
