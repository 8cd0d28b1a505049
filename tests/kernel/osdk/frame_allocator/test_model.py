"""Random work on the frame allocator, against a model that knows only what was handed out."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kernel.mm import PAGE_SIZE
from kernel.mm.frame.meta import TAKEN
from tests.helpers.free_memory import check
from kernel.osdk.frame_allocator.chunk import split_to_chunks
from tests.kernel.osdk.frame_allocator.memory import BASE, FRAMES, Memory, memory

CPUS = 3
SIZES = st.one_of(st.just(1), st.integers(1, 5), st.integers(1, 300))


class Work(RuleBasedStateMachine):
    """Allocates, frees all or parts, changes CPUs, attaches anew, takes memory out and adds it."""

    memory: Memory

    def __init__(self) -> None:
        super().__init__()
        self.managed: set[int] = set()
        self.taken: dict[int, int] = {}
        self.out: list[tuple[int, int]] = []

    @initialize(edges=st.lists(st.integers(0, FRAMES), min_size=2, max_size=8, unique=True))
    def begin(self, edges: list[int]) -> None:
        edges.sort()
        pieces = [(low, high - low) for low, high in zip(edges[::2], edges[1::2], strict=False)]
        self.memory = memory(*pieces, cpus=CPUS)
        self.managed = {frame for low, count in pieces for frame in range(low, low + count)}

    def used(self) -> set[int]:
        return {frame for first, pages in self.taken.items() for frame in range(first, first + pages)}

    @rule(pages=SIZES, align=st.sampled_from([1, 1, 1, 2, 4, 8, 64]))
    def alloc(self, pages: int, align: int) -> None:
        paddr = self.memory.alloc(pages, align)
        if paddr is None:
            self.refused(pages, align)
            return
        first = (paddr - BASE) // PAGE_SIZE
        frames = set(range(first, first + pages))
        assert paddr % (align * PAGE_SIZE) == 0
        assert frames <= self.managed
        assert not frames & self.used()
        self.taken[first] = pages

    def refused(self, pages: int, align: int) -> None:
        """Nothing free is a chunk of the order that the request needs."""
        need = 1 << max((pages - 1).bit_length(), (align - 1).bit_length())
        free = self.managed - self.used()
        assert not any(all(frame in free for frame in range(first, first + need)) for first in range(0, FRAMES, need))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        first = data.draw(st.sampled_from(sorted(self.taken)))
        pages = self.taken.pop(first)
        self.memory.free(BASE + first * PAGE_SIZE, pages)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def free_a_part(self, data: st.DataObject) -> None:
        first = data.draw(st.sampled_from(sorted(self.taken)))
        pages = self.taken.pop(first)
        low = data.draw(st.integers(0, pages - 1))
        high = data.draw(st.integers(low + 1, pages))
        self.memory.free(BASE + (first + low) * PAGE_SIZE, high - low)
        for start, end in ((0, low), (high, pages)):
            if start < end:
                self.taken[first + start] = end - start

    @rule(pages=st.integers(1, 40))
    def single_pages(self, pages: int) -> None:
        for _ in range(pages):
            self.alloc(1, 1)

    @precondition(lambda self: self.taken)
    @rule(step=st.integers(1, 3))
    def free_many(self, step: int) -> None:
        for first in sorted(self.taken)[::step]:
            self.memory.free(BASE + first * PAGE_SIZE, self.taken.pop(first))

    @rule(cpu=st.integers(0, CPUS - 1))
    def move_to(self, cpu: int) -> None:
        self.memory.mm.cpu = cpu

    @rule()
    def attach(self) -> None:
        cpu = self.memory.mm.cpu
        self.memory = self.memory.attach()
        self.memory.mm.cpu = cpu

    @rule()
    def drain(self) -> None:
        self.memory.allocator.drain()
        self.all_merged()

    @rule(first=st.integers(0, FRAMES - 1), pages=st.integers(1, 200))
    def take_out(self, first: int, pages: int) -> None:
        pages = min(pages, FRAMES - first)
        start, end = BASE + first * PAGE_SIZE, BASE + (first + pages) * PAGE_SIZE
        frames = set(range(first, first + pages))
        taken = self.memory.allocator.take_range(start, end - start)
        assert taken is (frames <= self.managed - self.used())
        if taken:
            self.memory.mm.slots.mark(start, end, TAKEN)
            self.managed -= frames
            self.out.append((first, pages))

    @precondition(lambda self: self.out)
    @rule()
    def add_again(self) -> None:
        first, pages = self.out.pop()
        self.memory.dispatch.add_free_memory(BASE + first * PAGE_SIZE, pages * PAGE_SIZE)
        self.managed |= set(range(first, first + pages))

    @invariant()
    def every_frame_is_in_one_place(self) -> None:
        if not self.managed:
            return
        found = check(self.memory.allocator)
        free = {frame for paddr, size, _ in found.ranges()
                for frame in range((paddr - BASE) // PAGE_SIZE, (paddr - BASE + size) // PAGE_SIZE)}
        assert free == self.managed - self.used()

    def all_merged(self) -> None:
        """Everything free is in the global pool, in the largest chunks that there can be."""
        free = sorted(self.managed - self.used())
        expected: set[tuple[int, int]] = set()
        low = 0
        for n in range(1, len(free) + 1):
            if n == len(free) or free[n] != free[n - 1] + 1:
                expected |= set(split_to_chunks(BASE + free[low] * PAGE_SIZE, (n - low) * PAGE_SIZE))
                low = n
        pool = check(self.memory.allocator).pools[0]
        assert {(paddr, order) for order, chunks in enumerate(pool.chunks) for paddr in chunks} == expected

    def teardown(self) -> None:
        if self.managed:
            for first, pages in self.taken.items():
                self.memory.free(BASE + first * PAGE_SIZE, pages)
            self.taken.clear()
            self.drain()


TestWork = Work.TestCase
TestWork.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
