"""virtio-mmio: the transport between a virtio device and its driver, version 2 ("modern").

        0x000 MagicValue "virt"     0x030 QueueSel         0x080 QueueDescLow/High
        0x004 Version 2             0x034 QueueNumMax      0x090 QueueDriverLow/High
        0x008 DeviceID, 0: empty    0x038 QueueNum         0x0a0 QueueDeviceLow/High
        0x00c VendorID              0x044 QueueReady       0x0fc ConfigGeneration
        0x010 DeviceFeatures  [0x014 selects]              0x100 … configuration space
        0x020 DriverFeatures  [0x024 selects]
        0x050 QueueNotify     0x060 InterruptStatus   0x064 InterruptACK   0x070 Status

A slot without a device reads as DeviceID 0, which drivers take for "nothing here". A driver that
hands over rings that cannot be (outside RAM, looping) gets DEVICE_NEEDS_RESET in Status; nothing
else happens.

Source: Virtual I/O Device (VIRTIO) Version 1.1, sections 2.1 to 2.6 and 4.2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..errors import BusError, SnapshotError
from .device import Device

if TYPE_CHECKING:
    from ..bus import Bus
    from ..devicetree import Node

MAGIC, VERSION, VENDOR = 0x74726976, 2, 0x554D4551
F_VERSION_1 = 1 << 32
"""The device follows version 1 of the specification: every modern device offers it."""
QUEUE_SIZE = 1024
USED_BUFFER, CONFIG_CHANGED = 1, 2
NEEDS_RESET = 0x40
DESC_NEXT, DESC_WRITE = 1, 2


class RingError(Exception):
    """What the driver put into a queue cannot be followed."""


@dataclass
class Buffer:
    """A piece of guest memory of a request; `writable` is for the device to fill."""

    address: int
    size: int
    writable: bool


class GuestMemory:
    """What a device reaches by DMA: RAM, and nothing else. BusError for any other address."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at physical `address`."""
        return self._bus.read(self._in_ram(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` at physical `address`."""
        self._bus.write(self._in_ram(address, len(data)), data)

    def load(self, address: int, size: int) -> int:
        """The unsigned number in `size` bytes."""
        return int.from_bytes(self.read(address, size), "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Store the low `size` bytes of `value`."""
        self.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def _in_ram(self, address: int, size: int) -> int:
        if not any(bank.contains(address, size) for bank in self._bus.ram.banks):
            raise BusError(f"DMA of {size} bytes at {address:#x}: not in RAM")
        return address


@dataclass
class Queue:
    """A split virtqueue: where its three parts are, and how far the device has come."""

    size: int = 0
    ready: bool = False
    descriptors: int = 0
    available: int = 0
    used: int = 0
    next_available: int = 0

    def requests(self, memory: GuestMemory) -> Iterator[tuple[int, list[Buffer]]]:
        """The requests that the driver has made available: (head, buffers) of each. Raises RingError or BusError."""
        waiting = (memory.load(self.available + 2, 2) - self.next_available) & 0xFFFF
        if waiting > self.size:
            raise RingError(f"{waiting} requests in a queue of {self.size}")
        for _ in range(waiting):
            head = memory.load(self.available + 4 + 2 * (self.next_available % self.size), 2)
            self.next_available += 1
            yield head, self._chain(memory, head)

    def _chain(self, memory: GuestMemory, head: int) -> list[Buffer]:
        buffers: list[Buffer] = []
        index = head
        while len(buffers) < self.size:
            if index >= self.size:
                raise RingError(f"descriptor {index} of {self.size}")
            at = self.descriptors + 16 * index
            flags = memory.load(at + 12, 2)
            buffers.append(Buffer(memory.load(at, 8), memory.load(at + 8, 4), bool(flags & DESC_WRITE)))
            if not flags & DESC_NEXT:
                return buffers
            index = memory.load(at + 14, 2)
        raise RingError("a chain of descriptors that does not end")

    def finish(self, memory: GuestMemory, head: int, written: int) -> None:
        """Put the request back with the number of bytes the device wrote into it."""
        count = memory.load(self.used + 2, 2)
        at = self.used + 4 + 8 * (count % self.size)
        memory.store(at, 4, head)
        memory.store(at + 4, 4, written)
        memory.store(self.used + 2, 2, count + 1)


class VirtioBackend(ABC):
    """What stands behind a slot: its id, features, configuration space, and how it serves requests."""

    device_id: int
    features: int
    queues: int = 1

    @abstractmethod
    def config(self) -> bytes:
        """The configuration space."""

    @abstractmethod
    def serve(self, memory: GuestMemory, buffers: list[Buffer]) -> int:
        """Serve one request; the number of bytes written into its writable buffers. Raises RingError or BusError."""

    def state(self) -> dict[str, Any]:
        """What a snapshot must keep, as `Device.state`."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave. SnapshotError if it is not that of such a backend."""


class VirtioMmio(Device):
    """Slot `number` (0 … 7), at 0x1000_1000 + 0x1000 * number with source 1 + number on the virt board."""

    name = "virtio"

    def __init__(self, number: int, backend: VirtioBackend | None = None) -> None:
        super().__init__(0x1000_1000 + 0x1000 * number, 0x1000, 1 + number)
        self.backend = backend
        self._clear()

    def reset(self) -> None:
        self._clear()
        self._drive()

    def _clear(self) -> None:
        self._status = 0
        self._interrupts = 0
        self._device_select = 0
        self._driver_select = 0
        self._queue_select = 0
        self._queues = [Queue() for _ in range(self.backend.queues if self.backend else 0)]

    def read(self, offset: int, size: int) -> int:
        if offset == 0x000:
            return MAGIC
        if offset == 0x004:
            return VERSION
        if offset == 0x00C:
            return VENDOR
        if self.backend is None:
            return 0
        if offset >= 0x100:
            return int.from_bytes(self.backend.config()[offset - 0x100:offset - 0x100 + size], "little")
        queue = self._queue()
        features = self.backend.features | F_VERSION_1
        values = {
            0x008: self.backend.device_id, 0x010: features >> 32 * min(self._device_select, 2) & 0xFFFFFFFF,
            0x034: QUEUE_SIZE if queue else 0, 0x044: int(queue is not None and queue.ready),
            0x060: self._interrupts, 0x070: self._status}
        return values.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        if self.backend is None:
            return
        queue = self._queue()
        if offset == 0x014:
            self._device_select = value
        elif offset == 0x024:
            self._driver_select = value
        elif offset == 0x030:
            self._queue_select = value
        elif offset == 0x050:
            self._notify(value)
        elif offset == 0x064:
            self._interrupts &= ~value
            self._drive()
        elif offset == 0x070:
            if value == 0:
                self.reset()
            else:
                self._status = value & 0xFF | self._status & NEEDS_RESET
        elif queue is not None:
            self._configure(queue, offset, value)

    def _configure(self, queue: Queue, offset: int, value: int) -> None:
        """Registers of the selected queue; its addresses and size are fixed once it is ready."""
        if offset == 0x044:
            queue.ready = bool(value & 1) and 0 < queue.size <= QUEUE_SIZE and queue.size & (queue.size - 1) == 0
        elif queue.ready:
            return
        elif offset == 0x038:
            queue.size = value
        elif offset in (0x080, 0x084):
            queue.descriptors = _half(queue.descriptors, offset == 0x084, value)
        elif offset in (0x090, 0x094):
            queue.available = _half(queue.available, offset == 0x094, value)
        elif offset in (0x0A0, 0x0A4):
            queue.used = _half(queue.used, offset == 0x0A4, value)

    def _queue(self) -> Queue | None:
        return self._queues[self._queue_select] if self._queue_select < len(self._queues) else None

    def _notify(self, number: int) -> None:
        """The driver has put requests into queue `number`: serve them all, at once."""
        assert self.machine is not None and self.backend is not None
        if number >= len(self._queues) or not self._queues[number].ready or self._status & NEEDS_RESET:
            return
        queue, memory = self._queues[number], GuestMemory(self.machine.bus)
        try:
            for head, buffers in queue.requests(memory):
                queue.finish(memory, head, self.backend.serve(memory, buffers))
                self._interrupts |= USED_BUFFER
        except (RingError, BusError):
            self._status |= NEEDS_RESET
            self._interrupts |= CONFIG_CHANGED
        self._drive()

    def _drive(self) -> None:
        if self.machine is not None:
            self.machine.set_irq(self.irq, self._interrupts != 0)

    def state(self) -> dict[str, Any]:
        if self.backend is None:
            return {}
        return {"status": self._status, "interrupts": self._interrupts, "device_select": self._device_select,
                "driver_select": self._driver_select, "queue_select": self._queue_select,
                "queues": [asdict(queue) for queue in self._queues], "backend": self.backend.state()}

    def restore(self, state: dict[str, Any]) -> None:
        if self.backend is None or not state:
            if self.backend is not None or state:
                raise SnapshotError(f"slot {self.irq - 1}: {'a disk' if self.backend else 'nothing'} here, "
                                    f"{'a disk' if state else 'nothing'} in the snapshot")
            return
        self.backend.restore(state["backend"])
        self._status, self._interrupts = state["status"], state["interrupts"]
        self._device_select, self._driver_select = state["device_select"], state["driver_select"]
        self._queue_select, self._queues = state["queue_select"], [Queue(**queue) for queue in state["queues"]]

    def node(self, harts: int) -> Node:
        from ..devicetree import Node, Ref, reg

        return Node(f"virtio_mmio@{self.base:x}", {
            "compatible": "virtio,mmio", "reg": reg((self.base, self.size)),
            "interrupts": self.irq, "interrupt-parent": Ref("plic")})


def _half(old: int, high: bool, value: int) -> int:
    """`old` with its high or low 32 bits replaced by `value`."""
    return old & 0xFFFFFFFF | value << 32 if high else old & ~0xFFFFFFFF | value & 0xFFFFFFFF
