"""User programs on the mini-kernel: what a system call, a page fault, a process costs the host.

Every figure is processor time, not the clock's, of the best of several runs, without what a run costs in which
nothing is done: a busy host disturbs it less. The note says how many instructions of the guest there are in one
operation, the kernel's text and the program's own together.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .measure import PROGRAMS, Figure

if TYPE_CHECKING:
    from hartwell.userland.runner import Userland

ROUNDS = 5
MEMORY = 128 << 20
MICROSECONDS, MILLISECONDS = ("µs", 1e6), ("ms", 1e3)


@dataclass(frozen=True)
class Operation:
    """Something that bench/programs/user.c does `count` times when it is told `word`."""

    name: str
    word: str
    count: int
    unit: tuple[str, float]
    required: float | None = None
    storages: tuple[str, ...] = ("frames",)
    busybox: bool = False


OPERATIONS = (
    Operation("system call, getppid", "getppid", 3000, MICROSECONDS, 40),
    Operation("read of 4 KiB of a file", "read", 1000, MICROSECONDS, storages=("frames", "heap")),
    Operation("write of 4 KiB to a file", "write", 1000, MICROSECONDS, storages=("frames", "heap")),
    Operation("a byte to another process and back, pipes", "ping", 300, MICROSECONDS),
    Operation("page fault, new memory", "fault", 2048, MICROSECONDS),
    Operation("page fault, copy-on-write", "copy", 1024, MICROSECONDS),
    Operation("fork, exit, wait", "fork", 50, MILLISECONDS),
    Operation("fork, exec of busybox true, exit, wait", "exec", 20, MILLISECONDS, 50, busybox=True),
)


def boot(storage: str, busybox: bytes | None) -> Userland:
    """A machine with the kernel, the program, and busybox, if it is there."""
    from emulator import Board
    from hartwell.userland import Userland, archive

    entries = [archive.file("bin/user", (PROGRAMS / "user.elf").read_bytes())]
    if busybox is not None:
        entries += archive.program("busybox", busybox, ["true"])
    return Userland(Board(memory=MEMORY), None, archive.pack(entries), storage)


def once(guest: Userland, word: str, count: int) -> tuple[float, int]:
    """Seconds of processor time, and instructions, of a run that does it `count` times."""
    from hartwell.console import Console
    from hartwell.userland import Job, Listeners

    output = bytearray()
    with open(os.devnull, "rb") as nothing:
        host = Console(guest.board.clock_hz, lambda: 0, stdin=nothing.fileno())
        began = time.process_time()
        outcome = guest.run(Job("/bin/user", [b"user", word.encode(), b"%d" % count]), host,
                            Listeners(output.extend, output.extend))
        seconds = time.process_time() - began
    if outcome.exit_code:
        raise RuntimeError(f"user {word} {count}: {output.decode(errors='replace').strip() or outcome}")
    return seconds, outcome.instructions


def measured(guest: Userland, operation: Operation, rounds: int = ROUNDS) -> tuple[float, float]:
    """Seconds and instructions of one operation."""
    once(guest, operation.word, 2)  # what the engine translates, and Python imports, the first time
    nothing = min(once(guest, operation.word, 0) for _ in range(rounds))
    something = min(once(guest, operation.word, operation.count) for _ in range(rounds))
    return ((something[0] - nothing[0]) / operation.count, (something[1] - nothing[1]) / operation.count)


def busybox() -> tuple[bytes | None, str]:
    """Debian's busybox, if it was fetched; otherwise None, and why."""
    try:
        from tests.guests import fetch

        return Path(fetch.guests()["trixie/busybox"].path).read_bytes(), ""
    except Exception as why:
        return None, str(why)


def figures() -> list[Figure]:
    """All of them."""
    box, missing = busybox()
    rows = []
    guests = {storage: boot(storage, box) for storage in ("frames", "heap")}
    try:
        for operation in OPERATIONS:
            unit, scale = operation.unit
            for storage in operation.storages:
                name = operation.name + (f", --ramfs={storage}" if len(operation.storages) > 1 else "")
                if operation.busybox and box is None:
                    rows.append(Figure(name, None, unit, operation.required, note=missing))
                    continue
                seconds, instructions = measured(guests[storage], operation)
                rows.append(Figure(name, seconds * scale, unit, operation.required,
                                   note=f"{instructions:,.0f} instructions; processor time"))
    finally:
        for guest in guests.values():
            guest.close()
    return rows
