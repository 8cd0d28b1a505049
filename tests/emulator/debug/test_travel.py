"""Time travel: every place of a run can be gone to, and is what it was."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from emulator import Board, Machine
from emulator.debug import BreakAt, MarkAt, Position, ProgramEnded, Target, WatchAt
from emulator.stop import Breakpoint, Exited, HistoryBegins, Marked, Stepped, Stop, Watch, Watchpoint
from kernel import Kernel
from kernel.text.image import firmware_image, kernel_image
from tests.helpers.assembler import assemble
from tests.helpers.effort import rounds
from tests.helpers.machines import END, FIRMWARE, flat, image, load, machine, timed

LEAST = 4 << 20
"""Bytes of memory in which the images can do."""


def booted(name: str, harts: int = 1, profile: str | None = None) -> Machine:
    """A machine that is about to boot an image."""
    made = timed(Board(harts=harts, memory=LEAST), profile)
    made.boot(kernel=load(image(name).path), firmware=load(FIRMWARE))
    made.feed(image(name).stdin)
    return made


def assert_same_states(make: Callable[[], Target], points: int) -> None:
    """Reverse-stepping to places by chance finds the states that were there on the way forwards."""
    with make() as target:
        target.resume()
        end = target.end
        first = target.history.first.position
    chance = random.Random(points)
    with make() as target:
        recorded: dict[Position, str] = {}
        for steps in sorted(chance.sample(range(first.steps, end.steps), points)):
            if steps > target.position.steps:
                target.step(steps - target.position.steps)
            recorded[target.position] = target.machine.snapshot().digest()
        target.resume()
        assert target.end == end
        assert len(set(recorded.values())) == len(recorded)
        places = sorted(recorded, reverse=True)
        for number, place in enumerate(places):
            if number % 8:
                steps = target.position.steps - place.steps
            else:  # from somewhere else, and not from the place visited before
                target.seek(chance.choice(places))
                target.seek(Position(place.steps + 1))
                steps = 1
            assert target.reverse_step(steps) == Stepped()
            assert target.position == place
            assert target.machine.snapshot().digest() == recorded[place], place


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_reverse_steps_to_points_of_a_boot_restore_what_was_there() -> None:
    assert_same_states(lambda: Target(booted("hello")), rounds(10_000, 2_000))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "harts", "profile", "points"), [
    ("smp-pingpong", 2, None, 500), ("uart-echo", 1, None, 300), ("pagefault-sv39", 1, "rocket", 200),
    ("smp-pingpong", 2, "rocket", 200), ("timer", 4, "simple", 200)])
def test_reverse_steps_restore_what_was_there(name: str, harts: int, profile: str | None, points: int) -> None:
    assert_same_states(lambda: Target(booted(name, harts, profile)), points)


@pytest.mark.slow
def test_reverse_steps_restore_what_was_there_in_the_boot_of_a_kernel_in_python() -> None:
    made = Machine(Board(memory=32 << 20))
    made.boot(kernel=kernel_image(), firmware=firmware_image())
    recorded: list[tuple[Position, str, Position]] = []
    with Target(made, Kernel.start) as target:
        target.points.add(MarkAt("*"))
        while isinstance(target.resume(), Marked):
            for count in (1, 1, 20):
                before, digest = target.position, made.snapshot().digest()
                target.step(count)
                recorded.append((before, digest, target.position))
        assert isinstance(target.stop, ProgramEnded)
        assert len({before.turn for before, *_ in recorded}) > 20
        random.Random(3).shuffle(recorded)
        for before, digest, after in recorded:
            target.seek(after)
            while target.position > before:
                target.reverse_step()
            assert target.position == before
            assert made.snapshot().digest() == digest


def test_a_digest_is_that_of_the_state_however_it_was_reached() -> None:
    one, other = booted("hello"), booted("hello")
    one.proceed(steps=300_000)
    for _ in range(3):
        other.proceed(steps=100_000)
        other.snapshot()
    assert one.snapshot().digest() == other.snapshot().digest()
    other.bus.write(0x8020_0000 + LEAST // 4, b"x")
    assert one.snapshot().digest() != other.snapshot().digest()
    other.restore(one.snapshot())
    assert one.snapshot().digest() == other.snapshot().digest()
    other.step()
    assert one.snapshot().digest() != other.snapshot().digest()
    one.close()
    other.close()


SHORT = """
        la      t0, handler
        csrw    mtvec, t0
        li      t0, 0x2004000
        li      t1, 150
        sd      t1, 0(t0)               # mtimecmp
        li      t1, 0x80
        csrw    mie, t1
        csrwi   mstatus, 8
        ecall
        ebreak
        .word   0
        la      a0, patched
        lw      a1, 4(a0)
        sw      a1, 0(a0)
        fence.i
patched: addi   s2, s2, 1
        addi    s2, s2, 2
        wfi
        li      a3, 20
1:      addi    a3, a3, -1
        bnez    a3, 1b
""" + END + """
        .align  4
handler:
        csrr    a4, mcause
        blt     a4, zero, interrupt
        csrr    a4, mepc
        addi    a4, a4, 4
        csrw    mepc, a4
        mret
interrupt:
        li      a4, 0x2004000
        li      a5, -1
        sd      a5, 0(a4)
        mret
"""


def test_every_place_of_a_run_is_visited_once_and_can_be_come_back_to() -> None:
    """Instructions, traps of instructions that retire and that do not, an interrupt, WFI, changed code."""
    with Target(machine(SHORT, Board(memory=2 << 20))) as target:
        seen = []
        stop: Stop = Stepped()
        while stop == Stepped():
            hart = target.machine.harts[0]
            seen.append((target.position.steps, hart.pc, hart.traps, target.machine.snapshot().digest()))
            stop = target.step()
        assert stop == Exited(0)
        assert [step for step, *_ in seen] == list(range(len(seen)))
        assert seen[-1][2] == 4  # ecall, ebreak, the illegal instruction, the timer
        assert target.machine.harts[0].read("s2") == 4
        for step, pc, traps, digest in reversed(seen):
            assert target.reverse_step() == Stepped()
            hart = target.machine.harts[0]
            assert (target.position.steps, hart.pc, hart.traps, target.machine.snapshot().digest()) == (
                step, pc, traps, digest)
        assert target.reverse_step() == HistoryBegins()
        for step, pc, *_ in random.Random(1).sample(seen, 60):
            target.seek(Position(step))
            assert target.machine.harts[0].pc == pc


def test_steps_of_one_hart_leave_out_those_of_the_others() -> None:
    source = "csrr t0, mhartid\n li a0, 300\n1: addi a0, a0, -1\n bnez a0, 1b\n2: j 2b"
    with Target(machine(source, Board(harts=2, memory=2 << 20)), max_insns=3000) as target:
        target.resume()
        target.seek(Position(0))
        pcs = []
        for _ in range(40):
            before = target.machine.harts[1].steps
            assert target.step(hart=1) == Stepped()
            assert target.machine.harts[1].steps == before + 1
            pcs.append(target.machine.harts[1].pc)
        for pc in reversed(pcs[:-1]):
            assert target.reverse_step(hart=1) == Stepped()
            assert target.machine.harts[1].pc == pc


def test_breakpoints_are_hit_forwards_and_backwards_at_the_same_places() -> None:
    source = "li a0, 20\n" + "1: addi a0, a0, -1\n c.nop\n c.nop\n bnez a0, 1b\n" + END
    with Target(machine(source, Board(memory=2 << 20))) as target:
        target.points.add(BreakAt(0x8000_0004))
        point = target.points.add(BreakAt(0x8000_000a))
        there = []
        while isinstance(stop := target.resume(), Breakpoint):
            there.append((target.position, stop.pc, target.machine.harts[0].read("a0")))
        assert len(there) == 40
        assert point.hits == 20
        back = []
        while isinstance(stop := target.reverse_resume(), Breakpoint):
            back.append((target.position, stop.pc, target.machine.harts[0].read("a0")))
        assert stop == HistoryBegins()
        assert back == there[::-1]
        again = []
        while isinstance(stop := target.resume(), Breakpoint):
            again.append((target.position, stop.pc, target.machine.harts[0].read("a0")))
        assert again == there
        assert target.stop == Exited(0)
        assert point.hits == 20  # those of the past are not counted again


def test_a_resume_from_the_middle_of_a_block_counts_its_trap_as_ever() -> None:
    """What went wrong: a block's part that was gone on with from a snapshot did not know what had been counted."""
    source = ("la t0, 2f\n csrw mtvec, t0\n li a0, 0x80003001\n" + "addi a1, a1, 1\n" * 10 + "amoadd.w a2, a1, (a0)\n"
              + "addi a1, a1, 1\n" * 10 + "2: csrr a3, mepc\n" + END)
    whole = machine(source, Board(memory=2 << 20))
    whole.run()
    with Target(machine(source, Board(memory=2 << 20))) as target:
        target.resume()
        counts = [(hart.instructions, hart.cycles, hart.traps) for hart in target.machine.harts]
        assert counts == [(hart.instructions, hart.cycles, hart.traps) for hart in whole.harts]
        for steps in range(target.end.steps):
            target.seek(Position(steps))
            target.changing()
            assert target.resume() == Exited(0)
            assert [(hart.instructions, hart.cycles, hart.traps) for hart in target.machine.harts] == counts


@pytest.mark.parametrize("profile", [None, "rocket"])
def test_watchpoints_set_in_the_middle_of_a_block_are_hit_in_it(profile: str | None) -> None:
    made = timed(Board(memory=2 << 20), profile)
    made.boot(kernel=flat(assemble("li a0, 0x80003000\n" + "addi s2, s2, 1\n" * 6 + "sd s2, 8(a0)\n"
                                   + "addi s2, s2, 1\n" * 6 + END)))
    with Target(made) as target:
        target.points.add(WatchAt(Watch(0x8000_3008, 8)))
        stop = target.resume()
        assert isinstance(stop, Watchpoint)
        store = stop.pc
        target.points.remove(next(iter(target.points)))
        target.resume()
        for steps in range(target.end.steps):
            target.seek(Position(steps))
            before = made.harts[0].read("s2") < 6 or made.harts[0].pc == store
            point = target.points.add(WatchAt(Watch(0x8000_3008, 8)))
            stop = target.resume()
            target.points.remove(point)
            assert isinstance(stop, Watchpoint) == before


def test_a_block_longer_than_the_engine_translates_is_stepped_like_others() -> None:
    source = "c.nop\n" * 1500 + END
    with Target(machine(source, Board(memory=2 << 20))) as target:
        assert target.step(700) == Stepped()
        assert target.resume() == Exited(0)
        count = target.machine.instructions
        digest = target.machine.snapshot().digest()
        for steps in (1, 400, 513, 700, 1024, 1400):
            target.seek(Position(steps))
            assert target.resume() == Exited(0)
            assert (target.machine.instructions, target.machine.snapshot().digest()) == (count, digest)


@pytest.mark.parametrize("profile", [None, "rocket"])
def test_a_device_tells_the_same_time_however_a_block_is_stepped_through(profile: str | None) -> None:
    """With a timing model a device sees the clock as the block began, not as the debugger's part of it did."""
    names = ["s2", "s3", "s4", "s5", "s6", "s7"]
    source = "li a0, 0x200bff8\n" + "".join(f"ld {name}, 0(a0)\n" for name in names) + END
    made = timed(Board(memory=2 << 20, clock_hz=10_000_000), profile)  # a tick is a cycle
    made.boot(kernel=flat(assemble(source)))
    with Target(made) as target:
        target.resume()
        told = [made.harts[0].read(name) for name in names]
        counted = (made.harts[0].instructions, made.harts[0].cycles)
        target.seek(Position(0))
        target.changing()
        while target.ended is None:
            target.step()
        assert [made.harts[0].read(name) for name in names] == told
        assert (made.harts[0].instructions, made.harts[0].cycles) == counted
