"""The harts keep every rule of the privileged architecture that the guest programs check, and QEMU says the same.

One test per named check. The same ELF runs on both machines, so that a check states a fact about the
architecture and not about us; where QEMU 7.2 is wrong itself, `qemu_deviations` names the rule.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.machines import ROOT
from tests.helpers.qemu import needs_qemu

from .programs import FOLDER, PROGRAMS, checks, elf, on_hartwell, on_qemu, verdict
from .qemu_deviations import DEVIATIONS

ALL = [pytest.param(program, check, id=f"{program}: {check}") for program in PROGRAMS for check in checks(program)]
MANUAL = ROOT / "docs" / "privileged.md"
CROSS = "riscv64-unknown-elf-gcc"
MORE_EVENTS = "mhpmevent takes an event that is counted, and none else"
"""The check that tries an event which only a timing model counts: with one it is taken."""


@pytest.mark.parametrize(("program", "check"), ALL)
def test_hartwell_keeps_the_rule(program: str, check: str) -> None:
    assert verdict(on_hartwell(program), check) == ""


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_ends_with_success_and_has_made_every_check(program: str) -> None:
    results = on_hartwell(program)
    assert results["(end)"] == "the guest exited with code 0"
    assert list(results) == [*checks(program), "(end)"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_fallback_for_stores_keeps_the_rules_too(program: str) -> None:
    assert on_hartwell(program, fast_stores=False) == on_hartwell(program)


@pytest.mark.parametrize("profile", ["rocket", "u74"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_counting_cycles_breaks_no_rule(program: str, profile: str) -> None:
    timed, untimed = on_hartwell(program, profile=profile), on_hartwell(program)
    assert {check for check in untimed if timed.get(check) != untimed[check]} <= {"(end)", MORE_EVENTS}
    assert timed["(end)"] == untimed["(end)"] or timed[MORE_EVENTS]


@pytest.mark.parametrize("profile", [None, "rocket"])
def test_an_instruction_trace_leaves_the_floating_point_repairs_at_work(profile: str | None) -> None:
    """Both see single instructions, through one hook (`engine.codehook`); two would not both be called."""
    assert on_hartwell("fp", profile=profile, traced=True) == on_hartwell("fp")


@needs_qemu
@pytest.mark.qemu
@pytest.mark.parametrize("program", PROGRAMS)
def test_qemu_keeps_the_same_rules_but_for_known_deviations(program: str) -> None:
    results = on_qemu(program)
    failed = {check for check in checks(program) if verdict(results, check)}
    assert failed <= {check for name, check in DEVIATIONS if name == program}, results


def test_the_manual_names_checks_that_exist() -> None:
    """docs/privileged.md has `program: check`, with … for the rest of a name, or for its beginning."""
    named = re.findall(r"`(\w+): ([^`*]+)`", MANUAL.read_text())
    unknown = [(program, text) for program, text in named
               if not any(re.fullmatch(".*".join(map(re.escape, text.split("…"))), check) for check in checks(program))]
    assert len(named) > 50
    assert unknown == []


def test_a_deviation_of_qemu_names_a_check_that_exists() -> None:
    assert [(program, check) for program, check in DEVIATIONS if check not in checks(program)] == []


@pytest.mark.cross
@pytest.mark.skipif(shutil.which(CROSS) is None, reason=f"{CROSS} is not installed")
def test_the_committed_programs_are_what_their_sources_build(tmp_path: Path) -> None:
    made = shutil.copytree(FOLDER, f"{tmp_path}/programs", ignore=shutil.ignore_patterns("*.elf", "build"))
    subprocess.run(["make", "-C", made], check=True, capture_output=True)
    for source in FOLDER.glob("*.S"):
        if source.stem != "harness":
            with open(f"{made}/{source.stem}.elf", "rb") as built:
                assert built.read() == elf(source.stem).read_bytes(), source.stem
