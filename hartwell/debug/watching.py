"""What to watch: from an expression, or an address and a length, to bytes of memory.

        watch counter            the symbol's size, 8 bytes if it has none
        watch {u32}0x80210000    4 bytes
        watch 0x80210000 16      16 bytes
        watch $sp+8              8 bytes

Bytes that are mapped are watched where they are in physical memory, so that it does not matter by which address
they are accessed. An address that is not mapped, but is one of physical memory, is taken for that: frames have no
other; and so is one that a higher-half kernel was linked at, which has not turned translation on. What is none of
these is watched by its virtual address, for when it will be mapped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from emulator.stop import Watch

from .errors import DebugError
from .expression import TYPES, ExpressionError, evaluate
from .places import ADDRESS, elsewhere
from .values import find_symbol

if TYPE_CHECKING:
    from .session import Session

DEFAULT, MOST = 8, 1 << 20
_LENGTH = re.compile(r"(.*\S)\s+(0x[0-9a-fA-F]+|\d+)", re.S)


_OPERAND = re.compile(r"(?:\{\s*(\w+)\s*\}|\*)\s*(.+)", re.S)


def memory_operand(text: str) -> tuple[int, str] | None:
    """`{u32}ADDRESS` or `*ADDRESS`: how many bytes, and the expression of the address; None for anything else."""
    match = _OPERAND.fullmatch(text)
    if match is None or match[1] is not None and match[1] not in TYPES:
        return None
    return TYPES[match[1]].size if match[1] is not None else DEFAULT, match[2]


def watch_of(session: Session, text: str, command: str, *, stores: bool, loads: bool) -> Watch:
    """The bytes that a command's argument means."""
    if not text:
        raise DebugError(f"{command} what? Expected an address, a symbol, or {{u64}}ADDRESS, and perhaps a length")
    first, size = _bytes(session, text)
    if not 1 <= size <= MOST:
        raise DebugError(f"{command}: a length of {size} bytes: expected 1 to {MOST:,}")
    if first + size > ADDRESS + 1:
        raise DebugError(f"{command}: {first:#x} and {size} bytes are beyond the last address")
    physical = _in_one_piece(session, first, size)
    return Watch(first if physical is None else physical, size, stores, loads, virtual=physical is None)


def _bytes(session: Session, text: str) -> tuple[int, int]:
    memory = memory_operand(text)
    if memory is not None:
        return evaluate(memory[1], session.scope) & ADDRESS, memory[0]
    split = _LENGTH.fullmatch(text)
    if split is not None:
        try:
            return evaluate(split[1], session.scope) & ADDRESS, int(split[2], 0)
        except ExpressionError:  # such as `table + 8`, which is an expression
            pass
    symbol = find_symbol(session.programs, text)
    return evaluate(text, session.scope) & ADDRESS, symbol.size if symbol is not None and symbol.size else DEFAULT


def _in_one_piece(session: Session, first: int, size: int) -> int | None:
    """The physical address of bytes that are mapped one behind the other, or that are no virtual ones at all."""
    start = session.hart.translate(first)
    pages = range((first & -4096) + 4096, first + size, 4096)
    if start is not None and any(session.hart.translate(page) != start + page - first for page in pages):
        return None
    possible = [first if start is None else start, *elsewhere(session, first)]
    return next((each for each in possible if session.machine.ram.view(each, size) is not None), None)
