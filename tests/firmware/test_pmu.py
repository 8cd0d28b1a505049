"""The firmware's PMU extension on harts of ours: it counts what the device tree says, and exactly.

Each test is the supervisor. Whatever holds on QEMU as well is in images/sbi-selftest.
"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from emulator.board import Board
from emulator.booting import describe
from emulator.devicetree import U64, Value, compile_tree
from emulator.engine import layout
from emulator.machine import Machine
from emulator.pmu import SBI_EVENTS
from emulator.stop import HostCall
from emulator.timing import Profile, load_profile
from emulator.timing.events import UNTIMED_EVENTS, Event, event_mask
from tests.helpers.assembler import assemble
from tests.helpers.machines import FIRMWARE, flat, load

KERNEL = 0x8020_0000
CALLER = """
1:      .word   0x0b                    # a host call: the test has the registers
        ecall
        j       1b
"""
PMU = 0x504D55
NUM_COUNTERS, GET_INFO, CONFIG, START, STOP, FW_READ = range(6)
CLEAR_VALUE, AUTO_START = 2, 4
RESET = 1
CYCLES, INSTRUCTIONS, RAW, FIRMWARE_EVENT = 1, 2, 2 << 16, 15 << 16
EVERY = (1 << 35) - 1 & ~2
SUCCESS, NOT_SUPPORTED, INVALID_PARAM = 0, -2, -3
ARGUMENTS = ("a0", "a1", "a2", "a3", "a4")


class Supervisor:
    """Calls the firmware of a machine that counts `events` and whose tree says `pmu`, by default its own of both."""

    def __init__(self, events: Collection[Event] | None = None, pmu: dict[str, Value] | None = None,
                 timing: Profile | None = None) -> None:
        self.machine = Machine(Board(), timing)
        self.hart = self.machine.harts[0]
        if events is not None:
            self.machine.engine.set_word(layout.M_EVENTS_SUPPORTED, event_mask(events))
        tree = describe(self.machine.board, self.machine.devices)
        if pmu is not None:
            node = tree.find("/pmu")
            assert node is not None
            node.properties = pmu
        self.machine.boot(firmware=load(FIRMWARE), kernel=flat(assemble(CALLER, KERNEL), KERNEL),
                          device_tree=compile_tree(tree) if pmu is not None else None)
        self.machine.answer_host_calls(True)
        assert isinstance(self.machine.run(max_insns=10_000_000), HostCall)

    def call(self, function: int, *arguments: int, extension: int = PMU) -> tuple[int, int]:
        """The (error, value) of an SBI call."""
        self.hart.write("a7", extension)
        self.hart.write("a6", function)
        for name, value in zip(ARGUMENTS, (*arguments, 0, 0, 0, 0, 0), strict=False):
            self.hart.write(name, value)
        self.hart.pc += 4
        assert isinstance(self.machine.run(max_insns=100_000), HostCall)
        error = self.hart.read("a0")
        return error - (1 << 64) if error >> 63 else error, self.hart.read("a1")

    def config(self, event: int, data: int = 0, flags: int = 0) -> tuple[int, int]:
        return self.call(CONFIG, 0, EVERY, flags, event, data)


def table(**rows: list[tuple[int, ...]]) -> dict[str, Value]:
    """A pmu node's properties; columns of 64 bits are the second one of `mhpmevent`, and the first two of `raw`."""
    names = {"mhpmevent": ("riscv,event-to-mhpmevent", (1,)), "counters": ("riscv,event-to-mhpmcounters", ()),
             "raw": ("riscv,raw-event-to-mhpmcounters", (0, 1))}
    found: dict[str, Value] = {"compatible": "riscv,pmu"}
    for key, lines in rows.items():
        name, wide = names[key]
        found[name] = [U64(cell) if at in wide else cell for line in lines for at, cell in enumerate(line)]
    return found


# --- hardware events ------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "event"), SBI_EVENTS.items(), ids=lambda value: f"{value:#x}")
def test_an_event_of_the_sbi_becomes_the_selector_of_ours(number: int, event: Event) -> None:
    supervisor = Supervisor(Event)
    assert supervisor.config(number) == (SUCCESS, 3)
    assert supervisor.hart.read_csr("mhpmevent3") == event


def test_a_raw_event_is_a_selector() -> None:
    supervisor = Supervisor(Event)
    for n, event in enumerate([event for event in Event if event is not Event.NONE][:16], 3):
        assert supervisor.config(RAW, event) == (SUCCESS, n)
        assert supervisor.hart.read_csr(f"mhpmevent{n}") == event
    assert supervisor.config(RAW, Event.REPLAYS) == (NOT_SUPPORTED, 0)  # none is free


def test_without_a_timing_model_there_are_cycles_instructions_and_traps() -> None:
    supervisor = Supervisor()
    taken = [number for number in (*range(1, 11), *range(0x10000, 0x10040)) if supervisor.config(number)[0] == SUCCESS]
    assert taken == [CYCLES, INSTRUCTIONS]
    assert [event for event in Event if supervisor.config(RAW, event)[0] == SUCCESS] == list(UNTIMED_EVENTS)


def test_a_timed_machine_counts_what_its_model_knows() -> None:
    supervisor = Supervisor(timing=load_profile("rocket"))
    wanted = {number: event for number, event in SBI_EVENTS.items() if event not in UNTIMED_EVENTS}
    counters = {}
    for number, event in wanted.items():
        status, counter = supervisor.config(number, flags=CLEAR_VALUE | AUTO_START)
        assert status == SUCCESS
        counters[counter] = event
    assert len(counters) == len(wanted)

    def seen() -> dict[int, tuple[int, int]]:
        events = supervisor.machine.timing.stats().harts[0].events
        return {n: (supervisor.hart.read_csr(f"mhpmcounter{n}"), events[event]) for n, event in counters.items()}

    before = seen()
    for _ in range(20):
        supervisor.call(NUM_COUNTERS)
    after = seen()
    passed = {n: (after[n][0] - before[n][0], after[n][1] - before[n][1]) for n in counters}
    assert all(counted == happened for counted, happened in passed.values())
    busy = {counters[n] for n, (counted, _) in passed.items() if counted >= 20}
    assert {Event.L1D_ACCESSES, Event.L1I_ACCESSES, Event.BRANCHES} <= busy


def test_instructions_are_counted_between_start_and_stop_exactly() -> None:
    supervisor = Supervisor()
    _, counter = supervisor.config(INSTRUCTIONS, flags=CLEAR_VALUE | AUTO_START)
    before, counted = supervisor.hart.instructions, supervisor.hart.read_csr(f"mhpmcounter{counter}")
    supervisor.call(NUM_COUNTERS)
    passed = supervisor.hart.instructions - before
    assert passed > 50
    assert supervisor.hart.read_csr(f"mhpmcounter{counter}") - counted == passed
    supervisor.call(STOP, counter, 1)
    stopped = supervisor.hart.read_csr(f"mhpmcounter{counter}")
    supervisor.call(NUM_COUNTERS)
    assert supervisor.hart.read_csr(f"mhpmcounter{counter}") == stopped
    supervisor.call(START, counter, 1)
    assert 0 < supervisor.hart.read_csr(f"mhpmcounter{counter}") - stopped < passed + 100


def test_traps_are_counted_one_for_each_call() -> None:
    supervisor = Supervisor()
    _, counter = supervisor.config(RAW, Event.TRAPS, flags=CLEAR_VALUE | AUTO_START)
    for _ in range(10):
        supervisor.call(NUM_COUNTERS)
    assert supervisor.hart.read_csr(f"hpmcounter{counter}") == 10


def test_programmable_counters_stand_still_and_count_nothing_until_they_are_started() -> None:
    supervisor = Supervisor()
    assert supervisor.hart.read_csr("mcountinhibit") == 0x7FFF8
    supervisor.config(CYCLES)
    supervisor.call(STOP, 3, 1, RESET)
    assert supervisor.hart.read_csr("mhpmevent3") == 0 and supervisor.hart.read_csr("mcountinhibit") == 0x7FFF8


def test_what_was_in_the_counters_before_the_firmware_is_gone() -> None:
    machine = Machine()
    machine.boot(firmware=load(FIRMWARE), kernel=flat(assemble("1: j 1b", KERNEL), KERNEL))
    for n in range(3, 19):
        machine.harts[0].write_csr(f"mhpmevent{n}", Event.CYCLES)
    machine.run(max_insns=1_000_000)
    assert machine.harts[0].priv == 1
    for n in range(3, 19):
        assert machine.harts[0].read_csr(f"mhpmevent{n}") == machine.harts[0].read_csr(f"mhpmcounter{n}") == 0


# --- the device tree ------------------------------------------------------------------------------


def test_the_tree_says_which_counters_count_an_event_and_by_which_selector() -> None:
    supervisor = Supervisor(Event, table(mhpmevent=[(4, Event.LOADS), (5, Event.STORES)],
                                         counters=[(4, 5, 1 << 6 | 1 << 8), (7, 9, 1 << 5)]))
    assert supervisor.config(5) == (SUCCESS, 6)
    assert supervisor.config(4) == (SUCCESS, 8)
    assert supervisor.config(4) == (NOT_SUPPORTED, 0)
    assert supervisor.config(3) == supervisor.config(6) == (NOT_SUPPORTED, 0)
    assert [supervisor.hart.read_csr(f"mhpmevent{n}") for n in (6, 8)] == [Event.STORES, Event.LOADS]
    assert supervisor.config(9) == (SUCCESS, 5)
    assert supervisor.hart.read_csr("mhpmevent5") == 9  # without a selector the number is the selector


def test_the_tree_says_by_value_and_mask_which_counters_count_raw_events() -> None:
    supervisor = Supervisor(Event, table(raw=[(8, (1 << 64) - 1 & ~7, 1 << 4), (2, (1 << 64) - 1, 1 << 10)]))
    assert supervisor.config(RAW, 2) == (SUCCESS, 10)
    assert supervisor.config(RAW, 15) == (SUCCESS, 4)
    supervisor.call(STOP, 4, 1, RESET)
    assert supervisor.config(RAW, 8) == (SUCCESS, 4)
    assert supervisor.config(RAW, 3) == supervisor.config(RAW, 16) == (NOT_SUPPORTED, 0)


def test_counters_that_the_hart_does_not_have_are_not_used_whatever_the_tree_says() -> None:
    supervisor = Supervisor(Event, table(counters=[(3, 3, 0xFFF8_0007), (4, 4, 0xFFFF_FFFF)]))
    assert supervisor.config(3) == (NOT_SUPPORTED, 0)
    assert supervisor.config(4) == (SUCCESS, 3)
    assert supervisor.call(GET_INFO, 18)[0] == SUCCESS and supervisor.call(GET_INFO, 19)[1] >> 63 == 1


def test_an_event_that_the_hart_refuses_is_not_supported_whatever_the_tree_says() -> None:
    supervisor = Supervisor(UNTIMED_EVENTS, table(mhpmevent=[(4, Event.LOADS)], counters=[(1, 9, 0x7FFF8)]))
    assert supervisor.config(4) == (NOT_SUPPORTED, 0)
    assert supervisor.hart.read_csr("mhpmevent3") == 0
    assert supervisor.config(3) == (SUCCESS, 3)  # traps, by their own number


@pytest.mark.parametrize("pmu", [
    {}, {"compatible": "riscv,pmu"}, {**table(counters=[(1, 9, 0x7FFF8)]), "status": "disabled"},
], ids=["no pmu", "no tables", "disabled"])
def test_without_a_tree_that_says_more_there_are_the_two_fixed_counters(pmu: dict[str, Value]) -> None:
    supervisor = Supervisor(Event, pmu)
    assert supervisor.config(CYCLES) == supervisor.config(RAW, Event.TRAPS) == (NOT_SUPPORTED, 0)
    supervisor.call(STOP, 0, 5)
    assert (supervisor.config(CYCLES), supervisor.config(INSTRUCTIONS)) == ((SUCCESS, 0), (SUCCESS, 2))


def test_rows_beyond_the_firmwares_room_are_left_out() -> None:
    rows = [(number, number, 0x7FFF8) for number in range(3, 103)]
    supervisor = Supervisor(Event, table(counters=rows, raw=[(Event.TRAPS, 1, 8)] * 40))
    assert supervisor.config(9) == (SUCCESS, 3)
    assert supervisor.config(40) == (NOT_SUPPORTED, 0)


# --- firmware events ------------------------------------------------------------------------------


def test_firmware_events_are_those_that_happen_here() -> None:
    supervisor = Supervisor()
    taken = []
    for code in range(300):
        error, counter = supervisor.config(FIRMWARE_EVENT | code)
        if error == SUCCESS:
            taken.append(code)
            supervisor.call(STOP, counter, 1, RESET)
    assert taken == list(range(14))


def test_traps_that_come_to_the_firmware_are_counted_by_kind() -> None:
    supervisor = Supervisor()
    hart, machine = supervisor.hart, supervisor.machine
    traps = ["lr.w t0, (a1)", "amoadd.w t0, t0, (a1)", "lw t0, 0(zero)", "sd zero, 0(zero)", ".word 0"]
    """From event 0 on: misaligned load and store, access fault of load and store, illegal instruction."""
    counters = [supervisor.config(FIRMWARE_EVENT | code, flags=AUTO_START)[1] for code in range(len(traps))]
    at = KERNEL + 0x1000
    machine.bus.write(at, assemble("\n".join([*traps, ".word 0x0b"]), at))
    hart.write_csr("stvec", at + 4 * len(traps))
    hart.write("a1", KERNEL + 2)
    for n in range(len(traps)):
        for _ in range(n + 1):
            hart.pc = at + 4 * n
            assert isinstance(machine.run(max_insns=1000), HostCall)
            assert hart.read_csr("sepc") == at + 4 * n
    hart.pc = KERNEL
    assert [supervisor.call(FW_READ, counter)[1] for counter in counters] == [1, 2, 3, 4, 5]
