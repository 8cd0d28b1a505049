"""What the trace records besides instructions: returns from traps, waiting, console bytes, satp, and when it was."""

from __future__ import annotations

import pytest

from emulator.board import Board
from emulator.engine import layout
from emulator.engine.tracing import (
    CAPACITY, TRACE_INSN, TRACE_OUTPUT, TRACE_SATP, TRACE_TRAP, TRACE_WAIT, TRACE_XRET,
)
from emulator.machine import Machine
from emulator.stop import Breakpoint
from emulator.trace import TraceKind, Tracer
from tests.emulator.privileged.programs import LIMIT, elf
from tests.helpers.assembler import assemble
from tests.helpers.machines import END, digest, flat, image, load, machine, timed

MRET, SRET = 0x30200073, 0x10200073
LEVELS = """
        la      t0, trap                    # M-mode: handlers, all memory for everyone
        csrw    mtvec, t0
        li      t0, -1
        csrw    pmpaddr0, t0
        csrwi   pmpcfg0, 0x1f
        li      t0, 0x800                   # to S-mode
        csrw    mstatus, t0
        la      t0, supervisor
        csrw    mepc, t0
out:    mret
supervisor:
        la      t0, user
        csrw    sepc, t0
        csrwi   sstatus, 0
back:   sret
user:   nop
        ecall
        .align 2
trap:
"""
"""M, S, U, and by an environment call M again."""

Row = list[int]


def events(made: Machine, kinds: int, limit: int = 1_000_000) -> list[Row]:
    """What a run records, as rows of unsigned words; whatever stops it."""
    rows: list[Row] = []

    class Drain:
        def drain(self) -> None:
            rows.extend(made.engine.trace.take().astype("uint64").tolist())

    made.engine.trace.record(kinds)
    made.tracers.append(Drain())
    made.run(max_insns=limit)
    made.engine.trace.record(0)
    return rows


def kind(row: Row) -> int:
    return row[0] & 0xFF


def hart(row: Row) -> int:
    return row[0] >> 8 & 0xFF


def priv(row: Row) -> int:
    return row[0] >> 16


@pytest.mark.parametrize("profile", [None, "rocket"])
def test_a_return_says_which_instruction_led_from_where_to_where(profile: str | None) -> None:
    made = timed(Board(), profile)
    made.boot(kernel=flat(assemble(LEVELS + END)))
    first, second = events(made, TRACE_XRET)
    assert (priv(first), first[2], first[4]) == (3, MRET, 1)
    assert (priv(second), second[2], second[4]) == (1, SRET, 0)
    assert first[3] == first[1] + 4 and second[3] == second[1] + 4  # both go to what stands behind them
    assert second[8] - first[8] == 5  # la is two instructions, csrw, csrwi, sret
    assert second[9] - first[9] >= 5 if profile else second[9] - first[9] == 5


@pytest.mark.parametrize("program", ["traps", "status", "paging", "crossing", "interrupts"])
def test_every_return_is_recorded_between_its_instruction_and_what_comes_next_and_nothing_else_is(program: str) -> None:
    made = Machine()
    made.boot(kernel=load(elf(program)))
    rows = events(made, TRACE_INSN | TRACE_TRAP | TRACE_XRET, LIMIT)
    assert len(rows) > 1000
    returns = 0
    for row, following in zip(rows, rows[1:], strict=False):
        executed = kind(row) == TRACE_INSN and row[2] in (MRET, SRET)
        if kind(following) == TRACE_XRET:
            assert executed and following[1:3] == row[1:3] and priv(following) == priv(row)
            returns += 1
        elif executed:  # it has itself trapped
            assert kind(following) == TRACE_TRAP and following[1] == row[1] and following[2] == 2
    for row, following in zip(rows, rows[1:], strict=False):
        if kind(row) == TRACE_XRET:  # where it led is where the hart goes on, or fails to
            assert (following[1], priv(following)) == (row[3], row[4])
    assert returns > 10


def test_a_return_to_what_cannot_be_fetched_comes_before_the_trap_that_it_leads_to() -> None:
    made = machine("""
        la      t0, trap
        csrw    mtvec, t0
        li      t0, 0x1000000
        csrw    mepc, t0
        mret
        .align 2
trap:
    """ + END)
    made_rows = events(made, TRACE_XRET | TRACE_TRAP)
    assert [kind(row) for row in made_rows] == [TRACE_XRET, TRACE_TRAP]
    assert made_rows[0][3:5] == [0x100_0000, 0] and made_rows[1][1:3] == [0x100_0000, 1]


def test_a_return_that_is_refused_is_a_trap_and_no_return() -> None:
    refused = LEVELS.replace("li      t0, 0x800 ", "li      t0, 0x400800 ")  # TSR: no sret in S-mode
    rows = events(machine(refused + END), TRACE_XRET | TRACE_TRAP)
    assert [(kind(row), priv(row)) for row in rows] == [(TRACE_XRET, 3), (TRACE_TRAP, 1)]
    assert rows[1][2:4] == [2, SRET]


def test_halfwords_that_only_look_like_mret_are_none() -> None:
    """0x0073 as the upper half of an lui, 0x3020 as a compressed load behind it; there the page and the block end."""
    made = machine("""
        li      t0, 0x2000
        csrw    mstatus, t0
        la      s0, 1f
        la      t0, 2f
        jr      t0
        .align 3
1:      .dword 0
2:      j       0x80000ffa
    """)
    made.bus.write(0x8000_0FFA, bytes.fromhex("b7037300" "2030" "01a0"))  # lui t2, 0x730; c.fld fs0, 96(s0); c.j .
    assert made.bus.read(0x8000_0FFC, 4) == MRET.to_bytes(4, "little")
    assert events(made, TRACE_XRET, 100) == [] and made.harts[0].pc == 0x8000_1000


def test_stepping_and_breakpoints_find_the_same_returns() -> None:
    whole = events(machine(LEVELS + END), TRACE_XRET | TRACE_TRAP)
    made = machine(LEVELS + END)
    rows: list[Row] = []
    made.engine.trace.record(TRACE_XRET | TRACE_TRAP)
    for _ in range(30):
        made.step()
        rows += made.engine.trace.take().astype("uint64").tolist()
    assert rows == whole
    made.reset()
    made.set_breakpoints([row[1] for row in whole] + [row[3] for row in whole])
    rows, stops = [], 0
    while isinstance(made.run(max_insns=1000), Breakpoint):
        stops += 1
    assert made.engine.trace.take().astype("uint64").tolist() == whole and stops >= 3


@pytest.mark.parametrize("profile", [None, "rocket"])
def test_recording_changes_nothing_that_happens(profile: str | None) -> None:
    plain = image("smp-pingpong").boot(profile=profile)
    image("smp-pingpong").run(plain)
    made = image("smp-pingpong").boot(profile=profile)
    assert events(made, TRACE_XRET | TRACE_TRAP | TRACE_WAIT | TRACE_OUTPUT | TRACE_SATP, LIMIT)
    assert digest(made) == digest(plain)


def test_without_a_trace_blocks_that_end_with_a_return_run_on_the_fast_path() -> None:
    def flagged(kinds: int) -> int:
        made = machine(LEVELS + END)
        made.engine.trace.record(kinds)
        made.run(max_insns=1000)
        records = made.engine._records.reshape(-1, layout.R_SIZE // 8)
        return int((records[:, layout.R_FLAGS >> 3] & layout.RECORD_XRET != 0).sum())

    assert (flagged(0), flagged(TRACE_TRAP), flagged(TRACE_XRET)) == (0, 0, 2)


def test_traps_carry_the_arguments_of_environment_calls() -> None:
    rows = events(image("hello").boot(), TRACE_TRAP, LIMIT)
    calls = [(row[6], row[7]) for row in rows if row[2] == 9]
    assert calls == [(0x4442434E, 0)] * 2 + [(0x53525354, 0)]  # DBCN twice, SRST: SBI specification 12.1 and 10.1


def test_clocks_are_those_of_the_run() -> None:
    made = image("hello").boot(profile="rocket")
    rows = events(made, TRACE_TRAP | TRACE_XRET | TRACE_OUTPUT, LIMIT)
    assert all(before[8] <= after[8] and before[9] <= after[9] for before, after in zip(rows, rows[1:], strict=False))
    assert rows[-1][8] <= made.harts[0].instructions and rows[-1][9] <= made.harts[0].cycles
    trap = next(row for row in rows if kind(row) == TRACE_TRAP and row[2] == 9)
    there = image("hello").boot(profile="rocket")
    there.set_breakpoints([trap[4]])
    while isinstance(there.run(max_insns=LIMIT), Breakpoint) and there.harts[0].instructions < trap[8]:
        pass
    assert (there.harts[0].instructions, there.harts[0].cycles) == (trap[8], trap[9])


def test_console_bytes_are_recorded_as_they_leave() -> None:
    made = image("hello").boot()
    rows = events(made, TRACE_OUTPUT, LIMIT)
    assert bytes(row[2] for row in rows) == made.console


def test_waiting_is_recorded_from_its_beginning_to_the_interrupt() -> None:
    made = machine("""
        li      t0, 0x2004000               # mtimecmp
        li      t1, 100
        sd      t1, 0(t0)
        li      t0, 0x80                    # MTIE
        csrw    mie, t0
        wfi
    """ + END)
    (row,) = events(made, TRACE_WAIT)
    tick = made.engine.word(layout.M_CYCLES_PER_TICK)
    assert row[2] == row[8] < row[9] == 100 * tick  # a cycle was an instruction until then


def test_changes_of_satp_are_recorded_and_writes_that_change_nothing_are_not() -> None:
    sv39 = 8 << 60
    made = machine(f"""
        li      t0, {sv39 | 0x80001}
        csrw    satp, t0
        csrw    satp, t0
        li      t1, 5
        slli    t1, t1, 60
        csrw    satp, t1                    # no such mode: no effect
        csrwi   satp, 0
    """ + END)
    assert [row[2:4] for row in events(made, TRACE_SATP)] == [[0, sv39 | 0x80001], [sv39 | 0x80001, 0]]


def test_the_machine_pauses_right_behind_landmarks() -> None:
    made = machine(LEVELS.replace("nop", "csrrw t0, 0xc00, zero") + END)
    seen: list[tuple[int, int]] = []

    class Look:
        def drain(self) -> None:
            made.engine.trace.take()
            seen.append((made.harts[0].priv, made.harts[0].pc))

    made.engine.trace.record(TRACE_XRET | TRACE_TRAP, 10)
    made.tracers.append(Look())
    made.run(max_insns=1000)
    by_name = [(level, at) for level, at in seen if level != 3]
    assert [level for level, _ in by_name] == [1, 0]
    assert by_name[1][1] - by_name[0][1] == 5 * 4  # at the first instruction of each


def test_a_ring_that_fills_up_is_drained_in_time() -> None:
    made = machine("la t0, 1f\n csrw mepc, t0\n li t0, 0x1800\n1: csrs mstatus, t0\n mret")
    rows = events(made, TRACE_XRET, 200_000)
    assert len(rows) > 2 * CAPACITY
    assert {after[8] - before[8] for before, after in zip(rows, rows[1:], strict=False)} == {2}


def test_the_trace_shows_returns_as_lines() -> None:
    made, lines = machine(LEVELS + END), list[str]()
    tracer = Tracer(made, frozenset({TraceKind.XRET}), lines.append)
    made.run(max_insns=1000)
    tracer.close()
    assert [line.split("  ")[-1].split(" 0x")[0] for line in lines] == ["mret -> S", "sret -> U"]
    assert lines[0].startswith("0 M 0x800000") and lines[1].startswith("0 S 0x800000")
