"""The views of the kernel's memory, for a fresh boot and for saved memory: memmap, buddyinfo, slabinfo and others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator import Board, Machine, ramdump
from kernel import Kernel
from kernel.mm import FrameAllocOptions, KVirtArea, Layout, PageFlags, PageProperty, VmSpace
from kernel.picture import Picture

from .conftest import Hartwell

VIEWS = ["memmap", "buddyinfo", "slabinfo", "frames 0x80200000", "pagetable", "pagetable 0xffffffff80200000",
         "kernel layout"]


def fresh(path: Path) -> None:
    """Memory of a kernel that has just booted, as `hartwell boot` saves it, in a file."""
    machine = Machine(Board(memory=32 << 20))
    Kernel.boot(machine).close()
    ramdump.save(machine, path)
    machine.close()


def saved(path: Path) -> dict[str, Any]:
    """Memory of a kernel that has done something, in a file; what it has done."""
    machine = Machine(Board(memory=32 << 20, harts=2))
    kernel = Kernel.boot(machine)
    mm = kernel.mm
    space = VmSpace(mm)
    frame = FrameAllocOptions(mm).alloc_frame()
    paddr = frame.paddr
    with space.cursor_mut(range(0x1000_0000, 0x1000_1000)) as cursor:
        cursor.map(frame.into_uframe(), PageProperty.new_user(PageFlags.RW))
    space.activate()
    objects = [mm.heap.alloc(Layout(64, 8)) for _ in range(10)]
    area = KVirtArea.map_frames(mm, 0x4000, 0, [FrameAllocOptions(mm).alloc_frame()],
                                PageProperty.new_kernel(PageFlags.RW))
    ramdump.save(machine, path)
    told = {"root": space.root_paddr, "paddr": paddr, "object": objects[0], "area": area.start,
            "picture": Picture.take(kernel), "linear": mm.paging.linear_base}
    kernel.close()
    machine.close()
    return told


@pytest.mark.parametrize("view", VIEWS)
def test_view_of_a_fresh_boot_and_of_its_saved_memory_are_the_same(
        hartwell: Hartwell, tmp_path: Path, view: str) -> None:
    fresh(tmp_path / "after.ram")
    booted, again = hartwell(*view.split(), "-m", "32M"), hartwell(*view.split(), "--ram", "after.ram")
    assert (booted.code, booted.err) == (0, "")
    assert booted == again
    done = hartwell(*view.split(), "--ram", "after.ram", "--json")
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert isinstance(json.loads(done.out), dict)


@pytest.mark.parametrize("view", ["kernel layout", "frames 0x80100000"])
def test_table_is_not_cut_in_a_narrow_place(hartwell: Hartwell, tmp_path: Path, view: str) -> None:
    fresh(tmp_path / "after.ram")
    arguments = (*view.split(), "--ram", "after.ram")
    wide, narrow = (hartwell(*arguments, env={"COLUMNS": columns}) for columns in ("300", "20"))
    assert wide.out == narrow.out
    assert "…" not in wide.out
    assert "-ffff8000" in wide.out or "FreeHeadMeta" in wide.out


def test_memmap_shows_regions_as_proc_iomem_does(hartwell: Hartwell) -> None:
    lines = hartwell("memmap", "-m", "32M").out.splitlines()
    assert any(line.startswith("80200000-") and " Kernel " in line for line in lines)
    assert any(line.startswith("  80205000-80234fff") and "Kernel statics" in line for line in lines)
    assert any(line.startswith("SlabMeta") and "heap: slabs" in line for line in lines)


def test_buddyinfo_has_a_line_for_every_pool_and_a_column_for_every_order(hartwell: Hartwell) -> None:
    out = hartwell("buddyinfo", "-m", "32M", "--smp", "2").out.splitlines()
    assert out[0].split() == ["pool", "free", *map(str, range(len(out[0].split()) - 2))]
    pools = [line[:19].strip() for line in out[1:4]]
    assert pools == ["global frame pool", "frame pool of CPU 0", "frame pool of CPU 1"]
    assert "extfrag" not in "".join(out)
    assert "extfrag" in hartwell("buddyinfo", "-m", "32M", "--indices").out


def test_views_of_saved_memory_show_what_the_kernel_has_done(hartwell: Hartwell, tmp_path: Path) -> None:
    told = saved(tmp_path / "done.ram")
    picture = told["picture"]
    ram = ("--ram", "done.ram", "--json")
    buddy = json.loads(hartwell("buddyinfo", *ram).out)
    assert (buddy["free"], [pool["counts"] for pool in buddy["pools"]]) == \
        (picture.buddy.free, [list(pool.counts) for pool in picture.buddy.pools])
    slabs = {of["slot_size"]: of for of in json.loads(hartwell("slabinfo", *ram).out)["classes"]}
    assert slabs[64]["active"] == 10
    assert json.loads(hartwell("memmap", *ram).out)["free"] == picture.usage.free
    spaces = json.loads(hartwell("pagetable", *ram).out)["spaces"]
    assert [(space["kind"], space["cpus"]) for space in spaces] == [("kernel", [1]), ("user", [0])]
    assert spaces[1]["root"] == f"{told['root']:#x}"
    mapped = json.loads(hartwell("pagetable", "--space", f"{told['root']:#x}", *ram).out)["mappings"]
    assert [(mapping["start"], mapping["paddr"], mapping["rights"]) for mapping in mapped] == \
        [("0x10000000", f"{told['paddr']:#x}", "rw-u---")]
    walked = json.loads(hartwell("pagetable", "0x10000abc", "--space", f"{told['root']:#x}", *ram).out)
    assert walked["paddr"] == f"{told['paddr'] + 0xABC:#x}"
    areas = json.loads(hartwell("kernel", "layout", *ram).out)["areas"]
    assert [(area["start"], area["size"], area["mapped"]) for area in areas] == [(f"{told['area']:#x}", 0x4000, 0x1000)]


def test_frames_names_owner_places_and_heap_slot(hartwell: Hartwell, tmp_path: Path) -> None:
    told = saved(tmp_path / "done.ram")
    page = json.loads(hartwell("frames", f"{told['paddr']:#x}", "--ram", "done.ram", "--json").out)
    assert (page["state"], page["type"]) == ("shared", "()")
    assert {(place["root"], place["vaddr"]) for place in page["places"]} >= {(f"{told['root']:#x}", "0x10000000")}
    slot = hartwell("frames", f"{told['object'] + 5:#x}", "--ram", "done.ram").out
    assert "of 64 bytes, which is active" in slot
    root = hartwell("frames", f"{told['root']:#x}", "--ram", "done.ram").out
    assert "page table (user)" in root
    assert "as a table of level 4" in root
    assert "nr_children" in root


def test_frames_of_a_free_frame_names_its_chunk(hartwell: Hartwell) -> None:
    out = hartwell("frames", "0x80101000", "-m", "32M").out
    assert "frame 0x80101000: free" in out
    assert "chunk of order" in out


def test_pagetable_walks_level_by_level_in_either_mode(hartwell: Hartwell) -> None:
    for mmu, levels in (("sv48", ["4", "3", "2", "1"]), ("sv39", ["3", "2", "1"])):
        out = hartwell("pagetable", "0xffffffff80200000", "-m", "32M", "--mmu", mmu).out
        rows = [line.split() for line in out.splitlines() if line[:1].isdigit() and "sv" not in line]
        assert [row[0] for row in rows] == levels
        assert "physical 0x80200000, in a page of 4 KiB" in out
        assert "KernelMeta" in out


def test_pagetable_says_where_a_walk_ends(hartwell: Hartwell) -> None:
    assert "not mapped: nothing is mapped: the entry of level 4 is absent" in hartwell("pagetable", "0x1000").out
    assert "not mapped: not canonical" in hartwell("pagetable", "0x1234_0000_0000_0000").out


def test_layout_shows_every_part_with_its_size(hartwell: Hartwell) -> None:
    out = hartwell("kernel", "layout", "-m", "32M").out
    for words in ("linear mapping     64 TiB", "KVirtAreas         32 TiB", "frame metadata      1 TiB",
                  "kernel code         1 GiB"):
        assert words in out, out


# --- demo-buddy ----------------------------------------------------------------------------------------------------


def test_demo_draws_every_split_and_merge_in_aligned_bars(hartwell: Hartwell) -> None:
    """Requirement R3.7."""
    for arguments, edge in (((), "│"), (("--ascii",), "|")):
        out = hartwell("kernel", "demo-buddy", "-m", "32M", *arguments, env={"PYTHONIOENCODING": "utf-8"}).out
        bars = [line for line in out.splitlines() if line.startswith(f"     {edge}")]
        assert {len(bar) for bar in bars} == {70}
        assert all(above[n] == edge or below[n] != edge for above, below in zip(bars[::2], bars[1::2], strict=True)
                   for n in range(70))
        assert out.count("  split: ") == 6
        assert out.count("  merge: ") == 3
    assert out.isascii()
    assert "|####...|       |" in out  # A's 65 KiB of 128 KiB, and its free buddy


def test_demo_shows_the_waste_of_65_kib_in_128(hartwell: Hartwell) -> None:
    """Requirement R3.7."""
    report = json.loads(hartwell("kernel", "demo-buddy", "-m", "32M", "--json").out)
    last = report["examples"][1]["states"][-1]["blocks"]
    assert [(block["size"] >> 10, block["requested"] >> 10, block["wasted"] >> 10) for block in last
            if block["name"]] == [(128, 65, 63)]
    first = report["examples"][0]["states"]
    assert [len(state["blocks"]) for state in first][0] == len(first[-1]["blocks"]) == 1
    assert max(len(state["blocks"]) for state in first) == 4


def test_demo_falls_back_to_plain_characters_where_others_cannot_be_printed(hartwell: Hartwell) -> None:
    out = hartwell("kernel", "demo-buddy", "-m", "32M", env={"PYTHONIOENCODING": "ascii"}).out
    assert out.isascii()
    assert "|" in out


# --- bad files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "words"), [
    (lambda data: data[:-1], "checksum at offset"),
    (lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:], "checksum at offset"),
    (lambda data: b"\x7fELF" + data[4:], "RAM dump at offset 0x0: found b'\\x7fELF"),
    (lambda data: data.replace(b"RAM 1", b"RAM 9", 1), "version at offset 0xd: found '9', expected 1"),
    (lambda data: b"HARTWELL-RAM 1\n", "checksum"),
], ids=["cut", "flipped", "foreign", "version", "empty"])
def test_damaged_or_foreign_file_is_refused_by_name(
        hartwell: Hartwell, tmp_path: Path, change: Any, words: str) -> None:
    fresh(tmp_path / "good.ram")
    (tmp_path / "bad.ram").write_bytes(change((tmp_path / "good.ram").read_bytes()))
    done = hartwell("memmap", "--ram", "bad.ram")
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("error: bad.ram: ")
    assert words in done.error


def test_memory_that_was_scribbled_over_is_named_with_its_place(hartwell: Hartwell, tmp_path: Path) -> None:
    machine = Machine(Board(memory=32 << 20))
    kernel = Kernel.boot(machine)
    kernel.mm.port.store(kernel.mm.slots.slot(0x8020_0000) + 48, 0x41414141)
    ramdump.save(machine, tmp_path / "hurt.ram")
    machine.close()
    done = hartwell("memmap", "--ram", "hurt.ram")
    assert done.code == 2
    assert done.error.startswith("error: hurt.ram: frame 0x80200000: reference count 0x1, type word 0x41414141")
    assert hartwell("slabinfo", "--ram", "hurt.ram").code == 0
    assert "0x41414141" in hartwell("frames", "0x80200000", "--ram", "hurt.ram").out
