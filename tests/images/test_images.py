"""Every image of the folder `images/`, by its manifest: on Hartwell, and on QEMU with our firmware."""

from __future__ import annotations

import pytest

from emulator.stop import Exited, TrapLoop, Watchdog
from tests.helpers import qemu
from tests.helpers.machines import FIRMWARE, IMAGES, image, images

NEVER = {"watchdog": Watchdog, "trap-loop": TrapLoop}


def test_every_folder_with_an_elf_has_a_manifest() -> None:
    assert images() == sorted(path.parent.name for path in IMAGES.glob("*/*.elf"))


@pytest.mark.parametrize("name", images())
def test_an_image_prints_and_ends_as_its_manifest_says(name: str) -> None:
    shown = image(name)
    made = shown.boot()
    stop = shown.run(made)
    assert shown.printed(made.console) == shown.expected
    if shown.exit is not None:
        assert stop == Exited(shown.exit)
    else:
        assert shown.ends is not None and isinstance(stop, NEVER[shown.ends])


@pytest.mark.parametrize("harts", range(2, 9))
def test_smp_pingpong_prints_the_same_with_any_number_of_harts(harts: int) -> None:
    shown = image("smp-pingpong")
    made = shown.boot(harts)
    assert shown.run(made) == Exited(0)
    assert shown.printed(made.console) == shown.expected


@pytest.mark.parametrize("name", [name for name in images() if image(name).mode == "s" and name != "smp-pingpong"])
def test_an_image_for_one_hart_does_not_mind_others(name: str) -> None:
    shown = image(name)
    made = shown.boot(4)
    stop = shown.run(made)
    assert shown.printed(made.console) == shown.expected
    assert stop == Exited(shown.exit) if shown.exit is not None else not stop.ok


@pytest.mark.qemu
@qemu.needs_qemu
@pytest.mark.parametrize("name", images())
def test_an_image_prints_the_same_on_qemu(name: str) -> None:
    shown = image(name)
    firmware = FIRMWARE if shown.mode == "s" else "none"
    line = qemu.command(bios=firmware, kernel=shown.path, harts=shown.smp, memory=f"{shown.memory >> 20}M")
    console, code = qemu.run(line, shown.stdin, seconds=20 if shown.exit is not None else 2)
    assert shown.printed(console) == shown.expected
    assert code == shown.exit


@pytest.mark.qemu
@qemu.needs_qemu
@pytest.mark.parametrize("harts", [4, 8])
def test_smp_pingpong_prints_the_same_on_qemu_with_more_harts(harts: int) -> None:
    shown = image("smp-pingpong")
    console, code = qemu.run(qemu.command(bios=FIRMWARE, kernel=shown.path, harts=harts))
    assert (shown.printed(console), code) == (shown.expected, 0)
