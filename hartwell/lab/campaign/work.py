"""One cell's work: a trial, made from plain data in whatever process, and what came of it as plain data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np

from emulator.errors import EmulatorError
from hartwell.lab.errors import SubjectFailed
from hartwell.lab.finding import Finding
from hartwell.lab.operation import Kind, State
from hartwell.lab.subject.setting import Setting
from hartwell.lab.subject.spec import load_subject
from hartwell.lab.trial import Outcome, Trial
from hartwell.lab.workload import workload

from .plan import Cell
from .report import CellResult, Status


class CellWork:
    """Does cells, one after the other, and keeps the last one's machine: the next is often of the same allocator."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], Trial] | None = None

    def __call__(self, plain: dict[str, Any]) -> dict[str, Any]:
        """Make the trial of a cell (Cell.to_json); its CellResult.to_json.

        Raises nothing: what goes wrong is the result, and depends on no cell that was done before.
        """
        cell = Cell.from_json(plain)
        try:
            result = self._judge(cell)
        except SubjectFailed as why:
            result = CellResult(cell, Status.FINDING, str(why.finding), findings=(_finding(why.finding),))
            self.close()
        except EmulatorError as why:
            result = CellResult(cell, Status.ERROR, str(why))
            self.close()
        except Exception as why:
            result = CellResult(cell, Status.ERROR, f"{type(why).__name__}: {why}")
            self.close()
        return result.to_json()

    def _judge(self, cell: Cell) -> CellResult:
        trial = self._trial(cell)
        subject = trial.subject
        made = workload(cell.workload)
        if subject.kind not in made.kinds:
            return CellResult(cell, Status.SKIPPED, f"{cell.workload} is not for a {subject.kind.value} allocator")
        operations = made.operations(subject.kind, subject.memory.size, cell.operations, cell.seed)
        outcome = trial.run(operations, contents=cell.contents)
        said = str(outcome.findings[0]) if outcome.findings else ""
        return CellResult(cell, Status.FINDING if outcome.findings else Status.OK, said, outcome.done,
                          tuple(map(_finding, outcome.findings)), figures_of(outcome), digest_of(outcome))

    def _trial(self, cell: Cell) -> Trial:
        """Trials of the cell's allocator, in a machine as the cell says."""
        about = cell.allocator, cell.memory, cell.harts, cell.timing
        if self._kept is not None and self._kept[0] == about:
            return self._kept[1]
        self.close()
        timing = None
        if cell.timing != "off":
            from emulator.timing import load_profile

            timing = load_profile(cell.timing)
        trial = Trial(load_subject(cell.allocator, Setting(harts=cell.harts, memory=cell.memory, timing=timing)))
        self._kept = about, trial
        return trial

    def close(self) -> None:
        """Let go of the machine that is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept[1].subject.close()


def run_cell(plain: dict[str, Any]) -> dict[str, Any]:
    """One cell by itself: CellWork's answer, and nothing kept."""
    work = CellWork()
    try:
        return work(plain)
    finally:
        work.close()


def figures_of(outcome: Outcome) -> dict[str, int]:
    """What a trial cost, and how far memory went: sums and worst cases over its operations."""
    results, kinds = outcome.results, outcome.operations["kind"]
    done = results["state"] == State.DONE
    refused = int((done & (kinds == Kind.ALLOC) & (results["value"] == 0)).sum())
    figures = {"refused": refused, "peak": outcome.live.peak}
    for name in ("instructions", "cycles", "misses"):
        values = results[name][done]
        figures[name] = int(values.sum(dtype=np.uint64))
        figures[f"worst {name}"] = int(values.max(initial=0))
    return figures


def digest_of(outcome: Outcome) -> str:
    """The same for the same results of the same operations."""
    return hashlib.sha256(outcome.operations.tobytes() + outcome.results.tobytes()).hexdigest()[:16]


def _finding(finding: Finding) -> dict[str, Any]:
    return replace(finding, report="").to_json()
