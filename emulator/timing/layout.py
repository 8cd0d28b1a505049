"""The timing model's state, as native code sees it: blocks of 64-bit words, offsets in bytes.

        P_   the machine's parameters, one copy (a profile, laid out once)
        T_   a hart's state: pipeline, caches, TLBs, predictors
        D_   what is known of one translated block      O_   of one of its instructions
        E_   an edge of the automaton: what a block did once, and will do again (`automaton`)
        S_   a state of the automaton: the pipeline between two blocks, in cycles from now

Only T_ is state. The rest is computed from code and parameters, and can be dropped at any time.
"""

from __future__ import annotations

from typing import Final

from ..engine.layout import Words
from .events import Stall

# --- limits ---------------------------------------------------------------------------------------
MAX_BTB: Final = 64
MAX_PAGES: Final = 16
MAX_RAS: Final = 32
MAX_BHT: Final = 32768
MAX_LINES: Final = 4096  # of one cache
MAX_TLB: Final = 64
MAX_SUPER: Final = 16
WALK_CACHE: Final = 8  # entries of the page walker's cache
MAX_EVENTS: Final = 600  # of one block: no block has more instructions, and few of them have two
QUEUE: Final = 8  # longest fetch queue
FILTER: Final = 256
STALLS: Final = len(Stall)

# --- parameters -----------------------------------------------------------------------------------
_p = Words()
P_WIDTH: Final = _p.take()
P_MISPREDICT: Final = _p.take()
P_REFETCH: Final = _p.take()
P_REPLAY: Final = _p.take()
P_QUEUE: Final = _p.take()
P_LOAD: Final = _p.take()
P_LOAD_NARROW: Final = _p.take()
P_CSR: Final = _p.take()
P_LINK: Final = _p.take()
P_FP_LOAD: Final = _p.take()
P_FP_SHORT: Final = _p.take()
P_FP_DOUBLE: Final = _p.take()
P_FP_SINGLE: Final = _p.take()
P_FP_TO_INT: Final = _p.take()
P_MUL_PIPELINED: Final = _p.take()
P_MUL_LATENCY: Final = _p.take()
P_MUL_BITS: Final = _p.take()
P_DIV_BASE: Final = _p.take()
P_DIV_SIGN: Final = _p.take()
P_FDIV_D: Final = _p.take()
P_FDIV_S: Final = _p.take()
P_FSQRT_D: Final = _p.take()
P_FSQRT_S: Final = _p.take()
P_FDIV_SPECIAL: Final = _p.take()
P_AMO: Final = _p.take()
P_STORE_REPLAY: Final = _p.take()
P_FENCE: Final = _p.take()
P_MMIO: Final = _p.take()
P_FENCE_I: Final = _p.take()
P_SFENCE: Final = _p.take()
P_REDIRECT: Final = _p.take()
# Both caches have the same words, and both TLBs; C_ and X_ are offsets from P_L1I / P_L1D and P_ITLB / P_DTLB.
_c = Words()
C_SETS: Final = _c.take()
C_SET_BITS: Final = _c.take()
C_WAYS: Final = _c.take()
C_LINE_BITS: Final = _c.take()
C_LRU: Final = _c.take()
C_MISS: Final = _c.take()
C_MISS_DIRTY: Final = _c.take()
P_L1I: Final = _p.take(_c.size // 8)
P_L1D: Final = _p.take(_c.size // 8)
_x = Words()
X_ENTRIES: Final = _x.take()
X_SECTOR_BITS: Final = _x.take()
X_SUPERPAGES: Final = _x.take()
X_WALK: Final = _x.take()
X_LEVEL: Final = _x.take()
X_PLRU: Final = _x.take(2 * MAX_TLB)
X_SUPER_PLRU: Final = _x.take(2 * MAX_SUPER)
P_ITLB: Final = _p.take(_x.size // 8)
P_DTLB: Final = _p.take(_x.size // 8)
P_BTB: Final = _p.take()
P_BTB_PAGES: Final = _p.take()
P_BTB_MATCH: Final = _p.take()
P_BHT: Final = _p.take()
P_BHT_BITS: Final = _p.take()
P_BHT_HISTORY: Final = _p.take()
P_BHT_HASH: Final = _p.take()  # multiplier of the history's hash
P_BHT_HASH_BITS: Final = _p.take()
P_BHT_COUNTER: Final = _p.take()
P_RAS: Final = _p.take()
P_BTB_PLRU: Final = _p.take(2 * MAX_BTB)  # what a use keeps of the PLRU state, and what it sets, by way
P_WALK_PLRU: Final = _p.take(2 * WALK_CACHE)
P_SIZE: Final = _p.size

# --- a hart's state -------------------------------------------------------------------------------
_t = Words()
T_PARAMS: Final = _t.take()  # host address of the P_ block
T_EVENTS: Final = _t.take()  # host address of the hart's event counters, a word per Event
T_HITS: Final = _t.take()  # host address of the hart's hits per edge, for the stalls
T_POOL: Final = _t.take()  # host address of the pool of edges and states (A_)
T_HART: Final = _t.take()  # the hart's block in the engine's layout
T_FIRST_STATE: Final = _t.take()  # everything from here on is state: see `STATE`
T_STATE: Final = _t.take()  # the pipeline's state: an S_ block's host address, 0 for "as in T_SAVED"
T_PENDING: Final = _t.take()  # D_ block that has been started and not yet been accounted for, 0 for none
T_LAST_END: Final = _t.take()  # D_CFI of the block accounted for last, -1 after a trap,
T_LAST_PACKET: Final = _t.take()  # its D_PACKET, D_HALF and D_DECEIVES
T_LAST_HALF: Final = _t.take()
T_LAST_DECEIVES: Final = _t.take()
T_BEFORE_DECEIVES: Final = _t.take()  # D_DECEIVES of the packet before that one
T_KEY: Final = _t.take()  # hash of the state and of what happened in it so far
T_ENTRY: Final = _t.take()  # how fetch comes to the next block: ENTRY_ values
T_NEXT_OP: Final = _t.take()  # the pending block's next instruction that the code hook waits for
T_FETCH_COUNT: Final = _t.take()  # what happened in the pending block: first what fetching it brought,
T_EVENT_COUNT: Final = _t.take()  # then what executing it did
T_EVENT_LIST: Final = _t.take(MAX_EVENTS)  # instruction index << 32 | EV_ bits << 20 | cycles
T_FETCHED: Final = _t.take()  # last instruction line looked up: address / line size, -1 for none
T_FETCH_PAGE: Final = _t.take()  # page of it, -1 for none: to be looked up in the instruction TLB again
T_DATA_PAGE: Final = _t.take()  # last page looked up in the data TLB, -1 for none
T_DATA_FRAME: Final = _t.take()  # its physical address
T_STORE_A: Final = _t.take()  # the last two stores: address >> 3, and the bytes written
T_STORE_A_MASK: Final = _t.take()
T_STORE_B: Final = _t.take()
T_STORE_B_MASK: Final = _t.take()
T_HISTORY: Final = _t.take()  # global branch history
T_HISTORY_BEFORE: Final = _t.take()  # and before its last shift
T_ASTRAY: Final = _t.take()  # where fetch went from a jump that went elsewhere, -1 for nowhere in particular
T_WRONG_PATH: Final = _t.take()  # 1: fetch believes that it is astray, and learns nothing
T_CFI_PACKET: Final = _t.take()  # fetch packet of the last control transfer,
T_CFI_BUBBLES: Final = _t.take()  # and how many cycles fetch paused behind it
T_RAS_TOP: Final = _t.take()
T_RAS_DEPTH: Final = _t.take()
T_RAS_BEFORE: Final = _t.take()  # its head before the last push or pop, RAS_SAME if a branch came since
T_RAS: Final = _t.take(MAX_RAS)
T_BTB_TOUCHED: Final = _t.take()  # the entry touched last, -1 for none
T_BTB_PLRU: Final = _t.take()
T_BTB_LATE: Final = _t.take()  # packet of an update of the BTB that is under way, -1 for none;
T_BTB_LATE_KIND: Final = _t.take()  # what else `predictor.btb_update` is told
T_BTB_LATE_ENTRY: Final = _t.take()
T_BTB_LATE_TARGET: Final = _t.take()
T_BTB_NEXT_PAGE: Final = _t.take()
T_BTB_PAGE: Final = _t.take(MAX_PAGES)  # upper address parts, -1 for none
T_BTB_KEY: Final = _t.take(MAX_BTB)  # packet address that an entry is for, -1 for none
T_BTB_FILTER: Final = _t.take(FILTER)  # entries by a hash of their packet: 0 says that there is none
T_BTB_TARGET: Final = _t.take(MAX_BTB)
T_BTB_KIND: Final = _t.take(MAX_BTB)  # CFI_ value << 1 | halfword of the branch in its packet
T_BTB_PAGES: Final = _t.take(MAX_BTB)  # page register of the key << 8 | of the target
T_BHT: Final = _t.take(MAX_BHT)
T_L1I_SHIFT: Final = _t.take()  # the replacement register
T_L1I_EPOCH: Final = _t.take()  # moves with every change of the cache
T_L1I_TAGS: Final = _t.take(MAX_LINES)  # line address << 2 | dirty << 1 | valid, set by set
T_L1I_USED: Final = _t.take(MAX_LINES)  # when it was used last (lru)
T_L1D_SHIFT: Final = _t.take()
T_L1D_EPOCH: Final = _t.take()
T_L1D_TAGS: Final = _t.take(MAX_LINES)
T_L1D_USED: Final = _t.take(MAX_LINES)
T_L1D_LATEST: Final = _t.take(MAX_LINES)  # by set: a tag that is there (not for lru)
T_TICK: Final = _t.take()  # counts cache accesses, for lru
# A TLB, offsets from T_ITLB / T_DTLB.
_b = Words()
B_PLRU: Final = _b.take()
B_SUPER_PLRU: Final = _b.take()
B_TAG: Final = _b.take(MAX_TLB)  # sector number (virtual page >> sector bits), -1 for none
B_VALID: Final = _b.take(MAX_TLB)  # a bit for each page of the sector
B_PPN: Final = _b.take(MAX_TLB * 8)  # its pages' physical page numbers
B_SUPER_BASE: Final = _b.take(MAX_SUPER)  # first virtual page, -1 for none
B_SUPER_SIZE: Final = _b.take(MAX_SUPER)  # pages
B_SUPER_PPN: Final = _b.take(MAX_SUPER)
T_ITLB: Final = _t.take(_b.size // 8)
T_DTLB: Final = _t.take(_b.size // 8)
T_WALK_PLRU: Final = _t.take()
T_WALK_KEY: Final = _t.take(WALK_CACHE)  # physical address of a table entry that points to a table, -1 for none
T_SHORT_STALLS: Final = _t.take(STALLS)  # cycles lost in blocks that ended early, and folded from edges that are gone
T_HOST: Final = _t.take()  # cycles of instructions that the host did for the hart (`charge`)
T_SAVED: Final = _t.take(16)  # the pipeline's state as S_ words, while T_STATE is 0
T_SIZE: Final = _t.size
T_SCRATCH: Final = T_SIZE  # working memory of `pipeline.run`, not state
_w = Words()
W_READY: Final = _w.take(64)  # cycle from which a register can be read, by register (32 up: floating point)
W_CAUSE: Final = _w.take(64)  # what its readers wait for: a Stall
W_QUEUE: Final = _w.take(QUEUE)  # cycles in which the last packets left the fetch queue, youngest first
W_STALLS: Final = _w.take(16)
W_STATE: Final = _w.take(16)  # the state that is being packed
SCRATCH_SIZE: Final = _w.size

# --- how fetch comes to a block ---------------------------------------------------------------------
ENTRY_SEQUENTIAL: Final = 0  # from the instruction before
ENTRY_PREDICTED: Final = 1  # by a jump that fetch foresaw
ENTRY_REDIRECT: Final = 2  # by a jump that fetch recognised late
ENTRY_MISPREDICT: Final = 3
ENTRY_FLUSH: Final = 4  # after a trap, xRET or interrupt

# --- a block's instructions -------------------------------------------------------------------------
_o = Words()
O_WORD: Final = _o.take()  # see `decode`
O_IMM: Final = _o.take()
O_PC: Final = _o.take()
O_NEXT: Final = _o.take()  # the next watched instruction's O_ block; in the block's last one, an O_ block at no address
O_SIZE: Final = _o.size

_d = Words()
D_EDGE: Final = _d.take()  # the edge taken last, 0 for none
D_COUNT: Final = _d.take()  # instructions
D_OPS: Final = _d.take()  # host address of the first O_ block
D_PC: Final = _d.take()
D_FALL: Final = _d.take()  # address behind the block
D_CFI: Final = _d.take()  # kind of its last instruction: CFI_ values
D_BHT: Final = _d.take()  # its packet's part of the index of the history table
D_PACKET: Final = _d.take()  # fetch packet of that instruction's last halfword
D_HALF: Final = _d.take()  # 0 or 1: which halfword of the packet that is
D_DECEIVES: Final = _d.take()  # in which halfwords that packet would deceive fetch (`blocks.deceives`),
D_DECEIVES_BEFORE: Final = _d.take()  # and the packet before; -1 if that is not the block's
D_FIRST_HOOKED: Final = _d.take()  # first O_ block that the code hook waits for, 0 for none
D_BTB: Final = _d.take()  # BTB entry that this CFI had last
D_TARGET: Final = _d.take()  # where a conditional branch goes, -1 for not yet looked up
D_WRONG_FALL: Final = _d.take()  # packets behind it, and at its target, that leave no traces when fetched in
D_WRONG_TAKEN: Final = _d.take()  # error (`wrongpath`), -1 for not yet counted;
D_WRONG_EPOCH: Final = _d.take()  # counted when A_CODE_EPOCH was this
D_L1I_EPOCH: Final = _d.take()  # all its lines were in the cache at this epoch, -1 for never; never across two pages
D_LINE: Final = _d.take()  # first and last line
D_LAST_LINE: Final = _d.take()
D_LINES: Final = _d.take()  # number of them
D_SIZE: Final = _d.size

RAS_SAME: Final = -2

CFI_NONE: Final = 0
CFI_BRANCH: Final = 1
CFI_JUMP: Final = 2  # jal x0
CFI_CALL: Final = 3  # jal ra
CFI_INDIRECT: Final = 4  # jalr x0
CFI_INDIRECT_CALL: Final = 5
CFI_RETURN: Final = 6
END_FENCE_I: Final = 7  # no control transfers, but ends of a block that change what is cached
END_SYSTEM: Final = 8  # xRET, ecall, a CSR write: the next block may be in another address space

# --- the automaton ------------------------------------------------------------------------------------
_e = Words()
E_KEY: Final = _e.take()
E_BLOCK: Final = _e.take()  # the D_ block it belongs to
E_CYCLES: Final = _e.take()
E_NEXT: Final = _e.take()  # the S_ block it leads to
E_FLAGS: Final = _e.take()  # EF_ bits
E_CHAIN: Final = _e.take()  # the next edge with the same hash
E_NUMBER: Final = _e.take()
E_STALLS: Final = _e.take(4)  # sixteen 16-bit numbers of cycles, by Stall
E_SIZE: Final = _e.size
EF_QUEUE_EMPTY: Final = 1  # fewer than two packets waited when the last control transfer was fetched
EF_QUEUE_FULL: Final = 2  # its packet had to wait for room in the queue
EF_RESTARTED: Final = 4  # fetch started over within the block
EF_REPLAYS: Final = 8  # shift of the number of instructions that started again

S_WORDS: Final = 16
_s = Words()
S_PACKED: Final = _s.take(S_WORDS)
S_KEY: Final = _s.take()  # where a key begins in this state
S_CHAIN: Final = _s.take()
S_SIZE: Final = _s.size

_a = Words()
A_EDGES: Final = _a.take()
A_EDGE_COUNT: Final = _a.take()
A_EDGE_LIMIT: Final = _a.take()
A_EDGE_BUCKETS: Final = _a.take()
A_STATES: Final = _a.take()
A_STATE_COUNT: Final = _a.take()
A_STATE_LIMIT: Final = _a.take()
A_STATE_BUCKETS: Final = _a.take()
A_OPS_NEXT: Final = _a.take()
A_OPS_END: Final = _a.take()
A_BLOCKS_NEXT: Final = _a.take()
A_BLOCKS_END: Final = _a.take()
A_CODE_EPOCH: Final = _a.take()  # moves with every FENCE.I: what was read of code beside a block may be another now
A_FULL: Final = _a.take()  # 1: something ran out; everything is to be dropped
A_SIZE: Final = _a.size
BUCKETS: Final = 1 << 16

# --- what happens to one instruction: bits beside the cycles of a T_EVENT_LIST word ---------------------
EV_STALL: Final = 1  # `cycles` more, in the data cache or its TLB
EV_TLB: Final = 2  # some of them by a TLB miss
EV_MMIO: Final = 4
EV_MATCH_A: Final = 8  # a load that reads what the last store,
EV_MATCH_B: Final = 16  # or the one before it, wrote
EV_FIRST_DIRTY: Final = 32  # a store to a line that was clean
EV_OPERAND: Final = 64  # `cycles` is how long the multiplier or divider works
EV_FETCH: Final = 128  # an instruction line or page was missing: `cycles` until it is there
EV_FETCH_TLB: Final = 256
EV_DIRTY: Final = 512  # the miss wrote a line back
