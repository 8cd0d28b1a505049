"""What a page table maps, read in bulk, against the walk of single addresses."""

from __future__ import annotations

import random

import pytest

from emulator.board import Board
from emulator.machine import Machine
from emulator.mapped import MappedRange, read_mapped
from emulator.pagewalk import translate

RAM = 0x8000_0000
MODES = {"sv39": 8, "sv48": 9, "sv57": 10}


def put(machine: Machine, table: int, index: int, target: int, bits: int) -> None:
    machine.bus.write(table + 8 * index, (target >> 12 << 10 | bits | 1).to_bytes(8, "little"))


def tables(mode: int, machine: Machine, dice: random.Random) -> int:
    """A page table of random leaves at all levels; its satp."""
    free = iter(range(RAM + 0x1000, RAM + 0x40_0000, 0x1000))

    def fill(table: int, level: int) -> None:
        for index in sorted(dice.sample(range(512), 5)) + [0, 255, 256, 511]:
            if level and dice.random() < 0.3:
                child = next(free)
                put(machine, table, index, child, 0)
                fill(child, level - 1)
            elif dice.random() < 0.8:
                size = 4096 << 9 * level
                where = dice.randrange(1 << 20) * size & (1 << 56) - 1
                put(machine, table, index, where, dice.choice((2, 6, 10, 14, 0x1E, 0x2F)))

    fill(RAM, mode - 6)
    return mode << 60 | RAM >> 12


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("seed", range(3))
def test_ranges_are_what_the_walk_finds(mode: int, seed: int) -> None:
    made, dice = Machine(Board()), random.Random(seed)
    satp = tables(mode, made, dice)
    found = read_mapped(made.ram, satp)
    assert found.complete and len(found.ranges) >= 8
    edges = [point for part in found.ranges for point in (part.start, part.end - 1, part.start - 1, part.end)]
    width = 9 * (mode - 5) + 12
    for address in [*dice.sample(edges, min(len(edges), 1000)), *(dice.randrange(1 << width - 1) for _ in range(500))]:
        address &= (1 << 64) - 1
        part = next((part for part in found.ranges if part.start <= address < part.end), None)
        expected = None if part is None else part.paddr + address - part.start
        assert translate(made.ram, satp, 1, address) == expected, hex(address)
    assert all(before.end <= after.start for before, after in zip(found.ranges, found.ranges[1:], strict=False))


def test_neighbours_with_the_same_rights_are_one_range_across_sizes_of_pages() -> None:
    made = Machine(Board())
    root, middle, last = RAM, RAM + 0x1000, RAM + 0x2000
    put(made, root, 2, middle, 0)
    put(made, middle, 0, last, 0)
    for index in range(512):
        put(made, last, index, RAM + index * 4096, 0xC6 if index & 1 else 6)  # A and D do not count
    put(made, middle, 1, RAM + 0x20_0000, 6)
    put(made, middle, 2, RAM + 0x40_0000, 10)
    found = read_mapped(made.ram, 8 << 60 | root >> 12)
    assert found.ranges == (MappedRange(RAM, RAM + 0x40_0000, RAM, 6),
                            MappedRange(RAM + 0x40_0000, RAM + 0x60_0000, RAM + 0x40_0000, 10))
    assert found.tables == 3 and [part.rights for part in found.ranges] == ["rw---", "r-x--"]


def test_tables_that_make_no_sense_end_the_reading_and_not_the_host() -> None:
    made = Machine(Board())
    put(made, RAM, 0, 0x1234_5000, 0)  # no memory there
    put(made, RAM, 1, RAM, 2 | 4)
    assert read_mapped(made.ram, 9 << 60 | RAM >> 12).tables == 1
    for index in range(512):  # every entry leads to the root itself: 512 ** 4 ways
        put(made, RAM, index, RAM, 0)
    found = read_mapped(made.ram, 10 << 60 | RAM >> 12)
    assert not found.complete and found.ranges == ()
    assert read_mapped(made.ram, 8 << 60 | 0x99999).tables == 0  # the root itself is nowhere
    assert read_mapped(made.ram, 0).ranges == read_mapped(made.ram, 5 << 60).ranges == ()
