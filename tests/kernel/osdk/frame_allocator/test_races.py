"""Another CPU's whole operation between any two memory accesses of one CPU's."""

from __future__ import annotations

import random

import pytest

from kernel.errors import LockHeld
from kernel.mm import PAGE_SIZE
from kernel.mm.port import Access
from tests.helpers.free_memory import check
from tests.kernel.osdk.frame_allocator.memory import Memory, memory

PAGES = 512


class Other:
    """CPU 1, which gets a turn before some of CPU 0's accesses, and gives up where it would have to wait."""

    def __init__(self, m: Memory, rng: random.Random) -> None:
        self.memory, self.rng, self.running = m, rng, False
        self.blocks: list[tuple[int, int]] = []
        self.turns = self.waits = 0

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        if self.running or self.rng.random() > 0.02:
            return
        self.running, self.memory.mm.cpu = True, 1
        try:
            work(self.memory, self.rng, self.blocks)
            self.turns += 1
        except LockHeld:
            self.waits += 1
        finally:
            self.running, self.memory.mm.cpu = False, 0


def work(m: Memory, rng: random.Random, blocks: list[tuple[int, int]]) -> None:
    """Allocate something, or free something."""
    if blocks and rng.random() < 0.5:
        which = rng.randrange(len(blocks))
        m.free(*blocks[which])
        del blocks[which]
    else:
        pages = rng.choice((1, 1, 1, 2, 3, 4, 5, 17))
        paddr = m.alloc(pages)
        if paddr is not None:
            blocks.append((paddr, pages))


@pytest.mark.parametrize("seed", range(4))
def test_cpus_that_allocate_at_once_get_different_frames_and_lose_none(seed: int) -> None:
    rng = random.Random(seed)
    m = memory((0, PAGES), cpus=2)
    other, blocks = Other(m, rng), list[tuple[int, int]]()
    with m.mm.port.observed(other):
        for _ in range(400):
            work(m, rng, blocks)
    assert other.turns > 100
    assert other.waits > 0
    frames = [paddr + tail * PAGE_SIZE for paddr, pages in blocks + other.blocks for tail in range(pages)]
    assert len(set(frames)) == len(frames)
    assert check(m.allocator).total_size == (PAGES - len(frames)) * PAGE_SIZE
    for paddr, pages in blocks + other.blocks:
        m.free(paddr, pages)
    assert m.alloc(PAGES) is not None
