"""For all tests: with HARTWELL_NO_SKIP=1 in the environment, a test that skips itself fails.

Tests skip where a tool or a guest is not installed; CI installs everything and sets the variable, so
that nothing goes untested there unnoticed.

What is there before the first test is kept out of the garbage collector's sight. Machines that a test leaves behind
hold tens of megabytes in a few hundred objects, of which the collector thinks nothing: it is called when they are many.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest

GROWTH = 512 << 20
"""Bytes by which a worker may grow until garbage is collected."""
NO_SKIP = os.environ.get("HARTWELL_NO_SKIP", "") not in ("", "0")


def _refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"HARTWELL_NO_SKIP is set, and this was skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse(report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Freeze the 150,000 objects of collection: tests of handles collect garbage, which took 0.1 s each time."""
    gc.collect()
    gc.freeze()


def _resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


LEAST = pytest.StashKey[int]()
"""What this process had when garbage was collected last."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Collect machines that were left behind."""
    stash = item.config.stash
    if _resident() > stash.setdefault(LEAST, _resident()) + GROWTH:
        gc.collect()
        stash[LEAST] = _resident()
