"""Reading the firmware's device tree: what counts, what is reserved, and what hostile ones do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence

import fdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator import Range, load_image
from emulator.devicetree import U64, Cell, Node, Value, compile_tree, reg
from kernel.boot.device_tree import BootInformation, read_device_tree
from kernel.boot.memory_region import MemoryRegion, MemoryRegionType
from kernel.errors import BootError
from tests.helpers.machines import FIRMWARE
from tests.kernel.boot.boards import GIB, KERNEL, MIB, RAM, TREE, Bare

P = 4096
RESERVED, RECLAIMABLE, USABLE = MemoryRegionType.RESERVED, MemoryRegionType.RECLAIMABLE, MemoryRegionType.USABLE
needs_dtc = pytest.mark.skipif(shutil.which("dtc") is None, reason="dtc (device-tree-compiler) is not installed")


def bank(base: int = RAM, size: int = 16 * MIB) -> Node:
    return Node(f"memory@{base:x}", {"device_type": "memory", "reg": reg((base, size))})


def compiled(*nodes: Node, reservations: Sequence[tuple[int, int]] = (), cells: tuple[int, int] = (2, 2)) -> bytes:
    """A tree of these nodes."""
    root = Node("", {"#address-cells": cells[0], "#size-cells": cells[1]}, list(nodes))
    return compile_tree(root, reservations)


def reserved(*children: Node, **properties: Value) -> Node:
    return Node("reserved-memory", {"#address-cells": 2, "#size-cells": 2, "ranges": True, **properties},
                list(children))


def told(boot: BootInformation) -> dict[str, tuple[int, int, MemoryRegionType]]:
    """Every region as told, by its source."""
    return {found.source: (found.region.base, found.region.end, found.region.kind) for found in boot.found}


def at(boot: BootInformation, address: int) -> MemoryRegionType:
    return next(region.kind for region in boot.regions if region.base <= address < region.end)


# --- boards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("memory", [16 * MIB, 128 * MIB, GIB, 64 * GIB])
def test_a_boards_own_tree(make: Callable[..., Bare], memory: int) -> None:
    there = make(memory=memory)
    boot = there.read(bootargs="console=ttyS0 loglevel=8")
    assert boot.command_line == "console=ttyS0 loglevel=8" and boot.initramfs is None
    tree_end = TREE - (TREE - boot.device_tree[1]) // P * P
    assert [(region.base, region.end, region.kind.name) for region in boot.regions] == [
        (0, RAM, "UNKNOWN"), (RAM, KERNEL[0], "USABLE"), (*KERNEL, "KERNEL"), (KERNEL[1], TREE, "USABLE"),
        (TREE, tree_end, "RECLAIMABLE"), (tree_end, RAM + memory, "USABLE")]


def test_banks_with_holes_and_the_boards_reservations(make: Callable[..., Bare]) -> None:
    there = make(banks=(Range(RAM, 32 * MIB), Range(RAM + 48 * MIB, 16 * MIB), Range(8 * GIB, GIB)),
                 reserved=(Range(RAM, 512 << 10), Range(8 * GIB + 5, 10)))
    boot = there.read()
    assert [at(boot, address).name for address in (
        RAM, RAM + (512 << 10), RAM + 40 * MIB, RAM + 48 * MIB, 4 * GIB, 8 * GIB, 8 * GIB + P)] == [
        "RESERVED", "USABLE", "UNKNOWN", "USABLE", "UNKNOWN", "RESERVED", "USABLE"]
    assert boot.regions[-1].end == 9 * GIB


def test_two_banks_that_touch_are_one_bank_of_the_tree(make: Callable[..., Bare]) -> None:
    there = make(banks=(Range(RAM, 12 * MIB), Range(RAM + 12 * MIB, 5 * MIB), Range(RAM + 17 * MIB, 3 * P)))
    boot = there.read(compiled(bank(RAM, 17 * MIB + 3 * P)))
    assert boot.regions[-1].end == RAM + 17 * MIB + 3 * P


def test_the_tree_that_the_real_firmware_hands_over(make: Callable[..., Bare]) -> None:
    """The firmware adds its own memory to /reserved-memory before it enters the kernel."""
    there = make(memory=64 * MIB)
    stop = b"\x0b\x00\x00\x00"  # a host call
    there.machine.boot(firmware=load_image(FIRMWARE.read_bytes(), "sbi", RAM),
                       kernel=load_image(stop * 64, "kernel", KERNEL[0]), bootargs="from the board", initrd=b"cpio")
    there.machine.run(max_insns=5_000_000)
    tree = int(there.machine.harts[0].registers()["a1"])
    boot = read_device_tree(there.port, tree, KERNEL)
    assert boot.command_line == "from the board"
    assert boot.initramfs is not None and there.port.read(boot.initramfs[0], 4) == b"cpio"
    assert at(boot, RAM) == RESERVED and at(boot, tree) == RECLAIMABLE
    assert at(boot, boot.initramfs[0]) == MemoryRegionType.MODULE


# --- memory nodes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address_cells, size_cells", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (4, 4)])
def test_numbers_have_as_many_cells_as_the_parent_says(make: Callable[..., Bare], address_cells: int,
                                                       size_cells: int) -> None:
    value = b"".join(base.to_bytes(4 * address_cells, "big") + size.to_bytes(4 * size_cells, "big")
                     for base, size in ((RAM, 12 * MIB), (RAM + 14 * MIB, 2 * MIB)))
    boot = make(memory=16 * MIB).read(compiled(Node("memory", {"reg": value}), cells=(address_cells, size_cells)))
    assert boot.regions[-1] == MemoryRegion(RAM + 14 * MIB, 2 * MIB, USABLE)
    assert boot.regions[-2] == MemoryRegion(RAM + 12 * MIB, 2 * MIB, MemoryRegionType.UNKNOWN)


def test_a_root_that_does_not_say_has_two_cells_of_address_and_one_of_size(make: Callable[..., Bare]) -> None:
    root = Node("", {}, [Node("memory@80000000", {"reg": [0, RAM, 16 * MIB]})])
    assert make(memory=16 * MIB).read(compile_tree(root)).regions[-1].end == RAM + 16 * MIB


def test_several_memory_nodes_by_name_or_device_type(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    boot = there.read(compiled(
        bank(RAM, 12 * MIB), Node("ram@80d00000", {"device_type": "memory", "reg": reg((RAM + 13 * MIB, MIB))}),
        Node("memory-controller@1000", {"reg": reg((RAM + 14 * MIB, MIB))}),
        Node("memory@80f00000", {"status": "disabled", "reg": reg((RAM + 15 * MIB, MIB))})))
    assert boot.regions[-1] == MemoryRegion(RAM + 13 * MIB, MIB, USABLE)


def test_empty_banks_do_not_count(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    node = Node("memory", {"reg": reg((0, 0), (RAM, 16 * MIB), (1 << 40, 0))})
    assert there.read(compiled(node)).regions[-1].end == RAM + 16 * MIB
    with pytest.raises(BootError, match="memory node: found none with a bank"):
        there.read(compiled(Node("memory", {"reg": reg((RAM, 0))})))


# --- reservations --------------------------------------------------------------------------------------------------


def test_3920_the_header_s_reservation_list_is_honoured(make: Callable[..., Bare]) -> None:
    boot = make(memory=16 * MIB).read(compiled(bank(), reservations=[(RAM + 5, P), (RAM + MIB, 1)]))
    assert told(boot)["memory reservation 0"] == (RAM + 5, RAM + 5 + P, RESERVED)
    assert [at(boot, RAM + n * P) for n in (0, 1, 2, 256, 257)] == [RESERVED, RESERVED, USABLE, RESERVED, USABLE]


def test_3920_the_tree_itself_is_not_free_memory(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    boot = there.read(compiled(bank()), TREE + 4 * P - 8)
    assert [at(boot, TREE + n * P) for n in (2, 3, 4, 5)] == [USABLE, RECLAIMABLE, RECLAIMABLE, USABLE]


def test_every_reg_of_each_reserved_child_counts(make: Callable[..., Bare]) -> None:
    boot = make(memory=16 * MIB).read(compiled(bank(), reserved(
        Node("two@80000000", {"reg": reg((RAM, P), (RAM + 2 * P, P))}),
        Node("off@80004000", {"reg": reg((RAM + 4 * P, P)), "status": "disabled"}),
        Node("empty@80005000", {"reg": reg((RAM + 5 * P, 0))}))))
    assert [at(boot, RAM + n * P) for n in range(6)] == [RESERVED, USABLE, RESERVED, USABLE, USABLE, USABLE]


def test_reserved_children_use_the_cells_of_their_own_parent(make: Callable[..., Bare]) -> None:
    node = reserved(Node("one@80000000", {"reg": [RAM, P]}), **{"#address-cells": 1, "#size-cells": 1})
    assert at(make(memory=16 * MIB).read(compiled(bank(), node)), RAM) == RESERVED


def test_a_child_with_only_a_size_gets_a_place_from_the_top(make: Callable[..., Bare]) -> None:
    """Upstream ignores it."""
    boot = make(memory=16 * MIB).read(compiled(bank(), reserved(
        Node("cma", {"size": [U64(2 * MIB)], "alignment": [U64(MIB)]}), Node("odd", {"size": [U64(P + 1)]}),
        Node("fixed@80ff0000", {"reg": reg((RAM + 16 * MIB - P, P))}))))
    assert told(boot)["cma (placed)"] == (RAM + 13 * MIB, RAM + 15 * MIB, RESERVED)
    assert told(boot)["odd (placed)"] == (RAM + 16 * MIB - 3 * P, RAM + 16 * MIB - P, RESERVED)
    assert at(boot, RAM + 13 * MIB) == RESERVED and at(boot, RAM + 15 * MIB) == USABLE


def test_a_child_with_only_a_size_stays_within_its_alloc_ranges_in_their_order(make: Callable[..., Bare]) -> None:
    def placed(*ranges: tuple[int, int]) -> tuple[int, int]:
        child = Node("dma", {"size": [U64(MIB)], "alloc-ranges": reg(*ranges)})
        return told(make(memory=16 * MIB).read(compiled(bank(), reserved(child))))["dma (placed)"][:2]

    assert placed((RAM, 4 * MIB)) == (RAM + MIB, RAM + 2 * MIB)  # below the kernel, which is in the range
    assert placed((0, MIB), (RAM + 5 * MIB, 2 * MIB + 5), (RAM, 1 << 40)) == (RAM + 6 * MIB, RAM + 7 * MIB)
    assert placed((0, (1 << 64) - 1)) == (RAM + 15 * MIB, RAM + 16 * MIB)


def test_a_size_without_room_is_an_error_that_names_the_node(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    for properties in ({"size": [U64(1 << 60)]}, {"size": [U64(P)], "alignment": [U64(1 << 50)]},
                       {"size": [U64(P)], "alloc-ranges": reg((0, P))},
                       {"size": [U64(P)], "alloc-ranges": reg((KERNEL[0], 2 * MIB))}):
        with pytest.raises(BootError, match="/reserved-memory/big: place: found none with .* expected room"):
            there.read(compiled(bank(), reserved(Node("big", properties))))


# --- /chosen -------------------------------------------------------------------------------------------------------


def test_a_tree_without_chosen_boots_with_nothing_chosen(make: Callable[..., Bare]) -> None:
    """Upstream panics."""
    boot = make(memory=16 * MIB).read(compiled(bank()))
    assert (boot.command_line, boot.initramfs) == ("", None)


@pytest.mark.parametrize("wide", [False, True])
def test_an_initrd_told_in_4_or_8_bytes_is_a_module(make: Callable[..., Bare], wide: bool) -> None:
    start, end = RAM + 8 * MIB + 3, RAM + 8 * MIB + 5000
    cells: list[Cell] = [U64(start), U64(end)] if wide else [start, end]
    chosen = Node("chosen", {"linux,initrd-start": [cells[0]], "linux,initrd-end": [cells[1]], "bootargs": "a  b"})
    boot = make(memory=16 * MIB).read(compiled(chosen, bank()))
    assert boot.initramfs == (start, end) and boot.command_line == "a  b"
    assert [at(boot, RAM + 8 * MIB + n * P).name for n in range(3)] == ["MODULE", "MODULE", "USABLE"]


@pytest.mark.parametrize("properties", [
    {"linux,initrd-start": RAM}, {"linux,initrd-end": RAM + P}, {"linux,initrd-start": RAM, "linux,initrd-end": RAM}])
def test_half_an_initrd_or_an_empty_one_is_none(make: Callable[..., Bare], properties: dict[str, Value]) -> None:
    boot = make(memory=16 * MIB).read(compiled(bank(), Node("chosen", properties)))
    assert boot.initramfs is None and at(boot, RAM) == USABLE


# --- errors --------------------------------------------------------------------------------------------------------


MALFORMED: dict[str, tuple[Node, str]] = {
    "no reg": (Node("memory", {}), "/memory: property reg: found none"),
    "empty reg": (Node("memory", {"reg": True}), "/memory: property reg: found no value"),
    "odd reg": (Node("memory", {"reg": [0, 1, 2]}), "found 12 bytes, .* expected a multiple of 16 bytes"),
    "beyond 2^56": (bank(1 << 56, P), "memory@100000000000000: .*physical address space"),
    "not there": (bank(RAM, 17 * MIB), r"the machine has no memory at 0x81000000"),
    "far too large": (bank(RAM, (1 << 56) - RAM), r"the machine has no memory at 0x81000000"),
    "before memory": (bank(RAM - P, 16 * MIB), r"the machine has no memory at 0x7ffff000"),
    "reserved without": (reserved(Node("nothing")), "/reserved-memory/nothing: property reg: found none, and no size"),
    "reserved beyond": (reserved(Node("r", {"reg": reg(((1 << 64) - 1, 1))})), "r: .*physical address space"),
    "no size": (reserved(Node("r", {"size": [U64(0)]})), "/reserved-memory/r: size and alignment: found 0x0"),
    "two sizes": (reserved(Node("r", {"size": [U64(1), U64(1)]})), "property size: .* expected 8 bytes"),
    "alignment": (reserved(Node("r", {"size": [U64(1)], "alignment": [U64(3)]})), "power of two"),
    "cells": (reserved(**{"#size-cells": 0}), "/reserved-memory: property #size-cells: .* expected a cell with 1 to 4"),
    "many cells": (reserved(**{"#address-cells": 5}), "property #address-cells"),
    "cells' size": (reserved(**{"#address-cells": [1, 1]}), "property #address-cells: found 8 bytes"),
    "bootargs": (Node("chosen", {"bootargs": b"no end"}), "/chosen: property bootargs: .* ends with a NUL"),
    "two strings": (Node("chosen", {"bootargs": ["a", "b"]}), "/chosen: property bootargs"),
    "initrd's size": (Node("chosen", {"linux,initrd-start": b"abc", "linux,initrd-end": 5}), "4 or 8 bytes"),
    "initrd reversed": (Node("chosen", {"linux,initrd-start": RAM + P, "linux,initrd-end": RAM}), "end behind"),
    "initrd outside": (Node("chosen", {"linux,initrd-start": RAM - P, "linux,initrd-end": RAM + P}),
                       "initrd: found 0x7ffff000 to 0x80001000, expected a range in 0x80000000-0x81000000"),
    "initrd on kernel": (Node("chosen", {"linux,initrd-start": RAM, "linux,initrd-end": KERNEL[0] + 1}),
                         "initrd: .* beside the kernel's 0x80200000 to 0x80400000"),
    "all reserved": (reserved(Node("r", {"reg": reg((RAM, 16 * MIB))})), "usable memory: found none"),
    "many regions": (reserved(Node("r", {"reg": reg(*[(RAM + n * P, 1) for n in range(512)])})), "512 regions"),
    "many holes": (reserved(Node("r", {"reg": reg(*[(RAM + 2 * n * P, 1) for n in range(500)])})), "remain"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_node_is_one_error_that_names_it(make: Callable[..., Bare], case: str) -> None:
    node, message = MALFORMED[case]
    nodes = [node] if node.name.startswith("memory") else [bank(), node]
    with pytest.raises(BootError, match=f"device tree at {TREE:#x}: .*{message}"):
        make(memory=16 * MIB).read(compiled(*nodes))


def test_no_memory_node_is_an_error(make: Callable[..., Bare]) -> None:
    with pytest.raises(BootError, match="/: memory node: found none"):
        make(memory=16 * MIB).read(compiled(Node("chosen")))


def test_a_kernel_or_tree_that_cannot_be_there_is_an_error(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    with pytest.raises(BootError, match="kernel image: found 0x80200000 to 0x80400000"):
        there.read(compiled(bank(RAM + 3 * MIB, 13 * MIB)))
    with pytest.raises(BootError, match="device tree: .* beside the kernel's"):
        there.read(compiled(bank()), KERNEL[1] - P)


@pytest.mark.parametrize("address", [0, RAM - 8, RAM + 16 * MIB - 8, 1 << 60])
def test_an_address_without_memory_is_an_error(make: Callable[..., Bare], address: int) -> None:
    with pytest.raises(BootError, match=f"device tree at {address:#x}: header: address"):
        read_device_tree(make(memory=16 * MIB).port, address, KERNEL)


def test_something_else_a_cut_tree_and_a_huge_one_are_errors(make: Callable[..., Bare]) -> None:
    there = make(memory=16 * MIB)
    data = compiled(bank())
    with pytest.raises(BootError, match="magic at offset 0x0: found 0x00000000, expected 0xd00dfeed"):
        there.read(b"\0" * 64)
    with pytest.raises(BootError, match="totalsize at offset 0x4"):
        there.read(data[:4] + (64 * MIB).to_bytes(4, "big") + data[8:])
    with pytest.raises(BootError, match="totalsize at offset 0x4"):
        there.read(data[:4] + (1 << 20).to_bytes(4, "big") + data[8:], RAM + 16 * MIB - P)
    with pytest.raises(BootError, match="at offset"):
        there.read(data[:4] + (len(data) - 40).to_bytes(4, "big") + data[8:])


RICH = compile_tree(Node("", {"#address-cells": 2, "#size-cells": 2}, [
    Node("chosen", {"bootargs": "quiet", "linux,initrd-start": RAM + 8 * MIB, "linux,initrd-end": RAM + 9 * MIB}),
    bank(),
    reserved(Node("r@80000000", {"reg": reg((RAM, P))}), Node("cma", {"size": [U64(MIB)], "alignment": [U64(MIB)]}))]),
    [(RAM + P, P)])


@settings(deadline=None, max_examples=300)
@given(flips=st.lists(st.tuples(st.integers(0, len(RICH) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_flipped_bytes_give_a_boot_error_or_sound_regions(shared: Bare, flips: list[tuple[int, int]]) -> None:
    data = bytearray(RICH)
    for where, value in flips:
        data[where] = value
    try:
        boot = shared.read(bytes(data))
    except BootError as why:
        assert str(why).startswith(f"device tree at {TREE:#x}: ") and len(str(why)) < 1000
        return
    assert [region.base for region in boot.regions] == [0, *(region.end for region in boot.regions)][:-1]
    for region in boot.regions:
        if region.kind == USABLE:
            assert shared.port.has(region.base, region.size)
    assert at(boot, KERNEL[0]) <= MemoryRegionType.KERNEL


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_junk_is_a_boot_error(shared: Bare, junk: bytes) -> None:
    with pytest.raises(BootError):
        shared.read(RICH[:40] + junk.ljust(len(RICH), b"\xff"))


# --- trees of others -----------------------------------------------------------------------------------------------


def test_a_tree_that_the_fdt_package_made(make: Callable[..., Bare]) -> None:
    tree = fdt.FDT(fdt.Header(), [{"address": RAM, "size": P}])
    tree.set_property("#address-cells", 1, "/")
    tree.set_property("#size-cells", 1, "/")
    tree.set_property("reg", [RAM, 16 * MIB], "/memory@80000000")
    tree.set_property("bootargs", "by fdt", "/chosen")
    boot = make(memory=16 * MIB).read(tree.to_dtb(version=17, last_comp_version=16))
    assert boot.command_line == "by fdt" and at(boot, RAM) == RESERVED and at(boot, RAM + P) == USABLE


@needs_dtc
def test_a_tree_that_dtc_made(make: Callable[..., Bare]) -> None:
    text = """/dts-v1/; /memreserve/ 0x80000000 0x1000; / { #address-cells = <2>; #size-cells = <1>;
        chosen { bootargs = "by dtc"; linux,initrd-start = /bits/ 64 <0x80800000>; linux,initrd-end = <0x80900000>; };
        memory@80000000 { device_type = "memory"; reg = <0 0x80000000 0xc00000>, <0 0x80d00000 0x300000>; };
        reserved-memory { #address-cells = <2>; #size-cells = <1>; ranges;
            a@80100000 { reg = <0 0x80100000 0x1000>; no-map; };
            b { size = <0x100000>; alignment = <0x100000>; alloc-ranges = <0 0x80000000 0xd00000>; }; }; };"""
    data = subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb"], input=text.encode(), capture_output=True,
                          check=True).stdout
    boot = make(memory=16 * MIB).read(data)
    assert (boot.command_line, boot.initramfs) == ("by dtc", (0x8080_0000, 0x8090_0000))
    assert told(boot)["b (placed)"][:2] == (0x80b0_0000, 0x80c0_0000)
    assert [at(boot, address).name for address in (0x8000_0000, 0x8010_0000, 0x80c0_0000, 0x80d0_0000)] == [
        "RESERVED", "RESERVED", "UNKNOWN", "USABLE"]
