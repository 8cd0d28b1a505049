"""Debian's U-Boot to its prompt, where it answers, and to power-off."""

from __future__ import annotations

import pytest

from emulator.machine import Machine
from emulator.stop import Exited
from tests.guests.machines import OURS, boot, guest, talk

pytestmark = pytest.mark.guest
VERSION = {"bookworm": b"U-Boot 2023.01", "trixie": b"U-Boot 2025.01"}


def converse(made: Machine, suite: str) -> None:
    """Stop the countdown, ask for version and board, power off."""
    talk(made, b"stop autoboot", [b""])
    answers = talk(made, b"=> ", [b"version", b"bdinfo", b"poweroff"])
    assert VERSION[suite] in answers[1]
    assert b"DRAM bank   = 0x0000000000000000" in answers[2] or b"memstart" in answers[2]
    assert b"0x0000000080000000" in answers[2]
    assert made.run(timeout=20) == Exited(0)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.parametrize("firmware", [OURS, "bookworm/fw_dynamic.bin", "trixie/fw_dynamic.bin", "trixie/fw_jump.bin"])
def test_u_boot_in_s_mode(suite: str, firmware: str) -> None:
    converse(boot(guest(f"{suite}/u-boot-smode.bin"), firmware), suite)


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_u_boot_in_m_mode(suite: str) -> None:
    converse(boot(guest(f"{suite}/u-boot-mmode.bin", 0x8000_0000), None), suite)
