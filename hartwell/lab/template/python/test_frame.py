"""Tests of the allocator: `pytest` runs them.

Each call is judged from outside: overlap, alignment, range, contents; and at the end of each test everything is given
back, and all memory must be there again.
"""

import random

PAGE = 4096


def test_a_block_is_aligned(frame_allocator):
    for align in (PAGE, 16 * PAGE, 256 * PAGE):
        block = frame_allocator.alloc(3 * PAGE, align)
        assert block is not None
        frame_allocator.dealloc(block)


def test_parts_of_a_block_come_back_in_any_order(frame_allocator):
    head, tail = frame_allocator.split(frame_allocator.alloc(8 * PAGE), 3 * PAGE)
    frame_allocator.dealloc(tail)
    frame_allocator.dealloc(head)


def test_no_memory_is_an_answer(frame_allocator):
    assert frame_allocator.alloc(1 << 40) is None


def test_any_blocks_at_any_time(frame_allocator):
    chance, blocks = random.Random(1), []
    for _ in range(200):
        if len(blocks) > 20:
            frame_allocator.dealloc(blocks.pop(chance.randrange(len(blocks))))
        block = frame_allocator.alloc(chance.randrange(1, 20) * PAGE)
        if block is not None:
            blocks.append(block)
