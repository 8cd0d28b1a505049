r"""Memory as gdb's `x` shows it.

        x/4xw   0x80201178 <bytes>:	0x7f020100	0x0a41ff80	0x5c221b09	0x0807e927
        x/2c    0x80201178 <bytes>:	0 '\000'	1 '\001'
        x/s     0x80201158 <text>:	"hello\n"

Lines are gdb's, but for instructions (the disassembler is another) and for names, which have their distances in
hex, as everywhere here. Nothing is read but what is shown (and a string's end): where the last read ended, an `x`
without an address goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final

from emulator.errors import BusError

from .disassembly import Instruction, Read, disassemble, disassemble_before
from .examineformat import SIZES, Format, FormatError, parse_format
from .programs import Programs

__all__ = ["Format", "FormatError", "examine", "parse_format", "show"]
MASK: Final = (1 << 64) - 1
_PER_LINE = {"b": 8, "h": 8, "w": 4, "g": 2}
_LONGEST_STRING = 200
"""Characters of a string on one line."""
_REPEATS = 10
"""Characters in a row that are written out; more are counted."""
_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", ord("\\"): "\\\\"}
_PREFIX = {1: "", 2: "u", 4: "U"}


def examine(read: Read, address: int, count: int, format: str, size: str, programs: Programs) -> list[str]:
    """The lines that gdb's `x/{count}{format}{size} address` prints: `count`, `format` and `size` as in `Format`.

    Where memory cannot be read, a last line says so.
    """
    return list(_lines(read, address & MASK, Format(count, format, size), programs))


def show(instruction: Instruction, programs: Programs) -> str:
    """A line of `x/i`: address, name, instruction, and the name of where it leads."""
    target = f" <{instruction.symbol}>" if instruction.symbol and not instruction.symbol.startswith("0x") else ""
    return f"   {_label(instruction.address, programs)}\t{instruction.text}{target}"


def _lines(read: Read, address: int, wanted: Format, programs: Programs) -> Iterator[str]:
    count, format, size = wanted.count, wanted.format, wanted.size
    if format == "i":
        yield from _instructions(read, address, count, programs)
    elif format == "s":
        for _ in range(count):
            units, error = _string(read, address, SIZES[size])
            yield f"{_label(address, programs)}\t{_quote(units, SIZES[size], bool(error))}{error}"
            if error:
                return
            address = address + (len(units) + (len(units) < _LONGEST_STRING)) * SIZES[size] & MASK
    else:
        width, left = SIZES[size], abs(count)
        if count < 0:
            address = address - left * width & MASK
        while left > 0:
            part = min(left, _PER_LINE[size])
            units, error = _units(read, address, width, part)
            shown = [_FORMATS[format](unit, width, programs) for unit in units]
            yield "\t".join([_label(address, programs), *shown, *([error] if error else [])])
            if error:
                return
            left -= part
            address = address + part * width & MASK


def _instructions(read: Read, address: int, count: int, programs: Programs) -> Iterator[str]:
    if count < 0:
        for instruction in disassemble_before(read, programs, address, -count):
            yield show(instruction, programs)
    elif count:
        try:
            shown = disassemble(read, programs, address, count)
        except BusError:
            shown = []
        for instruction in shown:
            yield show(instruction, programs)
            address = instruction.address + instruction.size & MASK
        if len(shown) < count:
            yield f"   {_label(address, programs)}\t{_error(address)}"


def _units(read: Read, address: int, width: int, count: int) -> tuple[list[int], str]:
    """Up to `count` numbers, and why there are no more, if there are not."""
    try:
        data = read(address, width * count)
        return [int.from_bytes(data[at : at + width], "little") for at in range(0, width * count, width)], ""
    except BusError:
        pass
    units: list[int] = []
    for _ in range(count):
        try:
            units.append(int.from_bytes(read(address, width), "little"))
        except BusError:
            return units, _error(address)
        address = address + width & MASK
    return units, ""


def _string(read: Read, address: int, width: int) -> tuple[list[int], str]:
    """The characters up to a zero, `_LONGEST_STRING` at most, and why there are no more, if they cannot be read."""
    found: list[int] = []
    while len(found) < _LONGEST_STRING:
        units, error = _units(read, address + len(found) * width & MASK, width, 1)
        if error:
            return found, f"<error: {error}>"
        if units == [0]:
            break
        found += units
    return found, ""


def _quote(units: list[int], width: int, broken: bool) -> str:
    if broken and not units:
        return ""
    parts: list[str] = []
    plain = ""
    for unit, same in groupby(units):
        times = len(list(same))
        if times <= _REPEATS:
            plain += _character(unit, '"') * times
            continue
        if plain:
            parts.append(f'{_PREFIX[width]}"{plain}"')
        plain = ""
        parts.append(f"{_PREFIX[width]}'{_character(unit, chr(39))}' <repeats {times} times>")
    if plain or not parts:
        parts.append(f'{_PREFIX[width]}"{plain}"')
    return ", ".join(parts) + ("..." if len(units) == _LONGEST_STRING else "")


def _character(unit: int, quote: str) -> str:
    if unit in _ESCAPES:
        return _ESCAPES[unit]
    if unit == ord(quote):
        return "\\" + quote
    if 0x20 <= unit < 0x7F:
        return chr(unit)
    return f"\\{unit:03o}" if unit <= 0xFF else f"\\u{unit:04x}" if unit <= 0xFFFF else f"\\U{unit:08x}"


def _signed(unit: int, width: int) -> int:
    return unit - (1 << 8 * width) if unit >> 8 * width - 1 else unit


def _address(unit: int, width: int, programs: Programs) -> str:
    value = _signed(unit, width) & MASK
    name = programs.format(value)
    return f"{value:#x}" if name.startswith("0x") else f"{value:#x} <{name}>"


def _char(unit: int, width: int, _programs: Programs) -> str:
    return f"{_signed(unit & 0xFF, 1)} '{_character(unit & 0xFF, chr(39))}'"


_FORMATS: Final[dict[str, Callable[[int, int, Programs], str]]] = {
    "x": lambda unit, width, _programs: f"0x{unit:0{2 * width}x}",
    "d": lambda unit, width, _programs: str(_signed(unit, width)),
    "u": lambda unit, _width, _programs: str(unit),
    "o": lambda unit, _width, _programs: f"0{unit:o}" if unit else "0",
    "t": lambda unit, width, _programs: f"{unit:0{8 * width}b}",
    "a": _address,
    "c": _char,
}


def _label(address: int, programs: Programs) -> str:
    name = programs.format(address)
    return f"{address:#x}:" if name.startswith("0x") else f"{address:#x} <{name}>:"


def _error(address: int) -> str:
    return f"Cannot access memory at address {address:#x}"
