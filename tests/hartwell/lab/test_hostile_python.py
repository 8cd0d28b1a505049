"""Python allocators that raise whatever there is: a finding or a SpecError in one line, never the end of the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from hartwell.lab.errors import LabError, SpecError, SubjectFailed
from hartwell.lab.finding import FindingKind
from hartwell.lab.operation import Program
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.setting import Setting
from kernel.errors import AllocatorHung
from kernel.mm.watchdog import Watchdog

SETTING = Setting(memory=8 << 20)
CLASS = """
import sys
from kernel.osdk.frame_allocator import FrameAllocator

class Unsaid(BaseException):
    def __str__(self):
        return 1 / 0

class Mine:
    armed = False
    def __init__(self, mm):
        self.inner = FrameAllocator(mm)
    def add_free_memory(self, paddr, size):
        self.inner.add_free_memory(paddr, size)
    def dealloc(self, paddr, size):
        self.inner.dealloc(paddr, size)
    def alloc(self, layout):
        if Mine.armed:
            {deed}
        return self.inner.alloc(layout)
"""


@pytest.mark.parametrize(("deed", "kind", "said"), [
    ("sys.exit(0)", FindingKind.CRASH, "SystemExit at mine.py:19: 0"),
    ("raise Unsaid", FindingKind.CRASH, "Unsaid at mine.py:19: (its text cannot be had: ZeroDivisionError)"),
    (r"raise ValueError('a\nb')", FindingKind.CRASH, r"ValueError at mine.py:19: a\nb"),
    ("return 'text'", FindingKind.CRASH, "TypeError"),
    ("return -4096", FindingKind.OUT_OF_RANGE, "-0x1000"),
    ("return 1 << 70", FindingKind.OUT_OF_RANGE, "physical memory is"),
    ("while True: pass", FindingKind.HANG, "did not end within 1000000 lines"),
])
def test_what_an_allocator_raises_or_returns_is_a_finding(tmp_path: Path, deed: str, kind: FindingKind,
                                                         said: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(CLASS.format(deed=deed))
    program = Program()
    program.alloc(4096, 4096)
    with load_subject(f"{file}:Mine", SETTING) as subject:
        subject.factory.armed = True  # type: ignore[attr-defined]
        with pytest.raises(SubjectFailed) as failed:
            subject.run(program.operations)
    assert failed.value.finding.kind is kind and said in str(failed.value) and str(failed.value).isprintable()


@pytest.mark.parametrize("text", [
    "import sys; sys.exit(3)",
    "raise BaseException('a\\nb')",
    "class M(type):\n def __getattr__(cls, name): raise RuntimeError('no')\nclass Mine(metaclass=M): pass",
    "def __getattr__(name): raise RuntimeError('no')",
    "class Mine:\n alloc = dealloc = add_free_memory = 1",
    "class Mine:\n alloc = dealloc = add_free_memory = lambda *_: None\n def __init__(self, mm): raise SystemExit",
])
def test_what_a_module_does_instead_is_a_spec_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(SpecError) as refused:
        load_subject(f"{file}:Mine", SETTING)
    assert str(refused.value).isprintable()


def test_a_machine_that_is_too_small_is_no_fault_of_the_allocator() -> None:
    with pytest.raises(Exception, match="does not fit into RAM") as refused:
        load_subject("osdk-frame", Setting(memory=1 << 20))
    assert not isinstance(refused.value, LabError)


def test_an_allocator_that_never_comes_up_hangs(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("class Mine:\n alloc = dealloc = add_free_memory = lambda *_: None\n"
                    " def __init__(self, mm):\n  while True: pass")
    with pytest.raises(SubjectFailed, match="the allocator's start did not end within 5000 lines") as failed:
        load_subject(f"{file}:Mine", Setting(memory=8 << 20, budget=5000))
    assert failed.value.finding.kind is FindingKind.HANG and failed.value.kind == "frame"


def test_a_loop_that_python_calls_one_line_ends() -> None:
    def turns() -> None:
        while True: pass  # noqa: E701 - on one line it jumps to itself

    with pytest.raises(AllocatorHung):
        Watchdog(1000).call("mine", "alloc", turns)
