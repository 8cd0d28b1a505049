"""What a search over interleavings needs to know of the system that it searches.

A system has threads that share memory. Only one runs at a time, and each stands *before* its next access to
what is shared; a step lets one of them make that access, and come to the next.

        start()                every thread stands before its first access, or has ended
        ready()                who can go on: has not ended, and does not wait for another
        step(1)                thread 1 makes its access
        ready() == []          the end: of all, or nobody can go on, or something has failed
        finding()              what is wrong with how it ended

The same steps from the start have the same effect, always.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

from hartwell.lab.finding import Finding

GRANULE = 8
"""Bytes of an aligned word: accesses to the same one may depend on each other."""


class AccessKind(Enum):
    """What an access does."""

    LOAD = "load"
    STORE = "store"
    ATOMIC = "atomic"
    """An access that both loads and stores, if it succeeds: a compare-and-swap, an AMO; LR and SC, too."""


class Place(NamedTuple):
    """What a thread is about to access: `size` bytes at `address`."""

    address: int
    size: int


class Access(NamedTuple):
    """One access that a thread has made, by the code at `where` (as the system tells it)."""

    thread: int
    where: int | str
    address: int
    size: int
    kind: AccessKind
    changed: bool
    """Whether memory is different for it. A store of what was there already counts as a load."""


class System(Protocol):
    """Threads 0 … `threads` - 1. Saved states are good until the next `start`."""

    @property
    def threads(self) -> int:
        """How many there are."""

    @property
    def remakes(self) -> bool:
        """Whether `load` makes all steps again, which takes its time."""

    def start(self) -> None:
        """Begin an execution: all is as it was the last time."""

    def ready(self) -> Sequence[int]:
        """The threads that can go on, ascending; none when the execution is over."""

    def next(self, thread: int) -> Place | None:
        """What a thread will access first when it goes on; None if that is not known."""

    def step(self, thread: int) -> Access:
        """Let a thread that is ready make its access, and come to its next one, or its end."""

    def save(self) -> object:
        """What the execution is at, to come back to by `load`."""

    def load(self, saved: object) -> None:
        """Come back to a place in this execution. Those saved behind it are good no more."""

    def give_up(self, steps: int) -> None:
        """End the execution, which is not over after `steps` steps: `finding` says so then."""

    def finding(self) -> Finding | None:
        """What is wrong at the end of an execution, None if nothing is."""

    def digest(self) -> str:
        """A hash of how the execution ended: results, memory, and what is wrong. Equal on every host."""


class Shown(System, Protocol):
    """A system whose accesses can be shown to people."""

    def value(self, address: int, size: int) -> int:
        """What is in memory now."""

    def title(self, thread: int) -> str:
        """What to call a thread."""

    def doing(self, thread: int) -> str:
        """What a thread is at, in a few words: the call that it makes; empty when it is done."""

    def where(self, access: Access) -> str:
        """The code that made the access: function and offset, or who else."""

    def source(self, access: Access) -> str:
        """file:line of that code, empty if nobody knows."""

    def bits(self, access: Access) -> int:
        """The instruction that made it, 0 if none did."""

    def name(self, address: int) -> str:
        """What is at an address, in a word."""


def granules(address: int, size: int) -> range:
    """The numbers of the aligned words that `size` bytes at `address` touch."""
    return range(address // GRANULE, (address + size - 1) // GRANULE + 1)
