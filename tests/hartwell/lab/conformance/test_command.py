"""`hartwell test`, as people type it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.hartwell.conftest import Hartwell

BROKEN = """
from kernel.osdk.frame_allocator import FrameAllocator
class Broken(FrameAllocator):
    def dealloc(self, paddr, size):
        if size < 50 * 4096:
            super().dealloc(paddr, size)
"""


def test_full_marks(hartwell: Hartwell) -> None:
    done = hartwell("test", "buddy", "--level", "complete", "--durations")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "buddy: a frame allocator, with 8 MiB on 1 hart"
    assert any(re.fullmatch(r"  merge                6/6   ok    what was cut up is whole again  \(\d\.\d\d s\)", line)
               for line in lines)
    assert lines[-1] == "score                65/65"


def test_a_failure_is_explained_saved_and_written_for_ci(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BROKEN)
    done = hartwell("test", "mine.py:Broken", "--only", "one,reuse", "--save-replay", "bug.replay",
                    "--junit", "out.xml")
    assert (done.code, done.err) == (1, "")
    at = next(n for n, line in enumerate(done.out.splitlines()) if line.startswith("  reuse "))
    line, why = done.out.splitlines()[at:at + 2]
    assert line.startswith("  reuse                0/6   FAIL  expected ")
    assert why.startswith("      exhausted: alloc ")
    assert "      next: hartwell debug --replay bug.replay" in done.out.splitlines()
    assert done.out.splitlines()[-1] == "score                 5/11   level reached: basic; failed: reuse"
    assert "conformance: reuse" in (tmp_path / "bug.replay").read_text()
    assert ET.parse(tmp_path / "out.xml").getroot()[0].get("failures") == "1"


def test_json(hartwell: Hartwell) -> None:
    done = hartwell("test", "buddy", "--only", "one", "--only", "sizes", "--json", "--smp", "2", "--seed", "3")
    result = json.loads(done.out)
    assert (done.code, result["points"], result["of"], result["ok"], result["seed"], result["harts"]) == (
        0, 13, 13, True, 3, 2)
    assert [check["name"] for check in result["checks"]] == ["one", "sizes"]
    assert "seconds" not in result["checks"][0]


def test_what_is_asked(hartwell: Hartwell) -> None:
    checks = json.loads(hartwell("test", "slab", "--list", "--json").out)["checks"]
    assert sum(check["points"] for check in checks) == 100
    names = [check["name"] for check in checks]
    assert "large-and-small" in names and "parts" not in names


def test_an_allocator_that_does_not_come_up(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mine:\n    def __init__(self, mm): pass\n    def dealloc(self, *a): pass\n"
                                      "    def alloc(self, layout):\n        while layout: pass\n"
                                      "    def add_free_memory(self, *a): pass\n")
    done = hartwell("test", "mine.py:Mine", "--level", "basic")
    assert done.code == 1
    assert done.out.startswith("mine.py:Mine: a frame allocator that does not come up: no check can be done\n")
    assert "hang: " in done.out and "0/35" in done.out


def test_mistakes(hartwell: Hartwell) -> None:
    done = hartwell("test", "buddy", "--timing", "rocket", "--profile", "simple")
    assert done.code == 2 and "expected one of them" in done.error
