"""Where things go in RAM, against figures read from QEMU 7.2, and what is said when they do not fit."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import PlacementError
from emulator.loader import Image, Plan, Reserved, kernel_address, parse_size, place
from emulator.range import Range

from .builders import image

K, M, G = 1 << 10, 1 << 20, 1 << 30
BASE = 0x8000_0000
FIRMWARE = image("sbi.elf", (BASE, 0x4000), (BASE + 0x5000, 0xA000))
KERNEL = image("Image", (BASE + 2 * M, M))
TREE = bytes(5000)


def placed(
    size: int = 128 * M, *, firmware: Image | None = FIRMWARE, kernel: Image | None = KERNEL,
    initrd: bytes | None = None, tree: bytes = TREE, reserved: tuple[Reserved, ...] = (),
) -> Plan:
    plan = place(
        [Range(BASE, size)], firmware=firmware, kernel=kernel, device_tree=tree, initrd=initrd, reserved=reserved
    )
    check(plan, [Range(BASE, size)], reserved)
    return plan


def check(plan: Plan, banks: list[Range], reserved: tuple[Reserved, ...] = ()) -> None:
    """Nothing overlaps, all is in RAM, and the plan's addresses are those of what was placed."""
    spans = [(p.address, p.end) for p in plan.placed] + [(r.base, r.base + r.size) for r in reserved]
    spans.sort()
    assert all(low[1] <= high[0] for low, high in pairwise(spans))
    for item in plan.placed:
        assert any(b.base <= item.address and item.end <= b.end for b in banks)
        assert len(item.data) <= item.size
    tree = next(p for p in plan.placed if p.name == "device tree")
    assert tree.address == plan.device_tree
    assert plan.device_tree % 8 == 0


def refused(*fragments: str, size: int = 128 * M, **arguments: object) -> str:
    with pytest.raises(PlacementError) as caught:
        placed(size, **arguments)  # type: ignore[arg-type]
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("size", "initrd", "tree"),
    [
        (16 * M, 0x8080_0000, 0x80E0_0000),
        (64 * M, 0x8200_0000, 0x83E0_0000),
        (128 * M, 0x8400_0000, 0x87E0_0000),
        (256 * M, 0x8800_0000, 0x8FE0_0000),
        (1 * G, 0x8800_0000, 0xBFE0_0000),
        (4 * G, 0x8800_0000, 0xBFE0_0000),
        (64 * G, 0x8800_0000, 0xBFE0_0000),
    ],
)
def test_addresses_are_those_of_qemu(size: int, initrd: int, tree: int) -> None:
    """QEMU 7.2: `-M virt -bios none -kernel K -initrd I -m SIZE`, `info roms`."""
    plan = placed(size, firmware=None, kernel=image("K", (BASE, 100)), initrd=bytes(5000))
    assert plan.initrd == (initrd, initrd + 5000)
    assert plan.device_tree == tree


def test_firmware_is_entered_first_and_goes_on_to_the_kernel() -> None:
    plan = placed()
    assert (plan.entry, plan.next_address) == (FIRMWARE.entry, KERNEL.entry)


def test_kernel_without_firmware_is_entered_first() -> None:
    plan = placed(firmware=None)
    assert (plan.entry, plan.next_address) == (KERNEL.entry, None)


def test_firmware_alone_has_nothing_to_go_on_to() -> None:
    assert placed(kernel=None).next_address is None


def test_nothing_to_run_is_refused() -> None:
    refused("nothing to run", firmware=None, kernel=None)


def test_every_segment_is_placed_where_it_was_linked() -> None:
    assert [p.address for p in placed().placed[:3]] == [BASE, BASE + 0x5000, BASE + 2 * M]


def test_kernel_goes_behind_the_firmware() -> None:
    assert kernel_address(FIRMWARE) == BASE + 2 * M
    assert kernel_address(image("big", (BASE, 2 * M + 1))) == BASE + 4 * M
    assert kernel_address(None) == BASE


def test_tree_has_room_to_grow() -> None:
    assert placed().placed[-1].size == M


def test_tree_is_made_for_the_initrd_found() -> None:
    seen: list[tuple[int, int] | None] = []

    def tree(initrd: tuple[int, int] | None) -> bytes:
        seen.append(initrd)
        return TREE

    plan = place([Range(BASE, 64 * M)], firmware=None, kernel=KERNEL, device_tree=tree, initrd=bytes(10))
    assert seen[-1] == plan.initrd


def test_tree_moves_below_a_reserved_range() -> None:
    reserved = (Reserved(BASE + 120 * M, 8 * M, "cma"),)
    assert placed(reserved=reserved).device_tree == BASE + 118 * M


def test_big_initrd_moves_down_to_the_kernel() -> None:
    plan = placed(64 * M, initrd=bytes(40 * M))
    assert plan.initrd is not None and plan.initrd[0] == BASE + 4 * M


def test_initrd_does_not_overlap_a_kernel_larger_than_half_of_ram() -> None:
    plan = placed(64 * M, kernel=image("Image", (BASE + 2 * M, 40 * M)), initrd=bytes(4 * M))
    assert plan.initrd is not None and plan.initrd[0] == BASE + 42 * M


def test_initrd_avoids_a_reserved_range() -> None:
    plan = placed(initrd=bytes(M), reserved=(Reserved(0x8420_0000, M, "cma"),))
    assert plan.initrd is not None and plan.initrd[0] == BASE + 4 * M


def test_one_mib_is_enough_for_a_bare_program() -> None:
    plan = placed(M, firmware=None, kernel=image("mhello", (BASE, 0x1000)))
    assert BASE + 512 * K < plan.device_tree < BASE + M


def test_tree_alignment_shrinks_to_what_is_left() -> None:
    kernel = image("mhello", (BASE, M - 5008))
    assert placed(M, firmware=None, kernel=kernel).device_tree == BASE + M - 5000


def test_too_small_a_ram_for_the_tree_is_refused() -> None:
    kernel = image("mhello", (BASE, M - 4992))
    refused("device tree (4.9 KiB) does not fit", "kernel mhello", "memory is 1 MiB, 2 MiB would be enough",
            size=M, firmware=None, kernel=kernel)


def test_kernel_beyond_a_small_ram_is_refused_with_what_would_do() -> None:
    refused("kernel Image", "0x80200000", "ends at 0x80100000", "memory is 1 MiB, 4 MiB would be enough", size=M)


def test_kernel_that_ends_beyond_ram_is_refused() -> None:
    refused("kernel Image (0x80200000..0x80300000), 1 MiB, does not fit", size=2 * M + 4 * K)


def test_initrd_too_large_is_refused_with_what_would_do() -> None:
    refused("initrd (200 MiB) does not fit", "ends at 0x80300000", "memory is 128 MiB, 204 MiB would be enough",
            initrd=bytes(200 * M))


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 4 * M), st.none() | st.integers(0, 40 * M))
def test_the_memory_suggested_is_enough_and_a_mib_less_is_not(
    size: int, kernel_mib: int, tree: int, initrd: int | None
) -> None:
    kernel = image("Image", (BASE + 2 * M, kernel_mib * M))
    blob = None if initrd is None else bytes(initrd)
    try:
        placed(size * M, kernel=kernel, initrd=blob, tree=bytes(tree))
    except PlacementError as error:
        found = re.search(r"([0-9]+) MiB would be enough", str(error))
        assert found, str(error)
        enough = parse_size(found[1])
        assert enough > size * M
        placed(enough, kernel=kernel, initrd=blob, tree=bytes(tree))
        if enough - M > size * M:
            with pytest.raises(PlacementError):
                placed(enough - M, kernel=kernel, initrd=blob, tree=bytes(tree + 64))


def test_program_linked_below_ram_is_refused_without_a_suggestion() -> None:
    program = image("busybox", (0x10000, 0x1000))
    text = refused("kernel busybox (0x10000..0x11000)", "starts at 0x80000000", kernel=program)
    assert "would be enough" not in text


def test_overlap_of_kernel_and_firmware_names_both() -> None:
    text = refused("kernel mhello (0x80000000..0x80001000)", "overlaps", "firmware sbi.elf (0x80000000..0x80004000)",
                   kernel=image("mhello", (BASE, 0x1000)))
    assert "would be enough" not in text


def test_overlap_with_a_reserved_range_names_both() -> None:
    refused("kernel Image (0x80200000..0x80300000)", "overlaps", "dma pool (0x80280000..0x80380000)",
            reserved=(Reserved(BASE + 0x28_0000, M, "dma pool"),))


def test_overlap_behind_a_small_range_inside_a_large_one_is_seen() -> None:
    refused("overlaps", kernel=image("k", (BASE + 4 * M, M)),
            reserved=(Reserved(BASE + 2 * M, 8 * M, "pool"), Reserved(BASE + 3 * M, 4 * K, "small")))


def test_reserved_ranges_may_overlap_each_other() -> None:
    reserved = [Reserved(BASE + 64 * M, 8 * M), Reserved(BASE + 66 * M, 8 * M)]
    place([Range(BASE, 128 * M)], firmware=FIRMWARE, kernel=KERNEL, device_tree=TREE, reserved=reserved)


def test_empty_reserved_range_reserves_nothing() -> None:
    place([Range(BASE, 128 * M)], firmware=FIRMWARE, kernel=KERNEL, device_tree=TREE,
          reserved=[Reserved(BASE + 2 * M + 4, 0)])


def test_memory_between_firmware_and_kernel_is_left_to_the_firmware() -> None:
    refused("device tree", size=3 * M)


def test_kernel_may_be_in_a_second_bank() -> None:
    banks = [Range(BASE, 8 * M), Range(BASE + G, 64 * M)]
    plan = place(banks, firmware=FIRMWARE, kernel=image("k", (BASE + G, M)), device_tree=TREE, initrd=bytes(10))
    check(plan, banks)
    assert plan.initrd is not None and plan.initrd[0] == BASE + G + 32 * M
    assert plan.device_tree == BASE + 6 * M


def test_segment_may_cross_adjacent_banks() -> None:
    banks = [Range(BASE, 4 * M), Range(BASE + 4 * M, 4 * M)]
    place(banks, firmware=None, kernel=image("k", (BASE, 6 * M)), device_tree=TREE)


def test_segment_may_not_cross_a_hole() -> None:
    with pytest.raises(PlacementError, match=r"0x80400000.*would be enough"):
        place([Range(BASE, 4 * M), Range(BASE + 64 * M, 4 * M)], firmware=None, kernel=image("k", (BASE, 6 * M)),
              device_tree=TREE)


def test_tree_goes_to_a_later_bank_if_the_first_is_full() -> None:
    banks = [Range(BASE, M), Range(BASE + 64 * M, 4 * M)]
    plan = place(banks, firmware=None, kernel=image("k", (BASE, M)), device_tree=TREE)
    check(plan, banks)


@pytest.mark.parametrize(
    ("banks", "why"),
    [
        ([], "no RAM"),
        ([Range(BASE, 0)], "0 bytes"),
        ([Range(BASE, 8 * M), Range(BASE + M, M)], "overlaps bank 0x80100000..0x80200000"),
    ],
)
def test_senseless_banks_are_refused(banks: list[Range], why: str) -> None:
    with pytest.raises(PlacementError, match=re.escape(why)):
        place(banks, firmware=None, kernel=KERNEL, device_tree=TREE)
