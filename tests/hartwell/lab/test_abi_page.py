"""docs/lab-abi.md is about the header that there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import allocators
from hartwell.lab.subject import SubjectKind, guest, load_subject, text
from hartwell.lab.subject.setting import CALL_BUDGET, PER_BYTE

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "lab-abi.md").read_text("utf-8")
HEADER = (Path(allocators.__file__).parent / "include" / "hartwell" / "lab.h").read_text("utf-8")
PROTOTYPES = re.findall(r"^\w[\w ]*\*?\bhartwell_\w+\([^)]*\);", HEADER, re.M)


def test_each_function_of_the_header_is_on_the_page() -> None:
    assert len(PROTOTYPES) >= 10
    for prototype in PROTOTYPES:
        assert f"`{prototype.removesuffix(';')}`" in PAGE
    for name in re.findall(r"^static inline .*\b(hartwell_\w+)\(", HEADER, re.M):
        assert f"`{name}(" in PAGE


def test_the_page_names_nothing_else() -> None:
    known = set(re.findall(r"hartwell_\w+", HEADER))
    known |= {"hartwell_" + promise.replace("-", "_") for promise in guest.PROMISES}
    assert set(re.findall(r"hartwell_\w+", PAGE)) <= known


def test_the_functions_that_the_lab_calls_are_those_of_the_header() -> None:
    declared = {re.search(r"hartwell_\w+", prototype)[0] for prototype in PROTOTYPES}  # type: ignore[index]
    called = {prefix + name for prefix in guest.PREFIXES.values() for name in guest.FUNCTIONS}
    assert called | {guest.RECLAIM, "hartwell_init"} <= declared


@pytest.mark.parametrize("promise", guest.PROMISES)
def test_each_promise_is_explained(promise: str) -> None:
    assert f"`hartwell_{promise.replace('-', '_')}`" in PAGE and promise.replace("-", "_") in HEADER


def test_the_addresses_and_budgets_are_those_of_the_lab() -> None:
    for where in (text.DRIVER_TEXT, text.ALLOCATOR_TEXT, text.CLIENT_TEXT):
        assert f"| `{where.start:#x}` | {len(where) >> 20} MiB |" in PAGE
    assert f"{CALL_BUDGET:,} instructions, or eight for each byte" in PAGE and PER_BYTE == 8
    assert f"{guest.PANIC:#010x}" == f"{16 << 25 | 0x0B:#010x}" and ".insn r 0x0b, 0, 16, x0, x0, x0" in HEADER


@pytest.mark.skipif(shutil.which("riscv64-unknown-elf-g++") is None, reason="no cross compiler")
def test_the_page_s_cplusplus_is_built_and_a_constructor_is_refused(tmp_path: Path) -> None:
    """With the page's command: functions and promises have C's names, and what nobody would call is told."""
    lab = Path(allocators.__file__).parent
    (tmp_path / "hartwell").symlink_to(lab / "include" / "hartwell")
    (tmp_path / "link.ld").symlink_to(lab / "link.ld")
    code, command = re.findall(r"## In C\+\+.*?```cpp\n(.*?)```.*?\$ (riscv64-unknown-elf-g\+\+.*?)```", PAGE, re.S)[0]
    source = tmp_path / "allocator.cpp"

    def build(text: str) -> subprocess.CompletedProcess[str]:
        source.write_text(text)
        return subprocess.run(["bash", "-c", f"{command.strip()} -Wall -Wextra -Werror"], cwd=tmp_path, text=True,
                              capture_output=True, check=False)

    built = build(code + "HARTWELL_PROMISE(refuses_misuse);\n")
    assert (built.returncode, built.stderr) == (0, "")
    with load_subject(str(tmp_path / "allocator.elf")) as subject:
        assert subject.kind is SubjectKind.FRAME and "refuses-misuse" in subject.promises
    refused = build(code + "struct Late { int *where; Late(); } late; Late::Late() : where((int *)hartwell_cpus) {}\n")
    assert refused.returncode != 0 and "a global object has a constructor" in refused.stderr
