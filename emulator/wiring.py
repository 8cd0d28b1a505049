"""Putting a machine's memory and devices on its engine's bus."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING

from .devices.device import Device, NativeDevice
from .devices.plic import SOURCES
from .engine import layout
from .engine.riscv import SATP_MODES
from .errors import BoardError
from .ram import PAGE, SINK_BASE
from .range import Range
from .timing.events import UNTIMED_EVENTS, event_mask

if TYPE_CHECKING:
    from .machine import Machine


def wire(machine: Machine) -> None:
    """Map RAM and ROM, set the board's constants, attach the devices. BoardError for devices that cannot be there."""
    engine, board, ram = machine.engine, machine.board, machine.ram
    memory = engine.memory
    for part, offset in ram.regions():
        memory.add_bank(part.base, part.size, ram.host + offset)
    memory.add_sink(SINK_BASE, ram.host + ram.sink_offset)
    engine.set_word(layout.M_ROM_BASE, board.rom.base)
    engine.set_word(layout.M_ROM_SIZE, board.rom.size)
    engine.set_word(layout.M_QUANTUM, board.quantum)
    engine.set_word(layout.M_WIDEST, SATP_MODES[board.mmu])
    engine.set_word(layout.M_CYCLES_PER_TICK, board.clock_hz // board.timebase_hz)
    engine.set_word(layout.M_EVENTS_SUPPORTED, event_mask(UNTIMED_EVENTS))
    memory.seal()
    taken: list[tuple[Range, str]] = [(part, "memory") for part, _ in ram.regions()]
    for device in machine.devices:
        registers = _registers(device)
        for other, name in taken:
            if registers.overlaps(other):
                raise BoardError(f"device {device.name} ({registers}) overlaps {name} ({other})")
        taken.append((registers, device.name))
        device.attach(machine)
        if isinstance(device, NativeDevice):
            memory.add_native_device(device.base, device.size, type(device).native_read, type(device).native_write,
                                     device.address)
        else:
            memory.add_python_device(device.base, device.size, _guarded_read(machine, device),
                                     _guarded_write(machine, device))


def _registers(device: Device) -> Range:
    """The pages that a device's registers take up."""
    if device.base % PAGE or device.size <= 0 or not 0 <= device.base <= (1 << 50) - device.size:
        raise BoardError(f"device {device.name} at {device.base:#x}, {device.size} bytes: the base must be a multiple "
                         f"of {PAGE} below 2**50, and the size positive")
    if not 0 <= device.irq < SOURCES:
        raise BoardError(f"device {device.name}: interrupt {device.irq}, expected 1 to {SOURCES - 1}, 0 for none")
    return Range(device.base, -(-device.size // PAGE) * PAGE)


def _guarded_read(machine: Machine, device: Device) -> Callable[[int, int], int]:
    def read(offset: int, size: int) -> int:
        try:
            return operator.index(device.read(offset, size)) & ((1 << 8 * size) - 1)
        except BaseException as why:
            machine.device_failed(device, f"read of {size} bytes at {offset:#x}", why)
            return 0

    return read


def _guarded_write(machine: Machine, device: Device) -> Callable[[int, int, int], None]:
    def write(offset: int, size: int, value: int) -> None:
        try:
            device.write(offset, size, value)
        except BaseException as why:
            machine.device_failed(device, f"write of {value:#x} ({size} bytes) at {offset:#x}", why)

    return write
