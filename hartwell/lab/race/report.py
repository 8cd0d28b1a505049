"""What a search for races says: how much was searched of each scenario, and the first race."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .exhaustive import Tally
from .listing import Step, format_steps, steps_of
from .replay import Replay, ReplayError, turns
from .search import CannotReplay, Race, Search, Strategy, follow, search

if TYPE_CHECKING:
    from .target import Target


@dataclass(frozen=True)
class Searched:
    """What was searched of a scenario."""

    scenario: str
    executions: int
    cut: int
    steps: int
    complete: bool


@dataclass(frozen=True)
class Found:
    """A race, as it is shown and kept."""

    replay: Replay
    race: Race
    titles: tuple[str, ...]
    steps: tuple[Step, ...]

    def listing(self, width: int = 120, full: bool = False) -> str:
        """The interleaving, in columns."""
        return format_steps(self.titles, self.steps, str(self.race.finding), width, full)

    def to_json(self) -> dict[str, object]:
        """As JSON has it."""
        return {"scenario": self.replay.scenario, "after": self.race.after, "preemptions": self.race.preemptions,
                "turns": turns(self.race.schedule), "finding": self.race.finding.to_json(),
                "digest": self.race.digest, "steps": [step.to_json() for step in self.steps]}


@dataclass(frozen=True)
class RaceReport:
    """What came of it."""

    searched: tuple[Searched, ...]
    found: Found | None

    @property
    def executions(self) -> int:
        """Interleavings that were tried to their end."""
        return sum(each.executions for each in self.searched)


def hunt(target: Target, harts: int, strategy: Strategy, scenarios: list[str] | None = None,
         progress: Callable[[str, Tally], None] = lambda scenario, tally: None) -> RaceReport:
    """Search scenarios of a target (those that come along by default) for a race; the budget is shared by all.

    What one does not need the next ones have. ProgramError for a scenario that makes no sense.
    """
    wanted = list(target.scenarios(strategy.seed)) if scenarios is None else scenarios
    left = strategy.budget
    searched: list[Searched] = []
    for number, scenario in enumerate(wanted):
        system = target.open(scenario)
        share = max(left // (len(wanted) - number), 1)
        part = Strategy(strategy.name, strategy.bound, strategy.depth, strategy.seed, share, strategy.reduce)
        tally = Tally(tell=partial(progress, scenario))
        done: Search = search(system, part, tally)
        left -= tally.executions + tally.cut
        searched.append(Searched(scenario, tally.executions, tally.cut, tally.steps, done.complete))
        race = done.race
        if race is not None:
            steps = steps_of(system, race.schedule)
            replay = Replay(target.name, harts, scenario, target.build, race.schedule, str(race.finding), race.digest)
            titles = tuple(system.title(thread) for thread in range(system.threads))
            return RaceReport(tuple(searched), Found(replay, race, titles, tuple(steps)))
    return RaceReport(tuple(searched), None)


def again(target: Target, replay: Replay, path: str) -> Found:
    """The race of a replay file once more. ReplayError if the target is not what it was."""
    if target.build != replay.build:
        raise ReplayError(f"{path}: is of another build of {replay.spec}: expected {replay.build}, which is now "
                          f"{target.build}")
    system = target.open(replay.scenario)
    try:
        finding = follow(system, replay.schedule)
    except CannotReplay as why:
        raise ReplayError(f"{path}: {why}") from None
    digest = system.digest()
    if finding is None or str(finding) != replay.finding or digest != replay.digest:
        raise ReplayError(f"{path}: ended in another way: expected {replay.finding} ({replay.digest}), "
                          f"found {finding or 'nothing wrong'} ({digest})")
    schedule = replay.schedule
    race = Race(schedule, 0, finding, digest, 0)
    steps = steps_of(system, schedule)
    race = Race(schedule, sum(step.preempted is not None for step in steps), finding, digest, 0)
    titles = tuple(system.title(thread) for thread in range(system.threads))
    return Found(replay, race, titles, tuple(steps))
