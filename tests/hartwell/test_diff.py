"""`hartwell diff` of RAM dumps and snapshots, and `hartwell frames --track`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emulator import Board, Machine, ramdump
from kernel import Kernel
from kernel.mm import FrameAllocOptions, KVirtArea, Layout, PageFlags, PageProperty, VmSpace

from .conftest import Hartwell

VA = 0x1000_0000


@pytest.fixture
def told(tmp_path: Path) -> dict[str, int]:
    """Files before.* and after.*: between them a kernel has done something of everything; its addresses."""
    machine = Machine(Board(memory=32 << 20))
    kernel = Kernel.boot(machine)
    mm = kernel.mm
    mm.heap.alloc(Layout(64, 8))
    gone = FrameAllocOptions(mm).alloc_segment(7)

    def save(name: str) -> None:
        ramdump.save(machine, tmp_path / f"{name}.ram")
        machine.snapshot().save(tmp_path / f"{name}.snap")

    save("before")
    space, page = VmSpace(mm), FrameAllocOptions(mm).alloc_frame()
    paddr = page.paddr
    with space.cursor_mut(range(VA, VA + 4096)) as cursor:
        cursor.map(page.into_uframe(), PageProperty.new_user(PageFlags.RW))
    slot, large = mm.heap.alloc(Layout(64, 8)), mm.heap.alloc(Layout(8192, 8))
    area = KVirtArea.map_frames(mm, 4096, 0, [FrameAllocOptions(mm).alloc_frame()],
                                PageProperty.new_kernel(PageFlags.RW))
    gone_paddr = gone.start_paddr
    gone.drop()
    save("after")
    linear = mm.paging.linear_base
    addresses = {"gone": gone_paddr, "root": space.root_paddr, "page": paddr, "slot": slot - linear,
                 "large": large - linear, "area": area.start}
    kernel.close()
    machine.close()
    return addresses


def test_difference_of_two_dumps_is_that_of_two_snapshots(hartwell: Hartwell, told: dict[str, int]) -> None:
    dumps = hartwell("diff", "before.ram", "after.ram")
    assert (dumps.code, dumps.err) == (0, "")
    assert hartwell("diff", "before.snap", "after.snap") == dumps
    assert hartwell("diff", "before.ram", "after.snap") == dumps
    lines = dumps.out.splitlines()
    assert lines[0].startswith("frames: ")
    assert "7 freed" in lines[0]
    page = next(line for line in lines if line.startswith(f"{told['page']:#x}-"))
    assert page.split() == [f"{told['page']:#x}-{told['page'] + 4095:#x}", "free", *"in use by 1 as ()".split(), "1"]
    assert f"user address space {told['root']:#x}: made, 4 tables, pages 1 x 4K" in lines
    assert any(line.split() == [f"{VA:#x}-{VA + 4095:#x}", "-", f"{told['page']:#x}", "rw-u---", "4", "KiB"]
               for line in lines)
    assert any(line.startswith(f"{told['slot'] & -4096:#x}  64 bytes") and
               line.endswith(f"taken {told['slot'] % 4096 // 64}") for line in lines)
    assert any(line.split() == [f"{told['large']:#x}", "8", "KiB", "made,", "live"] for line in lines)
    assert hartwell("diff", "after.ram", "after.ram").out == "nothing changed\n"


def test_every_change_is_in_the_json(hartwell: Hartwell, told: dict[str, int]) -> None:
    done = hartwell("diff", "before.ram", "after.ram", "--json")
    assert (done.code, done.out.count("\n")) == (0, 1)
    found = json.loads(done.out)
    freed = [change for change in found["frames"] if change["kind"] == "freed"]
    assert sum(change["frames"] for change in freed) == 7
    assert int(freed[0]["start"], 0) == told["gone"]
    (page,) = [change for change in found["frames"] if change["start"] == f"{told['page']:#x}"]
    assert page["was"] == {"state": "free", "type": "", "holders": 0}
    assert page["is"] == {"state": "shared", "type": "()", "holders": 1}
    (space,) = [space for space in found["spaces"] if space["made"]]
    assert (space["root"], space["gone"], space["tables"][0]) == (f"{told['root']:#x}", False, None)
    assert space["mappings"] == [{"start": f"{VA:#x}", "end": f"{VA + 4096:#x}", "kind": "added", "was": None,
                                  "is": {"paddr": f"{told['page']:#x}", "rights": "rw-u---", "tracked": True}}]
    (slab,) = [slab for slab in found["slabs"] if slab["taken"] and slab["slot_size"] == 64]
    assert (slab["address"], slab["taken"]) == (f"{told['slot'] & -4096:#x}", [told["slot"] % 4096 // 64])
    assert [(large["address"], large["was"], large["is"]) for large in found["large"]] == \
        [(f"{told['large']:#x}", None, True)]
    assert [(area["start"], area["was"], area["is"]) for area in found["areas"]] == \
        [(f"{told['area']:#x}", None, 4096)]
    assert found["free"]["was"] > found["free"]["is"]
    back = json.loads(hartwell("diff", "after.ram", "before.ram", "--json").out)
    assert sum(change["frames"] for change in back["frames"] if change["kind"] == "allocated") == 7
    same = json.loads(hartwell("diff", "after.ram", "after.snap", "--json").out)
    assert same["free"]["was"] == same["free"]["is"]
    assert not any(same[part] for part in same if part != "free")


@pytest.mark.parametrize(("files", "words"), [
    (("nothing.ram", "after.ram"), "nothing.ram"), (("text", "after.ram"), "text: RAM dump at offset 0x0"),
    (("after.ram", "cut.snap"), "cut.snap"), (("hello.ram", "after.ram"), "hello.ram: no kernel at 0x80200000"),
    (("hello.snap", "after.ram"), "hello.snap: no kernel at 0x80200000"),
    (("after.ram", "large.ram"), "after.ram and large.ram: the pictures are of different kernels: memory 0x80000000-"),
    (("hurt.ram", "after.ram"), "hurt.ram: frame 0x80200000: reference count 0x1, type word 0x4141"),
])
def test_bad_files_are_refused_by_name(hartwell: Hartwell, tmp_path: Path, told: dict[str, int],
                                       files: tuple[str, str], words: str) -> None:
    (tmp_path / "text").write_text("not memory")
    (tmp_path / "cut.snap").write_bytes((tmp_path / "after.snap").read_bytes()[:-100])
    if "hello" in files[0]:
        assert hartwell("boot", "hello", "-m", "32M", "--dump-ram", "hello.ram", "--save", "hello.snap").code == 0
    if files[1] == "large.ram":
        assert hartwell("boot", "-m", "64M", "--dump-ram", "large.ram").code == 0
    machine = ramdump.load(tmp_path / "after.ram")
    slots = Kernel.attach(machine).mm.slots
    machine.bus.store(slots.slot(0x8020_0000) + 48, 8, 0x4141)
    ramdump.save(machine, tmp_path / "hurt.ram")
    machine.close()
    done = hartwell("diff", *files)
    assert (done.code, done.out) == (2, "")
    assert words in done.error


# --- hartwell frames --track -----------------------------------------------------------------------------------------


def test_frames_with_track_shows_who_had_the_frame(fresh: Hartwell) -> None:
    root = json.loads(fresh("pagetable", "-m", "32M", "--json").out)["root"]
    plain, tracked = (fresh("frames", root, "-m", "32M", *more).out for more in ((), ("--track",)))
    assert tracked.startswith(plain + "\n"), "memory is the same with and without"
    history = tracked.removeprefix(plain + "\n").splitlines()
    assert history[0] == "history: 2 records"
    assert history[1].startswith("  add_free_memory of ")
    assert history[1].endswith("in the boot stage frame-allocator")
    allocated = next(n for n, line in enumerate(history) if line.startswith("  frame_alloc of 4 KiB at " + root))
    assert history[allocated].endswith("in the boot stage kernel-page-table")
    assert any("kernel_page_table (kernel/boot/stages.py:" in line for line in history[allocated:])
    assert "hartwell/" not in "".join(history)
    report = json.loads(fresh("frames", root, "-m", "32M", "--track", "--json").out)
    assert [record["operation"] for record in report["history"]] == ["add_free_memory", "frame_alloc"]
    assert report["history"][1]["stack"][-1]["function"] == "Kernel.boot"
    assert "history" not in json.loads(fresh("frames", root, "-m", "32M", "--json").out)


def test_a_file_has_no_history(hartwell: Hartwell, told: dict[str, int]) -> None:
    done = hartwell("frames", "0x80200000", "--ram", "after.ram", "--track")
    assert (done.code, done.out) == (2, "")
    assert "both --track and --ram: after.ram has no history" in done.error
