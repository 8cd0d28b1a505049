"""The programs on a machine, for whoever debugs it: symbols, functions and source lines of all of them.

        address --linked--> symbol, function, source line        name, file:line --> address as linked

Before a higher-half kernel has turned its MMU on, its pc is physical and its symbols are not: what takes an
address here takes both. What gives one gives it as linked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emulator.loader.model import Image, ImageKind
from emulator.loader.symbols import Symbol, SymbolKind, SymbolTable

from .callframe import FrameRules
from .dwarf import DebugInfo
from .linetable import LineTable, Row
from .sources import SourceFiles


@dataclass(frozen=True)
class Function:
    """A function: its name, and its addresses as linked, from `low` up to, not including, `high`."""

    name: str
    low: int
    high: int


@dataclass(frozen=True)
class SourceLine:
    """Line `line` (from 1) of `file`, as debug information calls it; `text` is the line itself without its end, None
    if the file was not found."""

    file: str
    line: int
    text: str | None = None


class Programs:
    """Firmware, kernel and what else runs: `images` now, more by `add` (a user's `symbol-file`).

    `directories` are where to look for source files first; see `sources`. Damaged debug information is none, see
    `problem`; nothing here raises.
    """

    def __init__(self, images: Sequence[Image] = (), directories: Sequence[Path] = ()) -> None:
        self._programs: list[_Program] = []
        self._symbols: SymbolTable | None = None
        self._sources = SourceFiles(directories)
        for image in images:
            self.add(image)

    def add(self, image: Image) -> None:
        """Know `image`, too; where lines or functions of two images clash, what was added last wins."""
        self._programs.append(_Program(image))
        self._symbols = None

    @property
    def images(self) -> tuple[Image, ...]:
        """All images, in the order in which they were added."""
        return tuple(program.image for program in self._programs)

    @property
    def directories(self) -> tuple[Path, ...]:
        """Where the user wants source files to be looked for."""
        return self._sources.directories

    @directories.setter
    def directories(self, directories: Sequence[Path]) -> None:
        self._sources = SourceFiles(directories)

    @property
    def problem(self) -> str:
        """One line on what of the symbols and debug information, as far as it was read, is damaged; else empty."""
        for program in self._programs:
            problem = program.image.symbols.problem or program.debug.problem
            if problem:
                return f"{program.image.name}: {problem}"
        return ""

    @property
    def symbols(self) -> SymbolTable:
        """The symbols of all images in one table."""
        if self._symbols is None:
            self._symbols = SymbolTable(
                [symbol for image in self.images for symbol in image.symbols],
                [(part.virtual, part.virtual + part.size) for image in self.images for part in image.segments])
        return self._symbols

    def find(self, name: str) -> int | None:
        """The address of symbol `name`, as linked."""
        symbol = self.symbol(name)
        return symbol.address if symbol is not None else None

    def symbol(self, name: str) -> Symbol | None:
        """The symbol called `name`, constants such as `STACK_SIZE = 0x4000` included; of two images, the first's."""
        return next((found for image in self.images if (found := image.symbols.find(name)) is not None), None)

    def image_at(self, address: int) -> Image | None:
        """The image that has `address`, as linked or physical, in one of its segments."""
        program = self._at(self.linked(address))
        return program.image if program is not None else None

    def linked(self, address: int) -> int:
        """`address` as linked, if it is a physical address of an image linked elsewhere; `address` otherwise."""
        if self._at(address) is not None:
            return address
        for image in self.images:
            linked = image.linked_address(address)
            if linked != address:
                return linked
        return address

    def format(self, address: int) -> str:
        """`name`, `name+0x1c`, or the bare address in hex; a physical address of a higher-half image is named, too."""
        linked = self.linked(address)
        name = self.symbols.format(linked)
        return name if self.symbols.nearest(linked) is not None else f"{address:#x}"

    def function(self, address: int) -> Function | None:
        """The function around `address`: a sized symbol, else what DWARF says, else from a symbol up to the next."""
        address = self.linked(address)
        program = self._at(address)
        if program is None:
            return None
        found = program.image.symbols.nearest(address)
        if found is not None and found[1] < found[0].size:
            return Function(found[0].name, found[0].address, found[0].address + found[0].size)
        known = program.debug.subprogram(address)
        if known is not None:
            return Function(known.name, known.low, known.high)
        if found is None or found[0].kind is SymbolKind.OBJECT:
            return None
        return Function(found[0].name, found[0].address, program.end_of(found[0]))

    def line(self, address: int) -> SourceLine | None:
        """The source line that the instruction at `address` was compiled from."""
        found = self._row(address)
        if found is None:
            return None
        program, table, row, _, _ = found
        return self._source_line(program, table.files[row.file], row.line)

    def line_range(self, address: int) -> range | None:
        """The addresses around `address`, as linked, that are of one source line: what `step` goes on through."""
        found = self._row(address)
        return range(found[3], found[4]) if found is not None else None

    def addresses_of(self, file: str, line: int) -> list[int]:
        """Where to break for `file:line`: where its code begins, once in each function, ascending; empty if nowhere.

        A line without code stands for the next one that has some. `file` is a path's end: `trap.c`, `src/trap.c`.
        """
        found: dict[int, list[int]] = {}
        for program in self._programs:
            for table in program.tables():
                numbers = {number for number, name in table.files.items() if _ends_with(name, file)}
                if numbers:
                    for row in table.rows:
                        if row.file in numbers and row.line >= line and row.statement:
                            found.setdefault(row.line, []).append(row.address)
        if not found:
            return []
        lowest: dict[int, int] = {}
        for address in sorted(set(found[min(found)])):
            function = self.function(address)
            lowest.setdefault(function.low if function is not None else address, address)
        return sorted(lowest.values())

    def source(self, file: str, first: int, last: int) -> list[SourceLine]:
        """Lines `first` to `last` (from 1, both included) of `file`, as far as it has them; empty if not found.

        `file` is a path's end, as for `addresses_of`.
        """
        for program in self._programs:
            for name in program.files():
                if _ends_with(name, file):
                    lines = self._sources.lines(name, program.image.name)
                    if lines is not None:
                        first, last = max(first, 1), min(last, len(lines))
                        return [SourceLine(name, number, lines[number - 1]) for number in range(first, last + 1)]
        return []

    def files(self) -> list[str]:
        """All source files that line tables name, sorted."""
        return sorted({name for program in self._programs for name in program.files()})

    def frame_rules(self, address: int) -> FrameRules | None:
        """What call frame information says of the caller of the code at `address`."""
        address = self.linked(address)
        program = self._at(address)
        return program.debug.frames.find(address) if program is not None else None

    def _at(self, address: int) -> _Program | None:
        return next((program for program in reversed(self._programs) if program.covers(address)), None)

    def _row(self, address: int) -> tuple[_Program, LineTable, Row, int, int] | None:
        address = self.linked(address)
        program = self._at(address)
        unit = program.debug.unit_at(address) if program is not None else None
        if program is None or unit is None:
            return None
        table = program.debug.lines(unit)
        found = table.find(address)
        if found is None or found[0].line == 0 or found[0].file not in table.files:
            return None
        return program, table, *found

    def _source_line(self, program: _Program, file: str, line: int) -> SourceLine:
        lines = self._sources.lines(file, program.image.name)
        return SourceLine(file, line, lines[line - 1] if lines is not None and 0 < line <= len(lines) else None)


class _Program:
    """An image and its debug information."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.debug = DebugInfo(image.file if image.kind is ImageKind.ELF else b"", self.covers)

    def covers(self, address: int) -> bool:
        """Whether `address`, as linked, is in the image."""
        return any(part.virtual <= address < part.virtual + part.size for part in self.image.segments)

    def end_of(self, symbol: Symbol) -> int:
        """Where what begins at a symbol without a size ends: at the next symbol, or with the segment."""
        end = next(part.virtual + part.size for part in self.image.segments
                   if part.virtual <= symbol.address < part.virtual + part.size)
        behind = bisect_right(self._addresses, symbol.address)
        return min([end, *self._addresses[behind : behind + 1]])

    def tables(self) -> Iterator[LineTable]:
        """All line tables, one after the other."""
        seen: set[int] = set()
        for unit in self.debug.units:
            if unit.lines is not None and unit.lines not in seen:
                seen.add(unit.lines)
                yield self.debug.lines(unit)

    def files(self) -> list[str]:
        """All source files that line tables name."""
        return list(dict.fromkeys(name for table in self.tables() for name in table.files.values()))

    @cached_property
    def _addresses(self) -> list[int]:
        return [symbol.address for symbol in self.image.symbols]


def _ends_with(name: str, file: str) -> bool:
    """Whether path `name` ends with the path `file`."""
    return name == file or name.endswith("/" + file.removeprefix("./"))
