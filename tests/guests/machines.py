"""Real guests on Hartwell: fetched files, firmware by name, and dialogues at a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from emulator.board import Board
from emulator.loader.detect import load_image
from emulator.loader.model import Image
from emulator.machine import Machine
from emulator.stop import Matched
from tests.guests import fetch
from tests.helpers.machines import FIRMWARE

OURS = "hartwell"


@cache
def _guests() -> dict[str, fetch.Guest] | str:
    try:
        return fetch.guests()
    except fetch.FetchError as why:
        return str(why)


def path(name: str) -> Path:
    """The file of guest `name`; the test is skipped, with the reason, if it was not fetched."""
    found = _guests()
    if isinstance(found, str):
        pytest.skip(found)
    if name not in found:
        pytest.skip(f"guest {name} was not fetched: the mirror does not carry it")
    return Path(found[name].path)


def guest(name: str, address: int = 0x8020_0000) -> Image:
    """Guest `name` as an image; a flat binary goes to `address`."""
    return load_image(path(name).read_bytes(), name, address)


def firmware(name: str) -> Image:
    """Our firmware by the name OURS, else a guest."""
    if name == OURS:
        return load_image(FIRMWARE.read_bytes(), FIRMWARE.name, 0x8000_0000)
    return guest(name, 0x8000_0000)


def boot(kernel: Image, firmware_name: str | None, harts: int = 1, memory: int = 128 << 20, initrd: bytes | None = None,
         bootargs: str = "") -> Machine:
    """A machine that is about to start `kernel` behind the firmware called `firmware_name`."""
    made = Machine(Board(harts=harts, memory=memory))
    made.boot(kernel=kernel, firmware=firmware(firmware_name) if firmware_name else None, initrd=initrd,
              bootargs=bootargs)
    return made


def talk(made: Machine, prompt: bytes, commands: Iterable[bytes]) -> list[bytes]:
    """Answer each prompt with the next command; what was printed up to each prompt, then behind the last command."""
    seen: list[bytes] = []
    at = 0
    for command in commands:
        stop = made.expect(prompt, timeout=60)
        assert isinstance(stop, Matched), f"{stop}\n{made.console[-2000:].decode(errors='replace')}"
        seen.append(made.console[at:])
        at = len(made.console)
        made.feed(command + b"\n")
    return seen
