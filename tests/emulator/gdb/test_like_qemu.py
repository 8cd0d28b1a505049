"""GDB sees the same registers on this machine as on QEMU's, at the same breakpoints of the same program."""

from __future__ import annotations

import re
import socket
import subprocess
import time

from emulator.board import Board
from emulator.machine import Machine
from tests.emulator.privileged.programs import elf
from tests.helpers import gdb, qemu
from tests.helpers.machines import load

LEVELS = elf("levels")
CSRS = "satp sepc scause stval stvec mepc mcause mtval mtvec medeleg mie priv pmpcfg0 mscratch sscratch"
"""Not pmpaddr0, of which QEMU keeps bits that do not exist (privileged specification, figure 3.31)."""
ASK = ("info registers", f"info registers {CSRS}", "x/8xw $sp", "x/4i $pc")
VISIT = ("break to_supervisor", "break write_satp", "break *0x40001000", "break add_to_total", "break machine_trap")
COMMANDS = [*VISIT, *("continue", *ASK) * 6, "stepi", *ASK, "stepi", *ASK]


def qemus() -> list[str]:
    """What GDB prints on QEMU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = qemu.command(bios="none", kernel=LEVELS, memory="16M", more=["-S", "-gdb", f"tcp:127.0.0.1:{port}"])
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            done = subprocess.run(gdb.command(port, ["set osabi none", *COMMANDS, "kill"], LEVELS),
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        finally:
            process.kill()
    return done.stdout.splitlines()


def registers(lines: list[str]) -> list[tuple[str, int]]:
    """Each register that was printed, and its value, but for what the boot ROM left of where the device tree is."""
    found = [re.match(r"(\w+) +(0x[0-9a-f]+)\t", line) for line in lines]
    return [(match[1], int(match[2], 16)) for match in found if match is not None and match[1] not in ("a1", "a2")]


@qemu.needs_qemu
@gdb.needs_gdb
def test_registers_at_breakpoints_in_all_privilege_levels() -> None:
    made = Machine(Board(memory=16 << 20))
    made.boot(kernel=load(LEVELS))
    ours, theirs = registers(gdb.debug(made, *COMMANDS, elf=LEVELS)), registers(qemus())
    assert len(theirs) > 8 * 40
    assert ours == theirs
