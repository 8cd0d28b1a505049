"""Documents that a debugger reads (qXfer): the target description, the map of memory, the list of threads."""

from __future__ import annotations

from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from ..hart import PRIVILEGE_NAMES
from .registers import DOUBLE, FIRST_F, PC, REGISTERS, SIZE, Register

if TYPE_CHECKING:
    from ..hart import Hart
    from ..machine import Machine

_DOUBLE = """<union id="riscv_double">
<field name="float" type="ieee_single"/>
<field name="double" type="ieee_double"/>
</union>"""


_GENERIC = {"pc": "pc", "sp": "sp", "s0": "fp", "ra": "ra", **{f"a{i}": f"arg{i + 1}" for i in range(8)}}


@cache
def target() -> bytes:
    """The registers of a hart, and that there is no operating system. Source: GDB manual, "Target Description Format".

    GDB would take it for Linux otherwise, and make steps of breakpoints: those never lead into a trap handler.
    """
    lines = ['<?xml version="1.0"?>', '<!DOCTYPE target SYSTEM "gdb-target.dtd">', '<target version="1.0">',
             "<architecture>riscv:rv64</architecture>", "<osabi>none</osabi>"]
    for feature, registers in groupby(REGISTERS, key=lambda register: register.feature):
        members = list(registers)
        lines.append(f'<feature name="{feature.value}">')
        if any(register.kind == DOUBLE for register in members):
            lines.append(_DOUBLE)
        lines += map(_register, members)
        lines.append("</feature>")
    return "\n".join([*lines, "</target>"]).encode()


def _register(register: Register) -> str:
    attributes = {"name": register.name, "bitsize": 8 * SIZE, "regnum": register.number, "type": register.kind,
                  "group": register.group, **_for_lldb(register)}
    return "<reg " + " ".join(f'{name}="{value}"' for name, value in attributes.items() if value is not None) + "/>"


def _for_lldb(register: Register) -> dict[str, object]:
    """What LLDB, which may know nothing of this architecture, takes from attributes that GDB ignores."""
    number = register.number
    if register.kind == DOUBLE:
        which = number - FIRST_F
        return {"encoding": "ieee754", "format": "float", "dwarf_regnum": 32 + which, "altname": f"f{which}"}
    if number < PC:
        return {"dwarf_regnum": number, "altname": f"x{number}", "generic": _GENERIC.get(register.name)}
    return {"generic": _GENERIC.get(register.name)}


def memory_map(machine: Machine) -> bytes:
    """What is where, as far as that can be said: the addresses of a debugger are virtual.

    So all of the address space is there, and may be written to; it is only divided as physical memory is. Source: GDB
    manual, "Memory Map Format".
    """
    parts = [machine.board.rom, *machine.board.banks]
    borders = {0, 1 << 64}
    for part in parts:
        borders |= {part.base, part.end}
    for device in machine.devices:
        borders |= {device.base, device.base + (device.size + 0xFFF & ~0xFFF)}
    places = sorted(borders)
    return "\n".join([
        '<?xml version="1.0"?>', '<!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" '
        '"http://sourceware.org/gdb/gdb-memory-map.dtd">', "<memory-map>",
        *(f'<memory type="ram" start="{start:#x}" length="{end - start:#x}"/>'
          for start, end in zip(places, places[1:], strict=False)), "</memory-map>"]).encode()


def threads(machine: Machine) -> bytes:
    """The harts. Source: GDB manual, "Thread List Format"."""
    return "\n".join(['<?xml version="1.0"?>', "<threads>",
                      *(f'<thread id="{hart.id + 1:x}" core="{hart.id}" name="hart {hart.id}">{extra(hart)}</thread>'
                        for hart in machine.harts), "</threads>"]).encode()


def extra(hart: Hart) -> str:
    """What else there is to say about a hart."""
    return f"{PRIVILEGE_NAMES[hart.priv]}-mode" + (", waits" if hart.waiting else "")
