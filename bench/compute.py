"""Loops of plain instructions, beside Unicorn alone with nothing hooked, on the same ELF."""

from __future__ import annotations

from functools import partial

import unicorn
from unicorn import riscv_const

from emulator.loader.detect import load_image
from emulator.machine import Machine

from .measure import PROGRAMS, Figure, interleaved, timed

NEEDED = {"stores": 1.3, "registers": 0.5}


def hartwell(name: str) -> tuple[float, int]:
    """Seconds of the run, and its instructions."""
    machine = Machine()
    machine.boot(kernel=load_image((PROGRAMS / f"{name}.elf").read_bytes(), name, 0))
    stops = []
    seconds = timed(lambda: stops.append(machine.run()))
    assert stops[0].ok, stops[0]
    count = machine.instructions
    machine.close()
    return seconds, count


def seconds(name: str) -> float:
    """Seconds of the run."""
    return hartwell(name)[0]


def raw(name: str) -> float:
    """Seconds of `uc_emu_start` from the ELF's entry to its symbol `done`."""
    image = load_image((PROGRAMS / f"{name}.elf").read_bytes(), name, 0)
    engine = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV64)
    engine.mem_map(0x8000_0000, 16 << 20)
    for segment in image.segments:
        engine.mem_write(segment.address, segment.data)
    done = image.symbols.find("done")
    assert done is not None
    seconds = timed(lambda: engine.emu_start(image.entry, done.address))
    assert engine.reg_read(riscv_const.UC_RISCV_REG_PC) == done.address
    return seconds


def figures() -> list[Figure]:
    """Speed against Unicorn's: above 1 is faster."""
    found = []
    for name, needed in NEEDED.items():
        count = hartwell(name)[1]
        median = interleaved(5, ours=partial(seconds, name), theirs=partial(raw, name))
        note = f"{count / median['ours'] / 1e6:.0f} MIPS, Unicorn alone {count / median['theirs'] / 1e6:.0f} MIPS"
        found.append(Figure(f"{name} loop, speed / Unicorn alone", median["theirs"] / median["ours"], "x", needed, True,
                            note))
    return found
