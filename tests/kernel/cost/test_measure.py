"""kernel.measure(): what is counted, for whom, and that it is always the same."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict

import pytest

from emulator.timing import load_profile
from kernel import Cost, Kernel
from kernel.cost import INSTRUCTIONS
from kernel.mm import FrameAllocOptions, Layout, Mm

from .conftest import timed

SLOT = Layout(64, 8)


def order_3(kernel: Kernel) -> Cost:
    """The cost of an order-3 block, given back afterwards."""
    with kernel.measure() as cost:
        segment = FrameAllocOptions(kernel.mm).alloc_segment(8)
    segment.drop()
    return cost


def test_an_order_3_block_has_a_cost_in_cycles() -> None:
    cost = order_3(timed())
    assert cost.stores > 8 * 512, "its frames are zeroed"
    assert cost.instructions > cost.accesses
    assert cost.cycles > cost.instructions
    assert cost.l1d_misses >= 8 * 64, "32 KiB do not fit the cache, and nothing of it was there"
    assert (cost.profile, cost.accuracy) == ("rocket", load_profile("rocket").accuracy)


def test_the_same_from_the_same_state_costs_the_same_on_every_machine() -> None:
    one, other = timed(), timed()
    assert one.reports == other.reports
    for _ in range(3):
        assert order_3(one) == order_3(other)
    assert one.machine.harts[0].cycles == other.machine.harts[0].cycles


def test_cold_costs_more_than_warm_by_whole_misses() -> None:
    kernel = timed()
    assert kernel.machine.timing is not None
    miss, port = kernel.machine.timing.profile.l1d.miss, kernel.mm.port
    page = FrameAllocOptions(kernel.mm).alloc_frame()
    kernel.machine.timing.empty_caches()
    port.load(page.paddr + 4088)  # the TLB has the page now
    costs = []
    for _ in range(2):
        with kernel.measure() as cost:
            for line in range(8):
                port.load(page.paddr + 64 * line)
        costs.append(cost)
    cold, warm = costs
    assert (cold.l1d_misses, warm.l1d_misses) == (8, 0)
    assert cold.dtlb_misses == warm.dtlb_misses == 0
    assert warm.cycles == warm.instructions == cold.instructions == 8 * (1 + INSTRUCTIONS)
    assert cold.cycles - warm.cycles == 8 * miss
    page.drop()


def test_a_page_that_the_tlb_does_not_know_costs_a_walk() -> None:
    kernel = timed()
    assert kernel.machine.timing is not None
    kernel.machine.timing.empty_caches()
    with kernel.measure() as cost:
        kernel.mm.port.load(kernel.mm.statics.base)
    assert cost.dtlb_misses == 1
    assert cost.l1d_misses > 1, "the walk reads its table entries through the cache"


def test_each_cpus_work_passes_on_its_own_hart() -> None:
    kernel = timed(harts=2)
    harts = kernel.machine.harts
    for cpu in 0, 1:
        before = [hart.cycles for hart in harts]
        with kernel.on_cpu(cpu), kernel.measure() as cost:
            FrameAllocOptions(kernel.mm).alloc_frame().drop()
        spent = [hart.cycles - then for hart, then in zip(harts, before, strict=True)]
        assert cost.cycles > 0
        assert spent[cpu] == cost.cycles
        assert spent[1 - cpu] == 0


def test_what_is_charged_to_another_cpu_is_in_the_cost() -> None:
    kernel = timed(harts=2)
    before = sum(hart.cycles for hart in kernel.machine.harts)
    with kernel.measure() as cost:
        kernel.mm.port.load(kernel.mm.statics.base)
        with kernel.on_cpu(1):
            kernel.mm.port.load(kernel.mm.statics.base)
    assert cost.loads == 2
    assert cost.cycles == sum(hart.cycles for hart in kernel.machine.harts) - before


def test_a_cpu_that_has_not_started_is_charged_to_cpu_0() -> None:
    kernel = timed()
    kernel.mm.cpu = 1
    with kernel.measure() as cost:
        kernel.mm.port.load(kernel.mm.statics.base)
    kernel.mm.cpu = 0
    assert cost.cycles >= 1 + INSTRUCTIONS


@pytest.mark.parametrize("profile", ["rocket", "off"])
def test_nested_blocks_add_up(profile: str) -> None:
    kernel = timed(profile)
    with kernel.measure() as all_of_it:
        with kernel.measure() as first:
            slot = kernel.mm.heap.alloc(SLOT)
        with kernel.measure() as second:
            kernel.mm.heap.dealloc(slot, SLOT)
    sums = {name: value + asdict(second)[name] for name, value in asdict(first).items() if isinstance(value, int)}
    assert sums == {name: value for name, value in asdict(all_of_it).items() if isinstance(value, int)}
    assert sums["atomics"] > 0


def test_an_outer_block_goes_on_behind_an_inner_one(kernel: Kernel) -> None:
    with kernel.measure() as outer:
        with kernel.measure() as inner:
            kernel.mm.port.load(kernel.mm.statics.base)
        kernel.mm.port.load(kernel.mm.statics.base)
    assert (inner.loads, outer.loads) == (1, 2)


def test_an_exception_does_not_lose_the_cost(mm: Mm, kernel: Kernel) -> None:
    with pytest.raises(ZeroDivisionError), kernel.measure() as cost:
        mm.port.load(mm.statics.base)
        raise ZeroDivisionError
    assert (cost.loads, cost.cycles) == (1, 1 + INSTRUCTIONS)
    with kernel.measure() as after:
        pass
    assert after.cycles == 0


@pytest.mark.parametrize("profile", ["off", "simple"])
def test_without_a_model_a_cycle_is_an_instruction_of_the_estimate_and_no_time_passes(profile: str) -> None:
    kernel = timed(profile)
    before = kernel.machine.harts[0].cycles
    cost = order_3(kernel)
    assert cost.cycles == cost.instructions > cost.accesses > 0
    assert (cost.profile, cost.accuracy) == (profile, "one cycle per instruction")
    assert cost.l1d_misses == cost.dtlb_misses == 0
    assert kernel.machine.harts[0].cycles == before
    assert kernel.mm.port.meter is None, "whoever does not measure does not pay"


def test_the_cost_is_the_same_with_and_without_a_model_but_for_cycles_and_misses() -> None:
    counted = [(cost.loads, cost.stores, cost.atomics, cost.instructions)
               for cost in (order_3(timed(profile)) for profile in ("rocket", "u74", "simple", "off"))]
    assert len(set(counted)) == 1


def test_what_a_hart_executes_meanwhile_is_in_it(kernel: Kernel) -> None:
    hart = kernel.machine.harts[0]
    before = hart.instructions
    with kernel.measure() as cost:
        kernel.mm.tlb.sfence_page(0x1000)
    assert cost.accesses == 0
    assert cost.cycles == cost.instructions == hart.instructions - before > 0


def test_a_cost_tells_its_profile_and_cannot_be_changed(kernel: Kernel) -> None:
    with kernel.measure() as cost:
        kernel.mm.port.load(kernel.mm.statics.base)
    assert repr(cost) == ("<Cost 8 cycles: 8 instructions, 1 loads, 0 stores, 0 atomics "
                          "(off: one cycle per instruction; estimate: ±16 %)>")
    with pytest.raises(FrozenInstanceError):
        cost.cycles = 1  # type: ignore[misc]


def test_a_block_outlives_the_kernel_and_a_reset_of_its_machine(kernel: Kernel) -> None:
    with kernel.measure() as cost:
        kernel.mm.port.load(kernel.mm.statics.base)
        kernel.machine.reset()
    assert cost.loads == 1
    assert cost.cycles >= 0
