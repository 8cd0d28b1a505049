"""The textbook examples of requirement R3.7."""

from __future__ import annotations

import pytest

from kernel.errors import NoMemory
from kernel.mm import PAGE_SIZE
from tests.helpers.free_memory import check
from kernel.osdk.frame_allocator.buddy_demo import MIB, Use, internal_fragmentation, split_and_merge
from tests.kernel.osdk.frame_allocator.memory import FRAMES, memory

KIB = 1024


def test_1_mib_is_split_down_to_128_kib_and_merges_again() -> None:
    states = split_and_merge(memory((0, FRAMES)).mm)
    base = states[0].blocks[0].paddr
    drawn = [[(block.paddr - base >> 10, block.size >> 10, block.use.value) for block in state.blocks]
             for state in states]
    assert drawn == [
        [(0, 1024, "free")],
        [(0, 1024, "in hand")],
        [(0, 512, "in hand"), (512, 512, "free")],
        [(0, 256, "in hand"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "in hand"), (128, 128, "free"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "allocated"), (128, 128, "free"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "allocated"), (128, 128, "in hand"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "allocated"), (128, 128, "allocated"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "in hand"), (128, 128, "allocated"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "free"), (128, 128, "allocated"), (256, 256, "free"), (512, 512, "free")],
        [(0, 128, "free"), (128, 128, "in hand"), (256, 256, "free"), (512, 512, "free")],
        [(0, 256, "in hand"), (256, 256, "free"), (512, 512, "free")],
        [(0, 512, "in hand"), (512, 512, "free")],
        [(0, 1024, "in hand")],
        [(0, 1024, "free")],
    ]


def test_65_kib_take_128_kib_of_which_63_are_wasted() -> None:
    last = internal_fragmentation(memory((0, FRAMES)).mm)[-1]
    [block] = [block for block in last.blocks if block.use is Use.ALLOCATED]
    assert (block.requested, block.size, block.wasted) == (65 * KIB, 128 * KIB, 63 * KIB)
    assert last.title == "A has 128 KiB; 63 KiB of it are wasted"


@pytest.mark.parametrize("example", [split_and_merge, internal_fragmentation])
def test_an_example_gives_all_of_its_memory_back(example: type) -> None:
    m = memory((0, FRAMES))
    example(m.mm)
    assert check(m.allocator).total_size == FRAMES * PAGE_SIZE
    assert m.alloc(FRAMES) is not None


def test_every_state_covers_the_whole_piece() -> None:
    for state in split_and_merge(memory((0, FRAMES)).mm):
        ends = [block.paddr + block.size for block in state.blocks]
        assert [block.paddr for block in state.blocks[1:]] == ends[:-1]
        assert ends[-1] - state.blocks[0].paddr == MIB


def test_an_example_without_1_mib_is_an_error_and_leaks_nothing() -> None:
    m = memory((0, 200))
    with pytest.raises(NoMemory):
        split_and_merge(m.mm)
    assert check(m.allocator).total_size == 200 * PAGE_SIZE
