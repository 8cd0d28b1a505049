"""Random searches, for what is too large to be searched exhaustively. The same seed gives the same executions.

random_walk  at every step any thread that is ready may go on, all alike. Finds what needs many switches.

pct          threads have priorities, drawn at random, and the highest that is ready runs; at d - 1 steps, also
             drawn, the thread that would run becomes the lowest. With n threads and executions of k steps, one run
             finds a bug that d ordered accesses make (its depth) with a probability of at least

                     1 / (n · k^(d-1))

             (S. Burckhardt, P. Kothari, M. Musuvathi, S. Nagarakatte, "A Randomized Scheduler with Probabilistic
             Guarantees of Finding Bugs", ASPLOS 2010). k is the length of the longest execution so far.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from .exhaustive import LONGEST, Execution, Tally
from .system import System

Choose = Callable[[Sequence[int], int], int]
"""Who of those that are ready makes the step of this number."""


def random_walk(system: System, runs: int, seed: int = 0, *, tally: Tally | None = None,
                longest: int = LONGEST) -> Iterator[Execution]:
    """`runs` executions in which every choice is drawn."""
    tally = tally or Tally()
    for run in range(runs):
        chance = random.Random(f"walk {seed} {run}")
        yield walk(system, _drawing(chance), tally, longest)
        if tally.spent:
            return


def pct(system: System, runs: int, seed: int = 0, depth: int = 3, *, tally: Tally | None = None,
        longest: int = LONGEST) -> Iterator[Execution]:
    """`runs` executions for bugs of a depth of up to `depth`, 1 or more (ValueError)."""
    if depth < 1:
        raise ValueError(f"depth {depth}: expected 1 or more")
    tally = tally or Tally()
    length = 1
    for run in range(runs):
        chance = random.Random(f"pct {seed} {run}")
        execution = walk(system, _Priorities(system.threads, length, depth, chance).choose, tally, longest)
        length = max(length, len(execution.schedule))
        yield execution
        if tally.spent:
            return


def guarantee(threads: int, steps: int, depth: int) -> float:
    """The least probability with which one run of `pct` finds a bug of this depth."""
    return 1.0 / (threads * float(max(steps, 1)) ** (depth - 1))


def _drawing(chance: random.Random) -> Choose:
    return lambda ready, step: chance.choice(ready)


class _Priorities:
    """Threads' priorities in one run of `pct`."""

    def __init__(self, threads: int, length: int, depth: int, chance: random.Random) -> None:
        self._priorities = list(range(depth, depth + threads))
        chance.shuffle(self._priorities)
        self._lower = {chance.randrange(length): depth - 1 - n for n in range(depth - 1)}
        """The steps at which who would make it becomes the lowest, and how low."""

    def choose(self, ready: Sequence[int], step: int) -> int:
        """Who makes this step."""
        best = max(ready, key=self._priorities.__getitem__)
        if step in self._lower:
            self._priorities[best] = self._lower.pop(step)
            best = max(ready, key=self._priorities.__getitem__)
        return best


def walk(system: System, choose: Choose, tally: Tally, longest: int = LONGEST) -> Execution:
    """One execution, in which `choose` says who makes each step."""
    system.start()
    schedule: list[int] = []
    last, spent = -1, 0
    while ready := system.ready():
        chosen = choose(ready, len(schedule))
        spent += last in ready and chosen != last
        system.step(chosen)
        schedule.append(chosen)
        last = chosen
        if len(schedule) >= longest:
            system.give_up(len(schedule))
    tally.executions += 1
    tally.steps += len(schedule)
    tally.note()
    return Execution(tuple(schedule), spent)
