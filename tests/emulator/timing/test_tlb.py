"""The TLBs beside a plain model, and what page walks cost through real page tables."""

from __future__ import annotations

import random

import pytest

from emulator.board import Board
from emulator.timing import load_profile
from emulator.timing.layout import P_DTLB, T_DTLB
from emulator.timing.plru import plru_touched, plru_way
from emulator.timing.profile import Profile
from emulator.timing.tlb import NO_FRAME, clear_page, clear_tlbs, lookup, refill
from tests.helpers.machines import END, LIMIT, machine

from .bare import Bare, rocket


class Model:
    """A TLB with pseudo-LRU, sectors and superpage entries, as its documentation says, in lists."""

    def __init__(self, entries: int, sectors: int, supers: int) -> None:
        self.sectors = sectors
        self.tags: list[int | None] = [None] * entries
        self.pages: list[dict[int, int]] = [{} for _ in range(entries)]
        self.large: list[tuple[int, int, int] | None] = [None] * supers
        self.state = self.large_state = 0

    def _super(self, page: int) -> int | None:
        for i, entry in enumerate(self.large):
            if entry is not None and entry[0] <= page < entry[0] + entry[1]:
                return i
        return None

    def lookup(self, page: int) -> int:
        if page // self.sectors in self.tags:
            i = self.tags.index(page // self.sectors)
            self.state = plru_touched(self.state, len(self.tags), i)
            if page in self.pages[i]:
                return self.pages[i][page]
        i_ = self._super(page)
        if i_ is None:
            return NO_FRAME
        self.large_state = plru_touched(self.large_state, len(self.large), i_)
        entry = self.large[i_]
        assert entry is not None
        return entry[2] + page - entry[0]

    def refill(self, page: int, frame: int, size: int) -> None:
        if size > 1 and self.large:
            way = self.large.index(None) if None in self.large else plru_way(self.large_state, len(self.large))
            self.large[way] = page // size * size, size, frame - page % size
            return
        sector = page // self.sectors
        if sector in self.tags:
            way = self.tags.index(sector)
        else:
            way = self.tags.index(None) if None in self.tags else plru_way(self.state, len(self.tags))
            self.tags[way], self.pages[way] = sector, {}
        self.pages[way][page] = frame
        self.state = plru_touched(self.state, len(self.tags), way)

    def clear(self, page: int) -> None:
        for i, pages in enumerate(self.pages):
            pages.pop(page, None)
            if not pages:
                self.tags[i] = None
        i_ = self._super(page)
        if i_ is not None:
            self.large[i_] = None


@pytest.mark.parametrize(("entries", "sectors", "supers"), [(8, 4, 4), (40, 1, 0), (1, 8, 1), (5, 2, 3), (8, 4, 0)])
def test_a_tlb_is_the_plain_model(entries: int, sectors: int, supers: int) -> None:
    hart = Bare(rocket("dtlb", entries=entries, sectors=sectors, superpages=supers))
    tlb, x = hart.t + T_DTLB, hart.p + P_DTLB
    model = Model(entries, sectors, supers)
    rng = random.Random(entries)
    misses = 0
    for _ in range(4000):
        large = rng.random() < 0.3
        page = 0x40000 + 512 * rng.randrange(8) + rng.randrange(512) if large else rng.randrange(3 * entries * sectors)
        found = lookup(tlb, x, page)
        assert found == model.lookup(page)
        if found == NO_FRAME:
            misses += 1
            frame = page + 0x80000
            refill(tlb, x, page, frame, 512 if large else 1)
            model.refill(page, frame, 512 if large else 1)
        else:
            assert found == page + 0x80000
        if rng.random() < 0.02:
            clear_page(hart.t, page)
            model.clear(page)
    assert misses > 300
    clear_tlbs(hart.t)
    assert all(lookup(tlb, x, page) == NO_FRAME for page in [*range(3 * entries), *range(0x40000, 0x41000)])


# --- walks through page tables ----------------------------------------------------------------------------

TABLES = 0x8010_0000
POINTER, LEAF = 0x01, 0xC7  # V; D, A, W, R, V
VA = 0x4000_0000 + (19 << 21) + (37 << 12) + 0x180  # entries and page in different sets of the data cache


def walk_cycles(mode: int, large: bool, between: str, profile: Profile) -> int:
    """What `between` makes a load through Sv39 (8) or Sv48 (9) cost more than the same load once more."""
    levels = mode - 5
    made = machine(f"""
        li      t0, {mode << 60 | TABLES >> 12:#x}
        csrw    satp, t0
        li      t0, -1
        csrw    pmpaddr0, t0
        csrwi   pmpcfg0, 31                 # everything, for S-mode
        li      t0, 0x20800                 # MPRV, MPP = S: M-mode's data accesses are translated
        csrs    mstatus, t0
        li      s0, {VA}
        li      s1, 12
        j       lap
        .align  64
lap:    ld      a0, 0(s0)
        {between}
        repeat  60, nop
        csrr    s2, mcycle
        ld      a0, 0(s0)
        add     a1, a0, a0
        csrr    s3, mcycle
        ld      a0, 0(s0)
        add     a1, a0, a0
        csrr    s4, mcycle
        addi    s1, s1, -1
        bnez    s1, lap
        sub     s5, s3, s2
        sub     s6, s4, s3
        li      t0, 0x20000
        csrc    mstatus, t0
        {END}
    """, Board(memory=16 << 20), timing=profile)
    table = TABLES
    for level in range(levels - 1, -1, -1):
        index = VA >> 12 + 9 * level & 511
        last = level == (1 if large else 0)
        target = 0x8020_0000 if last else table + 0x1000
        made.bus.write(table + 8 * index, (target >> 12 << 10 | (LEAF if last else POINTER)).to_bytes(8, "little"))
        if last:
            break
        table = target
    stop = made.run(max_insns=LIMIT)
    assert stop.ok, stop
    registers = made.harts[0].registers()
    return registers["s5"] - registers["s6"]


@pytest.mark.parametrize(("mode", "large", "between", "cycles"), [
    (8, False, "nop", 0),
    (8, False, "sfence.vma", 9 + 4 + 4), (9, False, "sfence.vma", 9 + 4 + 4 + 4),
    (8, True, "sfence.vma", 9 + 4), (9, True, "sfence.vma", 9 + 4 + 4),
    (8, False, ".word 0x12040073", 9 + 1 + 1), (9, False, ".word 0x12040073", 9 + 1 + 1 + 1),  # sfence.vma s0
    (8, True, ".word 0x12040073", 9 + 1), (9, True, ".word 0x12040073", 9 + 1 + 1),
    (8, False, ".word 0x12048073", 0),  # sfence.vma s1: another page
])
def test_a_walk_costs_what_its_levels_cost(mode: int, large: bool, between: str, cycles: int) -> None:
    """A fence of one address keeps what the walker knows of the levels above; one of all empties that, too."""
    assert walk_cycles(mode, large, between, load_profile("rocket")) == cycles


@pytest.mark.parametrize(("key", "between", "cycles"), [
    ("walk", "sfence.vma", 57), ("level", "sfence.vma", 9 + 50 + 50), ("walk", ".word 0x12040073", 51),
    ("level", ".word 0x12040073", 11)])
def test_walk_and_level_are_the_profiles(key: str, between: str, cycles: int) -> None:
    assert walk_cycles(8, False, between, rocket("dtlb", **{key: {"walk": 51, "level": 50}[key]})) == cycles
