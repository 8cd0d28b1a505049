"""EARLY_INFO: written once, read back from memory alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.boot.early_info import COMMAND_LINE_SIZE, INFO_AREA, INFO_SIZE, REGIONS_AREA, REGIONS_SIZE, EarlyInfo
from kernel.boot.memory_region import MAX_REGIONS, MemoryRegion, MemoryRegionType
from kernel.errors import BootError, CorruptionError, Misuse
from kernel.mm.statics import Statics
from tests.kernel.boot.boards import KERNEL, STATICS, Bare

P = 4096
REGIONS = (MemoryRegion(0, 5 * P, MemoryRegionType.UNKNOWN), MemoryRegion(5 * P, P, MemoryRegionType.USABLE))
INFO = EarlyInfo(REGIONS, "console=ttyS0 ünï", (0x8100_0000, 0x8100_1234), (0x8800_0000, 0x8800_0800))


def again(there: Bare) -> Statics:
    """The statics as somebody who knows only the memory finds them."""
    return Statics(there.port, STATICS, KERNEL[1] - STATICS)


def test_what_is_stored_is_found_in_memory_again(make: Callable[..., Bare]) -> None:
    there = make(memory=16 << 20)
    INFO.store(there.statics)
    assert EarlyInfo.load(again(there)) == INFO
    assert INFO.bootloader_name == "Unknown" and INFO.acpi.name == "NOT_PROVIDED" and INFO.framebuffer is None


def test_the_regions_are_a_count_and_24_bytes_each(make: Callable[..., Bare]) -> None:
    there = make(memory=16 << 20)
    INFO.store(there.statics)
    table = there.statics.area(REGIONS_AREA, REGIONS_SIZE)
    assert REGIONS_SIZE == 8 + 512 * 24
    assert [there.port.load(table + 8 * n) for n in range(7)] == [2, 0, 5 * P, 1, 5 * P, P, 8]


def test_what_a_board_tells_is_kept_whole(make: Callable[..., Bare]) -> None:
    there = make(memory=128 << 20)
    boot = there.read(bootargs="init=/bin/sh", initrd=(0x8200_0000, 0x8200_0100))
    EarlyInfo.of(boot).store(there.statics)
    found = EarlyInfo.load(again(there))
    assert (found.regions, found.command_line, found.initramfs, found.device_tree) == (
        boot.regions, "init=/bin/sh", (0x8200_0000, 0x8200_0100), boot.device_tree)


def test_writing_it_twice_is_refused_by_name(make: Callable[..., Bare]) -> None:
    there = make(memory=16 << 20)
    INFO.store(there.statics)
    with pytest.raises(Misuse, match="EARLY_INFO .* written already"):
        EarlyInfo((), "other").store(again(there))
    assert EarlyInfo.load(there.statics) == INFO


def test_reading_it_before_it_is_written_is_an_error(make: Callable[..., Bare]) -> None:
    with pytest.raises(BootError, match="EARLY_INFO .* not written yet"):
        EarlyInfo.load(make(memory=16 << 20).statics)


def test_the_longest_command_line_fits_and_a_longer_one_is_refused(make: Callable[..., Bare]) -> None:
    there = make(memory=16 << 20)
    longest = EarlyInfo(REGIONS, "x" * COMMAND_LINE_SIZE)
    longest.store(there.statics)
    assert EarlyInfo.load(there.statics) == longest
    with pytest.raises(BootError, match="the command line has 2049 bytes"):
        EarlyInfo(REGIONS, "x" * (COMMAND_LINE_SIZE + 1))
    with pytest.raises(BootError, match="the command line has 2050 bytes"):
        EarlyInfo(REGIONS, "ü" * (COMMAND_LINE_SIZE // 2 + 1))
    with pytest.raises(BootError, match="the boot loader's name"):
        EarlyInfo(REGIONS, bootloader_name="a" * 17)


def test_512_regions_fit_and_more_are_refused(make: Callable[..., Bare]) -> None:
    there = make(memory=16 << 20)
    many = tuple(MemoryRegion(n * P, P, MemoryRegionType(3 + n % 2)) for n in range(MAX_REGIONS + 1))
    full = EarlyInfo(many[:-1])
    full.store(there.statics)
    assert EarlyInfo.load(again(there)) == full
    with pytest.raises(BootError, match="513 memory regions"):
        EarlyInfo(many)


@pytest.mark.parametrize("area, offset, word", [
    (INFO_AREA, 0, 2), (INFO_AREA, 72, COMMAND_LINE_SIZE + 1), (INFO_AREA, 56, 1), (INFO_AREA, 64, 1),
    (INFO_AREA, 8, 0x4100_42), (REGIONS_AREA, 0, 513), (REGIONS_AREA, 0, 3), (REGIONS_AREA, 8, P),
    (REGIONS_AREA, 16, 4 * P), (REGIONS_AREA, 16, 5 * P + 1), (REGIONS_AREA, 24, 9), (REGIONS_AREA, 40, 0),
    (REGIONS_AREA, 40, P + 1), (REGIONS_AREA, 40, 1 << 63),
])
def test_what_the_kernel_never_writes_is_corruption(make: Callable[..., Bare], area: str, offset: int,
                                                    word: int) -> None:
    there = make(memory=16 << 20)
    INFO.store(there.statics)
    there.port.store(there.statics.area(area, INFO_SIZE if area == INFO_AREA else REGIONS_SIZE) + offset, word)
    with pytest.raises(CorruptionError):
        EarlyInfo.load(again(there))


def test_a_command_line_said_to_be_longer_than_its_place_is_corruption(make: Callable[..., Bare]) -> None:
    there = make(memory=16 << 20)
    EarlyInfo(REGIONS, "x" * COMMAND_LINE_SIZE).store(there.statics)
    there.port.store(there.statics.area(INFO_AREA, INFO_SIZE) + 72, COMMAND_LINE_SIZE + 1)
    with pytest.raises(CorruptionError, match="a command line of 2049 bytes"):
        EarlyInfo.load(again(there))


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=400),
       st.integers(0, 40), st.booleans())
def test_the_heap_copy_comes_back_the_same_with_anything_behind_it(line: str, regions: int, initrd: bool) -> None:
    info = EarlyInfo(tuple(MemoryRegion(n * P, P, MemoryRegionType(n % 9)) for n in range(regions)), line,
                     (P, 2 * P) if initrd else None)
    assert EarlyInfo.from_bytes(info.to_bytes()) == info
    assert EarlyInfo.from_bytes(info.to_bytes() + bytes(range(200))) == info


@given(st.binary(max_size=400), st.integers(0, 200))
def test_a_damaged_heap_copy_is_corruption_and_nothing_else(junk: bytes, at: int) -> None:
    data = bytearray(INFO.to_bytes())
    data[at:at + len(junk)] = junk
    for damaged in (bytes(data), junk, bytes(data[:at])):
        with suppress(CorruptionError):
            EarlyInfo.from_bytes(damaged)
