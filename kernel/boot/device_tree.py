"""What the firmware's device tree tells the kernel (`ostd::arch::riscv::boot`).

    memory nodes                    Usable        every bank of every node
    /reserved-memory children       Reserved      with `reg`; with `size` alone, a place is chosen for them
    memory reservation block        Reserved      (/memreserve/ in source)
    the tree itself                 Reclaimable   nobody needs it once the kernel has read it
    /chosen linux,initrd-*          Module        if both properties are there and the range is not empty
    the kernel's image              Kernel

A tree without /chosen is one with no command line and no initrd. Nodes whose status is neither "okay"
nor "ok" do not count. The tree comes from outside, so nothing in it is trusted: one BootError names its
address, the node or offset, what is there and what was expected.

Upstream overlooks the last two kinds of reservation, `size`-only children and the tree (#3920), and
panics without /chosen.

Source: Devicetree Specification 0.4, sections 3.4 to 3.6; Linux, drivers/of/of_reserved_mem.c for
the placing: alloc-ranges in their order, or else anywhere, from the top down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emulator import DeviceTreeError, Node, Tree, parse_device_tree
from kernel.errors import BootError, InvalidArgs, NotEnoughResources
from kernel.mm.paging import PAGE_SIZE
from kernel.mm.port import MemoryPort

from .memory_region import MemoryRegion, MemoryRegionArray, MemoryRegionType, into_non_overlapping

_HEADER_SIZE, _MAGIC, _LARGEST = 40, 0xD00D_FEED, 2 << 20
_ADDRESS_CELLS, _SIZE_CELLS = 2, 1
"""Cells of a `reg` whose parent does not say."""


@dataclass(frozen=True)
class FoundRegion:
    """A region as it was told, unaligned, and by what: `memory@80000000`, `kernel image`, …"""

    region: MemoryRegion
    source: str


@dataclass(frozen=True)
class BootInformation:
    """What the kernel is booted with: see `read_device_tree`.

    `initramfs` and `device_tree` are (start, end) of physical addresses; `found` are the regions as
    told, in order, `regions` the same without overlap (`into_non_overlapping`).
    """

    command_line: str
    initramfs: tuple[int, int] | None
    device_tree: tuple[int, int]
    found: tuple[FoundRegion, ...]
    regions: tuple[MemoryRegion, ...]


def read_device_tree(port: MemoryPort, address: int, kernel: tuple[int, int]) -> BootInformation:
    """What the device tree at physical `address` tells, and that the kernel's image is at `kernel` (start, end).

    BootError for anything that is malformed, contradicts itself or the machine, or leaves no memory.
    """
    return _Reading(port, address, kernel).result()


class _Reading:
    """One reading of one tree: the regions found so far."""

    def __init__(self, port: MemoryPort, address: int, kernel: tuple[int, int]) -> None:
        self.port, self.address, self.kernel = port, address, kernel
        self.array = MemoryRegionArray()
        self.sources: list[str] = []

    def result(self) -> BootInformation:
        data = self.blob()
        try:
            tree = parse_device_tree(data, f"device tree at {self.address:#x}")
        except DeviceTreeError as why:
            raise BootError(str(why)) from None
        self.memory(tree.root)
        self.add(self.kernel[0], self.kernel[1] - self.kernel[0], MemoryRegionType.KERNEL, "kernel image")
        self.inside(self.kernel[0], self.kernel[1], "kernel image")
        self.add(self.address, len(data), MemoryRegionType.RECLAIMABLE, "device tree")
        self.beside_kernel(self.address, self.address + len(data), "device tree")
        for number, (base, size) in enumerate(tree.reservations):
            if size:
                self.add(base, size, MemoryRegionType.RESERVED, f"memory reservation {number}")
        line, initramfs = self.chosen(tree)
        self.reserved_memory(tree.root)
        regions = self.non_overlapping()
        if not any(region.kind == MemoryRegionType.USABLE for region in regions):
            raise self.error("/", "usable memory", "none that is not reserved", "some")
        found = tuple(map(FoundRegion, self.array, self.sources))
        return BootInformation(line, initramfs, (self.address, self.address + len(data)), found, tuple(regions))

    def blob(self) -> bytes:
        """The tree's bytes."""
        if not self.port.has(self.address, _HEADER_SIZE):
            raise self.error("header", "address", f"no {_HEADER_SIZE} bytes of memory", "a device tree")
        header = self.port.read(self.address, 8)
        magic, total = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")
        if magic != _MAGIC:
            raise self.error("header", "magic at offset 0x0", f"{magic:#010x}", f"{_MAGIC:#x}")
        if not _HEADER_SIZE <= total <= _LARGEST or not self.port.has(self.address, total):
            raise self.error("header", "totalsize at offset 0x4", f"{total}",
                             f"{_HEADER_SIZE} to {_LARGEST} bytes, all of them in memory")
        return self.port.read(self.address, total)

    # --- nodes ----------------------------------------------------------------------------------------------

    def memory(self, root: Node) -> None:
        """The banks: children of the root that are called memory, or whose device_type says so."""
        banks = 0
        for node in root.children:
            is_memory = node.name.partition("@")[0] == "memory" or _string(node, "device_type") == "memory"
            if not is_memory or not _enabled(node):
                continue
            if "reg" not in node.properties:
                raise self.error(f"/{node.name}", "property reg", "none", "the address and size of each bank")
            for base, size in self.ranges(node, f"/{node.name}", "reg", *self.cells(root, "/")):
                if size:
                    self.add(base, size, MemoryRegionType.USABLE, node.name)
                    self.backed(base, size, node.name)
                    banks += 1
        if not banks:
            raise self.error("/", "memory node", "none with a bank", "at least one")

    def chosen(self, tree: Tree) -> tuple[str, tuple[int, int] | None]:
        """The command line and where the initial RAM file system is."""
        node = tree.root.find("/chosen") or Node("chosen")
        raw = node.properties.get("bootargs", b"\0")
        text = raw if isinstance(raw, bytes) else b"\0"
        if text.find(b"\0") != len(text) - 1:
            raise self.error("/chosen", "property bootargs", repr(text[:32]), "one string that ends with a NUL")
        line = text[:-1].decode("utf-8", "surrogateescape")
        start, end = (self.address_of(node, f"linux,initrd-{edge}") for edge in ("start", "end"))
        if start is None or end is None or start == end:
            return line, None
        if end < start:
            raise self.error("/chosen", "initrd", f"{start:#x} to {end:#x}", "an end behind the start")
        self.add(start, end - start, MemoryRegionType.MODULE, "initrd")
        self.inside(start, end, "initrd")
        self.beside_kernel(start, end, "initrd")
        return line, (start, end)

    def reserved_memory(self, root: Node) -> None:
        """The children of /reserved-memory: those with addresses first, then places for the others."""
        parent = root.find("/reserved-memory")
        if parent is None:
            return
        cells = self.cells(parent, "/reserved-memory")
        homeless: list[Node] = []
        for node in filter(_enabled, parent.children):
            path = f"/reserved-memory/{node.name}"
            if "reg" in node.properties:
                for base, size in self.ranges(node, path, "reg", *cells):
                    if size:
                        self.add(base, size, MemoryRegionType.RESERVED, node.name)
            elif "size" in node.properties:
                homeless.append(node)
            else:
                raise self.error(path, "property reg", "none, and no size", "one of the two")
        for node in homeless:
            self.settle(node, f"/reserved-memory/{node.name}", *cells)

    def settle(self, node: Node, path: str, address_cells: int, size_cells: int) -> None:
        """Reserve a place for a child of /reserved-memory that has a size but no address."""
        ((_, size),) = self.ranges(node, path, "size", 0, size_cells, only=1)
        align = PAGE_SIZE
        if "alignment" in node.properties:
            ((_, align),) = self.ranges(node, path, "alignment", 0, size_cells, only=1)
        if not size or not align or align & align - 1:
            raise self.error(path, "size and alignment", f"{size:#x} and {align:#x}", "more than 0 and a power of two")
        size, align = -(-size // PAGE_SIZE) * PAGE_SIZE, max(align, PAGE_SIZE)
        windows = [(0, 1 << 64)]
        if "alloc-ranges" in node.properties:
            given = self.ranges(node, path, "alloc-ranges", address_cells, size_cells)
            windows = [(base, base + length) for base, length in given]
        free = [region for region in self.non_overlapping() if region.kind == MemoryRegionType.USABLE]
        for low, high in windows:
            for region in reversed(free):
                base = (min(region.end, high) - size) & -align
                if base >= max(region.base, low):
                    self.add(base, size, MemoryRegionType.RESERVED, f"{node.name} (placed)")
                    return
        raise self.error(path, "place", f"none with {size:#x} bytes aligned to {align:#x} free in "
                         + ", ".join(f"{low:#x}-{high:#x}" for low, high in windows[:8]), "room for it")

    # --- properties -----------------------------------------------------------------------------------------

    def cells(self, node: Node, path: str) -> tuple[int, int]:
        """How many cells the children's addresses and sizes have: 1 to 4."""
        found = []
        for name, default in (("#address-cells", _ADDRESS_CELLS), ("#size-cells", _SIZE_CELLS)):
            value = node.properties.get(name)
            cells = default if value is None else _cell(value)
            if not 1 <= cells <= 4:
                raise self.error(path, f"property {name}", _shown(value), "a cell with 1 to 4")
            found.append(cells)
        return found[0], found[1]

    def ranges(self, node: Node, path: str, name: str, address_cells: int, size_cells: int,
               only: int = 0) -> Iterator[tuple[int, int]]:
        """The (address, size) pairs of the property `name`: at least one, or exactly `only`."""
        value = node.properties.get(name)
        stride, split = 4 * (address_cells + size_cells), 4 * address_cells
        data = value if isinstance(value, bytes) else b""
        if not data or len(data) % stride or (only and len(data) != only * stride):
            raise self.error(path, f"property {name}", _shown(value), f"a multiple of {stride} bytes, "
                             f"{address_cells} cells of address and {size_cells} of size"
                             if not only else f"{stride} bytes")
        return ((int.from_bytes(data[at:at + split], "big"), int.from_bytes(data[at + split:at + stride], "big"))
                for at in range(0, len(data), stride))

    def address_of(self, node: Node, name: str) -> int | None:
        """The address in a property of 4 or 8 bytes, None if it is not there."""
        value = node.properties.get(name)
        if value is None:
            return None
        if not isinstance(value, bytes) or len(value) not in (4, 8):
            raise self.error("/chosen", f"property {name}", _shown(value), "4 or 8 bytes")
        return int.from_bytes(value, "big")

    # --- regions --------------------------------------------------------------------------------------------

    def add(self, base: int, size: int, kind: MemoryRegionType, source: str) -> None:
        """Take down a region; BootError if it cannot be, or there are too many."""
        try:
            self.array.push(MemoryRegion(base, size, kind))
        except (InvalidArgs, NotEnoughResources) as why:
            raise BootError(f"device tree at {self.address:#x}: {source}: {why}") from None
        self.sources.append(source)

    def non_overlapping(self) -> list[MemoryRegion]:
        try:
            return into_non_overlapping(self.array)
        except NotEnoughResources as why:
            raise BootError(f"device tree at {self.address:#x}: {why}") from None

    def backed(self, base: int, size: int, node: str) -> None:
        """BootError unless the machine has memory for all whole pages of a bank.

        A bank of the tree may be several of the machine's, so halves are tried where the whole is refused.
        """
        end = base + size & -PAGE_SIZE
        pending = [(-(-base // PAGE_SIZE) * PAGE_SIZE, end)]
        while pending:
            low, high = pending.pop()
            if low >= high or self.port.has(low, high - low):
                continue
            if high - low == PAGE_SIZE:
                raise self.error(f"/{node}", "property reg", f"{base:#x}-{base + size:#x}, but the machine has no "
                                 f"memory at {low:#x}", "memory that is there")
            middle = (low + high) // 2 & -PAGE_SIZE
            pending += [(middle, high), (low, middle)]

    def inside(self, start: int, end: int, what: str) -> None:
        """BootError unless the banks contain all of start … end."""
        banks = sorted((region for region in self.array if region.kind == MemoryRegionType.USABLE),
                       key=lambda region: region.base)
        at = start
        for bank in banks:
            if bank.base <= at < bank.end:
                at = bank.end
        if at < end:
            raise self.error("/", what, f"{start:#x} to {end:#x}", "a range in "
                             + ", ".join(f"{bank.base:#x}-{bank.end:#x}" for bank in banks[:8]))

    def beside_kernel(self, start: int, end: int, what: str) -> None:
        """BootError if start … end overlaps the kernel's image, which would destroy it."""
        if start < self.kernel[1] and self.kernel[0] < end:
            raise self.error("/", what, f"{start:#x} to {end:#x}",
                             f"a place beside the kernel's {self.kernel[0]:#x} to {self.kernel[1]:#x}")

    def error(self, where: str, what: str, found: str, expected: str) -> BootError:
        return BootError(f"device tree at {self.address:#x}: {where}: {what}: found {found}, expected {expected}")


def _enabled(node: Node) -> bool:
    return "status" not in node.properties or _string(node, "status") in ("okay", "ok")


def _string(node: Node, name: str) -> str:
    value = node.properties.get(name)
    return value.rstrip(b"\0").decode("latin-1") if isinstance(value, bytes) else ""


def _cell(value: object) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) and len(value) == 4 else 0


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes, {value[:16].hex(' ', -4)}"
    return "no value" if value is True else "none"
