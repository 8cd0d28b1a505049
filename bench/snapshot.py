"""Snapshots: taking one, going back, and what both cost by what was written in between and by the machine's size."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .measure import Figure, interleaved, python, timed

if TYPE_CHECKING:
    from emulator import Machine

BASE, PAGE = 0x8000_0000, 4096
TOUCHED = 8 << 20
WRITTEN = 1000
ROUNDS = 9

HUGE = """
import time
from emulator import Board, Machine
def timed(action):
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000
Machine().snapshot()
machine = Machine(Board(memory=64 << 30))
memory = machine.bus.memory(0x8000_0000 + (33 << 30), 8 << 20)
memory[:] = 1
first = machine.snapshot()
taking, restoring = [], []
for value in range(5):
    memory[:1000 * 4096:4096] = value
    taking.append(timed(machine.snapshot))
    memory[:1000 * 4096:4096] = 9
    restoring.append(timed(lambda: machine.restore(first)))
status = open("/proc/self/status").read()
print(sorted(taking)[2], sorted(restoring)[2], int(status.split("VmRSS:")[1].split()[0]) / 1024)
"""
"""Milliseconds to take a snapshot of 64 GiB and to go back, with 1000 pages written each time; MiB resident."""


def _touched() -> Machine:
    """A machine with 128 MiB, of which 8 MiB were written to."""
    from emulator import Board, Machine

    machine = Machine(Board(memory=128 << 20))
    machine.bus.memory(BASE, TOUCHED).view(np.uint64)[:] = np.arange(1, TOUCHED // 8 + 1)
    return machine


def _scribble(machine: Machine, chance: random.Random) -> None:
    """Write to 1000 pages, here and there."""
    pages = machine.bus.memory(BASE, TOUCHED).reshape(-1, PAGE)
    pages[chance.sample(range(len(pages)), WRITTEN), chance.randrange(PAGE)] += 1


def first() -> Figure:
    """The first snapshot of a machine."""

    def once() -> float:
        machine = _touched()
        seconds = timed(machine.snapshot)
        machine.close()
        return seconds

    once()
    return Figure("first snapshot, 128 MiB, 8 MiB touched", interleaved(ROUNDS, it=once)["it"] * 1000, "ms", 20)


def later() -> list[Figure]:
    """Further snapshots, going back to the last and to an older one, and the shortest way there and on."""
    from emulator.loader.model import Image, ImageKind, Segment

    machine, chance = _touched(), random.Random(1)
    code = (0x00150513).to_bytes(4, "little") + (0xFFDFF06F).to_bytes(4, "little")  # 1: addi a0, a0, 1; j 1b
    machine.boot(kernel=Image("loop", ImageKind.FLAT, BASE, (Segment(BASE, code, len(code), BASE),)))
    kept = [machine.snapshot()]

    def take() -> float:
        _scribble(machine, chance)
        started = time.perf_counter()
        kept.append(machine.snapshot())
        return time.perf_counter() - started

    def back() -> float:
        _scribble(machine, chance)
        return timed(lambda: machine.restore(kept[-1]))

    def older() -> float:
        seconds = timed(lambda: machine.restore(kept[-2]))
        machine.restore(kept[-1])
        return seconds

    def again() -> float:
        started = time.perf_counter()
        machine.restore(kept[-1])
        machine.run(max_insns=10_000)
        return time.perf_counter() - started

    found = interleaved(ROUNDS, take=take, back=back, older=older, again=again)
    machine.close()
    return [Figure(f"snapshot, {WRITTEN} pages written", found["take"] * 1000, "ms", 20),
            Figure(f"restore, {WRITTEN} pages written", found["back"] * 1000, "ms", 5),
            Figure(f"restore of an older one, {WRITTEN} pages apart", found["older"] * 1000, "ms"),
            Figure("restore, and 10,000 instructions", found["again"] * 1000, "ms", note="few pages written")]


def huge() -> list[Figure]:
    """A machine with 64 GiB, of which little was touched."""
    taking, restoring, resident = (float(part) for part in python("-c", HUGE).split())
    return [Figure(f"snapshot, 64 GiB, {WRITTEN} pages written", taking, "ms", note="looking for them, mostly"),
            Figure(f"restore, 64 GiB, {WRITTEN} pages written", restoring, "ms"),
            Figure("64 GiB machine with snapshots, resident", resident, "MiB", 400, note="the whole process")]


def files() -> list[Figure]:
    """To a file and back into a new machine."""
    from emulator import Machine, Snapshot

    machine = _touched()
    snapshot, other = machine.snapshot(), Machine(machine.board)
    with tempfile.TemporaryDirectory(prefix="hartwell-bench-") as folder:
        path = Path(folder) / "machine.snap"
        found = interleaved(5, save=lambda: timed(lambda: snapshot.save(path)),
                            load=lambda: timed(lambda: other.restore(Snapshot.load(path))))
        size = path.stat().st_size
    machine.close()
    other.close()
    return [Figure("snapshot to a file, 8 MiB touched", found["save"] * 1000, "ms", note=f"{size:,} bytes"),
            Figure("… and from it into another machine", found["load"] * 1000, "ms")]


def figures() -> list[Figure]:
    """All of them."""
    return [first(), *later(), *huge(), *files()]
