"""The pytest plugin, as a user's own tests see it: another process, in a folder of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result, forked
from .forkserver import ROOT, ForkServer

PLUGIN = "hartwell.pytest_plugin"
EVERYTHING = """
import pytest
from kernel.mm import FrameAllocOptions

def test_frames(frame_allocator):
    block = frame_allocator.alloc(4 * 4096)
    head, tail = frame_allocator.split(block, 4096)
    frame_allocator.dealloc(tail)
    assert frame_allocator.live == [head] and frame_allocator.name == "buddy"
    assert len(frame_allocator.machine.harts) == 2
    frame_allocator.dealloc(head, cpu=1)
    assert frame_allocator.last_cost.instructions > 0

def test_each_test_has_a_pristine_one(frame_allocator):
    assert frame_allocator.live == [] and len(frame_allocator.operations) == 0
    with pytest.raises(AssertionError, match="alloc 4,096"):
        frame_allocator.machine.bus.write(frame_allocator.alloc(4096).address, b"x" * 8)
        frame_allocator.check(frame_allocator.live[0])

def test_heap(heap_allocator):
    blocks = [heap_allocator.alloc(n, 16) for n in range(1, 30)]
    assert all(block.address % 16 == 0 for block in blocks)

def test_the_kernel_on_the_machine(kernel, machine):
    assert kernel.machine is machine and kernel.mm.cpu_locals.count == 2 and machine.timing is None

def test_cost(kernel, timing, frame_allocator):
    with timing.measure() as cost:
        FrameAllocOptions(kernel.mm).alloc_frame().drop()
    assert (timing.profile.name, cost.cycles > 0, timing.cycles > 0) == ("rocket", True, True)
    frame_allocator.alloc(4096)
    assert frame_allocator.last_cost.cycles > frame_allocator.last_cost.instructions > 0
"""
KNOWN = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What a fork says that has imported modules already."""
BROKEN = """
def test_wrong_answer(frame_allocator):
    frame_allocator.alloc(4096)
    frame_allocator.alloc(4096, 1 << 16)

def test_loss(heap_allocator):
    heap_allocator.dealloc(heap_allocator.alloc(100))

def test_fine(frame_allocator):
    frame_allocator.alloc(4096)
"""


@pytest.fixture
def run(forks: ForkServer, tmp_path: Path) -> Callable[..., Result]:
    """Runs pytest with the plugin in the test's folder, or another."""
    def run(*arguments: str, folder: Path = tmp_path) -> Result:
        return forked(forks, folder, "pytest", ["-p", PLUGIN, "-p", "no:cacheprovider", "-q", *KNOWN, *arguments])

    return run


def test_every_fixture(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "test_all.py").write_text(EVERYTHING)
    (tmp_path / "pytest.ini").write_text("[pytest]\nhartwell_heap_allocator = slab\nhartwell_smp = 4\n")
    done = run("--frame-allocator", "buddy", "--smp", "2")
    assert done.code == 0, done.out
    assert re.search(r"^5 passed", done.out, re.M)


def test_failures_are_readable_and_can_be_replayed(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "test_bad.py").write_text(BROKEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run("--frame-allocator", "buddy/align-ignored", "--heap-allocator", "slab/empty-slab-lost",
               "--save-replays", "out")
    assert done.code == 1
    assert re.search(r"AllocatorFailure: buddy/align-ignored: misaligned: alloc 4,096 bytes \(align 65,536\) -> #1: "
                     r"0x\w+ is not a multiple of 65,536", done.out)
    assert "when everything was given back at the end of the test\nslab/empty-slab-lost: lost: " in done.out
    assert "facade.py" not in done.out, "the traceback ends where the test calls"
    assert re.search(r"^1 failed, 2 passed, 1 error", done.out, re.M)
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == ["test_loss", "test_wrong_answer"]

    from hartwell.lab.search.replay import Replay, Verdict

    for path in (tmp_path / "out").iterdir():
        assert Replay.load(str(path)).run().verdict is Verdict.FAILS, path.name


def test_mistakes(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "test_two.py").write_text(BROKEN[BROKEN.index("def test_fine"):] + "def test_m(machine): pass\n")
    done = run("--frame-allocator", "nothing", "--smp", "9")
    assert done.code == 1 and done.out.count("--smp 9: expected a number of harts, 1 to 8") >= 2
    assert "pytest_plugin.py" not in done.out and "During handling" not in done.out, "a mistake is told in a line"


def test_it_costs_others_nothing() -> None:
    seen = subprocess.run([sys.executable, "-c", f"import sys, {PLUGIN}\n"
                           "print([name for name in ('numpy', 'kernel', 'emulator', 'rich') if name in sys.modules])"],
                          cwd=ROOT, capture_output=True, text=True, check=True)
    assert seen.stdout == "[]\n"


def test_pytest_finds_it_by_itself() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert declared == {PLUGIN: PLUGIN}


def test_our_own_tests_have_their_own_fixtures(run: Callable[..., Result]) -> None:
    """With the plugin installed, `kernel` of tests/ is tests/helpers/kernels.py's: conftests come before plugins."""
    tests = ROOT / "tests" / "kernel" / "mm" / "frame" / "test_allocator.py"
    done = run("--fixtures-per-test", str(tests), folder=ROOT)
    assert "tests/helpers/kernels.py" in done.out and "pytest_plugin.py" not in done.out
