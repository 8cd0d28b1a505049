"""`hartwell lab new`: what it writes passes; it writes all of it, or nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from hartwell.lab.conformance.grading import grade
from hartwell.lab.conformance.setting import suite_setting
from hartwell.lab.conformance.suite import offers, suite
from hartwell.lab.examination import examine
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.setting import Setting
from hartwell.lab.template import C_KINDS
from tests.hartwell.conftest import Hartwell, forked
from tests.hartwell.forkserver import ForkServer

COMPILERS = ("riscv64-unknown-elf-gcc", "riscv64-linux-gnu-gcc")


def passes(spec: str, *only: str) -> bool:
    with load_subject(spec, suite_setting(spec)) as subject:
        return grade(subject, suite(subject.kind, offers(subject), only=only)).ok


@pytest.mark.parametrize("kind", C_KINDS)
def test_python(kind: str, hartwell: Hartwell, tmp_path: Path) -> None:
    done = hartwell("lab", "new", "--lang", "python", "--kind", kind, "mine")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("  cd mine && hartwell test allocator.py:MyAllocator\n")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md", "allocator.py", "pytest.ini", "test_allocator.py"]
    assert passes(f"{tmp_path}/mine/allocator.py:MyAllocator", "sizes", "impossible")


@pytest.mark.cross
@pytest.mark.parametrize("kind", C_KINDS)
def test_c(kind: str, hartwell: Hartwell, tmp_path: Path) -> None:
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("no compiler for RISC-V: install gcc-riscv64-unknown-elf")
    assert hartwell("lab", "new", "--kind", kind, "mine").code == 0
    made = subprocess.run(["make", "--no-print-directory"], cwd=tmp_path / "mine", capture_output=True, check=False)
    assert made.returncode == 0 and not made.stderr, made.stderr
    elf = f"{tmp_path}/mine/allocator.elf"
    with load_subject(elf, Setting(memory=32 << 20)) as subject:
        assert subject.kind.value == kind and examine(subject).findings == ()
    assert passes(elf, "sizes", "at-once")


def test_its_own_tests_pass(hartwell: Hartwell, forks: ForkServer, tmp_path: Path) -> None:
    hartwell("lab", "new", "--lang", "python", "mine")
    done = forked(forks, tmp_path / "mine", "pytest", ["-p", "hartwell.pytest_plugin", "-p", "no:cacheprovider", "-q"])
    assert done.code == 0 and "4 passed" in done.out, done.out


def test_what_is_there_stays(hartwell: Hartwell, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("important")
    (tmp_path / "file").write_text("")
    for name, said in (("mine", "mine: is there already, and not empty; expected a new name"),
                       ("file", "file: is there, and no folder; expected a new name"),
                       ("a/b", "a/b: there is no folder a")):
        done = hartwell("lab", "new", name)
        assert done.code == 2 and done.error == f"error: {said}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]
    (tmp_path / "empty").mkdir()
    assert hartwell("lab", "new", "empty").code == 0


def test_nothing_half_written(tmp_path: Path) -> None:
    from hartwell.cli.lab.new import write

    with pytest.raises(OSError):
        write(tmp_path / "mine", {"good.txt": "text", "good.txt/bad": "a file in a file"})
    assert list(tmp_path.iterdir()) == []
