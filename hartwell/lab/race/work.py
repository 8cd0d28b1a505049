"""What the threads of a search over guest code do: calls of guest functions, and accesses of the host's own.

        Work.following(0, None)   ──> Call(f, (1,))      thread 0 calls f(1) …
        Work.following(0, 0x1000) ──> Touch(0x1000, 7)   … which returned 0x1000; it stores 7 there …
        Work.following(0, 7)      ──> None               … and is done

A Work keeps what it knows between two of these in values that it can save and load: an execution is gone back in, and
on from there in another way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from hartwell.lab.finding import Finding


class Call(NamedTuple):
    """A thread calls guest code: `text` is for people."""

    function: int
    arguments: tuple[int, ...]
    text: str


class Touch(NamedTuple):
    """A thread accesses the 8 bytes at the virtual `address`, by the host's hand: stores `value`, or loads for None."""

    address: int
    value: int | None
    text: str


class Failed(Exception):  # noqa: N818 - what has failed is the allocator
    """An execution has gone wrong here and now."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


Undisturbed = Callable[..., int]
"""Calls a guest function while nobody else runs: (function, *arguments) -> what it returned. Failed."""


class Work(Protocol):
    """What the threads do, and what is wrong with how it ends."""

    def begin(self, call: Undisturbed) -> None:
        """All is as it is at the beginning of an execution. Called once; `save` has it from then on."""

    def following(self, thread: int, returned: int | None) -> Call | Touch | None:
        """What a thread does next: its last Call has `returned` that, its last Touch found that there. Failed."""

    def save(self) -> object:
        """What is known now."""

    def load(self, saved: object) -> None:
        """Know that again."""

    def end(self, call: Undisturbed) -> Finding | None:
        """What is wrong, when all threads are done, None if nothing is. Failed."""

    def results(self) -> object:
        """What the threads were given so far: the same repr for the same on every host."""
