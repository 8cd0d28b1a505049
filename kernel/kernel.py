"""The kernel: a machine's memory, managed.

    from kernel import Kernel
    from kernel.mm import FrameAllocOptions
    kernel = Kernel.boot()
    with FrameAllocOptions(kernel.mm).alloc_frame() as frame:
        print(kernel, frame)
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from emulator import Machine
from kernel.attaching import find_memory, phase_of
from kernel.boot.boot_record import BootRecord, Phase
from kernel.boot.booting import Booting, Choices, StageReport
from kernel.boot.early_info import EarlyInfo
from kernel.boot.figures import cpus
from kernel.boot.stages import STAGES, run_stage
from kernel.cost import Cost, Meter
from kernel.cpu.sbi import Sbi
from kernel.cpu.service import Service
from kernel.cpu.smp import Smp
from kernel.cpu.tlb import Tlb
from kernel.errors import BootError, KernelClosed
from kernel.mm.context import Mm
from kernel.text.image import firmware_image, kernel_image


class Kernel:
    """A kernel on `machine`; made by `boot` or `attach`, ended by `close` or a `with` block.

    `mm` is its memory manager, the first argument of everything in kernel.mm. The machine's harts stand
    still while Python runs; what needs one of them (a TLB flush, an SBI call) runs it for a moment.
    """

    def __init__(self, machine: Machine, mm: Mm, service: Service, smp: Smp, meter: Meter,
                 reports: tuple[StageReport, ...]) -> None:
        self.machine, self.mm, self.service, self.smp, self.reports = machine, mm, service, smp, reports
        self._meter = meter
        weak = weakref.ref(mm)
        machine.on_reset.append(lambda: _close(weak()))

    @classmethod
    def boot(cls, machine: Machine | None = None, choices: Choices | None = None, *, bootargs: str = "",
             initrd: bytes | None = None, on_stage: Callable[[StageReport], None] | None = None) -> Kernel:
        """Load our firmware and kernel into `machine` (by default one hart and 128 MiB), and boot.

        `on_stage` is called after each stage. Raises BootError, a CpuError when a hart goes astray, and
        what the emulator raises for images that do not fit.
        """
        machine = Machine() if machine is None else machine
        machine.boot(kernel=kernel_image(), firmware=firmware_image(), bootargs=bootargs, initrd=initrd)
        return cls.start(machine, choices, on_stage=on_stage)

    @classmethod
    def start(cls, machine: Machine, choices: Choices | None = None, *,
              on_stage: Callable[[StageReport], None] | None = None) -> Kernel:
        """Boot a machine that has the kernel's image loaded and has not run yet: with other firmware, for instance."""
        boot = Booting(machine, choices or Choices())
        for stage in STAGES:
            report = run_stage(boot, stage)
            if on_stage is not None:
                on_stage(report)
        return cls(machine, boot.mm, boot.service, boot.smp, boot.meter, tuple(boot.reports))

    @classmethod
    def attach(cls, machine: Machine, choices: Choices | None = None) -> Kernel:
        """The kernel that is in `machine`'s memory: nothing is run, nothing is changed.

        For a machine that was restored, or whose Kernel object is gone. Injected allocators must be given
        again in `choices`; they must be able to find their state. Raises BootError or CorruptionError when
        there is no kernel, or its boot never came to the metadata.
        """
        service = Service(machine)
        mm = find_memory(machine.bus, choices)
        mm.operations = choices.operations if choices is not None else None
        mm.statics.sealed = False  # who goes on working may need areas that the boot did not
        smp, service.switch = Smp(service, lambda: mm.cpu), mm.switch_cpu
        mm.tlb = Tlb(smp)
        if BootRecord(mm.statics).phase >= Phase.READY:
            service.linear_base = mm.paging.linear_base
        return cls(machine, mm, service, smp, Meter(machine, mm, service), ())

    # --- what it is -----------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        with self.mm.port.looking():
            return f"<Kernel {self.mm.paging.name}, {cpus(self.mm.cpu_locals.count)}, {self.phase.name.lower()}>"

    @property
    def phase(self) -> Phase:
        """How far the boot came."""
        return phase_of(self.mm)

    @property
    def sbi(self) -> Sbi:
        """The firmware's services."""
        return self.smp.sbi

    @property
    def early_info(self) -> EarlyInfo:
        """What the kernel was booted with, as the boot wrote it down (EARLY_INFO)."""
        return EarlyInfo.load(self.mm.statics)

    def boot_info(self) -> EarlyInfo:
        """The same from its copy in the heap (`boot_info()`); BootError before it is there."""
        record = BootRecord(self.mm.statics)
        if not record.boot_info:
            raise BootError("the boot information is not in the heap yet")
        paddr = self.mm.vaddr_to_paddr(record.boot_info)
        return EarlyInfo.from_bytes(self.mm.port.read(paddr, record.boot_info_size))

    @contextmanager
    def on_cpu(self, cpu: int) -> Iterator[None]:
        """Run the kernel's Python code as CPU `cpu` for the length of a `with` block."""
        with self.mm.port.looking():
            self.mm.cpu_locals.base(cpu)
        before = self.mm.switch_cpu(cpu)
        try:
            yield
        finally:
            self.mm.switch_cpu(before)

    def measure(self) -> AbstractContextManager[Cost]:
        """What the kernel does in a `with` block costs so much: a Cost, complete when the block ends.

        Blocks may be nested; each counts all that is done in it.
        """
        return self._meter.measure()

    def log(self, text: str) -> None:
        """Write a line to the guest's console, by the firmware; KernelClosed after the end."""
        if self.mm.closed:
            raise KernelClosed("the kernel has ended: nobody is there who could print")
        self.sbi.console_write(text.encode() + b"\n")

    # --- the end --------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """Switch the machine off, by the firmware; this is the end, as `close`."""
        self.sbi.shutdown()
        self.close()

    def close(self) -> None:
        """Let go of the machine as it is: handles hold nothing any more, every use of `mm` raises KernelClosed.

        A reset of the machine, another boot on it, or `Machine.restore` does the same.
        """
        self.mm.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _close(mm: Mm | None) -> None:
    """End a kernel that is still around when its machine is reset or restored."""
    if mm is not None:
        mm.close()
