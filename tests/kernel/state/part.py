"""What the state machines are made of: a part of the memory manager, operations on it, and a model of its state.

A batch of operations is bytes: eight for each, which say the operation, the CPU that does it, and what on.
So Hypothesis can shrink a long history to the operations that matter, and a history is replayed by its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from kernel import Kernel
from kernel.errors import KernelError
from kernel.mm import Mm
from kernel.mm.frame.handle import Handle

T = TypeVar("T")
WORD = 8
"""Bytes of an operation in a batch."""


class Draw:
    """Decisions, drawn from one number until it is used up; then all are 0."""

    def __init__(self, number: int) -> None:
        self._left = number

    def below(self, limit: int) -> int:
        """0 … limit - 1."""
        self._left, value = divmod(self._left, limit)
        return value

    def chance(self, one_in: int) -> bool:
        """True once in `one_in` times."""
        return self.below(one_in) == one_in - 1

    def pick(self, things: list[T]) -> T:
        """One of some things."""
        return things[self.below(len(things))]

    def take(self, things: list[T]) -> T:
        """One of some things, which leaves the list."""
        index = self.below(len(things))
        things[index], things[-1] = things[-1], things[index]
        return things.pop()


@dataclass(frozen=True)
class Operation:
    """An operation of a part: it happens `weight` times as often as one of weight 1."""

    run: Callable[[Draw], object]
    weight: int = 1


class Part:
    """A part's operations and model. Every method but those of the operations is for the state machine."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.mm = kernel, kernel.mm

    def operations(self) -> list[Operation]:
        """All operations; each is possible in every state, if only to do nothing."""
        raise NotImplementedError

    def begin(self) -> None:
        """Take what the operations start with."""

    def holders(self) -> list[Handle]:
        """All handles that the part has."""
        return []

    def objects(self) -> list[int]:
        """Addresses of heap objects that it has without a handle."""
        return []

    def handed_out(self) -> list[tuple[int, int]]:
        """Ranges that it got from the frame allocator and has not claimed."""
        return []

    def drop_all(self) -> None:
        """Give everything back."""
        raise NotImplementedError


@contextmanager
def refused(*kinds: type[KernelError]) -> Iterator[None]:
    """What is in the block must raise one of `kinds`; an operation that goes through is a failure."""
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"expected {' or '.join(kind.__name__ for kind in kinds)}")


def free_size(mm: Mm) -> int:
    """Bytes of free memory, by the frame allocator's count."""
    size = mm.frame_allocator.inner.load_total_free_size()  # type: ignore[attr-defined]
    assert isinstance(size, int)
    return size
