"""The TLB operations: what the hart's real TLB keeps until it is told otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.cpu.abi import Command
from kernel.cpu.errors import SbiError
from kernel.cpu.probe import Fault

from .guest import Guest, R, W

VA = 0x4000_0000_1000
Flush = Callable[[Guest], object]
FLUSHES: dict[str, Flush] = {
    "sfence_page": lambda guest: guest.tlb.sfence_page(VA),
    "sfence_range": lambda guest: guest.tlb.sfence_range(VA - 4096, 3 * 4096),
    "sfence_all": lambda guest: guest.tlb.sfence_all(),
    "sfence_everything": lambda guest: guest.tlb.sfence_everything(),
    "activate": lambda guest: guest.tlb.activate(guest.tlb.satp),
}


class Remapped:
    """VA, mapped to a page with 1 in it and used, then mapped to one with 2 in it behind the TLB's back."""

    def __init__(self, guest: Guest) -> None:
        tables = guest.tables()
        old, new = guest.page(), guest.page()
        guest.port.store(old, 1)
        guest.port.store(new, 2)
        tables.map(VA, old, R | W)
        guest.tlb.activate(tables.satp)
        assert guest.probe.load(0, VA) == 1
        tables.map(VA, new, R | W)


def test_a_translation_is_stale_until_it_is_flushed(guest: Guest) -> None:
    Remapped(guest)
    assert guest.probe.load(0, VA) == 1
    guest.service.call(0, Command.NOP)
    assert guest.probe.load(0, VA) == 1


@pytest.mark.parametrize("flush", FLUSHES.values(), ids=FLUSHES.keys())
def test_after_a_flush_the_new_translation_counts(guest: Guest, flush: Flush) -> None:
    Remapped(guest)
    flush(guest)
    assert guest.probe.load(0, VA) == 2


def test_a_permission_is_stale_until_it_is_flushed(guest: Guest) -> None:
    tables = guest.tables()
    page = guest.page()
    tables.map(VA, page, R | W)
    guest.tlb.activate(tables.satp)
    guest.probe.store(0, VA, 1)
    tables.map(VA, page, R)
    assert guest.probe.store(0, VA, 2) is None
    guest.tlb.sfence_page(VA)
    assert guest.probe.store(0, VA, 3) == Fault(15, VA) and guest.port.load(page) == 2


def test_a_range_is_flushed_page_by_page(guest: Guest) -> None:
    def instructions(size: int, vaddr: int = VA) -> int:
        before = guest.machine.instructions
        guest.tlb.sfence_range(vaddr, size)
        return guest.machine.instructions - before

    one = instructions(4096)
    each = instructions(8192) - one
    assert each > 0 and one - instructions(0) == each
    assert instructions(1) == one and instructions(2, VA + 4095) == one + each
    assert instructions(100 * 4096) == one + 99 * each


def test_activate_writes_satp(guest: Guest) -> None:
    tables = guest.tables()
    guest.tlb.activate(tables.satp)
    assert guest.tlb.satp == tables.satp == guest.machine.harts[0].read_csr("satp")


def test_activate_refuses_a_word_that_the_hart_does_not_take(guest: Guest) -> None:
    before = guest.tlb.satp
    with pytest.raises(ValueError, match="has kept"):
        guest.tlb.activate(15 << 60)
    assert guest.tlb.satp == before


def test_a_remote_fence_reaches_every_other_cpu_and_only_them(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=4)
    guest.smp.start_all(guest.tlb.satp)
    before = [hart.traps for hart in guest.machine.harts]
    guest.tlb.remote_sfence(VA, 4096)
    after = [hart.traps for hart in guest.machine.harts]
    assert [after[hart] - before[hart] for hart in (1, 2, 3)] == [1, 1, 1]  # the firmware's IPI
    assert after[0] - before[0] == 1  # the call itself


def test_a_remote_fence_with_no_other_cpu_does_nothing(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    before = guest.machine.instructions
    guest.tlb.remote_sfence(0, 0)
    assert guest.machine.instructions == before


def test_a_remote_fence_beyond_the_address_space_is_refused(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    guest.smp.start_all(guest.tlb.satp)
    with pytest.raises(SbiError, match="invalid address"):
        guest.tlb.remote_sfence(0xffff_ffff_ffff_f000, 0x2000)


def test_the_tlb_is_that_of_the_cpu_that_python_runs_as(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    guest.smp.start_all(guest.tlb.satp)
    boot_satp = guest.tlb.satp
    tables = guest.tables()
    guest.service.cpu = 1
    guest.tlb.activate(tables.satp)
    assert guest.tlb.satp == tables.satp
    guest.service.cpu = 0
    assert guest.tlb.satp == boot_satp
