"""Allocators that are broken on purpose: the C buddy with other instructions in one of its functions."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from emulator.loader import load_image

ALLOC, DEALLOC = "hartwell_frame_alloc", "hartwell_frame_dealloc"
LOOP = (0x0000006F,)                    # j .
TRAP = (0x00003003,)                    # ld zero, 0(zero)
RETURN = (0x00008067,)                  # ret
NOTHING = (0x00000513, 0x00008067)      # li a0, 0; ret


def always(address: int) -> tuple[int, ...]:
    """Instructions that return `address`, page-aligned and below 4 GiB: lui, slli, srli, ret."""
    return (address & 0xFFFF_F000 | 10 << 7 | 0x37, 0x02051513, 0x02055513, 0x00008067)


def scribbler(address: int) -> tuple[int, ...]:
    """Instructions of an allocation that returns `address`, page-aligned and below 4 GiB, + its size - 4096.

    It stores 0 at `address`, first, by the linear mapping. lui a2; slli, srli; add a0, a0, a2; li a1, -1; slli a1, 47;
    add a1, a1, a2; lui a3, 1; add a1, a1, a3; sd zero, 0(a1); ret
    """
    return (address - 4096 & 0xFFFF_F000 | 12 << 7 | 0x37, 0x02061613, 0x02065613, 0x00C50533, 0xFFF00593, 0x02F59593,
            0x00C585B3, 0x000016B7, 0x00D585B3, 0x0005B023, 0x00008067)


def broken(folder: Path, function: str, code: tuple[int, ...], name: str = "broken.elf") -> Path:
    """The C buddy, in a file, with `code` at the beginning of `function`."""
    data = bytearray((files("allocators") / "buddy" / "buddy.elf").read_bytes())
    image = load_image(bytes(data), "buddy.elf", 0)
    found = image.symbols.find(function)
    assert found is not None
    segment = next(each for each in image.segments if each.virtual <= found.address < each.virtual + each.size)
    at = data.index(segment.data) + found.address - segment.virtual
    for number, instruction in enumerate(code):
        data[at + 4 * number:at + 4 * number + 4] = instruction.to_bytes(4, "little")
    path = folder / name
    path.write_bytes(bytes(data))
    return path
