"""Debugging: what a debugger costs that only stands by, and how long going backwards takes.

Attached is a target whose server has a debugger connected, which says nothing; the machine runs the same code as alone.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .measure import Figure, timed

if TYPE_CHECKING:
    from emulator import Machine
    from emulator.debug import Target

BASE = 0x8000_0000
ROUNDS = 7
COUNT = 60_000_000
"""Instructions of a loop."""
BOOT = 10_000_000
"""Instructions of a boot that is gone through backwards."""

COMPUTE = (0x00150513, 0x00A5C5B3, 0x00B60633, 0x02C58633, 0xFF1FF06F)
"""1: addi a0, a0, 1; xor a1, a1, a0; add a2, a2, a1; mul a2, a1, a2; j 1b"""
MEMORY = (0x00001297, 0x0002B303, 0x00130313, 0x0062B023, 0x0082B383, 0xFF1FF06F)
"""auipc t0, 1; 1: ld t1, 0(t0); addi t1, t1, 1; sd t1, 0(t0); ld t2, 8(t0); j 1b"""


def _loop(words: tuple[int, ...]) -> Machine:
    from emulator import Board, Machine
    from emulator.loader.model import Image, ImageKind, Segment

    code = b"".join(word.to_bytes(4, "little") for word in words)
    machine = Machine(Board())
    machine.boot(kernel=Image("loop", ImageKind.FLAT, BASE, (Segment(BASE, code, len(code), BASE),)))
    return machine


def _image(name: str) -> Machine:
    from emulator import Board, Machine
    from emulator.loader.detect import load_image

    from .measure import ROOT

    machine = Machine(Board(harts=2))
    machine.boot(kernel=load_image((ROOT / f"images/{name}/{name}.elf").read_bytes(), name, BASE),
                 firmware=load_image((ROOT / "firmware/hartwell-sbi.elf").read_bytes(), "firmware", BASE))
    return machine


@contextmanager
def _attached(machine: Machine, max_insns: int) -> Iterator[Target]:
    """`machine` under a target that glances at a connected debugger."""
    from emulator.debug import Target
    from emulator.gdb import Attention, Listener

    with Listener() as listener:
        listener.open()
        client = socket.create_connection(("127.0.0.1", listener.port))
        attention = Attention(listener, machine.board.clock_hz)
        while not attention.glance():
            time.sleep(0.001)
        attention.new = False
        with Target(machine, poll=attention.poll, glance=attention.glance, max_insns=max_insns) as target, client:
            yield target


def _plain(make: Callable[[], Machine], count: int) -> float:
    machine = make()
    seconds = timed(lambda: machine.run(max_insns=count))
    machine.close()
    return seconds


def _debugged(make: Callable[[], Machine], count: int, watched: int | None = None) -> float:
    from emulator.debug import WatchAt
    from emulator.stop import Watch

    machine = make()
    with _attached(machine, count) as target:
        if watched is not None:
            target.points.add(WatchAt(Watch(watched, 8)))
        seconds = timed(target.resume)
    machine.close()
    return seconds


def _ratio(name: str, one: Callable[[], float], other: Callable[[], float], required: float | None) -> Figure:
    """How many times as long `one` takes as `other`, measured in pairs."""
    one(), other()
    pairs = [(one(), other()) for _ in range(ROUNDS)]
    ratio = statistics.median(first / second for first, second in pairs)
    alone = statistics.median(second for _, second in pairs)
    return Figure(name, ratio, "times", required, note=f"{alone:.3f} s alone")


def idle() -> list[Figure]:
    """A debugger that stands by, and one that watches memory that nobody uses."""
    compute, memory, boot = (lambda: _loop(COMPUTE)), (lambda: _loop(MEMORY)), (lambda: _image("sbi-selftest"))
    return [
        _ratio("attached and idle, computing", lambda: _debugged(compute, COUNT), lambda: _plain(compute, COUNT), 1.05),
        _ratio("attached and idle, loads and stores", lambda: _debugged(memory, COUNT), lambda: _plain(memory, COUNT),
               1.05),
        _ratio("attached and idle, a boot", lambda: _debugged(boot, COUNT), lambda: _plain(boot, COUNT), 1.05),
        _ratio("a watchpoint elsewhere, loads and stores", lambda: _debugged(memory, COUNT, BASE + (64 << 20)),
               lambda: _debugged(memory, COUNT), 1.05)]


def backwards() -> list[Figure]:
    """Steps back from the end of a boot, and going back to what wrote to memory last."""
    machine = _image("sbi-selftest")
    with _attached(machine, BOOT) as target:
        target.resume()
        length = machine.instructions
        first = timed(target.reverse_step)
        later = statistics.median(timed(target.reverse_step) for _ in range(20))
        back = timed(lambda: target.last_write(BASE + 0x200000, 8))
    machine.close()
    return [Figure("first step back", first * 1000, "ms", 200, note=f"in {length:,} instructions"),
            Figure("each further step back", later * 1000, "ms", 200),
            Figure("what wrote to memory last: nothing in all of it", back * 1000, "ms")]


def figures() -> list[Figure]:
    """All of them. What a snapshot costs is measured by `snapshot`."""
    return [*idle(), *backwards()]
