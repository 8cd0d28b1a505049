"""Copies of machines, and damage to their memory."""

from __future__ import annotations

from emulator import Machine


def clone(machine: Machine) -> Machine:
    """Another machine of the same board, never run, whose RAM holds what the machine's RAM holds."""
    other = Machine(machine.board)
    for bank in machine.board.banks:
        other.bus.memory(bank.base, bank.size)[:] = machine.bus.memory(bank.base, bank.size)
    return other
