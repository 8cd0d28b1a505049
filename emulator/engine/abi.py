"""What Hartwell knows of Unicorn 2.1.4's insides: the one place that names them.

The engine is QEMU 5.0.1's RISC-V target as Unicorn ships it. Its public interface delivers no trap
and cannot see a CSR, but the shared library exports QEMU's own functions, and the CPU state is a
plain C structure. This file lists every exported symbol, structure offset and constant that the
engine's native code uses; `library.open_engine` checks them against the loaded library before the
first instruction runs. The offsets are those of the 64-bit wheels of exactly this version.

       CPUState (cs) ── CS_ENV bytes ──> CPURISCVState (env) ── 1528 bytes, then ENV_LINK
                                     └── ENV_TLB: four {mask, table} pairs just below env

Sources: Unicorn 2.1.4 `qemu/target/riscv/cpu.h`, `qemu/include/hw/core/cpu.h`,
`qemu/include/exec/cpu-defs.h`, `include/uc_priv.h`.
"""

from __future__ import annotations

from typing import Final

UNICORN_VERSION: Final = "2.1.4"

# --- CPURISCVState: byte offsets from env ---------------------------------------------------------
ENV_GPR: Final = 0
ENV_FPR: Final = 256
ENV_PC: Final = 512
ENV_LOAD_RES: Final = 520  # address of the LR reservation, -1 for none
ENV_BADADDR: Final = 544  # virtual address of the last MMU exception
ENV_MISA: Final = 568
ENV_PRIV: Final = 592
ENV_MHARTID: Final = 616
ENV_MSTATUS: Final = 624
ENV_MIP: Final = 632
ENV_MIE: Final = 648
ENV_MIDELEG: Final = 656
ENV_SATP: Final = 672
ENV_STVAL: Final = 680
ENV_MTVAL: Final = 688
ENV_MEDELEG: Final = 696
ENV_STVEC: Final = 704
ENV_SEPC: Final = 712
ENV_SCAUSE: Final = 720
ENV_MTVEC: Final = 728
ENV_MEPC: Final = 736
ENV_MCAUSE: Final = 744
ENV_SCOUNTEREN: Final = 952
ENV_MCOUNTEREN: Final = 960
ENV_SSCRATCH: Final = 968
ENV_MSCRATCH: Final = 976
ENV_SIZE: Final = 1528  # what a context save copies; all of a hart's state is in it
ENV_LINK: Final = 1528  # rdtime_fn: unused here (CSR `time` is ours), so it holds our state block
ENV_UC: Final = 1560  # the uc_struct, for the check only

# --- CPUState: byte offsets from cs ---------------------------------------------------------------
CS_CFLAGS_NEXT_TB: Final = 0x18  # u32: flags of the next block only; its low 15 bits bound its length
CS_ENV_PTR: Final = 0x128
CS_UC: Final = 0x81A8
CS_TLB_FILL: Final = 0x93A0  # CPUClass.tlb_fill, embedded in this instance's RISCVCPU
CS_ENV: Final = 0x8D10  # env = cs + CS_ENV
CFLAGS_DEFAULT: Final = 0xFFFFFFFF  # "nothing special" in cflags_next_tb

# --- software TLB ---------------------------------------------------------------------------------
ENV_TLB: Final = -80  # four {mask, table} pairs, 16 bytes each, indexed by privilege level
TLB_ENTRY_SHIFT: Final = 6
TLB_WRITE: Final = 8
TLB_PADDR: Final = 24
TLB_NOTDIRTY: Final = 0x400  # set in addr_write: stores must look for translations to discard
TLB_INVALID: Final = 0x800  # set in an address: the entry is not to be used again
PAGE_READ: Final = 1
PAGE_WRITE: Final = 2
PAGE_EXEC: Final = 4
ACCESS_LOAD: Final = 0
ACCESS_STORE: Final = 1
ACCESS_FETCH: Final = 2

# --- uc_tb (edge hook) and struct hook ------------------------------------------------------------
TB_PC: Final = 0
TB_ICOUNT: Final = 8  # u16
TB_SIZE: Final = 10  # u16
HOOK_BEGIN: Final = 24
HOOK_END: Final = 32
HOOK_CALLBACK: Final = 40
HOOK_USER_DATA: Final = 48

UC_ERR_OK: Final = 0
UC_ERR_EXCEPTION: Final = 21

# --- exported functions, by the word of the machine block that holds each ------------------------
FUNCTIONS: Final = (
    "uc_emu_start",
    "uc_emu_stop",
    "tlb_flush_riscv64",
    "tlb_flush_by_mmuidx_riscv64",
    "tlb_set_page_riscv64",
    "tlb_reset_dirty_riscv64",
    "tb_invalidate_phys_range_riscv64",
    "get_page_addr_code_riscv64",
    "riscv_raise_exception_riscv64",
    "riscv_cpu_get_fflags_riscv64",
    "riscv_cpu_set_fflags_riscv64",
)
"""Exported functions that native code calls; word i of `layout.M_FUNCTIONS` holds number i."""

CHECKED: Final = ("riscv_cpu_tlb_fill_riscv64", "riscv_get_csr_ops_riscv64", "riscv_set_csr_ops_riscv64",
                  "riscv_csrrw_debug_riscv64", "tb_flush_riscv64", "uc_hook_add", "uc_mmio_map")
"""Further exported functions that `library` needs."""
