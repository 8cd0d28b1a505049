"""The pool of processes: bounded memory, and workers that end with it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

from hartwell.lab.campaign.pool import run_tasks


def who(task: dict[str, Any]) -> dict[str, Any]:
    """The process that does it."""
    return {"pid": os.getpid(), "filled": len(bytearray(task.get("bytes", 0)))}


def pids(tasks: list[dict[str, Any]], limit: int) -> list[int]:
    return [answer["pid"] for _, answer in run_tasks(who, tasks, 1, limit) if isinstance(answer, dict)]


def test_one_that_used_too_much_memory_is_replaced() -> None:
    one, two, three = pids([{"bytes": 300 << 20}, {}, {}], 290 << 20)
    assert one != two == three != os.getpid()


def test_all_end_when_nobody_wants_the_rest() -> None:
    with closing(run_tasks(who, [{}] * 50, 2)) as answers:  # type: ignore[type-var]
        _, answer = next(answers)
    assert isinstance(answer, dict)
    assert not os.path.exists(f"/proc/{answer['pid']}")
