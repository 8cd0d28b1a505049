"""The RamFS exercise's figures: the same in every run, and what they must show."""

from __future__ import annotations

import pytest

from kernel.fs.ramfs.exercise import APPENDS, REWRITES, REWRITTEN, run
from kernel.fs.ramfs.ramfs import Storage
from kernel.mm import PAGE_SIZE

SIZE = APPENDS * PAGE_SIZE


@pytest.mark.slow
def test_what_frames_change() -> None:
    heap, frames = run(Storage.HEAP), run(Storage.FRAMES)
    assert run(Storage.FRAMES) == frames
    for append, rewrite, read, _, remove in heap, frames:
        assert rewrite.copied == REWRITES * REWRITTEN and read.copied == SIZE
        assert rewrite.frames == rewrite.objects == read.frames == read.objects == 0
        assert append.copied >= SIZE and remove.held == 0 and all(step.cycles > 0 for step in (append, rewrite, read))
    # Vec: 8 moves, of 4 KiB to 512 KiB, and both allocations at once at the last one; nothing is cut off.
    assert heap[0].copied == SIZE + sum(PAGE_SIZE << n for n in range(8)) and heap[0].objects == 9
    assert heap[0].peak >= SIZE + SIZE // 2 and heap[3].held == heap[2].held
    # Frames: nothing but the vector moves, each frame is zeroed once, half of them go at once.
    assert frames[0].copied < SIZE + SIZE // 100 and frames[0].frames >= APPENDS
    assert frames[0].filled >= SIZE and frames[0].peak < SIZE + SIZE // 5
    assert frames[2].held - frames[3].held == SIZE // 2
    assert frames[0].cycles < heap[0].cycles
