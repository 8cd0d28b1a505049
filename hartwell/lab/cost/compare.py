"""Comparing two reports: figure by figure, A against B, and whether B is worse by more than a threshold.

        compare(a, b, threshold=0.05)       a and b as JSON has them: measured now, or saved by an earlier version

Costs are judged by their ratio: 1.06 is worse than a threshold of 5 % allows. Shares (of memory that is unusable or
wasted, of allocations that fail) are judged by their difference in points, since they may well be 0: 12 % after 6 % is
6 points. All figures are deterministic; a threshold is there for what one is willing to pay, not for noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .saved import Document, ReportError

FORMAT: Final = "hartwell-lab-compare"
VERSION: Final = 1
LOAD: Final = ("kind", "memory", "harts", "seed", "operations", "profile")
"""What must be the same of two reports."""


@dataclass(frozen=True)
class Metric:
    """A figure of a workload: `value` takes it from the workload's part of a report, None if it is not there.

    `share`: it is a share of 1, judged by the difference; `more` says whether more of it is better.
    """

    name: str
    text: str
    value: Callable[[Document], float | None]
    share: bool = False
    more: bool = False
    usual: bool = True
    """Whether it is compared when nobody says what is to be."""


def _calls(kind: str, figure: str) -> Callable[[Document], float | None]:
    def value(workload: Document) -> float | None:
        found = next((each for each in workload["costs"] if each["calls"] == kind), None)
        return None if found is None else float(found["cycles"][figure])

    return value


def _mean(metric: str) -> Callable[[Document], float | None]:
    def value(workload: Document) -> float | None:
        count = sum(each[metric]["count"] for each in workload["costs"])
        return sum(each[metric]["total"] for each in workload["costs"]) / count if count else None

    return value


def _refused(workload: Document) -> float | None:
    counts = {each["calls"]: each["cycles"]["count"] for each in workload["costs"]}
    asked = counts.get("alloc", 0) + counts.get("none", 0)
    return counts.get("none", 0) / asked if asked else None


def _unusable(order: int) -> Callable[[Document], float | None]:
    def value(workload: Document) -> float | None:
        found = workload["fragmentation"]["unusable"]
        return float(found[min(order, len(found) - 1)]["mean"]) / 1000

    return value


def _share(figure: str) -> Callable[[Document], float | None]:
    return lambda workload: float(workload["fragmentation"][figure]["mean"]) / 1000


def _waste(workload: Document) -> float | None:
    return None if workload["waste"] is None else float(workload["waste"]["share"]) / 1000


METRICS: Final = (
    Metric("cycles", "cycles of a call, mean", _mean("cycles")),
    Metric("instructions", "instructions of a call, mean", _mean("instructions")),
    Metric("misses", "data cache misses of a call, mean", _mean("misses"), usual=False),
    Metric("alloc-median", "cycles of an allocation, median", _calls("alloc", "median"), usual=False),
    Metric("alloc-p99", "cycles of an allocation, 99 %", _calls("alloc", "p99")),
    Metric("alloc-max", "cycles of an allocation, most", _calls("alloc", "max"), usual=False),
    Metric("dealloc-median", "cycles of a deallocation, median", _calls("dealloc", "median"), usual=False),
    Metric("dealloc-p99", "cycles of a deallocation, 99 %", _calls("dealloc", "p99")),
    Metric("dealloc-max", "cycles of a deallocation, most", _calls("dealloc", "max"), usual=False),
    Metric("refused", "allocations that find no memory", _refused, share=True),
    Metric("waste", "waste at the peak", _waste, share=True),
    Metric("unusable-64K", "free memory unusable for 64 KiB", _unusable(4), share=True),
    Metric("unusable-1M", "free memory unusable for 1 MiB", _unusable(8), share=True),
    Metric("scattered", "free pages not in the longest run", _share("scattered"), share=True, usual=False),
    Metric("utilisation", "utilisation of pages", _share("utilisation"), share=True, more=True),
)


@dataclass(frozen=True)
class Figure:
    """A metric under a workload, of A and of B.

    `worse` is how much worse B is: in parts of A, or in points (of 1) of a share; negative where it is better.
    """

    workload: str
    metric: Metric
    a: float
    b: float
    threshold: float

    @property
    def worse(self) -> float:
        """See the class; infinite for a cost that was 0."""
        change = self.b - self.a
        if not self.metric.share:
            change = change / self.a if self.a else float("inf") if change else 0.0
        return -change if self.metric.more else change

    @property
    def verdict(self) -> str:
        """"worse", "better" or "": by more than the threshold."""
        if abs(self.worse) <= self.threshold + 1e-12:
            return ""
        return "worse" if self.worse > 0 else "better"

    def to_json(self) -> dict[str, Any]:
        """As JSON has it; `worse` is null for a cost that was 0."""
        worse = None if self.worse == float("inf") else round(self.worse, 6)
        return {"workload": self.workload, "metric": self.metric.name, "a": round(self.a, 6), "b": round(self.b, 6),
                "share": self.metric.share, "worse": worse, "verdict": self.verdict}


@dataclass(frozen=True)
class Comparison:
    """Two reports and their figures. `findings` are texts: what oracles found in either."""

    a: Document
    b: Document
    threshold: float
    figures: tuple[Figure, ...]
    findings: tuple[str, ...]

    @property
    def names(self) -> tuple[str, str]:
        """What A and B are called: two of the same name, such as two `allocator.elf`, by what named them."""
        return _names(self.a, self.b)

    @property
    def worse(self) -> list[Figure]:
        """The figures of which B is worse, the worst first."""
        found = [figure for figure in self.figures if figure.verdict == "worse"]
        return sorted(found, key=lambda figure: -figure.worse)

    @property
    def better(self) -> list[Figure]:
        """The figures of which B is better, the best first."""
        found = [figure for figure in self.figures if figure.verdict == "better"]
        return sorted(found, key=lambda figure: figure.worse)

    @property
    def ok(self) -> bool:
        """Whether nothing is worse, and no oracle found anything."""
        return not self.worse and not self.findings

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        heads = [{name: value for name, value in each.items() if name != "workloads"} for each in (self.a, self.b)]
        return {"format": FORMAT, "version": VERSION, "a": heads[0], "b": heads[1], "threshold": self.threshold,
                "figures": [figure.to_json() for figure in self.figures], "worse": len(self.worse),
                "better": len(self.better), "findings": list(self.findings), "ok": self.ok}


def metric(name: str) -> Metric:
    """The metric called `name`; ReportError, which names all, if there is none."""
    for each in METRICS:
        if each.name == name:
            return each
    raise ReportError(f"no metric is called {name}: expected one of {', '.join(each.name for each in METRICS)}")


def compare(a: Document, b: Document, metrics: Sequence[str] = (), threshold: float = 0.05) -> Comparison:
    """Compare two reports under the workloads that both have.

    `metrics` are names, the usual ones if there are none (utilisation is one of heaps). ReportError for reports of
    different loads, machines or cores, and for ones that do not hold what they must.
    """
    called = _names(a, b)
    for name in LOAD:
        if a[name] != b[name]:
            raise ReportError(f"{called[0]} was measured with {name} {a[name]}, {called[1]} with {b[name]}: "
                              "expected the same of both")
    chosen = [metric(name) for name in metrics] or [
        each for each in METRICS if each.usual and (each.name != "utilisation" or a["kind"] == "heap")]
    figures: list[Figure] = []
    findings: list[str] = []
    try:
        pairs = pairs_of(a, b)
        for name, one, other in pairs:
            for who, part in zip(called, (one, other), strict=True):
                findings += [f"{who}, {name}: {each['kind']}: {each['what']}"
                             for each in part["findings"]]
            for each in chosen:
                values = each.value(one), each.value(other)
                if values[0] is not None and values[1] is not None:
                    figures.append(Figure(name, each, values[0], values[1], threshold))
    except (LookupError, TypeError, ValueError, AttributeError) as why:
        raise ReportError(f"{called[0]}, {called[1]}: a report is damaged ({type(why).__name__}: {why}); "
                          "expected what hartwell lab cost --json prints") from None
    if not pairs:
        raise ReportError(f"{called[0]} and {called[1]} have no workload in common")
    return Comparison(a, b, threshold, tuple(figures), tuple(findings))


def _names(a: Document, b: Document) -> tuple[str, str]:
    key = "spec" if a["subject"] == b["subject"] and "spec" in a and "spec" in b else "subject"
    return str(a[key]), str(b[key])


def pairs_of(a: Document, b: Document) -> list[tuple[str, Document, Document]]:
    """The workloads that both reports have: name, A's part and B's."""
    others = {each["workload"]: each for each in b["workloads"]}
    return [(each["workload"], each, others[each["workload"]]) for each in a["workloads"]
            if each["workload"] in others]
