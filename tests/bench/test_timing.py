"""The timing model is as close to the reference core as docs/accuracy.md says, and within the bounds that it names."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from bench.timing import core
from bench.timing.__main__ import main
from bench.timing.compare import ProgramError, Result, compare, run
from bench.timing.page import BEGIN, END, PAGE, filled, profile_file, stated
from bench.timing.programs import FOLDER, Group, Program, Split, matching, programs
from bench.timing.report import BOUNDS, MEAN_BOUND, band, beyond, percent, summaries

unmodelled = pytest.mark.xfail(not core.MODELLED, reason="there is no timing model yet", strict=True)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Every reference program, run under the reference core's profile."""
    return compare(programs(), core.profile(core.REFERENCE))


def made(name: str, cycles: int, measured: int = 1000, split: Split = Split.DEVELOPMENT) -> Result:
    group = Group.KERNEL if name.startswith("k_") else Group.MICRO
    return Result(Program(name, group, split, 500, measured), cycles)


# --- the model ------------------------------------------------------------------------------------------

@unmodelled
def test_every_program_and_every_mean_is_within_its_bound(results: list[Result]) -> None:
    assert beyond(results) == []


def test_the_bounds_are_those_that_were_asked_for() -> None:
    assert (BOUNDS, MEAN_BOUND) == ({Group.KERNEL: 8, Group.MICRO: 15}, 3)


def test_the_page_says_what_the_model_counts_now(results: list[Result]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == filled(page, results), "docs/accuracy.md is old: run python -m bench.timing --write-docs"


@pytest.mark.xfail(not profile_file(core.REFERENCE).exists(), reason="profiles are no files yet", strict=True)
def test_the_profile_states_the_mean_error(results: list[Result]) -> None:
    profile = tomllib.loads(profile_file(core.REFERENCE).read_text(encoding="utf-8"))
    assert profile["error"] == band(results) == core.profile(core.REFERENCE).error


# --- the programs ---------------------------------------------------------------------------------------

def test_every_program_was_measured_and_has_source_and_elf() -> None:
    names = [program.name for program in programs()]
    assert len(names) == 156
    assert names == sorted(path.stem for path in (FOLDER / "src").iterdir())
    assert names == sorted(path.stem for path in (FOLDER / "elf").iterdir())


def test_every_third_name_is_held_out() -> None:
    held = [program.name for program in programs() if program.split is Split.HELD_OUT]
    assert held == sorted(program.name for program in programs())[2::3]
    assert [name for name in held if name.startswith("k_")] == [
        "k_buddy", "k_dispatch", "k_interp", "k_matmul_int", "k_slab_bitmap"]


@pytest.mark.parametrize("program", matching(["empty", "k_listwalk"]), ids=lambda program: program.name)
def test_a_program_that_retires_other_instructions_than_on_the_reference_core_is_an_error(program: Program) -> None:
    assert run(program, None).program is program
    with pytest.raises(ProgramError, match=rf"^{program.name}: {program.instructions} instructions retired; expected "
                                           rf"{program.instructions + 1}, as on the reference core$"):
        run(replace(program, instructions=program.instructions + 1), None)


def test_a_program_that_prints_another_name_is_an_error() -> None:
    class Elsewhere(Program):
        @property
        def path(self) -> Path:
            return FOLDER / "elf" / "empty.elf"

    with pytest.raises(ProgramError, match=r"^other: .*printed b'empty cycles=.*expected PASS and one line \"other "):
        run(Elsewhere("other", Group.MICRO, Split.DEVELOPMENT, 5, 7), None)


def test_results_do_not_depend_on_the_number_of_jobs() -> None:
    chosen = matching(["alu_*", "br_*", "k_fib"])
    profile = core.profile(core.REFERENCE)
    assert compare(chosen, profile, jobs=3) == compare(chosen, profile, jobs=1)


# --- what is made of them -------------------------------------------------------------------------------

def test_errors_are_signed_per_cent_of_the_measured_cycles() -> None:
    assert [made("a", cycles, 400).error for cycles in (400, 404, 300)] == [0, 1, -25]
    assert [percent(Fraction(value)) for value in (0, "1.25", "-0.04", -9)] == ["+0.0 %", "+1.2 %", "+0.0 %", "-9.0 %"]


def test_means_are_of_absolute_errors_by_group_and_set() -> None:
    found = {summary.names: summary for summary in summaries([
        made("a", 1010), made("b", 970), made("k_a", 1020, split=Split.HELD_OUT)])}
    assert {names: (summary.count, summary.mean, summary.worst.program.name) for names, summary in found.items()} == {
        ("all", "all"): (3, 2, "b"), ("all", "development"): (2, 2, "b"), ("all", "held-out"): (1, 2, "k_a"),
        ("kernels", "all"): (1, 2, "k_a"), ("kernels", "held-out"): (1, 2, "k_a"),
        ("microbenchmarks", "all"): (2, 2, "b"), ("microbenchmarks", "development"): (2, 2, "b")}


@pytest.mark.parametrize(("result", "line"), [
    (made("k_a", 1080), None), (made("k_a", 1081), "k_a: +8.1 %; expected at most 8 %"),
    (made("k_a", 920), None), (made("k_a", 919), "k_a: -8.1 %; expected at most 8 %"),
    (made("a", 1150), None), (made("a", 849), "a: -15.1 %; expected at most 15 %")])
def test_each_group_has_a_bound_of_its_own(result: Result, line: str | None) -> None:
    assert beyond([result], means=False) == ([line] if line else [])


def test_means_have_a_bound_in_all_in_each_group_and_in_each_set() -> None:
    exact = [made("a", 1000), made("k_a", 1000, split=Split.HELD_OUT)] * 8
    assert beyond(exact) == []
    kernels = [made("k_a", 1040, split=Split.HELD_OUT), *exact[:1] * 8]
    assert beyond(kernels) == ["mean of all, held-out: 4.0 %; expected at most 3 %",
                               "mean of kernels, all: 4.0 %; expected at most 3 %"]


@pytest.mark.parametrize(("cycles", "expected"), [(1000, 0.0), (1001, 0.1), (1010, 1.0), (989, 1.1), (1011, 1.1)])
def test_the_stated_error_is_the_mean_rounded_up_to_a_tenth(cycles: int, expected: float) -> None:
    assert band([made("a", cycles)]) == expected
    assert band([made("a", 10_001, 10_000)]) == 0.1


def test_the_results_stand_between_the_markers_and_the_rest_of_the_page_stays() -> None:
    once = filled(f"above\n{BEGIN}\nold\n{END}\nbelow\n", [made("k_a", 990)])
    assert once.startswith(f"above\n{BEGIN}\n") and once.endswith(f"\n{END}\nbelow\n") and "old" not in once
    assert "| `k_a` | development | 500 | 1,000 | 990 | -1.0 % |" in once
    assert filled(once, [made("k_a", 990)]) == once
    with pytest.raises(ValueError, match="no place for the results"):
        filled(f"above\n{BEGIN}\n", [made("k_a", 990)])


@pytest.mark.parametrize("profile", [
    'name = "a"\nerror = 7.5\n[issue]\nwidth = 1\n', 'name = "a"\n\n[issue]\nwidth = 1\n', 'name = "a"',
    'name = "a"\n# error\nerror=1\n'])
def test_a_profile_gets_its_error_and_keeps_the_rest(profile: str) -> None:
    written = stated(profile, 2.3)
    assert tomllib.loads(written) == {**tomllib.loads(profile), "error": 2.3}
    assert stated(written, 2.3) == written


# --- the command ----------------------------------------------------------------------------------------

@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines as wide as they are, whatever terminal the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")
    yield


def test_the_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--only", "empty", "--only", "k_fi?", "--jobs", "1", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["measured"]) for each in printed["programs"]] == [("empty", 7), ("k_fib", 34300)]
    assert printed["summary"][0]["programs"] == 2


def test_the_status_is_that_something_is_beyond_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "k_*", "--profile", "simple"]) == 1
    assert "k_dispatch: -43.7 %; expected at most 8 %\n" in capsys.readouterr().out
    assert main(["--only", "alu_*", "--profile", "simple"]) == 0
    assert capsys.readouterr().out.endswith("\n0 beyond the bounds\n")


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["--only", "nothing"], "no program is called nothing; they are in bench/timing/src"),
    (["--jobs", "0"], "--jobs 0: expected at least 1"),
    (["--write-docs", "--only", "empty"], "--write-docs is for all programs under rocket: expected neither"),
])
def test_bad_options_are_one_line_and_status_2(arguments: list[str], complaint: str, quiet: None,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]
