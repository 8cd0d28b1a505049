"""The host's walks of page tables: `survey` says of every address what `translate` says."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from emulator import Board, Machine
from emulator.engine.riscv import PRV_S
from emulator.pagewalk import MOST_PROBLEMS, Survey, survey, translate

RAM = 0x8000_0000
VALID, LEAF = 1, 0xCF
MODES = {"sv39": 8, "sv48": 9, "sv57": 10}


@pytest.fixture
def machine() -> Iterator[Machine]:
    made = Machine(Board(memory=32 << 20))
    yield made
    made.close()


class Tables:
    """Page tables of a mode, in a machine's memory from its first MiB on."""

    def __init__(self, machine: Machine, mode: str) -> None:
        self.machine, self.levels = machine, MODES[mode] - 5
        self.next = RAM + (1 << 20)
        self.root = self.new()
        self.satp = MODES[mode] << 60 | self.root >> 12

    def new(self) -> int:
        self.next += 4096
        return self.next - 4096

    def put(self, table: int, index: int, word: int) -> None:
        self.machine.bus.store(table + index * 8, 8, word)

    def map(self, va: int, pa: int, level: int = 1, bits: int = LEAF) -> None:
        table = self.root
        for at in range(self.levels, level, -1):
            index = va >> 12 + 9 * (at - 1) & 511
            word = self.machine.bus.load(table + index * 8, 8)
            if not word & VALID:
                word = self.new() >> 2 | VALID
                self.put(table, index, word)
            table = word >> 10 << 12
        self.put(table, va >> 12 + 9 * (level - 1) & 511, pa >> 2 | bits)

    def survey(self) -> Survey:
        return survey(self.machine.ram, self.satp)


def canonical(va: int, levels: int) -> int:
    width = 12 + 9 * levels
    return va | (1 << 64) - (1 << width) if va >> width - 1 & 1 else va & (1 << width) - 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(3))
def test_survey_and_translate_agree_on_every_address(machine: Machine, mode: str, seed: int) -> None:
    draw, tables = random.Random(seed), Tables(machine, mode)
    width = 12 + 9 * tables.levels
    looked: set[int] = set()
    for region in draw.sample(range(1 << width - 30), 12):  # of 1 GiB, with pages of one size in each
        level = draw.choice((1, 1, 2, 3))
        size = 4096 << 9 * (level - 1)
        for index in draw.sample(range(min(512, (1 << 30) // size)), 1 if level == 3 else 30):
            va = canonical((region << 30) + index * size, tables.levels)
            tables.map(va, draw.choice((index, draw.randrange(1 << 6))) * size, level, draw.choice((LEAF, 0x47)))
            looked |= {va, va + size - 1, va + draw.randrange(size), va ^ size}
    found = tables.survey()
    assert found.problems == ()
    assert [run.start for run in found.runs] == sorted(run.start for run in found.runs)
    for address in looked | {va + 4096 for va in looked} | {draw.getrandbits(width - 1) for _ in range(50)}:
        if address >> 64:
            continue
        inside = [run.paddr + address - run.start for run in found.runs if run.start <= address < run.end]
        expected = translate(machine.ram, tables.satp, PRV_S, address)
        assert inside == ([] if expected is None else [expected]), f"{address:#x}"


def test_neighbours_alike_are_one_run_across_tables_and_page_sizes(machine: Machine) -> None:
    tables = Tables(machine, "sv39")
    for n in range(512):
        tables.map(n << 12, RAM + (n << 12))
    tables.map(512 << 12, RAM + (512 << 12), 2)
    tables.map(1024 << 12, RAM + (1024 << 12), 2, 0x43)
    runs = tables.survey().runs
    assert [(run.start, run.end, run.paddr, run.bits, run.pages) for run in runs] == \
        [(0, 1024 << 12, RAM, LEAF, (512, 1, 0)), (1024 << 12, 1536 << 12, RAM + (1024 << 12), 0x43, (0, 1, 0))]


def test_bare_maps_nothing(machine: Machine) -> None:
    assert survey(machine.ram, 0) == Survey((), ())


def test_entries_that_lead_nowhere_are_told_with_their_addresses(machine: Machine) -> None:
    tables = Tables(machine, "sv39")
    tables.map(0x1000, RAM)
    tables.put(tables.root, 5, 0x10_0000_0000 >> 2 | VALID)
    lowest = tables.new()
    middle = tables.new()
    tables.put(tables.root, 6, middle >> 2 | VALID)
    tables.put(middle, 0, lowest >> 2 | VALID)
    tables.put(lowest, 3, RAM >> 2 | VALID)
    found = tables.survey()
    assert [run.start for run in found.runs] == [0x1000]
    assert found.problems == (f"{5 << 30:#x}: the table of level 2 at 0x1000000000 is not in memory",
                              f"{(6 << 30) + 0x3000:#x}: an entry of the lowest level points to a table")


@pytest.mark.parametrize("mode", ["sv39", "sv57"])
def test_a_root_all_of_whose_entries_are_itself_ends(machine: Machine, mode: str) -> None:
    tables = Tables(machine, mode)
    for index in range(512):
        tables.put(tables.root, index, tables.root >> 2 | VALID)
    found = tables.survey()
    assert found.runs == ()
    assert len(found.problems) == MOST_PROBLEMS + 2
    assert "more entries like these" in found.problems[-2]
    assert found.problems[-1].startswith("there are more tables and mappings")


def test_tables_that_lie_as_far_apart_as_their_entries_map_are_both_looked_at(machine: Machine) -> None:
    tables = Tables(machine, "sv39")
    middle = tables.new()
    tables.put(tables.root, 0, middle >> 2 | VALID)
    for n in range(2):
        lowest = RAM + (8 << 20) + (n << 21)
        tables.put(middle, n, lowest >> 2 | VALID)
        tables.put(lowest, 7, RAM + (n << 12) >> 2 | LEAF)
    assert [(run.start, run.paddr) for run in tables.survey().runs] == [(0x7000, RAM), (0x20_7000, RAM + 0x1000)]
