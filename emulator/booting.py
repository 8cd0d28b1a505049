"""What a machine starts with: the device tree of its board, and everything's place in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import bootrom
from .board import ISA, Board
from .loader.model import Image
from .loader.placement import Bank, Plan, Reserved, place

if TYPE_CHECKING:
    from .devicetree import Node


def device_tree(board: Board, devices: Sequence[Node], bootargs: str = "",
                initrd: tuple[int, int] | None = None) -> bytes:
    """The flattened device tree of `board` with its devices' nodes."""
    from .devicetree import compile_tree, describe_machine

    return compile_tree(describe_machine(
        harts=board.harts, isa=ISA, mmu=board.mmu, timebase_hz=board.timebase_hz,
        banks=[(bank.base, bank.size) for bank in board.banks],
        reserved=[(part.base, part.size) for part in board.reserved],
        bootargs=bootargs, initrd=initrd, devices=list(devices)))


def plan(board: Board, devices: Sequence[Node], *, kernel: Image | None, firmware: Image | None,
         initrd: bytes | None, bootargs: str, device_tree: bytes | None) -> Plan:
    """Decide where everything goes. Raises PlacementError or DeviceTreeError."""

    def tree(initrd_range: tuple[int, int] | None) -> bytes:
        if device_tree is not None:
            from .devicetree import amend

            return amend(device_tree, bootargs, *(initrd_range or (None, None)))
        return build(board, devices, bootargs, initrd_range)

    return place([Bank(bank.base, bank.size) for bank in board.banks], firmware=firmware, kernel=kernel,
                 device_tree=tree, initrd=initrd, reserved=[Reserved(part.base, part.size) for part in board.reserved])


build = device_tree
__all__ = ["bootrom", "device_tree", "plan"]
