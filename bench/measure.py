"""Timing: medians of several runs, the alternatives taken in turn, so that a busy host disturbs all alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True)
class Figure:
    """One row of the table: `value` in `unit`, and what is required of it (None: reported only).

    `least` says which way the requirement goes. `value` is None where it could not be measured, and `note`
    then says why; otherwise `note` holds the absolute figures behind a ratio.
    """

    name: str
    value: float | None
    unit: str
    required: float | None = None
    least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """"ok", "MISSED", or "" where nothing is required or nothing was measured."""
        if self.value is None or self.required is None:
            return ""
        return "ok" if (self.value >= self.required if self.least else self.value <= self.required) else "MISSED"


def interleaved(rounds: int, **alternatives: Callable[[], float]) -> dict[str, float]:
    """The median of `rounds` results of each alternative, taken in turn: A B A B …"""
    taken: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, measure in alternatives.items():
            taken[name].append(measure())
    return {name: statistics.median(values) for name, values in taken.items()}


def timed(action: Callable[[], object]) -> float:
    """Seconds that `action` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def python(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Run this Python anew in the checkout; its standard output. RuntimeError with the last line of its complaint."""
    done = subprocess.run([sys.executable, *arguments], check=False, cwd=ROOT, env=environment, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=120)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(lines[-1])
    return done.stdout


def seconds_of(line: Sequence[str], timeout: float = 120) -> float:
    """Seconds from the start of a process to its end; RuntimeError unless it ends with status 0."""
    started = time.perf_counter()
    done = subprocess.run(line, check=False, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    seconds = time.perf_counter() - started
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise RuntimeError(f"{Path(line[0]).name}: {complaint[-1]}")
    return seconds
