"""Probes: loads, stores and fetches by the hart, with their faults reported exactly."""

from __future__ import annotations

import pytest

from kernel.cpu.abi import SSTATUS_SUM, Command
from kernel.cpu.probe import Fault

from .guest import Guest, R, U, W, X

VA = 0x4000_0000_1000  # nothing of the boot page table's is there
FETCH, LOAD, STORE = 12, 13, 15


@pytest.fixture
def page(guest: Guest) -> int:
    """A page of memory that is mapped at VA by `mapped`."""
    return guest.page()


def mapped(guest: Guest, page: int, flags: int) -> None:
    tables = guest.tables()
    tables.map(VA, page, flags)
    guest.tlb.activate(tables.satp)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_load_gives_the_word_unsigned(guest: Guest, page: int, size: int) -> None:
    mapped(guest, page, R)
    guest.port.store(page + 8, 0xf8f7_f6f5_f4f3_f2f1)
    assert guest.probe.load(0, VA + 8, size) == 0xf8f7_f6f5_f4f3_f2f1 & (1 << 8 * size) - 1


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_store_writes_its_size(guest: Guest, page: int, size: int) -> None:
    mapped(guest, page, R | W)
    assert guest.probe.store(0, VA + 8, 0x1122_3344_5566_7788, size) is None
    assert guest.port.load(page + 8) == 0x1122_3344_5566_7788 & (1 << 8 * size) - 1


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("va", [VA + 0x1000, 0xdead_0000_0000_0000, 0xffff_f000_0000_0008])
def test_an_unmapped_address_faults_with_that_address(guest: Guest, va: int, size: int) -> None:
    assert guest.probe.load(0, va, size) == Fault(LOAD, va)
    assert guest.probe.store(0, va, 1, size) == Fault(STORE, va)
    assert guest.probe.fetch(0, va) == Fault(FETCH, va)


def test_a_fetch_from_an_odd_address_faults_at_the_even_one(guest: Guest) -> None:
    assert guest.probe.fetch(0, VA + 1) == Fault(FETCH, VA)


def test_a_read_only_page_refuses_stores_and_keeps_its_contents(guest: Guest, page: int) -> None:
    mapped(guest, page, R)
    assert guest.probe.store(0, VA + 0x10, 1) == Fault(STORE, VA + 0x10)
    assert guest.port.load(page + 0x10) == 0 and guest.probe.load(0, VA + 0x10) == 0


def test_a_page_without_x_refuses_fetches(guest: Guest, page: int) -> None:
    mapped(guest, page, R | W)
    assert guest.probe.fetch(0, VA) == Fault(FETCH, VA)


def test_a_fetch_calls_the_function_and_gives_what_it_returns(guest: Guest) -> None:
    mapped(guest, guest.code("li a0, 1234\n ret"), X | R)
    assert guest.probe.fetch(0, VA) == 1234


def test_a_fetch_reports_an_illegal_instruction_as_the_first(guest: Guest) -> None:
    mapped(guest, guest.code(".word 0xffffffff"), X | R)
    assert guest.probe.fetch(0, VA) == Fault(2, 0xffff_ffff)


def test_user_memory_faults_unless_it_is_accessed_as_user_data(guest: Guest, page: int) -> None:
    mapped(guest, page, R | W | U)
    assert guest.probe.load(0, VA) == Fault(LOAD, VA)
    assert guest.probe.store(0, VA, 7) == Fault(STORE, VA)
    assert guest.probe.store(0, VA, 7, user=True) is None
    assert guest.probe.load(0, VA, user=True) == 7
    assert guest.probe.fetch(0, VA) == Fault(FETCH, VA)


@pytest.mark.parametrize("va", [VA, VA + 0x1000])
def test_sum_is_clear_after_every_probe(guest: Guest, page: int, va: int) -> None:
    mapped(guest, page, R | W | U)
    guest.probe.load(0, va, user=True)
    assert not guest.machine.harts[0].read_csr("sstatus") & SSTATUS_SUM
    guest.probe.store(0, va, 1, user=True)
    assert not guest.machine.harts[0].read_csr("sstatus") & SSTATUS_SUM


def test_physical_addresses_without_memory_are_access_faults(guest: Guest) -> None:
    hole = 0x7000_0000
    assert guest.probe.load(0, hole) == Fault(5, hole)
    assert guest.probe.store(0, hole, 1) == Fault(7, hole)
    assert guest.probe.fetch(0, hole) == Fault(1, hole)


def test_an_access_across_a_page_faults_at_the_page_that_is_missing(guest: Guest, page: int) -> None:
    mapped(guest, page, R | W)
    assert guest.probe.load(0, VA + 0xffc) == Fault(LOAD, VA + 0x1000)


def test_faults_leave_the_stack_as_it_was(guest: Guest) -> None:
    before = guest.machine.harts[0].read("sp")
    for probe in (Command.LOAD, Command.STORE, Command.FETCH):
        assert guest.service.call(0, probe, VA, 8, 0)[0] != 0
    assert guest.machine.harts[0].read("sp") == before


def test_a_store_by_the_hart_is_seen_by_the_port_and_the_other_way_round(guest: Guest, page: int) -> None:
    mapped(guest, page, R | W)
    guest.port.store(page, 5)
    assert guest.probe.load(0, VA) == 5
    guest.probe.store(0, VA, 6)
    assert guest.port.load(page) == 6


def test_a_probe_of_an_odd_size_is_refused(guest: Guest) -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        guest.probe.load(0, VA, 3)


def test_zeros_at_a_pages_start_are_an_illegal_instruction_whatever_is_before_them(guest: Guest, page: int) -> None:
    """The page before is not mapped: the fault is the instruction's, not that page's."""
    mapped(guest, page, R | X)
    guest.port.fill(page, 4096)
    assert guest.probe.fetch(0, VA) == Fault(2, 0)
