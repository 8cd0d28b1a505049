"""Programs that tests compile, and the tools that say what is in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from emulator.loader.detect import load_image
from emulator.loader.model import Image

GCC = "riscv64-unknown-elf-gcc"
FOLDER = Path(__file__).parent


def needs(*tools: str) -> pytest.MarkDecorator:
    """Skip the test where a tool is missing (CI installs all of them, and forbids skipping)."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")


def compiled(folder: Path, options: Sequence[str], source: Path = FOLDER / "calls.c") -> Path:
    """`source`, compiled with `options` in `folder`, in the firmware's place in memory."""
    made = folder / f"{source.stem}.elf"
    subprocess.run([GCC, "-nostdlib", "-ffreestanding", "-mcmodel=medany", "-march=rv64imac_zicsr", "-mabi=lp64",
                    "-Wl,-n", "-Wl,--section-start=.init=0x80000000", "-Wl,-Ttext=0x80000040", "-Wl,--build-id=none",
                    *options, str(source), "-o", str(made)], check=True, cwd=folder)
    return made


def loaded(path: Path) -> Image:
    """The image in a file."""
    return load_image(path.read_bytes(), str(path), 0x8000_0000)


def output(*command: str, text: str | None = None) -> str:
    """What a tool prints, in the C locale."""
    return subprocess.run(command, check=True, capture_output=True, text=True, input=text,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin:/usr/local/bin"}).stdout


def instruction_addresses(path: Path) -> list[int]:
    """Where the instructions of a program begin, as objdump sees it."""
    lines = output("riscv64-unknown-elf-objdump", "-d", "--no-show-raw-insn", str(path)).splitlines()
    return [int(line.split(":")[0], 16) for line in lines if line.startswith(" ") and ":\t" in line]
