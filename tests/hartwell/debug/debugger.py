"""A debugger in the test's own process, and the same machine without one, to compare with."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from emulator.board import Board
from emulator.debug import Target
from emulator.loader.model import Image
from emulator.machine import Machine
from hartwell.debug.errors import DebugError
from hartwell.debug.idle import no_input
from hartwell.debug.kernel_program import boot_kernel
from hartwell.debug.programs import Programs
from hartwell.debug.session import Session
from kernel.text.image import firmware_image, kernel_image
from kernel.track import Tracker
from tests.helpers.machines import FIRMWARE, IMAGES, image, load

CROSS = "riscv64-unknown-elf-"


class Debugger:
    """A session with what it says: `do` gives the lines of one command."""

    def __init__(self, machine: Machine, images: Sequence[Image], *, ours: bool = False, track: bool = False) -> None:
        self.machine = machine
        tracker = Tracker(machine) if track else None
        self.guest = bytearray()
        machine.on_output = self.guest.extend
        self.target = Target(machine, boot_kernel(tracker) if ours else None, poll=no_input(machine))
        self.said: list[str] = []
        self.session = Session(self.target, Programs(images), self.said.append, tracker=tracker)

    def do(self, *lines: str) -> list[str]:
        """Run commands; what the last one says."""
        for line in lines:
            self.said.clear()
            self.session.execute(line)
        return list(self.said)

    def fails(self, line: str) -> str:
        """Why a command cannot be done; the test fails if it can, or if it does not say so in one line."""
        try:
            self.session.execute(line)
        except DebugError as why:
            assert "\n" not in str(why)
            return str(why)
        raise AssertionError(f"{line} was done: {self.said}")

    @property
    def pc(self) -> int:
        return self.session.hart.pc

    def state(self) -> tuple[object, ...]:
        """Everything about all harts that a step changes."""
        return state(self.machine)


def state(machine: Machine) -> tuple[object, ...]:
    """Everything about all harts that a step changes, and what the console has printed."""
    return tuple((hart.registers(), hart.priv, hart.instructions, hart.cycles, hart.traps, hart.read_csr("mstatus"),
                  hart.read_csr("mepc"), hart.read_csr("sepc")) for hart in machine.harts) + (machine.console,)


@contextmanager
def debugging(name: str, harts: int | None = None, *, typed: bool = True) -> Iterator[Debugger]:
    """A test image under the debugger, from its reset on; if `typed`, its input is there."""
    known = image(name) if typed else replace(image(name), stdin=b"")
    machine = known.boot(harts)
    made = Debugger(machine, [load(FIRMWARE), load(known.path)] if known.mode == "s" else [load(known.path)])
    try:
        yield made
    finally:
        made.target.close()
        machine.close()


@contextmanager
def debugging_kernel(harts: int = 1, memory: int = 32 << 20, *, track: bool = False) -> Iterator[Debugger]:
    """Hartwell's own kernel under the debugger, from its reset on; if `track`, its allocations are recorded."""
    machine = Machine(Board(harts=harts, memory=memory))
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    made = Debugger(machine, [firmware_image(), kernel_image()], ours=True, track=track)
    try:
        yield made
    finally:
        made.target.close()
        machine.close()


def retire(machine: Machine, instructions: int) -> None:
    """Run a machine until its harts have retired so many."""
    while (left := instructions - machine.instructions) > 0:
        machine.proceed(steps=left)


@contextmanager
def alone(name: str, *breakpoints: int) -> Iterator[Machine]:
    """The same machine without a debugger, where it has come to the first of `breakpoints`, if there are any."""
    machine = image(name).boot()
    try:
        if breakpoints:
            machine.set_breakpoints(breakpoints)
            machine.run()
            machine.set_breakpoints(())
        yield machine
    finally:
        machine.close()


def symbols(name: str) -> dict[str, int]:
    """The symbols of a test image, as binutils see them."""
    return nm(IMAGES / name / f"{name}.elf")


@cache
def nm(path: Path) -> dict[str, int]:
    """The symbols of an ELF, as binutils see them."""
    listing = subprocess.run([f"{CROSS}nm", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[2]: int(line.split()[0], 16) for line in listing.splitlines() if len(line.split()) == 3}


@cache
def objdump(name: str) -> dict[int, str]:
    """Mnemonic of every instruction of a test image, by address, as binutils see them."""
    listing = subprocess.run([f"{CROSS}objdump", "-d", "-M", "no-aliases", IMAGES / name / f"{name}.elf"],
                             capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^ *([0-9a-f]+):\t[0-9a-f]+ +\t(\S+)", listing, re.M)
    return {int(address, 16): mnemonic for address, mnemonic in found}


def source_line(name: str, address: int) -> tuple[str, int]:
    """File and line of an address in a test image, as binutils see them."""
    said = subprocess.run([f"{CROSS}addr2line", "-e", IMAGES / name / f"{name}.elf", hex(address)],
                          capture_output=True, text=True, check=True).stdout
    file, _, line = said.strip().partition(":")
    return Path(file).name, int(line.split()[0])
