"""The hardware: harts, memory, bus, devices, traps, MMU.

    from emulator import Board, Machine, load_image
    machine = Machine(Board(harts=2))
    machine.boot(firmware=load_image(sbi, "sbi.elf", 0x8000_0000), kernel=load_image(elf, "hello.elf", 0x8020_0000))
    stop = machine.run(max_insns=10_000_000)
    print(stop, machine.console.decode())

The package knows no kernel and no firmware; it could boot Linux without either of ours.
"""

from .board import Board, virt_devices
from .bus import Bus
from .devicetree import Node, Tree
from .devicetree import parse as parse_device_tree
from .devices.disk import Disk
from .errors import (
    BoardError, BusError, DeviceFailedError, DeviceTreeError, EmulatorError, EngineError, ImageError, InputFileError,
    NativeCodeError, PlacementError, ProfileError, RegisterError, SizeError, SnapshotError,
)
from .hart import Hart
from .loader.detect import load_image, read_file
from .loader.model import Image
from .machine import Machine
from .range import Range
from .snapshot import Snapshot
from .stop import (
    CAUSES, INTERRUPTS, Breakpoint, Deadlock, Exited, Guarded, HistoryBegins, HostCall, Interrupted, Mark, Marked,
    Matched, ResetRequested, Stepped, Stop, TrapLoop, Watch, Watchdog, Watchpoint, Wrong,
)

__all__ = [
    "CAUSES", "INTERRUPTS", "Board", "BoardError", "Breakpoint", "Bus", "BusError", "Deadlock", "DeviceFailedError",
    "DeviceTreeError", "Disk", "EmulatorError", "EngineError", "Exited", "Guarded", "Hart", "HistoryBegins", "HostCall",
    "Image", "ImageError", "InputFileError", "Interrupted", "Machine", "Mark", "Marked", "Matched",
    "NativeCodeError", "Node", "PlacementError", "ProfileError", "Range", "RegisterError", "ResetRequested",
    "SizeError", "Snapshot", "SnapshotError", "Stepped", "Stop", "TrapLoop", "Tree", "Watch", "Watchdog",
    "Watchpoint", "Wrong", "load_image", "parse_device_tree", "read_file", "virt_devices",
]
