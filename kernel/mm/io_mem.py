"""I/O memory: a range of physical addresses that is no RAM (OSTD `io::IoMem`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.errors import AccessDenied, InvalidArgs
from kernel.mm.page_table.pte import MAX_PADDR

if TYPE_CHECKING:
    from kernel.mm.context import Mm


@dataclass(frozen=True, slots=True)
class IoMem:
    """`size` bytes of I/O memory at physical `paddr`; from `acquire`. A value: nothing to drop."""

    paddr: int
    size: int

    @classmethod
    def acquire(cls, mm: Mm, pa: range) -> IoMem:
        """The I/O memory at the physical addresses `pa`.

        InvalidArgs if it is empty or beyond 56 bits; AccessDenied if any of it is RAM. Upstream also refuses
        a range that was acquired before; here it may be shared.
        """
        if not 0 <= pa.start < pa.stop <= MAX_PADDR:
            raise InvalidArgs(f"{pa.start:#x}-{pa.stop:#x} is not a range of physical addresses")
        if mm.port.touches(pa.start, pa.stop - pa.start):
            raise AccessDenied(f"{pa.start:#x}-{pa.stop:#x} has RAM in it, which is no I/O memory")
        return cls(pa.start, pa.stop - pa.start)
