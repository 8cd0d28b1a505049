"""The state that native code shares with Python: one block for the machine, one for each hart.

Both are rows of 64-bit words in numpy memory, so that native hooks, Python and a snapshot see the
same bytes. A constant is the byte offset of a field; `M_` fields count from the machine block, `H_`
fields from a hart block, `R_` fields from a translation block's record.

Time. A hart's clock counts cycles; `time` and `mtime` are clock / M_CYCLES_PER_TICK. While a hart
runs, only M_BUDGET moves: the block hook takes each block's instructions off it. Everything else
follows from it (`clock.py`):

        elapsed = M_SLICE - budget left          H_INSNS + elapsed = instructions retired
                                                 H_CLOCK + elapsed = the hart's clock

With a timing model (M_TIMING) the budget is in cycles, and the block hook takes each block's cycles off
it when the block is over; instructions are counted in H_INSNS itself. See `emulator.timing`.

Attention. The hook's fast path looks at nothing but the sign of M_BUDGET. Whoever wants the run loop
to look at something (an interrupt, a new timer value, a stop) moves the budget to M_HOLD and puts 0
in its place: the next block finds no budget and takes the slow path.
"""

from __future__ import annotations

from typing import Final

from ..timing.events import Event
from . import abi


class Words:
    """Hands out consecutive word offsets."""

    def __init__(self, start: int = 0) -> None:
        self.size = start

    def take(self, count: int = 1) -> int:
        at = self.size
        self.size += 8 * count
        return at


MAX_HARTS: Final = 8
MAX_BANKS: Final = 16
MAX_PAGES: Final = 64
MAX_BREAKS: Final = 256
MAX_WATCHES: Final = 32
INFINITE: Final = 1 << 62
"""A time or an instruction count that is never reached."""
EVENTS: Final = len(Event)
"""Words of H_EVENTS, and selectors that exist: the values of `timing.events.Event`."""
MAGIC: Final = 0x4857_4D41_4348_0001
"""First word of a machine block: what ENV_LINK of one of our engines points to."""

# --- the machine block ----------------------------------------------------------------------------
_m = Words()
M_MAGIC: Final = _m.take()
M_UC: Final = _m.take()
M_CS: Final = _m.take()
M_ENV: Final = _m.take()
M_FUNCTIONS: Final = _m.take(len(abi.FUNCTIONS))
F_EMU_START: Final = M_FUNCTIONS
F_EMU_STOP: Final = M_FUNCTIONS + 8
F_TLB_FLUSH: Final = M_FUNCTIONS + 16
F_TLB_FLUSH_IDX: Final = M_FUNCTIONS + 24
F_TLB_SET_PAGE: Final = M_FUNCTIONS + 32
F_TLB_RESET_DIRTY: Final = M_FUNCTIONS + 40
F_TB_INVALIDATE: Final = M_FUNCTIONS + 48
F_PAGE_ADDR_CODE: Final = M_FUNCTIONS + 56
F_RAISE: Final = M_FUNCTIONS + 64
F_GET_FFLAGS: Final = M_FUNCTIONS + 72
F_SET_FFLAGS: Final = M_FUNCTIONS + 80

M_CONSIDER: Final = _m.take()  # address of block.consider
M_BUDGET: Final = _m.take()  # instructions before the slow path; see "Attention"
M_HOLD: Final = _m.take()  # the budget while attention is wanted
M_ARMED: Final = _m.take()  # 1 while attention is wanted
M_SLICE: Final = _m.take()  # the budget at the start of this slice
M_CURRENT: Final = _m.take()  # record of the block being executed, or of the part of a split one
M_HART: Final = _m.take()  # block of the hart in the engine
M_HARTS: Final = _m.take()  # the first hart block; H_SIZE apart
M_HART_COUNT: Final = _m.take()
M_QUANTUM: Final = _m.take()  # cycles one hart may be ahead of the next
M_SLICE_END: Final = _m.take()  # clock at which the running hart yields to the others
M_RUN_LIMIT: Final = _m.take()  # instructions + traps left before `run` returns
M_NEXT_EVENT: Final = _m.take()  # clock at which a Python device wants to be called, INFINITE for none
M_PACED: Final = _m.take()  # 1: ask before an idle machine leaps ahead in time; 2: leave given, once
M_CYCLES_PER_TICK: Final = _m.take()
M_TIME_OFFSET: Final = _m.take()  # mtime - clock / cycles per tick: moved by writes to mtime

M_STOP: Final = _m.take()  # why run() shall return: a Stop value, 0 for not
M_STOP_ARG: Final = _m.take()
M_LEFT: Final = _m.take()  # 1: the block hook left the engine on purpose
M_EVENT: Final = _m.take()  # 1: devices changed; recompute deadlines and interrupts
M_YIELD: Final = _m.take()  # 1: give the other harts their turn (an IPI was sent)
M_HOSTCALLS: Final = _m.take()  # 1: custom-0 instructions are host calls, not illegal
M_STEP: Final = _m.take()  # 1: run the steps that M_STEP_LEFT says, then stop
M_STEP_LEFT: Final = _m.take()  # steps to go: instructions that retire or trap, and interrupts
M_STEP_HART: Final = _m.take()  # block of the hart whose steps count, 0 for all
M_NATURAL: Final = _m.take()  # instructions not yet started of a block that is split for the debugger
M_PART: Final = _m.take()  # 1: the next block is a part of it, as long as M_LIMIT said
M_STOP_ASKED: Final = _m.take()  # 1: a device wants run() to return behind the split block
M_BLOCK_CLOCK: Final = _m.take()  # the clock as a split block began, of a timed hart; -1 for none
M_LIMIT: Final = _m.take()  # length limit of the next block, 0 for none
M_BREAKS: Final = _m.take(MAX_BREAKS)  # breakpoints: virtual addresses,
M_BREAK_COUNT: Final = _m.take()
M_BREAK_SKIP: Final = _m.take()  # and the one to pass this time, -1 for none
M_POINTS: Final = _m.take()  # what breakpoints and watchpoints do: POINTS_ values
M_LAST_HIT: Final = _m.take()  # M_STEP_LEFT just before the last hit, -1 for none
M_ALONE: Final = _m.take()  # block of the hart that runs alone, 0 when all take their turns
M_ALIKE: Final = _m.take()  # 1 if harts that run alone have the same PMP: they may use each other's TLB
M_WATCHES: Final = _m.take(4 * MAX_WATCHES)  # watchpoints: {first byte, last byte, kinds, 1 if virtual}; see watch
M_WATCH_COUNT: Final = _m.take()
M_WATCH_PASS: Final = _m.take()  # the instruction that hit one is to run, or runs: watch.PASS_ values, 0 for none
M_WATCH_HIT: Final = _m.take()  # the access that did: number of the watchpoint + 1, 0 for none,
M_WATCH_KIND: Final = _m.take()  # its kind, address in the watchpoint's terms, bytes, hart and instruction
M_WATCH_ADDRESS: Final = _m.take()
M_WATCH_SIZE: Final = _m.take()
M_WATCH_HART: Final = _m.take()
M_WATCH_PC: Final = _m.take()
M_WATCH_CUTS: Final = _m.take()  # blocks abandoned at accesses that might hit, since this was last set to 0
M_WATCH_RESULT: Final = _m.take()  # the register that is 0 then if the access was done (SC's rd), 0 for always
M_GUARD: Final = _m.take()  # the guard's words, 0 for none; see guard
M_HOST_ACCESS: Final = _m.take()  # 1: a CSR is accessed by the host, not by an instruction
M_TRAPS: Final = _m.take()  # traps taken, all harts
M_LOOP_PC: Final = _m.take()  # the last trap's handler,
M_LOOP_INSNS: Final = _m.take()  # instructions retired then,
M_LOOP_EPC: Final = _m.take()  # its epc if it was a failed fetch, else -1,
M_LOOP_COUNT: Final = _m.take()  # and how many traps in a row got nowhere
M_BLOCK_HOOK: Final = _m.take()  # the block hook's struct hook
M_CODE_HOOK: Final = _m.take()  # the code hook's struct hook,
M_CODE_FIRST: Final = _m.take()  # the addresses it is for when no block is translated for it,
M_CODE_LAST: Final = _m.take()
M_CODE_BLOCK: Final = _m.take()  # and the block being translated again with it
M_FP_FIXES: Final = _m.take()  # registers to put back after a repaired instruction, see fpsingle
M_FP_SAVED: Final = _m.take(6)  # {register, value} of each
M_FP_BOX: Final = _m.take()  # register + 1 that the instruction before left to be boxed, 0 for none
M_FP_RD: Final = _m.take()  # the floating-point register it writes, -1 for none
M_FP_FLAGS: Final = _m.take()  # fflags before a repair raised NV, + 256; 0 for none
M_FP_PC: Final = _m.take()  # where that instruction is
M_MPRV_MODE: Final = _m.take()  # the MPP under which M-mode's translations were made, while MPRV is set
M_REBUILD: Final = _m.take()  # RAM offset and size of a block to discard, size 0 for none
M_REBUILD_SIZE: Final = _m.take()

M_RECORDS: Final = _m.take()  # pool of translation block records
M_RECORD_NEXT: Final = _m.take()
M_RECORD_END: Final = _m.take()

M_BANKS: Final = _m.take(4 * MAX_BANKS)  # {base, size, host address, RAM offset}
M_BANK_COUNT: Final = _m.take()
M_DEVICES: Final = _m.take(2 * MAX_PAGES)  # {base, size} of each device's registers
M_DEVICE_COUNT: Final = _m.take()
M_HAS_CODE: Final = _m.take()  # a byte per RAM page: 1 when translations were made of it
M_RAM_HOST: Final = _m.take()  # host address of RAM offset 0
M_FAST_STORES: Final = _m.take()  # 0: every store takes the engine's slow path (fallback)
M_SINK: Final = _m.take()  # physical address of the page that swallows stores to ROM
M_ROM_BASE: Final = _m.take()
M_ROM_SIZE: Final = _m.take()

M_CLINT: Final = _m.take()  # device states, 0 where the board has none
M_PLIC: Final = _m.take()
M_TRACE: Final = _m.take()  # kinds of events to record (tracing.TRACE_ bits), 0 for none
M_TRACE_RING: Final = _m.take()  # host address of the ring,
M_TRACE_COUNT: Final = _m.take()  # and the number of entries in it
M_TRACE_PAUSES: Final = _m.take()  # how many more landmarks the run loop stops at; see tracing
M_TRACE_LOWEST: Final = _m.take()  # the lowest privilege that a hart had so far
M_XRET: Final = _m.take()  # address of the xRET that the block now running ends with, + 1; 0 for none, or no trace
M_XRET_BITS: Final = _m.take()  # which instruction it is,
M_XRET_PRIV: Final = _m.take()  # and at which privilege
M_TIMING: Final = _m.take()  # the timing model's state of the hart in the engine, 0 without one
M_INSNS_END: Final = _m.take()  # with a timing model: H_INSNS at which the slice ends
M_ON_CODE: Final = _m.take()  # address of codehook.on_code
M_TIMING_STOP_SHORT: Final = _m.take()  # addresses of the timing model's entries, see timing.hooks
M_TIMING_REDIRECT: Final = _m.take()
M_TIMING_PENDING: Final = _m.take()
M_TIMING_WATCHED: Final = _m.take()
M_WIDEST: Final = _m.take()  # the largest MODE that satp takes
M_EVENTS_SUPPORTED: Final = _m.take()  # bit n: event n can be counted; see counters
M_SIZE: Final = _m.size

# --- a hart block ---------------------------------------------------------------------------------
_h = Words()
H_ENV: Final = _h.take(192)  # the hart's engine state while another hart runs
H_ID: Final = _h.take()
H_CLOCK: Final = _h.take()  # cycles, at the start of the slice
H_INSNS: Final = _h.take()  # instructions retired, likewise
H_WAITING: Final = _h.take()  # 1: in WFI
H_WAKE: Final = _h.take()  # clock of whoever raised an interrupt for a waiting hart
H_MTIMECMP: Final = _h.take()
H_MIP_LINES: Final = _h.take()  # interrupt lines from devices: MSIP MTIP MEIP SEIP
H_MIP_SOFT: Final = _h.take()  # bits software set: SSIP STIP SEIP
H_USER_PAGES: Final = _h.take()  # 1: the S-mode TLB holds user pages filled under SUM
H_SPIN_PC: Final = _h.take()  # WFI that fell through at once: where, and how often in a row
H_SPIN_COUNT: Final = _h.take()
H_COUNTINHIBIT: Final = _h.take()
H_MENVCFG: Final = _h.take()
H_SENVCFG: Final = _h.take()
H_PMP_CFG: Final = _h.take(16)
H_PMP_ADDR: Final = _h.take(16)
H_PMP_FIRST: Final = _h.take(16)  # decoded: first and last byte of each entry, first > last when off
H_PMP_LAST: Final = _h.take(16)
H_PMP_ACTIVE: Final = _h.take()  # number of entries up to the last that is not off
H_COUNTER_EVENT: Final = _h.take(32)  # of each counter by its number: what it counts; see counters
H_COUNTER_BASE: Final = _h.take(32)  # its value is this + the event's count, while it counts; this alone while stopped
H_TRAPS: Final = _h.take()  # traps taken
H_COUNTED_TRAPS: Final = _h.take()  # those of instructions that retired all the same: ECALL, EBREAK
H_TIMING: Final = _h.take()  # the timing model's state of this hart, 0 without one
H_EVENTS: Final = _h.take(EVENTS)  # how often each event happened; those that follow from the clock stay 0
H_SIZE: Final = _h.size

# --- a translation block's record -----------------------------------------------------------------
_r = Words()
R_MACHINE: Final = _r.take()  # the machine block
R_COUNT: Final = _r.take()  # instructions in the block; negative: look at R_FLAGS first
R_PC: Final = _r.take()  # virtual address of its first instruction
R_FLAGS: Final = _r.take()
R_BYTES: Final = _r.take()  # bytes of code in the block
R_TIMED: Final = _r.take()  # what the timing model knows of the block, 0 for nothing yet
R_SIZE: Final = _r.size
RECORD_REBUILD: Final = 1  # instructions inside that the code hook must see: translate again with it
RECORD_BREAK: Final = 2  # a breakpoint inside
RECORD_FP: Final = 4  # instructions inside that `fpsingle` mends
RECORD_XRET: Final = 8  # it ends with MRET or SRET, which a trace shows
RECORD_CALL: Final = 16  # a call or return that the guard wants to see

# --- why run() returns ----------------------------------------------------------------------------
STOP_NONE: Final = 0
STOP_LIMIT: Final = 1  # M_RUN_LIMIT used up
STOP_IDLE: Final = 2  # every hart waits and no timer is armed
STOP_TRAP_LOOP: Final = 3  # a trap handler that traps on its own first instruction
STOP_REQUEST: Final = 4  # a device, a host call or Python asked
STOP_HOSTCALL: Final = 5
STOP_BREAK: Final = 6
STOP_ENGINE: Final = 7  # uc_emu_start failed; M_STOP_ARG is its error
STOP_STEP: Final = 8
STOP_RECORDS: Final = 9  # record pool exhausted: Python flushes and calls again
STOP_TRACE: Final = 10  # trace ring full
STOP_CONSOLE: Final = 11  # console output waits to be taken
STOP_EVENT: Final = 12  # M_NEXT_EVENT is reached
STOP_PACE: Final = 13  # about to leap M_STOP_ARG cycles ahead
STOP_WATCH: Final = 14  # an access hit a watchpoint, and has been done (POINTS_BEFORE: is about to be)
STOP_GUARD: Final = 15  # the guard has found something; M_STOP_ARG says what

# --- what breakpoints and watchpoints do (M_POINTS) -------------------------------------------------
POINTS_STOP: Final = 0
POINTS_PASS: Final = 1  # nothing
POINTS_NOTE: Final = 2  # leave in M_LAST_HIT where the last hit was; steps must be counted
POINTS_BEFORE: Final = 3  # stop, watchpoints before the access
