"""For all tests: with HARTWELL_NO_SKIP=1 in the environment, a test that skips itself fails.

Tests skip where a tool or a guest is not installed; CI installs everything and sets the variable, so
that nothing goes untested there unnoticed.

What is there before the first test is kept out of the garbage collector's sight.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest

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
