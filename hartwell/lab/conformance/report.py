"""Grades for people: a table, line by line as checks are done, and what to do about each that failed.

    check          points
    basic: it hands out memory that is as asked for
      one             5/5   ok    one block, and back
      alignments      0/8   FAIL  expected a multiple of 8,192, got 0x82401000
        misaligned: alloc 4,096 bytes (align 8,192) -> #1: 0x82401000 is not a multiple of 8,192 (operation 2)
    ...
    score  92/100
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from .check import Check, Level
from .grading import Grade, Grades

NAME, POINTS = 17, 7
"""Columns."""
WIDEST = 44
"""Characters of what was expected, or found, in a line of the table."""
MORE = 2
"""Findings of a check that are told."""
NEXT = {
    "at-once": "hartwell lab race {spec}",
    "in-turn": "hartwell lab search {spec} --smp 3",
    "cost": "hartwell lab cost {spec}",
    "bounded-time": "hartwell lab cost {spec}",
    "manners": "hartwell test {spec} --only manners --json",
    "misuse": "hartwell test {spec} --only misuse --json",
    "zeroed": "hartwell test {spec} --only zeroed --json",
}
"""What leads on from a check whose failure is no single program of one CPU."""
LEVELS = {
    Level.BASIC: "it hands out memory that is as asked for",
    Level.COMPLETE: "it gets all of it back, and loses none",
    Level.DEMANDING: "it stands load, several CPUs and a full memory",
}


def heading(spec: str, kind: str, harts: int, memory: int, profile: str | None) -> str:
    """What is tested, where."""
    timed = f", timed as {profile}" if profile is not None else ""
    size = f"{memory >> 20:,} MiB" if memory >> 20 else f"{memory >> 10:,} KiB"
    return f"{spec}: a {kind} allocator, with {size} on {harts} hart{'s' if harts > 1 else ''}{timed}"


def begin(check: Check) -> str:
    """The beginning of a check's line."""
    return f"  {check.name:{NAME}}"


def verdict(grade: Grade) -> tuple[str, str, str]:
    """The rest of its line: points, ok or FAIL, and what was asked for, or expected and found."""
    points = f"{f'{grade.points}/{grade.check.points}' if grade.check.points else '-':>{POINTS}}   "
    if grade.ok:
        return points, "ok    ", grade.check.title
    finding = grade.findings[0]
    if finding.expected and finding.actual:
        return points, "FAIL  ", f"expected {_short(finding.expected)}, got {_short(finding.actual)}"
    return points, "FAIL  ", f"{grade.check.title}: {finding.kind.value}"


def _short(text: str) -> str:
    """A list of many things is cut at one of its commas."""
    if len(text) <= WIDEST:
        return text
    kept = text[:WIDEST].rpartition(", ")[0] or text[:WIDEST].rpartition(" ")[0]
    return f"{kept}, ..."


def level_line(level: Level) -> str:
    """The line above the checks of a level."""
    return f"{level.title}: {LEVELS[level]}"


def explanation(grades: Grades, grade: Grade, saved: str = "") -> list[str]:
    """Why a check failed, and the next command to type; `saved` is the replay file that it is in, if it is."""
    lines = [str(finding) for finding in grade.findings[:MORE]]
    if len(grade.findings) > MORE:
        lines.append(f"... and {len(grade.findings) - MORE} more like these")
    for finding in grade.findings[:1]:
        lines += finding.report.splitlines()
    history = grade.history()
    if len(history) > 1:
        lines += ["operations:", *(f"  {line}" for line in history)]
    return [*lines, f"next: {following(grades, grade, saved)}"]


def following(grades: Grades, grade: Grade, saved: str = "") -> str:
    """The command that leads on from a failure."""
    if saved:
        return f"hartwell debug --replay {shlex.quote(saved)}"
    spec = shlex.quote(grades.spec)
    if grade.failed is not None:
        return f"hartwell test {spec} --only {grade.check.name} --save-replay bug.replay"
    command = NEXT.get(grade.check.name, "hartwell lab search {spec}")
    return command.format(spec=spec)


def score(grades: Grades) -> list[str]:
    """The last lines."""
    line = f"{'score':{NAME + 2}}{f'{grades.points}/{grades.of}':>{POINTS}}"
    failed = [grade.check.name for grade in grades.grades if not grade.ok]
    if not failed:
        return [line]
    level = grades.level
    reached = f"level reached: {level.title}; " if level is not None else ""
    return [f"{line}   {reached}failed: {', '.join(failed)}"]


def levels_of(checks: Sequence[Check]) -> list[Level]:
    """The levels that there are checks of, in order."""
    return sorted({check.level for check in checks})
