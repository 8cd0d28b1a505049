"""The stack that a program starts with: arguments, environment, and the auxiliary vector.

        high   strings: the program's name, environment, arguments; 16 bytes for AT_RANDOM
               auxiliary vector, pairs, AT_NULL last
               environment pointers, 0
               argument pointers, 0
        sp ->  number of arguments                                     a multiple of 16

Sources: RISC-V ELF psABI; Linux, include/uapi/linux/auxvec.h, arch/riscv/include/uapi/asm/hwcap.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

from kernel.errno import Errno, SysError
from kernel.mm import VmReader
from kernel.mm.page_table.pte import PageFlags
from kernel.mm.paging import PAGE_SIZE

from .address_space import STACK_SIZE, AddressSpace
from .area import Area
from .executable import PROGRAM_HEADER, Executable

MAX_STRINGS = 128 << 10
"""Bytes of arguments and environment."""


class Aux(IntEnum):
    """Keys of the auxiliary vector."""

    NULL = 0
    PHDR = 3
    PHENT = 4
    PHNUM = 5
    PAGESZ = 6
    BASE = 7
    FLAGS = 8
    ENTRY = 9
    UID = 11
    EUID = 12
    GID = 13
    EGID = 14
    HWCAP = 16
    CLKTCK = 17
    SECURE = 23
    RANDOM = 25
    EXECFN = 31


HWCAP = sum(1 << ord(letter) - ord("A") for letter in "IMAFDC")


def map_stack(space: AddressSpace) -> None:
    """Give an address space its stack; pages appear when they are touched."""
    space.map(Area(space.top - STACK_SIZE, space.top, PageFlags.RW, name="[stack]"))


def initial_stack(space: AddressSpace, program: Executable, name: bytes, arguments: Sequence[bytes],
                  environment: Sequence[bytes]) -> int:
    """Write what the program finds on its stack; the stack pointer. E2BIG for too many bytes of strings.

    The space must be active on this CPU.
    """
    strings = bytearray()
    places: list[int] = []
    for text in (name, *environment, *arguments):
        places.append(len(strings))
        strings += text + b"\0"
    if len(strings) > MAX_STRINGS:
        raise SysError(Errno.E2BIG, f"{len(strings)} bytes of strings; expected {MAX_STRINGS} at most")
    random = len(strings)
    strings += bytes((i * 0x9D + 0x3B) & 0xFF for i in range(16))  # the machine has no chance
    base = space.top - len(strings) & -16
    addresses = [base + place for place in places]
    after_name = 1 + len(environment)
    vector = {
        Aux.PHDR: program.headers_vaddr, Aux.PHENT: PROGRAM_HEADER.size, Aux.PHNUM: program.headers,
        Aux.PAGESZ: PAGE_SIZE, Aux.BASE: 0, Aux.FLAGS: 0, Aux.ENTRY: program.entry, Aux.UID: 0, Aux.EUID: 0,
        Aux.GID: 0, Aux.EGID: 0, Aux.HWCAP: HWCAP, Aux.CLKTCK: 100, Aux.SECURE: 0, Aux.RANDOM: base + random,
        Aux.EXECFN: addresses[0], Aux.NULL: 0,
    }
    words = [len(arguments), *addresses[after_name:], 0, *addresses[1:after_name], 0]
    for key, value in vector.items():
        words += [int(key), value]
    table = struct.pack(f"<{len(words)}Q", *words)
    sp = base - len(table) & -16
    _write(space, sp, table)
    _write(space, base, bytes(strings))
    return sp


def _write(space: AddressSpace, vaddr: int, data: bytes) -> None:
    space.space.writer(vaddr, len(data)).write_fallible(VmReader.from_slice(data))
