"""Numbers of Unicorn's public interface that the engine uses; what is not public is in `abi`.

Source: Unicorn 2.1.4 `include/unicorn/unicorn.h`: uc_arch, uc_mode, uc_prot, uc_hook_type, uc_control_type.
"""

from __future__ import annotations

from typing import Final

UC_ARCH_RISCV: Final = 8
UC_MODE_RISCV64: Final = 1 << 3
UC_PROT_ALL: Final = 7
UC_HOOK_INTR: Final = 1 << 0
UC_HOOK_CODE: Final = 1 << 2
UC_HOOK_BLOCK: Final = 1 << 3
UC_HOOK_UNMAPPED: Final = 1 << 4 | 1 << 5 | 1 << 6  # reads, writes, fetches
UC_HOOK_MEM_WRITE: Final = 1 << 11
UC_HOOK_MEM_READ_AFTER: Final = 1 << 13
UC_HOOK_INSN_INVALID: Final = 1 << 14
UC_HOOK_EDGE: Final = 1 << 15
UC_CTL_USE_EXITS: Final = 4 | 1 << 26 | 1 << 30  # a control, the number of its arguments, and that it writes
UC_CTL_TB_FLUSH: Final = 10 | 1 << 30
UC_CTL_TLB_FLUSH: Final = 11 | 1 << 30
UC_CTL_TCG_BUFFER_SIZE: Final = 13 | 1 << 26 | 1 << 30
