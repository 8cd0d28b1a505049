"""TLB flushes, collected and sent together (OSTD `mm/tlb.rs`).

        issue_tlb_flush(op) ─┐
        issue_tlb_flush(op) ─┼─► dispatch_tlb_flush(): this CPU and the others ──► sync_tlb_flush(): frames dropped
        issue_…_with(op, f) ─┘

A frame that was unmapped may be used for something else only when no TLB translates to it any more; so
the flusher keeps it until the flush has been done everywhere. 32 pages or more to flush are all pages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernel.errors import KernelPanic
from kernel.mm.frame.frame import Frame, require_frame
from kernel.mm.frame.handle import Handle
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel.mm.context import Mm

FLUSH_ALL_PAGES_THRESHOLD = 32
"""Pages from which on everything is flushed instead of page by page."""
ALL = 0


@dataclass(frozen=True, slots=True)
class TlbFlushOp:
    """What to flush: `pages` pages from `start`, or, if `pages` is 0, all entries but the global ones."""

    start: int
    pages: int

    @classmethod
    def for_all(cls) -> TlbFlushOp:
        """All entries but the global ones."""
        return cls(0, ALL)

    @classmethod
    def for_single(cls, addr: int) -> TlbFlushOp:
        """The page at virtual `addr`."""
        return cls(addr & -PAGE_SIZE, 1)

    @classmethod
    def for_range(cls, va: range) -> TlbFlushOp:
        """The pages of `va`; all entries if there are 32 or more. KernelPanic if it is empty or not page-aligned."""
        if va.start & PAGE_SIZE - 1:
            raise KernelPanic(f"range start must be page-aligned: {va.start:#x}")
        if va.stop & PAGE_SIZE - 1:
            raise KernelPanic(f"range end must be page-aligned: {va.stop:#x}")
        if va.start >= va.stop:
            raise KernelPanic(f"range must not be empty: {va.start:#x}-{va.stop:#x}")
        pages = (va.stop - va.start) // PAGE_SIZE
        return cls.for_all() if pages >= FLUSH_ALL_PAGES_THRESHOLD else cls(va.start, pages)


def every_cpu() -> int:
    """All CPUs, as a bit mask."""
    return -1


class TlbFlusher(Handle):
    """Flushes the TLBs of `cpus()`, a bit mask that is read at each dispatch.

    `kernel`: the addresses are kernel space's, so that "all" includes global entries. Dropped with frames
    that still wait, it flushes first. Requests that were issued without a frame and not dispatched are
    forgotten, as upstream does: what one may leave stale is the caller's decision.
    """

    __slots__ = ("_cpus", "_flushed", "_kernel", "_ops", "_pages", "_waiting")

    def __init__(self, mm: Mm, cpus: Callable[[], int], *, kernel: bool = False) -> None:
        self._mm, self._cpus, self._kernel = mm, cpus, kernel
        self._ops: list[tuple[int, int]] = []
        self._pages: int | None = 0  # None: all
        self._waiting: list[int] = []  # frames whose flush is not dispatched yet
        self._flushed: list[int] = []
        self._held = True

    def __repr__(self) -> str:
        what = "all" if self._pages is None else f"{self._pages} pages"
        return f"<TlbFlusher {what}, {len(self._waiting) + len(self._flushed)} frames{'' if self._held else ', gone'}>"

    def issue_tlb_flush(self, op: TlbFlushOp) -> None:
        """Note that `op` is to be flushed at the next dispatch."""
        self.push(op.start, op.pages)

    def issue_tlb_flush_with(self, op: TlbFlushOp, drop_after_flush: Frame[Any]) -> None:
        """The same, and drop the frame when it has been done; takes over the handle.

        FrameMisuse for another kernel's frame: the handle is still good.
        """
        self._check()
        require_frame(drop_after_flush, self._mm, "issue_tlb_flush_with")
        self._waiting.append(drop_after_flush.into_raw())
        self.push(op.start, op.pages)

    def push(self, start: int, pages: int, frame: int | None = None) -> None:
        """`issue_tlb_flush[_with]` without objects: `frame` is a physical address, and a count on it."""
        if not self._held:
            self._gone()
        if frame is not None:
            self._waiting.append(frame)
        if self._pages is None:
            return
        if pages == ALL or self._pages + pages >= FLUSH_ALL_PAGES_THRESHOLD:
            self._pages = None
            self._ops.clear()
            return
        self._ops.append((start, pages))
        self._pages += pages

    def dispatch_tlb_flush(self) -> None:
        """Flush all that was issued, on every CPU concerned. The SBI call for the others returns when they are done."""
        self._check()
        if self._pages == 0:
            return
        tlb, cpu = self._mm.tlb, self._mm.cpu
        cpus = self._cpus()
        if cpus & ~(1 << cpu):
            if self._pages is None:
                tlb.remote_sfence(0, 0)
            for start, pages in self._ops:
                tlb.remote_sfence(start, pages * PAGE_SIZE)
        if cpus >> cpu & 1:
            if self._pages is None:
                if self._kernel:
                    tlb.sfence_everything()
                else:
                    tlb.sfence_all()
            for start, pages in self._ops:
                for page in range(start, start + pages * PAGE_SIZE, PAGE_SIZE):
                    tlb.sfence_page(page)
        self._pages = 0
        self._ops.clear()
        self._flushed += self._waiting
        self._waiting.clear()

    def sync_tlb_flush(self) -> None:
        """Wait until all dispatched flushes are done everywhere, and drop the frames that waited for that."""
        self._check()
        flushed, drop = self._flushed, self._mm.slots.drop_holder
        while flushed:
            drop(flushed[-1])
            flushed.pop()

    def _release(self) -> None:
        self._held = True  # also when it is garbage that flushes
        if self._waiting:
            self.dispatch_tlb_flush()
        self.sync_tlb_flush()
        self._held = False
