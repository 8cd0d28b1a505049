"""The state machine: batches of operations on a kernel, and after each of them the whole-state check."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from emulator import Board, Machine
from kernel import Kernel
from kernel.mm import PAGE_SIZE, Layout
from kernel.mm.check import check
from kernel.mm.frame.handle import Handle
from tests.helpers.kernels import boot

from tests.kernel.state.part import WORD, Draw, Operation, Part, free_size

Batches = st.one_of([st.binary(min_size=count * WORD, max_size=count * WORD) for count in range(1, 9)])
STEPS = 100
"""Batches to an example; each has 4.5 operations on average."""


@dataclass
class Tally:
    """What ran, over all examples."""

    examples: int = 0
    operations: int = 0
    checks: int = 0


class StateMachine(RuleBasedStateMachine):
    """A kernel, freshly booted, with some parts to operate on. Subclasses say which, on what board."""

    PARTS: ClassVar[tuple[type[Part], ...]] = ()
    MEMORY: ClassVar[int] = 16 << 20
    HARTS: ClassVar[int] = 2
    TALLY: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        self.kernel: Kernel = boot(memory=self.MEMORY, harts=self.HARTS)
        self.mm = self.kernel.mm
        self.parts = [part(self.kernel) for part in self.PARTS]
        self.table = [operation for part in self.parts for operation in part.operations() for _ in range(operation.weight)]
        settle(self.kernel)
        self.start = free_size(self.mm)
        self.whole = largest_blocks(self.kernel)
        self.TALLY.examples += 1

    @rule(batch=Batches)
    def run(self, batch: bytes) -> None:
        """Do some operations, and check everything."""
        for at in range(0, len(batch), WORD):
            draw = Draw(int.from_bytes(batch[at:at + WORD], "little"))
            operation = draw.pick(self.table)
            cpu = draw.below(self.HARTS)
            note(f"CPU {cpu}: {operation.run.__qualname__}")
            with self.kernel.on_cpu(cpu):
                operation.run(draw)
            self.TALLY.operations += 1
        self.check()

    def check(self) -> None:
        """Everything in the kernel's memory is accounted for by what the parts have."""
        holders: list[Handle] = []
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
        try:
            for part in self.parts:
                part.drop_all()
            settle(self.kernel)
            check(self.mm, [], objects=[])
            assert free_size(self.mm) == self.start
            assert largest_blocks(self.kernel) == self.whole
            take_everything(self.kernel)
        finally:
            self.kernel.close()
            gc.collect()


def settle(kernel: Kernel) -> None:
    """Empty all caches."""
    kernel.mm.heap.inner.reclaim()  # type: ignore[attr-defined]
    kernel.mm.frame_allocator.inner.drain()  # type: ignore[attr-defined]


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
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck)))
    return machine.TALLY
