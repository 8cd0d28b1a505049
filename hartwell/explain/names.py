"""Names of what numbers in a timeline mean: trap causes, satp words, and the functions of the SBI.

Source: RISC-V Supervisor Binary Interface specification 2.0, chapters 4 to 18.
"""

from __future__ import annotations

from typing import Final

from emulator.stop import CAUSES, INTERRUPTS
from emulator.timeline import satp_mode, satp_root

SBI: Final[dict[int, tuple[str, tuple[str, ...]]]] = {
    0x10: ("base", ("get_spec_version", "get_impl_id", "get_impl_version", "probe_extension", "get_mvendorid",
                    "get_marchid", "get_mimpid")),
    0x54494D45: ("timer", ("set_timer",)),
    0x735049: ("IPI", ("send_ipi",)),
    0x52464E43: ("remote fence", ("remote_fence_i", "remote_sfence_vma", "remote_sfence_vma_asid",
                                  "remote_hfence_gvma_vmid", "remote_hfence_gvma", "remote_hfence_vvma_asid",
                                  "remote_hfence_vvma")),
    0x48534D: ("hart state", ("hart_start", "hart_stop", "hart_get_status", "hart_suspend")),
    0x53525354: ("system reset", ("system_reset",)),
    0x504D55: ("performance counters", ("num_counters", "counter_get_info", "counter_config_matching",
                                        "counter_start", "counter_stop", "counter_fw_read", "counter_fw_read_hi",
                                        "snapshot_set_shmem")),
    0x4442434E: ("debug console", ("write", "read", "write_byte")),
    0x53555350: ("system suspend", ("system_suspend",)),
    0x43505043: ("CPPC", ("probe", "read", "read_hi", "write")),
    0x4E41434C: ("nested acceleration", ("probe_feature", "set_shmem", "sync_csr", "sync_hfence", "sync_sret")),
    0x535441: ("steal time", ("set_shmem",)),
}
"""Extensions by their ids: a name, and those of the functions in the order of their ids."""
LEGACY: Final = ("set_timer", "console_putchar", "console_getchar", "clear_ipi", "send_ipi", "remote_fence_i",
                 "remote_sfence_vma", "remote_sfence_vma_asid", "shutdown")
"""The legacy extensions 0 to 8, which have one function each."""


def trap_name(interrupt: bool, number: int) -> str:
    """What a trap is called."""
    return (INTERRUPTS if interrupt else CAUSES).get(number, f"{'interrupt' if interrupt else 'cause'} {number}")


def call_name(extension: int, function: int) -> tuple[str, str]:
    """Names of an SBI extension and of its function; of unknown ones, numbers."""
    if extension < len(LEGACY):
        return "legacy", LEGACY[extension]
    name, functions = SBI.get(extension, (f"extension {extension:#x}", ()))
    return name, functions[function] if function < len(functions) else f"function {function:#x}"


def satp_text(satp: int) -> str:
    """A satp word in words: `sv48, root 0x80201000`, with its ASID if it has one."""
    if not satp >> 60:
        return "bare: no translation"
    asid = satp >> 44 & 0xFFFF
    return f"{satp_mode(satp)}, root {satp_root(satp):#x}" + (f", ASID {asid}" if asid else "")
