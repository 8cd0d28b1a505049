"""Symbols, functions and source lines, compared with what binutils, LLVM and gdb say of the same programs."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from emulator.loader.elfsections import read_sections
from emulator.loader.model import Image
from hartwell.debug.programs import Function, Programs
from tests.helpers.machines import FIRMWARE, IMAGES, ROOT, load

from .cross import FOLDER, GCC, compiled, instruction_addresses, loaded, needs, output

ADDR2LINE = "riscv64-unknown-elf-addr2line"
OBJDUMP = "riscv64-unknown-elf-objdump"
SOURCE = FOLDER / "calls.c"
COMMITTED = [FIRMWARE, IMAGES / "sbi-selftest" / "sbi-selftest.elf", IMAGES / "mhello" / "mhello.elf"]
DWARF = [f"-gdwarf-{version}" for version in (2, 3, 4, 5)]


def shown(programs: Programs, address: int) -> str:
    """`file:line` as addr2line writes it; a line number that it does not know is no line."""
    line = programs.line(address)
    return "??" if line is None else f"{line.file}:{line.line}"


# --- symbols ------------------------------------------------------------------------------------------------------


def test_names_of_all_images_are_known_and_addresses_have_names() -> None:
    programs = Programs([load(FIRMWARE), load(IMAGES / "hello" / "hello.elf")])
    main, handle = programs.find("main"), programs.find("trap_handle")
    assert main is not None and handle is not None
    assert programs.format(main) == "main" and programs.format(handle + 0x1c) == "trap_handle+0x1c"
    assert programs.format(0x1234) == "0x1234" and programs.find("nobody") is None
    assert programs.symbols.find("trap_handle") is not None
    assert [image.name for image in programs.images] == ["hartwell-sbi.elf", "hello.elf"]
    found = programs.image_at(main)
    assert found is not None and found.name == "hello.elf"


def test_a_physical_address_of_a_higher_half_kernel_has_the_names_of_the_link() -> None:
    kernel = load(ROOT / "kernel" / "text" / "kernel.elf", 0x8020_0000)
    programs = Programs([load(FIRMWARE), kernel])
    vector, second = (kernel.symbols.find(name) for name in ("trap_vector", "secondary_start"))
    assert vector is not None and second is not None
    linked = vector.address + 4
    physical = linked - 0xFFFF_FFFF_0000_0000
    assert programs.format(physical) == "trap_vector+0x4" == programs.format(linked)
    assert programs.linked(physical) == linked and programs.linked(0x8000_0000) == 0x8000_0000
    assert programs.find("secondary_start") == second.address
    assert programs.function(physical) == programs.function(linked)


def test_an_image_may_be_added_later() -> None:
    programs = Programs([load(FIRMWARE)])
    assert programs.find("main") is None
    programs.add(load(IMAGES / "hello" / "hello.elf"))
    assert programs.find("main") is not None and programs.format(programs.find("main") or 0) == "main"


def test_without_images_there_is_nothing_and_nothing_raises() -> None:
    programs = Programs()
    assert programs.format(0x1000) == "0x1000" and programs.function(0x1000) is None and programs.line(0x1000) is None
    assert programs.addresses_of("a.c", 1) == [] and programs.source("a.c", 1, 5) == [] and programs.problem == ""
    assert programs.line_range(0x1000) is None and programs.frame_rules(0x1000) is None and programs.files() == []


# --- functions ----------------------------------------------------------------------------------------------------


@pytest.mark.cross
@needs(GCC, OBJDUMP)
def test_functions_are_those_of_the_symbol_table_and_without_one_those_of_dwarf(tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O2", "-g"])
    sizes = {name: (int(at, 16), int(at, 16) + int(size, 16)) for at, size, name in re.findall(
        r"^([0-9a-f]+) g +F \S+\t([0-9a-f]+) (\w+)", output(OBJDUMP, "-t", str(path)), re.M)}
    assert {"leaf", "early", "large", "dynamic", "down", "tail", "main"} <= set(sizes)
    image = loaded(path)
    stripped = loaded_without_symbols(image)
    assert len(stripped.symbols) == 0
    for programs in (Programs([image]), Programs([stripped])):
        for name, (low, high) in sizes.items():
            assert programs.function(low) == programs.function(high - 1) == Function(name, low, high)
    start = Programs([image]).function(0x8000_0004)
    assert start is not None and start.name == "_start" and start.low == 0x8000_0000  # no size: to the next symbol
    assert Programs([stripped]).function(0x8000_0004) is None


def loaded_without_symbols(image: Image) -> Image:
    """The image of the same file with its symbol table turned into a section of no kind."""
    data = bytearray(image.file)
    shoff = int.from_bytes(data[40:48], "little")
    for index, section in enumerate(read_sections(image.file)[0]):
        if section.name == ".symtab":
            data[shoff + 64 * index + 4] = 1
    from emulator.loader.detect import load_image

    return load_image(bytes(data), image.name, 0)


# --- lines --------------------------------------------------------------------------------------------------------


@pytest.mark.cross
@needs(GCC, ADDR2LINE)
@pytest.mark.parametrize("dwarf", DWARF)
@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_addr2line_gives_every_instruction_the_same_line(optimize: str, dwarf: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, [optimize, dwarf])
    programs, addresses = Programs([loaded(path)]), instruction_addresses(path)
    told = output(ADDR2LINE, "-e", str(path), text="\n".join(map(hex, addresses))).splitlines()
    theirs = ["??" if line.endswith((":?", ":0")) else line.split(" (")[0] for line in told]
    assert len(addresses) > 100 and sum(line != "??" for line in theirs) > 100
    assert [shown(programs, address) for address in addresses] == theirs
    assert programs.problem == ""


@pytest.mark.cross
@needs(GCC, "riscv64-unknown-elf-objcopy")
@pytest.mark.parametrize("dwarf", DWARF)
def test_lines_are_found_without_a_table_of_address_ranges(dwarf: str, tmp_path: Path) -> None:
    """As in what clang compiles."""
    path = compiled(tmp_path, ["-O2", dwarf])
    whole, addresses = Programs([loaded(path)]), instruction_addresses(path)
    output("riscv64-unknown-elf-objcopy", "--remove-section", ".debug_aranges", str(path))
    programs = Programs([loaded(path)])
    assert [shown(programs, at) for at in addresses] == [shown(whole, at) for at in addresses]
    assert len({shown(programs, at) for at in addresses}) > 20 and programs.problem == ""


@needs("llvm-symbolizer", OBJDUMP)
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_llvm_gives_every_instruction_of_our_images_the_same_line(path: Path) -> None:
    programs, addresses = Programs([load(path)]), instruction_addresses(path)
    told = output("llvm-symbolizer", "--no-inlines", "--functions=none", "--output-style=GNU", "-e", str(path),
                  text="\n".join(map(hex, addresses))).splitlines()
    theirs = [line.split(" (")[0] for line in told if line]
    assert len(theirs) == len(addresses)
    for address, line in zip(addresses, theirs, strict=True):
        ours = shown(programs, address)
        assert line.endswith((":0", ":?", "??")) if ours == "??" else line.endswith(ours), (hex(address), ours, line)


@pytest.mark.cross
@needs(GCC, "gdb-multiarch")
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
def test_gdb_breaks_at_the_same_addresses_for_a_line(dwarf: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O0", dwarf])
    programs = Programs([loaded(path)])
    for number, text in enumerate(SOURCE.read_text().splitlines(), 1):
        told = output("gdb-multiarch", "-nx", "-batch", "-ex", f"info line calls.c:{number}", str(path)) \
            if text.startswith("    ") and text.endswith(";") else ""
        found = re.search(r"starts at address 0x([0-9a-f]+)", told)
        if found:
            assert int(found[1], 16) in programs.addresses_of("calls.c", number), text


@pytest.mark.cross
@needs(GCC)
def test_a_line_has_one_place_per_function_and_a_line_without_code_is_the_next_one(tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O0", "-g"])
    programs, lines = Programs([loaded(path)]), SOURCE.read_text().splitlines()
    body = lines.index("    sink = leaf(a);") + 1
    assert len(programs.addresses_of("calls.c", body)) == 1
    address = programs.addresses_of("calls.c", body)[0]
    line = programs.line(address)
    assert line is not None and (line.line, line.text) == (body, "    sink = leaf(a);")
    assert line.file == str(SOURCE) and programs.files() == [str(SOURCE)]
    around = programs.line_range(address)
    assert around is not None and around.start == address
    assert {shown(programs, at) for at in around} == {f"{SOURCE}:{body}"}
    assert shown(programs, around.stop) != f"{SOURCE}:{body}"
    comment = 1
    assert programs.addresses_of("calls.c", comment) == [programs.find("leaf")]
    assert programs.addresses_of("debug/calls.c", body) == [address] == programs.addresses_of(str(SOURCE), body)
    assert programs.addresses_of("ls.c", body) == [] == programs.addresses_of("calls.c", 10_000)


def test_lines_of_inlined_code_are_in_every_function_that_has_it() -> None:
    programs = Programs([load(IMAGES / "sbi-selftest" / "sbi-selftest.elf")])
    number = next(number for number, text in enumerate((IMAGES / "common" / "sbi.h").read_text().splitlines(), 1)
                  if "ecall" in text)
    places = programs.addresses_of("sbi.h", number)
    functions = {programs.function(place) for place in places}
    assert len(places) == len(functions) > 3


# --- source files -------------------------------------------------------------------------------------------------


def test_the_sources_of_our_own_programs_are_found() -> None:
    programs = Programs([load(FIRMWARE), load(IMAGES / "hello" / "hello.elf")])
    line = programs.line(programs.find("main") or 0)
    assert line is not None and line.file == "images/hello/hello.c" and line.text is not None
    assert [part.text for part in programs.source("hello.c", line.line, line.line)] == [line.text]
    assert programs.source("trap.S", 1, 1)[0].text == "/* SPDX-License-Identifier: MIT */"
    assert [part.line for part in programs.source("hello.c", -5, 2)] == [1, 2]
    assert programs.source("hello.c", 10_000, 10_001) == []


@pytest.mark.cross
@needs(GCC)
def test_a_source_file_is_looked_for_where_the_user_says_and_beside_the_program(tmp_path: Path) -> None:
    source = tmp_path / "work" / "src" / "moved.c"
    source.parent.mkdir(parents=True)
    source.write_text("int _start(void)\n{\n    return 7;\n}\n")
    path = compiled(tmp_path, ["-g"], source)
    image = loaded(path)

    def text(programs: Programs) -> str | None:
        line = programs.line(programs.addresses_of("moved.c", 3)[0])
        assert line is not None and line.line == 3
        return line.text

    assert text(Programs([image])) == "    return 7;"
    moved = tmp_path / "elsewhere" / "src"
    moved.mkdir(parents=True)
    source.rename(moved / "moved.c")
    assert text(Programs([image])) is None
    assert text(Programs([image], [tmp_path / "elsewhere"])) == "    return 7;"
    assert text(Programs([image], [moved])) == "    return 7;"
    programs = Programs([image])
    programs.directories = (moved,)
    assert text(programs) == "    return 7;"

    here = tmp_path / "relative"
    (here / "src").mkdir(parents=True)
    (here / "src" / "near.c").write_text("int _start(void)\n{\n    return 8;\n}\n")
    relative = compiled(here, ["-g", f"-ffile-prefix-map={here}=."], here / "src" / "near.c")
    near = Programs([loaded(relative)])
    line = near.line(near.addresses_of("near.c", 3)[0])
    assert line is not None and line.text == "    return 8;"


def test_what_is_no_readable_file_is_no_source(tmp_path: Path) -> None:
    programs = Programs([load(IMAGES / "hello" / "hello.elf")], [tmp_path])
    (tmp_path / "hello.c").mkdir()
    assert programs.source("hello.c", 1, 1)[0].text is not None  # the folder is passed over
    (tmp_path / "print.c").write_bytes(b"\xff\xfe\n")
    assert programs.source("print.c", 1, 1)[0].text == "\ufffd\ufffd"


# --- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.cross
@needs(GCC)
@pytest.mark.parametrize("dwarf", ["-gdwarf-4", "-gdwarf-5"])
@pytest.mark.parametrize("section", [".debug_info", ".debug_abbrev", ".debug_line", ".debug_aranges", ".debug_str"])
def test_damaged_debug_information_never_raises_and_is_reported(dwarf: str, section: str, tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O2", dwarf])
    good, random = loaded(path), Random(7)
    where = {part.name: part for part in read_sections(good.file)[0]}[section]
    addresses = instruction_addresses(path)[::9]
    began, problems = time.monotonic(), 0
    for attempt in range(60):
        data = bytearray(good.file)
        for _ in range(random.randint(1, 8)):
            data[where.offset + random.randrange(where.size)] = random.choice((0, 0xFF, 0x7F, random.randrange(256)))
        if attempt == 0:  # numbers that never end, sizes beyond all bounds
            data[where.offset : where.offset + where.size] = b"\xff" * where.size
        programs = Programs([loaded_with(good, bytes(data))])
        for address in addresses:
            programs.line(address)
            programs.function(address)
        programs.addresses_of("calls.c", 20)
        assert "\n" not in programs.problem
        problems += programs.problem != ""
    assert time.monotonic() - began < 60
    assert problems > 0 or section == ".debug_str"  # other letters are letters, too


def loaded_with(image: Image, data: bytes) -> Image:
    """The image with another file behind its debug information, and no symbols."""
    return replace(image, file=data)


@pytest.mark.cross
@needs(GCC, "riscv64-unknown-elf-objcopy")
def test_compressed_debug_information_is_read_and_a_lie_about_its_size_is_not_believed(tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O0", "-g"])
    plain = Programs([loaded(path)])
    output("riscv64-unknown-elf-objcopy", "--compress-debug-sections=zlib-gabi", str(path))
    image = loaded(path)
    packed = Programs([image])
    main = plain.find("main") or 0
    assert shown(packed, main) == shown(plain, main) != "??"
    line = {part.name: part for part in read_sections(image.file)[0]}[".debug_info"]
    assert line.compressed
    for size in (1 << 40, 7):
        data = bytearray(image.file)
        data[line.offset + 8 : line.offset + 16] = size.to_bytes(8, "little")
        lying = Programs([replace(image, file=bytes(data))])
        assert lying.line(main) is None and ".debug_info" in lying.problem


@pytest.mark.cross
@needs(GCC, "riscv64-unknown-elf-objcopy")
@pytest.mark.parametrize("attributes", [b"\x81\x40\x21\x00" * 8_000, b"\x03" + b"\x80" * 100_000],
                         ids=["many", "endless"])
def test_debug_information_made_to_keep_a_reader_busy_is_given_up(attributes: bytes, tmp_path: Path) -> None:
    """8,000 entries of a byte each, with 8,000 attributes that take none; a number of 100,000 bytes."""
    path = compiled(tmp_path, ["-O0", "-gdwarf-5"])
    (tmp_path / "abbrev").write_bytes(b"\x01\x2e\x00" + attributes + b"\x00\x00\x00")
    entries = b"\x01" * 8_000
    unit = (5).to_bytes(2, "little") + b"\x01\x08" + bytes(4) + entries
    (tmp_path / "info").write_bytes(len(unit).to_bytes(4, "little") + unit)
    output("riscv64-unknown-elf-objcopy", "--update-section", f".debug_abbrev={tmp_path}/abbrev",
           "--update-section", f".debug_info={tmp_path}/info", str(path))
    image = loaded(path)
    programs, began = Programs([loaded_without_symbols(image)]), time.monotonic()
    assert programs.function(image.entry + 0x60) is None
    assert "damaged" in programs.problem
    assert time.monotonic() - began < 60
