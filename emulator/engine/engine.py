"""The engine: one Unicorn instance, dressed as a set of harts over shared RAM.

`Engine` owns the instance, the machine and hart blocks (`layout`) and the hooks, and runs. It knows nothing of
boards: `machine.Machine` tells it where RAM, ROM and device registers are. What else is done to it has its rooms:

        memory        RAM, device registers, code that the host changes      `Engine.memory`
        tracering     events that are recorded while it runs                 `Engine.trace`
        points        breakpoints, watchpoints, a guard
        csraccess     CSRs, from outside
        alone         one hart at a time
        state         all of it, saved and put back
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from . import abi, block, clock, codehook, layout, mmu, native, schedule, selfcheck, trap
from .library import Library, library
from .memory import Memory
from .timingmodel import TimingModel
from .tracering import TraceRing
from .unicornapi import (
    UC_ARCH_RISCV, UC_CTL_TB_FLUSH, UC_CTL_TCG_BUFFER_SIZE, UC_CTL_TLB_FLUSH, UC_CTL_USE_EXITS, UC_HOOK_BLOCK,
    UC_HOOK_CODE, UC_HOOK_EDGE, UC_HOOK_INSN_INVALID, UC_HOOK_INTR, UC_HOOK_UNMAPPED, UC_MODE_RISCV64,
)

RECORDS = 1 << 18
"""Translation block records before all translations are dropped and the pool starts over."""
CODE_BUFFER = 256 << 20
"""Bytes of address space for translated code; committed as used."""
EVERYWHERE = (1, 0)
"""A hook range with begin above end: all addresses."""
NOWHERE = (block.NOWHERE, block.NOWHERE)
"""A hook range in which no instruction is."""


class Engine:
    """One Unicorn instance with our traps, MMU, CSRs and run loop in place of its own.

    `harts` is 1 … 8; `devices` are the modules whose native functions `Memory.add_native_device` may name.
    RAM and devices are added (`memory`) before the first `run`.
    """

    def __init__(self, harts: int, devices: tuple[ModuleType, ...] = (),
                 notice: Callable[[str], None] | None = None) -> None:
        self.library: Library = library(devices, notice)
        self.lib = self.library.lib
        self.handle = ctypes.c_void_p()
        """The instance, a uc_engine *."""
        self.call("uc_open", UC_ARCH_RISCV, UC_MODE_RISCV64, ctypes.byref(self.handle), instance=False)
        self._closed = False
        self._finalizer = weakref.finalize(self, self.lib.uc_close, self.handle)
        self.call("uc_ctl", UC_CTL_TCG_BUFFER_SIZE, ctypes.c_uint32(CODE_BUFFER))
        self.call("uc_ctl", UC_CTL_USE_EXITS, ctypes.c_int(1))
        self._machine = np.zeros(layout.M_SIZE // 8, dtype=np.int64)
        self._harts = np.zeros((harts, layout.H_SIZE // 8), dtype=np.int64)
        self._records = np.zeros((RECORDS + 16) * layout.R_SIZE // 8, dtype=np.int64)
        # The same memory once more: a memoryview gives Python's numbers, and four times as fast.
        self.words = self._machine.data
        """The machine block, by offset / 8, signed: `word` and `set_word` for the engine's own rooms, if fast."""
        self.hart_words = self._harts.reshape(-1).data
        """The hart blocks, one behind the other, likewise."""
        self.state_arrays: dict[str, npt.NDArray[Any]] = {}
        """What others keep of the harts' state, by name: numbers, no host addresses. Saved with the rest (`state`)."""
        self.harts = harts
        self.block = int(self._machine.ctypes.data)
        self.hart_block = [int(self._harts.ctypes.data) + i * layout.H_SIZE for i in range(harts)]
        self._hart_numbers = {block: number for number, block in enumerate(self.hart_block)}
        self.memory = Memory(self)
        self.trace = TraceRing(self)
        self._timing: TimingModel | None = None
        self.env = selfcheck.find_env(self.lib, self.handle)
        self._state_view = _words_at(self.env)
        self._state_views = [_words_at(block + layout.H_ENV) for block in self.hart_block]
        self.cs = self.env - abi.CS_ENV
        selfcheck.check_layout(self.library, self.handle, self.env)
        self._fill_machine_block()
        self._reset_state = ctypes.string_at(self.env, abi.ENV_SIZE)
        self._prepare_harts()
        self._install_hooks()
        self._run = native.function(self.library.code, schedule.run)

    def close(self) -> None:
        """Free the instance; using the engine afterwards raises EngineError. Garbage collection does it, too."""
        self._closed = True
        self._finalizer()

    def check_open(self) -> None:
        """EngineError if it is closed."""
        if self._closed:
            raise EngineError("the machine is closed")

    # --- words of the shared blocks ---------------------------------------------------------------

    def word(self, field: int) -> int:
        """Field `field` (an `M_` offset) of the machine block."""
        return self.words[field >> 3]

    def set_word(self, field: int, value: int) -> None:
        """Set a field of the machine block (modulo 2**64)."""
        self.words[field >> 3] = (value + _SIGN & _MASK) - _SIGN

    def set_words(self, field: int, values: Sequence[int]) -> None:
        """Set words of the machine block that follow each other, from `field` on (each modulo 2**64)."""
        for at, value in enumerate(values, field >> 3):
            self.words[at] = _signed(value)

    def hart_word(self, hart: int, field: int) -> int:
        """Field `field` (an `H_` offset) of a hart's block."""
        return self.hart_words[(hart * layout.H_SIZE + field) >> 3]

    def set_hart_word(self, hart: int, field: int, value: int) -> None:
        """Set a field of a hart's block (modulo 2**64)."""
        self.hart_words[(hart * layout.H_SIZE + field) >> 3] = _signed(value)

    def state_address(self, hart: int) -> int:
        """Host address of the engine state of `hart`: in the instance for the one it holds."""
        self.check_open()
        block = self.hart_block[hart]
        return self.env if block == self.word(layout.M_HART) else block + layout.H_ENV

    def state_words(self, hart: int) -> memoryview[int]:
        """All words of a hart's engine state, by offset / 8: good until the machine runs again."""
        if self._closed:
            self.check_open()
        return self._state_view if self.hart_block[hart] == self.words[_HART] else self._state_views[hart]

    def read_state(self, hart: int, offset: int) -> int:
        """The 64-bit word at `offset` (an `ENV_` constant) of a hart's engine state, unsigned."""
        if self._closed:
            self.check_open()
        loaded = self.hart_block[hart] == self.words[_HART]
        return (self._state_view if loaded else self._state_views[hart])[offset >> 3]

    def write_state(self, hart: int, offset: int, value: int) -> None:
        """Set a word of a hart's engine state (modulo 2**64)."""
        if self._closed:
            self.check_open()
        loaded = self.hart_block[hart] == self.words[_HART]
        (self._state_view if loaded else self._state_views[hart])[offset >> 3] = value & (1 << 64) - 1

    # --- what is cached ---------------------------------------------------------------------------

    def flush_translations(self) -> None:
        """Drop every translated block (not a TLB flush)."""
        self.call("uc_ctl", UC_CTL_TB_FLUSH)
        self._reset_records()
        if self._timing is not None:
            self._timing.drop_blocks()

    def flush_tlb(self) -> None:
        """Drop every cached address translation of the hart in the engine (the others have none)."""
        self.call("uc_ctl", UC_CTL_TLB_FLUSH)

    # --- running ----------------------------------------------------------------------------------

    def prepare(self, paced: bool, passing: int | None) -> None:
        """Before the first slice of a run: whether leaps in time are asked for, and the breakpoint to pass once.

        M_WATCH_CUTS counts from here.
        """
        words = self.words
        words[_PACED], words[_WATCH_CUTS] = paced, 0
        words[_BREAK_SKIP] = -1 if passing is None else (passing + _SIGN & _MASK) - _SIGN

    def run(self, limit: int | None = None) -> int:
        """Run until something stops the machine; a `layout.STOP_` value, its argument in M_STOP_ARG.

        At most `limit` instructions and traps, as many as M_RUN_LIMIT says by default; what is left of them is there.
        """
        if self._closed:
            self.check_open()
        if limit is not None:
            self.words[_RUN_LIMIT] = limit
        while True:
            reason = self._run(self.block)
            if reason != layout.STOP_RECORDS:
                return reason
            self.flush_translations()

    def attach_timing(self, timing: TimingModel) -> None:
        """Let `timing` count cycles, from the next `reset` on; before the first `run`, once."""
        self._timing = timing
        for field, address in timing.entries.items():
            self.set_word(field, address)
        for field, address in ((layout.M_BLOCK_HOOK, timing.on_block), (layout.M_CODE_HOOK, timing.on_code)):
            ctypes.c_uint64.from_address(self.word(field) + abi.HOOK_CALLBACK).value = address
        self.flush_translations()

    @property
    def timing(self) -> TimingModel | None:
        """The timing model, if there is one."""
        return self._timing

    @property
    def timed(self) -> bool:
        """Whether a timing model counts cycles; otherwise a cycle is an instruction."""
        return self._timing is not None

    @property
    def current_hart(self) -> int:
        """Number of the hart in the engine."""
        return self._hart_numbers[self.words[_HART]]

    def split(self, hart: int) -> int:
        """Instructions of the block that `hart` is in the middle of (between two steps) that are still to come."""
        natural = self.words[_NATURAL]
        return natural if natural and hart == self.current_hart else 0

    @property
    def current_pc(self) -> int:
        """Address of the next instruction of the hart in the engine."""
        if self._closed:
            self.check_open()
        return self._state_view[abi.ENV_PC >> 3]

    @property
    def within_block(self) -> bool:
        """Whether the hart in the engine is in the middle of a block."""
        return self.words[_NATURAL] > 0

    @property
    def instructions(self) -> int:
        """Instructions that all harts have retired since reset."""
        return sum(self.hart_words[_INSNS::layout.H_SIZE >> 3]) - self.words[_NATURAL]

    def now(self) -> int:
        """The clock of the hart in the engine, also from within a device access."""
        return int(clock.now(self.block))

    def request_stop(self) -> None:
        """Make `run` return (STOP_REQUEST) before the next block; of a split one, behind its last part."""
        if self.split(self.current_hart):
            self.set_word(layout.M_STOP_ASKED, 1)
        else:
            clock.request_stop(self.block, layout.STOP_REQUEST, 0)

    def set_next_event(self, when: int) -> None:
        """Make `run` return (STOP_EVENT) when the clock reaches `when`."""
        self.set_word(layout.M_NEXT_EVENT, when)
        self.set_word(layout.M_EVENT, 1)
        clock.attention(self.block)

    def reset(self, pc: int) -> None:
        """Put all harts into the reset state at `pc`; clocks and counters start over."""
        ctypes.memmove(self.env, bytes(self._reset_state), abi.ENV_SIZE)
        self._harts[:] = 0
        self.set_word(layout.M_HART, self.hart_block[0])
        for field in (layout.M_SLICE_END, layout.M_TIME_OFFSET, layout.M_TRAPS, layout.M_LOOP_COUNT, layout.M_FP_FIXES,
                      layout.M_FP_BOX, layout.M_NATURAL, layout.M_PART, layout.M_LIMIT, layout.M_REBUILD_SIZE,
                      layout.M_YIELD, layout.M_EVENT, layout.M_CURRENT, layout.M_WATCH_PASS,
                      layout.M_STOP_ASKED, layout.M_XRET):
            self.set_word(field, 0)
        self.set_word(layout.M_BLOCK_CLOCK, -1)
        self._prepare_harts()
        for hart in range(self.harts):
            self.write_state(hart, abi.ENV_PC, pc)
        self.flush_tlb()
        if self._timing is not None:
            self._timing.reset()

    def start(self, pc: int) -> None:
        """Call uc_emu_start once, without the run loop around it."""
        self.call("uc_emu_start", ctypes.c_uint64(pc), ctypes.c_uint64(0), ctypes.c_uint64(0), ctypes.c_size_t(0))

    # --- construction -----------------------------------------------------------------------------

    def call(self, name: str, *args: Any, instance: bool = True) -> None:
        """Call a Unicorn API function, of the instance if its first argument is one; EngineError if it fails."""
        full = (self.handle, *args) if instance else args
        error = getattr(self.lib, name)(*full)
        if error:
            self.lib.uc_strerror.restype = ctypes.c_char_p
            raise EngineError(f"{name} failed: {self.lib.uc_strerror(error).decode()} ({error})")

    def _fill_machine_block(self) -> None:
        assert self.handle.value is not None
        self.set_word(layout.M_MAGIC, layout.MAGIC)
        self.set_word(layout.M_UC, self.handle.value)
        self.set_word(layout.M_CS, self.cs)
        self.set_word(layout.M_ENV, self.env)
        for i, name in enumerate(abi.FUNCTIONS):
            self.set_word(layout.M_FUNCTIONS + 8 * i, self.library.functions[name])
        self.set_word(layout.M_HARTS, self.hart_block[0])
        self.set_word(layout.M_HART, self.hart_block[0])
        self.set_word(layout.M_HART_COUNT, self.harts)
        self.set_word(layout.M_CODE_BLOCK, block.NOWHERE)
        self.set_word(layout.M_CYCLES_PER_TICK, 1)
        self.set_word(layout.M_NEXT_EVENT, layout.INFINITE)
        self.set_word(layout.M_BREAK_SKIP, -1)
        self.set_word(layout.M_CONSIDER, self.library.code.address(block.consider))
        ctypes.c_uint64.from_address(self.env + abi.ENV_LINK).value = self.block

    def _prepare_harts(self) -> None:
        """Give every hart the engine's reset state, in M-mode, with its own mhartid."""
        ctypes.c_uint64.from_address(self.env + abi.ENV_PRIV).value = 3
        ctypes.c_uint64.from_address(self.env + abi.ENV_MSTATUS).value = 0
        ctypes.c_uint64.from_address(self.env + abi.ENV_LOAD_RES).value = (1 << 64) - 1
        for hart in range(self.harts):
            ctypes.memmove(self.hart_block[hart] + layout.H_ENV, self.env, abi.ENV_SIZE)
            self.set_hart_word(hart, layout.H_ID, hart)
            self.set_hart_word(hart, layout.H_MTIMECMP, -1)
            self.write_state(hart, abi.ENV_MHARTID, hart)

    def _install_hooks(self) -> None:
        code = self.library.code
        self.hook(UC_HOOK_INTR, trap.on_exception, self.block, EVERYWHERE)
        self.hook(UC_HOOK_INSN_INVALID, trap.on_breakpoint, self.block, EVERYWHERE)
        self.hook(UC_HOOK_EDGE, block.on_edge, self.block, EVERYWHERE)
        self.hook(UC_HOOK_UNMAPPED, mmu.on_unmapped, self.block, EVERYWHERE)
        self._reset_records()
        records = int(self._records.ctypes.data)
        self.set_word(layout.M_BLOCK_HOOK, self.hook(UC_HOOK_BLOCK, block.on_block, records, EVERYWHERE))
        self.set_word(layout.M_CODE_HOOK, self.hook(UC_HOOK_CODE, codehook.on_code, self.block, NOWHERE))
        self.set_word(layout.M_ON_CODE, code.address(codehook.on_code))
        self.hook_code(False)
        ctypes.c_uint64.from_address(self.cs + abi.CS_TLB_FILL).value = code.address(mmu.tlb_fill)

    def hook(self, kind: int, fn: Callable[..., Any], user: int, where: tuple[int, int]) -> int:
        """Register native entry `fn`; the address of its struct hook."""
        handle = ctypes.c_size_t()
        self.call("uc_hook_add", ctypes.byref(handle), kind, ctypes.c_void_p(self.library.code.address(fn)),
                   ctypes.c_void_p(user), ctypes.c_uint64(where[0]), ctypes.c_uint64(where[1]))
        return handle.value

    def hook_code(self, all_of_it: bool) -> None:
        """Have translations from now on call the code hook for all instructions, or only for what blocks need."""
        where = EVERYWHERE if all_of_it else NOWHERE
        hook = self.word(layout.M_CODE_HOOK)
        for field, offset, address in ((layout.M_CODE_FIRST, abi.HOOK_BEGIN, where[0]),
                                       (layout.M_CODE_LAST, abi.HOOK_END, where[1])):
            self.set_word(field, address)
            ctypes.c_uint64.from_address(hook + offset).value = address

    def _reset_records(self) -> None:
        start = int(self._records.ctypes.data)
        self._records[layout.R_MACHINE >> 3] = self.block
        self.set_word(layout.M_RECORDS, start)
        self.set_word(layout.M_RECORD_NEXT, start)
        self.set_word(layout.M_RECORD_END, start + RECORDS * layout.R_SIZE)
        self.set_word(layout.M_CURRENT, 0)
        hook = self.word(layout.M_BLOCK_HOOK)
        if hook:
            ctypes.c_uint64.from_address(hook + abi.HOOK_USER_DATA).value = start


def _words_at(address: int) -> memoryview[int]:
    """The engine state at `address`, as unsigned words."""
    return memoryview((ctypes.c_uint64 * (abi.ENV_SIZE // 8)).from_address(address)).cast("B").cast("Q")


_SIGN, _MASK = 1 << 63, (1 << 64) - 1
_HART, _NATURAL, _INSNS = layout.M_HART >> 3, layout.M_NATURAL >> 3, layout.H_INSNS >> 3
_PACED, _RUN_LIMIT = layout.M_PACED >> 3, layout.M_RUN_LIMIT >> 3
_BREAK_SKIP, _WATCH_CUTS = layout.M_BREAK_SKIP >> 3, layout.M_WATCH_CUTS >> 3


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
