"""The service call: commands and their results, and what becomes of a hart that goes astray."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from emulator import Breakpoint, Machine
from kernel.cpu.abi import SSI, STI, Command
from kernel.cpu.errors import (
    CpuDeadlock,
    CpuError,
    CpuHung,
    CpuNotReady,
    CpuStopped,
    CpuTrapLoop,
    GuestExited,
    GuestReset,
)
from kernel.cpu.service import Service
from kernel.errors import BootError, CorruptionError
from kernel.text.image import to_virtual

from .guest import Guest, R, X

FINISHER = 0x10_0000
VA = 0x4000_0000_1000


def test_a_command_gives_its_results(guest: Guest) -> None:
    assert guest.service.call(0, Command.NOP) == (0, 0)
    assert guest.service.call(0, Command.LOAD, guest.service.header.kernel_start + 72, 4, 0) == (0, 1)


def test_call_passes_eight_arguments_and_gives_two_results(guest: Guest) -> None:
    code = guest.code("add a0, a0, a1\n add a0, a0, a2\n add a0, a0, a3\n add a0, a0, a4\n add a0, a0, a5\n"
                      "add a0, a0, a6\n add a1, a0, a7\n ret")
    assert guest.service.call(0, Command.CALL, code, 1, 2, 4, 8, 16, 32, 64, 128) == (127, 255)


def test_commands_leave_the_stack_as_it_was(guest: Guest) -> None:
    before = guest.machine.harts[0].read("sp")
    for command in (Command.NOP, Command.SFENCE_ALL, Command.SFENCE_ASID, Command.SFENCE_PAGE, Command.SFENCE_RANGE):
        guest.service.call(0, command, 0, 3)
    assert guest.machine.harts[0].read("sp") == before


def test_enable_interrupts_gives_what_was_enabled(guest: Guest) -> None:
    assert guest.service.call(0, Command.ENABLE_INTERRUPTS, SSI | STI) == (SSI, 0)
    assert guest.service.call(0, Command.ENABLE_INTERRUPTS, SSI) == (SSI | STI, 0)


def test_idle_ends_with_an_ipi_and_clears_it(guest: Guest) -> None:
    assert guest.service.call(0, Command.IDLE, 1) == (0, SSI)
    assert not guest.machine.harts[0].read_csr("sip") & SSI


def test_idle_skips_the_time_to_the_next_timer_interrupt(guest: Guest) -> None:
    guest.service.call(0, Command.ENABLE_INTERRUPTS, SSI | STI)
    guest.smp.sbi.set_timer(50_000)
    assert guest.service.call(0, Command.IDLE, 0) == (0, STI)
    assert guest.machine.clock >= 50_000 * 100


def test_hold_ends_when_the_word_is_set(guest: Guest) -> None:
    guest.service.budget = 10_000
    hold = guest.service.header.holds
    with pytest.raises(CpuHung):
        guest.service.call(0, Command.HOLD, to_virtual(hold), 0)
    guest.port.store(hold, 1)
    assert guest.service.wait(0) == (0, 0)


def test_a_command_that_never_ends_is_named_by_the_watchdog(guest: Guest) -> None:
    code = guest.code("1: j 1b")
    guest.service.budget = 100_000
    with pytest.raises(CpuHung, match=f"hart 0 at {code:#x}: no answer within 100000 instructions") as caught:
        guest.service.call(0, Command.CALL, code)
    assert (caught.value.hart, caught.value.pc) == (0, code)


def test_the_watchdog_counts_ten_million_instructions(guest: Guest) -> None:
    before = guest.machine.instructions
    with pytest.raises(CpuHung):
        guest.service.call(0, Command.CALL, guest.code("1: j 1b"))
    assert guest.machine.instructions - before == pytest.approx(10_000_000, rel=0.01)


def test_a_hart_that_hangs_takes_no_commands(guest: Guest) -> None:
    code = guest.code("1: j 1b")
    guest.service.budget = 1000
    with pytest.raises(CpuHung):
        guest.service.call(0, Command.CALL, code)
    assert not guest.service.ready(0)
    with pytest.raises(CpuNotReady, match=f"{code:#x}"):
        guest.service.call(0, Command.NOP)


def test_a_page_table_without_the_text_is_a_trap_loop_or_a_hang(guest: Guest) -> None:
    with pytest.raises((CpuTrapLoop, CpuHung)) as caught:
        guest.service.call(0, Command.ACTIVATE, 9 << 60 | guest.page() >> 12)
    assert caught.value.pc == to_virtual(guest.service.header.trap_vector)


def test_waiting_for_nothing_is_a_deadlock(guest: Guest) -> None:
    with pytest.raises(CpuDeadlock, match="no interrupt to come"):
        guest.service.call(0, Command.IDLE, 0)


@pytest.mark.parametrize(("value", "error"), [(0x5555, GuestExited), (0x7777, GuestReset)])
def test_the_end_of_the_machine_ends_the_command(guest: Guest, value: int, error: type[CpuError]) -> None:
    with pytest.raises(error):
        guest.probe.store(0, FINISHER, value, 4)


def test_after_a_breakpoint_the_command_can_be_waited_for(guest: Guest) -> None:
    code = guest.code("nop\n li a0, 7\n ret")
    guest.machine.set_breakpoints([code + 4])
    with pytest.raises(CpuStopped) as caught:
        guest.service.call(0, Command.CALL, code)
    assert caught.value.stop == Breakpoint(0, code + 4)
    assert guest.service.wait(0)[0] == 7


def test_an_unknown_command_is_a_breakpoint_trap_in_the_text(guest: Guest) -> None:
    hart = guest.machine.harts[0]
    hart.write("t0", len(Command))
    hart.pc += 4
    with pytest.raises(Exception, match=r"breakpoint at .* \(dispatch\+"):
        guest.service.wait(0)


def test_two_kernels_in_one_process_do_not_meet(boot: Callable[..., Guest]) -> None:
    one, other = boot(), boot(mode=8)
    one.probe.store(0, 0x8500_0000, 1)
    other.probe.store(0, 0x8500_0000, 2)
    assert one.probe.load(0, 0x8500_0000) == 1 and other.probe.load(0, 0x8500_0000) == 2
    assert one.tlb.satp >> 60 == 9 and other.tlb.satp >> 60 == 8


def test_a_second_service_takes_over_a_running_machine(guest: Guest) -> None:
    again = Service(guest.machine)
    assert again.ready(0) and again.call(0, Command.NOP) == (0, 0)


def test_without_a_kernel_there_is_no_service() -> None:
    machine = Machine()
    with pytest.raises(BootError, match="no kernel at 0x80200000"):
        Service(machine)
    machine.close()


def test_a_host_call_outside_of_the_text_is_an_illegal_instruction(guest: Guest) -> None:
    code = guest.code(".word 0x0200000b")  # SERVICE, but not where the text makes it
    with pytest.raises(Exception, match=f"S-mode: illegal instruction at {code:#x}, value 0x200000b"):
        guest.service.call(0, Command.CALL, code)


def test_a_frame_that_is_not_mapped_is_refused(guest: Guest) -> None:
    with pytest.raises(CorruptionError, match="trap frame at 0x400000001000"):
        guest.service.frame(0, VA)


def test_a_command_costs_few_instructions(guest: Guest) -> None:
    before = guest.machine.instructions
    guest.service.call(0, Command.NOP)
    assert guest.machine.instructions - before < 20


def test_fetching_from_a_new_mapping_needs_no_flush(guest: Guest) -> None:
    tables = guest.tables()
    guest.tlb.activate(tables.satp)
    tables.map(VA, guest.code("li a0, 3\n ret"), R | X)
    assert guest.probe.fetch(0, VA) == 3
