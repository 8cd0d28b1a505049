"""A subject: an allocator that operations can be run on, whatever it is written in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from hartwell.lab.errors import ProgramError
from hartwell.lab.operation import Kind, Operations, Results
from kernel.mm.paging import PAGE_SIZE

from .setting import Setting

if TYPE_CHECKING:
    from emulator import Machine
    from kernel import Kernel


class SubjectKind(Enum):
    """What an allocator gives out."""

    FRAME = "frame"
    """Frames: physical addresses, sizes that are multiples of 4096, any part of a block can be given back."""
    HEAP = "heap"
    """Heap slots: virtual addresses in the linear mapping, any size, given back as a whole."""

    @property
    def granule(self) -> int:
        """Bytes: sizes of frames are multiples of it; heap blocks share none of these units with each other."""
        return PAGE_SIZE if self is SubjectKind.FRAME else 8


@dataclass(frozen=True)
class Memory:
    """What an allocator is given: `start` as the allocator's own addresses have it, `size` bytes, from `paddr` on."""

    start: int
    size: int
    paddr: int

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.start + self.size


class Subject(ABC):
    """An allocator in a machine: `name` is for people, `spec` what `load_subject` would make it from again.

    A subject is *pristine* at first and after `reset`: it has been given `memory` as a whole, and nothing is allocated.
    Close it, or use a `with` block.
    """

    kind: SubjectKind
    name: str
    spec: str
    memory: Memory
    kernel: Kernel
    setting: Setting

    @property
    def machine(self) -> Machine:
        """The machine that it runs in."""
        return self.kernel.machine

    @property
    def cpus(self) -> int:
        """How many CPUs can call it."""
        return self.kernel.mm.cpu_locals.count

    @property
    def digest(self) -> str:
        """The sha256 of its ELF, or of the file that its class is in; "" if there is no such file."""
        return ""

    @property
    def given(self) -> int:
        """Bytes of `memory` that it has when it is pristine."""
        return self.memory.size

    @property
    def taken(self) -> int:
        """Bytes of those, at most, that somebody else has even then: of a kernel that lives on it."""
        return 0

    @property
    def promises(self) -> frozenset[str]:
        """What it offers beyond the ABI: of "refuses-misuse", "bounded-time" (docs/lab-abi.md)."""
        return frozenset()

    @abstractmethod
    def run(self, operations: Operations, cpu: int = 0, *, contents: bool = True) -> Results:
        """Do `operations` as CPU `cpu`, behind those that were done before; what each gave.

        Handles live on from one call to the next until `reset`. `contents` says whether blocks are filled and looked
        at. SubjectFailed when the allocator does not come back: the finding names the operation, counted from the
        first of this call. ProgramError for operations that make no sense.
        """

    @abstractmethod
    def reset(self) -> None:
        """Be pristine again."""

    def reclaim(self, cpu: int = 0) -> None:
        """Have it give up what it keeps in caches, if it can be told to. SubjectFailed."""

    def moment(self) -> Callable[[], None] | None:
        """What makes the subject again what it is now, as often as it is called; None if nothing can."""
        return None

    @abstractmethod
    def another(self, setting: Setting, machine: Machine | None = None) -> Subject:
        """The same allocator in a machine of its own, as `setting` says. SpecError, SubjectFailed.

        `machine` is one on such a board that has the kernel loaded and has not run yet; by default a new one.
        """

    def close(self) -> None:
        """End the kernel and free its machine: some 40 MB, which would else wait for Python's garbage collector."""
        machine = self.machine
        self.kernel.close()
        machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def require_program(operations: Operations, kind: SubjectKind, memory: Memory) -> None:
    """Refuse operations that are no program for an allocator of this kind: ProgramError names the first one."""
    if not len(operations):
        return
    what = operations["kind"]
    size, align, offset = operations["size"], operations["align"], operations["offset"]
    granule = np.uint64(kind.granule if kind is SubjectKind.FRAME else 1)
    alloc, add, split = what == Kind.ALLOC, what == Kind.ADD, what == Kind.SPLIT
    sizes, page = np.uint64(memory.size), np.uint64(PAGE_SIZE - 1)
    least = np.uint64(kind.granule)
    rules = (
        (what > Kind.CHECK, f"expected a kind up to {Kind.CHECK}"),
        (alloc & ((size == 0) | (size % granule != 0)), f"expected a size that is a positive multiple of {granule}"),
        (alloc & ((align & (align - np.uint64(1)) != 0) | (align < least)),
         f"expected an alignment that is a power of two, {least} or more"),
        (alloc & (size > np.uint64(1 << 48)), "expected a size of at most 256 TiB"),
        (add & ((offset > sizes) | (size > sizes - np.minimum(offset, sizes)) | ((offset | size) & page != 0)),
         f"expected whole pages inside of {memory.size} bytes"),
        (split & ((offset == 0) | (offset % least != 0)), f"expected an offset that is a positive multiple of {least}"),
    )
    for wrong, expected in rules:
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise ProgramError(f"operation {at}: {operations[at]}: {expected}")
