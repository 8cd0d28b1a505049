"""Symbol tables: lookup both ways, what is left out, and damage."""

from __future__ import annotations

import struct
import time

import pytest

from emulator.loader import Image, Symbol, SymbolTable
from emulator.loader.elf import load_elf
from emulator.loader.elfsections import read_sections, section_data
from emulator.loader.symbols import SymbolKind

from .builders import Elf, Load, R, Sym, W

BASE = 0x8020_0000


def loaded(*symbols: Sym, loads: list[Load] | None = None) -> Image:
    return load_elf(Elf(loads or [Load(memsz=0x1000)], symbols=symbols).build(), "x.elf")


def test_exact_address_is_the_bare_name() -> None:
    assert SymbolTable([Symbol("main", 0x100)]).format(0x100) == "main"


def test_address_inside_is_name_plus_distance() -> None:
    assert SymbolTable([Symbol("main", 0x100), Symbol("next", 0x200)]).format(0x11C) == "main+0x1c"


def test_address_below_the_first_symbol_is_bare() -> None:
    assert SymbolTable([Symbol("main", 0x100)]).format(0xFF) == "0xff"


def test_empty_table_formats_the_address() -> None:
    assert SymbolTable().format(0x8000_0000) == "0x80000000"


def test_address_outside_the_image_has_no_symbol() -> None:
    table = loaded(Sym(b"main", BASE)).symbols
    assert table.format(BASE + 0xFFF) == "main+0xfff"
    assert table.format(BASE + 0x1000) == "0x80201000"


def test_symbol_does_not_reach_into_another_segment() -> None:
    loads = [Load(), Load(0x9000_0000, flags=R | W)]
    assert loaded(Sym(b"main", BASE), loads=loads).symbols.nearest(0x9000_0004) is None


def test_symbols_are_at_virtual_addresses() -> None:
    high = 0xFFFF_FFFF_8020_0000
    image = load_elf(Elf([Load(vaddr=high)], entry=high, symbols=[Sym(b"start", high)]).build(), "x")
    assert image.symbols.format(high + 2) == "start+0x2"
    assert image.symbols.format(image.linked_address(BASE + 2)) == "start+0x2"


@pytest.mark.parametrize("name", [b"$x", b"$d", b"$xrv64i2p1_m2p0", b".L12", b""])
def test_mapping_and_local_symbols_are_ignored(name: bytes) -> None:
    assert len(loaded(Sym(name, BASE)).symbols) == 0


@pytest.mark.parametrize("kind", [3, 4, 6], ids=["section", "file", "tls"])
def test_section_file_and_thread_symbols_are_ignored(kind: int) -> None:
    assert len(loaded(Sym(b"name", BASE, type=kind)).symbols) == 0


def test_undefined_symbols_are_ignored() -> None:
    assert loaded(Sym(b"extern", BASE, section=0)).symbols.find("extern") is None


def test_absolute_symbol_is_found_by_name_only() -> None:
    table = loaded(Sym(b"STACK_SIZE", 0x4000, type=0, section=0xFFF1)).symbols
    found = table.find("STACK_SIZE")
    assert found is not None and found.address == 0x4000
    assert table.nearest(0x4000) is None


def test_function_wins_over_a_label_at_its_address() -> None:
    symbols = [Sym(b"aaa", BASE, type=0), Sym(b"main", BASE, type=2), Sym(b"zzz", BASE, type=1)]
    assert loaded(*symbols).symbols.format(BASE) == "main"


def test_exported_name_wins_over_a_local_one() -> None:
    table = loaded(Sym(b"init", BASE, bind=0), Sym(b"init", BASE + 8, bind=1)).symbols
    found = table.find("init")
    assert found is not None and found.address == BASE + 8


@pytest.mark.parametrize("offsets", [(0, 8), (8, 0)])
def test_of_two_local_functions_of_one_name_the_lowest_is_found(offsets: tuple[int, int]) -> None:
    table = loaded(*[Sym(b"init", BASE + offset, bind=0) for offset in offsets]).symbols
    found = table.find("init")
    assert found is not None and found.address == BASE


def test_size_and_kind_are_kept() -> None:
    found = loaded(Sym(b"main", BASE, size=12)).symbols.find("main")
    assert found == Symbol("main", BASE, 12, SymbolKind.FUNC, True)


def test_stripped_file_has_no_symbols_and_no_problem() -> None:
    table = load_elf(Elf().build(), "x").symbols
    assert (len(table), table.problem) == (0, "")


def test_unended_name_is_a_problem_and_not_an_error() -> None:
    data = bytearray(Elf([Load()], symbols=[Sym(b"main", BASE)]).build())
    shoff = struct.unpack_from("<Q", data, 40)[0]
    size_at = shoff + 2 * 64 + 32  # sh_size of .strtab: cut the terminator off
    struct.pack_into("<Q", data, size_at, struct.unpack_from("<Q", data, size_at)[0] - 1)
    table = load_elf(bytes(data), "x").symbols
    assert len(table) == 0
    assert "does not end" in table.problem


def test_missing_string_table_is_a_problem() -> None:
    data = bytearray(Elf([Load()], symbols=[Sym(b"main", BASE)]).build())
    shoff = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<I", data, shoff + 64 + 40, 99)
    assert "string section, 99, is missing" in load_elf(bytes(data), "x").symbols.problem


def test_sections_are_found_by_name() -> None:
    data = Elf([Load()], symbols=[Sym(b"main", BASE)]).build()
    assert [section.name for section in read_sections(data)[0]] == ["", ".symtab", ".strtab", ".strtab"]
    assert section_data(data, ".strtab") == b"\0main\0"
    assert section_data(data, ".debug_info") is None


def test_names_that_share_an_endless_string_cost_little() -> None:
    """Each of 100,000 symbols starts one byte later in a string of 2 MB without an end."""
    elf = bytearray(Elf([Load()], symbols=[Sym(b"a" * 2_000_000, BASE), *[Sym(b"b", BASE)] * 100_000]).build())
    shoff = struct.unpack_from("<Q", elf, 40)[0]
    table = struct.unpack_from("<Q", elf, shoff + 64 + 24)[0]
    for n in range(1, 100_000):
        struct.pack_into("<I", elf, table + 24 * n, n)
    struct.pack_into("<Q", elf, shoff + 2 * 64 + 32, 2_000_000)  # sh_size of .strtab: no terminator
    begun = time.monotonic()
    assert "does not end" in load_elf(bytes(elf), "x").symbols.problem
    assert time.monotonic() - begun < 1


def test_names_that_share_one_long_string_are_bounded_in_memory() -> None:
    """Distinct tails of 4,000-byte strings would multiply a file's size by a thousand."""
    elf = bytearray(Elf([Load()], symbols=[*[Sym(b"a" * 4000, BASE)], *[Sym(b"", BASE)] * 4000]).build())
    shoff = struct.unpack_from("<Q", elf, 40)[0]
    table = struct.unpack_from("<Q", elf, shoff + 64 + 24)[0]
    for n in range(1, 4000):
        struct.pack_into("<I", elf, table + 24 * n, n)
    image = load_elf(bytes(elf), "x")
    assert "overlap" in image.symbols.problem
    assert sum(len(symbol.name) for symbol in image.symbols) < 5 * len(elf)
