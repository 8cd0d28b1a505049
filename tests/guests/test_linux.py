"""Debian's Linux to a busybox shell that answers, and to power-off."""

from __future__ import annotations

import pytest

from emulator.machine import Machine
from emulator.stop import Exited
from tests.guests.machines import OURS, boot, guest, path, talk
from tests.helpers.machines import digest

pytestmark = pytest.mark.guest
MEMORY = 512 << 20


def linux(harts: int, firmware: str, initramfs: str, bootargs: str = "console=ttyS0") -> Machine:
    initrd = path(f"initramfs-{initramfs}.cpio.gz").read_bytes()
    return boot(guest("trixie/Image"), firmware, harts, MEMORY, initrd, bootargs)


@pytest.mark.parametrize("harts", [1, 2])
@pytest.mark.parametrize("firmware", [OURS, "trixie/fw_dynamic.bin", "bookworm/fw_dynamic.bin"])
def test_linux_boots_to_a_shell_that_answers(firmware: str, harts: int) -> None:
    made = linux(harts, firmware, "shell")
    answers = talk(made, b"guest# ", [b"uname -srm", b"grep -c ^processor /proc/cpuinfo", b"cat /proc/interrupts",
                                      b"echo $((6 * 7)) > /tmp/x; cat /tmp/x; date -u +%Y", b"poweroff -f"])
    assert b"BOOT-OK" in answers[0]
    assert b"Linux 6.12" in answers[1] and b"riscv64" in answers[1]
    assert answers[2].replace(b"\r", b"").split(b"\n")[1] == str(harts).encode()
    assert b"riscv-timer" in answers[3] and b"ttyS0" in answers[3]
    assert answers[4].replace(b"\r", b"").split(b"\n")[1:3] == [b"42", b"2026"]
    assert made.run(timeout=30) == Exited(0)
    assert b"riscv-pmu-sbi: 16 firmware and 18 hardware counters" in made.console
    for bad in (b"Oops", b"WARNING:", b"Call Trace", b"rcu: INFO", b"BUG:", b"soft lockup"):
        assert bad not in made.console


@pytest.mark.parametrize(("harts", "bootargs"), [(4, "console=ttyS0"), (1, "console=ttyS0 no4lvl")])
def test_linux_boots_and_powers_off(harts: int, bootargs: str) -> None:
    made = linux(harts, OURS, "bench", bootargs)
    assert made.run(timeout=60) == Exited(0)
    assert b"BOOT-OK" in made.console
    assert b"smp: Brought up 1 node, %d CPU" % harts in made.console


def test_two_boots_of_linux_on_two_harts_are_one() -> None:
    first, second = linux(2, OURS, "bench", "console=ttyS0 no5lvl"), linux(2, OURS, "bench", "console=ttyS0 no5lvl")
    assert first.run(timeout=60) == second.run(timeout=60) == Exited(0)
    assert b"BOOT-OK" in first.console and b"smp: Brought up 1 node, 2 CPU" in first.console
    assert digest(first) == digest(second)


def test_linux_reboots() -> None:
    made = linux(1, OURS, "shell")
    talk(made, b"guest# ", [b"reboot -f"])
    answers = talk(made, b"guest# ", [b"poweroff -f"])
    assert b"Linux version 6.12" in answers[0]
    assert made.run(timeout=30) == Exited(0)
