"""Per-CPU counters."""

from __future__ import annotations

from kernel.osdk.frame_allocator import PerCpuCounter
from tests.kernel.osdk.frame_allocator.memory import memory


def test_per_cpu_counter() -> None:
    counter = PerCpuCounter(memory().mm, "counter")
    counter.add(0, 10)
    assert counter.get() == 10
    counter.add(0, 20)
    assert counter.get() == 30
    counter.sub(0, 5)
    assert counter.get() == 25


def test_what_one_cpu_adds_another_can_take_away() -> None:
    counter = PerCpuCounter(memory(cpus=4).mm, "counter")
    counter.add(1, 100)
    counter.sub(3, 60)
    assert counter.get() == 40


def test_a_negative_sum_reads_as_0() -> None:
    counter = PerCpuCounter(memory(cpus=2).mm, "counter")
    counter.sub(1, 1)
    assert counter.get() == 0
    counter.add(0, 3)
    assert counter.get() == 2


def test_a_counter_is_found_again_by_its_name() -> None:
    m = memory(cpus=2)
    PerCpuCounter(m.mm, "counter").add(1, 7)
    PerCpuCounter(m.mm, "another").add(1, 1)
    assert PerCpuCounter(m.attach().mm, "counter").get() == 7
