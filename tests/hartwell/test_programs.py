"""`hartwell programs`, and what docs/programs.md says there is of Linux."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from hartwell import programs
from kernel.syscall.names import NAMES
from kernel.syscall.table import BY_NUMBER, TABLE

from .conftest import ROOT, Hartwell

FIELDS = {"title", "shows", "memory", "exit", "linux"}


def test_programs_lists_all_of_them(hartwell: Hartwell) -> None:
    shown = hartwell("programs")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == programs.names()
    assert "cowtest   Copy-on-write" in shown.out
    listed = json.loads(hartwell("programs", "--json").out)
    assert [program["name"] for program in listed] == programs.names()
    assert all(program["title"] and program["shows"] for program in listed)


@pytest.mark.parametrize("name", programs.names())
def test_a_folder_is_complete(name: str) -> None:
    folder = ROOT / "programs" / name
    assert {path.name for path in folder.iterdir()} == {f"{name}.c", f"{name}.elf", "manifest.toml", "expected.txt"}
    assert set(tomllib.loads((folder / "manifest.toml").read_text())) == FIELDS
    assert f"| `{name}` |" in (ROOT / "programs/README.md").read_text()


@pytest.mark.parametrize("name", ["", "..", "common", "cowtest/../oom", "/cowtest", ".hidden"])
def test_what_is_no_program_is_not_found(name: str) -> None:
    assert programs.find(name) is None


def test_the_page_lists_the_system_calls_that_are_answered() -> None:
    page = (ROOT / "docs/programs.md").read_text()
    rows = page.split("<!-- system calls", 1)[1].split("Every other call", 1)[0]
    listed = re.findall(r"`(\w+)`", rows)
    assert sorted(listed) == sorted(call.name for call in TABLE if call.handler is not None)


def test_every_number_has_one_name() -> None:
    assert len(BY_NUMBER) == len(TABLE) == len({call.name for call in TABLE})
    assert not NAMES.keys() & BY_NUMBER.keys()
    assert not set(NAMES.values()) & {call.name for call in TABLE}
    assert [call.number for call in TABLE] == sorted(BY_NUMBER)
