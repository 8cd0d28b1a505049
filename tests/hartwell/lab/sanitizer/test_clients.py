"""Clients of allocators: every planted bug is found at its instruction, with who allocated and freed the block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

from hartwell.lab.errors import SpecError
from hartwell.lab.finding import FindingKind
from hartwell.lab.sanitizer.client import Client, ClientOutcome, run_client
from hartwell.lab.subject import load_subject
from hartwell.lab.subject.guest import GuestSubject

BUGS = files("allocators") / "client-bugs"
SOURCE = (BUGS / "bugs.c").read_text("utf-8").splitlines()
FILE = "allocators/client-bugs/bugs.c"
EXPECTED = {
    "use_after_free": FindingKind.USE_AFTER_FREE, "load_after_free": FindingKind.USE_AFTER_FREE,
    "late_store": FindingKind.USE_AFTER_FREE, "overflow_by_one": FindingKind.OUT_OF_BOUNDS,
    "overflow_by_one_of_a_power": FindingKind.OUT_OF_BOUNDS, "underflow": FindingKind.OUT_OF_BOUNDS,
    "double_free": FindingKind.DOUBLE_FREE, "interior_free": FindingKind.INVALID_FREE,
    "wrong_size": FindingKind.INVALID_FREE, "foreign_free": FindingKind.INVALID_FREE,
}
OF_PAGES = ("use_after_free", "load_after_free", "late_store", "double_free", "interior_free", "foreign_free")
"""What is wrong with frames, too: the others stay within a page."""


def client_of(spec: str) -> Iterator[Client]:
    with load_subject(spec) as subject:
        assert isinstance(subject, GuestSubject)
        yield Client(subject, (BUGS / "client-bugs.elf").read_bytes(), "client-bugs.elf")


@pytest.fixture(scope="module", params=["slab", "first-fit"])
def heap_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    yield from client_of(request.param)


@pytest.fixture(scope="module")
def slab_client() -> Iterator[Client]:
    yield from client_of("slab")


def line_of_the_bug(scenario: str) -> int:
    """The line of the source that says that it is the bug of `scenario`."""
    begin = next(number for number, line in enumerate(SOURCE) if f"HARTWELL_SCENARIO({scenario})" in line)
    return 1 + next(number for number in range(begin, len(SOURCE)) if "the bug" in SOURCE[number])


def lines(outcome: ClientOutcome) -> list[str]:
    assert outcome.finding is not None
    return [f"{frame['file']}:{frame['line']}" for frame in outcome.finding.details["report"]["frames"]]


def test_every_bug_of_a_heap_client_is_found_where_it_is(heap_client: Client) -> None:
    assert set(heap_client.scenarios) == {"clean", *EXPECTED}
    for scenario, kind in EXPECTED.items():
        outcome = run_client(heap_client, scenario)
        assert outcome.finding is not None and outcome.finding.kind is kind, scenario
        assert f"{FILE}:{line_of_the_bug(scenario)}" in lines(outcome), scenario


def test_a_client_that_does_nothing_wrong_is_not_accused(heap_client: Client) -> None:
    outcome = run_client(heap_client, "clean")
    assert outcome.finding is None and outcome.value == 40 and outcome.calls == 2 * (2 + 2 * 40 * 4)


def test_frames_are_judged_by_pages() -> None:
    for client in client_of("buddy"):
        for scenario in client.scenarios:
            outcome = run_client(client, scenario)
            kind = None if outcome.finding is None else outcome.finding.kind
            assert kind is (EXPECTED[scenario] if scenario in OF_PAGES else None), scenario


def test_the_report_of_a_use_after_free(slab_client: Client) -> None:
    outcome = run_client(slab_client, "use_after_free")
    assert outcome.finding is not None and outcome.calls == 4
    report = outcome.finding.details["report"]
    store, scenario = report["frames"][0], report["frames"][1]
    assert store["symbol"] == "receive" and SOURCE[store["line"] - 1].strip() == "connection->received = bytes;"
    assert scenario["symbol"].startswith("scenario_use_after_free+")
    assert re.fullmatch(r"c?\.?sd +a1, 0x18\(a0\)", report["instruction"])
    allocated, freed = report["past"]
    assert (allocated["what"], allocated["call"]) == ("allocated", 1)
    assert (freed["what"], freed["call"]) == ("freed", 4)
    names = [frame["symbol"].partition("+")[0] for frame in allocated["frames"]]
    assert names == ["hartwell_heap_alloc", "open_connection", "scenario_use_after_free"]
    names = [frame["symbol"].partition("+")[0] for frame in freed["frames"]]
    assert names == ["hartwell_heap_dealloc", "close_connection", "scenario_use_after_free"]
    block = report["block"]
    assert (block["size"], block["state"], block["where"]) == (32, "freed", "24 bytes inside of the")
    assert outcome.finding.address == int(block["address"], 16) + 24
    shadow = report["shadow"]
    assert shadow["states"][shadow["marked"] - 3:shadow["marked"] + 1] == ["fa", "fb", "fb", "fb"]


def test_the_report_is_text_for_people_too(slab_client: Client) -> None:
    outcome = run_client(slab_client, "use_after_free")
    assert outcome.finding is not None
    text = outcome.finding.report.splitlines()
    assert text[1] == f"BUG: Hartwell: use-after-free store of 8 bytes at {outcome.finding.address:#x} by hart 0"
    row = next(number for number, line in enumerate(text) if line.startswith(">"))
    assert text[row][text[row + 1].index("^"):][:2] == "fb"
    assert f"{outcome.finding.address & -128:016x}" in text[row]


def test_the_access_has_not_been_done(slab_client: Client) -> None:
    subject = slab_client.subject
    outcome = run_client(slab_client, "overflow_by_one_of_a_power", explain=False)
    assert outcome.finding is not None
    paddr = outcome.finding.address - subject.memory.start + subject.memory.paddr
    assert subject.machine.bus.read(paddr - 1, 1) == bytes([ord("a") + 63 % 26])
    before = subject.machine.bus.read(paddr, 1)
    assert subject.machine.harts[0].pc == outcome.finding.details["pc"] and before != b""


def test_an_overflow_names_the_block_before_it(slab_client: Client) -> None:
    outcome = run_client(slab_client, "overflow_by_one")
    assert outcome.finding is not None
    report = outcome.finding.details["report"]
    assert (report["block"]["size"], report["block"]["where"]) == (100, "right behind the end of the")
    assert [past["what"] for past in report["past"]] == ["allocated"]
    assert "new_name" in report["past"][0]["frames"][1]["symbol"]


def test_an_underflow_names_the_block_behind_it(slab_client: Client) -> None:
    outcome = run_client(slab_client, "underflow")
    assert outcome.finding is not None
    block = outcome.finding.details["report"]["block"]
    assert (block["where"], int(block["address"], 16)) == ("1 byte before the", outcome.finding.address + 1)


def test_reports_are_the_same_every_time(slab_client: Client) -> None:
    one = run_client(slab_client, "late_store")
    assert run_client(slab_client, "late_store") == one


def test_loads_are_judged_if_they_are_to_be(slab_client: Client) -> None:
    assert run_client(slab_client, "load_after_free", loads=False).finding is None


def test_without_a_margin_an_overflow_into_the_next_block_is_a_legal_store(slab_client: Client) -> None:
    assert run_client(slab_client, "overflow_by_one_of_a_power", margin=0).finding is None


def test_what_is_no_client_is_refused(slab_client: Client) -> None:
    with load_subject("slab") as subject:
        assert isinstance(subject, GuestSubject)
        with pytest.raises(SpecError, match="expected all of it in 0xffffffff94000000"):
            Client(subject, (files("allocators") / "slab" / "slab.elf").read_bytes(), "slab.elf")
    with pytest.raises(SpecError, match="no scenario nonsense: expected one of clean, "):
        run_client(slab_client, "nonsense")
