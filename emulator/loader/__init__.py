"""Loading: files in, images with physical addresses out. Pure functions over bytes, no machine.

    read_file ── bytes ──> load_image ── Image ──┐
                           (ELF, Linux, flat)    ├──> place ── Plan: what goes where, and where to start
    RAM banks, reserved ranges, initrd, tree ────┘

Everything that is refused is an `ImageError`, `InputFileError`, `PlacementError` or `SizeError` of
`emulator.errors`, whose text is one line naming the file, the offset and what was expected.
"""

from .detect import load_image, read_file
from .model import Image, ImageKind, LinuxHeader, Segment
from .placement import Placed, Plan, Reserved, kernel_address, place
from .sizes import format_size, parse_size
from .symbols import Symbol, SymbolTable

__all__ = [
    "Image", "ImageKind", "LinuxHeader", "Placed", "Plan", "Reserved", "Segment", "Symbol", "SymbolTable",
    "format_size", "kernel_address", "load_image", "parse_size", "place", "read_file",
]
