"""The C templates: they build, and what they build passes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hartwell.lab.examination import examine
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.template import C_KINDS, c_files

COMPILERS = ("riscv64-unknown-elf-gcc", "riscv64-linux-gnu-gcc")


@pytest.mark.cross
@pytest.mark.parametrize("kind", C_KINDS)
def test_the_template_builds_and_passes(kind: str, tmp_path: Path) -> None:
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("no compiler for RISC-V: install gcc-riscv64-unknown-elf")
    for path, text in c_files(kind).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    made = subprocess.run(["make", "--no-print-directory"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0 and not made.stderr, made.stderr
    with load_subject(str(tmp_path / "allocator.elf"), Setting(memory=32 << 20)) as subject:
        assert subject.kind.value == kind
        assert examine(subject).findings == ()
