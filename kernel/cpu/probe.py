"""Probes: an access that a CPU makes, and that may fault without harm."""

from __future__ import annotations

from typing import NamedTuple

from .abi import Command
from .service import Cpus
from .trap import cause_name


class Fault(NamedTuple):
    """How a probe failed, as the hart said: `scause` and `stval` (the faulting virtual address, for page faults)."""

    scause: int
    stval: int

    def __str__(self) -> str:
        return f"{cause_name(self.scause)} at {self.stval:#x}"


class Probe:
    """Loads, stores and fetches at virtual addresses, by the CPU and its MMU and TLB as they are.

    Sizes are 1, 2, 4 or 8 bytes. `user` has the access made with sstatus.SUM set, as the kernel
    accesses user memory; without it, a page of user memory faults. Raises CpuError.
    """

    def __init__(self, cpus: Cpus) -> None:
        self._cpus = cpus

    def load(self, cpu: int, vaddr: int, size: int = 8, *, user: bool = False) -> int | Fault:
        """The word at `vaddr`."""
        return _value(self._cpus.call(cpu, Command.LOAD, vaddr, _checked(size), user))

    def store(self, cpu: int, vaddr: int, value: int, size: int = 8, *, user: bool = False) -> Fault | None:
        """Store the low `size` bytes of `value` at `vaddr`; None if nothing went wrong."""
        cause, address = self._cpus.call(cpu, Command.STORE, vaddr, _checked(size), value, user)
        return Fault(cause, address) if cause else None

    def fetch(self, cpu: int, vaddr: int) -> int | Fault:
        """Call the function at `vaddr`; what it returns.

        Only a fault of its first instruction is a Fault; a later one is a trap in the kernel.
        """
        return _value(self._cpus.call(cpu, Command.FETCH, vaddr))


def _value(results: tuple[int, int]) -> int | Fault:
    cause, value = results
    return Fault(cause, value) if cause else value


def _checked(size: int) -> int:
    if size not in (1, 2, 4, 8):
        raise ValueError(f"a probe of {size} bytes: expected 1, 2, 4 or 8")
    return size
