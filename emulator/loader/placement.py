"""Where firmware, kernel, initrd and device tree go in RAM: as QEMU's `virt` board puts them.

      RAM base  0x8000_0000   firmware (or, without one, a flat kernel)
                0x8020_0000   kernel: the first 2 MiB boundary behind the firmware
      kernel + min(half of RAM, 128 MiB)   initrd; where that does not fit, behind the kernel
                     ...
      end of RAM or 3 GiB     device tree, below it, on a 2 MiB boundary with 1 MiB to grow in
                              (firmware and boot loaders extend the tree in place)

The rules are QEMU's because software has come to depend on them. Where they do not fit into a small
RAM, ours go on: the initrd moves down to the kernel, and the device tree does with smaller alignment
and room, down to 8 bytes and none. ELF programs stay where they were linked. "RAM" in the rules is the
lowest bank, "half" is of the bank that the kernel is in.

Source: QEMU 7.2 hw/riscv/boot.c (riscv_calc_kernel_start_addr, riscv_load_initrd, riscv_load_fdt).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..errors import PlacementError
from ..range import Range
from .model import Image
from .sizes import MAXIMUM, format_size

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
KERNEL_ALIGNMENT = 2 * MIB
TREE_LIMIT = 3 * GIB
"""The device tree ends below this address where RAM starts below it: 32-bit loaders must reach it."""

TreeBuilder = Callable[[tuple[int, int] | None], bytes]
"""Makes the device tree once it is known where the initrd went: (start, end) or None."""


@dataclass(frozen=True)
class Reserved:
    """A range of RAM that nothing may be placed in: `size` bytes from `base`."""

    base: int
    size: int
    name: str = "a reserved range"


@dataclass(frozen=True)
class Placed:
    """Bytes to write to RAM at `address`; the memory from `len(data)` to `size` is to be zero."""

    name: str
    address: int
    data: bytes = field(repr=False)
    size: int

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + self.size

    def __str__(self) -> str:
        return f"{self.name} ({self.address:#x}..{self.end:#x})"


@dataclass(frozen=True)
class Plan:
    """What goes where, and where the machine starts.

    `placed` is in ascending order of address. `entry` is where the boot ROM jumps: the firmware's
    entry, or the kernel's if there is no firmware. `next_address` is where the firmware is to go on
    (the kernel's entry; None without firmware or kernel). `device_tree` is the tree's address;
    `initrd` its first address and the first one after it.
    """

    placed: tuple[Placed, ...]
    entry: int
    next_address: int | None
    device_tree: int
    initrd: tuple[int, int] | None


def kernel_address(firmware: Image | None, base: int = 0x8000_0000) -> int:
    """Where a kernel without an address of its own goes: the first 2 MiB boundary behind the firmware.

    Without firmware that is `base`, the start of RAM, where harts start.
    """
    end = max((segment.end for segment in firmware.segments), default=base) if firmware else base
    return _up(max(end, base), KERNEL_ALIGNMENT)


def place(
    banks: Sequence[Range],
    *,
    firmware: Image | None,
    kernel: Image | None,
    device_tree: bytes | TreeBuilder,
    initrd: bytes | None = None,
    reserved: Sequence[Reserved] = (),
) -> Plan:
    """Decide where everything goes; see the top of this file for the rules.

    A firmware's own memory must not be among `reserved`. Raises `PlacementError` if there is nothing
    to run, if banks overlap, if two things overlap each other or a reserved range, or if something
    does not fit; in this case its text says how much memory would be enough, if any amount is.
    """
    tree = device_tree if callable(device_tree) else _constant(device_tree)
    images = [(f"{role} {image.name}", image) for role, image in (("firmware", firmware), ("kernel", kernel)) if image]
    if not images:
        raise PlacementError("nothing to run: neither a firmware nor a kernel")
    _check_banks(banks)
    try:
        placed, tree_at, initrd_range = _attempt(banks, images, initrd, tree, reserved)
    except _DoesNotFitError as error:
        enough = _enough(banks, images, initrd, tree, reserved)
        now = f"memory is {format_size(sum(bank.size for bank in banks))}"
        hint = f"; {now}, {format_size(enough)} would be enough" if enough else f"; {now}"
        raise PlacementError(f"{error}{hint}") from None
    entry = images[0][1].entry
    next_address = kernel.entry if firmware and kernel else None
    return Plan(tuple(sorted(placed, key=lambda p: p.address)), entry, next_address, tree_at, initrd_range)


class _DoesNotFitError(PlacementError):
    """Something for which more memory may help."""


def _attempt(
    banks: Sequence[Range],
    images: Sequence[tuple[str, Image]],
    initrd: bytes | None,
    tree: TreeBuilder,
    reserved: Sequence[Reserved],
) -> tuple[list[Placed], int, tuple[int, int] | None]:
    spans = _joined(banks)
    fixed = [Placed(name, part.address, part.data, part.size) for name, image in images for part in image.segments]
    for item in fixed:
        _check_inside(item, spans)
    # A reserved range of 0 bytes contains nothing.
    barriers = [Placed(item.name, item.base, b"", item.size) for item in reserved if item.size]
    ordered = sorted(fixed + barriers, key=lambda p: p.address)
    furthest = ordered[0]
    for item in ordered[1:]:
        # Reserved ranges may overlap each other: that is no business of ours.
        if item.address < furthest.end and not (item in barriers and furthest in barriers):
            raise PlacementError(f"{item} overlaps {furthest}")
        furthest = max(furthest, item, key=lambda p: p.end)
    kernel = images[-1][1]
    floor = kernel.start  # what is below it is the firmware's to use
    if initrd is None:
        tree_item = _place_tree(spans, floor, tree(None), ordered)
        return [*fixed, tree_item], tree_item.address, None
    span = next(span for span in spans if span.base <= kernel.start < span.end)
    behind = max((item.end for item in fixed if span.base <= item.address < span.end), default=span.base)
    by_rule = _down(kernel.start + min(span.size // 2, 128 * MIB), 4 * KIB)
    size = max(len(initrd), 1)
    failure: PlacementError | None = None
    for address in (by_rule, _up(behind, 2 * MIB), _up(behind, 4 * KIB)):
        item = Placed("initrd", address, initrd, size)
        if item.end > span.end or _overlapping(item, ordered) is not None:
            continue
        try:
            tree_item = _place_tree(spans, floor, tree((address, address + len(initrd))), [*ordered, item])
        except PlacementError as error:
            failure = error
            continue
        return [*fixed, item, tree_item], tree_item.address, (address, address + len(initrd))
    if failure is not None:
        raise failure
    blocking = next((b for b in barriers if behind <= b.address < behind + size and b.address < span.end), None)
    beside = f", before {blocking}" if blocking else ""
    raise _DoesNotFitError(
        f"initrd ({format_size(len(initrd))}) does not fit into RAM ({span.base:#x}..{span.end:#x}) "
        f"behind {images[-1][0]}, which ends at {behind:#x}{beside}"
    )


def _place_tree(spans: Sequence[Range], floor: int, data: bytes, taken: Sequence[Placed]) -> Placed:
    """The highest place for the tree in the lowest bank that has one, with as much room and alignment as it can get.

    In the bank that contains `floor` it goes above.
    """
    wishes = (
        (max(MIB, len(data) + 4 * KIB), 2 * MIB),
        (len(data) + 64 * KIB, 64 * KIB),
        (len(data) + 4 * KIB, 4 * KIB),
        (len(data), 8),  # the alignment that the specification asks for
    )
    for span in spans:
        lowest = floor if span.base <= floor < span.end else span.base
        limit = min(span.end, TREE_LIMIT) if span.base < TREE_LIMIT else span.end
        for room, alignment in wishes:
            address = _down(limit - room, alignment)
            while address >= lowest:
                item = Placed("device tree", address, data, room)
                obstacle = _overlapping(item, taken)
                if obstacle is None:
                    return item
                address = _down(obstacle.address - room, alignment)
    raise _DoesNotFitError(
        f"device tree ({format_size(len(data))}) does not fit into RAM ({spans[0].base:#x}..{spans[0].end:#x}) "
        f"beside {', '.join(dict.fromkeys(item.name for item in taken))}"
    )


def _enough(
    banks: Sequence[Range],
    images: Sequence[tuple[str, Image]],
    initrd: bytes | None,
    tree: TreeBuilder,
    reserved: Sequence[Reserved],
) -> int:
    """The total memory, in whole MiB, with which everything fits; 0 if there is none. Found by trying."""
    room = bytes(len(tree(None)) + 64)  # the initrd's addresses take some bytes more
    ordered = sorted(banks, key=lambda bank: bank.base)
    first, others = ordered[0], ordered[1:]
    largest = (others[0].base if others else first.base + MAXIMUM) - first.base

    def fits(size: int) -> bool:
        try:
            _attempt([Range(first.base, size), *others], images, initrd, lambda _: room, reserved)
        except PlacementError:
            return False
        return True

    low, high = first.size // MIB, largest // MIB
    if not fits(high * MIB):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle * MIB) else (middle, high)
    return high * MIB + sum(bank.size for bank in others)


def _check_inside(item: Placed, spans: Sequence[Range]) -> None:
    span = next((span for span in spans if span.base <= item.address < span.end), None)
    if span is not None and item.end <= span.end:
        return
    where = f"{item}, {format_size(item.size)}"
    if span is None and item.address < spans[0].base:
        raise PlacementError(
            f"{where}, lies outside RAM, which starts at {spans[0].base:#x}: the program is not linked for this machine"
        )
    end = span.end if span else spans[-1].end
    raise _DoesNotFitError(f"{where}, does not fit into RAM, which ends at {end:#x}")


def _check_banks(banks: Sequence[Range]) -> None:
    if not banks or any(bank.size <= 0 for bank in banks):
        raise PlacementError("no RAM, or a bank of 0 bytes: there is nowhere to place anything")
    for low, high in pairwise(sorted(banks, key=lambda bank: bank.base)):
        if high.base < low.end:
            raise PlacementError(f"RAM bank {low.base:#x}..{low.end:#x} overlaps bank {high.base:#x}..{high.end:#x}")


def _joined(banks: Sequence[Range]) -> list[Range]:
    """Banks in ascending order, adjacent ones as one: a segment may cross from one to the next."""
    spans: list[Range] = []
    for bank in sorted(banks, key=lambda bank: bank.base):
        if spans and spans[-1].end == bank.base:
            spans[-1] = Range(spans[-1].base, spans[-1].size + bank.size)
        else:
            spans.append(bank)
    return spans


def _overlapping(item: Placed, others: Sequence[Placed]) -> Placed | None:
    """The lowest of `others` that overlaps `item`."""
    found = [other for other in others if other.address < item.end and item.address < other.end]
    return min(found, key=lambda other: other.address, default=None)


def _constant(data: bytes) -> TreeBuilder:
    return lambda _: data


def _up(address: int, alignment: int) -> int:
    return -(-address // alignment) * alignment


def _down(address: int, alignment: int) -> int:
    return address // alignment * alignment
