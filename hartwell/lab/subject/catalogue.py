"""The allocators that come with Hartwell: folders of the package `allocators`, and the kernel's own."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

OWN: Final = {"osdk-frame": "kernel.osdk.frame_allocator:FrameAllocator",
              "osdk-heap": "kernel.osdk.heap_allocator:HeapAllocator"}
"""The kernel's own allocators, in Python, by name: SPECs."""


def names() -> list[str]:
    """The names of all allocators that are no planted ones, in order."""
    folders = [entry.name for entry in files("allocators").iterdir() if (entry / f"{entry.name}.elf").is_file()
               and entry.name != "driver"]
    return sorted([*folders, *OWN])


def find(name: str) -> Traversable | None:
    """The ELF of `name`, or of a planted bug, `buddy/missing-merge`; None if there is none."""
    folder, _, plant = name.partition("/")
    if not folder or folder.startswith(".") or plant.startswith(".") or "/" in plant:
        return None
    base = files("allocators") / folder
    elf = base / "planted" / f"{plant}.elf" if plant else base / f"{folder}.elf"
    return elf if elf.is_file() else None
