"""What a comparison says: the error of each group of programs, and the programs that are beyond the bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from emulator.timing.profile import Profile

from .compare import Result
from .programs import Group, Split

BOUNDS = {Group.KERNEL: 8, Group.MICRO: 15}
"""By how many per cent one program of a group may be wrong."""
MEAN_BOUND = 3
"""By how many per cent the programs may be wrong in the mean: all of them, each group, and each set."""
WHOLE = "all"


@dataclass(frozen=True, slots=True)
class Summary:
    """The absolute errors of several programs, in per cent."""

    group: Group | None
    """None: both."""
    split: Split | None
    """None: both."""
    count: int
    mean: Fraction
    worst: Result

    @property
    def names(self) -> tuple[str, str]:
        """Group and set, as one says them."""
        return self.group.value if self.group else WHOLE, self.split.value if self.split else WHOLE


def summaries(results: Sequence[Result]) -> list[Summary]:
    """One of each group and each set, of both and of all; the first is of all. None of what has no programs."""
    found = []
    for group in (None, *Group):
        for split in (None, *Split):
            some = [result for result in results
                    if group in (None, result.program.group) and split in (None, result.program.split)]
            if some:
                mean = sum((abs(result.error) for result in some), Fraction()) / len(some)
                found.append(Summary(group, split, len(some), mean, max(some, key=lambda result: abs(result.error))))
    return found


def beyond(results: Sequence[Result], means: bool = True) -> list[str]:
    """What is worse than the bounds allow, a line each; `means`: the means, too.

    Means of all, of each group and of each set; what a group has of a set is too little to judge.
    """
    lines = [f"{result.program.name}: {percent(result.error)}; expected at most {BOUNDS[result.program.group]} %"
             for result in results if abs(result.error) > BOUNDS[result.program.group]]
    if means:
        lines += [f"mean of {summary.names[0]}, {summary.names[1]}: {percent(summary.mean, sign='')}; expected at most "
                  f"{MEAN_BOUND} %" for summary in summaries(results)
                  if summary.mean > MEAN_BOUND and None in (summary.group, summary.split)]
    return lines


def band(results: Sequence[Result]) -> float:
    """The mean absolute error over all `results` in per cent, rounded up to a tenth: what a profile calls its error."""
    return math.ceil(summaries(results)[0].mean * 10) / 10


def percent(value: Fraction, sign: str = "+") -> str:
    """A percentage with one digit behind the point, and with `sign` before it."""
    return f"{round(float(value), 1) + 0.0:{sign}.1f} %"  # + 0.0: nothing is -0.0


def table(results: Sequence[Result], profile: Profile) -> Iterator[str]:
    """All of it as text, a line at a time."""
    yield f"profile {profile.name} ({profile.accuracy}): cycles beside those of the reference core"
    yield ""
    yield f"{'program':20}{'set':13}{'instructions':>13}{'measured':>10}{'modelled':>10}{'error':>10}"
    for result in results:
        program = result.program
        yield (f"{program.name:20}{program.split.value:13}{program.instructions:13,}{program.cycles:10,}"
               f"{result.cycles:10,}{percent(result.error):>10}")
    yield ""
    yield f"{'group':20}{'set':13}{'programs':>13}{'mean':>10}{'worst':>10}"
    for summary in summaries(results):
        group, split = summary.names
        yield (f"{group:20}{split:13}{summary.count:13}{percent(summary.mean, sign=''):>10}"
               f"{percent(summary.worst.error):>10}  {summary.worst.program.name}")


def document(results: Sequence[Result], profile: Profile, wrong: Sequence[str]) -> dict[str, object]:
    """All of it as JSON; `wrong` is what `beyond` says."""
    return {
        "profile": profile.name, "accuracy": profile.accuracy,
        "programs": [
            {"name": result.program.name, "group": result.program.group.value, "set": result.program.split.value,
             "instructions": result.program.instructions, "measured": result.program.cycles, "modelled": result.cycles,
             "error_percent": round(float(result.error), 3)} for result in results],
        "summary": [
            {"group": summary.names[0], "set": summary.names[1], "programs": summary.count,
             "mean_percent": round(float(summary.mean), 3), "worst_percent": round(float(summary.worst.error), 3),
             "worst": summary.worst.program.name} for summary in summaries(results)],
        "beyond": list(wrong)}
