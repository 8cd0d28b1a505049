"""What all handles have in common: each stands for something held, and is used up exactly once."""

from __future__ import annotations

import sys
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from kernel.errors import UseAfterMove

if TYPE_CHECKING:
    from kernel.mm.context import Mm


class Handle:
    """A move-only handle: `drop()` or a `with` block releases what it holds; any use after that raises UseAfterMove.

    A handle that is garbage-collected while it still holds something releases it and warns
    ResourceWarning, as an open file does; at the interpreter's end the machine goes with it, and nothing is said.
    """

    __slots__ = ("_held", "_mm")

    _mm: Mm
    _held: bool

    def __init__(self, *args: object, **options: object) -> None:
        self._held = False
        raise TypeError(f"a {type(self).__name__} cannot be made by hand: it comes from an allocation or a conversion")

    def _release(self) -> None:
        """Release what the handle holds; an exception means that it still holds it."""
        raise NotImplementedError

    @property
    def held(self) -> bool:
        """Whether the handle still holds something."""
        return self._held

    def drop(self) -> None:
        """Release what the handle holds (nothing, after the kernel's end); UseAfterMove the second time."""
        if not self._held:
            self._gone()
        if not self._mm.closed:
            self._release()
        self._held = False

    def _gone(self) -> NoReturn:
        raise UseAfterMove(f"this {type(self).__name__} was dropped or moved before")

    def _check(self) -> None:
        if not self._held:
            self._gone()

    def _take(self) -> None:
        """Use the handle up without releasing anything: what it held has moved elsewhere."""
        if not self._held:
            self._gone()
        self._held = False

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._held:  # it may have been moved inside the block
            self.drop()

    def __copy__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied: use clone()")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be copied: use clone()")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} cannot be pickled")

    def __del__(self) -> None:
        if getattr(self, "_held", False) and not self._mm.closed and not sys.is_finalizing():
            what = repr(self)
            self._held = False
            self._release()
            warnings.warn(f"{what} was not dropped", ResourceWarning, source=self, stacklevel=2)
