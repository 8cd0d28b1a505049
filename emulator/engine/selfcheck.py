"""Start-up checks: is the loaded engine the one that `abi` describes?

They read before they write: `check_layout` compares what stands at every offset with what must stand
there, and only then is anything written through them.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from ..errors import EngineError
from . import abi, layout

if TYPE_CHECKING:
    from .engine import Engine
    from .library import Library

UC_RISCV_REG_HTVAL, UC_RISCV_REG_PRIV = 152, 191
MISA_GC = 0x8000_0000_0014_112D
"""misa of the engine's CPU: RV64IMAFDC with S and U."""


def find_env(lib: Any, handle: ctypes.c_void_p) -> int:
    """Address of the instance's CPU state; `csr.identify` gives it as the value of htval."""
    value, machine_mode = ctypes.c_uint64(), ctypes.c_uint64(3)
    lib.uc_reg_write(handle, UC_RISCV_REG_PRIV, ctypes.byref(machine_mode))
    lib.uc_reg_read(handle, UC_RISCV_REG_HTVAL, ctypes.byref(value))
    if value.value == 0:
        raise EngineError(f"the engine hands out no CPU state: it is not unicorn {abi.UNICORN_VERSION} as known")
    return value.value


def check_layout(library: Library, handle: ctypes.c_void_p, env: int) -> None:
    """Check the offsets of `abi` against this instance; EngineError names those that are wrong."""

    def at(address: int) -> int:
        return ctypes.c_uint64.from_address(address).value

    cs = env - abi.CS_ENV
    facts = {
        "env->uc": at(env + abi.ENV_UC) == handle.value,
        "env->misa": at(env + abi.ENV_MISA) == MISA_GC,
        "env->rdtime_fn": at(env + abi.ENV_LINK) == 0,
        "cs->env_ptr": at(cs + abi.CS_ENV_PTR) == env,
        "cs->uc": at(cs + abi.CS_UC) == handle.value,
        "cs->cflags_next_tb": at(cs + abi.CS_CFLAGS_NEXT_TB) & 0xFFFFFFFF == abi.CFLAGS_DEFAULT,
        "cc->tlb_fill": at(cs + abi.CS_TLB_FILL) == library.functions["riscv_cpu_tlb_fill_riscv64"],
        "the software TLB": all(_power_of_two(at(env + abi.ENV_TLB + 16 * i) + 64) for i in range(4)),
    }
    wrong = [name for name, right in facts.items() if not right]
    if wrong:
        raise EngineError(f"{library.path}: {', '.join(wrong)} not where unicorn {abi.UNICORN_VERSION}'s wheel has it; "
                          f"reinstall unicorn=={abi.UNICORN_VERSION} from PyPI")


def run_first_blocks(engine: Engine) -> None:
    """Run three blocks at the start of memory, and check that they were counted.

    The engine reports no edge before its first block has run, so these must not be the guest's. The
    second has one instruction, the third two (the engine translates on behind a WFI).
    """
    host, start = engine.word(layout.M_RAM_HOST), engine.word(layout.M_BANKS)
    saved = ctypes.string_at(host, 16)
    ctypes.memmove(host, bytes.fromhex("6f004000" "6f004000" "73005010" "6f000000"), 16)  # j .+4 (twice); wfi; j .
    engine.set_word(layout.M_SLICE, 16)
    engine.set_word(layout.M_BUDGET, 16)
    engine.start(start)
    counted = 16 - engine.word(layout.M_BUDGET)
    ctypes.memmove(host, saved, 16)
    engine.set_word(layout.M_SLICE, 0)
    engine.set_word(layout.M_BUDGET, 0)
    engine.flush_translations()
    engine.flush_tlb()
    if counted != 3:
        raise EngineError(f"self-check: the block hook counted {counted} instructions of 3; unicorn "
                          f"{abi.UNICORN_VERSION} does not behave as known on this machine")


CODE = (0x00001297, 0x00002317, 0x000280E7, 0xFFC32383, 0x10732023, 0x0072A023, 0x000280E7, 0x10500073, 0x0000006F)
"""auipc t0,1; auipc t1,2; jalr t0; lw t2,-4(t1); sw t2,256(t1); sw t2,0(t0); jalr t0; wfi; j ."""
CALLED = (0x00100513, 0x00008067)
"""li a0,1; ret"""
PATCH = 0x00200513
"""li a0,2"""


def check_self_modification(engine: Engine) -> None:
    """Run code that patches code which has run: fast stores if it comes out right, the slow path if not.

    Uses the first three pages of memory, and leaves them as they were. EngineError if stores are not
    seen even on the slow path.
    """
    host, start = engine.word(layout.M_RAM_HOST), engine.word(layout.M_BANKS)
    saved = ctypes.string_at(host, 3 * 4096)
    rom_size = engine.word(layout.M_ROM_SIZE)
    engine.set_word(layout.M_ROM_SIZE, 0)  # the pages may belong to the boot ROM
    try:
        for fast in (1, 0):
            engine.set_word(layout.M_FAST_STORES, fast)
            for offset, words in ((0, CODE), (0x1000, CALLED), (0x2000, (PATCH,))):
                ctypes.memmove(host + offset, struct.pack(f"<{len(words)}I", *words), 4 * len(words))
            engine.flush_translations()
            engine.flush_tlb()
            engine.set_word(layout.M_BUDGET, 100)
            engine.start(start)
            stored = ctypes.c_uint32.from_address(host + 0x2104).value
            if engine.read_state(0, abi.ENV_GPR + 8 * 10) == 2 and stored == PATCH:
                return
    finally:
        engine.set_word(layout.M_ROM_SIZE, rom_size)
        engine.set_word(layout.M_BUDGET, 0)
        ctypes.memmove(host, saved, len(saved))
        engine.flush_translations()
        engine.flush_tlb()
    raise EngineError(f"self-check: a store to code was not seen; unicorn {abi.UNICORN_VERSION} does not behave as "
                      "known on this machine")


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0
