"""The state machine: batches of operations on a kernel, and after each of them the whole-state check."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from kernel import Choices, Kernel
from kernel.errors import NoMemory
from kernel.mm import PAGE_SIZE, SV48, FrameAllocOptions, Layout, Mm
from kernel.mm.check import check
from kernel.mm.frame.handle import Handle
from kernel.mm.frame.meta import REF_COUNT, UNUSED, VTABLE
from kernel.mm.page_table.config import KernelPtConfig
from kernel.mm.paging import META_SLOT_SIZE, PagingMode
from kernel.osdk.frame_allocator.frame_allocator import FrameAllocator
from tests.helpers.kernels import boot

from tests.kernel.state.part import WORD, Draw, Part, free_size

BATCH = 32
"""Operations in a batch, at most. The check costs as much as ten of them."""
Batches = st.one_of([st.binary(min_size=count * WORD, max_size=count * WORD) for count in range(1, BATCH + 1)])
STEPS = 27
"""Batches to an example; each has 16.5 operations on average."""


@dataclass
class Tally:
    """What ran, over all examples."""

    examples: int = 0
    operations: int = 0
    checks: int = 0
    out_of_memory: int = 0


class CountedFrames(FrameAllocator):
    """The default frame allocator, which counts the requests that it had to refuse."""

    __slots__ = ("refused",)

    def __init__(self, mm: Mm) -> None:
        super().__init__(mm)
        self.refused = 0

    def alloc(self, layout: Layout) -> int | None:
        paddr = super().alloc(layout)
        if paddr is None and layout.size == PAGE_SIZE:
            self.refused += 1
        return paddr


class StateMachine(RuleBasedStateMachine):
    """A kernel, freshly booted, with some parts to operate on. Subclasses say which, on what board."""

    PARTS: ClassVar[tuple[type[Part], ...]] = ()
    MEMORY: ClassVar[int] = 16 << 20
    HARTS: ClassVar[int] = 2
    LEFT: ClassVar[int | None] = None
    """Pages of free memory to begin with; all that there are if None. With few, every operation meets NoMemory."""
    PAGING: ClassVar[PagingMode] = SV48
    TALLY: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        self.kernel: Kernel = boot(
            Choices(self.PAGING, CountedFrames, watchdog_lines=None), memory=self.MEMORY, harts=self.HARTS)
        self.mm = self.kernel.mm
        self.parts = [part(self.kernel) for part in self.PARTS]
        operations = [operation for part in self.parts for operation in part.operations()]
        self.table = [operation for operation in operations for _ in range(operation.weight)]
        settle(self.kernel)
        self.start = free_size(self.mm)
        self.whole = largest_blocks(self.kernel)
        self.tables = kernel_tables(self.kernel)
        for part in self.parts:
            part.begin()
        self.kept: list[Handle] = []
        pages = 64
        while self.LEFT is not None and (more := free_size(self.mm) // PAGE_SIZE - self.LEFT) > 0:
            try:
                self.kept.append(FrameAllocOptions(self.mm).zeroed(False).alloc_segment(min(pages, more)))
            except NoMemory:
                pages //= 2
        self.TALLY.examples += 1

    @rule(batch=Batches)
    def run(self, batch: bytes) -> None:
        """Do some operations, and check everything."""
        self.operate(batch, note)

    def operate(self, batch: bytes, say: Callable[[str], object]) -> None:
        """The same without Hypothesis; `say` is told every operation."""
        for at in range(0, len(batch), WORD):
            draw = Draw(int.from_bytes(batch[at:at + WORD], "little"))
            operation = draw.pick(self.table)
            cpu = draw.below(self.HARTS)
            say(f"CPU {cpu}: {operation.run.__qualname__}")
            with self.kernel.on_cpu(cpu):
                try:
                    operation.run(draw)
                except NoMemory:  # what was begun was undone: the check would find the rest
                    assert self.LEFT is not None
            self.TALLY.operations += 1
        self.check()

    def check(self) -> None:
        """Everything in the kernel's memory is accounted for by what the parts have."""
        holders: list[Handle] = [*self.kept]
        objects: list[int] = []
        handed_out: list[tuple[int, int]] = []
        for part in self.parts:
            holders += part.holders()
            objects += part.objects()
            handed_out += part.handed_out()
        check(self.mm, holders, objects=objects, handed_out=handed_out)
        self.TALLY.checks += 1

    def teardown(self) -> None:
        """Give everything back: all memory is free then, in blocks as large as at the start."""
        frames = self.mm.frame_allocator.inner
        assert isinstance(frames, CountedFrames)
        self.TALLY.out_of_memory += frames.refused
        try:
            for part in self.parts:
                part.drop_all()
            for handle in self.kept:
                handle.drop()
            settle(self.kernel)
            check(self.mm, [], objects=[])
            # The kernel's own page table keeps the tables that virtual areas needed, as upstream's does.
            grown = kernel_tables(self.kernel) - self.tables
            assert free_size(self.mm) == self.start - grown * PAGE_SIZE
            assert grown or largest_blocks(self.kernel) == self.whole
            take_everything(self.kernel)
        finally:
            self.kernel.close()


def settle(kernel: Kernel) -> None:
    """Empty all caches."""
    kernel.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
    kernel.mm.frame_allocator.inner.drain()  # type: ignore[attr-defined]


def kernel_tables(kernel: Kernel) -> int:
    """Nodes of the kernel's page table."""
    slots, port = kernel.mm.slots, kernel.mm.port
    first, count = slots.slot(slots.first_paddr), slots.max_paddr - slots.first_paddr >> 12
    used = port.load_column(first + REF_COUNT, count, META_SLOT_SIZE) != UNUSED
    kinds = port.load_column(first + VTABLE, count, META_SLOT_SIZE) == kernel.mm.types.vtable(KernelPtConfig)
    return int((used & kinds).sum())


def largest_blocks(kernel: Kernel) -> tuple[tuple[int, ...], ...]:
    """The free blocks by order: which, not only how many."""
    free = kernel.mm.frame_allocator.inner.pools.global_set  # type: ignore[attr-defined]
    return tuple(tuple(sorted(free.chunks(order))) for order in range(free.orders))


def take_everything(kernel: Kernel) -> None:
    """All free memory can be had in its largest blocks, and given back."""
    mm = kernel.mm
    taken = []
    for order, chunks in reversed(list(enumerate(largest_blocks(kernel)))):
        for _ in chunks:
            size = PAGE_SIZE << order
            paddr = mm.frame_allocator.alloc(Layout(size, size))
            assert paddr is not None
            taken.append((paddr, size))
    assert free_size(mm) == 0
    assert mm.frame_allocator.alloc(Layout(PAGE_SIZE, PAGE_SIZE)) is None
    for paddr, size in taken:
        mm.frame_allocator.dealloc(paddr, size)


def run_machine(machine: type[StateMachine], examples: int, steps: int = STEPS) -> Tally:
    """Run `examples` histories of `steps` batches, the same ones at each run; what ran."""
    machine.TALLY = Tally()
    run_state_machine_as_test(machine, settings=settings(
        max_examples=examples, stateful_step_count=steps, derandomize=True, database=None, deadline=None,
        report_multiple_bugs=False, phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck)))
    gc.collect()
    return machine.TALLY
