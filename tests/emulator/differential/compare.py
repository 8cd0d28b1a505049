"""Running cases on both machines, and saying exactly where they part."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import capstone

from emulator.board import Board
from emulator.machine import Machine
from emulator.stop import Exited
from tests.helpers import qemu
from tests.helpers.machines import flat

from .encodings import Generator, floating, integer
from .image import BASE, SCRATCH_WORDS, TRAP_LOG, Case, build

NAMES = [*(f"x{i}" for i in range(1, 32)), *(f"f{i}" for i in range(32)), "fcsr", "traps",
         *(f"{what} of trap {i}" for i in range(TRAP_LOG) for what in ("cause", "tval")),
         *(f"scratch + {8 * i:#x}" for i in range(SCRATCH_WORDS))]
"""What each word of an outcome is."""
REPORTED = 5
"""Cases that a failure shows in full."""


def sequences(seed: int, count: int, length: int = 12) -> list[Case]:
    """`count` random sequences of about `length` instructions."""
    rng = random.Random(seed)
    generator = Generator(rng)
    cases = []
    for _ in range(count):
        fcsr = rng.choice((0, 0, 0, 0x20, 0x40, 0x60, 0x80, 0xA0, 0xE0))
        cases.append(Case(generator.sequence(length),
                          (*(integer(rng) for _ in range(31)), *(floating(rng) for _ in range(32)), fcsr)))
    return cases


def single(words: Sequence[bytes], seed: int = 7) -> list[Case]:
    """One case for each instruction, all of them with every x register in the scratch buffer."""
    rng = random.Random(seed)
    registers = (*(8 * (5 * i % 16) for i in range(31)), *(floating(rng) for _ in range(32)), 0)
    return [Case(word, registers) for word in words]


def on_hartwell(image: bytes) -> list[str]:
    """The lines that the image prints here."""
    machine = Machine(Board())
    try:
        machine.boot(kernel=flat(image))
        stop = machine.run(timeout=100)
        assert stop == Exited(0), stop
        return machine.console.decode().split()
    finally:
        machine.close()


def on_qemu(image: bytes, folder: Path) -> list[str]:
    """The lines that it prints on QEMU."""
    path = folder / "image.bin"
    path.write_bytes(image)
    line = qemu.command(bios="none", more=("-device", f"loader,file={path},addr={BASE:#x},force-raw=on"))
    # not qemu.run, which reads the console at the end only: this one is longer than a pipe
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True)
    return done.stdout.decode().split()


def differences(cases: Sequence[Case], folder: Path, group: int = 1, all_addresses: bool = False) -> list[Case]:
    """The cases whose outcome differs, found line by line, `group` cases to a line at first."""

    def run(some: Sequence[Case], each: int) -> list[int]:
        image = build(some, group=each, all_addresses=all_addresses)
        ours, theirs = on_hartwell(image), on_qemu(image, folder)
        assert len(ours) == len(theirs) == -(-len(some) // each)
        return [at for at, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]

    suspects = [case for at in run(cases, group) for case in cases[at * group:(at + 1) * group]]
    return [suspects[at] for at in run(suspects, 1)] if suspects and group > 1 else suspects


def report(case: Case, folder: Path, all_addresses: bool = False) -> str:
    """A case's instructions, and every word of the outcome that differs."""
    image = build([case], full=True, all_addresses=all_addresses)
    lines = ["", *_disassembly(case.code)]
    for name, ours, theirs in zip(NAMES, on_hartwell(image), on_qemu(image, folder), strict=False):
        if ours != theirs:
            lines.append(f"    {name}: Hartwell {ours}, QEMU {theirs}")
    return "\n".join(lines)


def check(cases: Sequence[Case], folder: Path, group: int = 1, all_addresses: bool = False) -> None:
    """Fail, with a report, if any case differs."""
    found = differences(cases, folder, group, all_addresses)
    if found:
        reports = [report(case, folder, all_addresses) for case in found[:REPORTED]]
        raise AssertionError(f"{len(found)} of {len(cases)} cases differ" + "\n".join(reports))


def _disassembly(code: bytes) -> list[str]:
    decoder = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV64 | capstone.CS_MODE_RISCVC)
    lines = []
    while code:
        size = 4 if code[0] & 3 == 3 else 2
        instruction = next(decoder.disasm(code[:size], 0), None)
        text = f"{instruction.mnemonic} {instruction.op_str}" if instruction else "?"
        lines.append(f"  {code[:size][::-1].hex():>8}  {text}")
        code = code[size:]
    return lines
