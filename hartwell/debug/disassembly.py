"""Disassembly: instructions, where they lead, and whether they would."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.disassembler import disassemble as text_of
from emulator.errors import BusError

from .flow import MASK, Flow, Kind, flow
from .programs import Programs

__all__ = ["Instruction", "Kind", "Read", "disassemble", "disassemble_before"]
Read = Callable[[int, int], bytes]
"""`read(address, size)`: so many bytes from there, or BusError."""
LONGEST_FUNCTION = 1 << 18
"""Bytes that are walked through from a known start to be sure of where instructions before an address begin."""
_AUIPC = 0x17
_LAST_OPERAND = re.compile(r"[^ ,]+$")


@dataclass(frozen=True)
class Instruction:
    """An instruction at `address`; `bits` are its 2 or 4 bytes.

    `target` is where it leads if its encoding says so (jal, branches, and jalr behind the auipc that it belongs to),
    `symbol` that address's name, empty without a target. In `text` targets are addresses, not distances.
    """

    address: int
    bits: int
    text: str
    target: int | None
    symbol: str
    flow: Flow = field(repr=False)

    @property
    def size(self) -> int:
        """In bytes: 2 or 4."""
        return _width(self.bits)

    @property
    def kind(self) -> Kind:
        """What it does to the flow of control."""
        return self.flow.kind

    def taken(self, register: Callable[[str], int]) -> bool | None:
        """Whether this branch would be taken with such registers (`x5` and so on, unsigned); None if it is none."""
        return self.flow.taken(register)

    def destination(self, register: Callable[[str], int]) -> int | None:
        """Where it leads with such registers, mepc and sepc among them; None where it goes on behind itself, or traps.
        """
        if self.kind is Kind.TRAP_RETURN:
            return register("mepc" if self.bits >> 28 == 3 else "sepc")
        if self.flow.offset is None or self.taken(register) is False:
            return None
        if self.flow.base is None:
            return self.address + self.flow.offset & MASK
        return register(f"x{self.flow.base}") + self.flow.offset & MASK & ~1


def disassemble(read: Read, programs: Programs, address: int, count: int) -> list[Instruction]:
    """`count` instructions from `address` on: fewer where memory ends; BusError if it cannot be read at `address`."""
    found: list[Instruction] = []
    while len(found) < count:
        try:
            bits = _fetch(read, address)
        except BusError:
            if not found:
                raise
            break
        found.append(_instruction(programs, address, bits, found[-1] if found else None))
        address = address + found[-1].size & MASK
    return found


def disassemble_before(read: Read, programs: Programs, address: int, count: int) -> list[Instruction]:
    """Up to `count` instructions before `address`, ascending: as many as symbols or DWARF make sure of.

    Instructions are of two sizes, and only forwards can be told apart: from the start of the function, and of
    the functions before it.
    """
    found: list[Instruction] = []
    while len(found) < count:
        linked = programs.linked(address)
        function = programs.function(address)
        if function is None or function.low == linked:  # the end of the one before
            function = programs.function(address - 2)
        if function is None or function.low >= linked:
            break
        start = address - (linked - function.low)
        part = _walk(read, programs, start, address)
        if not part:
            break
        found = part[-(count - len(found)) :] + found
        address = start
    return found


def _walk(read: Read, programs: Programs, start: int, end: int) -> list[Instruction]:
    """The instructions from `start` to `end`; none if they do not end there."""
    if end - start > LONGEST_FUNCTION:
        return []
    places: list[tuple[int, int]] = []
    try:
        while start < end:
            bits = _fetch(read, start)
            places.append((start, bits))
            start += _width(bits)
    except BusError:
        return []
    if start != end:
        return []
    found: list[Instruction] = []
    for place, bits in places:
        found.append(_instruction(programs, place, bits, found[-1] if found else None))
    return found


def _fetch(read: Read, address: int) -> int:
    """The instruction at `address`. By halves: the second one may be on a page that cannot be read."""
    bits = int.from_bytes(read(address, 2), "little")
    return bits | int.from_bytes(read(address + 2 & MASK, 2), "little") << 16 if bits & 3 == 3 else bits


def _width(bits: int) -> int:
    return 4 if bits & 3 == 3 else 2


def _instruction(programs: Programs, address: int, bits: int, before: Instruction | None) -> Instruction:
    does, text, target = flow(bits), text_of(address, bits), None
    if does.offset is not None and does.base is None:
        target = address + does.offset & MASK
        text = _LAST_OPERAND.sub(f"{target:#x}", text)
    elif does.offset is not None and before is not None and before.bits & 0x7F == _AUIPC:
        if before.bits >> 7 & 31 == does.base:
            upper = (before.bits >> 12 ^ 1 << 19) - (1 << 19)
            target = before.address + (upper << 12) + does.offset & MASK & ~1
    return Instruction(address, bits, text, target, programs.format(target) if target is not None else "", does)
