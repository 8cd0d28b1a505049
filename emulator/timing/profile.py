"""A core's timing parameters, as data.

A `Profile` says everything that the timing model knows of one core: latencies, caches, TLBs and
predictors. `flat` profiles have no pipeline at all: every instruction takes one cycle. All times are
in cycles of the core. `load_profile` finds one of ours by name, or reads a user's TOML file.

    load_profile("rocket").l1d.miss        44

The tables of a file are the fields of these classes; `docs/timing.md` describes each with its source.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Issue:
    """How instructions enter the pipeline."""

    width: int = 1
    """Instructions issued in one cycle, at most: 1 or 2; two only if they use different units."""
    mispredict: int = 3
    """Cycles lost by a conditional branch, indirect jump or return that went elsewhere than predicted."""
    refetch: int = 4
    """Cycles lost when everything behind an instruction is fetched again: a CSR write, a trap, xRET, fence.i."""
    replay: int = 5
    """Cycles lost by an instruction that has to start again itself."""
    fetch_queue: int = 5
    """Fetch packets of four bytes that wait for the decoder, at most (1 … 8)."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Cycles from an instruction's issue to that of the first that uses its result; 1 is no wait."""

    load: int = 2
    """ld, lw, lwu, LR and AMO."""
    load_narrow: int = 3
    """lb, lbu, lh, lhu and SC."""
    csr: int = 3
    link: int = 2
    """The return address of jalr; that of jal is a plain result."""
    fp_load: int = 4
    fp_short: int = 4
    """fsgnj, fmin, fmax, conversions between formats, moves and conversions from integers; single FMA."""
    fp_fma_double: int = 6
    """fadd.d, fsub.d, fmul.d and fused multiply-adds of doubles."""
    fp_fma_single: int = 4
    fp_to_int: int = 3
    """Comparisons, fclass, moves and conversions to integers."""


@dataclass(frozen=True, slots=True)
class MulDiv:
    """The integer multiplier and divider: one iterative unit, or a pipelined multiplier."""

    mul_pipelined: bool = False
    """True: every multiplication takes `mul_latency`, and one can start each cycle."""
    mul_latency: int = 3
    """Of a pipelined multiplier."""
    mul_bits: int = 8
    """Bits of rs1 that an iterative multiplier takes in one cycle; it stops when none are left (1 … 64)."""
    div_base: int = 5
    """A division's latency besides one cycle for each bit of the quotient."""
    div_sign: int = 1
    """Cycles to negate operands, and again to negate the result."""


@dataclass(frozen=True, slots=True)
class FloatDivide:
    """Iterative floating-point division and square root: issue to issue of a user."""

    div_double: int = 58
    div_single: int = 29
    sqrt_double: int = 57
    sqrt_single: int = 28
    special: int = 6
    """With a zero, an infinity or a NaN among the operands."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A first-level cache with write-back and write-allocate."""

    sets: int = 64
    ways: int = 4
    line: int = 64
    """Bytes; sets, ways and line are powers of two."""
    replacement: str = "lfsr"
    """lfsr: the low bits of a 16-bit shift register that steps with every refill; lru: least recently used."""
    miss: int = 44
    """Cycles that a miss adds."""
    miss_dirty: int = 62
    """Cycles that a miss adds when the line that makes room must be written back (data cache only)."""


@dataclass(frozen=True, slots=True)
class Tlb:
    """A first-level TLB with pseudo-LRU replacement."""

    entries: int = 8
    sectors: int = 4
    """Adjacent pages that one entry maps; a power of two up to 8."""
    superpages: int = 4
    """Entries for pages larger than 4 KiB."""
    walk: int = 11
    """Cycles of a miss whose last table entry hits in the data cache, the levels above in the walker's own cache."""
    level: int = 4
    """Cycles for each further level that the walker must read."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """Branch target buffer, branch history table and return address stack."""

    btb_entries: int = 28
    btb_pages: int = 6
    """Different upper address parts that the BTB's entries may have."""
    btb_match: int = 14
    """Low address bits that an entry holds itself."""
    bht_entries: int = 512
    bht_history: int = 8
    """Bits of global history."""
    bht_counter: int = 1
    """Bits of a counter, 1 or 2."""
    ras_entries: int = 6
    redirect: int = 1
    """Cycles lost by a taken branch or jump that the BTB does not know but the fetch unit recognises."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Accesses that are no plain loads and stores."""

    amo: int = 2
    """Latency of AMO, LR (SC as a narrow load)."""
    store_replay: bool = True
    """A load from a doubleword stored by one of the two instructions before starts again."""
    fence: int = 3
    """Cycles between the last memory access and a fence behind it."""
    mmio: int = 7
    """A device register, read or written."""
    fence_i: int = 2
    """Cycles of fence.i besides the refetch of its own line."""
    sfence: int = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """A named core."""

    name: str
    title: str = ""
    """One line: which core, and where its parameters are from."""
    flat: bool = False
    """One cycle per instruction; nothing else below matters."""
    error: float | None = None
    """Mean absolute cycle error over the reference programs, in per cent; None: uncalibrated."""
    issue: Issue = field(default_factory=Issue)
    latency: Latency = field(default_factory=Latency)
    muldiv: MulDiv = field(default_factory=MulDiv)
    fdiv: FloatDivide = field(default_factory=FloatDivide)
    l1i: Cache = field(default_factory=lambda: Cache(miss=49))
    l1d: Cache = field(default_factory=Cache)
    itlb: Tlb = field(default_factory=lambda: Tlb(walk=10))
    dtlb: Tlb = field(default_factory=Tlb)
    predictor: Predictor = field(default_factory=Predictor)
    memory: Memory = field(default_factory=Memory)

    @property
    def accuracy(self) -> str:
        """The error band as one says it beside a figure of this profile."""
        if self.flat:
            return "one cycle per instruction"
        return "uncalibrated" if self.error is None else f"±{self.error:g} %"
