"""hartwell debug --replay: it begins at the failure, and the past is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from hartwell.lab.finding import Finding, FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.search.replay import Replay, save_replay
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.trial import Trial
from tests.hartwell.conftest import Hartwell, Result
from tests.hartwell.lab.search.broken import ALLOC, LOOP, TRAP, always, broken, scribbler

SETTING = Setting(memory=32 << 20, budget=20_000)


@pytest.fixture(scope="module")
def place() -> int:
    """An address in the allocator's memory."""
    with load_subject("buddy", SETTING) as subject:
        return subject.memory.start + 64 * 4096


def save(path: str, program: Program, spec: str = "") -> Finding:
    """What `program` finds, saved in x.replay beside the allocator."""
    with load_subject(spec or path, SETTING) as subject:
        found = Trial(subject).run(program.operations, conserve=False).findings[0]
        save_replay(str(Path(path).parent / "x.replay"), subject, program.operations, 0, SETTING, found)
    return found


def three() -> Program:
    """Two allocations, and the first comes back."""
    program = Program()
    first = program.alloc(4096, 4096)
    program.alloc(8192, 4096)
    program.dealloc(first)
    return program


def debug(hartwell: Hartwell, *commands: str) -> Result:
    """A session with x.replay."""
    return hartwell("debug", "--replay", "x.replay", "--batch", *(part for each in commands for part in ("-ex", each)))


def test_a_wrong_block_is_looked_at_where_it_is_returned(hartwell: Hartwell, tmp_path: Path, place: int) -> None:
    save(str(broken(tmp_path, ALLOC, always(place))), three())
    result = debug(hartwell, "p/x $a0", "rsi", "b operation:1", "rc", "b hartwell_frame_alloc", "c", "p/x $a0", "c")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].endswith("which is allocated") and "x.replay" not in lines[0]
    assert lines[1:3] == ["  operation:0  alloc 4,096 bytes (align 4,096) -> #0",
                          "  operation:1  alloc 8,192 bytes (align 4,096) -> #1  <-- fails"]
    text = result.out
    assert f"= {place:#x}" in text.split("$1", 1)[1].splitlines()[0]
    assert "mark 1: at operation:1" in text and "does     alloc 8,192 bytes" in text
    assert "breakpoint 2: hart 0 reached" in text and "$2 = 0x2000" in text
    assert "the replay is over. rc, rs, rn and goto go back from here" in text


def test_a_trap_is_looked_at_before_it(hartwell: Hartwell, tmp_path: Path) -> None:
    path = broken(tmp_path, ALLOC, TRAP)
    finding = save(str(path), three())
    result = debug(hartwell, "p/x $pc", "bt")
    assert f"$1 = {finding.address:#x}" in result.out
    assert "in hartwell_frame_alloc" in result.out and "in driver_run" in result.out


def test_a_hang_is_looked_at_where_it_loops(hartwell: Hartwell, tmp_path: Path) -> None:
    save(str(broken(tmp_path, ALLOC, LOOP)), three())
    result = debug(hartwell, "si 3", "p/x $pc", "b driver_run", "rc")
    assert "operation 0 failed: hang" in result.out and "it loops here" in result.out
    assert result.out.count("<hartwell_frame_alloc>:") >= 2
    assert "breakpoint 1: hart 0 reached" in result.out and "<driver_run>" in result.out


def test_who_wrote_to_a_block_is_found(hartwell: Hartwell, tmp_path: Path, place: int) -> None:
    program = Program()
    first = program.alloc(4096, 4096)
    program.alloc(8192, 4096)
    program.check(first)
    finding = save(str(broken(tmp_path, ALLOC, scribbler(place))), program)
    assert (finding.kind, finding.operation, finding.address) == (FindingKind.CONTENTS, 2, place)
    result = debug(hartwell, f"last-write {place:#x} 1", "goto write")
    assert f"last-write {place:#x} 1 tells who has written there last" in result.out
    assert "by the instruction at" in result.out and "<hartwell_frame_alloc+0x24>:  sd" in result.out.splitlines()[-1]


def test_it_is_said_when_there_is_nothing_to_look_at(hartwell: Hartwell, tmp_path: Path) -> None:
    path = broken(tmp_path, ALLOC, TRAP)
    save(str(path), three())
    path.write_bytes(broken(tmp_path, ALLOC, (), "sound.elf").read_bytes())
    result = debug(hartwell)
    assert result.code == 2
    assert "is not what it was" in result.err
    assert "passes now: there is no failure to look at (it was crash" in result.err


@pytest.mark.parametrize("arguments", [("hello",), ("--smp", "2"), ("--timing", "rocket"), ("--track",)])
def test_a_replay_says_what_runs(hartwell: Hartwell, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = hartwell("debug", "--replay", "x.replay", *arguments)
    assert result.code == 2 and "says itself what runs" in result.error


def test_a_python_allocator(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from kernel.osdk.frame_allocator import FrameAllocator\n\n\nclass Mine(FrameAllocator):\n"
        "    def alloc(self, layout):\n        found = super().alloc(layout)\n"
        "        if layout.size == 20480:\n            self.kept = getattr(self, 'kept', found)\n"
        "            return self.kept\n        return found\n")
    program = Program()
    program.alloc(20480, 4096)
    program.alloc(20480, 4096)
    save(str(tmp_path / "mine.py"), program, f"{tmp_path}/mine.py:Mine")
    assert Replay.load(str(tmp_path / "x.replay")).finding.kind is FindingKind.OVERLAP
    result = debug(hartwell, "b operation:1", "rc", "tb op:frame_alloc", "c")
    assert result.code == 0, result.err
    assert "operation 1 failed: overlap" in result.out and "mark 1: at operation:1" in result.out
    assert "temporary mark 2: at op:frame_alloc" in result.out
