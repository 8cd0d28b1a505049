"""Calls to the firmware."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.cpu.abi import SSI
from kernel.cpu.errors import CpuNotReady, SbiError
from kernel.cpu.sbi import Extension, HartState, hart_mask

from .guest import Guest


@pytest.mark.parametrize("data", [b"one line\n", b"", bytes(range(1, 256)), b"long " * 3000],
                         ids=["line", "nothing", "all bytes", "many buffers"])
def test_console_output_appears_on_the_machines_console(guest: Guest, data: bytes) -> None:
    before = guest.machine.console
    guest.smp.sbi.console_write(data)
    assert guest.machine.console == before + data


def test_the_firmware_has_the_extensions_that_are_used(guest: Guest) -> None:
    assert all(guest.smp.sbi.probe_extension(extension) for extension in Extension)
    assert not guest.smp.sbi.probe_extension(0x12345)


def test_an_error_is_raised_with_its_name(guest: Guest) -> None:
    with pytest.raises(SbiError, match=r"SBI HSM function 0: error -6 \(already available\)") as caught:
        guest.smp.sbi.hart_start(0, guest.service.header.secondary_start, 0)
    assert caught.value.code == -6
    with pytest.raises(SbiError, match="SBI 0x12345 function 0: error -2"):
        guest.smp.sbi.call(0x12345, 0)


def test_hart_status_follows_the_harts_state(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    assert guest.smp.sbi.hart_status(1) is HartState.STOPPED
    guest.smp.start(1, guest.tlb.satp)
    assert guest.smp.sbi.hart_status(1) is HartState.STARTED


def test_an_ipi_is_pending_where_it_was_sent(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    guest.smp.sbi.send_ipi([0])
    assert guest.machine.harts[0].read_csr("sip") & SSI
    assert not guest.machine.harts[1].read_csr("sip") & SSI


def test_a_shutdown_switches_the_machine_off(guest: Guest) -> None:
    guest.smp.sbi.shutdown()
    with pytest.raises(CpuNotReady):
        guest.smp.sbi.shutdown()


def test_a_reboot_is_left_to_the_caller_who_can_start_again(guest: Guest) -> None:
    guest.smp.sbi.reboot()
    guest.machine.reset()
    assert guest.service.start() == guest.entry


def test_a_hart_that_fits_no_mask_is_refused() -> None:
    assert hart_mask([0, 2, 63]) == 1 << 63 | 5
    with pytest.raises(ValueError, match="hart 64"):
        hart_mask([64])
