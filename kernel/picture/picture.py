"""The whole picture: everything that the memory manager keeps, as plain values.

    picture = Picture.take(kernel)
    assert Picture.take(Kernel.attach(machine)) == picture

It is read from emulated memory alone, and nothing is changed. Two pictures are equal when the kernels' memory
says the same, whoever's memory it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.attaching import phase_of
from kernel.boot.boot_record import Phase
from kernel.boot.early_info import EarlyInfo
from kernel.errors import BootError
from kernel.text.image import KernelHeader

from .areas import AreaPicture, read_areas
from .buddy import BuddyPicture, read_buddy
from .frame_map import FrameMap
from .frames import FrameUsage
from .kernel_layout import LayoutPart, read_layout
from .page_tables import AddressSpace, Mapping, read_address_spaces, read_mappings
from .reading import reading
from .regions import RegionPicture, read_regions
from .slabs import HeapPicture, read_heap

if TYPE_CHECKING:
    from kernel.kernel import Kernel
    from kernel.mm.context import Mm


@dataclass(frozen=True)
class Picture:
    """A kernel's memory at one moment. Addresses and sizes are in bytes.

    `types` is the type table: word, name, size, field layout. `user_mappings` are the mappings of each user
    address space, in the order of `spaces`.
    """

    paging: str
    cpus: int
    info: EarlyInfo
    regions: tuple[RegionPicture, ...]
    frames: FrameMap
    usage: FrameUsage
    types: tuple[tuple[int, str, int, str], ...]
    buddy: BuddyPicture
    heap: HeapPicture
    spaces: tuple[AddressSpace, ...]
    user_mappings: tuple[tuple[Mapping, ...], ...]
    layout: tuple[LayoutPart, ...]
    areas: tuple[AreaPicture, ...]

    @classmethod
    def take(cls, kernel: Kernel) -> Picture:
        """The picture of a kernel that has booted, attached or not; see `of`."""
        return cls.of(kernel.mm)

    @classmethod
    def of(cls, mm: Mm) -> Picture:
        """The picture of what a memory manager has.

        BootError if its boot has not come to the kernel page table; CorruptionError, with the place, if memory
        does not hold what the kernel writes there.
        """
        with mm.port.looking():
            return cls._of(mm)

    @classmethod
    def _of(cls, mm: Mm) -> Picture:
        phase = phase_of(mm)
        if phase < Phase.PAGE_TABLE:
            raise BootError(f"the kernel has no page table yet: its boot came to the phase {phase.name.lower()}")
        frames = FrameMap.read(mm)
        usage = FrameUsage.of(frames)
        with reading("kernel image header"):
            header = KernelHeader.read(mm.port)
        with reading("boot information"):
            info = EarlyInfo.load(mm.statics)
        spaces = read_address_spaces(mm, frames)
        return cls(
            mm.paging.name, mm.cpu_locals.count, info, read_regions(mm, header, frames), frames, usage,
            tuple(mm.types.entries()), read_buddy(mm), read_heap(mm, frames), spaces,
            tuple(tuple(read_mappings(mm, space.root)) for space in spaces[1:]), read_layout(mm), read_areas(mm))
