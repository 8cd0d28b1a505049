"""Who has the frames: numbers for all of them, and everything about one.

        FrameUsage     how many frames are free, and how many each metadata type has
        FrameDetail    one frame: its slot, field by field, and a dump of it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kernel.mm.frame.meta import BUSY, FREE, IN_LIST, REF_COUNT, UNIQUE, UNUSED, VTABLE, FrameState, Kind
from kernel.mm.paging import META_SLOT_SIZE, PAGE_SHIFT, PAGE_SIZE

from .frame_map import FrameMap
from .reading import reading

if TYPE_CHECKING:
    from kernel.mm.context import Mm

OWNERS = {
    "()": "its holders (untyped)",
    "FreeHeadMeta": "frame allocator: a free chunk",
    "KernelMeta": "kernel image",
    "EarlyAllocatedFrameMeta": "early allocator",
    "MetaPageMeta": "frame metadata",
    "ReservedMemoryMeta": "reserved, or no memory",
    "UnusableMemoryMeta": "boot data and firmware",
    "page table (kernel)": "kernel page table",
    "page table (user)": "user page tables",
    "SlabMeta": "heap: slabs",
    "LiveMapMeta": "heap: bitmaps of slabs",
    "LargeAllocFrameMeta": "heap: large allocations",
    "CpuLocalChunkMeta": "CPU-local variables",
}
"""Who uses frames of a metadata type; those of other types are their holders' own."""
_WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "usize": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8}
_FIELD = re.compile(r"(\w+):(\w+)(?:\[(\d+)\])?")


@dataclass(frozen=True)
class TypeUsage:
    """Frames of one metadata type: `unique` with one holder of their own, `shared` counted, with `holders` in all."""

    type_name: str
    owner: str
    unique: int
    shared: int
    holders: int

    @property
    def frames(self) -> int:
        """How many frames."""
        return self.unique + self.shared

    @property
    def size(self) -> int:
        """Bytes of the frames."""
        return self.frames << PAGE_SHIFT


@dataclass(frozen=True)
class FrameUsage:
    """All `frames` that have a slot: `free` ones, those `handed_out` and not claimed yet, `busy` ones, and by type."""

    frames: int
    free: int
    handed_out: int
    busy: int
    types: tuple[TypeUsage, ...]

    @property
    def in_use(self) -> int:
        """Frames that have a type."""
        return sum(usage.frames for usage in self.types)

    @classmethod
    def of(cls, frames: FrameMap) -> FrameUsage:
        """The numbers of a frame map. CorruptionError if a slot is corrupt."""
        frames.require_sound()
        _, counts, words = frames.columns()
        lengths = frames.lengths()
        unused = counts == UNUSED
        free = unused & (words == FREE)
        types = []
        for word, name in frames.names:
            mine = (words == np.uint64(word)) & ~unused & (counts != BUSY)
            if not mine.any():
                continue
            alone = mine & (counts == UNIQUE)
            shared = mine & ~alone
            if name == "FreeHeadMeta":
                free |= mine
                continue
            types.append(TypeUsage(name, OWNERS.get(name, "its holders"), int(lengths[alone].sum()),
                                   int(lengths[shared].sum()), int((lengths[shared] * counts[shared]).sum())))
        return cls(frames.frames, int(lengths[free].sum()), int(lengths[unused & ~free].sum()),
                   int(lengths[counts == BUSY].sum()), tuple(types))


@dataclass(frozen=True)
class SlotField:
    """A field of a slot: `offset` and `size` in bytes, its declared type, its value, and its meaning ("" if plain)."""

    offset: int
    size: int
    name: str
    type_name: str
    value: int | bytes
    meaning: str = ""


@dataclass(frozen=True)
class FrameDetail:
    """The frame at physical `paddr`: its slot at physical `slot_paddr` and virtual `slot_vaddr`, and what is in it.

    `fields` are the metadata's, as the type table in memory declares them, then the slot's own; `raw` is all of it.
    """

    paddr: int
    slot_paddr: int
    slot_vaddr: int
    state: FrameState
    owner: str
    fields: tuple[SlotField, ...]
    raw: bytes

    @classmethod
    def read(cls, mm: Mm, paddr: int) -> FrameDetail:
        """What the slot of a frame says, corrupt or not. NotAligned or OutOfBound if there is no such frame."""
        slot = mm.slots.slot(paddr)
        with reading(f"frame {paddr:#x}"), mm.port.looking():
            state = mm.slots.state(paddr)
            raw = mm.port.read(slot, META_SLOT_SIZE)
            layouts = {word: (name, layout) for word, name, _, layout in mm.types.entries()}
        count, word, in_list = (int.from_bytes(raw[at:at + 8], "little") for at in (REF_COUNT, VTABLE, IN_LIST))
        typed = layouts.get(word) if count not in (UNUSED, BUSY) else None
        fields = list(_decode(mm, raw, typed[1])) if typed is not None else []
        fields += [
            SlotField(REF_COUNT, 8, "ref_count", "u64", count, str(state.kind.value)),
            SlotField(VTABLE, 8, "vtable", "u64", word, typed[0] if typed is not None else _whose(word)),
            SlotField(IN_LIST, 8, "in_list", "u64", in_list, f"list {in_list}" if in_list else "in no list"),
        ]
        return cls(paddr, slot, mm.slots.to_virtual(slot), state, owner_of(state), tuple(fields), raw)

    def hexdump(self) -> list[str]:
        """The slot's bytes, 16 to a line, each line with its virtual address: as `hexdump -C` shows them."""
        lines = []
        for at in range(0, META_SLOT_SIZE, 16):
            row = self.raw[at:at + 16]
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
            lines.append(f"{self.slot_vaddr + at:016x}  {row[:8].hex(' ')}  {row[8:].hex(' ')}  |{text}|")
        return lines


def owner_of(state: FrameState) -> str:
    """Who has a frame in this state."""
    if state.kind is Kind.FREE:
        return "frame allocator"
    if state.kind is Kind.TAKEN:
        return "whoever was given it and has not claimed it"
    if state.kind is Kind.BUSY:
        return "whoever builds it, tears it down or has locked it"
    return OWNERS.get(state.type_name, "its holder" if state.count == 1 else "its holders")


def fields_of(layout: str) -> list[tuple[int, int, str, str]]:
    """Offset, size, name and type of each field of a layout in words, up to the first of an unknown type."""
    fields, end = [], 0
    for part in layout.split(","):
        match = _FIELD.fullmatch(part)
        if match is None or match[2] not in _WIDTHS:
            break
        width = _WIDTHS[match[2]]
        size = width * int(match[3] or 1)
        end = -(-end // width) * width
        if end + size > REF_COUNT:
            break
        fields.append((end, size, match[1], part.partition(":")[2]))
        end += size
    return fields


def _decode(mm: Mm, raw: bytes, layout: str) -> list[SlotField]:
    found = []
    for offset, size, name, type_name in fields_of(layout):
        piece = raw[offset:offset + size]
        if type_name.endswith("]"):
            found.append(SlotField(offset, size, name, type_name, piece))
            continue
        value = int.from_bytes(piece, "little", signed=type_name.startswith("i"))
        found.append(SlotField(offset, size, name, type_name, value, _meaning(mm, value)))
    return found


def _meaning(mm: Mm, value: int) -> str:
    """What a word is if it looks like one of the kernel's addresses."""
    paging, slots = mm.paging, mm.slots
    if paging.meta_base <= value < paging.meta_end:
        frame = value - paging.meta_base << 6
        return f"slot of frame {frame:#x}" if not value % META_SLOT_SIZE and frame < slots.max_paddr else "no slot"
    if paging.linear_base <= value < paging.linear_base + paging.linear_size:
        return f"physical {value - paging.linear_base:#x}"
    if value >= PAGE_SIZE and slots.first_paddr <= value < slots.max_paddr and mm.port.has(value):
        return "a physical address"
    return ""


def _whose(word: int) -> str:
    if 0 < word < 1 << 64 and all(32 < byte < 127 for byte in word.to_bytes(8, "little").rstrip(b"\0")):
        return word.to_bytes(8, "little").rstrip(b"\0").decode()
    return "" if not word else "left over"
