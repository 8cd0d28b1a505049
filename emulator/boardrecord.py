"""A board and a timing profile as plain data: what files that keep a machine's state say, and how two are compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .board import Board, virt_devices
from .devices.device import Device
from .devices.disk import Disk
from .range import Range

if TYPE_CHECKING:
    from .timing.profile import Profile

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


def describe_timing(profile: Profile | None) -> dict[str, Any] | None:
    """The fields of `profile`; None without one."""
    if profile is None:
        return None
    return {"name": profile.name, "title": profile.title, "flat": profile.flat, "error": profile.error,
            "values": profile.values()}


def rebuild_timing(told: dict[str, Any] | None) -> Profile | None:
    """The profile that `describe_timing` told of. ProfileError, KeyError or TypeError if there is no such profile."""
    if told is None:
        return None
    from .timing.profile import Profile, build

    if told["flat"]:
        return Profile(told["name"], told["title"], flat=True)
    return build(told["name"], told["title"], told["error"], told["values"])


def timing_difference(saved: dict[str, Any] | None, here: dict[str, Any] | None) -> str | None:
    """How a profile that was told of counts cycles otherwise than this one; None if it does not.

    With a flat profile cycles are counted as without any.
    """
    (name, values), (other, ours) = (("off", {}) if told is None or told["flat"] else (told["name"], told["values"])
                                     for told in (saved, here))
    if not values or not ours:
        return None if values == ours else f"timing {name}, expected {other}"
    for parameter in sorted({*values, *ours}):
        if values.get(parameter) != ours.get(parameter):
            return (f"timing {name}, {parameter} {values.get(parameter)}, expected {other}, "
                    f"{parameter} {ours.get(parameter)}")
    return None


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
