"""Interleavings are found, bounded, repeatable, and locks exclude."""

from __future__ import annotations

import pytest

from kernel.errors import LockHeld
from kernel.mm import Mm
from kernel.sync.interleave import Interleaver, Task
from kernel.sync.spin import SpinLock


def _word(mm: Mm) -> int:
    return mm.statics.area("test", 64)


def test_every_order_of_two_accesses_each_is_found(mm: Mm) -> None:
    word = _word(mm)

    def setup() -> list[Task]:
        def write(value: int) -> Task:
            def task() -> None:
                mm.port.store(word, mm.port.load(word) * 10 + value)
            return task

        mm.port.store(word, 0)
        return [write(1), write(2)]

    explorer = Interleaver(mm)
    finals = []
    for run in explorer.explore(setup, preemptions=2):
        finals.append(mm.port.load(word))
        assert len(run.steps) == 4
    assert len(finals) == 6, "two tasks of two accesses have six interleavings"
    assert set(finals) == {12, 21, 1, 2}


def test_without_preemptions_tasks_run_one_after_the_other(mm: Mm) -> None:
    word = _word(mm)

    def task() -> list[int]:
        return [mm.port.load(word) for _ in range(3)]

    runs = list(Interleaver(mm).explore(lambda: [task] * 3, preemptions=0))
    assert len(runs) == 6
    for run in runs:
        order = [step.task for step in run.steps]
        assert order == sorted(order, key=order.index)


def test_a_schedule_repeats_its_run(mm: Mm) -> None:
    word = _word(mm)

    def tasks() -> list[Task]:
        mm.port.store(word, 0)
        return [lambda: mm.port.fetch_add(word, 1), lambda: mm.port.fetch_add(word, 1), lambda: mm.port.load(word)]

    explorer = Interleaver(mm)
    for run in explorer.explore(tasks, preemptions=1):
        again = explorer.run(tasks(), run.schedule)
        assert again.results == run.results
        assert again.steps == run.steps


def test_tasks_run_as_cpus_of_their_own(mm: Mm) -> None:
    word = _word(mm)

    def task() -> tuple[int, int]:
        before = mm.cpu
        mm.port.load(word)
        return before, mm.cpu

    run = Interleaver(mm).run([task, task])
    assert run.results == [(0, 0), (1, 1)]
    assert mm.cpu == 0


def test_exceptions_are_results(mm: Mm) -> None:
    def fails() -> None:
        mm.port.load(_word(mm))
        raise RuntimeError("mine")

    run = Interleaver(mm).run([fails, lambda: 3])
    assert isinstance(run.results[0], RuntimeError)
    assert run.results[1] == 3


def test_a_spin_lock_excludes_in_every_interleaving(mm: Mm) -> None:
    area = _word(mm)
    lock, word = SpinLock(mm.port, area + 8, "test", lambda: mm.cpu), area

    def setup() -> list[Task]:
        def task() -> None:
            with lock:
                mm.port.store(word, mm.port.load(word) + 1)

        mm.port.store(word, 0)
        return [task, task]

    for run in Interleaver(mm).explore(setup, preemptions=3):
        assert run.results == [None, None]
        assert mm.port.load(word) == 2, str(run)


def test_locks_taken_in_opposite_orders_are_a_named_deadlock(mm: Mm) -> None:
    area = _word(mm)
    one, two = (SpinLock(mm.port, area + 8 * n, f"lock {n}", lambda: mm.cpu) for n in (1, 2))

    def nested(outer: SpinLock, inner: SpinLock) -> Task:
        def task() -> None:
            with outer, inner:
                pass
        return task

    def setup() -> list[Task]:
        mm.port.fill(area, 64)
        return [nested(one, two), nested(two, one)]

    with pytest.raises(LockHeld, match="tasks 0, 1 wait for each other's locks"):
        for _ in Interleaver(mm).explore(setup, preemptions=2):
            pass
    assert mm.port.waiter is None


def test_a_lock_that_nobody_could_release_is_said_at_once(mm: Mm) -> None:
    lock = SpinLock(mm.port, _word(mm), "test", lambda: mm.cpu)
    with lock:
        assert lock.holder == 0
        with pytest.raises(LockHeld, match="CPU 0 waits for the test lock, which CPU 0 holds"), lock:
            pass
    assert lock.holder is None
