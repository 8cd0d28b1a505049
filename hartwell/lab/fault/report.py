"""What came of a study: injections by target and verdict, with the intervals that so few of them leave."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

from .verdict import Injection, Verdict
from .work import Conditions

Z: Final = 1.959964
"""Of the normal distribution, 95 % lie within so many standard deviations."""


def wilson(count: int, of: int) -> tuple[float, float]:
    """The share that `count` of `of` stands for, with 95 % confidence, after E. B. Wilson (1927)."""
    if not of:
        return 0.0, 1.0
    share, spread = count / of, Z * Z / of
    middle, half = share + spread / 2, Z * sqrt(share * (1 - share) / of + spread / (4 * of))
    return max((middle - half) / (1 + spread), 0.0), min((middle + half) / (1 + spread), 1.0)


@dataclass(frozen=True)
class Row:
    """The injections of one target."""

    kind: str
    target: str
    counts: dict[Verdict, int]

    @property
    def injections(self) -> int:
        """How many."""
        return sum(self.counts.values())

    def interval(self, verdict: Verdict) -> tuple[float, float]:
        """The share of a verdict: 95 % confidence."""
        return wilson(self.counts[verdict], self.injections)


@dataclass(frozen=True)
class FaultReport:
    """All injections of a study, by number."""

    conditions: Conditions
    injections: tuple[Injection, ...]

    def rows(self) -> list[Row]:
        """A line for each target, in the order of the injections."""
        groups: dict[tuple[str, str], Counter[Verdict]] = {}
        for each in self.injections:
            groups.setdefault((each.kind, each.target), Counter())[each.verdict] += 1
        return [Row(kind, target, {verdict: counts[verdict] for verdict in Verdict})
                for (kind, target), counts in groups.items()]

    def of(self, verdict: Verdict) -> list[Injection]:
        """The injections that ended so."""
        return [each for each in self.injections if each.verdict is verdict]

    def harm(self, irq_safe: bool = False) -> list[Injection]:
        """What no allocator may do: harm when memory is out, and, if it is `irq_safe`, when it is interrupted."""
        kinds = ("alloc", "interrupt") if irq_safe else ("alloc",)
        return [each for each in self.injections if each.verdict is Verdict.DIED
                or each.kind in kinds and each.verdict in (Verdict.SILENT, Verdict.HANG)]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        rows = [{"kind": row.kind, "target": row.target, "injections": row.injections,
                 **{verdict.value: {"count": row.counts[verdict], "interval": list(row.interval(verdict))}
                    for verdict in Verdict}} for row in self.rows()]
        return {"conditions": self.conditions.to_json(), "targets": rows,
                "injections": [injection.to_json() for injection in self.injections]}
