"""The engine: one Unicorn instance, dressed as a set of harts over shared RAM.

`Engine` owns the instance, the machine and hart blocks (`layout`) and the hooks. It knows nothing of
boards: `machine.Machine` tells it where RAM, ROM and device registers are.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Collection
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from . import abi, block, clock, codehook, layout, mmu, native, schedule, selfcheck, tracing, trap, watch
from .library import Library, library
from .timingmodel import TimingModel
from .unicornapi import (
    UC_ARCH_RISCV, UC_CTL_TB_FLUSH, UC_CTL_TCG_BUFFER_SIZE, UC_CTL_TLB_FLUSH, UC_CTL_USE_EXITS, UC_HOOK_BLOCK,
    UC_HOOK_CODE, UC_HOOK_EDGE, UC_HOOK_INSN_INVALID, UC_HOOK_INTR, UC_HOOK_MEM_READ_AFTER, UC_HOOK_MEM_WRITE,
    UC_HOOK_UNMAPPED, UC_MODE_RISCV64, UC_PROT_ALL,
)

RECORDS = 1 << 18
"""Translation block records before all translations are dropped and the pool starts over."""
CODE_BUFFER = 256 << 20
"""Bytes of address space for translated code; committed as used."""
MANY_PAGES = 256
"""Pages with code whose translations are dropped one by one; for more, all are."""
EVERYWHERE = (1, 0)
"""A hook range with begin above end: all addresses."""
NOWHERE = (block.NOWHERE, block.NOWHERE)
"""A hook range in which no instruction is."""

DEVICES = (0x1_0000, 0x7FFF_FFFF)
"""Physical addresses between boot ROM and RAM: where device accesses are looked for when they are traced."""

HartsState = tuple[int, bytes, bytes]
"""The block of the hart in the engine, all hart blocks, and that hart's engine state."""
MmioRead = Callable[[int, int], int]
MmioWrite = Callable[[int, int, int], None]


class Engine:
    """One Unicorn instance with our traps, MMU, CSRs and run loop in place of its own.

    `harts` is 1 … 8; `devices` are the modules whose native functions `add_native_device` may name.
    RAM and devices are added before the first `run`.
    """

    def __init__(self, harts: int, devices: tuple[ModuleType, ...] = (),
                 notice: Callable[[str], None] | None = None) -> None:
        self._library: Library = library(devices, notice)
        self._lib = self._library.lib
        self._handle = ctypes.c_void_p()
        self._call("uc_open", UC_ARCH_RISCV, UC_MODE_RISCV64, ctypes.byref(self._handle), instance=False)
        self._closed = False
        self._finalizer = weakref.finalize(self, self._lib.uc_close, self._handle)
        self._call("uc_ctl", UC_CTL_TCG_BUFFER_SIZE, ctypes.c_uint32(CODE_BUFFER))
        self._call("uc_ctl", UC_CTL_USE_EXITS, ctypes.c_int(1))
        self._words = np.zeros(layout.M_SIZE // 8, dtype=np.int64)
        self._hart_words = np.zeros((harts, layout.H_SIZE // 8), dtype=np.int64)
        self._records = np.zeros((RECORDS + 16) * layout.R_SIZE // 8, dtype=np.int64)
        # The same memory once more: a memoryview gives Python's numbers, and four times as fast.
        self._word_view = self._words.data
        self._hart_view = self._hart_words.reshape(-1).data
        self._keep: list[Any] = []  # what the engine points to
        self._code_pages = np.zeros(0, dtype=np.uint8)
        self.state_arrays: dict[str, npt.NDArray[Any]] = {}
        """What others keep of the harts' state, by name: numbers, no host addresses. Saved with the rest (`state`)."""
        self.harts = harts
        self.block = int(self._words.ctypes.data)
        self.hart_block = [int(self._hart_words.ctypes.data) + i * layout.H_SIZE for i in range(harts)]
        self._hart_numbers = {block: number for number, block in enumerate(self.hart_block)}
        self._ram_size = 0
        self._trace_ring: npt.NDArray[np.int64] | None = None
        self._traced = 0
        self._timing: TimingModel | None = None
        self.env = selfcheck.find_env(self._lib, self._handle)
        self._state_view = _words_at(self.env)
        self._state_views = [_words_at(block + layout.H_ENV) for block in self.hart_block]
        self.cs = self.env - abi.CS_ENV
        selfcheck.check_layout(self._library, self._handle, self.env)
        self._fill_machine_block()
        self._reset_state = ctypes.string_at(self.env, abi.ENV_SIZE)
        self._prepare_harts()
        self._install_hooks()
        self._run = native.function(self._library.code, schedule.run)

    def close(self) -> None:
        """Free the instance; using the engine afterwards raises EngineError. Garbage collection does it, too."""
        self._closed = True
        self._finalizer()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the machine is closed")

    # --- words of the shared blocks ---------------------------------------------------------------

    def word(self, field: int) -> int:
        """Field `field` (an `M_` offset) of the machine block."""
        return self._word_view[field >> 3]

    def set_word(self, field: int, value: int) -> None:
        """Set a field of the machine block (modulo 2**64)."""
        self._word_view[field >> 3] = (value + _SIGN & _MASK) - _SIGN

    def hart_word(self, hart: int, field: int) -> int:
        """Field `field` (an `H_` offset) of a hart's block."""
        return self._hart_view[(hart * layout.H_SIZE + field) >> 3]

    def set_hart_word(self, hart: int, field: int, value: int) -> None:
        """Set a field of a hart's block (modulo 2**64)."""
        self._hart_view[(hart * layout.H_SIZE + field) >> 3] = _signed(value)

    def state_address(self, hart: int) -> int:
        """Host address of the engine state of `hart`: in the instance for the one it holds."""
        self._check_open()
        block = self.hart_block[hart]
        return self.env if block == self.word(layout.M_HART) else block + layout.H_ENV

    def state_words(self, hart: int) -> memoryview[int]:
        """All words of a hart's engine state, by offset / 8: good until the machine runs again."""
        if self._closed:
            self._check_open()
        return self._state_view if self.hart_block[hart] == self._word_view[_HART] else self._state_views[hart]

    def read_state(self, hart: int, offset: int) -> int:
        """The 64-bit word at `offset` (an `ENV_` constant) of a hart's engine state, unsigned."""
        if self._closed:
            self._check_open()
        loaded = self.hart_block[hart] == self._word_view[_HART]
        return (self._state_view if loaded else self._state_views[hart])[offset >> 3]

    def write_state(self, hart: int, offset: int, value: int) -> None:
        """Set a word of a hart's engine state (modulo 2**64)."""
        if self._closed:
            self._check_open()
        loaded = self.hart_block[hart] == self._word_view[_HART]
        (self._state_view if loaded else self._state_views[hart])[offset >> 3] = value & (1 << 64) - 1

    # --- memory -----------------------------------------------------------------------------------

    def add_memory(self, base: int, size: int, host: int) -> None:
        """Map `size` bytes (a multiple of 4096) of host memory at `host` as RAM at physical `base`.

        Banks must be added in the order in which they lie in the host buffer, without gaps.
        """
        number = self.word(layout.M_BANK_COUNT)
        if number == layout.MAX_BANKS:
            raise EngineError(f"at most {layout.MAX_BANKS} memory banks")
        self._call("uc_mem_map_ptr", ctypes.c_uint64(base), ctypes.c_size_t(size), UC_PROT_ALL, ctypes.c_void_p(host))
        if number == 0:
            self.set_word(layout.M_RAM_HOST, host)
        at = (layout.M_BANKS >> 3) + 4 * number
        self._words[at:at + 4] = (base, size, host, self._ram_size)
        self._ram_size += size
        self.set_word(layout.M_BANK_COUNT, number + 1)

    def add_sink(self, base: int, host: int) -> None:
        """Map the page that swallows stores to ROM; in no bank, so that no guest address leads there."""
        self._call("uc_mem_map_ptr", ctypes.c_uint64(base), ctypes.c_size_t(4096), UC_PROT_ALL, ctypes.c_void_p(host))
        self._ram_size += 4096
        self.set_word(layout.M_SINK, base)

    def seal_memory(self) -> None:
        """All banks are there (12 KiB or more): make the map of pages that hold code, run the self-checks.

        The hart's registers are undefined afterwards, until `reset`.
        """
        self._code_pages = flags = np.zeros(self._ram_size >> 12, dtype=np.uint8)
        self.set_word(layout.M_HAS_CODE, int(flags.ctypes.data))
        selfcheck.run_first_blocks(self)
        selfcheck.check_self_modification(self)
        flags[:3] = 0  # what the checks ran in; touching all would commit the whole map

    def add_native_device(self, base: int, size: int, read: Callable[..., Any], write: Callable[..., Any],
                          state: int) -> None:
        """Map device registers served by native entries `read` and `write`, given `state` as user data."""
        code = self._library.code
        self._map_mmio(base, size, ctypes.c_void_p(code.address(read)), ctypes.c_void_p(code.address(write)), state)

    def add_python_device(self, base: int, size: int, read: MmioRead, write: MmioWrite) -> None:
        """Map device registers served by Python: read(offset, size) and write(offset, size, value).

        The callbacks must not raise: the engine cannot pass an exception on.
        """
        reader = _READ(lambda _uc, offset, width, _user: read(offset, width))
        writer = _WRITE(lambda _uc, offset, width, value, _user: write(offset, width, value))
        self._keep += [reader, writer]
        self._map_mmio(base, size, reader, writer, 0)

    def _map_mmio(self, base: int, size: int, read: Any, write: Any, state: int) -> None:
        number = self.word(layout.M_DEVICE_COUNT)
        if number == layout.MAX_PAGES:
            raise EngineError(f"at most {layout.MAX_PAGES} devices")
        pages = (size + 0xFFF) & ~0xFFF
        self._call("uc_mmio_map", ctypes.c_uint64(base), ctypes.c_size_t(pages), read, ctypes.c_void_p(state),
                   write, ctypes.c_void_p(state))
        at = (layout.M_DEVICES >> 3) + 2 * number
        self._words[at:at + 2] = (base, size)
        self.set_word(layout.M_DEVICE_COUNT, number + 1)

    def discard_code(self, offset: int, size: int) -> None:
        """Drop translations made from `size` bytes of RAM at `offset`: the host changed them."""
        self._lib.tb_invalidate_phys_range_riscv64(self._handle, ctypes.c_uint64(offset),
                                                   ctypes.c_uint64(offset + size))

    def discard_written(self, offset: int, size: int) -> None:
        """`discard_code`, at the cost of a look if nothing was ever translated from those pages."""
        first, last = offset >> 12, offset + size - 1 >> 12
        if self._code_pages[first] or last > first and self._code_pages[first:last + 1].any():
            self.discard_code(offset, size)

    def discard_pages(self, pages: npt.NDArray[np.int64]) -> None:
        """Drop translations made from these pages of RAM (numbers), whose contents the host has replaced.

        Cached address translations must be dropped, too (`flush_tlb`): stores to the pages are fast again.
        """
        code = pages[self._code_pages[pages] != 0]
        if len(code) > MANY_PAGES:
            self.flush_translations()
        else:
            for page in code.tolist():
                self.discard_code(page << 12, 1 << 12)
        self._code_pages[code] = 0

    def flush_translations(self) -> None:
        """Drop every translated block (not a TLB flush)."""
        self._call("uc_ctl", UC_CTL_TB_FLUSH)
        self._reset_records()
        if self._timing is not None:
            self._timing.drop_blocks()

    def flush_tlb(self) -> None:
        """Drop every cached address translation of the hart in the engine (the others have none)."""
        self._call("uc_ctl", UC_CTL_TLB_FLUSH)

    def set_breakpoints(self, addresses: Collection[int]) -> None:
        """Stop (STOP_BREAK) before the instructions at these virtual addresses, at most 256."""
        if len(addresses) > layout.MAX_BREAKS:
            raise EngineError(f"{len(addresses)} breakpoints: expected at most {layout.MAX_BREAKS}")
        at = layout.M_BREAKS >> 3
        self._words[at:at + len(addresses)] = [_signed(address) for address in sorted(addresses)]
        self.set_word(layout.M_BREAK_COUNT, len(addresses))
        self.set_word(layout.M_BREAK_SKIP, -1)
        self.set_word(layout.M_BLOCK_CLOCK, -1)
        self.flush_translations()

    def set_watchpoints(self, watches: Collection[tuple[int, int, int, bool]]) -> None:
        """Stop (STOP_WATCH) behind accesses to these: (first byte, last byte, `watch` kinds, virtual), at most 32."""
        if len(watches) > layout.MAX_WATCHES:
            raise EngineError(f"{len(watches)} watchpoints: expected at most {layout.MAX_WATCHES}")
        at = layout.M_WATCHES >> 3
        for first, last, kinds, virtual in watches:
            self._words[at:at + 4] = _signed(first), _signed(last), kinds, virtual
            at += watch.ENTRY >> 3
        self.set_word(layout.M_WATCH_COUNT, len(watches))
        self.flush_tlb()

    def set_guard(self, words: int) -> None:
        """Have the guard whose words (`guard`) are at this host address judge accesses; 0 for none any more."""
        self.set_word(layout.M_GUARD, words)
        self.flush_translations()
        self.flush_tlb()

    def set_trace(self, kinds: int, pauses: int = 0) -> None:
        """Record events of `kinds` (`tracing.TRACE_` bits) from now on; 0 ends it. `take_trace` has them.

        The run loop stops (STOP_TRACE) when the ring is nearly full, and at the first `pauses` landmarks.
        """
        if kinds and self._trace_ring is None:
            self._trace_ring = np.zeros((tracing.CAPACITY, tracing.ENTRY // 8), dtype=np.int64)
            self.set_word(layout.M_TRACE_RING, int(self._trace_ring.ctypes.data))
        self._set_code_range(EVERYWHERE if kinds & tracing.TRACE_INSN else NOWHERE)
        if kinds & tracing.TRACE_MMIO and not self._traced & tracing.TRACE_MMIO:
            self._hook(UC_HOOK_MEM_WRITE | UC_HOOK_MEM_READ_AFTER, tracing.on_access, self.block, DEVICES)
        self._traced |= kinds
        self.set_word(layout.M_TRACE, kinds)
        self.set_word(layout.M_TRACE_PAUSES, pauses)
        self.set_word(layout.M_TRACE_LOWEST, min(self.read_state(hart, abi.ENV_PRIV) for hart in range(self.harts)))
        self.flush_translations()
        self.flush_tlb()

    def take_trace(self) -> npt.NDArray[np.int64]:
        """The events recorded since the last call, a row of ten words each (see `tracing`)."""
        count = self.word(layout.M_TRACE_COUNT)
        self.set_word(layout.M_TRACE_COUNT, 0)
        if self._trace_ring is None:
            return np.zeros((0, tracing.ENTRY // 8), dtype=np.int64)
        return self._trace_ring[:count].copy()

    # --- running ----------------------------------------------------------------------------------

    def prepare(self, paced: bool, passing: int | None) -> None:
        """Before the first slice of a run: whether leaps in time are asked for, and the breakpoint to pass once.

        M_WATCH_CUTS counts from here.
        """
        words = self._word_view
        words[_PACED], words[_WATCH_CUTS] = paced, 0
        words[_BREAK_SKIP] = -1 if passing is None else (passing + _SIGN & _MASK) - _SIGN

    def run(self, limit: int | None = None) -> int:
        """Run until something stops the machine; a `layout.STOP_` value, its argument in M_STOP_ARG.

        At most `limit` instructions and traps, as many as M_RUN_LIMIT says by default; what is left of them is there.
        """
        if self._closed:
            self._check_open()
        if limit is not None:
            self._word_view[_RUN_LIMIT] = limit
        while True:
            reason = self._run(self.block)
            if reason != layout.STOP_RECORDS:
                return reason
            self.flush_translations()

    def run_alone(self, hart: int, limit: int, passing: bool) -> int:
        """`run` with `hart` only, whatever the others wait for; `passing`: its first instruction hits no watchpoint.

        No hart is in the middle of a block afterwards. A reservation (LR) outlives the turns of other harts:
        the caller ends it when another stores there.
        """
        if self._closed:
            self._check_open()
        words = self._word_view
        self.leave_block()
        words[_ALONE] = self.hart_block[hart]
        words[_RUN_LIMIT], words[_WATCH_CUTS] = limit, 0
        words[_BREAK_SKIP] = _signed(self.read_state(hart, abi.ENV_PC)) if words[_BREAK_COUNT] else -1
        if passing:  # a split block of one instruction: whoever is in the engine, the run loop puts the hart into it
            words[_NATURAL] = words[_PART] = words[_LIMIT] = 1
            words[_WATCH_PASS] = watch.PASS_WANTED
            self._count(hart, 1)
        reason = self._run(self.block)
        while reason == layout.STOP_RECORDS:
            self.flush_translations()
            reason = self._run(self.block)
        words[_ALONE] = words[_SLICE_END] = 0
        self.leave_block()
        return reason

    @property
    def watch_hit(self) -> tuple[int, int, int, int]:
        """The access that hit a watchpoint (STOP_WATCH): pc, address, size, kind (unsigned). It is forgotten."""
        words = self._word_view
        words[_WATCH_HIT] = 0
        return words[_WATCH_PC] & _MASK, words[_WATCH_ADDRESS] & _MASK, words[_WATCH_SIZE], words[_WATCH_KIND]

    def leave_block(self) -> None:
        """Let the block that the hart in the engine is in the middle of, if it is, end here."""
        words = self._word_view
        left = words[_NATURAL]
        if left:
            self._count(self.current_hart, -left)
            words[_NATURAL] = 0
        words[_PART] = words[_LIMIT] = words[_WATCH_PASS] = 0
        words[_BLOCK_CLOCK] = -1

    def _count(self, hart: int, instructions: int) -> None:
        """Count instructions of a split block, as `clock.spend` does."""
        at = hart * layout.H_SIZE >> 3
        self._hart_view[at + _INSNS] += instructions
        if self._timing is None:
            self._hart_view[at + _CLOCK] += instructions

    def save_harts(self) -> HartsState:
        """What the harts are, between two `run_alone`: all of it that is not in memory, devices or a timing model."""
        return self._word_view[_HART], bytes(self._hart_view), ctypes.string_at(self.env, abi.ENV_SIZE)

    def load_harts(self, state: HartsState) -> None:
        """Make the harts what `save_harts` of this engine has found. Page tables must be as they were then."""
        self._word_view[_HART], words, loaded = state
        ctypes.memmove(self.hart_block[0], words, len(words))
        ctypes.memmove(self.env, loaded, len(loaded))

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
        return self._hart_numbers[self._word_view[_HART]]

    def split(self, hart: int) -> int:
        """Instructions of the block that `hart` is in the middle of (between two steps) that are still to come."""
        natural = self._word_view[_NATURAL]
        return natural if natural and hart == self.current_hart else 0

    @property
    def current_pc(self) -> int:
        """Address of the next instruction of the hart in the engine."""
        if self._closed:
            self._check_open()
        return self._state_view[abi.ENV_PC >> 3]

    @property
    def within_block(self) -> bool:
        """Whether the hart in the engine is in the middle of a block."""
        return self._word_view[_NATURAL] > 0

    @property
    def instructions(self) -> int:
        """Instructions that all harts have retired since reset."""
        return sum(self._hart_view[_INSNS::layout.H_SIZE >> 3]) - self._word_view[_NATURAL]

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
        self._hart_words[:] = 0
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

    def access_csr(self, hart: int, number: int, value: int = 0, mask: int = 0) -> int | None:
        """Read CSR `number` as M-mode code on `hart` would, and write the bits `mask` of `value`.

        None if the register does not exist.
        """
        self._check_open()
        current, wanted = self.word(layout.M_HART), self.hart_block[hart]
        if wanted != current:
            self._swap(current, wanted)
        priv = self.read_state(hart, abi.ENV_PRIV)
        self.write_state(hart, abi.ENV_PRIV, 3)
        old = ctypes.c_uint64()
        self.set_word(layout.M_HOST_ACCESS, 1)
        status = self._lib.riscv_csrrw_debug_riscv64(ctypes.c_void_p(self.env), number, ctypes.byref(old),
                                                     ctypes.c_uint64(value), ctypes.c_uint64(mask))
        self.set_word(layout.M_HOST_ACCESS, 0)
        self.write_state(hart, abi.ENV_PRIV, priv)
        if wanted != current:
            self._swap(wanted, current)
        return old.value if status >= 0 else None

    def _swap(self, out: int, into: int) -> None:
        """Exchange harts in the engine for a moment in which no address is translated."""
        ctypes.memmove(out + layout.H_ENV, self.env, abi.ENV_SIZE)
        ctypes.memmove(self.env, into + layout.H_ENV, abi.ENV_SIZE)
        self.set_word(layout.M_HART, into)

    def start(self, pc: int) -> None:
        """Call uc_emu_start once, without the run loop around it."""
        self._call("uc_emu_start", ctypes.c_uint64(pc), ctypes.c_uint64(0), ctypes.c_uint64(0), ctypes.c_size_t(0))

    # --- construction -----------------------------------------------------------------------------

    def _call(self, name: str, *args: Any, instance: bool = True) -> None:
        """Call a Unicorn API function; EngineError if it fails."""
        full = (self._handle, *args) if instance else args
        error = getattr(self._lib, name)(*full)
        if error:
            self._lib.uc_strerror.restype = ctypes.c_char_p
            raise EngineError(f"{name} failed: {self._lib.uc_strerror(error).decode()} ({error})")

    def _fill_machine_block(self) -> None:
        assert self._handle.value is not None
        self.set_word(layout.M_MAGIC, layout.MAGIC)
        self.set_word(layout.M_UC, self._handle.value)
        self.set_word(layout.M_CS, self.cs)
        self.set_word(layout.M_ENV, self.env)
        for i, name in enumerate(abi.FUNCTIONS):
            self.set_word(layout.M_FUNCTIONS + 8 * i, self._library.functions[name])
        self.set_word(layout.M_HARTS, self.hart_block[0])
        self.set_word(layout.M_HART, self.hart_block[0])
        self.set_word(layout.M_HART_COUNT, self.harts)
        self.set_word(layout.M_CODE_BLOCK, block.NOWHERE)
        self.set_word(layout.M_CYCLES_PER_TICK, 1)
        self.set_word(layout.M_NEXT_EVENT, layout.INFINITE)
        self.set_word(layout.M_BREAK_SKIP, -1)
        self.set_word(layout.M_CONSIDER, self._library.code.address(block.consider))
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
        code = self._library.code
        everywhere = EVERYWHERE
        self._hook(UC_HOOK_INTR, trap.on_exception, self.block, everywhere)
        self._hook(UC_HOOK_INSN_INVALID, trap.on_breakpoint, self.block, everywhere)
        self._hook(UC_HOOK_EDGE, block.on_edge, self.block, everywhere)
        self._hook(UC_HOOK_UNMAPPED, mmu.on_unmapped, self.block, everywhere)
        self._reset_records()
        records = int(self._records.ctypes.data)
        self.set_word(layout.M_BLOCK_HOOK, self._hook(UC_HOOK_BLOCK, block.on_block, records, everywhere))
        self.set_word(layout.M_CODE_HOOK, self._hook(UC_HOOK_CODE, codehook.on_code, self.block, NOWHERE))
        self.set_word(layout.M_ON_CODE, code.address(codehook.on_code))
        self._set_code_range(NOWHERE)
        ctypes.c_uint64.from_address(self.cs + abi.CS_TLB_FILL).value = code.address(mmu.tlb_fill)

    def _hook(self, kind: int, fn: Callable[..., Any], user: int, where: tuple[int, int]) -> int:
        """Register native entry `fn`; the address of its struct hook."""
        handle = ctypes.c_size_t()
        self._call("uc_hook_add", ctypes.byref(handle), kind, ctypes.c_void_p(self._library.code.address(fn)),
                   ctypes.c_void_p(user), ctypes.c_uint64(where[0]), ctypes.c_uint64(where[1]))
        return handle.value

    def _set_code_range(self, where: tuple[int, int]) -> None:
        """Have translations from now on call the code hook for these addresses (and for what blocks need)."""
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


_READ = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_void_p)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_uint64, ctypes.c_void_p)


def _words_at(address: int) -> memoryview[int]:
    """The engine state at `address`, as unsigned words."""
    return memoryview((ctypes.c_uint64 * (abi.ENV_SIZE // 8)).from_address(address)).cast("B").cast("Q")


_SIGN, _MASK = 1 << 63, (1 << 64) - 1
_HART, _NATURAL, _INSNS = layout.M_HART >> 3, layout.M_NATURAL >> 3, layout.H_INSNS >> 3
_ALONE, _PART, _LIMIT, _CLOCK = layout.M_ALONE >> 3, layout.M_PART >> 3, layout.M_LIMIT >> 3, layout.H_CLOCK >> 3
_BREAK_COUNT = layout.M_BREAK_COUNT >> 3
_WATCH_PC, _WATCH_ADDRESS = layout.M_WATCH_PC >> 3, layout.M_WATCH_ADDRESS >> 3
_WATCH_HIT, _WATCH_SIZE, _WATCH_KIND = layout.M_WATCH_HIT >> 3, layout.M_WATCH_SIZE >> 3, layout.M_WATCH_KIND >> 3
_WATCH_PASS, _BLOCK_CLOCK, _SLICE_END = layout.M_WATCH_PASS >> 3, layout.M_BLOCK_CLOCK >> 3, layout.M_SLICE_END >> 3
_PACED, _RUN_LIMIT = layout.M_PACED >> 3, layout.M_RUN_LIMIT >> 3
_BREAK_SKIP, _WATCH_CUTS = layout.M_BREAK_SKIP >> 3, layout.M_WATCH_CUTS >> 3


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
