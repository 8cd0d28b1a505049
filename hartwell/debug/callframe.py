"""Call frame information: what compilers leave in .debug_frame and .eh_frame so that debuggers find callers.

A rule says where a caller's registers are while its callee is at an address: the CFA (the caller's stack
pointer at the call) is a register plus an offset, and a register is as it was, lost, in another one, or at
an offset from the CFA in memory. Rules by DWARF expressions, which no RISC-V compiler writes for code of its
own, are not read: there is no rule then, as in code without any.

pyelftools reads all entries of a file at once, some seconds for a kernel; here an index is made and one
entry read. Source: DWARF 5, section 6.4; LSB Core 5.0, section 10.6.1 (.eh_frame).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from .dwarfsections import DwarfError, Reader

MASK = (1 << 64) - 1
MOST_STATES = 256
_CIE_ID = {4: 0xFFFF_FFFF, 8: MASK}
_ABSPTR, _PCREL, _OMIT = 0x00, 0x10, 0xFF
_SIZES = {0: (8, False), 2: (2, False), 3: (4, False), 4: (8, False), 10: (2, True), 11: (4, True), 12: (8, True)}


class Where(Enum):
    """Where a caller's register is."""

    SAME = "same"
    LOST = "lost"
    SAVED = "saved"        # in memory, at an offset from the CFA
    SUM = "sum"            # it is the CFA plus an offset
    REGISTER = "register"  # in another register


class Rule(NamedTuple):
    """Where a register of the caller is; `value` is an offset from the CFA in bytes, or a register's number."""

    where: Where
    value: int = 0


@dataclass(frozen=True)
class FrameRules:
    """How to find the caller: its stack pointer is register `register` plus `offset`. `ra` is the return address's
    register; `signal` marks a frame that a trap interrupted rather than called."""

    register: int
    offset: int
    rules: Mapping[int, Rule]
    ra: int
    signal: bool


@dataclass
class _State:
    register: int | None = None
    offset: int = 0
    rules: dict[int, Rule] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(self.register, self.offset, dict(self.rules))


@dataclass(frozen=True)
class _Common:
    """A CIE: what several entries have in common."""

    code_factor: int
    data_factor: int
    ra: int
    encoding: int
    augmented: bool
    signal: bool
    initial: _State


class CallFrames:
    """The call frame information in `sections`; `report` is told, in a line, what is damaged."""

    def __init__(self, sections: Mapping[str, tuple[int, bytes]], report: Callable[[str], None]) -> None:
        self._sections = sections
        self._report = report
        self._commons: dict[tuple[str, int], _Common] = {}

    def find(self, address: int) -> FrameRules | None:
        """The rules for code at `address`; None where the compiler left none, or none that are understood."""
        lows, entries = self._index
        at = bisect_right(lows, address) - 1
        if at < 0 or address >= entries[at][1]:
            return None
        low, _, section, common_at, start, end = entries[at]
        try:
            common = self._common(section, common_at)
            reader = Reader(section, self._sections[section][1], start, end)
            if common.augmented:
                reader.take(reader.uleb())
            state = _run(reader, common, common.initial.copy(), low, address)
        except DwarfError as error:
            self._report(str(error))
            return None
        if state.register is None:
            return None
        return FrameRules(state.register, state.offset, state.rules, common.ra, common.signal)

    @cached_property
    def _index(self) -> tuple[list[int], list[tuple[int, int, str, int, int, int]]]:
        """All entries: low, high, section, offset of the CIE, where the instructions are; and all lows."""
        found: list[tuple[int, int, str, int, int, int]] = []
        for section in (".debug_frame", ".eh_frame"):
            if section in self._sections:
                try:
                    self._scan(section, found)
                except DwarfError as error:
                    self._report(str(error))
        found.sort(key=lambda entry: entry[0])
        return [entry[0] for entry in found], found

    def _scan(self, section: str, found: list[tuple[int, int, str, int, int, int]]) -> None:
        address, data = self._sections[section]
        eh = section == ".eh_frame"
        reader = Reader(section, data, 0)
        while reader.at < len(data):
            length, offset_size = reader.length()
            start, end = reader.at, reader.at + length
            if length == 0:
                continue  # the end of .eh_frame, or of one object's part of it
            if end > len(data):
                raise reader.error(f"an entry of {length} bytes, where {len(data) - start} are left")
            id_size = 4 if eh else offset_size
            pointer = reader.unsigned(id_size)
            if pointer != (0 if eh else _CIE_ID[offset_size]):
                common_at = start - pointer if eh else pointer
                try:
                    common = self._common(section, common_at)
                    low = _pointer(reader, common.encoding, address)
                    size = _pointer(reader, common.encoding & 0x0F, address)
                    if size:
                        found.append((low, low + size, section, common_at, reader.at, end))
                except DwarfError as error:
                    self._report(str(error))
            reader.at = end

    def _common(self, section: str, at: int) -> _Common:
        known = self._commons.get((section, at))
        if known is None:
            known = self._commons[section, at] = self._read_common(section, at)
        return known

    def _read_common(self, section: str, at: int) -> _Common:
        address, data = self._sections[section]
        if not 0 <= at < len(data):
            raise DwarfError(f"{section} has no offset {at:#x}")
        eh = section == ".eh_frame"
        reader = Reader(section, data, at)
        length, offset_size = reader.length()
        reader.end = min(reader.at + length, len(data))
        if reader.unsigned(4 if eh else offset_size) != (0 if eh else _CIE_ID[offset_size]):
            raise reader.error("no CIE where an entry says that there is one")
        version = reader.unsigned(1)
        augmentation = reader.string()
        if version >= 4 and reader.take(2) != b"\x08\x00":
            raise reader.error("addresses that are not of 8 bytes, or in segments")
        code_factor, data_factor = reader.uleb(), reader.sleb()
        ra = reader.unsigned(1) if version == 1 else reader.uleb()
        encoding, augmented = _ABSPTR, augmentation.startswith("z")
        if augmented:
            size = reader.uleb()
            end = reader.at + size
            for letter in augmentation[1:]:
                if letter == "R":
                    encoding = reader.unsigned(1)
                elif letter == "P":
                    _pointer(reader, reader.unsigned(1), address)
                elif letter == "L":
                    reader.unsigned(1)
            reader.at = end
        elif augmentation:
            raise reader.error(f"augmentation {augmentation!r}, expected none or z…")
        common = _Common(code_factor, data_factor, ra, encoding, augmented, "S" in augmentation, _State())
        return _Common(code_factor, data_factor, ra, encoding, augmented, "S" in augmentation,
                       _run(reader, common, _State(), 0, MASK))


def _pointer(reader: Reader, encoding: int, address: int) -> int:
    """An address as .eh_frame encodes it; `address` is the section's."""
    known = _SIZES.get(encoding & 0x0F)
    base = encoding & 0x70
    if encoding == _OMIT or known is None or base not in (_ABSPTR, _PCREL):
        raise reader.error(f"pointer encoding {encoding:#x}, expected an absolute one or one relative to pc")
    here = address + reader.at if base == _PCREL else 0
    size, signed = known
    return (reader.signed(size) if signed else reader.unsigned(size)) + here & MASK


def _run(reader: Reader, common: _Common, state: _State, low: int, address: int) -> _State:
    """The state that the instructions make of `state` for `address`, for code that begins at `low`."""
    initial, at = common.initial, low
    states: list[_State] = []
    while reader.at < reader.end:
        opcode = reader.unsigned(1)
        high, operand = opcode & 0xC0, opcode & 0x3F
        if high == 0x40 or opcode in (0x02, 0x03, 0x04):  # advance_loc
            at += (operand if high else reader.unsigned(1 << opcode - 2)) * common.code_factor
            if at > address:
                break
        elif opcode == 0x01:  # set_loc
            at = reader.unsigned(8)
            if at > address:
                break
        elif high == 0x80:  # offset
            state.rules[operand] = Rule(Where.SAVED, reader.uleb() * common.data_factor)
        elif high == 0xC0 or opcode == 0x06:  # restore
            register = operand if high else reader.uleb()
            if register in initial.rules:
                state.rules[register] = initial.rules[register]
            else:
                state.rules.pop(register, None)
        elif opcode == 0x0A:  # remember_state
            if len(states) >= MOST_STATES:
                raise reader.error(f"more than {MOST_STATES} states remembered")
            states.append(state.copy())
        elif opcode == 0x0B:  # restore_state
            if not states:
                raise reader.error("restore_state without remember_state")
            state = states.pop()
        elif opcode in _CFA:
            _CFA[opcode](reader, common, state)
        elif opcode in _REGISTER:
            register = reader.uleb()
            state.rules[register] = _REGISTER[opcode](reader, common)
        elif opcode == 0x2E:  # GNU_args_size
            reader.uleb()
        elif opcode != 0x00:
            raise reader.error(f"call frame instruction {opcode:#x}, expected one of DWARF 5's without expressions")
    return state


def _def_cfa(reader: Reader, _common: _Common, state: _State) -> None:
    state.register, state.offset = reader.uleb(), reader.uleb()


def _def_cfa_sf(reader: Reader, common: _Common, state: _State) -> None:
    state.register, state.offset = reader.uleb(), reader.sleb() * common.data_factor


def _def_cfa_register(reader: Reader, _common: _Common, state: _State) -> None:
    state.register = reader.uleb()


def _def_cfa_offset(reader: Reader, _common: _Common, state: _State) -> None:
    state.offset = reader.uleb()


def _def_cfa_offset_sf(reader: Reader, common: _Common, state: _State) -> None:
    state.offset = reader.sleb() * common.data_factor


_CFA: dict[int, Callable[[Reader, _Common, _State], None]] = {
    0x0C: _def_cfa, 0x0D: _def_cfa_register, 0x0E: _def_cfa_offset, 0x12: _def_cfa_sf, 0x13: _def_cfa_offset_sf}
_REGISTER: dict[int, Callable[[Reader, _Common], Rule]] = {
    0x05: lambda reader, common: Rule(Where.SAVED, reader.uleb() * common.data_factor),   # offset_extended
    0x07: lambda _reader, _common: Rule(Where.LOST),                                      # undefined
    0x08: lambda _reader, _common: Rule(Where.SAME),                                      # same_value
    0x09: lambda reader, _common: Rule(Where.REGISTER, reader.uleb()),                    # register
    0x11: lambda reader, common: Rule(Where.SAVED, reader.sleb() * common.data_factor),   # offset_extended_sf
    0x14: lambda reader, common: Rule(Where.SUM, reader.uleb() * common.data_factor),     # val_offset
    0x15: lambda reader, common: Rule(Where.SUM, reader.sleb() * common.data_factor),     # val_offset_sf
}
