"""The debug information of one image: which unit an address is of, its source lines, its functions.

Everything is read when first asked for, a unit at a time. Damaged debug information never raises, and is no
debug information; `problem` says what was found first. Versions 2 to 5, in 32- and 64-bit format.

Source: DWARF 5. pyelftools reads units and entries; it trusts what it reads, hence `_Metered`.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .callframe import CallFrames
from .dwarfsections import DwarfError, Reader, debug_sections
from .linetable import LineTable, read_line_table

READS_PER_BYTE = 8
"""What reading all of the debug information once or twice comes to; damage that costs more is given up."""
LONGEST_LEB128 = 64
_MOST_REFERENCES = 8
_RANGES = ".debug_aranges"


@dataclass(frozen=True)
class Unit:
    """A compilation unit: `directory` is where it was compiled, `lines` the offset of its line table, if any."""

    offset: int
    directory: str
    lines: int | None
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Subprogram:
    """A function with code of its own, from `low` up to, not including, `high`."""

    name: str
    low: int
    high: int


class DebugInfo:
    """The debug information in the ELF file `data`; `covers` tells the addresses that are in the program."""

    def __init__(self, data: bytes, covers: Callable[[int], bool]) -> None:
        self._data = data
        self._covers = covers
        self._problem = ""
        self._tables: dict[int, LineTable] = {}
        self._units: dict[int, Unit] = {}
        self._subprograms: dict[int, list[Subprogram]] = {}

    @property
    def problem(self) -> str:
        """One line on what of the debug information, as far as it was read, is damaged; empty when all is well."""
        return self._problem

    @cached_property
    def sections(self) -> dict[str, tuple[int, bytes]]:
        """Address and contents of the sections that hold it."""
        sections, self._problem = debug_sections(self._data)
        return sections

    def unit_at(self, address: int) -> Unit | None:
        """The unit that the code at `address` is of."""
        offset = self._in_table(address)
        if offset is not None:
            return self._unit(offset)
        return next((unit for unit in self.units if any(low <= address < high for low, high in unit.ranges)), None)

    @cached_property
    def units(self) -> list[Unit]:
        """All units, in the order of the file."""
        units: list[Unit] = []
        with self._reporting():
            for unit in self._dwarf.iter_CUs() if self._dwarf is not None else ():
                known = self._unit(unit.cu_offset)
                if known is not None:
                    units.append(known)
        return units

    def lines(self, unit: Unit) -> LineTable:
        """The unit's line table; empty if it has none."""
        if unit.offset not in self._tables:
            table = LineTable({}, [])
            if unit.lines is not None:
                with self._reporting():
                    table = read_line_table(self.sections, unit.lines, unit.directory, self._covers)
            self._tables[unit.offset] = table
        return self._tables[unit.offset]

    def subprogram(self, address: int) -> Subprogram | None:
        """The function that the code at `address` is of."""
        unit = self.unit_at(address)
        if unit is None:
            return None
        if unit.offset not in self._subprograms:
            known: list[Subprogram] = []
            with self._reporting():
                known.extend(self._read_subprograms(unit))
            self._subprograms[unit.offset] = known
        return next((one for one in self._subprograms[unit.offset] if one.low <= address < one.high), None)

    @cached_property
    def frames(self) -> CallFrames:
        """How to find callers."""
        return CallFrames(self.sections, self._report)

    # --- how pyelftools is asked --------------------------------------------------------------------------

    @cached_property
    def _meter(self) -> _Meter:
        return _Meter(READS_PER_BYTE * sum(len(contents) for _, contents in self.sections.values()) + (1 << 16))

    @cached_property
    def _dwarf(self) -> Any | None:
        """pyelftools' view of the sections; None without debug information."""
        if ".debug_info" not in self.sections or ".debug_abbrev" not in self.sections:
            return None
        from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

        names = ("info aranges abbrev frame str loc ranges line pubtypes pubnames addr str_offsets line_str loclists "
                 "rnglists sup types").split()
        given = {f"debug_{name}_sec": None for name in names}
        for name in names:
            if f".debug_{name}" in self.sections:
                address, contents = self.sections[f".debug_{name}"]
                given[f"debug_{name}_sec"] = DebugSectionDescriptor(
                    _Metered(contents, self._meter), f".debug_{name}", 0, len(contents), address)
        return DWARFInfo(DwarfConfig(True, "RISC-V", 8), eh_frame_sec=None, gnu_debugaltlink_sec=None, **given)

    @cached_property
    def _ranges_by_address(self) -> tuple[list[int], list[tuple[int, int, int]]]:
        """.debug_aranges: low, high and the unit's offset, ascending, and all lows."""
        found: list[tuple[int, int, int]] = []
        if _RANGES in self.sections and self._dwarf is not None:
            with self._reporting():
                found = sorted(entry for entry in _ranges(self.sections[_RANGES][1]) if self._covers(entry[0]))
        return [low for low, _, _ in found], found

    def _in_table(self, address: int) -> int | None:
        lows, ranges = self._ranges_by_address
        at = bisect_right(lows, address) - 1
        return ranges[at][2] if at >= 0 and address < ranges[at][1] else None

    def _unit(self, offset: int) -> Unit | None:
        if offset not in self._units:
            with self._reporting():
                self._units[offset] = self._read_unit(offset)
        return self._units.get(offset)

    def _read_unit(self, offset: int) -> Unit:
        assert self._dwarf is not None
        top = self._dwarf.get_CU_at(offset).get_top_DIE()
        lines = top.attributes.get("DW_AT_stmt_list")
        return Unit(offset, _text(top, "DW_AT_comp_dir"), lines.value if lines is not None else None,
                    tuple(self._code(top)))

    def _code(self, entry: Any) -> Iterator[tuple[int, int]]:
        """The ranges of addresses of a unit or function."""
        attributes = entry.attributes
        low, high = attributes.get("DW_AT_low_pc"), attributes.get("DW_AT_high_pc")
        base = low.value if low is not None else 0
        if low is not None and high is not None:
            yield base, high.value if high.form.startswith("DW_FORM_addr") else base + high.value
        elif "DW_AT_ranges" in attributes:
            assert self._dwarf is not None
            for part in self._dwarf.range_lists().get_range_list_at_offset(attributes["DW_AT_ranges"].value, entry.cu):
                if hasattr(part, "base_address"):
                    base = part.base_address
                else:
                    shift = 0 if part.is_absolute else base
                    yield part.begin_offset + shift, part.end_offset + shift

    def _read_subprograms(self, unit: Unit) -> Iterator[Subprogram]:
        from elftools.dwarf.die import DIE

        assert self._dwarf is not None
        whole = self._dwarf.get_CU_at(unit.offset)
        whole.get_top_DIE()
        at, end = whole.cu_die_offset, min(whole.cu_offset + whole.size, self._dwarf.debug_info_sec.size)
        while at < end:  # one after the other, for siblings named by damaged entries may go in circles
            entry = DIE(whole, self._dwarf.debug_info_sec.stream, at)
            at += entry.size
            if not entry.is_null():  # attributes may take no byte of the entry, and be many
                self._meter.spend(len(whole.get_abbrev_table().get_abbrev(entry.abbrev_code)["attr_spec"]))
            if entry.tag == "DW_TAG_subprogram":
                for low, high in self._code(entry):
                    if low < high and self._covers(low):
                        yield Subprogram(_name(entry), low, high)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Whatever pyelftools makes of damaged debug information becomes `problem`."""
        try:
            yield
        except DwarfError as error:
            self._report(str(error))
        except Exception as error:  # ELFParseError, KeyError, AssertionError, OverflowError, ...
            what = str(error).splitlines()[0][:200] if str(error) else ""
            self._report(f"the debug information is damaged ({type(error).__name__}{': ' + what if what else ''})")

    def _report(self, problem: str) -> None:
        self._problem = self._problem or problem


def _ranges(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The entries of .debug_aranges: low, high and the unit's offset. Source: DWARF 5, section 6.1.2."""
    reader = Reader(_RANGES, data, 0)
    while reader.at < len(data):
        start = reader.at
        length, offset_size = reader.length()
        end = reader.at + length
        if end > len(data) or reader.unsigned(2) != 2:
            raise reader.error("a table that does not end in the section, or is not of version 2")
        unit = reader.unsigned(offset_size)
        if reader.take(2) != b"\x08\x00":
            raise reader.error("addresses that are not of 8 bytes, or in segments")
        reader.take(-(reader.at - start) % 16)
        while reader.at + 16 <= end:
            low, size = reader.unsigned(8), reader.unsigned(8)
            if size:
                yield low, low + size, unit
        reader.at = end


def _text(entry: Any, attribute: str) -> str:
    value = entry.attributes[attribute].value if attribute in entry.attributes else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _name(entry: Any) -> str:
    """A function's name, which inlined, cloned and member functions have in the entry that they refer to."""
    for _ in range(_MOST_REFERENCES):
        if "DW_AT_name" in entry.attributes:
            return _text(entry, "DW_AT_name")
        link = next((name for name in ("DW_AT_abstract_origin", "DW_AT_specification") if name in entry.attributes), "")
        if not link:
            break
        entry = entry.get_DIE_from_attribute(link)
    return ""


@dataclass
class _Meter:
    """What may still be read."""

    left: int

    def spend(self, reads: int) -> None:
        """Count some; DwarfError if that is too much."""
        self.left -= reads
        if self.left < 0:
            raise DwarfError("the debug information is damaged: it says the same over and over")


class _Metered(io.BytesIO):
    """A section that stops being read when all of them have been read often enough, or a number does not end."""

    def __init__(self, contents: bytes, meter: _Meter) -> None:
        super().__init__(contents)
        self._meter = meter
        self._continued = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As BytesIO.read; DwarfError instead of reading for ever."""
        self._meter.spend(1)
        data = super().read(size)
        self._continued = self._continued + 1 if size == 1 and data >= b"\x80" else 0
        if self._continued > LONGEST_LEB128:
            raise DwarfError("the debug information is damaged: a number in it does not end")
        return data
