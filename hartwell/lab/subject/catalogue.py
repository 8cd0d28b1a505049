"""The allocators that come with Hartwell: folders of the package `allocators`, and the kernel's own.

A folder's manifest.toml says what is in it:

    title = "Binary buddy"
    kind = "frame"                  # or "heap"
    shows = "..."                   # some lines for people

    [[planted]]                     # a bug that can be planted: built with -DPLANT_MISSING_MERGE
    name = "missing-merge"
    title = "a block that comes back is not put together with its buddy"
    found_by = ["splintered"]       # the kinds of findings (FindingKind), one of which the first finding is of
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

OWN: Final = {"osdk-frame": "kernel.osdk.frame_allocator:FrameAllocator",
              "osdk-heap": "kernel.osdk.heap_allocator:HeapAllocator"}
"""The kernel's own allocators, in Python, by name: SPECs."""
RACE: Final = "race"
"""The kind of what is no allocator, but a program for `hartwell lab race`."""
CLIENT: Final = "client"
"""The kind of what is none, but uses one: `hartwell lab client`."""


_OWN_TITLES: Final = {"osdk-frame": "the kernel's own buddy system with per-CPU caches, in Python",
                      "osdk-heap": "the kernel's own slab heap, in Python"}


@dataclass(frozen=True)
class Entry:
    """An allocator that comes along: `name` is its SPEC; `kind` "frame" or "heap" (or RACE).

    Of a planted bug, `found_by` are the values of FindingKind, one of which the first finding against it is of.
    """

    name: str
    kind: str
    title: str
    plant: bool = False
    found_by: tuple[str, ...] = ()


def allocators() -> list[Entry]:
    """All that come along, by name; an allocator's planted bugs behind it."""
    own = [Entry(name, name.removeprefix("osdk-"), _OWN_TITLES[name]) for name in OWN]
    return _sorted(own + _entries(races=False))


def races() -> list[Entry]:
    """All race programs that come along (docs/lab-races.md): no allocators. Their planted bugs are behind them."""
    return _sorted(_entries(races=True))


def _entries(*, races: bool) -> list[Entry]:
    found: list[Entry] = []
    for folder in files("allocators").iterdir():
        if not (folder / f"{folder.name}.elf").is_file() or folder.name == "driver":
            continue
        manifest = tomllib.loads((folder / "manifest.toml").read_text("utf-8"))
        if manifest["kind"] == CLIENT or (manifest["kind"] == RACE) != races or manifest.get("demonstration"):
            continue
        found.append(Entry(folder.name, manifest["kind"], manifest["title"]))
        found += [Entry(f"{folder.name}/{planted['name']}", manifest["kind"], planted["title"], True,
                        tuple(planted.get("found_by", ())))
                  for planted in manifest.get("planted", ())]
    return found


def _sorted(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.name.partition("/")[0], entry.plant))


def names() -> list[str]:
    """The names of all allocators that are no planted ones, in order."""
    return [entry.name for entry in allocators() if not entry.plant]


def find(name: str) -> Traversable | None:
    """The ELF of `name`, or of a planted bug, `buddy/missing-merge`; None if there is none."""
    folder, _, plant = name.partition("/")
    if not folder or folder.startswith(".") or plant.startswith(".") or "/" in plant:
        return None
    base = files("allocators") / folder
    elf = base / "planted" / f"{plant}.elf" if plant else base / f"{folder}.elf"
    return elf if elf.is_file() else None
