"""`Kernel.attach`: the whole picture from memory alone, on the same machine and on a copy of its RAM."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Board, Machine, Range
from kernel import Kernel
from kernel.boot.booting import Choices, StageReport
from kernel.boot.early_info import EarlyInfo
from kernel.errors import BootError, CorruptionError, HeapMisuse
from kernel.mm import Frame, FrameAllocOptions, KVirtArea, Layout, Segment, UniqueFrame, VmSpace
from kernel.mm.check import check
from kernel.picture import Picture, find_heap_object
from kernel.text.image import HEADER_ADDRESS

from .machines import clone
from .workload import KERNEL_RW, PAGE, RW, NumberMeta, Workload

SEEDS = (1, 2, 3)


@pytest.fixture(params=SEEDS)
def work(request: pytest.FixtureRequest, kernel: Kernel) -> Iterator[Workload]:
    """A kernel on which random things have been done."""
    work = Workload(kernel, request.param)
    work.run(600)
    yield work
    work.close()


@pytest.fixture
def copy(kernel: Kernel, work: Workload) -> Iterator[Kernel]:
    """The kernel in a copy of that one's memory."""
    machine = clone(kernel.machine)
    with Kernel.attach(machine) as attached:
        yield attached
    machine.close()


@pytest.mark.board(harts=3)
def test_picture_of_the_live_kernel_is_what_the_work_has_done(work: Workload) -> None:
    work.compare(Picture.take(work.kernel))


@pytest.mark.board(harts=3)
def test_picture_of_the_attached_kernel_equals_the_live_ones(work: Workload, kernel: Kernel) -> None:
    live = Picture.take(kernel)
    attached = Kernel.attach(kernel.machine)
    assert Picture.take(attached) == live
    assert attached.boot_info() == kernel.early_info
    check(attached.mm, work.handles())


@pytest.mark.board(harts=3)
def test_picture_of_a_copy_of_the_memory_equals_the_live_ones(work: Workload, kernel: Kernel, copy: Kernel) -> None:
    picture = Picture.take(copy)
    assert picture == Picture.take(kernel)
    work.compare(picture)
    check(copy.mm)


@pytest.mark.board(harts=3)
def test_attaching_and_looking_change_no_byte(work: Workload, kernel: Kernel) -> None:
    ram = kernel.machine.board.banks[0]
    before = kernel.machine.bus.read(ram.base, ram.size)
    Picture.take(Kernel.attach(kernel.machine))
    assert kernel.machine.bus.read(ram.base, ram.size) == before


@pytest.mark.board(harts=2)
def test_attaching_to_a_fresh_boot_and_looking_change_no_byte(kernel: Kernel) -> None:
    """Types and areas that nothing has asked for yet do not come into being by that."""
    ram = kernel.machine.board.banks[0]
    before = kernel.machine.bus.read(ram.base, ram.size)
    first = Picture.take(kernel)
    assert kernel.machine.bus.read(ram.base, ram.size) == before
    assert Picture.take(Kernel.attach(kernel.machine)) == first
    assert kernel.machine.bus.read(ram.base, ram.size) == before


@pytest.mark.parametrize("board", [
    Board(banks=(Range(0x8000_0000, 32 << 20), Range(0x9000_0000, 16 << 20), Range(0x1_4000_0000, 64 << 20))),
    Board(memory=8 << 20, mmu="sv39"),
], ids=["three banks", "sv39"])
def test_picture_of_other_boards_comes_back_from_a_copy(board: Board) -> None:
    machine = Machine(board)
    kernel = Kernel.boot(machine)
    other = clone(machine)
    picture = Picture.take(kernel)
    assert Picture.take(Kernel.attach(other)) == picture
    assert picture.usage.free << 12 == picture.buddy.free
    for each in (machine, other):
        each.close()


def test_pictures_differ_when_one_frame_is_allocated(kernel: Kernel) -> None:
    before = Picture.take(kernel)
    with FrameAllocOptions(kernel.mm).alloc_frame():
        assert Picture.take(kernel) != before


@pytest.mark.board(harts=3)
def test_copy_goes_on_where_the_live_kernel_was(work: Workload, copy: Kernel) -> None:
    """Every handle is taken up again there, its contents are there, and dropping all leaves nothing behind."""
    mm, live = copy.mm, work.mm
    for address, (layout, contents) in work.objects.items():
        assert mm.port.read(mm.vaddr_to_paddr(address), layout.size) == contents
        mm.heap.dealloc(address, layout)
        with pytest.raises(HeapMisuse):
            mm.heap.dealloc(address, layout)
    for frame in work.frames:
        with Frame.from_raw(mm, frame.paddr) as taken:
            if frame.paddr in work.numbers and taken._type is NumberMeta:
                assert taken.meta.number == NumberMeta.at(live.port, live.slots.slot(frame.paddr)).number
    for unique in work.unique:
        UniqueFrame.from_raw(mm, unique.paddr, NumberMeta).drop()
    for segment in work.segments:
        Segment.from_raw(mm, range(segment.start_paddr, segment.end_paddr)).drop()
    usage = Picture.take(copy).usage
    counted = {used.type_name: used.frames for used in usage.types}
    mapped = sum(paddr >= 0x8000_0000 for _, pages, _ in work.spaces for paddr in pages.values())
    areas = sum(area.mapped for area in Picture.take(copy).areas) // PAGE
    assert (counted.get("()", 0), counted.get("NumberMeta", 0)) == (mapped + areas, 0)
    check(mm)


@pytest.mark.board(harts=2)
def test_copy_allocates_from_its_own_memory_alone(work: Workload, kernel: Kernel, copy: Kernel) -> None:
    before = Picture.take(kernel)
    more = Workload(copy, 99)
    more.frames = [FrameAllocOptions(copy.mm).alloc_frame() for _ in range(500)]
    taken = {frame.paddr for frame in more.frames}
    assert not taken & {paddr for run in before.frames if run.state.count
                        and run.state.kind.name != "FREE" for paddr in range(run.start, run.end, PAGE)}
    check(copy.mm)
    assert Picture.take(kernel) == before
    for frame in more.frames:
        frame.drop()
    assert Picture.take(copy).usage.free == before.usage.free


def test_copy_maps_into_an_address_space_of_the_live_kernel(kernel: Kernel) -> None:
    with VmSpace(kernel.mm) as space:
        machine = clone(kernel.machine)
        attached = Kernel.attach(machine)
        frame = FrameAllocOptions(attached.mm).alloc_frame()
        paddr = frame.paddr
        with VmSpace.from_raw(attached.mm, space.root_paddr) as taken:
            with taken.cursor_mut(range(0x1000_0000, 0x1000_1000)) as cursor:
                cursor.map(frame.into_uframe(), RW)
            (mappings,) = Picture.take(attached).user_mappings
            assert [(mapping.start, mapping.paddr) for mapping in mappings] == [(0x1000_0000, paddr)]
            assert Picture.take(kernel).user_mappings == ((),)
        attached.close()
        machine.close()


@pytest.mark.board(harts=3)
def test_attached_kernel_drives_the_harts_of_the_same_machine(kernel: Kernel) -> None:
    attached = Kernel.attach(kernel.machine)
    frames = [FrameAllocOptions(attached.mm).alloc_frame() for _ in range(3)]
    area = KVirtArea.map_frames(attached.mm, 4 * PAGE, 0, frames, KERNEL_RW)
    assert [each.mapped for each in Picture.take(kernel).areas] == [3 * PAGE]
    area.drop()  # flushes the TLBs of all three
    assert Picture.take(kernel).areas == ()
    check(attached.mm)
    attached.log("attached")
    assert kernel.machine.console.rstrip().endswith(b"attached")


def test_heap_object_is_found_by_any_address_in_it(kernel: Kernel) -> None:
    mm = kernel.mm
    address = mm.heap.alloc(Layout(64, 8))
    inside = find_heap_object(Kernel.attach(kernel.machine).mm, address + 13)
    assert inside is not None
    assert (inside.slot_vaddr, inside.slot_size, inside.state) == (address, 64, "active")
    mm.heap.dealloc(address, Layout(64, 8))
    freed = find_heap_object(mm, address)
    assert freed is not None
    assert (freed.state, freed.cpu) == ("cached", 0)
    assert find_heap_object(mm, mm.paging.linear_base + mm.kspace.root_paddr) is None


# --- refusals ------------------------------------------------------------------------------------------------------


def test_machine_without_a_kernel_is_refused() -> None:
    machine = Machine(Board(memory=32 << 20))
    with pytest.raises(BootError, match="no kernel at 0x80200000"):
        Kernel.attach(machine)
    machine.close()


@pytest.mark.parametrize(("offset", "error", "words"), [
    (0, BootError, "no kernel at 0x80200000: its header has"),
    (8, BootError, "has a header of version"),
    (16, CorruptionError, "the kernel's header says"),
    (32, CorruptionError, "the kernel's header puts statics at"),
])
def test_damaged_header_is_refused(kernel: Kernel, offset: int, error: type[Exception], words: str) -> None:
    kernel.mm.port.store(HEADER_ADDRESS + offset, 0x1234_5678_9ABC_DEF0)
    with pytest.raises(error, match=words):
        Kernel.attach(kernel.machine)


def test_damaged_directory_of_statics_is_refused(kernel: Kernel) -> None:
    kernel.mm.port.store(kernel.mm.statics.base, 1)
    with pytest.raises(CorruptionError, match="no kernel statics at"):
        Kernel.attach(kernel.machine)


def test_directory_of_statics_with_too_many_areas_is_refused(kernel: Kernel) -> None:
    kernel.mm.port.store(kernel.mm.statics.base + 8, 1 << 40)
    with pytest.raises(CorruptionError, match="claims 1099511627776 areas"):
        Kernel.attach(kernel.machine)


def test_damaged_boot_record_is_refused(kernel: Kernel) -> None:
    area = kernel.mm.statics.area("boot_record", 64)
    for offset, words in ((16, "satp mode 77"), (8, "phase 77"), (0, "no boot record")):
        kernel.mm.port.store(area + offset, 77)
        with pytest.raises(CorruptionError, match=words):
            Kernel.attach(kernel.machine)


def test_kernel_that_has_not_run_is_refused() -> None:
    from kernel.text.image import firmware_image, kernel_image

    machine = Machine(Board(memory=32 << 20))
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    with pytest.raises(CorruptionError, match="no kernel statics"):
        Kernel.attach(machine)
    machine.close()


class Stopped(Exception):  # noqa: N818 - a stage, not an error
    """The boot was stopped."""


@pytest.mark.parametrize(("stage", "words"), [
    ("entry", "phase early"), ("early-info", "phase early"), ("cpu-local", "phase early"),
    ("frame-metadata", "phase metadata"), ("frame-allocator", "phase frames"), ("heap", "phase heap"),
])
def test_boot_that_stopped_half_way_is_refused_by_its_phase(stage: str, words: str) -> None:
    def on_stage(report: StageReport) -> None:
        if report.name == stage:
            raise Stopped

    machine = Machine(Board(memory=32 << 20))
    with pytest.raises(Stopped):
        Kernel.boot(machine, Choices(), on_stage=on_stage)
    with pytest.raises(BootError, match=words):
        Picture.take(Kernel.attach(machine))
    machine.close()


@pytest.mark.parametrize("stage", ["kernel-page-table", "activate", "boot-info", "smp"])
def test_boot_that_stopped_after_its_page_table_can_be_looked_at(stage: str) -> None:
    def on_stage(report: StageReport) -> None:
        if report.name == stage:
            raise Stopped

    machine = Machine(Board(memory=32 << 20))
    with pytest.raises(Stopped):
        Kernel.boot(machine, on_stage=on_stage)
    attached = Kernel.attach(machine)
    assert Picture.take(attached).info == EarlyInfo.load(attached.mm.statics)
    machine.close()
