"""Guest text: an ELF put into the kernel's address space, where its harts run it in S-mode.

        0xffff_ffff_8f00_0000   16 MiB   the lab's driver
        0xffff_ffff_9000_0000   64 MiB   the allocator under test
        0xffff_ffff_9400_0000   64 MiB   a client of it, if there is one

Pages get what the ELF's segments say (two that share a page share their rights); all are frames of the kernel's own
allocator, in memory that the allocator under test does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from emulator.errors import ImageError
from emulator.loader import Image, SymbolTable, load_image
from hartwell.lab.errors import SpecError
from kernel.errors import NoMemory
from kernel.mm.frame.allocator import FrameAllocOptions
from kernel.mm.page_table.pte import PageFlags, PageProperty
from kernel.mm.paging import PAGE_SIZE

if TYPE_CHECKING:
    from kernel import Kernel

MIB: Final = 1 << 20
DRIVER_TEXT: Final = range(0xffff_ffff_8f00_0000, 0xffff_ffff_9000_0000)
ALLOCATOR_TEXT: Final = range(0xffff_ffff_9000_0000, 0xffff_ffff_9400_0000)
CLIENT_TEXT: Final = range(0xffff_ffff_9400_0000, 0xffff_ffff_9800_0000)
_RIGHTS: Final = {"r": PageFlags.R, "w": PageFlags.RW, "x": PageFlags.X}


@dataclass(frozen=True)
class Text:
    """A program in memory: its `image` (for debuggers and symbols), and the addresses that it has, page by page."""

    image: Image
    addresses: range
    code: tuple[range, ...]
    """Addresses of its executable segments."""

    @property
    def symbols(self) -> SymbolTable:
        """Its symbols, by virtual address."""
        return self.image.symbols

    def address(self, name: str) -> int:
        """The address of the symbol `name`; SpecError if there is none."""
        found = self.image.symbols.find(name)
        if found is None:
            raise SpecError(f"{self.image.name}: has no symbol {name}; expected it to be exported")
        return found.address


def driver_elf() -> bytes:
    """The lab's driver."""
    return (files("allocators") / "driver" / "driver.elf").read_bytes()


def read_text(data: bytes, name: str, where: range) -> Image:
    """The ELF in `data`, whose segments must lie in `where`. SpecError, with what was found and expected."""
    if not data.startswith(b"\x7fELF"):  # else `load_image` would take it for a flat binary
        raise SpecError(f"{name}: is no ELF file: begins with {data[:4].hex(' ') or 'nothing'}; expected 7f 45 4c 46")
    try:
        image = load_image(data, name, where.start & 0xFFFF_FFFF)
    except ImageError as why:
        raise SpecError(str(why)) from None
    for segment in image.segments:
        if segment.virtual not in where or segment.virtual + segment.size > where.stop:
            raise SpecError(f"{name}: has a segment at {segment.virtual:#x} ({segment.size:#x} bytes), expected all of "
                            f"it in {where.start:#x}-{where.stop:#x}: link it with the lab's link.ld" + (
                                f" and -Wl,--defsym=TEXT_BASE={where.start:#x}" if where == CLIENT_TEXT else ""))
    return image


def map_text(kernel: Kernel, image: Image) -> Text:
    """Load an image that `read_text` has read and map it. SpecError if the machine's memory is too small."""
    rights: dict[int, PageFlags] = {}
    for segment in image.segments:
        flags = PageFlags.NONE
        for letter in segment.flags:
            flags |= _RIGHTS.get(letter, PageFlags.NONE)
        for page in range(segment.virtual & -PAGE_SIZE, segment.virtual + segment.size, PAGE_SIZE):
            rights[page] = rights.get(page, PageFlags.NONE) | flags
    mm = kernel.mm
    try:
        frames = FrameAllocOptions(mm).alloc_segment(len(rights))
    except NoMemory:
        raise SpecError(f"{image.name}: {len(rights)} pages do not fit the machine's memory; "
                        "give it more (-m)") from None
    start = frames.into_raw().start  # they stay for as long as the machine does
    places = {page: start + index * PAGE_SIZE for index, page in enumerate(sorted(rights))}
    for page, paddr in places.items():
        with mm.kspace.page_table.cursor_mut(range(page, page + PAGE_SIZE)) as cursor:
            cursor.map_range(paddr, PAGE_SIZE, PageProperty.new_kernel(rights[page]))
    for segment in image.segments:
        at, data = segment.virtual, memoryview(segment.data)
        while data:
            room = min(len(data), PAGE_SIZE - at % PAGE_SIZE)
            mm.port.write(places[at & -PAGE_SIZE] + at % PAGE_SIZE, data[:room])
            at, data = at + room, data[room:]
    pages = sorted(rights)
    code = tuple(range(segment.virtual, segment.virtual + segment.size) for segment in image.segments
                 if "x" in segment.flags)
    return Text(image, range(pages[0], pages[-1] + PAGE_SIZE), code)
