"""Every command that the documentation shows prints what the documentation says.

A ```console block holds commands, `$ ` in front, each with its output; `...` stands for anything,
between lines and within one. What a block needs is behind its kind: `cross` the cross compiler, `guest`
the fetched guests ($GUESTS), `gdb` gdb-multiarch. A ```pycon block is an interactive Python session, by
doctest's rules; those of a page are one session, in the folder of its commands. A block with a file's name
behind its kind, as ```asm NAME and ```python NAME, is that file.
"""

from __future__ import annotations

import contextlib
import doctest
import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, environment
from .forkserver import ForkServer

FENCE = re.compile(r"^```(\w+)(?: ([\w.]+))?\n(.*?)^```$", re.M | re.S)


def guests() -> Path:
    return Path(os.environ.get("HARTWELL_GUESTS") or ROOT / "tests/guests/.cache").absolute()


def prepare(folder: Path, forks: ForkServer) -> dict[str, str]:
    """A folder that looks like the checkout, with the command on PATH; the environment to work in."""
    for name in ("images", "firmware", "emulator", "allocators"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    for name, text in (("hartwell", forks.client), ("python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')):
        command = folder / "bin" / name
        command.write_text(text)
        command.chmod(0o755)
    return environment({"PATH": f"{folder}/bin:{os.environ['PATH']}", "GUESTS": str(guests()), "COLUMNS": "80",
                        "PYTEST_PLUGINS": "hartwell.pytest_plugin"})


def check(text: str, folder: Path, env: dict[str, str], missing: set[str]) -> None:
    """Run every block of a page, in order, in one folder; blocks that need what is `missing` are left out."""
    with session() as names:
        _check(text, folder, env, missing, names)


def _check(text: str, folder: Path, env: dict[str, str], missing: set[str], names: dict[str, Any]) -> None:
    for kind, extra, body in FENCE.findall(text):
        if "." in extra:
            (folder / extra).write_text(body)
        if kind == "pycon":
            talk(body, folder, names)
        if kind != "console" or extra in missing:
            continue
        for shown in re.split(r"^\$ ", body, flags=re.M)[1:]:
            command, _, expected = shown.partition("\n")
            done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=100)
            screen = done.stdout.decode("utf-8", "replace").replace("\r", "")
            printed = "\n".join(line.rstrip() for line in screen.splitlines())
            assert matches(expected, printed), f"$ {command}\n{printed}\n--- but the page says:\n{expected}"


@contextlib.contextmanager
def session() -> Iterator[dict[str, Any]]:
    """The names of an interactive session, which are forgotten at its end: nothing may still be held then."""
    names: dict[str, Any] = {"__name__": "__main__"}
    yield names
    names.clear()
    gc.collect()


def talk(body: str, folder: Path, names: dict[str, Any]) -> None:
    """Run a piece of an interactive session, and compare what it prints."""
    part = doctest.DocTestParser().get_doctest(body, names, "the page's session", None, 0)
    part.globs = names  # doctest makes a copy
    runner, report = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS), list[str]()
    with contextlib.chdir(folder):
        runner.run(part, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def matches(expected: str, printed: str) -> bool:
    """Whether the two are the same but for `...`; empty lines at either end do not count."""
    shown, real = (text.strip("\n") + "\n" for text in (expected, printed))
    parts = re.split(r"^\.\.\.\n|\.\.\.", shown, flags=re.M)
    return re.fullmatch(".*".join(map(re.escape, parts)), real, re.S) is not None


def complete_tutorial(folder: Path) -> None:
    """Do what section 4 asks the reader to do by hand."""
    page = (ROOT / "docs/tutorial-boot.md").read_text()
    handler, end = (body for kind, extra, body in FENCE.findall(page) if kind == "asm" and not extra)
    program = next(body for kind, extra, body in FENCE.findall(page) if extra == "fault.S")
    first, loop, last = "lbu     a0, 0(s0)\n", "        j       .\n", "handler:\n"
    assert first + loop in program
    assert last + loop in program
    (folder / "mapped.S").write_text(program.replace(first + loop, first + end).replace(last + loop, last + handler))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial-boot.md", "docs/tutorial-kernel.md", "docs/kernel.md",
                                  "docs/guests.md", "docs/snapshots.md", "docs/timing.md", "docs/explain-boot.md",
                                  "docs/gdb.md", "docs/debug.md", "docs/tutorial-debug.md", "docs/ramfs.md",
                                  "docs/programs.md", "docs/lab.md", "docs/lab-campaigns.md", "docs/lab-findings.md",
                                  "docs/lab-search.md"])
def test_commands_print_what_the_page_says(page: str, tmp_path: Path, forks: ForkServer) -> None:
    env = prepare(tmp_path, forks)
    text = (ROOT / page).read_text()
    missing = set()
    if not (guests() / "initramfs-bench.cpio.gz").exists():
        missing.add("guest")
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        missing.add("cross")
    if shutil.which("gdb-multiarch") is None:
        missing.add("gdb")
    complete_tutorial(tmp_path)
    check(text, tmp_path, env, missing)
    needed = {extra for kind, extra, _ in FENCE.findall(text) if kind == "console"} & missing
    if needed:
        pytest.skip(f"all but the blocks that need: {', '.join(sorted(needed))}")


def test_a_session_goes_on_and_is_compared_with_what_the_page_shows(tmp_path: Path) -> None:
    with session() as names:
        talk(">>> number = 41\n", tmp_path, names)
        talk(">>> number + 1\n42\n", tmp_path, names)
        with pytest.raises(AssertionError, match="Failed example"):
            talk(">>> number + 1\n43\n", tmp_path, names)


def test_python_in_the_readme_runs(tmp_path: Path, forks: ForkServer) -> None:
    prepare(tmp_path, forks)
    (code,) = (body for kind, _, body in FENCE.findall((ROOT / "README.md").read_text()) if kind == "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True,
                          check=True)
    assert done.stdout.startswith("the guest exited with code 0 ")


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^):#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
