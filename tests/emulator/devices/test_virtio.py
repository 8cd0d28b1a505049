"""The virtio block device, driven through its registers and rings as a driver does (VIRTIO 1.1, 2.6, 4.2, 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Board, Disk, InputFileError, Machine, virt_devices

SLOT, QUEUE, BUFFERS = 0x1000_1000, 0x8000_1000, 0x8000_4000
DESCRIPTORS, AVAILABLE, USED = QUEUE, QUEUE + 0x800, QUEUE + 0x1000
STATUS, INTERRUPT_STATUS, NOTIFY = SLOT + 0x70, SLOT + 0x60, SLOT + 0x50
NEEDS_RESET = 0x40
SECTOR = 512


class Driver:
    """A driver of the disk in slot 0, with one queue of eight descriptors."""

    def __init__(self, machine: Machine) -> None:
        self.bus = machine.bus
        self.machine = machine
        for register, value in ((0x70, 3), (0x30, 0), (0x38, 8), (0x80, DESCRIPTORS), (0x90, AVAILABLE), (0xA0, USED),
                                (0x44, 1), (0x70, 15)):
            self.bus.store(SLOT + register, 4, value)
        self.count = 0

    def describe(self, index: int, address: int, size: int, flags: int, following: int = 0) -> None:
        at = DESCRIPTORS + 16 * index
        self.bus.store(at, 8, address)
        self.bus.store(at + 8, 4, size)
        self.bus.store(at + 12, 2, flags)
        self.bus.store(at + 14, 2, following)

    def offer(self, head: int = 0) -> None:
        self.bus.store(AVAILABLE + 4 + 2 * (self.count % 8), 2, head)
        self.count += 1
        self.bus.store(AVAILABLE + 2, 2, self.count)
        self.bus.store(NOTIFY, 4, 0)

    def request(self, kind: int, sector: int, data: bytes = b"", size: int = 0) -> tuple[int, bytes]:
        """Send one request; its status byte, and the data that came back."""
        self.bus.store(BUFFERS, 4, kind)
        self.bus.store(BUFFERS + 8, 8, sector)
        self.bus.write(BUFFERS + 0x100, data)
        length = size or len(data)
        self.describe(0, BUFFERS, 16, 1, 1)
        self.describe(1, BUFFERS + 0x100, length, 1 | (2 if size else 0), 2)
        self.describe(2, BUFFERS + 0x80, 1, 2)
        self.bus.store(BUFFERS + 0x80, 1, 0xFF)
        self.offer()
        return self.bus.load(BUFFERS + 0x80, 1), self.bus.read(BUFFERS + 0x100, length)


CONTENTS = bytes(i * 7 & 255 for i in range(4 * SECTOR))


@pytest.fixture
def disk() -> Disk:
    return Disk(CONTENTS)


@pytest.fixture
def driver(disk: Disk) -> Iterator[Driver]:
    machine = Machine(Board(memory=1 << 20, devices=virt_devices([disk])))
    yield Driver(machine)
    machine.close()


def test_a_slot_without_a_disk_has_device_id_0(driver: Driver) -> None:
    assert [driver.bus.load(SLOT + 0x1000 + register, 4) for register in (0, 4, 8)] == [0x74726976, 2, 0]


def test_a_read_gives_the_sectors_of_the_disk(driver: Driver) -> None:
    assert driver.request(0, 1, size=2 * SECTOR) == (0, CONTENTS[SECTOR:3 * SECTOR])


def test_a_write_is_read_back(driver: Driver) -> None:
    assert driver.request(1, 2, b"w" * SECTOR)[0] == 0
    assert driver.request(0, 2, size=SECTOR) == (0, b"w" * SECTOR)


def test_a_request_past_the_end_is_an_io_error_and_changes_nothing(driver: Driver, disk: Disk) -> None:
    assert driver.request(1, 3, b"w" * 2 * SECTOR)[0] == 1
    assert bytes(disk.bytes) == CONTENTS


def test_an_unknown_request_is_refused_as_unsupported(driver: Driver) -> None:
    assert driver.request(99, 0, size=SECTOR)[0] == 2


def test_a_served_request_interrupts_until_it_is_acknowledged(driver: Driver) -> None:
    driver.request(0, 0, size=SECTOR)
    pending = 0x0C00_1000
    assert driver.bus.load(INTERRUPT_STATUS, 4) == 1 and driver.bus.load(pending, 4) & 2
    driver.bus.store(SLOT + 0x64, 4, 1)
    assert driver.bus.load(INTERRUPT_STATUS, 4) == 0


def test_a_chain_that_loops_asks_for_a_reset(driver: Driver) -> None:
    driver.describe(0, BUFFERS, 16, 1, 0)
    driver.offer()
    assert driver.bus.load(STATUS, 4) & NEEDS_RESET


def test_a_buffer_outside_memory_asks_for_a_reset(driver: Driver) -> None:
    driver.describe(0, 0x4000_0000, 16, 1, 1)
    driver.describe(1, BUFFERS, 1, 2)
    driver.offer()
    assert driver.bus.load(STATUS, 4) & NEEDS_RESET


@pytest.mark.parametrize("address", [NOTIFY, 0x1000, 0x8010_0000 - 8], ids=["register", "rom", "end-of-ram"])
def test_a_request_for_anything_but_ram_asks_for_a_reset_and_changes_nothing(driver: Driver, address: int) -> None:
    rom = driver.bus.read(0x1000, 64)
    driver.bus.store(BUFFERS, 4, 0)
    driver.bus.store(BUFFERS + 8, 8, 0)
    driver.describe(0, BUFFERS, 16, 1, 1)
    driver.describe(1, address, SECTOR, 1 | 2, 2)
    driver.describe(2, BUFFERS + 0x80, 1, 2)
    driver.offer()
    assert driver.bus.load(STATUS, 4) & NEEDS_RESET
    assert driver.bus.read(0x1000, 64) == rom


def test_a_status_byte_in_a_device_register_asks_for_a_reset(driver: Driver) -> None:
    driver.describe(0, BUFFERS, 16, 1, 1)
    driver.describe(1, NOTIFY, 1, 2)
    driver.offer()
    assert driver.bus.load(STATUS, 4) & NEEDS_RESET


def test_more_requests_than_the_queue_holds_ask_for_a_reset(driver: Driver) -> None:
    driver.bus.store(AVAILABLE + 2, 2, 0xFFFF)
    driver.bus.store(NOTIFY, 4, 0)
    assert driver.bus.load(STATUS, 4) & NEEDS_RESET


def test_a_read_into_a_buffer_that_is_not_writable_asks_for_a_reset(driver: Driver) -> None:
    driver.describe(0, BUFFERS, 16, 1, 1)
    driver.describe(1, BUFFERS + 0x100, SECTOR, 1, 2)
    driver.describe(2, BUFFERS + 0x80, 1, 2)
    driver.bus.write(BUFFERS, bytes(16))
    driver.offer()
    assert driver.bus.load(STATUS, 4) & NEEDS_RESET


def test_a_reset_makes_the_device_work_again(driver: Driver) -> None:
    driver.describe(0, BUFFERS, 16, 1, 0)
    driver.offer()
    driver.bus.store(STATUS, 4, 0)
    driver.bus.write(QUEUE, bytes(0x2000))
    assert Driver(driver.machine).request(0, 0, size=SECTOR) == (0, CONTENTS[:SECTOR])


@pytest.mark.parametrize("snapshot", [False, True])
def test_writes_reach_the_file_unless_it_is_a_snapshot(tmp_path: Path, snapshot: bool) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENTS)
    machine = Machine(Board(memory=1 << 20, devices=virt_devices([Disk(path=path, snapshot=snapshot)])))
    driver = Driver(machine)
    driver.request(1, 0, b"w" * SECTOR)
    assert driver.request(0, 0, size=SECTOR)[1] == b"w" * SECTOR
    assert path.read_bytes()[:SECTOR] == (CONTENTS[:SECTOR] if snapshot else b"w" * SECTOR)
    machine.close()


def test_a_disk_of_no_whole_sectors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.img"
    path.write_bytes(b"x" * 700)
    with pytest.raises(InputFileError, match="700 bytes, expected a multiple of 512"):
        Disk(path=path)
