"""From the firmware to the service call: how the kernel's text is entered and what it switches on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator import Board, HostCall, Machine
from kernel.cpu.abi import HostCallNumber
from kernel.cpu.service import Service
from kernel.errors import BootError
from kernel.mm.paging import SV39, SV48
from kernel.text.image import KERNEL_ADDRESS, firmware_image, kernel_image, to_virtual

from .guest import Guest

Boot = Callable[..., Guest]


def test_the_firmware_enters_the_kernel_in_s_mode_with_hart_id_and_device_tree() -> None:
    """R3.13."""
    machine = Machine(Board(harts=2))
    plan = machine.boot(kernel=kernel_image(), firmware=firmware_image(), bootargs="quiet")
    service = Service(machine)
    stop = machine.run(max_insns=10_000_000)
    assert stop == HostCall(0, HostCallNumber.ENTRY.instruction)
    hart = machine.harts[0]
    assert hart.pc == service.header.entry_call and hart.priv == 1 and hart.read_csr("satp") == 0
    assert hart.read("a0") == 0 and hart.read("a1") == plan.device_tree
    assert machine.bus.read(hart.read("a1"), 4) == b"\xd0\x0d\xfe\xed"
    machine.close()


def test_start_tells_hart_and_device_tree(boot: Boot) -> None:
    guest = boot(bootargs="the=command line")
    assert guest.entry.hart == 0
    tree = guest.entry.device_tree
    assert b"the=command line\0" in guest.machine.bus.read(tree, 8192)


def test_sv48_is_switched_on_with_the_boot_page_table(boot: Boot) -> None:
    guest = boot()
    assert guest.entry.paging is SV48
    assert guest.tlb.satp == SV48.satp(guest.service.header.boot_root_sv48)


def test_sv39_is_switched_on_where_the_board_has_no_more(boot: Boot) -> None:
    guest = boot(mmu="sv39")
    assert guest.entry.paging is SV39
    assert guest.tlb.satp == SV39.satp(guest.service.header.boot_root_sv39)


def test_sv39_is_switched_on_if_it_is_asked_for(boot: Boot) -> None:
    assert boot(mode=8).entry.paging is SV39


def test_a_mode_that_the_hart_refuses_ends_in_sv39(boot: Boot) -> None:
    guest = boot(mode=15)  # reserved: the write leaves satp as it is, which is how Sv39-only harts refuse Sv48
    assert guest.entry.paging is SV39
    assert guest.tlb.satp == SV39.satp(guest.service.header.boot_root_sv39)


@pytest.mark.parametrize("mode", [9, 8])
def test_the_text_runs_in_the_high_half(boot: Boot, mode: int) -> None:
    guest = boot(mode=mode)
    hart = guest.machine.harts[0]
    assert hart.pc == to_virtual(guest.service.header.service_call) == 0xffff_ffff_0000_0000 + hart.translate(hart.pc)
    assert hart.read_csr("stvec") == to_virtual(guest.service.header.trap_vector)


def test_the_boot_cpu_has_256_kib_of_stack(boot: Boot) -> None:
    guest = boot()
    header = guest.service.header
    assert header.boot_stack_size == 256 << 10
    assert guest.machine.harts[0].read("sp") == to_virtual(header.boot_stack + header.boot_stack_size)


@pytest.mark.parametrize(("mode", "linear"), [(9, 0xffff_8000_0000_0000), (8, 0xffff_ffc0_0000_0000)])
def test_the_boot_page_table_maps_identity_linear_and_code(boot: Boot, mode: int, linear: int) -> None:
    guest = boot(mode=mode)
    magic = int.from_bytes(b"HARTWELL", "little")
    for base in (0, linear, 0xffff_ffff_0000_0000):
        assert guest.probe.load(0, base + KERNEL_ADDRESS + 64) == magic


def test_cpu_0_is_the_hart_that_was_entered(boot: Boot) -> None:
    guest = boot(harts=2)
    assert guest.service.online == [0] and guest.service.hart(0).id == guest.entry.hart
    with pytest.raises(BootError, match="CPU 1 has not started"):
        guest.service.hart(1)


def test_a_kernel_entered_in_m_mode_does_not_start() -> None:
    machine = Machine()
    machine.boot(kernel=kernel_image())
    with pytest.raises(BootError, match="privilege 3"):
        Service(machine).start()
    machine.close()


def test_a_machine_that_never_gets_to_the_kernel_does_not_start() -> None:
    machine = Machine()
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    with pytest.raises(BootError, match="was not entered"):
        Service(machine).start(budget=1000)
    machine.close()
