"""The kernel's image: where it goes, its boot page tables, and the header that describes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise

import pytest

from emulator import Board, Machine, Range
from kernel.errors import BootError, CorruptionError
from kernel.mm.fields import Field
from kernel.mm.paging import SV39, SV48, PagingMode
from kernel.mm.port import MemoryPort
from kernel.text.image import (
    HEADER_ADDRESS,
    KERNEL_ADDRESS,
    KERNEL_CODE_BASE,
    KernelHeader,
    RawHeader,
    firmware_image,
    kernel_image,
    to_virtual,
)

V_R_W_X = 0xf
GIB = 1 << 30


@pytest.fixture
def port() -> Iterator[MemoryPort]:
    """Memory in which the kernel is loaded; it has not run."""
    machine = Machine()
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    yield MemoryPort(machine.bus)
    machine.close()


def test_the_image_is_loaded_low_and_linked_high() -> None:
    image = kernel_image()
    assert image.start == image.entry == KERNEL_ADDRESS == 0x8020_0000
    assert image.linked_address(image.entry) == 0xffff_ffff_8020_0000
    assert all(segment.virtual == segment.address + 0xffff_ffff_0000_0000 for segment in image.segments)


def test_text_is_not_writable_and_data_not_executable() -> None:
    assert [segment.flags for segment in kernel_image().segments] == ["r-x", "rw-"]
    for low, high in pairwise(kernel_image().segments):
        assert low.end <= high.address and high.address % 4096 == 0


def test_the_header_covers_the_image(port: MemoryPort) -> None:
    header = KernelHeader.read(port)
    assert header.kernel_start == kernel_image().start and header.kernel_end == kernel_image().end


def test_every_address_of_the_header_is_that_of_the_symbol_of_its_name(port: MemoryPort) -> None:
    header, symbols = KernelHeader.read(port), kernel_image().symbols
    names = {"kernel_start": "__kernel_start", "kernel_end": "__kernel_end", "console": "console_buffer"}
    checked = 0
    for field in fields(header):
        symbol = symbols.find(names.get(field.name, field.name))
        if symbol is not None:
            assert symbol.address == to_virtual(getattr(header, field.name)), field.name
            checked += 1
    assert checked == len(fields(header)) - 5  # four sizes and the number of CPUs


def test_the_statics_have_160_kib_or_more_and_start_zeroed_on_a_page(port: MemoryPort) -> None:
    header = KernelHeader.read(port)
    assert header.statics % 4096 == 0 and header.statics_size >= 160 << 10
    assert port.read(header.statics, header.statics_size) == bytes(header.statics_size)


def test_the_parts_of_the_image_do_not_overlap(port: MemoryPort) -> None:
    header = KernelHeader.read(port)
    parts = sorted([
        (header.statics, header.statics_size), (header.boot_stack, header.boot_stack_size),
        (header.cpu_stacks, header.cpu_stack_size * (header.max_cpus - 1)), (header.console, header.console_size),
        (header.boot_root_sv48, 8192), (header.boot_root_sv39, 4096), (header.cpus, 64), (header.holds, 64),
        (header.cpu_satp, 8),
        (header.exception_table, header.exception_table_end - header.exception_table)])
    assert all(low + size <= high for (low, size), (high, _) in pairwise(parts))


def test_the_sv48_boot_page_table_is_as_specified(port: MemoryPort) -> None:
    root = KernelHeader.read(port).boot_root_sv48
    entries = {i: entry for i in range(512) if (entry := port.load(root + 8 * i))}
    assert entries.keys() == {0, 256, 511} and entries[0] == entries[256] == V_R_W_X
    assert entries[511] & 0x3ff == 1
    table = entries[511] >> 10 << 12
    assert {i: entry for i in range(512) if (entry := port.load(table + 8 * i))} == {
        508 + n: n * GIB >> 2 | V_R_W_X for n in range(3)}


def test_the_sv39_boot_page_table_is_as_specified(port: MemoryPort) -> None:
    root = KernelHeader.read(port).boot_root_sv39
    expected = {first + n: n * GIB >> 2 | V_R_W_X for first in (0, 256) for n in range(128)}
    expected |= {508 + n: n * GIB >> 2 | V_R_W_X for n in range(3)}
    assert {i: entry for i in range(512) if (entry := port.load(root + 8 * i))} == expected


@pytest.mark.parametrize("paging", [SV48, SV39], ids=repr)
def test_the_code_base_is_the_paging_modes(paging: PagingMode) -> None:
    assert paging.kernel_code_base == KERNEL_CODE_BASE


# --- what is not a kernel --------------------------------------------------------------------------------------


def test_memory_without_a_kernel_is_refused() -> None:
    machine = Machine()
    with pytest.raises(BootError, match=r"no kernel at 0x80200000: its header has b'\\x00"):
        KernelHeader.read(MemoryPort(machine.bus))
    machine.close()


def test_memory_that_ends_below_the_kernel_is_refused() -> None:
    machine = Machine(Board(memory=1 << 20))
    with pytest.raises(BootError, match="no memory at 0x80200040"):
        KernelHeader.read(MemoryPort(machine.bus))
    machine.close()


@pytest.mark.parametrize("at", range(8))
def test_a_broken_magic_is_refused(port: MemoryPort, at: int) -> None:
    port.store_sized(HEADER_ADDRESS + at, 1, ord("?"))
    with pytest.raises(BootError, match="expected b'HARTWELL'"):
        KernelHeader.read(port)


@pytest.mark.parametrize("field", [RawHeader.version, RawHeader.size], ids=lambda field: field.name)
def test_a_header_of_another_version_is_refused(port: MemoryPort, field: Field) -> None:
    port.store_sized(HEADER_ADDRESS + field.offset, 4, 99)
    with pytest.raises(BootError, match="99"):
        KernelHeader.read(port)


@pytest.mark.parametrize("field", [field for field in RawHeader.FIELDS if field.size == 8 and field.name != "magic"],
                         ids=lambda field: field.name)
@pytest.mark.parametrize("value", [0x7000_0001, (1 << 64) - 8], ids=hex)
def test_a_header_that_points_out_of_the_kernel_is_refused(port: MemoryPort, field: Field, value: int) -> None:
    port.store(HEADER_ADDRESS + field.offset, value)
    with pytest.raises(CorruptionError, match="the kernel's header"):
        KernelHeader.read(port)


def test_the_kernel_is_found_in_a_bank_that_begins_at_ram() -> None:
    machine = Machine(Board(banks=(Range(0x8000_0000, 32 << 20), Range(0x1_0000_0000, 32 << 20))))
    machine.boot(kernel=kernel_image(), firmware=firmware_image())
    assert KernelHeader.read(MemoryPort(machine.bus)).kernel_start == KERNEL_ADDRESS
    machine.close()
