"""DWARF line tables: from addresses to lines of source files, and back.

A line program is run here rather than by pyelftools, which takes some 20 times as long and believes what
counts a header gives. Versions 2 to 5; work and memory are bounded by the size of the section.

Source: DWARF 5, section 6.2.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .dwarfsections import DwarfError, Reader, string_at

SECTION = ".debug_line"
LONGEST_TABLE = 1 << 22
"""Bytes of one table, each of which may be a row. Real ones, one per file that was compiled, have some thousands."""

_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _SET_COLUMN, _NEGATE_STMT = 1, 2, 3, 4, 5, 6
_CONST_ADD_PC, _FIXED_ADVANCE_PC = 8, 9
_END_SEQUENCE, _SET_ADDRESS, _DEFINE_FILE = 1, 2, 3
_PATH, _DIRECTORY_INDEX = 1, 2
_STRING, _LINE_STRP, _STRP, _UDATA, _SDATA, _BLOCK = 0x08, 0x1F, 0x0E, 0x0F, 0x0D, 0x09
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8}
_DATA16 = 0x1E
MASK = (1 << 64) - 1


class Row(NamedTuple):
    """From `address` to that of the next row, code is of line `line` (0: of none) of file number `file`.

    `statement` recommends the address for a breakpoint on the line.
    """

    address: int
    file: int
    line: int
    statement: bool


class _Run(NamedTuple):
    """A contiguous run of code, up to, not including, `high`: the row in force from each address on."""

    rows: list[Row]
    addresses: list[int]
    high: int


class LineTable:
    """The lines of one unit. `files` are their full names by number; `rows` are all that its program gives."""

    def __init__(self, files: Mapping[int, str], runs: list[tuple[list[Row], int]]) -> None:
        self.files = files
        self.rows = [row for rows, _ in runs for row in rows]
        self._runs = []
        for rows, high in sorted(runs, key=lambda run: run[0][0].address):
            effective = list({row.address: row for row in rows}.values())  # the last of each address is in force
            self._runs.append(_Run(effective, [row.address for row in effective], high))
        self._lows = [run.addresses[0] for run in self._runs]

    def find(self, address: int) -> tuple[Row, int, int] | None:
        """The row in force at `address`, and the addresses around it that are of the same line: low, high."""
        at = bisect_right(self._lows, address) - 1
        if at < 0 or address >= self._runs[at].high:
            return None
        rows, addresses, high = self._runs[at]
        first = bisect_right(addresses, address) - 1
        last = first + 1
        row = rows[first]
        while first > 0 and (rows[first - 1].file, rows[first - 1].line) == (row.file, row.line):
            first -= 1
        while last < len(rows) and (rows[last].file, rows[last].line) == (row.file, row.line):
            last += 1
        return row, addresses[first], addresses[last] if last < len(rows) else high


def read_line_table(sections: Mapping[str, tuple[int, bytes]], offset: int, directory: str,
                    covers: Callable[[int], bool]) -> LineTable:
    """The table at `offset` of .debug_line; DwarfError if it is damaged.

    `directory` is the unit's, to which names are relative. Runs of code whose address is not in the program
    (`covers`) are left out: linkers leave what they removed at address 0.
    """
    program = _Program(sections, offset, directory)
    return LineTable(program.files, [run for run in program.run() if covers(run[0][0].address)])


class _Program:
    """A line program: its header, and the machine that runs it."""

    def __init__(self, sections: Mapping[str, tuple[int, bytes]], offset: int, directory: str) -> None:
        _, data = sections.get(SECTION, (0, b""))
        if offset >= len(data):
            raise DwarfError(f"{SECTION} has no offset {offset:#x}")
        reader = self._reader = Reader(SECTION, data, offset)
        self._sections = sections
        length, self._offset_size = reader.length()
        if length > min(len(data) - reader.at, LONGEST_TABLE):
            raise reader.error(f"a table of {length} bytes: {len(data) - reader.at} are left, {LONGEST_TABLE} accepted")
        reader.end = reader.at + length
        version = reader.unsigned(2)
        if not 2 <= version <= 5:
            raise reader.error(f"a table of version {version}, expected 2 to 5")
        if version >= 5 and reader.take(2) != b"\x08\x00":
            raise reader.error("addresses that are not of 8 bytes, or in segments")
        start = reader.unsigned(self._offset_size)
        start += reader.at
        self._step = reader.unsigned(1)
        if version >= 4 and reader.unsigned(1) > 1:
            raise reader.error("several operations in an instruction, which RISC-V has not")
        self._statement = reader.unsigned(1) != 0
        self._line_base, self._line_range = reader.signed(1), reader.unsigned(1)
        self._opcode_base = reader.unsigned(1)
        if self._line_range == 0 or self._opcode_base == 0:
            raise reader.error("line_range or opcode_base is 0")
        self._arguments = b"\0" + reader.take(self._opcode_base - 1)
        self.files: dict[int, str] = {}
        if version >= 5:
            self._read_files(directory)
        else:
            self._read_old_files(directory)
        reader.at = start

    def _read_old_files(self, directory: str) -> None:
        reader, directories = self._reader, [directory]
        while name := reader.string():
            directories.append(posixpath.join(directory, name))
        self._directories = directories
        while name := reader.string():
            self._add_file(name)

    def _add_file(self, name: str) -> None:
        index = self._reader.uleb()
        self._reader.uleb(), self._reader.uleb()  # modification time and length
        self.files[len(self.files) + 1] = self._join(index, name)

    def _read_files(self, directory: str) -> None:
        directories = [entry.get(_PATH, "") for entry in self._entries()]
        base = str(directories[0]) if directories else directory  # the unit's own, said once more
        self._directories = [posixpath.join(base, str(name)) for name in directories[1:]]
        self._directories.insert(0, base)
        for number, entry in enumerate(self._entries()):
            self.files[number] = self._join(int(entry.get(_DIRECTORY_INDEX, 0)), str(entry.get(_PATH, "")))

    def _join(self, directory: int, name: str) -> str:
        return posixpath.normpath(posixpath.join(
            self._directories[directory] if directory < len(self._directories) else "", name))

    def _entries(self) -> list[dict[int, int | str]]:
        """The entries of a version 5 table of directories or files: content type to value."""
        reader = self._reader
        fields = [(reader.uleb(), reader.uleb()) for _ in range(reader.unsigned(1))]
        count = reader.uleb()
        if count > reader.end - reader.at or count and not fields:  # each has at least a byte
            raise reader.error(f"{count} files or directories, more than there is room for")
        return [{content: self._value(form) for content, form in fields} for _ in range(count)]

    def _value(self, form: int) -> int | str:
        reader = self._reader
        if form == _STRING:
            return reader.string()
        if form in (_LINE_STRP, _STRP):
            offset = reader.unsigned(self._offset_size)
            return string_at(self._sections, ".debug_line_str" if form == _LINE_STRP else ".debug_str", offset)
        if form in (_UDATA, _SDATA):
            return reader.uleb()
        if form in _FIXED:
            return reader.unsigned(_FIXED[form])
        if form in (_DATA16, _BLOCK):
            reader.take(16 if form == _DATA16 else reader.uleb())
            return 0
        raise reader.error(f"form {form:#x} in a table of files, expected one of DWARF 5's")

    def run(self) -> list[tuple[list[Row], int]]:
        """Run the program: runs of code, each its rows and the address behind it."""
        reader, base, span = self._reader, self._opcode_base, self._line_range
        data, end = reader.data, reader.end
        runs: list[tuple[list[Row], int]] = []
        rows: list[Row] = []
        address = 0
        file = line = 1
        statement = self._statement
        while reader.at < end:
            opcode = data[reader.at]
            reader.at += 1
            if opcode >= base:
                advance, lines = divmod(opcode - base, span)
                address += advance * self._step
                line += self._line_base + lines
                rows.append(Row(address & MASK, file, line, statement))
            elif opcode == 0:
                length = reader.uleb()
                next_at = reader.at + length
                kind = reader.unsigned(1)
                if kind == _END_SEQUENCE:
                    rows.sort(key=lambda row: row.address)  # they are, but in damaged ones
                    if rows and rows[-1].address <= address & MASK:
                        runs.append((rows, address & MASK))
                    rows, address, file, line, statement = [], 0, 1, 1, self._statement
                elif kind == _SET_ADDRESS:
                    address = reader.unsigned(8)
                elif kind == _DEFINE_FILE:
                    self._add_file(reader.string())
                reader.at = next_at
            elif opcode == _COPY:
                rows.append(Row(address & MASK, file, line, statement))
            elif opcode == _ADVANCE_PC:
                address += reader.uleb() * self._step
            elif opcode == _ADVANCE_LINE:
                line += reader.sleb()
            elif opcode == _SET_FILE:
                file = reader.uleb()
            elif opcode == _NEGATE_STMT:
                statement = not statement
            elif opcode == _CONST_ADD_PC:
                address += (255 - base) // span * self._step
            elif opcode == _FIXED_ADVANCE_PC:
                address += reader.unsigned(2)
            else:
                for _ in range(self._arguments[opcode]):
                    reader.uleb()
        return runs
