"""The trap vector: traps of the kernel and of user code, with the whole state saved and given back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.cpu.abi import SSI, SSTATUS_SIE, SSTATUS_SPIE, SSTATUS_SUM, STI, Command, TrapFrame
from kernel.cpu.errors import CpuHung, CpuNotReady, UnhandledTrap
from kernel.cpu.trap import INTERRUPT, TrapHandlers, cause_name
from kernel.errors import KernelPanic
from kernel.text.image import KERNEL_CODE_BASE, kernel_image, to_virtual

from .guest import Guest, R, U, W, X

CODE, DATA = 0x1_0000, 0x2_0000
"""Where user code and data are mapped, in a user space of their own (root entry 0)."""
BREAKPOINT, ECALL_U, LOAD_FAULT, STORE_FAULT = 3, 8, 13, 15
REGISTERS = [field.name for field in TrapFrame.FIELDS][1:32]


class User:
    """User code with a page of data, for a CPU, and the frame that enters it."""

    def __init__(self, guest: Guest, source: str, cpu: int = 0) -> None:
        self.guest, self.cpu = guest, cpu
        tables = guest.tables()
        guest.port.store(tables.root, 0)
        self.data = guest.page()
        self.data_entry = tables.map(DATA, self.data, R | W | U)
        tables.map(CODE, guest.code(source, CODE), R | X | U)
        guest.smp.call(cpu, Command.ACTIVATE, tables.satp)
        frame_at = guest.page()
        self.at = guest.entry.paging.linear_base + frame_at
        self.frame = TrapFrame.at(guest.port, frame_at)
        self.frame.sepc, self.frame.sstatus = CODE, SSTATUS_SPIE

    def enter(self, budget: int | None = None) -> TrapFrame:
        """Run it until it traps."""
        self.at, frame = self.guest.service.enter_user(self.cpu, self.at, budget)
        return frame


# --- traps of the kernel ----------------------------------------------------------------------------------------


def test_an_unhandled_trap_is_a_panic_that_names_cause_place_and_value(guest: Guest) -> None:
    code = guest.code("nop\n ld a0, 0(a0)\n ret")
    with pytest.raises(KernelPanic, match=f"CPU 0: unhandled trap in S-mode: load page fault at {code + 4:#x}, "
                                          "value 0x4000dead0000") as caught:
        guest.service.call(0, Command.CALL, code, 0x4000_dead_0000)
    assert isinstance(caught.value, UnhandledTrap)
    assert (caught.value.cpu, caught.value.scause, caught.value.sepc, caught.value.stval) == (
        0, LOAD_FAULT, code + 4, 0x4000_dead_0000)


def test_a_panic_in_the_text_names_the_symbol(guest: Guest) -> None:
    symbol = kernel_image().symbols.find("do_sfence_asid")
    assert symbol is not None
    guest.machine.bus.write(symbol.address - KERNEL_CODE_BASE, b"\xff\xff\xff\xff")
    with pytest.raises(UnhandledTrap, match=rf"illegal instruction at {symbol.address:#x} \(do_sfence_asid\)"):
        guest.service.call(0, Command.SFENCE_ASID, 0)


def test_a_handler_may_change_the_frame_and_the_code_goes_on(guest: Guest) -> None:
    seen: list[tuple[int, int]] = []

    def skip(cpu: int, frame: TrapFrame) -> None:
        seen.append((cpu, frame.sepc))
        frame.sepc += 4
        frame.a0 += 100

    guest.service.traps.register(BREAKPOINT, skip)
    code = guest.code("addi a0, a0, 1\n ebreak\n addi a0, a0, 10\n ret")
    assert guest.service.call(0, Command.CALL, code, 1000) == (1111, 0)
    assert seen == [(0, code + 4)]


def test_a_handler_may_give_the_cpu_commands(guest: Guest) -> None:
    """As a page-fault handler does, which maps the page and flushes the TLB."""
    tables = guest.tables()
    guest.tlb.activate(tables.satp)
    va, page = 0x4000_0000_1000, guest.page()
    guest.port.store(page + 8, 77)

    def demand(cpu: int, frame: TrapFrame) -> None:
        assert guest.probe.load(cpu, frame.stval) != 77  # a probe's fault inside of a trap
        tables.map(frame.stval & -4096, page, R)
        guest.service.call(cpu, Command.SFENCE_PAGE, frame.stval)

    guest.service.traps.register(LOAD_FAULT, demand)
    assert guest.service.call(0, Command.CALL, guest.code("ld a0, 0(a0)\n ret"), va + 8)[0] == 77


def test_a_trap_in_a_handlers_command_is_nested(guest: Guest) -> None:
    inner, outer = guest.code("ebreak\n ret"), guest.code("ebreak\n ret")
    order: list[int] = []

    def handler(cpu: int, frame: TrapFrame) -> None:
        order.append(frame.sepc)
        if frame.sepc == outer:
            guest.service.call(cpu, Command.CALL, inner)
        frame.sepc += 4

    guest.service.traps.register(BREAKPOINT, handler)
    before = guest.machine.harts[0].read("sp")
    guest.service.call(0, Command.CALL, outer)
    assert order == [outer, inner] and guest.machine.harts[0].read("sp") == before


def test_a_trap_in_the_kernel_keeps_every_register(guest: Guest) -> None:
    names = [name for name in REGISTERS if name not in ("ra", "sp")]
    setting = "\n".join(f"li {name}, {0x100 + i}" for i, name in enumerate(names))
    save = "\n".join(f"sd {name}, {8 * i}(sp)" for i, name in enumerate(names))
    code = guest.code(f"addi sp, sp, -512\n mv t0, ra\n sd t0, 504(sp)\n{setting}\n ebreak\n{save}\n ld ra, 504(sp)\n"
                      "mv a0, sp\n addi sp, sp, 512\n ret")

    def handler(cpu: int, frame: TrapFrame) -> None:
        assert [getattr(frame, name) for name in names] == list(range(0x100, 0x100 + len(names)))
        guest.service.call(cpu, Command.SFENCE_RANGE, 0, 5)  # changes temporaries
        frame.sepc += 4

    guest.service.traps.register(BREAKPOINT, handler)
    sp, _ = guest.service.call(0, Command.CALL, code)
    stack = guest.service.frame(0, sp).address
    assert [guest.port.load(stack + 8 * i) for i in range(len(names))] == list(range(0x100, 0x100 + len(names)))


def test_user_memory_is_closed_in_a_handler_and_open_again_for_the_code_behind_it(guest: Guest) -> None:
    seen: list[int] = []

    def handler(cpu: int, frame: TrapFrame) -> None:
        seen.append(guest.machine.harts[cpu].read_csr("sstatus") & SSTATUS_SUM)
        frame.sepc += 4

    guest.service.traps.register(BREAKPOINT, handler)
    code = guest.code(f"li t0, {SSTATUS_SUM}\n csrs sstatus, t0\n ebreak\n csrrs a0, sstatus, zero\n"
                      "csrc sstatus, t0\n ret")
    assert guest.service.call(0, Command.CALL, code)[0] & SSTATUS_SUM and seen == [0]


def test_traps_without_end_are_the_watchdogs(guest: Guest) -> None:
    def skip(_: int, frame: TrapFrame) -> None:
        frame.sepc += 4

    guest.service.traps.register(BREAKPOINT, skip)
    guest.service.budget = 20_000
    with pytest.raises(CpuHung):
        guest.service.call(0, Command.CALL, guest.code("1: ebreak\n j 1b"))


def test_sscratch_is_0_behind_a_trap_of_the_kernel(guest: Guest) -> None:
    def skip(_: int, frame: TrapFrame) -> None:
        frame.sepc += 4

    guest.service.traps.register(BREAKPOINT, skip)
    code = guest.code("ebreak\n csrrs a0, sscratch, zero\n ret")
    assert guest.service.call(0, Command.CALL, code, 1)[0] == 0


def test_handlers_are_by_cause_and_can_be_taken_back() -> None:
    calls: list[str] = []
    traps = TrapHandlers(lambda cpu, frame: calls.append("default"))
    assert traps.register(5, lambda cpu, frame: calls.append("exception")) is None
    traps.register(INTERRUPT | 5, lambda cpu, frame: calls.append("interrupt"))
    for scause in (5, INTERRUPT | 5, 6):
        traps.dispatch(0, TrapFrame(scause=scause))
    traps.unregister(5)
    traps.dispatch(0, TrapFrame(scause=5))
    assert calls == ["exception", "interrupt", "default", "default"]


@pytest.mark.parametrize(("scause", "name"), [
    (2, "illegal instruction"), (15, "store/AMO page fault"), (INTERRUPT | 5, "S timer interrupt"),
    (24, "reserved exception 24"), (INTERRUPT | 20, "reserved interrupt 20")])
def test_causes_have_the_specifications_names(scause: int, name: str) -> None:
    assert cause_name(scause) == name


# --- traps of user code -------------------------------------------------------------------------------------------


def test_user_code_runs_in_u_mode_until_its_system_call(guest: Guest) -> None:
    user = User(guest, "li a7, 64\n li a0, 5\n ecall")
    frame = user.enter()
    assert (frame.scause, frame.sepc, frame.a7, frame.a0, frame.from_user) == (ECALL_U, CODE + 8, 64, 5, True)
    assert guest.service.ready(0) and guest.service.call(0, Command.NOP) == (0, 0)


def test_a_system_call_has_every_register_of_the_user(guest: Guest) -> None:
    user = User(guest, "ecall")
    for number, name in enumerate(REGISTERS):
        setattr(user.frame, name, 0x1000 + number)
    frame = user.enter()
    assert [getattr(frame, name) for name in REGISTERS] == [0x1000 + number for number in range(31)]


def test_user_code_goes_on_behind_its_system_call_with_the_answer(guest: Guest) -> None:
    user = User(guest, "ecall\n addi a0, a0, 1\n ecall")
    frame = user.enter()
    frame.sepc += 4
    frame.a0 = 41
    _, frame = guest.service.enter_user(0, user.at)
    assert (frame.sepc, frame.a0) == (CODE + 8, 42)


def test_every_trap_of_a_user_starts_with_the_same_stack(guest: Guest) -> None:
    user = User(guest, "1: ecall\n j 1b")
    frame = user.enter()
    stack = guest.service.header.boot_stack + guest.service.header.boot_stack_size
    assert frame.kernel_sp == to_virtual(stack) and frame.address == stack - TrapFrame.SIZE
    at = user.at
    for _ in range(10):
        frame.sepc += 4
        at, frame = guest.service.enter_user(0, at)
    assert at == user.at


def test_a_page_fault_of_user_code_can_be_served_and_the_instruction_repeated(guest: Guest) -> None:
    user = User(guest, f"li t0, {DATA}\n sd t0, 0(t0)\n ecall")
    entry = guest.port.swap(user.data_entry, 0)
    frame = user.enter()
    assert (frame.scause, frame.stval) == (STORE_FAULT, DATA)
    guest.port.store(user.data_entry, entry)
    guest.tlb.sfence_page(DATA)
    _, frame = guest.service.enter_user(0, user.at)
    assert frame.scause == ECALL_U and guest.port.load(user.data) == DATA


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_host_call_by_user_code_is_an_illegal_instruction(guest: Guest, number: int) -> None:
    frame = User(guest, f".word {number << 25 | 0x0b}").enter()
    assert (frame.scause, frame.sepc, frame.stval, frame.from_user) == (2, CODE, number << 25 | 0x0b, True)
    assert frame.sstatus & (SSTATUS_SIE | SSTATUS_SPIE) == SSTATUS_SPIE


def test_user_code_cannot_touch_the_kernel(guest: Guest) -> None:
    frame = User(guest, "li t0, 1\n slli t0, t0, 63\n srai t0, t0, 16\n ld t0, 0(t0)").enter()
    assert (frame.scause, frame.stval) == (LOAD_FAULT, 0xffff_8000_0000_0000)


def test_user_code_cannot_pass_for_a_probe(guest: Guest) -> None:
    symbol = kernel_image().symbols.find("fetched")
    assert symbol is not None
    user = User(guest, ".word 0xffffffff")
    user.frame.ra, user.frame.t1 = symbol.address, CODE
    frame = user.enter()
    assert (frame.scause, frame.sepc, frame.from_user) == (2, CODE, True)


def test_an_interrupt_that_is_pending_on_the_way_to_user_code_is_taken_there(guest: Guest) -> None:
    user = User(guest, "ecall")
    user.frame.sstatus |= SSTATUS_SIE
    user.frame.s11 = 99
    guest.smp.sbi.send_ipi([0])
    frame = user.enter()
    assert (frame.scause, frame.sepc, frame.from_user, frame.s11) == (INTERRUPT | 1, CODE, True, 99)


def test_a_timer_interrupt_preempts_user_code(guest: Guest) -> None:
    user = User(guest, "1: addi a0, a0, 1\n j 1b")
    guest.service.call(0, Command.ENABLE_INTERRUPTS, SSI | STI)
    guest.smp.sbi.set_timer(guest.machine.clock // 100 + 1000)
    frame = user.enter()
    assert frame.scause == INTERRUPT | 5 and frame.is_interrupt and frame.code == 5
    assert frame.a0 > 10_000 and CODE <= frame.sepc <= CODE + 4


def test_user_code_that_never_traps_is_the_watchdogs_and_can_be_waited_for(guest: Guest) -> None:
    user = User(guest, f"li t0, {DATA}\n1: ld t1, 0(t0)\n beqz t1, 1b\n ecall")
    with pytest.raises(CpuHung, match="no answer within 5000 instructions") as caught:
        user.enter(5000)
    assert CODE <= caught.value.pc <= CODE + 16
    with pytest.raises(CpuNotReady, match="runs user code"):
        guest.service.call(0, Command.NOP)
    guest.port.store(user.data, 1)
    cpu, _, frame = guest.service.wait_user(0)
    assert cpu == 0
    assert frame.scause == ECALL_U


def test_a_new_start_forgets_the_user_code_of_the_old(guest: Guest) -> None:
    user = User(guest, "1: j 1b")
    with pytest.raises(CpuHung):
        user.enter(1000)
    guest.machine.reset()
    guest.service.start()
    assert guest.service.call(0, Command.NOP) == (0, 0)


# --- user code on several CPUs -----------------------------------------------------------------------------------


def test_user_code_of_two_cpus_runs_side_by_side(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    guest.smp.start_all(guest.tlb.satp)
    wait = f"li t0, {DATA}\n sd t0, 8(t0)\n1: ld t1, 0(t0)\n beqz t1, 1b\n li a0, %d\n ecall"
    users = [User(guest, wait % (10 + cpu), cpu) for cpu in range(2)]
    guest.smp.summon(1)
    for user in users:
        guest.service.begin_user(user.cpu, user.at)
    with pytest.raises(CpuHung):
        guest.service.wait_user(0, 1, budget=200_000)
    assert [guest.port.load(user.data + 8) for user in users] == [DATA, DATA]
    for user in users:
        guest.port.store(user.data, 1)
    found: dict[int, tuple[int, int]] = {}
    for _ in range(2):
        cpu, _, frame = guest.service.wait_user(*({0, 1} - found.keys()))
        found[cpu] = (frame.scause, frame.a0)
        assert guest.service.call(cpu, Command.NOP) == (0, 0)  # while the other one runs, or has trapped, too
    assert found == {0: (ECALL_U, 10), 1: (ECALL_U, 11)}
    with pytest.raises(CpuNotReady, match="CPU 1 runs no user code"):
        guest.service.wait_user(1)


def test_a_trap_of_user_code_waits_until_it_is_asked_for(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=2)
    guest.smp.start_all(guest.tlb.satp)
    user = User(guest, "li a0, 5\n ecall", cpu=1)
    guest.smp.summon(1)
    guest.service.begin_user(1, user.at)
    for _ in range(3):
        guest.service.call(0, Command.CALL, guest.code("li t0, 50000\n1: addi t0, t0, -1\n bnez t0, 1b\n ret"))
    assert not guest.service.ready(1)
    cpu, _, frame = guest.service.wait_user(1)
    assert (cpu, frame.a0) == (1, 5) and guest.service.ready(1)


def test_a_summoned_cpu_is_ready_and_can_be_parked_again(boot: Callable[..., Guest]) -> None:
    guest = boot(harts=3)
    guest.smp.start_all(guest.tlb.satp)
    guest.smp.summon(2)
    assert [guest.service.ready(cpu) for cpu in range(3)] == [True, False, True]
    assert guest.service.call(2, Command.NOP) == (0, 0)
    assert guest.smp.call(1, Command.NOP) == (0, 0)
    assert [guest.smp.call(cpu, Command.NOP) for cpu in range(3)] == [(0, 0)] * 3
