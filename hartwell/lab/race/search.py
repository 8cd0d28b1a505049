"""The search for a race: a strategy runs executions of a system until one ends badly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from hartwell.lab.finding import Finding

from .exhaustive import LONGEST, Execution, Tally, exhaustive
from .system import System
from .walks import pct, random_walk

EXHAUSTIVE, PCT, RANDOM = "exhaustive", "pct", "random"
STRATEGIES: Final = (EXHAUSTIVE, PCT, RANDOM)
LONG: Final = 300
"""Accesses for each execution of the budget, at most: a search of longer ones has fewer of them."""
SHORTENING: Final = 2_000
"""Executions that may be spent on finding the same with fewer preemptions."""


@dataclass(frozen=True)
class Strategy:
    """How to search: `bound` preemptions (exhaustive), bugs of `depth` (pct), `seed` (both random ones).

    At most `budget` executions. ValueError for a name that is none, or negative numbers.
    """

    name: str = EXHAUSTIVE
    bound: int = 2
    depth: int = 3
    seed: int = 0
    budget: int = 10_000
    reduce: bool = True

    def __post_init__(self) -> None:
        if self.name not in STRATEGIES:
            raise ValueError(f"strategy {self.name!r}: expected one of {', '.join(STRATEGIES)}")
        if self.bound < 0 or self.depth < 1 or self.budget < 1:
            raise ValueError(f"bound {self.bound}, depth {self.depth}, budget {self.budget}: expected 0, 1, 1 or more")

    def executions(self, system: System, tally: Tally) -> Iterator[Execution]:
        """The executions that it tries, without end if it has none of its own."""
        if self.name == EXHAUSTIVE:
            return exhaustive(system, self.bound, reduce=self.reduce, tally=tally)
        if self.name == PCT:
            return pct(system, self.budget, self.seed, self.depth, tally=tally)
        return random_walk(system, self.budget, self.seed, tally=tally)


@dataclass(frozen=True)
class Race:
    """An execution that ended badly: who made each step, how many preemptions that took, and what is wrong.

    `digest` is of how it ended; `after` says how many executions had been tried.
    """

    schedule: tuple[int, ...]
    preemptions: int
    finding: Finding
    digest: str
    after: int


@dataclass
class Search:
    """What came of a search: the first race, and whether all executions that the strategy has were tried."""

    race: Race | None = None
    complete: bool = False
    tally: Tally = field(default_factory=Tally)


def search(system: System, strategy: Strategy, tally: Tally | None = None) -> Search:
    """Search until there is a race, or the budget is spent. A race that chance has found is made short."""
    done = Search(tally=tally or Tally())
    done.tally.most, done.tally.most_steps = strategy.budget, strategy.budget * LONG
    for execution in strategy.executions(system, done.tally):
        finding = system.finding()
        if finding is not None:
            done.race = _race(system, execution, finding, done.tally.executions)
            if strategy.name != EXHAUSTIVE:
                done.race = shorten(system, done.race)
            return done
    done.complete = strategy.name == EXHAUSTIVE and not done.tally.spent
    return done


def shorten(system: System, race: Race) -> Race:
    """A race of the same kind with fewer preemptions, if one is found soon; else the same one."""
    if not race.preemptions:
        return race
    for execution in exhaustive(system, min(race.preemptions - 1, 2), tally=Tally(most=SHORTENING)):
        finding = system.finding()
        if finding is not None and finding.kind is race.finding.kind:
            return _race(system, execution, finding, race.after)
    return race


def _race(system: System, execution: Execution, finding: Finding, after: int) -> Race:
    return Race(execution.schedule, execution.preemptions, finding, system.digest(), after)


class CannotReplay(Exception):  # noqa: N818 - the schedule is somebody else's
    """A schedule that this system cannot follow; says where."""


def follow(system: System, schedule: tuple[int, ...]) -> Finding | None:
    """Make the steps of `schedule` once more; what is wrong at the end. CannotReplay."""
    system.start()
    for number, thread in enumerate(schedule):
        if thread not in system.ready():
            raise CannotReplay(f"step {number}: thread {thread} cannot go on there")
        system.step(thread)
    if system.ready():
        if len(schedule) < LONGEST:
            raise CannotReplay(f"after {len(schedule)} steps: threads {list(system.ready())} could go on")
        system.give_up(len(schedule))
    return system.finding()
