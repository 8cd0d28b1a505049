"""What the boot's stages hand on to each other, and what each of them reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulator import Machine
from kernel.mm.operations import Listener
from kernel.mm.paging import PagingMode
from kernel.mm.watchdog import Watchdog

if TYPE_CHECKING:
    from kernel.boot.device_tree import BootInformation
    from kernel.boot.early_info import EarlyInfo
    from kernel.cost import Meter
    from kernel.cpu.sbi import Sbi
    from kernel.cpu.entry import Entry
    from kernel.cpu.service import Service
    from kernel.cpu.smp import Smp
    from kernel.cpu.tlb import Tlb
    from kernel.mm.context import Mm
    from kernel.mm.frame.allocator import GlobalFrameAllocator
    from kernel.mm.frame.early import EarlyFrameAllocator
    from kernel.mm.frame.meta_init import MetaRegion
    from kernel.mm.heap.dispatch import GlobalHeapAllocator
    from kernel.mm.page_table.boot_pt import BootPageTable


@dataclass(frozen=True)
class Choices:
    """What whoever boots a kernel may choose.

    `paging` None takes the best mode that the hart has. The allocators are made by functions of the Mm;
    `watchdog_lines` is the budget of lines of a call to one that is not the default, None for no limit.
    `operations` is told of every operation from the first one on (kernel.mm.operations).
    """

    paging: PagingMode | None = None
    frame_allocator: Callable[[Mm], GlobalFrameAllocator] | None = None
    heap_allocator: Callable[[Mm], GlobalHeapAllocator] | None = None
    watchdog_lines: int | None = 1_000_000
    operations: Listener | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.paging, PagingMode | None):
            raise TypeError(f"paging {self.paging!r}: expected kernel.mm.SV48 or SV39, or None for the best there is")
        for what, factory in (("frame", self.frame_allocator), ("heap", self.heap_allocator)):
            if factory is not None and not callable(factory):
                raise TypeError(f"{what}_allocator {factory!r}: expected a class or function of the Mm")

    def watchdog(self, injected: bool) -> Watchdog | None:
        """The guard for an allocator's calls, None if it is ours or is to have no limit."""
        return Watchdog(self.watchdog_lines) if injected and self.watchdog_lines is not None else None


@dataclass(frozen=True)
class StageReport:
    """What a stage did: its `name` and `title`, figures by name, and the hart's clock when it ended.

    `lines` are figures in words, one fact each; `cycles` and `instructions` are those of the boot hart and of
    all harts since reset. With a timing model the cycles have those in them that the stage's own accesses cost
    (kernel.cost); the console says nothing of them, so that memory is the same with and without.
    """

    name: str
    title: str
    figures: dict[str, int | str]
    lines: tuple[str, ...]
    cycles: int
    instructions: int


@dataclass
class Booting:
    """The state of a boot; each stage sets what the later ones use."""

    machine: Machine
    choices: Choices
    reports: list[StageReport] = field(default_factory=list)
    service: Service = field(init=False)
    entry: Entry = field(init=False)
    smp: Smp = field(init=False)
    sbi: Sbi = field(init=False)
    tlb: Tlb = field(init=False)
    mm: Mm = field(init=False)
    meter: Meter = field(init=False)
    information: BootInformation = field(init=False)
    early_info: EarlyInfo = field(init=False)
    early: EarlyFrameAllocator = field(init=False)
    meta: MetaRegion = field(init=False)
    boot_page_table: BootPageTable = field(init=False)


@dataclass(frozen=True)
class Outcome:
    """What a stage function returns: its figures, and lines that say them to people."""

    figures: dict[str, int | str]
    lines: Sequence[str]
