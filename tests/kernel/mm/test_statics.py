"""Static areas and CPU-local storage are found again by name, in memory alone."""

from __future__ import annotations

import pytest

from emulator import Board, Machine
from kernel.errors import BootError, CorruptionError
from kernel.mm.port import MemoryPort
from kernel.mm.statics import CAPACITY, CPU_LOCAL_SIZE, CpuLocals, Statics

BASE, SIZE = 0x8001_0000, 0x8000


@pytest.fixture
def port() -> MemoryPort:
    return MemoryPort(Machine(Board(memory=1 << 20)).bus)


def test_an_area_is_found_where_it_was(port: MemoryPort) -> None:
    statics = Statics.create(port, BASE, SIZE)
    first, second, local = statics.area("first", 24), statics.area("second", 100), statics.local_area("first", 8)
    port.store(second, 77)
    again = Statics(port, BASE, SIZE)
    assert (again.area("first", 24), again.area("second", 100), again.local_area("first", 8)) == (first, second, local)
    assert port.load(again.area("second", 100)) == 77
    assert first + 24 <= second
    assert first % 64 == second % 64 == 0


def test_an_area_of_another_size_is_refused(port: MemoryPort) -> None:
    Statics.create(port, BASE, SIZE).area("thing", 24)
    with pytest.raises(CorruptionError, match="static area thing at .* has 24 bytes, expected 32"):
        Statics(port, BASE, SIZE).area("thing", 32)


def test_a_full_directory_and_a_full_memory_are_named(port: MemoryPort) -> None:
    statics = Statics.create(port, BASE, SIZE)
    with pytest.raises(BootError, match="no room for 1048576 bytes of static area huge"):
        statics.area("huge", 1 << 20)
    for number in range(CAPACITY):
        statics.local_area(f"n{number}", 8)
    with pytest.raises(BootError, match="no room"):
        statics.area("one more", 8)


@pytest.mark.parametrize("name", ["", "a name of more than sixteen bytes"])
def test_names_that_do_not_fit_are_refused(port: MemoryPort, name: str) -> None:
    with pytest.raises(BootError, match="1 to 16 bytes"):
        Statics.create(port, BASE, SIZE).area(name, 8)


def test_damaged_statics_are_refused(port: MemoryPort) -> None:
    with pytest.raises(CorruptionError, match="no kernel statics"):
        Statics(port, BASE, SIZE)
    Statics.create(port, BASE, SIZE)
    port.store(BASE + 8, 1 << 40)
    with pytest.raises(CorruptionError, match="claims"):
        Statics(port, BASE, SIZE).area("x", 8)


def test_each_cpu_has_storage_of_its_own(port: MemoryPort) -> None:
    locals_ = CpuLocals(Statics.create(port, BASE, SIZE))
    with pytest.raises(BootError, match="CPU 1 has no local storage"):
        locals_.base(1)
    locals_.set_base(1, 0x8004_0000)
    assert locals_.count == 2
    assert abs(locals_.base(0) - locals_.base(1)) >= CPU_LOCAL_SIZE
    for cpu in (-1, 64):
        with pytest.raises(BootError):
            locals_.base(cpu)
