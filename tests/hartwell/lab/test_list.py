"""`hartwell lab list`: everything that comes along is in it, under the command that takes it."""

from __future__ import annotations

import json

from tests.hartwell.conftest import ROOT, Hartwell


def test_all_that_comes_along_is_listed(hartwell: Hartwell) -> None:
    told = json.loads(hartwell("lab", "list", "--planted", "--json").out)
    rows = told["allocators"] + told["others"]
    folders = {path.parent.name for path in (ROOT / "allocators").glob("*/manifest.toml")}
    assert folders == {row["name"] for row in rows} & folders
    planted = {f"{path.parent.parent.name}/{path.stem}" for path in (ROOT / "allocators").glob("*/planted/*.elf")}
    assert planted == {row["name"] for row in rows if row["planted"] and ":" not in row["name"]}
    assert {row["command"] for row in told["others"]} == {"hartwell lab race", "hartwell lab client",
                                                         "hartwell lab hang"}


def test_what_is_listed_for_races_is_taken_there(hartwell: Hartwell) -> None:
    shown = hartwell("lab", "list").out
    assert "kernel:pages" in shown and "missing-merge" not in shown
    refused = hartwell("lab", "race", "kernel:nothing")
    assert refused.code == 2 and "kernel:pages, kernel:pages/blind-add" in refused.err
