"""What came of a campaign: a result for each cell, and what they say together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Self

from .plan import Cell, Plan, PlanError


class Status(Enum):
    """How a cell ended."""

    OK = "ok"
    SKIPPED = "skipped"
    """The workload is for allocators of another kind."""
    FINDING = "finding"
    """An oracle has something against the allocator."""
    ERROR = "error"
    """The trial could not be made: a SPEC or workload that is none, a machine that is too small."""
    CRASHED = "crashed"
    """The process that made it died."""


@dataclass(frozen=True)
class CellResult:
    """What came of one cell; plain data, and nothing in it depends on the host.

    `said` is a line about what is wrong; `findings` are those of the trial (Finding.to_json). `done` operations were
    done. `figures` are numbers: instructions, cycles, peak bytes, refusals; `digest` is that of all results.
    """

    cell: Cell
    status: Status
    said: str = ""
    done: int = 0
    findings: tuple[dict[str, Any], ...] = ()
    figures: dict[str, int] = field(default_factory=dict)
    digest: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong."""
        return self.status not in (Status.OK, Status.SKIPPED)

    def to_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {**asdict(self), "cell": self.cell.to_json(), "status": self.status.value,
                "findings": list(self.findings), "figures": dict(sorted(self.figures.items()))}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """The result that `to_json` gave. PlanError if it is none."""
        try:
            known = {**plain, "cell": Cell.from_json(plain["cell"]), "status": Status(plain["status"]),
                     "findings": tuple(plain["findings"])}
            return cls(**known)
        except (KeyError, TypeError, ValueError) as why:
            raise PlanError(f"a result of a campaign: {why}") from None


@dataclass(frozen=True)
class Row:
    """The cells of one allocator under one workload, together."""

    allocator: str
    workload: str
    cells: int
    failed: int
    operations: int
    first: CellResult | None
    """The first cell that failed."""


@dataclass(frozen=True)
class CampaignReport:
    """All results, in the order of the plan's cells, however they were come by."""

    plan: Plan
    results: tuple[CellResult, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any cell."""
        return not self.failures

    @property
    def failures(self) -> tuple[CellResult, ...]:
        """The cells with which something is wrong."""
        return tuple(result for result in self.results if result.failed)

    def rows(self) -> list[Row]:
        """A line for each allocator and workload."""
        groups: dict[tuple[str, str], list[CellResult]] = {}
        for result in self.results:
            groups.setdefault((result.cell.allocator, result.cell.workload), []).append(result)
        rows = [_row(allocator, workload, group) for (allocator, workload), group in groups.items()]
        return [row for row in rows if row.cells]

    def to_json(self) -> dict[str, Any]:
        """The report as plain data: for programs, and for a page."""
        return {"digest": self.plan.digest, "ok": self.ok, "cells": len(self.results),
                "failed": len(self.failures), "results": [result.to_json() for result in self.results]}


def _row(allocator: str, workload: str, group: Iterable[CellResult]) -> Row:
    group = [result for result in group if result.status is not Status.SKIPPED]
    failed = [result for result in group if result.failed]
    return Row(allocator, workload, len(group), len(failed), sum(result.done for result in group),
               failed[0] if failed else None)
