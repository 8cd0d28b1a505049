"""Disks and snapshots of their machines: what is in memory goes back, what is in a file must not have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Board, Disk, InputFileError, Machine, Snapshot, SnapshotError, virt_devices

from .test_virtio import BUFFERS, SECTOR, SLOT, STATUS, Driver

SIZE = 40 * SECTOR
CONTENTS = bytes(i * 7 & 255 for i in range(SIZE))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A disk's file."""
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENTS)
    return path


@pytest.fixture
def machines() -> Iterator[list[Machine]]:
    """Machines to be closed."""
    made: list[Machine] = []
    yield made
    for machine in made:
        machine.close()


def machine(machines: list[Machine], *disks: Disk) -> Machine:
    made = Machine(Board(memory=1 << 20, devices=virt_devices(disks)))
    machines.append(made)
    return made


def again(made: Machine, driver: Driver) -> Driver:
    """The driver in `made`, which was restored from a snapshot of the driver's machine."""
    other = Driver.__new__(Driver)
    other.bus, other.machine, other.count = made.bus, made, driver.count
    return other


@pytest.mark.parametrize("kind", ["data", "file"])
def test_what_stays_in_memory_goes_back_and_forth(
        kind: str, path: Path, machines: list[Machine], tmp_path: Path) -> None:
    def disk() -> Disk:
        return Disk(CONTENTS) if kind == "data" else Disk(path=path, snapshot=True)

    made = machine(machines, disk())
    driver = Driver(made)
    first = made.snapshot()
    assert driver.request(1, 1, b"a" * 20 * SECTOR)[0] == 0
    second = made.snapshot()
    count = driver.count
    assert driver.request(1, 39, b"b" * SECTOR)[0] == 0
    second.save(tmp_path / "second.snap")
    for snapshot, at, expected in ((second, count, b"a" * 2 * SECTOR), (first, 0, CONTENTS[SECTOR:3 * SECTOR]),
                                   (second, count, b"a" * 2 * SECTOR)):
        made.restore(snapshot)
        driver.count = at
        assert driver.request(0, 1, size=2 * SECTOR) == (0, expected)
        assert driver.request(0, 39, size=SECTOR) == (0, CONTENTS[39 * SECTOR:])
    other = machine(machines, disk())
    other.restore(Snapshot.load(tmp_path / "second.snap"))
    driver.count = count
    assert again(other, driver).request(0, 1, size=SECTOR) == (0, b"a" * SECTOR)
    assert path.read_bytes() == CONTENTS


def test_the_queue_goes_on_where_it_was(machines: list[Machine]) -> None:
    made, other = machine(machines, Disk(CONTENTS)), machine(machines, Disk(CONTENTS))
    driver = Driver(made)
    for sector in range(11):  # the ring has eight places
        driver.request(0, sector, size=SECTOR)
    driver.bus.store(SLOT + 0x14, 4, 1)  # the features' upper half
    snapshot = made.snapshot()
    other.restore(snapshot)
    for one in (driver, again(other, driver)):
        assert one.bus.load(SLOT + 0x10, 4) == 1 and one.bus.load(SLOT + 0x60, 4) == 1
        assert one.bus.load(0x0C00_1000, 4) == 2  # the line into the PLIC is still high
        assert one.request(0, 12, size=SECTOR) == (0, CONTENTS[12 * SECTOR:13 * SECTOR])
        assert one.bus.load(STATUS, 4) == 15
    assert made.bus.read(BUFFERS, 4096) == other.bus.read(BUFFERS, 4096)


def test_a_disk_that_needs_a_reset_needs_it_again(machines: list[Machine]) -> None:
    made, other = machine(machines, Disk(CONTENTS)), machine(machines, Disk(CONTENTS))
    driver = Driver(made)
    driver.describe(0, BUFFERS, 16, 1, 0)
    driver.offer()
    other.restore(made.snapshot())
    assert other.bus.load(STATUS, 4) == made.bus.load(STATUS, 4) == 15 | 0x40


def test_a_file_that_is_written_to_must_be_what_it_was(path: Path, machines: list[Machine]) -> None:
    made = machine(machines, Disk(path=path))
    driver = Driver(made)
    driver.request(0, 3, size=SECTOR)
    before, count = made.snapshot(), driver.count
    driver.request(0, 4, size=SECTOR)
    made.restore(before)  # nothing was written
    driver.count = count
    driver.request(1, 39, b"w" * SECTOR)
    made.feed(b"typed")
    with pytest.raises(SnapshotError, match=r"disk .*disk\.img: its contents are others than at the time of the snap"):
        made.restore(before)
    assert made.uart.input_left == 5 and driver.request(0, 39, size=SECTOR) == (0, b"w" * SECTOR)
    driver.request(1, 39, CONTENTS[39 * SECTOR:])  # the same again
    made.restore(before)
    assert made.uart.input_left == 0


def test_a_file_from_elsewhere_will_do_if_it_has_the_same_in_it(
        path: Path, machines: list[Machine], tmp_path: Path) -> None:
    made = machine(machines, Disk(path=path))
    made.snapshot().save(tmp_path / "a.snap")
    snapshot = Snapshot.load(tmp_path / "a.snap")
    copy = tmp_path / "copy.img"
    copy.write_bytes(CONTENTS)
    os.utime(copy, (0, 0))
    machine(machines, Disk(path=copy, snapshot=True)).restore(snapshot)
    copy.write_bytes(CONTENTS[:-1] + b"?")
    with pytest.raises(SnapshotError, match="others than at the time"):
        machine(machines, Disk(path=copy, snapshot=True)).restore(snapshot)


@pytest.mark.parametrize(("disks", "words"), [
    ([], "slot 0: nothing here, a disk in the snapshot"),
    ([Disk(CONTENTS), Disk(CONTENTS)], "slot 1: a disk here, nothing in the snapshot"),
    ([Disk(CONTENTS[:-SECTOR])], f"{SIZE - SECTOR} bytes, expected as in the snapshot {SIZE} bytes"),
    ([Disk(CONTENTS, read_only=True)], f"{SIZE} bytes that cannot be written, expected as in the snapshot {SIZE} b"),
    ([Disk(bytes(SIZE))], "others than at the time of the snapshot"),
])
def test_other_disks_are_refused(disks: list[Disk], words: str, machines: list[Machine]) -> None:
    made, other = machine(machines, Disk(CONTENTS)), machine(machines, *disks)
    with pytest.raises(SnapshotError, match=words):
        other.restore(made.snapshot())


def test_blocks_that_were_kept_in_memory_are_not_for_a_file(path: Path, machines: list[Machine]) -> None:
    made = machine(machines, Disk(path=path, snapshot=True))
    Driver(made).request(1, 0, b"w" * SECTOR)
    other = machine(machines, Disk(path=path))
    with pytest.raises(SnapshotError, match="the snapshot has 1 blocks that were not written to the file"):
        other.restore(made.snapshot())
    assert path.read_bytes() == CONTENTS


def test_a_hole_counts_as_the_zeros_that_it_reads_as_and_is_not_read(tmp_path: Path) -> None:
    sparse, size = tmp_path / "sparse.img", 8 << 30
    with open(sparse, "wb") as out:
        out.seek(size - SECTOR)
        out.write(b"e" * SECTOR)
    started = time.monotonic()
    mark = Disk(path=sparse).fingerprint()
    assert time.monotonic() - started < 3  # to read it would take that
    assert Disk(path=sparse, snapshot=True).fingerprint() == mark
    small = 3 << 20
    with open(sparse, "wb") as out:
        out.truncate(small)
    assert Disk(path=sparse).fingerprint() == Disk(bytes(small)).fingerprint()


def test_a_folder_is_no_disk(tmp_path: Path) -> None:
    for snapshot in (False, True):
        with pytest.raises(InputFileError, match="Is a directory"):
            Disk(path=tmp_path, snapshot=snapshot)
