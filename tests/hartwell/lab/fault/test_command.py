"""hartwell lab fault."""

from __future__ import annotations

import json

from tests.hartwell.conftest import Hartwell


def test_some_injections_by_their_numbers(hartwell: Hartwell) -> None:
    which = ("lab", "fault", "slab", "--target", "data", "-n", 12, "--operations", 60, "--only", 40, "--only", 45)
    done = hartwell(*which, "--json")
    assert done.code == 0
    plain = json.loads(done.out)
    row, = plain["targets"]
    assert (row["kind"], row["target"], row["injections"]) == ("flip", "data", 2)
    again = hartwell(*which)
    for each in plain["injections"]:
        assert each["number"] in (40, 45) and each["what"] in again.out and each["verdict"] in again.out
