"""The kernel page table of a booted kernel, and what the hart sees through it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kernel import Kernel
from kernel.cpu.probe import Fault, Probe
from kernel.errors import BootError, KernelPanic
from kernel.mm import SV39, SV48, FrameAllocOptions, Mm
from kernel.mm.frame.meta_init import MetaRegion
from kernel.mm.kspace.kernel_page_table import init_kernel_page_table
from kernel.mm.kspace.kernel_space import KernelSpace
from tests.helpers import page_tables as survey
from kernel.mm.page_table.pte import PageFlags, PrivilegedPageFlags
from kernel.mm.paging import PAGE_SIZE as P
from tests.helpers.kernels import boot
from tests.kernel.mm.page_table.scarce import census

GIB = 1 << 30


def meta_of(mm: Mm) -> MetaRegion:
    meta = MetaRegion.load(mm.statics)
    assert meta is not None
    return meta


def leaves(mm: Mm) -> list[survey.Leaf]:
    return [item for item in survey.walk(mm, mm.kspace.root_paddr) if isinstance(item, survey.Leaf)]


def test_it_maps_all_memory_linearly_the_metadata_and_the_kernel_and_nothing_else(kernel: Kernel) -> None:
    mm = kernel.mm
    parts: dict[str, list[survey.Leaf]] = {"linear": [], "meta": [], "code": []}
    for leaf in leaves(mm):
        if leaf.va < mm.paging.kvirt_base:
            parts["linear"].append(leaf)
            assert leaf.va - mm.paging.linear_base == leaf.paddr
        elif leaf.va < mm.paging.meta_end:
            parts["meta"].append(leaf)
            assert leaf.va - mm.paging.meta_base == leaf.paddr - mm.slots.base
        else:
            parts["code"].append(leaf)
            assert leaf.va - mm.paging.kernel_code_base == leaf.paddr
        assert not leaf.tracked
        assert leaf.prop.priv_flags is PrivilegedPageFlags.GLOBAL
    size = {name: sum(P << 9 * (leaf.level - 1) for leaf in part) for name, part in parts.items()}
    header = kernel.service.header
    assert size == {"linear": mm.slots.max_paddr, "meta": meta_of(mm).size,
                    "code": -(-header.kernel_end // P) * P - header.kernel_start}
    assert {leaf.prop.flags for leaf in parts["linear"] + parts["meta"]} == {PageFlags.RW}
    assert {leaf.prop.flags for leaf in parts["code"]} == {PageFlags.RWX}


def test_it_is_sound(mm: Mm) -> None:
    survey.check(mm, mm.kspace.root_paddr)


def test_2_gib_of_ram_at_2_gib_make_four_linear_leaves() -> None:
    with boot(memory=2 * GIB) as kernel:
        linear = [leaf for leaf in leaves(kernel.mm) if leaf.va < kernel.mm.paging.kvirt_base]
        assert [(leaf.paddr, leaf.level) for leaf in linear] == [(i * GIB, 3) for i in range(4)]


@pytest.mark.parametrize("mode", [SV48, SV39])
def test_the_hart_translates_as_page_walk_does(mode: object) -> None:
    from kernel import Choices

    with boot(Choices(paging=mode)) as kernel:  # type: ignore[arg-type]
        mm, hart = kernel.mm, kernel.machine.harts[0]
        for leaf in leaves(mm)[::7]:
            for va in (leaf.va, leaf.va + 0xff8):
                walked = mm.kspace.page_table.page_walk(va)
                assert walked is not None and walked[0] == hart.translate(va) == leaf.paddr + va - leaf.va


def test_the_hart_reads_and_writes_the_linear_mapping_and_the_metadata(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    with FrameAllocOptions(mm).alloc_frame() as frame:
        mm.port.store(frame.paddr + 8, 0x1234)
        assert probe.load(0, mm.paddr_to_vaddr(frame.paddr) + 8) == 0x1234
        assert probe.store(0, mm.paddr_to_vaddr(frame.paddr) + 16, 77) is None
        assert mm.port.load(frame.paddr + 16) == 77
        slot = mm.slots.to_virtual(mm.slots.slot(frame.paddr))
        assert probe.load(0, slot + 40) == 1
        with frame.clone():
            assert probe.load(0, slot + 40) == 2


def test_the_hart_faults_where_nothing_is_mapped_and_where_it_may_not_fetch(kernel: Kernel) -> None:
    mm, probe = kernel.mm, Probe(kernel.smp)
    for va in (0, mm.paging.kvirt_base, mm.paging.linear_base + mm.slots.max_paddr, mm.paging.meta_end):
        assert probe.load(0, va) == Fault(13, va)
    with FrameAllocOptions(mm).alloc_frame() as frame:
        va = mm.paddr_to_vaddr(frame.paddr)
        assert probe.fetch(0, va) == Fault(12, va)


def test_memory_that_ends_above_512_gib_is_mapped_below_the_roots_level(mm: Mm) -> None:
    before = census(mm)
    with init_kernel_page_table(mm, replace(meta_of(mm), max_paddr=1 << 40), (0x8020_0000, 0x8021_0000)) as table:
        walked = table.page_walk(mm.paging.linear_base + (1 << 40) - 1)
        assert walked is not None and walked[0] == (1 << 40) - 1
    assert census(mm) == before


@pytest.mark.parametrize("change", [{"max_paddr": 1 << 47}, {"size": (1 << 40) + P}])
def test_what_does_not_fit_its_part_of_kernel_space_is_a_boot_error(mm: Mm, change: dict[str, int]) -> None:
    before = census(mm)
    with pytest.raises(BootError):
        init_kernel_page_table(mm, replace(meta_of(mm), **change), (0x8020_0000, 0x8021_0000))
    assert census(mm) == before


def test_it_is_made_once_and_cannot_be_dropped(mm: Mm) -> None:
    with pytest.raises(KernelPanic, match="initialised twice"):
        KernelSpace.init(mm, meta_of(mm), (0x8020_0000, 0x8021_0000))
    with pytest.raises(KernelPanic, match="cannot be dropped"):
        mm.kspace.page_table.drop()


def test_it_is_found_again_in_memory(mm: Mm) -> None:
    again = KernelSpace(mm)
    assert again.root_paddr == mm.kspace.root_paddr
    assert list(again.areas.blocks()) == list(mm.kspace.areas.blocks())
