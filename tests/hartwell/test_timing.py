"""--timing, --stats, `hartwell stats` and `hartwell profiles`: cycles, with what they were counted with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from emulator.timing.events import Event, Stall
from emulator.timing.profile import PARAMETERS
from emulator.timing.stats import HartStats, Stats
from hartwell.views.stats import MISSES, as_dict, lines, summary, where_cycles_went

from .conftest import Hartwell

SAMPLE = HartStats(
    0, cycles=2000, waiting=300, instructions=1000,
    events={Event.CYCLES: 2000, Event.TRAPS: 5, Event.L1D_ACCESSES: 400, Event.L1D_MISSES: 10, Event.ITLB_MISSES: 0},
    stalls={Stall.BRANCH: 60, Stall.L1D: 600, Stall.TLB: 0, Stall.FP: 40})
"""A hart that issued for 1000 of 2000 cycles."""


def said(err: str) -> list[str]:
    """The lines on stderr, without the command's name."""
    assert all(line.startswith("hartwell: ") for line in err.splitlines())
    return [line.removeprefix("hartwell: ") for line in err.splitlines()]


def test_timing_changes_no_output_and_adds_a_line_with_profile_and_error_band(hartwell: Hartwell) -> None:
    plain, timed = hartwell("boot", "hello"), hartwell("boot", "hello", "--timing", "simple")
    assert (timed.out, timed.code, plain.err) == (plain.out, 0, "")
    assert re.fullmatch(r"[\d,]+ cycles, CPI 1\.00 \(simple: one cycle per instruction\)", timed.error)


def test_our_kernels_boot_says_so_after_its_summary(hartwell: Hartwell) -> None:
    ready, cycles = said(hartwell("boot", "-m", "32M", "--timing", "simple").err)
    assert ready.startswith("kernel ready: ")
    assert cycles.endswith(" (simple: one cycle per instruction)")


def test_json_has_the_timing_or_null(hartwell: Hartwell) -> None:
    assert json.loads(hartwell("boot", "smp-pingpong", "--json").out)["timing"] is None
    done = hartwell("boot", "smp-pingpong", "--json", "--timing", "simple")
    report = json.loads(done.out)
    timing = report["timing"]
    assert done.err == ""
    assert (timing["profile"], timing["accuracy"]) == ("simple", "one cycle per instruction")
    assert (timing["cycles"], timing["instructions"]) == (report["cycles"], report["instructions"])
    assert [hart["cycles"] for hart in timing["harts"]] == [hart["cycles"] for hart in report["harts"]]
    assert [hart["events"]["traps"] for hart in timing["harts"]] == [hart["traps"] for hart in report["harts"]]


def test_stats_option_says_what_cycles_are_when_there_is_no_timing(hartwell: Hartwell) -> None:
    assert any(line.startswith("cycles without a timing model: one per instruction")
               for line in said(hartwell("boot", "hello", "--stats").err))


def test_stats_option_shows_the_profile_and_every_hart(hartwell: Hartwell) -> None:
    shown = said(hartwell("boot", "smp-pingpong", "--stats", "--timing", "simple").err)
    assert shown[0] == "profile  simple (one cycle per instruction)"
    assert shown[2].split() == ["hart", "instructions", "cycles", "waiting", "CPI", "traps"]
    assert [line.split()[0] for line in shown[3:5]] == ["0", "1"]
    assert any(line.startswith("hart 1 ") for line in shown)
    assert "million per second" in shown[-1]


def test_stats_command_shows_the_same_without_the_console_and_without_host_time(hartwell: Hartwell) -> None:
    first, second = (hartwell("stats", "smp-pingpong") for _ in range(2))
    assert first == second
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("profile  rocket (")
    option = said(hartwell("boot", "smp-pingpong", "--stats", "--timing", "rocket").err)
    assert first.out.splitlines() == option[:-2]


def test_stats_command_tells_rocket_where_its_cycles_went(hartwell: Hartwell) -> None:
    (hart,) = json.loads(hartwell("stats", "hello", "--json").out)["harts"]
    assert hart["cycles"] == hart["instructions"] + hart["waiting"] + sum(hart["stalls"].values())
    assert hart["stalls"]["l1d"] > hart["stalls"]["load_use"] > 0  # the firmware clears its memory
    shown = hartwell("stats", "hello").out
    for name in ("issuing", "L1D misses", "load-use", "mispredicted branches", "branch mispredicts"):
        assert re.search(f"^{name} ", shown, re.M), name


def test_stats_command_without_an_image_is_our_kernels_boot(hartwell: Hartwell) -> None:
    done = hartwell("stats", "-m", "32M", "--smp", "2", "--json", "--timing", "simple")
    report = json.loads(done.out)
    assert (report["reason"], report["exit_code"], len(report["harts"])) == ("ready", 0, 2)
    booted = json.loads(hartwell("boot", "-m", "32M", "--smp", "2", "--json").out)
    assert report["instructions"] == booted["instructions"]


def test_stats_command_ends_with_the_guests_exit_code(hartwell: Hartwell) -> None:
    done = hartwell("stats", "bad-exit")
    assert (done.code, done.error) == (42, "the guest exited with code 42")
    assert done.out.startswith("profile  rocket (")
    assert hartwell("stats", "hello", "--max-insns", "1k").code == 3
    assert hartwell("stats", "bad-loop").code == 3  # by its manifest's limit


def test_stats_command_feeds_what_comes_on_stdin(hartwell: Hartwell) -> None:
    assert hartwell("stats", "uart-echo", stdin=b"hello\rquit\r").code == 0


def test_bars_are_sorted_and_add_up_to_the_harts_cycles() -> None:
    parts = where_cycles_went(SAMPLE)
    assert parts == [("issuing", 1000), ("L1D misses", 600), ("waiting", 300), ("mispredicted branches", 60),
                     ("FP", 40)]
    assert sum(cycles for _, cycles in parts) == SAMPLE.cycles


def test_every_stall_has_a_bar_and_every_miss_a_line() -> None:
    parts = where_cycles_went(HartStats(0, 1000, 0, 1, {}, {stall: 1 for stall in Stall}))
    assert len({name for name, _ in parts}) == 1 + len(Stall)
    told = {event for event, *_ in MISSES}
    assert {event for event in Event if "MISS" in event.name or event.name.endswith("PREDICTS")} <= told


def test_view_in_ascii_and_in_blocks() -> None:
    stats = Stats("mine", "±2 %", (SAMPLE,))
    assert lines(stats, plain=True, ascii_only=True) == [
        "profile  mine (±2 %)",
        "",
        "hart  instructions  cycles  waiting   CPI  traps",
        "0            1,000   2,000      300  1.70      5",
        "",
        "hart 0                                   share  cycles",
        "issuing                ###############  50.0 %   1,000",
        "L1D misses             #########        30.0 %     600",
        "waiting                ####             15.0 %     300",
        "mispredicted branches  #                 3.0 %      60",
        "FP                     #                 2.0 %      40",
        "",
        "event       number  per 1000 instructions                  share",
        "L1D misses      10                  10.00  2.5 % of 400 accesses",
        "traps            5                   5.00",
    ]
    drawn = lines(stats, plain=True, ascii_only=False)
    assert "issuing                ███████████████  50.0 %   1,000" in drawn
    assert "waiting                ████▌            15.0 %     300" in drawn


def test_hart_that_never_ran_has_a_line_and_no_bars() -> None:
    shown = lines(Stats("mine", "x", (HartStats(0, 0, 0, 0, {}, {}),)), plain=True, ascii_only=True)
    assert shown[-1].split() == ["0", "0", "0", "0", "0.00", "0"]


def test_summary_and_json_carry_profile_and_error_band() -> None:
    stats = Stats("mine", "uncalibrated", (SAMPLE,))
    assert summary(stats) == "2,000 cycles, CPI 1.70 (mine: uncalibrated)"
    told = as_dict(stats)
    assert (told["profile"], told["accuracy"], told["cpi"]) == ("mine", "uncalibrated", 1.7)
    assert told["harts"][0]["stalls"] == {"branch": 60, "l1d": 600, "tlb": 0, "fp": 40}
    assert list(told["harts"][0]["events"]) == ["cycles", "traps", "l1d_accesses", "l1d_misses", "itlb_misses"]


def test_profiles_lists_ours_with_their_error_bands(hartwell: Hartwell) -> None:
    listed = [re.split("  +", line)[:2] for line in hartwell("profiles").out.splitlines()]
    rows = json.loads(hartwell("profiles", "--json").out)["profiles"]
    assert listed[0] == ["profile", "mean error"]
    assert listed[1:] == [[row["name"], row["accuracy"]] for row in rows]
    assert [row["name"] for row in rows] == ["rocket", "simple", "u74"]


def test_profiles_shows_every_parameter_of_one_with_its_source(hartwell: Hartwell) -> None:
    out = hartwell("profiles", "rocket").out
    report = json.loads(hartwell("profiles", "rocket", "--json").out)
    assert [row["name"] for row in report["parameters"]] == list(PARAMETERS)
    assert out.startswith(f"rocket ({report['accuracy']})\n{report['title']}\n")
    for row in report["parameters"]:
        table, key = row["name"].split(".")
        section = out.split(f"\n[{table}] ")[1].split("\n[")[0]
        (line,) = [line for line in section.splitlines() if line.startswith(f"{key} ")]
        assert all(word in line for word in (json.dumps(row["value"]), row["unit"], row["expected"], row["meaning"],
                                             row["source"]))


def test_profiles_shows_a_users_file(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "rocket"\ntitle = "A guess"\n[issue]\nmispredict = 9\n')
    out = hartwell("profiles", "mine.toml").out
    assert out.startswith("mine (uncalibrated)\nA guess\n")
    (line,) = [line for line in out.splitlines() if line.startswith("mispredict ")]
    assert line.split()[1] == "9"
    assert line.endswith("set in mine.toml")
    assert hartwell("profiles", "simple").out.splitlines()[0] == "simple (one cycle per instruction)"


@pytest.mark.parametrize("command", ["boot hello", "stats hello"])
def test_a_users_file_is_a_profile_to_run_with(hartwell: Hartwell, tmp_path: Path, command: str) -> None:
    (tmp_path / "mine.toml").write_text("flat = true\n")
    done = hartwell(*command.split(), "--timing", "mine.toml")
    assert done.code == 0
    assert "mine" in done.out + done.err
