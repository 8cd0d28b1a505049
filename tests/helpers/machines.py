"""Machines for tests: made from a few lines of assembly, closed when the test is over."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.board import Board
from emulator.loader.detect import load_image
from emulator.loader.model import Image, ImageKind, Segment
from emulator.loader.sizes import parse_size
from emulator.machine import Machine
from emulator.stop import Stop
from emulator.timing import Profile, load_profile

from .assembler import BASE, assemble

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
FIRMWARE = ROOT / "firmware" / "hartwell-sbi.elf"
LIMIT = 50_000_000
"""Instructions within which every test program ends; what does not is a Watchdog stop."""

END = """
        li      t6, 0x100000
        li      t5, 0x5555
        sw      t5, 0(t6)
1:      j       1b
"""
"""The end of a program: PASS on the finisher."""


def flat(code: bytes, address: int = BASE, name: str = "test program") -> Image:
    """Machine code as an image that is entered at its first byte."""
    return Image(name, ImageKind.FLAT, address, (Segment(address, code, len(code), address),))


def load(path: Path, flat_address: int = BASE) -> Image:
    """The image in a file."""
    return load_image(path.read_bytes(), path.name, flat_address)


def machine(source: str, board: Board | None = None, **options: Any) -> Machine:
    """A machine with `source` in the firmware's place: entered in M-mode by every hart."""
    made = Machine(board, **options)
    made.boot(kernel=flat(assemble(source)))
    return made


def run(source: str, board: Board | None = None, **options: Any) -> Machine:
    """The machine after `source` has ended with PASS; an AssertionError if it has not."""
    made = machine(source, board, **options)
    stop = made.run(max_insns=LIMIT)
    assert stop.ok, f"{stop}; {made.harts[0].registers()}"
    return made


def timed(board: Board, profile: str | Profile | None) -> Machine:
    """A machine whose cycles are counted with this profile, or that of this name; untimed for None."""
    return Machine(board, load_profile(profile) if isinstance(profile, str) else profile)


@dataclass(frozen=True)
class TestImage:
    """An image of the folder `images/`, by its manifest."""

    name: str
    smp: int
    memory: int
    mode: str
    stdin: bytes
    exit: int | None
    ends: str | None
    max_insns: int
    expected: bytes

    __test__ = False  # not a class of tests, whatever pytest thinks of its name

    @property
    def path(self) -> Path:
        return IMAGES / self.name / f"{self.name}.elf"

    def boot(self, harts: int | None = None, profile: str | Profile | None = None,
             **board: Any) -> Machine:
        """A machine that is about to run the image, its cycles counted with `profile`."""
        made = timed(Board(harts=harts or self.smp, memory=self.memory, **board), profile)
        made.boot(kernel=load(self.path), firmware=load(FIRMWARE) if self.mode == "s" else None)
        made.feed(self.stdin)
        return made

    def run(self, made: Machine) -> Stop:
        """Run it to its end or its limit."""
        return made.run(max_insns=self.max_insns)

    def printed(self, console: bytes) -> bytes:
        """What the image itself printed, by the rule in images/README.md."""
        text = console.replace(b"\r", b"")
        return text.split(b"\n\n", 1)[1] if self.mode == "s" else text


def image(name: str) -> TestImage:
    """The test image called `name`."""
    folder = IMAGES / name
    manifest = tomllib.loads((folder / "manifest.toml").read_text())
    return TestImage(
        name, manifest["smp"], parse_size(manifest["memory"]), manifest["mode"], manifest.get("stdin", "").encode(),
        manifest.get("exit"), manifest.get("ends"), manifest.get("max_insns", 200_000_000),
        (folder / "expected.txt").read_bytes())


def images() -> list[str]:
    """The names of all test images."""
    return sorted(path.parent.name for path in IMAGES.glob("*/manifest.toml"))


def digest(made: Machine) -> str:
    """A hash of all that a run leaves behind: console, counters of every hart, RAM."""
    found = hashlib.sha256(made.console)
    found.update(repr([(hart.instructions, hart.cycles, hart.traps, hart.pc) for hart in made.harts]).encode())
    for bank in made.board.banks:
        found.update(made.bus.memory(bank.base, bank.size).data)
    return found.hexdigest()
