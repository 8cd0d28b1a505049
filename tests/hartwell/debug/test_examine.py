"""Memory as `x` shows it, line for line what gdb shows of the same program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from emulator.errors import BusError
from emulator.loader.model import Image
from hartwell.debug.examine import Format, FormatError, examine, parse_format
from hartwell.debug.examineformat import FORMATS, MOST_UNITS, SIZES
from hartwell.debug.programs import Programs

from .cross import FOLDER, GCC, compiled, loaded, needs, output

NUMBERS = [f"{count}{format}{size}" for format in "xduotac" for size in "bhwg" for count in (1, 9)]
ASKED = [*(f"x/{fmt} &bytes" for fmt in NUMBERS), "x/64xb &bytes", "x/4a &pointers", "x/24c &bytes", "x &bytes",
         "x/s &text", "x/3s &bytes", "x/s &repeats", "x/s &repeats[9]", "x/2s &long_text", "x/2sh &wide",
         "x/-3xb &bytes[5]", "x/-2dg &bytes[16]", "x/3xw 0x10", "x/s 0x10", "x/2xb &pointers[4]"]


class Memory:
    """The memory of an image that does not run."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def read(self, address: int, size: int) -> bytes:
        for part in self.image.segments:
            if part.virtual <= address and address + size <= part.virtual + len(part.data):
                return part.data[address - part.virtual : address - part.virtual + size]
        raise BusError(f"nothing at {address:#x}")


def as_gdb_names(line: str) -> str:
    """`<name+0x1c>` as `<name+28>`."""
    return re.sub(r"\+0x([0-9a-f]+)>", lambda found: f"+{int(found[1], 16)}>", line)


@pytest.mark.cross
@needs(GCC, "gdb-multiarch")
def test_gdb_shows_the_same_lines(tmp_path: Path) -> None:
    path = compiled(tmp_path, ["-O1", "-g"], FOLDER / "memory.c")
    image = loaded(path)
    programs, memory = Programs([image]), Memory(image)
    for asked in ASKED:
        command, _, where = asked.partition(" ")
        told = output("bash", "-c", 'gdb-multiarch -nx -batch -ex "$1" "$2" 2>&1 || true', "-", asked, str(path))
        told = "".join(line for line in told.splitlines(True) if "index cache" not in line)
        found = re.fullmatch(r"&(\w+)(?:\[(\d+)\])?", where)
        scale = 8 if "pointers" in where else 1
        start = int(where, 16) if found is None else (programs.find(found[1]) or 0) + int(found[2] or 0) * scale
        wanted = parse_format(command[2:])
        lines = examine(memory.read, start, wanted.count, wanted.format, wanted.size, programs)
        shown = "\n".join(map(as_gdb_names, lines))
        if told.strip().endswith("Cannot access memory at address") or "&pointers[4]" in asked:
            told, shown = re.sub(r" <\w+\+?\w*>", "", told), re.sub(r" <\w+\+?\w*>", "", shown)
        assert shown == told.rstrip("\n"), asked


def test_instructions_are_shown_forwards_and_backwards() -> None:
    code = bytes.fromhex("13050000 0145 6ff0bfff".replace(" ", ""))

    def read(address: int, size: int) -> bytes:
        if not 0x1000 <= address <= 0x1000 + len(code) - size:
            raise BusError("no memory")
        return code[address - 0x1000 : address - 0x1000 + size]

    assert examine(read, 0x1000, 4, "i", "w", Programs()) == [
        "   0x1000:\tmv         a0, zero", "   0x1004:\tc.li       a0, 0", "   0x1006:\tj          0x1000",
        "   0x100a:\tCannot access memory at address 0x100a"]
    assert examine(read, 0x100A, -2, "i", "w", Programs()) == []  # without a symbol nobody knows where they begin


@pytest.mark.parametrize(("text", "last", "expected"), [
    ("", Format(7, "x", "w"), Format(1, "x", "w")), ("8xg", None, Format(8, "x", "g")),
    ("gx", None, Format(1, "x", "g")), ("s", None, Format(1, "s", "b")), ("4i", None, Format(4, "i", "w")),
    ("-3dh", None, Format(-3, "d", "h")), ("c", None, Format(1, "c", "b")), ("2cw", None, Format(2, "c", "w")),
    ("a", Format(1, "x", "b"), Format(1, "a", "g")),
    ("5", Format(1, "d", "h"), Format(5, "d", "h")), ("s", Format(1, "s", "h"), Format(1, "s", "h")),
    ("0x", None, Format(0, "x", "w")),
])
def test_formats_say_what_they_say_and_else_what_was_last(text: str, last: Format | None, expected: Format) -> None:
    assert (parse_format(text) if last is None else parse_format(text, last)) == expected


@pytest.mark.parametrize(("text", "what"), [
    ("q", "q is none of x"), ("x8", "expected a count, then letters"), ("-2s", "forwards only"), ("--1x", "expected"),
    (f"{MOST_UNITS + 1}x", "at most 65536"), ("9" * 5000 + "x", "at most"), ("é", "expected"), ("8 x", "expected")])
def test_what_is_no_format_is_refused(text: str, what: str) -> None:
    with pytest.raises(FormatError, match=what):
        parse_format(text)


@given(st.integers(-(1 << 64), 1 << 65), st.integers(-20, 20), st.sampled_from(sorted(FORMATS)),
       st.sampled_from(sorted(SIZES)), st.binary(max_size=64))
def test_any_memory_can_be_looked_at(address: int, count: int, format: str, size: str, data: bytes) -> None:
    def read(at: int, wanted: int) -> bytes:
        assert 0 <= at < 1 << 64
        if at % 4096 + wanted > len(data):
            raise BusError("no memory")
        return data[at % 4096 : at % 4096 + wanted]

    lines = examine(read, address, count, format, size, Programs())
    assert all(line.isprintable() or "\t" in line for line in lines) and len(lines) <= max(abs(count), 1)
