"""What the stock observers of the memory port tell."""

from __future__ import annotations

import pytest

from kernel.mm import AccessCounter, AccessTrace, FailAt, FrameAllocOptions, Layout, Mm
from kernel.mm.check import check
from kernel.mm.frame.meta import VTABLE
from kernel.mm.observers import place


def test_the_cost_of_an_allocation_is_counted_and_the_same_every_time(mm: Mm) -> None:
    FrameAllocOptions(mm).alloc_frame().drop()
    counts = []
    for _ in range(2):
        count = AccessCounter()
        with mm.port.observed(count):
            FrameAllocOptions(mm).alloc_frame().drop()
        counts.append(str(count))
        assert count.total == count.loads + count.stores + count.atomics
        assert count.bytes > 4096, "the frame is zeroed"
    assert counts[0] == counts[1]


def test_a_trace_names_what_was_touched(mm: Mm) -> None:
    FrameAllocOptions(mm).alloc_frame().drop()
    trace = AccessTrace()
    with mm.port.observed(trace):
        frame = FrameAllocOptions(mm).alloc_frame()
    lines = trace.lines(mm)
    slot = f"slot of frame {frame.paddr:#x}"
    assert f"atomic     8 {slot}, ref_count <- 0x0" in lines
    assert f"store      8 {slot}, vtable <- {mm.port.load(mm.slots.slot(frame.paddr) + VTABLE):#x}" in lines
    assert f"store   4096 frame {frame.paddr:#x} + 0x0" in lines
    assert any("static cpu_local.0 + " in line for line in lines)
    assert lines[-1] == f"store      8 {slot}, ref_count <- 0x1"
    frame.drop()


def test_a_trace_keeps_the_last_accesses(mm: Mm) -> None:
    trace = AccessTrace(limit=3)
    with mm.port.observed(trace):
        for n in range(5):
            mm.port.load(mm.statics.base + 8 * n)
    assert [record.address for record in trace.records] == [mm.statics.base + 8 * n for n in (2, 3, 4)]


def test_places_have_names(mm: Mm) -> None:
    slot = mm.slots.slot(mm.slots.first_paddr)
    assert place(mm, slot + 8).endswith("storage + 8")
    assert place(mm, slot + 56).endswith("in_list")
    assert place(mm, mm.statics.area("list_ids", 8)) == "static list_ids + 0"


def test_one_access_can_be_made_to_fail(mm: Mm) -> None:
    layout, failing = Layout(64, 8), FailAt(2, OSError("no"))
    with mm.port.observed(failing), pytest.raises(OSError, match="no"):
        mm.heap.alloc(layout)
    assert failing.seen == 3
    check(mm)
