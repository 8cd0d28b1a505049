"""Snapshots: what follows one is what followed it the first time, in the same machine, another, or from a file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from emulator import Board, Machine, SnapshotError
from emulator.devices.device import Device
from emulator.devices.goldfish_rtc import GoldfishRtc
from emulator.engine import layout, state
from emulator.errors import DeviceFailedError, EngineError
from emulator.snapshot import Snapshot
from emulator.stop import Breakpoint, Deadlock, Exited, HostCall, Matched, Stepped, Stop, TrapLoop, Watchdog
from tests.emulator.privileged.programs import elf
from tests.helpers.assembler import assemble
from tests.helpers.machines import END, flat, image, images, load, machine

LIMIT = 3_000_000
"""Instructions that are compared behind a snapshot; all images but those that never end are over by then."""
COUNT = "1: addi a0, a0, 1\n j 1b"


def assert_same(one: Machine, other: Machine) -> None:
    """Console, counters, registers and memory are the same."""
    assert one.console == other.console
    for mine, its in zip(one.harts, other.harts, strict=True):
        assert (mine.instructions, mine.cycles, mine.traps) == (its.instructions, its.cycles, its.traps)
        assert mine.registers() == its.registers()
        for name in ("mstatus", "mcause", "mepc", "mip", "mie", "satp", "fcsr", "mcycle", "minstret", "priv"):
            assert mine.read(name) == its.read(name), name
    assert np.array_equal(one.ram.bytes[:one.ram.sink_offset], other.ram.bytes[:other.ram.sink_offset])


def future(made: Machine) -> list[tuple[Stop, int]]:
    """How the machine goes on: its stops, and the instructions until each."""
    return [(made.run(max_insns=limit), made.instructions) for limit in (1, 1000, LIMIT)]


def close(*machines: Machine) -> None:
    for made in machines:
        made.close()


# --- the same future --------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "harts"), [(name, harts) for name in images() for harts in (1, 2, 4)
                                             if harts == 1 or image(name).mode == "s"])
def test_the_future_is_the_same_wherever_an_image_is_stopped(name: str, harts: int, tmp_path: Path) -> None:
    chance, shown = random.Random(f"{name} {harts}"), image(name)
    whole = shown.boot(harts)
    whole.run(max_insns=LIMIT)
    for _ in range(2):
        made = shown.boot(harts)
        made.run(max_insns=chance.randrange(whole.instructions))
        snapshot = made.snapshot()
        snapshot.save(tmp_path / "machine.snap")
        expected = future(made)
        end = made.snapshot()
        others = [Machine(made.board), Machine(made.board)]
        read = Snapshot.load(tmp_path / "machine.snap")
        for again, its in ((made, snapshot), (others[0], snapshot), (others[1], read)):
            again.restore(its)
            assert future(again) == expected
        for other in others:
            assert_same(other, made)
        made.restore(end)
        assert_same(other, made)
        close(made, *others)
    whole.close()


@pytest.mark.parametrize(("name", "harts"),
                         [("timer", 1), ("pagefault-sv48", 1), ("uart-echo", 1), ("smp-pingpong", 3)])
def test_a_run_with_snapshots_is_the_run_without(name: str, harts: int) -> None:
    whole, often, limit = image(name).boot(harts), image(name).boot(harts), 20_000
    image(name).run(whole)
    while isinstance(often.run(max_insns=limit), Watchdog):
        before = often.snapshot()
        often.run(max_insns=limit)
        often.restore(before)
    assert_same(often, whole)
    close(often, whole)


@pytest.mark.parametrize(("name", "harts"), [("timer", 1), ("pagefault-sv39", 1), ("smp-pingpong", 2)])
def test_a_snapshot_between_two_steps_has_the_same_steps_and_the_same_run_before_it(name: str, harts: int) -> None:
    made, other = image(name).boot(harts), Machine(Board(harts=harts))
    made.run(max_insns=300_000)
    split = 0
    for _ in range(60):
        assert made.step() == Stepped()
        split += made.engine.word(layout.M_NATURAL) > 0
        before = made.snapshot()
        assert before.instructions == made.instructions
        steps = [(made.step(), [hart.pc for hart in made.harts], made.instructions) for _ in range(7)]
        made.restore(before)
        other.restore(before)
        assert [(other.step(), [hart.pc for hart in other.harts], other.instructions) for _ in range(7)] == steps
        made.step()
    assert split > 10  # else this test is about nothing
    made.restore(before)
    other.restore(before)
    assert future(made) == future(other)
    assert_same(made, other)
    whole = image(name).boot(harts)
    assert [whole.run(max_insns=LIMIT), whole.instructions] == [Exited(0), made.instructions]
    assert_same(made, whole)
    close(made, other, whole)


@pytest.mark.parametrize("fast", [1, 0], ids=["fast-stores", "fallback"])
def test_code_that_was_patched_is_what_it_was_at_the_snapshot(fast: int) -> None:
    """`selfmod.S` patches code through all kinds of mappings and calls it, and counts what came out wrong."""
    made, other, chance = Machine(), Machine(), random.Random(4)
    for one in (made, other):
        one.engine.set_word(layout.M_FAST_STORES, fast)
    made.boot(kernel=load(elf("selfmod")))
    made.bus.write(0x8000_0008, (0x2545F491_4F6CDD1D).to_bytes(8, "little"))  # seed
    made.bus.write(0x8000_0010, (30_000).to_bytes(8, "little"))  # rounds
    kept, expected = [made.snapshot()], {}
    for _ in range(40):
        made.run(max_insns=chance.randrange(1, 40_000))
        kept.append(made.snapshot())
        made.restore(chance.choice(kept))
    stops = []
    for one in (made, other):
        for snapshot in chance.sample(kept, 5):
            one.restore(snapshot)
            stops.append(one.run(max_insns=50_000_000))
            expected.setdefault("end", [hart.instructions for hart in one.harts])
            assert [hart.instructions for hart in one.harts] == expected["end"]
            assert int.from_bytes(one.bus.read(0x8000_0018, 8), "little") == 0
    assert set(stops) == {Exited(0)}
    close(made, other)


def test_code_that_the_host_changed_is_what_it_was_at_the_snapshot() -> None:
    made = machine("1: addi s0, s0, 1\n addi s1, s1, 1\n j 1b")
    made.run(max_insns=300)
    before = made.snapshot()
    made.bus.write(0x8000_0000, assemble("addi s0, s0, 2"))
    made.run(max_insns=3000)
    made.restore(before)
    made.run(max_insns=3000)
    assert made.harts[0].read("s0") == made.harts[0].read("s1") > 1000
    made.close()


def test_a_page_without_code_any_more_takes_fast_stores_again() -> None:
    made = machine("1: sd a0, 0x700(a1)\n addi a0, a0, 1\n j 1b")
    made.harts[0].write("a1", 0x8000_3000)
    before = made.snapshot()
    made.bus.write(0x8000_3000, assemble("1: j 1b", 0x8000_3000))
    made.harts[0].pc = 0x8000_3000
    made.run(max_insns=10)
    page = (0xF000 + 0x3000) >> 12
    flag = layout.M_HAS_CODE
    assert np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * 64).from_address(made.engine.word(flag)))[page] == 1
    made.restore(before)
    assert np.ctypeslib.as_array((np.ctypeslib.ctypes.c_uint8 * 64).from_address(made.engine.word(flag)))[page] == 0
    made.close()


def test_a_page_table_that_was_changed_without_a_flush_is_seen_alike_by_both() -> None:
    """Which translation a hart then uses is anybody's choice (4.2.1); it is the same choice after both snapshots."""
    source = """
            li      t0, 0x80010000      # root: a gigapage over RAM, writable, executable, A and D set
            li      t1, 0x200000cf
            sd      t1, 16(t0)
            li      t1, 0x8000000000080010
            csrw    satp, t1
            sfence.vma
            csrr    t1, mstatus
            li      t2, 0x800           # MPP = S
            or      t1, t1, t2
            csrw    mstatus, t1
            li      t3, -1
            csrw    pmpaddr0, t3
            li      t3, 31
            csrw    pmpcfg0, t3
            la      t1, 1f
            csrw    mepc, t1
            mret
    1:      ld      a0, 0(t0)           # fills the TLB
            li      t1, 0x2000004f      # A and D clear: the next walk sets A
            addi    t1, t1, -64
            sd      t1, 16(t0)
    2:      ld      a1, 16(t0)
            addi    a2, a2, 1
            j       2b
    """
    made = machine(source)
    while made.harts[0].read("a2") < 3:
        made.step()
    before, other = made.snapshot(), Machine()
    other.restore(before)
    for one in (made, other):
        one.run(max_insns=100)
    assert_same(made, other)
    close(made, other)


def test_a_trap_loop_is_found_after_as_many_traps() -> None:
    """Also when the machine stands between a firmware's MRET and the fetch that fails behind it."""
    made, other = image("bad-jump").boot(), Machine()
    made.run(max_insns=400_000)
    end = None
    for _ in range(80):
        made.run(max_insns=1)
        before = made.snapshot()
        other.restore(before)
        stop = other.run(max_insns=LIMIT)
        assert isinstance(stop, TrapLoop)
        end = end or (other.instructions, other.harts[0].traps)
        assert (other.instructions, other.harts[0].traps) == end
    close(made, other)


# --- what is in it ----------------------------------------------------------------------------------


def test_input_that_waits_waits_again() -> None:
    made, other = image("uart-echo").boot(), Machine()
    made.feed(bytes(range(32, 127)) * 1000)  # more than the ring holds at first
    while made.uart.input_left > 95_000:
        made.run(max_insns=1000)
    before = made.snapshot()
    left = made.uart.input_left
    made.run(max_insns=LIMIT)
    for one in (made, other):
        one.feed(b"what waits now is forgotten")
        one.restore(before)
        assert one.uart.input_left == left > 90_000
    assert future(made) == future(other)
    assert_same(made, other)
    close(made, other)


def test_expect_goes_on_where_it_was() -> None:
    source = "li t0, 0x10000000\n li t1, '-'\n1: sb t1, 0(t0)\n j 1b"
    made, other = machine(source), machine(COUNT)
    assert made.expect(b"--", max_insns=1000) == Matched()
    before = made.snapshot()
    other.restore(before)
    assert other.expect(b"---", max_insns=1000) == Matched()
    assert (made.console, other.console) == (b"--", b"-----")
    close(made, other)


def test_an_alarm_rings_when_it_would_have(tmp_path: Path) -> None:
    """With a clock in which a nanosecond is no whole number of cycles."""
    source = """
            li      t0, 0x101000
            li      t1, 0x0c000000      # the PLIC: source 11 at M-mode's context of hart 0
            li      t2, 1
            sw      t2, 44(t1)
            li      t3, 0x0c002000
            li      t2, 0x800
            sw      t2, 0(t3)
            li      t2, 1
            sw      t2, 0x10(t0)        # IRQ_ENABLED
            lw      a0, 0(t0)
            lw      a1, 4(t0)
            li      t2, 1000001
            add     a0, a0, t2
            sw      a1, 12(t0)
            sw      a0, 8(t0)           # alarm in a millisecond
            li      t2, 0x800
            csrw    mie, t2
            wfi
            csrr    s0, mcycle
    """ + END
    board = Board(clock_hz=330_000_000, timebase_hz=10_000_000)
    made, other = machine(source, board), Machine(board)
    while not (before := made.snapshot()).host.events:
        made.run(max_insns=1)
    assert before.host.events[0].action == "_ring" and made.clock < before.host.events[0].clock
    before.save(tmp_path / "alarm.snap")
    other.restore(Snapshot.load(tmp_path / "alarm.snap"))
    assert made.run(max_insns=10_000) == other.run(max_insns=10_000) == Exited(0)
    assert made.harts[0].read("s0") == other.harts[0].read("s0") > 330_000
    made.restore(before)
    assert made.run(max_insns=10_000) == Exited(0)
    assert_same(made, other)
    close(made, other)


def test_the_real_time_clock_tells_the_same_time() -> None:
    def rtc(of: Machine) -> GoldfishRtc:
        return next(device for device in of.devices if isinstance(device, GoldfishRtc))

    made, other = Machine(), Machine()
    rtc(made).write(4, 4, 7)
    rtc(made).write(0, 4, 8)
    before = made.snapshot()
    other.restore(before)
    assert rtc(made).time() == rtc(other).time() == 7 << 32 | 8
    close(made, other)


def test_mtime_is_what_it_was_set_to() -> None:
    made, other = machine(COUNT), Machine()
    made.bus.store(0x0200_BFF8, 8, 1 << 40)
    made.bus.store(0x0200_4000, 8, (1 << 40) + 7)
    made.run(max_insns=500)
    other.restore(made.snapshot())
    for one in (made, other):
        assert (one.bus.load(0x0200_BFF8, 8), one.harts[0].read("mip")) == ((1 << 40) + 5, 0)
        one.run(max_insns=500)
        assert one.harts[0].read("mip") == 0x80
    close(made, other)


def test_an_interrupt_that_was_claimed_is_completed() -> None:
    made, other = machine(COUNT), Machine()
    plic, source = 0x0C00_0000, 1 << 10
    for one, offset, value in ((made, 40, 1), (made, 0x2000, source)):
        one.bus.store(plic + offset, 4, value)
    made.bus.store(0x1000_0001, 1, 1)  # the UART's receive interrupt
    made.feed(b"x")
    assert made.bus.load(plic + 0x200004, 4) == 10
    other.restore(made.snapshot())
    for one in (made, other):
        assert (one.bus.load(plic + 0x200004, 4), one.harts[0].read("mip")) == (0, 0)
        one.bus.store(plic + 0x200004, 4, 10)
        assert one.harts[0].read("mip") == 0x800
        assert one.bus.load(0x1000_0000, 1) == ord("x") and one.bus.load(plic + 0x1000, 4) == source
    close(made, other)


def test_what_a_device_asked_for_and_run_has_not_told_yet_is_in_it(tmp_path: Path) -> None:
    source = """
            li      t0, 0x10000000
            li      t6, 0x100000
            li      t5, 0x73333         # FAIL, code 7
            li      t1, 'Z'
            sb      t1, 0(t0)
            sw      t5, 0(t6)           # in the block that prints: expect returns first
    """ + COUNT
    made, other = machine(source), Machine()
    assert made.expect(b"Z", max_insns=1000) == Matched()
    made.snapshot().save(tmp_path / "stop.snap")
    other.restore(Snapshot.load(tmp_path / "stop.snap"))
    assert other.run(max_insns=1000) == made.run(max_insns=1000) == Exited(7)
    close(made, other)


def test_a_reset_after_it_boots_what_was_booted(tmp_path: Path) -> None:
    made, other = image("hello").boot(), Machine()
    made.run(max_insns=200_000)
    made.bus.write(0x8020_0000, bytes(4096))
    made.snapshot().save(tmp_path / "hello.snap")
    other.restore(Snapshot.load(tmp_path / "hello.snap"))
    before = other.console
    other.reset()
    assert other.run(max_insns=LIMIT) == Exited(0)
    assert image("hello").printed(other.console[len(before):]) == image("hello").expected
    close(made, other)


def test_host_calls_are_answered_after_it_if_they_were_before_it() -> None:
    made, other = machine("addi a0, a0, 1\n .word 0x0000000b\n" + COUNT), Machine()
    made.answer_host_calls(True)
    before = made.snapshot()
    made.answer_host_calls(False)
    for one in (made, other):
        one.restore(before)
        assert before.host_calls and isinstance(one.run(max_insns=100), HostCall)
    close(made, other)


def test_waiting_harts_wait_and_the_timer_wakes_them() -> None:
    made = image("timer").boot()
    made.run(max_insns=350_000)
    waiting = 0
    for _ in range(50):
        made.run(max_insns=200)
        before = made.snapshot()
        waiting += made.harts[0].waiting
        expected = made.run(max_insns=5000), made.clock
        made.restore(before)
        assert (made.run(max_insns=5000), made.clock) == expected
    made.close()


def test_breakpoints_and_output_are_the_users() -> None:
    pieces: list[bytes] = []
    made = machine("li t0, 0x10000000\n li t1, 'x'\n sb t1, 0(t0)\n" + COUNT, on_output=pieces.append)
    before = made.snapshot()
    made.set_breakpoints([0x8000_000C])
    for _ in range(2):
        made.restore(before)
        assert made.run(max_insns=100) == Breakpoint(0, 0x8000_000C)
        made.run(max_insns=0)
    assert made.console == b"x"[:len(made.console)] and b"".join(pieces) == made.console * 2
    made.close()


def test_state_arrays_are_kept_by_name() -> None:
    made, other = Machine(), Machine()
    for one, value in ((made, 5), (other, 6)):
        one.engine.state_arrays["caches"] = np.full((2, 3), value, dtype=np.int32)
    before = made.snapshot()
    made.engine.state_arrays["caches"][1, 1] = 9
    for one in (made, other):
        one.restore(before)
        assert one.engine.state_arrays["caches"].tolist() == [[5] * 3] * 2
    del other.engine.state_arrays["caches"]
    with pytest.raises(SnapshotError, match=r"the state arrays of the snapshot: found \['caches'\], expected \[\]"):
        other.restore(before)
    other.engine.state_arrays["caches"] = np.zeros((2, 4), dtype=np.int32)
    with pytest.raises(SnapshotError, match=r"state array caches of the snapshot: found int32\(2, 3\), expected int32"):
        other.restore(before)
    close(made, other)


def test_every_word_of_the_machine_block_is_state_or_is_not() -> None:
    """Whoever adds a word says in `engine.state` what it is; there is no address among what is saved."""
    tables = state.MACHINE_STATE, state.MACHINE_SETTLED, state.MACHINE_KEPT
    named = [name for table in tables for name in table]
    assert sorted(named) == sorted(state.fields("M_", layout.M_SIZE))
    assert set(state.HART_KEPT) <= set(state.fields("H_", layout.H_SIZE))
    first, second = (image("smp-pingpong").boot(2) for _ in range(2))
    for made in (first, second):
        made.run(max_insns=1_000_000)
    one, other = first.snapshot(), second.snapshot()
    assert np.array_equal(one.engine.machine, other.engine.machine)
    assert np.array_equal(one.engine.harts, other.engine.harts)
    close(first, second)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(("board", "words"), [
    (Board(harts=2), "harts 1, expected 2"),
    (Board(memory=64 << 20), "banks 0x80000000-0x88000000, expected 0x80000000-0x84000000"),
    (Board(mmu="sv39"), "mmu sv57, expected sv39"),
    (Board(quantum=7), "quantum 20000, expected 7"),
    (Board(clock_hz=10_000_000), "clock_hz 1000000000, expected 10000000"),
    (Board(devices=Board().devices[:-1]), r"device 12 virtio at 0x10008000 \(4096 bytes, interrupt 8\), expected none"),
])
def test_another_board_is_refused_by_name(board: Board, words: str) -> None:
    made, other = machine(COUNT), machine(COUNT, board)
    other.run(max_insns=100)
    with pytest.raises(SnapshotError, match=f"the snapshot is of another board: {words}"):
        other.restore(made.snapshot())
    assert other.instructions >= 100 and isinstance(other.run(max_insns=100), Watchdog)
    close(made, other)


class Grumpy(Device):
    """Fails to take its state over; counts what it was told."""

    name = "grumpy"
    told = 0

    def read(self, offset: int, size: int) -> int:
        return self.told

    def write(self, offset: int, size: int, value: int) -> None:
        assert self.machine is not None
        if value == 1:
            self.machine.snapshot()
        elif value == 2:
            self.machine.schedule(self, self.machine.clock + 1_000_000, lambda: None)
        self.told = value

    def state(self) -> dict[str, object]:
        return {"told": self.told}

    def restore(self, state: dict[str, object]) -> None:
        if state["told"] == 3:
            raise ZeroDivisionError("three")
        self.told = int(str(state["told"]))


GRUMPY = 0x2000_0000


def grumpy(source: str) -> Machine:
    return machine(source, Board(devices=(*Board().devices, lambda: Grumpy(GRUMPY, 0x1000))))


def test_a_device_that_fails_leaves_the_machine_as_it_was() -> None:
    made = grumpy("li t0, 0x10000000\n li t1, 'x'\n 1: sb t1, 0(t0)\n j 1b")
    made.devices[-1].write(0, 4, 3)
    before = made.snapshot()
    made.devices[-1].write(0, 4, 4)
    made.feed(b"typed")
    made.run(max_insns=1000)
    same = made.snapshot()
    told: list[int] = []
    made.on_reset.append(lambda: told.append(1))
    with pytest.raises(SnapshotError, match="device grumpy cannot be what it was: ZeroDivisionError: three"):
        made.restore(before)
    assert (made.devices[-1].read(0, 4), made.uart.input_left, told) == (4, 5, [])
    other = Machine(made.board)
    other.restore(same)
    assert_same(made, other)
    assert future(made) == future(other)
    close(made, other)


def test_a_running_machine_is_not_taken() -> None:
    made = grumpy(f"li t0, {GRUMPY}\n li t1, 1\n sw t1, 0(t0)\n" + COUNT)
    with pytest.raises(DeviceFailedError, match="SnapshotError: the machine is running"):
        made.run(max_insns=1000)
    made.close()


def test_a_scheduled_action_without_a_name_is_refused() -> None:
    made = grumpy(f"li t0, {GRUMPY}\n li t1, 2\n sw t1, 0(t0)\n" + COUNT)
    made.run(max_insns=100)
    with pytest.raises(SnapshotError, match="device grumpy has scheduled <lambda>, which a snapshot cannot keep"):
        made.snapshot()
    made.close()


def test_a_closed_machine_says_so() -> None:
    made = Machine()
    before = made.snapshot()
    made.close()
    for use in (made.snapshot, lambda: made.restore(before)):
        with pytest.raises(EngineError, match="closed"):
            use()


def test_a_snapshot_may_be_taken_while_the_machine_waits_for_input() -> None:
    made, other = image("uart-echo").boot(), Machine()
    while made.uart.input_left:
        made.uart.read(0, 1)
    taken: list[Snapshot] = []

    def poll(cycles: int) -> bytes | None:
        if cycles < 0 and not taken:
            taken.append(made.snapshot())
            return b"quit\n"
        return b""

    assert made.run(max_insns=20_000_000, poll=poll) == Exited(0)
    other.restore(taken[0])
    assert isinstance(other.run(max_insns=LIMIT), Deadlock)
    other.feed(b"quit\n")
    assert other.run(max_insns=20_000_000) == Exited(0)
    assert_same(made, other)
    close(made, other)


def test_a_machine_may_be_told_of_a_restore_once() -> None:
    made = machine(COUNT)
    before, told = made.snapshot(), list[int]()
    made.on_reset.append(lambda: told.append(1))
    made.restore(before)
    made.restore(before)
    assert told == [1]
    made.boot(kernel=flat(assemble(COUNT)))
    assert isinstance(made.run(max_insns=10), Watchdog)
    made.close()
