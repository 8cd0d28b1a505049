"""Operations: what is asked of the memory manager, told to whoever listens while it is done.

        mm.operations = listener              a function of an Operation; None, as at first, for nobody

        frame_alloc        frames are handed out                        size, align; address when it returns
        frame_dealloc      frames come back                             address, size
        add_free_memory    frames that it never had are the allocator's address, size
        heap_alloc         a heap object                                size, align; address when it returns
        heap_dealloc       its end                                      address, size
        map                pages are mapped in a page table             virtual address, size, root
        unmap              the next page or table is taken out of it    virtual address, size, root
        protect            a page's property is changed                 virtual address, size, root

CALL is told before anything is changed or checked: a listener that raises then keeps the operation from being
done. RETURN is told when all is done; not if the operation raised. An allocation that had nothing to give
returns the address None. Operations nest: a heap_alloc may have frame_allocs between its CALL and its RETURN.
The boot is heard from its first operation on when the listener is in `Choices.operations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .context import Mm


class OperationKind(Enum):
    """What is done; the value is the name that people type."""

    FRAME_ALLOC = "frame_alloc"
    FRAME_DEALLOC = "frame_dealloc"
    ADD_FREE_MEMORY = "add_free_memory"
    HEAP_ALLOC = "heap_alloc"
    HEAP_DEALLOC = "heap_dealloc"
    MAP = "map"
    UNMAP = "unmap"
    PROTECT = "protect"


class Moment(Enum):
    """When it is told: before anything is done, or after all is done."""

    CALL = "call"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on `size` bytes at `address`, done by the kernel's code as CPU `cpu`.

    `address` is physical for frames, kernel virtual for the heap, virtual for page tables; None where it is not
    known yet, or there is none. `align` is what an allocation asks for; `root` is the physical address of the
    page table's root, 0 for other operations. `stage` is the boot stage that is being run, "" when none is.
    """

    kind: OperationKind
    moment: Moment
    address: int | None
    size: int
    align: int
    cpu: int
    root: int
    stage: str

    def __str__(self) -> str:
        where = "" if self.address is None else f" at {self.address:#x}"
        align = f", aligned to {self.align}" if self.align > 1 else ""
        root = f", root {self.root:#x}" if self.root else ""
        return f"{self.kind.value}: {self.size} bytes{where}{align}{root}, CPU {self.cpu}"


Listener: TypeAlias = Callable[[Operation], None]


def tell(mm: Mm, kind: OperationKind, moment: Moment, address: int | None, size: int, align: int = 1,
         root: int = 0) -> None:
    """Tell whoever listens; callers look first whether anybody does."""
    listener = mm.operations
    if listener is not None:
        listener(Operation(kind, moment, address, size, align, mm.cpu, root, mm.stage))


def told_to(*listeners: Listener) -> Listener:
    """A listener that tells each of these, in order."""
    def tell_all(operation: Operation) -> None:
        for listener in listeners:
            listener(operation)

    return tell_all
