"""The commands by name, each imported and made when it is asked for: who boots an image does not wait for the lab's.

Start-up is part of the tool. To make a command of a function takes typer some milliseconds, and there are three dozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import typer

KERNEL, LAB = "Hartwell's kernel", "The allocator lab"


@dataclass(frozen=True)
class Entry:
    """Where a command is: `module` of this package, and in it a function, or the Typer of a group of commands.

    `panel` is the help's, `settings` are click's.
    """

    module: str
    name: str
    panel: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


TABLE: Final = {
    "boot": Entry("boot", "boot"),
    "debug": Entry("debug", "debug"),
    "explain-boot": Entry("explain_boot", "explain_boot"),
    "stats": Entry("stats", "stats"),
    "profiles": Entry("profiles", "profiles"),
    "images": Entry("images", "images"),
    "info": Entry("info", "info"),
    "dts": Entry("dts", "dts"),
    # What stands behind the program is its own, dashes or not.
    "run": Entry("run", "run", KERNEL, {"allow_interspersed_args": False}),
    "programs": Entry("programs", "programs", KERNEL),
    "memmap": Entry("memmap", "memmap", KERNEL),
    "buddyinfo": Entry("buddyinfo", "buddyinfo", KERNEL),
    "slabinfo": Entry("slabinfo", "slabinfo", KERNEL),
    "frames": Entry("frames", "frames", KERNEL),
    "pagetable": Entry("pagetable", "pagetable", KERNEL),
    "diff": Entry("diff", "diff", KERNEL),
    "kernel": Entry("kernel", "app", KERNEL),
    "test": Entry("test", "test", LAB),
    "lab": Entry("lab", "app", LAB),
    "record": Entry("record", "app", LAB),
}
"""All commands, in the order of the help."""


class Commands(Mapping[str, Any]):
    """The commands of a group as click wants them, by name: made when they are looked at."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        """The command `name`; KeyError if there is none."""
        if name not in self._made:
            self._made[name] = _make(name, TABLE[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def __len__(self) -> int:
        return len(TABLE)


def _make(name: str, entry: Entry) -> Any:
    found = getattr(import_module(f"{__package__}.{entry.module}"), entry.name)
    single = typer.Typer(rich_markup_mode="rich", add_completion=False)
    if isinstance(found, typer.Typer):
        single.add_typer(found, name=name, rich_help_panel=entry.panel)
        return typer.main.get_group(single).commands[name]
    single.command(name, rich_help_panel=entry.panel, context_settings=entry.settings or None)(found)
    return typer.main.get_command(single)
