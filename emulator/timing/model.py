"""The native timing model of a machine: its memory, and its connection to the engine."""

from __future__ import annotations

import ctypes
import functools
import math
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import clock, layout, mmu, native, pmp, tracing
from ..engine.engine import Engine
from . import (
    access, automaton, blocks, caches, charge, decode, events, fetch, hooks, packed, pipeline, plru, predictor, tlb,
    units, wrongpath,
)
from . import layout as timing_layout
from .events import Event, Stall, event_mask
from .profile import Cache, DataCache, Profile, Tlb
from .layout import (
    A_BLOCKS_END, A_BLOCKS_NEXT, A_EDGES, A_EDGE_BUCKETS, A_EDGE_COUNT, A_EDGE_LIMIT, A_FULL, A_OPS_END, A_OPS_NEXT,
    A_SIZE, A_STATES, A_STATE_BUCKETS, A_STATE_COUNT, A_STATE_LIMIT, BUCKETS, B_SUPER_BASE, B_SUPER_SIZE, B_TAG,
    B_VALID, C_LINE_BITS, C_LRU, C_MISS, C_MISS_DIRTY, C_SETS, C_SET_BITS, C_WAYS, D_SIZE, ENTRY_FLUSH, E_SIZE,
    E_STALLS, MAX_BTB, MAX_EVENTS, MAX_LINES, MAX_PAGES, O_SIZE, P_AMO, P_BHT, P_BHT_BITS, P_BHT_COUNTER, P_BHT_HASH,
    P_BHT_HASH_BITS, P_BHT_HISTORY, P_BTB, P_BTB_MATCH, P_BTB_PAGES, P_BTB_PLRU, P_CSR, P_DIV_BASE, P_DIV_SIGN, P_DTLB,
    P_FDIV_D, P_FDIV_S, P_FDIV_SPECIAL, P_FENCE, P_FENCE_I, P_FP_DOUBLE, P_FP_LOAD, P_FP_SHORT, P_FP_SINGLE,
    P_FP_TO_INT, P_FSQRT_D, P_FSQRT_S, P_ITLB, P_L1D, P_L1I, P_LINK, P_LOAD, P_LOAD_NARROW, P_MISPREDICT, P_MMIO,
    P_MUL_BITS, P_MUL_LATENCY, P_MUL_PIPELINED, P_QUEUE, P_RAS, P_REDIRECT, P_REFETCH, P_REPLAY, P_SFENCE, P_SIZE,
    P_STORE_REPLAY, P_WALK_PLRU, P_WIDTH, RAS_SAME, SCRATCH_SIZE, STALLS, S_SIZE, S_WORDS, T_BTB_KEY, T_BTB_LATE,
    T_BTB_PAGE, T_BTB_TOUCHED, T_CFI_PACKET, T_DATA_PAGE, T_DTLB, T_ENTRY, T_EVENTS, T_EVENT_COUNT, T_EVENT_LIST,
    T_FETCHED, T_FETCH_COUNT, T_FETCH_PAGE, T_FIRST_STATE, T_HART, T_HITS, T_HOST, T_ITLB, T_KEY, T_L1D_EPOCH,
    T_L1D_LATEST, T_L1D_SHIFT, T_L1D_TAGS, T_L1I_EPOCH, T_L1I_SHIFT, T_L1I_TAGS, T_NEXT_OP, T_PARAMS, T_POOL,
    T_RAS_BEFORE, T_SAVED, T_SHORT_STALLS, T_SIZE, T_STATE, T_STORE_A, T_STORE_B, T_WALK_KEY, WALK_CACHE, X_ENTRIES,
    X_LEVEL, X_PLRU, X_SECTOR_BITS, X_SUPERPAGES, X_SUPER_PLRU, X_WALK,
)

MODULES: tuple[ModuleType, ...] = (
    decode, caches, plru, tlb, predictor, packed, units, pipeline, automaton, blocks, access, fetch, wrongpath, hooks,
    charge,
)
"""The modules with the model's native functions."""
SUPPORT: tuple[ModuleType, ...] = (clock, pmp, mmu)
"""The engine's modules whose functions they call."""

EDGES = 1 << 18
STATES = 1 << 16
OPS = 1 << 21
BLOCKS = 1 << 18
UNKNOWN = ((T_BTB_KEY, MAX_BTB), (T_BTB_PAGE, MAX_PAGES), (T_BTB_TOUCHED, 1), (T_BTB_LATE, 1),
           (T_CFI_PACKET, 1), (T_STORE_A, 1), (T_STORE_B, 1))
"""Words of a hart's state that are -1 after reset, and how many of each."""
UNCACHED = ((T_WALK_KEY, WALK_CACHE), (T_DATA_PAGE, 1), (T_FETCHED, 1), (T_FETCH_PAGE, 1))
"""The same for what stands for the contents of caches and TLBs."""
OVER = (T_KEY, T_NEXT_OP, T_FETCH_COUNT, T_EVENT_COUNT)
"""Words, with the T_EVENT_LIST, that tell of a pending block, and mean nothing when none is."""
MARGIN = 64
"""Edges and states kept free: what may still be made after a pool was found full."""


@functools.cache
def _code(notice: _Notice) -> native.Code:
    return native.load(MODULES, notice.tell, support=SUPPORT, constants=(timing_layout, events, tracing))


class _Notice:
    """Where to send news of a compilation; all alike to the cache."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self.tell = tell

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Notice)

    def __hash__(self) -> int:
        return 0


_LOADING = threading.Lock()


class Model:
    """Counts the cycles of `engine`'s harts with the pipeline, caches and predictors of `profile`."""

    def __init__(self, engine: Engine, profile: Profile, notice: Callable[[str], None] | None = None) -> None:
        with _LOADING:
            code = _code(_Notice(notice))
        self._engine = engine
        self._params = parameters(profile)
        self._state = np.zeros((engine.harts, (T_SIZE + SCRATCH_SIZE) // 8), dtype=np.int64)
        self._addresses = [_address(row) for row in self._state]
        self._hits = np.zeros((engine.harts, EDGES + MARGIN), dtype=np.int64)
        self._pool = np.zeros(A_SIZE // 8, dtype=np.int64)
        self._edges = np.zeros((EDGES + MARGIN, E_SIZE // 8), dtype=np.int64)
        self._states = np.zeros((STATES + MARGIN, S_SIZE // 8), dtype=np.int64)
        self._buckets = np.zeros((2, BUCKETS), dtype=np.int64)
        self._ops = np.zeros(OPS * O_SIZE // 8, dtype=np.int64)
        self._blocks = np.zeros(BLOCKS * D_SIZE // 8, dtype=np.int64)
        self.on_block = code.address(hooks.on_block)
        self.on_code = code.address(hooks.on_code)
        self.entries = {
            layout.M_TIMING_STOP_SHORT: code.address(hooks.stop_short),
            layout.M_TIMING_REDIRECT: code.address(hooks.redirect),
            layout.M_TIMING_PENDING: code.address(hooks.pending_cycles),
            layout.M_TIMING_WATCHED: code.address(hooks.watched),
        }
        self._charge = native.function(code, charge.charge)
        engine.set_word(layout.M_EVENTS_SUPPORTED, event_mask(Event) & ~1)
        engine.state_arrays |= {"timing": self._state[:, T_FIRST_STATE >> 3:T_SIZE >> 3]}
        engine.attach_timing(self)

    def _word(self, hart: int, field: int) -> int:
        return int(self._state[hart, field >> 3])

    def _set(self, hart: int, field: int, value: int) -> None:
        self._state[hart, field >> 3] = value

    def _fill(self, hart: int, field: int, count: int, value: int) -> None:
        self._state[hart, field >> 3:(field >> 3) + count] = value

    def reset(self) -> None:
        """Every hart as after power-on: caches, TLBs and predictors empty, nothing counted."""
        self._state[:, T_FIRST_STATE >> 3:] = 0
        self._hits[:] = 0
        for hart in range(self._engine.harts):
            block = self._engine.hart_block[hart]
            for field, address in ((T_PARAMS, _address(self._params)), (T_EVENTS, block + layout.H_EVENTS),
                                   (T_HITS, _address(self._hits[hart])), (T_POOL, _address(self._pool)),
                                   (T_HART, block)):
                self._set(hart, field, address)
            for field, count in UNKNOWN:
                self._fill(hart, field, count, -1)
            self._empty(hart)
            self._set(hart, T_RAS_BEFORE, RAS_SAME)
            self._set(hart, T_L1I_EPOCH, hart << 48)  # never that of another hart: they share what is known of blocks
            self._set(hart, T_L1I_SHIFT, 1)
            self._set(hart, T_L1D_SHIFT, 1)
            self._set(hart, T_ENTRY, ENTRY_FLUSH)
            self._engine.set_hart_word(hart, layout.H_TIMING, _address(self._state[hart]))
        self._engine.set_word(layout.M_TIMING, _address(self._state[0]))
        self.drop_blocks()

    def empty_caches(self) -> None:
        """Every hart's caches and TLBs empty, in no time; dirty lines are not written back, counts are kept."""
        self.drop_blocks()
        for hart in range(self._engine.harts):
            self._empty(hart)

    def _empty(self, hart: int) -> None:
        for field in (T_L1I_TAGS, T_L1D_TAGS, T_L1D_LATEST):
            self._fill(hart, field, MAX_LINES, 0)
        for field in (T_L1I_EPOCH, T_L1D_EPOCH):
            self._set(hart, field, self._word(hart, field) + 1)
        for field, count in UNCACHED:
            self._fill(hart, field, count, -1)
        for tlb_at in (T_ITLB, T_DTLB):
            self._fill(hart, tlb_at + B_TAG, (B_VALID - B_TAG) // 8, -1)
            self._fill(hart, tlb_at + B_SUPER_BASE, (B_SUPER_SIZE - B_SUPER_BASE) // 8, -1)

    def drop_blocks(self) -> None:
        """Forget all blocks, edges and states; what the harts lost in them so far is kept."""
        self._fold_stalls()
        self.settle()
        self._edges[:self._pool[A_EDGE_COUNT >> 3]] = 0
        self._buckets[:] = 0
        for field, value in ((A_EDGES, _address(self._edges)), (A_EDGE_COUNT, 0), (A_EDGE_LIMIT, EDGES),
                             (A_EDGE_BUCKETS, _address(self._buckets[0])), (A_STATES, _address(self._states)),
                             (A_STATE_COUNT, 0), (A_STATE_LIMIT, STATES),
                             (A_STATE_BUCKETS, _address(self._buckets[1])), (A_OPS_NEXT, _address(self._ops)),
                             (A_OPS_END, _address(self._ops) + self._ops.nbytes),
                             (A_BLOCKS_NEXT, _address(self._blocks)),
                             (A_BLOCKS_END, _address(self._blocks) + self._blocks.nbytes), (A_FULL, 0)):
            self._pool[field >> 3] = value

    def save(self) -> None:
        """Bring all of the harts' state into their own memory, for a snapshot."""
        self._fold_stalls()
        self.settle()
        for field in OVER:
            self._state[:, field >> 3] = 0
        self._state[:, T_EVENT_LIST >> 3:(T_EVENT_LIST >> 3) + MAX_EVENTS] = 0

    def load(self) -> None:
        """The harts' state is another now: forget what blocks know of the one before."""
        self._hits[:] = 0
        self._engine.flush_translations()

    def _fold_stalls(self) -> None:
        """Count what was lost in each block in the harts' own memory."""
        at = T_SHORT_STALLS >> 3
        for hart in range(self._engine.harts):
            self._state[hart, at:at + STALLS] += self._edge_stalls(hart)
        self._hits[:] = 0

    def settle(self) -> None:
        """Bring each hart's pipeline state into its own memory, so that it does not depend on the pool."""
        for hart in range(self._engine.harts):
            state = self._word(hart, T_STATE)
            if state:
                words = (ctypes.c_int64 * S_WORDS).from_address(state)
                self._state[hart, T_SAVED >> 3:(T_SAVED >> 3) + S_WORDS] = list(words)
                self._set(hart, T_STATE, 0)

    def charge(self, hart: int, address: int, physical: int, size: int, kind: int, overhead: int,
               stride: int = charge.WORD) -> int:
        """Charge an access of the host's to `hart`, whose clock goes on; the cycles it took.

        `size` bytes at `physical`, which `hart` knows as `address`, of which a word in every `stride` is
        accessed; `kind` is a CHARGE_ value of `charge`, `overhead` instructions besides one for each word.
        Not while the machine runs.
        """
        return self._charge(self._addresses[hart], self._engine.block, self._engine.state_address(hart), address,
                            physical, size, kind, overhead, stride)

    def _edge_stalls(self, hart: int) -> npt.NDArray[np.int64]:
        """Cycles that `hart` lost in the blocks now known, by Stall."""
        count = int(self._pool[A_EDGE_COUNT >> 3])
        if count == 0:
            return np.zeros(STALLS, dtype=np.int64)
        packed = self._edges[:count, E_STALLS >> 3:(E_STALLS >> 3) + 4].copy()
        lost = packed.view(np.uint16).reshape(count, 16)[:, :STALLS].astype(np.int64)
        return self._hits[hart, :count] @ lost

    def stalls(self, hart: int) -> dict[Stall, int]:
        """Cycles that `hart` lost since reset, by cause."""
        at = T_SHORT_STALLS >> 3
        total = self._state[hart, at:at + STALLS] + self._edge_stalls(hart)
        return {stall: int(total[stall]) for stall in Stall}

    def host_cycles(self, hart: int) -> int:
        """Cycles of the instructions that the host did for `hart` since reset (`charge`)."""
        return self._word(hart, T_HOST)

    def count(self, event: Event) -> int:
        """How often all harts together met with `event` since reset."""
        return sum(self._engine.hart_word(hart, layout.H_EVENTS + 8 * event) for hart in range(self._engine.harts))

    def events(self, hart: int) -> dict[Event, int]:
        """How often `hart` met with each event since reset."""
        return {event: self._engine.hart_word(hart, layout.H_EVENTS + 8 * event) for event in Event}


def parameters(profile: Profile) -> npt.NDArray[np.int64]:
    """`profile` as the block of words that native code reads."""
    words = np.zeros(P_SIZE // 8, dtype=np.int64)
    predictor = profile.predictor
    hash_bits = min(3, predictor.bht_history)
    plain: dict[int, int] = {
        P_WIDTH: profile.issue.width, P_MISPREDICT: profile.issue.mispredict, P_REFETCH: profile.issue.refetch,
        P_REPLAY: profile.issue.replay, P_QUEUE: profile.issue.fetch_queue,
        P_LOAD: profile.latency.load, P_LOAD_NARROW: profile.latency.load_narrow, P_CSR: profile.latency.csr,
        P_LINK: profile.latency.link, P_FP_LOAD: profile.latency.fp_load, P_FP_SHORT: profile.latency.fp_short,
        P_FP_DOUBLE: profile.latency.fp_fma_double, P_FP_SINGLE: profile.latency.fp_fma_single,
        P_FP_TO_INT: profile.latency.fp_to_int,
        P_MUL_PIPELINED: int(profile.muldiv.mul_pipelined), P_MUL_LATENCY: profile.muldiv.mul_latency,
        P_MUL_BITS: profile.muldiv.mul_bits, P_DIV_BASE: profile.muldiv.div_base, P_DIV_SIGN: profile.muldiv.div_sign,
        P_FDIV_D: profile.fdiv.div_double, P_FDIV_S: profile.fdiv.div_single, P_FSQRT_D: profile.fdiv.sqrt_double,
        P_FSQRT_S: profile.fdiv.sqrt_single, P_FDIV_SPECIAL: profile.fdiv.special,
        P_AMO: profile.memory.amo, P_STORE_REPLAY: int(profile.memory.store_replay), P_FENCE: profile.memory.fence,
        P_MMIO: profile.memory.mmio, P_FENCE_I: profile.memory.fence_i, P_SFENCE: profile.memory.sfence,
        P_REDIRECT: predictor.redirect, P_BTB: predictor.btb_entries, P_BTB_PAGES: predictor.btb_pages,
        P_BTB_MATCH: predictor.btb_match, P_BHT: predictor.bht_entries,
        P_BHT_BITS: predictor.bht_entries.bit_length() - 1,
        P_BHT_HISTORY: predictor.bht_history, P_BHT_HASH: int(math.sqrt(3) / 2 * 2 ** predictor.bht_history),
        P_BHT_HASH_BITS: hash_bits, P_BHT_COUNTER: predictor.bht_counter, P_RAS: predictor.ras_entries,
    }
    for base, cache in ((P_L1I, profile.l1i), (P_L1D, profile.l1d)):
        plain |= {base + field: value for field, value in _cache(cache).items()}
    for base, tlb_ in ((P_ITLB, profile.itlb), (P_DTLB, profile.dtlb)):
        plain |= {base + field: value for field, value in _tlb(tlb_).items()}
    for field, value in plain.items():
        words[field >> 3] = value
    for field, ways in ((P_BTB_PLRU, predictor.btb_entries), (P_WALK_PLRU, WALK_CACHE),
                        (P_ITLB + X_PLRU, profile.itlb.entries), (P_ITLB + X_SUPER_PLRU, profile.itlb.superpages),
                        (P_DTLB + X_PLRU, profile.dtlb.entries), (P_DTLB + X_SUPER_PLRU, profile.dtlb.superpages)):
        table = plru.plru_table(ways)
        words[field >> 3:(field >> 3) + len(table)] = table
    return words


def _cache(cache: Cache) -> dict[int, int]:
    return {C_SETS: cache.sets, C_SET_BITS: cache.sets.bit_length() - 1, C_WAYS: cache.ways,
            C_LINE_BITS: cache.line.bit_length() - 1, C_LRU: int(cache.replacement == "lru"), C_MISS: cache.miss,
            C_MISS_DIRTY: cache.miss_dirty if isinstance(cache, DataCache) else 0}


def _tlb(tlb_: Tlb) -> dict[int, int]:
    return {X_ENTRIES: tlb_.entries, X_SECTOR_BITS: tlb_.sectors.bit_length() - 1, X_SUPERPAGES: tlb_.superpages,
            X_WALK: tlb_.walk, X_LEVEL: tlb_.level}


def _address(array: npt.NDArray[Any]) -> int:
    return int(array.ctypes.data)
