"""What the kernel's own work costs: its accesses to memory, in the cycles of a core.

    with kernel.measure() as cost:
        FrameAllocOptions(kernel.mm).alloc_frame().drop()
    print(cost)

The policy is Python, so no hart executes it. But it reads and writes emulated memory, through one port,
and on a machine with a timing model each access goes through a hart's TLB and cache, and its cycles pass
on that hart (`Meter`).
"""

from .cost import ESTIMATE, Cost
from .meter import INSTRUCTIONS, Meter

__all__ = ["ESTIMATE", "INSTRUCTIONS", "Cost", "Meter"]
