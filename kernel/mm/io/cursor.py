"""The part that readers and writers share: a cursor in a window, and an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self

from kernel.errors import InvalidArgs, KernelPanic

from .pod import PodError, PodType
from .window import Window

Borrow = Callable[[], object]
"""Called before each access; raises UseAfterMove if what the memory was borrowed from has been given up."""


class Cursor:
    """The addresses from a cursor to an end. Made by the constructors of readers and writers."""

    __slots__ = ("_borrow", "_cursor", "_end", "_window")

    def __init__(self, window: Window, cursor: int, end: int, borrow: Borrow | None = None) -> None:
        self._window, self._cursor, self._end, self._borrow = window, cursor, end, borrow

    @property
    def cursor(self) -> int:
        """The address of the next byte: virtual, or an offset in a host buffer."""
        return self._cursor

    def limit(self, size: int) -> Self:
        """Leave at most `size` bytes; `self`. KernelPanic for a negative size."""
        if size < self._end - self._cursor:
            if size < 0:
                raise KernelPanic(f"limit({size}): not a size")
            self._end = self._cursor + size
        return self

    def skip(self, size: int) -> Self:
        """Go past the next `size` bytes; `self`. KernelPanic if there are not so many."""
        if not 0 <= size <= self._end - self._cursor:
            raise KernelPanic(f"skip({size}): {self._end - self._cursor} bytes are left")
        self._cursor += size
        return self

    def _copy(self) -> Self:
        return type(self)(self._window, self._cursor, self._end, self._borrow)

    def _short(self, size: int) -> NoReturn:
        raise InvalidArgs(f"{size} bytes are needed at {self._cursor:#x}, {self._end - self._cursor} are left")

    def _once_size(self, kind: PodType[Any]) -> int:
        """Check that a `kind` can be accessed with one instruction at the cursor; its size."""
        size = kind.SIZE
        if size not in (1, 2, 4, 8):
            raise PodError(f"{size} bytes cannot be accessed by one load or store, only 1, 2, 4 or 8")
        if size > self._end - self._cursor:
            self._short(size)
        self._aligned(size)
        return size

    def _aligned(self, size: int) -> None:
        # Linear bases are page-aligned, so an address is as aligned as what it stands for.
        if self._cursor % size:
            raise KernelPanic(f"{self._cursor:#x} is not aligned to {size} bytes")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._cursor:#x}-{self._end:#x}>"
