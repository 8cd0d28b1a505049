"""RAM dumps: what is saved comes back, sparse; damaged files are refused by name."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from emulator import Board, InputFileError, Machine, Range, ramdump
from emulator.ramdump import RamDumpError

BANKS = (Range(0x8000_0000, 4 << 20), Range(0x1_0000_0000, 3 << 20))
BOARD = Board(harts=3, banks=BANKS, mmu="sv39", reserved=(Range(0x8010_0000, 0x1000),), quantum=777)


def test_memory_and_board_come_back(tmp_path: Path) -> None:
    machine, chance = Machine(BOARD), random.Random(1)
    for at in (0x8000_0000, 0x8000_1FF8, 0x803F_FFF8, 0x1_0000_0000, 0x1_002F_FFF8):
        machine.bus.write(at, chance.randbytes(8))
    ramdump.save(machine, tmp_path / "a.ram")
    again = ramdump.load(tmp_path / "a.ram")
    assert again.board == BOARD
    for bank in BANKS:
        assert again.bus.read(bank.base, bank.size) == machine.bus.read(bank.base, bank.size)
    machine.close()
    again.close()


def test_random_pages_come_back_whatever_their_neighbours(tmp_path: Path) -> None:
    machine, chance = Machine(Board(memory=4 << 20)), random.Random(2)
    for page in chance.sample(range(1024), 300):
        machine.bus.write(0x8000_0000 + page * 4096, chance.choice((bytes(4096), b"\1", bytes(4095) + b"\2")))
    ramdump.save(machine, tmp_path / "a.ram")
    again = ramdump.load(tmp_path / "a.ram")
    assert again.bus.read(0x8000_0000, 4 << 20) == machine.bus.read(0x8000_0000, 4 << 20)
    machine.close()
    again.close()


@pytest.mark.parametrize("offset", [-4096, 0, 4096])
def test_pieces_that_meet_between_two_reads_come_back(tmp_path: Path, offset: int) -> None:
    """Memory is looked through by 16 MiB."""
    machine, border = Machine(Board(memory=40 << 20)), 0x8000_0000 + (16 << 20)
    machine.bus.write(border - 8192, random.Random(3).randbytes(8192 + 4096 + offset))
    machine.bus.write(border + (16 << 20) - 4096, b"y" * 4096)
    ramdump.save(machine, tmp_path / "a.ram")
    again = ramdump.load(tmp_path / "a.ram")
    assert again.bus.read(0x8000_0000, 40 << 20) == machine.bus.read(0x8000_0000, 40 << 20)
    machine.close()
    again.close()


def test_memory_that_was_never_touched_costs_nothing(tmp_path: Path) -> None:
    machine = Machine(Board(memory=16 << 30))
    machine.bus.write(0x8000_0000 + (15 << 30), b"far")
    size = ramdump.save(machine, tmp_path / "a.ram")
    assert size == (tmp_path / "a.ram").stat().st_size < 1000
    again = ramdump.load(tmp_path / "a.ram")
    assert again.bus.read(0x8000_0000 + (15 << 30), 4) == b"far\0"
    machine.close()
    again.close()


def test_memory_that_only_a_snapshot_holds_comes_back(tmp_path: Path) -> None:
    """After a snapshot the pages are mapped from elsewhere, and exist here only once they are looked at."""
    machine = Machine(Board(memory=8 << 20))
    machine.bus.write(0x8030_0000, b"before")
    kept = machine.snapshot()
    machine.bus.write(0x8050_0000, b"behind")
    for expected in ((b"before", b"behind"), (b"before", bytes(6))):
        ramdump.save(machine, tmp_path / "a.ram")
        again = ramdump.load(tmp_path / "a.ram")
        assert (again.bus.read(0x8030_0000, 6), again.bus.read(0x8050_0000, 6)) == expected
        again.close()
        machine.restore(kept)
    machine.close()


def test_host_that_does_not_tell_what_was_touched_saves_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(Board(memory=2 << 20))
    machine.bus.write(0x8000_5000, b"x")
    monkeypatch.setattr(ramdump, "_touched", lambda machine, address, size: None)
    ramdump.save(machine, tmp_path / "a.ram")
    again = ramdump.load(tmp_path / "a.ram")
    assert again.bus.read(0x8000_0000, 2 << 20) == machine.bus.read(0x8000_0000, 2 << 20)
    machine.close()
    again.close()


def test_every_single_flipped_bit_is_noticed(tmp_path: Path) -> None:
    machine = Machine(Board(memory=1 << 20))
    machine.bus.write(0x8000_0000, b"something")
    ramdump.save(machine, tmp_path / "a.ram")
    machine.close()
    data = (tmp_path / "a.ram").read_bytes()
    for at in range(0, len(data), 3):
        (tmp_path / "b.ram").write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1:])
        with pytest.raises(RamDumpError, match=r"b\.ram: "):
            ramdump.load(tmp_path / "b.ram")


@pytest.mark.parametrize(("change", "words"), [
    ({"pieces": [[0x1000, 4096]]}, "piece of memory"),
    ({"pieces": [[0x8000_0000, 4096], [0x8000_1000, 4096]]}, "the end, at physical 0x80001000"),
    ({"board": {}}, "board at offset"),
    ({"pieces": 7}, "board at offset"),
])
def test_contents_that_cannot_be_are_refused_in_spite_of_a_good_checksum(
        tmp_path: Path, change: dict[str, object], words: str) -> None:
    machine = Machine(Board(memory=1 << 20))
    machine.bus.write(0x8000_0000, b"something")
    ramdump.save(machine, tmp_path / "a.ram")
    machine.close()
    first, head, rest = (tmp_path / "a.ram").read_bytes()[:-32].split(b"\n", 2)
    forged = b"\n".join((first, json.dumps(json.loads(head) | change).encode(), rest))
    (tmp_path / "b.ram").write_bytes(forged + hashlib.sha256(forged).digest())
    with pytest.raises(RamDumpError, match=words):
        ramdump.load(tmp_path / "b.ram")


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="RAM dump .*: no such file"):
        ramdump.load(tmp_path / "none.ram")
