"""Studies: what a fault comes to, the same each time and for any number of processes."""

from __future__ import annotations

import json

import pytest

from hartwell.lab.fault import Conditions, FaultError, FaultReport, Study, Verdict
from hartwell.lab.fault.report import wilson
from tests.helpers.effort import rounds

BUDGETS = Conditions("buddy", operations=100, injections=20)


@pytest.fixture(scope="module")
def buddy_report() -> FaultReport:
    return Study(BUDGETS).run(0)


def counts(report: FaultReport, target: str) -> dict[Verdict, int]:
    row, = (row for row in report.rows() if row.target == target)
    return {verdict: count for verdict, count in row.counts.items() if count}


def test_memory_that_is_out_is_said_and_nothing_is_lost(buddy_report: FaultReport) -> None:
    assert counts(buddy_report, "memory out") == {Verdict.DETECTED: 20}
    assert buddy_report.harm() == []


def test_a_lock_and_an_interrupt_on_the_same_hart(buddy_report: FaultReport) -> None:
    """Where the lock is held the handler waits for ever; before and behind it all is well; never anything else."""
    for target in "alloc", "alloc+dealloc":
        found = counts(buddy_report, target)
        assert found.keys() == {Verdict.HANG, Verdict.MASKED} and found[Verdict.HANG] > found[Verdict.MASKED]
    assert len(buddy_report.harm(irq_safe=True)) == sum(
        counts(buddy_report, target)[Verdict.HANG] for target in ("alloc", "alloc+dealloc"))


def test_flipped_bits(buddy_report: FaultReport) -> None:
    """What former owners left in free memory is of no interest; a link is, and so is a page table."""
    assert counts(buddy_report, "free").keys() == {Verdict.MASKED}
    for target in "data", "link":
        found = counts(buddy_report, target)
        assert found[Verdict.DETECTED] and found[Verdict.MASKED]
    assert counts(buddy_report, "pte")[Verdict.DETECTED] > 10
    silent = buddy_report.of(Verdict.SILENT)
    assert silent and all(each.kind == "flip" and each.said for each in silent)


def test_any_number_of_processes_and_any_injection_by_itself(buddy_report: FaultReport) -> None:
    study = Study(BUDGETS)
    chosen = [each.number for each in buddy_report.injections][5::47]
    again = study.run(2, only=chosen)
    assert again.injections == tuple(each for each in buddy_report.injections if each.number in chosen)
    assert json.dumps(again.to_json())


def test_another_seed_is_another_study(buddy_report: FaultReport) -> None:
    other = Study(Conditions("buddy", operations=100, injections=8, seed=1), ("flip",), ("data",)).run(0)
    ours = [each for each in buddy_report.injections if each.target == "data"][:8]
    assert [each.what for each in other.injections] != [each.what for each in ours]


def test_every_request_of_a_kernel_that_is_refused() -> None:
    """The heap's: each is said, or done without, and no object or frame is lost."""
    report = Study(Conditions("osdk-heap", injections=rounds(45, 12)), ("alloc",), ("boot", "program")).run(0)
    assert report.harm() == []
    assert counts(report, "boot") == {Verdict.DETECTED: 2}
    program = counts(report, "program")
    assert program.keys() == {Verdict.DETECTED} and program[Verdict.DETECTED] > rounds(30, 8)


def test_slots_of_the_kernels_own_allocator() -> None:
    report = Study(Conditions("osdk-frame", operations=30, injections=5), ("flip",)).run(0)
    found = counts(report, "slot")
    assert sum(found.values()) == 5 and found[Verdict.DETECTED] > 0


def test_an_allocator_that_fails_without_a_fault() -> None:
    with pytest.raises(FaultError, match="slab/wrong-class: fails without any fault: overlap: "):
        Study(Conditions("slab/wrong-class", injections=1), ("alloc",)).run(0)


def test_there_is_no_such_target() -> None:
    with pytest.raises(FaultError, match="buddy: there is no target 'slot'; expected one of memory out, alloc, "):
        Study(Conditions("buddy"), aims=("slot",))


@pytest.mark.parametrize("count, of, low, high", [
    (0, 0, 0, 1), (0, 20, 0, 0.1611), (20, 20, 0.8389, 1), (10, 100, 0.0552, 0.1744), (500, 1000, 0.4691, 0.5309)])
def test_intervals(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-4)
