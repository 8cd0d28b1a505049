"""Several CPUs: started, parked, given work, and what happens when that goes wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.cpu.abi import SSI, STI, Command, TrapFrame
from kernel.cpu.errors import CpuHung, CpuNotReady, UnhandledTrap
from kernel.cpu.service import Service
from kernel.errors import BootError
from kernel.mm.paging import PAGE_SIZE
from kernel.text.image import to_virtual

from .guest import FREE, Guest, Tables

BREAKPOINT = 3
READ_SATP = "csrrs a0, satp, zero\n mv a1, sp\n ret"


@pytest.fixture
def four(boot: Callable[..., Guest]) -> Guest:
    """Four CPUs, started with the boot page table."""
    guest = boot(harts=4)
    assert guest.smp.start_all(guest.tlb.satp) == [1, 2, 3]
    return guest


def pause(guest: Guest) -> None:
    """Let 100 microseconds pass in the machine, while CPU 0 sleeps."""
    guest.service.call(0, Command.ENABLE_INTERRUPTS, STI)
    guest.smp.sbi.set_timer(guest.machine.clock // 100 + 1000)
    guest.service.call(0, Command.IDLE, 0)
    guest.smp.sbi.set_timer((1 << 64) - 1)
    guest.service.call(0, Command.ENABLE_INTERRUPTS, SSI)


def test_all_cpus_come_up_and_wait(four: Guest) -> None:
    assert four.smp.online == [0, 1, 2, 3]
    assert [four.service.hart(cpu).id for cpu in range(4)] == [0, 1, 2, 3]
    assert [four.service.ready(cpu) for cpu in range(4)] == [True, False, False, False]
    pause(four)
    assert all(four.machine.harts[hart].waiting for hart in (1, 2, 3))


@pytest.mark.parametrize("mode", [9, 8])
def test_eight_cpus_each_have_their_own_stack_and_the_kernels_satp(boot: Callable[..., Guest], mode: int) -> None:
    guest = boot(harts=8, mode=mode)
    guest.smp.start_all(guest.tlb.satp)
    code = guest.code(READ_SATP)
    for cpu in range(8):
        satp, sp = guest.smp.call(cpu, Command.CALL, code)
        assert satp == guest.tlb.satp
        assert sp == to_virtual(guest.service.header.stack_tops[cpu])


def test_the_last_stack_ends_inside_of_the_kernel(four: Guest) -> None:
    header = four.service.header
    assert header.stack_tops[-1] <= header.kernel_end
    assert header.stack_tops[0] <= header.cpu_stacks == header.stack_tops[1] - header.cpu_stack_size


def test_a_cpu_starts_under_a_page_table_without_identity_mapping(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    tables = Tables(guest, guest.page())
    guest.port.store(tables.root + 8 * 511, guest.port.load(guest.service.header.boot_root_sv48 + 8 * 511))
    assert guest.smp.start(1, tables.satp) == 1
    code = guest.code(READ_SATP) - FREE + 0xffff_ffff_0000_0000 + FREE
    assert guest.smp.call(1, Command.CALL, code)[0] == tables.satp


def test_cpu_numbers_follow_the_order_of_starting(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=4)
    assert guest.smp.start(3, guest.tlb.satp) == 1
    assert guest.smp.start_all(guest.tlb.satp) == [2, 3]
    assert [guest.service.hart(cpu).id for cpu in range(4)] == [0, 3, 1, 2]
    assert guest.service.cpu_of(3) == 1


def test_a_hart_is_started_once(four: Guest) -> None:
    with pytest.raises(BootError, match="hart 2 has started already, as CPU 2"):
        four.smp.start(2, four.tlb.satp)


def test_a_hart_that_does_not_exist_leaves_no_trace(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    with pytest.raises(Exception, match="invalid parameter"):
        guest.smp.start(5, guest.tlb.satp)
    assert guest.smp.online == [0] and not guest.service.jobs
    assert guest.smp.start(1, guest.tlb.satp) == 1


def test_work_for_parked_cpus_is_done_by_them(four: Guest) -> None:
    code = four.code("csrrs a1, sscratch, zero\n add a0, a0, a0\n ret")
    before = [hart.instructions for hart in four.machine.harts]
    for round_number in range(20):
        for cpu in (3, 1, 2):
            assert four.smp.call(cpu, Command.CALL, code, 10 * cpu + round_number) == (20 * cpu + 2 * round_number, 0)
    assert all(hart.instructions > was for hart, was in zip(four.machine.harts, before, strict=True))
    assert four.service.ready(0) and not four.service.jobs


def test_an_interrupt_of_the_waiting_cpu_does_not_end_the_wait(four: Guest) -> None:
    code = four.code("li t0, 100000\n1: addi t0, t0, -1\n bnez t0, 1b\n li a0, 7\n ret")
    four.smp.sbi.send_ipi([0])
    assert four.smp.call(2, Command.CALL, code)[0] == 7


def test_cpus_share_memory(four: Guest) -> None:
    page = four.page()
    code = four.code("li t0, 1\n amoadd.d a0, t0, (a0)\n ret")
    assert [four.smp.call(cpu, Command.CALL, code, page)[0] for cpu in (0, 3, 2, 1)] == [0, 1, 2, 3]
    assert four.port.load(page) == 4


def test_a_probe_on_another_cpu_faults_there(four: Guest) -> None:
    assert four.probe.load(2, 0x4000_0000_1000) == (13, 0x4000_0000_1000)


def test_a_trap_on_another_cpu_is_handled_with_its_number(four: Guest) -> None:
    seen: list[int] = []

    def handler(cpu: int, frame: TrapFrame) -> None:
        seen.extend((cpu, four.service.cpu))
        four.smp.call(cpu, Command.SFENCE_ALL)
        frame.sepc += 4

    four.service.traps.register(BREAKPOINT, handler)
    assert four.smp.call(2, Command.CALL, four.code("ebreak\n li a0, 9\n ret"))[0] == 9
    assert seen == [2, 2] and four.service.cpu == 0


def test_a_handler_may_have_another_cpu_do_something(four: Guest) -> None:
    code = four.code("ebreak\n li a0, 9\n ret")
    answers: list[tuple[int, int]] = []

    def handler(cpu: int, frame: TrapFrame) -> None:
        answers.append(four.smp.call(3, Command.CALL, four.code("li a0, 33\n ret")))
        four.tlb.remote_sfence(0, 0)
        frame.sepc += 4

    four.service.traps.register(BREAKPOINT, handler)
    for cpu in (2, 0):
        assert four.smp.call(cpu, Command.CALL, code)[0] == 9
    assert [first for first, _ in answers] == [33, 33]
    assert four.smp.call(1, Command.NOP) == (0, 0)


def test_a_handler_runs_once_however_long_its_cpu_stands_there(four: Guest) -> None:
    seen: list[int] = []
    four.smp.summon(2)
    wait = four.code("li t0, 100000\n1: addi t0, t0, -1\n bnez t0, 1b\n li a0, 3\n ret")

    def handler(cpu: int, frame: TrapFrame) -> None:
        seen.append(four.service.call(0, Command.CALL, wait)[0])  # all harts run: CPU 2 is still at its trap
        frame.sepc += 4

    four.service.traps.register(BREAKPOINT, handler)
    assert four.service.call(2, Command.CALL, four.code("ebreak\n li a0, 9\n ret"))[0] == 9
    assert seen == [3]


def test_a_cpu_that_is_done_while_a_handler_waits_is_found_afterwards(four: Guest) -> None:
    four.smp.service.call(0, Command.ENABLE_INTERRUPTS, SSI | STI)
    wait = four.code("li t0, 400000\n1: addi t0, t0, -1\n bnez t0, 1b\n ret")

    def handler(cpu: int, frame: TrapFrame) -> None:
        four.service.call(cpu, Command.CALL, wait)  # meanwhile the timer wakes CPU 0, which waits for this CPU
        assert four.service.ready(0)
        frame.sepc += 4

    four.service.traps.register(BREAKPOINT, handler)
    four.smp.sbi.set_timer(four.machine.clock // 100 + 2000)
    assert four.smp.call(2, Command.CALL, four.code("ebreak\n li a0, 9\n ret"))[0] == 9


def test_a_parked_cpu_that_is_woken_for_nothing_is_parked_again(four: Guest) -> None:
    four.smp.sbi.send_ipi([1])
    pause(four)
    assert four.machine.harts[1].waiting and not four.service.ready(1)
    assert four.smp.call(1, Command.NOP) == (0, 0)


def test_a_service_that_takes_over_knows_who_is_parked(four: Guest) -> None:
    again = Service(four.machine)
    four.smp.service = again
    assert [again.ready(cpu) for cpu in range(4)] == [True, False, False, False]
    four.smp.sbi.send_ipi([1, 2, 3])
    assert [four.smp.call(cpu, Command.NOP) for cpu in range(4)] == [(0, 0)] * 4
    assert [again.ready(cpu) for cpu in range(4)] == [True, False, False, False]


def test_a_panic_on_another_cpu_leaves_all_of_them_usable(four: Guest) -> None:
    code = four.code("ebreak")
    with pytest.raises(UnhandledTrap, match=f"CPU 2: unhandled trap in S-mode: breakpoint at {code:#x}"):
        four.smp.call(2, Command.CALL, code)
    assert four.service.ready(0)
    assert [four.smp.call(cpu, Command.NOP) for cpu in range(4)] == [(0, 0)] * 4


def test_another_cpu_that_hangs_is_named_and_takes_nothing_more(four: Guest) -> None:
    code = four.code("1: j 1b")
    four.service.budget = 100_000
    with pytest.raises(CpuHung, match=f"hart 3 at {code:#x}"):
        four.smp.call(3, Command.CALL, code)
    with pytest.raises(CpuNotReady, match="busy with CALL"):
        four.smp.call(3, Command.NOP)


def test_python_may_run_as_another_cpu(four: Guest) -> None:
    code = four.code("csrrs a0, satp, zero\n mv a1, sp\n ret")
    four.service.cpu = 2
    _, sp = four.smp.call(2, Command.CALL, code)
    assert sp == to_virtual(four.service.header.stack_tops[2])
    four.tlb.remote_sfence(0, PAGE_SIZE)
    assert [four.smp.call(cpu, Command.NOP) for cpu in range(4)] == [(0, 0)] * 4


def test_the_same_work_takes_the_same_instructions_in_every_run(boot: Callable[..., Guest]) -> None:
    def run() -> tuple[int, ...]:
        guest = boot(harts=4)
        guest.smp.start_all(guest.tlb.satp)
        for cpu in (1, 3, 2, 0):
            guest.smp.call(cpu, Command.SFENCE_RANGE, 0, 10)
        guest.tlb.remote_sfence(0, 0)
        return tuple(hart.cycles for hart in guest.machine.harts)

    assert run() == run()
