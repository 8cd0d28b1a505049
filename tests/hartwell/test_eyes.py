"""Kernel eyes: what they say of live, restored, unfinished, foreign and damaged memory; and they change nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from emulator import Board, Machine
from hartwell.eyes import EYES, EyeContext, EyeError, eye_named
from hartwell.views import buddyinfo, frame, memmap, slabinfo
from kernel import Choices, Kernel
from kernel.boot.booting import StageReport
from kernel.boot.stages import STAGES
from kernel.mm import FrameAllocOptions, Layout, Mm, PageFlags, PageProperty, VmSpace
from kernel.mm.heap.slab import FREE_LIST
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.picture import FrameMap, Picture, read_buddy, read_heap
from kernel.text.image import HEADER_ADDRESS, firmware_image, kernel_image
from kernel.track import Tracker
from tests.helpers.machines import image

SMALL, VA = Layout(64, 8), 0x1000_0000
RW = PageProperty.new_user(PageFlags.RW)
SIZE = 32 << 20


def see(context: EyeContext, line: str) -> list[str]:
    """The lines of an eye, asked as one types it."""
    name, *args = line.split()
    lines: list[str] = []
    eye_named(name).run(context, args, lines.append)
    return lines


def refusal(context: EyeContext, line: str) -> str:
    """The one line in which an eye says that it sees nothing; not a line of an answer comes before it."""
    name, *args = line.split()
    lines: list[str] = []
    with pytest.raises(EyeError) as caught:
        eye_named(name).run(context, args, lines.append)
    assert lines == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@dataclass
class Scene:
    """A kernel that has a user page, ten heap objects, a large one; two of its CPUs have run."""

    kernel: Kernel
    space: VmSpace
    page: int
    objects: list[int]
    large: int

    @property
    def context(self) -> EyeContext:
        return EyeContext(self.kernel.machine)

    @property
    def lines(self) -> list[str]:
        """Every eye, asked something that it can answer."""
        root = self.kernel.mm.kspace.root_paddr
        return ["memmap", "vmmap", f"vmmap {root:#x}", f"pt {VA + 0xabc:#x}", f"pt 0xffffffff80200000 {root:#x}",
                f"frame {self.page:#x}", f"frame {root:#x}", "buddy", "slab", "slab 64", f"heap {self.objects[2]:#x}",
                f"heap {self.large:#x}"]


@pytest.fixture
def scene() -> Iterator[Scene]:
    machine = Machine(Board(memory=SIZE, harts=2))
    kernel = Kernel.boot(machine)
    mm = kernel.mm
    space, page = VmSpace(mm), FrameAllocOptions(mm).alloc_frame()
    paddr = page.paddr
    with space.cursor_mut(range(VA, VA + 4096)) as cursor:
        cursor.map(page.into_uframe(), RW)
    space.activate()
    made = Scene(kernel, space, paddr, [mm.heap.alloc(SMALL) for _ in range(10)], mm.heap.alloc(Layout(5000, 8)))
    yield made
    kernel.close()
    machine.close()


# --- what they say ---------------------------------------------------------------------------------------------------


def test_views_are_those_of_the_command_line(scene: Scene) -> None:
    mm = scene.kernel.mm
    picture = Picture.take(scene.kernel)
    assert see(scene.context, "memmap") == memmap.lines(picture.regions, picture.usage, plain=True)
    assert see(scene.context, "buddy") == buddyinfo.lines(read_buddy(mm), indices=True, plain=True)
    assert see(scene.context, "slab") == slabinfo.lines(read_heap(mm, FrameMap.read(mm)), plain=True)
    assert see(scene.context, f"frame {scene.page + 5:#x}") == frame.lines(frame.look(mm, scene.page), plain=True)


def test_pt_walks_the_harts_own_table_level_by_level(scene: Scene) -> None:
    lines = see(scene.context, f"pt {VA + 0xABC:#x}")
    assert lines[:2] == ["page table: satp of hart 0", f"{VA + 0xABC:#x}, sv48, root {scene.space.root_paddr:#x}"]
    assert [line.split()[0] for line in lines[4:8]] == ["4", "3", "2", "1"]
    assert "vrw-u---" in lines[7]
    assert lines[-2:] == [f"physical {scene.page + 0xABC:#x}, in a page of 4 KiB at {scene.page:#x}",
                          f"frame {scene.page:#x}: in use by 1 as ()"]
    assert see(scene.context, f"pt {VA:#x} {scene.kernel.mm.kspace.root_paddr:#x}")[-1] == \
        "not mapped: nothing is mapped: the entry of level 4 is absent"
    other = EyeContext(scene.kernel.machine, hart=1)
    assert "not mapped" in see(other, f"pt {VA:#x}")[-1], "CPU 1 is in the kernel's space"


def test_pt_and_vmmap_say_what_the_hart_itself_translates(scene: Scene) -> None:
    hart, draw = scene.kernel.machine.harts[0], random.Random(1)
    runs = [(int(line[:16], 16), int(line[17:33], 16) + 1, int(line.split()[1], 16))
            for line in see(scene.context, "vmmap")[2:]]
    inside = [draw.randrange(start, end) for start, end, _ in runs for _ in range(5)]
    edges = [start - 1 for start, _, _ in runs] + [min(end, (1 << 64) - 1) for _, end, _ in runs]
    for address in (*inside, *edges):
        expected = hart.translate(address)
        mapped = [paddr + address - start for start, end, paddr in runs if start <= address < end]
        assert mapped == ([] if expected is None else [expected])
        walked = see(scene.context, f"pt {address:#x}")
        assert any(line.startswith("not mapped" if expected is None else f"physical {expected:#x},") for line in walked)


def test_vmmap_names_the_parts_of_the_kernels_layout(scene: Scene) -> None:
    lines = see(scene.context, "vmmap")
    told = {part: next(line for line in lines if part in line)
            for part in ("user space", "linear mapping", "frame metadata", "kernel code")}
    assert told["user space"].endswith("()")
    assert told["frame metadata"].endswith("MetaPageMeta")
    assert told["kernel code"].endswith("KernelMeta")
    assert told["linear mapping"].endswith("kinds")


def test_heap_shows_slot_slab_and_neighbours(scene: Scene) -> None:
    mm, address = scene.kernel.mm, scene.objects[4]
    mm.heap.dealloc(scene.objects[5], SMALL)
    lines = see(scene.context, f"heap {address + 9:#x}")
    index = (address & 4095) // 64
    slab = address - mm.paging.linear_base & -4096
    assert lines[0] == f"{address + 9:#x} is 9 bytes into slot {index} of 64 bytes at {address:#x}: active"
    assert lines[1].startswith(f"slab {slab:#x}, ")
    rows = {int(line[2:].split()[0]): line for line in lines[4:]}
    assert sorted(rows) == list(range(max(index - 3, 0), min(index + 4, 64)))
    assert rows[index].startswith(f"> {index} ")
    freed = (scene.objects[5] & 4095) // 64
    assert "cached by CPU 0" in rows[freed]
    assert see(scene.context, f"heap {address - mm.paging.linear_base:#x}") == see(scene.context, f"heap {address:#x}")
    (line,) = [line for line in see(scene.context, "slab 64") if line.startswith(f"{slab:#x}")]
    marks = line.split()[-1]
    here = {each for each in scene.objects if each & -4096 == address & -4096} - {scene.objects[5]}
    assert [number for number, mark in enumerate(marks) if mark == "#"] == sorted((each & 4095) // 64 for each in here)
    assert marks[freed] == "c"
    assert see(scene.context, f"heap {scene.large + 4100:#x}")[0] == \
        f"{scene.large + 4100:#x} is 4100 bytes into a large allocation of 8 KiB at {scene.large:#x}: active"


def test_slots_of_eight_bytes_are_shown_in_several_rows(scene: Scene) -> None:
    address = scene.kernel.mm.heap.alloc(Layout(8, 8))
    lines = see(scene.context, "slab 8")
    first = next(n for n, line in enumerate(lines) if line.startswith(f"{address - 0xFFFF_8000_0000_0000 & -4096:#x}"))
    marks = "".join(line.split()[-1] for line in lines[first:first + 8])
    assert len(marks) == 512
    assert marks.count("#") == 1
    assert marks[(address & 4095) // 8] == "#"


def test_of_many_slabs_the_first_are_shown_and_every_broken_one(scene: Scene) -> None:
    mm = scene.kernel.mm
    for _ in range(2 * 100):
        mm.heap.alloc(Layout(2048, 8))
    slabs = [slab.paddr for slab in read_heap(mm, FrameMap.read(mm)).slabs if slab.slot_size == 2048]
    mm.port.store(mm.slots.slot(slabs[90]) + FREE_LIST, 0x4141)
    lines = see(scene.context, "slab 2048")
    assert [int(line.split()[0], 0) for line in lines if line.startswith("0x")] == [*slabs[:64], slabs[90]]
    assert lines[-3:-1] == [f"and {len(slabs) - 65} more slabs", ""]
    assert lines[-1].startswith(f"slab {slabs[90]:#x}: free list of the slab of 2048-byte slots")


def test_diff_compares_with_a_mark_or_with_the_history(scene: Scene) -> None:
    context = scene.context
    assert refusal(context, "diff") == "diff: no moment is marked: diff mark makes one"
    assert see(context, "diff mark")[0].startswith("marked instruction ")
    assert see(context, "diff") == ["nothing changed"]
    see(context, "diff mark here")
    before = Picture.take(scene.kernel)
    instruction = scene.kernel.machine.instructions
    FrameAllocOptions(scene.kernel.mm).alloc_segment(5).into_raw()
    for line in ("diff", "diff here"):
        assert see(context, line)[0] == "frames: 5 allocated"
    assert refusal(context, "diff there") == \
        "diff: no mark is called 'there'; there are 'here': diff mark there makes one"
    assert "there is no history here" in refusal(context, f"diff {instruction}")
    asked: list[int] = []

    def picture_at(when: int) -> Picture:
        asked.append(when)
        return before

    context.picture_at = picture_at
    assert see(context, f"diff {instruction:,}") == see(context, "diff here")
    assert asked == [instruction]
    assert "expected a mark's name" in refusal(context, "diff here there")


def test_words_are_resolved_by_whoever_asks(scene: Scene) -> None:
    context = scene.context
    assert refusal(context, "frame _start") == \
        "frame: '_start' is no physical address: expected a number such as 0x80200000"
    context.resolve = {"_start": 0x8020_0000, "minus": -1}.get
    assert see(context, "frame _start") == see(context, "frame 0x8020_0000")
    for word in ("nobody", "minus"):
        assert refusal(context, f"frame {word}").endswith("expected a number such as 0x80200000 or a symbol")


@pytest.mark.parametrize(("line", "words"), [
    ("pt", "pt: 0 arguments; expected: pt VA [ROOT]"), ("buddy 1", "buddy: 1 arguments; expected: buddy"),
    ("pt 1 2 3", "pt: 3 arguments"), ("frame", "frame: 0 arguments; expected: frame PA"),
    ("frame 0x1000", "0x1000 has no metadata: physical memory is"), ("frame -1", "'-1' is no physical address"),
    ("frame 0x10000000000000000", "is no physical address"), ("heap 0x80200000", "is not the heap's: the frame"),
    ("heap 16", "0x10 is not in the linear mapping of memory"), ("slab 48", "no slab has slots of 48 bytes; there are"),
    ("pt 0 0x80200004", "0x80200004 is no root table"), ("vmmap 0x10000000", "0x10000000 is no root table"),
    ("pt 0 8020", "0x1f54 is no root table"), ("heap 0xffffffffffffffff", "is not in the linear mapping")])
def test_bad_arguments_are_refused_in_one_line(scene: Scene, line: str, words: str) -> None:
    assert words in refusal(scene.context, line)


def test_the_table_of_eyes_teaches() -> None:
    assert [eye.name for eye in EYES] == ["memmap", "vmmap", "pt", "frame", "buddy", "slab", "heap", "diff"]
    for eye in EYES:
        assert eye.usage.split()[0] == eye.name
        assert eye.help
        assert len(eye.help) < 100
        assert len(eye.more) > len(eye.help)
        assert all(len(line) < 115 for line in eye.more.splitlines())
    with pytest.raises(EyeError, match="no eye is called 'nose'; there are memmap, vmmap"):
        eye_named("nose")


# --- when they look --------------------------------------------------------------------------------------------------

NEEDS = {"memmap": "frame-metadata", "frame 0x80200000": "frame-metadata", "buddy": "frame-allocator", "slab": "heap",
         "heap 0x80200000": "heap", "diff mark": "kernel-page-table", "vmmap": "entry",
         "pt 0xffffffff80200000": "entry"}
"""The stage after which an eye sees something."""


@pytest.mark.parametrize("number", range(len(STAGES)))
def test_every_eye_sees_as_far_as_the_boot_has_come(number: int) -> None:
    stages = [stage.name for stage in STAGES]

    class Done(Exception):
        pass

    def on_stage(report: StageReport) -> None:
        if report.name == stages[number]:
            raise Done

    machine = Machine(Board(memory=SIZE))
    with pytest.raises(Done):
        Kernel.boot(machine, on_stage=on_stage)
    context = EyeContext(machine)
    for line, need in NEEDS.items():
        if number >= stages.index(need) and not line.startswith("heap"):
            assert see(context, line)
        elif number >= stages.index(need):
            assert "is not the heap's" in refusal(context, line)
        else:
            assert f": the boot has not come to the end of the stage {need} yet" in refusal(context, line)
    machine.close()


def test_a_kernel_that_has_not_begun_is_told_from_none() -> None:
    machine = Machine(Board(memory=SIZE))
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    context = EyeContext(machine)
    for line in NEEDS:
        words = "satp of hart 0 is bare" if line[:2] in ("vm", "pt") else "is loaded, and has not begun to boot"
        assert words in refusal(context, line)
    assert machine.snapshot().host_calls is False, "looking is not booting"
    assert machine.reboot is True
    machine.close()


def test_another_guest_is_named_and_its_page_table_still_seen() -> None:
    guest = image("hello")
    machine = guest.boot()
    machine.run(max_insns=100_000)
    context = EyeContext(machine)
    for line in NEEDS:
        words = "satp of hart 0 is bare: addresses are physical" if line[:2] in ("vm", "pt") else \
            "the guest is not Hartwell's kernel (no kernel at 0x80200000"
        assert words in refusal(context, line)
    assert "is not known" in refusal(context, "pt 0 0x80300000")
    root = machine.board.banks[0].end - 0x10000
    machine.bus.store(root + 8 * 2, 8, 0x8000_0000 >> 2 | 0xCF)
    machine.harts[0].write_csr("satp", 8 << 60 | root >> 12)
    assert see(context, "vmmap") == [
        f"page table: satp of hart 0, sv39, root {root:#x}",
        "virtual                            physical    rights   size   pages",
        "0000000080000000-00000000bfffffff  0x80000000  rwx--ad  1 GiB  1 x 1G"]
    assert see(context, "pt 0x80000123")[-1] == "physical 0x80000123, in a page of 1 GiB at 0x80000000"
    machine.harts[0].write_csr("satp", 10 << 60 | root >> 12)
    if machine.harts[0].read_csr("satp") >> 60 == 10:
        assert see(context, "pt 0x1234")[1] == f"0x1234, sv57, root {root:#x}"
    machine.close()


def test_without_a_translating_hart_the_kernels_table_is_taken(scene: Scene) -> None:
    """As in a machine that was made from a RAM dump: harts are as after power-on."""
    other = Machine(scene.kernel.machine.board)
    bank = other.board.banks[0]
    other.bus.memory(bank.base, bank.size)[:] = scene.kernel.machine.bus.memory(bank.base, bank.size)
    context = EyeContext(other)
    assert see(context, "pt 0xffffffff80200000")[0] == "page table: the kernel's; satp of hart 0 is bare"
    assert see(context, "vmmap")[0].endswith(f"sv48, root {scene.kernel.mm.kspace.root_paddr:#x}")
    other.close()


def test_a_restored_snapshot_is_seen_as_it_was(scene: Scene) -> None:
    machine = scene.kernel.machine
    then = machine.snapshot()
    before = [see(scene.context, line) for line in scene.lines]
    lines = scene.lines
    scene.kernel.mm.heap.dealloc(scene.objects[2], SMALL)
    FrameAllocOptions(scene.kernel.mm).alloc_segment(9).into_raw()
    assert [see(scene.context, line) for line in lines] != before
    other = then.machine()
    assert [see(EyeContext(other), line) for line in lines] == before
    other.close()
    machine.restore(then)
    assert [see(EyeContext(machine), line) for line in lines] == before


def test_looking_changes_nothing(scene: Scene) -> None:
    machine = scene.kernel.machine
    then, resets = machine.snapshot(), len(machine.on_reset)
    bank = machine.board.banks[0]
    before = machine.bus.read(bank.base, bank.size)
    for line in scene.lines:
        see(scene.context, line)
    assert machine.bus.read(bank.base, bank.size) == before
    assert len(machine.on_reset) == resets
    now = machine.snapshot()
    assert (now.instructions, now.cycles, now.engine.word("M_HOSTCALLS")) == \
        (then.instructions, then.cycles, then.engine.word("M_HOSTCALLS"))
    scene.kernel.log("and the kernel goes on")
    FrameAllocOptions(scene.kernel.mm).alloc_frame().drop()


def test_allocators_of_somebody_elses_are_named_and_the_frames_are_seen() -> None:
    class Mine:
        """Frames in the default allocator's way; but nobody knows."""

        def __init__(self, mm: Mm) -> None:
            inner = FrameAllocator(mm)
            self.alloc, self.dealloc, self.add_free_memory = inner.alloc, inner.dealloc, inner.add_free_memory

    choices = Choices(frame_allocator=Mine, watchdog_lines=None)
    machine = Machine(Board(memory=8 << 20))
    kernel = Kernel.boot(machine, choices)
    assert "has the frame allocator Mine, not FrameAllocator: choose that one" in refusal(EyeContext(machine), "memmap")
    context = EyeContext(machine, choices=choices)
    assert see(context, "memmap")
    assert refusal(context, "buddy") == "buddy: the frames are Mine's, whose books are not known here"
    kernel.close()
    machine.close()


# --- histories -------------------------------------------------------------------------------------------------------


def test_histories_come_last_where_operations_are_tracked(scene: Scene) -> None:
    kernel = scene.kernel
    tracker = kernel.mm.operations = Tracker(kernel.machine)
    page, address = FrameAllocOptions(kernel.mm).alloc_frame(), kernel.mm.heap.alloc(SMALL)
    paddr, then = page.paddr, tracker.now
    with scene.space.cursor_mut(range(VA + 4096, VA + 8192)) as cursor:
        cursor.map(page.into_uframe(), RW)
    kernel.mm.heap.dealloc(address, SMALL)
    context = EyeContext(kernel.machine, tracker=tracker)
    lines = see(context, f"frame {paddr:#x}")
    assert lines[:-len(lines) + lines.index("history: 1 record")] == [*see(scene.context, f"frame {paddr:#x}"), ""]
    assert f"  frame_alloc of 4 KiB at {paddr:#x}, at instruction" in lines[lines.index("history: 1 record") + 1]
    assert any("test_histories_come_last_where_operations_are_tracked (tests/hartwell/test_eyes.py:" in line
               for line in lines)
    heap = see(context, f"heap {address + 1:#x}")
    assert [line.split()[0] for line in heap if line.startswith("  heap_")] == ["heap_alloc", "heap_dealloc"]
    assert [line.split()[0] for line in see(context, f"pt {VA + 4096:#x}") if " of 4 KiB at " in line
            and line.startswith("  ")] == ["map"]
    context.moment = then
    assert [line.split()[0] for line in see(context, f"heap {address:#x}") if line.startswith("  heap_")] == \
        ["heap_alloc"]
    assert see(context, f"pt {VA + 4096:#x}")[-1] == "history: nothing is recorded"


# --- damaged memory --------------------------------------------------------------------------------------------------


def test_a_slab_whose_free_list_was_written_over_is_shown_with_the_place(scene: Scene) -> None:
    mm = scene.kernel.mm
    empty = next(slab for slab in read_heap(mm, FrameMap.read(mm)).slabs if slab.slot_size == 64 and not slab.allocated)
    first = mm.port.load(mm.slots.slot(empty.paddr) + FREE_LIST)
    mm.port.store(first - mm.paging.linear_base, 0x4141_4141)
    for line in ("slab 64", f"heap {first:#x}"):
        shown = see(scene.context, line)
        assert shown[-1].startswith(f"slab {empty.paddr:#x}: free list of the slab of 64-byte slots at ")
        assert f"slot {first:#x} links to 0x41414141" in shown[-1]
    row = next(line for line in see(scene.context, "slab 64") if line.startswith(f"{empty.paddr:#x}"))
    assert row.split()[-1].count("?") == 64, "where the list breaks, nothing is known of the slots"


def test_damage_is_named_in_one_line(scene: Scene) -> None:
    mm = scene.kernel.mm
    mm.port.store(mm.slots.slot(0x8020_0000) + 48, 0x4141_4141)
    assert refusal(scene.context, "memmap").startswith(
        "memmap: frame 0x80200000: reference count 0x1, type word 0x41414141: its metadata slot is corrupt")
    assert any("0x41414141" in line for line in see(scene.context, "frame 0x80200000"))
    mm.port.store(mm.statics.base + 8, 1 << 40)
    assert refusal(scene.context, "buddy").startswith("buddy: the statics' directory at")
    assert see(scene.context, f"pt {VA:#x}")[-1].startswith(f"physical {scene.page:#x}"), "page tables are good"
    mm.port.store(HEADER_ADDRESS + 32, 0x1234)
    assert "the kernel's header puts statics at" in refusal(scene.context, "buddy")


def test_a_walk_that_leaves_memory_is_shown_up_to_there(scene: Scene) -> None:
    mm = scene.kernel.mm
    mm.port.store(scene.space.root_paddr, 0x10_0000_0000 >> 2 | 1)
    lines = see(scene.context, f"pt {VA:#x}")
    assert lines[4].split()[-2:] == ["table", "0x1000000000"]
    assert lines[-1] == "not mapped: the table of level 3 at 0x1000000000 is not in memory"
    assert see(scene.context, "vmmap")[-1] == "0x0: the table of level 3 at 0x1000000000 is not in memory"


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_in_memory_an_eye_answers_or_refuses_in_one_line(scene: Scene, seed: int) -> None:
    """Words of statics, metadata slots, page tables and slabs are replaced at random, a few at a time."""
    machine, mm, draw, lines = scene.kernel.machine, scene.kernel.mm, random.Random(seed), scene.lines
    bank = machine.board.banks[0]
    clean = machine.bus.memory(bank.base, bank.size).copy()
    context = scene.context
    see(context, "diff mark")
    used = [paddr for run in FrameMap.read(mm) if run.state.type_name in (
        "SlabMeta", "LiveMapMeta", "LargeAllocFrameMeta", "page table (kernel)", "page table (user)")
        for paddr in range(run.start, run.end, 4096)]
    places = (lambda: mm.statics.base + draw.randrange(0x8000), lambda: draw.choice(used) + draw.randrange(4096),
              lambda: mm.slots.slot(draw.choice(used)) + draw.randrange(64),
              lambda: mm.slots.slot(bank.base + draw.randrange(bank.size >> 12) * 4096) + draw.randrange(64))
    words = (0, 1, 8, (1 << 64) - 1, 1 << 63, 0x4141_4141_4141_4141, bank.base, bank.base + mm.paging.linear_base)
    seen = refused = 0
    for _ in range(12):
        machine.bus.memory(bank.base, bank.size)[:] = clean
        for _ in range(draw.choice((1, 1, 3, 20))):
            at = draw.choice(places)() & -8
            old = machine.bus.load(at, 8)
            word = draw.choice((draw.choice(words), draw.getrandbits(64), old ^ 1 << draw.randrange(64)))
            machine.bus.memory(at, 8)[:] = np.frombuffer(word.to_bytes(8, "little"), dtype=np.uint8)
        for line in (*lines, "diff"):
            name, *args = line.split()
            shown: list[str] = []
            try:
                eye_named(name).run(context, args, shown.append)
                seen += 1
            except EyeError as why:
                assert shown == []
                assert "\n" not in str(why)
                refused += 1
    assert seen
    assert refused, "some of it mattered"
