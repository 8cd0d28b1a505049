"""`hartwell kernel cost`, and what a boot's stages cost."""

from __future__ import annotations

import json
import re

import pytest

from emulator.timing import load_profile
from kernel.boot.stages import STAGES
from kernel.cost import ESTIMATE
from kernel.cost.operations import OPERATIONS

from .conftest import Hartwell


def test_table_has_every_operation_under_the_profile_with_its_error(hartwell: Hartwell) -> None:
    done = hartwell("kernel", "cost", "-m", "32M")
    assert (done.code, done.err) == (0, "")
    first, blank, headings, *rows = done.out.splitlines()
    assert (first, blank) == (f"profile  rocket ({load_profile('rocket').accuracy}; estimate: {ESTIMATE})", "")
    assert headings.split()[0] == "operation"
    names = [re.split(r"  +", row)[0] for row in rows]
    assert names == [name for each in OPERATIONS for name in (each.doing, each.undoing) if name]
    cells = {name: [int(cell.replace(",", "")) for cell in re.split(r"  +", row)[1:]]
             for name, row in zip(names, rows, strict=True)}
    loads, stores, atomics, instructions, misses, again, walks, known, cold, warm = cells["allocate a frame"]
    assert instructions > loads + stores + atomics
    assert (again, known, warm) == (0, 0, instructions), "warm, a plain access is its instructions"
    assert misses > 0
    assert walks > 0
    assert cold > warm


def test_json_is_the_same_every_time_and_colder_is_dearer(fresh: Hartwell) -> None:
    one, other = (fresh("kernel", "cost", "-m", "32M", "--timing", "u74", "--json") for _ in range(2))
    assert one == other
    told = json.loads(one.out)
    assert (told["profile"], told["accuracy"], told["estimate"]) == ("u74", "uncalibrated", ESTIMATE)
    for each in told["operations"]:
        assert each["cold"]["cycles"] > each["warm"]["cycles"], each["operation"]
        assert each["cold"]["l1d_misses"] > each["warm"]["l1d_misses"], each["operation"]
        assert each["cold"]["instructions"] == each["warm"]["instructions"], each["operation"]


@pytest.mark.parametrize(("timing", "accuracy"), [("off", "one cycle per instruction"),
                                                  ("simple", "one cycle per instruction")])
def test_without_a_model_there_are_no_misses_to_show(hartwell: Hartwell, timing: str, accuracy: str) -> None:
    first, _, headings, *rows = hartwell("kernel", "cost", "-m", "32M", "--timing", timing).out.splitlines()
    assert first == f"profile  {timing} ({accuracy}; estimate: {ESTIMATE})"
    assert headings.split() == ["operation", "loads", "stores", "atomics", "instructions", "cycles"]
    for row in rows:
        instructions, cycles = row.split()[-2:]
        assert instructions == cycles


def test_unknown_profile_is_one_line_and_exit_code_2(hartwell: Hartwell) -> None:
    done = hartwell("kernel", "cost", "--timing", "nope")
    assert (done.code, done.out) == (2, "")
    assert "nope" in done.error


@pytest.mark.parametrize("command", ["stats -m 32M", "boot -m 32M --timing rocket --stats"])
def test_every_stage_of_our_boot_has_a_line_with_its_cycles(hartwell: Hartwell, command: str) -> None:
    done = hartwell(*command.split())
    lines = [line.removeprefix("hartwell: ") for line in (done.out + done.err).splitlines()]
    start = next(number for number, line in enumerate(lines) if line.split() == ["stage", "cycles", "share",
                                                                                 "instructions"])
    rows = [line.split() for line in lines[start + 1:start + 1 + len(STAGES)]]
    assert [row[0] for row in rows] == [stage.name for stage in STAGES]
    assert abs(sum(float(row[2]) for row in rows) - 100) < 1


def test_a_boot_without_timing_says_nothing_of_stages_in_its_stats(hartwell: Hartwell) -> None:
    assert "share" not in hartwell("boot", "-m", "32M", "--stats").err
