"""The memory port: words, atomics and bulk work on the machine's RAM, and who is told of them."""

from __future__ import annotations

import numpy as np
import pytest

from emulator import Board, BusError, Machine, Range
from kernel.mm.port import Access, MemoryPort

RAM = 0x8000_0000


@pytest.fixture
def machine() -> Machine:
    return Machine(Board(memory=4 << 20))


@pytest.fixture
def port(machine: Machine) -> MemoryPort:
    return MemoryPort(machine.bus)


class Recorder:
    def __init__(self) -> None:
        self.seen: list[tuple[Access, int, int, int | None]] = []

    def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
        self.seen.append((kind, address, size, value))


def test_words_are_the_machines_own(machine: Machine, port: MemoryPort) -> None:
    port.store(RAM + 8, 0x1122_3344_5566_7788)
    assert machine.bus.read(RAM + 8, 8) == bytes.fromhex("8877665544332211")
    machine.bus.write(RAM + 8, b"\x01")
    assert port.load(RAM + 8) == 0x1122_3344_5566_7701
    assert [port.load_sized(RAM + 8, size) for size in (1, 2, 4, 8)] == [1, 0x7701, 0x5566_7701, 0x1122_3344_5566_7701]
    port.store_sized(RAM + 10, 2, 0xFFFF_0000)
    assert port.load_sized(RAM + 10, 2) == 0


def test_compare_exchange_changes_the_word_only_if_it_is_the_old_one(port: MemoryPort) -> None:
    port.store(RAM, 5)
    assert port.compare_exchange(RAM, 4, 9) == 5
    assert port.load(RAM) == 5
    assert port.compare_exchange(RAM, 5, 9) == 5
    assert port.load(RAM) == 9
    assert port.compare_exchange(RAM, 9, 1, 4) == 9
    assert port.load(RAM) == 1


def test_fetch_add_wraps_and_swap_gives_the_old_word(port: MemoryPort) -> None:
    assert port.fetch_add(RAM, -1) == 0
    assert port.load(RAM) == (1 << 64) - 1
    assert port.fetch_add(RAM, 3) == (1 << 64) - 1
    assert port.swap(RAM, 7) == 2
    assert port.load(RAM) == 7


def test_bulk_operations(port: MemoryPort) -> None:
    port.write(RAM, bytes(range(64)))
    assert port.read(RAM + 8, 8) == bytes(range(8, 16))
    port.copy(RAM + 4, RAM, 60)
    assert port.read(RAM, 64) == bytes([0, 1, 2, 3, *range(60)]), "an overlapping copy is a memmove"
    port.fill(RAM + 1, 3, 0xEE)
    assert port.read(RAM, 5) == b"\0\xee\xee\xee\0"
    port.store_column(RAM, np.arange(4, dtype=np.uint64), 4, 16)
    assert [port.load(RAM + 16 * n) for n in range(4)] == [0, 1, 2, 3]
    column = port.load_column(RAM, 4, 16)
    column += np.uint64(1)
    assert port.load(RAM) == 0, "a column is a copy"


def test_addresses_without_memory_are_refused(port: MemoryPort) -> None:
    for address in (0, 0x1000, RAM - 8, RAM + (4 << 20), 1 << 60, -8):
        for access in (lambda a=address: port.load(a), lambda a=address: port.store(a, 1),
                       lambda a=address: port.compare_exchange(a, 0, 1), lambda a=address: port.fetch_add(a, 1),
                       lambda a=address: port.read(a, 8), lambda a=address: port.write(a, b"x"),
                       lambda a=address: port.fill(a, 8), lambda a=address: port.copy(a, RAM, 8),
                       lambda a=address: port.load_column(a, 2), lambda a=address: port.store_column(a, 0, 2)):
            with pytest.raises(BusError, match="no memory at"):
                access()
    with pytest.raises(BusError):
        port.read(RAM + (4 << 20) - 4, 8)


def test_banks_that_touch_are_one_piece_and_holes_are_holes() -> None:
    port = MemoryPort(Machine(Board(banks=(Range(RAM, 1 << 20), Range(RAM + (1 << 20), 1 << 20),
                                           Range(0x9000_0000, 1 << 20)))).bus)
    port.write(RAM + (1 << 20) - 4, b"12345678")
    assert port.read(RAM + (1 << 20) - 4, 8) == b"12345678"
    port.store(0x9000_0000, 3)
    assert (port.load(0x9000_0000), port.load(RAM)) == (3, 0)
    assert port.has(RAM, 2 << 20)
    assert not port.has(RAM, (2 << 20) + 1)
    with pytest.raises(BusError):
        port.load(RAM + (2 << 20))


def test_observers_are_told_of_every_access_before_it_happens(port: MemoryPort) -> None:
    recorder = Recorder()
    with port.observed(recorder):
        port.load(RAM)
        port.store(RAM, 3)
        port.compare_exchange(RAM, 3, 4)
        port.fill(RAM, 4096)
        port.load_column(RAM, 3, 64)
    port.load(RAM)
    assert recorder.seen == [
        (Access.LOAD, RAM, 8, None), (Access.STORE, RAM, 8, 3), (Access.ATOMIC, RAM, 8, 4),
        (Access.STORE, RAM, 4096, None), (Access.LOAD, RAM, 136, None)]


def test_an_observer_that_raises_keeps_the_access_from_happening(port: MemoryPort) -> None:
    class Refuses:
        def access(self, kind: Access, address: int, size: int, value: int | None) -> None:
            if kind is not Access.LOAD:
                raise RuntimeError("no")

    with port.observed(Refuses()):
        for change in (lambda: port.store(RAM, 1), lambda: port.fetch_add(RAM, 1), lambda: port.swap(RAM, 1),
                       lambda: port.compare_exchange(RAM, 0, 1), lambda: port.fill(RAM, 8, 1),
                       lambda: port.write(RAM, b"x"), lambda: port.store_column(RAM, 1, 1)):
            with pytest.raises(RuntimeError):
                change()
        assert port.load(RAM) == 0
