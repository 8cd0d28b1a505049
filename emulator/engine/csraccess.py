"""CSRs from outside: what M-mode code on a hart would read and write, without any code."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from . import abi, layout
from .riscv import PRV_M

if TYPE_CHECKING:
    from .engine import Engine


def access_csr(engine: Engine, hart: int, number: int, value: int = 0, mask: int = 0) -> int | None:
    """Read CSR `number` as M-mode code on `hart` would, and write the bits `mask` of `value`.

    None if the register does not exist.
    """
    engine.check_open()
    current, wanted = engine.word(layout.M_HART), engine.hart_block[hart]
    if wanted != current:
        _swap(engine, current, wanted)
    priv = engine.read_state(hart, abi.ENV_PRIV)
    engine.write_state(hart, abi.ENV_PRIV, PRV_M)
    old = ctypes.c_uint64()
    engine.set_word(layout.M_HOST_ACCESS, 1)
    status = engine.lib.riscv_csrrw_debug_riscv64(ctypes.c_void_p(engine.env), number, ctypes.byref(old),
                                                  ctypes.c_uint64(value), ctypes.c_uint64(mask))
    engine.set_word(layout.M_HOST_ACCESS, 0)
    engine.write_state(hart, abi.ENV_PRIV, priv)
    if wanted != current:
        _swap(engine, wanted, current)
    return old.value if status >= 0 else None


def _swap(engine: Engine, out: int, into: int) -> None:
    """Exchange harts (their blocks) in the engine for a moment in which no address is translated."""
    ctypes.memmove(out + layout.H_ENV, engine.env, abi.ENV_SIZE)
    ctypes.memmove(engine.env, into + layout.H_ENV, abi.ENV_SIZE)
    engine.set_word(layout.M_HART, into)
