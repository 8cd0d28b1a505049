"""What single instructions cost, as a guest measures it: the table of the reference core's measured costs.

Each case is a piece of code beside one that differs in the cost alone; both run between two reads of
mcycle, in the last of some laps, when caches and predictors know them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from emulator.timing import load_profile
from emulator.timing.profile import Profile
from tests.helpers.machines import END, run

from .bare import rocket


def measured(code: str, profile: Profile, setup: str = "") -> int:
    """Cycles between two reads of mcycle with `code` between them. s0 points to memory; s7 changes with each lap."""
    made = run(f"""
        la      s0, data
        {setup}
        li      s11, 12
        li      s7, 0
        j       lap
        .align  64
lap:    repeat  90, nop                     # whatever is still under way is over
        xori    s7, s7, 1
        repeat  9, nop
        csrr    s8, mcycle
        {code}
        csrr    s9, mcycle
        sub     s10, s9, s8
        addi    s11, s11, -1
        beqz    s11, done
        j       lap
done:   {END}
        .align  64
data:   .space  256
    """, timing=profile)
    return made.harts[0].registers()["s10"]


@dataclass(frozen=True)
class Case:
    """`code` costs `cycles` more than `without`, and `then` if `table.key` is `value`."""

    code: str
    without: str
    cycles: int
    table: str
    key: str
    value: Any
    then: int
    setup: str = ""


def use(producer: str, cycles: int, table: str, key: str, value: int, setup: str = "") -> Case:
    """The stall of a user directly behind `producer`, whose latency is the parameter."""
    return Case(f"{producer}\n add a1, a0, a0", f"{producer}\n add a1, a2, a2", cycles, table, key, value,
                cycles + value - getattr(getattr(load_profile("rocket"), table), key), setup)


def multiply(value: int, latency: int, bits: int, then: int) -> Case:
    return Case("mul a0, a3, a4\n add a1, a0, a0", "mul a0, a3, a4\n add a1, a2, a2", latency - 1, "muldiv", "mul_bits",
                bits, then - 1, f"li a3, {value}\n li a4, 3")


def divide(word: int, a: int, b: int, latency: int, key: str = "div_base", value: int = 9, more: int = 4) -> Case:
    """`word` divides a3 by a4 into a0."""
    return Case(f".word {word}\n add a1, a0, a0", f".word {word}\n add a1, a2, a2", latency - 1, "muldiv", key, value,
                latency - 1 + more, f"li a3, {a}\n li a4, {b}")


DIV, DIVU, REM, DIVW = 0x02E6_C533, 0x02E6_D533, 0x02E6_E533, 0x02E6_C53B
JUMP = "la a5, one\n la a6, two\n sub a6, a6, a5"
TARGET = "mul a7, s7, a6\n repeat 12, nop\n add a7, a7, a5\n jalr zero, 0(a7)\n one: j both\n two: j both\n both: nop"

CASES = {
    "ld": use("ld a0, 0(s0)", 1, "latency", "load", 3), "lw": use("lw a0, 4(s0)", 1, "latency", "load", 3),
    "lb": use("lb a0, 1(s0)", 2, "latency", "load_narrow", 7),
    "lhu": use("lhu a0, 2(s0)", 2, "latency", "load_narrow", 9),
    "csrr": use("csrr a0, mscratch", 2, "latency", "csr", 9),
    "mul, 2 bits": multiply(3, 4, 64, 3), "mul, 15 bits": multiply(0x7FFF, 5, 64, 3),
    "mul, 31 bits": multiply(0x7FFF_FFFF, 7, 16, 5), "mul, 62 bits": multiply(1 << 61, 10, 16, 6),
    "mul, negative": multiply(-1, 10, 4, 18),
    "div, 0 bits": divide(DIV, 5, 4, 5), "div, 1 bit": divide(DIV, 8, 4, 6), "div, 5 bits": divide(DIV, 100, 3, 10),
    "divu, less": divide(DIVU, 3, 100, 64), "divu, 61 bits": divide(DIVU, 1 << 62, 3, 66),
    "div by 0": divide(DIV, 100, 0, 67), "divw, 28 bits": divide(DIVW, 1 << 29, 3, 33),
    "div, -100 / 3": divide(DIV, -100, 3, 12, "div_sign", 4, 6),
    "div, -100 / -3": divide(DIV, -100, -3, 11, "div_sign", 4, 3),
    "load after store": Case("sd a1, 0(s0)\n ld a0, 0(s0)", "sd a1, 0(s0)\n ld a0, 8(s0)", 5, "issue", "replay", 7, 7),
    "load after store, one between": Case("sd a1, 0(s0)\n nop\n ld a0, 0(s0)", "sd a1, 0(s0)\n nop\n ld a0, 8(s0)", 5,
                                          "memory", "store_replay", False, 0),
    "load after store, two between": Case("sd a1, 0(s0)\n nop\n nop\n ld a0, 0(s0)",
                                          "sd a1, 0(s0)\n nop\n nop\n ld a0, 8(s0)", 0, "issue", "replay", 9, 0),
    "byte load from the store": Case("sd a1, 0(s0)\n lb a0, 7(s0)", "sd a1, 0(s0)\n lb a0, 8(s0)", 5, "issue", "replay",
                                     2, 2),
    "mispredicted jump": Case(TARGET, TARGET.replace("s7", "zero"), 3, "issue", "mispredict", 8, 8, JUMP),
    "fence between loads": Case("ld a0, 0(s0)\n fence\n ld a1, 8(s0)", "ld a0, 0(s0)\n nop\n ld a1, 8(s0)", 2, "memory",
                                "fence", 9, 8),
    "fence alone": Case("fence", "nop", 0, "memory", "fence", 9, 0),
    "csr write": Case("csrci mstatus, 2", "nop", 4, "issue", "refetch", 7, 7),
    "csrw mscratch": Case("csrw mscratch, a0", "nop", 0, "issue", "refetch", 7, 0),
    "amo": Case("amoadd.d a0, a1, (s0)\n add a2, a0, a0", "amoadd.d a0, a1, (s0)\n add a2, a1, a1", 1, "memory", "amo",
                6, 5),
    "clint": Case("ld a0, 0(a3)\n ld a1, 0(a3)\n add a2, a1, a1", "ld a0, 0(s0)\n ld a1, 0(s0)\n nop", 12, "memory",
                  "mmio", 11, 20, "li a3, 0x200bff8"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_instruction_costs_what_was_measured_and_what_its_parameter_says(case: Case) -> None:
    for profile, cycles in ((load_profile("rocket"), case.cycles),
                            (rocket(case.table, **{case.key: case.value}), case.then)):
        assert (measured(case.code, profile, case.setup) - measured(case.without, profile, case.setup)
                == cycles), profile.name


def test_instructions_that_wait_for_nothing_take_a_cycle_each() -> None:
    base = measured("", load_profile("rocket"))
    for count in (1, 2, 7, 20):
        assert measured(f"repeat {count}, addi a0, a0, 1", load_profile("rocket")) == base + count


def test_two_issue_slots_take_two_that_use_different_units() -> None:
    dual = rocket("issue", width=2, fetch_queue=8)
    loads = measured("repeat 16, lw zero, 0(s0)", dual) - measured("repeat 8, lw zero, 0(s0)", dual)
    adds = measured("repeat 16, addi zero, a1, 1", dual) - measured("repeat 8, addi zero, a1, 1", dual)
    assert (loads, adds) == (8, 4)
