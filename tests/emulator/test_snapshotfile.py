"""Snapshots in files: the same state is the same file; what is not exactly what was written is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emulator import Board, InputFileError, Machine, SnapshotError
from emulator.sectionfile import HEADER
from emulator.snapshot import Snapshot
from emulator.stop import Exited, Matched, Stop
from tests.helpers.machines import ROOT, digest, image, machine

COUNT = "1: addi a0, a0, 1\n j 1b"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file with something in everything."""
    made = machine("li t0, 0x10000000\n li t1, 'x'\n sb t1, 0(t0)\n" + COUNT, Board(harts=2, memory=1 << 20))
    made.engine.state_arrays["arrays"] = np.arange(40, dtype=np.uint16)
    made.feed(b"typed")
    made.run(max_insns=1000)
    path = tmp_path_factory.mktemp("saved") / "a.snap"
    assert made.snapshot().save(path) == path.stat().st_size
    made.close()
    return path.read_bytes()


def other() -> Machine:
    made = machine(COUNT, Board(harts=2, memory=1 << 20))
    made.engine.state_arrays["arrays"] = np.zeros(40, dtype=np.uint16)
    return made


def sections(data: bytes) -> list[tuple[int, bytes, int]]:
    """(offset, tag, packed size) of each section."""
    at, found = data.index(b"\n") + 1, []
    while at < len(data):
        tag, _, size, _ = HEADER.unpack_from(data, at)
        found.append((at, tag, size))
        at += HEADER.size + size
    return found


def forge(data: bytes, change: Callable[[bytes, bytes], bytes | None]) -> bytes:
    """The file, each section with the contents that `change(tag, contents)` gives (None: left out); good checksums."""
    out = bytearray(data[:data.index(b"\n") + 1])

    def put(tag: bytes, body: bytes) -> None:
        packed = zlib.compress(body)
        head = HEADER.pack(tag, len(body), len(packed), 0)
        out.extend(HEADER.pack(tag, len(body), len(packed), zlib.crc32(packed, zlib.crc32(head))) + packed)

    for at, tag, size in sections(data)[:-1]:
        body = change(tag, zlib.decompress(data[at + HEADER.size:at + HEADER.size + size]))
        if body is not None:
            put(tag, body)
    put(b"DONE", hashlib.sha256(out).digest())
    return bytes(out)


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[bytes, bytes], bytes]:
    """For `forge`: change the head."""

    def apply(tag: bytes, body: bytes) -> bytes:
        if tag != b"HEAD":
            return body
        head = json.loads(body)
        change(head)
        return json.dumps(head).encode()

    return apply


def refused(data: bytes, path: Path) -> str:
    """How `Snapshot.load` refuses a file of these bytes."""
    path.write_bytes(data)
    with pytest.raises(SnapshotError) as found:
        Snapshot.load(path)
    assert str(found.value).startswith(f"{path}: ")
    assert "\n" not in str(found.value)
    return str(found.value).removeprefix(f"{path}: ")


# --- what comes back --------------------------------------------------------------------------------


def test_a_file_holds_all_of_it(saved: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.snap").write_bytes(saved)
    made = other()
    made.restore(Snapshot.load(str(tmp_path / "a.snap")))
    assert (made.console, made.uart.input_left, made.harts[1].read("t1")) == (b"x", 5, ord("x"))
    assert made.engine.state_arrays["arrays"].tolist() == list(range(40))
    assert made.snapshot().save(tmp_path / "b.snap") == len(saved)
    assert (tmp_path / "b.snap").read_bytes() == saved
    made.close()


@pytest.mark.parametrize("harts", [1, 3])
def test_two_machines_that_did_the_same_make_the_same_file(harts: int, tmp_path: Path) -> None:
    name, text = ("smp-pingpong", b"Game 2") if harts > 1 else ("timer", b"tick 4")
    for number, limit in enumerate((10_000_000, 20_000)):
        made = image(name).boot(harts)
        while made.expect(text, max_insns=limit) != Matched():  # how it got there, and what it was before, is not in it
            made.snapshot()
            made.bus.write(0x8700_0000, b"x" * 1_000_000)
            made.bus.write(0x8700_0000, bytes(1_000_000))
        made.snapshot().save(tmp_path / f"{number}.snap")
        made.close()
    assert (tmp_path / "0.snap").read_bytes() == (tmp_path / "1.snap").read_bytes()


def test_another_process_goes_on_from_it(tmp_path: Path) -> None:
    made = image("smp-pingpong").boot(2)
    made.run(max_insns=1_000_000)
    made.snapshot().save(tmp_path / "a.snap")
    code = f"""if True:
        from emulator import Board, Machine, Snapshot
        from tests.helpers.machines import digest, image
        made = Machine(Board(harts=2))
        made.restore(Snapshot.load({str(tmp_path / "a.snap")!r}))
        assert image("smp-pingpong").run(made).ok
        print(digest(made))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True,
                          text=True)
    assert image("smp-pingpong").run(made) == Exited(0)
    assert done.stdout.strip() == digest(made)
    made.close()


def test_memory_that_is_zero_costs_nothing(tmp_path: Path) -> None:
    made = Machine(Board(memory=16 << 30))
    made.bus.write(0x8000_0000 + (15 << 30), b"far")
    made.bus.write(0x8000_0000 + (9 << 30), b"gone")
    made.bus.write(0x8000_0000 + (9 << 30), bytes(4))
    assert made.snapshot().save(tmp_path / "a.snap") < 8000
    again = Machine(made.board)
    again.restore(Snapshot.load(tmp_path / "a.snap"))
    assert again.bus.read(0x8000_0000 + (15 << 30), 4) == b"far\0"
    made.close()
    again.close()


# --- damage -----------------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_is_noticed(saved: bytes, tmp_path: Path) -> None:
    chance = random.Random(1)
    ends = [at + offset for at, _, size in sections(saved)
            for offset in (*range(HEADER.size + 4), HEADER.size + size - 1)]
    for at in sorted({*range(60), *ends, *chance.sample(range(len(saved)), 600)}):
        refused(saved[:at] + bytes([saved[at] ^ 1 << chance.randrange(8)]) + saved[at + 1:], tmp_path / "b.snap")


def test_damage_is_named_with_its_section_and_offset(saved: bytes, tmp_path: Path) -> None:
    for at, tag, size in sections(saved):
        inside = at + HEADER.size + size // 2
        words = refused(saved[:inside] + bytes([saved[inside] ^ 255]) + saved[inside + 1:], tmp_path / "b.snap")
        assert words.startswith(f"section {tag.decode()} at offset {at:#x}: found the checksum 0x")
        assert words.endswith("the file is damaged")


def test_a_file_cut_short_anywhere_is_refused(saved: bytes, tmp_path: Path) -> None:
    for length in sorted({*range(1, 80), *range(80, len(saved), 97), len(saved) - 1}):
        refused(saved[:length], tmp_path / "b.snap")
    assert "the file is cut short" in refused(saved[:-1], tmp_path / "b.snap")
    words = refused(saved + b"x", tmp_path / "b.snap")
    assert words.startswith(f"end of the file at offset {len(saved):#x}: found 1 more bytes")


def test_pieces_of_files_put_together_are_refused(saved: bytes, tmp_path: Path) -> None:
    places = sections(saved)
    parts = [saved[at:at + HEADER.size + size] for at, _, size in places]
    start, chance = saved[:places[0][0]], random.Random(2)
    for _ in range(60):
        mixed = chance.sample(parts, chance.randrange(len(parts) + 1))
        if mixed != parts:
            refused(start + b"".join(mixed), tmp_path / "b.snap")
    assert "another SHA-256" in refused(start + parts[0] + parts[-1], tmp_path / "b.snap")


@pytest.mark.parametrize(("data", "words"), [
    (b"\x7fELF" + bytes(100), "snapshot at offset 0x0: found b'\\x7fELF"),
    (b"HARTWELL-RAM 1\n{}", "expected b'HARTWELL-SNAPSHOT': hartwell boot --save FILE writes one"),
    (b"HARTWELL-SNAPSHOT 2\n", "version at offset 0x12: found '2', expected 1: a newer Hartwell wrote it"),
    (b"HARTWELL-SNAPSHOT x\n", "version at offset 0x12: found 'x', expected 1"),
    (b"HARTWELL-SNAPSHOT 1", "version at offset 0x12"),
    (b"HARTWELL-SNAPSHOT 1\n", "section at offset 0x14: found 0 bytes, expected at least 24: the file is cut short"),
])
def test_another_files_contents_are_refused(data: bytes, words: str, tmp_path: Path) -> None:
    assert words in refused(data, tmp_path / "b.snap")


@pytest.mark.parametrize(("name", "words"),
                         [("none.snap", "no such file"), (".", "is a directory"), ("empty", "is empty")])
def test_what_is_no_file_is_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(InputFileError, match=f"snapshot .*{words}"):
        Snapshot.load(tmp_path / name)


# --- what has good checksums, and cannot be all the same -----------------------------------------------


@pytest.mark.parametrize(("change", "words"), [
    (lambda head: head.pop("board"), "section HEAD at offset 0x14: found KeyError: 'board'"),
    (lambda head: head["board"].update(harts=99), "99 harts: expected 1 to 8"),
    (lambda head: head["board"].update(banks=7), "the state of a machine"),
    (lambda head: head.update(devices=[["uart"]]), "the state of a machine"),
    (lambda head: head.update(pages=3), "pages of RAM that do not ascend"),
    (lambda head: head["fields"]["machine"].pop(), "wrote it, whose machines have other state (M_MPRV_MODE)"),
    (lambda head: head["fields"]["hart"].append(["H_NEW", 1]), "other state (H_NEW): expected this version"),
    (lambda head: head["fields"]["hart"][0].__setitem__(1, 7), "other state (the sizes of fields)"),
    (lambda head: head.update(state={}), "KeyError: 'engine'"),
    (lambda head: head["state"].update(host={"dict": {}}), "KeyError: 'stop'"),
    (lambda head: head["state"]["host"]["dict"].update(stop=["Formatted", {"dict": {}}]), "StopIteration"),
    (lambda head: head["state"]["host"]["dict"]["console"].update(bytes=[10**9, 1]), "bytes 1000000000 to 1000000001"),
    (lambda head: head["state"]["engine"]["dict"]["harts"].update(type="|O"), "ValueError"),
    (lambda head: head["state"]["engine"]["dict"]["harts"].update(shape=[3]), "ValueError"),
])
def test_a_head_that_makes_no_sense_is_refused(
        saved: bytes, tmp_path: Path, change: Callable[[dict[str, object]], object], words: str) -> None:
    assert words in refused(forge(saved, edit(change)), tmp_path / "b.snap")


@pytest.mark.parametrize(("tag", "change", "words"), [
    (b"PAGE", lambda body: body[:-1], "expected a multiple of 4104"),
    (b"PAGE", lambda body: b"\xff" * 8 + body[8:], "pages of RAM that do not ascend"),
    (b"HEAD", lambda body: b"{", "section HEAD"),
    (b"HEAD", lambda body: None, "found DATA, expected HEAD once, at the beginning"),
    (b"DATA", lambda body: None, "ValueError: bytes"),
])
def test_sections_that_make_no_sense_are_refused(
        saved: bytes, tmp_path: Path, tag: bytes, change: Callable[[bytes], bytes | None], words: str) -> None:
    forged = forge(saved, lambda found, body: change(body) if found == tag else body)
    assert words in refused(forged, tmp_path / "b.snap")


@pytest.mark.parametrize(("change", "words"), [
    (lambda head: head["state"]["devices"].pop(), "zip"),
    (lambda head: head["state"]["devices"][0].update(dict={}), "device clint cannot be what it was: KeyError"),
    (lambda head: head["state"]["devices"][2]["dict"].update(ier="all"), "device uart cannot be .*: ValueError"),
    (lambda head: head["state"]["devices"][2]["dict"].update(input=None), "device uart cannot be .*: TypeError"),
    (lambda head: head["state"]["devices"][5].update(dict={"x": 1}), "slot 0: nothing here, a disk in the snapshot"),
    (lambda head: head["state"]["host"]["dict"].update(events=[[4, 5, "explode"]]), "explode of device 4 scheduled"),
    (lambda head: head["state"]["host"]["dict"].update(events=[[99, 5, "_ring"]]), "_ring of device 99 scheduled"),
    (lambda head: head["state"]["engine"]["dict"].update(hart=2), "hart in the engine .*: found 2, expected 0 to 1"),
    (lambda head: head["state"]["engine"]["dict"]["arrays"]["dict"].clear(), "the state arrays of the snapshot"),
])
def test_state_that_the_machine_cannot_have_is_refused_and_changes_nothing(
        saved: bytes, tmp_path: Path, change: Callable[[dict[str, object]], object], words: str) -> None:
    (tmp_path / "b.snap").write_bytes(forge(saved, edit(change)))
    made, same = other(), other()
    for one in (made, same):
        one.feed(b"something else")
        one.run(max_insns=500)
    with pytest.raises(SnapshotError, match=words):
        made.restore(Snapshot.load(tmp_path / "b.snap"))
    assert made.uart.input_left == same.uart.input_left
    for one in (made, same):
        one.run(max_insns=500)
    assert digest(made) == digest(same)
    made.close()
    same.close()


# --- writing ----------------------------------------------------------------------------------------


def test_a_file_appears_as_a_whole_or_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, path = other(), tmp_path / "a.snap"
    path.write_bytes(b"what was there")
    snapshot = made.snapshot()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        snapshot.save(path)
    assert path.read_bytes() == b"what was there" and os.listdir(tmp_path) == ["a.snap"]
    monkeypatch.undo()
    (tmp_path / "link.snap").symlink_to(path)
    snapshot.save(tmp_path / "link.snap")
    assert (tmp_path / "link.snap").is_symlink() and Snapshot.load(path).board["harts"] == 2
    made.close()


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    made = other()
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/null"), tmp_path):
        with pytest.raises(SnapshotError, match="not a regular file"):
            made.snapshot().save(path)
    with pytest.raises(FileNotFoundError):
        made.snapshot().save(tmp_path / "nowhere" / "a.snap")
    made.close()


class Odd(Stop):
    """A stop of a device that is not ours."""


def test_what_a_file_cannot_hold_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = other()
    made.request_stop(Odd())
    before = made.snapshot()
    with pytest.raises(SnapshotError, match="a device has asked for Odd, which a file cannot hold"):
        before.save(tmp_path / "a.snap")
    made.restore(before)
    assert isinstance(made.run(max_insns=10), Odd)
    monkeypatch.setattr(made.devices[3], "state", lambda: {"ratio": 0.5})
    with pytest.raises(SnapshotError, match="device test: its state has a float, expected numbers"):
        made.snapshot().save(tmp_path / "a.snap")
    assert os.listdir(tmp_path) == []
    made.close()
