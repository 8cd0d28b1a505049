"""Debian's Linux from the first instruction to power-off, beside QEMU in the same run."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from emulator.board import Board
from emulator.loader.detect import load_image
from emulator.machine import Machine

from .measure import ROOT, Figure, interleaved, seconds_of, timed

QEMU = shutil.which("qemu-system-riscv64")
CPU = "rv64,h=off,sstc=off,zba=off,zbb=off,zbc=off,zbs=off,Zihintpause=off"
"""The hart that ours is."""
FIRMWARE = ROOT / "firmware" / "hartwell-sbi.elf"
NEEDED = {1: 2.5, 2: 4.0}
MEMORY_MIB = 512


def hartwell(kernel: Path, initrd: Path, harts: int) -> float:
    """Seconds of the run loop."""
    machine = Machine(Board(harts=harts, memory=MEMORY_MIB << 20))
    machine.boot(kernel=load_image(kernel.read_bytes(), kernel.name, 0x8020_0000), initrd=initrd.read_bytes(),
                 firmware=load_image(FIRMWARE.read_bytes(), FIRMWARE.name, 0x8000_0000), bootargs="console=ttyS0")
    stops = []
    seconds = timed(lambda: stops.append(machine.run(timeout=120)))
    assert stops[0].ok and b"BOOT-OK" in machine.console, stops[0]
    machine.close()
    return seconds


def qemu(kernel: Path, initrd: Path, harts: int) -> float:
    """Seconds of the process, its start (some 0.05 s) included."""
    assert QEMU is not None
    return seconds_of([QEMU, "-M", "virt", "-cpu", CPU, "-smp", str(harts), "-m", f"{MEMORY_MIB}M", "-nographic",
                       "-bios", str(FIRMWARE), "-kernel", str(kernel), "-initrd", str(initrd),
                       "-append", "console=ttyS0"])


def figures() -> list[Figure]:
    """Time against QEMU's: below 1 is faster."""
    names = {harts: f"Linux boot to power-off, {harts} hart{'s' * (harts > 1)}, time / QEMU" for harts in NEEDED}
    try:
        from tests.guests import fetch

        found = fetch.guests()
    except Exception as why:
        return [Figure(names[harts], None, "x", NEEDED[harts], note=str(why)) for harts in NEEDED]
    kernel, initrd = Path(found["trixie/Image"].path), Path(found["initramfs-bench.cpio.gz"].path)
    rows = []
    for harts, needed in NEEDED.items():
        if QEMU is None:
            ours = interleaved(3, ours=partial(hartwell, kernel, initrd, harts))["ours"]
            rows.append(Figure(names[harts], None, "x", needed, note=f"{ours:.2f} s; QEMU is not installed"))
            continue
        median = interleaved(3, ours=partial(hartwell, kernel, initrd, harts),
                             theirs=partial(qemu, kernel, initrd, harts))
        rows.append(Figure(names[harts], median["ours"] / median["theirs"], "x", needed,
                           note=f"{median['ours']:.2f} s, QEMU {median['theirs']:.2f} s"))
    return rows
