"""What a machine starts with: the device tree of its board, and everything's place in memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .board import ISA, Board
from .devices.device import Device
from .devicetree import Node, ReservedMemory, amend, compile_tree, describe_machine
from .loader.model import Image
from .loader.placement import Plan, Reserved, place
from .pmu import pmu_node
from .timing.events import COUNTABLE_EVENTS, Event


def describe(board: Board, devices: Sequence[Device], bootargs: str = "",
             initrd: tuple[int, int] | None = None, events: Collection[Event] = COUNTABLE_EVENTS) -> Node:
    """The device tree of `board` with its `devices`, and with counters for `events`.

    By default they are the same with and without a timing model, so that memory is, too; the hart refuses the
    selectors of what it does not count (`engine.counters`).
    """
    nodes = [node for device in devices if (node := device.node(board.harts)) is not None]
    console = next((f"/soc/{node.name}" for node in nodes if node.label == "uart0"), "")
    return describe_machine(
        harts=board.harts, isa=ISA, mmu=f"riscv,{board.mmu}", timebase_frequency=board.timebase_hz,
        memory=[(bank.base, bank.size) for bank in board.banks], devices=nodes,
        root_nodes=[*(node for device in devices for node in device.root_nodes()), pmu_node(events)],
        reserved=[ReservedMemory(part.base, part.size) for part in board.reserved],
        bootargs=bootargs, initrd=initrd, stdout_path=console)


def plan(board: Board, devices: Sequence[Device], *, kernel: Image | None, firmware: Image | None,
         initrd: bytes | None, bootargs: str, device_tree: bytes | None) -> Plan:
    """Decide where everything goes. Raises PlacementError or DeviceTreeError."""

    def tree(initrd_range: tuple[int, int] | None) -> bytes:
        if device_tree is not None:
            return amend(device_tree, bootargs or None, *(initrd_range or (None, None)))
        return compile_tree(describe(board, devices, bootargs, initrd_range))

    return place(board.banks, firmware=firmware, kernel=kernel,
                 device_tree=tree, initrd=initrd, reserved=[Reserved(part.base, part.size) for part in board.reserved])
