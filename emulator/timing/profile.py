"""A core's timing parameters, as data.

A `Profile` says everything that the timing model knows of one core: latencies, caches, TLBs and
predictors. `flat` profiles have no pipeline at all: every instruction takes one cycle. All times are
in cycles of the core. `load_profile` finds one of ours by name, or reads a user's TOML file.

    load_profile("rocket").l1d.miss        44

The tables of a file are the fields of these classes, each with its meaning, range and unit
(`parameter`); PARAMETERS has them all by name. Ranges are those that the model has room for (`layout`).
Defaults are those of the reference core, Rocket.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from ..errors import ProfileError
from .layout import MAX_BHT, MAX_BTB, MAX_LINES, MAX_PAGES, MAX_RAS, MAX_SUPER, QUEUE
from .parameter import METADATA, Parameter, Value, choice, flag, shown, whole

REPLACEMENTS: Final = ("lfsr", "lru")
"""What `replacement` may be; native code has the index."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
"""What a profile may be called."""
LONGEST_TITLE: Final = 120
MOST_PLRU: Final = 64
"""Ways of which a word holds the pseudo-LRU bits."""


@dataclass(frozen=True, slots=True)
class Issue:
    """How instructions enter the pipeline."""

    width: int = whole(1, 1, 2, "instructions", "Issued in one cycle, at most; two only if they use different units.")
    mispredict: int = whole(3, 0, 100, "cycles", "Lost by a conditional branch, indirect jump or return that went "
                                                 "elsewhere than predicted.")
    refetch: int = whole(4, 0, 60, "cycles", "Lost when everything behind an instruction is fetched again: a CSR "
                                              "write, a trap, xRET.")
    replay: int = whole(5, 0, 100, "cycles", "Lost by an instruction that has to start again itself.")
    fetch_queue: int = whole(5, 1, QUEUE, "packets", "Fetch packets of four bytes that wait for the decoder, at most.")


@dataclass(frozen=True, slots=True)
class Latency:
    """Cycles from an instruction's issue to that of the first that uses its result; 1 is no wait."""

    load: int = whole(2, 1, 100, "cycles", "ld, lw and lwu.")
    load_narrow: int = whole(3, 1, 100, "cycles", "lb, lbu, lh, lhu and SC.")
    csr: int = whole(3, 1, 100, "cycles", "A CSR's old value.")
    link: int = whole(2, 1, 100, "cycles", "The return address of jalr; that of jal is a plain result.")
    fp_load: int = whole(4, 1, 100, "cycles", "fld and flw.")
    fp_short: int = whole(4, 1, 100, "cycles", "fsgnj, fmin, fmax, conversions between formats, moves and conversions "
                                               "from integers.")
    fp_fma_double: int = whole(6, 1, 100, "cycles", "fadd.d, fsub.d, fmul.d and fused multiply-adds of doubles.")
    fp_fma_single: int = whole(4, 1, 100, "cycles", "The same of single precision.")
    fp_to_int: int = whole(3, 1, 100, "cycles", "Comparisons, fclass, moves and conversions to integers.")


@dataclass(frozen=True, slots=True)
class MulDiv:
    """The integer multiplier and divider: one iterative unit, or a pipelined multiplier."""

    mul_pipelined: bool = flag(False, "Every multiplication takes mul_latency, and one can start each cycle.")
    mul_latency: int = whole(3, 1, 100, "cycles", "Latency of a pipelined multiplier.")
    mul_bits: int = whole(8, 1, 64, "bits", "Of rs1, taken in one cycle by an iterative multiplier; it stops when none "
                                            "are left.")
    div_base: int = whole(5, 2, 100, "cycles", "A division's latency, besides one cycle for each bit of the quotient.")
    div_sign: int = whole(1, 0, 10, "cycles", "To negate operands, and again to negate the result.")


@dataclass(frozen=True, slots=True)
class FloatDivide:
    """Iterative floating-point division and square root: issue to issue of a user."""

    div_double: int = whole(58, 1, 250, "cycles", "fdiv.d.")
    div_single: int = whole(29, 1, 250, "cycles", "fdiv.s.")
    sqrt_double: int = whole(57, 1, 250, "cycles", "fsqrt.d.")
    sqrt_single: int = whole(28, 1, 250, "cycles", "fsqrt.s.")
    special: int = whole(6, 1, 250, "cycles", "Each of them, with a zero, an infinity or a NaN among the operands.")


@dataclass(frozen=True, slots=True)
class Cache:
    """A first-level cache."""

    sets: int = whole(64, 1, MAX_LINES, "sets", "Groups of lines; an address is looked for in one of them.",
                      power_of_two=True)
    ways: int = whole(4, 1, 32, "lines", "Lines in a set.", power_of_two=True)
    line: int = whole(64, 16, 4096, "bytes", "Size of a line.", power_of_two=True)
    replacement: str = choice("lfsr", REPLACEMENTS, "The line that makes room. lfsr: by the low bits of a 16-bit shift "
                                                    "register that steps with every refill; lru: least recently used.")
    miss: int = whole(44, 1, 1000, "cycles", "What a miss adds.")


@dataclass(frozen=True, slots=True)
class DataCache(Cache):
    """A first-level cache with write-back and write-allocate."""

    miss_dirty: int = whole(62, 1, 1000, "cycles", "What a miss adds when the line that makes room must be written "
                                                     "back.")


@dataclass(frozen=True, slots=True)
class Tlb:
    """A first-level TLB with pseudo-LRU replacement."""

    entries: int = whole(8, 1, MOST_PLRU, "entries", "Entries for pages of 4 KiB.")
    sectors: int = whole(4, 1, 8, "pages", "Adjacent pages that one entry maps.", power_of_two=True)
    superpages: int = whole(4, 0, MAX_SUPER, "entries", "Entries for larger pages; 0: they are in the others, page by "
                                                        "page.")
    walk: int = whole(11, 2, 1000, "cycles", "What a miss adds if the last table entry hits in the data cache, and the "
                                             "levels above in the walker's own cache.")
    level: int = whole(4, 0, 1000, "cycles", "What each further level adds that the walker must read.")


@dataclass(frozen=True, slots=True)
class Predictor:
    """Branch target buffer, branch history table and return address stack."""

    btb_entries: int = whole(28, 1, MAX_BTB, "entries", "Entries of the branch target buffer, which is fully "
                                                        "associative.")
    btb_pages: int = whole(6, 2, MAX_PAGES, "entries", "Different upper address parts that its entries may have.")
    btb_match: int = whole(14, 2, 38, "bits", "Low bits of an address that an entry holds itself.")
    bht_entries: int = whole(512, 8, MAX_BHT, "entries", "Entries of the branch history table.", power_of_two=True)
    bht_history: int = whole(8, 1, 16, "bits", "Length of the global history.")
    bht_counter: int = whole(1, 1, 2, "bits", "Size of a counter.")
    ras_entries: int = whole(6, 0, MAX_RAS, "entries", "Entries of the return address stack.")
    redirect: int = whole(1, 0, 100, "cycles", "Lost by a taken branch or jump that the BTB does not know but the "
                                               "fetch unit recognises.")


@dataclass(frozen=True, slots=True)
class Memory:
    """Accesses that are no plain loads and stores."""

    amo: int = whole(2, 1, 100, "cycles", "Latency of AMO and LR.")
    store_replay: bool = flag(True, "A load from a doubleword that one of the two instructions before stored starts "
                                     "again.")
    fence: int = whole(3, 0, 14, "cycles", "Between the last memory access and a fence behind it.")
    mmio: int = whole(7, 1, 1000, "cycles", "A device register, read or written.")
    fence_i: int = whole(2, 0, 60, "cycles", "fence.i, besides the refetch of its own line.")
    sfence: int = whole(4, 0, 100, "cycles", "sfence.vma.")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of parameters: which part of the core it is of, in a few words, and its class."""

    text: str
    kind: type[Any]


def _table(kind: Callable[..., Any], text: str, **values: Value) -> Any:
    assert isinstance(kind, type)
    return field(default_factory=partial(kind, **values), metadata={METADATA: Table(text, kind)})


@dataclass(frozen=True, slots=True)
class Profile:
    """A named core.

    `name` is a word of up to 32 letters, digits, ".", "_" and "-". Raises ProfileError for parameters out
    of range, or that contradict each other; the error names the first.
    """

    name: str
    title: str = ""
    """One line: which core, and where its parameters are from."""
    flat: bool = False
    """One cycle per instruction; nothing else below matters."""
    error: float | None = None
    """Mean absolute cycle error over the reference programs, in per cent; None: uncalibrated."""
    issue: Issue = _table(Issue, "how instructions enter the pipeline")
    latency: Latency = _table(Latency, "from an instruction's issue to that of the first that uses its result; 1 is "
                                       "no wait")
    muldiv: MulDiv = _table(MulDiv, "the integer multiplier and divider")
    fdiv: FloatDivide = _table(FloatDivide, "floating-point division and square root, issue to issue of a user")
    l1i: Cache = _table(Cache, "the first-level instruction cache", miss=49)
    l1d: DataCache = _table(DataCache, "the first-level data cache, write-back and write-allocate")
    itlb: Tlb = _table(Tlb, "the first-level instruction TLB, with pseudo-LRU replacement", walk=10)
    dtlb: Tlb = _table(Tlb, "the first-level data TLB, with pseudo-LRU replacement")
    predictor: Predictor = _table(Predictor, "branch target buffer, branch history table and return address stack")
    memory: Memory = _table(Memory, "accesses that are no plain loads and stores")

    def __post_init__(self) -> None:
        where = f"profile {shown(self.name)}"
        for name, table in TABLES.items():
            found = getattr(self, name)
            if type(found) is not table.kind:
                raise ProfileError.at(where, name, shown(found), f"an object of class {table.kind.__name__}")
        check(where, self.name, self.title, self.flat, self.error, self.values())

    @property
    def accuracy(self) -> str:
        """The error band as one says it beside a figure of this profile."""
        if self.flat:
            return "one cycle per instruction"
        return "uncalibrated" if self.error is None else f"±{self.error:g} %"

    def values(self) -> dict[str, Value]:
        """Every parameter's value by its name, `table.key`, in the order of PARAMETERS."""
        return {name: getattr(getattr(self, table), key) for name in PARAMETERS for table, key in [name.split(".")]}

    def numbers(self) -> tuple[tuple[str, int], ...]:
        """Every parameter as native code has it, a number by its name, in the order of PARAMETERS.

        Flags are 0 or 1, `replacement` is its index in REPLACEMENTS.
        """
        return tuple((name, PARAMETERS[name].number(value)) for name, value in self.values().items())


TABLES: Final[Mapping[str, Table]] = MappingProxyType({
    part.name: part.metadata[METADATA] for part in fields(Profile) if METADATA in part.metadata})
"""The tables of a profile by name, in the order in which they are always shown."""
PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType({
    f"{name}.{part.name}": part.metadata[METADATA] for name, table in TABLES.items() for part in fields(table.kind)})
"""Every parameter by its name, `table.key`: the one description that checks, files, views and the manual go by."""


def build(name: str, title: str, error: float | None, values: Mapping[str, Value]) -> Profile:
    """The profile with these values, one for each of PARAMETERS. ProfileError for one that cannot be."""
    tables = {which: table.kind(**{part.name: values[f"{which}.{part.name}"] for part in fields(table.kind)})
              for which, table in TABLES.items()}
    return Profile(name, title, False, error, **tables)


def check(where: str, name: object, title: object, flat: object, error: object, values: Mapping[str, object]) -> None:
    """Refuse what no profile can be; `where` says in the error's text whose fault it is.

    `values` may be some of the parameters only. Raises ProfileError for the first fault in order.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ProfileError.at(where, "name", shown(name), "a word of 1 to 32 letters, digits, \".\", \"_\" and \"-\"")
    if not isinstance(title, str) or not title.isprintable() or len(title) > LONGEST_TITLE:
        raise ProfileError.at(where, "title", shown(title), f"one line of at most {LONGEST_TITLE} printable characters")
    if not isinstance(flat, bool):
        raise ProfileError.at(where, "flat", shown(flat), "true or false")
    if error is not None:
        if flat:
            raise ProfileError.at(where, "error", shown(error), "none for a flat profile, which is like no core")
        if isinstance(error, bool) or not isinstance(error, int | float) or not 0 <= error <= 100:
            raise ProfileError.at(where, "error", shown(error), "a number from 0 to 100, in per cent")
    for key, value in values.items():
        if not PARAMETERS[key].accepts(value):
            raise ProfileError.at(where, key, shown(value), _expected(PARAMETERS[key]))
    for cache in ("l1i", "l1d"):
        sets, ways = values.get(f"{cache}.sets"), values.get(f"{cache}.ways")
        if isinstance(sets, int) and isinstance(ways, int) and sets * ways > MAX_LINES:
            raise ProfileError.at(where, f"{cache}.ways", shown(ways), f"at most {MAX_LINES // sets} in each of {sets} "
                                                                       f"sets, {MAX_LINES} lines in all")
    for least, most, why in ORDER:
        if least in values and most in values and values[least] > values[most]:  # type: ignore[operator]
            raise ProfileError.at(where, most, shown(values[most]), f"at least {least}, {values[least]}: {why}")


def _expected(parameter: Parameter) -> str:
    return f"{parameter.expected} {parameter.unit}".rstrip()


ORDER: Final = (
    ("predictor.redirect", "issue.mispredict", "what is found at fetch costs no more than what is found later"),
    ("latency.load", "latency.load_narrow", "a narrow load is a load, and then extended"),
    ("l1d.miss", "l1d.miss_dirty", "the write-back comes on top"),
)
"""Parameters that contradict each other unless the first is at most the second, and why."""
