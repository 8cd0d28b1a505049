"""Copies to and from user memory: the same as by readers and writers, up to the byte that faults."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from kernel.errno import Errno, SysError
from kernel.errors import PageFault
from kernel.mm import Mm, PageFlags, PageProperty, VmReader, VmWriter
from kernel.mm.io_mem import IoMem
from kernel.mm.paging import PAGE_SIZE as P
from kernel.mm.vm_space.vm_space import deactivate
from kernel.process.address_space import AddressSpace
from kernel.process.area import Area
from kernel.process.memory import read_user, user_reader, user_writer, write_user
from tests.kernel.mm.page_table.scarce import census

BASE = 0x20_0000
PAGES = 10
UART = 0x1000_0000


def laid_out(mm: Mm) -> AddressSpace:
    """Pages 0-3 to be read and written, 4 to be read, 5 not there, 6-7 to be written, 8 a device, 9 to be read."""
    space = AddressSpace(mm)
    for first, last, prot in (0, 4, PageFlags.RW), (4, 5, PageFlags.R), (6, 8, PageFlags.RW), (9, 10, PageFlags.R):
        space.map(Area(BASE + first * P, BASE + last * P, prot))
    with space.space.cursor_mut(range(BASE + 8 * P, BASE + 9 * P)) as cursor:
        cursor.map_iomem(IoMem.acquire(mm, range(UART, UART + P)), PageProperty.new_user(PageFlags.RW), P, 0)
    return space


@pytest.fixture
def spaces(mm: Mm) -> Iterator[tuple[AddressSpace, AddressSpace]]:
    """Two that are alike."""
    before = census(mm)
    made = laid_out(mm), laid_out(mm)
    yield made
    deactivate(mm)
    for space in made:
        space.drop()
    assert census(mm) == before


def by_reader(space: AddressSpace, vaddr: int, size: int) -> bytes | None:
    data = bytearray(size)
    try:
        user_reader(space, vaddr, size).read_fallible(VmWriter.from_slice(data))
    except PageFault:
        return None
    return bytes(data)


def by_writer(space: AddressSpace, vaddr: int, data: bytes) -> bool:
    try:
        user_writer(space, vaddr, len(data)).write_fallible(VmReader.from_slice(data))
    except PageFault:
        return False
    return True


def test_reads_and_writes_are_those_of_readers_and_writers(spaces: tuple[AddressSpace, AddressSpace]) -> None:
    ours, theirs = spaces
    chance = random.Random(5)
    faults = 0
    for _ in range(300):
        vaddr = BASE + chance.randrange(-P, PAGES * P)
        size = chance.choice([0, 1, 8, 100, P, chance.randrange(4 * P)])
        data = chance.randbytes(size)
        write = chance.random() < 0.5
        theirs.space.activate()
        wanted = by_writer(theirs, vaddr, data) if write else by_reader(theirs, vaddr, size)
        ours.space.activate()
        try:
            got: object = read_user(ours, vaddr, size)
            if write:
                write_user(ours, vaddr, data)
                got = True
        except SysError as why:
            assert why.errno is Errno.EFAULT
            faults += 1
            if write:
                try:
                    write_user(ours, vaddr, data)
                    got = True
                except SysError:
                    got = False
            else:
                got = None
        assert got == wanted, (hex(vaddr), size, write)
    assert 30 < faults < 270
    for first, last in (0, 5), (6, 8), (9, 10):
        contents = []
        for space in spaces:
            space.space.activate()
            contents.append(read_user(space, BASE + first * P, (last - first) * P))
        assert contents[0] == contents[1] and (any(contents[0]) or first == 9)


@pytest.mark.parametrize(("vaddr", "size"), [(1 << 63, 8), ((1 << 47) - 4, 8), (0, 1), (BASE + 8 * P, 4),
                                              (BASE + 8 * P - 4, 8), (BASE + 5 * P - 1, 2)])
def test_a_bad_address_is_efault(spaces: tuple[AddressSpace, AddressSpace], vaddr: int, size: int) -> None:
    space = spaces[0]
    space.space.activate()
    for act in (lambda: read_user(space, vaddr, size)), (lambda: write_user(space, vaddr, bytes(size))):
        with pytest.raises(SysError) as failed:
            act()
        assert failed.value.errno is Errno.EFAULT


def test_a_write_that_faults_has_written_what_came_before(spaces: tuple[AddressSpace, AddressSpace]) -> None:
    space = spaces[0]
    space.space.activate()
    with pytest.raises(SysError, match=f"4096 bytes at {BASE + 4 * P:#x}"):
        write_user(space, BASE + 4 * P - 3, b"abc" + bytes(P))
    assert read_user(space, BASE + 4 * P - 4, 5) == b"\0abc\0"


def test_a_space_that_is_not_active_cannot_be_reached(spaces: tuple[AddressSpace, AddressSpace]) -> None:
    spaces[1].space.activate()
    with pytest.raises(SysError, match="not active"):
        read_user(spaces[0], BASE, 8)
