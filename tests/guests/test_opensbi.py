"""Debian's OpenSBI starts our S-mode images, which notice no difference."""

from __future__ import annotations

import pytest

from emulator.stop import Exited
from tests.guests.machines import boot
from tests.helpers.machines import image, load

pytestmark = pytest.mark.guest
FIRMWARE = [f"{suite}/{kind}.bin" for suite in ("bookworm", "trixie") for kind in ("fw_jump", "fw_dynamic")]
VERSION = {"bookworm": b"OpenSBI v1.1", "trixie": b"OpenSBI v1.6"}


@pytest.mark.parametrize("name", FIRMWARE)
@pytest.mark.parametrize(("kernel", "harts"), [("hello", 1), ("timer", 1), ("pagefault-sv39", 1), ("smp-pingpong", 2),
                                               ("smp-pingpong", 8)])
def test_opensbi_starts_an_image(name: str, kernel: str, harts: int) -> None:
    made = boot(load(image(kernel).path), name, harts)
    assert made.run(max_insns=400_000_000) == Exited(0)
    assert VERSION[name.partition("/")[0]] in made.console
    assert made.console.replace(b"\r", b"").endswith(image(kernel).expected)


@pytest.mark.parametrize("name", FIRMWARE)
def test_opensbi_finds_the_boards_devices(name: str) -> None:
    made = boot(load(image("hello").path), name, harts=3)
    made.run(max_insns=400_000_000)
    console = made.console.replace(b"\r", b"")
    facts = [line.split(b":", 1)[1].strip() for line in console.split(b"\n") if line.startswith(
        (b"Platform HART Count", b"Platform IPI Device", b"Platform Timer Device", b"Platform Console Device"))]
    assert facts[0] == b"3"
    assert facts[1] == b"aclint-mswi" and facts[2].startswith(b"aclint-mtimer @ 10000000Hz") and facts[3] == b"uart8250"
