"""The TLB flusher: what it collects, what it sends to whom, and when frames go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.cpu.tlb import Tlb
from kernel.errors import KernelPanic, UseAfterMove
from kernel.mm import FrameAllocOptions, Mm
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.tlb.cpu_set import AtomicCpuSet
from kernel.mm.tlb.flusher import TlbFlusher, TlbFlushOp, every_cpu


class Watched(Tlb):
    """The real TLBs; `calls` remembers what was asked of them."""

    def __init__(self, tlb: Tlb) -> None:
        super().__init__(tlb._smp)
        self.calls: list[tuple[str, int, int]] = []

    def sfence_all(self) -> None:
        self.calls.append(("all", 0, 0))
        super().sfence_all()

    def sfence_everything(self) -> None:
        self.calls.append(("everything", 0, 0))
        super().sfence_everything()

    def sfence_page(self, vaddr: int) -> None:
        self.calls.append(("page", vaddr, 0))
        super().sfence_page(vaddr)

    def remote_sfence(self, vaddr: int, size: int) -> None:
        self.calls.append(("remote", vaddr, size))
        super().remote_sfence(vaddr, size)


@pytest.fixture
def tlb(mm: Mm) -> Watched:
    assert isinstance(mm.tlb, Tlb)
    mm.tlb = watched = Watched(mm.tlb)
    return watched


@pytest.fixture
def flusher(mm: Mm, tlb: Watched) -> Iterator[TlbFlusher]:
    with TlbFlusher(mm, lambda: 1) as flusher:
        yield flusher


def test_nothing_is_flushed_before_the_dispatch_and_all_of_it_then_once(flusher: TlbFlusher, tlb: Watched) -> None:
    flusher.issue_tlb_flush(TlbFlushOp.for_single(0x5123))
    flusher.issue_tlb_flush(TlbFlushOp.for_range(range(0x8000, 0xa000)))
    assert tlb.calls == []
    flusher.dispatch_tlb_flush()
    assert tlb.calls == [("page", 0x5000, 0), ("page", 0x8000, 0), ("page", 0x9000, 0)]
    flusher.dispatch_tlb_flush()
    assert len(tlb.calls) == 3


def test_31_pages_are_flushed_one_by_one_and_32_are_all(flusher: TlbFlusher, tlb: Watched) -> None:
    for pages in (31, 32):
        tlb.calls.clear()
        for i in range(pages):
            flusher.issue_tlb_flush(TlbFlushOp.for_single(i * P))
        flusher.dispatch_tlb_flush()
        assert tlb.calls == ([("page", i * P, 0) for i in range(31)] if pages == 31 else [("all", 0, 0)])


def test_a_range_of_32_pages_is_all(flusher: TlbFlusher, tlb: Watched) -> None:
    assert TlbFlushOp.for_range(range(0, 32 * P)) == TlbFlushOp.for_all()
    assert TlbFlushOp.for_range(range(0, 31 * P)) == TlbFlushOp(0, 31)


def test_after_all_further_requests_change_nothing(flusher: TlbFlusher, tlb: Watched) -> None:
    flusher.issue_tlb_flush(TlbFlushOp.for_single(P))
    flusher.issue_tlb_flush(TlbFlushOp.for_all())
    flusher.issue_tlb_flush(TlbFlushOp.for_single(P))
    flusher.dispatch_tlb_flush()
    assert tlb.calls == [("all", 0, 0)]


@pytest.mark.parametrize("va, why", [(range(1, P), "start must be page-aligned"), (range(0, P + 1), "end must be"),
                                     (range(P, P), "must not be empty"), (range(2 * P, P), "must not be empty")])
def test_a_range_that_is_none_panics(va: range, why: str) -> None:
    with pytest.raises(KernelPanic, match=why):
        TlbFlushOp.for_range(va)


@pytest.mark.board(harts=2)
@pytest.mark.parametrize("cpus, expected", [
    (0, []), (1, [("page", P, 0)]), (2, [("remote", P, P)]), (3, [("remote", P, P), ("page", P, 0)]),
    (-1, [("remote", P, P), ("page", P, 0)])])
def test_only_the_cpus_of_the_set_are_flushed(mm: Mm, tlb: Watched, cpus: int,
                                              expected: list[tuple[str, int, int]]) -> None:
    with TlbFlusher(mm, lambda: cpus) as flusher:
        flusher.issue_tlb_flush(TlbFlushOp.for_single(P))
        flusher.dispatch_tlb_flush()
    assert tlb.calls == expected


@pytest.mark.board(harts=2)
def test_all_of_kernel_space_includes_global_entries(mm: Mm, tlb: Watched) -> None:
    with TlbFlusher(mm, every_cpu, kernel=True) as flusher:
        flusher.issue_tlb_flush(TlbFlushOp.for_all())
        flusher.dispatch_tlb_flush()
    assert tlb.calls == [("remote", 0, 0), ("everything", 0, 0)]


def test_a_frame_stays_until_the_flush_is_synchronised(mm: Mm, flusher: TlbFlusher) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    with frame.clone() as mine:
        flusher.issue_tlb_flush_with(TlbFlushOp.for_single(0), frame)
        flusher.sync_tlb_flush()
        assert mine.reference_count == 2, "not dispatched yet"
        flusher.dispatch_tlb_flush()
        assert mine.reference_count == 2
        flusher.sync_tlb_flush()
        assert mine.reference_count == 1
    with pytest.raises(UseAfterMove):
        frame.drop()


def test_a_dropped_flusher_flushes_what_frames_wait_for(mm: Mm, tlb: Watched) -> None:
    frame = FrameAllocOptions(mm).alloc_frame()
    with frame.clone() as mine:
        with TlbFlusher(mm, lambda: 1) as flusher:
            flusher.issue_tlb_flush_with(TlbFlushOp.for_single(P), frame)
        assert tlb.calls == [("page", P, 0)]
        assert mine.reference_count == 1


def test_a_set_of_cpus_is_a_word_in_memory(mm: Mm) -> None:
    with FrameAllocOptions(mm).alloc_frame() as frame:
        cpus = AtomicCpuSet(mm.port, frame.paddr)
        cpus.add(3)
        cpus.add(63)
        cpus.remove(0)
        assert cpus.load() == mm.port.load(frame.paddr) == 1 << 3 | 1 << 63
        cpus.remove(63)
        assert cpus.load() == 1 << 3
