"""Everything that a page table maps: runs of pages alike, with their rights, and what is there in the kernel's terms.

        virtual                            physical    rights    size    pages   part            frames
        0000000010000000-0000000010000fff  0x81e0b000  rw-u---   4 KiB   1 x 4K  user space      ()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kernel.boot.figures import amount
from kernel.mm.frame.meta import Kind
from kernel.picture import FrameMap, parts_of
from kernel.picture.page_tables import letters

from .pagetable import pages
from .table import table_lines

if TYPE_CHECKING:
    from emulator.pagewalk import MappedRun, Survey
    from kernel.mm import Mm
    from kernel.mm.paging import PagingMode

HEADINGS = ("virtual", "physical", "rights", "size", "pages")
NAMED = 2
"""Kinds of frames that are named for a run, rather than counted."""


def lines(found: Survey, paging: PagingMode, mm: Mm | None, *, plain: bool = False) -> list[str]:
    """A line for each run, then what is wrong with the tables; `mm` is the kernel's whose terms may be used."""
    frames = None if mm is None else FrameMap.read(mm)
    rows = []
    for run in found.runs:
        rows.append([f"{run.start:016x}-{run.end - 1:016x}", f"{run.paddr:#x}", letters(run.bits),
                     amount(run.end - run.start), pages(run.pages)])
        if frames is not None:
            rows[-1] += [_part(paging, run.start), _frames(frames, run)]
    headings = HEADINGS if frames is None else (*HEADINGS, "part", "frames")
    shown = table_lines(headings, rows, left=len(headings), plain=plain) if rows else ["nothing is mapped"]
    return [*shown, *([""] if found.problems else []), *found.problems]


def _part(paging: PagingMode, vaddr: int) -> str:
    """The part of the kernel's layout that an address is in."""
    return next(part.name for part in parts_of(paging) if part.start <= vaddr < part.end)


def _frames(frames: FrameMap, run: MappedRun) -> str:
    """What the frames behind a run are: their metadata types, or that there are none."""
    names = list(dict.fromkeys(_names(frames, run.paddr, run.paddr + run.end - run.start)))
    return ", ".join(names) if 0 < len(names) <= NAMED else f"{len(names)} kinds" if names else "not memory"


def _names(frames: FrameMap, start: int, end: int) -> Iterator[str]:
    for run in frames.between(start, end):
        if run.end > frames.first_paddr:
            yield "free" if run.state.kind is Kind.FREE else run.state.type_name or str(run.state)
