"""The Python-hosted mini-kernel: boots on an emulated machine and manages its memory as Asterinas OSTD does.

    from kernel import Kernel
    kernel = Kernel.boot()
    print(kernel.machine.console.decode())

Its text runs on the machine's harts, in S-mode; its policy is Python; everything it keeps is in the
machine's memory, in OSTD's layouts. `kernel.mm` has the memory manager.
"""

from .boot.booting import Choices, StageReport
from .cost import Cost
from .errors import KernelError
from .kernel import Kernel

__all__ = ["Choices", "Cost", "Kernel", "KernelError", "StageReport"]
