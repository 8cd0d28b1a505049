"""Campaigns: the same report for any number of workers, and for one that was interrupted; nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hartwell.lab.campaign import Campaign, CellResult, Here, Plan, Processes
from hartwell.lab.campaign.campaign import Answer
from hartwell.lab.campaign.journal import JournalError
from hartwell.lab.campaign.report import Status


class Counted:
    """Does cells here, and counts them; after `until` of them somebody presses Ctrl-C."""

    def __init__(self, until: int | None = None) -> None:
        self.done, self.until = 0, until

    def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
        for answer in Here()(cells):
            if self.done == self.until:
                raise KeyboardInterrupt
            self.done += 1
            yield answer


def as_text(report: Any) -> str:
    return json.dumps(report.to_json())


def test_any_number_of_workers_gives_the_same_bytes(plan: Plan) -> None:
    here = Campaign(plan).run(Here())
    assert as_text(Campaign(plan).run(Processes(2))) == as_text(here)
    status = {(result.cell.allocator, result.cell.workload): result.status for result in here.results}
    assert status == {
        ("buddy", "random"): Status.OK, ("buddy", "parts"): Status.OK, ("slab", "random"): Status.OK,
        ("slab", "parts"): Status.SKIPPED, ("no-such", "random"): Status.ERROR, ("no-such", "parts"): Status.ERROR}
    assert not here.ok and len(here.failures) == 4
    assert [row.workload for row in here.rows() if row.allocator == "slab"] == ["random"]
    first, second = (result for result in here.results if (result.cell.allocator, result.cell.workload) ==
                     ("buddy", "random"))
    assert first.done == second.done == 300 and first.digest != second.digest  # seeds make a difference
    assert first.figures["instructions"] > 300 * 10


def test_a_worker_that_is_killed_takes_its_own_cell_and_no_other(killer: str, trap: Path, tmp_path: Path) -> None:
    plan = Plan(allocators=("buddy", killer), operations=(200,), seeds=(0, 1))
    report = Campaign(plan, tmp_path / "journal").run(Processes(2))
    by = {result.cell: result for result in report.results}
    assert {cell.allocator: by[cell].status for cell in by} == {"buddy": Status.OK, killer: Status.CRASHED}
    assert all("SIGKILL" in result.said for result in report.failures) and len(report.failures) == 2
    trap.unlink()  # what killed it is over: the crashed ones, and only they, are done again
    again = Counted()
    assert Campaign(plan, tmp_path / "journal").run(again).ok and again.done == 2


def test_goes_on_where_it_was_interrupted(plan: Plan, tmp_path: Path) -> None:
    journal, whole = tmp_path / "journal", Campaign(plan).run(Here())
    with pytest.raises(KeyboardInterrupt):
        Campaign(plan, journal).run(Counted(until=5))
    rest = Counted()
    told: list[tuple[int, int]] = []

    def progress(done: int, of: int, result: CellResult | None) -> None:
        told.append((done, of))

    report = Campaign(plan, journal).run(rest, progress)
    assert as_text(report) == as_text(whole)
    assert rest.done == 7 and told == [(done, 12) for done in range(5, 13)]
    nothing = Counted()
    assert as_text(Campaign(plan, journal).run(nothing)) == as_text(whole) and nothing.done == 0


@pytest.fixture
def journal(tmp_path: Path) -> tuple[Path, Plan]:
    """A journal of three trials."""
    plan = Plan(allocators=("buddy",), operations=(50,), seeds=(0, 1, 2))
    Campaign(plan, tmp_path / "journal").run(Here())
    return tmp_path / "journal", plan


@pytest.mark.parametrize("cut", [1, 40])
def test_a_last_line_that_was_cut_off_is_done_again(journal: tuple[Path, Plan], cut: int) -> None:
    path, plan = journal
    text = path.read_bytes()
    path.write_bytes(text[:-cut])
    again = Counted()
    assert Campaign(plan, path).run(again).ok and again.done == 1
    assert path.read_bytes() == text


@pytest.mark.parametrize("change, said", [
    (lambda lines: [lines[0], lines[1].replace(b'"done": 50', b'"done": 51'), *lines[2:]], "line 2: is damaged"),
    (lambda lines: [lines[0], b"rubbish\n", *lines[2:]], "line 2: expected a JSON object"),
    (lambda lines: [b'{"hartwell": "campaign", "version": 9}\n', *lines[1:]], "line 1: is no campaign's journal"),
    (lambda lines: [b"my diary"], "line 1: is no campaign's journal"),
])
def test_a_damaged_journal_is_refused_and_left_alone(journal: tuple[Path, Plan], change: Any, said: str) -> None:
    path, plan = journal
    damaged = b"".join(change(path.read_bytes().splitlines(keepends=True)))
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match=said):
        Campaign(plan, path).run(Here())
    assert path.read_bytes() == damaged


def test_another_plans_journal_is_refused(journal: tuple[Path, Plan]) -> None:
    path, _ = journal
    with pytest.raises(JournalError, match="the journal of another plan"):
        Campaign(Plan(allocators=("buddy",), operations=(51,), seeds=(0, 1, 2)), path).run(Here())


def test_an_allocator_that_was_built_anew_is_another_plan(tmp_path: Path) -> None:
    elf = tmp_path / "mine.elf"
    elf.write_bytes(b"one")
    plan = Plan(allocators=(str(elf),))
    before = plan.digest
    elf.write_bytes(b"two")
    assert plan.digest != before


def test_two_campaigns_do_not_share_a_journal(plan: Plan, tmp_path: Path) -> None:
    inner = Campaign(plan, tmp_path / "journal")

    class Nested(Here):
        def __call__(self, cells: Sequence[dict[str, Any]]) -> Iterator[Answer]:
            inner.run(Here())
            yield from super().__call__(cells)

    with pytest.raises(JournalError, match="another campaign is writing to it"):
        Campaign(plan, tmp_path / "journal").run(Nested())
