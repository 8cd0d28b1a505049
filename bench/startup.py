"""What it takes to begin: the command line up to a guest's end, a huge machine, the first start on a host."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

from .measure import Figure, interleaved, python, seconds_of

CONSTRUCT = """
import time
from emulator.board import Board
from emulator.machine import Machine
Machine().close()
started = time.perf_counter()
machine = Machine(Board(memory=64 << 30))
seconds = time.perf_counter() - started
status = open("/proc/self/status").read()
print(seconds, int(status.split("VmRSS:")[1].split()[0]) / 1024)
"""
"""Seconds for a machine with 64 GiB once the engine's library is loaded, and MiB resident in the process."""

FIRST = """
import time
started = time.perf_counter()
from emulator.machine import Machine
Machine().close()
print(time.perf_counter() - started)
"""
"""Seconds for a first machine, imports and compilation included."""


def hello() -> Figure:
    """Wall time of the command, interpreter start included, when the native code is in the cache."""
    name = "hartwell boot hello, wall"
    line = [sys.executable, "-m", "hartwell", "boot", "hello"]
    try:
        seconds_of(line)
        bare = [sys.executable, "-c", "pass"]
        median = interleaved(7, ours=lambda: seconds_of(line), bare=lambda: seconds_of(bare))
    except RuntimeError as why:
        return Figure(name, None, "s", 0.8, note=str(why))
    return Figure(name, median["ours"], "s", 0.8, note=f"Python alone {median['bare']:.2f} s")


def construction() -> list[Figure]:
    """Time and resident memory of a machine that no guest has touched."""
    runs = [tuple(float(part) for part in python("-c", CONSTRUCT).split()) for _ in range(5)]
    seconds, resident = (sorted(run[i] for run in runs)[2] for i in (0, 1))
    return [Figure("64 GiB machine, construction", seconds, "s", 0.1),
            Figure("64 GiB machine, resident", resident, "MiB", 100, note="the whole process")]


def first() -> Figure:
    """The first start on a host: native code is compiled into an empty cache."""
    folder = tempfile.mkdtemp(prefix="hartwell-bench-")
    try:
        seconds = float(python("-c", FIRST, environment={**os.environ, "HARTWELL_CACHE": folder}))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Figure("first start, empty cache", seconds, "s", 10, note="one run")


def figures() -> list[Figure]:
    """All of them."""
    return [hello(), *construction(), first()]
