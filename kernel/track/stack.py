"""Python stacks of operations: who asked for it, without the rooms that every such request passes through.

A stack is kept once, as text and line numbers: neither frames of the interpreter nor what is in them stay alive.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from types import FrameType
from typing import Final

import kernel

from .record import Place

DEPTH: Final = 12
"""Places that are kept of a stack, from the innermost on."""
ROOT: Final = Path(kernel.__file__).parent.parent
OURS: Final = ("kernel/", "emulator/", "hartwell/")
HIDDEN: Final = ("kernel/track/", "kernel/mm/operations.py", "kernel/mm/frame/allocator.py",
                 "kernel/mm/heap/dispatch.py", "kernel/mm/watchdog.py", "hartwell/")
"""Files that say nothing about who it was: the allocators' fronts, and the command line."""
LIBRARIES: Final = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class Stacks:
    """Stacks by number."""

    def __init__(self) -> None:
        self._stacks: list[tuple[tuple[str, int, str], ...]] = []
        self._numbers: dict[tuple[tuple[str, int, str], ...], int] = {}
        self._names: dict[str, str] = {}

    def here(self) -> int:
        """The number of the stack of the caller."""
        found: list[tuple[str, int, str]] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and len(found) < DEPTH:
            code = frame.f_code
            name = self._names.get(code.co_filename)
            if name is None:
                name = self._names[code.co_filename] = _shown_name(code.co_filename)
            if name:
                found.append((name, frame.f_lineno, code.co_qualname))
            frame = frame.f_back
        stack = tuple(found)
        number = self._numbers.setdefault(stack, len(self._stacks))
        if number == len(self._stacks):
            self._stacks.append(stack)
        return number

    def places(self, number: int) -> tuple[Place, ...]:
        """The places of a stack, innermost first."""
        return tuple(Place(*raw) for raw in self._stacks[number])


def _shown_name(path: str) -> str:
    """What a file is called: its path in our tree, its name if it is somebody else's; "" for what is not shown."""
    file = Path(path)
    library = path.startswith(("<frozen", *LIBRARIES))
    if file.is_relative_to(ROOT):
        name = file.relative_to(ROOT).as_posix()
        if not library or name.startswith(OURS):  # we may be installed among the libraries
            return "" if name.startswith(HIDDEN) else name
    return "" if library else file.name
