"""The pool of processes: bounded memory, and workers that end with it."""

from __future__ import annotations

import os
import signal
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


def deaf(_: dict[str, Any]) -> dict[str, Any]:
    """Whether Ctrl-C is kept from it."""
    return {"blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def test_ctrl_c_is_the_parents_from_a_workers_first_instruction_on() -> None:
    [(_, answer)] = run_tasks(deaf, [{}], 1)
    assert answer == {"blocked": True}
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
