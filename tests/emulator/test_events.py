"""Events, and the counters that are pointed at them, from the host's side; programs/counters.S has the guest's."""

from __future__ import annotations

import re

import pytest

from emulator.board import Board
from emulator.engine import layout
from emulator.engine.counters import NUMBERS
from emulator.hart import Hart
from emulator.machine import Machine
from emulator.pmu import SBI_EVENTS
from emulator.timing.events import UNTIMED_EVENTS, Event, event_mask
from tests.helpers.machines import END, ROOT, machine, run

STORED = [event for event in Event if event is not Event.NONE and event not in UNTIMED_EVENTS]
"""Events that a timing model counts, in words of their own."""
LOOP = """
        li      t0, {event}
        csrw    mhpmevent3, t0
        csrr    a0, mhpmevent3
1:      csrr    a1, mhpmcounter3
        j       1b
"""


def counting(source: str, board: Board | None = None) -> Machine:
    """A machine that can count every event, as one with a timing model; the test is the model."""
    made = machine(source, board)
    made.engine.set_word(layout.M_EVENTS_SUPPORTED, event_mask(Event))
    return made


def happen(made: Machine, hart: int, event: Event, times: int) -> None:
    at = layout.H_EVENTS + 8 * event
    made.engine.set_hart_word(hart, at, made.engine.hart_word(hart, at) + times)


def counters(hart: Hart) -> list[int]:
    return [hart.read_csr(f"mhpmcounter{n}") for n in range(3, 19)]


@pytest.mark.parametrize("event", STORED, ids=lambda event: event.name)
def test_a_counter_counts_what_the_model_adds_to_the_event_that_it_selects(event: Event) -> None:
    made = counting(LOOP.format(event=int(event)))
    for other in STORED:
        happen(made, 0, other, 1000)  # before anything was selected
    made.run(max_insns=100)
    hart = made.harts[0]
    assert (hart.read("a0"), hart.read("a1")) == (event, 0)
    for other in STORED:
        happen(made, 0, other, 3 if other is event else 7)
    made.run(max_insns=100)
    assert hart.read("a1") == 3


def test_a_machine_without_a_timing_model_counts_cycles_instructions_and_traps() -> None:
    hart = run(END).harts[0]
    taken = []
    for event in (*range(3 * 64), 1 << 32 | 3, (1 << 64) - 1):
        hart.write_csr("mhpmevent18", event)
        if hart.read_csr("mhpmevent18"):
            taken.append(hart.read_csr("mhpmevent18"))
    assert taken == [Event.CYCLES, Event.INSTRUCTIONS, Event.TRAPS]


def test_the_host_reads_counters_as_they_stand_between_two_instructions() -> None:
    made = machine("li t0, 2\n csrw mhpmevent4, t0\n 1: addi a0, a0, 1\n j 1b")
    made.run(max_insns=1000)
    hart = made.harts[0]
    hart.write_csr("mhpmcounter4", 0)
    assert (hart.read_csr("minstret"), hart.read_csr("mcycle")) == (hart.instructions, hart.cycles)
    hart.write_csr("minstret", 5000)
    assert hart.read_csr("instret") == 5000
    before = hart.instructions
    made.run(max_insns=100)
    passed = hart.instructions - before
    assert (hart.read_csr("instret"), hart.read_csr("mhpmcounter4")) == (5000 + passed, passed)


def test_every_hart_has_events_and_counters_of_its_own() -> None:
    made = counting("1: wfi\n j 1b", Board(harts=3))
    made.run(max_insns=100)
    for hart in made.harts:
        hart.write_csr("mhpmevent3", Event.L1D_MISSES)
        happen(made, hart.id, Event.L1D_MISSES, 10 + hart.id)
    made.harts[1].write_csr("mcountinhibit", 1 << 3)
    for hart in made.harts:
        happen(made, hart.id, Event.L1D_MISSES, 100)
    assert [hart.read_csr("mhpmcounter3") for hart in made.harts] == [110, 11, 112]


def test_every_counter_is_a_counter_of_its_own() -> None:
    made = counting("1: j 1b")
    hart = made.harts[0]
    for n in range(3, 19):
        hart.write_csr(f"mhpmevent{n}", STORED[n - 3])
        hart.write_csr(f"mhpmcounter{n}", 100 * n)
    for n in range(3, 19):
        happen(made, 0, STORED[n - 3], n)
    assert counters(hart) == [101 * n for n in range(3, 19)]


def test_a_reset_stops_nothing_and_clears_all() -> None:
    made = counting("1: j 1b")
    hart = made.harts[0]
    hart.write_csr("mcountinhibit", -1)
    for n in range(3, 19):
        hart.write_csr(f"mhpmevent{n}", Event.LOADS)
        hart.write_csr(f"mhpmcounter{n}", 77)
    happen(made, 0, Event.LOADS, 9)
    made.reset()
    assert hart.read_csr("mcountinhibit") == 0 and counters(hart) == [0] * 16
    assert [hart.read_csr(f"mhpmevent{n}") for n in range(3, 19)] == [0] * 16
    assert [made.engine.hart_word(0, layout.H_EVENTS + 8 * event) for event in Event] == [0] * len(Event)


def test_the_manual_lists_every_selector_with_the_sbis_names_for_it() -> None:
    text = (ROOT / "docs/privileged.md").read_text().partition("## Performance counters")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines()
            if re.match(r"\| \d", line)]
    assert rows == [(str(int(event)), event.name, event.text,
                     ", ".join(f"`{number:#x}`" for number, ours in SBI_EVENTS.items() if ours is event))
                    for event in Event]


def test_the_arrays_of_a_hart_block_have_room_for_every_event_and_counter() -> None:
    assert layout.EVENTS == max(Event) + 1 <= 64  # M_EVENTS_SUPPORTED is one word
    assert layout.H_COUNTER_BASE - layout.H_COUNTER_EVENT == 8 * NUMBERS
    assert layout.H_EVENTS + 8 * layout.EVENTS <= layout.H_SIZE
