"""`hartwell boot`: what runs, what it prints, and the exit code."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hartwell import catalogue

from .conftest import ROOT, Hartwell

LUI_T0_FINISHER = 0x001002B7  # lui t0, 0x100
WFI, JUMP_SELF = 0x10500073, 0x0000006F


def finish(value: int) -> list[int]:
    """Instructions that store `value`, whose lower half is 0x3333 or so, to the test finisher."""
    low = value & 0xFFF
    high = (value + 0x800) >> 12 & 0xFFFFF
    return [LUI_T0_FINISHER, high << 12 | 0x337, (low << 20) | 0x0003031B, 0x0062A023, JUMP_SELF]


@pytest.mark.parametrize("name", [image.name for image in catalogue.everything() if image.exit is not None])
def test_image_prints_what_its_manifest_promises_and_exits_so(hartwell: Hartwell, name: str) -> None:
    image = catalogue.find(name)
    assert image is not None
    done = hartwell("boot", name, stdin=image.stdin.encode() or None)
    assert done.code == image.exit
    assert done.out.replace("\r", "").endswith(image.expected())
    assert bool(done.err) == bool(image.exit)


def test_path_of_an_elf_boots_like_the_image_of_that_name(hartwell: Hartwell) -> None:
    assert hartwell("boot", ROOT / "images/hello/hello.elf") == hartwell("boot", "hello")


def test_kernel_option_is_the_same_as_the_argument(hartwell: Hartwell) -> None:
    assert hartwell("boot", "--kernel", ROOT / "images/hello/hello.elf") == hartwell("boot", "hello")


def test_bios_option_replaces_the_firmware(hartwell: Hartwell) -> None:
    ours = ROOT / "firmware/hartwell-sbi.elf"
    assert hartwell("boot", "--bios", ours, "hello") == hartwell("boot", "hello")


def test_bios_none_starts_a_flat_binary_at_the_start_of_ram_in_machine_mode(
        hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    auipc_a0, mscratch = 0x00000517, 0x34051073  # csrw mscratch, a0: traps below M-mode
    done = hartwell("boot", "--bios", "none", flat(auipc_a0, mscratch, *finish(0x5555)), "--json")
    report = json.loads(done.out)
    assert (done.code, report["harts"][0]["pc"][:8], report["traps"]) == (0, "0x800000", 0)


def test_flat_binary_runs_behind_the_firmware_in_supervisor_mode(
        hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    done = hartwell("boot", flat(JUMP_SELF), "--max-insns", "2M")
    assert done.code == 3
    assert "hart 0 at 0x80200000" in done.error
    assert "next stage  0x80200000 in S-mode" in done.out


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_linux_image_is_recognised(hartwell: Hartwell, tmp_path: Path, packed: bool) -> None:
    header = bytearray(64)
    header[0:4] = (0x0400006F).to_bytes(4, "little")  # j .+64
    header[16:24] = (4096).to_bytes(8, "little")
    header[32:36] = (2).to_bytes(4, "little")
    header[48:53], header[56:60] = b"RISCV", b"RSC\x05"
    kernel = bytes(header) + b"".join(word.to_bytes(4, "little") for word in finish(0x5555))
    path = tmp_path / "Image"
    path.write_bytes(gzip.compress(kernel) if packed else kernel)
    assert hartwell("boot", path).code == 0
    assert "Linux Image" in hartwell("info", path).out


def test_guest_exit_code_becomes_the_process_exit_code_modulo_256(
        hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    done = hartwell("boot", "--bios", "none", flat(*finish(0x0103_3333)))
    assert done.code == 3
    assert done.error == "the guest exited with code 259"


def test_guest_failure_is_never_the_exit_code_of_success(hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    done = hartwell("boot", "--bios", "none", flat(*finish(0x0100_3333)))
    assert done.code == 255
    assert done.error == "the guest exited with code 256"


def test_watchdog_in_instructions_exits_with_3(hartwell: Hartwell) -> None:
    done = hartwell("boot", "hello", "--max-insns", "1k")
    assert done.code == 3
    assert done.error.startswith("the limit of 1,000 instructions was reached (hart 0 at 0x8000")


def test_watchdog_in_seconds_exits_with_3(hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    done = hartwell("boot", "--bios", "none", flat(JUMP_SELF), "--timeout", "0.2")
    assert done.code == 3
    assert done.error.startswith("the limit of 0.2 seconds was reached")


def test_watchdog_in_seconds_ends_a_wait_for_input(hartwell: Hartwell, tmp_path: Path) -> None:
    import subprocess

    from .conftest import COMMAND, environment

    with subprocess.Popen([*COMMAND, "boot", "uart-echo", "--timeout", "0.5"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, cwd=tmp_path, env=environment()) as process:
        assert process.wait(timeout=30) == 3


def test_deadlock_exits_with_4(hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    done = hartwell("boot", "--bios", "none", flat(WFI, JUMP_SELF))
    assert done.code == 4
    assert done.error.startswith("every hart waits in WFI")


@pytest.mark.parametrize("name", ["bad-traploop", "bad-jump"])
def test_trap_loop_exits_with_5(hartwell: Hartwell, name: str) -> None:
    done = hartwell("boot", name)
    assert done.code == 5
    assert "trap loop" in done.error


def test_image_that_never_ends_is_stopped_by_its_manifests_limit(hartwell: Hartwell) -> None:
    done = hartwell("boot", "bad-loop")
    assert done.code == 3
    assert "20,000,000 instructions" in done.error


def test_reset_restarts_the_machine_unless_no_reboot_is_given(hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    # The first time a word in RAM is 0: set it and reset. RAM survives; the second time pass.
    program = flat(
        0x80100437,  # lui s0, 0x80100 (sign-extended)
        0x02041413, 0x02045413,  # zero-extend it
        0x00042483,  # lw s1, 0(s0)
        0x00049E63,  # bnez s1, .+28
        0x00100493, 0x00942023,  # li s1, 1; sw s1, 0(s0)
        *finish(0x7777)[:4],
        *finish(0x5555))
    assert hartwell("boot", "--bios", "none", program, "--max-insns", "1000").code == 0
    done = hartwell("boot", "--bios", "none", program, "--no-reboot")
    assert (done.code, done.error) == (0, "the guest asked for a reset")


def test_smp_option_overrides_the_manifest(hartwell: Hartwell) -> None:
    report = json.loads(hartwell("boot", "smp-pingpong", "--smp", "4", "--json").out)
    assert (report["exit_code"], len(report["harts"])) == (0, 4)
    assert all(hart["instructions"] > 1000 for hart in report["harts"])


def test_memory_option_moves_the_device_tree(hartwell: Hartwell) -> None:
    assert "devicetree  0x87e00000" in hartwell("boot", "hello").out
    assert "devicetree  0x83e00000" in hartwell("boot", "hello", "-m", "64M").out


def test_append_and_initrd_reach_the_device_tree(
        hartwell: Hartwell, flat: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "initrd").write_bytes(b"x" * 0x1234)
    send_tree = flat(
        0x100002B7, 0x000023B7,  # lui t0, 0x10000 (the UART); lui t2, 2 (8 KiB)
        0x00058303, 0x00628023,  # lb t1, 0(a1); sb t1, 0(t0)
        0x00158593, 0xFFF38393,  # addi a1, a1, 1; addi t2, t2, -1
        0xFE0398E3,  # bnez t2, .-16
        *finish(0x5555))
    plain = hartwell("boot", "--bios", "none", send_tree).out
    assert "console=" not in plain
    assert "linux,initrd-start" not in plain
    told = hartwell("boot", "--bios", "none", send_tree, "--initrd", "initrd", "--append", "console=ttyS0 quiet").out
    assert "console=ttyS0 quiet\0" in told
    assert "linux,initrd-start" in told


def test_dtb_option_replaces_the_machines_tree(hartwell: Hartwell) -> None:
    assert hartwell("dts", "--dtb-out", "four.dtb", "--smp", "4").code == 0
    assert "harts       4" in hartwell("boot", "hello", "--dtb", "four.dtb", "--smp", "4").out
    assert "harts       1" in hartwell("boot", "hello", "--smp", "1").out


def test_quantum_changes_the_interleaving_and_not_the_console(hartwell: Hartwell) -> None:
    fine, coarse = (json.loads(hartwell("boot", "smp-pingpong", "--quantum", quantum, "--json").out)
                    for quantum in ("500", "50000"))
    assert fine["console"] == coarse["console"]
    assert fine["cycles"] != coarse["cycles"]


def test_json_is_one_object_and_the_same_in_every_run(fresh: Hartwell) -> None:
    first, second = (fresh("boot", "smp-pingpong", "--json") for _ in range(2))
    assert first == second
    report = json.loads(first.out)
    assert set(report) == {"reason", "message", "exit_code", "guest_code", "instructions", "cycles", "traps", "harts",
                           "timing", "console"}
    assert (report["reason"], report["guest_code"]) == ("exited", 0)
    assert report["instructions"] == sum(hart["instructions"] for hart in report["harts"])


def test_json_tells_a_guests_exit_code_from_hartwells_own(hartwell: Hartwell, flat: Callable[..., Path]) -> None:
    program = flat(*finish(0x0003_3333))
    report = json.loads(hartwell("boot", "--bios", "none", program, "--json").out)
    assert (report["exit_code"], report["reason"], report["guest_code"]) == (3, "exited", 3)
    report = json.loads(hartwell("boot", "bad-loop", "--json").out)
    assert (report["exit_code"], report["reason"], report["guest_code"]) == (3, "watchdog", None)


def test_stats_shows_every_hart_on_stderr(hartwell: Hartwell) -> None:
    done = hartwell("boot", "smp-pingpong", "--stats")
    assert done.out == hartwell("boot", "smp-pingpong").out
    assert [line.split()[1] for line in done.err.splitlines()[:3]] == ["hart", "0", "1"]


def test_json_has_host_seconds_only_with_stats(hartwell: Hartwell) -> None:
    assert "seconds" in json.loads(hartwell("boot", "hello", "--json", "--stats").out)


def test_trace_of_traps_names_cause_and_function(hartwell: Hartwell) -> None:
    done = hartwell("boot", "hello", "--trace", "traps")
    assert done.code == 0
    assert any("environment call from S-mode" in line and "trap_vector" in line for line in done.err.splitlines())


def test_trace_file_gets_the_trace_and_stderr_nothing(hartwell: Hartwell, tmp_path: Path) -> None:
    done = hartwell("boot", "hello", "--trace", "mmio,csr", "--trace-file", "trace.txt")
    assert (done.code, done.err) == (0, "")
    trace = (tmp_path / "trace.txt").read_text()
    assert "mtvec" in trace
    assert "uart" in trace


def test_trace_range_limits_the_trace_to_a_function_or_addresses(hartwell: Hartwell) -> None:
    by_name = hartwell("boot", "hello", "--trace", "insns", "--trace-range", "main").err.splitlines()
    assert by_name
    assert all(" main" in line for line in by_name)
    by_address = hartwell("boot", "hello", "--trace", "insns", "--trace-range", "0x80200000..0x80200008").err
    assert {line.split()[2] for line in by_address.splitlines()} <= {"0x80200000", "0x80200002", "0x80200004",
                                                                     "0x80200006"}
