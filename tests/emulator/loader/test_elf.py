"""ELF files: what is loaded where, and what each malformed or foreign one is told."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from emulator.errors import ImageError
from emulator.loader import ImageKind
from emulator.loader.elf import MOST_SEGMENTS, load_elf

from .builders import CODE, Elf, Load, R, Sym, W

ROOT = Path(__file__).parents[3]
BUILT = sorted([*ROOT.glob("images/*/*.elf"), *ROOT.glob("firmware/*.elf")])


def refused(elf: Elf | bytes, *fragments: str) -> None:
    """The file is refused in one line that names it and contains every fragment."""
    with pytest.raises(ImageError) as caught:
        load_elf(elf if isinstance(elf, bytes) else elf.build(), "x.elf")
    text = str(caught.value)
    assert text.startswith("x.elf: ")
    assert "\n" not in text
    for fragment in fragments:
        assert fragment in text


def test_segment_goes_to_its_physical_address() -> None:
    image = load_elf(Elf().build(), "x.elf")
    (segment,) = image.segments
    assert (image.kind, image.entry) == (ImageKind.ELF, 0x8020_0000)
    assert (segment.address, segment.data, segment.size, segment.flags) == (0x8020_0000, CODE, 16, "r-x")


def test_bss_is_memory_beyond_the_data() -> None:
    image = load_elf(Elf([Load(memsz=0x1000)]).build(), "x.elf")
    assert image.segments[0].data == CODE
    assert image.end == 0x8020_1000


def test_segments_are_sorted_by_address() -> None:
    loads = [Load(0x8030_0000, flags=R | W), Load()]
    assert [s.address for s in load_elf(Elf(loads).build(), "x").segments] == [0x8020_0000, 0x8030_0000]


def test_empty_segments_and_other_types_are_not_loaded() -> None:
    loads = [Load(), Load(0x8020_0004, b"", 0), Load(0x8020_0000, type=0x7000_0003), Load(0, b"", type=0x6474_E551)]
    assert len(load_elf(Elf(loads).build(), "x").segments) == 1


def test_entry_of_a_higher_half_kernel_is_translated() -> None:
    high = 0xFFFF_FFFF_8020_0000
    image = load_elf(Elf([Load(vaddr=high)], entry=high + 8).build(), "x")
    assert image.entry == 0x8020_0008
    assert image.segments[0].virtual == high
    assert image.linked_address(0x8020_0004) == high + 4


def test_entry_that_is_physical_already_stays() -> None:
    assert load_elf(Elf([Load(vaddr=0xFFFF_FFFF_8020_0000)], entry=0x8020_0004).build(), "x").entry == 0x8020_0004


def test_last_segment_may_end_at_the_top_of_virtual_memory() -> None:
    top = (1 << 64) - 16
    assert load_elf(Elf([Load(vaddr=top)], entry=top).build(), "x").entry == 0x8020_0000


def test_position_independent_executable_is_loaded_where_it_was_linked() -> None:
    assert load_elf(Elf(type=3).build(), "x").start == 0x8020_0000


def test_position_independent_executable_at_zero_stays_at_zero() -> None:
    assert load_elf(Elf([Load(0)], entry=4, type=3).build(), "x").entry == 4


def test_program_for_a_dynamic_loader_is_refused() -> None:
    refused(Elf([Load(0), Load(0, b"/lib/ld.so\0", type=3)], entry=0, type=3), "PT_INTERP")


def test_every_prefix_is_refused() -> None:
    data = Elf([Load(), Load(0x8030_0000)]).build()
    for length in range(len(data)):
        refused(data[:length])


def test_truncated_header_is_said_so() -> None:
    refused(Elf().build()[:63], "ELF header at offset 0x3f", "64 bytes")


@pytest.mark.parametrize(
    ("elf", "fragments"),
    [
        (Elf(ident=b"\x7fELG\x02\x01\x01" + bytes(9)), ["magic at offset 0x0", "7f454c47"]),
        (Elf(ident=b"\x7fELF\x01\x01\x01" + bytes(9)), ["EI_CLASS at offset 0x4", "32-bit", "64-bit"]),
        (Elf(ident=b"\x7fELF\x02\x02\x01" + bytes(9)), ["EI_DATA at offset 0x5", "big-endian", "little-endian"]),
        (Elf(ident=b"\x7fELF\x02\x01\x00" + bytes(9)), ["EI_VERSION at offset 0x6", "found 0"]),
        (Elf(machine=62), ["e_machine at offset 0x12", "62 (X86_64)", "243 (RISC-V)"]),
        (Elf(machine=0xFFF0), ["e_machine", "found 65520"]),
        (Elf(type=1), ["e_type at offset 0x10", "relocatable"]),
        (Elf(type=4), ["e_type", "core dump"]),
        (Elf(type=0xFE00), ["e_type", "65024"]),
        (Elf(version=2), ["e_version at offset 0x14", "found 2"]),
        (Elf(flags=8), ["e_flags at offset 0x30", "RV64E"]),
        (Elf(phentsize=32), ["e_phentsize at offset 0x36", "found 32", "expected 56"]),
        (Elf(phnum=0), ["e_phnum at offset 0x38", "PT_LOAD"]),
        (Elf(phnum=0xFFFF), ["e_phnum", "extended"]),
        (Elf(phnum=0xFFFE), ["e_phoff at offset 0x20", "65534 program headers", "truncated"]),
        (Elf(phoff=1 << 63), ["e_phoff", "0x8000000000000000"]),
    ],
)
def test_foreign_header_names_the_field(elf: Elf, fragments: list[str]) -> None:
    refused(elf, *fragments)


def test_no_loadable_segment_is_refused() -> None:
    refused(Elf([Load(type=4)]), "no PT_LOAD", "1 program headers")


def test_only_empty_segments_are_refused() -> None:
    refused(Elf([Load(data=b"")]), "no PT_LOAD")


def test_memory_size_below_file_size_is_refused() -> None:
    refused(Elf([Load(memsz=8)]), "p_memsz at offset 0x68", "found 0x8", "0x10")


def test_segment_data_beyond_the_file_is_refused() -> None:
    refused(Elf([Load(filesz=17)]), "p_offset at offset 0x48", "0x11 bytes of segment at 0x78", "truncated")


def test_segment_offset_that_wraps_around_is_refused() -> None:
    refused(Elf([Load(offset=(1 << 64) - 8)]), "p_offset")


def test_overlapping_segments_are_refused() -> None:
    refused(
        Elf([Load(memsz=0x1001), Load(0x8020_1000, flags=R | W)]),
        "p_paddr at offset 0x90", "0x80201000..0x80201010", "0x80200000..0x80201001",
    )


def test_touching_segments_are_accepted() -> None:
    assert len(load_elf(Elf([Load(memsz=0x1000), Load(0x8020_1000)]).build(), "x").segments) == 2


def test_segment_inside_a_large_one_is_refused() -> None:
    refused(Elf([Load(memsz=0x10000), Load(0x8020_1000), Load(0x8020_8000)]), "overlapping")


@pytest.mark.parametrize("memsz", [(1 << 64) - 0x8020_0000, (1 << 64) - 1, 1 << 56])
def test_segment_that_reaches_beyond_56_bits_is_refused(memsz: int) -> None:
    refused(Elf([Load(memsz=memsz)]), "p_paddr", "2**56")


def test_physical_address_beyond_56_bits_is_refused() -> None:
    refused(Elf([Load(paddr=1 << 56)], entry=1 << 56), "p_paddr", "2**56")


def test_virtual_wrap_around_is_refused() -> None:
    top = (1 << 64) - 16
    refused(Elf([Load(vaddr=top, memsz=17)], entry=top), "p_vaddr at offset 0x50", "2**64")


def test_entry_outside_every_segment_is_refused() -> None:
    refused(Elf(entry=0x8020_0010), "e_entry at offset 0x18", "0x80200010", "0x80200000..0x80200010")


def test_entry_in_a_segment_without_code_is_refused() -> None:
    refused(Elf([Load(), Load(0x8030_0000, flags=R | W)], entry=0x8030_0000), "e_entry")


def test_odd_entry_is_refused() -> None:
    refused(Elf(entry=0x8020_0001), "e_entry", "even")


def test_many_segments_are_refused() -> None:
    loads = [Load(0x8020_0000 + 16 * n) for n in range(MOST_SEGMENTS + 1)]
    refused(Elf(loads), "257 PT_LOAD", "256")


def test_segments_that_share_a_large_file_are_refused() -> None:
    big = Load(data=CODE * 1000)
    shared = [Load(0x9000_0000 + n * 0x10_0000, b"", offset=64, filesz=16000) for n in range(100)]
    refused(Elf([big, *shared]), "twice the file")


def test_file_is_kept_for_debuggers() -> None:
    data = Elf().build()
    assert load_elf(data, "x").file is data


def test_symbols_are_not_read_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise AssertionError

    monkeypatch.setattr("emulator.loader.elf.read_symbols", fail)
    load_elf(Elf(symbols=[Sym(b"main", 0x8020_0000)]).build(), "x")


def test_damaged_section_table_does_not_keep_a_program_from_running() -> None:
    data = bytearray(Elf(symbols=[Sym(b"main", 0x8020_0000)]).build())
    struct.pack_into("<Q", data, 40, 1 << 60)
    image = load_elf(bytes(data), "x")
    assert len(image.symbols) == 0
    assert "beyond the end of the file" in image.symbols.problem


@pytest.mark.parametrize("path", BUILT, ids=lambda path: path.stem)
def test_built_images_load_and_name_their_entry(path: Path) -> None:
    image = load_elf(path.read_bytes(), path.name)
    assert image.symbols.problem == ""
    assert image.symbols.format(image.entry) == "_start"
    assert any("x" in s.flags and s.address <= image.entry < s.end for s in image.segments)


def test_most_program_headers_cost_little() -> None:
    begun = time.monotonic()
    refused(Elf([Load(data=b"")] * 65534), "65534 program headers")
    refused(Elf([Load(0x8020_0000 + 4 * n, b"", offset=0, filesz=4) for n in range(65534)]), "65534 PT_LOAD")
    assert time.monotonic() - begun < 5
