"""The machine as its users drive it: boot, run, step, expect, feed, limits, reset, several side by side."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from emulator.board import Board
from emulator.errors import EngineError, PlacementError
from emulator.loader.detect import load_image
from emulator.machine import Machine
from emulator.stop import Exited, HostCall, Interrupted, Matched, Stepped, Watchdog
from tests.helpers.assembler import assemble
from tests.helpers.machines import END, FIRMWARE, IMAGES, ROOT, digest, flat, image, machine

ECHO = """
        li      t0, 0x10000000
1:      lbu     t1, 5(t0)
        andi    t1, t1, 1
        beqz    t1, 1b
        lbu     t1, 0(t0)
        sb      t1, 0(t0)
        j       1b
"""
COUNT = "1: addi a0, a0, 1\n j 1b"


def test_five_lines_boot_a_kernel_behind_the_firmware() -> None:
    firmware = load_image(FIRMWARE.read_bytes(), "hartwell-sbi.elf", 0x8000_0000)
    made = Machine()
    made.boot(kernel=load_image((IMAGES / "hello/hello.elf").read_bytes(), "hello.elf", 0x8020_0000), firmware=firmware)
    stop = made.run()
    assert stop == Exited(0) and stop.ok
    assert made.console.endswith(b"This is hart 0, in S-mode.\r\n")


def test_output_is_handed_on_piece_by_piece_and_kept() -> None:
    pieces: list[bytes] = []
    made = image("hello").boot()
    made.on_output = pieces.append
    image("hello").run(made)
    assert b"".join(pieces) == made.console


def test_a_machine_without_a_program_cannot_boot() -> None:
    with pytest.raises(PlacementError, match="nothing to run"):
        Machine().boot()


# --- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 2, 1000, 123_457])
def test_an_instruction_limit_is_kept_to_the_block(limit: int) -> None:
    made = machine(COUNT)
    assert made.run(max_insns=limit) == Watchdog("instructions", limit, made.harts[0].pc)
    assert limit <= made.instructions <= limit + 8


def test_a_guest_that_traps_all_the_time_ends_at_its_limit_too() -> None:
    made = machine("""
            la      t0, vector
            csrw    mtvec, t0
    1:      ecall
            j       1b
            .align  4
    vector: csrr    t1, mepc
            addi    t1, t1, 4
            csrw    mepc, t1
            mret
    """)
    made.run(max_insns=60_000)
    assert 60_000 <= made.instructions + made.harts[0].traps <= 72_010


def test_a_limit_in_seconds_ends_a_busy_guest() -> None:
    made = machine(COUNT)
    started = time.monotonic()
    stop = made.run(timeout=0.2)
    assert isinstance(stop, Watchdog) and stop.unit == "seconds"
    assert time.monotonic() - started < 1.5


def test_a_limit_in_seconds_also_ends_a_guest_that_only_talks_to_slow_devices() -> None:
    made = machine("li t0, 0x101000\n1: lw a0, 0(t0)\n j 1b")
    started = time.monotonic()
    assert isinstance(made.run(timeout=0.2), Watchdog)
    assert time.monotonic() - started < 5


def test_ctrl_c_ends_a_run_as_interrupted() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    made = machine(COUNT)
    try:
        timer.start()
        assert made.run(timeout=20) == Interrupted()
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert isinstance(made.run(max_insns=100), Watchdog)


# --- stepping -------------------------------------------------------------------------------------


def test_a_step_is_one_instruction() -> None:
    made = machine("c.nop\n addi a0, a0, 1\n c.nop\n sb zero, 7(t3)\n" + COUNT)
    made.harts[0].write("t3", 0x1000_0000)
    made.run(max_insns=6)
    pcs = []
    for expected in range(7, 20):
        pcs.append(made.harts[0].pc)
        assert made.step() == Stepped()
        assert made.instructions == expected
    assert pcs[:6] == [0x8000_0000, 0x8000_0002, 0x8000_0006, 0x8000_0008, 0x8000_000C, 0x8000_0010]


def test_a_step_over_a_trap_ends_at_the_handler() -> None:
    made = machine("la t0, 1f\n csrw mtvec, t0\n ecall\n .align 4\n1: addi a0, a0, 1\n j 1b")
    made.run(max_insns=9)
    retired = made.instructions
    assert made.step() == Stepped()
    assert (made.harts[0].pc, made.instructions, made.harts[0].traps) == (0x8000_0010, retired + 1, 1)


def test_thousands_of_steps_through_output_are_each_one_instruction() -> None:
    made = machine("li t0, 0x10000000\n1: sb t1, 0(t0)\n j 1b")
    for expected in range(1, 5001):
        assert made.step() == Stepped()
        assert made.instructions == expected


@pytest.mark.parametrize(("name", "harts"), [("timer", 1), ("pagefault-sv39", 1), ("smp-pingpong", 2)])
def test_stepping_first_changes_nothing_of_what_follows(name: str, harts: int) -> None:
    whole, stepped = image(name).boot(harts), image(name).boot(harts)
    image(name).run(whole)
    for _ in range(20_000):
        assert stepped.step() == Stepped()
    image(name).run(stepped)
    assert digest(stepped) == digest(whole)


# --- console --------------------------------------------------------------------------------------


def test_expect_stops_right_behind_the_pattern() -> None:
    made = machine("li t0, 0x10000000\n li t1, 'a'\n1: sb t1, 0(t0)\n addi t1, t1, 1\n j 1b")
    assert made.expect(b"cde", max_insns=10_000) == Matched()
    assert made.console == b"abcde"


def test_expect_looks_only_at_what_was_not_matched_before() -> None:
    made = machine("li t0, 0x10000000\n li t1, '-'\n1: sb t1, 0(t0)\n j 1b")
    for dashes in (2, 4, 6):
        assert made.expect(b"--", max_insns=1000) == Matched()
        assert made.console == b"-" * dashes


def test_expect_of_what_is_already_there_runs_nothing() -> None:
    made = machine("li t0, 0x10000000\n li t1, 'Z'\n sb t1, 0(t0)\n" + COUNT)
    made.run(max_insns=1000)
    before = made.instructions
    assert made.expect(b"Z", max_insns=1000) == Matched()
    assert made.instructions == before


def test_expect_says_what_came_instead() -> None:
    assert machine(END).expect(b"never", max_insns=1000) == Exited(0)
    assert isinstance(machine(COUNT).expect(b"never", max_insns=1000), Watchdog)


def test_an_exit_behind_the_expected_text_is_the_next_stop_without_another_instruction() -> None:
    made = machine("""
            li      t0, 0x10000000
            li      t6, 0x100000
            li      t5, 0x5555
            li      t1, 'Z'
            sb      t1, 0(t0)
            sw      t5, 0(t6)           # in the same block: both happen before the machine stops
    1:      sb      t1, 0(t0)
            j       1b
    """)
    assert made.expect(b"Z", max_insns=1000) == Matched()
    printed, before = made.console, made.instructions
    assert made.run(max_insns=1000) == Exited(0)
    assert (made.console, made.instructions) == (printed, before)


def test_what_is_fed_before_the_run_waits_for_the_guest() -> None:
    made = machine(ECHO)
    made.feed(b"first ")
    made.feed(b"second")
    made.run(max_insns=1000)
    assert made.console == b"first second"


def test_input_goes_on_after_a_deadlock() -> None:
    made = image("uart-echo").boot()
    while made.uart.input_left:
        made.uart.read(0, 1)  # take back what the manifest feeds
    assert "WFI" in str(made.run(max_insns=20_000_000))
    made.feed(b"hello\nquit\n")
    assert made.run(max_insns=20_000_000) == Exited(0)
    assert b"hello" in made.console


def test_poll_is_asked_when_every_hart_waits_and_gives_the_input() -> None:
    made = image("uart-echo").boot()
    while made.uart.input_left:
        made.uart.read(0, 1)
    answers = [b"", b"typed\n", b"", b"quit\n"]
    asked: list[int] = []

    def poll(cycles: int) -> bytes | None:
        asked.append(cycles)
        return answers.pop(0) if cycles < 0 else b""

    assert made.run(max_insns=20_000_000, poll=poll) == Exited(0)
    assert b"typed" in made.console and asked.count(-1) == 4


def test_polling_for_input_that_never_comes_changes_nothing() -> None:
    silent, polled = image("timer").boot(), image("timer").boot()
    image("timer").run(silent)
    polled.run(poll=lambda cycles: b"")
    assert digest(polled) == digest(silent)


# --- reset and life -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hello", "pagefault-sv48", "smp-pingpong", "sbi-selftest"])
def test_reset_gives_the_same_run_again(name: str) -> None:
    made = image(name).boot()
    image(name).run(made)
    console, first = made.console, [(hart.instructions, hart.cycles, hart.traps) for hart in made.harts]
    made.reset()
    image(name).run(made)
    assert [(hart.instructions, hart.cycles, hart.traps) for hart in made.harts] == first
    assert made.console == console * 2


def test_the_guests_reset_starts_the_machine_over() -> None:
    made = machine("""
            la      t0, counter
            lw      t1, 0(t0)
            addi    t1, t1, 1
            sw      t1, 0(t0)           # in what was loaded: 1 again after each reset
            li      t0, 0x10000000
            addi    t1, t1, 64
            sb      t1, 0(t0)
            li      t0, 0x80010000      # in memory that was not loaded: kept over a reset
            lw      t1, 0(t0)
            addi    t1, t1, 1
            sw      t1, 0(t0)
            li      t2, 3
            beq     t1, t2, end
            li      t0, 0x100000
            li      t1, 0x7777
            sw      t1, 0(t0)
    1:      j       1b
            .align  4
    counter: .word  0
    end:
    """ + END)
    assert made.run(max_insns=10_000) == Exited(0)
    assert made.console == b"AAA"


def test_machines_run_side_by_side_as_they_do_alone() -> None:
    names = ["smp-pingpong", "timer", "pagefault-sv39", "sbi-selftest", "hello"]
    alone = {name: image(name).boot() for name in names}
    for name in names:
        image(name).run(alone[name])
    together = {name: image(name).boot() for name in names}
    running = set(names)
    while running:
        for name in sorted(running):
            if not isinstance(together[name].run(max_insns=7001), Watchdog):
                running.discard(name)
    for name in names:
        assert digest(together[name]) == digest(alone[name]), name


THREADS = """if True:
    import threading
    from tests.helpers.machines import digest, image

    found = []

    def work(made):
        made = made or image("smp-pingpong").boot()
        image("smp-pingpong").run(made)
        found.append(digest(made))

    for _ in range(5):
        threads = [threading.Thread(target=work, args=(MACHINE,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    work(None)
    assert len(found) == 21 and len(set(found)) == 1, found
"""


@pytest.mark.parametrize("made", ['image("smp-pingpong").boot()', "None"], ids=["run", "built-and-run"])
def test_machines_work_in_threads(made: str) -> None:
    image("smp-pingpong").boot().close()  # the native code is in the cache
    done = subprocess.run([sys.executable, "-c", THREADS.replace("MACHINE", made)], check=False, cwd=ROOT, timeout=40,
                          capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-1000:])


def test_a_closed_machine_says_so() -> None:
    code = """if True:
        from emulator.errors import EngineError
        from tests.helpers.machines import END, machine
        made = machine(END)
        made.close()
        made.close()
        for use in (lambda: made.run(max_insns=10), lambda: made.step(), lambda: made.harts[0].pc,
                    lambda: made.harts[0].read("mstatus"), lambda: made.reset()):
            try:
                use()
            except EngineError:
                continue
            raise SystemExit("no EngineError")
    """
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, timeout=60, capture_output=True,
                          text=True)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    assert issubclass(EngineError, Exception)


def test_closed_machines_leave_no_memory_behind() -> None:
    def resident() -> int:
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096

    def use() -> None:
        made = machine(END)
        made.run(max_insns=100)
        made.close()

    for _ in range(60):
        use()
    before = resident()
    for _ in range(120):
        use()
    assert resident() - before < 60 << 20


def test_code_that_the_host_writes_is_what_runs_next() -> None:
    made = machine(COUNT)
    made.run(max_insns=1000)
    made.bus.write(0x8000_0000, assemble("1: addi a1, a1, 1\n j 1b"))
    before = made.harts[0].read("a0")
    made.run(max_insns=1000)
    assert made.harts[0].read("a1") > 0 and made.harts[0].read("a0") <= before + 1


def test_a_board_of_one_hart_is_the_default() -> None:
    assert len(Machine().harts) == 1 and Machine().ram.size == 128 << 20
    assert len(Machine(Board(harts=8)).harts) == 8


def test_booting_again_replaces_the_program() -> None:
    made = machine(COUNT)
    made.run(max_insns=1000)
    made.boot(kernel=flat(assemble("li a0, 7\n" + END)))
    assert made.run(max_insns=1000) == Exited(0)
    assert made.harts[0].read("a0") == 7


def test_an_expect_that_is_met_at_once_leaves_nothing_behind() -> None:
    made = machine("li t0, 0x10000000\n li t1, 90\n sb t1, 0(t0)\n sb t1, 0(t0)\n1: j 1b")
    made.run(max_insns=100)
    assert made.expect(b"Z") == Matched()
    assert made.run(max_insns=100) == Watchdog("instructions", 100, made.harts[0].pc)


def test_a_custom_0_instruction_is_a_host_call_where_one_is_answered() -> None:
    made = machine(".word 0x0000700b\n addi a0, a0, 1\n1: j 1b")
    made.answer_host_calls(True)
    assert made.run(max_insns=100) == HostCall(0, 0x700B)
    assert made.harts[0].pc == 0x8000_0000
    made.harts[0].pc += 4
    made.run(max_insns=100)
    assert made.harts[0].read("a0") == 1


@pytest.mark.parametrize(("mmu", "taken"), [("sv39", [8, 0, 0, 0]), ("sv48", [8, 9, 0, 0]), ("sv57", [8, 9, 10, 0])])
def test_satp_takes_no_wider_scheme_than_the_board_has(mmu: str, taken: list[int]) -> None:
    """A write of satp with an unsupported MODE has no effect (privileged specification 4.1.11)."""
    hart = Machine(Board(memory=1 << 20, mmu=mmu)).harts[0]
    modes = []
    for mode in (8, 9, 10, 11):
        hart.write_csr("satp", 0)
        hart.write_csr("satp", mode << 60 | 5)
        modes.append(hart.read_csr("satp") >> 60)
    assert modes == taken


def test_limits_and_patterns_that_make_no_sense_are_refused() -> None:
    machine = Machine(Board(memory=1 << 20))
    with pytest.raises(ValueError, match="-5 instructions"):
        machine.run(max_insns=-5)
    with pytest.raises(ValueError, match="-1.5 seconds"):
        machine.run(timeout=-1.5)
    with pytest.raises(ValueError, match="an empty pattern"):
        machine.expect(b"")
