"""A board as plain data: what files that keep a machine's state say about it, and how two are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .board import Board, virt_devices
from .devices.device import Device
from .devices.disk import Disk
from .range import Range

FIELDS = ("harts", "memory", "clock_hz", "timebase_hz", "mmu", "quantum")
RANGES = ("banks", "reserved")


def describe(board: Board) -> dict[str, Any]:
    """The fields of `board` but its devices: numbers, text, and [base, size] of ranges."""
    told = {name: getattr(board, name) for name in FIELDS}
    return told | {name: [[part.base, part.size] for part in getattr(board, name)] for name in RANGES}


def describe_devices(devices: Iterable[Device]) -> list[list[Any]]:
    """[name, base, size, interrupt] of each device."""
    return [[device.name, device.base, device.size, device.irq] for device in devices]


def rebuild(told: dict[str, Any], disks: Sequence[Disk] = ()) -> Board:
    """The board that `describe` told of, with the virt board's devices and `disks`.

    BoardError, KeyError, TypeError or ValueError if there is no such board.
    """
    fields: dict[str, Any] = {name: told[name] for name in FIELDS}
    fields |= {name: tuple(Range(*pair) for pair in told[name]) for name in RANGES}
    return Board(**fields, devices=virt_devices(disks)) if disks else Board(**fields)


def difference(saved: dict[str, Any], saved_devices: list[list[Any]], board: Board,
               devices: Iterable[Device]) -> str | None:
    """What is another thing in a board that was told of than in this one, and how; None if they are the same."""
    for name, here in describe(board).items():
        if name != "memory" and saved[name] != here:  # "banks" says what memory there is
            return f"{name} {_shown(saved[name])}, expected {_shown(here)}"
    there, ours = shown(saved_devices), shown(describe_devices(devices))
    for number in range(max(len(there), len(ours))):
        one, other = ("none" if number >= len(names) else names[number] for names in (there, ours))
        if one != other:
            return f"device {number} {one}, expected {other}"
    return None


def shown(told: list[list[Any]]) -> list[str]:
    """What `describe_devices` told, as one says it. TypeError or ValueError if it is nothing of the kind."""
    return [f"{name} at {base:#x} ({size} bytes, interrupt {irq})" for name, base, size, irq in told]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(Range(*pair)) for pair in value) or "none"
    return str(value)
