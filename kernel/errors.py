"""What the kernel raises: one class per thing that can go wrong.

    KernelError
    ├── KernelPanic                 upstream asserts here; the message is the assertion's
    ├── OstdError                   ostd::Error: InvalidArgs, NoMemory, PageFault, AccessDenied, …
    ├── GetFrameError               why a frame cannot be had by address: InUse, Unused, Busy, …
    ├── PageTableError              InvalidVaddrRange, InvalidVaddr, UnalignedVaddr
    ├── Misuse                      a rule of the allocators or handles was broken by a caller
    │   ├── FrameMisuse             … frames: address, size, operation and the frame's state are named
    │   ├── HeapMisuse              … heap slots
    │   └── UseAfterMove            … a handle that was dropped, moved or turned into something else
    ├── AllocatorFault              an injected allocator gave an answer that cannot be right
    ├── AllocatorHung               … or none within its budget
    ├── MetaTypeError               a frame metadata type that cannot be one, or is the wrong one
    ├── LockHeld                    waiting for a lock that only the waiter could release
    ├── KernelClosed                the kernel has ended, or its machine was reset or restored
    ├── CorruptionError             emulated memory does not hold what only the kernel writes there
    └── BootError                   the machine or device tree gives the kernel nothing to boot with

After any of them the kernel's memory is as it was before the operation, unless the message says otherwise.
"""

from __future__ import annotations


class KernelError(Exception):
    """Anything that the kernel layer raises."""


class KernelPanic(KernelError):  # noqa: N818 - the field's word
    """The kernel stopped at a broken assertion of its caller (a Rust `panic!` upstream)."""


# --- ostd::Error ------------------------------------------------------------------------------------


class OstdError(KernelError):
    """An error that OSTD's interfaces return (`ostd::Error`)."""


class InvalidArgs(OstdError):
    """An argument is outside of what the operation takes."""


class NoMemory(OstdError):
    """The frame or heap allocator has nothing of that size left."""


class PageFault(OstdError):
    """A fallible access met an unmapped or forbidden page after `copied` bytes."""

    def __init__(self, message: str = "page fault", copied: int = 0) -> None:
        super().__init__(message)
        self.copied = copied


class AccessDenied(OstdError):
    """The address or the state of the address space forbids the operation."""


class IoError(OstdError):
    """A device failed."""


class NotEnoughResources(OstdError):
    """A table of fixed size is full."""


class Overflow(OstdError):
    """An offset plus a length leaves 64 bits."""


# --- ostd::mm::frame::meta::GetFrameError ----------------------------------------------------------------


class GetFrameError(KernelError):
    """A frame cannot be had by its address; `paddr` is that address."""

    def __init__(self, message: str, paddr: int) -> None:
        super().__init__(message)
        self.paddr = paddr


class InUse(GetFrameError):
    """The frame has holders."""


class Unused(GetFrameError):
    """The frame has no holder."""


class Busy(GetFrameError):
    """The frame is being built, torn down, or locked."""


class Unique(GetFrameError):
    """The frame belongs to one holder alone."""


class OutOfBound(GetFrameError):
    """The address is above all physical memory."""


class NotAligned(GetFrameError):
    """The address is not a multiple of 4096."""


# --- ostd::mm::page_table::PageTableError ---------------------------------------------------------------


class PageTableError(KernelError):
    """A page-table operation was asked for an address it does not take."""


class InvalidVaddrRange(PageTableError):
    """The range is empty, reversed, or leaves the page table's part of the address space."""


class InvalidVaddr(PageTableError):
    """The address is outside of the cursor's range."""


class UnalignedVaddr(PageTableError):
    """The address is not page-aligned."""


# --- broken rules ----------------------------------------------------------------------------------------


class Misuse(KernelError):
    """A caller broke a rule; nothing was changed."""


class FrameMisuse(Misuse):
    """Frames were given to an operation that may not have them.

    `operation` is what was tried, `paddr` and `size` on what (bytes), `state` what the first
    offending frame is.
    """

    def __init__(self, operation: str, paddr: int, size: int, state: str, expected: str) -> None:
        super().__init__(f"{operation}: {paddr:#x} ({size} bytes): {state}; expected {expected}")
        self.operation, self.paddr, self.size, self.state = operation, paddr, size, state


class HeapMisuse(Misuse):
    """A heap address or slot was given to an operation that may not have it."""

    def __init__(self, operation: str, address: int, size: int, state: str, expected: str) -> None:
        super().__init__(f"{operation}: {address:#x} ({size} bytes): {state}; expected {expected}")
        self.operation, self.address, self.size, self.state = operation, address, size, state


class UseAfterMove(Misuse):
    """A handle was used after it had been dropped, moved, or turned into something else."""


class AllocatorFault(KernelError):
    """An injected allocator answered with memory that it may not hand out; nothing was changed by us.

    `allocator` names it, `operation` the call, `address` and `size` its answer (bytes).
    """

    def __init__(self, allocator: str, operation: str, address: int, size: int, why: str) -> None:
        super().__init__(f"{allocator}: {operation} gave {address:#x} ({size} bytes): {why}")
        self.allocator, self.operation, self.address, self.size = allocator, operation, address, size


class AllocatorHung(KernelError):
    """An injected allocator used up its budget of executed lines; `where` is the innermost place first."""

    def __init__(self, allocator: str, operation: str, budget: int, where: tuple[str, ...]) -> None:
        super().__init__(f"{allocator}: {operation} did not end within {budget} lines; it was at " + " < ".join(where))
        self.allocator, self.operation, self.budget, self.where = allocator, operation, budget, where


class MetaTypeError(KernelError):
    """A metadata type is too large, is declared twice, or is not the one that the operation needs."""


class LockHeld(KernelError):
    """A lock is taken and nobody else runs who could release it: a real kernel would spin forever."""


class KernelClosed(KernelError):
    """The kernel has ended, or its machine was reset, restored or booted anew: its memory is not its own any more."""


class CorruptionError(KernelError):
    """Emulated memory holds a value that the kernel never writes there; the message says where and what."""


class BootError(KernelError):
    """The kernel cannot boot on what the machine, its firmware or its device tree offer."""
