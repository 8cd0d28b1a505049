"""A boot that runs out of memory, at whichever request, ends with a typed error and takes its stage back."""

from __future__ import annotations

import pytest

from emulator import Board, Machine
from emulator.errors import PlacementError
from kernel import Kernel, StageReport
from kernel.errors import KernelError, NoMemory
from kernel.mm import PAGE_SIZE, Mm
from kernel.mm.check import check
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from tests.kernel.oom.failing import Refusals, RefusingFrames, refusing
from tests.helpers.effort import rounds

SMALL = 16 << 20


def boot_with_a_refusal(after: int, lasting: bool) -> bool:
    """Boot with a request refused; whether there were so many."""
    refusals = Refusals()
    refusals.after, refusals.lasting = after, lasting
    choices = refusing(refusals)
    made: list[FrameAllocator] = []
    free: dict[str, int] = {}

    def factory(mm: Mm) -> RefusingFrames:
        made.append(RefusingFrames(mm, refusals))
        return made[0]  # type: ignore[return-value]

    def note(report: StageReport) -> None:
        if made:
            free[report.name] = made[0].load_total_free_size()

    machine = Machine(Board(memory=SMALL, harts=2))
    try:
        kernel = Kernel.boot(machine, type(choices)(frame_allocator=factory, watchdog_lines=None), on_stage=note)
    except NoMemory:
        assert refusals.met
        # The stage that failed has taken back what it had.
        assert made[0].load_total_free_size() == list(free.values())[-1]
        assert "ready" not in free
        return True
    refusals.after, met = None, refusals.met
    check(kernel.mm, [], objects=[])
    kernel.close()
    return met


def test_a_boot_in_which_any_one_request_for_frames_is_refused() -> None:
    """Every request of the stages after the metadata, one after the other; as a rule, every third."""
    refused = 0
    while boot_with_a_refusal(refused, lasting=False):
        refused += 3 // rounds(3, 1)
    assert refused > 256  # a table for each entry of the root's upper half, and more


@pytest.mark.parametrize("after", [0, 1, 2, 3, 100, 256, 257, 258, 259, 260, 261])
def test_a_boot_from_some_request_on_without_memory(after: int) -> None:
    boot_with_a_refusal(after, lasting=True)


@pytest.mark.parametrize("kib", [2048, 2304, 3072, 3200, 3328, 3456, 3584, 3840, 4096, 4352, 4608, 5120, 6144, 8192])
def test_a_machine_with_too_little_memory_is_told_so(kib: int) -> None:
    """Just enough boots, too little is a typed error; nothing else happens."""
    machine = Machine(Board(memory=kib << 10))
    try:
        kernel = Kernel.boot(machine)
    except (KernelError, PlacementError) as error:
        assert str(error)
        return
    check(kernel.mm, [], objects=[])
    assert kernel.mm.frame_allocator.inner.load_total_free_size() % PAGE_SIZE == 0  # type: ignore[attr-defined]
    kernel.close()
