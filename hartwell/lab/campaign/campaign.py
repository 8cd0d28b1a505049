"""A campaign: a plan's cells, those done before taken from the journal, the others given to whoever does the work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from .journal import Journal
from .plan import Cell, Plan
from .pool import Died, run_tasks
from .report import CampaignReport, CellResult, Status

Answer = tuple[int, "dict[str, Any] | Died"]


class Runner(Protocol):
    """Does cells, somewhere."""

    def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
        """The number of each cell, and what `run_cell` gave for it, in whatever order they are finished."""


class Processes:
    """Does cells in `workers` processes of this computer, as many as it has cores by default."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()

    def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
        """See Runner."""
        from .work import CellWork

        return run_tasks(CellWork(), cells, self.workers)


class Here:
    """Does cells in this very process, one after the other: a cell that kills the process ends the campaign."""

    def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
        """See Runner."""
        from .work import CellWork

        work = CellWork()
        try:
            for number, cell in enumerate(cells):
                yield number, work(cell)
        finally:
            work.close()


class Campaign:
    """The campaign of `plan`. With the path of a `journal`, it can be interrupted, and goes on where it was."""

    def __init__(self, plan: Plan, journal: str | Path | None = None) -> None:
        self.plan, self.journal = plan, journal

    def run(self, runner: Runner | None = None,
            progress: Callable[[int, int, CellResult | None], object] | None = None) -> CampaignReport:
        """Do what is not done yet; what came of all cells.

        `progress` is told how many of how many cells are done, at first and after each, and what came of that one.
        JournalError. KeyboardInterrupt leaves a journal from which another run goes on.
        """
        runner = runner or Processes()
        if self.journal is None:
            return self._run(runner, {}, lambda result: None, progress)
        with Journal(self.journal, self.plan) as journal:
            # A worker that died may have died of something that is over.
            done = {cell: result for cell, result in journal.results.items() if result.status is not Status.CRASHED}
            return self._run(runner, done, journal.add, progress)

    def _run(self, runner: Runner, found: dict[Cell, CellResult], keep: Callable[[CellResult], object],
             progress: Callable[[int, int, CellResult | None], object] | None) -> CampaignReport:
        cells = self.plan.cells()
        left = [cell for cell in cells if cell not in found]
        if progress is not None:
            progress(len(cells) - len(left), len(cells), None)
        if left:
            with closing(runner([cell.to_json() for cell in left])) as answers:  # type: ignore[type-var]
                for number, answer in answers:
                    result = _result(left[number], answer)
                    keep(result)
                    found[result.cell] = result
                    if progress is not None:
                        progress(len(found), len(cells), result)
        return CampaignReport(self.plan, tuple(found[cell] for cell in cells))


def _result(cell: Cell, answer: dict[str, Any] | Died) -> CellResult:
    if isinstance(answer, Died):
        return CellResult(cell, Status.CRASHED, str(answer))
    return CellResult.from_json(answer)


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
