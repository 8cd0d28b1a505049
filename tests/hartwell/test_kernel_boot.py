"""`hartwell boot` without an image: our own kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import ROOT, Hartwell

STAGES = ["entry", "early-info", "early-allocator", "cpu-local", "frame-metadata", "frame-allocator", "heap",
          "kernel-page-table", "activate", "boot-info", "smp", "dismiss-boot-page-table", "ready"]


def test_kernel_boots_and_its_console_shows_every_stage_in_order(hartwell: Hartwell) -> None:
    done = hartwell("boot")
    assert done.code == 0
    assert done.out.startswith("Hartwell SBI")
    assert [line.partition(":")[0] for line in done.out.splitlines() if line[:1].isalpha()][1:] == STAGES
    assert done.error.startswith("kernel ready: sv48, 1 CPU, ")
    assert " of 128 MiB free, " in done.error


def test_machine_options_make_the_kernels_machine(hartwell: Hartwell) -> None:
    done = hartwell("boot", "--smp", "3", "-m", "32M", "--mmu", "sv39")
    assert (done.code, "kernel ready: sv39, 3 CPUs, " in done.error) == (0, True)
    assert " of 32 MiB free" in done.error


def test_append_and_initrd_reach_the_kernel(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "initrd").write_bytes(b"x" * 5000)
    done = hartwell("boot", "--append", "quiet splash", "--initrd", "initrd")
    assert done.code == 0
    assert "command line 'quiet splash'" in done.out
    assert "Module" in done.out


def test_json_is_one_object_with_every_stages_figures_and_the_same_in_every_run(fresh: Hartwell) -> None:
    first, second = (fresh("boot", "-m", "32M", "--json") for _ in range(2))
    assert (first.out, first.code) == (second.out, 0)
    report = json.loads(first.out)
    assert (report["reason"], report["exit_code"]) == ("ready", 0)
    assert [stage["name"] for stage in report["stages"]] == STAGES
    figures = {stage["name"]: stage["figures"] for stage in report["stages"]}
    assert figures["frame-metadata"]["frames"] == 8192
    assert figures["ready"]["free_bytes"] < figures["frame-allocator"]["free_bytes"]
    instructions = [stage["instructions"] for stage in report["stages"]]
    assert instructions == sorted(instructions)
    assert report["console"].startswith("Hartwell SBI")


def test_stats_shows_every_hart_after_the_summary(hartwell: Hartwell) -> None:
    lines = hartwell("boot", "-m", "32M", "--smp", "2", "--stats").err.splitlines()
    assert [line.split()[1] for line in lines[:4]] == ["kernel", "hart", "0", "1"]


def test_other_firmware_boots_the_kernel(hartwell: Hartwell) -> None:
    ours = ROOT / "firmware/hartwell-sbi.elf"
    assert hartwell("boot", "--bios", ours) == hartwell("boot")


def test_firmware_that_never_enters_the_kernel_is_one_line_and_exit_code_1(hartwell: Hartwell) -> None:
    done = hartwell("boot", "--bios", ROOT / "images/mhello/mhello.elf")
    assert (done.code, done.error) == (1, "error: the kernel was not entered: the guest exited with code 0")
    assert done.out.startswith("Hello from M-mode")


def test_json_of_a_boot_that_fails_has_the_stages_that_it_came_to(hartwell: Hartwell) -> None:
    done = hartwell("boot", "-m", "32M", "--append", "x" * 3000, "--json")
    report = json.loads(done.out)
    assert (done.code, report["exit_code"], report["reason"]) == (1, 1, "failed")
    assert [stage["name"] for stage in report["stages"]] == ["entry"]
    assert done.error == report["message"]
    assert done.error.startswith("error: the command line has 3000 bytes")
    assert done.error.endswith("(after the stage entry)")


@pytest.mark.parametrize(("option", "words"), [
    (("--max-insns", "1k"), "the limit of 1,000 instructions was reached in the stage entry"),
    (("--timeout", "0.000001"), "the limit of 1e-06 seconds was reached in the stage entry"),
])
def test_limits_end_the_boot_with_exit_code_3(hartwell: Hartwell, option: tuple[str, str], words: str) -> None:
    done = hartwell("boot", *option)
    assert (done.code, done.error) == (3, words)


def test_trace_of_the_kernels_boot_names_its_functions(hartwell: Hartwell, tmp_path: Path) -> None:
    assert hartwell("boot", "-m", "32M", "--trace", "traps", "--trace-file", "trace.txt").code == 0
    lines = (tmp_path / "trace.txt").read_text().splitlines()
    assert any("do_ecall -> M" in line and "environment call from S-mode" in line for line in lines)


def test_dumped_ram_is_that_of_the_run(hartwell: Hartwell, tmp_path: Path) -> None:
    assert hartwell("boot", "-m", "32M", "--dump-ram", "after.ram").code == 0
    fresh = hartwell("memmap", "-m", "32M")
    assert hartwell("memmap", "--ram", "after.ram") == fresh
    assert (tmp_path / "after.ram").stat().st_size < 1 << 20


def test_ram_of_a_foreign_guest_is_dumped_and_has_no_kernel(hartwell: Hartwell) -> None:
    assert hartwell("boot", "hello", "--dump-ram", "hello.ram").code == 0
    done = hartwell("memmap", "--ram", "hello.ram")
    assert done.code == 2
    assert done.error.startswith("error: hello.ram: no kernel at 0x80200000")


def test_ram_of_a_boot_that_stopped_half_way_is_refused_by_its_phase(hartwell: Hartwell) -> None:
    assert hartwell("boot", "--max-insns", "1k", "--dump-ram", "half.ram").code == 3
    done = hartwell("memmap", "--ram", "half.ram")
    assert done.code == 2
    assert done.error.startswith("error: half.ram: the kernel in memory has not booted: it came to the phase early")
