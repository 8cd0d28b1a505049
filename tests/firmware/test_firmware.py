"""The firmware: its own test programs, its banner, reset, and QEMU as a second machine to run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.board import Board
from emulator.machine import Machine
from emulator.stop import Exited, ResetRequested
from tests.helpers import qemu
from tests.helpers.assembler import assemble
from tests.helpers.machines import FIRMWARE, ROOT, flat, image, load

PROGRAMS = sorted((ROOT / "firmware/tests").glob("*.elf"))
KERNEL = 0x8020_0000

RESET_ONCE = """
        li      t0, 0x80400000          # kept over a reset: nothing is loaded there
        ld      t1, 0(t0)
        li      t2, 0x48570001
        beq     t1, t2, again
        sd      t2, 0(t0)
        li      a7, 0x53525354          # SRST: system reset
        li      a6, 0
        li      a0, TYPE
        li      a1, 0
        ecall
1:      j       1b
again:  li      a7, 0x53525354
        li      a6, 0
        li      a0, 0
        li      a1, 0
        ecall
2:      j       2b
"""


def boot(source: str, harts: int = 1) -> Machine:
    made = Machine(Board(harts=harts))
    made.boot(firmware=load(FIRMWARE), kernel=flat(assemble(source, KERNEL), KERNEL))
    return made


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_firmwares_own_tests_pass(path: Path) -> None:
    made = Machine()
    made.boot(kernel=load(path))
    stop = made.run(max_insns=1_000_000_000)
    assert stop == Exited(0), made.console[-1000:]
    assert b"PASS" in made.console and b"FAIL" not in made.console


@pytest.mark.qemu
@qemu.needs_qemu
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_firmwares_own_tests_pass_on_qemu_with_the_same_output(path: Path) -> None:
    made = Machine()
    made.boot(kernel=load(path))
    made.run(max_insns=1_000_000_000)
    console, code = qemu.run(qemu.command(bios="none", kernel=path))
    assert code == 0
    assert verdicts(console) == verdicts(made.console)


def verdicts(console: bytes) -> list[bytes]:
    return [line for line in console.replace(b"\r", b"").split(b"\n") if line.startswith((b"PASS", b"FAIL"))]


def test_the_banner_ends_with_the_consoles_only_empty_line() -> None:
    made = image("bad-loop").boot()
    image("bad-loop").run(made)
    assert made.console.replace(b"\r", b"").count(b"\n\n") == 1
    assert made.console.endswith(b"\r\n\r\n")


def test_without_a_kernel_the_firmware_says_so_and_fails() -> None:
    made = Machine()
    made.boot(firmware=load(FIRMWARE))
    assert made.run(max_insns=20_000_000) == Exited(1)
    assert b"next" in made.console.lower()


@pytest.mark.parametrize("kind", [1, 2], ids=["cold", "warm"])
@pytest.mark.parametrize("harts", [1, 4])
def test_a_reboot_through_the_sbi_starts_firmware_and_kernel_over(harts: int, kind: int) -> None:
    made = boot(RESET_ONCE.replace("TYPE", str(kind)), harts)
    assert made.run(max_insns=50_000_000) == Exited(0)
    first, second = made.console.split(b"\r\n\r\n")[:2]
    assert first == second and first


def test_a_reboot_is_reported_when_the_machine_is_told_not_to_do_it() -> None:
    made = boot(RESET_ONCE.replace("TYPE", "1"))
    made.reboot = False
    assert made.run(max_insns=50_000_000) == ResetRequested()


@pytest.mark.qemu
@qemu.needs_qemu
def test_a_reboot_through_the_sbi_works_on_qemu(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.bin"
    kernel.write_bytes(assemble(RESET_ONCE.replace("TYPE", "1"), KERNEL))
    console, code = qemu.run(qemu.command(bios=FIRMWARE, kernel=kernel))
    assert code == 0 and console.count(b"next stage") == 2


@pytest.mark.parametrize("harts", [1, 2, 8])
def test_all_other_harts_are_parked_when_the_kernel_starts(harts: int) -> None:
    made = boot("li a7, 0x53525354\n li a6, 0\n li a0, 0\n li a1, 0\n ecall\n1: j 1b", harts)
    assert made.run(max_insns=20_000_000) == Exited(0)
    for hart in made.harts[1:]:
        assert hart.priv == 3


def test_the_kernel_is_entered_in_s_mode_with_hart_tree_and_nothing_else() -> None:
    made = boot("1: j 1b")
    hart = made.harts[0]
    while hart.pc != KERNEL:
        assert made.run(max_insns=1).limit == 1  # type: ignore[attr-defined]
        assert made.instructions < 10_000_000
    assert (hart.priv, hart.read("a0"), hart.read("satp")) == (1, 0, 0)
    assert made.bus.read(hart.read("a1"), 4) == bytes.fromhex("d00dfeed")
    assert {name for name, value in hart.registers().items() if value and name not in ("a0", "a1", "pc")} == set()
