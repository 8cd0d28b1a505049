"""User address spaces as the hart sees them, and its TLB."""

from __future__ import annotations

import random

import pytest

from kernel import Kernel
from kernel.cpu.probe import Fault, Probe
from kernel.mm import SV39, SV48, FrameAllocOptions
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.paging import PagingMode
from kernel.mm.tlb.flusher import TlbFlushOp
from kernel.mm.vm_space.vm_space import VmSpace, deactivate
from tests.helpers.kernels import boot

HUGE = 512 * P
R, RW, RX = (PageProperty.new_user(flags) for flags in (PageFlags.R, PageFlags.RW, PageFlags.RX))
UART = 0x1000_0000
RAM = 0x8060_0000
"""Memory, 2 MiB aligned, that the firmware keeps from nobody."""
SUPERVISOR = PageProperty(PageFlags.RW)
"""A page of user space for the kernel alone. The emulated hart flushes what it caches of users' pages when
sstatus.SUM changes, as it does around the kernel's accesses to them, so that only these can become stale."""


def map_page(space: VmSpace, va: int, prop: PageProperty = RW) -> int:
    """Map a new frame at `va`; its address."""
    frame = FrameAllocOptions(space._mm).alloc_frame()
    paddr = frame.paddr
    with space.cursor_mut(range(va, va + P)) as cursor:
        cursor.map(frame, prop)
    return paddr


@pytest.mark.parametrize("mode", [SV48, SV39])
def test_the_hart_translates_random_mappings_as_page_walk_does(mode: PagingMode) -> None:
    from kernel import Choices

    chance = random.Random(3)
    with boot(Choices(paging=mode)) as kernel, VmSpace(kernel.mm) as space:
        mm, hart, probe = kernel.mm, kernel.machine.harts[0], Probe(kernel.smp)
        space.activate()
        pages = {chance.randrange(mm.paging.max_user_vaddr) & -P for _ in range(150)}
        pages |= {page + P for page in sorted(pages)[:40]}
        frames = {page: map_page(space, page) for page in sorted(pages)}
        with space.page_table.cursor_mut(range(1 << 30, 2 << 30)) as cursor:
            cursor.jump((1 << 30) + 6 * HUGE)
            if not cursor.find_next(HUGE):
                cursor.jump((1 << 30) + 6 * HUGE)
                cursor.map_untracked(RAM, 2, R)
                frames[(1 << 30) + 6 * HUGE] = RAM
        for page, paddr in frames.items():
            va = page + 8 * chance.randrange(512)
            walked = space.page_table.page_walk(va)
            assert walked is not None
            assert hart.translate(va) == walked[0] == paddr + va - page
            assert probe.load(0, va, user=True) == mm.port.load(paddr + va - page)
            if page != (1 << 30) + 6 * HUGE:
                assert probe.store(0, va, va, user=True) is None
                assert mm.port.load(paddr + va - page) == va
        for _ in range(100):
            va = chance.randrange(mm.paging.max_user_vaddr)
            walked = space.page_table.page_walk(va)
            assert hart.translate(va) == (None if walked is None else walked[0])
        deactivate(mm)


def test_the_hart_keeps_user_pages_from_the_kernel_unless_it_asks(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with VmSpace(mm) as space:
        mm.port.store(map_page(space, P, R), 5)
        space.activate()
        assert probe.load(0, P) == Fault(13, P)
        assert probe.load(0, P, user=True) == 5
        assert probe.store(0, P, 1, user=True) == Fault(15, P)
        deactivate(mm)
        assert probe.load(0, P, user=True) == Fault(13, P)


def test_a_stale_translation_lives_until_the_flush(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with VmSpace(mm) as space:
        old, new = map_page(space, P, SUPERVISOR), FrameAllocOptions(mm).alloc_frame()
        mm.port.store(old, 0x01d)
        mm.port.store(new.paddr, 0x4e3)
        space.activate()
        assert probe.load(0, P) == 0x01d
        with space.page_table.cursor_mut(range(P, 2 * P)) as cursor:
            taken = cursor.take_next(P)
            cursor.jump(P)
            cursor.map(new, SUPERVISOR)
        assert probe.load(0, P) == 0x01d, "without a flush, the hart still has the old page"
        mm.tlb.sfence_page(P)
        assert probe.load(0, P) == 0x4e3
        taken.item.frame.drop()  # type: ignore[union-attr]
        deactivate(mm)


@pytest.mark.board(harts=2)
@pytest.mark.parametrize("pages", [1, 5, 40, 600])
def test_unmap_leaves_no_stale_translation_on_any_cpu(kernel: Kernel, pages: int) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with VmSpace(mm) as space:
        with space.cursor_mut(range(HUGE, 3 * HUGE)) as cursor:
            for _ in range(pages):
                cursor.map(FrameAllocOptions(mm).alloc_frame(), SUPERVISOR)
        for cpu in (0, 1):
            with kernel.on_cpu(cpu):
                space.activate()
        touched = [HUGE, HUGE + (pages - 1) * P]
        assert all(probe.load(cpu, va) == 0 for cpu in (0, 1) for va in touched)
        with space.cursor_mut(range(0, 4 * HUGE)) as cursor:
            cursor.jump(HUGE)
            assert cursor.unmap(pages * P) == pages
            for cpu in (0, 1):
                for va in touched:
                    assert probe.load(cpu, va) == Fault(13, va)
        for cpu in (0, 1):
            with kernel.on_cpu(cpu):
                deactivate(mm)


def test_protect_next_does_not_flush_and_the_flusher_does(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with VmSpace(mm) as space:
        map_page(space, P, SUPERVISOR)
        space.activate()
        assert probe.store(0, P, 1) is None
        with space.cursor_mut(range(P, 2 * P)) as cursor:
            done = cursor.protect_next(P, lambda flags, cache: (flags & ~PageFlags.W, cache))
            assert done == range(P, 2 * P)
            assert probe.store(0, P, 2) is None, "stale"
            cursor.flusher.issue_tlb_flush(TlbFlushOp.for_range(done))
            cursor.flusher.dispatch_tlb_flush()
        assert probe.store(0, P, 3) == Fault(15, P)
        deactivate(mm)
