"""RAM's contents, taken and put back: always the bytes that were there, at the cost of those that changed."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import weakref

import numpy as np
import pytest

from emulator import pagemap, pagestore
from emulator.errors import SnapshotError
from emulator.pagestore import RamImage
from emulator.ram import PAGE, Ram
from emulator.range import Range
from tests.helpers.machines import ROOT

ROM = Range(0x1000, 0xF000)
MIB = 1 << 20
BANKS = (Range(0x8000_0000, 5 * MIB), Range(0x9000_0000, PAGE), Range(0xA000_0000, 3 * MIB))


def ram(*banks: Range) -> Ram:
    return Ram(ROM, banks or BANKS)


def contents(of: Ram) -> bytes:
    return of.bytes[:of.sink_offset].tobytes()


def scribble(of: Ram, chance: random.Random) -> None:
    """Change some pages: single ones, runs, to zeros, a byte or all of it."""
    pages = of.bytes[:of.sink_offset].reshape(-1, PAGE)
    for _ in range(chance.randrange(12)):
        first = chance.randrange(len(pages))
        some = pages[first:first + chance.choice((1, 1, 2, 40))]
        some[:, chance.randrange(PAGE):] = chance.choice((0, 0, 1, 255))


def forget_pagemap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not tell which pages were written."""
    monkeypatch.setattr(pagemap, "PATH", "/nonexistent")


@pytest.mark.parametrize("told", [True, False], ids=["pagemap", "no-pagemap"])
@pytest.mark.parametrize("seed", range(4))
def test_any_of_many_snapshots_comes_back_in_any_order(seed: int, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two memories, snapshots of both restored into both, some forgotten in between."""
    if not told:
        forget_pagemap(monkeypatch)
    chance, memories = random.Random(seed), (ram(), ram())
    kept: list[tuple[RamImage, bytes]] = []
    for _ in range(60):
        one = chance.choice(memories)
        scribble(one, chance)
        action = chance.random()
        if action < 0.4 or not kept:
            before = contents(one)
            kept.append((one.snapshot(), before))
            assert contents(one) == before
        elif action < 0.9:
            image, expected = chance.choice(kept)
            old = np.frombuffer(contents(one), dtype=np.uint8).reshape(-1, PAGE)
            changed = one.restore(image)
            assert contents(one) == expected
            new = np.frombuffer(expected, dtype=np.uint8).reshape(-1, PAGE)
            assert set(np.flatnonzero((old != new).any(axis=1)).tolist()) <= set(changed.tolist())
        else:
            kept.pop(chance.randrange(len(kept)))
    for image, expected in kept:
        memories[0].restore(image)
        assert contents(memories[0]) == expected


def test_an_image_gives_every_page_that_is_not_zero_once_and_in_order() -> None:
    one, chance = ram(), random.Random(1)
    taken = []
    for _ in range(8):
        scribble(one, chance)
        taken.append((one.snapshot(), contents(one)))
    one.restore(taken[3][0])
    for image, expected in taken:
        told, last = np.zeros(len(expected), dtype=np.uint8).reshape(-1, PAGE), -1
        for pages, rows in image.blocks():
            assert pages[0] > last and (np.diff(pages) > 0).all() and rows.any(axis=1).all()
            told[pages] = rows.view(np.uint8)
            last = int(pages[-1])
        assert told.tobytes() == expected


def test_memory_stays_where_it_is() -> None:
    one = ram()
    view = one.view(0x8000_0000, 8)
    assert view is not None
    view[:] = 1
    image = one.snapshot()
    view[:] = 2
    one.restore(image)
    assert one.bytes.ctypes.data == one.host and view.tolist() == [1] * 8
    view[0] = 3
    assert one.bytes[ROM.size] == 3


def test_what_was_not_written_is_not_taken_again() -> None:
    one = ram()
    one.bytes[:6 * MIB] = 1
    first = one.snapshot()
    one.bytes[4 * MIB] = 2
    second = one.snapshot()
    assert isinstance(first, pagestore.Version) and first.parent is second and first.delta is not None
    assert first.delta.pages.tolist() == [4 * MIB // PAGE]


def test_snapshots_that_nobody_holds_cost_nothing() -> None:
    one = ram()
    first, taken = one.snapshot(), []
    for value in range(5):
        one.bytes[:MIB] = value
        taken.append(weakref.ref(one.snapshot()))
        one.restore(first)
        gc.collect()
        assert [version() for version in taken] == [None] * (value + 1)
    del first
    one.bytes[:MIB] = 7
    one.snapshot()
    gc.collect()
    assert one.snapshot().path()[1:] == []


def test_snapshots_outlive_their_machine() -> None:
    one = ram()
    one.bytes[77] = 7
    expected, first = contents(one), one.snapshot()
    one.bytes[78] = 8
    second = one.snapshot()
    del one
    gc.collect()
    other = ram()
    other.restore(second)
    other.restore(first)
    assert contents(other) == expected


def test_an_image_of_another_size_is_refused() -> None:
    one = ram(Range(0x8000_0000, MIB))
    one.bytes[0] = 1
    with pytest.raises(SnapshotError, match=f"RAM of 271 pages: expected {15 + 512}"):
        ram(Range(0x8000_0000, 2 * MIB)).restore(one.snapshot())


def test_an_interrupted_snapshot_leaves_all_others_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ram()
    one.bytes[:3 * MIB] = 1
    before, image = contents(one), one.snapshot()
    one.bytes[:4 * MIB] = 2
    put, calls = pagestore.PageStore._put, []

    def fail(self: pagestore.PageStore, *arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        put(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pagestore.PageStore, "_put", fail)
    with pytest.raises(KeyboardInterrupt):
        one.snapshot()
    after = contents(one)
    assert after[:4 * MIB] == bytes([2]) * 4 * MIB
    one.restore(image)
    assert contents(one) == before


def test_a_forked_process_is_told_to_have_its_own_machine() -> None:
    """Its pages and ours would be in one file."""
    code = """if True:
        import os
        from emulator.errors import SnapshotError
        from tests.emulator.test_ram_snapshots import ram
        one = ram()
        image = one.snapshot()
        if os.fork() == 0:
            for use in (one.snapshot, lambda: one.restore(image)):
                try:
                    use()
                except SnapshotError as why:
                    print(why, flush=True)
            os._exit(0)
        os.wait()
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True,
                          text=True)
    assert done.stdout.count("the machine belongs to the process that forked this one") == 2


RESIDENT = """if True:
    from emulator.ram import Ram
    from emulator.range import Range
    one = Ram(Range(0x1000, 0xF000), [Range(0x8000_0000, 64 << 30)])
    one.bytes[40 << 30:(40 << 30) + 1000] = 1
    images = [one.snapshot()]
    one.bytes[50 << 30] = 2
    images.append(one.snapshot())
    for image in (images[0], images[1], images[0]):
        one.restore(image)
    other = Ram(one.rom, one.banks)
    other.restore(images[1])
    assert [pages.tolist() for pages, _ in images[1].blocks()] == [[40 << 18, 50 << 18]]
    assert other.bytes[50 << 30] == 2 and one.bytes[50 << 30] == 0
    print(int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0]) // 1024)
"""


def test_64_gib_are_not_copied() -> None:
    done = subprocess.run([sys.executable, "-c", RESIDENT], cwd=ROOT, check=True, timeout=60, capture_output=True,
                          text=True)
    assert int(done.stdout) < 400


def test_it_needs_no_privileges() -> None:
    """As user "nobody", if we are root: /proc/self/pagemap tells what was written all the same."""
    code = """if True:
        import ctypes, os
        from tests.emulator.test_ram_snapshots import ram
        from emulator import pagemap
        if os.getuid() == 0:
            os.setgid(65534), os.setuid(65534)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)      # PR_SET_DUMPABLE: /proc/self is ours again, as after exec
        one = ram()
        one.bytes[5 << 20] = 1
        image = one.snapshot()
        one.bytes[3 << 20] = 2
        print(pagemap.private(one.host, len(one.bytes) // 4096), one.restore(image).tolist(), one.bytes[3 << 20])
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60, capture_output=True,
                          text=True)
    assert done.stdout.split() == ["[768]", "[768]", "0"]
