"""Memory that the threads of guest code share, and what it was before: each change is written down, and undone.

        mark = windows.mark
        windows.changed(...)          what was there, for each change
        windows.undo(mark)            and it is there again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from emulator import Machine


@dataclass(frozen=True)
class Window:
    """Memory that threads share: `size` bytes at the `virtual` address, which is `physical`."""

    virtual: int
    size: int
    physical: int


class _Change(NamedTuple):
    """What was at an offset of a window before."""

    window: int
    offset: int
    before: bytes


class Windows:
    """The `windows` of a search in `machine`, by number."""

    def __init__(self, machine: Machine, windows: Sequence[Window]) -> None:
        self.places = tuple(windows)
        self.memory: tuple[memoryview[int], ...] = tuple(
            machine.bus.memory(window.physical, window.size).data for window in windows)
        """What is in each, now."""
        self.size = sum(window.size for window in windows)
        self._changes: list[_Change] = []

    def find(self, address: int, size: int) -> tuple[int, int]:
        """The window that holds `size` bytes at a virtual address, and where in it they are."""
        for number, window in enumerate(self.places):
            offset = address - window.virtual
            if offset >= 0 and offset + size <= window.size:
                return number, offset
        raise AssertionError(f"{address:#x}: an access that no window is for")

    def name(self, address: int) -> str:
        """What to call a virtual address: how far it is in its window, or the number."""
        for window in self.places:
            if window.virtual <= address < window.virtual + window.size:
                return f"memory+{address - window.virtual:#x}"
        return f"{address:#x}"

    def value(self, address: int, size: int) -> int:
        """The `size` bytes at a virtual address, as a number."""
        window, offset = self.find(address, size)
        return int.from_bytes(self.memory[window][offset:offset + size], "little")

    def store(self, address: int, value: int) -> None:
        """Put a word there, for good: it is not written down."""
        window, offset = self.find(address, 8)
        self.memory[window][offset:offset + 8] = value.to_bytes(8, "little")

    # --- going back ---------------------------------------------------------------------------------------------

    @property
    def mark(self) -> int:
        """Now, for `undo`."""
        return len(self._changes)

    def changed(self, window: int, offset: int, before: bytes) -> None:
        """Write down what was at an offset of a window before it changed."""
        self._changes.append(_Change(window, offset, before))

    def undo(self, mark: int) -> None:
        """Undo what has changed since `mark`."""
        changes, memory = self._changes, self.memory
        while len(changes) > mark:
            window, offset, before = changes.pop()
            memory[window][offset:offset + len(before)] = before

    def forget(self) -> None:
        """From now on, what is there now is what was there first."""
        self._changes.clear()

    def contents(self) -> tuple[bytes, ...]:
        """What is in all of them."""
        return tuple(bytes(view) for view in self.memory)

    def fill(self, contents: tuple[bytes, ...]) -> None:
        """Put that back."""
        for view, before in zip(self.memory, contents, strict=True):
            view[:] = before
