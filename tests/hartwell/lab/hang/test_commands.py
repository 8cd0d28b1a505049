"""hartwell lab hang, client and trial --sanitize: what they print, and the status that they end with."""

from __future__ import annotations

import json

import pytest

from tests.hartwell.conftest import Hartwell


@pytest.mark.parametrize(("arguments", "status", "line"), [
    (("hang", "naive"), 1,
     "The list that it walks along is a circle of 1 node, by a2, the link 0 bytes into each node:"),
    (("hang", "slab", "-n", "50"), 0, "no call hangs, of 50 operations"),
    (("trial", "slab/late-link", "-n", "500", "--sanitize"), 1,
     "The address is at the beginning of the allocated 1-byte block [0xffff800081020000, 0xffff800081020001)."),
    (("client", "client-bugs", "--scenario", "clean"), 0, "clean       644  returned 0x28"),
])
def test_commands(hartwell: Hartwell, arguments: tuple[str, ...], status: int, line: str) -> None:
    done = hartwell("lab", *arguments)
    assert (done.code, done.err) == (status, "") and line in [each.strip() for each in done.out.splitlines()]


def test_json_has_the_report(hartwell: Hartwell) -> None:
    done = hartwell("lab", "client", "client-bugs", "--scenario", "double_free", "--json")
    [scenario] = json.loads(done.out)["scenarios"]
    assert done.code == 1 and scenario["finding"]["kind"] == "double free"
    assert [past["what"] for past in scenario["finding"]["details"]["report"]["past"]] == ["allocated", "freed"]


def test_mistakes(hartwell: Hartwell) -> None:
    for arguments, said in (
        (("client", "client-bugs", "--heap-allocator", "buddy"), "give it to --frame-allocator"),
        (("client", "client-bugs", "--scenario", "none"), "has no scenario none: expected one of clean, "),
        (("hang", "osdk-frame"), "is written in Python"),
        (("hang", "naive", "-w", "nonsense"), "no workload is called nonsense"),
    ):
        done = hartwell("lab", *arguments)
        assert done.code == 2 and said in done.error, done
