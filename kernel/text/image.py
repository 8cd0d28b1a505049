"""The kernel's image and its header: where in memory the parts of the kernel's text are.

        0x8020_0000  _start        entered by the firmware
        0x8020_0040  header        "HARTWELL", version, size, then the addresses
                     text          entry, service loop, probes, trap vector
                     data          boot page tables, cpus
                     bss           statics, console buffer, stacks

The header is what `attach` finds a kernel by in memory that it knows nothing about.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from emulator import BusError, load_image
from kernel.errors import BootError, CorruptionError
from kernel.mm.fields import Bytes, Struct, u32, u64
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import MemoryPort

if TYPE_CHECKING:
    from emulator import Image

KERNEL_ADDRESS = 0x8020_0000
"""Physical address of the kernel image."""
FIRMWARE_ADDRESS = 0x8000_0000
HEADER_ADDRESS = KERNEL_ADDRESS + 64
KERNEL_CODE_BASE = 0xFFFF_FFFF_0000_0000
"""What is added to a physical address in the image to get the virtual one."""
MAGIC = b"HARTWELL"
VERSION = 1


def kernel_image() -> Image:
    """The kernel's text, ready for `Machine.boot`."""
    return load_image((files("kernel.text") / "kernel.elf").read_bytes(), "kernel.elf", KERNEL_ADDRESS)


def firmware_image() -> Image:
    """Our firmware, ready for `Machine.boot`."""
    return load_image((files("firmware") / "hartwell-sbi.elf").read_bytes(), "hartwell-sbi.elf", FIRMWARE_ADDRESS)


class RawHeader(Struct):
    """The header's layout; `KernelHeader` is what is read from it."""

    magic = Bytes(8)
    version = u32()
    size = u32()
    kernel_start = u64()
    kernel_end = u64()
    statics = u64()
    statics_size = u64()
    boot_root_sv48 = u64()
    boot_root_sv39 = u64()
    boot_stack = u64()
    boot_stack_size = u64()
    cpu_stacks = u64()
    cpu_stack_size = u64()
    max_cpus = u64()
    cpus = u64()
    cpu_satp = u64()
    holds = u64()
    console = u64()
    console_size = u64()
    trap_vector = u64()
    user_return = u64()
    exception_table = u64()
    exception_table_end = u64()
    secondary_start = u64()
    entry_call = u64()
    service_call = u64()
    trap_call = u64()


@dataclass(frozen=True)
class KernelHeader:
    """Where the parts of the kernel's text are: physical addresses, sizes in bytes.

    `boot_stack` is CPU 0's, `cpu_stacks` those of CPUs 1 …, `cpu_stack_size` each; `cpus` a word for
    each CPU: its hart's id + 1, 0 before it starts; `cpu_satp` the word that a starting CPU puts into
    satp; `holds` a word for each CPU to wait for; the three `_call`s are the host call instructions.
    """

    kernel_start: int
    kernel_end: int
    statics: int
    statics_size: int
    boot_root_sv48: int
    boot_root_sv39: int
    boot_stack: int
    boot_stack_size: int
    cpu_stacks: int
    cpu_stack_size: int
    max_cpus: int
    cpus: int
    cpu_satp: int
    holds: int
    console: int
    console_size: int
    trap_vector: int
    user_return: int
    exception_table: int
    exception_table_end: int
    secondary_start: int
    entry_call: int
    service_call: int
    trap_call: int

    @classmethod
    def read(cls, port: MemoryPort) -> KernelHeader:
        """The header in memory. BootError if there is no kernel, CorruptionError if the header cannot be right."""
        try:
            raw = RawHeader.decode(port.read(HEADER_ADDRESS, RawHeader.SIZE))
        except BusError as error:
            raise BootError(f"no kernel at {KERNEL_ADDRESS:#x}: {error}") from None
        if raw.magic != MAGIC:
            raise BootError(f"no kernel at {KERNEL_ADDRESS:#x}: its header has {raw.magic!r}, expected {MAGIC!r}")
        if raw.version != VERSION or raw.size != RawHeader.SIZE:
            raise BootError(f"the kernel at {KERNEL_ADDRESS:#x} has a header of version {raw.version} with {raw.size} "
                            f"bytes, expected version {VERSION} with {RawHeader.SIZE}")
        header = cls(**{name: getattr(raw, name) for name in cls.__dataclass_fields__})
        header._check(port)
        return header

    def _check(self, port: MemoryPort) -> None:
        """That everything is inside of the image, and the image in memory."""
        if (self.kernel_start != KERNEL_ADDRESS or self.kernel_end % PAGE_SIZE
                or not port.has(self.kernel_start, self.kernel_end - self.kernel_start)):
            raise CorruptionError(f"the kernel's header says {self.kernel_start:#x}-{self.kernel_end:#x}, "
                                  f"expected whole pages of memory from {KERNEL_ADDRESS:#x}")
        cpus = self.max_cpus
        sizes = {
            "statics": self.statics_size, "boot_root_sv48": PAGE_SIZE, "boot_root_sv39": PAGE_SIZE,
            "boot_stack": self.boot_stack_size, "cpu_stacks": self.cpu_stack_size * (cpus - 1), "cpus": 8 * cpus,
            "cpu_satp": 8, "holds": 8 * cpus, "console": self.console_size, "trap_vector": 4, "user_return": 4,
            "exception_table": self.exception_table_end - self.exception_table, "secondary_start": 4,
            "entry_call": 4, "service_call": 4, "trap_call": 4,
        }
        for name, size in sizes.items():
            at = getattr(self, name)
            aligned = at % (PAGE_SIZE if name in ("statics", "boot_root_sv48", "boot_root_sv39") else 2) == 0
            if size < 0 or not (self.kernel_start <= at and at + size <= self.kernel_end and aligned):
                raise CorruptionError(f"the kernel's header puts {name} at {at:#x} ({size} bytes), expected it in the "
                                      f"kernel's {self.kernel_start:#x}-{self.kernel_end:#x}")

    @property
    def stack_tops(self) -> tuple[int, ...]:
        """First address after each CPU's stack."""
        return (self.boot_stack + self.boot_stack_size,
                *(self.cpu_stacks + n * self.cpu_stack_size for n in range(1, self.max_cpus)))


def to_virtual(paddr: int) -> int:
    """The virtual address of something in the kernel image."""
    return paddr + KERNEL_CODE_BASE
