"""Races: how many interleavings of two harts a second are searched, and how many it takes to find what is planted."""

from __future__ import annotations

import time
from typing import Final

from hartwell.lab.race.exhaustive import Tally, exhaustive
from hartwell.lab.race.report import hunt
from hartwell.lab.race.search import Strategy
from hartwell.lab.race.target import open_target

from .measure import Figure

BOUND: Final = 4
"""Preemptions: some hundred interleavings of a reference count on two harts, of about ten accesses each."""
ROUNDS: Final = 25
PLANTED: Final = ("race-refcount/lost-update", "race-refcount/blind-add", "race-refcount/late-look",
                  "buddy-percpu/lost-update", "buddy/missing-lock", "slab/blind-count", "slab/missing-lock",
                  "slab/lock-dropped-early", "kernel:pages/blind-add")
SOUND: Final = ("race-refcount", "buddy", "slab", "buddy-percpu", "kernel:pages")


def speed() -> Figure:
    """Every interleaving is run to its end, and judged: nothing is left out by a reduction.

    Seconds of the CPU: nothing is waited for. The best of some rounds.
    """
    with open_target("race-refcount", 2) as target:
        system = target.open("")
        tally = Tally()
        seconds = float("inf")
        for _ in range(ROUNDS):
            tally, started = Tally(), time.process_time()
            for _ in exhaustive(system, BOUND, reduce=False, tally=tally):
                assert system.finding() is None
            seconds = min(seconds, time.process_time() - started)
    return Figure("lab race: interleavings of a reference count, 2 harts", tally.executions / seconds, "/s", 2_000,
                  least=True, note=f"{tally.executions} interleavings, {tally.steps:,} accesses; bound {BOUND}")


def planted(name: str) -> Figure:
    """How many interleavings were tried until the race was found."""
    with open_target(name, 2) as target:
        report = hunt(target, 2, Strategy(budget=3_000))
    found = report.found
    if found is None:
        return Figure(f"lab race: {name}, found after", None, "interleavings", note="not found")
    return Figure(f"lab race: {name}, found after", report.executions, "interleavings",
                  note=f"{found.race.preemptions} preemption(s): {found.race.finding.kind.value}")


def sound(name: str) -> Figure:
    """False alarms with the same budget."""
    with open_target(name, 2) as target:
        report = hunt(target, 2, Strategy(budget=3_000))
    return Figure(f"lab race: {name}, false alarms", float(report.found is not None), "", 0,
                  note=f"{report.executions:,} interleavings")


def figures() -> list[Figure]:
    """All of them."""
    return [speed(), *(planted(name) for name in PLANTED), *(sound(name) for name in SOUND)]
