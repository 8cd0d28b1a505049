"""Timelines: what they say of runs, against what the machine says and what an instruction trace shows."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from emulator import timeline as timelines
from emulator.buckets import COUNT, LEVELS, WAITING, Buckets
from emulator.engine.tracing import TRACE_INSN, TRACE_TRAP, TRACE_WAIT, TRACE_XRET
from emulator.machine import Machine
from emulator.timeline import Landmark, SatpChange, Step, Timeline, satp_mode, satp_root
from tests.helpers.machines import END, image, machine


PRIVILEGES = (0, 1, 3)
CALL_FROM_S = 9


def observed(made: Machine, run: Any = None, **options: Any) -> Timeline:
    """The timeline of a run, by default one to its end."""
    timeline = Timeline(made, **options)
    (run or (lambda: made.run(max_insns=20_000_000)))()
    timeline.close()
    return timeline


def everything(timeline: Timeline) -> tuple[Any, ...]:
    """All that a timeline says, to be compared."""
    totals = timeline.totals
    return (totals.cycles.tolist(), totals.instructions.tolist(), totals.traps.tolist(), sorted(totals.calls.items()),
            totals.returns, totals.satp_changes, totals.output, timeline.steps, timeline.satp, timeline.lines,
            timeline.buckets.width, timeline.buckets.cycles.tolist(), timeline.buckets.events.tolist())


def test_hello_goes_from_m_to_s_and_to_m_again_for_each_environment_call() -> None:
    steps = observed(image("hello").boot()).steps
    moves = [(step.before, step.after) for step in steps if step.before != step.after]
    assert moves == [(3, 1), (1, 3), (3, 1), (1, 3), (3, 1), (1, 3)]
    calls = [(step.what, step.call) for step in steps if step.kind == TRACE_TRAP and step.before == 1]
    assert calls == [(CALL_FROM_S, (0x4442434E, 0))] * 2 + [(CALL_FROM_S, (0x53525354, 0))]
    returns = [step for step in steps if step.kind == TRACE_XRET]
    assert returns[0].target == 0x8020_0000 and returns[0].what == 0x30200073


@pytest.mark.parametrize(("name", "harts"), [("hello", 1), ("smp-pingpong", 4), ("timer", 1), ("mhello", 1)])
@pytest.mark.parametrize("profile", [None, "rocket"])
def test_levels_add_up_to_the_run(name: str, harts: int, profile: str | None) -> None:
    made = image(name).boot(harts, profile)
    timeline = observed(made)
    end = max(hart.cycles for hart in made.harts)
    for hart in made.harts:
        last = end if hart.waiting else hart.cycles
        assert int(timeline.totals.instructions[hart.id].sum()) == hart.instructions
        assert int(timeline.totals.cycles[hart.id].sum()) == last
        assert timeline.buckets.cycles[hart.id].sum(axis=1).tolist() == timeline.totals.cycles[hart.id].tolist()
        assert int(timeline.totals.traps[hart.id].sum()) == hart.traps
    assert int(timeline.buckets.cycles.min()) >= 0
    assert int(timeline.buckets.events.sum()) == sum(hart.traps for hart in made.harts)
    assert int(timeline.totals.instructions[:, WAITING].sum()) == 0


def test_instructions_by_privilege_are_those_that_an_instruction_trace_counts() -> None:
    made = image("smp-pingpong").boot(2)
    counts = np.zeros((2, LEVELS), dtype=np.int64)

    class Count:
        def drain(self) -> None:
            rows = made.engine.trace.take()
            kinds, harts, privs = rows[:, 0] & 0xFF, rows[:, 0] >> 8 & 0xFF, rows[:, 0] >> 16
            insns = kinds == TRACE_INSN
            np.add.at(counts, (harts[insns], privs[insns]), 1)
            unretired = (kinds == TRACE_TRAP) & (rows[:, 2] >= 0) & ~np.isin(rows[:, 2], (3, 8, 9, 11))
            np.subtract.at(counts, (harts[unretired], privs[unretired]), 1)

    made.engine.trace.record(TRACE_INSN | TRACE_TRAP)
    made.tracers.append(Count())
    made.run(max_insns=20_000_000)
    assert observed(image("smp-pingpong").boot(2)).totals.instructions.tolist() == counts.tolist()


@pytest.mark.parametrize("harts", [1, 3])
def test_how_the_run_is_cut_changes_nothing(harts: int) -> None:
    whole = observed(image("smp-pingpong").boot(harts))
    made = image("smp-pingpong").boot(harts)

    def in_pieces() -> None:
        lengths = random.Random(1)
        while str(made.run(max_insns=lengths.randrange(1, 5000))).startswith("the limit"):
            pass

    assert everything(observed(made, in_pieces)) == everything(whole)


def test_a_wait_is_no_time_at_a_privilege() -> None:
    made = machine("""
        li      t0, 0x2004000               # mtimecmp
        li      t1, 1000
        sd      t1, 0(t0)
        li      t0, 0x80                    # MTIE
        csrw    mie, t0
        wfi
    """ + END)
    timeline = observed(made)
    (step,) = timeline.steps
    assert (step.kind, step.before, step.after) == (TRACE_WAIT, 3, 3) and 0 < step.what < step.clock
    assert int(timeline.totals.cycles[0, WAITING]) == step.clock - step.what
    assert int(timeline.totals.cycles[0, 3]) == made.harts[0].instructions


def test_landmarks_are_told_of_while_the_machine_stands_behind_them() -> None:
    seen: list[tuple[Landmark, int, int, int]] = []
    made = image("pagefault-sv39").boot()

    def look(landmark: Landmark) -> None:
        hart = made.harts[landmark.hart]
        seen.append((landmark, hart.priv, hart.pc, hart.read_csr("satp")))

    observed(made, pauses=20, on_landmark=look)
    changes = [mark for mark in seen if isinstance(mark[0], SatpChange)]
    descents = [mark for mark in seen if isinstance(mark[0], Step)]
    assert [mark[1] for mark in descents] == [1] and [satp_mode(mark[3]) for mark in changes] == ["sv39"]
    assert all(mark[2] == mark[0].target for mark in descents if isinstance(mark[0], Step))
    assert all(mark[3] == mark[0].new for mark in changes if isinstance(mark[0], SatpChange))


def test_console_lines_are_those_of_the_console_with_their_times() -> None:
    made = image("hello").boot()
    timeline = observed(made)
    assert b"\n".join(line.text for line in timeline.lines) + b"\n" == made.console.replace(b"\r\n", b"\n")
    clocks = [line.clock for line in timeline.lines]
    assert clocks == sorted(clocks) and clocks[0] > 0 and timeline.totals.output == len(made.console)


def test_a_last_line_without_an_end_is_a_line() -> None:
    made = machine("li t0, 0x10000000\n li t1, 'A'\n sb t1, 0(t0)\n li t1, 10\n sb t1, 0(t0)\n sb t1, 0(t0)\n"
                   "li t1, 'B'\n sb t1, 0(t0)\n" + END)
    assert [line.text for line in observed(made).lines] == [b"A", b"", b"B"]


def test_what_is_kept_of_a_long_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MOST_STEPS", 100)
    monkeypatch.setattr(timelines, "MOST_LINES", 10)
    made = machine("li s0, 0x10000000\n li s1, 10\n la t0, 1f\n csrw mepc, t0\n li t0, 0x1800\n"
                   "1: csrs mstatus, t0\n sb s1, 0(s0)\n mret")
    timeline = observed(made, lambda: made.run(max_insns=300_000))
    assert len(timeline.steps) == 100 and timeline.totals.returns > 90_000
    assert len(timeline.lines) == 10 and timeline.lines_left_out + 10 == len(made.console)


def test_a_guest_that_changes_satp_for_ever_is_paused_a_few_times_only() -> None:
    made = machine("li t0, 1\n slli t0, t0, 63\n1: csrw satp, t0\n csrwi satp, 0\n j 1b")
    seen: list[Landmark] = []
    timeline = observed(made, lambda: made.run(max_insns=30_000), pauses=5, on_landmark=seen.append)
    assert len(seen) == 5 and timeline.satp[:5] == seen
    assert len(timeline.satp) == timelines.MOST_CHANGES and timeline.totals.satp_changes > 19_000


def test_totals_at_a_moment_are_those_of_a_run_that_ends_there() -> None:
    made = image("hello").boot()
    timeline = Timeline(made)
    made.run(max_insns=497_500)
    now = timeline.now()
    timeline.close()
    assert now.instructions.tolist() == timeline.totals.instructions.tolist()
    assert int(now.instructions.sum()) == made.instructions
    assert int(now.since(now).instructions.sum()) == 0 and not now.since(now).calls


@pytest.mark.parametrize("seed", range(20))
def test_buckets_count_as_counting_cycle_by_cycle_does(seed: int) -> None:
    dice = random.Random(seed)
    buckets, length = Buckets(1), dice.choice((100, COUNT, COUNT + 1, 9 * COUNT))
    expected = np.zeros(length, dtype=np.int64)
    at = 0
    while at < length:
        starts, levels = [], []
        end = min(length, at + dice.randrange(1, length))
        while at < end:
            starts.append(at)
            levels.append(dice.randrange(LEVELS))
            step = dice.randrange(0, max(2, length // 20))
            expected[at:min(at + step, end)] = levels[-1]
            if at + step >= end:
                expected[at:end] = levels[-1]
            at = min(at + step, end)
        buckets.add(0, np.array(starts), end, np.array(levels))
    width = buckets.width
    assert width * COUNT >= length and (width == 1 or width // 2 * COUNT < length)
    for level in range(LEVELS):
        whole = np.zeros(width * COUNT, dtype=np.int64)
        whole[:length] = expected == level
        assert buckets.cycles[0, level].tolist() == whole.reshape(COUNT, width).sum(axis=1).tolist()


def test_satp_words_are_named() -> None:
    assert [satp_mode(n << 60) for n in (0, 8, 9, 10, 3)] == ["bare", "sv39", "sv48", "sv57", "mode 3"]
    assert satp_root(9 << 60 | 0x1234 << 44 | 0x87E08) == 0x87E0_8000
