"""What the meter charges, and what it does not: refused accesses, looking, and anything that changes a result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from emulator import BusError
from emulator.timing import load_profile
from kernel import Choices, Kernel
from kernel.cost import INSTRUCTIONS
from kernel.mm import FailAt, FrameAllocOptions, Layout, MemoryPort, PageFlags, PageProperty, VmSpace
from kernel.mm.check import check
from kernel.mm.port import Access
from kernel.mm.watchdog import Watchdog
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from kernel.picture import Picture
from kernel.sync.interleave import Interleaver
from tests.helpers.kernels import SMALL

from .conftest import timed

BASE = 0x8000_0000


def workload(kernel: Kernel) -> list[object]:
    """A bit of everything; the results."""
    mm, options = kernel.mm, FrameAllocOptions(kernel.mm)
    space, layout = VmSpace(mm), Layout(100, 8)
    slots = [mm.heap.alloc(layout) for _ in range(70)]
    for slot in slots[::2]:
        mm.heap.dealloc(slot, layout)
    with space.cursor_mut(range(1 << 30, (1 << 30) + 8192)) as cursor:
        for _ in range(2):
            cursor.map(options.alloc_frame().into_uframe(), PageProperty.new_user(PageFlags.RW))
    segment = options.alloc_segment(8)
    mm.port.write(segment.start_paddr, b"hello")
    mm.port.copy(segment.start_paddr + 4096, segment.start_paddr, 5)
    kernel.log("done")
    return [slots, space.root_paddr, segment.start_paddr, space.into_raw(), segment.into_raw()]


def test_timing_changes_neither_memory_nor_results_nor_the_console() -> None:
    left = []
    for profile in ("off", "simple", "rocket", "u74"):
        kernel = timed(profile)
        results, machine = workload(kernel), kernel.machine
        left.append((results, bytes(machine.bus.memory(BASE, SMALL)), machine.console, machine.instructions,
                     [(report.name, report.figures, report.lines) for report in kernel.reports]))
    assert all(each == left[0] for each in left[1:])


def test_stages_of_the_boot_cost_what_they_access() -> None:
    plain, counted = timed("off").reports, timed().reports
    spent = {report.name: report.cycles - before.cycles
             for before, report in zip(counted, counted[1:], strict=False)}
    bare = {report.name: report.cycles - before.cycles for before, report in zip(plain, plain[1:], strict=False)}
    assert spent["frame-metadata"] > bare["frame-metadata"] + (SMALL >> 12) * 3, "a slot has several words"
    assert all(spent[name] > bare[name] for name in bare)


def test_a_refused_access_is_not_charged() -> None:
    kernel = timed()
    port, hart = kernel.mm.port, kernel.machine.harts[0]
    refused: tuple[tuple[Callable[[], object], int], ...] = (
        (lambda: port.load(BASE), 0), (lambda: port.store_sized(BASE, 4, 1), 0), (lambda: port.fetch_add(BASE, 1), 0),
        (lambda: port.fill(BASE, 4096), 0), (lambda: port.copy(BASE, BASE + 4096, 4096), 1))
    for access, number in refused:
        before = hart.cycles
        with port.observed(FailAt(number, OSError("no"))), pytest.raises(OSError, match="no"), kernel.measure() as cost:
            access()
        assert (cost.accesses, cost.cycles, hart.cycles) == (0, 0, before)


def test_an_access_that_no_memory_answers_is_not_charged() -> None:
    kernel = timed()
    for access in (lambda: kernel.mm.port.load(0x1000), lambda: kernel.mm.port.fill(BASE + SMALL - 8, 16)):
        with pytest.raises(BusError), kernel.measure() as cost:
            access()
        assert cost.cycles == 0


def test_the_meter_comes_behind_all_observers() -> None:
    kernel, told = timed(), []

    class Late:
        def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
            told.append(kernel.machine.harts[0].cycles)

    start = kernel.machine.harts[0].cycles
    for _ in range(2):  # attached later than the meter, and told before it
        kernel.mm.port.attach(Late())
    kernel.mm.port.load(BASE)
    assert told == [start, start]
    assert kernel.machine.harts[0].cycles > start


def test_an_interleaved_access_is_charged_to_the_cpu_that_makes_it() -> None:
    kernel = timed(harts=2)
    mm, harts = kernel.mm, kernel.machine.harts
    word = mm.statics.base

    def task(times: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(times):
                mm.port.load(word)
        return run

    for cpu in 0, 1:  # so that nothing misses any more
        with kernel.on_cpu(cpu):
            mm.port.load(word)
    before = [hart.cycles for hart in harts]
    run = Interleaver(mm).run([task(5), task(3)], [1, 0, 1, 0, 1])
    assert [step.task for step in run.steps[:4]] == [1, 0, 1, 0], "they take turns"
    spent = [hart.cycles - then for hart, then in zip(harts, before, strict=True)]
    assert spent == [5 * (1 + INSTRUCTIONS), 3 * (1 + INSTRUCTIONS)]


def test_bulk_is_charged_by_words_and_a_column_by_those_that_it_has(kernel: Kernel) -> None:
    port = kernel.mm.port
    for access, words in (
            (lambda: port.read(BASE, 64), 8), (lambda: port.read(BASE + 4, 8), 2), (lambda: port.read(BASE, 1), 1),
            (lambda: port.load_column(BASE, 8, 64), 8), (lambda: port.load_column(BASE, 8), 8),
            (lambda: port.load_column(BASE, 1, 64), 1), (lambda: port.load_sized(BASE + 2, 2), 1)):
        with kernel.measure() as cost:
            access()
        assert (cost.loads, cost.instructions) == (words, words + INSTRUCTIONS)


def test_the_model_and_the_meter_count_the_same_words() -> None:
    kernel = timed()
    timing, port = kernel.machine.timing, kernel.mm.port
    assert timing is not None
    from emulator.timing.events import Event

    for access in (lambda: port.read(BASE + 4, 100), lambda: port.read(BASE, 4096), lambda: port.load(BASE),
                   lambda: port.load_column(BASE, 33, 64), lambda: port.load_sized(BASE + 6, 2)):
        before = timing.count(Event.LOADS)
        with kernel.measure() as cost:
            access()
        assert cost.loads == timing.count(Event.LOADS) - before


def test_looking_costs_nothing() -> None:
    kernel = timed()
    before = kernel.machine.harts[0].cycles
    Picture.take(kernel)
    check(kernel.mm)
    repr(kernel)
    with kernel.mm.port.looking(), kernel.measure() as cost:
        kernel.mm.port.load(BASE)
    assert cost.accesses == 0
    assert kernel.machine.harts[0].cycles == before
    kernel.mm.port.load(BASE)
    assert kernel.machine.harts[0].cycles > before


def test_an_attached_kernel_is_charged_too_but_not_for_attaching() -> None:
    machine = timed().machine
    before = machine.harts[0].cycles
    again = Kernel.attach(machine)
    assert machine.harts[0].cycles == before
    with again.measure() as cost:
        FrameAllocOptions(again.mm).alloc_frame().drop()
    assert machine.harts[0].cycles - before == cost.cycles > 0


def test_what_is_charged_is_a_harts_own_work_and_not_waiting() -> None:
    kernel = timed()
    timing = kernel.machine.timing
    assert timing is not None
    before = timing.stats().harts[0]
    with kernel.measure() as cost:
        FrameAllocOptions(kernel.mm).alloc_frame().drop()
    after = timing.stats().harts[0]
    assert after.waiting == before.waiting
    assert after.host - before.host == cost.instructions
    assert sum(after.stalls.values()) - sum(before.stalls.values()) == cost.cycles - cost.instructions


def test_an_allocators_budget_of_lines_is_not_spent_by_the_meter() -> None:
    def busy(port: MemoryPort) -> None:
        for _ in range(200):
            port.load(BASE)

    for profile in ("off", "rocket"):
        Watchdog(4000).call("busy", "load", busy, timed(profile).mm.port)
    assert load_profile("rocket").flat is False


def test_an_injected_allocator_costs_what_it_accesses() -> None:
    class Wasteful(FrameAllocator):
        def alloc(self, layout: Layout) -> int | None:
            for _ in range(100):
                self._port.load(BASE)
            return super().alloc(layout)

    costs = []
    for choices in (None, Choices(frame_allocator=Wasteful)):
        kernel = timed(choices=choices)
        options = FrameAllocOptions(kernel.mm)
        options.alloc_frame().drop()
        with kernel.measure() as cost:
            options.alloc_frame().drop()
        costs.append(cost)
    assert costs[1].loads - costs[0].loads == 100
    assert costs[1].instructions - costs[0].instructions == 100 * (1 + INSTRUCTIONS)


def test_a_column_of_a_machines_memory_is_read_as_ever() -> None:
    kernel = timed()
    kernel.mm.port.store_column(BASE, np.arange(4, dtype=np.uint64), 4, 16)
    assert kernel.mm.port.load_column(BASE, 4, 16).tolist() == [0, 1, 2, 3]
