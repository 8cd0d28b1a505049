"""Why a machine stops: each reason by a guest that gives it."""

from __future__ import annotations

import pytest

from emulator.board import Board, virt_devices
from emulator.devices.device import Device
from emulator.errors import DeviceFailedError
from emulator.machine import Machine
from emulator.stop import Deadlock, Exited, ResetRequested, Stop, TrapLoop, Watchdog
from tests.helpers.machines import END, image, machine


def stop_of(source: str, harts: int = 1) -> Stop:
    return machine(source, Board(harts=harts)).run(max_insns=1_000_000, timeout=10)


def finish(value: int) -> str:
    return f"li t0, 0x100000\n li t1, {value}\n sw t1, 0(t0)\n1: j 1b"


@pytest.mark.parametrize(("value", "code"), [(0x5555, 0), (0x1_3333, 1), (42 << 16 | 0x3333, 42),
                                             (0xFFFF_3333, 65535), (7 << 16 | 0x5555, 0)])
def test_the_finisher_gives_the_exit_code(value: int, code: int) -> None:
    assert stop_of(finish(value)) == Exited(code)


def test_only_exit_code_0_is_ok() -> None:
    assert Exited(0).ok and not Exited(1).ok
    assert not stop_of("1: wfi\n j 1b").ok


def test_a_reset_is_reported_when_the_machine_is_told_not_to_do_it() -> None:
    made = machine(finish(0x7777))
    made.reboot = False
    assert made.run(max_insns=1000) == ResetRequested()


def test_a_reset_that_never_ends_is_the_watchdogs() -> None:
    assert isinstance(machine(finish(0x7777)).run(max_insns=20_000), Watchdog)


def test_a_finisher_value_without_a_meaning_changes_nothing() -> None:
    assert isinstance(stop_of(finish(0x1234)), Watchdog)


@pytest.mark.parametrize("harts", [1, 2, 8])
def test_harts_that_wait_for_nothing_are_a_deadlock(harts: int) -> None:
    stop = stop_of("1: wfi\n j 1b", harts)
    assert stop == Deadlock((0x8000_0004,) * harts)


def test_one_busy_hart_is_no_deadlock() -> None:
    assert isinstance(stop_of("csrr t0, mhartid\n beqz t0, 2f\n1: wfi\n j 1b\n2: j 2b", 2), Watchdog)


def test_an_interrupt_that_is_not_enabled_does_not_prevent_a_deadlock() -> None:
    assert isinstance(stop_of("li t0, 0x2004000\n li t1, 100\n sd t1, 0(t0)\n1: wfi\n j 1b"), Deadlock)


def test_a_timer_that_is_never_due_is_a_deadlock() -> None:
    assert isinstance(stop_of("li t0, 0x80\n csrw mie, t0\n1: wfi\n j 1b"), Deadlock)


def test_a_wild_jump_without_a_handler_is_a_trap_loop() -> None:
    assert stop_of("li t0, 0x90000000\n jr t0") == TrapLoop(0, 0, 1, 0)


def test_a_handler_that_traps_is_a_trap_loop() -> None:
    assert stop_of("la t0, 1f\n csrw mtvec, t0\n .align 4\n1: ebreak") == TrapLoop(0, 0x8000_000C, 3, 0x8000_000C)


def test_memory_full_of_zeros_is_a_trap_loop() -> None:
    stop = stop_of(".word 0")
    assert isinstance(stop, TrapLoop) and (stop.cause, stop.pc) == (1, 0)


def test_the_trap_loop_names_its_hart() -> None:
    stop = stop_of("la t0, 2f\n csrw mtvec, t0\n csrr t0, mhartid\n1: beqz t0, 1b\n .align 4\n2: ebreak", harts=2)
    assert isinstance(stop, TrapLoop) and stop.hart == 1


@pytest.mark.parametrize("harts", [1, 2])
def test_a_trap_loop_that_goes_through_the_firmware_is_found(harts: int) -> None:
    made = image("bad-jump").boot(harts)
    stop = image("bad-jump").run(made)
    assert isinstance(stop, TrapLoop) and stop.cause == 1


def test_many_traps_that_get_somewhere_are_no_trap_loop() -> None:
    made = machine("""
            la      t0, vector
            csrw    mtvec, t0
            li      t2, 20000
    1:      .word   0                   # traps, and is skipped
            addi    t2, t2, -1
            bnez    t2, 1b
            j       end
            .align  4
    vector: csrr    t1, mepc
            addi    t1, t1, 4
            csrw    mepc, t1
            mret
    end:
    """ + END)
    assert made.run(max_insns=1_000_000) == Exited(0)


def test_a_page_fault_that_is_repaired_each_time_is_no_trap_loop() -> None:
    assert image("pagefault-sv39").run(image("pagefault-sv39").boot()) == Exited(0)


# --- devices that fail ----------------------------------------------------------------------------


class Broken(Device):
    """Raises on a read; a write is a KeyboardInterrupt, as if the user had pressed Ctrl-C just then."""

    name = "broken"

    def __init__(self) -> None:
        super().__init__(0x2000_0000, 0x1000)

    def read(self, offset: int, size: int) -> int:
        raise ValueError(f"no register {offset}")

    def write(self, offset: int, size: int, value: int) -> None:
        raise KeyboardInterrupt


def broken(source: str) -> Machine:
    return machine("li t0, 0x20000000\n" + source + "\n1: addi a0, a0, 1\n j 1b",
                   Board(devices=(*virt_devices(), Broken)))


def test_an_exception_in_a_device_stops_the_machine_and_names_device_and_access() -> None:
    made = broken("lw t1, 8(t0)\n j 1f")
    with pytest.raises(DeviceFailedError, match="broken: read of 4 bytes at 0x8 raised ValueError: no reg") as why:
        made.run(max_insns=1000)
    assert isinstance(why.value.__cause__, ValueError)
    assert made.harts[0].read("a0") == 0  # nothing ran on


def test_the_machine_can_go_on_after_a_device_failed() -> None:
    made = broken("lw t1, 0(t0)\n j 1f")
    with pytest.raises(DeviceFailedError):
        made.run(max_insns=1000)
    assert isinstance(made.run(max_insns=1000), Watchdog)
    assert made.harts[0].read("a0") > 400


def test_ctrl_c_within_a_device_is_an_interrupted_run() -> None:
    assert str(broken("sw t1, 0(t0)").run(max_insns=1000)) == "ended by the user"


@pytest.mark.parametrize("value", [None, "text", 1.5, b"x"])
def test_a_device_that_reads_as_no_number_fails_like_one_that_raises(value: object) -> None:
    class Odd(Broken):
        def read(self, offset: int, size: int) -> int:
            return value  # type: ignore[return-value]

    made = machine("li t0, 0x20000000\n lw a0, 0(t0)\n" + END, Board(devices=(*virt_devices(), Odd)))
    with pytest.raises(DeviceFailedError, match="broken"):
        made.run(max_insns=1000)


@pytest.mark.parametrize(("value", "loaded"), [(-1, (1 << 64) - 1), (1 << 40 | 5, 5), (True, 1)])
def test_a_device_reads_as_many_bits_as_were_asked_for(value: int, loaded: int) -> None:
    class Wide(Broken):
        def read(self, offset: int, size: int) -> int:
            return value

    made = machine("li t0, 0x20000000\n lw a0, 0(t0)\n" + END, Board(devices=(*virt_devices(), Wide)))
    assert made.run(max_insns=1000) == Exited(0)
    assert made.harts[0].read("a0") == loaded
