"""The kernel boots on machines of many shapes, in the same way every time, and side by side with others."""

from __future__ import annotations

import pytest

from emulator import Board, Machine, Range
from kernel import Choices, Kernel, StageReport
from kernel.boot.boot_record import Phase
from kernel.boot.stages import STAGES
from kernel.errors import BootError, KernelClosed
from kernel.mm import SV39, SV48, FrameAllocOptions, Layout, Mm
from kernel.mm.check import check
from kernel.mm.page_table.config import KernelPtConfig
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.text.image import kernel_image
from tests.guests.machines import firmware
from tests.helpers.kernels import boot

MIB, GIB = 1 << 20, 1 << 30


def test_the_stages_run_in_osts_order_and_report_figures() -> None:
    seen: list[StageReport] = []
    with Kernel.boot(Machine(Board(memory=32 * MIB)), on_stage=seen.append) as kernel:
        assert [report.name for report in seen] == [stage.name for stage in STAGES]
        assert [report.name for report in seen][:5] == ["entry", "early-info", "early-allocator", "cpu-local",
                                                        "frame-metadata"]
        assert kernel.reports == tuple(seen)
        assert kernel.phase is Phase.READY
        assert all(before.instructions <= after.instructions for before, after in zip(seen, seen[1:], strict=False))
        figures = {report.name: report.figures for report in seen}
        assert figures["frame-metadata"]["frames"] == 32 * MIB // 4096
        assert figures["activate"]["satp"] == kernel.mm.tlb.satp
        console = kernel.machine.console.decode()
        for report in seen:
            assert report.name + ":" in console
            for line in report.lines:
                assert line in console


@pytest.mark.parametrize("memory", [16 * MIB, 17 * MIB, 128 * MIB, 2 * GIB, 8 * GIB])
def test_memory_of_any_size(memory: int) -> None:
    with boot(memory=memory) as kernel:
        assert kernel.mm.slots.max_paddr == 0x8000_0000 + memory
        check(kernel.mm, [])


@pytest.mark.slow
def test_64_gib() -> None:
    with boot(memory=64 * GIB) as kernel:
        assert kernel.mm.slots.max_paddr == 0x8000_0000 + 64 * GIB
        with FrameAllocOptions(kernel.mm).zeroed(False).alloc_segment(8 * GIB // 4096) as segment:
            assert segment.size == 8 * GIB


@pytest.mark.parametrize("paging", [SV48, SV39], ids=["sv48", "sv39"])
@pytest.mark.parametrize("harts", [1, 2, 8])
def test_any_number_of_harts_in_both_modes(paging: object, harts: int) -> None:
    with boot(Choices(paging=paging), harts=harts) as kernel:  # type: ignore[arg-type]
        assert kernel.mm.cpu_locals.count == harts
        assert kernel.service.online == list(range(harts))
        satp = kernel.mm.paging.satp(kernel.mm.kspace.root_paddr)
        for cpu in range(harts):
            assert kernel.service.hart(cpu).read_csr("satp") == satp
        check(kernel.mm, [])


def test_a_machine_with_sv39_alone() -> None:
    with Kernel.boot(Machine(Board(memory=32 * MIB, mmu="sv39"))) as kernel:
        assert kernel.mm.paging is SV39
        check(kernel.mm, [])


def test_a_mode_that_the_machine_has_not_is_refused() -> None:
    with pytest.raises(BootError, match="sv48"):
        Kernel.boot(Machine(Board(memory=32 * MIB, mmu="sv39")), Choices(paging=SV48))


BANKS = {
    "touching": (Range(0x8000_0000, 16 * MIB), Range(0x8100_0000, 16 * MIB)),
    "a hole of 240 MiB": (Range(0x8000_0000, 16 * MIB), Range(0x9000_0000, 16 * MIB)),
    "a hole of 6 GiB": (Range(0x8000_0000, 256 * MIB), Range(0x2_0000_0000, 64 * MIB)),
    "many": tuple(Range(0x8000_0000 + n * 0x200_0000, 16 * MIB) for n in range(6)),
    "odd sizes": (Range(0x8000_0000, 16 * MIB + 0x3000), Range(0x8800_1000, 5 * MIB)),
}


@pytest.mark.parametrize("banks", BANKS.values(), ids=BANKS)
def test_banks_and_holes(banks: tuple[Range, ...]) -> None:
    with Kernel.boot(Machine(Board(banks=banks))) as kernel:
        mm = kernel.mm
        allocator = mm.frame_allocator.inner
        assert isinstance(allocator, FrameAllocator)
        allocator.drain()
        total = allocator.load_total_free_size()
        held = []
        for size in (4 * MIB, MIB, 64 << 10, 4096):
            while (paddr := mm.frame_allocator.alloc(Layout(size, 4096))) is not None:
                held.append((paddr, size))
        assert sum(size for _, size in held) == total
        for paddr, size in held:
            assert any(bank.contains(paddr, size) for bank in banks) or any(
                before.end == after.base and before.base <= paddr and paddr + size <= after.end
                for before, after in zip(banks, banks[1:], strict=False)), f"{paddr:#x} is not memory"
            mm.frame_allocator.dealloc(paddr, size)
        check(mm, [])


def test_memory_that_cannot_hold_its_own_metadata_is_refused_by_name() -> None:
    far = (Range(0x8000_0000, 16 * MIB), Range(0x40_0000_0000, 16 * MIB))
    with pytest.raises(BootError, match="metadata of .* frames"):
        Kernel.boot(Machine(Board(banks=far)))


def test_the_same_machine_boots_the_same_way_byte_for_byte() -> None:
    runs = []
    for _ in range(2):
        with boot(harts=2) as kernel:
            runs.append((kernel.machine.console, kernel.machine.instructions, kernel.machine.clock,
                         kernel.mm.port.read(0x8020_0000, 16 * MIB)))
    assert runs[0] == runs[1]


def test_kernels_live_side_by_side() -> None:
    with boot(memory=16 * MIB) as one, boot(Choices(paging=SV39)) as other:
        frames = [FrameAllocOptions(kernel.mm).alloc_frame() for kernel in (one, other, one, other)]
        assert frames[0]._mm is not frames[1]._mm
        assert frames[0] != frames[1]
        for frame in frames:
            frame.drop()
        check(one.mm, [])
        check(other.mm, [])


def test_the_stages_cover_the_kernels_own_memory(mm: Mm) -> None:
    """Every frame of a fresh boot is free, or has a holder that the check can name."""
    check(mm, [])
    types = {name for _, name, _, _ in mm.types.entries()}
    assert any(name.endswith(KernelPtConfig.__qualname__) for name in types)


@pytest.mark.guest
@pytest.mark.parametrize("name", ["bookworm/fw_dynamic.bin", "trixie/fw_jump.bin"])
def test_other_firmware_boots_the_kernel(name: str) -> None:
    machine = Machine(Board(memory=64 * MIB, harts=2))
    machine.boot(kernel=kernel_image(), firmware=firmware(name))
    with Kernel.start(machine) as kernel:
        assert b"OpenSBI" in machine.console
        check(kernel.mm, [])


def test_a_machine_without_the_kernel_is_refused() -> None:
    with pytest.raises(BootError, match="no kernel at"):
        Kernel.start(Machine(Board(memory=16 * MIB)))
    with pytest.raises(BootError, match="no kernel at"):
        Kernel.attach(Machine(Board(memory=16 * MIB)))


def test_the_kernel_ends_by_the_firmwares_shutdown() -> None:
    kernel = boot()
    frame = FrameAllocOptions(kernel.mm).alloc_frame()
    kernel.shutdown()
    with pytest.raises(KernelClosed):
        kernel.log("still there?")
    frame.drop()  # it holds nothing any more


def test_a_second_boot_ends_the_first_kernel() -> None:
    machine = Machine(Board(memory=32 * MIB))
    first = Kernel.boot(machine)
    frame = FrameAllocOptions(first.mm).alloc_frame()
    with Kernel.boot(machine) as second:
        mine = FrameAllocOptions(second.mm).alloc_frame()
        assert mine.paddr == frame._paddr
        frame.drop()
        assert mine.reference_count == 1, "the old kernel's handle has freed the new one's frame"
        with pytest.raises(KernelClosed):
            FrameAllocOptions(first.mm).alloc_frame()
        check(second.mm, [mine])
        mine.drop()


def test_a_closed_kernel_refuses_everything_by_name() -> None:
    kernel = boot()
    segment = FrameAllocOptions(kernel.mm).alloc_segment(2)
    address = kernel.mm.heap.alloc(Layout(64))
    kernel.close()
    for use in (lambda: FrameAllocOptions(kernel.mm).alloc_frame(), lambda: kernel.mm.heap.dealloc(address, Layout(64)),
                segment.clone, lambda: segment.read_bytes(0, 4), lambda: check(kernel.mm)):
        with pytest.raises(KernelClosed, match="the kernel has ended"):
            use()
    segment.drop()


def test_attach_refuses_books_of_another_allocator() -> None:
    class Mine(FrameAllocator):
        __slots__ = ()

    choices = Choices(frame_allocator=Mine)
    with boot(choices) as kernel:
        with pytest.raises(BootError, match="has the frame allocator Mine, not FrameAllocator"):
            Kernel.attach(kernel.machine)
        check(Kernel.attach(kernel.machine, choices).mm)
