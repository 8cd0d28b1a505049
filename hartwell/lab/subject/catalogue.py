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
from collections.abc import Iterable, Iterator
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


OWN_RACES: Final = {
    "kernel:pages": "pages of the Python kernel, looked up, dropped and made inaccessible at once",
    "kernel:pages/blind-add": "a look-up adds to the count blindly, not by compare-and-swap"}
"""What races in the Python kernel itself, by the name that `hartwell lab race` takes."""
_OWN_TITLES: Final = {"osdk-frame": "the kernel's own buddy system with per-CPU caches, in Python",
                      "osdk-heap": "the kernel's own slab heap, in Python"}


@dataclass(frozen=True)
class Entry:
    """What comes along: `name` is its SPEC; `kind` "frame" or "heap", of what is no allocator RACE or CLIENT.

    Of a planted bug, `found_by` are the values of FindingKind, one of which the first finding against it is of. A
    `demonstration` is an allocator that is wrong by design.
    """

    name: str
    kind: str
    title: str
    plant: bool = False
    found_by: tuple[str, ...] = ()
    demonstration: bool = False


def allocators() -> list[Entry]:
    """All allocators that come along, by name; an allocator's planted bugs behind it."""
    own = [Entry(name, name.removeprefix("osdk-"), _OWN_TITLES[name]) for name in OWN]
    return _sorted(own + [each for each in _entries() if each.kind not in (RACE, CLIENT) and not each.demonstration])


def demonstrations() -> list[Entry]:
    """Allocators that are wrong by design, to show what is then said of them."""
    return _sorted(each for each in _entries() if each.demonstration)


def races() -> list[Entry]:
    """All race programs that come along (docs/lab-races.md): no allocators. Their planted bugs are behind them."""
    return _sorted(each for each in _entries() if each.kind == RACE)


def clients() -> list[Entry]:
    """All clients that come along (docs/lab-findings.md): no allocators, but programs that use one."""
    return _sorted(each for each in _entries() if each.kind == CLIENT)


def _entries() -> Iterator[Entry]:
    """Whatever has a manifest, and its planted bugs."""
    for folder in files("allocators").iterdir():
        if not (folder / f"{folder.name}.elf").is_file() or folder.name == "driver":
            continue
        manifest = tomllib.loads((folder / "manifest.toml").read_text("utf-8"))
        kind = manifest["kind"]
        yield Entry(folder.name, kind, manifest["title"], demonstration=manifest.get("demonstration", False))
        for planted in manifest.get("planted", ()):
            yield Entry(f"{folder.name}/{planted['name']}", kind, planted["title"], True,
                        tuple(planted.get("found_by", ())))


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
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
